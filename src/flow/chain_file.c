/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.jsonl: a header, then a line for each committed state, all canonical JSON.
 *
 *   {"chain":"smelt-train-chain/1","commit_steps":5,"config":H,"data":X,"n_steps":50}
 *   {"link":H,"prev":H,"state":H,"step":0,"weights":H}
 *
 * A line's "link" is the SHA-256 of the line without it; "prev" of the first line is the
 * SHA-256 of the header.  So the last link names the whole chain.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "lines.h"

int64_t chain_interval(int64_t commit_steps, int64_t n_steps)
{
    return commit_steps > 0 ? commit_steps : (n_steps + 19) / 20;
}

int64_t chain_length(int64_t commit_steps, int64_t n_steps)
{
    int64_t k = chain_interval(commit_steps, n_steps);
    return 1 + (n_steps + k - 1) / k;
}

int64_t chain_step(const chain_header *h, size_t i)
{
    int64_t step = (int64_t)i * h->commit_steps;
    return step < h->n_steps ? step : h->n_steps;
}

void chain_state_name(char out[40], int64_t step)
{
    snprintf(out, 40, "state-%08" PRId64 ".safetensors", step);
}

void chain_file_free(chain_file *f)
{
    free(f->at);
    *f = (chain_file){0};
}

/* Append a canonical line and give its hash. */
static sm_status put_line(sm_buf *out, sm_id *id, json_t *v, sm_err *err)
{
    size_t from = out->len;
    sm_status s = v ? sm_json_canonical(out, v, err)
                    : sm_fail(err, SM_ENOMEM, "chain: out of memory");
    if (!s)
        s = sm_id_of_bytes(id, out->data + from, out->len - from, err);
    if (!s && !sm_buf_putc(out, '\n'))
        s = sm_fail(err, SM_ENOMEM, "chain: out of memory");
    return s;
}

static json_t *header_json(const chain_header *h)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:I}", "chain", CHAIN_FORMAT, "commit_steps",
                     (json_int_t)h->commit_steps, "config", h->config.hex, "data",
                     h->data, "n_steps", (json_int_t)h->n_steps);
}

static sm_status put_state(sm_buf *out, sm_id *link, const chain_state *c, sm_err *err)
{
    sm_buf bare = {0};
    json_t *v =
        json_pack("{s:s, s:s, s:I, s:s}", "prev", link->hex, "state", c->state.hex,
                  "step", (json_int_t)c->step, "weights", c->weights.hex);
    sm_id ignored;
    sm_status s = put_line(&bare, link, v, err);
    if (!s && json_object_set_new(v, "link", json_string(link->hex)))
        s = sm_fail(err, SM_ENOMEM, "chain: out of memory");
    if (!s)
        s = put_line(out, &ignored, v, err);
    json_decref(v);
    sm_buf_free(&bare);
    return s;
}

sm_status chain_write(sm_buf *out, sm_id *head, const chain_header *h,
                      const chain_state *at, size_t n, sm_err *err)
{
    json_t *v = header_json(h);
    sm_status s = put_line(out, head, v, err);
    json_decref(v);
    for (size_t i = 0; i < n && !s; i++)
        s = put_state(out, head, &at[i], err);
    return s;
}

/* ----------------------------------------------------------------- reading */

static bool take_id(sm_id *out, const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text && sm_id_parse(out, text);
}

static sm_status read_header(chain_header *h, const json_t *v, sm_err *err)
{
    const char *format = json_string_value(json_object_get(v, "chain"));
    const char *data = json_string_value(json_object_get(v, "data"));
    if (!format || strcmp(format, CHAIN_FORMAT) != 0)
        return sm_fail(err, SM_EUNSUPPORTED, "line 1: chain: got \"%.40s\", want %s",
                       format ? format : "", CHAIN_FORMAT);
    h->commit_steps = json_integer_value(json_object_get(v, "commit_steps"));
    h->n_steps = json_integer_value(json_object_get(v, "n_steps"));
    if (h->n_steps < 1 || h->n_steps > 1 << 30 || h->commit_steps < 1 ||
        h->commit_steps > 1 << 30 || !data || strlen(data) != 16 ||
        !take_id(&h->config, v, "config"))
        return sm_fail(err, SM_ECORRUPT,
                       "line 1: want commit_steps and n_steps from 1, config and data");
    memcpy(h->data, data, sizeof h->data);
    return SM_OK;
}

/* Line i of the states, without its link: form and step. */
static sm_status read_state(chain_state *c, const chain_header *h, size_t i,
                            const json_t *v, sm_err *err)
{
    c->step = json_integer_value(json_object_get(v, "step"));
    if (c->step != chain_step(h, i))
        return sm_fail(err, SM_ECORRUPT, "line %zu: step: got %lld, want %lld", i + 2,
                       (long long)c->step, (long long)chain_step(h, i));
    if (!take_id(&c->state, v, "state") || !take_id(&c->weights, v, "weights"))
        return sm_fail(err, SM_ECORRUPT, "line %zu: want state and weights as SHA-256",
                       i + 2);
    return SM_OK;
}

/* The header, and room for the states that it announces. */
static sm_status begin_states(chain_file *f, size_t *want, const json_t *v, size_t len,
                              sm_err *err)
{
    sm_status s = read_header(&f->header, v, err);
    if (s)
        return s;
    *want = (size_t)chain_length(f->header.commit_steps, f->header.n_steps);
    if (*want > len / 64) /* a line is longer than that */
        return sm_fail(err, SM_ECORRUPT, "got %zu bytes, want %zu states", len, *want);
    f->at = sm_alloc(*want, sizeof *f->at);
    return f->at ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}

static sm_status read_lines(chain_file *f, const char *text, size_t len, sm_err *err)
{
    size_t want = 0;
    bool more = true;
    lines l = {.text = text, .len = len};
    sm_status s = lines_next(&more, &l, "", err);
    if (!s && more)
        s = begin_states(f, &want, l.value, len, err);
    while (!s && more) {
        s = lines_next(&more, &l, "", err);
        if (s || !more)
            break;
        s = f->n < want
                ? read_state(&f->at[f->n], &f->header, f->n, l.value, err)
                : sm_fail(err, SM_ECORRUPT, "line %zu: want %zu states", l.number, want);
        f->n++;
    }
    lines_end(&l);
    if (!s && (want == 0 || f->n != want))
        s = sm_fail(err, SM_ECORRUPT, "got %zu states, want %zu", f->n, want);
    return s;
}

/* The text that these states make is the file: so every link is right, and each value has
 * one spelling. */
static sm_status check_links(chain_file *f, const char *text, size_t len, sm_err *err)
{
    sm_buf want = {0};
    sm_status s = chain_write(&want, &f->head, &f->header, f->at, f->n, err);
    if (!s && (want.len != len || memcmp(want.data, text, len) != 0)) {
        size_t i = 0, line = 1;
        for (; i < len && i < want.len && text[i] == want.data[i]; i++)
            line += text[i] == '\n';
        s = sm_fail(err, SM_ECORRUPT,
                    "line %zu: the link does not follow from the lines before", line);
    }
    sm_buf_free(&want);
    return s;
}

sm_status chain_read(chain_file *out, const char *path, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    chain_file f = {0};
    sm_status s = sm_file_read(&text, &len, path, 0, err);
    if (s)
        return s;
    s = read_lines(&f, text, len, err);
    if (!s)
        s = check_links(&f, text, len, err);
    free(text);
    if (s) {
        chain_file_free(&f);
        return sm_fail_context(err, s, "chain.jsonl: ");
    }
    *out = f;
    return SM_OK;
}
