/* SPDX-License-Identifier: Apache-2.0 */
/* base: errors, checked sizes, buffers, arenas, random bits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "smelt/base.h"

static void errors_carry_context_on_one_line(void **state)
{
    (void)state;
    sm_err e;
    assert_int_equal(sm_fail(&e, SM_EINVAL, "k=%d,\nwant 1..%d", 0, 8), SM_EINVAL);
    assert_string_equal(e.msg, "k=0, want 1..8");
    assert_int_equal(sm_fail_context(&e, SM_EINVAL, "run.yaml:3:5: "), SM_EINVAL);
    assert_string_equal(e.msg, "run.yaml:3:5: k=0, want 1..8");
    sm_fail(&e, SM_EINVAL, "model: n_head: got 3");
    sm_fail_context(&e, SM_EINVAL, "train: %s: ", "model"); /* says it once */
    assert_string_equal(e.msg, "train: model: n_head: got 3");
    sm_fail_context(&e, SM_EINVAL, "train: ");
    assert_string_equal(e.msg, "train: model: n_head: got 3");
    sm_fail_context(&e, SM_EINVAL, "rain: ");
    assert_string_equal(e.msg, "rain: train: model: n_head: got 3");
    sm_fail_context(&e, SM_EINVAL, "a b");
    sm_fail_context(&e, SM_EINVAL, ": ");
    assert_string_equal(e.msg, ": a brain: train: model: n_head: got 3");
    sm_fail(&e, SM_EINVAL, "%s", "");
    sm_fail_context(&e, SM_EINVAL, "x: ");
    assert_string_equal(e.msg, "x: ");
    assert_int_equal(sm_fail_errno(&e, ENOSPC, "x"), SM_ENOSPC);
    assert_int_equal(sm_fail_errno(NULL, ENOENT, "x"), SM_ENOENT);
    assert_string_equal(sm_status_name(SM_ENUMERIC), "ENUMERIC");
    assert_string_equal(sm_status_name((sm_status)-99), "EUNKNOWN");
}

/* Bytes that are no text, and a cut in the middle of a character. */
static void errors_are_utf8(void **state)
{
    (void)state;
    sm_err e;
    char want[SM_ERR_MAX], text[2 * SM_ERR_MAX];
    sm_fail(&e, SM_EINVAL, "bad\xff/%.1s: caf\xC3\xA9", "\xC3\xA9");
    assert_string_equal(e.msg, "bad\xEF\xBF\xBD/\xEF\xBF\xBD: caf\xC3\xA9");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '\xA9' : '\xC3';
    text[sizeof text - 2] = 0;
    memcpy(want, text, sizeof want);
    want[SM_ERR_MAX - 2] = 0; /* room for 511 bytes, 255 characters */
    sm_fail(&e, SM_EINVAL, "%s", text);
    assert_string_equal(e.msg, want);
    sm_fail_context(&e, SM_EINVAL, "x: ");
    assert_int_equal(sm_utf8_valid_prefix(e.msg, strlen(e.msg)), strlen(e.msg));
    assert_int_equal(strlen(e.msg), 511);
    sm_fail_errno(&e, ENOENT, "%s", text);
    assert_string_equal(e.msg + 510, ":");
}

static void copies_are_cut_between_characters(void **state)
{
    (void)state;
    char out[6] = "zzzzz";
    assert_int_equal(sm_utf8_copy_printable(out, 1, "a"), 0);
    assert_string_equal(out, "");
    assert_int_equal(sm_utf8_copy_printable(out, sizeof out, "abc\xE2\x82\xAC"), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(sm_utf8_copy_printable(out, sizeof out, "ab\xff"), 5);
    assert_string_equal(out, "ab\xEF\xBF\xBD");
    assert_int_equal(sm_utf8_copy_printable(out, sizeof out, "abc\xff"), 3);
}

/* ECMA-48: ESC [ and U+009B begin a control sequence, ESC ] and BEL a window's title. */
static void nothing_quoted_drives_a_terminal(void **state)
{
    (void)state;
    static const char hostile[] = "a\x1b[2Jb\xC2\x9B"
                                  "1mc\x7f\x07\td\xC3\xA9\r\n";
#define BAD "\xEF\xBF\xBD"
    sm_err e = {0};
    sm_buf b = {0};
    sm_fail(&e, SM_EINVAL, "%s", hostile);
    assert_string_equal(e.msg, "a" BAD "[2Jb" BAD "1mc" BAD BAD "\td\xC3\xA9  ");
    sm_fail_context(&e, SM_EINVAL, "%s", "\x1b: ");
    assert_memory_equal(e.msg, BAD ": a", 6);
    assert_true(sm_utf8_put_printable(&b, hostile, strlen(hostile)));
    assert_string_equal(b.data, "a" BAD "[2Jb" BAD "1mc" BAD BAD "\td\xC3\xA9" BAD "\n");
#undef BAD
    sm_buf_free(&b);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t r = 7;
    assert_true(sm_mul_size(&r, 3, 5));
    assert_int_equal(r, 15);
    assert_false(sm_mul_size(&r, SIZE_MAX, 2));
    assert_false(sm_add_size(&r, SIZE_MAX, 1));
    assert_null(sm_realloc(NULL, SIZE_MAX, 8));
}

static void buffer_grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    sm_buf b = {.max = 100};
    for (int i = 0; i < 100; i++)
        assert_true(sm_buf_putc(&b, 'a'));
    assert_false(sm_buf_putc(&b, 'b'));
    assert_true(b.failed);
    assert_int_equal(b.len, 100);
    assert_int_equal(strlen(b.data), 100);
    sm_buf_clear(&b);
    assert_true(sm_buf_printf(&b, "%d %s", 12, "x"));
    assert_string_equal(b.data, "12 x");
    sm_buf_free(&b);
}

