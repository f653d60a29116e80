/* SPDX-License-Identifier: Apache-2.0 */
/**
 * model (L4): configuration, parameters, forward and backward of one decoder family;
 * Hugging Face config.json and safetensors in and out.
 *
 *   h = x + Attention(RMSNorm(x));  y = h + FFN(RMSNorm(h));  logits = W_head RMSNorm(y_L)
 *
 * Numerics: every activation is f32; operands of products are rounded when packed (profile
 * bf16/1) or not (f32/1); see kern.h.
 */
#ifndef SMELT_MODEL_H
#define SMELT_MODEL_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/kern.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sm_router {
    SM_ROUTER_SOFTMAX_TOPK = 0, /* Mixtral: softmax over the k chosen, weights outputs   */
    SM_ROUTER_SIGMOID_TOP1 = 1  /* Llama 4: sigmoid(logit) scales the expert's INPUT,
                                   plus a shared expert                                  */
} sm_router;

/** One decoder.  Zero is not valid; start from SM_MODEL_CONFIG_DEFAULT. */
typedef struct sm_model_config {
    int32_t n_vocab;
    int32_t n_layer;
    int32_t d_model;
    int32_t n_head, n_kv_head, d_head; /* n_head % n_kv_head == 0; d_head even          */
    int32_t d_ff;           /* hidden width of dense layers' SwiGLU                      */
    int32_t n_expert;       /* 0: every layer dense                                      */
    int32_t k_expert;       /* experts a token visits; 1 for SM_ROUTER_SIGMOID_TOP1      */
    int32_t d_expert;       /* hidden width of one expert                                */
    int32_t d_shared;       /* hidden width of the shared expert, 0: none                */
    int32_t moe_every;      /* layer i is MoE when (i+1) % moe_every == 0; with experts at
                               most n_layer, so that one is                              */
    sm_router router;
    bool router_bias;       /* selection by logit + bias (loss-free balancing)           */
    float rope_theta;
    bool rope_interleaved;  /* Llama 4 pairs (2j,2j+1); false: half-split (HF Llama 3)   */
    int32_t nope_every;     /* layer i has no rope when (i+1) % nope_every == 0; 0 never */
    int32_t attn_chunk;     /* rope layers see only their chunk of positions; 0: all     */
    bool qk_norm;           /* weightless RMS norm of q and k after rope (rope layers)   */
    float attn_temp_scale;  /* NoPE layers: q *= 1 + scale*ln(1+floor((p+1)/floor)); 0 off */
    float attn_temp_floor;
    float norm_eps;
    bool tied;              /* output head shares the embedding                          */
    int32_t max_ctx;        /* longest sequence                                          */
    int32_t n_slice;        /* slices that contractions over heads, hidden units and the
                               vocabulary are cut into, so that ranks can share a layer:
                               part of the numerics; a power of two, 1: not cut          */
} sm_model_config;

#define SM_MODEL_CONFIG_DEFAULT                                                         \
    {                                                                                   \
        .n_vocab = 8192, .n_layer = 4, .d_model = 256, .n_head = 4, .n_kv_head = 2,     \
        .d_head = 64, .d_ff = 704, .moe_every = 1, .k_expert = 1, .rope_theta = 10000,  \
        .norm_eps = 1e-5f, .tied = true, .max_ctx = 512, .n_slice = 1                   \
    }

/** Names the bad field, the value and the range wanted. */
SM_API sm_status sm_model_config_check(const sm_model_config *c, sm_err *err);
/** Hugging Face config.json (llama, mixtral, llama4_text model types) in and out. */
SM_API sm_status sm_model_config_from_json(sm_model_config *out, const json_t *json,
                                           sm_err *err);
SM_API json_t *sm_model_config_to_json(const sm_model_config *c);
/** The model_type of its config.json. */
SM_API const char *sm_model_config_type(const sm_model_config *c);
/** Append what that type cannot say and the logits depend on, "rope_interleaved false,
 * d_shared 0": it stands in the object "smelt" of config.json alone, and a program that does
 * not know the object computes something else.  Nothing is appended when there is none. */
SM_API sm_status sm_model_config_own(sm_buf *out, const sm_model_config *c, sm_err *err);

/** Parameters in all and those one token uses (a tied embedding counted once). */
SM_API int64_t sm_model_n_param(const sm_model_config *c);
SM_API int64_t sm_model_n_active(const sm_model_config *c);
/** FLOPs of forward and backward for one token at context n_ctx (6N plus attention). */
SM_API double sm_model_flops_per_token(const sm_model_config *c, int64_t n_ctx);

/** One named parameter, a view into the model's single f32 allocation. */
typedef struct sm_param {
    char name[96];    /* Hugging Face name                                     */
    int64_t shape[3]; /* [rows, cols] or [d] or [expert, rows, cols]           */
    int32_t n_dim;
    int64_t offset;   /* first element in the allocation                       */
    int64_t n;
    bool decay;       /* weight decay applies (matrices, not norms)            */
    int32_t fan_in;
    bool is_block_output; /* adds to the residual stream: attention's out, FFN's down  */
} sm_param;

