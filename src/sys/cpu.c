/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU features, asked for one by one (virtual machines mask model numbers), and the
 * floating-point mode of recorded arithmetic.  A feature counts only when the processor
 * has it, XCR0 says that the OS saves its registers, and, for AMX, the kernel granted the
 * tile state to this process.
 */
#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "smelt/sys.h"

enum { REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool all_set(uint64_t word, uint64_t bits)
{
    return (word & bits) == bits;
}

#define BIT(n) (UINT64_C(1) << (n))

static void detect_features(sm_cpu *c)
{
    uint32_t a, b, cx, d, a7, b7, c7, d7, a71 = 0, b71, c71, d71;
    if (!__get_cpuid(1, &a, &b, &cx, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7))
        return;
    if (a7 >= 1)
        __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71);
    c->sha = all_set(b7, BIT(29));
    bool osxsave = all_set(cx, BIT(27));
    uint64_t xcr0 = osxsave ? read_xcr0() : 0;
    /* FMA 12, F16C 29, AVX 28 of leaf 1; AVX2 5 of leaf 7; xmm 1 and ymm 2 of XCR0 */
    c->avx2 = all_set(cx, BIT(12) | BIT(28) | BIT(29)) && all_set(b7, BIT(5)) &&
              all_set(xcr0, BIT(1) | BIT(2));
    /* F 16, DQ 17, BW 30, VL 31; VNNI 11 of ecx; BF16 5 of leaf 7.1; XCR0 5..7 */
    c->avx512 = c->avx2 && all_set(b7, BIT(16) | BIT(17) | BIT(30) | BIT(31)) &&
                all_set(c7, BIT(11)) && all_set(a71, BIT(5)) &&
                all_set(xcr0, BIT(5) | BIT(6) | BIT(7));
    /* bf16 22, tile 24, int8 25 of edx; tile configuration 17 and data 18 of XCR0 */
    c->amx = c->avx512 && all_set(d7, BIT(22) | BIT(24) | BIT(25)) &&
             all_set(xcr0, BIT(17) | BIT(18)) &&
             syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static void detect_model(sm_cpu *c)
{
    uint32_t r[12] = {0};
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2],
                         &r[4 * i + 3]))
            return;
    memcpy(c->model, r, sizeof r);
    c->model[sizeof r] = 0;
}

static sm_cpu cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void detect(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    cpu.n_cpu = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    detect_features(&cpu);
    detect_model(&cpu);
}

const sm_cpu *sm_cpu_get(void)
{
    pthread_once(&cpu_once, detect);
    return &cpu;
}

unsigned sm_fp_enter(void)
{
    unsigned saved = _mm_getcsr();
    _mm_setcsr(0x9fc0);
    return saved;
}

void sm_fp_leave(unsigned saved)
{
    _mm_setcsr(saved);
}
