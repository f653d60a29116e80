/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit by sampling: an honest run passes whatever is sampled; every kind of forgery is
 * caught where it must be; the stated probability is that of a simulation.
 */
#include "forger.h"

#include <signal.h>
#include <sys/wait.h>

#include "../../../src/store/internal.h" /* its points between durable operations */

enum { N_SEGMENT = LAB_STEPS / 2 };

static int64_t finding_step(const json_t *report)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(report, "findings"), 0), "step"));
}

static void an_honest_run_passes(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    for (uint64_t seed = 0; seed < 4; seed++) {
        OK(audit_of(&report, l, l->model.hex, 1 + (int64_t)seed, seed, &err));
        assert_int_equal(json_array_size(json_object_get(report, "sampled")), 1 + seed);
        assert_string_equal(json_string_value(json_object_get(report, "states")), "kept");
        assert_string_equal(json_string_value(json_object_get(report, "end")), "same");
        json_decref(report);
    }
    OK(audit_of(&report, l, l->model.hex, 1000, 1, &err));
    assert_int_equal(json_integer_value(json_object_get(report, "steps_recomputed")),
                     LAB_STEPS);
    json_decref(report);
}

/* Without kept states the same segments are reached from the beginning. */
static void without_states(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL, *o = lab_train_options();
    sm_id model;
    json_object_set_new(o, "seed", json_integer(2));
    json_object_set_new(o, "save_type", json_string("bf16"));
    lab_train(&model, l, o);
    OK(audit_of(&report, l, model.hex, 2, 3, &err));
    assert_string_equal(json_string_value(json_object_get(report, "states")), "none");
    assert_string_equal(json_string_value(json_object_get(report, "end")), "not checked");
    const json_t *last = json_array_get(json_object_get(report, "sampled"), 1);
    assert_int_equal(json_integer_value(json_object_get(report, "steps_recomputed")),
                     json_integer_value(json_array_get(last, 1)));
    json_decref(report);
}

/* In 16 bits the artifact's weights are those of the last kept state, rounded. */
static void weights_in_16_bits(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL, *o = keeping();
    sm_id model;
    json_object_set_new(o, "save_type", json_string("bf16"));
    json_object_set_new(o, "stop_step", json_integer(5)); /* an end off the interval */
    lab_train(&model, l, o);
    OK(audit_of(&report, l, model.hex, 1, 3, &err));
    assert_string_equal(json_string_value(json_object_get(report, "end")), "same");
    assert_int_equal(json_integer_value(json_object_get(report, "segments")), 3);
    assert_int_equal(json_integer_value(json_object_get(report, "steps")), 5);
    json_decref(report);
}

/* A second workspace with the dataset and the tokenizer of the first. */
static lab elsewhere(const lab *l)
{
    sm_err err = {0};
    lab other = *l;
    snprintf(other.dir, sizeof other.dir, "/tmp/smelt-lab-XXXXXX");
    assert_non_null(mkdtemp(other.dir));
    OK(sm_store_init(other.dir, &err));
    OK(sm_store_open(&other.store, other.dir, &err));
    const sm_id *input[] = {&l->set, &l->tokenizer};
    for (int i = 0; i < 2; i++) {
        sm_artifact a = {0};
        OK(sm_store_find(&a, l->store, input[i]->hex, &err));
        OK(sm_store_copy(other.store, l->store, &a, NULL, &err));
        sm_artifact_free(&a);
    }
    return other;
}

/* keep_states and step train.states make the same artifact; chain and model do not depend
 * on it. */
static void kept_states_are_a_function_of_the_recipe(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    sm_artifact kept = {0};
    lab other = elsewhere(l);
    sm_id states, model;
    lab_step(&states, &other, "train.states",
             (const char *[]){l->set.hex, l->tokenizer.hex}, 2, lab_train_options());
    lab_train(&model, &other, lab_train_options());
    OK(sm_store_find(&kept, l->store, "checkpoint@v1", &err));
    assert_string_equal(kept.content.hex, states.hex);
    assert_string_equal(l->model.hex, model.hex);
    sm_artifact_free(&kept);
    sm_store_close(other.store);
    sm_remove_tree(other.dir, NULL);
}

