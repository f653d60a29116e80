/* SPDX-License-Identifier: Apache-2.0 */
/* Reads documents and writes their text, for the comparisons of this folder.
 * usage: extract_text man|html|full|markdown|rst|plain FILE    (text to standard output)
 *        extract_text MODE -      (standard input has lines "file TAB output file") */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/extract.h"
#include "smelt/sys.h"

static sm_status extract(sm_extract *x, const char *mode, const char *data, size_t len,
                         const char *path, sm_err *err)
{
    static const sm_format formats[] = {SM_FORMAT_PLAIN, SM_FORMAT_MARKDOWN,
                                        SM_FORMAT_RST, SM_FORMAT_HTML, SM_FORMAT_MAN};
    if (strcmp(mode, "full") == 0)
        return sm_extract_html(x, data, len, path, SM_HTML_FULL, err);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(mode, sm_format_name(formats[i])) == 0)
            return sm_extract_document(x, formats[i], data, len, path, NULL, err);
    return sm_fail(err, SM_EINVAL,
                   "mode \"%s\", want man, html, full, markdown, rst, plain", mode);
}

static sm_status convert(const char *mode, const char *in, const char *out, sm_err *err)
{
    sm_extract x = {0};
    char *data = NULL;
    size_t len = 0;
    sm_status s = sm_file_read(&data, &len, in, 0, err);
    if (!s)
        s = extract(&x, mode, data, len, in, err);
    free(data);
    FILE *f = s ? NULL : out ? fopen(out, "wb") : stdout;
    if (!s && !f)
        s = sm_fail(err, SM_EIO, "%s: cannot be written", out);
    if (f && x.text.len && fwrite(x.text.data, 1, x.text.len, f) != x.text.len)
        s = sm_fail(err, SM_EIO, "%s: short write", out ? out : "standard output");
    if (f && out && fclose(f) != 0)
        s = sm_fail(err, SM_EIO, "%s: short write", out);
    sm_extract_free(&x);
    return s;
}

int main(int argc, char **argv)
{
    char line[8192];
    sm_err err;
    if (argc != 3) {
        fprintf(stderr, "usage: extract_text MODE FILE|-\n");
        return 2;
    }
    if (strcmp(argv[2], "-") != 0) {
        if (convert(argv[1], argv[2], NULL, &err) == SM_OK)
            return 0;
        fprintf(stderr, "extract_text: %s\n", err.msg);
        return 1;
    }
    int n_failed = 0;
    while (fgets(line, sizeof line, stdin)) {
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        if (convert(argv[1], line, tab + 1, &err)) {
            fprintf(stderr, "extract_text: %s\n", err.msg);
            n_failed++;
        }
    }
    return n_failed > 0;
}
