/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 and the pretokenizers, the latter against PCRE2 running the published regular
 * expressions.
 * libs: PkgConfig::PCRE2
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include <cmocka.h>

#include "pretok.h"
#include "smelt/sys.h"

/* White_Space; PCRE2's own \s has U+180E besides, which left the property in 6.3. */
#define WS                                                                      \
    "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}" \
    "\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define U "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define W "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define APOSTROPHE "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

static const char *const PATTERN[] = {
    [SM_PRETOK_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+"
                       "| ?[^" WS "\\p{L}\\p{N}]+|[" WS "]+(?![^" WS "])|[" WS "]+",
    [SM_PRETOK_O200K] =
        "[^\\r\\n\\p{L}\\p{N}]?" U "*" W "+" APOSTROPHE "?"
        "|[^\\r\\n\\p{L}\\p{N}]?" U "+" W "*" APOSTROPHE "?"
        "|\\p{N}{1,3}| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|[" WS "]*[\\r\\n]+"
        "|[" WS "]+(?![^" WS "])|[" WS "]+",
    [SM_PRETOK_LLAMA3] =
        APOSTROPHE "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                   "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+"
                   "|[" WS "]+(?![^" WS "])|[" WS "]+",
    [SM_PRETOK_CL100K] = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++"
                         "|\\p{N}{1,3}+| ?[^" WS "\\p{L}\\p{N}]++[\\r\\n]*+|[" WS "]++\\z"
                         "|[" WS "]*[\\r\\n]|[" WS "]+(?![^" WS "])|[" WS "]",
};
enum { N_KIND = 4, N_RANDOM = 20000, MAX_CP = 24 };

typedef struct fixture {
    sm_uclass *t;
    pcre2_code *re[N_KIND];
    pcre2_code *assigned; /* a character that PCRE2's Unicode version knows */
    pcre2_match_data *match;
} fixture;

static pcre2_code *compile(const char *pattern)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    assert_non_null(re);
    pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
    return re;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(sm_uclass_create(&f->t, NULL), SM_OK);
    for (int k = 0; k < N_KIND; k++)
        f->re[k] = compile(PATTERN[k]);
    f->assigned = compile("^[^\\p{Cn}\\p{Cs}]");
    f->match = pcre2_match_data_create(4, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int k = 0; k < N_KIND; k++)
        pcre2_code_free(f->re[k]);
    pcre2_code_free(f->assigned);
    pcre2_match_data_free(f->match);
    sm_uclass_free(f->t);
    free(f);
    return 0;
}

/* Both must cut s at the same places; a failure shows the text. */
static void compare(const fixture *f, int kind, const char *s, size_t n)
{
    size_t pos = 0;
    while (pos < n) {
        int rc = pcre2_match(f->re[kind], (PCRE2_SPTR)s, n, pos, PCRE2_NO_UTF_CHECK,
                             f->match, NULL);
        assert_true(rc > 0);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(f->match);
        assert_int_equal(o[0], pos);
        size_t end = sm_pretok_next(f->t, (sm_pretokenizer)kind, s, n, pos);
        if (end != o[1]) {
            print_error("pretokenizer %d at %zu: got %zu, want %zu in:", kind, pos, end,
                        (size_t)o[1]);
            for (size_t i = 0; i < n && n < 200; i++)
                print_error(" %02x", (unsigned char)s[i]);
            print_error("\n");
        }
        assert_int_equal(end, o[1]);
        pos = end;
    }
}

/* Characters on which the expressions turn, drawn more often than the rest. */
static const uint32_t TRICKY[] = {
    ' ',    ' ',    '\t',    '\n',     '\r', '\'',  '\'',  's',    'S',    'l',
    'L',    'v',    'e',     'E',      'r',  'd',   'm',   't',    0x17F,  '/',
    '1',    '2',    '9',     '!',      '-',  'A',   'z',   0x4E2D, 0x301,  0x20DD,
    0x1C5,  0x2B0,  0x660,   0x2160,   0xBD, 0x85,  0xA0,  0x2028, 0x3000, 0x180E,
    0x200B, 0xFEFF, 0x1F600, 0x10FFFF, 0xAD, 0x5D0, 0x915, 0x93F,  0xDF,   0x130};

/* Whether both Unicode versions have assigned cp: each library brings its own. */
static bool is_assigned(const fixture *f, uint32_t cp)
{
    char s[4];
    size_t n = (size_t)sm_utf8_encode(s, cp);
    if (n == 0 || utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_CN)
        return false;
    return pcre2_match(f->assigned, (PCRE2_SPTR)s, n, 0, 0, f->match, NULL) > 0;
}

