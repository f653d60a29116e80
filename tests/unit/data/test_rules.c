/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quality rules against vectors worked out by hand from datatrove's definitions: each test
 * states the rule, the count and the expected side of the threshold.
 */
#include "room.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "curate.h"

static const gopher_params gopher = {.min_words = 50,
                                     .max_words = 100000,
                                     .min_stop_words = 2,
                                     .min_mean = 3,
                                     .max_mean = 10,
                                     .max_hash = 0.1,
                                     .max_ellipsis = 0.1,
                                     .max_bullet = 0.9,
                                     .max_ellipsis_lines = 0.3,
                                     .min_alpha = 0.8};
static const repeat_params repeat = {.para = 0.3,
                                     .para_char = 0.2,
                                     .line = 0.3,
                                     .line_char = 0.2,
                                     .top = {0.2, 0.18, 0.16},
                                     .dup = {0.15, 0.14, 0.13, 0.12, 0.11, 0.10}};
/* every rule off: a test switches on the one it is about */
static const gopher_params open_gopher = {.max_mean = 1e9,
                                          .max_hash = 1e9,
                                          .max_ellipsis = 1e9,
                                          .max_bullet = 1,
                                          .max_ellipsis_lines = 1};
static const repeat_params open_repeat = {.para = 1,
                                          .para_char = 1,
                                          .line = 1,
                                          .line_char = 1,
                                          .top = {1e9, 1e9, 1e9},
                                          .dup = {1, 1, 1, 1, 1, 1}};

static const char *quality(const gopher_params *p, const char *text)
{
    sm_words w = {0};
    sm_buf detail = {0};
    assert_int_equal(sm_words_split(&w, text, strlen(text), NULL), SM_OK);
    const char *reason = sm_rule_gopher_quality(p, &w, &detail);
    sm_buf_free(&detail);
    sm_words_release(&w);
    return reason;
}

static const char *repetition(const repeat_params *p, const char *text)
{
    sm_words w = {0};
    sm_buf detail = {0};
    assert_int_equal(sm_words_split(&w, text, strlen(text), NULL), SM_OK);
    const char *reason;
    assert_int_equal(sm_rule_gopher_repetition(&reason, p, &w, &detail, NULL), SM_OK);
    sm_buf_free(&detail);
    sm_words_release(&w);
    return reason;
}

static void repeated(sm_buf *b, const char *s, int n)
{
    sm_buf_clear(b);
    for (int i = 0; i < n; i++)
        sm_buf_puts(b, s);
}

static void is(const char *got, const char *want)
{
    if (!want)
        assert_null(got);
    else {
        assert_non_null(got);
        assert_string_equal(got, want);
    }
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n, symbols, alpha;
        int64_t chars;
    } all[] = {
        {"", 0, 0, 0, 0},
        {"don't stop", 2, 0, 2, 10},     /* an apostrophe between letters */
        {"3.14 and 1,000", 3, 0, 1, 14}, /* points between digits */
        {"end. Next", 3, 1, 2, 9},       /* a full stop is a symbol word */
        {"wait... no", 3, 1, 2, 10},     /* a run of one sign is one word */
        {"a#b", 3, 1, 2, 3},
        {"st_mode", 1, 0, 1, 7},
        {"\xE2\x80\xA2 item", 2, 0, 1, 6},        /* U+2022 is not in PUNCTUATION */
        {"caf\xC3\xA9", 1, 0, 1, 4},              /* code points, not bytes */
        {"\xE6\x97\xA5\xE6\x9C\xAC", 2, 0, 2, 2}, /* one word a Han character */
        {"_ __", 2, 2, 0, 4},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sm_words w = {0};
        int symbols = 0, alpha = 0;
        assert_int_equal(sm_words_split(&w, all[i].text, strlen(all[i].text), NULL),
                         SM_OK);
        for (size_t k = 0; k < w.n_word; k++) {
            symbols += w.word[k].symbol;
            alpha += w.word[k].alpha;
        }
        if ((int)w.n_word != all[i].n || symbols != all[i].symbols ||
            alpha != all[i].alpha || w.n_char != all[i].chars)
            fail_msg("\"%s\": %zu words, %d symbols, %d with letters, %lld characters",
                     all[i].text, w.n_word, symbols, alpha, (long long)w.n_char);
        sm_words_release(&w);
    }
}

