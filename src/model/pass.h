/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a pass: packed weights, saved activations of every slot, shared buffers.
 *
 * Names follow the equations; shapes are [rows, columns], T tokens of a micro-batch:
 *   x_l [T, d] input of layer l;  n1 = norm(x_l);  qkv = n1 Wqkv^T;  o = attention(qkv);
 *   h = x_l + o Wo^T;  n2 = norm(h);  gu = n2 Wgu^T;  a = silu(g) u;  x_{l+1} = h + a Wd^T
 * "t" after a packed weight's name: packed transposed, for the gradient of its input.
 */
#ifndef SM_PASS_H
#define SM_PASS_H

#include "smelt/model.h"
#include "smelt/sys.h"
#include "smelt/tensor.h"

/* A packed matrix; experts follow one another at `stride`.  cut_w and cut_t: the slices
 * that its contractions come in. */
typedef struct packed {
    char *w, *t;
    size_t stride_w, stride_t;
    sm_slices cut_w, cut_t;
} packed;

/* What packs a matrix of the weights (pass_pack.c). */
typedef struct pack_matrix {
    int64_t at, n_out, n_in; /* where in weight[], [n_out, n_in] */
    int64_t job0, n_job;
    bool by_rows; /* rows can be packed alone */
} pack_matrix;

typedef struct layer_weights {
    sm_layer_view view;
    const float *attn_norm, *ffn_norm;
    packed qkv, out, gate_up, down, router, expert_gate_up, expert_down;
} layer_weights;

/* What a layer's forward leaves for its backward. */
typedef struct layer_saved {
    float *qkv, *r_qk; /* after rope; 1/rms of heads (qk_norm)          */
    float *o, *m, *l;  /* attention output, softmax maximum and sum     */
    float *h, *gu;     /* gu of the dense FFN or of the shared expert   */
    float *logit, *weight;
    int32_t *expert; /* [T, k]                                        */
    sm_perm perm;
    float *egu; /* [T k, 2 d_expert] in the order of perm        */
} layer_saved;

/* Packed operands of the head's weight gradient. */
typedef struct head_packs {
    char *dlogit, *nf; /* dlogit^T and the final norm's output */
} head_packs;

typedef struct pass_slot {
    float **x;          /* [n_layer + 1]                                 */
    layer_saved *layer; /* [n_layer], all the same one under recompute   */
    float *loss, *r;    /* [T] token losses; 1/rms of the final norm     */
    float *dn;          /* [T, d] unscaled gradient of the final norm    */
    float *dhead;       /* [n_shard][n_vocab, d] unscaled, or NULL where */
    head_packs head;    /* its operands are kept instead                 */
} pass_slot;

/* Packed operands of weight gradients, filled while their rows are in cache. */
typedef struct grad_packs {
    char *dy, *act, *dgu, *n2, *dh, *o, *dqkv, *n1;
    char *dlogit, *n2_f32;
    char *edy, *eact, *edgu, *ex;
} grad_packs;

struct sm_pass {
    sm_ctx ctx;
    sm_pass_config c;
    const sm_prod *prod, *prod_f32;
    int n_thread;
    int64_t n_tok, n_shard, shard_tok, width_qkv, width_q;
    char *memory;
    size_t bytes;

    layer_weights *weights; /* [n_layer] */
    packed head;
    sm_pack_job *pack_job;
    int64_t n_pack_job;
    pack_matrix *pack_matrix; /* [n_pack_matrix] by `at` */
    int64_t n_pack_matrix;

    sm_chunk *chunk;    /* token chunks */
    sm_chunk *run;      /* runs of tokens that weight gradients contract */
    int32_t *run_first; /* [n_shard + 1] */
    int32_t n_chunk;
    struct {
        sm_chunk *run;  /* of the experts' packed rows, for one layer         */
        int32_t *first; /* [n_expert * n_shard + 1]                           */
    } expert_runs;
    int32_t *pos; /* [T] rope position of each token */
    float *rope_cos, *rope_sin, *temp;

    pass_slot *slot;
    float *n2, *ey; /* MoE: normed rows; expert outputs or their gradients */
    float *dx, *d_o, *dqkv, *dn2, *dweight;
    float *dgamma1, *dgamma2; /* [T/32, d] partial sums of norm gradients */
    grad_packs g;
    sm_grad_job *grad_job;
    int32_t *order, *start; /* tokens by id */
    float *aux_slope;       /* [n_expert] */
    float *aux;             /* [T] what each token adds to a layer's auxiliary loss */
    double *aux_sum;        /* [n_shard] over the layers of a backward */
    head_packs head_span;   /* of a span of tokens, where a slot has none */
    uint8_t *bad;           /* [2 n_layer + 1, n_chunk] where a norm saw NaN or inf */
    char *scratch;
    size_t scratch_stride;
};

/* One layer of one slot, handed to the tasks of a stage. */
typedef struct stage {
    sm_pass *p;
    const sm_batch *b;
    int32_t layer;
    const layer_weights *w;
    layer_saved *s;
    const float *x;
    float *y;
    bool is_recompute; /* stop when everything backward needs is there */
    float z;           /* router z-loss of one token */
    const float *aux_slope;
} stage;

