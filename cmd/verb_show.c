/* SPDX-License-Identifier: Apache-2.0 */
/* smelt show: the files of an artifact, or the bytes of one of them. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static int list_files(const app *a, const sm_artifact *x)
{
    char size[32];
    json_t *files = json_array();
    for (size_t i = 0; i < x->n_file; i++) {
        const sm_artifact_file *f = &x->file[i];
        if (a->json)
            json_array_append_new(files, json_pack("{s:s, s:s, s:I}", "path", f->path,
                                                   "object", f->object.hex, "bytes",
                                                   (json_int_t)f->bytes));
        else
            printf("%-24s %10s  %.16s\n", f->path, human_bytes(size, f->bytes),
                   f->object.hex);
    }
    if (a->json)
        return app_print_json(json_pack("{s:s, s:s, s:s, s:o, s:O}", "kind", x->kind,
                                        "content", x->content.hex, "recipe", x->recipe.hex,
                                        "files", files, "made_by", x->recipe_json));
    json_decref(files);
    return EXIT_GOOD;
}

static sm_status print_file(sm_store *store, const sm_artifact *x, const char *file,
                            sm_err *err)
{
    char *path = NULL;
    sm_map m = {0};
    sm_status s = sm_store_path(&path, store, x, file, err);
    if (!s)
        s = sm_map_open(&m, path, err);
    if (!s && fwrite(m.data, 1, m.len, stdout) != m.len)
        s = sm_fail(err, SM_EIO, "standard output: cannot write %s", file);
    sm_map_close(&m);
    free(path);
    return s;
}

static int run(app *a, const verb *self, const args *in)
{
    sm_store *store;
    sm_artifact x = {0};
    sm_err err = {0};
    (void)self;
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_store_find(&x, store, in->pos[0], &err);
    int rc = EXIT_GOOD;
    if (!s && in->n_pos == 1)
        rc = list_files(a, &x);
    else if (!s)
        s = print_file(store, &x, in->pos[1], &err);
    sm_artifact_free(&x);
    return s ? app_fail(a, s, &err) : rc;
}

const verb verb_show = {
    .name = "show",
    .usage = "REF [FILE]",
    .summary = "list the files of an artifact, or print one",
    .details = "FILE is printed byte for byte, also under --json.",
    .example = "smelt show unix-moe\n"
               "smelt show unix-eval report.txt",
    .min_pos = 1,
    .max_pos = 2,
    .run = run,
};
