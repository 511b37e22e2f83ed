/* The heap of values: chunks that blocks are cut off, and the collection that copies what is reachable. One
 * thread a heap; its memory goes with mt_jv_heap_fini.
 *
 * The first chunk is kept for the heap's life: most evaluations of a mapping need a few hundred bytes, and a
 * reset then sets two pointers back. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/heap.h"
#include "jq/native.h"

enum { UNIT = 16, FIRST_CHUNK = 64 << 10, LARGEST_CHUNK = 16 << 20 };

#define COLLECT_LEAST ((size_t)16 << 20)

struct mt_jv_chunk {
    struct mt_jv_chunk *next; /* an older one; the last is the first chunk */
    size_t size, filled;      /* bytes; filled is current when it is not the newest */
    _Alignas(16) char data[];
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void mt_jv_heap_init(struct mt_jv_heap *h, size_t max)
{
    *h = (struct mt_jv_heap){.max = max, .collect_at = least(COLLECT_LEAST, max / 2), .steps = UINT64_MAX};
}

/* Frees all chunks but the first one, which becomes the newest. */
static void free_chunks(struct mt_jv_heap *h)
{
    while (h->chunks && h->chunks->next) {
        struct mt_jv_chunk *chunk = h->chunks;
        h->chunks = chunk->next;
        free(chunk);
    }
}

static void use_chunk(struct mt_jv_heap *h, struct mt_jv_chunk *chunk)
{
    h->free = chunk->data;
    h->end = chunk->data + chunk->size;
}

void mt_jv_heap_fini(struct mt_jv_heap *h)
{
    free_chunks(h);
    free(h->chunks);
    mt_regexes_free(h->regexes);
    *h = (struct mt_jv_heap){.max = 0};
}

void mt_jv_heap_reset(struct mt_jv_heap *h)
{
    if (!h->chunks)
        return;
    if (h->chunks->next)
        free_chunks(h);
    use_chunk(h, h->chunks);
    h->used = 0;
    if (h->collect_at != 0)
        h->collect_at = least(COLLECT_LEAST, h->max / 2);
    h->fault = MT_FAULT_NONE;
    h->error = MT_NONE;
}

static struct mt_jv_chunk *new_chunk(size_t size)
{
    struct mt_jv_chunk *chunk = mt_try_alloc(sizeof *chunk + size);
    if (chunk) {
        chunk->size = size;
        chunk->filled = 0;
        chunk->next = NULL;
    }
    return chunk;
}

static void *no_memory(struct mt_jv_heap *h)
{
    h->fault = MT_FAULT_MEMORY;
    h->error = MT_NONE;
    return NULL;
}

/* The newest chunk has no room: a block that is large gets one of its own, behind the newest, which is not
 * done for. */
static void *take_elsewhere(struct mt_jv_heap *h, size_t n)
{
    if (!h->chunks) { /* it is never given back, so it is small whatever comes first */
        h->chunks = new_chunk(FIRST_CHUNK);
        if (!h->chunks)
            return no_memory(h);
        use_chunk(h, h->chunks);
        if (n <= FIRST_CHUNK) {
            h->free += n;
            return h->chunks->data;
        }
    }
    size_t size = least(2 * h->chunks->size, LARGEST_CHUNK);
    if (n > size / 4) {
        struct mt_jv_chunk *chunk = new_chunk(n);
        if (!chunk)
            return no_memory(h);
        chunk->filled = n;
        if (h->chunks->next) {
            chunk->next = h->chunks->next;
            h->chunks->next = chunk;
        } else { /* the first one stays the last */
            h->chunks->filled = (size_t)(h->free - h->chunks->data);
            chunk->next = h->chunks;
            h->chunks = chunk;
            h->free = h->end = chunk->data + n;
        }
        return chunk->data;
    }
    struct mt_jv_chunk *chunk = new_chunk(size > n ? size : n);
    if (!chunk)
        return no_memory(h);
    h->chunks->filled = (size_t)(h->free - h->chunks->data);
    chunk->next = h->chunks;
    h->chunks = chunk;
    use_chunk(h, chunk);
    h->free += n;
    return chunk->data;
}

