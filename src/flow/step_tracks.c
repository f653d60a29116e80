/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step tracks: the models of a file of tracks into one report.
 *
 * Losses, sizes and FLOPs are read from the models.  Seconds are what a clock once said,
 * so they are given as options: with them the report is a function of its recipe, and can
 * be replayed although no clock could.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "smelt/model.h"
#include "steps.h"
#include "tracks.h"

static const sm_option tracks_options[] = {
    {.key = "title",
     .type = SM_OPT_STRING,
     .def = "tracks",
     .help = "of the report",
     .affects_result = true},
    {.key = "runs",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "JSON, one a run: track, family, budget, seed, model, stopped, seconds",
     .affects_result = true},
    {.key = "declaration",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "the resolved file of tracks",
     .affects_result = true},
    {.key = "resamples",
     .type = SM_OPT_INT,
     .def = "400",
     .min = 40,
     .max = 100000,
     .help = "of the bootstrap of fitted laws",
     .affects_result = true},
    SM_OPTION_END};

/* ----------------------------------------------------- what a model says */

static sm_status load_json(json_t **out, const sm_step_io *io, size_t i, const char *file,
                           sm_err *err)
{
    char *path = NULL;
    sm_status s = flow_input_path(&path, io, i, file, err);
    if (!s)
        s = sm_json_load(out, path, err);
    free(path);
    return s;
}

/* Parameters, FLOPs and tokens from config.json and training.json. */
static sm_status add_facts(json_t *run, double *flops_per_step, const sm_step_io *io,
                           size_t i, sm_err *err)
{
    json_t *config = NULL, *training = NULL;
    sm_model_config m;
    sm_status s = load_json(&config, io, i, "config.json", err);
    if (!s)
        s = sm_model_config_from_json(&m, config, err);
    if (!s)
        s = load_json(&training, io, i, "training.json", err);
    const json_t *c = json_object_get(training, "config");
    int64_t n_ctx = json_integer_value(json_object_get(c, "n_ctx"));
    int64_t tok = n_ctx * json_integer_value(json_object_get(c, "n_seq"));
    if (!s && (n_ctx < 1 || tok < 1))
        s = sm_fail(err, SM_ECORRUPT, "training.json: no n_ctx or n_seq");
    if (!s) {
        *flops_per_step = sm_model_flops_per_token(&m, n_ctx) * (double)tok;
        json_object_set_new(run, "parameters", json_integer(sm_model_n_param(&m)));
        json_object_set_new(run, "active", json_integer(sm_model_n_active(&m)));
        json_object_set_new(run, "tokens_per_step", json_integer(tok));
        json_object_set_new(run, "flops_per_token",
                            json_real(*flops_per_step / (double)tok));
    }
    json_decref(config);
    json_decref(training);
    return s;
}

/* Seconds at a step as given, 0 when not known. */
static double seconds_at(const json_t *given, int64_t step)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)given, i, v)
    {
        if (json_integer_value(json_array_get(v, 0)) == step)
            return json_number_value(json_array_get(v, 1));
    }
    return 0;
}

/* One line of a curve: a point when it has a held-out figure. */
static void add_point(json_t *points, const json_t *line, double flops_per_step,
                      const json_t *seconds)
{
    const json_t *bpb = json_object_get(line, "heldout_bpb");
    int64_t step = json_integer_value(json_object_get(line, "step"));
    if (bpb)
        json_array_append_new(
            points, json_pack("{s:I, s:O, s:f, s:f, s:f}", "step", (json_int_t)step,
                              "tokens", json_object_get(line, "tokens"), "flops",
                              flops_per_step * (double)step, "seconds",
                              seconds_at(seconds, step), "bpb", json_number_value(bpb)));
}

static sm_status read_points(json_t **out, const sm_step_io *io, size_t i,
                             double flops_per_step, const json_t *seconds, sm_err *err)
{
    char *path = NULL, *text = NULL;
    size_t len = 0;
    json_t *points = json_array();
    sm_status s = points ? flow_input_path(&path, io, i, "curve.jsonl", err)
                         : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_read(&text, &len, path, 0, err);
    lines l = {.text = text, .len = s ? 0 : len};
    bool more = !s;
    while (!s && more) {
        s = lines_next(&more, &l, "curve.jsonl", err);
        if (!s && more)
            add_point(points, l.value, flops_per_step, seconds);
    }
    lines_end(&l);
    free(text);
    free(path);
    if (s)
        json_decref(points);
    else
        *out = points;
    return s;
}