/* str.splitlines(): "a\nb" 2, "a\n" 1, "\n\n" 2, "" 0, "a\r\nb" 2, \v \f \x1c U+2028 split. */
static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } all[] = {{"", 0},
               {"a", 1},
               {"a\n", 1},
               {"a\nb", 2},
               {"\n\n", 2},
               {"a\r\nb", 2},
               {"a\rb", 2},
               {"a\vb\fc", 3},
               {"a\x1c"
                "b",
                2},
               {"a\xC2\x85"
                "b",
                2},
               {"a\xE2\x80\xA8"
                "b",
                2},
               {"a\tb", 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sm_words w = {0};
        assert_int_equal(sm_words_split(&w, all[i].text, strlen(all[i].text), NULL),
                         SM_OK);
        if (w.n_line != all[i].n)
            fail_msg("case %zu: %zu lines", i, w.n_line);
        sm_words_release(&w);
    }
}

/* GQ1: 49 words and 60 symbol words are short, 50 words are not. */
static void test_gq1(void **state)
{
    (void)state;
    sm_buf b = {0};
    gopher_params p = open_gopher;
    p.min_words = 50;
    repeated(&b, "word , ", 49);
    is(quality(&p, b.data), "gopher.short_doc");
    repeated(&b, "word , ", 50);
    is(quality(&p, b.data), NULL);
    p = open_gopher; /* GQ2 */
    p.max_words = 10;
    repeated(&b, "word ", 10);
    is(quality(&p, b.data), NULL);
    repeated(&b, "word ", 11);
    is(quality(&p, b.data), "gopher.long_doc");
    sm_buf_free(&b);
}

/* GQ3: the mean is over words that are no symbols.  "ab" x3 + "abcdefgh" = 14/4 = 3.5; with
 * the three commas it would be 17/7 = 2.4. */
static void test_gq3(void **state)
{
    (void)state;
    gopher_params p = open_gopher;
    p.min_mean = 3;
    p.max_mean = 10;
    is(quality(&p, "ab, ab, ab, abcdefgh"), NULL);
    is(quality(&p, "ab ab ab abc"), "gopher.mean_word_length");
    is(quality(&p, "abcdefghijk"), "gopher.mean_word_length"); /* 11 > 10 */
    is(quality(&p, "abcdefghij"), NULL);                       /* 10 is allowed */
    /* four code points each, eight bytes: 4 is between 3 and 10 */
    is(quality(&p, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), NULL);
}

/* GQ4: '#' per word of any kind.  "# a b c d e f g h i": 10 words, 1 hash: 0.1 is allowed;
 * "## ..." has one symbol word but two signs: 2/10. */
static void test_gq4_gq5(void **state)
{
    (void)state;
    gopher_params p = open_gopher;
    p.max_hash = 0.1;
    is(quality(&p, "# a b c d e f g h i"), NULL);
    is(quality(&p, "## a b c d e f g h i"), "gopher.hash_ratio");
    is(quality(&p, "# a b c d e f g h"), "gopher.hash_ratio"); /* 1/9 */
    p = open_gopher;
    p.max_ellipsis = 0.1;
    is(quality(&p, "a b c d e f g h i ..."), NULL);                         /* 1/10 */
    is(quality(&p, "a b c d e f g h ..."), "gopher.ellipsis_ratio");        /* 1/9 */
    is(quality(&p, "a b c d e f g h i j ......"), "gopher.ellipsis_ratio"); /* 2/11 */
    is(quality(&p, "a b c d e f g h \xE2\x80\xA6"), "gopher.ellipsis_ratio");
}

