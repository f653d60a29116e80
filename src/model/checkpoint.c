/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model directory: config.json and model.safetensors under Hugging Face names.
 *
 * Tensors are written in the order of the allocation.  Llama 4's expert tensors are stored
 * by Hugging Face as [expert, in, out] and kept by us as [expert, out, in]; they are turned
 * on the way in and out.  The selection bias, which Hugging Face has no name for, is the
 * tensor "smelt.router_bias" [n_layer, n_expert], F32.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/sys.h"

static const char bias_name[] = "smelt.router_bias";

/* --------------------------------------------------------------------- load */

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = h >> 10 & 31u, frac = h & 1023u;
    uint32_t bits;
    float f;
    if (exp == 31) {
        bits = sign | 0x7f800000u | frac << 13;
    } else if (exp == 0) {
        f = (float)frac * 0x1p-24f;
        return sign ? -f : f;
    } else {
        bits = sign | (exp + 112) << 23 | frac << 13;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Element i of a tensor as a float; data may be unaligned. */
static float element(const sm_tensor_entry *e, size_t i)
{
    float f;
    uint16_t h;
    uint32_t bits;
    if (!strcmp(e->dtype, "F32")) {
        memcpy(&f, (const char *)e->data + 4 * i, sizeof f);
        return f;
    }
    memcpy(&h, (const char *)e->data + 2 * i, sizeof h);
    if (!strcmp(e->dtype, "F16"))
        return half_to_float(h);
    bits = (uint32_t)h << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool is_float_type(const sm_tensor_entry *e)
{
    return !strcmp(e->dtype, "F32") || !strcmp(e->dtype, "BF16") ||
           !strcmp(e->dtype, "F16");
}

static sm_status check_entry(const sm_tensor_entry *e, const int64_t *shape,
                             int32_t n_dim, const char *name, sm_err *err)
{
    if (!e)
        return sm_fail(err, SM_ECORRUPT, "%s: missing", name);
    bool same = e->n_dim == n_dim;
    for (int32_t i = 0; same && i < n_dim; i++)
        same = e->shape[i] == shape[i];
    if (!same)
        return sm_fail(err, SM_ECORRUPT,
                       "%s: got shape [%lld, %lld, %lld] of %d "
                       "dimensions, want [%lld, %lld, %lld] of %d",
                       name, (long long)e->shape[0], (long long)e->shape[1],
                       (long long)e->shape[2], (int)e->n_dim, (long long)shape[0],
                       (long long)shape[1], (long long)shape[2], (int)n_dim);
    if (!is_float_type(e))
        return sm_fail(err, SM_EUNSUPPORTED, "%s: got dtype %s, want F32, BF16 or F16",
                       name, e->dtype);
    return SM_OK;
}

/* Names may carry the prefix of a multimodal model. */
static const sm_tensor_entry *find(const sm_safetensors *s, const char *name)
{
    char longer[128] = "language_model.";
    const sm_tensor_entry *e = sm_safetensors_find(s, name);
    if (e || strlen(name) + strlen(longer) >= sizeof longer)
        return e;
    strncat(longer, name, sizeof longer - strlen(longer) - 1);
    return sm_safetensors_find(s, longer);
}

/* Element i of a tensor, which has to be finite. */
static sm_status load_element(float *x, const sm_tensor_entry *e, size_t i,
                              const char *name, sm_err *err)
{
    *x = element(e, i);
    if (*x - *x == 0)
        return SM_OK;
    return sm_fail(err, SM_ENUMERIC, "%s: element %zu: got %g, want a finite number",
                   name, i, (double)*x);
}

static sm_status load_param(float *w, const sm_param *p, const sm_safetensors *s,
                            sm_err *err)
{
    const sm_tensor_entry *e = find(s, p->name);
    bool is_turned = p->n_dim == 3;
    int64_t shape[3] = {p->shape[0], is_turned ? p->shape[2] : p->shape[1],
                        is_turned ? p->shape[1] : p->shape[2]};
    sm_status st = check_entry(e, shape, p->n_dim, p->name, err);
    if (st)
        return st;
    int64_t rows = p->shape[1], cols = p->shape[2];
    for (int64_t i = 0; !st && i < p->n; i++) {
        int64_t from = i;
        if (is_turned) {
            int64_t x = i / (rows * cols), r = i / cols % rows, c = i % cols;
            from = (x * cols + c) * rows + r;
        }
        st = load_element(&w[i], e, (size_t)from, p->name, err);
    }
    return st;
}

static sm_status load_bias(sm_model *m, const sm_safetensors *s, sm_err *err)
{
    const sm_tensor_entry *e = sm_safetensors_find(s, bias_name);
    int64_t shape[3] = {m->config.n_layer, m->config.n_expert, 0};
    if (!m->router_bias)
        return SM_OK;
    sm_status st = check_entry(e, shape, 2, bias_name, err);
    for (int64_t i = 0; !st && i < shape[0] * shape[1]; i++)
        st = load_element(&m->router_bias[i], e, (size_t)i, bias_name, err);
    return st;
}

/* A config that promises more than the file holds must not make us allocate it. */
static sm_status check_size(const sm_model_config *c, const sm_safetensors *s,
                            sm_err *err)
{
    size_t bytes = 0;
    int64_t want = 2 * sm_model_n_param(c);
    for (size_t i = 0; i < sm_safetensors_n(s); i++)
        bytes += sm_safetensors_at(s, i)->bytes;
    if (bytes < (size_t)want)
        return sm_fail(err, SM_ECORRUPT,
                       "%zu bytes of tensors, the config wants %lld or "
                       "more",
                       bytes, (long long)want);
    return SM_OK;
}

static sm_status load_weights(sm_model **out, const sm_model_config *c, const char *path,
                              sm_err *err)
{
    sm_safetensors *s = NULL;
    sm_model *m = NULL;
    sm_status st = sm_safetensors_open(&s, path, err);
    if (st)
        return st;
    st = check_size(c, s, err);
    if (!st)
        st = sm_model_create_empty(&m, c, err);
    for (int32_t i = 0; !st && i < m->n_param_tensors; i++)
        st = load_param(m->weight + m->param[i].offset, &m->param[i], s, err);
    if (!st)
        st = load_bias(m, s, err);
    sm_safetensors_close(s);
    if (st) {
        sm_model_free(m);
        return sm_fail_context(err, st, "%s: ", path);
    }
    *out = m;
    return SM_OK;
}

sm_status sm_model_load(sm_model **out, const char *config_path,
                        const char *safetensors_path, sm_err *err)
{
    sm_model_config c;
    json_t *json = NULL;
    sm_status s = sm_json_load(&json, config_path, err);
    if (!s)
        s = sm_model_config_from_json(&c, json, err);
    json_decref(json);
    return s ? s : load_weights(out, &c, safetensors_path, err);
}

/* --------------------------------------------------------------------- save */

/* Round to nearest even; denormals become zero, as everywhere (kern.h). */
static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40);
    if (mag < 0x00800000u)
        return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static void put_element(char *dst, size_t i, float x, sm_dtype type)
{
    if (type == SM_F32) {
        memcpy(dst + 4 * i, &x, sizeof x);
    } else {
        uint16_t h = to_bf16(x);
        memcpy(dst + 2 * i, &h, sizeof h);
    }
}

static void save_param(char *dst, const sm_param *p, const float *w, sm_dtype type)
{
    int64_t rows = p->shape[1], cols = p->shape[2];
    for (int64_t i = 0; i < p->n; i++) {
        int64_t from = i;
        if (p->n_dim == 3) { /* destination [expert, cols, rows] */
            int64_t x = i / (rows * cols), c = i / rows % cols, r = i % rows;
            from = (x * rows + r) * cols + c;
        }
        put_element(dst, (size_t)i, w[from], type);
    }
}

static sm_tensor_entry entry_of(const sm_param *p, char *data, sm_dtype type)
{
    bool is_turned = p->n_dim == 3;
    sm_tensor_entry e = {.n_dim = p->n_dim,
                         .data = data,
                         .bytes = (size_t)p->n * (type == SM_F32 ? 4 : 2)};
    memcpy(e.name, p->name, strlen(p->name) + 1);
    memcpy(e.dtype, type == SM_F32 ? "F32" : "BF16", type == SM_F32 ? 4 : 5);
    e.shape[0] = p->shape[0];
    e.shape[1] = is_turned ? p->shape[2] : p->shape[1];
    e.shape[2] = is_turned ? p->shape[1] : p->shape[2];
    return e;
}

static sm_status save_weights(const sm_model *m, const char *path, sm_dtype type,
                              sm_err *err)
{
    size_t unit = type == SM_F32 ? 4 : 2, n = (size_t)m->n_param_tensors, used = 0;
    char *data = sm_aligned_alloc((size_t)m->n_weight * unit);
    sm_tensor_entry *e = sm_alloc(n + 1, sizeof *e);
    json_t *meta = json_pack("{s:s}", "format", "pt");
    sm_status s = SM_OK;
    if (!data || !e || !meta)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; !s && i < n; i++) {
        const sm_param *p = &m->param[i];
        e[i] = entry_of(p, data + used, type);
        save_param(data + used, p, m->weight + p->offset, type);
        used += e[i].bytes;
    }
    if (!s && m->router_bias) {
        e[n] = (sm_tensor_entry){.shape = {m->config.n_layer, m->config.n_expert},
                                 .n_dim = 2,
                                 .dtype = "F32",
                                 .data = m->router_bias,
                                 .bytes = (size_t)m->config.n_layer *
                                          (size_t)m->config.n_expert * 4};
        memcpy(e[n++].name, bias_name, sizeof bias_name);
    }
    if (!s)
        s = sm_safetensors_write(path, e, n, meta, err);
    json_decref(meta);
    free(e);
    sm_aligned_free(data);
    return s;
}

sm_status sm_model_config_text(sm_buf *out, const sm_model_config *c, sm_dtype type,
                               sm_err *err)
{
    json_t *json = sm_model_config_to_json(c);
    if (!json || json_object_set_new(
                     json, "torch_dtype",
                     json_string(type == SM_F32 ? "float32" : "bfloat16")) != 0) {
        json_decref(json);
        return sm_fail(err, SM_ENOMEM, "config.json: out of memory");
    }
    sm_status s = sm_json_pretty(out, json, err);
    json_decref(json);
    return s;
}

sm_status sm_model_save(const sm_model *m, const char *dir, sm_dtype type, sm_err *err)
{
    char *config = sm_path_join(dir, "config.json");
    char *weights = sm_path_join(dir, "model.safetensors");
    sm_buf text = {0};
    sm_status s = SM_OK;
    if (!config || !weights)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", dir);
    if (!s)
        s = sm_mkdirs(dir, err);
    if (!s)
        s = save_weights(m, weights, type, err);
    if (!s)
        s = sm_model_config_text(&text, &m->config, type, err);
    if (!s)
        s = sm_file_write_atomic(config, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    free(config);
    free(weights);
    return s;
}
