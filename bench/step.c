/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_step: how fast full training steps are.
 *
 *   bench_step SHAPE [--profile bf16/1|f32/1] [--seq 4] [--ctx 512] [--shards N]
 *              [--micro N] [--steps 6] [--warmup 1] [--threads 2] [--json]
 *              [--operations] [--timed-tiles] [--set key=value]...
 *
 * Steps of sm_train_run (forward, backward, clip, optimizer, weights packed again) on
 * random tokens of a fixed seed.  The last line of standard output is one JSON object;
 * without --json a line for people goes to standard error first.  Rates count 6 FLOPs for
 * each active parameter and token, a tied embedding once; the ceiling is that of the
 * product kernels in this process, right before and right after the steps.  --operations
 * adds the event log's sums over the measured steps.  --timed-tiles, on a machine
 * without AMX, runs the products of the amx rung over a unit that takes the time of its
 * tiles and computes nothing (tiles/tiles.h): an estimate of what a step costs with it.
 */
#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <jansson.h>

#include "smelt/sys.h"
#include "smelt/trace.h"
#include "smelt/train.h"
#include "tiles/tiles.h"

/* ----------------------------------------------------------------- shapes */

/* A shape is a list of settings over the default configuration. */
#define DENSE32M                                                          \
    "n_vocab=16384 n_layer=8 d_model=512 n_head=8 n_kv_head=4 d_head=64 " \
    "rope_theta=10000 "                                                   \
    "norm_eps=1e-5 tied=1 "

typedef struct shape {
    const char *name, *settings;
} shape;

static const shape SHAPES[] = {
    {"dense32m", DENSE32M "d_ff=1408"},
    {"dense32m_ffn1024", DENSE32M "d_ff=1024"},
    {"moe65m", DENSE32M "d_ff=1024 n_expert=8 k_expert=2 d_expert=512 aux_coef=0.01"},
    {"gpt2_124m", "n_vocab=50304 n_layer=12 d_model=768 n_head=12 n_kv_head=12 d_head=64 "
                  "d_ff=2048 rope_theta=10000 norm_eps=1e-5 tied=1"},
    {"tiny_moe",
     "n_vocab=512 n_layer=2 d_model=64 n_head=4 n_kv_head=2 d_head=16 d_ff=128 "
     "n_expert=4 k_expert=2 d_expert=64 aux_coef=0.01 tied=1"},
};
enum { N_SHAPE = sizeof SHAPES / sizeof *SHAPES };

/* ---------------------------------------------------------------- options */

typedef struct options {
    const shape *shape;
    sm_train_config train;
    int64_t warmup_steps, steps, shards, threads;
    bool json_only, want_operations, has_timed_tiles;
} options;

/* One --set key: a field of the configuration, as double, int64, int32, float or bool. */
typedef struct setting {
    const char *key;
    char type;
    void *field;
} setting;

static void assign(const setting *s, double x)
{
    if (s->type == 'd')
        *(double *)s->field = x;
    else if (s->type == 'l')
        *(int64_t *)s->field = (int64_t)x;
    else if (s->type == 'i')
        *(int32_t *)s->field = (int32_t)x;
    else if (s->type == 'f')
        *(float *)s->field = (float)x;
    else if (s->type == 'z')
        *(size_t *)s->field = (size_t)x;
    else
        *(bool *)s->field = x != 0;
}

/* Does the field hold it?  Whole numbers must be such, and none is negative. */
static bool is_in_range(const setting *s, double x)
{
    if (s->type == 'd' || s->type == 'f')
        return x >= -FLT_MAX && x <= FLT_MAX;
    double most = s->type == 'b' ? 1 : s->type == 'i' ? INT32_MAX : 9007199254740992.0;
    return x >= 0 && x <= most && x == (double)(int64_t)x;
}

