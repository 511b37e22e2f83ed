/* Checks mt_order on random graphs against plain reachability: order_driver SEEDS. Prints "ok N" or what was
 * wrong with which seed. With a second argument NODES it orders one chain of that length instead (no
 * recursion, linear time). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sync/order.h"

enum { MOST = 24 };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static int check(unsigned seed)
{
    uint32_t start[MOST + 1], to[MOST * MOST], level[MOST], component[MOST], size[MOST];
    bool reach[MOST][MOST] = {{false}};
    uint32_t n = draw(MOST) + 1, edges = 0, most = draw(4);
    for (uint32_t i = 0; i < n; i++) {
        start[i] = edges;
        for (uint32_t e = draw(most + 1); e > 0; e--) {
            to[edges] = draw(n);
            reach[i][to[edges++]] = true;
        }
    }
    start[n] = edges;
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++)
                reach[i][j] |= reach[i][k] && reach[k][j];
    uint32_t levels = mt_order(&(struct mt_graph){n, start, to}, level, component, size);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t members = 0;
        for (uint32_t j = 0; j < n; j++) {
            bool together = i == j || (reach[i][j] && reach[j][i]);
            members += together;
            if (together != (component[i] == component[j]))
                return printf("seed %u: %u and %u: wrong component\n", seed, i, j), 1;
            if (!together && reach[i][j] && level[i] <= level[j])
                return printf("seed %u: %u depends on %u and does not come after it\n", seed, i, j), 1;
        }
        if (size[component[i]] != members || level[i] >= levels)
            return printf("seed %u: node %u: wrong size or level\n", seed, i), 1;
    }
    return 0;
}

static int chain(uint32_t n)
{
    uint32_t *start = mt_alloc((n + (size_t)1) * sizeof *start), *to = mt_alloc((n + (size_t)1) * sizeof *to);
    uint32_t *level = mt_alloc(n * sizeof *level), *component = mt_alloc(n * sizeof *component),
             *size = mt_alloc(n * sizeof *size);
    for (uint32_t i = 0; i < n; i++) {
        start[i] = i;
        to[i] = i + 1 < n ? i + 1 : 0; /* the last one closes the cycle when n is odd */
    }
    start[n] = n % 2 ? n : n - 1;
    uint32_t levels = mt_order(&(struct mt_graph){n, start, to}, level, component, size);
    printf("ok %u\n", levels);
    free(start);
    free(to);
    free(level);
    free(component);
    free(size);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return chain((uint32_t)strtoul(argv[2], NULL, 10));
    unsigned seeds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    for (unsigned seed = 0; seed < seeds; seed++) {
        state = seed * 7919u + 1;
        if (check(seed))
            return 1;
    }
    printf("ok %u\n", seeds);
    return 0;
}
