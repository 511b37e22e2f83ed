/* Sets of member names: the hint that mt_doc_parse_for takes. Made once for a mapping, then asked by the
 * parsers of all threads, and held by the documents that were parsed with it.
 *
 * It is asked for every member of every item, and most names are not in it. So a bitmap is looked at first,
 * by three bytes and the length; what passes is looked for in an open table. Who writes the mapping chooses
 * the names that can share a slot, not who writes the data. */
#include <stdlib.h>

#include "base/memory.h"
#include "json/layout.h"

static struct mt_slice *slot_of(const struct mt_names *names, struct mt_slice name, uint32_t h)
{
    uint32_t i = h >> 8 & names->mask;
    while (names->slots[i].p && !mt_slice_eq(names->slots[i], name))
        i = (i + 1) & names->mask;
    return (struct mt_slice *)(uintptr_t)&names->slots[i];
}

struct mt_names *mt_names_new(const struct mt_slice *names, size_t count)
{
    size_t size = 8, bytes = 0;
    while (size < 2 * count)
        size *= 2;
    for (size_t i = 0; i < count; i++)
        bytes += names[i].n;
    struct mt_names *set = mt_alloc(sizeof *set + size * sizeof set->slots[0] + bytes + 1);
    atomic_init(&set->refs, 1);
    set->mask = (uint32_t)(size - 1);
    char *text = (char *)&set->slots[size];
    for (size_t i = 0; i < count; i++) {
        if (names[i].n == 0) {
            set->empty = true;
            continue;
        }
        uint32_t h = mt_names_spread(names[i]), bit = h >> 21;
        struct mt_slice *slot = slot_of(set, names[i], h);
        if (slot->p)
            continue;
        memcpy(text, names[i].p, names[i].n);
        *slot = (struct mt_slice){text, names[i].n};
        text += names[i].n;
        set->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    }
    return set;
}

struct mt_names *mt_names_ref(const struct mt_names *names)
{
    struct mt_names *counted = (struct mt_names *)(uintptr_t)names; /* the count is no part of the set */
    atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
    return counted;
}

void mt_names_free(struct mt_names *names)
{
    if (names && atomic_fetch_sub_explicit(&names->refs, 1, memory_order_acq_rel) == 1)
        free(names);
}

bool mt_names_has(const struct mt_names *names, struct mt_slice name)
{
    if (name.n == 0)
        return names->empty;
    uint32_t h = mt_names_spread(name);
    return mt_names_may(names, h) && slot_of(names, name, h)->p;
}
