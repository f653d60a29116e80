/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of a step: which kinds it declares, which artifacts were given for them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

size_t flow_input_kinds(input_kind out[MAX_KINDS], const char *inputs)
{
    size_t n = 0;
    const char *p = inputs ? inputs : "";
    while (*(p += strspn(p, " ")) && n < MAX_KINDS) {
        size_t len = strcspn(p, " "), word = len;
        input_kind k = {0};
        if (p[len - 1] == '+' || p[len - 1] == '?') {
            k.many = p[len - 1] == '+';
            k.optional = p[len - 1] == '?';
            word--;
        }
        if (word >= sizeof k.kind)
            word = sizeof k.kind - 1;
        memcpy(k.kind, p, word);
        out[n++] = k;
        p += len;
    }
    return n;
}

static int compare_content(const void *a, const void *b)
{
    const sm_artifact *x = a, *y = b;
    return strcmp(x->content.hex, y->content.hex);
}

/* Move the artifacts of one kind from `given` to `out`; returns how many. */
static size_t take_kind(sm_artifact *out, sm_artifact *given, size_t n_given,
                        const input_kind *k)
{
    size_t n = 0;
    for (size_t i = 0; i < n_given; i++) {
        if (!strcmp(given[i].kind, k->kind) && (k->many || n == 0)) {
            out[n++] = given[i];
            given[i] = (sm_artifact){0};
        }
    }
    if (n > 1)
        qsort(out, n, sizeof *out, compare_content);
    return n;
}

/* Is `where` the verb of the step ("data curate" of data.curate)? */
static bool is_verb_of(const char *where, const sm_step *step)
{
    const char *s = step->name;
    for (; *s && (*where == *s || (*where == ' ' && *s == '.')); s++)
        where++;
    return !*s && !*where;
}

