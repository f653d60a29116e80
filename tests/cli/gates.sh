#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gates: whose verdict a command prints, which verdict admits a model, what may be gated.
# Usage: gates.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

smelt init >/dev/null
tiny_corpus
tiny_pipeline
sed '/step: gate/,$d' tiny.yaml > nogate.yaml
printf 'gate: strict\nrequire:\n  - {figure: heldout.bpb, max: 0.1}\n' > strict.yaml
smelt run nogate.yaml -q >/dev/null

# --------------------------------------------------------------- its own verdict
printf 'as: r1\nin: [tiny, figures]\noptions: {gate: gate.yaml}\n' > config.yaml
expect 0 "gate passed" gate config.yaml
expect 0 "made before" gate config.yaml
smelt gate tiny figures --gate strict.yaml --as release -q >/dev/null
expect 0 "gate passed" gate config.yaml
expect 1 "gate FAILED" gate config.yaml --gate strict.yaml

# ------------------------------------------------- the last gate admits a model
admitted() { expect 0 "^Some" chat tiny --prompt Some --max-tokens 2; }
refused() { bad 1 "refused: tiny: its gate failed" chat tiny --prompt Some; }
refused
expect 0 "made before" gate tiny figures --gate gate.yaml
admitted
expect 0 '"passed":true' audit show --last 1 --event gate.
expect 1 "made before" gate tiny figures --gate strict.yaml --as other
refused
expect 0 "^clean: " verify
expect 0 "" verify --rebuild
refused
expect 0 "made before" gate tiny figures --gate gate.yaml --as other
admitted
expect 0 "^clean: " verify
expect 0 "" verify --rebuild
admitted

# ------------------------------------------- only what was measured can be gated
smelt index set --as other-index --passage-words 40 -q >/dev/null
bad 2 "gate: evaluation [0-9a-f]{12}: got one with index [0-9a-f]{12}, want one with index [0-9a-f]{12}" \
  gate tiny figures other-index --gate gate.yaml
smelt eval tiny set --heldout-docs 1 --as quick -q >/dev/null
bad 2 "got one without an index, want one with index [0-9a-f]{12}" gate tiny quick idx --gate gate.yaml
expect 0 "gate passed" gate tiny quick --gate gate.yaml --as quick-release
expect 0 "gate passed" gate tiny figures idx --gate gate.yaml

# ------------------------------------- a verdict is replayed from its own rules
rm gate.yaml
expect 0 "release: same bits" replay release
mv strict.yaml gate.yaml
expect 0 "release: same bits" replay release
expect 0 "release: same bits" replay release --whole

finish