typedef struct sm_model {
    sm_model_config config;
    sm_param *param;
    int32_t n_param_tensors;
    int64_t n_weight;    /* elements of weight[]                                */
    float *weight;       /* master weights, f32                                 */
    float *router_bias;  /* [n_layer, n_expert], NULL unless config.router_bias */
} sm_model;

/** Where the matrices of a layer start in weight[] (elements; -1: the layer has none).
 * Matrices of one input are one product: qkv is [(n_head + 2 n_kv_head) d_head, d_model],
 * gate_up is [2 width, d_model] (gate rows first), an expert's likewise; `out` and `down`
 * are [d_model, width].  Expert e starts e * 2 * d_expert * d_model (gate_up), e * d_model *
 * d_expert (down) further on. */
typedef struct sm_layer_view {
    bool is_moe;
    bool has_rope;       /* false: a NoPE layer: full attention, query temperature  */
    int64_t attn_norm, qkv, out, ffn_norm;
    int64_t gate_up, down; /* dense layer, or the shared expert of a MoE layer      */
    int32_t d_ff;          /* its width; 0 when absent                              */
    int64_t router;        /* [n_expert, d_model]                                   */
    int64_t expert_gate_up, expert_down;
} sm_layer_view;
typedef struct sm_model_view {
    int64_t embed, norm, head; /* head == embed when tied */
} sm_model_view;
/** The view of layer 0..n_layer-1 (also of a shape), and of the ends. */
SM_API sm_layer_view sm_model_layer(const sm_model *m, int32_t layer);
SM_API sm_model_view sm_model_ends(const sm_model *m);

/** Allocate and initialise: normal(0, 0.02) (outputs of blocks scaled by 1/sqrt(2 n_layer)),
 * norms 1; a pure function of (config, seed). */
SM_API sm_status sm_model_create(sm_model **out, const sm_model_config *c, uint64_t seed,
                                 sm_err *err);
/** Names, shapes and offsets of the parameters without the parameters (weight is NULL): what
 * plans are made with. */
SM_API sm_status sm_model_create_shape(sm_model **out, const sm_model_config *c,
                                       sm_err *err);
SM_API void sm_model_free(sm_model *m);

/** Read / write a directory with config.json and model.safetensors.  Writing is
 * deterministic.  @param type SM_BF16 or SM_F32 */
SM_API sm_status sm_model_load(sm_model **out, const char *config_path,
                               const char *safetensors_path, sm_err *err);
SM_API sm_status sm_model_save(const sm_model *m, const char *dir, sm_dtype type,
                               sm_err *err);
/** Append what sm_model_save writes as config.json. */
SM_API sm_status sm_model_config_text(sm_buf *out, const sm_model_config *c,
                                      sm_dtype type, sm_err *err);

/* --------------------------------------------------- safetensors (generic) */

typedef struct sm_tensor_entry {
    char name[128];
    int64_t shape[4];
    int32_t n_dim;
    char dtype[8]; /* "F32", "BF16", "I64", ... */
    const void *data;
    size_t bytes;
} sm_tensor_entry;

typedef struct sm_safetensors sm_safetensors;
/** Map and check a file: offsets in order, inside the file, no overlap, known dtypes. */
SM_API sm_status sm_safetensors_open(sm_safetensors **out, const char *path, sm_err *err);
SM_API sm_status sm_safetensors_parse(sm_safetensors **out, const void *data, size_t len,
                                      const char *name, sm_err *err);
SM_API size_t sm_safetensors_n(const sm_safetensors *s);
SM_API const sm_tensor_entry *sm_safetensors_at(const sm_safetensors *s, size_t i);
SM_API const sm_tensor_entry *sm_safetensors_find(const sm_safetensors *s, const char *name);
/** What the file says of itself ("__metadata__"): strings by name in a file that was written
 * as the format wants, unchecked in another; borrowed until close.  NULL: it says nothing. */
SM_API const json_t *sm_safetensors_metadata(const sm_safetensors *s);
SM_API void sm_safetensors_close(sm_safetensors *s);
/** Write entries in the order given, atomically. metadata: object of strings or NULL. */
SM_API sm_status sm_safetensors_write(const char *path, const sm_tensor_entry *entry,
                                      size_t n, const json_t *metadata, sm_err *err);

/* --------------------------------------------------------- forward, backward */

/** A micro-batch: n_seq rows of n_ctx tokens. Rows r*seq_per_shard .. belong to one logical
 * shard; a micro-batch is a whole number of shards, a power of two of them. */
typedef struct sm_batch {
    int64_t n_seq, n_ctx;
    int64_t seq_per_shard;
    const int32_t *token;     /* [n_seq, n_ctx], each 0..n_vocab-1                       */
    const int32_t *target;    /* [n_seq, n_ctx], -1: not counted                         */
    const int32_t *doc_start; /* [n_seq, n_ctx] first index in the row of the token's
                                 document; a token sees doc_start..itself and its rope
                                 position is index - doc_start                           */
} sm_batch;

/** Coefficients of the auxiliary terms; 0 = off, and aux_coef and z_coef act on MoE layers
 * alone, so a dense model may have them.  Each MoE layer adds its own terms.  P_i is
 * the mean over all tokens of softmax(router logits)_i, for either router; f_i = tokens
 * routed to i / (k * tokens).  Tokens without a target count too. */
