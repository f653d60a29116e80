/* SPDX-License-Identifier: Apache-2.0 */
/* smelt replay: recompute an artifact from its inputs and compare. */
#include "cmd.h"
#include "smelt/flow.h"

static const sm_option options[] = {
    {.key = "whole",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "recompute everything from the sources on, not the last step alone"},
    SM_OPTION_END,
};

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    sm_store *store;
    bool whole = sm_opt_bool(in->opt, "whole");
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (!s)
        s = sm_flow_replay(ctx, store, in->pos[0], whole, &err);
    app_settle(a);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(json_pack("{s:s, s:b}", "ref", in->pos[0], "same", 1));
    printf("%s: same bits\n", in->pos[0]);
    return EXIT_GOOD;
}

const verb verb_replay = {
    .name = "replay",
    .usage = "REF",
    .summary = "recompute an artifact from its inputs alone and compare, bit for bit",
    .details =
        "The recipe runs in a fresh workspace below TMPDIR that holds the inputs and\n"
        "nothing else.  Exit status 1 when the result differs, naming the files.",
    .example = "smelt replay unix-tiny\nsmelt replay unix-tiny --whole",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
