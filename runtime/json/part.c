/* Parts: objects that were parsed with a hint, parsed again in full when somebody asks for what was left out.
 * Any thread: whoever comes first publishes the part, in the object's pocket; the others drop theirs.
 *
 * An object may lie in an object that needs its part as well, and so on 10,000 levels deep, innermost first:
 * text of n bytes would be parsed n times. So as soon as parts have taken as much text as the document has,
 * all of it is parsed once more, and objects are looked up in that by their place in the text. */
#include <stdlib.h>

#include "base/memory.h"
#include "json/layout.h"

void mt_part_free(struct mt_doc *part)
{
    free(part->cells);
    free(part->side);
    free(part->index);
    free(part->objects);
    free(part);
}

/* Puts a part where others find it. Returns the one that is there now. */
static struct mt_doc *publish(struct mt_doc *owner, _Atomic(struct mt_doc *) *place, struct mt_doc *part)
{
    struct mt_doc *met = NULL;
    if (!atomic_compare_exchange_strong(place, &met, part)) {
        mt_part_free(part);
        return met;
    }
    part->next = atomic_load(&owner->part);
    while (!atomic_compare_exchange_weak(&owner->part, &part->next, part))
        continue;
    return part;
}

static bool list_objects(struct mt_doc *whole, uint32_t cells)
{
    uint32_t n = 0;
    for (uint32_t at = 0; at < cells; at++)
        n += whole->cells[at].kind == MT_OBJECT;
    whole->objects = mt_try_alloc(((size_t)n + 1) * sizeof *whole->objects);
    if (!whole->objects)
        return false;
    for (uint32_t at = 0; at < cells; at++)
        if (whole->cells[at].kind == MT_OBJECT)
            whole->objects[whole->object_count++] = at;
    whole->bytes += ((size_t)n + 1) * sizeof *whole->objects;
    return true;
}

static struct mt_doc *parse_whole(struct mt_doc *owner)
{
    struct mt_doc *whole;
    if (mt_part_parse(owner, &owner->cells[0], &whole) != MT_OK)
        return NULL;
    if (!list_objects(whole, whole->cells[0].link)) {
        mt_part_free(whole);
        return NULL;
    }
    return publish(owner, &owner->whole, whole);
}

/* The object that begins at this byte of the text. */
static struct mt_val find(const struct mt_doc *whole, uint32_t from)
{
    uint32_t low = 0, high = whole->object_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (whole->cells[whole->objects[middle]].from < from)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct mt_val){whole, whole->objects[low]};
}

struct mt_val mt_part_open(struct mt_val partial)
{
    struct mt_doc *owner = (struct mt_doc *)(uintptr_t)partial.doc; /* a part has no partial objects */
    const struct mt_cell *object = mt_val_cell(partial);
    _Atomic(struct mt_doc *) *pocket = mt_cell_pocket(owner->cells, partial.at);
    struct mt_doc *part = atomic_load_explicit(pocket, memory_order_acquire);
    if (part)
        return (struct mt_val){part, 0};
    struct mt_doc *whole = atomic_load_explicit(&owner->whole, memory_order_acquire);
    if (!whole && atomic_fetch_add(&owner->parted, object->n) + object->n <= owner->cells[0].n) {
        if (mt_part_parse(owner, object, &part) == MT_OK)
            return (struct mt_val){publish(owner, pocket, part), 0};
    } else {
        if (!whole)
            whole = parse_whole(owner);
        if (whole)
            return find(whole, object->from);
    }
    atomic_store_explicit(&owner->failed, true, memory_order_relaxed);
    return (struct mt_val){NULL, 0};
}
