/* SPDX-License-Identifier: Apache-2.0 */
/* smelt chat: continue a text with a model of the workspace. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ready.h"

static const sm_option options[] = {
    {.key = "prompt",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "continue this and end; without it, prompts are read from standard input"},
    {.key = "max_tokens",
     .type = SM_OPT_INT,
     .def = "128",
     .min = 0,
     .max = 1e6,
     .unit = "tokens",
     .help = "longest continuation"},
    {.key = "temperature",
     .type = SM_OPT_FLOAT,
     .def = "0.8",
     .min = 0,
     .max = 100,
     .help = "0 takes the likeliest token each time"},
    {.key = "top_k",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 1e6,
     .help = "only the k likeliest tokens; 0: all"},
    {.key = "top_p",
     .type = SM_OPT_FLOAT,
     .def = "0.95",
     .min = 1e-6,
     .max = 1,
     .help = "only the likeliest tokens that make up this probability"},
    {.key = "min_p",
     .type = SM_OPT_FLOAT,
     .def = "0",
     .min = 0,
     .max = 0.999,
     .help = "only tokens at least this likely relative to the best"},
    {.key = "seed",
     .type = SM_OPT_INT,
     .def = "1",
     .min = 0,
     .max = 9e15,
     .help = "the same seed gives the same text"},
    {.key = "stop", .type = SM_OPT_LIST, .def = "", .help = "end before this text"},
    READY_OPTION_ALLOW,
    SM_OPTION_END};

typedef struct chat {
    app *a;
    sm_engine *engine;
    sm_sampling how;
} chat;

static void print_json(const char *prompt, size_t len, const sm_buf *text, sm_finish why)
{
    sm_buf clean = {0};
    sm_utf8_put_clean(&clean, text->data ? text->data : "", text->len);
    app_print_json(json_pack("{s:s%, s:s%, s:s}", "prompt", prompt, len, "text",
                             clean.data ? clean.data : "", clean.len, "finish",
                             why == SM_FINISH_LENGTH ? "length" : "stop"));
    sm_buf_free(&clean);
}

static void print_text(const char *prompt, size_t len, const sm_buf *text)
{
    fwrite(prompt, 1, len, stdout);
    fwrite(text->data ? text->data : "", 1, text->len, stdout);
    putchar('\n');
}

static sm_status continue_text(const chat *c, const char *prompt, size_t len, sm_err *err)
{
    sm_buf text = {0};
    sm_finish why = SM_FINISH_NONE;
    sm_status s = sm_engine_complete(c->engine, prompt, len, &c->how, &text, &why, err);
    if (!s && c->a->json)
        print_json(prompt, len, &text, why);
    else if (!s)
        print_text(prompt, len, &text);
    sm_buf_free(&text);
    errno = 0;
    if (!s && (fflush(stdout) != 0 || ferror(stdout)))
        s = sm_fail_errno(err, errno ? errno : EIO, "standard output");
    return s;
}

/* JSON holds text: a prompt that is none could not be repeated in the answer. */
static sm_status check_line(const chat *c, const char *line, size_t len, size_t number,
                            sm_err *err)
{
    size_t n = sm_utf8_valid_prefix(line, len);
    if (!c->a->json || n == len)
        return SM_OK;
    return sm_fail(err, SM_EINVAL,
                   "standard input: line %zu: byte %zu is 0x%02x, want UTF-8 "
                   "(--json)",
                   number, n + 1, (unsigned)(unsigned char)line[n]);
}

/* A stop must end the wait for a prompt that nobody may ever type: the handlers of the
 * program have interrupted calls go on. */
static void let_signals_end_reads(void)
{
    static const int caught[] = {SIGINT, SIGTERM};
    struct sigaction sa;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        if (!sigaction(caught[i], NULL, &sa)) {
            sa.sa_flags &= ~SA_RESTART;
            sigaction(caught[i], &sa, NULL);
        }
}

static sm_status read_prompts(const chat *c, sm_err *err)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    sm_status s = SM_OK;
    let_signals_end_reads();
    while (!s && !app_stop && (n = getline(&line, &cap, stdin)) > 0) {
        size_t len = (size_t)n - (line[n - 1] == '\n');
        s = check_line(c, line, len, ++number, err);
        if (!s && len > 0 && (s = continue_text(c, line, len, err)) == SM_EINVAL)
            s = sm_fail_context(err, s, "standard input: line %zu: ", number);
    }
    if (!s && !app_stop && ferror(stdin))
        s = sm_fail_errno(err, errno, "standard input");
    free(line);
    return s;
}

static int run(app *a, const verb *self, const args *in)
{
    sm_err err = {0};
    ready r;
    const char *stop[17] = {NULL};
    const json_t *stops = sm_opt_list(in->opt, "stop");
    if (json_array_size(stops) > 16)
        return app_usage(a, "stop: got %zu texts, want at most 16",
                         json_array_size(stops));
    for (size_t i = 0; i < json_array_size(stops); i++)
        stop[i] = json_string_value(json_array_get(stops, i));
    chat c = {.a = a,
              .how = {.temperature = (float)sm_opt_float(in->opt, "temperature"),
                      .top_k = (int32_t)sm_opt_int(in->opt, "top_k"),
                      .top_p = (float)sm_opt_float(in->opt, "top_p"),
                      .min_p = (float)sm_opt_float(in->opt, "min_p"),
                      .seed = (uint64_t)sm_opt_int(in->opt, "seed"),
                      .max_tokens = (int32_t)sm_opt_int(in->opt, "max_tokens"),
                      .stop = stop}};
    ready_want want = {.verb = self->name,
                       .ref = in->pos[0],
                       .index = "",
                       .w_model = -1,
                       .allow_ungated = sm_opt_bool(in->opt, "allow_ungated"),
                       .max_streams = 1};
    app_end_at_once(true);
    sm_status s = ready_open(&r, a, &want, &err);
    app_end_at_once(false);
    if (!s && !a->quiet && !a->json)
        fprintf(stderr,
                "%s is a base model: it continues text and was not taught to chat\n",
                in->pos[0]);
    const char *prompt = sm_opt_str(in->opt, "prompt");
    c.engine = r.b.engine;
    if (!s)
        s = *prompt ? continue_text(&c, prompt, strlen(prompt), &err)
                    : read_prompts(&c, &err);
    ready_close(&r);
    return s ? app_fail(a, s, &err) : EXIT_GOOD;
}

const verb verb_chat = {
    .name = "chat",
    .usage = "MODEL",
    .summary = "continue text with a model",
    .details =
        "A base model continues text as plain completion.  The same prompt, options and\n"
        "seed give the same text on every machine.  Each line of standard input is a\n"
        "prompt of its own; with --json it must be UTF-8.\n"
        "\n"
        "Refuses, as serve does, what does not verify, and a model without a passed\n"
        "gate unless --allow-ungated is given, which is written to the audit log.",
    .example = "smelt chat unix-moe --prompt '# NAME' --max-tokens 64",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
