# SPDX-License-Identifier: Apache-2.0
# What the command-line tests share.  Source it with SMELT (the program) and ROOT (the
# repository) set; it makes a temporary directory, goes there and removes it at the end.
# Results are printed as TAP.
set -u
: "${SMELT:?}" "${ROOT:?}"
SMELT=$(realpath -- "$SMELT") ROOT=$(realpath -- "$ROOT")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/smelt-cli-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 2
N=0 FAILED=0
smelt() { "$SMELT" "$@"; }

ok() { N=$((N + 1)); echo "ok $N - $1"; }
not_ok() {
  N=$((N + 1)) FAILED=$((FAILED + 1))
  echo "not ok $N - $1"
  shift
  printf '#   %s\n' "$@"
}

flip() { # FILE OFFSET: change one bit of a byte; a second call takes it back
  local value
  value=$(od -An -tu1 -j "$2" -N1 "$1")
  # shellcheck disable=SC2059
  printf "\\x$(printf %x $((value ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# expect STATUS 'PATTERN' WORD...: run smelt, want this exit status and, somewhere in what
# it prints, a line that matches the extended regular expression.
expect() {
  local want=$1 pattern=$2 name out status
  shift 2
  name="smelt $*"
  out=$(timeout 300 "$SMELT" "$@" 2>&1 </dev/null) # a service that was to refuse would go on
  status=$?
  if [ "$status" != "$want" ]; then
    not_ok "$name" "exit status $status, want $want" "$(head -c 300 <<<"$out")"
  elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" <<<"$out"; then
    not_ok "$name" "no line like: $pattern" "$(head -c 300 <<<"$out")"
  else
    ok "$name"
  fi
}

# bad STATUS 'PATTERN' WORD...: the same, and the error is one line on standard error that
# begins with "smelt: " and names no module twice, with nothing on standard output.
bad() {
  local want=$1 pattern=$2 name out err status
  shift 2
  name="smelt $*"
  err=$("$SMELT" "$@" 2>&1 >"$WORK/.out" </dev/null)
  status=$?
  out=$(head -c 200 "$WORK/.out")
  err=$(grep -v '^smelt: warning' <<<"$err")
  if [ "$status" != "$want" ]; then
    not_ok "$name" "exit status $status, want $want" "$(head -c 300 <<<"$err")"
  elif ! grep -qE -- "$pattern" <<<"$err"; then
    not_ok "$name" "got:  $(head -c 300 <<<"$err")" "want: $pattern"
  elif [ "$(tail -n 1 <<<"$err" | head -c 7)" != "smelt: " ]; then
    not_ok "$name" "error does not begin with 'smelt: ': $(head -c 200 <<<"$err")"
  elif grep -qE '(^|: )([a-z][a-z._]*): \2: ' <<<"$err"; then
    not_ok "$name" "names the same thing twice: $(head -c 300 <<<"$err")"
  elif [ -n "$out" ]; then
    not_ok "$name" "printed on standard output: $out"
  else
    ok "$name"
  fi
}

# check 'what it shows' COMMAND...: a command that must succeed.
check() {
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$* failed" "$(head -c 400 <<<"$out")"; fi
}

finish() {
  echo "1..$N"
  [ "$FAILED" = 0 ] || { echo "# $FAILED of $N failed"; exit 1; }
  exit 0
}

# A workspace with a dataset `set` and a tokenizer `tokenizer`, in half a second.
tiny_text_workspace() {
  cp -r "$ROOT/tests/golden/text" . && smelt init >/dev/null
  smelt data add text --licence Apache-2.0 --as docs -q >/dev/null
  smelt data curate docs --heldout-frac 0.2 --as set -q >/dev/null
  smelt tokenizer train set --vocab-size 320 --as tokenizer -q >/dev/null
}

# A workspace in which the whole way to a model has been gone, in about two seconds.
tiny_corpus() {
  mkdir -p corpus
  find "$ROOT/docs" -name '*.md' -size +1k | sort | head -n 40 | while read -r f; do
    cp "$f" "corpus/$(echo "${f#"$ROOT"/docs/}" | tr / -)"
  done
  cp "$ROOT/LICENSE" corpus/LICENSE.txt
  man_page lsfile "list the files that processes hold open"
  man_page sortline "put the lines of a text in order"
  man_page copytree "copy a directory with all that is in it"
  man_page findword "search files for a word or a pattern"
}
man_page() { # NAME SUMMARY: a page of the manual
  {
    printf '.TH %s 1\n.SH NAME\n%s \\- %s\n' "${1^^}" "$1" "$2"
    printf '.SH SYNOPSIS\n.B %s\n[\\-a] [FILE...]\n.SH DESCRIPTION\n' "$1"
    printf 'The program %s is there to %s, and it does so for every FILE that is named.\n' "$1" "$2"
    printf 'With the option \\-a it does the same for all of the files of the directory.\n'
    printf '.SH NOTES\nWhen %s has nothing to do it says so and ends with the status 1.\n' "$1"
  } > "corpus/$1.1"
}
tiny_pipeline() {
  cat > tiny.yaml <<'YAML'
pipeline: tiny
steps:
  - step: data.add
    as: docs
    options: {paths: [corpus]}
  - step: data.curate
    as: set
    in: [docs]
    options: {allow_unknown_licence: true, heldout_frac: 0.2}
  - step: tokenizer.train
    as: tok
    in: [set]
    options: {vocab_size: 400}
  - step: train
    as: tiny
    in: [set, tok]
    options:
      {n_layer: 2, d_model: 32, n_head: 2, n_kv_head: 1, d_head: 16, d_ff: 64,
       n_expert: 2, d_expert: 32, d_shared: 32, n_ctx: 64, n_seq: 4, n_shard: 4,
       n_steps: 12, warmup_steps: 2, checkpoint_steps: 5, eval_docs: 2}
  - step: index
    as: idx
    in: [set]
  - step: eval
    as: figures
    in: [tiny, set, idx]
    options: {unseen_only: false, samples: [The files], sample_tokens: 8}
  - step: gate
    as: release
    in: [tiny, figures, idx]
    options: {gate: gate.yaml}
YAML
  printf 'gate: tiny\nrequire:\n  - {figure: heldout.bpb, max: 20}\n' > gate.yaml
}
