/* SPDX-License-Identifier: Apache-2.0 */
/* smelt help --json: verbs and their options for programs that call smelt. */
#include <string.h>

#include "cmd.h"

static json_t *option_json(const sm_option *o)
{
    static const char *const type[] = {
        [SM_OPT_BOOL] = "boolean",  [SM_OPT_INT] = "integer", [SM_OPT_FLOAT] = "number",
        [SM_OPT_STRING] = "string", [SM_OPT_ENUM] = "choice", [SM_OPT_PATH] = "path",
        [SM_OPT_REF] = "ref",       [SM_OPT_LIST] = "list",
    };
    char flag[64];
    option_flag(flag, o->key);
    json_t *out = json_pack("{s:s, s:s+, s:s, s:s*, s:s*, s:s*, s:s, s:b, s:b}", "key",
                            o->key, "flag", "--", flag, "type", type[o->type], "default",
                            o->def && *o->def ? o->def : NULL, "choices", o->choices,
                            "unit", o->unit, "help", o->help, "required", !o->def,
                            "in_recipe", o->affects_result);
    if (out && (o->min != 0 || o->max != 0)) {
        json_object_set_new(out, "min", json_real(o->min));
        json_object_set_new(out, "max", json_real(o->max));
    }
    return out;
}

static json_t *options_json(const sm_option *table)
{
    json_t *out = json_array();
    for (const sm_option *o = table; o && o->key; o++)
        json_array_append_new(out, option_json(o));
    return out;
}

json_t *page_json_verb(const verb *v)
{
    return json_pack("{s:s, s:s*, s:s, s:s*, s:s*, s:s*, s:o, s:o}", "verb", v->name,
                     "usage", v->usage, "summary", v->summary, "details", v->details,
                     "example", v->example, "step", v->step, "options",
                     options_json(v->options), "step_options",
                     options_json(verb_step_options(v)));
}

json_t *page_json(const char *group)
{
    size_t n = group ? strlen(group) : 0;
    json_t *verbs = json_array();
    for (size_t i = 0; verb_at(i); i++) {
        const verb *v = verb_at(i);
        if (v->hidden || (n && (strncmp(v->name, group, n) != 0 || v->name[n] != ' ')))
            continue;
        json_array_append_new(verbs, json_pack("{s:s, s:s*, s:s}", "verb", v->name,
                                               "usage", v->usage, "summary", v->summary));
    }
    return json_pack("{s:o, s:o}", "verbs", verbs, "options",
                     options_json(global_options));
}
