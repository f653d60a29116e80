/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing to the states of a run while it goes on.
 *
 * A line {"state","step","weights"} is appended to the journal commitments.jsonl in scratch
 * and made durable before training saves a checkpoint of that step.  After a kill and a
 * resume a step may be there twice, with the same hashes.  Links are computed at the end.
 *
 * Kept states stay in scratch under their names until scratch goes, which is after the
 * commit: what is committed are second names of the same bytes, so a kill at any moment, or
 * a commit that fails, loses none.  A state that is not there counts as a missing line:
 * training goes on from before it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain.h"
#include "journal.h"
#include "lines.h"

struct chain {
    const sm_step_io *io;
    chain_header header;
    bool keep;
    char *states;   /* scratch/states            */
    journal *lines; /* scratch/commitments.jsonl */
    int64_t spent_ns;
};

static bool is_kept(const void *self, int64_t step)
{
    const chain *c = self;
    char name[40];
    chain_state_name(name, step);
    char *path = sm_path_join(c->states, name);
    bool there = path && sm_path_exists(path);
    free(path);
    return there;
}

sm_status chain_open(chain **out, const sm_step_io *io, const chain_header *h, bool keep,
                     sm_err *err)
{
    chain *c = sm_alloc(1, sizeof *c);
    if (!c)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    *c = (chain){.io = io, .header = *h, .keep = keep};
    c->states = sm_path_join(io->scratch, "states");
    sm_status s = c->states ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s && keep)
        s = sm_mkdirs(c->states, err);
    journal_due due = {.first = 0,
                       .interval = h->commit_steps,
                       .last = h->n_steps,
                       .is_kept = keep ? is_kept : NULL,
                       .self = c};
    if (!s)
        s = journal_open(&c->lines, io, "commitments.jsonl", &due, err);
    if (s) {
        chain_free(c);
        return s;
    }
    *out = c;
    return SM_OK;
}

void chain_free(chain *c)
{
    if (!c)
        return;
    journal_free(c->lines);
    free(c->states);
    free(c);
}

double chain_seconds(const chain *c)
{
    return (double)c->spent_ns * 1e-9;
}

static sm_status append(const chain *c, const chain_state *at, sm_err *err)
{
    char line[256];
    int len = snprintf(line, sizeof line,
                       "{\"state\":\"%s\",\"step\":%lld,\"weights\":\"%s\"}\n",
                       at->state.hex, (long long)at->step, at->weights.hex);
    sm_status s = journal_put(c->lines, line, (size_t)len, err);
    return s ? s : journal_sync(c->lines, err);
}

static sm_status keep_state(const chain *c, const sm_train_commit *k, sm_err *err)
{
    char name[40];
    chain_state_name(name, k->step);
    char *path = sm_path_join(c->states, name);
    sm_status s = path ? sm_train_commit_save(path, k, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    free(path);
    return s;
}

sm_status chain_commit(void *self, const sm_train_commit *k, sm_err *err)
{
    chain *c = self;
    chain_state at;
    int64_t start = sm_clock_ns();
    sm_status s =
        chain_hash(&at, c->io->ctx, &c->header, k->step, k->tensor, k->n_tensor, err);
    if (!s && c->keep)
        s = keep_state(c, k, err);
    if (!s)
        s = append(c, &at, err);
    c->spent_ns += sm_clock_ns() - start;
    return s;
}

/* ------------------------------------------------------------------ the end */

/* The last whole line of every step; a state of no hash was not there. */
static void take_lines(chain_state *at, size_t n, const chain_header *h, const char *text,
                       size_t len)
{
    lines l = {.text = text, .len = len};
    while (lines_next_step(&l)) {
        const char *state = json_string_value(json_object_get(l.value, "state"));
        const char *weights = json_string_value(json_object_get(l.value, "weights"));
        if (l.step > h->n_steps || !state || !weights)
            continue;
        size_t i = (size_t)((l.step + h->commit_steps - 1) / h->commit_steps);
        if (i < n && at[i].step == l.step &&
            !(sm_id_parse(&at[i].state, state) && sm_id_parse(&at[i].weights, weights)))
            at[i].state.hex[0] = 0;
    }
}

static sm_status write_chain(const chain *c, const char *dir, const char *text,
                             size_t len, sm_err *err)
{
    const chain_header *h = &c->header;
    size_t n = (size_t)chain_length(h->commit_steps, h->n_steps);
    sm_buf out = {0};
    sm_id head;
    char *to = sm_path_join(dir, "chain.jsonl");
    chain_state *at = sm_alloc(n, sizeof *at);
    sm_status s = to && at ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && !s; i++)
        at[i].step = chain_step(h, i);
    if (!s)
        take_lines(at, n, h, text, len);
    for (size_t i = 0; i < n && !s; i++)
        if (!at[i].state.hex[0])
            s = sm_fail(err, SM_ECORRUPT,
                        "%s: the state of step %lld is missing; run again",
                        journal_path(c->lines), (long long)at[i].step);
    if (!s)
        s = chain_write(&out, &head, h, at, n, err);
    if (!s)
        s = sm_file_write_atomic(to, out.data, out.len, 0644, err);
    sm_buf_free(&out);
    free(at);
    free(to);
    return s;
}

sm_status chain_finish(chain *c, const char *dir, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_status s = journal_read(&text, &len, c->lines, err);
    if (!s)
        s = write_chain(c, dir, text ? text : "", len, err);
    free(text);
    return s;
}

/* A second name for a finished state; the bytes again where the file system has none. */
static sm_status add_name(const char *from, const char *to, sm_err *err)
{
    sm_map m;
    if (chmod(from, 0444) == 0 && link(from, to) == 0)
        return SM_OK;
    sm_status s = sm_map_open(&m, from, err);
    if (s)
        return s;
    s = sm_file_write_atomic(to, m.data, m.len, 0444, err);
    sm_map_close(&m);
    return s;
}

sm_status chain_take_states(const chain *c, const char *dir, sm_err *err)
{
    const chain_header *h = &c->header;
    size_t n = (size_t)chain_length(h->commit_steps, h->n_steps);
    sm_status s = SM_OK;
    for (size_t i = 0; i < n && !s; i++) {
        char name[40];
        chain_state_name(name, chain_step(h, i));
        char *from = sm_path_join(c->states, name), *to = sm_path_join(dir, name);
        s = from && to ? add_name(from, to, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
        free(from);
        free(to);
    }
    return s;
}
