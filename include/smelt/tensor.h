/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tensor (L3): the table of operations and the operations themselves, built on kern.
 *
 * Conventions.  Activations are f32, row-major, one row a token; a leading dimension (ld)
 * counts elements.  Operands of products are rounded when they are packed (sm_prod), so a
 * profile is chosen by handing in kern->bf16 or kern->f32.  "_rows" routines are serial
 * and take scratch from the caller: they are called from inside a sm_pool_run task and a
 * driver strings several together over one block of rows.  Routines that take a pool are
 * threaded over outputs by shape, so that results do not depend on the thread count.
 * Nothing here allocates unless it says so; nothing fails unless it returns sm_status.
 *
 * Order of every long sum (the determinism contract):
 *  - a weight gradient contracts over the tokens of ONE logical shard, ascending, in blocks
 *    of SM_TOKEN_BLOCK; shards are joined along a binary tree over shard index;
 *  - attention visits key blocks of SM_KEY_BLOCK, anchored at index 0 of the row, ascending
 *    within groups of SM_KEY_GROUP, which join along a binary tree over group index;
 *  - everything else is one row.
 */
#ifndef SMELT_TENSOR_H
#define SMELT_TENSOR_H

#include "smelt/base.h"
#include "smelt/kern.h"
#include "smelt/sys.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SM_TOKEN_BLOCK = 32, /* contraction block of weight gradients; part of the numerics  */
    SM_KEY_BLOCK = 64,   /* keys a step of online softmax; part of the numerics          */
    SM_KEY_GROUP = 1024, /* keys (backward: and queries) a chain; groups join along a tree;
                            part of the numerics                                         */
    SM_HEAD_ROWS = 128,  /* rows of the output head at once; not part of the numerics   */
    SM_ROW_BLOCK = 128,  /* rows a task takes at once; a multiple of SM_TOKEN_BLOCK; not
                            part of the numerics                                         */
    SM_EXPERT_ROWS = 160, /* rows of an expert that a task takes at most: some more, so
                            that a few rows over need no task of their own; a multiple of
                            SM_TOKEN_BLOCK; not part of the numerics                     */
    SM_RUN_ROWS = 512    /* rows of a weight gradient contracted by one product; a multiple
                            of SM_ROW_BLOCK; not part of the numerics                    */
};

/* ------------------------------------------------------ table of operations */

/** What the costs of an operation depend on; unused fields are 0. */
typedef struct sm_op_shape {
    double n_tok;               /* rows                                            */
    double n_out, n_in;         /* linear: y [n_tok, n_out] = x [n_tok, n_in] W^T  */
    double n_ctx;               /* attention: keys a query sees on average         */
    double n_head, n_kv_head, d_head;
    double n_expert, k_expert, n_vocab;
} sm_op_shape;

/** How an operation may be cut over ranks. */
enum {
    SM_SPLIT_TOKENS = 1,  /* rows are independent                                   */
    SM_SPLIT_OUT = 2,     /* columns of the output (tensor parallel, column)        */
    SM_SPLIT_IN = 4,      /* the contraction, in slices joined by a tree (sm_slices) */
    SM_SPLIT_HEADS = 8,   /* groups of heads that share a key head                  */
    SM_SPLIT_EXPERTS = 16 /* experts                                                */
};

/** One operation of the family.  The planner, the profiler and the FLOP counter read this
 * table, so that they cannot diverge from the drivers. */
typedef struct sm_op {
    const char *name;
    double (*flops_forward)(const sm_op_shape *s);
    double (*flops_backward)(const sm_op_shape *s);
    double (*bytes_moved)(const sm_op_shape *s); /* forward, activations and weights, f32 */
    double (*bytes_saved)(const sm_op_shape *s); /* kept for backward                     */
    const char *saved;      /* the tensors kept, by their names in the pass        */
    unsigned split;         /* SM_SPLIT_* flags                                    */
    const char *per_sample; /* how it yields one sequence's weight gradient         */
} sm_op;

