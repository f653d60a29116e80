/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of OpenAI's, vLLM's and llama.cpp's requests that change an answer and that smelt
 * does not have.  They are refused, not ignored, unless they say what happens anyway: null,
 * false, "", [], {}, and what the table names besides.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

typedef struct foreign {
    const char *name;
    double number;     /* what happens anyway; most are 0                          */
    const char *words; /* the same, blanks around each: as a string, a "type", a list */
} foreign;

static const foreign fields[] = {
    /* how many, and what of them is told; logprobs 0 asks for the chosen token's */
    {"best_of", 1, NULL},
    {"echo", 0, NULL},
    {"logprobs", NAN, NULL},
    {"top_logprobs", 0, NULL},
    {"prompt_logprobs", NAN, NULL},
    {"n_probs", 0, NULL},
    /* how tokens are chosen */
    {"frequency_penalty", 0, NULL},
    {"presence_penalty", 0, NULL},
    {"repetition_penalty", 1, NULL},
    {"repeat_penalty", 1, NULL},
    {"logit_bias", 0, NULL},
    {"typical_p", 1, NULL},
    {"mirostat", 0, NULL},
    {"dry_multiplier", 0, NULL},
    {"xtc_probability", 0, NULL},
    {"dynatemp_range", 0, NULL},
    {"samplers", 0, NULL},
    {"use_beam_search", 0, NULL},
    {"bad_words", 0, NULL},
    {"allowed_token_ids", 0, NULL},
    /* where the text ends */
    {"n_predict", NAN, NULL},
    {"min_tokens", 0, NULL},
    {"ignore_eos", 0, NULL},
    {"stop_token_ids", 0, NULL},
    {"include_stop_str_in_output", 0, NULL},
    {"t_max_predict_ms", 0, NULL},
    /* its form */
    {"response_format", 0, " text "},
    {"grammar", 0, NULL},
    {"json_schema", 0, NULL},
    {"structured_outputs", 0, NULL},
    {"guided_json", 0, NULL},
    {"guided_regex", 0, NULL},
    {"guided_choice", 0, NULL},
    {"guided_grammar", 0, NULL},
    {"modalities", 0, " text "},
    {"audio", 0, NULL},
    /* what the model is given */
    {"suffix", 0, NULL},
    {"tools", 0, NULL},
    {"tool_choice", 0, " none auto "},
    {"functions", 0, NULL},
    {"function_call", 0, " none auto "},
    {"documents", 0, NULL},
    {"web_search_options", 0, NULL},
    {"chat_template", 0, NULL},
    {"truncate_prompt_tokens", 0, NULL},
    {"lora", 0, NULL}};

static bool is_word_of(const foreign *f, const json_t *v)
{
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    const char *at = f->words && text && n > 0 ? strstr(f->words, text) : NULL;
    return at && at > f->words && at[-1] == ' ' && at[n] == ' ';
}

static bool is_list_of_words(const foreign *f, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!is_word_of(f, json_array_get(v, i)))
            return false;
    return json_is_array(v);
}

static bool is_neutral(const foreign *f, const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) ||
           (json_is_number(v) && json_number_value(v) == f->number) ||
           (json_is_string(v) && (!*json_string_value(v) || is_word_of(f, v))) ||
           is_list_of_words(f, v) ||
           (json_is_object(v) &&
            (json_object_size(v) == 0 || is_word_of(f, json_object_get(v, "type"))));
}

sm_status request_refuse_foreign(const json_t *body, const char **param, sm_err *err)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!is_neutral(&fields[i], json_object_get(body, fields[i].name))) {
            *param = fields[i].name;
            return sm_fail(err, SM_EUNSUPPORTED, "%s: not supported by this server",
                           fields[i].name);
        }
    return SM_OK;
}
