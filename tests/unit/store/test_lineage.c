/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lineage: the graph of a small history, and its drawings.  The SVG is checked to be
 * well-formed by a second reader (xmllint when there, else python3) and to keep boxes
 * apart; the DOT by Graphviz when it is there.
 */
#include "testing.h"

#include "graph.h"

/* raw1, raw2 -> docs -> {tok, heldout}; docs, tok -> model; model, heldout, tok -> eval
 */
static void make_history(world *w)
{
    static const struct {
        const char *kind, *step, *ref;
        int n_in, in[3];
    } plan[] = {
        {"source", "data.add", "raw1", 0, {0}},
        {"source", "data.add", "raw2", 0, {0}},
        {"dataset", "data.curate", "docs", 2, {0, 1}},
        {"tokenizer", "tokenizer.train", "tok", 1, {2}},
        {"dataset", "data.split", NULL, 1, {2}},
        {"model", "train.lm", "unix-tiny", 2, {2, 3}},
        {"evaluation", "eval.bpb", "report", 3, {5, 4, 3}},
    };
    sm_id content[7];
    for (int i = 0; i < 7; i++) {
        sm_id in[3];
        sm_artifact a = {0};
        char *staging = NULL, text[24];
        for (int k = 0; k < plan[i].n_in; k++)
            in[k] = content[plan[i].in[k]];
        OK(sm_store_staging(&staging, w->s, "t", &err));
        snprintf(text, sizeof text, "file %d", i);
        put_file(staging, "data", text, strlen(text));
        json_t *options = json_pack("{s:i}", "seed", i);
        json_t *recipe =
            sm_recipe_new(plan[i].step, 1, in, (size_t)plan[i].n_in, options, "bf16/1");
        OK(sm_store_commit(&a, w->s, plan[i].kind, recipe, staging, plan[i].ref, NULL,
                           &err));
        content[i] = a.content;
        sm_artifact_free(&a);
        json_decref(options);
        json_decref(recipe);
        free(staging);
    }
    OK(sm_store_set_ref(w->s, "unix-tiny:stable", &content[5], &err));
}

static void test_graph(void **state)
{
    world *w = *state;
    json_t *g = NULL;
    make_history(w);
    OK(sm_store_lineage(&g, w->s, "report", &err));
    json_t *nodes = json_object_get(g, "nodes"), *edges = json_object_get(g, "edges");
    assert_int_equal(json_array_size(nodes), 7);
    assert_int_equal(json_array_size(edges), 9);
    json_t *last = json_array_get(nodes, 6);
    assert_string_equal(json_string_value(json_object_get(last, "step")), "eval.bpb");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(last, "options"), "seed")), 6);
    json_decref(g);
    OK(sm_store_lineage(&g, w->s, "docs", &err));
    assert_int_equal(json_array_size(json_object_get(g, "nodes")), 3);
    json_decref(g);
    assert_int_equal(sm_store_lineage(&g, w->s, "docz", &err), SM_ENOENT);
}

static void test_missing_input(void **state)
{
    world *w = *state;
    void *other = NULL;
    sm_artifact a = {0};
    json_t *g = NULL;
    sm_buf out = {0};
    make_history(w);
    assert_int_equal(world_setup(&other), 0);
    sm_store *s = ((world *)other)->s;
    OK(sm_store_find(&a, w->s, "docs", &err));
    OK(sm_store_copy(s, w->s, &a, "docs", &err));
    OK(sm_store_lineage(&g, s, "docs", &err));
    assert_int_equal(json_array_size(json_object_get(g, "nodes")), 3);
    OK(sm_lineage_tree(&out, g, &err));
    assert_non_null(strstr(out.data, "missing"));
    sm_buf_free(&out);
    json_decref(g);
    sm_artifact_free(&a);
    world_teardown(&other);
}

static void test_tree(void **state)
{
    world *w = *state;
    json_t *g = NULL;
    sm_buf out = {0};
    make_history(w);
    OK(sm_store_lineage(&g, w->s, "report", &err));
    OK(sm_lineage_tree(&out, g, &err));
    assert_true(strncmp(out.data, "report@v1  evaluation  ", 23) == 0);
    assert_non_null(strstr(out.data, "\n├─ unix-tiny@v1  model  "));
    assert_non_null(strstr(out.data, "\n│  ├─ docs@v1  dataset  "));
    assert_non_null(strstr(out.data, "\n│  │  └─ raw2@v1  source  "));
    assert_non_null(strstr(out.data, "\n└─ tok@v1  tokenizer  "));
    assert_non_null(strstr(out.data, "(above)"));
    sm_buf_free(&out);
    json_decref(g);
}