/** The table; *n entries, static storage. */
SM_API const sm_op *sm_op_table(size_t *n);
/** Find by name; NULL when there is none. */
SM_API const sm_op *sm_op_find(const char *name);

/* ------------------------------------------------------------------ linear */

/** The products of a profile ("bf16/1", "f32/1"); NULL for another name. */
SM_API const sm_prod *sm_kern_prod(const sm_kern *kern, const char *profile);

/** Bytes of a packed weight [n_out, n_in] (64-byte aligned). */
SM_API size_t sm_weight_bytes(const sm_prod *prod, int64_t n_out, int64_t n_in);
/** Pack W as the B operand, threaded.  is_transposed false: B = W [n_out, n_in], for
 * y = x W^T.  true: B = W^T, for dx = dy W; the buffer has sm_weight_bytes(n_in, n_out). */
SM_API void sm_weight_pack(sm_pool *pool, const sm_prod *prod, void *dst, const float *w,
                           int64_t n_out, int64_t n_in, bool is_transposed);

/** One matrix to pack; `task0` is filled by sm_weight_pack_many. */
typedef struct sm_pack_job {
    void *dst;
    const sm_prod *prod;
    const float *w;
    int64_t n_out, n_in;
    bool is_transposed;
    int64_t ld; /* elements from a row of w to the next; 0: n_in */
    int64_t task0;
} sm_pack_job;
/** Rows of w that sm_weight_pack_rows takes begin at multiples of this. */
#define SM_PACK_UNIT 32
/** Pack what rows row0 .. row0 + n_row - 1 of w put into a job's panels, serial: row0 is a
 * multiple of SM_PACK_UNIT, so is n_row or the rows end there.  All rows in any order and by
 * any threads give the bytes of sm_weight_pack_many. */
SM_API void sm_weight_pack_rows(const sm_pack_job *job, int64_t row0, int64_t n_row);
/** Pack many matrices in one threaded loop. */
SM_API void sm_weight_pack_many(sm_pool *pool, sm_pack_job *job, int64_t n_job);

/** Bytes of scratch for the A operand of m rows of k. */
SM_API size_t sm_linear_scratch_bytes(const sm_prod *prod, int64_t m, int64_t k);
/** y [m, n] (+)= x [m, k] B^T, serial.  pb is a packed weight [n, k].  y must not overlap x.
 * With `accumulate` the product is chained onto y (that is how a residual is added). */
SM_API void sm_linear_rows(const sm_prod *prod, float *y, int64_t ldy, const float *x,
                           int64_t ldx, const void *pb, int64_t m, int64_t n, int64_t k,
                           bool accumulate, void *scratch);
/** The same, threaded over tiles of rows and columns; the same bits. */
SM_API void sm_linear(sm_pool *pool, const sm_prod *prod, float *y, int64_t ldy,
                      const float *x, int64_t ldx, const void *pb, int64_t m, int64_t n,
                      int64_t k, bool accumulate, void *scratch);

/* ------------------------------------------------------------------ slices */

enum {
    SM_SLICE_MAX = 64,
    SM_SLICE_RUN_MAX = 3,
    SM_SLICE_UNIT = 32 /* slices of a run begin at multiples of it */
};

/**
 * How a contraction over k is cut, so that ranks that hold a share of it each can keep the
 * bits of the whole.  k consists of n_run runs one after another (q|k|v, gate|up); slice s
 * is the s-th part of every run: of its b blocks of SM_SLICE_UNIT (the last one may be
 * shorter), blocks floor(s b / n) .. floor((s+1) b / n) - 1.  A slice is one chain from
 * +0; slices join along the binary tree over slice index; what the product is added to is
 * added to the root.  n <= 1: not cut, one chain over all of k, begun at what it is added
 * to.
 */
typedef struct sm_slices {
    int32_t n; /* a power of two <= SM_SLICE_MAX */
    int32_t n_run;
    int64_t run[SM_SLICE_RUN_MAX]; /* their sum is k */
} sm_slices;

