/* An order for nodes that depend on each other, in linear time: strongly connected components, dependencies
 * first (Tarjan 1972). */
#ifndef MT_SYNC_ORDER_H
#define MT_SYNC_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* Edges of node i are to[start[i]] … to[start[i + 1] - 1]: what i depends on. */
struct mt_graph {
    uint32_t nodes;
    const uint32_t *start;
    const uint32_t *to;
};

/* Fills level[i]: nodes of a level depend on lower levels only, or on their own component. component[i]
 * numbers the components (a node alone in its component, without an edge to itself, is in no cycle:
 * size[component] is 1). Returns the number of levels. The arrays have graph->nodes elements. */
uint32_t mt_order(const struct mt_graph *graph, uint32_t *level, uint32_t *component, uint32_t *size);

#endif
