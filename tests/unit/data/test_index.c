/* SPDX-License-Identifier: Apache-2.0 */
/* Retrieval index: passages, hidden names, ranking, the cache, answers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "index_internal.h"
#include "smelt/data.h"
#include "smelt/index.h"
#include "smelt/sys.h"

static char dir[64];

typedef struct page {
    const char *id, *title, *summary, *text;
} page;

static const page pages[] = {
    {"00000000000000000000000000000001", "lsof(8)", "list open files",
     "# NAME\n\nlsof - list open files\n\n# DESCRIPTION\n\nLsof lists on its standard output "
     "file information about files opened by processes.\n\n# OPTIONS\n\n-p selects the "
     "listing of files for the processes whose ID numbers are given."},
    {"00000000000000000000000000000002", "ls(1)", "list directory contents",
     "# NAME\n\nls - list directory contents\n\n# DESCRIPTION\n\nList information about the "
     "FILEs. Sort entries alphabetically."},
    {"00000000000000000000000000000003", "kill(1)", "send a signal to a process",
     "# NAME\n\nkill - send a signal to a process\n\n# DESCRIPTION\n\nThe default signal for "
     "kill is TERM. A zyzzyva appears once."},
};

/* Pages in scripts that write words together, and that case and stems of ASCII miss. */
static const page wide_pages[] = {
    {"00000000000000000000000000000001", "df(1)", "报告磁盘空间",
     "# 名称\n\ndf - 报告磁盘空间\n\n# 描述\n\n使用df命令查看磁盘空间的使用情况。不相关的一句话。"},
    {"00000000000000000000000000000002", "ファイルの一覧", "",
     "# 説明\n\nlsofコマンドは開いているファイルを一覧表示する。"},
    {"00000000000000000000000000000003", "Файлы", "",
     "# Описание\n\nФабрика работает. Команда показывает открытые файлы."},
    {"00000000000000000000000000000004", "cp(1)", "copy files",
     "# NAME\n\ncp - copy files\n\n# DESCRIPTION\n\nCopy a source to a destination."},
};

static void write_pages(const char *path, const page *p, size_t n)
{
    sm_buf out = {0};
    for (size_t i = 0; i < n; i++) {
        sm_document d = {.id = p[i].id, .source = "t", .path = p[i].title,
                         .format = "man", .title = p[i].title,
                         .summary = p[i].summary, .section = "1", .package = "p",
                         .version = "1", .licence = "GPL-2.0", .lang = "en", .reason = "",
                         .detail = "", .text = p[i].text,
                         .text_len = strlen(p[i].text)};
        assert_true(sm_document_write(&out, &d));
    }
    assert_int_equal(sm_file_write_atomic(path, out.data, out.len, 0644, NULL), SM_OK);
    sm_buf_free(&out);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/smelt-index-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return sm_remove_tree(dir, NULL);
}

static char *build_from(const page *given_pages, size_t n_page, int words)
{
    char *docs = sm_path_join(dir, "documents.jsonl");
    write_pages(docs, given_pages, n_page);
    json_t *given = json_pack("{si}", "passage_words", words), *options;
    sm_ctx ctx = {0};
    sm_err err = {0};
    assert_int_equal(sm_options_resolve(&options, sm_index_options, given, "test", &err), 0);
    const char *paths[] = {docs};
    if (sm_index_build(&ctx, paths, 1, options, dir, NULL, &err))
        fail_msg("%s", err.msg);
    json_decref(given);
    json_decref(options);
    free(docs);
    return sm_path_join(dir, "passages.jsonl");
}

static char *build(int words)
{
    return build_from(pages, sizeof pages / sizeof *pages, words);
}

static void passages_follow_headings(void **state)
{
    (void)state;
    char *path = build(20);
    sm_index *x;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    assert_int_equal(sm_index_n_doc(x), 3);
    assert_int_equal(sm_index_n_passage(x), 7);
    sm_passage p = sm_index_passage(x, 2);
    assert_string_equal(p.heading, "OPTIONS");
    assert_string_equal(p.title, "lsof(8)");
    assert_non_null(strstr(p.text, "-p selects"));
    assert_int_equal(sm_index_first_passage(x, 2), 5);
    sm_index_close(x);
    free(path);
}