/** The part of `run` that slice `slice` holds: its first index in k and its length. */
typedef struct sm_span {
    int64_t at, n;
} sm_span;
/** slice 0..n-1, run 0..n_run-1; the span may be empty. */
SM_API sm_span sm_slice_span(const sm_slices *c, int32_t slice, int32_t run);

/** A weight packed by slices: bytes, and the jobs that pack it (sm_sliced_n_jobs of them;
 * `whole` as for the uncut weight, with dst). */
SM_API size_t sm_sliced_weight_bytes(const sm_prod *prod, int64_t n_out,
                                     const sm_slices *c);
SM_API int64_t sm_sliced_n_jobs(const sm_slices *c);
SM_API int64_t sm_sliced_pack_jobs(sm_pack_job *job, const sm_pack_job *whole,
                                   const sm_slices *c);

/** y [m, n] (+)= x [m, k] B^T with k in slices. pb is packed by sm_sliced_pack_jobs. */
typedef struct sm_product {
    const sm_kern *kern;
    const sm_prod *prod;
    const sm_slices *cut;
    float *y;
    int64_t ldy;
    const float *x;
    int64_t ldx;
    const void *pb;
    int64_t m, n;
    bool accumulate;
} sm_product;
/** Bytes of scratch for m rows and so many threads (the rows of one thread: 1). */
SM_API size_t sm_sliced_scratch_bytes(const sm_prod *prod, int64_t m, const sm_slices *c,
                                      int n_threads);
/** Serial, with the scratch of one thread; and threaded over tiles: the same bits. */
SM_API void sm_sliced_rows(const sm_product *p, void *scratch);
SM_API void sm_sliced_linear(sm_pool *pool, const sm_product *p, void *scratch);

/** <x, y> of two rows: a dot a slice, joined along the tree.  One run. */
SM_API float sm_sliced_dot(const sm_kern *kern, const float *x, const float *y,
                           const sm_slices *c);
/** Cross-entropy of a row of logits (sm_kern.cross_entropy with grad_scale 1) whose sum of
 * exponentials is a sum a slice, joined along the tree.  One run. dx may be NULL or x. */
SM_API float sm_sliced_cross_entropy(const sm_kern *kern, float *dx, const float *x,
                                     int32_t target, float z_coef, const sm_slices *c);

/* -------------------------------------------------------- weight gradients */

/** Rows.  Groups (a shard; or one expert's rows in a shard) start at rows that are multiples
 * of SM_TOKEN_BLOCK.  A task works on a chunk of rows; what it packs starts a multiple of
 * SM_TOKEN_BLOCK after its group does.  A product contracts a run: at most SM_RUN_ROWS rows
 * of one group, so that C is read and written once for many of them. */
typedef struct sm_chunk {
    int32_t row0, n_row;
} sm_chunk;

/** The run that the row `row` of a group lies in.  @param group first row and rows */
SM_API sm_chunk sm_grad_run_of(sm_chunk group, int32_t row);
/** Bytes per SM_TOKEN_BLOCK rows of the packed operands of a weight gradient: the run
 * that starts at row r is packed at base + r / SM_TOKEN_BLOCK * unit. */
SM_API size_t sm_grad_unit_a(const sm_prod *prod, int64_t m);
SM_API size_t sm_grad_unit_b(const sm_prod *prod, int64_t n);
/** Pack `src` [c.n_row, m] (a chunk of dy, or of x) transposed, into its place in the run.
 * Chunks of a run may be packed in any order and by any threads. */
SM_API void sm_grad_pack_a(const sm_prod *prod, void *base, const float *src, int64_t ld,
                           sm_chunk c, sm_chunk run, int64_t m);
SM_API void sm_grad_pack_b(const sm_prod *prod, void *base, const float *src, int64_t ld,
                           sm_chunk c, sm_chunk run, int64_t n);

/** One weight gradient: dst [m, n] = tree over shards s of
 *   sum over runs first[s] .. first[s+1]-1 of  A_run^T B_run,
 * which `embed` makes a leaf of (the head's gradient, see there). */
