#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench/run from outside.  Usage: smoke.sh ROOT BUILD
set -euo pipefail
root=$1 build=$2
run=$root/bench/run
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "bench/smoke: $*" >&2; exit 1; }

"$run" --list > "$tmp/list"
for f in train.dense32m.bf16.vs_torch train.moe65m.bf16.vs_torch train.gpt2_124m.bf16.vs_torch \
  train.dense32m.share_of_amx train.moe_over_dense train.dense32m.f32.avx512.vs_torch \
  train.dense32m.bf16.avx2.vs_torch_f32 train.contract_cost train.rss_vs_plan; do
  grep -q "^$f " "$tmp/list" || fail "--list does not name $f"
done

# wrong usage is 2 and says what was wrong
wrong() {
  local want=$1 status=0
  shift
  "$run" "$@" > "$tmp/out" 2> "$tmp/err" || status=$?
  [ $status = 2 ] || fail "$*: exit status $status, want 2"
  grep -q -- "$want" "$tmp/err" || fail "$*: no '$want' in: $(cat "$tmp/err")"
}
wrong "no such figure" train.no_such
wrong "want one of" --group nonsense
wrong "torch=PATH" --peer llama=x train.contract_cost
wrong "no such file" --peer torch=/nonexistent train.contract_cost
wrong "got .*--pairs 0 .*at least 1" --pairs 0 train.contract_cost
wrong "got --threads 9999 .*want threads of 1 to 256" --threads 9999 train.contract_cost

# the program that measures steps: wrong numbers, too
wrong_step() {
  local want=$1 status=0
  shift
  "$build/bench_step" tiny_moe "$@" > "$tmp/out" 2> "$tmp/err" || status=$?
  [ $status = 2 ] || fail "bench_step $*: exit status $status, want 2"
  grep -qF -- "$want" "$tmp/err" || fail "bench_step $*: no '$want' in: $(cat "$tmp/err")"
}
wrong_step "--threads: got 0, want 1..256" --threads 0
wrong_step "--steps: got 1e3, want 1.." --steps 1e3
wrong_step "--seq: got -4, want 1.." --seq -4
wrong_step "--ctx: got 99999999999999999999" --ctx 99999999999999999999
wrong_step "--set: got n_layer=2.5" --set n_layer=2.5
wrong_step "--profile: got fast, want bf16/1" --profile fast
wrong_step "--steps: got nothing, want a value" --steps

# the estimate for tiles runs where there is AVX-512, and says that it is one
if SMELT_CPU=avx512 "$build/bench_step" tiny_moe --steps 1 --json > "$tmp/out" 2> /dev/null; then
  "$build/bench_step" tiny_moe --timed-tiles --steps 2 --json > "$tmp/out" 2> "$tmp/err" ||
    fail "--timed-tiles: $(cat "$tmp/err")"
  tail -n 1 "$tmp/out" | grep -q '"rung":"timed tiles"' || fail "--timed-tiles: $(cat "$tmp/out")"
fi

# so does the program that trains for a comparison of losses
for bad in "--init-residual abc" "--steps 1x" "--seed -1" "--threads" "--unknown 1"; do
  status=0
  # shellcheck disable=SC2086  # an option and its value
  "$build/bench_loss" "$tmp/loss" "$root/README.md" $bad 2> "$tmp/err" || status=$?
  [ $status = 2 ] && [ ! -e "$tmp/loss" ] || fail "bench_loss $bad: exit status $status, want 2"
done

# a tiny figure is measured; the last line is the array
"$run" train.tiny.contract_cost --build "$build" --threads 2 --pairs 2 > "$tmp/out" 2> "$tmp/err" ||
  fail "train.tiny.contract_cost: $(cat "$tmp/err")"
tail -n 1 "$tmp/out" | python3 -c '
import json, sys
a = json.loads(sys.stdin.read())
assert len(a) == 1 and a[0]["name"] == "train.tiny.contract_cost" and a[0]["n"] == 2, a
for key in ("value", "unit", "must", "goal", "pass", "spread"):
    assert key in a[0], key
assert isinstance(a[0]["value"], float), a'

# without the rival a figure says what it needs and measures nothing
"$run" train.dense32m.bf16.vs_torch --build "$build" > "$tmp/out" 2> /dev/null ||
  fail "a figure without its rival: status $?"
tail -n 1 "$tmp/out" | grep -q 'give --peer torch=PATH' || fail "no hint of --peer: $(cat "$tmp/out")"

# arithmetic of pairs and verdicts, against values by hand; a script stands in for the rival
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/bench python3 - "$tmp" << 'EOF'
import os
import sys
from harness import figures, measure

assert figures.rounded(123456.0) == 123500 and figures.rounded(0.00123456) == 0.001235
f = figures.Figure("x", "g", "x", "", None, must=4, goal=6)
low = figures.Figure("x", "g", "%", "", None, must=5, goal=1, better=figures.LOWER)
near = figures.Figure("x", "g", "%", "", None, must=5, goal=2, better=figures.NEAR_ZERO)
r = figures.Result(f, figures.Outcome([3.0, 5.0, 9.0, 4.0, 4.5]))
assert r.value == 4.5 and r.spread == 6.0 and r.passed is True, r
assert figures.Result(f, figures.Outcome([3.9])).passed is False
assert figures.Result(f, figures.Outcome([9.0], is_marked=True)).passed is None
assert figures.Result(f, figures.Outcome()).line()["value"] is None
assert figures.Result(low, figures.Outcome([-1.0])).passed is True
assert figures.Result(near, figures.Outcome([-6.0])).passed is False

script = os.path.join(sys.argv[1], "rival.py")
with open(script, "w") as out:
    out.write("import sys\nprint(' '.join(sys.argv[1:3]), ': median 500 ms/step')\n")
bench = measure.Bench(".", 2, 3, None, measure.parse_peers(["torch=" + script], sys.executable))
got = bench.torch("dense30", "f32", seq=4, ctx=512)
assert got == {"tok_per_s": 4096.0, "statistic": "median"}, got
order, feed = [], iter([2.0, 1.0, 6.0, 2.0, 4.0, 1.0])
pairs = measure.pair(bench, lambda: order.append("a") or next(feed),
                     lambda: order.append("b") or next(feed), lambda a, b: a / b)
assert "".join(order) == "ababab" and [p[0] for p in pairs] == [2, 3, 4], pairs
EOF

"$run" --docs --check || fail "tables of README.md or docs/performance.md are out of date"

# a result of a demo that did not end is refused
mkdir "$tmp/demo"
"$root/bench/demo" "$tmp/demo" --build "$build" 2> "$tmp/err" && fail "an empty demo was a result"
grep -q "no finished demo" "$tmp/err" || fail "an empty demo: $(cat "$tmp/err")"
echo "bench/smoke: ok"
