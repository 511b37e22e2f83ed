/* Objects on a heap. On the thread of the heap.
 *
 * Members keep the order of their insertion. A removed one leaves a hole, which the next growth closes;
 * so neither many removals nor many insertions are quadratic. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "jq/heap.h"

enum { LEAST_PAIRS = 4 };

/* Differs from process to process, so that nobody can prepare names that collide. */
static uint32_t hash_of(struct mt_slice name)
{
    static const char place;
    uint64_t h = XXH3_64bits_withSeed(name.p, name.n, (uint64_t)(uintptr_t)&place);
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t *hashes_of(const struct mt_jv_table *t)
{
    return (uint32_t *)(uintptr_t)(t->pairs + t->cap);
}

static uint32_t *index_of(const struct mt_jv_table *t)
{
    return hashes_of(t) + t->cap;
}

static struct mt_jv_table *new_table(struct mt_jv_heap *h, size_t cap)
{
    size_t slots = 0;
    if (cap > MT_JV_ITEMS_MAX) {
        h->fault = MT_FAULT_MEMORY;
        return NULL;
    }
    if (cap > MT_FEW_MEMBERS)
        for (slots = 32; slots < 2 * cap;)
            slots *= 2;
    size_t words = slots > 0 ? cap + slots : 0;
    struct mt_jv_table *t =
        mt_heap_take(h, sizeof *t + cap * sizeof t->pairs[0] + words * sizeof(uint32_t), MT_BLOCK_TABLE);
    if (!t)
        return NULL;
    t->used = 0;
    t->cap = (uint32_t)cap;
    t->mask = slots > 0 ? (uint32_t)slots - 1 : 0;
    t->unused = 0;
    if (slots > 0)
        memset(index_of(t), 0, slots * sizeof(uint32_t));
    return t;
}

static struct mt_jv_object *new_object(struct mt_jv_heap *h, size_t room)
{
    struct mt_jv_object *o = mt_heap_take(h, sizeof *o, MT_BLOCK_OBJECT);
    if (!o)
        return NULL;
    o->head.depth = 1;
    o->count = o->unused = 0;
    o->table = NULL;
    if (room > 0) {
        o->table = new_table(h, room);
        if (!o->table)
            return NULL;
    }
    return o;
}

struct mt_jv mt_jv_object(struct mt_jv_heap *h, size_t expected)
{
    return mt_jv_of_object(new_object(h, expected));
}

/* Adds a member that is not there; the table has room. */
static void add(struct mt_jv_table *t, struct mt_jv key, struct mt_jv value, uint32_t hash)
{
    uint32_t at = t->used++;
    t->pairs[at] = (struct mt_jv_pair){key, value};
    if (t->mask == 0)
        return;
    uint32_t *index = index_of(t), slot = hash & t->mask;
    hashes_of(t)[at] = hash;
    while (index[slot])
        slot = (slot + 1) & t->mask;
    index[slot] = at + 1;
}

/* The member's number + 1; 0: there is none. *out_hash is set when the table has an index. */
static uint32_t find(const struct mt_jv_table *t, struct mt_slice name, uint32_t *out_hash)
{
    if (!t)
        return 0;
    if (t->mask == 0) {
        for (uint32_t i = 0; i < t->used; i++)
            if (!mt_jv_is_none(t->pairs[i].key) && mt_slice_eq(mt_jv_text(t->pairs[i].key), name))
                return i + 1;
        return 0;
    }
    const uint32_t *index = index_of(t), *hashes = hashes_of(t);
    uint32_t hash = *out_hash = hash_of(name);
    for (uint32_t slot = hash & t->mask; index[slot]; slot = (slot + 1) & t->mask) {
        uint32_t at = index[slot] - 1;
        if (hashes[at] == hash && !mt_jv_is_none(t->pairs[at].key) &&
            mt_slice_eq(mt_jv_text(t->pairs[at].key), name))
            return index[slot];
    }
    return 0;
}

struct mt_jv_pair *mt_object_find(const struct mt_jv_object *o, struct mt_slice name)
{
    uint32_t hash, found = find(o->table, name, &hash);
    return found ? &o->table->pairs[found - 1] : NULL;
}

/* A table with the same members, without holes, and room for cap. */
static struct mt_jv_table *copy_table(struct mt_jv_heap *h, const struct mt_jv_table *old, size_t cap,
                                      bool children_are_seen)
{
    struct mt_jv_table *t = mt_jv_work(h, old ? old->used / 2 : 0) ? new_table(h, cap) : NULL;
    if (!t)
        return NULL;
    for (uint32_t i = 0; old && i < old->used; i++) {
        const struct mt_jv_pair *pair = &old->pairs[i];
        if (mt_jv_is_none(pair->key))
            continue;
        if (children_are_seen)
            mt_jv_share(pair->value);
        uint32_t hash = 0;
        if (t->mask != 0 && old->mask == 0 && !mt_jv_name_work(h, mt_jv_text(pair->key)))
            return NULL;
        if (t->mask != 0)
            hash = old->mask != 0 ? hashes_of(old)[i] : hash_of(mt_jv_text(pair->key));
        add(t, pair->key, pair->value, hash);
    }
    return t;
}

static size_t grown(size_t count, size_t room)
{
    size_t cap = LEAST_PAIRS;
    while (cap < count + room)
        cap *= 2;
    return cap;
}

static struct mt_jv_object *thaw(struct mt_jv_heap *h, struct mt_jv v, size_t room)
{
    size_t count = mt_jv_count(v);
    struct mt_jv_object *o = mt_jv_work(h, 4 * count) ? new_object(h, count + room) : NULL;
    if (!o || !o->table)
        return o;
    struct mt_jv_iter it = mt_jv_iter_of(v);
    struct mt_jv key, value;
    while (o->table->used < count && mt_jv_iter_next(&it, &key, &value)) {
        if (value.tag == MT_JV_DOC)
            o->head.depth = 2;
        if (!mt_jv_name_work(h, mt_jv_text(key)))
            return NULL;
        add(o->table, key, value, o->table->mask != 0 ? hash_of(mt_jv_text(key)) : 0);
    }
    o->count = o->table->used;
    return o;
}

struct mt_jv_object *mt_object_own(struct mt_jv_heap *h, struct mt_jv v, size_t room)
{
    if (v.tag == MT_JV_DOC)
        return thaw(h, v, room);
    struct mt_jv_object *o = v.object;
    if (o->head.flags & MT_BLOCK_SHARED) {
        struct mt_jv_object *copy = new_object(h, 0);
        size_t cap = o->count + room;
        if (!copy)
            return NULL;
        if (cap > 0 && !(copy->table = copy_table(h, o->table, cap, true)))
            return NULL;
        copy->head.depth = o->head.depth;
        copy->count = o->count;
        return copy;
    }
    if (room > 0 && (!o->table || room > o->table->cap - o->table->used)) {
        struct mt_jv_table *t = copy_table(h, o->table, grown(o->count, o->count + room), false);
        if (!t)
            return NULL;
        o->table = t;
    }
    return o;
}

struct mt_jv mt_jv_set(struct mt_jv_heap *h, struct mt_jv object, struct mt_jv name, struct mt_jv value)
{
    struct mt_jv_object *o = mt_jv_name_work(h, mt_jv_text(name)) ? mt_object_own(h, object, 1) : NULL;
    if (!o || !mt_jv_deepen(h, &o->head, value))
        return MT_NONE;
    uint32_t hash = 0, found = find(o->table, mt_jv_text(name), &hash);
    if (found) {
        o->table->pairs[found - 1].value = value;
    } else {
        add(o->table, name, value, hash);
        o->count++;
    }
    return mt_jv_of_object(o);
}

struct mt_jv mt_jv_unset(struct mt_jv_heap *h, struct mt_jv object, struct mt_slice name)
{
    if (!mt_jv_name_work(h, name))
        return MT_NONE;
    if (mt_jv_is_none(mt_jv_member(object, name))) /* nothing to copy for */
        return object;
    struct mt_jv_object *o = mt_object_own(h, object, 0);
    if (!o)
        return MT_NONE;
    struct mt_jv_pair *pair = mt_object_find(o, name);
    pair->key = pair->value = MT_NONE;
    o->count--;
    if (o->table->used > 4 * MT_FEW_MEMBERS && o->count < o->table->used / 4) {
        struct mt_jv_table *t = copy_table(h, o->table, grown(o->count, 1), false);
        if (!t)
            return MT_NONE;
        o->table = t;
    }
    return mt_jv_of_object(o);
}
