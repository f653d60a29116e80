#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Test the page in a browser.  Usage: page.sh SMELT DIRECTORY (for screenshots)
# Exit status 77: skipped, something is missing.
smelt=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
skip() {
  echo "skipped: $1"
  exit 77
}
command -v node >/dev/null || skip "node is missing (Debian package nodejs)"
[ -x "${CHROMIUM:=/usr/bin/chromium}" ] || skip "$CHROMIUM is missing (Debian package chromium)"
for p in openai playwright-core typescript; do
  [ -d "$here/node_modules/$p" ] || skip "$p is missing: npm ci in tests/web"
done
export CHROMIUM
set -e
echo "types: tsc over web/src"
node "$here/node_modules/typescript/bin/tsc" --noEmit -p "$here/../../web"
exec node "$here/page.mjs" "$smelt" "$out"
