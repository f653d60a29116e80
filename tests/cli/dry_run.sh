#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# train --dry-run: parameters, bytes by kind, FLOPs a token, time; before anything is allocated.
# run --dry-run: which steps would run, which were made, what a training would take.
# Usage: dry_run.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

tiny_text_workspace
shape=(set tokenizer --n-layer 2 --d-model 32 --n-head 4 --n-kv-head 2 --d-head 16 --d-ff 64
  --n-expert 4 --d-expert 32 --nope-every 2 --n-ctx 64 --n-seq 4 --n-shard 4 --n-steps 6
  --warmup-steps 2 --checkpoint-steps 3 --eval-steps 3 --eval-docs 1)

expect 0 "active_parameters +[0-9]+" train "${shape[@]}" --dry-run
smelt train "${shape[@]}" --dry-run --json >plan.json
check "the plan names parameters, bytes by kind, FLOPs a token, time" python3 - <<'END'
import json
d = json.load(open("plan.json"))
p = d["plan"]
assert not d["made_before"]
assert 0 < p["active_parameters"] < p["parameters"]
kinds = ["weight_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "packed_bytes"]
assert all(p[k] > 0 for k in kinds) and p["optimizer_bytes"] >= 2 * p["weight_bytes"]
assert p["total_bytes"] == sum(p[k] for k in kinds)
assert p["tokens"] == 6 * p["tokens_per_step"] == 6 * 4 * 64
assert abs(p["flops"] / p["tokens"] / p["flops_per_token"] - 1) < 1e-9
assert p["flops_per_token"] > 6 * p["active_parameters"] * 0.5
assert p["expected_seconds"] > 0 and p["ceiling_gflops"] > 0
END
twice=("${shape[@]}" --aux-coef 0.01 --micro-shards 1)
smelt train "${twice[@]}" --dry-run --json >once.json
smelt train "${twice[@]}" --recompute --dry-run --json >again.json
check "a forward pass that runs again takes a third of the time more" python3 - <<'END'
import json
once, again = (json.load(open(f + ".json"))["plan"] for f in ("once", "again"))
once, again = (p["expected_seconds"] * p["ceiling_gflops"] / p["flops"] for p in (once, again))
assert abs(again / once - 4 / 3) < 1e-9, again / once
END

moe=(set tokenizer --n-layer 2 --d-model 32 --d-ff 64 --n-expert 8)
smelt train "${moe[@]}" --d-expert 64 --dry-run --json >given.json
smelt train "${moe[@]}" --dry-run --json >default.json
check "experts are as wide as d_ff where nothing is said" python3 - <<'END'
import json
given, default = (json.load(open(f + ".json"))["plan"] for f in ("given", "default"))
assert given["parameters"] == default["parameters"], (given, default)
END
expect 0 "llama4_text, will compute other logits with this model: d_shared 0, rope_interleaved false" \
  train "${moe[@]}" --dry-run
check "a model that every program reads needs no word" bash -c '! "$@" 2>&1 | grep "other logits"' \
  - "$SMELT" train "${moe[@]}" --d-shared 64 --rope-interleaved --dry-run

huge=(set tokenizer --n-layer 64 --d-model 8192 --n-head 64 --n-kv-head 8 --d-head 128
  --d-ff 28672 --n-ctx 4096 --n-seq 256 --n-shard 256 --n-steps 100 --warmup-steps 10)
# the shadow memory of sanitizers is larger than any limit
if ldd "$SMELT" | grep -qE 'lib[atm]san'; then limit=unlimited; else limit=4000000; fi
check "a plan of 5e10 parameters allocates none of them" bash -c \
  'ulimit -v $1; smelt=$2; shift 2; "$smelt" train "$@" --dry-run --json |
   python3 -c "import json, sys; assert json.load(sys.stdin)[\"plan\"][\"parameters\"] > 5e10"' \
  - "$limit" "$SMELT" "${huge[@]}"
expect 0 'expected_seconds +[0-9]+ \([0-9]+ h [0-9]{2} min\)' train "${huge[@]}" --dry-run
check "a dry run leaves nothing" bash -c '! "$1" status | grep -q model' - "$SMELT"

# ------------------------------------------------------------------ a pipeline
mkdir pipe && cd pipe && smelt init >/dev/null || exit 2
tiny_corpus
tiny_pipeline
state() { # everything in the workspace and when it was last written
  find .smelt -type f -printf '%p %s %T@\n' | sort
}
state >before
expect 0 '^\[1/7\] data.add -> docs: would run$' run tiny.yaml --dry-run
expect 0 '^\[4/7\] train -> tiny: would run after set, tok: [0-9.]+ M parameters active of [0-9.]*[1-9]' run tiny.yaml --dry-run
expect 0 '^7 of 7 steps would run$' run tiny.yaml --dry-run
state >after
check "a dry run writes nothing into the workspace" diff before after
smelt run tiny.yaml --dry-run --json >ahead.json
smelt data add corpus --as docs -q >/dev/null
smelt data curate docs --allow-unknown-licence --heldout-frac 0.2 --as set -q >/dev/null
smelt tokenizer train set --vocab-size 400 --as other-name -q >/dev/null
expect 0 '^\[3/7\] tokenizer.train -> tok [0-9a-f]{12}: made before$' run tiny.yaml --dry-run
expect 0 '^4 of 7 steps would run$' run tiny.yaml --dry-run
smelt run tiny.yaml --dry-run --json >plan.json
check "the plan before the tokenizer is that after it" python3 - <<'END'
import json
ahead, now = json.load(open("ahead.json")), json.load(open("plan.json"))
assert ahead["to_run"] == 7 and now["to_run"] == 4
a, b = ahead["steps"][3], now["steps"][3]
assert a["after"] == ["set", "tok"] and "recipe" not in a and "after" not in b
assert a["plan"]["parameters"] == b["plan"]["parameters"] > 0
assert a["plan"]["total_bytes"] == b["plan"]["total_bytes"] > 0
assert ahead["expected_seconds"] == a["plan"]["expected_seconds"] > 0
assert now["steps"][5]["after"] == ["tiny", "idx"]
END
smelt run tiny.yaml -q
expect 0 '^0 of 7 steps would run$' run tiny.yaml --dry-run
check "what would run is what ran" python3 - "$SMELT" <<'END'
import json, subprocess, sys
now = json.load(open("plan.json"))["steps"][3]
got = json.loads(subprocess.run([sys.argv[1], "run", "tiny.yaml", "--dry-run", "--json"],
                                capture_output=True, check=True).stdout)
assert got["steps"][3]["recipe"] == now["recipe"]
assert all(s["made_before"] and len(s["content"]) == 64 and "plan" not in s for s in got["steps"])
END
expect 0 '^3 of 7 steps would run$' run tiny.yaml --dry-run --set train.n_steps=13
bad 2 "unknown|no step|wants|want" run tiny.yaml --dry-run --set nothing.x=1

finish
