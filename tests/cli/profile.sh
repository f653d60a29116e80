#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# train --profile: the trace is what viewers of Chrome trace events read, the table adds up, and
# neither changes what is trained.
# Usage: profile.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

tiny_text_workspace
shape=(set tokenizer --n-layer 2 --d-model 32 --n-head 4 --n-kv-head 2 --d-head 16 --d-ff 64
  --n-expert 4 --d-expert 32 --nope-every 2 --n-ctx 64 --n-seq 4 --n-shard 4 --n-steps 6
  --warmup-steps 2 --checkpoint-steps 3 --eval-steps 3 --eval-docs 1)

# ------------------------------------------------------------------- profile
expect 0 "^weight gradients +[0-9]+ " train "${shape[@]}" --as a --threads 2 --profile trace.json
check "the trace is Chrome trace events" python3 - <<'END'
import json
d = json.load(open("trace.json"))
assert d["displayTimeUnit"] == "ms" and d["otherData"]["lost_events"] == 0
meta = [e for e in d["traceEvents"] if e["ph"] == "M"]
spans = [e for e in d["traceEvents"] if e["ph"] == "X"]
assert len(meta) + len(spans) == len(d["traceEvents"])
assert [e["args"]["name"] for e in meta if e["name"] == "process_name"] == ["smelt train"]
assert sorted(e["tid"] for e in meta if e["name"] == "thread_name") == [0, 1]
for e in spans:
    assert isinstance(e["name"], str) and e["name"]
    assert type(e["pid"]) is int and type(e["tid"]) is int and e["tid"] in (0, 1)
    assert isinstance(e["ts"], (int, float)) and e["ts"] >= 0
    assert isinstance(e["dur"], (int, float)) and e["dur"] >= 0
assert min(e["ts"] for e in spans) == 0
names = {e["name"] for e in spans}
for n in ["step", "qkv", "attention", "attention backward", "out", "norm", "router", "gather",
          "expert gate_up", "expert down", "combine", "head and loss", "weight gradients",
          "head gradient", "gradient norm", "optimizer",
          "evaluation", "checkpoint"]:
    assert n in names, n
assert sum(e["name"] == "step" for e in spans) == 6
# spans of a thread nest: none ends inside another that began before it
for tid in (0, 1):
    open_ends = []
    for e in sorted((e for e in spans if e["tid"] == tid), key=lambda e: (e["ts"], -e["dur"])):
        end = e["ts"] + e["dur"]
        while open_ends and open_ends[-1] <= e["ts"] + 0.0015:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1] + 0.0015, e
        open_ends.append(end)
END
smelt train "${shape[@]}" --seed 7 --as b --threads 2 --profile trace.json --json >b.json
check "the sums add up" python3 - <<'END'
import json
d = json.load(open("b.json"))["profile"]
assert d["steps"] == 6 and d["step_ms"] > 0
by = {o["name"]: o for o in d["operations"]}
inside = [o for n, o in by.items() if n not in ("evaluation", "checkpoint")]
own = sum(o["self_ms"] for o in inside)
# the caller's spans cover its steps, the other threads' cover what they do in loops
spent = (1 + sum(t["busy"] for t in d["threads"][1:])) * d["step_ms"] * d["steps"]
assert abs(own - spent) <= 1e-6 * spent, (own, spent)
assert all(0 <= o["share"] <= 1 for o in inside)
assert all(0 < t["busy"] <= 1.001 for t in d["threads"])
# 2 layers, 6 steps: FLOPs by the shapes, 4 sequences of 64 tokens
assert by["attention"]["calls"] == 12 and by["optimizer"]["calls"] == 6
ms = by["weight gradients"]["self_ms"] / len(d["threads"])
assert by["weight gradients"]["gflops"] * ms * 1e6 > 1e6
END
smelt train "${shape[@]}" --as plain --threads 2 >plain.out
check "the profile does not change the recipe" grep -q "made before" plain.out
rm -rf other && mkdir other && cp -r text other && (cd other && smelt init >/dev/null &&
  smelt data add text --licence Apache-2.0 --as docs -q && smelt data curate docs \
  --heldout-frac 0.2 --as set -q && smelt tokenizer train set --vocab-size 320 --as tokenizer -q &&
  smelt train "${shape[@]}" --as a --threads 1 -q) >/dev/null
ids() { smelt show a --json | grep -oE '"[0-9a-f]{64}"' | sort; }
check "nor the result" test "$(ids)" = "$(cd other && ids)"
expect 0 "no step was run" train "${shape[@]}" --as a --profile again.json
check "then no trace is written" test ! -e again.json
cp trace.json before.json
expect 0 "no step was run" train "${shape[@]}" --as a --profile trace.json
# With two shards at a time the gradient tree has something to join.
smelt train "${shape[@]}" --micro-shards 2 --seed 10 --as tree --threads 2 --profile tree.json -q >tree.out
check "the gradient tree is seen where shards are joined" grep -q '"gradient tree"' tree.json
expect 2 "^smelt: train: n_shard: got 3" train "${shape[@]}" --n-shard 3 --as c --profile trace.json
expect 2 "is a directory" train "${shape[@]}" --seed 8 --as c --profile text
check "one of an earlier run stays" cmp trace.json before.json
check "nothing is left beside it" test -z "$(find . -maxdepth 1 -name '.sm-tmp-*')"
expect 1 "nowhere" train "${shape[@]}" --seed 8 --as c --profile nowhere/trace.json
expect 0 "^optimizer +6 " train "${shape[@]}" --seed 9 --as d --log-view
finish
