/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, presets and parameters of `data curate`.  A number left unset takes the value of
 * the preset from the table below; stats.json records every value that was used.
 *
 * Preset `web` has the published values of every rule.  Preset `technical` is for manuals:
 * it departs from them where they would remove good pages, for these reasons.
 *   gopher_min_words 50 -> 10      a short page is often the whole answer
 *   gopher_max_words 100000 -> 1000000   a manual in one page is long, and not spam
 *   gopher_max_hash 0.1 -> 0.3     headings of extracted pages and shell examples use '#'
 *   gopher_max_bullet 0.9 -> 1     a list of options is a list
 *   gopher_min_alpha 0.8 -> 0.35   synopses and tables are full of signs
 *   gopher_min_stop_words 2 -> 1   a page on one type is a few lines of code
 *   gopher_max_mean 10 -> 12       names of functions are long words
 *   dup_* and top_* about doubled  reference pages repeat their phrases ("This function
 *                                  returns ..."), tables repeat their cells
 *   minhash_verify 0 -> 0.8        pages that share boilerplate collide by chance; merging
 *                                  all candidates would lose pages that differ
 */
#include <stdlib.h>
#include <string.h>

#include "curate.h"

#define TUNABLE(name, least, most, text)                                         \
    {                                                                            \
        .key = name, .type = SM_OPT_FLOAT, .def = "", .min = least, .max = most, \
        .help = text, .affects_result = true                                     \
    }
#define COUNT(name, least, most, text)                                         \
    {                                                                          \
        .key = name, .type = SM_OPT_INT, .def = "", .min = least, .max = most, \
        .help = text, .affects_result = true                                   \
    }
#define CHOICE(name, value, text)                                     \
    {                                                                 \
        .key = name, .type = SM_OPT_BOOL, .def = value, .help = text, \
        .affects_result = true                                        \
    }
#define NAMES(name, text)                                          \
    {                                                              \
        .key = name, .type = SM_OPT_LIST, .def = "", .help = text, \
        .affects_result = true                                     \
    }

const sm_option sm_data_curate_options[] = {
    {.key = "preset",
     .type = SM_OPT_ENUM,
     .def = "technical",
     .choices = "technical|web",
     .help = "steps and values for manuals, or those published for web pages",
     .affects_result = true},
    NAMES("steps", "steps to run, in order, instead of the preset's"),
    NAMES("lang", "keep documents in these languages only (en, de, und, ...)"),
    NAMES("licence_allow",
          "keep only documents under licences that match (GPL-*, MIT, ...)"),
    NAMES("licence_deny", "remove documents under licences that match"),
    CHOICE("allow_unknown_licence", "false", "keep documents whose licence is not known"),
    {.key = "heldout_frac",
     .type = SM_OPT_FLOAT,
     .def = "0.02",
     .min = 0,
     .max = 0.9,
     .help = "share of documents held out, chosen by their content",
     .affects_result = true},
    {.key = "split_seed",
     .type = SM_OPT_INT,
     .def = "1",
     .min = 0,
     .max = 2147483647,
     .help = "another seed holds out other documents",
     .affects_result = true},
    COUNT("min_chars", 0, 1e12, "length: fewest characters"),
    COUNT("max_chars", 0, 1e12, "length: most characters (0 = any)"),
    COUNT("gopher_min_words", 0, 1e9, "GQ1: fewest words"),
    COUNT("gopher_max_words", 0, 1e9, "GQ2: most words (0 = any)"),
    TUNABLE("gopher_min_mean", 0, 1000, "GQ3: least mean word length"),
    TUNABLE("gopher_max_mean", 0, 1000, "GQ3: greatest mean word length"),
    TUNABLE("gopher_max_hash", 0, 1000, "GQ4: most '#' per word"),
    TUNABLE("gopher_max_ellipsis", 0, 1000, "GQ5: most ellipses per word"),
    TUNABLE("gopher_max_bullet", 0, 1, "GQ6: most lines that start with a bullet"),
    TUNABLE("gopher_max_ellipsis_lines", 0, 1, "GQ7: most lines that end in an ellipsis"),
    TUNABLE("gopher_min_alpha", 0, 1, "GQ8: fewest words with a letter"),
    COUNT("gopher_min_stop_words", 0, 8, "GQ9: fewest different stop words"),
    TUNABLE("dup_para_frac", 0, 1, "GR1: most repeated paragraphs"),
    TUNABLE("dup_para_char_frac", 0, 1, "GR2: most characters in repeated paragraphs"),
    TUNABLE("dup_line_frac", 0, 1, "GR3: most repeated lines"),
    TUNABLE("dup_line_char_frac", 0, 1, "GR4: most characters in repeated lines"),
    TUNABLE("top_2_gram", 0, 10, "GR5: most characters in the commonest 2-gram"),
    TUNABLE("top_3_gram", 0, 10, "GR5: the same for 3-grams"),
    TUNABLE("top_4_gram", 0, 10, "GR5: the same for 4-grams"),
    TUNABLE("dup_5_grams", 0, 1, "GR6: most characters in repeated 5-grams"),
    TUNABLE("dup_6_grams", 0, 1, "GR6: the same for 6-grams"),
    TUNABLE("dup_7_grams", 0, 1, "GR6: the same for 7-grams"),
    TUNABLE("dup_8_grams", 0, 1, "GR6: the same for 8-grams"),
    TUNABLE("dup_9_grams", 0, 1, "GR6: the same for 9-grams"),
    TUNABLE("dup_10_grams", 0, 1, "GR6: the same for 10-grams"),
    CHOICE("c4_terminal_punct", "false", "C4-3: drop lines without final punctuation"),
    CHOICE("c4_curly_bracket", "true", "C4-7: remove documents with a '{'"),
    COUNT("c4_min_sentences", 0, 1e6, "C4-9: fewest sentences"),
    COUNT("c4_min_line_words", 0, 1e6, "C4-4: drop lines with fewer words"),
    COUNT("c4_max_word_chars", 0, 1e9, "C4-1: drop lines with a longer word (0 = any)"),
    TUNABLE("fineweb_line_punct", 0, 1, "FW1: fewest lines with final punctuation"),
    TUNABLE("fineweb_short_line", 0, 1, "FW2: most short lines"),
    COUNT("fineweb_short_line_chars", 0, 1e6, "FW2: characters of a short line"),
    TUNABLE("fineweb_char_dup", 0, 1, "FW3: most characters in repeated lines"),
    TUNABLE("fineweb_list", 0, 1000, "FW4: most line ends per word"),
    COUNT("minhash_buckets", 1, 1000, "buckets; a pair must agree in one"),
    COUNT("minhash_hashes", 1, 1000, "hashes a bucket"),
    COUNT("minhash_ngram", 1, 100, "words an n-gram"),
    COUNT("minhash_seed", 0, 2147483647, "seed of the hash functions"),
    TUNABLE("minhash_verify", 0, 1,
            "least estimated similarity of a pair (0 = no check)"),
    SM_OPTION_END};

/* ------------------------------------------------------------- parameters */

typedef struct param {
    const char *key, *step;
    size_t offset;
    bool is_int;
    double technical, web;
} param;

#define P_INT(key, step, field, technical, web)                         \
    {                                                                   \
        key, step, offsetof(curate_params, field), true, technical, web \
    }
#define P_NUM(key, step, field, technical, web)                          \
    {                                                                    \
        key, step, offsetof(curate_params, field), false, technical, web \
    }

static const param params[] = {
    P_INT("min_chars", "length", min_chars, 100, 200),
    P_INT("max_chars", "length", max_chars, 0, 0),
    P_INT("gopher_min_words", "gopher_quality", gopher.min_words, 10, 50),
    P_INT("gopher_max_words", "gopher_quality", gopher.max_words, 1000000, 100000),
    P_NUM("gopher_min_mean", "gopher_quality", gopher.min_mean, 3, 3),
    P_NUM("gopher_max_mean", "gopher_quality", gopher.max_mean, 12, 10),
    P_NUM("gopher_max_hash", "gopher_quality", gopher.max_hash, 0.3, 0.1),
    P_NUM("gopher_max_ellipsis", "gopher_quality", gopher.max_ellipsis, 0.1, 0.1),
    P_NUM("gopher_max_bullet", "gopher_quality", gopher.max_bullet, 1, 0.9),
    P_NUM("gopher_max_ellipsis_lines", "gopher_quality", gopher.max_ellipsis_lines, 0.3,
          0.3),
    P_NUM("gopher_min_alpha", "gopher_quality", gopher.min_alpha, 0.35, 0.8),
    P_INT("gopher_min_stop_words", "gopher_quality", gopher.min_stop_words, 1, 2),
    P_NUM("dup_para_frac", "gopher_repetition", repeat.para, 0.5, 0.3),
    P_NUM("dup_para_char_frac", "gopher_repetition", repeat.para_char, 0.4, 0.2),
    P_NUM("dup_line_frac", "gopher_repetition", repeat.line, 0.5, 0.3),
    P_NUM("dup_line_char_frac", "gopher_repetition", repeat.line_char, 0.4, 0.2),
    P_NUM("top_2_gram", "gopher_repetition", repeat.top[0], 0.4, 0.2),
    P_NUM("top_3_gram", "gopher_repetition", repeat.top[1], 0.36, 0.18),
    P_NUM("top_4_gram", "gopher_repetition", repeat.top[2], 0.32, 0.16),
    P_NUM("dup_5_grams", "gopher_repetition", repeat.dup[0], 0.5, 0.15),
    P_NUM("dup_6_grams", "gopher_repetition", repeat.dup[1], 0.48, 0.14),
    P_NUM("dup_7_grams", "gopher_repetition", repeat.dup[2], 0.46, 0.13),
    P_NUM("dup_8_grams", "gopher_repetition", repeat.dup[3], 0.44, 0.12),
    P_NUM("dup_9_grams", "gopher_repetition", repeat.dup[4], 0.42, 0.11),
    P_NUM("dup_10_grams", "gopher_repetition", repeat.dup[5], 0.4, 0.1),
    P_INT("c4_min_sentences", "c4", c4.min_sentences, 5, 5),
    P_INT("c4_min_line_words", "c4", c4.min_line_words, 0, 3),
    P_INT("c4_max_word_chars", "c4", c4.max_word_chars, 1000, 1000),
    P_NUM("fineweb_line_punct", "fineweb", fineweb.line_punct, 0.12, 0.12),
    P_NUM("fineweb_short_line", "fineweb", fineweb.short_line, 0.67, 0.67),
    P_INT("fineweb_short_line_chars", "fineweb", fineweb.short_line_chars, 30, 30),
    P_NUM("fineweb_char_dup", "fineweb", fineweb.char_dup, 0.01, 0.01),
    P_NUM("fineweb_list", "fineweb", fineweb.list, 0.3, 0.3),
    P_INT("minhash_buckets", "minhash_dedup", minhash.buckets, 14, 14),
    P_INT("minhash_hashes", "minhash_dedup", minhash.hashes, 8, 8),
    P_INT("minhash_ngram", "minhash_dedup", minhash.ngram, 5, 5),
    P_INT("minhash_seed", "minhash_dedup", minhash.seed, 1, 1),
    P_NUM("minhash_verify", "minhash_dedup", minhash.verify, 0.8, 0),
};
#define N_PARAM (sizeof params / sizeof *params)

static void *field_of(curate_params *p, const param *x)
{
    return (char *)p + x->offset;
}

static void set_params(curate_params *p, const json_t *options, bool technical)
{
    for (size_t i = 0; i < N_PARAM; i++) {
        const param *x = &params[i];
        const json_t *v = json_object_get(options, x->key);
        double value = json_is_number(v) ? json_number_value(v)
                       : technical       ? x->technical
                                         : x->web;
        if (x->is_int)
            *(int64_t *)field_of(p, x) = (int64_t)value;
        else
            *(double *)field_of(p, x) = value;
    }
    p->c4.terminal_punct = sm_opt_bool(options, "c4_terminal_punct");
    p->c4.curly_bracket = sm_opt_bool(options, "c4_curly_bracket");
    p->allow_unknown = sm_opt_bool(options, "allow_unknown_licence");
    p->heldout_frac = sm_opt_float(options, "heldout_frac");
    p->split_seed = sm_opt_int(options, "split_seed");
}

/* ------------------------------------------------------------------- steps */

static const curate_step steps[] = {
    {"repair", "undo UTF-8 read as windows-1252", sm_step_repair, NULL},
    {"normalise", "NFC, line ends, blanks, no controls", sm_step_normalise, NULL},
    {"length", "least and greatest length", sm_step_length, NULL},
    {"language", "kept languages", sm_step_language, NULL},
    {"licence", "allowed and denied licences; unknown is refused", sm_step_licence, NULL},
    {"gopher_repetition", "Gopher's repetition rules", sm_step_gopher_repetition, NULL},
    {"gopher_quality", "Gopher's quality rules", sm_step_gopher_quality, NULL},
    {"c4", "C4's line and document rules", sm_step_c4, NULL},
    {"fineweb", "FineWeb's line rules", sm_step_fineweb, NULL},
    {"exact_dedup", "equal texts, white space apart", NULL, sm_step_exact_dedup},
    {"minhash_dedup", "near-duplicates", NULL, sm_step_minhash_dedup},
};
#define N_STEP (sizeof steps / sizeof *steps)

static const char *const technical_steps[] = {"repair",         "normalise",
                                              "length",         "language",
                                              "licence",        "gopher_repetition",
                                              "gopher_quality", "exact_dedup",
                                              "minhash_dedup",  NULL};

/* FineWeb's order: language, repetition, quality, C4, FineWeb, then deduplication. */
static const char *const web_steps[] = {
    "repair",   "normalise",         "length",         "licence",
    "language", "gopher_repetition", "gopher_quality", "c4",
    "fineweb",  "exact_dedup",       "minhash_dedup",  NULL};

static sm_status add_step(curate *c, const char *name, sm_err *err)
{
    sm_buf known = {0};
    for (size_t i = 0; i < N_STEP; i++) {
        if (strcmp(steps[i].name, name) == 0) {
            if (c->n_step == CURATE_MAX_STEPS)
                return sm_fail(err, SM_EINVAL, "steps: more than %d", CURATE_MAX_STEPS);
            c->step[c->n_step++] = &steps[i];
            sm_buf_free(&known);
            return SM_OK;
        }
        sm_buf_printf(&known, "%s%s", i ? ", " : "", steps[i].name);
    }
    sm_status s = sm_fail(err, SM_EINVAL, "steps: got \"%s\", want one of %s", name,
                          known.data ? known.data : "the known steps");
    sm_buf_free(&known);
    return s;
}

static sm_status list_of(const char ***out, size_t *n, const json_t *list, sm_err *err)
{
    *n = json_array_size(list);
    *out = sm_alloc(*n + 1, sizeof **out);
    if (!*out)
        return sm_fail(err, SM_ENOMEM, "data curate: out of memory");
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = json_string_value(json_array_get(list, i));
    return SM_OK;
}

sm_status sm_curate_configure(curate *c, const json_t *options, sm_err *err)
{
    curate_params *p = &c->params;
    c->preset = sm_opt_str(options, "preset");
    bool technical = strcmp(c->preset, "technical") == 0;
    set_params(p, options, technical);
    sm_status s = list_of(&p->lang, &p->n_lang, sm_opt_list(options, "lang"), err);
    if (!s)
        s = list_of(&p->allow, &p->n_allow, sm_opt_list(options, "licence_allow"), err);
    if (!s)
        s = list_of(&p->deny, &p->n_deny, sm_opt_list(options, "licence_deny"), err);
    const json_t *list = sm_opt_list(options, "steps");
    const char *const *preset = technical ? technical_steps : web_steps;
    for (size_t i = 0; !s && i < json_array_size(list); i++)
        s = add_step(c, json_string_value(json_array_get(list, i)), err);
    for (size_t i = 0; !s && json_array_size(list) == 0 && preset[i]; i++)
        s = add_step(c, preset[i], err);
    if (!s && p->minhash.buckets * p->minhash.hashes > 4096)
        s = sm_fail(err, SM_EINVAL,
                    "minhash_buckets x minhash_hashes: got %lld, want at most 4096",
                    (long long)(p->minhash.buckets * p->minhash.hashes));
    return s;
}

void sm_curate_configure_free(curate *c)
{
    free(c->params.lang);
    free(c->params.allow);
    free(c->params.deny);
}

/* -------------------------------------------------------------- describing */

static json_t *list_json(const char *const *item, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, json_string(item[i]));
    return out;
}

