/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_loss DIR TEXT [--moe] [--steps 200] [--threads 2] [--seed 1] [--init-residual 0]:
 * train a small model on TEXT in both profiles and write down what another program needs to
 * do the same:
 *   DIR/model.safetensors, DIR/config.json   the initial weights, f32
 *   DIR/batches.i32   int32 [n_steps][token, target, doc_start][n_seq][n_ctx]
 *   DIR/run.json      the configuration, learning rates, which tensors decay, and the loss
 *                     of every step under "loss": {"f32/1": [...], "bf16/1": [...]}
 * Documents are the paragraphs of TEXT (split at empty lines), so that rows hold several.
 * bench/loss_vs_torch.py is the other program.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/sys.h"
#include "smelt/train.h"

enum { N_VOCAB = 1024, MAX_STEPS = 100000, MAX_TEXT = 64 << 20 };

static const char *const PROFILE[] = {"f32/1", "bf16/1"};
enum { N_PROFILE = 2 };

typedef struct job {
    const char *dir, *text;
    int threads;
    sm_train_config train;
    sm_ctx ctx;
    json_t *losses; /* of the run in progress, borrowed */
} job;

/* -------------------------------------------------------------- documents */

typedef struct paragraphs {
    char *text;
    size_t len, n;
    size_t *start; /* [n + 1] */
} paragraphs;

static sm_status get_paragraph(void *self, size_t i, const char **text, size_t *len,
                               sm_err *err)
{
    const paragraphs *p = self;
    (void)err;
    *text = p->text + p->start[i];
    *len = p->start[i + 1] - p->start[i];
    return SM_OK;
}

/* Cut behind every empty line; the line ends stay with the paragraph before. */
static sm_status read_paragraphs(paragraphs *p, const char *path, sm_err *err)
{
    sm_status s = sm_file_read(&p->text, &p->len, path, MAX_TEXT, err);
    if (s)
        return s;
    p->start = sm_alloc(p->len + 2, sizeof *p->start);
    if (!p->start)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    for (size_t i = 2; i < p->len; i++)
        if (p->text[i - 1] == '\n' && p->text[i - 2] == '\n' && p->text[i] != '\n')
            p->start[++p->n] = i;
    p->start[++p->n] = p->len;
    return SM_OK;
}

static sm_status make_data(sm_token_data **out, const job *j, sm_err *err)
{
    paragraphs p = {0};
    sm_tokenizer *tok = NULL;
    static const char *const special[] = {"<|begin|>", NULL};
    sm_text_source source = {.get = get_paragraph, .self = &p};
    sm_bpe_train_config bpe = {.vocab_size = N_VOCAB, .min_count = 2, .special = special};
    sm_status s = read_paragraphs(&p, j->text, err);
    source.n = p.n;
    if (!s)
        s = sm_bpe_train(&tok, &j->ctx, &source, &bpe, err);
    if (!s) {
        sm_token_config c = {.n_ctx = j->train.n_ctx,
                             .bos_id = sm_tokenizer_special(tok, special[0]),
                             .end_id = -1};
        s = sm_token_data_build(out, &j->ctx, &source, tok, &c, err);
    }
    sm_tokenizer_free(tok);
    free(p.text);
    free(p.start);
    return s;
}

/* ------------------------------------------------------- what others need */

static sm_status write_batches(const job *j, const sm_token_data *data, sm_err *err)
{
    char *path = sm_path_join(j->dir, "batches.i32");
    int64_t n_seq = j->train.n_seq, n_ctx = j->train.n_ctx;
    int32_t *b = sm_alloc((size_t)(3 * n_seq * n_ctx), sizeof *b);
    sm_file_writer *w = NULL;
    sm_status s = SM_ENOMEM;
    if (path && b)
        s = sm_file_writer_open(&w, path, 0644, err);
    for (int64_t step = 0; step < j->train.n_steps && !s; step++) {
        for (int64_t i = 0; i < n_seq; i++) {
            int64_t row = sm_token_data_order(data, j->train.seed, step * n_seq + i);
            sm_token_data_row(data, row, b + i * n_ctx, b + (n_seq + i) * n_ctx,
                              b + (2 * n_seq + i) * n_ctx, NULL);
        }
        s = sm_file_writer_put(w, b, (size_t)(3 * n_seq * n_ctx) * sizeof *b, err);
    }
    if (s)
        sm_file_writer_abort(w);
    else
        s = sm_file_writer_commit(w, err);
    free(path);
    free(b);
    return s;
}

