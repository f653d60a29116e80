/* SPDX-License-Identifier: Apache-2.0 */
/* smelt audit verify, checkpoint, show: the hash-chained, signed log of what moved. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/* ------------------------------------------------------------------ verify */

static const sm_option verify_options[] = {
    {.key = "checkpoint",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "a checkpoint kept elsewhere: exposes truncation and rewriting"},
    SM_OPTION_END,
};

static int run_verify(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    int64_t n = 0;
    const char *checkpoint = sm_opt_str(in->opt, "checkpoint");
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_audit_verify(store, *checkpoint ? checkpoint : NULL, &n, &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(
            json_pack("{s:b, s:I}", "clean", 1, "records", (json_int_t)n));
    printf("clean: %" PRId64 " records, chain and signatures hold%s\n", n,
           *checkpoint ? ", checkpoint is part of it" : "");
    return EXIT_GOOD;
}

const verb verb_audit_verify = {
    .name = "audit verify",
    .summary = "check the chain and the signatures of the audit log",
    .example = "smelt audit verify --checkpoint /mnt/elsewhere/audit.json",
    .options = verify_options,
    .run = run_verify,
};

/* -------------------------------------------------------------- checkpoint */

static int run_checkpoint(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_audit_checkpoint(store, in->pos[0], &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(
            json_pack("{s:o}", "checkpoint", sm_json_string(in->pos[0])));
    printf("wrote %s; keep it where this workspace cannot change it\n", in->pos[0]);
    return EXIT_GOOD;
}

const verb verb_audit_checkpoint = {
    .name = "audit checkpoint",
    .usage = "FILE",
    .summary = "write the head of the audit log, signed, to keep elsewhere",
    .example = "smelt audit checkpoint /mnt/elsewhere/audit.json",
    .min_pos = 1,
    .max_pos = 1,
    .run = run_checkpoint,
};

/* -------------------------------------------------------------------- show */

static const sm_option show_options[] = {
    {.key = "last",
     .type = SM_OPT_INT,
     .def = "20",
     .min = 0,
     .max = 1e9,
     .unit = "records",
     .help = "how many to show, newest last; 0 shows all"},
    {.key = "event",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "only events whose name begins with this"},
    SM_OPTION_END,
};

/* The records of the log that are wanted; what does not parse is left to verify. */
static json_t *read_records(const char *text, size_t len, const char *event)
{
    json_t *out = json_array();
    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        json_t *v = NULL;
        at += n + 1;
        if (n == 0 || sm_json_parse(&v, line, n, "log", NULL))
            continue;
        const char *name = json_string_value(json_object_get(v, "event"));
        if (name && !strncmp(name, event, strlen(event)))
            json_array_append(out, v);
        json_decref(v);
    }
    return out;
}

static void print_record(const json_t *v)
{
    sm_buf detail = {0};
    const char *time = json_string_value(json_object_get(v, "time"));
    const char *event = json_string_value(json_object_get(v, "event"));
    sm_json_canonical(&detail, json_object_get(v, "detail"), NULL);
    printf("%6" PRId64 "  %s  %-18s %s\n",
           (int64_t)json_integer_value(json_object_get(v, "n")), time ? time : "",
           event ? event : "", detail.data ? detail.data : "");
    sm_buf_free(&detail);
}

static int run_show(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    char *path = NULL, *text = NULL;
    size_t len = 0;
    int64_t last = sm_opt_int(in->opt, "last");
    sm_status s = app_store(&store, a, &err);
    if (!s && !(path = sm_path_join(sm_store_dir(store), "audit/log.jsonl")))
        s = sm_fail(&err, SM_ENOMEM, "audit show: out of memory");
    if (!s)
        s = sm_file_read(&text, &len, path, 0, &err);
    free(path);
    if (s)
        return app_fail(a, s, &err);
    json_t *all = read_records(text, len, sm_opt_str(in->opt, "event"));
    free(text);
    while (last > 0 && (int64_t)json_array_size(all) > last)
        json_array_remove(all, 0);
    if (a->json)
        return app_print_json(all);
    for (size_t i = 0; i < json_array_size(all); i++)
        print_record(json_array_get(all, i));
    json_decref(all);
    return EXIT_GOOD;
}

const verb verb_audit_show = {
    .name = "audit show",
    .summary = "print records of the audit log",
    .example = "smelt audit show --last 5\nsmelt audit show --event ref.",
    .options = show_options,
    .run = run_show,
};
