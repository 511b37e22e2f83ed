/* Strongly connected components without recursion: see order.h. */
#include "sync/order.h"

#include <stdlib.h>

#include "base/memory.h"

#define UNSEEN UINT32_MAX

struct frame {
    uint32_t node, edge;
};

struct tarjan {
    const struct mt_graph *g;
    uint32_t *index, *low, *stack, *level, *component, *size;
    struct frame *frames;
    uint32_t next_index, stacked, depth, components, levels;
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void enter(struct tarjan *t, uint32_t node)
{
    t->index[node] = t->low[node] = t->next_index++;
    t->stack[t->stacked++] = node;
    t->frames[t->depth++] = (struct frame){node, t->g->start[node]};
}

/* Node is the root of a component: all above it on the stack. Its dependencies outside have their level
 * already. */
static void close_component(struct tarjan *t, uint32_t root)
{
    uint32_t from = t->stacked, level = 0;
    do
        t->component[t->stack[--from]] = t->components;
    while (t->stack[from] != root);
    for (uint32_t i = from; i < t->stacked; i++) {
        uint32_t node = t->stack[i];
        for (uint32_t e = t->g->start[node]; e < t->g->start[node + 1]; e++) {
            uint32_t to = t->g->to[e];
            if (t->component[to] != t->components && t->level[to] + 1 > level)
                level = t->level[to] + 1;
        }
    }
    for (uint32_t i = from; i < t->stacked; i++)
        t->level[t->stack[i]] = level;
    t->size[t->components++] = t->stacked - from;
    t->stacked = from;
    if (level + 1 > t->levels)
        t->levels = level + 1;
}

static void visit(struct tarjan *t, uint32_t root)
{
    enter(t, root);
    while (t->depth) {
        struct frame *f = &t->frames[t->depth - 1];
        uint32_t node = f->node;
        if (f->edge < t->g->start[node + 1]) {
            uint32_t to = t->g->to[f->edge++];
            if (t->index[to] == UNSEEN)
                enter(t, to);
            else if (t->component[to] == UNSEEN)
                t->low[node] = least(t->low[node], t->index[to]);
            continue;
        }
        if (t->low[node] == t->index[node])
            close_component(t, node);
        t->depth--;
        if (t->depth) {
            uint32_t parent = t->frames[t->depth - 1].node;
            t->low[parent] = least(t->low[parent], t->low[node]);
        }
    }
}

uint32_t mt_order(const struct mt_graph *g, uint32_t *level, uint32_t *component, uint32_t *size)
{
    size_t n = g->nodes;
    struct tarjan t = {.g = g, .level = level, .component = component, .size = size};
    t.index = mt_alloc(n * sizeof *t.index);
    t.low = mt_alloc(n * sizeof *t.low);
    t.stack = mt_alloc(n * sizeof *t.stack);
    t.frames = mt_alloc(n * sizeof *t.frames);
    for (size_t i = 0; i < n; i++)
        t.index[i] = component[i] = UNSEEN;
    for (uint32_t i = 0; i < g->nodes; i++)
        if (t.index[i] == UNSEEN)
            visit(&t, i);
    free(t.index);
    free(t.low);
    free(t.stack);
    free(t.frames);
    return t.levels;
}
