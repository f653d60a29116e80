/* SPDX-License-Identifier: Apache-2.0 */
/* smelt replay: recompute an artifact from its inputs and compare, whole or by sample; or
 * without some documents. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"
#include "without.h"

static const sm_option options[] = {
    {.key = "whole",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "recompute everything from the sources on, not the last step alone"},
    {.key = "sample",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "of a model, recompute so many segments between committed states: 5, or 1%"},
    {.key = "seed",
     .type = SM_OPT_INT,
     .def = "-1",
     .min = -1,
     .max = 9007199254740992.0,
     .help = "of --sample; -1: drawn now, and reported"},
    {.key = "without",
     .type = SM_OPT_LIST,
     .def = "",
     .help =
         "train the model without these documents: id, path, title or pattern of paths"},
    {.key = "retrain_tokenizer",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "of --without: the tokenizer, too, as if the documents had not been there"},
    {.key = "prompt",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "of --without: texts that both models continue, greedily"},
    {.key = "ask",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "of --without: questions answered from an index of either dataset"},
    {.key = "tokens",
     .type = SM_OPT_INT,
     .def = "32",
     .min = 1,
     .max = 4096,
     .unit = "tokens",
     .help = "of --without: length of a continuation"},
    {.key = "heldout_docs",
     .type = SM_OPT_INT,
     .def = "1000",
     .min = 1,
     .max = 1e9,
     .unit = "documents",
     .help = "of --without: held-out documents that both models are scored on, at most"},
    {.key = "as",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "of --without: name of the new model; by default it has none"},
    SM_OPTION_END,
};

/* ------------------------------------------------------------------ sample */

static sm_status parse_sample(sm_sample_config *c, const char *text, sm_err *err)
{
    char *end = NULL;
    double v = strtod(text, &end);
    bool is_share = end && !strcmp(end, "%");
    *c = (sm_sample_config){0};
    if (is_share && v > 0 && v <= 100)
        c->frac = v / 100;
    else if (end != text && end && !*end && v >= 1 && v <= 1e9 && v == (double)(int64_t)v)
        c->n = (int64_t)v;
    else
        return sm_fail(err, SM_EINVAL,
                       "--sample: got %.40s, want a number of segments from 1, or a "
                       "share such as 1%%",
                       text);
    return SM_OK;
}

/* Not foreseeable by whoever trained the model. */
static sm_status draw_seed(uint64_t *seed, sm_err *err)
{
    FILE *f = fopen("/dev/urandom", "rb");
    bool ok = f && fread(seed, sizeof *seed, 1, f) == 1;
    if (f)
        fclose(f);
    *seed &= ((uint64_t)1 << 53) - 1; /* exact in JSON */
    return ok ? SM_OK : sm_fail(err, SM_EIO, "/dev/urandom: cannot read a seed");
}

static void print_odds(const json_t *report)
{
    size_t i;
    json_t *v;
    const char *end = json_string_value(json_object_get(report, "end"));
    printf("a forged %s would have been caught with probability\n",
           strcmp(end, "not checked") != 0
               ? "run"
               : "chain of states (the artifact's weights may be others)");
    json_array_foreach(json_object_get(report, "caught"), i, v)
    {
        printf("  %.4f  if %" PRId64 " of %" PRId64 " segments were forged (%.1f %%)\n",
               sm_json_real(v, "probability"),
               sm_json_int(v, "forged"), sm_json_int(report, "segments"),
               100 * json_real_value(json_object_get(v, "share")));
    }
}

static void print_sample(const json_t *report)
{
    size_t i;
    json_t *v;
    const json_t *sampled = json_object_get(report, "sampled");
    bool kept = !strcmp(json_string_value(json_object_get(report, "states")), "kept");
    bool clean = json_array_size(json_object_get(report, "findings")) == 0;
    printf("%zu of %" PRId64 " segments of %" PRId64 " steps, seed %" PRId64 "; %" PRId64
           " of %" PRId64 " steps recomputed%s\n",
           json_array_size(sampled), sm_json_int(report, "segments"),
           sm_json_int(report, "commit_steps"), sm_json_int(report, "seed"),
           sm_json_int(report, "steps_recomputed"), sm_json_int(report, "steps"),
           kept ? "" : " (no states were kept: from the beginning on)");
    json_array_foreach(json_object_get(report, "findings"), i, v)
    {
        if (json_object_get(v, "step"))
            printf("  step %" PRId64 ": ", sm_json_int(v, "step"));
        else
            printf("  ");
        printf("%s differs\n", json_string_value(json_object_get(v, "what")));
    }
    if (clean)
        printf("same bits: initial state, sampled segments%s%s\n",
               kept ? ", kept states" : "",
               !strcmp(json_string_value(json_object_get(report, "end")), "same")
                   ? ", weights of the artifact"
                   : "; weights of the artifact not checked (16 bits, no states kept)");
    print_odds(report);
}