/* Asked for of a model that was made before, they are made all the same. */
static void states_are_kept_of_a_model_made_before(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    sm_artifact kept = {0}, first = {0};
    lab other = elsewhere(l);
    sm_id model, again;
    lab_train(&model, &other, lab_train_options());
    assert_int_equal(sm_store_find(&kept, other.store, "checkpoint", NULL), SM_ENOENT);
    lab_train(&again, &other, keeping());
    assert_string_equal(model.hex, again.hex);
    OK(sm_store_find(&kept, other.store, "checkpoint", &err));
    OK(sm_store_find(&first, l->store, "checkpoint@v1", &err));
    assert_string_equal(kept.content.hex, first.content.hex);
    sm_artifact_free(&kept);
    sm_artifact_free(&first);
    sm_store_close(other.store);
    sm_remove_tree(other.dir, NULL);
}

/* Where they cannot be made, here because of a stop, the step has not done what was asked
 * of it, although its model is there. */
static void states_that_cannot_be_made_are_an_error(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    sm_flow_result r = {0};
    sm_artifact kept = {0};
    lab other = elsewhere(l);
    sm_id model;
    volatile int stop = 1;
    const char *in[] = {l->set.hex, l->tokenizer.hex};
    json_t *o = keeping();
    lab_train(&model, &other, lab_train_options());
    other.ctx.stop = &stop;
    assert_int_equal(sm_flow_step(&r, &other.ctx, other.store, "train", in, 2, o, "test",
                                  "late", &err),
                     SM_ECANCEL);
    assert_int_equal(strncmp(err.msg, "train: ", 7), 0);
    assert_int_equal(sm_store_find(&kept, other.store, "checkpoint", NULL), SM_ENOENT);
    other.ctx.stop = NULL;
    OK(sm_flow_step(&r, &other.ctx, other.store, "train", in, 2, o, "test", "late",
                    &err));
    assert_true(r.was_there);
    OK(sm_store_find(&kept, other.store, "checkpoint", &err));
    json_decref(o);
    sm_flow_result_free(&r);
    sm_artifact_free(&kept);
    sm_store_close(other.store);
    sm_remove_tree(other.dir, NULL);
}

/* --------------------------------------------------------------- kill -9 */

static json_t *keeping_with(int seed, bool keep)
{
    json_t *o = lab_train_options();
    json_object_set_new(o, "seed", json_integer(seed));
    json_object_set_new(o, "checkpoint_steps", json_integer(4));
    json_object_set_new(o, "keep_states", json_boolean(keep));
    return o;
}

static void die_at(void *self, const char *point)
{
    (void)point;
    if ((*(int *)self)-- == 0)
        raise(SIGKILL);
}

/* Train in a process that dies at point n of the store; false when it came to its end. */
static bool dies_at(const lab *l, int n, int seed, bool keep)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sm_store *store = NULL;
        sm_flow_result r = {0};
        sm_ctx ctx = {.kern = l->ctx.kern, .comm = sm_comm_self()};
        const char *in[] = {l->set.hex, l->tokenizer.hex};
        if (sm_store_open(&store, l->dir, NULL))
            _exit(2);
        store->at_point = die_at;
        store->at_self = &n;
        _exit(sm_flow_step(&r, &ctx, store, "train", in, 2, keeping_with(seed, keep),
                           "test", NULL, NULL) != SM_OK);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* The model and the kept states of an undisturbed run elsewhere. */
static void undisturbed(sm_id *model, sm_id *states, const lab *l, int seed)
{
    sm_err err = {0};
    lab other = elsewhere(l);
    sm_artifact a = {0};
    lab_train(model, &other, keeping_with(seed, true));
    OK(sm_store_find(&a, other.store, "checkpoint", &err));
    *states = a.content;
    sm_artifact_free(&a);
    sm_store_close(other.store);
    sm_remove_tree(other.dir, NULL);
}

