/* SPDX-License-Identifier: Apache-2.0 */
/* Facts, curves and lineage of a served model, gathered once at start. */
#include "serve_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/serve.h"
#include "smelt/sys.h"

enum { MAX_POINTS = 600, MAX_LIVE = 4, MAX_UNFINISHED = 64 };
#define LIVE_NS (3 * (int64_t)1000000000)

/* ------------------------------------------------------------------ curves */

static const char *const shown[] = {"loss",     "heldout_bpb", "tok_per_s", "grad_norm",
                                    "load_min", "load_max",    "lr"};

/* The run that made the model: its entry in the list of the workspace. */
static const json_t *find_run(const json_t *list, const char *content)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(list, "runs"), i, r)
    {
        const char *id = json_string_value(json_object_get(r, "content"));
        if (id && !strcmp(id, content) &&
            json_array_size(json_object_get(r, "metrics")) > 0)
            return r;
    }
    return NULL;
}

/* Rows [step, value] of a series, thinned to about MAX_POINTS; the last one stays. */
static json_t *thin(const json_t *rows)
{
    size_t n = json_array_size(rows), stride = n / MAX_POINTS + 1;
    json_t *out = json_array();
    for (size_t i = 0; i < n && out; i++)
        if (i % stride == 0 || i == n - 1)
            json_array_append(out, json_array_get(rows, i));
    return out;
}

/* {"loss": [[step, value], ...], ...} of a run, as the page draws them. */
static sm_status read_curves(json_t **out, sm_store *store, const char *run, sm_err *err)
{
    json_t *series = NULL;
    sm_status s = sm_store_metrics_read(&series, store, run, NULL, err);
    if (s)
        return s;
    *out = json_object();
    for (size_t i = 0; i < sizeof shown / sizeof *shown && *out; i++) {
        const json_t *rows = json_object_get(series, shown[i]);
        if (json_array_size(rows) > 0)
            json_object_set_new(*out, shown[i], thin(rows));
    }
    json_decref(series);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}

static bool is_moving(serve_page *p, const char *run)
{
    json_t *series = NULL;
    if (sm_store_metrics_read(&series, p->store, run, "loss", NULL))
        return false;
    const json_t *rows = json_object_get(series, "loss");
    const json_t *step = json_array_get(json_array_get(rows, json_array_size(rows) - 1), 0);
    bool moving = step && sm_serve_run_is_moving(p->seen, run, json_integer_value(step),
                                                 sm_clock_ns());
    json_decref(series);
    return moving;
}

static json_t *read_live(serve_page *p)
{
    json_t *list = NULL, *runs = json_array(), *id;
    size_t i;
    sm_status s = sm_store_list(&list, p->store, NULL);
    json_array_foreach(json_object_get(list, "unfinished"), i, id)
    {
        json_t *curves = NULL;
        const char *run = json_string_value(id);
        if (!s && run && i < MAX_UNFINISHED && json_array_size(runs) < MAX_LIVE &&
            is_moving(p, run) && !read_curves(&curves, p->store, run, NULL))
            json_array_append_new(runs, json_pack("{s:s, s:o}", "id", run, "curves", curves));
    }
    json_decref(list);
    return json_pack("{s:o}", "runs", runs);
}

/* Asked for from the server's threads: one at a time, and the store is read seldom. */
json_t *serve_page_live(void *self)
{
    serve_page *p = self;
    pthread_mutex_lock(&p->lock);
    if (!p->live || sm_clock_ns() - p->live_ns > LIVE_NS) {
        json_decref(p->live);
        p->live = read_live(p);
        p->live_ns = sm_clock_ns();
    }
    json_t *copy = json_deep_copy(p->live);
    pthread_mutex_unlock(&p->lock);
    return copy;
}

/* ------------------------------------------------------------------- facts */

static void add_number(json_t *facts, const char *label, const json_t *v)
{
    if (json_is_number(v))
        json_object_set_new(facts, label, json_deep_copy(v));
}

static void add_training_facts(json_t *facts, sm_store *store, const sm_artifact *model)
{
    char *path = NULL;
    json_t *t = NULL;
    if (!sm_store_path(&path, store, model, "training.json", NULL) &&
        !sm_json_load(&t, path, NULL)) {
        const json_t *last = json_object_get(t, "last"), *held = json_object_get(t, "heldout");
        add_number(facts, "training tokens", json_object_get(last, "tokens"));
        add_number(facts, "passes over the data", json_object_get(last, "epoch"));
        add_number(facts, "held-out bits per byte", json_object_get(held, "bpb"));
    }
    json_decref(t);
    free(path);
}

