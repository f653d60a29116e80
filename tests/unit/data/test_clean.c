/* SPDX-License-Identifier: Apache-2.0 */
/* Repair, normalisation, simplification, languages, licences. */
#include <dirent.h>
#include <utf8proc.h>

#include "room.h"

#include "curate.h"
#include "licence.h"
#include "simplify.h"

typedef bool transform(sm_buf *out, const char *text, size_t len);

static void check(transform *f, const char *text, const char *want)
{
    sm_buf out = {0};
    assert_true(f(&out, text, strlen(text)));
    const char *got = out.data ? out.data : "";
    if (strcmp(got, want) != 0)
        fail_msg("\"%s\": got \"%s\", want \"%s\"", text, got, want);
    sm_buf_free(&out);
}

/* The damage is done here by its definition: each byte of the UTF-8 as windows-1252. */
static void damage(sm_buf *out, const char *text)
{
    static const uint16_t high[32] = {
        0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
        0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
        0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
        0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        char utf8[4];
        uint32_t cp = c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c;
        sm_buf_put(out, utf8, (size_t)sm_utf8_encode(utf8, cp));
    }
}

static void test_repair(void **state)
{
    (void)state;
    static const char *const good[] = {"it’s “quoted” – and — so on…",
                                       "café, naïve, Größe, señor",
                                       "5 € • ™ ≤ → °C ± ½",
                                       "žluťoučký kůň",
                                       "plain text",
                                       "«guillemets»"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        sm_buf once = {0}, twice = {0};
        check(sm_repair_text, good[i], good[i]);
        damage(&once, good[i]);
        check(sm_repair_text, once.data, good[i]);
        damage(&twice, once.data);
        check(sm_repair_text, twice.data, good[i]);
        sm_buf_free(&once);
        sm_buf_free(&twice);
    }
    check(sm_repair_text, "it\xC2\x92s", "it’s"); /* C1 control */
    check(sm_repair_text, "É° ÃO NÃO Âme Ã", "É° ÃO NÃO Âme Ã");
    check(sm_repair_text, "日本語 и русский", "日本語 и русский");
}

static void test_normalise(void **state)
{
    (void)state;
    check(sm_normalise_text, "a\r\nb\rc\n", "a\nb\nc\n");
    check(sm_normalise_text, "a  \t \nb", "a\nb\n");
    check(sm_normalise_text, "\n \n a\n\n \n\nb\n\n\n", " a\n\nb\n");
    check(sm_normalise_text,
          "a\x01"
          "b\x7f"
          "c\xC2\x85"
          "d",
          "abc\nd\n");
    check(sm_normalise_text,
          "a\xC2\xA0"
          "b\xE2\x80\x89"
          "c\xE2\x80\x8B"
          "d\xC2\xAD"
          "e",
          "a b cde\n");
    check(sm_normalise_text, "\xEF\xBB\xBFstart", "start\n");
    check(sm_normalise_text, "e\xCC\x81", "\xC3\xA9\n");    /* NFC */
    check(sm_normalise_text, "\xE2\x84\xAB", "\xC3\x85\n"); /* Angstrom sign */
    check(sm_normalise_text, "    code\n\tx = 1;\n", "    code\n\tx = 1;\n");
    check(sm_normalise_text, "", "");
    check(sm_normalise_text, " \n \n", "");
}

/* Any bytes: idempotent, and NFC by utf8proc's own whole-string function. */
static void test_normalise_random(void **state)
{
    (void)state;
    static const uint32_t pool[] = {'a',    'B',     ' ',    ' ',    '\n',   '\r', '\t',
                                    0x301,  0x327,   0xe9,   0xa0,   0x2028, 0xad, 0x1100,
                                    0x1161, 0x11a8,  0xac00, 0x65e5, 0x212b, 0x85, 0x7f,
                                    0x200d, 0x1f600, 0x344,  0x958};
    for (uint32_t n = 0; n < 2000; n++) {
        sm_buf in = {0}, one = {0}, two = {0};
        for (uint32_t k = 0; k < 30; k++) {
            char utf8[4];
            uint64_t i =
                sm_rng_below(sizeof pool / sizeof *pool, 7, SM_STREAM_TEST, n, k);
            sm_buf_put(&in, utf8, (size_t)sm_utf8_encode(utf8, pool[i]));
        }
        assert_true(sm_normalise_text(&one, in.data, in.len));
        assert_true(sm_normalise_text(&two, one.data ? one.data : "", one.len));
        assert_int_equal(one.len, two.len);
        if (one.len) {
            assert_memory_equal(one.data, two.data, one.len);
            utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)one.data);
            assert_string_equal((char *)nfc, one.data);
            free(nfc);
        }
        sm_buf_free(&in);
        sm_buf_free(&one);
        sm_buf_free(&two);
    }
}