typedef struct sm_loss_config {
    float aux_coef;    /* load balance: coef * E * sum_i f_i P_i, f over the GLOBAL batch */
    float z_coef;      /* router z-loss: coef * mean lse^2                               */
    float head_z_coef; /* the same on the output logits                                  */
} sm_loss_config;

/** Sums over a micro-batch, by logical shard, for the caller's fixed tree. */
typedef struct sm_shard_stats {
    double loss_sum;   /* nats, cross-entropy over counted targets   */
    double aux_z_sum;  /* z_coef * sum over MoE layers and tokens of lse^2 */
    int64_t n_target;
} sm_shard_stats;

/** Buffers of one micro-batch shape: activations (planned), packed weights, scratch. */
typedef struct sm_pass sm_pass;

typedef struct sm_pass_config {
    const sm_model *model;  /* borrowed, outlives the pass                              */
    const char *profile;    /* "bf16/1" or "f32/1"                                      */
    int64_t n_seq, n_ctx, seq_per_shard; /* of one micro-batch                          */
    int64_t n_micro;        /* micro-batches whose activations are held at once (>= 1)  */
    bool recompute;         /* keep only block inputs; recompute the rest (bit-neutral) */
    bool backward;          /* false: forward only (evaluation)                         */
    sm_loss_config loss;
} sm_pass_config;
/** Plan and allocate for one micro-batch shape, and pack the weights as they are now.  `ctx`
 * is copied, its pool and kernels are borrowed.  Release with sm_pass_free (NULL-safe).
 * @return SM_EINVAL (profile, shape), SM_ENOMEM */
SM_API sm_status sm_pass_create(sm_pass **out, const sm_ctx *ctx, const sm_pass_config *c,
                                sm_err *err);
SM_API void sm_pass_free(sm_pass *p);
/** Bytes it holds: activations, packed weights, scratch. */
SM_API size_t sm_pass_bytes(const sm_pass *p);
/** What sm_pass_bytes would be, with none of it allocated; c->model may be a shape. */
SM_API sm_status sm_pass_measure(size_t *bytes, const sm_ctx *ctx,
                                 const sm_pass_config *c, sm_err *err);
/** Convert and pack the weights; call after every change of model->weight. */
SM_API sm_status sm_pass_pack(sm_pass *p, sm_err *err);

/** Pack weights at .. at + n - 1 as soon as they have changed, serial, from any threads for
 * ranges that do not overlap: a range begins where a tensor does or a multiple of 64 of its
 * rows later, and likewise ends (or with the tensor).  When all of weight[] was given,
 * sm_pass_pack_rest packs, threaded, matrices whose tensors do not begin at panels: then
 * all is as after sm_pass_pack. */
SM_API void sm_pass_pack_range(const sm_pass *p, int64_t at, int64_t n);
SM_API void sm_pass_pack_rest(sm_pass *p);

/** Forward of micro-batch `slot` (0..n_micro-1).
 * @param[out] stats [n_shard of the micro-batch]
 * @param[in,out] counts [n_layer, n_expert] tokens routed, added to (NULL when dense)
 * @param[out] token_loss [n_seq, n_ctx] nats, 0 where not counted; may be NULL
 * @return SM_ENUMERIC names layer and tensor of the first NaN or infinity;
 *         SM_EINVAL names a token id out of range */
SM_API sm_status sm_pass_forward(sm_pass *p, const sm_batch *b, int64_t slot,
                                 sm_shard_stats *stats, int64_t *counts,
                                 float *token_loss, sm_err *err);
/** Only the routing of a micro-batch: adds to counts what sm_pass_forward would add, without
 * the output head (for an auxiliary loss whose counts are needed before any backward, when
 * not all micro-batches fit in memory).  Overwrites slot 0. */
SM_API sm_status sm_pass_count(sm_pass *p, const sm_batch *b, int64_t *counts, sm_err *err);
/** Backward of the micro-batch held in `slot`; gradients of
 *   loss_sum/n_target_global + auxiliary terms
 * summed over the micro-batch's shards along a binary tree over shard index.
 * @param[out] grad [n_weight] overwritten
 * @param counts_global [n_layer, n_expert] over the whole global batch
 * @param n_target_global, n_tok_global  counted targets / tokens of the global batch */
SM_API sm_status sm_pass_backward(sm_pass *p, const sm_batch *b, int64_t slot, float *grad,
                                  const int64_t *counts_global, int64_t n_target_global,
                                  int64_t n_tok_global, sm_err *err);
/** The auxiliary (load-balance) loss of the micro-batch of the last sm_pass_backward, by
 * logical shard: sum over its MoE layers and tokens t of coef * E * sum_i f_i p_ti /
 * n_tok_global.  The sum over all shards of the global batch is its auxiliary loss.
 * @param[out] aux [n_shard of a micro-batch]; 0 where there is none */
SM_API void sm_pass_aux_loss(const sm_pass *p, double *aux);

#ifdef __cplusplus
}
#endif
#endif
