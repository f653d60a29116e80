/* SPDX-License-Identifier: Apache-2.0 */
/* Gates: thresholds on figures, and the verdict. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/rollout.h"
#include "smelt/sys.h"

/* ----------------------------------------------------------------- reading */

static sm_status bad(sm_err *err, const sm_positions *pos, const char *pointer,
                     const char *field, const char *want)
{
    return sm_fail(err, SM_EINVAL, "%s: %s: want %s", sm_positions_at(pos, pointer), field,
                   want);
}

static bool known_key(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (!strcmp(key, *keys))
            return true;
    return false;
}

static sm_status check_keys(const json_t *o, const char *const *keys,
                            const sm_positions *pos, const char *pointer, sm_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        if (!known_key(key, keys)) {
            char at[160];
            snprintf(at, sizeof at, "%.60s/%.60s", pointer, key);
            return sm_fail(err, SM_EINVAL, "%s: got unknown key %s, want one of %s, %s, ...",
                           sm_positions_at(pos, at), key, keys[0], keys[1]);
        }
    }
    return SM_OK;
}

static sm_status check_rule(const json_t *rule, const sm_positions *pos, size_t i,
                            sm_err *err)
{
    static const char *const keys[] = {"figure", "min", "max", "bound", NULL};
    static const char *const bounds[] = {"value", "low", "high", NULL};
    char at[64];
    snprintf(at, sizeof at, "/require/%zu", i);
    if (!json_is_object(rule))
        return bad(err, pos, at, "require", "{figure: NAME, min: or max: NUMBER}");
    sm_status s = check_keys(rule, keys, pos, at, err);
    if (s)
        return s;
    if (!json_string_value(json_object_get(rule, "figure")))
        return bad(err, pos, at, "figure", "a name");
    const json_t *min = json_object_get(rule, "min"), *max = json_object_get(rule, "max");
    if (!min && !max)
        return bad(err, pos, at, "min, max", "at least one of them");
    if ((min && !json_is_number(min)) || (max && !json_is_number(max)))
        return bad(err, pos, at, "min, max", "numbers");
    const json_t *bound = json_object_get(rule, "bound");
    if (bound && !(json_is_string(bound) && known_key(json_string_value(bound), bounds)))
        return bad(err, pos, at, "bound", "value, low or high");
    return SM_OK;
}

static sm_status check_gate(const json_t *gate, const sm_positions *pos, sm_err *err)
{
    static const char *const keys[] = {"gate", "require", NULL};
    if (!json_is_object(gate))
        return bad(err, pos, "", "gate", "a mapping with gate and require");
    sm_status s = check_keys(gate, keys, pos, "", err);
    if (s)
        return s;
    if (!json_string_value(json_object_get(gate, "gate")))
        return bad(err, pos, "/gate", "gate", "a name");
    const json_t *require = json_object_get(gate, "require");
    if (!json_is_array(require) || json_array_size(require) == 0)
        return bad(err, pos, "/require", "require", "a list of at least one rule");
    for (size_t i = 0; i < json_array_size(require) && !s; i++)
        s = check_rule(json_array_get(require, i), pos, i, err);
    return s;
}

sm_status sm_gate_parse(json_t **out, const char *data, size_t len, const char *name,
                        sm_err *err)
{
    json_t *gate = NULL;
    sm_positions *pos = NULL;
    sm_status s = sm_yaml_parse(&gate, &pos, data, len, name, err);
    if (!s)
        s = check_gate(gate, pos, err);
    sm_positions_free(pos);
    if (s)
        json_decref(gate);
    else
        *out = gate;
    return s;
}

sm_status sm_gate_load(json_t **out, const char *path, sm_err *err)
{
    char *data;
    size_t len;
    sm_status s = sm_file_read(&data, &len, path, 1 << 20, err);
    if (s)
        return s;
    s = sm_gate_parse(out, data, len, path, err);
    free(data);
    return s;
}

/* ----------------------------------------------------------------- verdict */

static json_t *check_one(const json_t *rule, const json_t *figures, bool *passed)
{
    const char *name = json_string_value(json_object_get(rule, "figure"));
    const json_t *b = json_object_get(rule, "bound");
    const char *bound = b ? json_string_value(b) : "value";
    const json_t *figure = json_object_get(figures, name);
    const json_t *v = json_object_get(figure, bound);
    const json_t *min = json_object_get(rule, "min"), *max = json_object_get(rule, "max");
    double x = json_number_value(v);
    const char *why = "";
    if (!json_is_number(v) || !isfinite(x))
        why = figure ? "the figure has no such bound" : "the evaluation has no such figure";
    else if (min && !(x >= json_number_value(min)))
        why = "below the minimum";
    else if (max && !(x <= json_number_value(max)))
        why = "above the maximum";
    *passed = !*why;
    json_t *out = json_pack("{ss ss ss sb}", "figure", name, "bound", bound, "why", why,
                            "passed", *passed);
    if (json_is_number(v))
        json_object_set_new(out, "value", json_real(x));
    if (min)
        json_object_set_new(out, "min", json_real(json_number_value(min)));
    if (max)
        json_object_set_new(out, "max", json_real(json_number_value(max)));
    return out;
}

sm_status sm_gate_check(json_t **verdict, const json_t *gate, const json_t *figures,
                        sm_err *err)
{
    const json_t *require = json_object_get(gate, "require");
    json_t *checks = json_array();
    bool all = true;
    for (size_t i = 0; i < json_array_size(require); i++) {
        bool passed;
        json_array_append_new(checks,
                              check_one(json_array_get(require, i), figures, &passed));
        all = all && passed;
    }
    json_t *out = json_pack("{sO sb so}", "gate", json_object_get(gate, "gate"), "passed",
                            all, "checks", checks);
    if (!out || json_array_size(checks) != json_array_size(require)) {
        json_decref(out);
        return sm_fail(err, SM_ENOMEM, "gate: out of memory");
    }
    *verdict = out;
    return SM_OK;
}

bool sm_gate_report(sm_buf *out, const json_t *verdict)
{
    const json_t *checks = json_object_get(verdict, "checks");
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *c = json_array_get(checks, i);
        const json_t *min = json_object_get(c, "min"), *max = json_object_get(c, "max");
        sm_buf_printf(out, "%s  %-28s %s", json_is_true(json_object_get(c, "passed"))
                          ? "pass" : "FAIL",
                      json_string_value(json_object_get(c, "figure")),
                      json_string_value(json_object_get(c, "bound")));
        if (json_object_get(c, "value"))
            sm_buf_printf(out, " %.4f", json_number_value(json_object_get(c, "value")));
        if (min)
            sm_buf_printf(out, ", want >= %g", json_number_value(min));
        if (max)
            sm_buf_printf(out, ", want <= %g", json_number_value(max));
        sm_buf_printf(out, "  %s\n", json_string_value(json_object_get(c, "why")));
    }
    return !out->failed;
}