/* "key=value" into the configuration; false for an unknown key or no such number. */
static bool set_option(sm_train_config *c, const char *text)
{
    sm_model_config *m = &c->model;
    const setting table[] = {
        {"n_vocab", 'i', &m->n_vocab},
        {"n_layer", 'i', &m->n_layer},
        {"d_model", 'i', &m->d_model},
        {"n_head", 'i', &m->n_head},
        {"n_kv_head", 'i', &m->n_kv_head},
        {"d_head", 'i', &m->d_head},
        {"d_ff", 'i', &m->d_ff},
        {"n_expert", 'i', &m->n_expert},
        {"k_expert", 'i', &m->k_expert},
        {"d_expert", 'i', &m->d_expert},
        {"d_shared", 'i', &m->d_shared},
        {"moe_every", 'i', &m->moe_every},
        {"nope_every", 'i', &m->nope_every},
        {"attn_chunk", 'i', &m->attn_chunk},
        {"rope_theta", 'f', &m->rope_theta},
        {"norm_eps", 'f', &m->norm_eps},
        {"qk_norm", 'b', &m->qk_norm},
        {"tied", 'b', &m->tied},
        {"aux_coef", 'f', &c->loss.aux_coef},
        {"z_coef", 'f', &c->loss.z_coef},
        {"head_z_coef", 'f', &c->loss.head_z_coef},
        {"lr", 'd', &c->lr},
        {"clip_norm", 'd', &c->clip_norm},
        {"recompute", 'b', &c->recompute},
        {"memory_bytes", 'z', &c->memory_bytes},
    };
    const char *eq = strchr(text, '=');
    char *end = NULL;
    for (size_t i = 0; eq && i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].key) == (size_t)(eq - text) &&
            !strncmp(table[i].key, text, (size_t)(eq - text))) {
            double x = strtod(eq + 1, &end);
            if (end == eq + 1 || (*end && *end != ' ') || !is_in_range(&table[i], x))
                return false;
            assign(&table[i], x);
            return true;
        }
    return false;
}

/* All settings of a shape: every one is known. */
static bool set_shape(sm_train_config *c, const char *settings)
{
    bool is_good = true;
    while (settings && is_good) {
        is_good = set_option(c, settings);
        settings = strchr(settings, ' ');
        settings = settings ? settings + 1 : NULL;
    }
    return is_good;
}

static const shape *find_shape(const char *name)
{
    for (int i = 0; i < N_SHAPE; i++)
        if (!strcmp(SHAPES[i].name, name))
            return &SHAPES[i];
    return NULL;
}

static int64_t power_of_two_up_to(int64_t x)
{
    int64_t p = 1;
    while (p * 2 <= x)
        p *= 2;
    return p;
}

/* A whole number in low..high. */
static bool take_number(int64_t *out, const char *value, int64_t low, int64_t high)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    bool is_good = end != value && !*end && !errno && n >= low && n <= high;
    if (is_good)
        *out = n;
    return is_good;
}

