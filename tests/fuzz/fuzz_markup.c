/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as Markdown, reStructuredText and plain text, by the format's guess too: no
 * crash, valid UTF-8. */
/* module: data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/extract.h"
#include "smelt/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.txt", "a.md", "a.rst"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sm_extract x = {0};
        sm_format f = sm_format_detect(names[i], (const char *)data, size);
        if (sm_extract_document(&x, f, (const char *)data, size, names[i], NULL, NULL))
            continue;
        if (x.text.len && sm_utf8_valid_prefix(x.text.data, x.text.len) != x.text.len)
            abort();
        sm_extract_free(&x);
    }
    return 0;
}
