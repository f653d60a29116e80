/* SPDX-License-Identifier: Apache-2.0 */
/* A forger of training runs, for the tests of the audit by sampling. */
#ifndef FLOW_TEST_FORGER_H
#define FLOW_TEST_FORGER_H

#include "chain.h"
#include "lab.h"
#include "sample.h"
#include "steps.h"

SM_UNUSED static json_t *keeping(void)
{
    json_t *o = lab_train_options();
    json_object_set_new(o, "keep_states", json_true());
    return o;
}

SM_UNUSED static sm_status audit_of(json_t **report, lab *l, const char *ref, int64_t n,
                          uint64_t seed, sm_err *err)
{
    sm_sample_config c = {.n = n, .seed = seed};
    return sm_flow_sample(report, &l->ctx, l->store, ref, &c, err);
}

SM_UNUSED static const char *finding(const json_t *report, const char *key)
{
    return json_string_value(
        json_object_get(json_array_get(json_object_get(report, "findings"), 0), key));
}

/* A run that is honest but for one weight that changed at a committed step; everything
 * after it is recomputed from there, chain included. */
typedef struct forger {
    lab *from;
    lab to; /* the workspace that the forger shows */
    material m;
    chain_file chain;
    sm_artifact model, states;
    sm_artifact input[2];
    char *model_dir, *state_dir;
} forger;

SM_UNUSED static sm_status take_state(void *self, const sm_train_commit *c, sm_err *err)
{
    forger *f = self;
    char name[40];
    size_t i = (size_t)(c->step / f->chain.header.commit_steps);
    chain_state_name(name, c->step);
    char *path = sm_path_join(f->state_dir, name);
    sm_status s = chain_hash(&f->chain.at[i], &f->from->ctx, &f->chain.header, c->step,
                             c->tensor, c->n_tensor, err);
    if (!s)
        s = sm_train_commit_save(path, c, err);
    free(path);
    return s;
}

SM_UNUSED static void copy_file(sm_store *store, const sm_artifact *a, const char *name,
                      const char *dir)
{
    sm_err err = {0};
    char *from = NULL, *to = sm_path_join(dir, name), *text = NULL;
    size_t len = 0;
    OK(sm_store_path(&from, store, a, name, &err));
    OK(sm_file_read(&text, &len, from, 0, &err));
    OK(sm_file_write_atomic(to, text, len, 0644, &err));
    free(text);
    free(from);
    free(to);
}

SM_UNUSED static void forger_open(forger *f, lab *l)
{
    sm_err err = {0};
    json_t *options = NULL, *given = keeping();
    char *path = NULL;
    memset(f, 0, sizeof *f);
    f->from = l;
    f->to = *l;
    snprintf(f->to.dir, sizeof f->to.dir, "/tmp/smelt-lab-XXXXXX");
    assert_non_null(mkdtemp(f->to.dir));
    OK(sm_store_init(f->to.dir, &err));
    OK(sm_store_open(&f->to.store, f->to.dir, &err));
    OK(sm_store_find(&f->input[0], l->store, l->set.hex, &err));
    OK(sm_store_find(&f->input[1], l->store, l->tokenizer.hex, &err));
    for (int i = 0; i < 2; i++)
        OK(sm_store_copy(f->to.store, l->store, &f->input[i], NULL, &err));
    OK(sm_store_find(&f->model, l->store, l->model.hex, &err));
    OK(sm_store_find(&f->states, l->store, "checkpoint@v1", &err));
    OK(sm_options_resolve(&options, step_train.options, given, "test", &err));
    sm_step_io io = {.ctx = &l->ctx,
                     .store = l->store,
                     .options = options,
                     .input = f->input,
                     .n_input = 2};
    OK(material_prepare(&f->m, &io, false, &err));
    OK(sm_store_path(&path, l->store, &f->model, "chain.jsonl", &err));
    OK(chain_read(&f->chain, path, &err));
    OK(sm_store_staging(&f->model_dir, f->to.store, "model", &err));
    OK(sm_store_staging(&f->state_dir, f->to.store, "checkpoint", &err));
    for (size_t i = 0; i < f->states.n_file; i++)
        if (!strncmp(f->states.file[i].path, "state-", 6))
            copy_file(l->store, &f->states, f->states.file[i].path, f->state_dir);
    for (size_t i = 0; i < f->model.n_file; i++)
        copy_file(l->store, &f->model, f->model.file[i].path, f->model_dir);
    free(path);
    json_decref(given);
    f->m.config.profile = "bf16/1";
    json_decref(options);
}