static void test_simplify(void **state)
{
    (void)state;
    check(sm_simplify_text, "  Hello,   WORLD!! ", "hello world");
    check(sm_simplify_text, "on Monday, 12 March 2024", "on WEEKDAY 0 MONTH 0");
    check(sm_simplify_text, "maybe", "MONTHbe"); /* inside words, as datatrove */
    check(sm_simplify_text, "1,000.5 3.14 1.2.3", "0 0 0 0 0"); /* one point a number */
    check(sm_simplify_text, "v2.0beta", "v0beta");
    check(sm_simplify_text, "Caf\xC3\xA9 \xC3\x85ngstr\xC3\xB6m", "cafe angstrom");
    check(sm_simplify_text, "a_b-c", "a b c");
    check(sm_simplify_text, "\xD9\xA1\xD9\xAB\xD9\xA2",
          "0"); /* Arabic digits and point */
    check(sm_simplify_text, "日本x", "日 本 x");
    check(sm_simplify_text, "...", "");
    check(sm_simplify_text, "", "");
    check(sm_simplify_text, "mayJUNEoctober ", "MONTHMONTHMONTH");
}

static void test_language(void **state)
{
    (void)state;
    static const struct {
        const char *code, *text;
    } all[] = {
        {"en", "This command prints the names of all files that are open in the system."},
        {"de",
         "Dieses Programm gibt die Namen der Dateien aus, die von den Prozessen mit dem "
         "angegebenen Namen geöffnet sind, und beendet sich danach."},
        {"fr",
         "Cette commande affiche les noms de tous les fichiers qui sont ouverts dans le "
         "système pour un utilisateur."},
        {"es",
         "Este programa muestra los nombres de todos los archivos que están abiertos en "
         "el sistema por un usuario."},
        {"it",
         "Questo programma mostra i nomi di tutti i file che sono aperti nel sistema da "
         "un utente con il processo."},
        {"pt", "Este programa mostra os nomes de todos os arquivos que estão abertos no "
               "sistema "
               "por um usuário, e não mais."},
        {"ru", "Эта программа показывает имена всех открытых файлов."},
        {"uk", "Ця програма показує імена всіх відкритих файлів системи, її параметри."},
        {"zh", "此程序显示系统中所有打开的文件的名称。"},
        {"ja", "このプログラムは、開いているファイルの名前を表示します。"},
        {"ko", "이 프로그램은 열려 있는 모든 파일의 이름을 표시합니다."},
        {"el", "Αυτό το πρόγραμμα δείχνει τα ονόματα των αρχείων."},
        {"ar", "يعرض هذا البرنامج أسماء جميع الملفات المفتوحة."},
        {"he", "תוכנית זו מציגה את שמות כל הקבצים הפתוחים."},
        {"und", "int x = 5; return foo(bar);"},
        {"und", ""},
        {"und", "a b c d e f g h i j k l m n o p"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *got = sm_lang_detect(all[i].text, strlen(all[i].text));
        if (strcmp(got, all[i].code) != 0)
            fail_msg("\"%.40s\": got %s, want %s", all[i].text, got, all[i].code);
    }
}

static void licence_is(bool (*f)(sm_buf *, const char *, size_t), const char *text,
                       const char *want)
{
    sm_buf out = {0};
    assert_true(f(&out, text, strlen(text)));
    const char *got = out.data ? out.data : "";
    if (strcmp(got, want) != 0)
        fail_msg("got \"%s\", want \"%s\" for: %.120s", got, want, text);
    sm_buf_free(&out);
}

#define DEP5 \
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"

static void test_dep5(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } all[] = {
        {DEP5 "\nFiles: *\nLicense: GPL-2+\n Text of it.\n", "GPL-2.0-or-later"},
        {DEP5 "\nFiles: *\nLicense: Expat\n\nFiles: debian/*\nLicense: GPL-3+\n", "MIT"},
        {DEP5 "\nFiles:\n *\n src/*\nLicense: Apache-2.0\n", "Apache-2.0"},
        {DEP5 "\nFiles: *\nLicense: GPL-2 and BSD-3-clause\n",
         "BSD-3-Clause AND GPL-2.0-only"},
        {DEP5 "\nFiles: *\nLicense: GPL-1+ or Artistic\n",
         "(Artistic-1.0 OR GPL-1.0-or-later)"},
        {DEP5 "\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n", "GPL-2.0-or-later"},
        {DEP5
         "\nFiles: *\nLicense: GPL-2\n\nFiles: Documentation/*\nLicense: GFDL-1.3+\n",
         "GFDL-1.3-or-later AND GPL-2.0-only"},
        {DEP5 "\nFiles: src/a.c\nLicense: ISC\n\nFiles: src/b.c\nLicense: zlib\n",
         "ISC AND Zlib"},
        {DEP5 "License: CC0-1.0\n\nFiles: *\nCopyright: none\n", "CC0-1.0"},
        {DEP5 "\nFiles: *\nLicense: Linux-man-pages-copyleft\n",
         "Linux-man-pages-copyleft"},
        {DEP5 "\nFiles: *\r\nLicense: LGPL-2.1\r\n", "LGPL-2.1-only"},
        {"no format at all", "unknown"},
        {"", "unknown"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        licence_is(sm_licence_of_copyright, all[i].text, all[i].want);
}

static void test_free_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } all[] = {
        {"This package was debianized by A.\nOn Debian systems, the complete text of the "
         "GNU\n"
         "General Public License can be found in /usr/share/common-licenses/GPL-3.\n",
         "GPL-3.0-only"},
        {"you can redistribute it and/or modify it under the terms of the GNU General "
         "Public\n"
         "License as published by the Free Software Foundation; either version 2 of the "
         "License,\n"
         "or (at your option) any later version.\n",
         "GPL-2.0-or-later"},
        {"under the terms of the GNU Lesser General Public License version 2.1",
         "LGPL-2.1-only"},
        {"/usr/share/common-licenses/Apache-2.0", "Apache-2.0"},
        {"This program is in the public domain.", "public-domain"},
        {"it under the same terms as Perl itself.",
         "(Artistic-1.0-Perl OR GPL-1.0-or-later)"},
        {"Redistribution and use in source and binary forms, with or without ... "
         "Redistributions "
         "in binary form must reproduce ... Neither the name of the University",
         "BSD-3-Clause"},
        {"Redistribution and use in source and binary forms ... Redistributions in "
         "binary form "
         "must reproduce",
         "BSD-2-Clause"},
        {"All rights reserved.", "unknown"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        licence_is(sm_licence_of_copyright, all[i].text, all[i].want);
    licence_is(sm_licence_of_text,
               "/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */\n",
               "(GPL-2.0-or-later OR MIT)");
    licence_is(sm_licence_of_text, "nothing of the kind,\nover two lines\n", "");
}

static void test_policy(void **state)
{
    (void)state;
    const char *allow[] = {"GPL-*", "mit"}, *deny[] = {"GPL-3*"};
    const curate_params p = {.allow = allow, .n_allow = 2, .deny = deny, .n_deny = 1};
    const curate_params any = {0}, unknown = {.allow_unknown = true};
    static const struct {
        const char *licence;
        bool ok, any_ok;
    } all[] = {{"GPL-2.0-only", true, true},
               {"GPL-3.0-only", false, true},
               {"GPL-2.0-only AND MIT", true, true},
               {"GPL-2.0-only AND GPL-3.0-only", false, true},
               {"(GPL-3.0-only OR MIT)", true, true},
               {"(GPL-3.0-only OR ISC)", false, true},
               {"BSD-3-Clause", false, true},
               {"unknown", false, false},
               {"", false, false},
               {"MIT AND unknown", false, false}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *why;
        assert_int_equal(sm_licence_allowed(&p, all[i].licence, &why), all[i].ok);
        assert_int_equal(sm_licence_allowed(&any, all[i].licence, &why), all[i].any_ok);
        assert_true(sm_licence_allowed(&unknown, all[i].licence, &why));
    }
}

/* Every copyright file of this machine: machine-readable ones must give a licence, and most
 * of all must be recognised. */
static void test_real_copyrights(void **state)
{
    (void)state;
    DIR *d = opendir("/usr/share/doc");
    int n = 0, known = 0, dep5 = 0, dep5_known = 0;
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[400], *text;
        size_t len;
        snprintf(path, sizeof path, "/usr/share/doc/%s/copyright", e->d_name);
        if (e->d_name[0] == '.' || sm_file_read(&text, &len, path, 4 << 20, NULL))
            continue;
        sm_buf out = {0};
        assert_true(sm_licence_of_copyright(&out, text, len));
        bool ok = strcmp(out.data, "unknown") != 0;
        bool machine = strncmp(text, "Format:", 7) == 0;
        n++;
        known += ok;
        dep5 += machine;
        dep5_known += machine && ok;
        sm_buf_free(&out);
        free(text);
    }
    if (d)
        closedir(d);
    if (n < 20) {
        print_message("skipped: fewer than 20 copyright files in /usr/share/doc\n");
        return;
    }
    print_message(
        "%d copyright files, %d recognised; %d machine-readable, %d recognised\n", n,
        known, dep5, dep5_known);
    assert_true(dep5_known * 100 >= dep5 * 99);
    assert_true(known * 100 >= n * 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair),           cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_normalise_random), cmocka_unit_test(test_simplify),
        cmocka_unit_test(test_language),         cmocka_unit_test(test_dep5),
        cmocka_unit_test(test_free_form),        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_real_copyrights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
