/* SPDX-License-Identifier: Apache-2.0 */
/* The reference as one translation unit, compiled once without and once with the FMA
 * instruction; SET_REF is the name of the function that fills the table. */
#include "ref/scalar.h"

#include "ref/reduce.inc.c"

#include "ref/norm.inc.c" /* uses the reductions */

#include "ref/attention.inc.c"
#include "ref/convert.inc.c"
#include "ref/elementwise.inc.c"
#include "ref/loss.inc.c"
#include "ref/optim.inc.c"
#include "ref/prod.inc.c"

void SET_REF(sm_kern *t)
{
    *t = (sm_kern){
        .rung = SM_RUNG_REF,
        .name = "ref",
        .bf16 = {"bf16/1", 1, NR, bytes_a, bytes_b, bytes_a, bytes_b, pack_a_bf16,
                 pack_b_bf16, gemm_bf16},
        .f32 = {"f32/1", 1, NR, bytes_a, bytes_b, bytes_a, bytes_b, pack_a_f32,
                pack_b_f32, gemm_f32},
        .sum = sum,
        .sumsq = sumsq,
        .dot = dot,
        .max = max_of,
        .exp = exp_of,
        .log = log_of,
        .add = add,
        .scale = scale,
        .axpy = axpy,
        .mul = mul,
        .f32_to_bf16 = f32_to_bf16,
        .bf16_to_f32 = bf16_to_f32,
        .softmax = softmax,
        .rmsnorm = rmsnorm,
        .rmsnorm_bwd = rmsnorm_bwd,
        .swiglu = swiglu,
        .swiglu_bwd = swiglu_bwd,
        .sigmoid = sigmoid,
        .rope = rope,
        .attn_softmax = attn_softmax,
        .attn_softmax_bwd = attn_softmax_bwd,
        .cross_entropy = cross_entropy,
        .exp_sum = exp_sum,
        .cross_entropy_bwd = cross_entropy_bwd,
        .adamw = adamw,
    };
}
