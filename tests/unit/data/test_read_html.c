/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML reader: text form, hidden and main content, encodings, hostile pages, and a
 * public set of pages with strings that must and must not be extracted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "smelt/extract.h"
#include "smelt/sys.h"

static sm_extract read_html(const char *s, size_t n, sm_html_mode mode)
{
    sm_extract x = {0};
    assert_int_equal(sm_extract_html(&x, s, n, "t.html", mode, NULL), SM_OK);
    return x;
}

static void check(const char *source, sm_html_mode mode, const char *want)
{
    sm_extract x = read_html(source, strlen(source), mode);
    assert_string_equal(x.text.data ? x.text.data : "", want);
    sm_extract_free(&x);
}

static void test_blocks(void **state)
{
    (void)state;
    check("<h1>A <i>b</i></h1><p>one\n two<b>three</b> <br>four<p>five<h2>C</h2>text",
          SM_HTML_FULL, "# A b\n\none twothree\nfour\n\nfive\n\n## C\n\ntext\n");
    check("<ul><li>a<li><p>b<p>c<ul><li>d</ul></ul>e", SM_HTML_FULL,
          "- a\n- b\n\n  c\n  - d\n\ne\n");
    check("<dl><dt>-a<dd>All.<dt>-b<dt>-c<dd>Both.<p>More.</dl>", SM_HTML_FULL,
          "- -a: All.\n- -b\n- -c: Both.\n\n  More.\n");
    check("<p>x<pre>\n a\n   b &lt;c&gt;\n\n d\n</pre>y", SM_HTML_FULL,
          "x\n\n     a\n       b <c>\n\n     d\n\ny\n");
    check("<table><tr><th>a<th>b<tr><td>1<td><p>2<p>3</table>z", SM_HTML_FULL,
          "a | b\n1 | 2 3\n\nz\n");
    check("<table><tr><td><h2>x</h2><p>a<p>b<td>c</table>", SM_HTML_FULL,
          "## x\n\na\n\nb\n\nc\n");
    check("<blockquote><p>q</blockquote><p># x", SM_HTML_FULL, "  q\n\n # x\n");
    check("a&nbsp;&amp;&eacute;&#8212;b&shy;c", SM_HTML_FULL,
          "a &\xc3\xa9\xe2\x80\x94"
          "bc\n");
}

static void test_hidden(void **state)
{
    (void)state;
    check("a<script>x</script><style>y</style><p hidden>h<p style='DISPLAY : none'>n"
          "<p aria-hidden=true>t<template>u</template><select><option>o</select>"
          "<textarea>w</textarea><noscript>v</noscript><p>b",
          SM_HTML_FULL, "a\n\nb\n");
}

static void test_main(void **state)
{
    (void)state;
    const char *page =
        "<title> My\n page </title><meta name=description content='Sum.'>"
        "<html lang=de><body><nav><a href=x>Home</a></nav>"
        "<div class='x navheader'>Prev</div><main><h1>T</h1><p>body"
        "<ul><li><a href=1>one</a><li><a href=2>two</a><li><a href=3>three</a>"
        "<li><a href=4>four</a></ul></main><footer>foot</footer>";
    sm_extract x = read_html(page, strlen(page), SM_HTML_MAIN);
    assert_string_equal(x.text.data, "# T\n\nbody\n");
    assert_string_equal(x.title, "My page");
    assert_string_equal(x.summary, "Sum.");
    assert_string_equal(x.lang, "de");
    sm_extract_free(&x);
    x = read_html(page, strlen(page), SM_HTML_FULL);
    assert_non_null(strstr(x.text.data, "Prev"));
    assert_non_null(strstr(x.text.data, "foot"));
    assert_non_null(strstr(x.text.data, "- three"));
    sm_extract_free(&x);
    check("<nav>only</nav>", SM_HTML_MAIN, "only\n"); /* better than nothing */
}

static void test_encodings(void **state)
{
    (void)state;
    const char cp1251[] = "<meta charset=windows-1251><p>\xcf\xf0";
    sm_extract x = read_html(cp1251, sizeof cp1251 - 1, SM_HTML_FULL);
    assert_string_equal(x.text.data, "\xd0\x9f\xd1\x80\n");
    assert_string_equal(x.encoding, "windows-1251");
    sm_extract_free(&x);
    const char latin[] =
        "<meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'>"
        "<p>\x93\xe9\x94";
    x = read_html(latin, sizeof latin - 1, SM_HTML_FULL);
    assert_string_equal(x.text.data, "\xe2\x80\x9c\xc3\xa9\xe2\x80\x9d\n");
    assert_string_equal(x.encoding, "windows-1252");
    sm_extract_free(&x);
}