static int32_t first_hit(sm_index *x, const char *q, const sm_rank *rank)
{
    sm_hit hit[3];
    int32_t n;
    sm_err err = {0};
    if (sm_index_search(x, q, rank, NULL, hit, 3, &n, &err))
        fail_msg("%s", err.msg);
    return n ? hit[0].doc : -1;
}

static void titles_that_abbreviate_rank_first(void **state)
{
    (void)state;
    char *path = build(120);
    sm_index *x;
    sm_rank rank = SM_RANK_DEFAULT;
    assert_int_equal(sm_index_open(&x, path, NULL, false, NULL), SM_OK);
    assert_int_equal(first_hit(x, "list open files", &rank), 0);
    assert_int_equal(first_hit(x, "zyzzyva?", &rank), 2);
    rank.whole_page_only = true;
    assert_int_equal(first_hit(x, "zyzzyva", &rank), 2);
    assert_int_equal(first_hit(x, "directory contents", &rank), -1); /* only in NAME */
    sm_hit hit[1];
    int32_t n;
    sm_err err;
    assert_int_equal(sm_index_search(x, "?!", &rank, NULL, hit, 1, &n, &err), SM_EINVAL);
    sm_index_close(x);
    free(path);
}

/* A scorer that likes one page: the model term must be able to move it to the top. */
static sm_status prefer_kill(void *self, const char *prefix, size_t n, const char *q,
                             size_t nq, double *nats, int64_t *n_token, sm_err *err)
{
    (void)self, (void)n, (void)q, (void)nq, (void)err;
    *nats = strstr(prefix, "kill - ") ? -1 : -1000;
    *n_token = 1;
    return SM_OK;
}

static void model_term_reorders(void **state)
{
    (void)state;
    char *path = build(120);
    sm_index *x;
    sm_rank rank = SM_RANK_DEFAULT;
    rank.w_model = 1;
    sm_scorer scorer = {.score = prefer_kill};
    sm_hit hit[3];
    int32_t n;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    assert_int_equal(sm_index_search(x, "list a signal file", &rank, &scorer, hit, 3, &n,
                                     NULL), SM_OK);
    assert_int_equal(n, 3);
    assert_int_equal(hit[0].doc, 2);
    sm_index_close(x);
    free(path);
}

static int64_t mtime_ns(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
}

static void cache_is_reused_and_remade(void **state)
{
    (void)state;
    int64_t made = 0;
    char *path = build(120), *cache = sm_path_join(dir, "cache.db");
    sm_rank rank = SM_RANK_DEFAULT;
    sm_index *x;
    for (int i = 0; i < 4; i++) { /* with, with, without names, with a damaged file */
        if (i == 3)
            assert_int_equal(sm_file_write_atomic(cache, "not SQLite", 10, 0644, NULL), 0);
        if (i == 1)
            made = mtime_ns(cache);
        assert_int_equal(sm_index_open(&x, path, cache, i < 2, NULL), SM_OK);
        assert_int_equal(first_hit(x, "lists files opened", &rank), 0);
        sm_index_close(x);
        if (i == 1)
            assert_true(made == mtime_ns(cache));
    }
    free(cache);
    free(path);
}

/* A bit anywhere in the cache or its seal: the tables are made anew, with the old bytes. */
static void damaged_cache_is_remade(void **state)
{
    (void)state;
    char *path = build(120), *cache = sm_path_join(dir, "damaged.db"), *whole, *now;
    sm_rank rank = SM_RANK_DEFAULT;
    sm_index *x;
    size_t len, n;
    assert_int_equal(sm_index_open(&x, path, cache, true, NULL), SM_OK);
    sm_index_close(x);
    assert_int_equal(sm_file_read(&whole, &len, cache, 0, NULL), SM_OK);
    for (size_t at = 5; at < len; at += len / 7) {
        whole[at] ^= 4;
        assert_int_equal(sm_file_write_atomic(cache, whole, len, 0644, NULL), SM_OK);
        whole[at] ^= 4;
        assert_int_equal(sm_index_open(&x, path, cache, true, NULL), SM_OK);
        assert_int_equal(first_hit(x, "lists files opened", &rank), 0);
        sm_index_close(x);
        assert_int_equal(sm_file_read(&now, &n, cache, 0, NULL), SM_OK);
        assert_int_equal(n, len);
        assert_memory_equal(now, whole, len);
        free(now);
    }
    free(whole);
    free(cache);
    free(path);
}

