/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder: each rung starts as a copy of the one below and overrides what it does
 * faster.  Filled once, before the first caller sees it, and constant from then on.
 */
#include <pthread.h>
#include <stdlib.h>

#include "internal.h"
#include "smelt/sys.h"

enum { N_RUNGS = SM_RUNG_AMX + 1 };

static const char *const rung_names[N_RUNGS] = {"ref", "avx2", "avx512", "amx"};
static sm_kern rungs[N_RUNGS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static bool has_rung(const sm_cpu *cpu, sm_rung rung)
{
    switch (rung) {
    case SM_RUNG_AMX:
        return cpu->amx;
    case SM_RUNG_AVX512:
        return cpu->avx512;
    case SM_RUNG_AVX2:
        return cpu->avx2;
    case SM_RUNG_REF:
        break;
    }
    return true;
}

static void fill(void)
{
    static void (*const set[N_RUNGS])(sm_kern *) = {NULL, sm_kern_set_avx2,
                                                    sm_kern_set_avx512, sm_kern_set_amx};
    const sm_cpu *cpu = sm_cpu_get();
    if (cpu->avx2)
        sm_kern_set_ref_fma(&rungs[SM_RUNG_REF]);
    else
        sm_kern_set_ref_plain(&rungs[SM_RUNG_REF]);
    for (int i = SM_RUNG_AVX2; i < N_RUNGS && has_rung(cpu, (sm_rung)i); i++) {
        rungs[i] = rungs[i - 1];
        rungs[i].rung = (sm_rung)i;
        rungs[i].name = rung_names[i];
        set[i](&rungs[i]);
    }
}

static sm_rung best_rung(const sm_cpu *cpu)
{
    int best = SM_RUNG_AMX;
    while (!has_rung(cpu, (sm_rung)best))
        best--;
    return (sm_rung)best;
}

sm_status sm_kern_get(const sm_kern **out, const char *want, sm_err *err)
{
    const char *source = want ? "" : "SMELT_CPU: ";
    if (!want)
        want = getenv("SMELT_CPU");
    pthread_once(&filled, fill);
    const sm_cpu *cpu = sm_cpu_get();
    if (!want || !*want) {
        *out = &rungs[best_rung(cpu)];
        return SM_OK;
    }
    for (int i = 0; i < N_RUNGS; i++) {
        if (strcmp(want, rung_names[i]) != 0)
            continue;
        if (!has_rung(cpu, (sm_rung)i))
            return sm_fail(err, SM_EUNSUPPORTED,
                           "%skernels %s: this CPU has no %s; its best are %s", source,
                           want,
                           i == SM_RUNG_AMX ? "AMX (or the OS does not allow it)" : want,
                           rung_names[best_rung(cpu)]);
        *out = &rungs[i];
        return SM_OK;
    }
    return sm_fail(err, SM_EINVAL, "%skernels: got '%s', want ref, avx2, avx512 or amx",
                   source, want);
}