/* Pages on which a tree builder is slow, or a recursive clean-up overflows the stack. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const unit[] = {"<div>",        "<b>",      "<font color=1><p>",
                                       "<table><td>",  "<ul><li>", "<a href=x><div>",
                                       "<x a=1 b=2 ",  "<!--",     "<svg><g>",
                                       "<p><b><i><u>", "</x>",     "&"};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
        sm_buf b = {0};
        for (int k = 0; k < 40000; k++)
            sm_buf_puts(&b, unit[i]);
        sm_buf_puts(&b, "end");
        sm_extract x = read_html(b.data, b.len, SM_HTML_MAIN);
        sm_extract_free(&x);
        sm_buf_free(&b);
    }
}

/* Pages that gumbo 0.10 answers with an assertion: their text is kept, the program goes on. */
static void test_without_tree(void **state)
{
    (void)state;
    static const char *const page[] = {
        "before<table><svg><select><title><select><tr>after",
        "before<table><svg><caption></option><keygen></title><colgroup><tbody><th><desc>"
        "<option><select></table><title>after"};
    for (size_t i = 0; i < sizeof page / sizeof *page; i++) {
        sm_extract x = read_html(page[i], strlen(page[i]), SM_HTML_FULL);
        assert_non_null(strstr(x.text.data, "before"));
        assert_non_null(strstr(x.text.data, "after"));
        sm_extract_free(&x);
    }
}

/* --------------------------------------------------------------- public pages */

/* Text without blanks, so that line breaks do not matter. */
static void squeeze(sm_buf *out, const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s > ' ')
            sm_buf_putc(out, *s);
}

static int count_found(json_t *strings, const char *flat)
{
    int n = 0;
    size_t i;
    json_t *v;
    json_array_foreach(strings, i, v)
    {
        sm_buf b = {0};
        squeeze(&b, json_string_value(v));
        n += b.data && strstr(flat, b.data) != NULL;
        sm_buf_free(&b);
    }
    return n;
}

static bool load_page(char **data, size_t *len, const char *top, const char *file)
{
    static const char *const dirs[] = {"cache", "eval"};
    for (int i = 0; i < 2; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s/%s", top, dirs[i], file);
        if (sm_path_exists(path))
            return sm_file_read(data, len, path, 0, NULL) == SM_OK;
    }
    return false;
}

static void test_public_pages(void **state)
{
    (void)state;
    const char *top = SMELT_SOURCE_DIR "/../shared/data/web-trafilatura";
    json_t *all = json_load_file(
        SMELT_SOURCE_DIR "/../shared/data/web-trafilatura/evaldata.json", 0, NULL);
    if (!all) {
        print_message("skipped: ../shared/data/web-trafilatura is not there\n");
        return;
    }
    int hit = 0, n_with = 0, bad = 0, n_without = 0, n_page = 0;
    const char *key;
    json_t *page;
    json_object_foreach(all, key, page)
    {
        char *data;
        size_t len;
        if (!load_page(&data, &len, top,
                       json_string_value(json_object_get(page, "file"))))
            continue;
        sm_extract x = read_html(data, len, SM_HTML_MAIN);
        sm_buf flat = {0};
        squeeze(&flat, x.text.data ? x.text.data : "");
        json_t *with = json_object_get(page, "with"),
               *without = json_object_get(page, "without");
        hit += count_found(with, flat.data ? flat.data : "");
        bad += count_found(without, flat.data ? flat.data : "");
        n_with += (int)json_array_size(with);
        n_without += (int)json_array_size(without);
        n_page++;
        sm_buf_free(&flat);
        sm_extract_free(&x);
        free(data);
    }
    json_decref(all);
    print_message("%d pages: %d of %d wanted strings found, %d of %d unwanted ones\n",
                  n_page, hit, n_with, bad, n_without);
    assert_true(hit * 100 >= n_with * 92);
    assert_true(bad * 100 <= n_without * 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),      cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_main),        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_hostile),     cmocka_unit_test(test_without_tree),
        cmocka_unit_test(test_public_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