/* One option with a value: NULL when it was taken, else what was wanted. */
static const char *take_option(options *o, const char *key, const char *value)
{
    const struct {
        const char *key;
        int64_t *field, low, high;
        const char *want;
    } number[] = {
        {"--seq", &o->train.n_seq, 1, 65536, "1..65536"},
        {"--ctx", &o->train.n_ctx, 2, 1 << 20, "2..1048576"},
        {"--shards", &o->shards, 1, 65536, "1..65536"},
        {"--micro", &o->train.micro_shards, 0, 65536, "0..65536"},
        {"--steps", &o->steps, 1, 1000000, "1..1000000"},
        {"--warmup", &o->warmup_steps, 0, 1000000, "0..1000000"},
        {"--threads", &o->threads, 1, 256, "1..256"},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (!strcmp(key, number[i].key))
            return take_number(number[i].field, value, number[i].low, number[i].high)
                       ? NULL
                       : number[i].want;
    if (!strcmp(key, "--set"))
        return set_option(&o->train, value) ? NULL : "key=number of a known key in range";
    if (strcmp(key, "--profile") != 0)
        return "another option";
    o->train.profile = value;
    return !strcmp(value, "bf16/1") || !strcmp(value, "f32/1") ? NULL : "bf16/1 or f32/1";
}

static bool parse(options *o, int argc, char **argv)
{
    *o = (options){
        .train = SM_TRAIN_CONFIG_DEFAULT, .warmup_steps = 1, .steps = 6, .threads = 2};
    o->shape = argc > 1 ? find_shape(argv[1]) : NULL;
    if (!o->shape) {
        fprintf(stderr, "bench_step: want a shape:");
        for (int i = 0; i < N_SHAPE; i++)
            fprintf(stderr, " %s", SHAPES[i].name);
        fprintf(stderr, "\n");
        return false;
    }
    if (!set_shape(&o->train, o->shape->settings))
        return false;
    o->train.n_seq = 4;
    o->train.lr = 1e-4;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            o->json_only = true;
        } else if (!strcmp(argv[i], "--operations")) {
            o->want_operations = true;
        } else if (!strcmp(argv[i], "--timed-tiles")) {
            o->has_timed_tiles = true;
        } else {
            const char *value = i + 1 < argc ? argv[i + 1] : NULL;
            const char *want = value ? take_option(o, argv[i], value) : "a value";
            if (want) {
                fprintf(stderr, "bench_step: %s: got %s, want %s\n", argv[i],
                        value ? value : "nothing", want);
                return false;
            }
            i++;
        }
    }
    o->train.n_shard = o->shards > 0
                           ? o->shards
                           : power_of_two_up_to(o->train.n_seq < 8 ? o->train.n_seq : 8);
    o->train.n_steps = o->warmup_steps + o->steps;
    o->train.warmup_steps = 0;
    o->train.model.max_ctx = (int32_t)o->train.n_ctx;
    return true;
}

/* ------------------------------------------------------------------- data */

/* Rows of one document each, as many as two steps take, of uniform random ids. */
static sm_status make_data(sm_token_data **out, const options *o, sm_err *err)
{
    int64_t n_doc = 2 * o->train.n_seq, len = o->train.n_ctx - 1;
    int32_t *id = malloc((size_t)(n_doc * len) * sizeof *id);
    int64_t *start = malloc((size_t)(n_doc + 1) * sizeof *start);
    sm_token_config k = {.n_ctx = o->train.n_ctx, .bos_id = 0, .end_id = -1};
    sm_status s = SM_ENOMEM;
    if (id && start) {
        for (int64_t i = 0; i < n_doc * len; i++)
            id[i] = 1 + (int32_t)sm_rng_below((uint64_t)o->train.model.n_vocab - 1, 1,
                                              SM_STREAM_TEST, 0, (uint64_t)i);
        for (int64_t d = 0; d <= n_doc; d++)
            start[d] = d * len;
        s = sm_token_data_from_ids(out, id, start, NULL, n_doc, &k, err);
    } else {
        sm_fail(err, s, "data: out of memory");
    }
    free(id);
    free(start);
    return s;
}

/* ---------------------------------------------------------------- figures */

typedef struct figures {
    double *step_s, *cpu_s;
    double last_cpu_s;
    int64_t n_step;
    size_t rss_bytes;  /* most that was resident at the end of a step */
    size_t base_bytes; /* resident before anything was built     */
    double loss;
    sm_kern_ceilings before, after;
    int64_t warmup_steps;
    const sm_trace *trace; /* NULL: no --operations */
    sm_trace_sum warm[SM_TRACE_NAMES]; /* sums when the warm-up ended */
    size_t n_warm;
} figures;

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           1e-6 * ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec);
}

/* A line "Name:   123 kB" of /proc/self/status in bytes; 0 where there is none. */
static size_t status_bytes(const char *name)
{
    char line[256];
    size_t found = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name)))
            found = (size_t)strtoull(line + strlen(name), NULL, 10) * 1024;
    if (f)
        fclose(f);
    return found;
}

