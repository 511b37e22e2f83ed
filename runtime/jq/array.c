/* Arrays on a heap. On the thread of the heap.
 *
 * An array is a window of items. It grows in place at the end of its items, into the room behind them, also
 * where other arrays look at the same items: they do not look there. So a queue (.[1:] + [x]) and appending
 * to a shared array cost what is appended; what replaces elements copies items that somebody else may see. */
#include "jq/heap.h"

enum { LEAST_ITEMS = 4 };

static struct mt_jv_items *new_items(struct mt_jv_heap *h, size_t cap)
{
    struct mt_jv_items *items = NULL;
    if (cap <= MT_JV_ITEMS_MAX)
        items = mt_heap_take(h, sizeof *items + cap * sizeof items->v[0], MT_BLOCK_ITEMS);
    else
        h->fault = MT_FAULT_MEMORY;
    if (items) {
        items->used = 0;
        items->cap = (uint32_t)cap;
    }
    return items;
}

static struct mt_jv_array *new_array(struct mt_jv_heap *h, size_t room)
{
    struct mt_jv_array *a = mt_heap_take(h, sizeof *a, MT_BLOCK_ARRAY);
    if (!a)
        return NULL;
    a->head.depth = 1;
    a->from = a->count = 0;
    a->items = NULL;
    if (room > 0) {
        a->items = new_items(h, room);
        if (!a->items)
            return NULL;
    }
    return a;
}

struct mt_jv mt_jv_array(struct mt_jv_heap *h, size_t expected)
{
    return mt_jv_of_array(new_array(h, expected));
}

/* A window of a document's array, as a new array with room for more. */
static struct mt_jv_array *thaw(struct mt_jv_heap *h, struct mt_jv v, size_t from, size_t count, size_t room)
{
    struct mt_jv_array *a = new_array(h, count + room);
    if (!a || count == 0)
        return a;
    struct mt_jv_iter it = mt_jv_iter_of(v);
    struct mt_jv key, *to = a->items->v, *end = to + count;
    size_t skip = from;
    while (to < end && mt_jv_iter_next(&it, &key, to)) {
        if (skip > 0) {
            skip--;
            continue;
        }
        if (to->tag == MT_JV_DOC)
            a->head.depth = 2;
        to++;
    }
    a->count = a->items->used = (uint32_t)count;
    return a;
}

/* Items of the array's own with room for more. */
static bool own_items(struct mt_jv_heap *h, struct mt_jv_array *a, size_t room, bool children_are_seen)
{
    size_t need = a->count + room, cap = need > a->count + a->count ? need : (size_t)a->count * 2;
    if (cap < LEAST_ITEMS)
        cap = LEAST_ITEMS;
    if (cap > MT_JV_ITEMS_MAX && need <= MT_JV_ITEMS_MAX)
        cap = MT_JV_ITEMS_MAX;
    if (!mt_jv_work(h, a->count / (children_are_seen ? 2 : 8)))
        return false;
    struct mt_jv_items *items = new_items(h, room == 0 ? need : cap);
    if (!items)
        return false;
    if (a->count > 0) {
        memcpy(items->v, mt_array_items(a), a->count * sizeof items->v[0]);
        if (children_are_seen)
            mt_jv_share_all(items->v, a->count);
    }
    items->used = a->count;
    a->items = items;
    a->from = 0;
    a->head.flags &= (uint8_t)~MT_BLOCK_BORROWED;
    return true;
}

static bool has_room(const struct mt_jv_array *a, size_t room)
{
    return a->items && !(a->items->head.flags & MT_BLOCK_PERMANENT) && a->from + a->count == a->items->used &&
           room <= a->items->cap - a->items->used;
}

/* Makes the items longer where they lie; twice as long if there is room for that. */
static bool stretch(struct mt_jv_heap *h, struct mt_jv_array *a, size_t room)
{
    struct mt_jv_items *items = a->items;
    if (!items || items->head.flags & MT_BLOCK_PERMANENT || a->from + a->count != items->used)
        return false;
    size_t need = (size_t)items->used + room;
    for (size_t cap = need > 2 * (size_t)items->cap ? need : 2 * (size_t)items->cap;; cap = need) {
        if (cap <= MT_JV_ITEMS_MAX &&
            mt_heap_stretch(h, &items->head, sizeof *items + cap * sizeof items->v[0])) {
            items->cap = (uint32_t)cap;
            return true;
        }
        if (cap == need)
            return false;
    }
}