/* GQ6: 10 lines, 9 with a bullet after blanks: 0.9 is allowed, 10 are not.  GQ7: 3 of 10. */
static void test_gq6_gq7(void **state)
{
    (void)state;
    sm_buf b = {0};
    gopher_params p = open_gopher;
    p.max_bullet = 0.9;
    repeated(&b, "  - item\n", 9);
    sm_buf_puts(&b, "plain\n");
    is(quality(&p, b.data), NULL);
    repeated(&b, " \xE2\x80\xA2 item\n", 10);
    is(quality(&p, b.data), "gopher.bullet_lines");
    repeated(&b, "* item\n", 10); /* "*" is no bullet */
    is(quality(&p, b.data), NULL);
    p = open_gopher;
    p.max_ellipsis_lines = 0.3;
    repeated(&b, "more ... \n", 3);
    sm_buf_puts(&b, "a\nb\nc\nd\ne\nf\ng\n");
    is(quality(&p, b.data), NULL);
    sm_buf_puts(&b, "h\xE2\x80\xA6\n"); /* 4 of 11 */
    is(quality(&p, b.data), "gopher.ellipsis_lines");
    sm_buf_free(&b);
}

/* GQ8: 8 of 10 words have a letter: allowed; 7 of 9 (0.78) not.  GQ9: distinct, and
 * case-sensitive: "The" is none, "the the" is one. */
static void test_gq8_gq9(void **state)
{
    (void)state;
    gopher_params p = open_gopher;
    p.min_alpha = 0.8;
    is(quality(&p, "a b c d e f g h 1 2"), NULL);
    is(quality(&p, "a b c d e f g 1 2"), "gopher.alpha_words");
    p = open_gopher;
    p.min_stop_words = 2;
    is(quality(&p, "the of"), NULL);
    is(quality(&p, "the the the"), "gopher.stop_words");
    is(quality(&p, "The of"), "gopher.stop_words");
    is(quality(&p, "that have"), NULL);
}

/* GR1, GR2.  Paragraphs of the stripped text: "aa", "aa", "b": 1 of 3 is above 0.3. */
static void test_gr_paragraphs(void **state)
{
    (void)state;
    repeat_params p = open_repeat;
    p.para = 0.3;
    is(repetition(&p, "\n\naa\n\naa\n\n\nb\n"), "gopher.dup_para_frac");
    is(repetition(&p, "aa\n\naa\n\nb\n\nc"), NULL); /* 1 of 4 */
    is(repetition(&p, "aa\naa\nb"), NULL);          /* one paragraph */
    p = open_repeat;
    p.para_char = 0.2;
    /* "abcd" repeated once: 4 of 20 characters = 0.2 is allowed, 4 of 19 is not */
    is(repetition(&p, "abcd\n\nabcd\n\nefghijkl"), NULL);
    is(repetition(&p, "abcd\n\nabcd\n\nefghijk"), "gopher.dup_para_char_frac");
}

/* GR3, GR4.  re.split("\n+", text), not stripped: "\na\n" gives "", "a", "": one repeat of 3. */
static void test_gr_lines(void **state)
{
    (void)state;
    repeat_params p = open_repeat;
    p.line = 0.3;
    is(repetition(&p, "\na\n"), "gopher.dup_line_frac");
    is(repetition(&p, "a\n"), NULL);
    is(repetition(&p, "a\n\na\nb\nc"), NULL);                /* 1 of 4 */
    is(repetition(&p, "a\n\na\nb"), "gopher.dup_line_frac"); /* 1 of 3 */
    p = open_repeat;
    p.line_char = 0.2;
    is(repetition(&p, "abcd\nabcd\nefghijklij"), NULL); /* 4 of 20 */
    is(repetition(&p, "abcd\nabcd\nefghijkli"), "gopher.dup_line_char_frac"); /* of 19 */
}

