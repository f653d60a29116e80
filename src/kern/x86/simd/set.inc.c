/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that the vector rungs override, the same list for each. */

static void set_vector_kernels(sm_kern *t)
{
    t->sum = sum;
    t->sumsq = sumsq;
    t->dot = dot;
    t->max = max_of;
    t->exp = exp_of;
    t->log = log_of;
    t->add = add;
    t->scale = scale;
    t->axpy = axpy;
    t->mul = mul;
    t->f32_to_bf16 = f32_to_bf16;
    t->bf16_to_f32 = bf16_to_f32;
    t->softmax = softmax;
    t->rmsnorm = rmsnorm;
    t->rmsnorm_bwd = rmsnorm_bwd;
    t->swiglu = swiglu;
    t->swiglu_bwd = swiglu_bwd;
    t->sigmoid = sigmoid;
    t->rope = rope;
    t->attn_softmax = attn_softmax;
    t->attn_softmax_bwd = attn_softmax_bwd;
    t->cross_entropy = cross_entropy;
    t->exp_sum = exp_sum;
    t->cross_entropy_bwd = cross_entropy_bwd;
    t->adamw = adamw;
}
