/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 is the upper half of a float.  Rounding to it is to nearest even, flushes
 * denormals to zero and quiets NaN, which is what vcvtneps2bf16 does whatever MXCSR says.
 */

static void f32_to_bf16(uint16_t *y, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = to_bf16(x[i]);
}

static void bf16_to_f32(float *y, const uint16_t *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = from_bf16(x[i]);
}