static json_t *decaying(const sm_model *m)
{
    json_t *a = json_array();
    for (int32_t t = 0; a && t < m->n_param_tensors; t++)
        if (m->param[t].decay)
            json_array_append_new(a, json_string(m->param[t].name));
    return a;
}

/* The weights that training begins with: those after a step at learning rate 0. */
static sm_status write_initial(json_t *run, const job *j, const sm_token_data *data,
                               sm_err *err)
{
    sm_train_config c = j->train;
    sm_model *m = NULL;
    sm_train_io io = {.data = data};
    c.n_steps = 1;
    c.schedule = SM_SCHEDULE_WSD;
    c.warmup_steps = 0;
    c.decay_frac = 1;
    c.min_lr_frac = 0;
    c.profile = PROFILE[0];
    if (sm_train_lr(&c, 0) > 0)
        return sm_fail(err, SM_EINVAL, "initial weights: learning rate %g, want 0",
                       sm_train_lr(&c, 0));
    sm_status s = sm_train_run(&m, NULL, &j->ctx, &c, &io, err);
    if (!s)
        s = sm_model_save(m, j->dir, SM_F32, err);
    if (!s)
        json_object_set_new(run, "decay", decaying(m));
    sm_model_free(m);
    return s;
}

static json_t *describe(const job *j)
{
    const sm_train_config *c = &j->train;
    json_t *lr = json_array();
    for (int64_t i = 0; lr && i < c->n_steps; i++)
        json_array_append_new(lr, json_real(sm_train_lr(c, i)));
    return json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:o, s:o}",
        "n_steps", (json_int_t)c->n_steps, "n_seq", (json_int_t)c->n_seq, "n_ctx",
        (json_int_t)c->n_ctx, "beta1", c->beta1, "beta2", c->beta2, "eps", c->eps,
        "weight_decay", c->weight_decay, "clip_norm", c->clip_norm, "aux_coef",
        (double)c->loss.aux_coef, "norm_eps", (double)c->model.norm_eps, "rope_theta",
        (double)c->model.rope_theta, "rope_interleaved", c->model.rope_interleaved,
        "model", sm_model_config_to_json(&c->model), "lr", lr);
}

/* --------------------------------------------------------------- training */

static sm_status on_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    job *j = self;
    (void)err;
    json_array_append_new(j->losses, json_real(m->loss));
    return SM_OK;
}

static sm_status train_profiles(json_t *run, job *j, const sm_token_data *data,
                                sm_err *err)
{
    json_t *all = json_object();
    sm_status s = SM_OK;
    for (int i = 0; i < N_PROFILE && !s; i++) {
        sm_model *m = NULL;
        sm_train_io io = {.data = data, .on_step = on_step, .self = j};
        sm_train_config c = j->train;
        c.profile = PROFILE[i];
        j->losses = json_array();
        json_object_set_new(all, PROFILE[i], j->losses);
        s = sm_train_run(&m, NULL, &j->ctx, &c, &io, err);
        sm_model_free(m);
    }
    json_object_set_new(run, "loss", all);
    return s;
}

static sm_status run(job *j, sm_err *err)
{
    sm_token_data *data = NULL;
    char *path = sm_path_join(j->dir, "run.json");
    json_t *out = describe(j);
    sm_status s = path && out ? sm_mkdirs(j->dir, err) : SM_ENOMEM;
    if (!s)
        s = make_data(&data, j, err);
    if (!s)
        s = write_batches(j, data, err);
    if (!s)
        s = write_initial(out, j, data, err);
    if (!s)
        s = train_profiles(out, j, data, err);
    if (!s && json_dump_file(out, path, JSON_INDENT(1)))
        s = sm_fail(err, SM_EIO, "%s: cannot write", path);
    sm_token_data_free(data);
    json_decref(out);
    free(path);
    return s;
}