/* {list, open, files} and {process, hold, file, open} share two words: 2*2/7. */
static void dice_by_hand(void **state)
{
    (void)state;
    double d = sm_index_dice("list open files", "which process holds a file open?");
    assert_true(fabs(d - 4.0 / 7) < 1e-12);
    assert_true(sm_index_dice("", "a question") == 0);
    assert_true(sm_index_dice("same words", "same words") == 1);
}

static void questions_for_commands_prefer_commands(void **state)
{
    (void)state;
    char *path = build(120);
    sm_index *x;
    sm_hit how[3], plain[3];
    int32_t n;
    sm_rank rank = SM_RANK_DEFAULT;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    assert_true(sm_index_asks_how("How do I list files?"));
    assert_false(sm_index_asks_how("list files"));
    assert_int_equal(sm_index_search(x, "list files", &rank, NULL, plain, 3, &n, NULL), 0);
    assert_int_equal(sm_index_search(x, "how to list files", &rank, NULL, how, 3, &n, NULL),
                     0);
    assert_int_equal(how[0].doc, plain[0].doc);
    assert_true(fabs(how[0].lexical - plain[0].lexical - (double)rank.w_command) < 1e-9);
    sm_index_close(x);
    free(path);
}

static void abbreviations_by_hand(void **state)
{
    (void)state;
    /* l and o and f start words, s is inside "list": 1 + .25 + 1 + 1 over 4 letters */
    assert_true(sm_index_abbreviation("lsof(8)", "list open files") == 3.25 / 4);
    /* c starts a word, p follows o: 1 + .25; two letters count as three */
    assert_true(sm_index_abbreviation("cp", "copy files") == 1.25 / 3);
    assert_true(fabs(sm_index_abbreviation("kill", "kill a process") - 3.7 / 4) < 1e-12);
    assert_true(sm_index_abbreviation("two words", "two words") == 0);
    assert_true(sm_index_abbreviation("", "x") == 0);
}

static void answers_are_sentences_of_the_passage(void **state)
{
    (void)state;
    sm_passage p = {.text = "Nothing here. The signal TERM ends processes. Unrelated text. "
                            "Signals are numbers."};
    sm_buf out = {0};
    assert_true(sm_index_extract_answer(&out, &p, "which signal ends a process?"));
    assert_string_equal(out.data, "The signal TERM ends processes. Signals are numbers.");
    sm_buf_clear(&out);
    p.title = "signal(7)";
    p.summary = "overview of signals";
    assert_true(sm_index_extract_answer(&out, &p, "numbers"));
    assert_string_equal(out.data, "signal(7): overview of signals. Signals are numbers.");
    p.summary = "";
    sm_buf_clear(&out);
    assert_true(sm_index_extract_answer(&out, &p, "qqq"));
    assert_string_equal(out.data, "Nothing here.");
    sm_buf_free(&out);
}

static int32_t asked(sm_index *x, const char *q, int32_t k)
{
    sm_rank rank = SM_RANK_DEFAULT;
    sm_hit hit[8];
    int32_t n = -1;
    sm_err err = {0};
    if (sm_index_ask(x, q, &rank, NULL, hit, k, &n, &err))
        fail_msg("%s: %s", q, err.msg);
    assert_true(n <= k);
    return n > 0 ? hit[0].doc : -1;
}

/* Of four rare words of a question one is in a page: that does not answer it. */
static void a_question_that_no_page_holds_is_not_answered(void **state)
{
    (void)state;
    char *path = build(120);
    sm_index *x;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    for (int32_t k = 1; k <= 8; k += 7) { /* how many are shown does not matter */
        assert_int_equal(asked(x, "which process sends a signal?", k), 2);
        assert_int_equal(asked(x, "zyzzyva", k), 2);
        assert_int_equal(asked(x, "zyzzyva pizza recipe basil", k), -1);
        assert_int_equal(asked(x, "pizza recipe", k), -1);
        assert_int_equal(asked(x, "how do I", k), -1); /* says nothing */
        assert_int_equal(asked(x, "what did we say about the signal?", k), -1);
        assert_int_equal(asked(x, "what have they got about a signal?", k), 2);
        assert_int_equal(asked(x, "lsof optoins mistyped badly", k), 0); /* by its name */
    }
    sm_index_close(x);
    free(path);
}