/* How and where the run went, from its record. */
static json_t *make_run(const json_t *entry)
{
    const json_t *r = json_object_get(entry, "run");
    const json_t *machine = json_object_get(r, "machine"),
                 *figures = json_object_get(r, "figures");
    const struct {
        const char *name;
        const json_t *value;
    } field[] = {{"started", json_object_get(r, "started")},
                 {"seconds", json_object_get(r, "seconds")},
                 {"cpu", json_object_get(machine, "cpu")},
                 {"kernels", json_object_get(r, "kernels")},
                 {"threads", json_object_get(r, "threads")},
                 {"tok_per_s", json_object_get(figures, "tok_per_s")},
                 {"gflops", json_object_get(figures, "gflops")},
                 {"peak_bytes", json_object_get(figures, "peak_bytes")},
                 {"smelt", json_object_get(json_object_get(r, "build"), "smelt")},
                 {"options", json_object_get(r, "options")}};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof field / sizeof *field && out; i++)
        if (field[i].value)
            json_object_set_new(out, field[i].name, json_deep_copy(field[i].value));
    return out;
}

static json_t *make_about(sm_store *store, const sm_servable *v, const sm_bound_model *b,
                          const sm_index *x, const char *ref, const json_t *examples)
{
    const sm_model_config *c = &b->model->config;
    json_t *facts = json_pack("{s:I, s:I, s:i, s:i, s:i, s:s}", "parameters",
                              (json_int_t)sm_model_n_param(c), "active parameters",
                              (json_int_t)sm_model_n_active(c), "layers", c->n_layer,
                              "experts", c->n_expert, "context", c->max_ctx, "numerics",
                              b->profile);
    add_training_facts(facts, store, &v->model);
    json_t *about = json_pack("{s:s, s:s, s:s, s:o}", "model", ref, "content",
                              v->model.content.hex, "kind", "base", "facts", facts);
    if (v->verdict)
        json_object_set(about, "gate", v->verdict);
    if (x)
        json_object_set_new(about, "index",
                            json_pack("{s:I, s:I}", "documents",
                                      (json_int_t)sm_index_n_doc(x), "passages",
                                      (json_int_t)sm_index_n_passage(x)));
    if (json_array_size(examples) > 0)
        json_object_set_new(about, "examples", json_deep_copy(examples));
    return about;
}

/* Seconds since 1970 of "2026-01-31T12:00:00Z"; 0 when it does not read so.
 * Days from the civil date as in Howard Hinnant's chrono-compatible algorithms. */
static int64_t seconds_of(const char *text)
{
    int y, mo, d, h, mi, s;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &y, &mo, &d, &h, &mi, &s) != 6)
        return 0;
    int64_t year = mo <= 2 ? y - 1 : y, era = year / 400, yoe = year - era * 400;
    int64_t doy = (153 * (mo > 2 ? mo - 3 : mo + 9) + 2) / 5 + d - 1;
    int64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    return ((days * 24 + h) * 60 + mi) * 60 + s;
}

static int64_t made_s(const json_t *list, const char *content)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(list, "artifacts"), i, a)
    {
        const char *id = json_string_value(json_object_get(a, "content"));
        if (id && !strcmp(id, content))
            return seconds_of(json_string_value(json_object_get(a, "made")));
    }
    return 0;
}

static sm_status add_run(serve_page *out, sm_store *store, const char *content, sm_err *err)
{
    json_t *list = NULL;
    sm_status s = sm_store_list(&list, store, err);
    if (s)
        return s;
    const json_t *entry = find_run(list, content);
    out->created_s = made_s(list, content);
    if (entry) {
        json_object_set_new(out->about, "run", make_run(entry));
        s = read_curves(&out->curves, store,
                        json_string_value(json_object_get(entry, "id")), err);
    }
    json_decref(list);
    return s;
}

sm_status serve_page_make(serve_page *out, sm_store *store, const sm_servable *v,
                          const sm_bound_model *b, const sm_index *x, const char *ref,
                          const json_t *examples, sm_err *err)
{
    json_t *graph = NULL;
    const sm_artifact *top = v->release.n_file > 0 ? &v->release : &v->model;
    out->store = store;
    pthread_mutex_init(&out->lock, NULL);
    out->seen = json_object();
    out->about = make_about(store, v, b, x, ref, examples);
    sm_status s = out->about ? add_run(out, store, v->model.content.hex, err)
                             : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_store_lineage(&graph, store, top->content.hex, err);
    if (!s)
        s = sm_lineage_svg(&out->svg, graph, err);
    json_decref(graph);
    return s;
}

void serve_page_free(serve_page *p)
{
    if (!p->store)
        return;
    pthread_mutex_destroy(&p->lock);
    json_decref(p->about);
    json_decref(p->curves);
    json_decref(p->live);
    json_decref(p->seen);
    sm_buf_free(&p->svg);
}
