/* SPDX-License-Identifier: Apache-2.0 */
/* smelt replay --without: the model that would have been without some documents. */
#include "without.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/flow.h"

/* The strings of a LIST option as an array; release with free. */
static const char **strings_of(const json_t *list, size_t *n)
{
    const char **s = sm_alloc(json_array_size(list) + 1, sizeof *s);
    for (*n = 0; s && *n < json_array_size(list); ++*n)
        s[*n] = json_string_value(json_array_get(list, *n));
    return s;
}

static void print_removed(const json_t *report)
{
    size_t i;
    json_t *v;
    printf("removed:\n");
    json_array_foreach(json_object_get(report, "removed"), i, v)
    {
        printf("  %.12s  %s%s%s  (was in %s)\n", sm_json_text(v, "id"),
               sm_json_text(v, "path"), *sm_json_text(v, "title") ? "  " : "",
               sm_json_text(v, "title"), sm_json_text(v, "part"));
    }
    json_array_foreach(json_object_get(report, "moved"), i, v)
    {
        printf("  %.12s  went from %s to %s\n", sm_json_text(v, "id"),
               sm_json_text(v, "before"), sm_json_text(v, "after"));
    }
}

static void print_distance(const char *name, const json_t *v)
{
    printf("  %-16s %10" PRId64 " of %-10" PRId64 " %10.4g  %9.3e%s\n", name,
           (int64_t)json_integer_value(json_object_get(v, "changed")),
           (int64_t)json_integer_value(json_object_get(v, "n")), sm_json_real(v, "l2"),
           sm_json_real(v, "relative"),
           json_object_get(v, "shape") ? "  (other shapes left out)" : "");
}

static void print_score(const char *name, const json_t *v)
{
    if (!v)
        return;
    printf("  %-16s %.4f -> %.4f  (%+.4f", name, sm_json_real(v, "before"),
           sm_json_real(v, "after"), sm_json_real(v, "difference"));
    if (json_object_get(v, "low"))
        printf(", 95 %%: %+.4f..%+.4f, %" PRId64 " documents", sm_json_real(v, "low"),
               sm_json_real(v, "high"),
               (int64_t)json_integer_value(json_object_get(v, "documents")));
    printf(")\n");
}

static void print_answers(const json_t *report)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(report, "answers"), i, v)
    {
        printf("%s%s  (%s)\n  before: %s\n  after:  %s\n", sm_json_text(v, "prompt"),
               sm_json_text(v, "question"),
               json_is_true(json_object_get(v, "changed")) ? "changed" : "the same",
               sm_json_text(v, "before"), sm_json_text(v, "after"));
    }
}

static void print_report(const json_t *report)
{
    const char *key;
    size_t i;
    json_t *v, *weights = json_object_get(report, "weights");
    print_removed(report);
    printf("model %.12s -> %.12s%s; tokenizer %s\n", sm_json_text(report, "before"),
           sm_json_text(report, "after"),
           json_is_true(json_object_get(report, "same")) ? ": the same bits" : "",
           sm_json_text(report, "tokenizer"));
    printf("weights            changed of all                l2   relative\n");
    print_distance("all", weights);
    json_object_foreach(json_object_get(weights, "groups"), key, v)
    {
        print_distance(key, v);
    }
    printf("figures\n");
    print_score("loss", json_object_get(report, "loss"));
    print_score("heldout bpb", json_object_get(report, "heldout_bpb"));
    json_array_foreach(json_object_get(report, "removed_bpb"), i, v)
    {
        print_score("removed bpb", v);
    }
    print_answers(report);
}

int run_without(app *a, const args *in, const sm_ctx *ctx, sm_store *store)
{
    sm_err err = {0};
    json_t *report = NULL;
    size_t n_doc, n_prompt, n_ask;
    const char **doc = strings_of(sm_opt_list(in->opt, "without"), &n_doc);
    const char **prompt = strings_of(sm_opt_list(in->opt, "prompt"), &n_prompt);
    const char **ask = strings_of(sm_opt_list(in->opt, "ask"), &n_ask);
    const char *as = sm_opt_str(in->opt, "as");
    sm_without_config c = {.document = doc,
                           .n_document = n_doc,
                           .retrain_tokenizer = sm_opt_bool(in->opt, "retrain_tokenizer"),
                           .heldout_docs = (size_t)sm_opt_int(in->opt, "heldout_docs"),
                           .prompt = prompt,
                           .n_prompt = n_prompt,
                           .max_tokens = (int32_t)sm_opt_int(in->opt, "tokens"),
                           .ask = ask,
                           .n_ask = n_ask,
                           .as = *as ? as : NULL};
    sm_status s = doc && prompt && ask
                      ? sm_flow_without(&report, ctx, store, in->pos[0], &c, &err)
                      : sm_fail(&err, SM_ENOMEM, "replay: out of memory");
    app_settle(a);
    free(doc);
    free(prompt);
    free(ask);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(report);
    print_report(report);
    json_decref(report);
    return EXIT_GOOD;
}
