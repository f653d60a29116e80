/* SPDX-License-Identifier: Apache-2.0 */
/* Facts, curves and lineage of a served model, gathered once at start. */
#include "serve_page.h"

#include <stdlib.h>
#include <string.h>

#include "smelt/sys.h"

enum { MAX_POINTS = 600 };

/* ------------------------------------------------------------------ curves */

/* The run that made the model. */
static const char *find_run(const json_t *list, const char *content)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(list, "runs"), i, r)
    {
        const char *id = json_string_value(json_object_get(r, "content"));
        if (id && !strcmp(id, content) &&
            json_array_size(json_object_get(r, "metrics")) > 0)
            return json_string_value(json_object_get(r, "id"));
    }
    return NULL;
}

/* Points of a series, thinned to about MAX_POINTS; the steps too when it is the first. */
static bool add_curve(json_t *curves, const char *name, const json_t *rows)
{
    size_t n = json_array_size(rows), stride = n / MAX_POINTS + 1;
    json_t *value = json_array(), *step = json_array();
    bool ok = value && step;
    for (size_t i = 0; i < n && ok; i++) {
        const json_t *row = json_array_get(rows, i);
        if (i % stride != 0 && i != n - 1)
            continue;
        ok = json_array_append(step, json_array_get(row, 0)) == 0 &&
             json_array_append(value, json_array_get(row, 1)) == 0;
    }
    if (ok && json_array_size(value) > 0) {
        ok = json_object_set(curves, name, value) == 0;
        if (!json_object_get(curves, "step"))
            ok = ok && json_object_set(curves, "step", step) == 0;
    }
    json_decref(value);
    json_decref(step);
    return ok;
}

static sm_status make_curves(json_t **out, sm_store *store, const char *content, sm_err *err)
{
    static const char *const names[] = {"loss", "tok_per_s", "grad_norm", "load_min",
                                        "load_max"};
    json_t *list = NULL, *series = NULL, *curves = json_object();
    sm_status s = curves ? sm_store_list(&list, store, err)
                         : sm_fail(err, SM_ENOMEM, "out of memory");
    const char *run = s ? NULL : find_run(list, content);
    if (run)
        s = sm_store_metrics_read(&series, store, run, NULL, err);
    for (size_t i = 0; i < sizeof names / sizeof *names && !s; i++)
        if (!add_curve(curves, names[i], json_object_get(series, names[i])))
            s = sm_fail(err, SM_ENOMEM, "out of memory");
    json_decref(series);
    json_decref(list);
    if (s)
        json_decref(curves);
    else
        *out = curves;
    return s;
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

static json_t *make_about(sm_store *store, const sm_servable *v, const sm_bound_model *b,
                          const char *ref, const json_t *examples)
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
    if (json_array_size(examples) > 0)
        json_object_set_new(about, "examples", json_deep_copy(examples));
    return about;
}

sm_status serve_page_make(serve_page *out, sm_store *store, const sm_servable *v,
                          const sm_bound_model *b, const char *ref, const json_t *examples,
                          sm_err *err)
{
    json_t *graph = NULL;
    const sm_artifact *top = v->release.n_file > 0 ? &v->release : &v->model;
    out->created_s = sm_wall_ns() / 1000000000;
    out->about = make_about(store, v, b, ref, examples);
    sm_status s = out->about ? make_curves(&out->curves, store, v->model.content.hex, err)
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
    json_decref(p->about);
    json_decref(p->curves);
    sm_buf_free(&p->svg);
}
