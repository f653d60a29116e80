/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV cache of one sequence.  Blocks of SM_KEY_BLOCK keys anchored at index 0, packed as
 * attention wants them; a block that grows is packed again from its rows, which are kept
 * until it is complete.
 */
#include <string.h>

#include "internal.h"

static size_t block_bytes(const sm_engine *e)
{
    return e->k_bytes + e->v_bytes;
}

static size_t head_bytes(const sm_engine *e)
{
    return block_bytes(e) * (size_t)e->n_block;
}

static char *head_at(const sm_engine *e, const kv_cache *kv, int32_t layer, int32_t kv_head)
{
    size_t i = (size_t)layer * (size_t)e->model->config.n_kv_head + (size_t)kv_head;
    return kv->packed + i * head_bytes(e);
}

/* All k blocks of a head, then all its v blocks: attention steps through each. */
static char *k_block(const sm_engine *e, char *head, int64_t b)
{
    return head + (size_t)b * e->k_bytes;
}

static char *v_block(const sm_engine *e, char *head, int64_t b)
{
    return head + (size_t)e->n_block * e->k_bytes + (size_t)b * e->v_bytes;
}

sm_status kv_create(kv_cache *kv, const sm_engine *e, sm_err *err)
{
    const sm_model_config *c = &e->model->config;
    size_t heads = (size_t)c->n_layer * (size_t)c->n_kv_head;
    *kv = (kv_cache){0};
    kv->packed = sm_aligned_alloc(heads * head_bytes(e));
    kv->tail = sm_aligned_alloc((size_t)(c->n_layer * SM_KEY_BLOCK * e->width_kv) *
                                sizeof(float));
    if (kv->packed && kv->tail)
        return SM_OK;
    kv_free(kv);
    return sm_fail(err, SM_ENOMEM, "engine: no memory for a cache of %zu bytes",
                   heads * head_bytes(e));
}

void kv_free(kv_cache *kv)
{
    sm_aligned_free(kv->packed);
    sm_aligned_free(kv->tail);
    *kv = (kv_cache){0};
}

static void pack_block(const sm_engine *e, kv_cache *kv, int32_t layer, int64_t block,
                       int64_t n_key)
{
    const sm_model_config *c = &e->model->config;
    const float *rows = kv->tail + layer * SM_KEY_BLOCK * e->width_kv;
    for (int32_t g = 0; g < c->n_kv_head; g++) {
        char *head = head_at(e, kv, layer, g);
        const float *k = rows + g * c->d_head;
        sm_attn_pack(e->prod, k_block(e, head, block), v_block(e, head, block), k,
                     k + c->n_kv_head * c->d_head, e->width_kv, n_key, c->d_head);
    }
}

void kv_append(const sm_engine *e, kv_cache *kv, int32_t layer, int64_t index,
               const float *qkv, int64_t n)
{
    float *rows = kv->tail + layer * SM_KEY_BLOCK * e->width_kv;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = (index + i) % SM_KEY_BLOCK;
        memcpy(rows + at * e->width_kv, qkv + i * e->width_qkv + e->width_q,
               (size_t)e->width_kv * sizeof(float));
        if (at == SM_KEY_BLOCK - 1 || i == n - 1)
            pack_block(e, kv, layer, (index + i) / SM_KEY_BLOCK, at + 1);
    }
}

sm_attn_kv kv_view(const sm_engine *e, const kv_cache *kv, int32_t layer, int32_t kv_head,
                   int64_t n_key)
{
    char *head = head_at(e, kv, layer, kv_head);
    return (sm_attn_kv){.k = k_block(e, head, 0), .v = v_block(e, head, 0), .n_key = n_key};
}
