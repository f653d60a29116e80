/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown, reStructuredText, plain text, encodings and the guess of formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/extract.h"

static void check_as(sm_format format, const char *source, const char *want)
{
    sm_extract x = {0};
    assert_int_equal(
        sm_extract_document(&x, format, source, strlen(source), NULL, NULL, NULL), SM_OK);
    assert_string_equal(x.text.data ? x.text.data : "", want);
    sm_extract_free(&x);
}

static void md(const char *source, const char *want)
{
    check_as(SM_FORMAT_MARKDOWN, source, want);
}

static void rst(const char *source, const char *want)
{
    check_as(SM_FORMAT_RST, source, want);
}

static void test_markdown_blocks(void **state)
{
    (void)state;
    md("---\ntitle: x\n---\n# Head #\n\nA para\nof two.\n\nSet\n===\nsub\n---\ntext\n",
       "# Head\n\nA para of two.\n\n# Set\n\n## sub\n\ntext\n");
    md("- a\n- b\n  more\n\n  second\n  - c\n1. x\n2. y\n\nz\n",
       "- a\n- b more\n\n  second\n  - c\n- 1. x\n- 2. y\n\nz\n");
    md("x\n\n```c\nint *a;\n\n# no\n```\ny\n\n    code\n      in\n\nz\n",
       "x\n\n    int *a;\n\n    # no\n\ny\n\n    code\n      in\n\nz\n");
    md("| a | b |\n|---|:-:|\n| 1 | `x|` |\n\n> quote\n> on\n\n***\nend\n",
       "a | b\n1 | `x | `\n\nquote on\n\nend\n");
    md("foo[^1] bar\n\n[^1]: The note.\n    more\n[^b]: Second.\n[^c]:\n[^ x\n",
       "foo bar\n\nThe note. more\n\nSecond.\n\n[^ x\n");
    md("[ref]: http://x\n[a][ref] and [b] #tag\n#tag\n", "a and [b] #tag #tag\n");
}

static void test_markdown_inline(void **state)
{
    (void)state;
    md("**b** *e* _u_ __s__ ~~d~~ snake_case 2 * 3 * 4 a*b*c *.c\n",
       "b e u s d snake_case 2 * 3 * 4 a*b*c *.c\n");
    md("`` a`b `` [t *x*](http://u (y)) ![alt](i.png) <http://z> <b>i</b> <FILE>\n",
       "a`b t x alt http://z i <FILE>\n");
    md("\\*x\\* &amp;&lt;&#65;&#x42;&bogus; [^1] a<!-- c -->b<br>c\n",
       "*x* &<AB&bogus; ab\nc\n");
    md("`unclosed [open *star\n", "`unclosed [open *star\n");
}

static void test_rst(void **state)
{
    (void)state;
    rst("=====\nTitle\n=====\n\nIntro ``code`` :ref:`t <x>` `l <u>`_ **b** *e*::\n\n  "
        "lit\n"
        "    more\n\nSub\n---\n\n.. note:: Hear\n   this\n\n.. comment\n   gone\n\n"
        ".. code-block:: c\n\n   int x;\n\n* a\n* b\n\n.. _target:\n\n1. one\n",
        "# Title\n\nIntro code t l b e:\n\n    lit\n      more\n\n## Sub\n\nHear this\n\n"
        "     int x;\n\n- a\n- b\n- 1. one\n");
}

static void test_plain(void **state)
{
    (void)state;
    check_as(SM_FORMAT_PLAIN, "a  \r\nb\r\r\n\n\n# c\n\td\x01\n", "a\nb\n\n # c\n\td\n");
    check_as(SM_FORMAT_PLAIN, "", "");
    sm_extract x = {0};
    sm_err err = {0};
    assert_int_equal(
        sm_extract_document(&x, SM_FORMAT_UNKNOWN, "", 0, "f.bin", NULL, &err),
        SM_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "f.bin"));
}

static void decode(const char *s, size_t n, const char *label, const char *want,
                   const char *encoding)
{
    sm_buf b = {0};
    const char *name = NULL;
    assert_true(sm_decode_text(&b, s, n, label, &name));
    assert_string_equal(b.data ? b.data : "", want);
    assert_string_equal(name, encoding);
    sm_buf_free(&b);
}

