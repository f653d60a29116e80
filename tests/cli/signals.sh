#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Signals: what has nothing to finish ends at the first.  Usage: signals.sh SMELT ROOT
SMELT=$1 ROOT=$2
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

tiny_corpus && tiny_pipeline && smelt init -q >/dev/null && smelt run tiny.yaml -q >/dev/null

# A start that takes its time: the workspace is another's meanwhile.
exec 9<.smelt/lock
flock 9

waits() { # PID: it waits for the lock
  local i
  for ((i = 0; i < 200; i++)); do
    [ "$i" -gt 20 ] && grep -qs '^State:.S' "/proc/$1/status" && return
    sleep 0.01
  done
}

# ends SIGNAL STATUS WORD...: the first signal ends a start, and not with a promise to finish.
ends() {
  local signal=$1 want=$2 pid status i
  shift 2
  "$SMELT" "$@" >out.txt 2>err.txt 9<&- &
  pid=$!
  waits "$pid"
  kill -"$signal" "$pid"
  for ((i = 0; i < 500; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.01
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  status=$?
  if [ "$status" = "$want" ] && ! grep -q finishing err.txt; then
    ok "smelt $* ends by $signal while it starts"
  else
    not_ok "smelt $* ends by $signal while it starts" "status $status, want $want" "$(cat err.txt)"
  fi
}
ends INT 130 serve release --port 0
ends TERM 143 serve release --port 0
ends INT 130 ask "which program sorts lines?"
ends INT 130 chat release --prompt The
flock -u 9

# Once it answers, a service ends what is under way, and well.
"$SMELT" serve release --port 0 >out.txt 2>err.txt &
pid=$!
for ((i = 0; i < 1000; i++)); do
  grep -q serving out.txt && break
  sleep 0.01
done
kill -TERM "$pid"
wait "$pid"
status=$?
if [ "$status" = 0 ]; then ok "a service ends well"; else not_ok "a service ends well" "status $status"; fi
check "the workspace is whole" "$SMELT" verify
finish
