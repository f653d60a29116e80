/* SPDX-License-Identifier: Apache-2.0 */
/* Command line of kcheck. */
#include <stdlib.h>

#include "kcheck.h"

static const char usage[] =
    "usage: kcheck [--rung ref|avx2|avx512|avx512bf16|amx] [--only PATTERN]\n"
    "              [--trials N] [--seed S]\n"
    "              [--exhaustive: functions of one argument on all 2^32 inputs]\n"
    "       kcheck --oracle | --bench [PATTERN]\n"
    "Compares every kernel with the reference, bit for bit.  Without --rung: all "
    "rungs.\n";

typedef struct options {
    const char *rung, *pattern;
    uint64_t seed;
    int trials;
    bool is_oracle, is_bench, is_exhaustive;
} options;

static bool parse(options *o, int argc, char **argv)
{
    *o = (options){.seed = 1, .trials = 250};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--oracle") == 0) {
            o->is_oracle = true;
        } else if (strcmp(argv[i], "--exhaustive") == 0) {
            o->is_exhaustive = true;
        } else if (strcmp(argv[i], "--bench") == 0) {
            o->is_bench = true;
            if (value && value[0] != '-') {
                o->pattern = value;
                i++;
            }
        } else if (value && strcmp(argv[i], "--rung") == 0) {
            o->rung = argv[++i];
        } else if (value && strcmp(argv[i], "--only") == 0) {
            o->pattern = argv[++i];
        } else if (value && strcmp(argv[i], "--trials") == 0) {
            o->trials = (int)strtol(argv[++i], NULL, 10);
        } else if (value && strcmp(argv[i], "--seed") == 0) {
            o->seed = strtoull(argv[++i], NULL, 0);
        } else {
            return false;
        }
    }
    return true;
}

static long run_pair(const options *o, const sm_kern *ref, const sm_kern *rung,
                     const char *label)
{
    kc_run run = {ref, rung, label, o->pattern, o->seed, o->trials, 0, 0};
    int64_t start = sm_clock_ns();
    kc_check_cases(&run);
    kc_check_products(&run);
    kc_check_directed(&run);
    uint32_t stride = rung->rung == SM_RUNG_REF ? 977 : 61; /* without FMA it is slow */
    kc_check_sweep(&run, o->is_exhaustive ? 1 : stride);
    printf("%s: %ld checks, %ld failed, %.1f s\n", label, run.n_checks, run.n_failures,
           (double)(sm_clock_ns() - start) * 1e-9);
    return run.n_failures;
}

static long check_rung(const options *o, const char *name)
{
    const sm_kern *ref, *rung;
    sm_kern plain, model;
    if (sm_kern_get(&ref, "ref", NULL) != SM_OK)
        return 1;
    if (strcmp(name, "ref") == 0) {
        sm_kern_set_ref_plain(&plain);
        return run_pair(o, ref, &plain, "ref without FMA instructions");
    }
    sm_err err;
    sm_status s = sm_kern_get(&rung, name, &err);
    if (s == SM_OK)
        return run_pair(o, ref, rung, name);
    if (s == SM_EINVAL) {
        printf("kcheck: %s\n", err.msg);
        return 1;
    }
    printf("%s: skipped: %s\n", name, err.msg);
    if (strcmp(name, "amx") == 0 && kc_amx_model(&model))
        return run_pair(o, ref, &model, "amx over the software tile unit");
    return 0;
}

static int bench(const options *o)
{
    const sm_kern *rungs[SM_RUNG_AMX + 1];
    const char *name;
    int n = 0;
    for (int i = 0; (name = sm_kern_rung_name(i)); i++)
        if ((!o->rung || strcmp(o->rung, name) == 0) &&
            sm_kern_get(&rungs[n], name, NULL) == SM_OK)
            n++;
    return kc_bench(rungs, n, o->pattern);
}

int main(int argc, char **argv)
{
    options o;
    if (!parse(&o, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    unsigned saved = sm_fp_enter();
    long failures = 0;
    if (o.is_bench) {
        failures = bench(&o);
    } else if (o.is_oracle) {
        failures = kc_oracle(o.seed);
    } else {
        failures = kc_check_complete() + kc_check_tile_model();
        if (o.rung)
            failures += check_rung(&o, o.rung);
        for (int i = 0; sm_kern_rung_name(i) && !o.rung; i++)
            failures += check_rung(&o, sm_kern_rung_name(i));
    }
    sm_fp_leave(saved);
    return failures ? 1 : 0;
}