static sm_status on_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    figures *f = self;
    (void)err;
    double cpu = cpu_seconds();
    f->step_s[f->n_step] = m->step_ms * 1e-3;
    f->cpu_s[f->n_step++] = cpu - f->last_cpu_s;
    f->loss = m->loss;
    size_t rss = status_bytes("VmRSS:");
    f->rss_bytes = rss > f->rss_bytes ? rss : f->rss_bytes;
    if (f->trace && f->n_step == f->warmup_steps)
        f->n_warm = sm_trace_sums(f->trace, f->warm, SM_TRACE_NAMES);
    f->last_cpu_s = cpu_seconds();
    return SM_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *x, int64_t n)
{
    double *sorted = malloc((size_t)n * sizeof *sorted), m = 0;
    if (!sorted)
        return 0;
    memcpy(sorted, x, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    m = n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
    free(sorted);
    return m;
}

static json_t *list_of(const double *x, int64_t n)
{
    json_t *a = json_array();
    for (int64_t i = 0; a && i < n; i++)
        json_array_append_new(a, json_real(x[i]));
    return a;
}

static void take_off_warmup(sm_trace_sum *x, const figures *f)
{
    for (size_t i = 0; i < f->n_warm; i++)
        if (!strcmp(x->name, f->warm[i].name)) {
            x->count -= f->warm[i].count;
            x->self_ns -= f->warm[i].self_ns;
            x->flops -= f->warm[i].flops;
            x->bytes -= f->warm[i].bytes;
        }
}

static int longest_first(const void *a, const void *b)
{
    const sm_trace_sum *x = a, *y = b;
    return (x->self_ns < y->self_ns) - (x->self_ns > y->self_ns);
}

/* [{name, count, self_ns, flops, bytes}] of the measured steps, the longest first. */
static json_t *operations(const figures *f)
{
    sm_trace_sum sum[SM_TRACE_NAMES];
    size_t n = sm_trace_sums(f->trace, sum, SM_TRACE_NAMES);
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        take_off_warmup(&sum[i], f);
    qsort(sum, n, sizeof *sum, longest_first);
    for (size_t i = 0; a && i < n; i++)
        json_array_append_new(a, json_pack("{s:s, s:I, s:I, s:f, s:f}", "name",
                                           sum[i].name, "count", (json_int_t)sum[i].count,
                                           "self_ns", (json_int_t)sum[i].self_ns, "flops",
                                           sum[i].flops, "bytes", sum[i].bytes));
    return a;
}

static double ceiling_of(const options *o, const sm_kern_ceilings *c)
{
    return strcmp(o->train.profile, "f32/1") ? c->bf16_gflops : c->f32_gflops;
}

static json_t *report(const options *o, const sm_ctx *ctx, const figures *f,
                      const sm_train_plan *p)
{
    const double *step_s = f->step_s + o->warmup_steps,
                 *cpu_s = f->cpu_s + o->warmup_steps;
    double tok = (double)p->tok_per_step, s = median(step_s, o->steps);
    double rate = tok / s, gflops = 6e-9 * (double)p->n_active * rate;
    double ceiling = 0.5 * (ceiling_of(o, &f->before) + ceiling_of(o, &f->after));
    json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "shape",
                          o->shape->name, "profile", o->train.profile, "rung",
                          ctx->kern->name, "threads", (int)o->threads, "n_param",
                          (json_int_t)p->n_param, "n_active", (json_int_t)p->n_active,
                          "tok_per_step", (json_int_t)p->tok_per_step, "n_shard",
                          (json_int_t)o->train.n_shard, "n_micro", (json_int_t)p->n_micro,
                          "rerun_forward", (json_int_t)p->rerun_forward);
    json_t *rest = json_pack(
        "{s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:f}", "step_s",
        list_of(step_s, o->steps), "cpu_s", list_of(cpu_s, o->steps), "median_step_s", s,
        "median_cpu_s", median(cpu_s, o->steps), "tok_per_s", rate, "gflops", gflops,
        "ceiling_before_gflops", ceiling_of(o, &f->before), "ceiling_after_gflops",
        ceiling_of(o, &f->after), "ceiling_frac", gflops / ceiling, "peak_rss_bytes",
        (json_int_t)f->rss_bytes, "base_rss_bytes", (json_int_t)f->base_bytes,
        "plan_bytes", (json_int_t)p->total_bytes, "loss", f->loss);
    if (j && rest)
        json_object_update(j, rest);
    json_decref(rest);
    if (j && ctx->trace)
        json_object_set_new(j, "operations", operations(f));
    return j;
}

