/* The machine's stacks: growing, forks, and the collection's roots. On the machine's thread. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/machine_state.h"

enum { FIRST = 64 };

/* Grows to at least need; all stacks together have a quarter of the memory's limit. */
static bool grow(struct mt_machine *m, void **v, uint32_t *cap, size_t size, uint32_t need)
{
    uint32_t next = *cap ? *cap : FIRST;
    while (next <= need)
        next *= 2;
    size_t more = (next - *cap) * size;
    void *p = m->bytes + more > m->limits.memory / 4 ? NULL : mt_try_alloc(next * size);
    if (!p) {
        m->heap.fault = MT_FAULT_MEMORY;
        m->heap.error = MT_NONE;
        m->deep = true;
        return false;
    }
    if (*cap)
        memcpy(p, *v, *cap * size);
    free(*v);
    *v = p;
    *cap = next;
    m->bytes += more;
    return true;
}

bool grow_stack(struct mt_machine *m)
{
    return grow(m, (void **)&m->stack, &m->stack_cap, sizeof *m->stack, m->stack_cap);
}

bool grow_units(struct mt_machine *m, uint32_t need)
{
    return need < m->units_cap || grow(m, (void **)&m->units, &m->units_cap, sizeof *m->units, need);
}

bool grow_paths(struct mt_machine *m)
{
    return grow(m, (void **)&m->paths, &m->paths_cap, sizeof *m->paths, m->paths_cap);
}

void free_stacks(struct mt_machine *m)
{
    free(m->stack);
    free(m->units);
    free(m->paths);
    free(m->forks);
    m->stack = NULL;
    m->units = NULL;
    m->paths = NULL;
    m->forks = NULL;
    m->stack_cap = m->units_cap = m->paths_cap = m->forks_cap = 0;
    m->bytes = 0;
}

struct fork *push_fork(struct mt_machine *m, enum fork_kind kind, uint32_t at)
{
    if (m->fork_count == m->forks_cap &&
        !grow(m, (void **)&m->forks, &m->forks_cap, sizeof *m->forks, m->forks_cap))
        return NULL;
    struct fork *f = &m->forks[m->fork_count++];
    f->kind = (uint8_t)kind;
    f->at = at;
    f->aux = 0;
    f->top = m->top;
    f->limit = m->limit;
    f->frame = m->frame;
    f->frame_limit = m->frame_limit;
    f->path = m->path;
    f->path_limit = m->path_limit;
    if (m->top > m->limit)
        m->limit = m->top;
    uint32_t end = frame_end(m);
    if (end > m->frame_limit)
        m->frame_limit = end;
    if (m->path > m->path_limit)
        m->path_limit = m->path;
    return f;
}

void drop_forks(struct mt_machine *m, uint32_t count)
{
    if (m->fork_count <= count)
        return;
    const struct fork *f = &m->forks[count];
    m->limit = f->limit;
    m->frame_limit = f->frame_limit;
    m->path_limit = f->path_limit;
    m->fork_count = count;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Everything up to the highest point has been written since it was last above it, so all of it may be
 * visited, also what is garbage. */
static void each_root(void *ud, void (*visit)(struct mt_jv_heap *h, struct mt_jv *v))
{
    struct mt_machine *m = ud;
    struct mt_jv_heap *h = &m->heap;
    for (uint32_t i = 1, n = larger(m->top, m->limit); i <= n; i++)
        visit(h, &m->stack[i].v);
    for (uint32_t i = 0, n = larger(frame_end(m), m->frame_limit); i < n; i++)
        if (m->units[i].v.tag != MT_JV_NONE)
            visit(h, &m->units[i].v);
    for (uint32_t i = 1, n = larger(m->path, m->path_limit); i <= n; i++) {
        visit(h, &m->paths[i].key);
        visit(h, &m->paths[i].value);
    }
    for (uint32_t i = 0; i < m->fork_count; i++)
        if (m->forks[i].kind == FORK_EACH || m->forks[i].kind == FORK_PATH_EACH)
            visit(h, &m->forks[i].each.container);
    for (uint32_t i = 0; i < m->p->slots.n; i++)
        if (m->slots[i].generation == m->generation)
            visit(h, &m->slots[i].v);
    for (size_t i = 0; i < m->kept_count; i++)
        visit(h, &m->kept[i]);
}

void collect(struct mt_machine *m)
{
    mt_jv_heap_collect(&m->heap, each_root, m);
}
