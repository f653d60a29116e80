#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A tokenizer from elsewhere: checked, in one form whatever its file looks like, and good to
# train with.
# Usage: tokenizer.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

content() { smelt lineage "$1" --json | grep -o '"content": *"[0-9a-f]*"' | tail -n 1; }
same() { [ -n "$(content "$1")" ] && [ "$(content "$1")" = "$(content "$2")" ]; }

tiny_text_workspace || exit 2
smelt show tokenizer tokenizer.json > own.json || exit 2
tr -d '\n' < own.json > flat.json
sed 's/<|begin_of_text|>/<|endoftext|>/; /<|end_of_text|>/d' own.json |
  sed 'N; s/},\n  \],/}\n  ],/; P; D' > other.json
head -c 300 own.json > cut.json
sed 's/"type": "BPE"/"type": "WordPiece"/' own.json > wordpiece.json

expect 0 "^flat: tokenizer [0-9a-f]{12}" tokenizer import flat.json --as flat
check "the same tokenizer is the same artifact" same flat tokenizer
expect 0 '"made_before": true' tokenizer import flat.json --as flat --json
expect 0 "vocab 321, added 2" tokenizer import other.json --as other
expect 0 "vocab 319, added 0" tokenizer import other.json --special '<|endoftext|>' --as bare
expect 0 "flat: same bits" replay flat
expect 0 "^model: model" train set other --as model --n-layer 1 --d-model 32 --n-head 2 \
  --n-kv-head 1 --d-head 16 --d-ff 64 --n-ctx 64 --n-seq 4 --n-shard 4 --n-steps 2 \
  --warmup-steps 1 --eval-docs 1
bad 2 "got no <\|begin_of_text\|>, want one" train set bare --as none --n-steps 2 --warmup-steps 1
bad 2 "got 0 words, want FILE" tokenizer import
bad 1 "nowhere.json: No such file" tokenizer import nowhere.json
bad 1 "cut.json" tokenizer import cut.json
bad 1 "wordpiece.json: .*WordPiece" tokenizer import wordpiece.json
finish