static void fts5_syntax_is_text(void **state)
{
    (void)state;
    static const char *const q[] = {"\"signal", "signal\" OR \"", "NEAR(signal process, 2)",
                                    "title:signal *", "-signal ^ {process}", "signal AND",
                                    "NOT signal", "signal' --", "(signal", "signal + +"};
    char *path = build(120);
    sm_index *x;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
        sm_rank rank = SM_RANK_DEFAULT;
        sm_hit hit[1];
        int32_t n;
        assert_int_equal(sm_index_ask(x, q[i], &rank, NULL, hit, 1, &n, NULL), SM_OK);
        assert_int_equal(asked(x, "signal", 1), 2);
    }
    sm_index_close(x);
    free(path);
}

static void questions_have_a_length(void **state)
{
    (void)state;
    char *path = build(120), q[SM_QUESTION_BYTES + 2];
    sm_index *x;
    sm_rank rank = SM_RANK_DEFAULT;
    sm_hit hit[1];
    int32_t n;
    sm_err err;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    for (size_t i = 0; i < sizeof q; i++)
        q[i] = "signal "[i % 7];
    q[SM_QUESTION_BYTES + 1] = 0;
    assert_int_equal(sm_index_ask(x, q, &rank, NULL, hit, 1, &n, &err), SM_EINVAL);
    assert_string_equal(err.msg, "question: got 4097 bytes, want at most 4096");
    q[SM_QUESTION_BYTES] = 0;
    q[SM_QUESTION_BYTES - 1] = ' ';
    assert_int_equal(asked(x, q, 1), 2);
    sm_index_close(x);
    free(path);
}

static void scripts_without_spaces_are_found(void **state)
{
    (void)state;
    char *path = build_from(wide_pages, sizeof wide_pages / sizeof *wide_pages, 120);
    sm_index *x;
    assert_int_equal(sm_index_open(&x, path, NULL, true, NULL), SM_OK);
    assert_int_equal(asked(x, "磁盘空间还剩多少？", 3), 0);
    assert_int_equal(asked(x, "df命令", 3), 0);
    assert_int_equal(asked(x, "開いているファイル", 3), 1);
    assert_int_equal(asked(x, "lsof", 3), 1); /* within a run of kana */
    assert_int_equal(asked(x, "天气预报怎么样", 3), -1);
    assert_int_equal(asked(x, "ОТКРЫТЫЕ файлы", 3), 2);
    assert_int_equal(asked(x, "copy files", 3), 3);
    sm_index_close(x);
    free(path);
}

static void answers_in_other_scripts(void **state)
{
    (void)state;
    sm_passage p = {.text = "不相关的一句话。查看磁盘空间的使用情况。再见。", .summary = ""};
    sm_buf out = {0};
    assert_true(sm_index_extract_answer(&out, &p, "磁盘空间？"));
    assert_string_equal(out.data, "查看磁盘空间的使用情况。");
    sm_buf_clear(&out);
    p.text = "Фабрика работает. Файлы открыты. Конец.";
    assert_true(sm_index_extract_answer(&out, &p, "какой файл?"));
    assert_string_equal(out.data, "Файлы открыты.");
    sm_buf_clear(&out);
    p.text = "Nothing here. The “signal” ends it.";
    assert_true(sm_index_extract_answer(&out, &p, "‘signal’?"));
    assert_string_equal(out.data, "The “signal” ends it.");
    sm_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_follow_headings),
        cmocka_unit_test(titles_that_abbreviate_rank_first),
        cmocka_unit_test(model_term_reorders),
        cmocka_unit_test(cache_is_reused_and_remade),
        cmocka_unit_test(damaged_cache_is_remade),
        cmocka_unit_test(dice_by_hand),
        cmocka_unit_test(questions_for_commands_prefer_commands),
        cmocka_unit_test(abbreviations_by_hand),
        cmocka_unit_test(answers_are_sentences_of_the_passage),
        cmocka_unit_test(a_question_that_no_page_holds_is_not_answered),
        cmocka_unit_test(fts5_syntax_is_text),
        cmocka_unit_test(questions_have_a_length),
        cmocka_unit_test(scripts_without_spaces_are_found),
        cmocka_unit_test(answers_in_other_scripts),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
