/* SPDX-License-Identifier: Apache-2.0 */
/* Leaf tables of bytes that come in any pieces, manifests with paths that lead elsewhere,
 * and how many findings a damage is. */
#include "object.h"
#include "testing.h"

static char *leaf_table(sm_id *id, const unsigned char *data, size_t len, size_t piece)
{
    leaf_hash h;
    OK(leaf_open(&h, &err));
    for (size_t at = 0; at < len; at += piece)
        assert_true(leaf_put(&h, data + at, len - at < piece ? len - at : piece));
    assert_true(leaf_close(&h, id));
    assert_int_equal(h.bytes, len);
    char *table = sm_strndup(h.table.data, h.table.len);
    leaf_free(&h);
    return table;
}

/* Ids and leaves are of bytes, however they were handed over. */
static void test_leaves_in_pieces(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    static const size_t piece[] = {MIB - 1, MIB + 1, 700001, 3 * MIB, 4099};
    size_t len = 3 * MIB + 12345;
    unsigned char *data = malloc(len);
    sm_id want, got;
    for (size_t i = 0; i < len; i++)
        data[i] = (unsigned char)(i * 7 + (i >> 13));
    char *table = leaf_table(&want, data, len, MIB);
    assert_int_equal(strlen(table), 4 * 65);
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        char *other = leaf_table(&got, data, len, piece[i]);
        assert_string_equal(other, table);
        assert_string_equal(got.hex, want.hex);
        free(other);
    }
    for (size_t i = 0; i < 4; i++) { /* a leaf is the id of its bytes */
        sm_id id;
        size_t n = len - i * MIB < MIB ? len - i * MIB : MIB;
        free(leaf_table(&id, data + i * MIB, n, MIB));
        assert_memory_equal(table + 65 * i, id.hex, 64);
    }
    free(table);
    free(data);
}

/* A path of an artifact stays below it, and its files are in order. */
static void test_paths_of_a_manifest(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "/",      "/a",  "..",   ".",  "a/..",
                                      "a/.", "a/../b", "./a", "a//b", "a/", "../a"};
    static const char *const good[] = {"a", "a/b", "..a", "a..", "a/.b", "a/b.c/d"};
    char id[65], text[600];
    memset(id, 'a', 64);
    id[64] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad + sizeof good / sizeof *good; i++) {
        size_t n_bad = sizeof bad / sizeof *bad;
        const char *path = i < n_bad ? bad[i] : good[i - n_bad];
        sm_artifact a = {0};
        snprintf(text, sizeof text,
                 "{\"manifest\":\"1\",\"kind\":\"source\",\"content\":\"%s\","
                 "\"recipe\":\"%s\",\"files\":[[\"%s\",\"%s\",3]]}",
                 id, id, path, id);
        sm_status s = manifest_parse(&a, text, NULL, &err);
        /* a good one goes on to the comparison of its content id */
        bool named = strstr(err.msg, "want [path, id, bytes]") != NULL;
        if (s != SM_OK && named != (i < n_bad))
            fail_msg("path \"%s\": %s", path, err.msg);
        assert_true(i >= n_bad || s == SM_ECORRUPT);
        sm_artifact_free(&a);
        err = (sm_err){0};
    }
}

/* One line for an object that is not there; eight for leaves and one for how many more. */
static void test_number_of_findings(void **state)
{
    world *w = *state;
    enum { LEAVES = 11, MIB = 1 << 20 };
    char *staging = NULL, *path = NULL, *big = sm_alloc(LEAVES, MIB);
    sm_artifact a = {0};
    findings f = {0};
    for (int i = 0; i < LEAVES; i++)
        big[i * MIB] = (char)(i + 1);
    OK(sm_store_staging(&staging, w->s, "t", &err));
    put_file(staging, "big", big, (size_t)LEAVES * MIB);
    json_t *recipe = sm_recipe_new("t", 1, NULL, 0, NULL, NULL);
    OK(sm_store_commit(&a, w->s, "source", recipe, staging, NULL, NULL, &err));
    OK(sm_store_path(&path, w->s, &a, "big", &err));
    for (int i = 0; i < LEAVES; i++)
        flip(path, (long)i * MIB + 5, 1);
    assert_int_equal(sm_store_verify(w->s, NULL, find_line, &f, NULL, &err), SM_ECORRUPT);
    assert_int_equal(f.n, 9);
    assert_non_null(strstr(f.text.data, "leaf 7 (bytes"));
    assert_null(strstr(f.text.data, "leaf 8 (bytes"));
    assert_non_null(strstr(f.text.data, "3 more leaves do not match"));
    sm_buf_clear(&f.text);
    f.n = 0;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sm_store_verify(w->s, NULL, find_line, &f, NULL, &err), SM_ECORRUPT);
    assert_int_equal(f.n, 1);
    assert_non_null(strstr(f.text.data, "is missing"));
    sm_buf_free(&f.text);
    sm_artifact_free(&a);
    json_decref(recipe);
    free(staging);
    free(path);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves_in_pieces),
        cmocka_unit_test(test_paths_of_a_manifest),
        cmocka_unit_test_setup_teardown(test_number_of_findings, world_setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