static json_t *params_of(const curate *c, const char *step)
{
    const curate_params *p = &c->params;
    json_t *out = json_object();
    for (size_t i = 0; i < N_PARAM; i++) {
        const param *x = &params[i];
        if (strcmp(x->step, step) != 0)
            continue;
        const void *field = (const char *)p + x->offset;
        json_object_set_new(out, x->key,
                            x->is_int ? json_integer(*(const int64_t *)field)
                                      : json_real(*(const double *)field));
    }
    if (strcmp(step, "language") == 0)
        json_object_set_new(out, "lang", list_json(p->lang, p->n_lang));
    if (strcmp(step, "licence") == 0) {
        json_object_set_new(out, "licence_allow", list_json(p->allow, p->n_allow));
        json_object_set_new(out, "licence_deny", list_json(p->deny, p->n_deny));
        json_object_set_new(out, "allow_unknown_licence", json_boolean(p->allow_unknown));
    }
    if (strcmp(step, "c4") == 0) {
        json_object_set_new(out, "c4_terminal_punct", json_boolean(p->c4.terminal_punct));
        json_object_set_new(out, "c4_curly_bracket", json_boolean(p->c4.curly_bracket));
    }
    return out;
}

json_t *sm_curate_describe(const curate *c)
{
    json_t *out = json_array();
    for (size_t i = 0; i < c->n_step; i++) {
        const curate_step *s = c->step[i];
        json_array_append_new(out,
                              json_pack("{s:s,s:s,s:I,s:I,s:o}", "step", s->name, "does",
                                        s->help, "removed", (json_int_t)c->removed[i],
                                        "changed", (json_int_t)c->changed[i],
                                        "parameters", params_of(c, s->name)));
    }
    return out;
}