static int64_t train_to_the_end(sm_id *model, sm_id *states, lab *l, int seed)
{
    sm_err err = {0};
    sm_flow_result r = {0};
    sm_artifact a = {0};
    const char *in[] = {l->set.hex, l->tokenizer.hex};
    json_t *o = keeping_with(seed, true);
    OK(sm_flow_step(&r, &l->ctx, l->store, "train", in, 2, o, "test", NULL, &err));
    int64_t from = json_integer_value(json_object_get(r.figures, "resumed_step"));
    *model = r.artifact.content;
    OK(sm_store_find(&a, l->store, "checkpoint", &err));
    *states = a.content;
    sm_artifact_free(&a);
    sm_flow_result_free(&r);
    json_decref(o);
    return from;
}

/* ThreadSanitizer knows no threads of a process that was forked from one with threads. */
static void needs_threads_after_fork(void)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

/* However often a run dies while its states are committed, none is lost: the next one has
 * no step to train again, and ends in the bits of one that was left alone. */
static void no_kept_state_is_lost_by_a_kill(void **state)
{
    needs_threads_after_fork();
    lab *l = *state;
    sm_id model, states, want_model, want_states;
    undisturbed(&want_model, &want_states, l, 5);
    int n_killed = 0;
    while (n_killed < 6 && dies_at(l, 3 * n_killed, 5, true))
        n_killed++;
    assert_int_equal(n_killed, 6);
    assert_int_equal(train_to_the_end(&model, &states, l, 5), LAB_STEPS);
    assert_string_equal(model.hex, want_model.hex);
    assert_string_equal(states.hex, want_states.hex);
}

/* A run that kept no states and is gone on with by one that keeps them: what was not kept
 * is made again. */
static void states_that_were_not_kept_are_made_again(void **state)
{
    needs_threads_after_fork();
    lab *l = *state;
    sm_id model, states, want_model, want_states;
    undisturbed(&want_model, &want_states, l, 6);
    assert_true(dies_at(l, 0, 6, false)); /* trained, about to be committed */
    assert_int_equal(train_to_the_end(&model, &states, l, 6), 0);
    assert_string_equal(model.hex, want_model.hex);
    assert_string_equal(states.hex, want_states.hex);
}

/* ------------------------------------------------------------- the forger */

static bool has_sampled(const json_t *report, int64_t to)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(report, "sampled"), i, v)
    {
        if (json_integer_value(json_array_get(v, 1)) == to)
            return true;
    }
    return false;
}

/* Segments before and after the forgery are honest work; only the one that does not lead
 * to the state it commits to is wrong, and it is found whenever it is sampled.  (The curve
 * of the honest run, left as it was, is found out as well.) */
static void a_forged_run_is_caught(void **state)
{
    forger f;
    sm_err err = {0};
    json_t *report = NULL;
    int n_caught = 0, n_curve = 0;
    forger_open(&f, *state);
    forge_from(&f, 3); /* step 6 */
    forger_commit(&f);
    assert_int_equal(audit_of(&report, &f.to, "model", 1000, 1, &err), SM_EDENIED);
    assert_string_equal(finding(report, "what"), "segment");
    assert_int_equal(finding_step(report), 6);
    assert_non_null(strstr(err.msg, "segment, step 6: got "));
    assert_string_equal(finding(report, "tensor"), "weight/model.embed_tokens.weight");
    json_decref(report);
    for (uint64_t seed = 0; seed < 16; seed++) {
        sm_status s = audit_of(&report, &f.to, "model", 1, seed, &err);
        bool at_it = has_sampled(report, 6),
             before = has_sampled(report, 2) || has_sampled(report, 4);
        assert_int_equal(s, before ? SM_OK : SM_EDENIED);
        n_caught += at_it;
        n_curve += !at_it && !before;
        if (at_it)
            assert_string_equal(finding(report, "what"), "segment");
        else if (!before)
            assert_string_equal(finding(report, "what"), "curve");
        json_decref(report);
    }
    assert_true(n_caught > 0 && n_curve > 0);
    forger_close(&f);
}

