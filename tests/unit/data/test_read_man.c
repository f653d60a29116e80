/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of manual pages: requests, man(7), mdoc(7), tables, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/extract.h"

static sm_extract read_man(const char *source, size_t n, const char *path,
                           const sm_so_resolver *so)
{
    sm_extract x = {0};
    sm_err err = {0};
    assert_int_equal(sm_extract_man(&x, source, n, path, so, &err), SM_OK);
    return x;
}

static void check(const char *source, const char *want)
{
    sm_extract x = read_man(source, strlen(source), NULL, NULL);
    assert_string_equal(x.text.data ? x.text.data : "", want);
    sm_extract_free(&x);
}

static void test_page(void **state)
{
    (void)state;
    const char *source =
        ".\\\" comment\n.TH LSOF 8 2020\n.SH NAME\nlsof \\- list open files\n"
        ".SH OPTIONS\nFirst line\nsecond  line.\n.PP\nNext.\n.TP\n.B \\-a\n"
        "And them.\n.TP\n.BI \\-p \" pid\"\nProcess.\n.IP\nMore.\n.SS Sub part\n"
        ".nf\n  one\n    two\n.fi\n.IP \\(bu 2\nitem\n.IP 2.\nnumber\n";
    sm_extract x = read_man(source, strlen(source), "man8/lsof.8.gz", NULL);
    assert_string_equal(x.text.data,
                        "# NAME\n\nlsof - list open files\n\n# OPTIONS\n\n"
                        "First line second line.\n\nNext.\n\n- -a: And them.\n"
                        "- -p pid: Process.\n\n  More.\n\n## Sub part\n\n"
                        "      one\n        two\n\n- item\n- 2. number\n");
    assert_string_equal(x.title, "lsof(8)");
    assert_string_equal(x.section, "8");
    assert_string_equal(x.summary, "list open files");
    assert_string_equal(x.encoding, "utf-8");
    assert_null(x.link_to);
    sm_extract_free(&x);
}

/* What the text form leaves out makes no item, term or paragraph. */
static void test_invisible(void **state)
{
    (void)state;
    check("a\n.IP \x01\n.IP \x18 2\nb\n.PP\n\xc2\xad\xe2\x80\x8b\n.PP\nc\n",
          "a\n\n- b\n\nc\n");
    check("a\n.TP\n\x02\n.PP\n.nf\n \x03\n\n\x04\n.fi\n.SH \x05\nb\n", "a\n\nb\n");
    check("a\n.TP\n.nf\n\n.fi\n.br\nb\n", "a\n\n- b\n");
}

/* A page whose macros never end is cut, and says so. */
static void test_cut(void **state)
{
    (void)state;
    const char *endless = ".de A\nagain\n.A\n.A\n..\nstart\n.A\n";
    sm_extract x = read_man(endless, strlen(endless), NULL, NULL);
    assert_non_null(x.warning);
    assert_non_null(strstr(x.warning, "cut"));
    assert_memory_equal(x.text.data, "start again", 11);
    sm_extract_free(&x);
    x = read_man("start\n", 6, NULL, NULL);
    assert_null(x.warning);
    sm_extract_free(&x);
}

static void test_escapes(void **state)
{
    (void)state;
    check("a\\fBb\\fP\\f[I]c\\f(CWd \\s-2e\\s0\\s+1f \\(em \\(co \\[u00E9] "
          "\\[u0065_0301] \\N'65'\n",
          "abcd ef \xe2\x80\x94 \xc2\xa9 \xc3\xa9 e\xcc\x81 A\n");
    check("\\(bu\\(ga\\(aq\\(dq\\e\\\\\\-\\&.\\|x\\^y\\~z\\ w\\0v\n",
          "\xe2\x80\xa2`'\"\\\\-.xy z w v\n");
    check("a\\h'2n'b \\o'ao' \\zab \\v'1'c\\kxd\\X'ps: x'e \\w'abc'u\n",
          "a b o b cde 72u\n");
    check("one\\c\ntwo \\\" comment\nthree \\\nfour\n", "onetwo three four\n");
    check("mid\\cdle\nend\n", "middle end\n");
    check(".tr aX\\(*Wo\nabab \\(*W\n", "XbXb o\n");
    check("\\*(lqq\\*(rq \\*R \\*[undefined]x\n",
          "\xe2\x80\x9cq\xe2\x80\x9d \xc2\xae x\n");
    check("\\(f\xc3\xa9x \\f\xc3\xa9y\n", "x y\n"); /* a name that cuts a character */
}

