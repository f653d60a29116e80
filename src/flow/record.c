/* SPDX-License-Identifier: Apache-2.0 */
/* The run record: who ran what on which machine.  None of it enters an id. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "internal.h"
#include "smelt/kern.h"
#include "smelt/text.h"

/* The command line of this process; empty where the system does not show it. */
static json_t *command_line(void)
{
    json_t *argv = json_array();
    FILE *f = fopen("/proc/self/cmdline", "r");
    char text[16384];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    for (size_t i = 0; argv && i < n; i += strlen(text + i) + 1) {
        json_t *word = json_string(text + i);
        json_array_append_new(argv, word ? word : json_string("(not UTF-8)"));
    }
    return argv;
}

static json_t *machine(void)
{
    struct utsname u = {0};
    const sm_cpu *cpu = sm_cpu_get();
    uname(&u);
    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "cpu", cpu->model, "system", u.sysname,
                     "release", u.release, "arch", u.machine, "n_cpu", cpu->n_cpu);
}

json_t *flow_record(const sm_ctx *ctx, const char *run, const json_t *options,
                    json_t *figures)
{
    char started[32], cwd[4096];
    sm_wall_format(started, sm_wall_ns());
    json_t *build = json_pack("{s:s, s:s}", "smelt", SM_VERSION, "compiler",
#ifdef __VERSION__
                              __VERSION__
#else
                              "unknown"
#endif
    );
    json_t *dir = getcwd(cwd, sizeof cwd) ? json_string(cwd) : NULL;
    if (!dir) /* gone, or its name is not UTF-8 */
        dir = json_string("");
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:s, s:s, s:O, s:O}", "id", run,
                     "argv", command_line(), "cwd", dir, "build", build, "machine",
                     machine(), "threads", ctx->pool ? sm_pool_n_threads(ctx->pool) : 1,
                     "kernels", ctx->kern ? ctx->kern->name : "none", "started", started,
                     "options", (json_t *)(uintptr_t)options, "figures", figures);
}

json_t *flow_clean_string(const sm_buf *b)
{
    sm_buf out = {0};
    json_t *j = sm_utf8_put_clean(&out, b->data ? b->data : "", b->len)
                    ? json_stringn(out.data ? out.data : "", out.len)
                    : NULL;
    sm_buf_free(&out);
    return j;
}