static uint32_t random_cp(const fixture *f, uint64_t i, uint32_t step)
{
    uint32_t r[4];
    sm_rng_block(r, 7, SM_STREAM_TEST, step, i);
    if (r[0] % 4 != 0)
        return TRICKY[r[1] % (sizeof TRICKY / sizeof TRICKY[0])];
    static const uint32_t PLANES[] = {0x3000, 0x3000, 0x10000, 0x20000};
    for (uint32_t k = 0;; k++) {
        uint32_t cp = (r[2] + k) % PLANES[r[3] % 4];
        if (is_assigned(f, cp))
            return cp;
    }
}

static void random_text_matches_pcre2(void **state)
{
    const fixture *f = *state;
    for (uint32_t step = 0; step < N_RANDOM; step++) {
        char s[4 * MAX_CP];
        size_t n = 0;
        uint64_t count = 1 + sm_rng_below(MAX_CP, 7, SM_STREAM_TEST, step, 1000);
        for (uint64_t i = 0; i < count; i++)
            n += (size_t)sm_utf8_encode(s + n, random_cp(f, i, step));
        for (int kind = 0; kind < N_KIND; kind++)
            compare(f, kind, s, n);
    }
}

static void every_code_point_has_the_class_of_pcre2(void **state)
{
    const fixture *f = *state;
    size_t n_seen = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        if (!is_assigned(f, cp))
            continue;
        char s[16] = {'A'};
        size_t n = 1 + (size_t)sm_utf8_encode(s + 1, cp);
        s[n++] = 'a';
        compare(f, SM_PRETOK_O200K, s, n);
        n_seen++;
    }
    assert_true(n_seen > 140000);
    assert_true(strtol(sm_unicode_version(), NULL, 10) >= 13);
}

static void corpus_matches_pcre2(void **state)
{
    static const char *const FILES[] = {
        "/../shared/data/text-tinyshakespeare/input.txt",
        "/../shared/data/tok-llamacpp-vectors/ggml-vocab-gpt-2.gguf.inp",
        "/../shared/data/num-unicode/sentencepiece/botchan.txt",
        "/../shared/data/num-unicode/NormalizationTest.txt"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        char path[512], *text;
        size_t len;
        snprintf(path, sizeof path, "%s%s", SMELT_SOURCE_DIR, FILES[i]);
        if (sm_file_read(&text, &len, path, 0, NULL) != SM_OK) {
            print_message("skipped: %s is absent\n", path);
            continue;
        }
        len = sm_utf8_valid_prefix(text, len);
        for (int kind = 0; kind < N_KIND; kind++)
            compare(f, kind, text, len < 1000000 ? len : 1000000);
        free(text);
    }
}

static void long_s_is_an_s(void **state)
{
    const fixture *f = *state;
    static const char S[] = "it'\xC5\xBF ok";
    assert_int_equal(sm_pretok_next(f->t, SM_PRETOK_O200K, S, sizeof S - 1, 0), 5);
    assert_int_equal(sm_pretok_next(f->t, SM_PRETOK_LLAMA3, S, sizeof S - 1, 2), 5);
    assert_int_equal(sm_pretok_next(f->t, SM_PRETOK_GPT2, S, sizeof S - 1, 2), 3);
}

/* What is read from a file is what the expression says: each spelling against PCRE2, where
 * \s is White_Space and $ the end of the text, on texts of blanks above all. */
