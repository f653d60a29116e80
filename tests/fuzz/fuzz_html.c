/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an HTML page, whole and main content: no crash, valid UTF-8. */
/* module: data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/extract.h"
#include "smelt/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int mode = SM_HTML_MAIN; mode <= SM_HTML_FULL; mode++) {
        sm_extract x = {0};
        if (sm_extract_html(&x, (const char *)data, size, "f.html", (sm_html_mode)mode,
                            NULL))
            continue;
        if (x.text.len &&
            (sm_utf8_valid_prefix(x.text.data, x.text.len) != x.text.len ||
             x.text.data[x.text.len - 1] != '\n' || memchr(x.text.data, 0, x.text.len)))
            abort();
        sm_extract_free(&x);
    }
    return 0;
}
