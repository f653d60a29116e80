/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit by sampling: the files of the artifact that no step computes.
 *
 *   tokenizer.json  the object of the input
 *   config.json     byte for byte what the recipe's configuration gives
 *   training.json   the same, with the last line of the curve and the recorded held-out
 *                   figures, which only a whole replay computes again
 *   curve.jsonl     a line for each step of the recipe
 * and no other file: weights and chain are compared by what they hold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

static const sm_artifact_file *file_of(const sm_artifact *a, const char *path)
{
    for (size_t i = 0; i < a->n_file; i++)
        if (!strcmp(a->file[i].path, path))
            return &a->file[i];
    return NULL;
}

/* The objects of all files were re-hashed: comparing ids compares bytes. */
static sm_status compare_object(audit *a, const char *path, const sm_id *want, sm_err *err)
{
    const sm_artifact_file *got = file_of(&a->model, path);
    if (got && !strcmp(got->object.hex, want->hex))
        return SM_OK;
    return audit_finding(a, path, -1, want->hex, got ? got->object.hex : "no such file",
                         NULL, err);
}

static sm_status compare_text(audit *a, const char *path, const sm_buf *want, sm_err *err)
{
    sm_id id;
    sm_status s = sm_id_of_bytes(&id, want->data, want->len, err);
    return s ? s : compare_object(a, path, &id, err);
}

static sm_status check_tokenizer(audit *a, sm_err *err)
{
    for (size_t i = 0; i < a->n_input; i++) {
        const sm_artifact_file *f = file_of(&a->input[i], "tokenizer.json");
        if (f && !strcmp(a->input[i].kind, "tokenizer"))
            return compare_object(a, "tokenizer.json", &f->object, err);
    }
    return sm_fail(err, SM_ECORRUPT, "sample: the recipe's tokenizer has no tokenizer.json");
}

static sm_status check_config(audit *a, sm_err *err)
{
    sm_buf want = {0};
    bool is_bf16 = !strcmp(sm_opt_str(a->options, "save_type"), "bf16");
    sm_status s = sm_model_config_text(&want, &a->m.config.model,
                                       is_bf16 ? SM_BF16 : SM_F32, err);
    if (!s)
        s = compare_text(a, "config.json", &want, err);
    sm_buf_free(&want);
    return s;
}

/* The held-out figures that training.json states, where the recipe asks for any. New
 * reference or NULL. */
static json_t *stated_heldout(const audit *a)
{
    char *path = NULL;
    json_t *v = NULL;
    if (sm_opt_int(a->options, "eval_docs") > 0 &&
        !sm_store_path(&path, a->store, &a->model, "training.json", NULL) &&
        sm_json_load(&v, path, NULL))
        v = NULL;
    json_t *heldout = json_incref(json_object_get(v, "heldout"));
    json_decref(v);
    free(path);
    return heldout;
}

static sm_status check_training(audit *a, sm_err *err)
{
    const json_t *last = json_array_get(a->curve, json_array_size(a->curve) - 1);
    int64_t n_row = sm_token_data_stats(a->m.data)->n_row;
    double epoch = (double)(sm_train_end(&a->m.config) * a->m.config.n_seq) / (double)n_row;
    json_t *want = material_training(&a->m, sm_json_int(last, "tokens"), epoch,
                                     sm_json_real(last, "loss"));
    json_t *heldout = stated_heldout(a);
    sm_buf text = {0};
    if (want && heldout)
        json_object_set(want, "heldout", heldout);
    sm_status s = want ? sm_json_pretty(&text, want, err)
                       : sm_fail(err, SM_ENOMEM, "sample: out of memory");
    if (!s)
        s = compare_text(a, "training.json", &text, err);
    sm_buf_free(&text);
    json_decref(heldout);
    json_decref(want);
    return s;
}

static sm_status check_curve(audit *a, sm_err *err)
{
    char want[48], got[48];
    long long n_want = (long long)sm_train_end(&a->m.config);
    long long n_got = (long long)json_array_size(a->curve);
    snprintf(want, sizeof want, "%lld lines", n_want);
    snprintf(got, sizeof got, "%lld lines", n_got);
    return n_want == n_got ? SM_OK
                           : audit_finding(a, "curve.jsonl", -1, want, got, NULL, err);
}

/* Nothing that the step does not write. */
static sm_status check_names(audit *a, sm_err *err)
{
    static const char *const known[] = {"chain.jsonl",       "config.json",
                                        "curve.jsonl",       "model.safetensors",
                                        "tokenizer.json",    "training.json"};
    sm_status s = SM_OK;
    for (size_t i = 0; i < a->model.n_file && !s; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found = found || !strcmp(a->model.file[i].path, known[k]);
        if (!found)
            s = audit_finding(a, a->model.file[i].path, -1, "no such file",
                              a->model.file[i].object.hex, NULL, err);
    }
    return s;
}

sm_status audit_files(audit *a, sm_err *err)
{
    sm_status s = check_names(a, err);
    if (!s)
        s = check_tokenizer(a, err);
    if (!s)
        s = check_config(a, err);
    if (!s)
        s = check_curve(a, err);
    return s ? s : check_training(a, err);
}