/* One byte of a kept state, the chain as it was: found by its hash, sampled or not. */
static void a_tampered_state_is_found_by_its_hash(void **state)
{
    forger f;
    sm_err err = {0};
    json_t *report = NULL;
    forger_open(&f, *state);
    char *path = sm_path_join(f.state_dir, "state-00000008.safetensors");
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, -5, SEEK_END);
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 1, file);
    fclose(file);
    free(path);
    forger_commit(&f);
    for (uint64_t seed = 0; seed < 3; seed++) {
        assert_int_equal(audit_of(&report, &f.to, "model", 1, seed, &err), SM_EDENIED);
        assert_string_equal(finding(report, "what"), "kept state");
        assert_int_equal(finding_step(report), 8);
        json_decref(report);
    }
    forger_close(&f);
}

/* The numbers are as they were, but the file says that they are another state's. */
static void a_state_that_says_it_is_another_is_found(void **state)
{
    static const char *const key[] = {"format", "step", "data_checksum", "config"};
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        forger f;
        sm_err err = {0};
        json_t *report = NULL;
        sm_safetensors *file = NULL;
        forger_open(&f, *state);
        char *path = sm_path_join(f.state_dir, "state-00000008.safetensors");
        OK(sm_safetensors_open(&file, path, &err));
        json_t *said = json_deep_copy(sm_safetensors_metadata(file));
        json_object_set_new(said, key[i], json_string("6"));
        OK(sm_safetensors_write(path, sm_safetensors_at(file, 0), sm_safetensors_n(file),
                                said, &err));
        sm_safetensors_close(file);
        json_decref(said);
        free(path);
        forger_commit(&f);
        assert_int_equal(audit_of(&report, &f.to, "model", 1000, 1, &err), SM_EDENIED);
        assert_string_equal(finding(report, "what"), "kept state");
        assert_int_equal(finding_step(report), 8);
        assert_non_null(strstr(finding(report, "got"), key[i]));
        json_decref(report);
        forger_close(&f);
    }
}

/* Other weights behind an honest chain. */
static void exchanged_weights_are_found(void **state)
{
    forger f;
    sm_err err = {0};
    json_t *report = NULL;
    sm_model *m = NULL;
    forger_open(&f, *state);
    char *config = sm_path_join(f.model_dir, "config.json");
    char *weights = sm_path_join(f.model_dir, "model.safetensors");
    OK(sm_model_load(&m, config, weights, &err));
    m->weight[17] += 1;
    OK(sm_model_save(m, f.model_dir, SM_F32, &err));
    sm_model_free(m);
    free(config);
    free(weights);
    forger_commit(&f);
    assert_int_equal(audit_of(&report, &f.to, "model", 1, 0, &err), SM_EDENIED);
    assert_string_equal(finding(report, "what"), "weights of the artifact");
    json_decref(report);
    forger_close(&f);
}

/* Other weights, and a chain whose last line fits them: the kept state does not. */
static void a_line_that_fits_other_weights_is_found(void **state)
{
    forger f;
    sm_err err = {0};
    json_t *report = NULL;
    sm_model *m = NULL;
    forger_open(&f, *state);
    char *config = sm_path_join(f.model_dir, "config.json");
    char *weights = sm_path_join(f.model_dir, "model.safetensors");
    OK(sm_model_load(&m, config, weights, &err));
    m->weight[17] += 1;
    OK(sm_model_save(m, f.model_dir, SM_F32, &err));
    OK(chain_hash_model(&f.chain.at[f.chain.n - 1].weights, &f.from->ctx, m, &err));
    sm_model_free(m);
    free(config);
    free(weights);
    forger_commit(&f);
    for (uint64_t seed = 0; seed < 3; seed++) {
        assert_int_equal(audit_of(&report, &f.to, "model", 1, seed, &err), SM_EDENIED);
        assert_string_equal(finding(report, "what"), "kept state");
        assert_int_equal(finding_step(report), LAB_STEPS);
        assert_string_equal(json_string_value(json_object_get(report, "end")), "same");
        json_decref(report);
    }
    forger_close(&f);
}

