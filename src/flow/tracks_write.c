/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolved.yaml: a file of tracks with everything in it that a clock decided, `vary`
 * multiplied out.  Scalars are written as canonical JSON, which YAML reads as it is.
 */
#include <stdio.h>
#include <string.h>

#include "tracks.h"

static void put_value(sm_buf *out, const json_t *v)
{
    sm_buf text = {0};
    if (sm_json_canonical(&text, v, NULL))
        out->failed = true;
    else
        sm_buf_put(out, text.data, text.len);
    sm_buf_free(&text);
}

static void put_string(sm_buf *out, const char *indent, const char *key, const char *text)
{
    json_t *v = json_string(text);
    sm_buf_printf(out, "%s%s: ", indent, key);
    put_value(out, v);
    sm_buf_putc(out, '\n');
    json_decref(v);
}

static void put_number(sm_buf *out, const char *indent, const char *key, double x)
{
    json_t *v = json_real(x);
    sm_buf_printf(out, "%s%s: ", indent, key);
    put_value(out, v);
    sm_buf_putc(out, '\n');
    json_decref(v);
}

static void put_options(sm_buf *out, const json_t *options)
{
    const char *key;
    json_t *v;
    sm_buf_puts(out, "    options:");
    if (json_object_size(options) == 0)
        sm_buf_puts(out, " {}");
    sm_buf_putc(out, '\n');
    json_object_foreach((json_t *)(uintptr_t)options, key, v)
    {
        sm_buf_printf(out, "      %s: ", key);
        put_value(out, v);
        sm_buf_putc(out, '\n');
    }
}

static void put_track(sm_buf *out, const tracks_file *f, const tracks_track *t)
{
    put_string(out, "  - ", "name", t->name);
    put_string(out, "    ", "family", t->family);
    sm_buf_printf(out, "    threads: %d\n", t->threads);
    if (t->seconds_per_step > 0)
        put_number(out, "    ", "seconds_per_step", t->seconds_per_step);
    sm_buf_puts(out, "    steps: [");
    for (int b = 0; b < f->n_budget; b++)
        sm_buf_printf(out, "%s%lld", b ? ", " : "", (long long)t->steps[b]);
    sm_buf_puts(out, "]\n");
    put_options(out, t->options);
}

static void put_lists(sm_buf *out, const tracks_file *f)
{
    sm_buf_printf(out, "%s: [", tracks_budget_key(f->kind));
    for (int b = 0; b < f->n_budget; b++) {
        json_t *v = json_real(f->budget[b]);
        sm_buf_puts(out, b ? ", " : "");
        put_value(out, v);
        json_decref(v);
    }
    sm_buf_puts(out, "]\nseeds: [");
    for (int i = 0; i < f->n_seed; i++)
        sm_buf_printf(out, "%s%lld", i ? ", " : "", (long long)f->seed[i]);
    sm_buf_puts(out, "]\n");
    if (f->rungs > 1)
        sm_buf_printf(out, "halving: {eta: %d, rungs: %d, within: %s}\n", f->eta,
                      f->rungs, f->within_family ? "family" : "all");
}

sm_status tracks_write(sm_buf *out, const tracks_file *f, sm_err *err)
{
    static const char *const whole[] = {"threads", "jobs", "evals"};
    static const char *const real[] = {"measure_seconds", "warmup_frac"};
    sm_buf_puts(out, "# Made by smelt tracks: budgets resolved to steps.\nversion: 1\n");
    put_string(out, "", "name", f->name);
    put_string(out, "", "description", sm_opt_str(f->head, "description"));
    put_string(out, "", "of", f->of);
    json_t *in = json_pack("[s,s]", f->in[0], f->in[1]);
    sm_buf_puts(out, "in: ");
    put_value(out, in);
    json_decref(in);
    sm_buf_putc(out, '\n');
    put_lists(out, f);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        sm_buf_printf(out, "%s: %lld\n", whole[i],
                      (long long)sm_opt_int(f->head, whole[i]));
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        put_number(out, "", real[i], sm_opt_float(f->head, real[i]));
    sm_buf_puts(out, "tracks:\n");
    for (int i = 0; i < f->n_track; i++)
        put_track(out, f, &f->track[i]);
    return out->failed ? sm_fail(err, SM_ENOMEM, "tracks: out of memory") : SM_OK;
}