/* One file "data" of this text, made from `input` (may be NULL) with this seed. */
static void commit_same(sm_artifact *a, sm_store *s, const sm_artifact *input, int seed,
                        const char *text, const char *ref)
{
    char *staging = NULL;
    OK(sm_store_staging(&staging, s, "t", &err));
    put_file(staging, "data", text, strlen(text));
    json_t *options = json_pack("{s:i}", "seed", seed);
    json_t *recipe = sm_recipe_new("data.filter", 1, input ? &input->content : NULL,
                                   input ? 1 : 0, options, NULL);
    OK(sm_store_commit(a, s, "source", recipe, staging, ref, NULL, &err));
    json_decref(options);
    json_decref(recipe);
    free(staging);
}

/* Every drawing of the lineage of `ref` succeeds; its nodes have ids of their own. */
static void expect_drawn(sm_store *s, const char *ref, size_t n_node, size_t n_edge)
{
    json_t *g = NULL, *ids = json_object(), *node;
    sm_buf out = {0};
    size_t i;
    OK(sm_store_lineage(&g, s, ref, &err));
    json_array_foreach(json_object_get(g, "nodes"), i, node) json_object_set_new(
        ids, json_string_value(json_object_get(node, "id")), json_true());
    assert_int_equal(json_array_size(json_object_get(g, "nodes")), n_node);
    assert_int_equal(json_object_size(ids), n_node);
    assert_int_equal(json_array_size(json_object_get(g, "edges")), n_edge);
    OK(sm_lineage_tree(&out, g, &err));
    OK(sm_lineage_svg(&out, g, &err));
    OK(sm_lineage_dot(&out, g, &err));
    sm_buf_free(&out);
    json_decref(ids);
    json_decref(g);
}

/* A step that leaves its input as it was, and one that makes its input's input: the same
 * content, made by several recipes. */
static void test_same_content(void **state)
{
    world *w = *state;
    void *other = NULL;
    sm_artifact docs = {0}, one = {0}, two = {0}, back = {0}, copy = {0};
    commit_same(&docs, w->s, NULL, 0, "all", "docs");
    commit_same(&one, w->s, &docs, 1, "some", "one");
    commit_same(&two, w->s, &one, 2, "some", "two");
    commit_same(&back, w->s, &two, 3, "all", "back");
    assert_string_equal(one.content.hex, two.content.hex);
    expect_drawn(w->s, "one", 2, 1);
    expect_drawn(w->s, "two", 3, 2);
    expect_drawn(w->s, "back", 3, 2);
    /* where the makers are not, each is its own input's only maker */
    assert_int_equal(world_setup(&other), 0);
    sm_store *s = ((world *)other)->s;
    OK(sm_store_find(&copy, w->s, "two", &err));
    OK(sm_store_copy(s, w->s, &copy, "two", &err));
    expect_drawn(s, "two", 2, 1);
    sm_artifact_free(&copy);
    OK(sm_store_find(&copy, w->s, "back", &err));
    OK(sm_store_copy(s, w->s, &copy, "back", &err));
    sm_artifact_free(&copy);
    OK(sm_store_find(&copy, w->s, "one", &err));
    OK(sm_store_copy(s, w->s, &copy, "one", &err));
    expect_drawn(s, "one", 4, 3); /* all <- back <- two <- the content of two */
    sm_artifact_free(&docs);
    sm_artifact_free(&one);
    sm_artifact_free(&two);
    sm_artifact_free(&back);
    sm_artifact_free(&copy);
    world_teardown(&other);
}

static bool has_program(const char *name)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
    return shell(command) == 0;
}

/* Hostile texts must not break out of the drawing. */
static json_t *hostile_graph(void)
{
    static const char text[] = "</title><script>alert(\"1\")</script>&amp;'\\\"\x01 {|}";
    json_t *nodes = json_array();
    for (int i = 0; i < 3; i++) {
        char id[24];
        snprintf(id, sizeof id, "<id&\"%d", i);
        json_array_append_new(nodes,
                              json_pack("{s:s, s:s, s:s, s:[s], s:i}", "id", id, "kind",
                                        text, "step", text, "refs", text, "bytes", 1));
    }
    return json_pack("{s:o, s:[[s,s],[s,s],[s,s]]}", "nodes", nodes, "edges", "<id&\"0",
                     "<id&\"1", "<id&\"1", "<id&\"2", "<id&\"0", "<id&\"2");
}