struct mt_jv_array *mt_array_own(struct mt_jv_heap *h, struct mt_jv v, size_t room, bool to_write)
{
    if (v.tag == MT_JV_DOC)
        return mt_jv_work(h, 2 * mt_jv_count(v)) ? thaw(h, v, 0, mt_jv_count(v), room) : NULL;
    struct mt_jv_array *a = v.array;
    if (a->head.flags & MT_BLOCK_SHARED) {
        struct mt_jv_array *copy = new_array(h, 0);
        if (!copy)
            return NULL;
        copy->head.depth = a->head.depth;
        copy->from = a->from;
        copy->count = a->count;
        copy->items = a->items;
        copy->head.flags |= MT_BLOCK_BORROWED;
        if (!(a->head.flags & MT_BLOCK_PERMANENT))
            a->head.flags |= MT_BLOCK_BORROWED;
        a = copy;
    }
    if (a->head.flags & MT_BLOCK_BORROWED) {
        if (!to_write && (room == 0 || has_room(a, room)))
            return a;
        return own_items(h, a, room, true) ? a : NULL;
    }
    if (a->items)
        a->items->used = a->from + a->count; /* nobody else looks at what is behind */
    if (room == 0 || has_room(a, room) || stretch(h, a, room))
        return a;
    return own_items(h, a, room, false) ? a : NULL;
}

struct mt_jv mt_jv_append(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv value)
{
    struct mt_jv_array *a = mt_array_own(h, array, 1, false);
    if (!a || !mt_jv_deepen(h, &a->head, value))
        return MT_NONE;
    a->items->v[a->items->used++] = value;
    a->count++;
    return mt_jv_of_array(a);
}

struct mt_jv mt_jv_put(struct mt_jv_heap *h, struct mt_jv array, size_t i, struct mt_jv value)
{
    if (i >= MT_JV_ITEMS_MAX)
        return mt_jv_raise(h, "Array index too large");
    size_t count = mt_jv_count(array);
    struct mt_jv_array *a = mt_array_own(h, array, i < count ? 0 : i + 1 - count, i < count);
    if (!a || !mt_jv_deepen(h, &a->head, value))
        return MT_NONE;
    for (; a->count <= i; a->count++)
        a->items->v[a->items->used++] = mt_jv_null();
    a->items->v[a->from + i] = value;
    return mt_jv_of_array(a);
}

struct mt_jv mt_jv_concat(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv more)
{
    size_t n = mt_jv_count(more);
    if (n == 0)
        return array;
    bool lone = more.tag == MT_JV_ARRAY && !(more.array->head.flags & (MT_BLOCK_SHARED | MT_BLOCK_BORROWED));
    struct mt_jv_array *a = mt_array_own(h, array, n, false);
    if (!a)
        return MT_NONE;
    if (more.tag == MT_JV_ARRAY) {
        /* Also when they are the same array: what is copied lies before what is written. */
        memcpy(a->items->v + a->items->used, mt_array_items(more.array), n * sizeof a->items->v[0]);
        if (!lone)
            mt_jv_share_all(a->items->v + a->items->used, n);
        if (more.array->head.depth > a->head.depth)
            a->head.depth = more.array->head.depth;
    } else {
        struct mt_jv_iter it = mt_jv_iter_of(more);
        struct mt_jv key, *to = a->items->v + a->items->used;
        while (mt_jv_iter_next(&it, &key, to))
            to++;
        if (a->head.depth < 2)
            a->head.depth = 2;
    }
    a->items->used += (uint32_t)n;
    a->count += (uint32_t)n;
    return mt_jv_of_array(a);
}

struct mt_jv mt_jv_slice(struct mt_jv_heap *h, struct mt_jv array, size_t from, size_t to)
{
    size_t count = mt_jv_count(array);
    if (to > count)
        to = count;
    if (from > to)
        from = to;
    if (array.tag == MT_JV_DOC)
        return mt_jv_of_array(thaw(h, array, from, to - from, 0));
    struct mt_jv_array *a = array.array;
    if (from == to)
        return mt_jv_array(h, 0);
    if (a->head.flags & MT_BLOCK_SHARED) {
        struct mt_jv_array *window = new_array(h, 0);
        if (!window)
            return MT_NONE;
        window->head.depth = a->head.depth;
        window->head.flags |= MT_BLOCK_BORROWED;
        window->from = a->from;
        window->items = a->items;
        if (!(a->head.flags & MT_BLOCK_PERMANENT))
            a->head.flags |= MT_BLOCK_BORROWED;
        a = window;
    }
    a->from += (uint32_t)from;
    a->count = (uint32_t)(to - from);
    return mt_jv_of_array(a);
}
