/* SPDX-License-Identifier: Apache-2.0 */
/* A release, model or index admitted and made ready to answer. */
#include <string.h>

#include "ready.h"

/* --------------------------------------------------------------- may it run */

/* Re-hash an artifact and all that it was made from. */
static sm_status verify(sm_store *store, const sm_artifact *a, sm_err *err)
{
    if (a->n_file == 0)
        return SM_OK;
    sm_status s = sm_store_verify(store, a->content.hex, NULL, NULL, NULL, err);
    return s ? sm_fail_context(err, s, "refused: %s %.12s does not verify: ", a->kind,
                               a->content.hex) : SM_OK;
}

static bool is_from(const sm_servable *v, const char *key, const sm_artifact *a)
{
    const char *id = json_string_value(json_object_get(v->verdict, key));
    return v->release.n_file > 0 && id && !strcmp(id, a->content.hex);
}

/* A release was made from its model and index, so that it stands for both. */
static sm_status verify_all(sm_store *store, const sm_servable *v, sm_err *err)
{
    sm_status s = verify(store, &v->release, err);
    if (!s && !is_from(v, "model", &v->model))
        s = verify(store, &v->model, err);
    if (!s && !is_from(v, "index", &v->index))
        s = verify(store, &v->index, err);
    return s;
}

static sm_status note_use(sm_store *store, const ready_want *want, const sm_servable *v,
                          const char *why, sm_err *err)
{
    char event[64];
    snprintf(event, sizeof event, "%s.allow_ungated", want->verb);
    json_t *detail = json_pack("{s:s, s:s, s:s}", "ref", want->ref, "model",
                               v->model.content.hex, "why", why);
    sm_status s = detail ? sm_audit_append(store, event, detail, err)
                         : sm_fail(err, SM_ENOMEM, "out of memory");
    json_decref(detail);
    return s;
}

static sm_status check_gate(sm_store *store, const ready_want *want, const sm_servable *v,
                            sm_err *err)
{
    if (v->passed || v->model.n_file == 0)
        return SM_OK;
    const char *why = v->verdict     ? "its gate failed"
                      : v->cut_short ? "its last gate was cut short"
                                     : "it has no release";
    if (want->allow_ungated)
        return note_use(store, want, v, why, err);
    return sm_fail(err, SM_EDENIED, "refused: %.60s: %s; want a release that passed its "
                   "gate (smelt gate), or --allow-ungated", want->ref, why);
}

/* -------------------------------------------------------------------- open */

static sm_status find(sm_servable *v, sm_store *store, const ready_want *want, sm_err *err)
{
    sm_status s;
    if (*want->ref) {
        s = sm_servable_find(v, store, want->ref, want->index, err);
    } else {
        v->rank = (sm_rank)SM_RANK_DEFAULT;
        s = sm_store_find(&v->index, store, want->index, err);
    }
    if (!s && want->needs_index && v->index.n_file == 0)
        s = sm_fail(err, SM_EINVAL, "%.40s: names no index, want --index REF", want->ref);
    if (!s && want->w_model >= 0)
        v->rank.w_model = (float)want->w_model;
    if (!s && want->only_ranks && v->rank.w_model > 0 && v->model.n_file == 0)
        s = sm_fail(err, SM_EINVAL, "w_model: got %g without a model, want --model REF",
                    want->w_model);
    return s;
}

static sm_status load(ready *r, const ready_want *want, sm_err *err)
{
    sm_status s = SM_OK;
    if (!want->only_ranks || r->v.rank.w_model > 0)
        s = sm_bind_model(&r->b, r->ctx, r->store, &r->v.model, NULL, want->max_streams,
                          err);
    if (!s && r->v.index.n_file > 0)
        s = sm_bind_index(&r->x, r->store, &r->v.index, true, want->only_ranks, err);
    return s;
}

sm_status ready_open(ready *out, app *a, const ready_want *want, sm_err *err)
{
    *out = (ready){0};
    sm_status s = app_store(&out->store, a, err);
    if (!s)
        s = app_ctx(&out->ctx, a, err);
    if (!s)
        s = find(&out->v, out->store, want, err);
    if (!s)
        s = verify_all(out->store, &out->v, err);
    if (!s)
        s = check_gate(out->store, want, &out->v, err);
    return s ? s : load(out, want, err);
}

void ready_close(ready *r)
{
    sm_index_close(r->x);
    sm_bound_model_free(&r->b);
    sm_servable_free(&r->v);
    *r = (ready){0};
}