static void test_definitions(void **state)
{
    (void)state;
    check(".de XX\n[\\\\$1|\\\\$2|\\\\n(.$|\\\\$*]\n..\n.XX a \"b c\" d\n",
          "[a|b c|3|a b c d]\n");
    check(".ds s one\n.as s \" two\n.nr n 4 2\n\\*s \\nn \\n+n \\n-n\n",
          "one two 4 6 4\n");
    check(".nr a 3\n.nr a +4\n.nr b \\na*2-1\n\\na \\nb\n.rr a\n.if !r a gone\n",
          "7 13 gone\n");
    check(".de A\nx\n..\n.rn A B\n.B\n.am B\ny\n..\n.B\n.rm B\n.B bold\n",
          "x x y bold\n");
    check(".als PPP PP\none\n.PPP\ntwo\n", "one\n\ntwo\n");
    check(".rn PP OLD\n.de PP\nstart\n.OLD\n..\na\n.PP\nb\n", "a start\n\nb\n");
    check(".ig\nno\n..\nyes\n.ig END\nno\n.END\nyes\n", "yes yes\n");
    check(".de M\n.ie \\\\n(.$-1 \\\n.  B two\n.el \\\n.  B one\n..\n.M a\n.M a b\n",
          "one two\n");
    check(".de S\n.shift\n\\\\$1\n.return\nnever\n..\n.S a b\n", "b\n");
    check(".eo\n.de V\n[\\$1] \\*s\n..\n.ec\n.ds s t\n.V x\n", "[x] t\n");
}

static void test_conditions(void **state)
{
    (void)state;
    check(".if n a\n.if t b\n.if !t c\n.ie 1>2 d\n.el e\n.if 'x'x' f\n.if !'x'y' g\n",
          "a c e f g\n");
    check(".ie t \\{\\\nno\n.if n \\{ no \\}\n.\\}\n.el \\{\\\nyes\n.if n "
          "and\n.\\}\nafter\n",
          "yes and after\n");
    check(".if (\\n(.g = 1)&(2 > 1) y\n.if d PP z\n.if \\n(zz no\n.if 1<=1 w\n", "y w\n");
    check(".nr i 3\n.while \\ni \\{\\\nx\\ni\n.nr i -1\n.\\}\ndone\n", "x3 x2 x1 done\n");
    check(".nr i 0\n.while 1 \\{\\\n.nr i +1\n.if \\ni>4 .break\nx\n.\\}\n", "x x x x\n");
}

static void test_links_and_synopsis(void **state)
{
    (void)state;
    check(".SY cmd\n.OP \\-x arg\n.OP \\-y\n.YS\n.UR http://a.b\nthe text\n.UE .\n.MT "
          "me@x.y\n.ME ,\n",
          "cmd [-x arg] [-y]\n\nthe text <http://a.b>. <me@x.y>,\n");
    check(".BR ls (1),\n.IR a b\n.B\nnext\n.SM X Y\n", "ls(1), ab next X Y\n");
    check(".RS\n.IP a\nb\n.RS\n.IP c\nd\n.RE\n.RE\ne\n", "  - a: b\n    - c: d\n\ne\n");
    check(".TP\n.B a\n.TQ\n.B b\ntext\n", "- a\n- b: text\n");
    check(".SH \\ \n.IP a\nb\n.br\n\\ \n.br\nc\\~\n", "- a: b\n\n  c\n");
    check("\\&# not a heading\n", " # not a heading\n");
}

static void test_tables(void **state)
{
    (void)state;
    check(".TS\ntab(|) allbox;\nl c.\na|b\n_\nT{\nlong\ntext\nT}|\\fBc\\fP\n.TE\nafter\n",
          "a | b\nlong text | c\n\nafter\n");
    check(".TS\nl l\nl l\n.\nx\ty\n.T&\nl.\nz\n.TE\n", "x | y\nz\n");
    check(".EQ\ndelim $$\n.EN\nsum $a sub 1 over b$ end\n", "sum a 1 b end\n");
}