static void check_xml(const sm_buf *svg)
{
    char path[] = "/tmp/smelt-svg-XXXXXX", command[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, svg->data, svg->len), svg->len);
    close(fd);
    if (has_program("xmllint"))
        snprintf(command, sizeof command, "xmllint --noout %s", path);
    else if (has_program("python3"))
        snprintf(command, sizeof command,
                 "python3 -c 'import sys,xml.dom.minidom as m;m.parse(sys.argv[1])' %s",
                 path);
    else {
        print_message("svg: neither xmllint nor python3: well-formedness not checked\n");
        snprintf(command, sizeof command, "true");
    }
    assert_int_equal(shell(command), 0);
    unlink(path);
}

static void check_dot(const sm_buf *dot)
{
    if (!has_program("dot")) {
        print_message("dot: Graphviz is absent: its reading of the graph not checked\n");
        return;
    }
    FILE *p = popen("dot -Tplain >/dev/null", "w");
    assert_non_null(p);
    fwrite(dot->data, 1, dot->len, p);
    assert_int_equal(pclose(p), 0);
}

static void test_svg_and_dot(void **state)
{
    world *w = *state;
    json_t *g[2] = {NULL, hostile_graph()};
    make_history(w);
    OK(sm_store_lineage(&g[0], w->s, "report", &err));
    for (int i = 0; i < 2; i++) {
        sm_buf svg = {0}, dot = {0};
        OK(sm_lineage_svg(&svg, g[i], &err));
        OK(sm_lineage_dot(&dot, g[i], &err));
        assert_null(strstr(svg.data, "<script"));
        check_xml(&svg);
        check_dot(&dot);
        const char *keep = getenv("SMELT_KEEP_SVG");
        if (keep && i == 0)
            OK(sm_file_write_atomic(keep, svg.data, svg.len, 0644, &err));
        sm_buf_free(&svg);
        sm_buf_free(&dot);
        json_decref(g[i]);
    }
}

static void test_bad_graphs(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"nodes\":[]}",
        "{\"nodes\":[{\"id\":\"a\"}],\"edges\":[[\"a\",\"a\"]]}",
        "{\"nodes\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"edges\":[[\"b\",\"a\"]]}",
        "{\"nodes\":[{\"id\":\"a\"}],\"edges\":[[\"a\",\"zz\"]]}",
        "{\"nodes\":[{\"id\":\"a\"}],\"edges\":[7]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sm_buf out = {0};
        json_t *json = NULL;
        OK(sm_json_parse(&json, bad[i], strlen(bad[i]), "bad", &err));
        assert_int_equal(sm_lineage_svg(&out, json, &err), SM_EINVAL);
        assert_int_equal(sm_lineage_dot(&out, json, &err), SM_EINVAL);
        assert_int_equal(sm_lineage_tree(&out, json, &err), SM_EINVAL);
        json_decref(json);
        sm_buf_free(&out);
    }
}

/* Random layered graphs: every edge goes one layer right, and boxes of a layer are apart.
 */
static void test_layout_invariants(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 40; seed++) {
        graph_node node[30];
        size_t edge[90][2];
        graph g = {.node = node, .edge = edge};
        memset(node, 0, sizeof node);
        g.n_node = 2 + sm_rng_below(28, seed, SM_STREAM_TEST, 0, 0);
        for (size_t i = 0; i + 1 < g.n_node; i++) /* at least one user each */
            for (uint32_t k = 0; k < 3; k++) {
                size_t to =
                    i + 1 +
                    sm_rng_below(g.n_node - i - 1, seed, SM_STREAM_TEST, k, i + 1);
                bool twice = false;
                for (size_t e = 0; e < g.n_edge; e++)
                    twice |= edge[e][0] == i && edge[e][1] == to;
                if (twice)
                    continue;
                edge[g.n_edge][0] = i;
                edge[g.n_edge++][1] = to;
            }
        layout l = {0};
        OK(layout_make(&l, &g, 60, 20, &err));
        for (size_t k = 0; k < l.n_segment; k++)
            assert_int_equal(l.item[l.segment[k][0]].layer + 1,
                             l.item[l.segment[k][1]].layer);
        for (size_t i = 0; i < g.n_node; i++) {
            assert_true(l.item[i].y >= 30 && l.item[i].y + 30 <= l.height);
            for (size_t k = 0; k < i; k++)
                if (l.item[i].layer == l.item[k].layer)
                    assert_true(abs(l.item[i].y - l.item[k].y) >= 80);
        }
        layout_free(&l);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_graph),
        T(test_missing_input),
        T(test_tree),
        T(test_same_content),
        T(test_svg_and_dot),
        T(test_bad_graphs),
        T(test_layout_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