static void empty_buffer_is_a_string(void **state)
{
    (void)state;
    sm_buf b = {0};
    assert_true(sm_buf_puts(&b, ""));
    assert_string_equal(b.data, "");
    sm_buf_free(&b);
}

static void arena_respects_cap_and_marks(void **state)
{
    (void)state;
    sm_arena *a;
    assert_int_equal(sm_arena_create(&a, 8 << 20, NULL), SM_OK);
    char *x = sm_arena_alloc(a, 100);
    assert_non_null(x);
    assert_int_equal((uintptr_t)x % 64, 0);
    size_t mark = sm_arena_mark(a);
    assert_non_null(sm_arena_alloc(a, 3 << 20));
    assert_null(sm_arena_alloc(a, 6 << 20));
    sm_arena_release(a, mark);
    assert_int_equal(sm_arena_mark(a), mark);
    assert_non_null(sm_arena_alloc(a, 6 << 20));
    assert_true(sm_arena_peak_bytes(a) >= (6 << 20));
    sm_arena_free(a);
}

/* Vectors of the Random123 distribution for Philox4x32-10. */
static void philox_matches_published_vectors(void **state)
{
    (void)state;
    uint32_t out[4];
    const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    sm_rng_block(out, 0, 0, 0, 0);
    assert_memory_equal(out, zero, sizeof out);
    sm_rng_block(out, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX);
    assert_memory_equal(out, ones, sizeof out);
    sm_rng_block(out, UINT64_C(0x299f31d0a4093822), 0x03707344, 0x13198a2e,
                 UINT64_C(0x85a308d3243f6a88));
    assert_memory_equal(out, pi, sizeof out);
}

static void below_is_in_range_and_spread(void **state)
{
    (void)state;
    int64_t seen[7] = {0};
    for (uint64_t i = 0; i < 70000; i++)
        seen[sm_rng_below(7, 1, SM_STREAM_TEST, 0, i)]++;
    double chi2 = 0;
    for (int k = 0; k < 7; k++)
        chi2 += (double)(seen[k] - 10000) * (double)(seen[k] - 10000) / 10000;
    assert_true(chi2 < 22.5); /* 6 degrees of freedom, p = 0.001 */
    uint64_t big = UINT64_C(1) << 63;
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(sm_rng_below(big, 2, SM_STREAM_TEST, 0, i) < big);
}

/* Moments of the standard normal: 0, 1, 0, 3 within four standard errors (the fourth moment
 * of a sum of twelve uniforms is 2.9). */
static void normal_has_the_right_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    double m[5] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = sm_rng_normal(3, SM_STREAM_TEST, 0, i), p = x;
        for (int k = 1; k <= 4; k++, p *= x)
            m[k] += p / N;
    }
    assert_true(m[1] > -0.009 && m[1] < 0.009);
    assert_true(m[2] > 0.987 && m[2] < 1.013);
    assert_true(m[3] > -0.035 && m[3] < 0.035);
    assert_true(m[4] > 2.8 && m[4] < 3.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_context_on_one_line),
        cmocka_unit_test(errors_are_utf8),
        cmocka_unit_test(copies_are_cut_between_characters),
        cmocka_unit_test(nothing_quoted_drives_a_terminal),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(buffer_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(empty_buffer_is_a_string),
        cmocka_unit_test(arena_respects_cap_and_marks),
        cmocka_unit_test(philox_matches_published_vectors),
        cmocka_unit_test(below_is_in_range_and_spread),
        cmocka_unit_test(normal_has_the_right_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
