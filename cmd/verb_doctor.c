/* SPDX-License-Identifier: Apache-2.0 */
/* smelt doctor: what this machine offers, and what is wrong with the set-up. */
#include <archive.h>
#include <libfyaml.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd.h"
#include "smelt/kern.h"
#include "smelt/scratch.h"

static json_t *cpu_report(void)
{
    const sm_cpu *cpu = sm_cpu_get();
    json_t *rungs = json_array();
    for (int i = 0; sm_kern_rung_name(i); i++) {
        const sm_kern *k;
        if (!sm_kern_get(&k, sm_kern_rung_name(i), NULL))
            json_array_append_new(rungs, json_string(sm_kern_rung_name(i)));
    }
    return json_pack("{s:s, s:i, s:b, s:b, s:b, s:b, s:o}", "model", cpu->model,
                     "processors", cpu->n_cpu, "avx2", cpu->avx2, "avx512", cpu->avx512,
                     "amx", cpu->amx, "sha", cpu->sha, "rungs", rungs);
}

static json_t *memory_report(void)
{
    int64_t page = sysconf(_SC_PAGESIZE);
    return json_pack("{s:I, s:I}", "total_bytes",
                     (json_int_t)(page * sysconf(_SC_PHYS_PAGES)), "available_bytes",
                     (json_int_t)(page * sysconf(_SC_AVPHYS_PAGES)));
}

static json_t *disk_report(const char *dir)
{
    struct statvfs v;
    if (statvfs(dir, &v) != 0)
        return json_null();
    return json_pack("{s:o, s:I}", "dir", sm_json_string(dir), "free_bytes",
                     (json_int_t)((uint64_t)v.f_bavail * v.f_frsize));
}

static json_t *library_report(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "jansson", jansson_version_str(),
                     "libfyaml", fy_library_version(), "sqlite", sqlite3_libversion(),
                     "openssl", OpenSSL_version(OPENSSL_VERSION), "libarchive",
                     archive_version_details());
}

/* What unfinished recipes keep, as a whole. */
static json_t *scratch_report(sm_store *store)
{
    json_t *list = NULL, *v;
    size_t i, n_running = 0;
    json_int_t bytes = 0;
    if (!store || sm_scratch_list(&list, store, NULL))
        return json_object();
    json_array_foreach(list, i, v)
    {
        bytes += json_integer_value(json_object_get(v, "bytes"));
        n_running += json_is_true(json_object_get(v, "running"));
    }
    size_t n = json_array_size(list);
    json_decref(list);
    return json_pack("{s:I, s:I, s:I}", "recipes", (json_int_t)n, "running",
                     (json_int_t)n_running, "scratch_bytes", bytes);
}

static int clean_scratch(app *a)
{
    sm_err err = {0};
    sm_store *store;
    int64_t n = 0, bytes = 0;
    char size[32];
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_scratch_clean(&n, &bytes, store, &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(json_pack("{s:I, s:I}", "removed", (json_int_t)n, "bytes",
                                        (json_int_t)bytes));
    printf("removed the scratch of %lld unfinished recipe%s, %s\n", (long long)n,
           n == 1 ? "" : "s", human_bytes(size, bytes));
    return EXIT_GOOD;
}

/* The kernels that will be used: SMELT_CPU may ask for what is not there. */
static json_t *kernels_report(sm_status *s, sm_err *err)
{
    const sm_kern *k = NULL;
    *s = sm_kern_get(&k, NULL, err);
    return *s ? json_string(err->msg) : json_string(k->name);
}

static void print_text(const json_t *r)
{
    const char *key;
    json_t *v, *section;
    json_object_foreach((json_t *)(uintptr_t)r, key, section)
    {
        printf("%s\n", key);
        if (json_is_string(section))
            printf("  %s\n", json_string_value(section));
        const char *name;
        json_object_foreach(section, name, v)
        {
            sm_buf text = {0};
            char size[32];
            size_t n = strlen(name);
            if (n > 6 && !strcmp(name + n - 6, "_bytes"))
                sm_buf_puts(&text, human_bytes(size, json_integer_value(v)));
            else if (json_is_string(v))
                sm_buf_puts(&text, json_string_value(v));
            else
                sm_json_canonical(&text, v, NULL);
            printf("  %-16s %s\n", name, text.data ? text.data : "");
            sm_buf_free(&text);
        }
    }
}

static const sm_option options[] = {
    {.key = "clean_scratch", .type = SM_OPT_BOOL, .def = "false",
     .help = "remove what unfinished recipes keep that no process works on, and end"},
    SM_OPTION_END};

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    if (sm_opt_bool(in->opt, "clean_scratch"))
        return clean_scratch(a);
    sm_err err = {0}, none = {0};
    sm_status s;
    sm_store *store = NULL;
    bool has_store = !app_store(&store, a, &none);
    json_t *kernels = kernels_report(&s, &err);
    json_t *r = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cpu", cpu_report(),
                          "kernels", kernels, "memory", memory_report(), "disk",
                          disk_report(has_store ? sm_store_dir(store) : "."), "libraries",
                          library_report(), "workspace",
                          sm_json_string(has_store ? sm_store_dir(store) : none.msg),
                          "scratch", scratch_report(store));
    int rc = EXIT_GOOD;
    if (a->json) {
        rc = app_print_json(r);
    } else {
        print_text(r);
        json_decref(r);
    }
    return s ? app_fail(a, s, &err) : rc;
}

const verb verb_doctor = {
    .name = "doctor",
    .summary = "report processor, kernels, memory, disk, libraries and workspace",
    .details = "A step that was stopped keeps its checkpoints below .smelt/tmp, so that the same\n"
               "step goes on from them.  What nobody will go on with is removed by\n"
               "--clean-scratch: those steps then begin anew.",
    .example = "smelt doctor\nsmelt doctor --clean-scratch",
    .options = options,
    .run = run,
};
