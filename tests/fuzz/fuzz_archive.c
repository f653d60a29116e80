/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a container (as if named x.deb, x.tar.gz, x.zip, x.jsonl or x.txt by the first
 * byte), as a copyright file, as a line of a dataset and as text to repair and normalise:
 * no crash, bounded memory; names stay inside; licences come out named; normal forms are
 * normal. */
/* module: data */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "curate.h"
#include "json_line.h"
#include "names.h"
#include "simplify.h"
#include "smelt/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *filter(void *self, const char *path, bool in_package)
{
    (void)self;
    return in_package ? sm_name_verdict(path, true) : NULL;
}

static bool leaves(const char *path)
{
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/!");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n + (p[n] != 0);
    }
    return false;
}

static void read_container(const uint8_t *data, size_t size)
{
    static const char *const name[] = {"x.deb", "x.tar.gz", "x.zip", "x.jsonl", "x.txt"};
    sm_container_limits limits = {
        .max_file_bytes = 1 << 20, .max_ratio = 20, .floor_bytes = 1 << 20};
    sm_container *c;
    sm_err err;
    if (size == 0 || sm_container_open_memory(&c, data + 1, size - 1, name[data[0] % 5],
                                              &limits, filter, NULL, &err))
        return;
    for (int n = 0; n < 2000; n++) {
        sm_entry e;
        bool got;
        if (sm_container_next(c, &e, &got, &err) || !got)
            break;
        if (!e.path || leaves(e.path) || (e.data && e.data[e.len] != 0))
            abort();
        sm_entry_free(&e);
    }
    sm_container_close(c);
}

static void read_licence(const char *text, size_t size)
{
    sm_buf out = {0};
    if (!sm_licence_of_copyright(&out, text, size) || out.len == 0)
        abort();
    sm_buf_clear(&out);
    if (!sm_licence_of_text(&out, text, size))
        abort();
    sm_buf_free(&out);
}

static void read_line(const char *text, size_t size)
{
    char *copy = sm_strndup(text, size), *key, *value;
    size_t len;
    sm_json_line j = {.at = copy, .start = copy, .end = copy + size};
    while (copy && sm_json_line_next(&j, &key, &value, &len))
        if (value && strlen(value) != len)
            abort();
    free(copy);
}

static void clean(const char *text, size_t size)
{
    sm_buf repaired = {0}, one = {0}, two = {0}, simple = {0};
    if (!sm_repair_text(&repaired, text, size))
        abort();
    const char *r = repaired.data ? repaired.data : "";
    if (!sm_normalise_text(&one, r, repaired.len))
        abort();
    if (!sm_normalise_text(&two, one.data ? one.data : "", one.len))
        abort();
    if (one.len != two.len || (one.len && memcmp(one.data, two.data, one.len) != 0))
        abort();
    if (!sm_simplify_text(&simple, one.data ? one.data : "", one.len))
        abort();
    if (simple.len && (simple.data[0] == ' ' || simple.data[simple.len - 1] == ' '))
        abort();
    sm_lang_detect(one.data ? one.data : "", one.len);
    sm_buf_free(&repaired);
    sm_buf_free(&one);
    sm_buf_free(&two);
    sm_buf_free(&simple);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = sm_strndup(size ? (const char *)data : "", size);
    if (!text)
        return 0;
    read_container(data, size);
    read_licence(text, size);
    read_line(text, size);
    clean(text, size);
    free(text);
    return 0;
}
