/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layered drawing (Sugiyama, Tagawa and Toda 1981), made for graphs of some hundred
 * nodes:
 *   1. layer = longest path from a source, then as near to its users as possible;
 *   2. an edge over several layers gets a bend in each layer between;
 *   3. sweeps order each layer by the mean rank of its neighbours;
 *   4. sweeps move boxes towards the mean height of their neighbours, keeping the order.
 * Whole numbers only, so the picture is the same everywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define SWEEPS 6
#define MAX_ITEMS 4000 /* boxes and bends: about a second of work */

void layout_free(layout *l)
{
    free(l->item);
    free(l->segment);
    *l = (layout){0};
}

/* Towards the users: in reverse order, so that they have their layer already. */
static void pull_right(layout *l, const graph *g)
{
    for (size_t i = g->n_node; i-- > 0;) {
        size_t least = SIZE_MAX;
        for (size_t e = 0; e < g->n_edge; e++)
            if (g->edge[e][0] == i && l->item[g->edge[e][1]].layer < least)
                least = l->item[g->edge[e][1]].layer;
        if (least != SIZE_MAX)
            l->item[i].layer = least - 1;
    }
}

/* Nodes come inputs first, so one pass in order suffices.  Returns the number of bends.
 */
static size_t assign_layers(layout *l, const graph *g)
{
    size_t n_bend = 0;
    for (size_t i = 0; i < g->n_node; i++)
        l->item[i] = (layout_item){.node = i};
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t e = 0; e < g->n_edge; e++)
            if (g->edge[e][1] == i && l->item[i].layer <= l->item[g->edge[e][0]].layer)
                l->item[i].layer = l->item[g->edge[e][0]].layer + 1;
    pull_right(l, g);
    for (size_t i = 0; i < g->n_node; i++)
        if (l->n_layer <= l->item[i].layer)
            l->n_layer = l->item[i].layer + 1;
    for (size_t e = 0; e < g->n_edge; e++)
        n_bend += l->item[g->edge[e][1]].layer - l->item[g->edge[e][0]].layer - 1;
    return n_bend;
}

static void add_segments(layout *l, const graph *g)
{
    for (size_t e = 0; e < g->n_edge; e++) {
        size_t at = g->edge[e][0], to = g->edge[e][1];
        while (l->item[at].layer + 1 < l->item[to].layer) {
            size_t bend = l->n_item++;
            l->item[bend] =
                (layout_item){.node = SIZE_MAX, .layer = l->item[at].layer + 1};
            l->segment[l->n_segment][0] = at;
            l->segment[l->n_segment++][1] = bend;
            at = bend;
        }
        l->segment[l->n_segment][0] = at;
        l->segment[l->n_segment++][1] = to;
    }
}

/* Mean over neighbours on one side, times 64; -1 when there are none. */
static int64_t neighbour_mean(const layout *l, size_t i, int side, bool of_y)
{
    int64_t sum = 0, n = 0;
    for (size_t k = 0; k < l->n_segment; k++) {
        if (l->segment[k][1 - side] != i)
            continue;
        const layout_item *other = &l->item[l->segment[k][side]];
        sum += of_y ? other->y : (int64_t)other->rank;
        n++;
    }
    return n ? 64 * sum / n : -1;
}

/* Indices of a layer's items by rank. */
static size_t layer_items(size_t *out, const layout *l, size_t layer)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_item; i++) {
        if (l->item[i].layer != layer)
            continue;
        size_t at = n++;
        for (; at > 0 && l->item[out[at - 1]].rank > l->item[i].rank; at--)
            out[at] = out[at - 1];
        out[at] = i;
    }
    return n;
}

static void order_layer(layout *l, size_t layer, int side, size_t *items, int64_t *key)
{
    size_t n = layer_items(items, l, layer);
    for (size_t i = 0; i < n; i++) {
        key[items[i]] = neighbour_mean(l, items[i], side, false);
        if (key[items[i]] < 0)
            key[items[i]] = 64 * (int64_t)l->item[items[i]].rank;
    }
    for (size_t i = 1; i < n; i++) { /* stable insertion sort */
        size_t x = items[i], at = i;
        for (; at > 0 && key[items[at - 1]] > key[x]; at--)
            items[at] = items[at - 1];
        items[at] = x;
    }
    for (size_t i = 0; i < n; i++)
        l->item[items[i]].rank = i;
}

