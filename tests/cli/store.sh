#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a workspace does when its files were changed under it.
# Usage: store.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

tiny_text_workspace

# ------------------------------------------------------------------- inputs of steps
object_of() { # REF FILE: the path of its object
  local id
  id=$(smelt show "$1" | awk -v f="$2" '$1 == f { print $NF }')
  compgen -G ".smelt/objects/${id:0:2}/${id:2}*" | grep -v '\.leaf$'
}
train=$(object_of set train.jsonl)
chmod u+w "$train"
flip "$train" 40
bad 1 'dataset [0-9a-f]{12}: train\.jsonl: object [0-9a-f]{64}: leaf 0 \(bytes 0\.\.[0-9]+\) does not match its hash' \
  tokenizer train set --vocab-size 300 --as other -q
bad 1 'no such ref' show other
expect 0 '' tokenizer train set --vocab-size 320 --as again -q # made already: sizes alone
flip "$train" 40
expect 0 '' tokenizer train set --vocab-size 300 --as other -q
expect 0 '^clean' verify

# ---------------------------------------------------------------------- the catalog
expect 0 'again, with [0-9]+ metrics' verify --rebuild
expect 0 '^clean' verify
bad 2 '64 hex digits' index set --as 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
# a line that is not finished is taken off, and the log says so; a whole one that does not
# verify stays
printf '{"torn' >> .smelt/audit/log.jsonl
expect 0 '^clean' verify
expect 0 'audit\.repair' audit show --last 1
flip .smelt/audit/log.jsonl $(($(stat -c %s .smelt/audit/log.jsonl) - 40))
rm .smelt/catalog.db*
before=$(sha256sum .smelt/audit/log.jsonl)
expect 1 'line [0-9]+: ' verify
bad 1 'do not verify; nothing can be recorded' index set --passage-words 50 --as late -q
check "nothing of the log was removed" test "$before" = "$(sha256sum .smelt/audit/log.jsonl)"

# ------------------------------------------------------------------ not ours to read
# One line says what cannot be read; what hangs on it is not called wrong as well.
mkdir "$WORK/shut" && cd "$WORK/shut" && smelt init >/dev/null || exit 2
printf 'One document of some words.\n' > a.txt
smelt data add a.txt --as docs -q >/dev/null
as_other() { # COMMAND...: as a user whom permissions bind
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
  else
    "$@"
  fi
}
shut() { # FILE 'PATTERN': verify finds one thing while the file is shut
  local mode out
  mode=$(stat -c %a "$1")
  chmod 000 "$1"
  out=$(as_other "$SMELT" verify 2>&1)
  if [ "$(wc -l <<<"$out")" = 2 ] && grep -qE "$2" <<<"$out"; then ok "$1 is shut"
  else not_ok "$1 is shut" "$out"; fi
  chmod "$mode" "$1"
}
if [ "$(id -u)" != 0 ] || as_other "$SMELT" version >/dev/null 2>&1; then
  chmod 755 "$WORK"
  [ "$(id -u)" != 0 ] || chown -R 65534:65534 .
  check "open, all is well" as_other "$SMELT" verify
  shut .smelt/audit/log.jsonl 'log\.jsonl: Permission denied'
  shut "$(object_of docs documents.jsonl)" 'object .*: cannot be read: Permission denied'
else
  ok "files that are shut # SKIP no other user can run $SMELT"
fi

finish
