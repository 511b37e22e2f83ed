/* Updates in place and slots. On the machine's thread. */
#include "jq/heap.h"
#include "jq/machine_state.h"

/* Where a member or element lies on the heap; NULL: there is none, or it is not on the heap. */
static struct mt_jv *place_in(struct mt_jv v, struct mt_jv key)
{
    if (v.tag == MT_JV_OBJECT && mt_jv_is(key, MT_STRING)) {
        struct mt_jv_pair *pair = mt_object_find(v.object, mt_jv_text(key));
        return pair ? &pair->value : NULL;
    }
    if (v.tag == MT_JV_ARRAY && key.tag == MT_JV_NUMBER && key.number >= 0 && key.number < v.array->count &&
        key.number == (double)(uint32_t)key.number)
        return &v.array->items->v[v.array->from + (uint32_t)key.number];
    return NULL;
}

/* The same when the container may be changed in place. */
static struct mt_jv *place_of(const struct mt_jv *v, struct mt_jv key)
{
    bool own =
        mt_jv_is_heap_container(*v) && !(mt_jv_head(*v)->flags & (MT_BLOCK_SHARED | MT_BLOCK_BORROWED));
    return own ? place_in(*v, key) : NULL;
}

struct mt_jv peek(struct mt_machine *m, struct mt_jv v, struct mt_jv key)
{
    const struct mt_jv *place = place_in(v, key);
    return place ? *place : mt_jv_get(&m->heap, v, key);
}

/* The value is moved out of containers that nobody else sees, leaving null, so that changing it needs no
 * copy; else it is read. */
struct mt_jv take_along(struct mt_machine *m, struct mt_jv *v, const struct mt_jv *keys, unsigned n)
{
    struct mt_jv *place = place_of(v, keys[0]), child;
    if (place && n > 1)
        return take_along(m, place, keys + 1, n - 1);
    if (place) {
        child = *place;
        *place = mt_jv_null();
        return child;
    }
    child = mt_jv_get(&m->heap, *v, keys[0]);
    return n == 1 || mt_jv_is_none(child) ? child : take_along(m, &child, keys + 1, n - 1);
}

struct mt_jv put_along(struct mt_machine *m, struct mt_jv v, const struct mt_jv *keys, unsigned n,
                       struct mt_jv new)
{
    enum mt_kind kind = mt_jv_kind(v);
    if (n > 1) {
        struct mt_jv *place = place_of(&v, keys[0]);
        struct mt_jv child = place ? *place : mt_jv_get(&m->heap, v, keys[0]);
        if (place)
            *place = mt_jv_null();
        new = mt_jv_is_none(child) ? child : put_along(m, child, keys + 1, n - 1, new);
    } else if (!(kind == MT_NULL || kind == MT_ARRAY ||
                 (kind == MT_OBJECT && mt_jv_is(keys[0], MT_STRING))) &&
               mt_jv_is_none(mt_jv_get(&m->heap, v, keys[0]))) {
        return MT_NONE; /* reading it raises first */
    }
    return mt_jv_is_none(new) ? new : mt_jv_assign(&m->heap, v, keys[0], new);
}

struct mt_jv slot_value(struct mt_machine *m, uint32_t slot)
{
    struct memo *memo = &m->slots[slot];
    if (memo->generation == m->generation && !memo->raised)
        return memo->v;
    if (memo->generation == m->generation)
        return mt_jv_raise_value(&m->heap, memo->v);
    const struct mt_code_slot *s = &m->p->slots.v[slot];
    struct mt_jv v = slot_value(m, s->parent);
    if (!mt_jv_is_none(v))
        v = mt_jv_get(&m->heap, v, s->key);
    if (mt_jv_is_none(v) && m->heap.fault != MT_FAULT_ERROR)
        return v;
    memo->generation = m->generation;
    memo->raised = mt_jv_is_none(v);
    memo->v = memo->raised ? m->heap.error : mt_jv_share(v);
    return v;
}