void *mt_heap_take(struct mt_jv_heap *h, size_t n, enum mt_jv_block_kind kind)
{
    n = (n + UNIT - 1) & ~(size_t)(UNIT - 1);
    if (n > h->max - h->used || n / UNIT > UINT32_MAX)
        return no_memory(h);
    struct mt_jv_block *block;
    if (n <= (size_t)(h->end - h->free)) {
        block = (struct mt_jv_block *)(void *)h->free;
        h->free += n;
    } else {
        block = take_elsewhere(h, n);
        if (!block)
            return NULL;
    }
    h->used += n;
    *block = (struct mt_jv_block){.units = (uint32_t)(n / UNIT), .kind = (uint8_t)kind};
    return block;
}

bool mt_heap_stretch(struct mt_jv_heap *h, struct mt_jv_block *block, size_t n)
{
    size_t old = (size_t)block->units * UNIT;
    n = (n + UNIT - 1) & ~(size_t)(UNIT - 1);
    if ((char *)block + old != h->free || n - old > (size_t)(h->end - h->free) ||
        n - old > h->max - h->used || n / UNIT > UINT32_MAX)
        return false;
    h->free += n - old;
    h->used += n - old;
    block->units = (uint32_t)(n / UNIT);
    return true;
}

void mt_heap_shrink(struct mt_jv_heap *h, struct mt_jv_block *block, size_t n)
{
    size_t old = (size_t)block->units * UNIT;
    n = (n + UNIT - 1) & ~(size_t)(UNIT - 1);
    if ((char *)block + old != h->free)
        return;
    h->free -= old - n;
    h->used -= old - n;
    block->units = (uint32_t)(n / UNIT);
}

void *mt_jv_alloc(struct mt_jv_heap *h, size_t n)
{
    if (n > h->max)
        return no_memory(h);
    char *record = mt_heap_take(h, n + UNIT, MT_BLOCK_RECORD);
    return record ? record + UNIT : NULL;
}

bool mt_jv_work(struct mt_jv_heap *h, uint64_t n)
{
    if (n <= h->steps) {
        h->steps -= n;
        return true;
    }
    h->steps = 0;
    h->fault = MT_FAULT_STEPS;
    h->error = MT_NONE;
    return false;
}

void mt_jv_heap_freeze(struct mt_jv_heap *h)
{
    if (h->chunks)
        h->chunks->filled = (size_t)(h->free - h->chunks->data);
    for (struct mt_jv_chunk *chunk = h->chunks; chunk; chunk = chunk->next) {
        for (size_t at = 0; at < chunk->filled;) {
            struct mt_jv_block *block = (struct mt_jv_block *)(void *)(chunk->data + at);
            block->flags |= MT_BLOCK_PERMANENT | MT_BLOCK_SHARED;
            at += (size_t)block->units * UNIT;
        }
    }
}

/* Collection (Cheney 1970): what is reached is copied behind what was copied before, and the copies are gone
 * through in that order, so nothing recurses. The new chunk has room for all that is used, so the copying
 * cannot run out of memory halfway; pages of it that are not touched cost nothing. */
static void *moved(struct mt_jv_heap *h, void *p)
{
    struct mt_jv_block *old = p;
    if (!old || old->flags & MT_BLOCK_PERMANENT)
        return old;
    void **place = (void **)(void *)((char *)p + sizeof *old);
    if (old->flags & MT_BLOCK_MOVED)
        return *place;
    size_t n = (size_t)old->units * UNIT;
    /* Most of the spare room stays behind. Some is kept: without any the next element or byte would double
     * the whole, which near the ceiling is a collection each. */
    if (old->kind == MT_BLOCK_ITEMS) {
        struct mt_jv_items *items = p;
        items->cap = (uint32_t)least(items->cap, items->used + (size_t)items->used / 4);
        n = sizeof *items + items->cap * sizeof items->v[0];
    } else if (old->kind == MT_BLOCK_BYTES) {
        struct mt_jv_bytes *bytes = p;
        bytes->cap = least(bytes->cap, bytes->used + bytes->used / 4);
        n = sizeof *bytes + bytes->cap;
    }
    n = (n + UNIT - 1) & ~(size_t)(UNIT - 1);
    struct mt_jv_block *copy = (struct mt_jv_block *)(void *)h->free;
    memcpy(copy, old, n);
    copy->units = (uint32_t)(n / UNIT);
    h->free += n;
    old->flags |= MT_BLOCK_MOVED;
    *place = copy;
    return copy;
}

