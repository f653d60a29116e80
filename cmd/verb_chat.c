/* SPDX-License-Identifier: Apache-2.0 */
/* smelt chat: continue a text with a model of the workspace. */
#include <stdlib.h>
#include <string.h>

#include "ready.h"

static const sm_option options[] = {
    {.key = "prompt", .type = SM_OPT_STRING, .def = "",
     .help = "continue this and end; without it, prompts are read from standard input"},
    {.key = "max_tokens", .type = SM_OPT_INT, .def = "128", .min = 0, .max = 1e6,
     .unit = "tokens", .help = "longest continuation"},
    {.key = "temperature", .type = SM_OPT_FLOAT, .def = "0.8", .min = 0, .max = 100,
     .help = "0 takes the likeliest token each time"},
    {.key = "top_k", .type = SM_OPT_INT, .def = "0", .min = 0, .max = 1e6,
     .help = "only the k likeliest tokens; 0: all"},
    {.key = "top_p", .type = SM_OPT_FLOAT, .def = "0.95", .min = 1e-6, .max = 1,
     .help = "only the likeliest tokens that make up this probability"},
    {.key = "min_p", .type = SM_OPT_FLOAT, .def = "0", .min = 0, .max = 0.999,
     .help = "only tokens at least this likely relative to the best"},
    {.key = "seed", .type = SM_OPT_INT, .def = "1", .min = 0, .max = 9e15,
     .help = "the same seed gives the same text"},
    {.key = "stop", .type = SM_OPT_LIST, .def = "", .help = "end before this text"},
    READY_OPTION_ALLOW,
    SM_OPTION_END};

static sm_status continue_text(app *a, sm_engine *e, const char *prompt,
                               const sm_sampling *how, sm_err *err)
{
    sm_buf text = {0};
    sm_finish why = SM_FINISH_NONE;
    sm_status s = sm_engine_complete(e, prompt, strlen(prompt), how, &text, &why, err);
    if (!s && a->json) {
        sm_buf clean = {0};
        sm_utf8_put_clean(&clean, text.data ? text.data : "", text.len);
        app_print_json(json_pack("{s:o, s:s, s:s}", "prompt", sm_json_string(prompt),
                                 "text", clean.data ? clean.data : "", "finish",
                                 why == SM_FINISH_LENGTH ? "length" : "stop"));
        sm_buf_free(&clean);
    } else if (!s) {
        printf("%s", prompt);
        fwrite(text.data ? text.data : "", 1, text.len, stdout);
        printf("\n");
        fflush(stdout);
    }
    sm_buf_free(&text);
    return s;
}

static sm_status read_prompts(app *a, sm_engine *e, const sm_sampling *how, sm_err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    sm_status s = SM_OK;
    while (!s && !app_stop && (n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        if (*line)
            s = continue_text(a, e, line, how, err);
    }
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
        return app_usage(a, "stop: got %zu texts, want at most 16", json_array_size(stops));
    for (size_t i = 0; i < json_array_size(stops); i++)
        stop[i] = json_string_value(json_array_get(stops, i));
    sm_sampling how = {.temperature = (float)sm_opt_float(in->opt, "temperature"),
                       .top_k = (int32_t)sm_opt_int(in->opt, "top_k"),
                       .top_p = (float)sm_opt_float(in->opt, "top_p"),
                       .min_p = (float)sm_opt_float(in->opt, "min_p"),
                       .seed = (uint64_t)sm_opt_int(in->opt, "seed"),
                       .max_tokens = (int32_t)sm_opt_int(in->opt, "max_tokens"),
                       .stop = stop};
    ready_want want = {.verb = self->name, .ref = in->pos[0], .index = "", .w_model = -1,
                       .allow_ungated = sm_opt_bool(in->opt, "allow_ungated"),
                       .max_streams = 1};
    sm_status s = ready_open(&r, a, &want, &err);
    if (!s && !a->quiet && !a->json)
        fprintf(stderr, "%s is a base model: it continues text and was not taught to chat\n",
                in->pos[0]);
    const char *prompt = sm_opt_str(in->opt, "prompt");
    if (!s)
        s = *prompt ? continue_text(a, r.b.engine, prompt, &how, &err)
                    : read_prompts(a, r.b.engine, &how, &err);
    ready_close(&r);
    return s ? app_fail(a, s, &err) : EXIT_GOOD;
}

const verb verb_chat = {
    .name = "chat",
    .usage = "MODEL",
    .summary = "continue text with a model",
    .details = "A base model continues text as plain completion.  The same prompt, options and\n"
               "seed give the same text on every machine.\n"
               "\n"
               "Refuses, as serve does, what does not verify, and a model without a passed\n"
               "gate unless --allow-ungated is given, which is written to the audit log.",
    .example = "smelt chat unix-moe --prompt '# NAME' --max-tokens 64",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
