/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training curve: one canonical JSON object a step with what is a function of the
 * recipe (loss, learning rate, norms, expert load, held-out figures), so that it may be
 * part of the artifact; speeds go to the catalog alone.
 *
 * Lines are appended to a journal in scratch as steps are made, which is made durable
 * whenever a checkpoint is due; the last whole line of a step counts.
 */
#include <stdlib.h>
#include <string.h>

#include "curve.h"
#include "journal.h"
#include "lines.h"

struct curve {
    const sm_step_io *io;
    int64_t checkpoint_steps, n_steps;
    journal *lines;
};

sm_status curve_open(curve **out, const sm_step_io *io, const sm_train_config *c,
                     sm_err *err)
{
    curve *k = sm_alloc(1, sizeof *k);
    if (!k)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    k->io = io;
    k->checkpoint_steps = c->checkpoint_steps;
    k->n_steps = sm_train_end(c);
    journal_due due = {.first = 1, .interval = 1, .last = k->n_steps};
    sm_status s = journal_open(&k->lines, io, "curve.jsonl", &due, err);
    if (s) {
        curve_free(k);
        return s;
    }
    *out = k;
    return SM_OK;
}

void curve_free(curve *c)
{
    if (!c)
        return;
    journal_free(c->lines);
    free(c);
}

json_t *curve_line(const sm_train_metrics *m)
{
    json_t *v = json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)m->step,
                          "tokens", (json_int_t)m->n_tok, "loss", m->loss, "lr", m->lr,
                          "grad_norm", m->grad_norm, "weight_norm", m->weight_norm);
    if (v && m->load_max > 0) {
        json_object_set_new(v, "load_min", json_real(m->load_min));
        json_object_set_new(v, "load_max", json_real(m->load_max));
        json_object_set_new(v, "aux_loss", json_real(m->aux_loss));
        json_object_set_new(v, "router_z", json_real(m->router_z));
    }
    if (v && m->has_eval) {
        json_object_set_new(v, "heldout_bpb", json_real(m->eval.bpb));
        json_object_set_new(v, "heldout_bpb_std_err", json_real(m->eval.std_err));
    }
    return v;
}

/* Rows for plots while the run goes on; a figure that is not finite is left out. */
static sm_status to_catalog(const curve *c, const sm_train_metrics *m, sm_err *err)
{
    const struct {
        const char *name;
        double value;
        bool has;
    } row[] = {
        {"loss", m->loss, true},
        {"lr", m->lr, true},
        {"grad_norm", m->grad_norm, true},
        {"tok_per_s", m->tok_per_s, m->tok_per_s > 0},
        {"ceiling_frac", m->ceiling_frac, m->ceiling_frac > 0},
        {"load_min", m->load_min, m->load_max > 0},
        {"load_max", m->load_max, m->load_max > 0},
        {"heldout_bpb", m->eval.bpb, m->has_eval},
    };
    sm_status s = SM_OK;
    for (size_t i = 0; i < sizeof row / sizeof *row && !s; i++)
        if (row[i].has)
            s = sm_store_metric(c->io->store, c->io->run, row[i].name, m->step,
                                row[i].value, err);
    return s == SM_ENUMERIC ? SM_OK : s;
}

sm_status curve_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    curve *c = self;
    const sm_ctx *ctx = c->io->ctx;
    sm_buf line = {0};
    json_t *v = curve_line(m);
    sm_status s =
        v ? sm_json_canonical(&line, v, err) : sm_fail(err, SM_ENOMEM, "out of memory");
    json_decref(v);
    if (!s && !sm_buf_putc(&line, '\n'))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = journal_put(c->lines, line.data, line.len, err);
    sm_buf_free(&line);
    bool saves = (c->checkpoint_steps > 0 && m->step % c->checkpoint_steps == 0) ||
                 sm_stopped(ctx);
    if (!s && saves)
        s = journal_sync(c->lines, err);
    return s ? s : to_catalog(c, m, err);
}

/* Where the last whole line of each step is; NULL in line[] where there is none. */
static void find_lines(const char **line, int64_t n_steps, const char *text, size_t len)
{
    lines l = {.text = text, .len = len};
    while (lines_next_step(&l))
        if (l.step >= 1 && l.step <= n_steps)
            line[l.step - 1] = l.line;
}

static sm_status write_curve(const curve *c, const char *text, size_t len, sm_err *err)
{
    sm_buf out = {0};
    char *to = sm_path_join(c->io->staging, "curve.jsonl");
    const char **line = sm_alloc((size_t)c->n_steps, sizeof *line);
    sm_status s = to && line ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        find_lines(line, c->n_steps, text, len);
    for (int64_t i = 0; i < c->n_steps && !s; i++) {
        if (!line[i])
            s = sm_fail(err, SM_ECORRUPT, "%s: step %lld is missing; run again",
                        journal_path(c->lines), (long long)i + 1);
        else
            sm_buf_put(&out, line[i], strcspn(line[i], "\n") + 1);
    }
    if (!s && out.failed)
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(to, out.data, out.len, 0644, err);
    sm_buf_free(&out);
    free(line);
    free(to);
    return s;
}

sm_status curve_finish(curve *c, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_status s = journal_read(&text, &len, c->lines, err);
    if (!s)
        s = write_curve(c, text, len, err);
    free(text);
    return s;
}
