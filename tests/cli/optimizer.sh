#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Muon and width transfer from the command line: memory in the plan, replay; train --find-lr;
# evaluations that cannot be.
# Usage: optimizer.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

tiny_text_workspace
shape=(set tokenizer --n-layer 2 --d-model 64 --n-head 4 --n-kv-head 2 --d-head 16 --d-ff 128
  --n-expert 4 --d-expert 64 --n-ctx 64 --n-seq 4 --n-shard 4 --n-steps 8 --warmup-steps 2
  --checkpoint-steps 3 --eval-docs 1)

expect 0 "optimizer_bytes" train "${shape[@]}" --optimizer muon --dry-run
smelt train "${shape[@]}" --dry-run --json >adamw.json
smelt train "${shape[@]}" --optimizer muon --threads 1 --dry-run --json >muon.json
check "the plan shows the memory that Muon saves" python3 - <<'END'
import json
a, m = (json.load(open(f + ".json"))["plan"] for f in ("adamw", "muon"))
assert m["weight_bytes"] == a["weight_bytes"]
assert m["optimizer_bytes"] < 0.85 * a["optimizer_bytes"], (m, a)
END
expect 0 "^m: model" train "${shape[@]}" --optimizer muon --mup-base-width 32 --as m
expect 0 "m: same bits" replay m
expect 2 "optimizer" train "${shape[@]}" --optimizer lion

# evaluations that cannot be are said
expect 0 "warning: train: eval_steps: got 4 with eval_docs 0, so nothing is evaluated" \
  train "${shape[@]}" --eval-steps 4 --eval-docs 0 --as unscored
smelt data curate docs --heldout-frac 0 --as all -q >/dev/null
expect 0 "got 4 with a dataset that holds no document out" \
  train all "${shape[@]:1}" --eval-steps 4 --as unscored

smelt status >before.txt
smelt train "${shape[@]}" --optimizer muon --find-lr --find-lr-steps 40 --find-lr-min 1e-4 \
  --json -q --threads 1 >one.json
smelt train "${shape[@]}" --optimizer muon --find-lr --find-lr-steps 40 --find-lr-min 1e-4 \
  --json -q --threads 2 >two.json
check "a range test does not depend on threads" cmp one.json two.json
check "its figures are consistent" python3 - <<'END'
import json
d = json.load(open("one.json"))
p = d["points"]
assert 10 <= len(p) <= 40 and (d["diverged"] or len(p) == 40)
assert all(0 < a["lr"] < b["lr"] for a, b in zip(p, p[1:])) and abs(p[0]["lr"] - 1e-4) < 1e-12
assert p[0]["lr"] <= d["steepest_lr"] <= d["lowest_lr"] <= p[-1]["lr"]
assert abs(d["suggestion"] ** 2 / (d["steepest_lr"] * d["lowest_lr"] / 10) - 1) < 1e-9
END
expect 0 "suggestion: --lr" train "${shape[@]}" --find-lr --find-lr-steps 40
expect 2 "excludes --dry-run" train "${shape[@]}" --find-lr --dry-run
expect 2 "rates: got 1 to 0.1" train "${shape[@]}" --find-lr --find-lr-min 1 --find-lr-max 0.1
smelt status >after.txt
check "a range test leaves nothing" cmp before.txt after.txt

finish