static sm_status input_of(size_t *out, const sm_step_io *io, const char *content,
                          sm_err *err)
{
    for (size_t i = 0; i < io->n_input; i++)
        if (content && !strcmp(io->input[i].content.hex, content)) {
            *out = i;
            return SM_OK;
        }
    return sm_fail(err, SM_EINVAL, "runs: model %.12s is not among the inputs",
                   content ? content : "");
}

static sm_status add_run(json_t *runs, const sm_step_io *io, const char *text,
                         sm_err *err)
{
    json_t *given = NULL, *points = NULL;
    double flops_per_step = 0;
    size_t i = 0;
    sm_status s = sm_json_parse(&given, text, strlen(text), "runs", err);
    if (!s && (!json_is_string(json_object_get(given, "track")) ||
               !json_is_string(json_object_get(given, "family")) ||
               !json_is_integer(json_object_get(given, "seed"))))
        s = sm_fail(err, SM_EINVAL, "runs: want track, family, seed, model");
    if (!s)
        s = input_of(&i, io, json_string_value(json_object_get(given, "model")), err);
    if (!s)
        s = add_facts(given, &flops_per_step, io, i, err);
    if (!s)
        s = read_points(&points, io, i, flops_per_step, json_object_get(given, "seconds"),
                        err);
    if (!s && json_array_size(points) == 0)
        s = sm_fail(err, SM_EINVAL,
                    "model %.12s: no held-out figures; want eval_docs > 0 and held-out "
                    "documents",
                    io->input[i].content.hex);
    if (!s) {
        const json_t *last = json_array_get(points, json_array_size(points) - 1);
        json_object_del(given, "seconds");
        json_object_update_missing(given, (json_t *)(uintptr_t)last);
        json_object_set(given, "points", points);
        json_array_append(runs, given);
    }
    json_decref(points);
    json_decref(given);
    return s;
}

/* ------------------------------------------------------------------ output */

static sm_status write_text(const sm_step_io *io, const char *file, const sm_buf *text,
                            bool good, sm_err *err)
{
    char *path = sm_path_join(io->staging, file);
    sm_status s = path && good
                      ? sm_file_write_atomic(path, text->data, text->len, 0644, err)
                      : sm_fail(err, SM_ENOMEM, "out of memory");
    free(path);
    return s;
}

static sm_status write_all(const sm_step_io *io, const json_t *report, sm_err *err)
{
    sm_buf json = {0}, page = {0}, svg = {0}, text = {0};
    sm_status s = sm_json_pretty(&json, report, err);
    if (!s)
        s = write_text(io, "report.json", &json, true, err);
    if (!s)
        s = write_text(io, "report.html", &page, tracks_page(&page, report), err);
    if (!s)
        s = write_text(io, "report.svg", &svg, tracks_svg(&svg, report, true), err);
    if (!s)
        s = write_text(io, "report.txt", &text, sm_tracks_table(&text, report), err);
    sm_buf_free(&json);
    sm_buf_free(&page);
    sm_buf_free(&svg);
    sm_buf_free(&text);
    return s;
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    size_t i;
    json_t *v, *runs = json_array(), *summary = NULL, *fits = NULL;
    sm_status s = runs ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    json_array_foreach((json_t *)(uintptr_t)sm_opt_list(io->options, "runs"), i, v)
    {
        if (!s)
            s = add_run(runs, io, json_string_value(v), err);
    }
    if (!s && json_array_size(runs) == 0)
        s = sm_fail(err, SM_EINVAL, "runs: want one or more");
    if (!s && !(summary = tracks_summary(runs, err)))
        s = err && err->status ? err->status : SM_ENOMEM;
    if (!s &&
        !(fits = tracks_fits(runs, (int32_t)sm_opt_int(io->options, "resamples"), err)))
        s = err && err->status ? err->status : SM_ENOMEM;
    json_t *report =
        json_pack("{s:s, s:s, s:O, s:O, s:O}", "title", sm_opt_str(io->options, "title"),
                  "declaration", sm_opt_str(io->options, "declaration"), "tracks",
                  summary, "fits", fits, "runs", runs);
    if (!s && !report)
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = write_all(io, report, err);
    json_decref(report);
    json_decref(summary);
    json_decref(fits);
    json_decref(runs);
    return s;
}

const sm_step step_tracks = {
    .name = "tracks",
    .version = 1,
    .output = "evaluation",
    .inputs = "model+",
    .help = "compare models trained side by side",
    .options = tracks_options,
    .run = run,
};
