/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder: each rung starts as a copy of one below and overrides what it does faster.
 * Filled once, before the first caller sees it, and constant from then on.
 */
#include <pthread.h>
#include <stdlib.h>

#include "internal.h"
#include "smelt/sys.h"

enum { N_RUNGS = SM_RUNG_AMX + 1 };

/* What a rung is called, which one it starts from and what it overrides. */
typedef struct rung_of {
    const char *name;
    sm_rung base;
    void (*set)(sm_kern *);
} rung_of;

static const rung_of ladder[N_RUNGS] = {
    [SM_RUNG_REF] = {"ref", SM_RUNG_REF, NULL},
    [SM_RUNG_AVX2] = {"avx2", SM_RUNG_REF, sm_kern_set_avx2},
    [SM_RUNG_AVX512] = {"avx512", SM_RUNG_AVX2, sm_kern_set_avx512},
    [SM_RUNG_AVX512_BF16] = {"avx512bf16", SM_RUNG_AVX512, sm_kern_set_avx512bf16},
    [SM_RUNG_AMX] = {"amx", SM_RUNG_AVX512, sm_kern_set_amx},
};
static sm_kern rungs[N_RUNGS];
static sm_rung best;
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static bool has_rung(const sm_cpu *cpu, sm_rung rung)
{
    switch (rung) {
    case SM_RUNG_AMX:
        return cpu->amx;
    case SM_RUNG_AVX512_BF16:
    case SM_RUNG_AVX512:
        return cpu->avx512;
    case SM_RUNG_AVX2:
        return cpu->avx2;
    case SM_RUNG_REF:
        break;
    }
    return true;
}

/* The highest, but VDPBF16PS only where it is fast. */
static sm_rung best_rung(const sm_cpu *cpu)
{
    int rung = SM_RUNG_AMX;
    while (!has_rung(cpu, (sm_rung)rung))
        rung--;
    if (rung == SM_RUNG_AVX512_BF16 && !sm_kern_dot_pays())
        rung = SM_RUNG_AVX512;
    return (sm_rung)rung;
}

static void fill(void)
{
    const sm_cpu *cpu = sm_cpu_get();
    if (cpu->avx2)
        sm_kern_set_ref_fma(&rungs[SM_RUNG_REF]);
    else
        sm_kern_set_ref_plain(&rungs[SM_RUNG_REF]);
    for (int i = SM_RUNG_AVX2; i < N_RUNGS && has_rung(cpu, (sm_rung)i); i++) {
        rungs[i] = rungs[ladder[i].base];
        rungs[i].rung = (sm_rung)i;
        rungs[i].name = ladder[i].name;
        ladder[i].set(&rungs[i]);
    }
    best = best_rung(cpu);
}

const char *sm_kern_rung_name(int rung)
{
    return rung >= 0 && rung < N_RUNGS ? ladder[rung].name : NULL;
}

sm_status sm_kern_get(const sm_kern **out, const char *want, sm_err *err)
{
    const char *source = want ? "" : "SMELT_CPU: ";
    if (!want)
        want = getenv("SMELT_CPU");
    pthread_once(&filled, fill);
    const sm_cpu *cpu = sm_cpu_get();
    if (!want || !*want) {
        *out = &rungs[best];
        return SM_OK;
    }
    for (int i = 0; i < N_RUNGS; i++) {
        if (strcmp(want, ladder[i].name) != 0)
            continue;
        if (!has_rung(cpu, (sm_rung)i))
            return sm_fail(err, SM_EUNSUPPORTED,
                           "%skernels %s: this CPU has no %s; its best are %s", source,
                           want,
                           i == SM_RUNG_AMX ? "AMX (or the OS does not allow it)" : want,
                           ladder[best].name);
        *out = &rungs[i];
        return SM_OK;
    }
    return sm_fail(err, SM_EINVAL,
                   "%skernels: got '%s', want ref, avx2, avx512, avx512bf16 or amx",
                   source, want);
}
