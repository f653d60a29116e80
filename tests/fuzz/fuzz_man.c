/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manual page, which may include itself: no crash, and the text keeps the
 * promises of smelt/extract.h (valid UTF-8, last newline, no trailing blanks). */
/* module: data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/extract.h"
#include "smelt/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct page {
    const uint8_t *data;
    size_t size;
} page;

static sm_status include(void *self, char **data, size_t *len, const char *name,
                         sm_err *err)
{
    const page *p = self;
    size_t from = strlen(name) < p->size ? strlen(name) : p->size;
    *len = p->size - from;
    *data = malloc(*len + 1);
    if (!*data)
        return sm_fail(err, SM_ENOMEM, "include: out of memory");
    memcpy(*data, p->data + from, *len);
    return SM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sm_extract x = {0};
    page p = {data, size};
    sm_so_resolver so = {.read = include, .self = &p};
    if (sm_extract_man(&x, (const char *)data, size, "man8/fuzz.8.gz", &so, NULL))
        return 0;
    if (x.text.len && (sm_utf8_valid_prefix(x.text.data, x.text.len) != x.text.len ||
                       x.text.data[x.text.len - 1] != '\n' ||
                       memchr(x.text.data, 0, x.text.len) || strstr(x.text.data, " \n")))
        abort();
    sm_extract_free(&x);
    return 0;
}
