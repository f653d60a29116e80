/* SPDX-License-Identifier: Apache-2.0 */
/* smelt version. */
#include "cmd.h"

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    (void)in;
    if (a->json)
        return app_print_json(json_pack("{s:s}", "smelt", SM_VERSION));
    printf("smelt %s\n", SM_VERSION);
    return EXIT_GOOD;
}

const verb verb_version = {
    .name = "version",
    .summary = "print the version",
    .example = "smelt version",
    .run = run,
};