typedef struct sm_grad_job {
    const sm_prod *prod;
    float *dst;            /* [m, n], overwritten                            */
    int64_t m, n;
    const void *a, *b;     /* packed runs                                    */
    const sm_chunk *run;   /* all runs                                       */
    const int32_t *first;  /* [n_shard + 1] indices into run                 */
    const struct sm_embed_grad *embed; /* NULL: the product is the leaf      */
    int64_t tile0;         /* filled by sm_grad_run                          */
} sm_grad_job;
/** Bytes of scratch a thread needs (tiles of the tree). */
SM_API size_t sm_grad_scratch_bytes(const sm_kern *kern, int64_t n_shard);
/** Run jobs, threaded over tiles of all of them.
 * @param n_shard a power of two
 * @param scratch [n_threads] blocks of sm_grad_scratch_bytes, 64-byte aligned
 * @return -1, or the lowest index of a job whose result holds a NaN or an infinity */
SM_API int64_t sm_grad_run(sm_pool *pool, const sm_kern *kern, sm_grad_job *job,
                           int64_t n_job, int64_t n_shard, void *scratch);

/** x [n_leaf][n] -> x[0] = tree sum over the leaves, overwriting them. n_leaf a power of 2. */
SM_API void sm_tree_sum(const sm_kern *kern, float *x, int64_t n_leaf, int64_t n,
                        int64_t stride);

/* -------------------------------------------------------------------- rope */

/** cos and sin [n_pos, d_head/2] of p * theta^(-2j/d_head), in double, then f32. */
SM_API void sm_rope_table(float *cos, float *sin, int64_t n_pos, int64_t d_head,
                          double theta);
/** Query temperature [n_pos]: 1 + scale * ln(1 + floor((p+1)/floor_at)). */
SM_API void sm_temp_table(float *temp, int64_t n_pos, double scale, double floor_at);

/** What happens to q and k of a layer between projection and attention. */
typedef struct sm_rotary {
    const float *cos, *sin; /* NULL: no rope on this layer                          */
    const float *temp;      /* NULL: off; multiplies q; not together with the norm  */
    bool is_interleaved;
    bool has_qk_norm;       /* weightless RMS norm per head after rope              */
    float norm_eps;
    int32_t n_head, n_kv_head, d_head;
} sm_rotary;
/** Apply to one token's q|k|v row at position pos, in place.
 * @param[out] r [n_head + n_kv_head] 1/rms of each head (has_qk_norm; else may be NULL) */
SM_API void sm_rotary_row(const sm_kern *kern, const sm_rotary *ro, float *qkv, float *r,
                          int64_t pos);
/** Backward, in place on the gradient of the row.
 * @param qkv the row that sm_rotary_row left;  @param tmp [d_head] scratch */
SM_API void sm_rotary_row_bwd(const sm_kern *kern, const sm_rotary *ro, float *dqkv,
                              const float *qkv, const float *r, int64_t pos, float *tmp);

/* --------------------------------------------------------------- attention */

/**
 * Keys and values of one sequence and one key head, packed by blocks of SM_KEY_BLOCK keys
 * anchored at index 0: block b holds keys b*64 .. b*64+63, the last one n_key - b*64 keys.
 *   k: B operand [keys of the block, d_head], block stride sm_attn_k_bytes
 *   v: B operand [d_head, keys of the block], block stride sm_attn_v_bytes
 * A KV cache keeps exactly these; when a key is appended its block is packed again from
 * the rows of k and v (n_key is what the last block was packed with).
 */
typedef struct sm_attn_kv {
    const void *k, *v;
    int64_t n_key; /* keys packed in all */
} sm_attn_kv;
/** Bytes of one packed block of keys, of values; 64-byte aligned. */
SM_API size_t sm_attn_k_bytes(const sm_prod *prod, int64_t d_head);
SM_API size_t sm_attn_v_bytes(const sm_prod *prod, int64_t d_head);
/** Pack one block: n_key (1..64) rows of k and v with leading dimension ld. */
SM_API void sm_attn_pack(const sm_prod *prod, void *k_block, void *v_block, const float *k,
                         const float *v, int64_t ld, int64_t n_key, int64_t d_head);