/* "WHERE: STEP: ...", the step named once. */
static SM_PRINTF(4, 5) sm_status
    refuse(const sm_step *step, const char *where, sm_err *err, const char *fmt, ...)
{
    char what[SM_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (is_verb_of(where, step))
        return sm_fail(err, SM_EINVAL, "%s: %s", where, what);
    return sm_fail(err, SM_EINVAL, "%s: %s: %s", where, step->name, what);
}

/* What a step takes, as usage lines have it: MODEL DATASET [INDEX]. */
static void put_wanted(sm_buf *out, const input_kind *kind, size_t n)
{
    if (n == 0)
        sm_buf_puts(out, "no input");
    for (size_t k = 0; k < n; k++) {
        sm_buf_puts(out, k ? " " : "");
        sm_buf_puts(out, kind[k].optional ? "[" : "");
        for (const char *c = kind[k].kind; *c; c++)
            sm_buf_putc(out, (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
        sm_buf_puts(out, kind[k].many ? "..." : kind[k].optional ? "]" : "");
    }
}

const char *flow_article(const char *kind)
{
    return strchr("aeio", *kind) ? "an" : "a";
}

/* " (given: unix-moe, a model)" */
static void put_given(sm_buf *out, const char *const *kind, const char *const *ref,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        sm_buf_printf(out, "%s%s, %s %s", i ? "; " : " (given: ", ref[i],
                      flow_article(kind[i]), kind[i]);
    if (n)
        sm_buf_putc(out, ')');
}

/* The kind of the declaration that input i, the k-th of its own, is for; -1: none. */
static int kind_of(const input_kind *kind, size_t n_kind, const char *const *given,
                   size_t i)
{
    for (size_t k = 0; k < n_kind; k++) {
        if (strcmp(given[i], kind[k].kind) != 0)
            continue;
        for (size_t before = 0; before < i && !kind[k].many; before++)
            if (!strcmp(given[before], given[i]))
                return -1;
        return (int)k;
    }
    return -1;
}

sm_status flow_inputs_fit(const sm_step *step, const char *const *kind,
                          const char *const *ref, size_t n, const char *where,
                          sm_err *err)
{
    input_kind want[MAX_KINDS];
    bool met[MAX_KINDS] = {false};
    size_t n_want = flow_input_kinds(want, step->inputs), over = n;
    for (size_t i = n; i-- > 0;) {
        int k = kind_of(want, n_want, kind, i);
        if (k < 0)
            over = i; /* the first that has no place */
        else
            met[k] = true;
    }
    size_t missing = 0;
    while (missing < n_want && (met[missing] || want[missing].optional))
        missing++;
    if (missing == n_want && over == n)
        return SM_OK;
    sm_buf wanted = {0}, got = {0};
    put_wanted(&wanted, want, n_want);
    if (missing < n_want) {
        sm_buf_printf(&got, "no %s", want[missing].kind);
        put_given(&got, kind, ref, n);
    } else {
        sm_buf_printf(&got, "%s (%s %s)", ref[over], flow_article(kind[over]),
                      kind[over]);
    }
    sm_status s =
        got.failed || wanted.failed
            ? sm_fail(err, SM_ENOMEM, "%s: out of memory", where)
            : refuse(step, where, err, "in: got %s, want %s", got.data, wanted.data);
    sm_buf_free(&wanted);
    sm_buf_free(&got);
    return s;
}

static sm_status order_inputs(sm_artifact *out, sm_artifact *given, size_t n,
                              const sm_step *step, const char *const *refs,
                              const char *where, sm_err *err)
{
    input_kind kind[MAX_KINDS];
    size_t n_kind = flow_input_kinds(kind, step->inputs), at = 0;
    const char **name = sm_alloc(n + 1, sizeof *name);
    for (size_t i = 0; name && i < n; i++)
        name[i] = given[i].kind;
    sm_status s = name ? flow_inputs_fit(step, name, refs, n, where, err)
                       : sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
    for (size_t k = 0; k < n_kind && !s; k++)
        at += take_kind(out + at, given, n, &kind[k]);
    free(name);
    return s;
}

void flow_inputs_free(sm_artifact *input, size_t n)
{
    for (size_t i = 0; input && i < n; i++)
        sm_artifact_free(&input[i]);
    free(input);
}

sm_status flow_inputs_find(sm_artifact **out, size_t *n_out, sm_store *store,
                           const sm_step *step, const char *const *refs, size_t n_refs,
                           const char *where, sm_err *err)
{
    sm_status s = SM_OK;
    sm_artifact *given = sm_alloc(n_refs + 1, sizeof *given);
    sm_artifact *ordered = sm_alloc(n_refs + 1, sizeof *ordered);
    if (!given || !ordered)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
    for (size_t i = 0; i < n_refs && !s; i++)
        if ((s = sm_store_find(&given[i], store, refs[i], err)))
            sm_fail_context(err, s, "%s: in: ", where);
    if (!s)
        s = order_inputs(ordered, given, n_refs, step, refs, where, err);
    flow_inputs_free(given, n_refs); /* those that moved are empty */
    if (s) {
        flow_inputs_free(ordered, n_refs);
        return s;
    }
    *out = ordered;
    *n_out = n_refs;
    return SM_OK;
}

sm_status flow_input_path(char **out, const sm_step_io *io, size_t i, const char *file,
                          sm_err *err)
{
    /* A recipe says what its result was made from: only if that is what was read. */
    return sm_store_whole_path(out, io->store, &io->input[i], file, err);
}

int flow_input_of(const sm_step_io *io, const char *kind)
{
    for (size_t i = 0; i < io->n_input; i++)
        if (!strcmp(io->input[i].kind, kind))
            return (int)i;
    return -1;
}

sm_status flow_input_paths(char ***out, size_t *n_out, const sm_step_io *io,
                           const char *kind, const char *file, sm_err *err)
{
    sm_status s = SM_OK;
    char **path = sm_alloc(io->n_input + 1, sizeof *path);
    if (!path)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < io->n_input && !s; i++)
        if (!strcmp(io->input[i].kind, kind))
            s = flow_input_path(&path[n++], io, i, file, err);
    *out = path;
    *n_out = n;
    return s;
}

void flow_paths_free(char **path, size_t n)
{
    for (size_t i = 0; path && i < n; i++)
        free(path[i]);
    free(path);
}