static void visit(struct mt_jv_heap *h, struct mt_jv *v)
{
    switch (v->tag) {
    case MT_JV_LITERAL:
    case MT_JV_STRING:
        v->text = moved(h, v->text);
        break;
    case MT_JV_ARRAY:
        v->array = moved(h, v->array);
        break;
    case MT_JV_OBJECT:
        v->object = moved(h, v->object);
        break;
    default:
        break;
    }
}

static void visit_parts(struct mt_jv_heap *h, void *p)
{
    struct mt_jv_block *block = p;
    switch ((enum mt_jv_block_kind)block->kind) {
    case MT_BLOCK_TEXT: {
        struct mt_jv_text *text = p;
        text->bytes = moved(h, text->bytes);
        break;
    }
    case MT_BLOCK_ARRAY: {
        struct mt_jv_array *array = p;
        array->items = moved(h, array->items);
        break;
    }
    case MT_BLOCK_ITEMS: {
        struct mt_jv_items *items = p;
        for (uint32_t i = 0; i < items->used; i++)
            visit(h, &items->v[i]);
        break;
    }
    case MT_BLOCK_OBJECT: {
        struct mt_jv_object *object = p;
        object->table = moved(h, object->table);
        break;
    }
    case MT_BLOCK_TABLE: {
        struct mt_jv_table *table = p;
        for (uint32_t i = 0; i < table->used; i++) {
            visit(h, &table->pairs[i].key);
            visit(h, &table->pairs[i].value);
        }
        break;
    }
    case MT_BLOCK_RECORD:
    case MT_BLOCK_BYTES:
        break;
    }
}

void mt_jv_heap_collect(struct mt_jv_heap *h,
                        void (*each_root)(void *ud, void (*visit)(struct mt_jv_heap *h, struct mt_jv *v)),
                        void *ud)
{
    struct mt_jv_chunk *to = h->chunks ? new_chunk(h->used + UNIT) : NULL;
    if (!to) { /* the ceiling still holds; more may be free by the next time */
        if (h->collect_at != 0)
            h->collect_at = h->used + (h->max - h->used) / 2;
        return;
    }
    struct mt_jv_chunk *from = h->chunks;
    h->chunks = to;
    use_chunk(h, to);
    each_root(ud, visit);
    visit(h, &h->error);
    for (char *at = to->data; at < h->free; at += (size_t)((struct mt_jv_block *)(void *)at)->units * UNIT)
        visit_parts(h, at);
    h->used = (size_t)(h->free - to->data);
    while (from->next) {
        struct mt_jv_chunk *chunk = from;
        from = chunk->next;
        free(chunk);
    }
    from->filled = 0;
    to->next = from;
    /* Work like any other: what keeps collecting runs out of steps. */
    uint64_t work = h->used / 64;
    h->steps -= work < h->steps ? work : h->steps;
    if (h->collect_at != 0) {
        size_t twice = 2 * h->used > COLLECT_LEAST ? 2 * h->used : COLLECT_LEAST, room = h->max - h->used;
        /* Near the ceiling each collection copies much and frees little: one that left less than an eighth
         * is the last (a value that grew to 256 MiB took 9 s without this). */
        h->collect_at = room < h->max / 8 ? h->max : least(twice, h->used + room / 2);
    }
}
