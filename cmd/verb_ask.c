/* SPDX-License-Identifier: Apache-2.0 */
/* smelt ask: answer from the documents, with citations. */
#include <stdlib.h>
#include <string.h>

#include "ready.h"

static const sm_option options[] = {
    {.key = "model", .type = SM_OPT_REF, .def = "",
     .help = "release or model that re-ranks and names the index; default: the newest "
             "release, or none when --index is given"},
    {.key = "index", .type = SM_OPT_REF, .def = "",
     .help = "passages to answer from; default: the release's"},
    {.key = "k", .type = SM_OPT_INT, .def = "5", .min = 1, .max = 50,
     .help = "passages to show"},
    {.key = "w_model", .type = SM_OPT_FLOAT, .def = "-1", .min = -1, .max = 100,
     .help = "weight of the model's likelihood; -1: the one the evaluation chose, 0: none"},
    READY_OPTION_ALLOW,
    SM_OPTION_END};

/* The newest release of the workspace. */
static sm_status newest_release(char out[80], sm_store *store, sm_err *err)
{
    json_t *all = NULL, *r;
    size_t i;
    sm_status s = sm_store_list(&all, store, err);
    *out = 0;
    if (s)
        return s;
    json_array_foreach(json_object_get(all, "artifacts"), i, r)
    {
        const char *kind = json_string_value(json_object_get(r, "kind"));
        const char *content = json_string_value(json_object_get(r, "content"));
        if (!*out && kind && content && !strcmp(kind, "release"))
            snprintf(out, 80, "%s", content);
    }
    json_decref(all);
    if (!*out)
        return sm_fail(err, SM_ENOENT, "no release in this workspace: name a model and an "
                       "index (--model, --index), or make one (smelt gate)");
    return SM_OK;
}

static json_t *citation(const sm_index *x, const sm_hit *h)
{
    sm_passage p = sm_index_passage(x, h->passage);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f}", "title", p.title,
                     "summary", p.summary, "heading", p.heading, "path", p.path, "package",
                     p.package, "version", p.version, "licence", p.licence, "text", p.text,
                     "score", h->score);
}

static void print_hits(const sm_index *x, const sm_hit *hit, int32_t n, const char *answer)
{
    if (n == 0) {
        printf("nothing found: no document holds enough of the question's words\n");
        return;
    }
    printf("%s\n\n", answer);
    for (int32_t i = 0; i < n; i++) {
        sm_passage p = sm_index_passage(x, hit[i].passage);
        bool heading = *p.heading && strcmp(p.heading, p.title) != 0;
        printf("  [%d] %s%s%s\n      %s%s%s, licence %s%s%s  (%.2f)\n", i + 1,
               *p.title || heading ? p.title : p.path, *p.title && heading ? ", " : "",
               heading ? p.heading : "", *p.package ? p.package : p.path,
               *p.version ? " " : "", p.version, p.licence, *p.summary ? "; " : "",
               p.summary, hit[i].score);
    }
}

static int answer(const app *a, sm_index *x, const char *question, const sm_rank *rank,
                  const sm_scorer *scorer, int32_t k)
{
    sm_hit hit[50];
    int32_t n = 0;
    sm_err err = {0};
    sm_buf text = {0};
    sm_status s = sm_index_ask(x, question, rank, scorer, hit, k, &n, &err);
    if (s)
        return app_fail(a, s, &err);
    sm_buf_puts(&text, "");
    if (n > 0) {
        sm_passage p = sm_index_passage(x, hit[0].passage);
        sm_index_extract_answer(&text, &p, question);
    }
    int rc = EXIT_GOOD;
    if (a->json) {
        json_t *passages = json_array();
        for (int32_t i = 0; i < n; i++)
            json_array_append_new(passages, citation(x, &hit[i]));
        rc = app_print_json(
            json_pack("{s:o, s:o, s:o}", "question", sm_json_string(question), "answer",
                      sm_json_string(text.data ? text.data : ""), "passages", passages));
    } else {
        print_hits(x, hit, n, text.data);
    }
    sm_buf_free(&text);
    return n > 0 ? rc : EXIT_FAILED;
}

static int run(app *a, const verb *self, const args *in)
{
    sm_store *store;
    sm_err err = {0};
    ready r = {0};
    char newest[80];
    ready_want want = {.verb = self->name, .ref = sm_opt_str(in->opt, "model"),
                       .index = sm_opt_str(in->opt, "index"), .needs_index = true,
                       .only_ranks = true, .w_model = sm_opt_float(in->opt, "w_model"),
                       .allow_ungated = sm_opt_bool(in->opt, "allow_ungated"),
                       .max_streams = 1};
    app_end_at_once(true);
    sm_status s = app_store(&store, a, &err);
    if (!s && !*want.ref && !*want.index) {
        s = newest_release(newest, store, &err);
        want.ref = newest;
    }
    if (!s)
        s = ready_open(&r, a, &want, &err);
    int rc = s ? app_fail(a, s, &err)
               : answer(a, r.x, in->pos[0], &r.v.rank, r.b.engine ? &r.b.scorer : NULL,
                        (int32_t)sm_opt_int(in->opt, "k"));
    ready_close(&r);
    return rc;
}

const verb verb_ask = {
    .name = "ask",
    .usage = "QUESTION",
    .summary = "answer a question from the documents, with citations",
    .details = "Retrieves passages by BM25 over fields, passages and titles, re-ranks them\n"
               "with the model's query likelihood where its evaluation showed that to help,\n"
               "and answers with sentences of the best passage.  Every passage names its page,\n"
               "package, version and licence.\n"
               "Where no document holds half of the question, rare words counting for more,\n"
               "nothing is found, which is said and ends with exit status 1.\n"
               "\n"
               "Refuses, as serve does, what does not verify, and a model without a passed\n"
               "gate unless --allow-ungated is given, which is written to the audit log.",
    .example = "smelt ask 'how do I see which process holds a file open?'",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
