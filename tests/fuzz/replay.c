/* SPDX-License-Identifier: Apache-2.0 */
/* Run a fuzz target over files and directories of seeds, as a plain regression test. */
#include <stdio.h>
#include <stdlib.h>

#include "smelt/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    sm_err err;
    sm_map m;
    if (sm_map_open(&m, path, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    LLVMFuzzerTestOneInput(m.data, m.len);
    sm_map_close(&m);
    return 0;
}

static int run_dir(const char *dir, size_t *n_run)
{
    sm_err err;
    sm_list l;
    if (sm_list_files(&l, dir, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int bad = 0;
    for (size_t i = 0; i < l.n; i++) {
        char *p = sm_path_join(dir, l.item[i]);
        bad |= !p || run_file(p);
        free(p);
    }
    *n_run += l.n;
    sm_list_free(&l);
    return bad;
}

int main(int argc, char **argv)
{
    size_t n_run = 0;
    int bad = 0;
    for (int i = 1; i < argc; i++)
        bad |= run_dir(argv[i], &n_run);
    printf("%zu seeds\n", n_run);
    return bad || n_run == 0;
}
