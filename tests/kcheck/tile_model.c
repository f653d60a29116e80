/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TDPBF16PS in integers.  A number is sign * mant * 2^exp; a sum is formed in 62 bits
 * with a sticky bit, rounded once to 24 bits by nearest even as if the exponent were
 * unbounded, and becomes zero when it is below 2^-126.
 */
#include "kcheck.h"

#define SM_TILE_MODEL "tile_model.h"
#include "x86/amx/tile.h"

enum { N_TILES = 8, MAX_ROWS = 16, ROW_BYTES = 64 };

static _Thread_local tile_config current;
static _Thread_local uint8_t tiles[N_TILES][MAX_ROWS][ROW_BYTES];

typedef struct number {
    bool negative;
    uint64_t mant; /* 0 is zero */
    int exp;
} number;

static const uint32_t QUIET_NAN = 0xffc00000u;

static bool is_nan(uint32_t u)
{
    return (u & 0x7fffffffu) > 0x7f800000u;
}

static bool is_inf(uint32_t u)
{
    return (u & 0x7fffffffu) == 0x7f800000u;
}

/* Denormals are zero. */
static number number_of(uint32_t u)
{
    int e = (int)(u >> 23 & 255u);
    return (number){u >> 31, e ? (u & 0x7fffffu) | 0x800000u : 0, e - 150};
}

/* Top bit to bit 61. */
static number normalized(number x)
{
    while (x.mant && !(x.mant >> 61)) {
        x.mant <<= 1;
        x.exp--;
    }
    return x;
}

static uint32_t rounded(number x)
{
    uint32_t sign = x.negative ? 0x80000000u : 0;
    if (!x.mant)
        return sign;
    while (x.mant >> 62) {
        x.mant = x.mant >> 1 | (x.mant & 1);
        x.exp++;
    }
    x = normalized(x);
    uint64_t kept = x.mant >> 38, rest = x.mant & ((UINT64_C(1) << 38) - 1);
    uint64_t half = UINT64_C(1) << 37;
    kept += rest > half || (rest == half && (kept & 1));
    int exp = x.exp + 38;
    if (kept >> 24) {
        kept >>= 1;
        exp++;
    }
    if (exp + 23 > 127)
        return sign | 0x7f800000u;
    if (exp + 23 < -126)
        return sign;
    return sign | (uint32_t)(exp + 150) << 23 | ((uint32_t)kept & 0x7fffffu);
}

static uint32_t sum_of(number x, number y)
{
    if (!x.mant && !y.mant)
        return x.negative && y.negative ? 0x80000000u : 0;
    if (!x.mant || !y.mant)
        return rounded(x.mant ? x : y);
    x = normalized(x);
    y = normalized(y);
    if (x.exp < y.exp || (x.exp == y.exp && x.mant < y.mant)) {
        number t = x;
        x = y;
        y = t;
    }
    int shift = x.exp - y.exp;
    uint64_t lost = shift == 0   ? 0
                    : shift > 61 ? y.mant
                                 : y.mant & ((UINT64_C(1) << shift) - 1);
    uint64_t aligned = (shift > 61 ? 0 : y.mant >> shift) | (lost != 0);
    if (x.negative == y.negative)
        x.mant += aligned;
    else if ((x.mant -= aligned) == 0)
        return 0;
    return rounded(x);
}

/* The float a*b + c, rounded once. */
static uint32_t model_fma(uint32_t a, uint32_t b, uint32_t c)
{
    number x = number_of(a), y = number_of(b), z = number_of(c);
    if (is_nan(a) || is_nan(b) || is_nan(c))
        return QUIET_NAN;
    if (is_inf(a) || is_inf(b)) {
        uint32_t sign = (a ^ b) & 0x80000000u;
        bool invalid = (is_inf(a) ? !y.mant && !is_inf(b) : !x.mant) ||
                       (is_inf(c) && (c & 0x80000000u) != sign);
        return invalid ? QUIET_NAN : sign | 0x7f800000u;
    }
    if (is_inf(c))
        return c;
    return sum_of((number){x.negative != y.negative, x.mant * y.mant, x.exp + y.exp}, z);
}

static uint32_t model_add(uint32_t a, uint32_t b)
{
    return model_fma(a, 0x3f800000u, b);
}

void kc_tile_configure(const tile_config *config)
{
    current = *config;
    memset(tiles, 0, sizeof tiles);
}

void kc_tile_release(void)
{
    current = (tile_config){0};
}

void kc_tile_zero(int t)
{
    memset(tiles[t], 0, sizeof tiles[t]);
}

void kc_tile_load(int t, const void *p, ptrdiff_t stride)
{
    kc_tile_zero(t);
    for (int r = 0; r < current.rows[t]; r++)
        memcpy(tiles[t][r], (const char *)p + r * stride, current.row_bytes[t]);
}

void kc_tile_store(int t, void *p, ptrdiff_t stride)
{
    for (int r = 0; r < current.rows[t]; r++)
        memcpy((char *)p + r * stride, tiles[t][r], current.row_bytes[t]);
}

static uint32_t bf16_at(int t, int row, int index)
{
    uint16_t h;
    memcpy(&h, &tiles[t][row][2 * index], sizeof h);
    return (uint32_t)h << 16;
}

void kc_tile_dot(int c, int a, int b)
{
    int pairs = current.row_bytes[a] / 4;
    for (int m = 0; m < current.rows[c]; m++)
        for (int n = 0; n < current.row_bytes[c] / 4; n++) {
            uint32_t even = 0, odd = 0, sum;
            for (int p = 0; p < pairs; p++) {
                even = model_fma(bf16_at(a, m, 2 * p), bf16_at(b, p, 2 * n), even);
                odd = model_fma(bf16_at(a, m, 2 * p + 1), bf16_at(b, p, 2 * n + 1), odd);
            }
            memcpy(&sum, &tiles[c][m][4 * n], sizeof sum);
            sum = model_add(sum, model_add(even, odd));
            memcpy(&tiles[c][m][4 * n], &sum, sizeof sum);
        }
}

/* Known values: exact sums, ties, the fused product above 2^128, the sliver below 2^-126,
 * signs of zero. */
int kc_check_tile_model(void)
{
    static const struct {
        float a, b, c;
        uint32_t want;
    } known[] = {
        {3.0f, 5.0f, 7.0f, 0x41b00000u},
        {0x1p64f, 0x1p64f, -0x1.fffffep127f, 0x73800000u},
        {0x1p64f, 0x1p64f, 0.0f, 0x7f800000u},
        {-0x1p-75f, 0x1p-75f, 0x1p-126f, 0},
        {-0x1p-76f, 0x1p-75f, 0x1p-126f, 0x00800000u},
        {1.0f, 0x1p-24f, 1.0f, 0x3f800000u},
        {0x1.02p0f, 0x1p-24f, 1.0f, 0x3f800001u},
        {1.0f, 0x1p-24f, 0x1.000002p0f, 0x3f800002u},
        {1.0f, -1.0f, 1.0f, 0},
        {-0.0f, 1.0f, -0.0f, 0x80000000u},
        {0x1p-100f, -0x1p-100f, -0.0f, 0x80000000u},
        {0x1p-130f, 0x1p100f, 2.0f, 0x40000000u},
    };
    int failures = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got =
            model_fma(sm_bits(known[i].a), sm_bits(known[i].b), sm_bits(known[i].c));
        if (got != known[i].want) {
            printf("FAIL tile model: fma(%a, %a, %a) = %08x, want %08x\n",
                   (double)known[i].a, (double)known[i].b, (double)known[i].c, got,
                   known[i].want);
            failures++;
        }
    }
    return failures;
}
