/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of one JSON value a line, as journals and artifacts have them. */
#include <stdio.h>
#include <string.h>

#include "lines.h"

/* Go to the next line: false at the end of the text. */
static bool next_line(lines *l)
{
    json_decref(l->value);
    l->value = NULL;
    if (l->at >= l->len)
        return false;
    const char *end = memchr(l->text + l->at, '\n', l->len - l->at);
    l->line = l->text + l->at;
    l->line_len = end ? (size_t)(end - l->line) : l->len - l->at;
    l->is_whole = end != NULL;
    l->at += l->line_len + l->is_whole;
    l->number++;
    return true;
}

bool lines_next_step(lines *l)
{
    while (next_line(l) && l->is_whole) {
        if (sm_json_parse(&l->value, l->line, l->line_len, "line", NULL))
            continue;
        const json_t *step = json_object_get(l->value, "step");
        l->step = json_integer_value(step);
        if (json_is_integer(step) && l->step >= 0)
            return true;
    }
    lines_end(l);
    return false;
}

sm_status lines_next(bool *more, lines *l, const char *file, sm_err *err)
{
    char where[120];
    *more = next_line(l);
    if (!*more)
        return SM_OK;
    snprintf(where, sizeof where, "%s%sline %zu", file, *file ? ": " : "", l->number);
    if (!l->is_whole)
        return sm_fail(err, SM_ECORRUPT, "%s: is cut short", where);
    return sm_json_parse(&l->value, l->line, l->line_len, where, err);
}

void lines_end(lines *l)
{
    json_decref(l->value);
    l->value = NULL;
}