/** The first key that the query at `index` sees: same document, and with chunk > 0 the same
 * chunk of positions. It sees first..index. */
SM_API int32_t sm_attn_first(int32_t index, int32_t doc_start, int32_t chunk);

/**
 * Attention of up to SM_KEY_BLOCK query rows of one head.  For each key block ascending:
 *   (a, m, l, p) = attn_softmax(q k^T), which scales, and masks outside first[i]..index[i];
 *   o = o*a + p v  (p rounded by packing)
 * a chain for each key group; groups join along the tree over their index (sm_attn_join);
 * at the end o = o * (1/l).  A row's result depends on its own q, index and first and
 * on the keys and values first..index, not on which other rows are computed with it: blocks
 * that a row does not see change nothing.
 * @param[out] o [n_q, ldo]
 * @param[out] m, l  one a query with stride ml_stride (NULL: not kept)
 * @param index, first [n_q]  0 <= first[i] <= index[i] < keys packed
 */
typedef struct sm_attn_rows {
    const sm_kern *kern;
    const sm_prod *prod;
    int64_t d_head;
    float scale;
    float *o;
    int64_t ldo;
    const float *q;
    int64_t ldq;
    int64_t n_q;
    const int32_t *index, *first;
    sm_attn_kv kv;
    float *m, *l;
    int64_t ml_stride;
    bool is_part; /* leave o without * (1/l): the part of these keys, to be joined */
} sm_attn_rows;
/** @param n_key the most keys that kv may hold */
SM_API size_t sm_attn_scratch_bytes(const sm_prod *prod, int64_t d_head, int64_t n_key);
SM_API void sm_attn_forward_rows(const sm_attn_rows *a, void *scratch);

/** What some keys give one query: o [d] with weights exp(s - m), their sum l.  Absent, when
 * no key was seen: m = -inf and l = 0. */
typedef struct sm_attn_part {
    float *o, *m, *l;
} sm_attn_part;
/** a = the node over a (earlier keys) and b: an absent one gives way to the other; else
 *   m' = the larger m, a's on a tie;  wa = exp(m_a - m') (1 when equal), wb likewise;
 *   o = fma(wb, o_b, wa * o_a), l likewise. */
SM_API void sm_attn_join(const sm_kern *kern, const sm_attn_part *a,
                         const sm_attn_part *b, int64_t d);

/** A micro-batch of attention: n_seq rows of n_ctx tokens, row of a token is q|k|v. */
typedef struct sm_attn {
    const sm_kern *kern;
    const sm_prod *prod;
    int64_t n_seq, n_ctx, n_head, n_kv_head, d_head;
    int32_t chunk;            /* 0: all                                              */
    const int32_t *doc_start; /* [n_seq, n_ctx]                                      */
    float *qkv;               /* [n_seq*n_ctx, (n_head + 2 n_kv_head) d_head]        */
    float *o;                 /* [n_seq*n_ctx, n_head d_head]                        */
    float *m, *l;             /* [n_seq*n_ctx, n_head]                               */
    const float *d_o;         /* backward: gradient of o                             */
    float *dqkv;              /* backward: gradient of qkv, overwritten              */
    int64_t key_group0, n_key_group; /* backward over these key groups alone: their node of
                                 dq's tree, dk and dv of their keys; 0 groups: all   */
} sm_attn;
/** Bytes of scratch a thread needs; n_group = n_head / n_kv_head. */
SM_API size_t sm_attn_thread_bytes(const sm_prod *prod, int64_t n_ctx, int64_t n_group,
                                   int64_t d_head, bool backward);
/** Threaded over (sequence, key head).  Backward: the gradient of a query is a chain over the
 * key blocks of a key group, ascending; that of a key block a chain over the heads that
 * share it and, for each, the query blocks of a group of SM_KEY_GROUP queries, ascending.
 * Groups join along the binary tree over their index. */
SM_API void sm_attn_forward(sm_pool *pool, const sm_attn *a, void *scratch, size_t stride);
SM_API void sm_attn_backward(sm_pool *pool, const sm_attn *a, void *scratch, size_t stride);

