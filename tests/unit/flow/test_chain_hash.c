/* SPDX-License-Identifier: Apache-2.0 */
/* The chain over the states of training against its definition in
 * docs/formats/checkpoint.md: the canonical JSON of a small state is written out here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain.h"

/* printf aaaaaaaa | sha256sum, and so on */
#define SHA_A "1f3ce40415a2081fa3eee75fc39fff8e56c22270d1a978a7249b592dcebd20b4"
#define SHA_B "fb398cc690e15ddba43ee811b6c0d3ec190901ad3df377fec9a1f9004b919a06"
#define SHA_C "9fa10fc879d17c2711872c9ddb2d9b4bc792b5f326d0eceb94f81e629caf1222"
#define SHA_D "b32914cd620087fa50645bbba8268fc3bc9d92aeb427bc6b985477b9b4a65830"

#define WEIGHT "[\"weight/x\",\"F32\",[2,1],\"" SHA_A "\"]"
#define MOMENT "[\"adam_m/x\",\"F32\",[2,1],\"" SHA_B "\"]"
#define COUNTS "[\"counts\",\"I64\",[1],\"" SHA_C "\"]"
#define BIAS "[\"router_bias\",\"F32\",[1,2],\"" SHA_D "\"]"

static const sm_tensor_entry entry[] = {
    {.name = "weight/x", .shape = {2, 1}, .n_dim = 2, .dtype = "F32", "aaaaaaaa", 8},
    {.name = "adam_m/x", .shape = {2, 1}, .n_dim = 2, .dtype = "F32", "bbbbbbbb", 8},
    {.name = "counts", .shape = {1}, .n_dim = 1, .dtype = "I64", "cccccccc", 8},
    {.name = "router_bias", .shape = {1, 2}, .n_dim = 2, .dtype = "F32", "dddddddd", 8}};
enum { N_ENTRY = sizeof entry / sizeof *entry };

static sm_id hash_of(const char *text)
{
    sm_id id;
    assert_int_equal(sm_id_of_bytes(&id, text, strlen(text), NULL), SM_OK);
    return id;
}

static chain_header header(void)
{
    return (chain_header){.commit_steps = 3,
                          .n_steps = 7,
                          .config = hash_of("{\"lr\":1}"),
                          .data = "0123456789abcdef"};
}

/* All of the state, with the run that it is of; of the model's part, what a model holds. */
static void a_state_is_hashed_as_written(void **state)
{
    (void)state;
    const chain_header h = header();
    sm_ctx ctx = {0};
    chain_state got;
    sm_buf all = {0};
    sm_err err = {0};
    sm_buf_printf(&all,
                  "{\"config\":\"%s\",\"data\":\"0123456789abcdef\",\"step\":6,"
                  "\"tensors\":[" WEIGHT "," MOMENT "," COUNTS "," BIAS "]}",
                  h.config.hex);
    if (chain_hash(&got, &ctx, &h, 6, entry, N_ENTRY, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(got.step, 6);
    assert_string_equal(got.state.hex, hash_of(all.data).hex);
    assert_string_equal(got.weights.hex,
                        hash_of("{\"tensors\":[" WEIGHT "," BIAS "]}").hex);
    sm_buf_free(&all);
}

/* A line of the chain without its link, and the link: the hash of just that. */
static void put_line(sm_buf *out, sm_id *link, const chain_state *c)
{
    char line[400];
    snprintf(line, sizeof line,
             "{\"prev\":\"%s\",\"state\":\"%s\",\"step\":%d,\"weights\":\"%s\"}",
             link->hex, c->state.hex, (int)c->step, c->weights.hex);
    *link = hash_of(line);
    sm_buf_printf(out, "{\"link\":\"%s\",%s\n", link->hex, line + 1);
}

/* Keys are sorted, so that "link" comes first in a line. */
static void a_chain_is_linked_as_written(void **state)
{
    (void)state;
    const chain_header h = header();
    const chain_state at[] = {{0, hash_of("state 0"), hash_of("weights 0")},
                              {3, hash_of("state 3"), hash_of("weights 3")}};
    sm_buf want = {0}, got = {0};
    sm_id link, head;
    sm_buf_printf(
        &want,
        "{\"chain\":\"smelt-train-chain/1\",\"commit_steps\":3,\"config\":\"%s\","
        "\"data\":\"0123456789abcdef\",\"n_steps\":7}",
        h.config.hex);
    link = hash_of(want.data);
    sm_buf_putc(&want, '\n');
    for (int i = 0; i < 2; i++)
        put_line(&want, &link, &at[i]);
    assert_int_equal(chain_write(&got, &head, &h, at, 2, NULL), SM_OK);
    assert_string_equal(got.data, want.data);
    assert_string_equal(head.hex, link.hex);
    sm_buf_free(&want);
    sm_buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_hashed_as_written),
        cmocka_unit_test(a_chain_is_linked_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