static void test_decode(void **state)
{
    (void)state;
    decode("\xef\xbb\xbf"
           "a\xc3\xa9",
           6, NULL, "a\xc3\xa9", "utf-8");
    decode("\xff\xfe"
           "a\0\x3d\xd8\x00\xde",
           8, NULL, "a\xf0\x9f\x98\x80", "utf-16le");
    decode("\xfe\xff\0a", 4, NULL, "a", "utf-16be");
    decode("a\0b\0c\0d\0e\0", 10, NULL, "abcde", "utf-16le");
    decode("caf\xe9", 4, NULL, "caf\xc3\xa9", "iso-8859-1");
    decode("\x80\x95", 2, NULL, "\xe2\x82\xac\xe2\x80\xa2", "windows-1252");
    decode("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xff", 9, NULL,
           "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xef\xbf\xbd", "utf-8");
    decode("\xb1", 1, "ISO_8859-2", "\xc4\x85", "iso-8859-2");
    /* what pages call so is more than the standard of that name: characters of GBK
     * in "gb2312", the backslash and NEC's circled one in Shift_JIS, a syllable
     * outside KS X 1001 in "euc-kr" */
    decode("\x81\x40\xd6\xd0\xe9"
           "F",
           6, "gb2312", "\xe4\xb8\x82\xe4\xb8\xad\xe9\x95\x95", "gbk");
    decode("\\\x87\x40\x93\xfa", 5, "Shift_JIS", "\\\xe2\x91\xa0\xe6\x97\xa5",
           "shift-jis");
    decode("\x8c\x63\xb0\xa1", 4, "ks_c_5601-1987", "\xeb\x98\xa0\xea\xb0\x80", "euc-kr");
    decode("\xfe\x80", 2, "iso-8859-9", "\xc5\x9f\xe2\x82\xac", "windows-1254");
    /* a bad pair is one mark, and the next character is read from its beginning */
    decode("\xa1\xff\xb0\xa1\xb3\xaa", 6, "euc-kr",
           "\xef\xbf\xbd\xea\xb0\x80\xeb\x82\x98", "euc-kr");
    decode("a\xb0 b", 4, "euc-kr", "a\xef\xbf\xbd b", "euc-kr");
    decode("a\r\nb\rc", 6, "no-such-label", "a\nb\nc", "utf-8");
}

static void test_detect(void **state)
{
    (void)state;
    static const struct {
        const char *path, *data;
        sm_format want;
    } cases[] = {{"usr/share/man/man8/lsof.8.gz", ".TH LSOF 8\n", SM_FORMAT_MAN},
                 {"x/Tk.3perl.gz", ".\\\" c\n.TH T 3\n", SM_FORMAT_MAN},
                 {"index.html", "hello", SM_FORMAT_HTML},
                 {"README.md", "# x", SM_FORMAT_MARKDOWN},
                 {"doc/a.rst.txt.gz", "x", SM_FORMAT_RST},
                 {"NEWS.Debian.gz", "x", SM_FORMAT_PLAIN},
                 {"libfoo.so.6", ".x", SM_FORMAT_PLAIN},
                 {NULL, "<!DOCTYPE html><p>", SM_FORMAT_HTML},
                 {NULL, ".Dd x\n", SM_FORMAT_MAN},
                 {"data.json", "{}", SM_FORMAT_PLAIN} /* names are judged before */,
                 {"empty", "", SM_FORMAT_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            sm_format_detect(cases[i].path, cases[i].data, strlen(cases[i].data)),
            cases[i].want);
    assert_int_equal(sm_format_detect("a.txt",
                                      "\x7f"
                                      "ELF\0\1\2",
                                      7),
                     SM_FORMAT_UNKNOWN);
    assert_string_equal(sm_format_name(SM_FORMAT_MAN), "man");
    assert_string_equal(sm_format_name((sm_format)99), "unknown");
}

/* Bounded look-ahead: openings that never close cost linear time. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const unit[] = {
        "[",      "![a](",  "`",  "*a ",     "_",        "<a",
        "&#",     "- ",     "> ", "    x\n", "- a\n  ",  "|a\n",
        "``` \n", "a\n=\n", "\\", ":a:`",    ".. a::\n", "::\n\n"};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
        sm_buf b = {0};
        for (int k = 0; k < 20000; k++)
            sm_buf_puts(&b, unit[i]);
        for (int f = SM_FORMAT_PLAIN; f <= SM_FORMAT_RST; f++) {
            sm_extract x = {0};
            assert_int_equal(
                sm_extract_document(&x, (sm_format)f, b.data, b.len, NULL, NULL, NULL),
                SM_OK);
            sm_extract_free(&x);
        }
        sm_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_markdown_blocks),
                                       cmocka_unit_test(test_markdown_inline),
                                       cmocka_unit_test(test_rst),
                                       cmocka_unit_test(test_plain),
                                       cmocka_unit_test(test_decode),
                                       cmocka_unit_test(test_detect),
                                       cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