/* ------------------------------------------------------------------ router */

/**
 * Choose the k best experts of each row by logit + bias (bias NULL: none); ties go to the
 * lower id, and a NaN comes after every number.  The bias takes part in the choice only.
 * is_sigmoid false: weight[t,:] = softmax over the k chosen logits (of the output);
 * is_sigmoid true:  weight[t,j] = sigmoid(logit) (of the expert's input).
 * @param[out] expert [n, k] best first; always valid ids, NaN logits included
 */
SM_API void sm_route_rows(const sm_kern *kern, int32_t *expert, float *weight,
                          const float *logit, const float *bias, int64_t n,
                          int32_t n_expert, int32_t k, bool is_sigmoid);

/** Gradient of the router's logits of one row.
 *   softmax: dlogit_j = w_j (dw_j - sum w dw);  sigmoid: dlogit = dw w (1-w)
 *   + p (g - <p, g>),  p = softmax(all logits), g [n_expert] = gradient of p (aux loss)
 *   + 2 z lse p
 * @param dweight [k];  @param g may be NULL (no aux); z = 0: no z-loss
 * @param[out] dlogit [n_expert];  @param tmp [n_expert]
 * @return <p, g>: the row's part of the auxiliary loss; 0 without one */
SM_API float sm_route_row_bwd(const sm_kern *kern, float *dlogit, const float *logit,
                              const int32_t *expert, const float *weight,
                              const float *dweight, const float *g, float z,
                              int32_t n_expert, int32_t k, bool is_sigmoid, float *tmp);
/** log sum exp of one row of logits. @param tmp [n] */
SM_API float sm_logsumexp_row(const sm_kern *kern, const float *x, int64_t n, float *tmp);

/**
 * Rows sorted by expert, then shard, then token, without gaps: group e * n_shard + s holds
 * shard s's tokens for expert e in order.  slot = token * k + choice.
 *
 * A task takes a chunk: rows of one expert, of as many shards as there are in it, because
 * only a weight gradient's contraction stops at a shard.  Its operands are packed at rows
 * of their own, packed0[g] on for group g, multiples of SM_TOKEN_BLOCK; inside a group a
 * chunk ends at a multiple of SM_TOKEN_BLOCK from the group's first row.
 * Buffers belong to the caller.
 */
typedef struct sm_perm {
    int32_t n_chunk;
    int32_t *row_slot;     /* [n_tok * k]                                              */
    int32_t *slot_row;     /* [n_tok * k]                                              */
    sm_chunk *chunk;       /* [sm_perm_max_chunk]                                      */
    int32_t *chunk_expert; /* [sm_perm_max_chunk]                                      */
    int32_t *row0;         /* [n_expert * n_shard + 1] first row of a group            */
    int32_t *packed0;      /* [n_expert * n_shard] first packed row of a group         */
} sm_perm;
/** Most rows that packed operands take: groups are padded to SM_TOKEN_BLOCK. */
SM_API int64_t sm_perm_max_packed(int64_t n_tok, int32_t k, int32_t n_expert,
                                  int64_t n_shard);
SM_API int64_t sm_perm_max_chunk(int64_t n_tok, int32_t k, int32_t n_expert);
/** @param expert [n_tok, k] in 0..n_expert-1  @param n_shard divides n_tok */
SM_API void sm_perm_build(sm_perm *p, const int32_t *expert, int64_t n_tok, int32_t k,
                          int32_t n_expert, int64_t n_shard);

/** The first rows of `rows` that one run holds: `packed`, where they are packed, as many
 * rows as there are; and the run.
 * @param[in,out] group where to look for rows.row0, at or before its own; then its own */
typedef struct sm_perm_piece {
    sm_chunk packed, run;
} sm_perm_piece;
/** Serial, allocates nothing; rows.n is at least 1. */
SM_API sm_perm_piece sm_perm_first_piece(const sm_perm *p, sm_chunk rows, int64_t *group);

/* --------------------------------------------------------------- embedding */

/** x[t] = w[token[t]], serial, for n rows. */
SM_API void sm_embed_rows(float *x, const float *w, const int32_t *token, int64_t n,
                          int64_t d);