/* A thread's scratch, cut up by the stage that runs. */
typedef struct scratch {
    char *at;
    sm_trace_span span; /* since the last part of the task ended */
} scratch;
scratch sm_pass_scratch(const sm_pass *p, int thread);
float *sm_scratch_floats(scratch *s, int64_t n);

/* p->bytes alone; and the memory, everything placed in it. */
sm_status sm_pass_size(sm_pass *p, sm_err *err);
sm_status sm_pass_plan(sm_pass *p, sm_err *err);

sm_rotary sm_pass_rotary(const sm_pass *p, const layer_weights *w);
sm_attn sm_pass_attn(const sm_pass *p, const stage *g);
sm_chunk sm_pass_chunk(const sm_pass *p, ptrdiff_t i);
sm_chunk sm_pass_run(const sm_pass *p, sm_chunk c);

void sm_pass_layer_forward(stage *g, int64_t *counts);
sm_status sm_pass_layer_backward(stage *g, float *grad, sm_err *err);

/* MoE half of a layer. */
void sm_pass_moe_forward(stage *g, int64_t *counts);
void sm_pass_moe_backward(stage *g);
int64_t sm_pass_moe_jobs(const stage *g, float *grad, sm_grad_job *job);

/* y (+)= x W^T of the rows of a chunk, in the slices of the weight; scratch from s->at. */
void sm_rows_out(const sm_pass *p, float *y, const float *x, const packed *w,
                 size_t expert, int64_t n_row, bool accumulate, scratch *s);
/* dx = dy W likewise. */
void sm_rows_in_bwd(const sm_pass *p, float *dx, const float *dy, const packed *w,
                    size_t expert, int64_t n_row, scratch *s);

/* Row stages that dense and MoE layers share. */
void sm_rows_attn_out(const stage *g, sm_chunk c, ptrdiff_t i, float *n2, scratch *s);
void sm_rows_ffn(const stage *g, sm_chunk c, const float *n2, scratch *s);
void sm_rows_ffn_bwd(const stage *g, sm_chunk c, const float *n2, float *dn2, scratch *s);
void sm_rows_ffn_norm_bwd(const stage *g, sm_chunk c, const float *dn2, scratch *s);
void sm_rows_attn_out_bwd(const stage *g, sm_chunk c, scratch *s);

/* Backward of the final norm into p->dx. */
typedef struct final_norm {
    sm_pass *p;
    const float *dn, *x, *norm;
    float scale;
} final_norm;
void sm_pass_final_norm_bwd(final_norm *f, float *dst);

sm_grad_job sm_pass_token_job(const sm_pass *p, float *dst, const char *a, int64_t m,
                              const char *b, int64_t n);

/* ------------------------------------------------ the event log, pass_trace.c */

typedef enum pass_part {
    PART_EMBED,
    PART_NORM,
    PART_QKV,
    PART_ROPE,
    PART_ATTENTION,
    PART_OUT,
    PART_ROUTER,
    PART_GATHER,
    PART_COMBINE,
    PART_GATE_UP,
    PART_SWIGLU,
    PART_DOWN,
    PART_EXPERT_GATE_UP,
    PART_EXPERT_SWIGLU,
    PART_EXPERT_DOWN,
    PART_HEAD
} pass_part;

void sm_pass_close(const stage *g, scratch *s, pass_part part, bool backward,
                   int64_t n_row);
void sm_pass_set_label(const sm_pass *p, pass_part part, bool backward);
void sm_pass_set_attention_label(const stage *g, bool backward);
void sm_pass_set_grads_label(const sm_pass *p, const char *name, const sm_grad_job *job,
                             int64_t n_job);
void sm_pass_set_pack_label(const sm_pass *p, int64_t job0, int64_t n_job);
/* The jobs added from here on pack this matrix. */
void sm_pass_begin_matrix(sm_pass *p, int64_t at, int64_t n_out, int64_t n_in);
/* When all matrices were named and their jobs added. */
void sm_pass_plan_packing(sm_pass *p);

/* A part of a task is done; the next one begins. */
static inline void part_done(const stage *g, scratch *s, pass_part part, int64_t n_row)
{
    if (s->span.trace)
        sm_pass_close(g, s, part, false, n_row);
}
static inline void part_bwd_done(const stage *g, scratch *s, pass_part part,
                                 int64_t n_row)
{
    if (s->span.trace)
        sm_pass_close(g, s, part, true, n_row);
}
/* `n` elements were packed for weight gradients. */
static inline void operands_done(scratch *s, int64_t n)
{
    sm_trace_lap(&s->span, "pack gradient operands", 0, 6 * (double)n);
}
/* The next loop of the pool is one part. */
static inline void label_part(const sm_pass *p, pass_part part, bool backward)
{
    if (p->ctx.trace)
        sm_pass_set_label(p, part, backward);
}

#endif
