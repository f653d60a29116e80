/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a saved state is of the run that is to go on from it: a checkpoint says so in
 * state.json, a kept state in its metadata.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

/* As it reads back from canonical text: a float without a fraction is an integer there. */
static sm_status as_read(json_t **out, const json_t *config, sm_err *err)
{
    sm_buf text = {0};
    sm_status s = sm_json_canonical(&text, config, err);
    if (!s)
        s = sm_json_parse(out, text.data, text.len, "config", err);
    sm_buf_free(&text);
    return s;
}

/* A key under which two objects that differ have something else. */
static const char *differing_key(json_t *found, json_t *wanted)
{
    const char *key;
    json_t *v;
    json_object_foreach(wanted, key, v)
    {
        if (!json_equal(json_object_get(found, key), v))
            return key;
    }
    json_object_foreach(found, key, v)
    {
        if (!json_object_get(wanted, key))
            return key;
    }
    return "";
}

static sm_status name_difference(json_t *found, json_t *wanted, sm_err *err)
{
    const char *key = "";
    while (json_is_object(found) && json_is_object(wanted)) {
        key = differing_key(found, wanted);
        found = json_object_get(found, key);
        wanted = json_object_get(wanted, key);
    }
    char *got = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    char *want = json_dumps(wanted, JSON_ENCODE_ANY | JSON_COMPACT);
    sm_fail(err, SM_EINVAL, "config: %s: got %.80s, want %.80s", key,
            got ? got : "nothing", want ? want : "nothing");
    free(got);
    free(want);
    return SM_EINVAL;
}

static sm_status check_config(const json_t *theirs, const json_t *ours, sm_err *err)
{
    json_t *found = NULL, *wanted = NULL;
    if (!json_is_object(theirs))
        return sm_fail(err, SM_EINVAL, "config: got none, want an object");
    sm_status s = as_read(&found, theirs, err);
    if (!s)
        s = as_read(&wanted, ours, err);
    if (!s && !json_equal(found, wanted))
        s = name_difference(found, wanted, err);
    json_decref(found);
    json_decref(wanted);
    return s;
}

sm_status train_claim_check(const train_claim *c, const char *format,
                            const train_state *t, int64_t step, sm_err *err)
{
    char data[17], at[24];
    train_ckpt_hex(data, t->data_checksum);
    snprintf(at, sizeof at, "%" PRId64, step);
    const struct {
        const char *what, *found, *wanted;
    } row[] = {{"format", c->format, format},
               {"step", c->step, at},
               {"data_checksum", c->data_checksum, data}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strcmp(row[i].found, row[i].wanted))
            return sm_fail(err, SM_EINVAL, "%s: got \"%.40s\", want %s", row[i].what,
                           row[i].found, row[i].wanted);
    return check_config(c->config, t->config, err);
}
