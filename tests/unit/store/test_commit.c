/* SPDX-License-Identifier: Apache-2.0 */
/* Workspace, commit, names, refs; ids against coreutils' sha256sum. */
#include "testing.h"

#include <sys/stat.h>

#include "internal.h"

/* SHA-256 of bytes by sha256sum, an implementation that is not ours. */
static void sha256sum(char out[65], const void *data, size_t len)
{
    char path[] = "/tmp/smelt-sum-XXXXXX";
    char command[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
    snprintf(command, sizeof command, "sha256sum %s", path);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fread(out, 1, 64, p), 64);
    out[64] = 0;
    pclose(p);
    unlink(path);
}

static void test_init_and_open(void **state)
{
    world *w = *state;
    sm_store *s = NULL;
    struct stat info;
    assert_int_equal(sm_store_init(w->dir, &err), SM_EEXIST);
    char *deep = path_of(w->dir, "a/b/c");
    OK(sm_mkdirs(deep, &err));
    OK(sm_store_open(&s, deep, &err));
    assert_string_equal(sm_store_root(s), w->dir);
    sm_store_close(s);
    free(deep);
    char *key = path_of(w->dir, ".smelt/keys/ed25519.pem");
    assert_int_equal(stat(key, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    free(key);
    assert_int_equal(sm_store_open(&s, "/proc", &err), SM_ENOENT);
    assert_non_null(strstr(err.msg, "smelt init"));
    assert_int_equal(sm_store_init("/nowhere/at/all", &err), SM_ENOENT);
    OK(sm_audit_verify(w->s, NULL, NULL, &err));
}

static void test_layout_is_checked(void **state)
{
    world *w = *state;
    sm_store *s = NULL;
    char *format = path_of(w->dir, ".smelt/format");
    flip(format, 3, 1);
    assert_int_equal(sm_store_open(&s, w->dir, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "format"));
    flip(format, 3, 1);
    free(format);
    char *tmp = path_of(w->dir, ".smelt/tmp");
    struct stat info;
    OK(sm_remove_tree(tmp, &err)); /* nothing is lost with it: made again */
    OK(sm_store_open(&s, w->dir, &err));
    sm_store_close(s);
    assert_int_equal(stat(tmp, &info), 0);
    free(tmp);
    char *audit = path_of(w->dir, ".smelt/audit");
    OK(sm_remove_tree(audit, &err));
    assert_int_equal(sm_store_open(&s, w->dir, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "audit"));
    free(audit);
}

static void test_ids_are_sha256(void **state)
{
    world *w = *state;
    char want[65], manifest[512], list[256], recipe[256];
    sm_artifact a = {0};
    sm_id id;
    OK(commit_text(&a, w->s, "source", "t.one", NULL, "hello\n", "docs"));
    sha256sum(want, "hello\n", 6);
    assert_string_equal(a.file[0].object.hex, want);
    OK(sm_id_of_bytes(&id, "hello\n", 6, &err));
    assert_string_equal(id.hex, want);

    int n = snprintf(list, sizeof list, "[[\"data\",\"%s\"]]", want);
    sha256sum(want, list, (size_t)n);
    assert_string_equal(a.content.hex, want);

    n = snprintf(recipe, sizeof recipe,
                 "{\"inputs\":[],\"options\":{},\"step\":\"t.one\",\"test\":\"hello\\n\","
                 "\"version\":1}");
    sha256sum(want, recipe, (size_t)n);
    assert_string_equal(a.recipe.hex, want);
    OK(sm_recipe_id(&id, a.recipe_json, &err));
    assert_string_equal(id.hex, want);

    /* the manifest is an object whose name can be computed from what is written above */
    n = snprintf(
        manifest, sizeof manifest,
        "{\"content\":\"%s\",\"files\":[[\"data\",\"%s\",6]],\"kind\":\"source\","
        "\"manifest\":\"1\",\"recipe\":\"%s\"}",
        a.content.hex, a.file[0].object.hex, a.recipe.hex);
    sha256sum(want, manifest, (size_t)n);
    char rel[128];
    snprintf(rel, sizeof rel, ".smelt/objects/%.2s/%s", want, want + 2);
    char *path = path_of(w->dir, rel);
    assert_true(sm_path_exists(path));
    free(path);
    sm_artifact_free(&a);
}

/* What an atomic write could not remove is not taken for a result. */
static void test_temporary_is_refused(void **state)
{
    world *w = *state;
    sm_artifact a = {0};
    char *staging = NULL;
    OK(sm_store_staging(&staging, w->s, "temp", &err));
    put_file(staging, "data", "data", 4);
    put_file(staging, "sub/" SM_TEMP_PREFIX "spool-ab12cd", "", 0);
    json_t *recipe = sm_recipe_new("t.temp", 1, NULL, 0, NULL, NULL);
    assert_int_equal(
        sm_store_commit(&a, w->s, "source", recipe, staging, "docs", NULL, &err), SM_EIO);
    assert_non_null(strstr(err.msg, SM_TEMP_PREFIX "spool-ab12cd: got a temporary file"));
    json_decref(recipe);
    free(staging);
    assert_int_equal(sm_store_find(&a, w->s, "docs", NULL), SM_ENOENT);
}

static void test_leaf_table(void **state)
{
    world *w = *state;
    size_t len = (5u << 20) / 2; /* two and a half leaves */
    char *data = malloc(len);
    char want[4][65];
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(sm_rng_u64(7, SM_STREAM_TEST, 0, i / 8) >> (i % 8 * 8));
    char *staging = NULL;
    OK(sm_store_staging(&staging, w->s, "leaf", &err));
    put_file(staging, "sub/big", data, len);
    put_file(staging, "empty", "", 0);
    put_file(staging, "mib", data, 1u << 20);
    sm_artifact a = {0};
    json_t *recipe = sm_recipe_new("t.leaf", 1, NULL, 0, NULL, "f32/1");
    OK(sm_store_commit(&a, w->s, "source", recipe, staging, NULL, NULL, &err));
    json_decref(recipe);
    assert_false(sm_path_exists(staging));
    free(staging);
    assert_int_equal(a.n_file, 3);
    assert_string_equal(a.file[0].path, "empty");
    assert_string_equal(a.file[2].path, "sub/big");
    assert_int_equal(a.file[2].bytes, len);

    sha256sum(want[3], data, len);
    assert_string_equal(a.file[2].object.hex, want[3]);
    for (size_t i = 0; i < 3; i++) {
        size_t n = i < 2 ? 1u << 20 : len - (2u << 20);
        sha256sum(want[i], data + (i << 20), n);
    }
    char *path = NULL, *table = NULL;
    sm_buf leaf = {0};
    struct stat info;
    OK(sm_store_path(&path, w->s, &a, "sub/big", &err));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0444);
    sm_buf_printf(&leaf, "%s.leaf", path);
    OK(sm_file_read(&table, NULL, leaf.data, 0, &err));
    sm_buf text = {0};
    sm_buf_printf(&text, "%s\n%s\n%s\n", want[0], want[1], want[2]);
    assert_string_equal(table, text.data);
    free(table);
    free(path);
    /* one full leaf: its hash is the object's; an empty object has the leaf of nothing */
    OK(sm_store_path(&path, w->s, &a, "mib", &err));
    sm_buf_clear(&leaf);
    sm_buf_printf(&leaf, "%s.leaf", path);
    OK(sm_file_read(&table, NULL, leaf.data, 0, &err));
    assert_int_equal(strlen(table), 65);
    assert_memory_equal(table, a.file[1].object.hex, 64);
    free(table);
    free(path);
    assert_string_equal(
        a.file[0].object.hex,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sm_buf_free(&leaf);
    sm_buf_free(&text);
    sm_artifact_free(&a);
    free(data);
}

static void expect_find(world *w, const char *ref, const sm_artifact *want)
{
    sm_artifact a = {0};
    OK(sm_store_find(&a, w->s, ref, &err));
    assert_string_equal(a.content.hex, want->content.hex);
    assert_string_equal(a.kind, want->kind);
    assert_true(json_equal(a.recipe_json, want->recipe_json));
    sm_artifact_free(&a);
}

/* An id means itself: no ref can take its name, and one that an older log holds is not
 * looked at.  A shorter name of hex digits is a name like any other. */
static void test_ref_like_an_id(void **state)
{
    world *w = *state;
    sm_artifact one = {0}, two = {0}, found = {0};
    char name[160];
    OK(commit_text(&one, w->s, "source", "t", NULL, "one", "docs"));
    assert_int_equal(commit_text(&two, w->s, "source", "t", NULL, "two", one.content.hex),
                     SM_EINVAL);
    assert_non_null(strstr(err.msg, "64 hex digits"));
    OK(commit_text(&two, w->s, "source", "t", NULL, "two", "other"));
    assert_int_equal(sm_store_set_ref(w->s, one.content.hex, &two.content, &err),
                     SM_EINVAL);
    snprintf(name, sizeof name, "%s:tag", one.content.hex);
    assert_int_equal(sm_store_set_ref(w->s, name, &two.content, &err), SM_EINVAL);
    json_t *detail = json_pack(
        "{s:s, s:i, s:s, s:s}", "name", one.content.hex, "version", 1, "manifest",
        "0000000000000000000000000000000000000000000000000000000000000000", "content",
        two.content.hex);
    OK(change_begin(w->s, &err));
    OK(change_end(w->s, change_log(w->s, "ref.set", detail, &err), &err));
    json_decref(detail);
    expect_find(w, one.content.hex, &one);
    snprintf(name, sizeof name, "%s@v1", one.content.hex);
    assert_int_equal(sm_store_find(&found, w->s, name, &err), SM_ENOENT);
    memset(name, 'a', 64);
    name[64] = 0;
    assert_int_equal(sm_store_find(&found, w->s, name, &err), SM_ENOENT);
    assert_non_null(strstr(err.msg, "no such content id"));
    snprintf(name, sizeof name, "%.12s", one.content.hex);
    OK(sm_store_set_ref(w->s, name, &two.content, &err));
    expect_find(w, name, &two);
    sm_artifact_free(&one);
    sm_artifact_free(&two);
}

static void test_refs(void **state)
{
    world *w = *state;
    sm_artifact one = {0}, two = {0}, again = {0}, found = {0};
    OK(commit_text(&one, w->s, "source", "t.one", NULL, "one", "docs"));
    OK(commit_text(&two, w->s, "source", "t.one", NULL, "two", "docs"));
    expect_find(w, "docs@v1", &one);
    expect_find(w, "docs@v2", &two);
    expect_find(w, "docs", &two);
    OK(sm_store_set_ref(w->s, "docs:stable", &one.content, &err));
    expect_find(w, "docs:stable", &one);
    OK(sm_store_set_ref(w->s, "docs:stable", &two.content, &err));
    expect_find(w, "docs:stable", &two);
    OK(sm_store_set_ref(w->s, "docs", &one.content, &err));
    expect_find(w, "docs@v3", &one);
    expect_find(w, one.content.hex, &one);
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%.8s", two.content.hex);
    expect_find(w, prefix, &two);
    /* the same result again: no new version */
    OK(commit_text(&again, w->s, "source", "t.one", NULL, "one", "docs"));
    assert_int_equal(sm_store_find(&found, w->s, "docs@v4", &err), SM_ENOENT);
    OK(sm_store_find_recipe(&found, w->s, &two.recipe, &err));
    assert_string_equal(found.content.hex, two.content.hex);
    sm_artifact_free(&found);
    reopen(w);
    expect_find(w, "docs@v3", &one);
    sm_artifact_free(&one);
    sm_artifact_free(&two);
    sm_artifact_free(&again);
}

static void test_refused_names(void **state)
{
    world *w = *state;
    sm_artifact a = {0}, b = {0};
    OK(commit_text(&a, w->s, "source", "t.one", NULL, "one", "unix-manual"));
    assert_int_equal(sm_store_find(&b, w->s, "unix-manuel", &err), SM_ENOENT);
    assert_non_null(strstr(err.msg, "unix-manual"));
    assert_int_equal(sm_store_find(&b, w->s, "unix-manual@v7", &err), SM_ENOENT);
    assert_non_null(strstr(err.msg, "unix-manual@v1"));
    assert_int_equal(sm_store_find(&b, w->s, "quite/other", &err), SM_ENOENT);
    assert_int_equal(sm_store_find(&b, w->s, "", &err), SM_ENOENT);
    assert_int_equal(sm_store_find(&b, w->s, "0123456789", &err), SM_ENOENT);
    static const char *const bad[] = {"a@v1", "-a",  "a b",      "a:",   ":t", "a:b:c",
                                      "a@v0", "a@1", "\xc3\xa9", "../a", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sm_store_set_ref(w->s, bad[i], &a.content, &err), SM_EINVAL);
    sm_id none;
    assert_true(sm_id_parse(&none, "e3b0c44298fc1c149afbf4c8996fb924"
                                   "27ae41e4649b934ca495991b7852b855"));
    assert_false(sm_id_parse(&none, "E3b0c44298fc1c149afbf4c8996fb924"
                                    "27ae41e4649b934ca495991b7852b855"));
    assert_int_equal(sm_store_set_ref(w->s, "x", &none, &err), SM_ENOENT);
    assert_int_equal(commit_text(&b, w->s, "Bad Kind", "t", NULL, "x", NULL), SM_EINVAL);
    char *path = NULL;
    assert_int_equal(sm_store_path(&path, w->s, &a, "other", &err), SM_ENOENT);
    sm_artifact_free(&a);
}

/* A file with a second name is copied, unless nobody may write it. */
static void test_linked_files(void **state)
{
    world *w = *state;
    for (int writable = 0; writable < 2; writable++) {
        sm_artifact a = {0};
        struct stat other, object;
        char *staging = NULL, *stored = NULL, *kept = path_of(w->dir, "kept");
        json_t *recipe = json_pack("{s:s, s:i}", "step", "link", "writable", writable);
        OK(sm_store_staging(&staging, w->s, "link", &err));
        put_file(w->dir, "kept", writable ? "writable" : "fixed", 5);
        assert_int_equal(chmod(kept, writable ? 0644 : 0444), 0);
        char *name = path_of(staging, "f");
        assert_int_equal(link(kept, name), 0);
        OK(sm_store_commit(&a, w->s, "source", recipe, staging, NULL, NULL, &err));
        OK(sm_store_path(&stored, w->s, &a, "f", &err));
        assert_int_equal(stat(kept, &other), 0);
        assert_int_equal(stat(stored, &object), 0);
        assert_int_equal(other.st_ino == object.st_ino, !writable);
        assert_int_equal(object.st_mode & 0222, 0);
        assert_int_equal(unlink(kept), 0);
        free(staging);
        free(stored);
        free(kept);
        free(name);
        sm_artifact_free(&a);
        json_decref(recipe);
    }
}

static void test_bad_staging(void **state)
{
    world *w = *state;
    sm_artifact a = {0};
    char *staging = NULL;
    json_t *recipe = sm_recipe_new("t", 1, NULL, 0, NULL, NULL);
    OK(sm_store_staging(&staging, w->s, "empty", &err));
    assert_int_equal(
        sm_store_commit(&a, w->s, "source", recipe, staging, NULL, NULL, &err),
        SM_EINVAL);
    put_file(staging,
             "bad\xff"
             "name",
             "x", 1);
    assert_int_equal(
        sm_store_commit(&a, w->s, "source", recipe, staging, NULL, NULL, &err),
        SM_EINVAL);
    json_t *list = json_array();
    assert_int_equal(sm_store_commit(&a, w->s, "source", list, staging, NULL, NULL, &err),
                     SM_EINVAL);
    assert_int_equal(sm_store_staging(&staging, w->s, "a/b", &err), SM_EINVAL);
    json_decref(list);
    json_decref(recipe);
    free(staging);
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
}

static void test_copy(void **state)
{
    world *w = *state;
    world *other = NULL;
    void *other_state = NULL;
    sm_artifact a = {0}, b = {0};
    assert_int_equal(world_setup(&other_state), 0);
    other = other_state;
    OK(commit_text(&a, w->s, "source", "t.one", NULL, "carried", "docs"));
    OK(sm_store_copy(other->s, w->s, &a, "docs", &err));
    OK(sm_store_copy(other->s, w->s, &a, NULL, &err));
    OK(sm_store_find(&b, other->s, "docs@v1", &err));
    assert_string_equal(a.content.hex, b.content.hex);
    assert_string_equal(a.recipe.hex, b.recipe.hex);
    sm_artifact_free(&b);
    OK(sm_store_verify(other->s, NULL, NULL, NULL, NULL, &err));
    /* damage does not travel */
    char *path = NULL;
    OK(sm_store_path(&path, w->s, &a, "data", &err));
    flip(path, 0, 4);
    free(path);
    void *third_state = NULL;
    assert_int_equal(world_setup(&third_state), 0);
    assert_int_equal(sm_store_copy(((world *)third_state)->s, w->s, &a, "docs", &err),
                     SM_ECORRUPT);
    world_teardown(&third_state);
    world_teardown(&other_state);
    sm_artifact_free(&a);
}

static void test_list_and_metrics(void **state)
{
    world *w = *state;
    sm_artifact a = {0}, b = {0};
    json_t *all = NULL, *m = NULL;
    OK(commit_text(&a, w->s, "source", "t.one", NULL, "one", "docs"));
    OK(commit_text(&b, w->s, "model", "t.train", &a, "weights", "unix"));
    OK(sm_store_set_ref(w->s, "unix:stable", &b.content, &err));
    for (int i = 0; i < 5; i++) {
        OK(sm_store_metric(w->s, "t.train", "loss", 10 * i, 5.0 - i, &err));
        OK(sm_store_metric(w->s, "t.train", "tok_s", 10 * i, 100.0, &err));
    }
    OK(sm_store_metric(w->s, "t.train", "loss", 40, 0.25, &err)); /* replaces */
    double zero = 0;
    assert_int_equal(sm_store_metric(w->s, "r", "loss", 1, zero / zero, &err),
                     SM_ENUMERIC);
    OK(sm_store_metrics_read(&m, w->s, "t.train", NULL, &err));
    assert_int_equal(json_object_size(m), 2);
    json_t *loss = json_object_get(m, "loss");
    assert_int_equal(json_array_size(loss), 5);
    assert_true(json_real_value(json_array_get(json_array_get(loss, 4), 1)) == 0.25);
    json_decref(m);
    OK(sm_store_metrics_read(&m, w->s, "t.train", "tok_s", &err));
    assert_int_equal(json_object_size(m), 1);
    json_decref(m);
    OK(sm_store_metrics_read(&m, w->s, "unknown", NULL, &err));
    assert_int_equal(json_object_size(m), 0);
    json_decref(m);

    OK(sm_store_metric(w->s, "under.way", "loss", 1, 9, &err));
    OK(sm_store_list(&all, w->s, &err));
    json_t *unfinished = json_object_get(all, "unfinished");
    assert_int_equal(json_array_size(unfinished), 1);
    assert_string_equal(json_string_value(json_array_get(unfinished, 0)), "under.way");
    json_t *artifacts = json_object_get(all, "artifacts");
    assert_int_equal(json_array_size(artifacts), 2);
    json_t *model = json_array_get(artifacts, 0);
    assert_string_equal(json_string_value(json_object_get(model, "step")), "t.train");
    assert_int_equal(json_array_size(json_object_get(model, "refs")), 2);
    assert_int_equal(json_array_size(json_object_get(all, "refs")), 3);
    json_t *run = json_array_get(json_object_get(all, "runs"), 0);
    assert_string_equal(json_string_value(json_object_get(run, "id")), "t.train");
    assert_int_equal(json_array_size(json_object_get(run, "metrics")), 2);
    json_decref(all);
    sm_artifact_free(&a);
    sm_artifact_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_init_and_open),  T(test_layout_is_checked),
        T(test_ids_are_sha256), T(test_leaf_table),
        T(test_refs),           T(test_refused_names),
        T(test_ref_like_an_id), T(test_linked_files),
        T(test_bad_staging),    T(test_temporary_is_refused),
        T(test_copy),           T(test_list_and_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
