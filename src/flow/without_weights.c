/* SPDX-License-Identifier: Apache-2.0 */
/* How far two models' weights are apart, by kind of tensor. */
#include <math.h>
#include <string.h>

#include "without.h"

typedef struct distance {
    int64_t n, n_changed;
    double diff2, base2; /* squares of the difference, of the first model */
    bool other_shape;
} distance;

/* Which part of a decoder a Hugging Face name belongs to; the first that fits. */
static const struct {
    const char *part, *group;
} GROUP[] = {
    {"embed_tokens", "embedding"},
    {"lm_head", "head"},
    {"norm", "norms"},
    {"self_attn", "attention"},
    {"router", "router"},
    {"sparse_moe.gate", "router"},
    {"shared_expert", "shared expert"},
    {"experts", "experts"},
    {"", "feed-forward"},
};

enum { N_GROUP = sizeof GROUP / sizeof *GROUP };

static const char *group_of(const char *name)
{
    for (size_t i = 0; i < N_GROUP; i++)
        if (strstr(name, GROUP[i].part))
            return GROUP[i].group;
    return "other";
}

/* Bits are compared: a changed zero's sign is a change. */
static void add(distance *d, const float *a, const float *b, int64_t n)
{
    d->n += n;
    for (int64_t i = 0; i < n; i++) {
        double e = (double)b[i] - (double)a[i];
        d->n_changed += memcmp(&a[i], &b[i], sizeof *a) != 0;
        d->diff2 += e * e;
        d->base2 += (double)a[i] * (double)a[i];
    }
}

static const sm_param *param_of(const sm_model *m, const char *name)
{
    for (int32_t i = 0; i < m->n_param_tensors; i++)
        if (!strcmp(m->param[i].name, name))
            return &m->param[i];
    return NULL;
}

static json_t *distance_json(const distance *d)
{
    json_t *v = json_pack("{s:I, s:I, s:f, s:f}", "n", (json_int_t)d->n, "changed",
                          (json_int_t)d->n_changed, "l2", sqrt(d->diff2), "relative",
                          d->base2 > 0 ? sqrt(d->diff2 / d->base2) : 0.0);
    if (v && d->other_shape)
        json_object_set_new(v, "shape", json_false());
    return v;
}

static void add_all(distance *group, distance *whole, const sm_model *a,
                    const sm_model *b)
{
    for (int32_t i = 0; i < a->n_param_tensors; i++) {
        const sm_param *p = &a->param[i], *q = param_of(b, p->name);
        const char *name = group_of(p->name);
        size_t g = 0;
        while (strcmp(GROUP[g].group, name) != 0)
            g++;
        if (!q || q->n != p->n) {
            group[g].other_shape = whole->other_shape = true;
            continue;
        }
        add(&group[g], a->weight + p->offset, b->weight + q->offset, p->n);
        add(whole, a->weight + p->offset, b->weight + q->offset, p->n);
    }
}

sm_status flow_compare_weights(json_t **out, const sm_model *a, const sm_model *b,
                               sm_err *err)
{
    distance group[N_GROUP] = {{0}}, whole = {0}, bias = {0};
    json_t *groups = json_object();
    add_all(group, &whole, a, b);
    for (size_t g = 0; g < N_GROUP; g++)
        if (group[g].n > 0 || group[g].other_shape)
            json_object_set_new(groups, GROUP[g].group, distance_json(&group[g]));
    int64_t n = (int64_t)a->config.n_layer * a->config.n_expert;
    if (a->router_bias && b->router_bias &&
        n == (int64_t)b->config.n_layer * b->config.n_expert) {
        add(&bias, a->router_bias, b->router_bias, n);
        json_object_set_new(groups, "router bias", distance_json(&bias));
    }
    json_t *v = distance_json(&whole);
    if (!v || !groups || json_object_set(v, "groups", groups)) {
        json_decref(v);
        v = NULL;
    }
    json_decref(groups);
    *out = v;
    return v ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}