static void test_mdoc(void **state)
{
    (void)state;
    const char *source =
        ".Dd 2020\n.Dt CAT 1\n.Os\n.Sh NAME\n.Nm cat ,\n.Nm dog\n.Nd concatenate files\n"
        ".Sh SYNOPSIS\n.Nm\n.Op Fl benstuv\n.Op Ar\n.In stdio.h\n.Ft int\n.Fn puts "
        "\"const char *s\"\n"
        ".Fo two\n.Fa \"int a\"\n.Fa b\n.Fc\n.Sh DESCRIPTION\nThe\n.Nm\nutility, "
        "see\n.Xr ls 1 ,\n"
        ".Dq quoted Ns Ar x .\n.Bl -tag -width Ds\n.It Fl a Ar b Ns = Ns Ar "
        "c\nText.\n.Pp\nMore.\n"
        ".It Xo\n.Fl x\n.Ar y\n.Xc\nSpan.\n.El\n.Bl -enum\n.It\none\n.It\ntwo\n.El\n"
        ".Bl -column a b\n.It Li k Ta v\n.It q Ta r\n.El\n.Bd -literal\n a  b\n.Ed\n"
        ".Oo Fl o | Fl p Oc Po text Pc Ns .\n.Ex -std\n.Lb libc\n.Bx 4.3 reno\n.Fx 9\n"
        ".Rs\n.%A A. One\n.%A B. Two\n.%T The Title\n.%D 1990\n.Re\n.Sm off\n.Ar a "
        "b\n.Sm on\n";
    sm_extract x = read_man(source, strlen(source), NULL, NULL);
    assert_string_equal(
        x.text.data,
        "# NAME\n\ncat, dog - concatenate files\n\n# SYNOPSIS\n\ncat [-benstuv] [file "
        "...]\n"
        "#include <stdio.h>\nint puts(const char *s);\ntwo(int a, b);\n\n# "
        "DESCRIPTION\n\n"
        "The cat utility, see ls(1), \xe2\x80\x9cquotedx\xe2\x80\x9d.\n\n- -a b=c: "
        "Text.\n\n"
        "  More.\n- -x y: Span.\n- 1. one\n- 2. two\n\nk | v\nq | r\n\n     a  b\n\n"
        "[-o | -p] (text). The cat utility exits 0 on success, and >0 if an error "
        "occurs. "
        "Standard C Library (libc, -lc) 4.3BSD-Reno FreeBSD 9 A. One and B. Two, The "
        "Title, "
        "1990. ab\n");
    assert_string_equal(x.title, "cat(1)");
    assert_string_equal(x.summary, "concatenate files");
    sm_extract_free(&x);
}

/* ----------------------------------------------------------------- includes */

static sm_status give(void *self, char **data, size_t *len, const char *name, sm_err *err)
{
    int *calls = self;
    ++*calls;
    const char *text = strcmp(name, "man1/loop.1") == 0 ? "x\n.so man1/loop.1\n"
                       : strcmp(name, "man1/a.1") == 0  ? ".SH A\nbody\n"
                                                        : NULL;
    if (!text)
        return sm_fail(err, SM_ENOENT, "%s: not there", name);
    *data = sm_strdup(text);
    *len = strlen(text);
    return SM_OK;
}

static void test_includes(void **state)
{
    (void)state;
    int calls = 0;
    sm_so_resolver so = {.read = give, .self = &calls};
    sm_extract x = read_man(".so man1/a.1\n", 13, "b.1", &so);
    assert_string_equal(x.text.data, "# A\n\nbody\n");
    assert_string_equal(x.link_to, "man1/a.1");
    sm_extract_free(&x);
    const char *loop = "start\n.so man1/loop.1\n.so none.1\nend\n";
    x = read_man(loop, strlen(loop), NULL, &so);
    assert_true(calls < 100);
    assert_null(x.link_to);
    assert_non_null(strstr(x.text.data, "end"));
    sm_extract_free(&x);
    x = read_man(".so man1/a.1\n", 13, NULL, NULL);
    assert_int_equal(x.text.len, 0);
    sm_extract_free(&x);
}

/* ------------------------------------------------------------------- limits */