static int run_sample(app *a, const args *in, const sm_ctx *ctx, sm_store *store)
{
    sm_err err = {0};
    json_t *report = NULL;
    sm_sample_config c;
    int64_t seed = sm_opt_int(in->opt, "seed");
    sm_status s = parse_sample(&c, sm_opt_str(in->opt, "sample"), &err);
    if (!s && seed < 0)
        s = draw_seed(&c.seed, &err);
    else
        c.seed = (uint64_t)seed;
    if (!s)
        s = sm_flow_sample(&report, ctx, store, in->pos[0], &c, &err);
    app_settle(a);
    bool has_report = report != NULL;
    int rc = EXIT_GOOD;
    if (report && a->json)
        rc = app_print_json(json_incref(report));
    else if (report)
        print_sample(report);
    json_decref(report);
    if (s == SM_EDENIED && has_report && a->json) /* the report says it */
        return EXIT_FAILED;
    return s ? app_fail(a, s, &err) : rc;
}

/* --------------------------------------------------------------------- run */

static int run_replay(app *a, const args *in, const sm_ctx *ctx, sm_store *store)
{
    sm_err err = {0};
    sm_status s =
        sm_flow_replay(ctx, store, in->pos[0], sm_opt_bool(in->opt, "whole"), &err);
    app_settle(a);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(
            json_pack("{s:o, s:b}", "ref", sm_json_string(in->pos[0]), "same", 1));
    printf("%s: same bits\n", in->pos[0]);
    return EXIT_GOOD;
}

static int run(app *a, const verb *self, const args *in)
{
    static const char *const of_sample[] = {"seed", NULL};
    static const char *const of_without[] = {"retrain_tokenizer", "prompt",       "ask",
                                             "tokens",            "heldout_docs", "as",
                                             NULL};
    sm_err err = {0};
    const sm_ctx *ctx;
    sm_store *store;
    bool sample = *sm_opt_str(in->opt, "sample");
    bool without = json_array_size(sm_opt_list(in->opt, "without")) > 0;
    const char *idle;
    if (sample + without + sm_opt_bool(in->opt, "whole") > 1)
        return app_usage(a, "replay: --sample, --whole and --without exclude each other");
    if ((idle = args_idle(in, of_sample, "sample")))
        return args_refuse_idle(a, self, idle, "sample");
    if ((idle = args_idle(in, of_without, "without")))
        return args_refuse_idle(a, self, idle, "without");
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (s)
        return app_fail(a, s, &err);
    return sample    ? run_sample(a, in, ctx, store)
           : without ? run_without(a, in, ctx, store)
                     : run_replay(a, in, ctx, store);
}

const verb verb_replay = {
    .name = "replay",
    .usage = "REF",
    .summary = "recompute an artifact from its inputs alone and compare, bit for bit",
    .details =
        "The recipe runs in a fresh workspace below TMPDIR that holds the inputs and\n"
        "nothing else.  Exit status 1 when the result differs, naming the files.\n"
        "\n"
        "With --sample only some segments of a training run are recomputed: the chain "
        "of\n"
        "states that the model commits to (chain.jsonl) is checked from the recipe's\n"
        "initial state to the model's weights, sampled segments are run again from the\n"
        "states that `train --keep-states` kept (without them: from the beginning), and\n"
        "the probability with which a forged run would have been caught is stated.\n"
        "\n"
        "With --without the model is trained as if some documents had never been there:\n"
        "they leave its sources before curation, so duplicates that had given way to "
        "them\n"
        "come back.  What differs is reported: weights, loss, held-out bits per byte,\n"
        "answers.  The tokenizer is held fixed unless --retrain-tokenizer.",
    .example = "smelt replay unix-moe\nsmelt replay unix-moe --whole\n"
               "smelt replay unix-moe --sample 1%\n"
               "smelt replay unix-moe --without 'lsof(8)' --prompt 'To list open files'",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