/* GR5: len("a b") * count / len(text).  "a b a b c d" has 11 characters; the top 2-gram "a b"
 * occurs twice: 3 * 2 / 11 = 0.545.  Ties go to the first seen: in "ab cdefgh x y" all occur
 * once; the first is "ab cdefgh" with 9 characters: 9/13 = 0.69 (the last would be 3/13). */
static void test_gr5(void **state)
{
    (void)state;
    repeat_params p = open_repeat;
    p.top[0] = 0.54;
    is(repetition(&p, "a b a b c d"), "gopher.top_2_gram");
    p.top[0] = 0.55;
    is(repetition(&p, "a b a b c d"), NULL);
    p.top[0] = 0.69;
    is(repetition(&p, "ab cdefgh x y"), "gopher.top_2_gram");
    p.top[0] = 0.70;
    is(repetition(&p, "ab cdefgh x y"), NULL);
    is(repetition(&p, "a"), NULL); /* no 2-gram at all */
    p = open_repeat;
    p.top[1] = 0.9; /* "a b c" twice: 5 * 2 / 11 = 0.909 */
    is(repetition(&p, "a b c a b c"), "gopher.top_3_gram");
    p.top[1] = 0.91;
    is(repetition(&p, "a b c a b c"), NULL);
}

/* GR6: greedy scan.  "a b c d e a b c d e": 5-grams from 0..4 are new, at 5 "abcde" was seen:
 * 5 characters without blanks, of 19: 0.263.  After a hit it jumps n words. */
static void test_gr6(void **state)
{
    (void)state;
    repeat_params p = open_repeat;
    p.dup[0] = 0.26;
    is(repetition(&p, "a b c d e a b c d e"), "gopher.dup_5_grams");
    p.dup[0] = 0.27;
    is(repetition(&p, "a b c d e a b c d e"), NULL);
    /* concatenation, not the sequence: "ab c d e f" and "a bc d e f" are the same string;
     * in the text of 21 characters the second adds 6: 0.286 */
    p.dup[0] = 0.28;
    is(repetition(&p, "ab c d e f a bc d e f"), "gopher.dup_5_grams");
    p.dup[0] = 0.29;
    is(repetition(&p, "ab c d e f a bc d e f"), NULL);
    /* eleven times the same word: 5-grams at 0 new, 1 seen -> 6, 6 seen -> 11: 10 of 21 */
    p.dup[0] = 0.47;
    is(repetition(&p, "x x x x x x x x x x x"), "gopher.dup_5_grams");
    p.dup[0] = 0.48;
    is(repetition(&p, "x x x x x x x x x x x"), NULL);
}

/* A page of prose passes all published rules; its tenfold repetition does not. */
static void test_prose(void **state)
{
    (void)state;
    const char *prose = "The program lists the files that processes have open, and it "
                        "writes one line for each "
                        "of them. When it is started without options it shows every open "
                        "file that belongs to "
                        "an active process, which may take a while on a busy machine.\n\n"
                        "An open file may be a regular file, a directory, a block "
                        "special file, a library, a "
                        "stream or a network file. A single file or all files in a file "
                        "system may be selected "
                        "by their path, and several selections are joined unless they "
                        "are told to be crossed "
                        "with one another.\n";
    sm_buf b = {0};
    is(quality(&gopher, prose), NULL);
    is(repetition(&repeat, prose), NULL);
    repeated(&b, prose, 10);
    is(repetition(&repeat, b.data), "gopher.dup_para_frac");
    sm_buf_free(&b);
}

static const char *c4(const c4_params *p, const char *text, char *kept)
{
    sm_buf out = {0}, detail = {0};
    const char *reason;
    assert_int_equal(sm_rule_c4(&reason, p, text, strlen(text), &out, &detail, NULL),
                     SM_OK);
    snprintf(kept, 400, "%s", out.data ? out.data : "");
    sm_buf_free(&out);
    sm_buf_free(&detail);
    return reason;
}