static void test_hostile(void **state)
{
    (void)state;
    static const char *const sources[] = {
        ".de A\n.A\n..\n.A\n",
        ".while 1 x\n",
        ".while 1 \\{\\\n.nr i +1\n.\\}\n",
        ".ds a aaaaaaaa\n.de G\n.as a \\\\*a\n.G\n..\n.G\n\\*a\n",
        ".ds a \\*b\n.ds b \\\\*a\n.ds a \\\\*b\n\\*a\n",
        ".als A A\n.rn A A\n.A\n",
        ".if 1 \\{ \\{ \\{ .if\n.ie\n.el\n.while\n.de\n",
        "\\*[\\*[\\*[\\n[\\w'\\w'\\w'\n\\s\n\\f[\n\\(\n\\h'\n\\o'\n\\N'\n\\z",
        ".TS\n.TS\n.T&\nT{\n.TE",
        ".Dd x\n.Fc\n.Ec\n.El\n.Ed\n.Re\n.It\n.Oc Oc Xc\n.Op Op Op\n.En\n.Es ( )\n.En\n",
        ".ec x\n.cc y\nyPP\nyeo\n",
        ".nr a 99999999999999999999\n.nr a \\na*\\na*\\na*\\na\n.if ((((((1)))))) x\n"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        sm_extract x = read_man(sources[i], strlen(sources[i]), NULL, NULL);
        assert_true(x.text.len < 64u << 20);
        sm_extract_free(&x);
    }
    sm_buf deep = {0};
    for (int i = 0; i < 20000; i++)
        sm_buf_puts(&deep, ".RS\n.if 1 \\{\n.Bl -tag\n.ie 1 x\n(");
    sm_extract x = read_man(deep.data, deep.len, NULL, NULL);
    sm_extract_free(&x);
    sm_buf_clear(&deep);
    sm_buf_puts(&deep, ".Dd 1\n");
    for (int i = 0; i < 20000; i++)
        sm_buf_puts(&deep, ".Bl -tag\n.It Xo Oo\n.Bd -literal\n.Op Op Op a\n");
    x = read_man(deep.data, deep.len, NULL, NULL);
    sm_extract_free(&x);
    sm_buf_free(&deep);
    static const char *const unit[] = {"\\*[",       "\\n[",       ".if 1 \\{",
                                       "\\o'",       "\\h'\\w'",   "\\w'",
                                       ".do do do ", ".nop .nop ", ".ie\n"};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) { /* one long line each */
        sm_buf b = {0};
        for (int k = 0; k < 30000; k++)
            sm_buf_puts(&b, unit[i]);
        x = read_man(b.data, b.len, NULL, NULL);
        sm_extract_free(&x);
        sm_buf_free(&b);
    }
    sm_extract y = {0};
    assert_int_equal(
        sm_extract_man(&y, "", SM_EXTRACT_MAX_BYTES + 1, "big.1", NULL, NULL), SM_EINVAL);
}

static void test_encodings(void **state)
{
    (void)state;
    const char latin[] = ".TH X 1\n.SH NAME\nx \\- caf\xe9\n";
    sm_extract x = read_man(latin, sizeof latin - 1, NULL, NULL);
    assert_string_equal(x.text.data, "# NAME\n\nx - caf\xc3\xa9\n");
    assert_string_equal(x.encoding, "iso-8859-1");
    sm_extract_free(&x);
    const char koi[] = ".\\\" -*- coding: koi8-r -*-\n.TH X 1\n\xc1\xc2\n";
    x = read_man(koi, sizeof koi - 1, NULL, NULL);
    assert_string_equal(x.text.data, "\xd0\xb0\xd0\xb1\n");
    sm_extract_free(&x);
    const char zeros[] = "a\0b\x1f"
                         "c\n";
    x = read_man(zeros, sizeof zeros - 1, NULL, NULL);
    assert_string_equal(x.text.data, "a b c\n");
    sm_extract_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page),
                                       cmocka_unit_test(test_invisible),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_escapes),
                                       cmocka_unit_test(test_definitions),
                                       cmocka_unit_test(test_conditions),
                                       cmocka_unit_test(test_links_and_synopsis),
                                       cmocka_unit_test(test_tables),
                                       cmocka_unit_test(test_mdoc),
                                       cmocka_unit_test(test_includes),
                                       cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_encodings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
