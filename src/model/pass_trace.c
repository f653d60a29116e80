/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pass tells the event log: names of its parts, and what they cost by the table of
 * operations.  A fused task laps its thread's span at the end of each part; a loop that is
 * one part is labelled.  The gradient of a weight is a part of its own, so the backward of
 * a product counts the product for its input alone.
 */
#include "pass.h"

typedef struct part_name {
    const char *name, *backward;
    const char *op; /* in sm_op_table */
} part_name;

static const part_name parts[] = {
    [PART_EMBED] = {"embed", "embed gradient", "embed"},
    [PART_NORM] = {"norm", "norm backward", "rmsnorm"},
    [PART_QKV] = {"qkv", "qkv backward", "linear"},
    [PART_ROPE] = {"rope", "rope backward", "rope"},
    [PART_ATTENTION] = {"attention", "attention backward", "attention"},
    [PART_OUT] = {"out", "out backward", "linear"},
    [PART_ROUTER] = {"router", "router backward", "route"},
    [PART_GATHER] = {"gather", "gather backward", "permute"},
    [PART_COMBINE] = {"combine", "combine backward", "permute"},
    [PART_GATE_UP] = {"gate_up", "gate_up backward", "linear"},
    [PART_SWIGLU] = {"swiglu", "swiglu backward", "swiglu"},
    [PART_DOWN] = {"down", "down backward", "linear"},
    [PART_EXPERT_GATE_UP] = {"expert gate_up", "expert gate_up backward",
                             "expert_linear"},
    [PART_EXPERT_SWIGLU] = {"expert swiglu", "expert swiglu backward", "swiglu"},
    [PART_EXPERT_DOWN] = {"expert down", "expert down backward", "expert_linear"},
    [PART_HEAD] = {"head and loss", "head and loss", "linear"},
};

/* n_out and n_in of a product; n_out of what has one width. */
static void set_widths(sm_op_shape *s, pass_part part, const sm_model_config *m,
                       double d_ff)
{
    double d = m->d_model, q = (double)m->n_head * m->d_head;
    double kv = 2.0 * m->n_kv_head * m->d_head;
    switch (part) {
    case PART_QKV:
        s->n_out = q + kv, s->n_in = d;
        break;
    case PART_OUT:
        s->n_out = d, s->n_in = q;
        break;
    case PART_GATE_UP:
        s->n_out = 2 * d_ff, s->n_in = d;
        break;
    case PART_SWIGLU:
        s->n_out = d_ff;
        break;
    case PART_DOWN:
        s->n_out = d, s->n_in = d_ff;
        break;
    case PART_EXPERT_GATE_UP:
        s->n_out = 2.0 * m->d_expert, s->n_in = d;
        break;
    case PART_EXPERT_SWIGLU:
        s->n_out = m->d_expert;
        break;
    case PART_EXPERT_DOWN:
        s->n_out = d, s->n_in = m->d_expert;
        break;
    case PART_HEAD:
        s->n_out = m->n_vocab, s->n_in = d;
        break;
    default:
        s->n_out = d;
        break;
    }
}

static sm_op_shape shape_of(pass_part part, const sm_model_config *m, double d_ff,
                            double n_row)
{
    sm_op_shape s = {.n_tok = n_row,
                     .n_head = m->n_head,
                     .n_kv_head = m->n_kv_head,
                     .d_head = m->d_head,
                     .n_expert = m->n_expert,
                     .k_expert = part == PART_GATHER ? 1 : m->k_expert,
                     .n_vocab = m->n_vocab};
    set_widths(&s, part, m, d_ff);
    return s;
}

typedef struct cost {
    const char *name;
    double flops, bytes;
} cost;

static cost cost_of(pass_part part, bool backward, const sm_op_shape *s)
{
    const sm_op *op = sm_op_find(parts[part].op);
    bool is_product = s->n_in > 0;
    cost c = {backward ? parts[part].backward : parts[part].name, 0, op->bytes_moved(s)};
    c.flops = backward && !is_product ? op->flops_backward(s) : op->flops_forward(s);
    if (part == PART_ROUTER) /* its product is part of it */
        c.flops += 2 * s->n_tok * s->n_out * s->n_expert;
    return c;
}

void sm_pass_close(const stage *g, scratch *s, pass_part part, bool backward,
                   int64_t n_row)
{
    double d_ff = (double)g->w->view.d_ff;
    sm_op_shape shape = shape_of(part, &g->p->c.model->config, d_ff, (double)n_row);
    if (shape.n_out <= 0) /* the layer has no such part */
        return;
    cost c = cost_of(part, backward, &shape);
    if (part == PART_ROPE && !g->w->view.has_rope)
        c.flops = c.bytes = 0;
    sm_trace_close(&s->span, c.name, 1, c.flops, c.bytes);
}

void sm_pass_set_label(const sm_pass *p, pass_part part, bool backward)
{
    sm_op_shape s = shape_of(part, &p->c.model->config, 0, (double)p->n_tok);
    cost c = cost_of(part, backward, &s);
    if (part == PART_HEAD) { /* logits, loss, gradients of input and weight */
        c.flops = sm_op_find("cross_entropy")->flops_forward(&s) +
                  (p->c.backward ? 2 + (p->slot->dhead != NULL) : 1) * c.flops;
        c.bytes = sm_op_find("cross_entropy")->bytes_moved(&s);
    }
    sm_trace_set_label(p->ctx.trace, c.name, c.flops, c.bytes);
}

/* Keys that the queries of the batch see, counted. */
static double n_keys(const sm_pass *p, const stage *g, int32_t chunk)
{
    double n = 0;
    for (int64_t t = 0; t < p->n_tok; t++) {
        int32_t at = (int32_t)(t % p->c.n_ctx);
        n += at - sm_attn_first(at, g->b->doc_start[t], chunk) + 1;
    }
    return n;
}

void sm_pass_set_attention_label(const stage *g, bool backward)
{
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_op_shape s = shape_of(PART_ATTENTION, m, 0, (double)p->n_tok);
    s.n_ctx = n_keys(p, g, g->w->view.has_rope ? m->attn_chunk : 0) / (double)p->n_tok;
    cost c = cost_of(PART_ATTENTION, backward, &s);
    sm_trace_set_label(p->ctx.trace, c.name, c.flops, c.bytes);
}

void sm_pass_set_grads_label(const sm_pass *p, const char *name, const sm_grad_job *job,
                             int64_t n_job)
{
    double flops = 0, bytes = 0;
    for (int64_t j = 0; j < n_job; j++) {
        double rows = 0, m = (double)job[j].m, n = (double)job[j].n;
        for (int32_t i = job[j].first[0]; i < job[j].first[p->n_shard]; i++)
            rows += job[j].run[i].n_row;
        flops += 2 * m * n * rows;
        bytes += 4 * (m * n + rows * (m + n));
    }
    sm_trace_set_label(p->ctx.trace, name, flops, bytes);
}

void sm_pass_set_pack_label(const sm_pass *p, int64_t job0, int64_t n_job)
{
    double n = 0;
    for (int64_t i = job0; i < job0 + n_job; i++)
        n += (double)p->pack_job[i].n_out * (double)p->pack_job[i].n_in;
    sm_trace_set_label(p->ctx.trace, "pack weights", 0, 6 * n);
}