/* Change one weight of state i and go on from there. */
SM_UNUSED static void forge_from(forger *f, size_t i)
{
    sm_err err = {0};
    char name[40];
    sm_safetensors *file = NULL;
    sm_model *model = NULL;
    chain_state_name(name, f->chain.at[i].step);
    char *path = sm_path_join(f->state_dir, name);
    OK(sm_safetensors_open(&file, path, &err));
    size_t n = sm_safetensors_n(file);
    sm_tensor_entry *e = calloc(n, sizeof *e);
    for (size_t k = 0; k < n; k++)
        e[k] = *sm_safetensors_at(file, k);
    float *w = malloc(e[0].bytes);
    memcpy(w, e[0].data, e[0].bytes);
    w[3] += 0.5f;
    e[0].data = w;
    OK(sm_safetensors_write(path, e, n, sm_safetensors_metadata(file), &err));
    sm_safetensors_close(file);
    OK(chain_hash_file(&f->chain.at[i], &f->from->ctx, &f->chain.header,
                       f->chain.at[i].step, path, &err));
    sm_train_segment g = {
        .state_path = path, .from = f->chain.at[i].step, .to = LAB_STEPS};
    sm_train_io io = {.data = f->m.data,
                      .on_commit = take_state,
                      .commit_self = f,
                      .commit_steps = 2,
                      .segment = &g};
    OK(sm_train_run(&model, NULL, &f->from->ctx, &f->m.config, &io, &err));
    OK(sm_model_save(model, f->model_dir, SM_F32, &err));
    sm_model_free(model);
    free(path);
    free(e);
    free(w);
}

/* Put the forged run into its workspace. */
SM_UNUSED static void forger_commit(forger *f)
{
    sm_err err = {0};
    sm_buf text = {0};
    sm_id head;
    sm_artifact a = {0}, b = {0};
    OK(chain_write(&text, &head, &f->chain.header, f->chain.at, f->chain.n, &err));
    lab_write(f->model_dir, "chain.jsonl", text.data);
    lab_write(f->state_dir, "chain.jsonl", text.data);
    OK(sm_store_commit(&a, f->to.store, "model", f->model.recipe_json, f->model_dir,
                       "model", NULL, &err));
    OK(sm_store_commit(&b, f->to.store, "checkpoint", f->states.recipe_json, f->state_dir,
                       "checkpoint", NULL, &err));
    sm_artifact_free(&a);
    sm_artifact_free(&b);
    sm_buf_free(&text);
}

SM_UNUSED static void forger_close(forger *f)
{
    sm_store_close(f->to.store);
    sm_remove_tree(f->to.dir, NULL);
    material_free(&f->m);
    chain_file_free(&f->chain);
    sm_artifact_free(&f->model);
    sm_artifact_free(&f->states);
    sm_artifact_free(&f->input[0]);
    sm_artifact_free(&f->input[1]);
    free(f->model_dir);
    free(f->state_dir);
}

/* A lab with a model whose states are kept. */
SM_UNUSED static int set_up(void **state)
{
    lab *l = calloc(1, sizeof *l);
    lab_open(l);
    lab_train(&l->model, l, keeping());
    *state = l;
    return 0;
}

SM_UNUSED static int tear_down(void **state)
{
    lab_close(*state);
    free(*state);
    return 0;
}

#endif