static int half_height(const layout *l, size_t i, int box)
{
    return l->item[i].node == SIZE_MAX ? box / 8 : box / 2;
}

/* Move towards the neighbours, keeping order and distance; then undo the mean shift that
 * pushing downwards made. */
static void place_layer(layout *l, size_t layer, int side, int box, int gap,
                        size_t *items)
{
    size_t n = layer_items(items, l, layer);
    int64_t shift = 0;
    for (size_t i = 0; i < n; i++) {
        layout_item *it = &l->item[items[i]];
        int64_t mean = neighbour_mean(l, items[i], side, true);
        int64_t want = mean < 0 ? it->y : mean / 64;
        int64_t y = want;
        if (i > 0) {
            int64_t least = l->item[items[i - 1]].y + half_height(l, items[i - 1], box) +
                            gap + half_height(l, items[i], box);
            y = y < least ? least : y;
        }
        shift += y - want;
        it->y = (int)y;
    }
    for (size_t i = 0; i < n; i++)
        l->item[items[i]].y -= (int)(shift / (int64_t)n);
}

static void first_places(layout *l, int box, int gap, size_t *items)
{
    for (size_t layer = 0; layer < l->n_layer; layer++) {
        size_t n = layer_items(items, l, layer);
        for (size_t i = 0; i < n; i++)
            l->item[items[i]].y =
                (int)i * (box + gap) - (int)n * (box + gap) / 2 + 100000;
    }
}

static void sweep(layout *l, int box, int gap, size_t *items, int64_t *key)
{
    for (int k = 0; k < SWEEPS; k++) {
        for (size_t layer = 1; layer < l->n_layer; layer++)
            order_layer(l, layer, 0, items, key);
        for (size_t layer = l->n_layer - 1; layer-- > 0;)
            order_layer(l, layer, 1, items, key);
    }
    first_places(l, box, gap, items);
    for (int k = 0; k < SWEEPS; k++) {
        for (size_t layer = 1; layer < l->n_layer; layer++)
            place_layer(l, layer, 0, box, gap, items);
        for (size_t layer = l->n_layer - 1; layer-- > 0;)
            place_layer(l, layer, 1, box, gap, items);
    }
}

static void normalise(layout *l, int box)
{
    int low = l->item[0].y, high = low;
    for (size_t i = 0; i < l->n_item; i++) {
        low = l->item[i].y < low ? l->item[i].y : low;
        high = l->item[i].y > high ? l->item[i].y : high;
    }
    for (size_t i = 0; i < l->n_item; i++)
        l->item[i].y += box / 2 - low;
    l->height = high - low + box;
}

sm_status layout_make(layout *out, const graph *g, int box_px, int gap_px, sm_err *err)
{
    layout l = {.item = sm_alloc(g->n_node, sizeof *l.item)};
    size_t *items = NULL;
    int64_t *key = NULL;
    sm_status st = SM_OK;
    if (!l.item)
        return store_nomem(err);
    size_t n_bend = assign_layers(&l, g);
    size_t n = g->n_node + n_bend;
    if (n > MAX_ITEMS) {
        layout_free(&l);
        return sm_fail(
            err, SM_EUNSUPPORTED,
            "lineage: got %zu boxes and bends, can draw at most %d; use the tree", n,
            MAX_ITEMS);
    }
    layout_item *more = sm_realloc(l.item, n, sizeof *l.item);
    if (more)
        l.item = more;
    l.segment = sm_alloc(g->n_edge + n_bend + 1, sizeof *l.segment);
    items = sm_alloc(n, sizeof *items);
    key = sm_alloc(n, sizeof *key);
    if (!more || !l.segment || !items || !key) {
        st = store_nomem(err);
        goto done;
    }
    l.n_item = g->n_node;
    add_segments(&l, g);
    for (size_t i = 0; i < l.n_item; i++)
        l.item[i].rank = i;
    sweep(&l, box_px, gap_px, items, key);
    normalise(&l, box_px);
    *out = l;
    l = (layout){0};
done:
    free(items);
    free(key);
    layout_free(&l);
    return st;
}
