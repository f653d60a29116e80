/* SPDX-License-Identifier: Apache-2.0 */
/* smelt key: the workspace's public key. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    (void)in;
    sm_err err = {0};
    sm_store *store;
    char *path = NULL, *text = NULL;
    sm_id id;
    sm_status s = app_store(&store, a, &err);
    if (!s && !(path = sm_path_join(sm_store_dir(store), "keys/ed25519.pub")))
        s = sm_fail(&err, SM_ENOMEM, "key: out of memory");
    if (!s)
        s = sm_store_public_key(&text, store, &err);
    if (!s)
        s = sm_id_of_bytes(&id, text, strlen(text), &err);
    if (s) {
        free(path);
        return app_fail(a, s, &err);
    }
    int rc = EXIT_GOOD;
    if (a->json)
        rc = app_print_json(json_pack("{s:s, s:o, s:s, s:s}", "type", "ed25519", "file",
                                      sm_json_string(path), "sha256", id.hex, "public",
                                      text));
    else
        printf("%s\ned25519, file SHA-256 %s\n%s", path, id.hex, text);
    free(path);
    free(text);
    return rc;
}

const verb verb_key = {
    .name = "key",
    .summary = "show the public key that checks this workspace's signatures",
    .example = "smelt key",
    .run = run,
};
