/* SPDX-License-Identifier: Apache-2.0 */
/* smelt init: make a workspace. */
#include <stdlib.h>

#include "cmd.h"

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const char *dir = in->n_pos ? in->pos[0] : a->workspace ? a->workspace : ".";
    sm_status s = sm_mkdirs(dir, &err);
    if (!s)
        s = sm_store_init(dir, &err);
    if (s)
        return app_fail(a, s, &err);
    int rc = EXIT_GOOD;
    char *path = sm_path_join(dir, ".smelt");
    if (a->json)
        rc = app_print_json(
            json_pack("{s:o}", "workspace", sm_json_string(path ? path : dir)));
    else
        printf("made workspace %s with a signing key\n", path ? path : dir);
    free(path);
    return rc;
}

const verb verb_init = {
    .name = "init",
    .usage = "[DIR]",
    .summary = "make a workspace",
    .details =
        "The workspace is DIR/.smelt: objects, catalog, audit log, and an Ed25519 key\n"
        "that signs the audit log.  Other verbs find it upwards from where they run.",
    .example = "smelt init",
    .max_pos = 1,
    .run = run,
};