static void test_c4(void **state)
{
    (void)state;
    char kept[400];
    c4_params p = {.min_line_words = 3, .max_word_chars = 20, .curly_bracket = true};
    is(c4(&p, "One two three.\nToo short\n  Here are four words.  \n", kept), NULL);
    assert_string_equal(kept, "One two three.\nHere are four words.");
    /* citations go; "[citation" and "needed]" count as words before they go */
    is(c4(&p, "As shown [12] and [edit] here[citation needed].\n", kept), NULL);
    assert_string_equal(kept, "As shown  and  here.");
    is(c4(&p, "a aaaaaaaaaaaaaaaaaaaaa b\nThis one stays here.\n", kept), NULL);
    assert_string_equal(kept, "This one stays here.");
    is(c4(&p,
          "You need JavaScript for this.\nOur Privacy Policy is long.\nKept as it is.",
          kept),
       NULL);
    assert_string_equal(kept, "Kept as it is.");
    is(c4(&p, "Here Lorem Ipsum dolor sit.", kept), "c4.lorem_ipsum");
    is(c4(&p, "int main(void) { return", kept), "c4.curly_bracket");
    is(c4(&p, "brace { x", kept), "c4.curly_bracket");
    is(c4(&p, "short {", kept), NULL); /* a dropped line cannot reject */
    p.terminal_punct = true;
    is(c4(&p,
          "This line ends well.\nThis line does not\nThis one trails off...\nIs it so?",
          kept),
       NULL);
    assert_string_equal(kept, "This line ends well.\nIs it so?");
    /* lines are those of str.splitlines() */
    p = (c4_params){.min_line_words = 3, .terminal_punct = true};
    is(c4(&p, "This line ends well.\vThis one does not\xE2\x80\xA8This one ends too.\r\n",
          kept),
       NULL);
    assert_string_equal(kept, "This line ends well.\nThis one ends too.");
    p = (c4_params){.min_sentences = 3};
    is(c4(&p, "One is. Two is.", kept), "c4.too_few_sentences");
    is(c4(&p, "One is. Two is. Three is.", kept), NULL);
}

static const char *fineweb(const fineweb_params *p, const char *text)
{
    sm_words w = {0};
    sm_buf detail = {0};
    assert_int_equal(sm_words_split(&w, text, strlen(text), NULL), SM_OK);
    const char *reason;
    assert_int_equal(sm_rule_fineweb(&reason, p, &w, &detail, NULL), SM_OK);
    sm_buf_free(&detail);
    sm_words_release(&w);
    return reason;
}

static void test_fineweb(void **state)
{
    (void)state;
    fineweb_params p = {.line_punct = 0.5, .short_line = 1, .char_dup = 1, .list = 1e9};
    is(fineweb(&p, "It ends.\n\n\nIt does not\n"),
       NULL); /* 1 of 2: empty lines do not count */
    is(fineweb(&p, "It ends.\nNot\nNor\n"), "fineweb.line_punct");
    p = (fineweb_params){
        .short_line = 0.5, .short_line_chars = 4, .char_dup = 1, .list = 1e9};
    is(fineweb(&p, "abcd\nabcde\n"), NULL);
    is(fineweb(&p, "abcd\nabc\nabcde\n"), "fineweb.short_line");
    p = (fineweb_params){.short_line = 1, .char_dup = 0.4, .list = 1e9};
    /* "abcd" again: 4 of 10 characters without line ends: allowed; 4 of 9 not */
    is(fineweb(&p, "abcd\nabcd\nef"), NULL);
    is(fineweb(&p, "abcd\nabcd\ne"), "fineweb.char_dup");
    p.char_dup = 0;
    is(fineweb(&p, "abcd\n \nef\n\ng"), NULL); /* neither do blank lines repeat */
    p = (fineweb_params){.short_line = 1, .char_dup = 1, .list = 0.3};
    is(fineweb(&p, "a b c d e\nf g h i j\n a b"), NULL); /* 2 line ends, 12 words */
    is(fineweb(&p, "a\nb\nc\n"), "fineweb.list");
    p.list = 0.5;
    is(fineweb(&p, "a\nb c\nd"), NULL); /* 2 line ends, 4 words: at the bound */
    p.line_punct = 1;
    is(fineweb(&p, " \n\n\t\n"), NULL); /* no lines, nothing to count */
}

