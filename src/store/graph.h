/* SPDX-License-Identifier: Apache-2.0 */
/* A lineage graph as numbers: read from JSON (graph.c), laid out in layers (layout.c). */
#ifndef SMELT_STORE_GRAPH_H
#define SMELT_STORE_GRAPH_H

#include "internal.h"

typedef struct graph_node {
    const json_t *json;                 /* borrowed */
    const char *id, *kind, *step, *ref; /* "" when absent */
    const char *shown;                  /* the content id; id when absent */
    int64_t bytes;
} graph_node;

typedef struct graph {
    graph_node *node;
    size_t n_node;
    size_t (*edge)[2]; /* from (input), to; each pair once */
    size_t n_edge;
} graph;

/* SM_EINVAL names what is wrong with the JSON. `json` must outlive the graph. */
sm_status graph_read(graph *out, const json_t *json, sm_err *err);
void graph_free(graph *g);
/* "13 B", "4.2 MB" */
void graph_size(char out[32], int64_t bytes);

/* Where boxes and the bends of long edges go; left to right, in pixels. */
typedef struct layout_item {
    size_t node; /* SIZE_MAX for a bend */
    size_t layer;
    int y;       /* of the centre */
    size_t rank; /* place in its layer */
} layout_item;

typedef struct layout {
    layout_item *item;
    size_t n_item;
    size_t (*segment)[2]; /* items in neighbouring layers */
    size_t n_segment;
    size_t n_layer;
    int height;
} layout;

/* box_px, gap_px: height of a box, and of the space between two. */
sm_status layout_make(layout *out, const graph *g, int box_px, int gap_px, sm_err *err);
void layout_free(layout *l);

#endif