static void every_spelling_is_cut_as_it_says(void **state)
{
    const fixture *f = *state;
    const char *const SPELLED[] = {
        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|"
        "\\s+(?!\\S)|\\s",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+|"
        " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
        sm_pretok_regex(SM_PRETOK_GPT2),
        sm_pretok_regex(SM_PRETOK_O200K),
        sm_pretok_regex(SM_PRETOK_LLAMA3),
        sm_pretok_regex(SM_PRETOK_CL100K)};
    static const char CHARS[] = " \n\r\ta1!";
    for (size_t k = 0; k < sizeof SPELLED / sizeof SPELLED[0]; k++) {
        sm_pretokenizer kind;
        int code;
        PCRE2_SIZE at;
        assert_true(sm_pretok_from_regex(&kind, SPELLED[k]));
        fixture g = *f;
        g.re[kind] =
            pcre2_compile((PCRE2_SPTR)SPELLED[k], PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
        assert_non_null(g.re[kind]);
        for (int i = 0; i < 7 * 7 * 7 * 7 * 7; i++) { /* all texts of five characters */
            char s[5];
            for (int j = 0, x = i; j < 5; j++, x /= 7)
                s[j] = CHARS[x % 7];
            compare(&g, (int)kind, s, sizeof s);
        }
        pcre2_code_free(g.re[kind]);
    }
}

/* Possessive quantifiers and $ mean other things to Oniguruma, which Hugging Face's tokenizers
 * run, and nothing to JavaScript. */
static void what_is_written_means_the_same_to_every_engine(void **state)
{
    (void)state;
    static const char *const DIFFER[] = {"?+", "*+", "++", "3}+", "$"};
    for (int kind = 0; kind < N_KIND; kind++)
        for (size_t i = 0; i < sizeof DIFFER / sizeof DIFFER[0]; i++)
            assert_null(strstr(sm_pretok_regex((sm_pretokenizer)kind), DIFFER[i]));
}

static void any_bytes_are_cut_without_loss(void **state)
{
    const fixture *f = *state;
    for (uint32_t step = 0; step < 5000; step++) {
        uint32_t r[8];
        sm_rng_block(r, 9, SM_STREAM_TEST, step, 0);
        sm_rng_block(r + 4, 9, SM_STREAM_TEST, step, 1);
        const char *s = (const char *)r;
        for (int kind = 0; kind < N_KIND; kind++) {
            size_t pos = 0, n = step % (sizeof r + 1);
            while (pos < n) {
                size_t end = sm_pretok_next(f->t, (sm_pretokenizer)kind, s, n, pos);
                assert_true(end > pos && end <= n);
                pos = end;
            }
        }
    }
}

/* Each of these makes a careless scanner quadratic: 4 MB must still take well under a
 * second of the processor's time, a sanitizer's share aside (2e12 steps would not). */
static void hostile_text_takes_linear_time(void **state)
{
    static const char *const UNIT[] = {" ",
                                       "\n ",
                                       "a",
                                       "A",
                                       "'",
                                       "\xE4\xB8\xAD"
                                       "A",
                                       "\xCC\x81"
                                       "A",
                                       "1",
                                       "\t",
                                       "'s",
                                       "/\n",
                                       "\xFF",
                                       "\xCC\x81",
                                       " \xE3\x80\x80",
                                       "\n",
                                       "! "};
    const fixture *f = *state;
    size_t n = 4000000;
    char *s = malloc(n);
    assert_non_null(s);
    clock_t begin = clock();
    for (size_t u = 0; u < sizeof UNIT / sizeof UNIT[0]; u++) {
        size_t k = strlen(UNIT[u]), used = n / k * k;
        for (size_t i = 0; i < used; i++)
            s[i] = UNIT[u][i % k];
        if (used > 0)
            s[used - 1] = 'x';
        for (int kind = 0; kind < N_KIND; kind++)
            for (size_t pos = 0; pos < used;)
                pos = sm_pretok_next(f->t, (sm_pretokenizer)kind, s, used, pos);
    }
    free(s);
    assert_true(clock() - begin < 60 * CLOCKS_PER_SEC);
}

static void utf8_round_trip_and_refusals(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110010; cp++) {
        char s[4];
        uint32_t back = 0;
        int k = sm_utf8_encode(s, cp);
        bool is_scalar = cp < 0x110000 && !(cp >= 0xD800 && cp <= 0xDFFF);
        assert_int_equal(k > 0, is_scalar);
        if (!is_scalar)
            continue;
        assert_int_equal(sm_utf8_decode(&back, s, (size_t)k), k);
        assert_int_equal(back, cp);
        if (k > 1)
            assert_int_equal(sm_utf8_decode(&back, s, (size_t)k - 1), 0);
    }
    static const char *const BAD[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_int_equal(sm_utf8_valid_prefix(BAD[i], strlen(BAD[i])), 0);
    assert_int_equal(sm_utf8_valid_prefix("ab\xC3\xA9\xC3", 5), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_round_trip_and_refusals),
        cmocka_unit_test(every_code_point_has_the_class_of_pcre2),
        cmocka_unit_test(random_text_matches_pcre2),
        cmocka_unit_test(corpus_matches_pcre2),
        cmocka_unit_test(long_s_is_an_s),
        cmocka_unit_test(every_spelling_is_cut_as_it_says),
        cmocka_unit_test(what_is_written_means_the_same_to_every_engine),
        cmocka_unit_test(any_bytes_are_cut_without_loss),
        cmocka_unit_test(hostile_text_takes_linear_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