/* -------------------------------------------------------------- the file */

static void put(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void a_chain_file_has_one_spelling(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    sm_artifact a = {0};
    char *path = NULL, *text = NULL;
    size_t len = 0;
    chain_file f = {0};
    OK(sm_store_find(&a, l->store, l->model.hex, &err));
    OK(sm_store_path(&path, l->store, &a, "chain.jsonl", &err));
    OK(sm_file_read(&text, &len, path, 0, &err));
    OK(chain_read(&f, path, &err));
    assert_int_equal(f.n, N_SEGMENT + 1);
    assert_non_null(strstr(text + len - 400, f.head.hex));
    chain_file_free(&f);
    char *copy = sm_path_join(l->dir, "chain.jsonl");
    for (size_t at = 0; at < len; at += 7) { /* any byte changed, or cut off there */
        char was = text[at];
        text[at] = was == '0' ? '1' : '0';
        put(copy, text, len);
        assert_true(chain_read(&f, copy, &err) != SM_OK);
        text[at] = was;
        put(copy, text, at);
        assert_true(chain_read(&f, copy, &err) != SM_OK);
    }
    free(copy);
    free(text);
    free(path);
    sm_artifact_free(&a);
}

/* -------------------------------------------------------------- the odds */

static void the_probability_is_that_of_a_simulation(void **state)
{
    (void)state;
    enum { N = 40, DRAWS = 20000 };
    static const int forged[] = {1, 2, 7}, taken[] = {1, 4, 12};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double caught = 0, p = sm_sample_caught(N, forged[i], taken[j]);
            for (uint64_t seed = 0; seed < DRAWS; seed++) {
                bool sampled[N] = {false}, hit = false;
                int k = 0;
                assert_int_equal(sample_draw(sampled, N, taken[j], seed, NULL), SM_OK);
                for (int s = 0; s < N; s++) {
                    k += sampled[s];
                    hit = hit || (sampled[s] && s >= N - forged[i]);
                }
                assert_int_equal(k, taken[j]);
                caught += hit;
            }
            double sigma2 = p * (1 - p) / DRAWS, d = caught / DRAWS - p;
            assert_true(d * d < 16 * sigma2); /* four standard deviations */
        }
    assert_true(sm_sample_caught(N, 1, N) == 1);
    assert_true(sm_sample_caught(N, 0, N) == 0);
    assert_true(sm_sample_caught(N, 5, 0) == 0);
    assert_true(sm_sample_caught(N, 30, 11) == 1);
}

static void sizes_of_samples(void **state)
{
    (void)state;
    assert_int_equal(sample_size(&(sm_sample_config){.frac = 0.01}, 17), 1);
    assert_int_equal(sample_size(&(sm_sample_config){.frac = 0.01}, 1000), 10);
    assert_int_equal(sample_size(&(sm_sample_config){.frac = 1}, 17), 17);
    assert_int_equal(sample_size(&(sm_sample_config){.n = 99}, 17), 17);
    assert_int_equal(sample_size(&(sm_sample_config){.n = 3}, 17), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_run_passes),
        cmocka_unit_test(without_states),
        cmocka_unit_test(weights_in_16_bits),
        cmocka_unit_test(kept_states_are_a_function_of_the_recipe),
        cmocka_unit_test(states_are_kept_of_a_model_made_before),
        cmocka_unit_test(states_that_cannot_be_made_are_an_error),
        cmocka_unit_test(no_kept_state_is_lost_by_a_kill),
        cmocka_unit_test(states_that_were_not_kept_are_made_again),
        cmocka_unit_test(a_forged_run_is_caught),
        cmocka_unit_test(a_tampered_state_is_found_by_its_hash),
        cmocka_unit_test(a_state_that_says_it_is_another_is_found),
        cmocka_unit_test(exchanged_weights_are_found),
        cmocka_unit_test(a_line_that_fits_other_weights_is_found),
        cmocka_unit_test(a_chain_file_has_one_spelling),
        cmocka_unit_test(the_probability_is_that_of_a_simulation),
        cmocka_unit_test(sizes_of_samples),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