/* -------------------------------------------------------------------- run */

static sm_status measure(const options *o, const sm_ctx *ctx, figures *f,
                         sm_train_plan *plan, sm_err *err)
{
    sm_token_data *data = NULL;
    sm_model *model = NULL;
    f->step_s = calloc((size_t)o->train.n_steps, sizeof *f->step_s);
    f->cpu_s = calloc((size_t)o->train.n_steps, sizeof *f->cpu_s);
    if (!f->step_s || !f->cpu_s)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    sm_status s = make_data(&data, o, err);
    if (!s)
        s = sm_train_plan_make(plan, ctx, &o->train, err);
    if (!s)
        s = sm_kern_ceiling(&f->before, ctx, err);
    if (!s) {
        sm_train_io io = {.data = data, .on_step = on_step, .self = f};
        f->base_bytes = status_bytes("VmRSS:");
        f->warmup_steps = o->warmup_steps;
        f->trace = ctx->trace;
        f->last_cpu_s = cpu_seconds();
        s = sm_train_run(&model, NULL, ctx, &o->train, &io, err);
    }
    sm_model_free(model);
    sm_token_data_free(data);
    return s;
}

static void tell(const options *o, const json_t *j)
{
    const char *names[] = {"median_step_s", "median_cpu_s",   "tok_per_s", "gflops",
                           "ceiling_frac",  "peak_rss_bytes", "plan_bytes"};
    fprintf(stderr, "%s %s:", o->shape->name, o->train.profile);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fprintf(stderr, " %s %.4g", names[i],
                json_number_value(json_object_get(j, names[i])));
    fprintf(stderr, "\n");
}

static sm_status choose_kernels(const sm_kern **out, sm_kern *timed, const options *o,
                                sm_err *err)
{
    if (!o->has_timed_tiles)
        return sm_kern_get(out, NULL, err);
    if (!bench_timed_tiles(timed))
        return sm_fail(err, SM_EUNSUPPORTED, "--timed-tiles: this CPU has no AVX-512");
    *out = timed;
    return SM_OK;
}

int main(int argc, char **argv)
{
    options o;
    sm_kern timed;
    sm_err err = {0};
    sm_ctx ctx = {0};
    figures f = {0};
    sm_train_plan plan = {0};
    if (!parse(&o, argc, argv))
        return 2;
    sm_status s = choose_kernels(&ctx.kern, &timed, &o, &err);
    if (!s)
        s = sm_pool_create(&ctx.pool, (int)o.threads, &err);
    if (!s && o.want_operations)
        s = sm_trace_create(&ctx.trace, (int)o.threads, 0, &err);
    if (!s)
        s = measure(&o, &ctx, &f, &plan, &err);
    if (!s)
        s = sm_kern_ceiling(&f.after, &ctx, &err);
    if (s) {
        fprintf(stderr, "bench_step: %s\n", err.msg);
    } else {
        json_t *j = report(&o, &ctx, &f, &plan);
        if (!o.json_only && j)
            tell(&o, j);
        json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        printf("\n");
        json_decref(j);
    }
    free(f.step_s);
    free(f.cpu_s);
    sm_pool_free(ctx.pool);
    sm_trace_free(ctx.trace);
    return s ? 1 : 0;
}