/* FW1 against datatrove's TERMINAL_PUNCTUATION: 159 characters, among them the full stops of
 * Brahmi (U+11047) and Bamum (U+A6F3), but neither quotation marks nor the ellipsis. */
static void test_terminal_punctuation(void **state)
{
    (void)state;
    int n = 0;
    for (uint32_t c = 0; c < 0x110000; c++)
        n += sm_is_terminal(c);
    assert_int_equal(n, 159);
    static const struct {
        const char *line;
        bool ended;
    } all[] = {{"It ends.", true},
               {"Is it over?", true},
               {"\xF0\x91\x80\x95\xF0\x91\x81\x87", true},
               {"\xEA\x9A\xA0\xEA\x9B\xB3", true},
               {"He said: \"It ends.\"", false},
               {"It was the dogs'", false},
               {"\xE2\x80\x9CIt ends.\xE2\x80\x9D", false},
               {"And so on\xE2\x80\xA6", false},
               {"\xC2\xAB Fin. \xC2\xBB", false}};
    fineweb_params p = {.line_punct = 1, .short_line = 1, .char_dup = 1, .list = 1e9};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        is(fineweb(&p, all[i].line), all[i].ended ? NULL : "fineweb.line_punct");
    /* such a mark alone is a symbol word */
    gopher_params g = open_gopher;
    g.min_words = 2;
    is(quality(&g, "word \xF0\x91\x81\x87"), "gopher.short_doc");
}

/* Bytes of address space that this process has mapped. */
static rlim_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    fclose(f);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* In a process that can get 4 MiB more: exit status 0 when both rules say that the table of
 * lines, which is larger, cannot be had. */
static void judge_without_memory(sm_words *w)
{
    sm_buf detail = {0};
    const char *reason;
    rlim_t most = mapped_bytes() + (4 << 20);
    fineweb_params p = {.short_line = 1, .char_dup = 1, .list = 1e9};
    if (setrlimit(RLIMIT_AS, &(struct rlimit){most, most}))
        _exit(2);
    if (sm_rule_fineweb(&reason, &p, w, &detail, NULL) != SM_ENOMEM)
        _exit(3);
    _exit(sm_rule_gopher_repetition(&reason, &open_repeat, w, &detail, NULL) !=
          SM_ENOMEM);
}

/* A page that cannot be judged is an error, not a page without faults. */
static void test_no_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their address space has no such limit */
#endif
    sm_buf b = {0};
    sm_words w = {0};
    repeated(&b, "a\n", 600000); /* 2^21 slots of 16 bytes */
    assert_int_equal(sm_words_split(&w, b.data, b.len, NULL), SM_OK);
    assert_int_equal(sm_split_blocks(&w, (sm_span){0, (uint32_t)b.len, 0}, 1, NULL),
                     SM_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        judge_without_memory(&w);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    sm_words_release(&w);
    sm_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_gq1),
        cmocka_unit_test(test_gq3),
        cmocka_unit_test(test_gq4_gq5),
        cmocka_unit_test(test_gq6_gq7),
        cmocka_unit_test(test_gq8_gq9),
        cmocka_unit_test(test_gr_paragraphs),
        cmocka_unit_test(test_gr_lines),
        cmocka_unit_test(test_gr5),
        cmocka_unit_test(test_gr6),
        cmocka_unit_test(test_prose),
        cmocka_unit_test(test_c4),
        cmocka_unit_test(test_fineweb),
        cmocka_unit_test(test_terminal_punctuation),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
