/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs, in the order of --help.  To add one: write cmd/verb_NAME.c that defines
 * `const verb verb_NAME = {...};` (verb_init.c is the shortest example) and add a line
 * here.  Then run tests/cli/docs.sh --write, which makes its page in docs/commands.
 */
#define SMELT_VERBS(X)  \
    X(init)             \
    X(status)           \
    X(run)              \
    X(data_add)         \
    X(data_curate)      \
    X(data_show)        \
    X(data_export)      \
    X(data_diff)        \
    X(tokenizer_train)  \
    X(tokenizer_import) \
    X(tokenizer_encode) \
    X(tokenizer_decode) \
    X(train)            \
    X(tracks)           \
    X(index)            \
    X(eval)             \
    X(gate)             \
    X(chat)             \
    X(ask)              \
    X(serve)            \
    X(show)             \
    X(lineage)          \
    X(verify)           \
    X(replay)           \
    X(bisect)           \
    X(audit_verify)     \
    X(audit_checkpoint) \
    X(audit_show)       \
    X(key)              \
    X(doctor)           \
    X(bench)            \
    X(version)          \
    X(help)