/* ---------------------------------------------------------------- options */

static sm_train_config small_config(void)
{
    sm_train_config c = SM_TRAIN_CONFIG_DEFAULT;
    c.model.n_vocab = N_VOCAB;
    c.model.n_layer = 4;
    c.model.d_model = 128;
    c.model.n_head = 4;
    c.model.n_kv_head = 2;
    c.model.d_head = 32;
    c.model.d_ff = 352;
    c.model.max_ctx = 128;
    c.n_ctx = 128;
    c.n_seq = 8;
    c.n_shard = 8;
    c.n_steps = 200;
    c.warmup_steps = 20;
    c.checkpoint_steps = 0;
    return c;
}

static void make_moe(sm_train_config *c)
{
    c->model.n_expert = 8;
    c->model.k_expert = 2;
    c->model.d_expert = 176;
    c->loss.aux_coef = 0.01f;
}

/* A whole value that is a number. */
static bool take(double *x, const char *value)
{
    char *end;
    *x = strtod(value, &end);
    return end != value && !*end && *x - *x == 0;
}

static bool take_whole(int64_t *n, const char *value, double least, double most)
{
    double x;
    bool is_good = take(&x, value) && x >= least && x <= most && x == (double)(int64_t)x;
    if (is_good)
        *n = (int64_t)x;
    return is_good;
}

/* One option with a value: NULL when it was taken, else what was wanted. */
static const char *take_option(job *j, const char *key, const char *value)
{
    int64_t n = 0;
    bool is_good = false;
    const char *want = "--moe, --steps, --threads, --seed or --init-residual";
    if (!strcmp(key, "--steps")) {
        want = "1..100000";
        is_good = take_whole(&j->train.n_steps, value, 1, MAX_STEPS);
    } else if (!strcmp(key, "--threads")) {
        want = "1..256";
        is_good = take_whole(&n, value, 1, 256);
        j->threads = (int)n;
    } else if (!strcmp(key, "--seed")) {
        want = "0..1e15";
        is_good = take_whole(&n, value, 0, 1e15);
        j->train.seed = (uint64_t)n;
    } else if (!strcmp(key, "--init-residual")) {
        want = "a number";
        is_good = take(&j->train.init_residual, value);
    }
    return is_good ? NULL : want;
}

static bool parse(job *j, int argc, char **argv)
{
    *j = (job){.threads = 2, .train = small_config()};
    if (argc < 3) {
        fprintf(stderr, "usage: bench_loss DIR TEXT [--moe] [--steps N] [--threads N] "
                        "[--seed N] [--init-residual X]\n");
        return false;
    }
    j->dir = argv[1];
    j->text = argv[2];
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--moe")) {
            make_moe(&j->train);
            continue;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        const char *want = value ? take_option(j, argv[i], value) : "a value";
        if (want) {
            fprintf(stderr, "bench_loss: %s: got %s, want %s\n", argv[i],
                    value ? value : "nothing", want);
            return false;
        }
        i++;
    }
    if (j->train.warmup_steps > j->train.n_steps)
        j->train.warmup_steps = j->train.n_steps;
    return true;
}

int main(int argc, char **argv)
{
    job j;
    sm_err err = {0};
    if (!parse(&j, argc, argv))
        return 2;
    sm_status s = sm_kern_get(&j.ctx.kern, NULL, &err);
    if (!s)
        s = sm_pool_create(&j.ctx.pool, j.threads, &err);
    if (!s)
        s = run(&j, &err);
    sm_pool_free(j.ctx.pool);
    if (s)
        fprintf(stderr, "bench_loss: %s\n", err.msg);
    return s ? 1 : 0;
}