/**
 * Gradient of the embedding, per shard then tree.  A leaf row v of shard s is
 *   scale * head[s][v]  (head NULL: +0)  + dx[t] for the shard's tokens t of id v, ascending.
 * Threaded over blocks of rows.  As `embed` of a weight gradient, whose product then is
 * head[s], it gives scale, dx, order, start, d and shard_tok alone.
 * @param[out] dw [n_vocab, d]
 * @param head [n_shard][n_vocab, d] unscaled gradient of a tied or separate output head
 * @param dx   [n_tok, d], NULL: none (separate head)
 * @param order, start  [n_tok], [n_vocab + 1]: tokens sorted by id (sm_embed_sort)
 * @param scratch [n_threads] rows of (1 + log2 n_shard) * d floats
 * @return false when a NaN or an infinity came out
 */
typedef struct sm_embed_grad {
    const sm_kern *kern;
    float *dw;
    const float *head, *dx;
    float scale;
    const int32_t *order, *start;
    int64_t n_vocab, d, n_shard, shard_tok;
} sm_embed_grad;
/** Sort the tokens by id, those of one id ascending: id v has order[start[v] ..
 * start[v+1]-1].  @param token [n_tok] in 0..n_vocab-1 */
SM_API void sm_embed_sort(int32_t *order, int32_t *start, const int32_t *token,
                          int64_t n_tok, int64_t n_vocab);
/** Bytes of scratch of one thread. */
SM_API size_t sm_embed_scratch_bytes(int64_t d, int64_t n_shard);
/** Compute it, as said above. */
SM_API bool sm_embed_grad_run(sm_pool *pool, const sm_embed_grad *g, void *scratch);

/* ------------------------------------------------- output head, cross-entropy */

/**
 * Logits, loss and (want_grad) gradients of the output head over blocks of rows; logits
 * exist for a block of rows.  Gradients are unscaled: of the SUM of losses.
 * dlogit = p - onehot (+ 2 z lse p).
 *   loss[t]   nats, 0 where target is -1
 *   dx [n_tok, d] = dlogit W;   dw[s] [n_vocab, d] = shard s's dlogit^T x
 * The operands of dw are packed a span of tokens at a time, so that memory is bounded
 * whatever the tokens; without dw those of all tokens stay for sm_grad_run, which joins the
 * shards tile by tile.  That takes less memory than dw where shards are short.
 */
typedef struct sm_head {
    const sm_kern *kern;
    const sm_prod *prod;
    int64_t n_vocab, d, n_shard, shard_tok;
    float z_coef;
    int32_t n_slice;       /* slices of the vocabulary; 0 or 1: not cut               */
    const void *w, *wt;    /* packed [n_vocab, d] and, for gradients, transposed (by
                              slices)                                                 */
    const float *x;        /* [n_tok, d] residual stream                              */
    const float *norm;     /* [d] final norm weight                                   */
    float norm_eps;
    const int32_t *target; /* [n_tok]                                                 */
    float *loss;           /* [n_tok]                                                 */
    float *r;              /* [n_tok] 1/rms of x                                      */
    float *dx;             /* NULL: loss only                                         */
    float *dw;             /* NULL: dlogit^T and x stay packed                        */
    void *dlogit_t, *norm_x; /* sm_grad_unit_a(n_vocab), sm_grad_unit_b(d) for each
                                SM_TOKEN_BLOCK of a span (without dw: of all tokens)  */
} sm_head;
/** Plus sm_sliced_scratch_bytes of SM_HEAD_ROWS rows when n_slice > 1. */
SM_API size_t sm_head_thread_bytes(const sm_prod *prod, int64_t n_vocab, int64_t d,
                                   bool want_grad);
/** Tokens of a span, n_tok at most. */
SM_API int64_t sm_head_span(int64_t n_vocab, int64_t n_tok);
SM_API void sm_head_run(sm_pool *pool, const sm_head *h, void *scratch, size_t stride);

#ifdef __cplusplus
}
#endif
#endif
