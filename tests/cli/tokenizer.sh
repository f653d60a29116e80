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

# tiktoken: the bytes, then "th", "he" and "the"; special tokens behind them
python3 - > own.tiktoken << 'EOF'
import base64
for rank, token in enumerate([bytes([b]) for b in range(256)] + [b"th", b"he", b"the"]):
    print(base64.b64encode(token).decode(), rank)
EOF
expect 0 "vocab 261, added 2" tokenizer import own.tiktoken --pretok cl100k --as ranks
ids() { printf 'the hen' | smelt tokenizer encode ranks | tr -s ' \n' ' '; }
check "its ranks are ids" test "$(ids)" = "258 32 257 110 "
expect 0 "ranks: same bits" replay ranks
bad 2 "own.tiktoken: no JSON; a file of tiktoken needs --pretok" tokenizer import own.tiktoken
bad 2 "pretok: got gpt2, want own" tokenizer import flat.json --pretok gpt2
printf 'AA== 0\nnot base64 1\n' > bad.tiktoken
bad 1 "bad.tiktoken: line 2: " tokenizer import bad.tiktoken --pretok gpt2
finish
