/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix to be packed; included after a vec.h. */
#ifndef SMELT_KERN_SIMD_MATRIX_H
#define SMELT_KERN_SIMD_MATRIX_H

typedef struct matrix {
    const void *data;
    sm_dtype type;
    ptrdiff_t rows, k, row_stride, col_stride; /* element (i,p) at i*row + p*col */
} matrix;

/* `count` (<= W, may be <= 0) contiguous elements as floats, zeros behind. */
static inline vf load_part(const matrix *s, ptrdiff_t index, ptrdiff_t count)
{
    if (count <= 0)
        return vzero();
    return s->type == SM_BF16 ? get_bf16((const uint16_t *)s->data + index, count)
                              : get((const float *)s->data + index, count);
}

#endif
