/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights packed range by range as they change, in any order, are the bytes of packing them
 * all at once: dense, experts, router, tied and untied head, in slices, heads that do not
 * end at panels, both profiles, every rung.
 */
#include "fixture.h"
#include "pass.h"

enum { GROUP = 64 }; /* rows of a range */

static size_t bytes_of(const sm_pack_job *j)
{
    int64_t n = j->is_transposed ? j->n_in : j->n_out;
    return sm_weight_bytes(j->prod, n, j->is_transposed ? j->n_out : j->n_in);
}

/* Last range first; scribbled over before. */
static void pack_by_ranges(sm_pass *p)
{
    const sm_model *m = p->c.model;
    for (int64_t i = 0; i < p->n_pack_job; i++)
        memset(p->pack_job[i].dst, 0xa5, bytes_of(&p->pack_job[i]));
    for (int32_t t = m->n_param_tensors - 1; t >= 0; t--) {
        const sm_param *q = &m->param[t];
        int64_t step = GROUP * q->shape[q->n_dim - 1];
        for (int64_t at = (q->n - 1) / step * step; at >= 0; at -= step)
            sm_pass_pack_range(p, q->offset + at, q->n - at < step ? q->n - at : step);
    }
    sm_pass_pack_rest(p);
}

static int64_t n_by_rows(const sm_pass *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_pack_matrix; i++)
        n += p->pack_matrix[i].by_rows;
    return n;
}

static void check(const kind *k, const char *profile, const char *rung)
{
    sm_ctx ctx = {0};
    sm_pass *p = NULL;
    if (sm_kern_get(&ctx.kern, rung, NULL)) {
        print_message("skipped: this CPU has no %s\n", rung);
        return;
    }
    sm_model *m = make_model(&k->config);
    sm_pass_config pc = {.model = m,
                         .profile = profile,
                         .n_seq = N_SEQ,
                         .n_ctx = N_CTX,
                         .seq_per_shard = PER_SHARD,
                         .n_micro = 1,
                         .backward = true,
                         .loss = k->loss};
    assert_int_equal(sm_pass_create(&p, &ctx, &pc, NULL), SM_OK);
    char **want = calloc((size_t)p->n_pack_job, sizeof *want);
    for (int64_t i = 0; i < p->n_pack_job; i++) {
        size_t bytes = bytes_of(&p->pack_job[i]);
        want[i] = malloc(bytes);
        memset(p->pack_job[i].dst, 0xa5, bytes);
    }
    assert_int_equal(sm_pass_pack(p, NULL), SM_OK);
    for (int64_t i = 0; i < p->n_pack_job; i++)
        memcpy(want[i], p->pack_job[i].dst, bytes_of(&p->pack_job[i]));
    pack_by_ranges(p);
    for (int64_t i = 0; i < p->n_pack_job; i++)
        if (memcmp(want[i], p->pack_job[i].dst, bytes_of(&p->pack_job[i])))
            fail_msg("%s, %s, %s: job %lld of %lld: other bytes", k->name, profile, rung,
                     (long long)i, (long long)p->n_pack_job);
    assert_true(n_by_rows(p) > 0);
    for (int64_t i = 0; i < p->n_pack_job; i++)
        free(want[i]);
    free(want);
    sm_pass_free(p);
    sm_model_free(m);
}

static const kind more[] = {
    {"wide enough for several ranges, an odd width",
     {.n_vocab = 200, .n_layer = 1, .d_model = 100, .n_head = 4, .n_kv_head = 2,
      .d_head = 32, .d_ff = 133, .rope_theta = 100, .norm_eps = 1e-5f, .max_ctx = 96,
      .moe_every = 1, .n_slice = 1},
     {.z_coef = 0}},
    {"experts that no range ends with",
     {.n_vocab = 70, .n_layer = 2, .d_model = 96, .n_head = 2, .n_kv_head = 2,
      .d_head = 32, .d_ff = 96, .rope_theta = 100, .norm_eps = 1e-5f, .max_ctx = 96,
      .moe_every = 1, .tied = true, .n_expert = 3, .k_expert = 2, .d_expert = 80,
      .n_slice = 1},
     {.aux_coef = 0.5f}},
};

static void test_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KIND + sizeof more / sizeof *more; i++)
        for (int r = 0; sm_kern_rung_name(r); r++) {
            const kind *k = i < N_KIND ? &kinds[i] : &more[i - N_KIND];
            check(k, "bf16/1", sm_kern_rung_name(r));
            check(k, "f32/1", sm_kern_rung_name(r));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges)};
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
