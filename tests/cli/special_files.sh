#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that are no regular files.  What a user names as an output is written through links
# and into devices and FIFOs; what lies in the workspace must be a regular file, and a FIFO
# in its place is an error and not a wait.
# Usage: special_files.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"
tiny_text_workspace
smelt lineage set --json > want.json

# -------------------------------------------------------------------------- outputs
outputs() { # outputs FILE: every verb that writes what a user names, to FILE
  smelt lineage set --json-file "$1" && smelt lineage set --svg "$1" && smelt lineage set --dot "$1" &&
    smelt data show set --html "$1" && smelt audit checkpoint "$1" && smelt data export set "$1" &&
    smelt data export set "$1" --format text --part train
}
link_is_followed() { # link_is_followed LINK TARGET
  smelt lineage set --json-file "$1" && [ -L "$1" ] && cmp "$2" want.json
}
mkdir there
echo old > there/old && ln -s there/old link && ln -s link twice && ln -s there/new dangling
check "a link stays, its target is written" link_is_followed link there/old
check "so is the target of a link to a link" link_is_followed twice there/old
check "and one that is not there yet" link_is_followed dangling there/new
ln -s there folder && ln -s loop loop
bad 2 "folder: got a directory, want a file" lineage set --json-file folder
bad 1 "loop: Too many levels of symbolic links" lineage set --json-file loop
# root could replace the machine's own devices, were this to fail: it makes some
null=/dev/null full=/dev/full
if [ "$(id -u)" = 0 ]; then
  null=$PWD/null full=$PWD/full
  mknod null c 1 3 && mknod full c 1 7
fi 2>/dev/null
if true 2>/dev/null > "$null"; then
  check "all outputs can be a device" outputs "$null"
  check "which stays one" test -c "$null"
  ln -s "$null" void
  check "all outputs go through a link to a device" outputs void
  check "which stays" test -L void -a -c void
  bad 1 "full: write: No space left on device" lineage set --json-file "$full"
else
  ok "# SKIP devices: they cannot be made here"
fi
mkfifo pipe
through_fifo() {
  timeout 20 cat pipe > read.json & local reader=$!
  timeout 20 "$SMELT" lineage set --json-file pipe || { kill $reader; return 1; }
  wait $reader && cmp read.json want.json && [ -p pipe ]
}
check "a FIFO is written" through_fifo
check "a pipe by its name" bash -c '"$1" lineage set --json-file /proc/self/fd/1 | cmp - want.json' - "$SMELT"

# ------------------------------------------------------------------- a workspace's files
fifo() { # fifo FILE STATUS 'PATTERN' WORD...: with a FIFO in place of FILE
  local file=$1 out status
  shift
  mv "$file" saved && mkfifo "$file"
  out=$(timeout 20 "$SMELT" "${@:3}" 2>&1 </dev/null)
  status=$?
  rm "$file" && mv saved "$file"
  if [ "$status" = "$1" ] && grep -qE -- "$2" <<<"$out"; then
    ok "${file%/*} with a FIFO: smelt ${*:3}"
  else
    not_ok "$file with a FIFO: smelt ${*:3}" "exit status $status, want $1" "$(head -c 300 <<<"$out")"
  fi
}
regular="want a regular file"
object=$(smelt show docs --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["files"][0]["object"])')
object=.smelt/objects/${object:0:2}/${object:2}
[ -f "$object" ] || exit 2
manifest=$(smelt audit show --last 0 --event artifact.commit --json |
  python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["detail"]["manifest"])')
manifest=.smelt/objects/${manifest:0:2}/${manifest:2}
fifo .smelt/format 1 "format: got a special file, $regular" status
fifo .smelt/audit/log.jsonl 1 "log.jsonl: got a special file, $regular" audit verify
fifo .smelt/keys/ed25519.pub 1 "$regular" audit verify
fifo .smelt/catalog.db 1 "catalog.db: got a special file, $regular" status
fifo "$object" 1 "cannot be read: $regular" verify
fifo "$object" 1 "cannot be read: $regular" verify docs
fifo "$object" 1 "documents.jsonl: object .*: got 0 bytes, want" data export docs out.jsonl
fifo "$object.leaf" 1 "leaf table of object .*: cannot be read" verify
fifo "$manifest" 1 "cannot be read: $regular" verify
expect 0 "^clean" verify
finish
