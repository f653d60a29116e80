/* SPDX-License-Identifier: Apache-2.0 */
/* Licences of texts: full ones by their title, others by what they mention. */
#include "room.h"

static void want(const char *text, size_t len, const char *licence)
{
    sm_buf out = {0};
    assert_true(sm_licence_of_text(&out, text, len));
    assert_string_equal(out.len ? out.data : "", licence);
    sm_buf_free(&out);
}

static void test_beginnings(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"\n       GNU GENERAL PUBLIC LICENSE\n          Version 2, June 1991\n\n "
         "Copyright\n"
         "... use the GNU Library General Public License instead of this License.\n",
         "GPL-2.0-only"},
        {"# GNU GENERAL PUBLIC LICENSE\n\n**Version 3, 29 June 2007**\n\n"
         "use the GNU Lesser General Public License instead\n",
         "GPL-3.0-only"},
        {"  GNU LESSER GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007\n\nthe terms of "
         "version 3 of the GNU General Public License, supplemented\n",
         "LGPL-3.0-only"},
        {"Mozilla Public License Version 2.0\n====\n means either the GNU General Public "
         "License, Version 2.0, the GNU Affero General Public License, Version 3.0\n",
         "MPL-2.0"},
        {"      MOZILLA PUBLIC LICENSE\n           Version 1.1\n\n", "MPL-1.1"},
        {"\n\t\t The \"Artistic License\"\n\n\t\t Preamble\n\nplaced in the Public "
         "Domain",
         "Artistic-1.0"},
        {"Creative Commons Legal Code\n\nCC0 1.0 Universal\n\n    CREATIVE", "CC0-1.0"},
        {"Creative Commons Attribution-NonCommercial 4.0 International Public License\n",
         "CC-BY-NC-4.0"},
        {"Copyright 2020 A. Person\n\n  Apache License\n  Version 2.0, January 2004\n"
         "MIT: Permission is hereby granted, free of charge, to any person obtaining a "
         "copy"
         " the above copyright notice and this permission notice\n",
         "Apache-2.0"},
        /* a notice before the text says which versions */
        {"This is free software; you can redistribute it under the terms of the GNU\n"
         "General Public License as published by the Free Software Foundation; either\n"
         "version 2 of the License, or (at your option) any later version.\n\n"
         "      GNU GENERAL PUBLIC LICENSE\n         Version 2, June 1991\n",
         "GPL-2.0-or-later"},
        /* mentions, not titles */
        {"It is under the GNU General Public License, version 2, and parts of it are\n"
         "in the public domain.\n",
         "GPL-2.0-only AND public-domain"},
        {"Choose this or the Mozilla Public License Version 2.0 and in the public "
         "domain.\n",
         "MPL-2.0 AND public-domain"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        want(all[i][0], strlen(all[i][0]), all[i][1]);
}

/* The texts that Debian's base-files installs. */
static void test_common_licences(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"Apache-2.0", "Apache-2.0"},  {"Artistic", "Artistic-1.0"},
        {"BSD", "BSD-3-Clause"},       {"CC0-1.0", "CC0-1.0"},
        {"GFDL-1.2", "GFDL-1.2-only"}, {"GFDL-1.3", "GFDL-1.3-only"},
        {"GPL-1", "GPL-1.0-only"},     {"GPL-2", "GPL-2.0-only"},
        {"GPL-3", "GPL-3.0-only"},     {"LGPL-2", "LGPL-2.0-only"},
        {"LGPL-2.1", "LGPL-2.1-only"}, {"LGPL-3", "LGPL-3.0-only"},
        {"MPL-1.1", "MPL-1.1"},        {"MPL-2.0", "MPL-2.0"}};
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[80], *text = NULL;
        size_t len;
        snprintf(path, sizeof path, "/usr/share/common-licenses/%s", all[i][0]);
        if (sm_file_read(&text, &len, path, 0, NULL))
            continue;
        want(text, len, all[i][1]);
        free(text);
        n++;
    }
    if (n == 0) {
        print_message("/usr/share/common-licenses is not there: skipped\n");
        skip();
    }
}

/* Words with no operator between them are one name: never a choice of its words. */
static void test_names_of_words(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"Apache 2.0", "Apache-2.0"},
        {"BSD (2 clause)", "BSD-2-Clause"},
        {"BSD (3 clause) or MPL-2", "(BSD-3-Clause OR MPL-2.0)"},
        {"MIT/X Consortium License", "MIT-X-Consortium-License"},
        {"Apache-2-LLVM-exceptions, and Apache2", "Apache-2.0"},
        {"GPL-2+ with OpenSSL exception or LGPL", "(GPL-2.0-or-later OR LGPL)"},
        {"(MIT OR ISC) AND Zlib", "(ISC OR MIT) AND Zlib"},
        {"# SPDX-License-Identifier: MIT #}\n", "MIT"},
        {"/* SPDX-License-Identifier: MIT OR ISC */\n", "(ISC OR MIT)"},
        {"<!-- SPDX-License-Identifier: CC-BY-4.0 -->\n", "CC-BY-4.0"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        want(all[i][0], strlen(all[i][0]), all[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_common_licences),
        cmocka_unit_test(test_names_of_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
