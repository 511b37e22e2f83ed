/* How values lie on a heap; private to the files that make and change them (value.c, heap.c, array.c,
 * object.c, order.c, operator.c).
 *
 * A heap is a list of chunks; blocks are cut off the newest one, each a multiple of 16 bytes behind a head:
 *
 *   text     a string: its bytes, or a view of the begin of a byte buffer
 *   bytes    a buffer that grows at its end; strings that were appended to share it
 *   array    a window of items
 *   items    elements with room behind; several arrays may have windows of the same items (BORROWED)
 *   object   the members of a table
 *   table    members in the order of their insertion, removed ones with no key; past FEW members with an
 *            index: an open hash table of member numbers + 1
 *   record   memory of others (mt_jv_alloc)
 */
#ifndef MT_JQ_HEAP_H
#define MT_JQ_HEAP_H

#include "jq/value.h"

enum mt_jv_block_kind {
    MT_BLOCK_RECORD,
    MT_BLOCK_TEXT,
    MT_BLOCK_BYTES,
    MT_BLOCK_ARRAY,
    MT_BLOCK_ITEMS,
    MT_BLOCK_OBJECT,
    MT_BLOCK_TABLE
};

enum {
    MT_BLOCK_SHARED = 1,    /* a container that more than one way leads to (value.h) */
    MT_BLOCK_PERMANENT = 2, /* on a frozen heap: never written again */
    MT_BLOCK_BORROWED = 4,  /* an array whose items another array may see too */
    MT_BLOCK_SUM = 8,       /* a string that `+` made: the next sum gets a buffer */
    MT_BLOCK_MOVED = 16     /* while collecting: the new place stands behind the head */
};

struct mt_jv_block {
    uint32_t units; /* of 16 bytes */
    uint8_t kind, flags;
    uint16_t depth; /* of a container: at least its levels, itself included; a document's value counts as 1 */
};

struct mt_jv_bytes {
    struct mt_jv_block head;
    size_t used, cap;
    char p[];
};

struct mt_jv_text {
    struct mt_jv_block head;
    size_t n;
    struct mt_jv_bytes *bytes; /* NULL: they follow, with a NUL */
    char own[];
};

struct mt_jv_items {
    struct mt_jv_block head;
    uint32_t used, cap;
    struct mt_jv v[];
};

struct mt_jv_array {
    struct mt_jv_block head;
    uint32_t from, count;
    struct mt_jv_items *items; /* NULL: it never had any */
};

struct mt_jv_pair {
    struct mt_jv key, value; /* key.tag MT_JV_NONE: removed */
};

struct mt_jv_table {
    struct mt_jv_block head;
    uint32_t used, cap; /* of pairs */
    uint32_t mask;      /* of the index; 0: there is none */
    uint32_t unused;
    struct mt_jv_pair pairs[]; /* then uint32_t hashes[cap], index[mask + 1] when there is an index */
};

struct mt_jv_object {
    struct mt_jv_block head;
    uint32_t count, unused;
    struct mt_jv_table *table; /* NULL: it never had members */
};

enum { MT_FEW_MEMBERS = 8, MT_JV_DEPTH = 10240 };
#define MT_JV_ITEMS_MAX ((size_t)1 << 29)

/* n bytes with a head; NULL raises MT_FAULT_MEMORY. heap.c. */
void *mt_heap_take(struct mt_jv_heap *h, size_t n, enum mt_jv_block_kind kind);
/* Makes the block longer where it lies, to n bytes in all. false: something lies behind it. */
bool mt_heap_stretch(struct mt_jv_heap *h, struct mt_jv_block *block, size_t n);
/* Gives the end of the newest block back. */
void mt_heap_shrink(struct mt_jv_heap *h, struct mt_jv_block *block, size_t n);

static inline const struct mt_jv *mt_array_items(const struct mt_jv_array *a)
{
    return a->items ? a->items->v + a->from : NULL;
}

static inline struct mt_jv_block *mt_jv_head(struct mt_jv v) /* of a container on a heap */
{
    return v.tag == MT_JV_ARRAY ? &v.array->head : &v.object->head;
}

static inline uint16_t mt_jv_depth(struct mt_jv v)
{
    if (mt_jv_is_heap_container(v))
        return mt_jv_head(v)->depth;
    return v.tag == MT_JV_DOC;
}

/* Puts child into a container: its depth follows. false: too deep, raised. */
bool mt_jv_deepen(struct mt_jv_heap *h, struct mt_jv_block *container, struct mt_jv child);

/* Takes the steps of hashing and comparing the name of a member: those of a long one. false: raised. */
static inline bool mt_jv_name_work(struct mt_jv_heap *h, struct mt_slice name)
{
    return name.n < 256 || mt_jv_work(h, name.n / 64);
}

/* Containers, unmarked: what is given or a copy of it, with room for more. The value's kind has to fit. NULL:
 * raised. to_write: elements that are there are going to be replaced, not only followed. */
struct mt_jv_array *mt_array_own(struct mt_jv_heap *h, struct mt_jv v, size_t room, bool to_write);
struct mt_jv_object *mt_object_own(struct mt_jv_heap *h, struct mt_jv v, size_t room);
/* The member's place in an object; NULL: none. */
struct mt_jv_pair *mt_object_find(const struct mt_jv_object *o, struct mt_slice name);
void mt_jv_share_all(const struct mt_jv *v, size_t n);

/* A sorted copy of an array. MT_NONE: raised. sort.c */
struct mt_jv mt_order_sort(struct mt_jv_heap *h, struct mt_jv array);
/* Where v is in a sorted array, or would go. false: raised. */
bool mt_order_search(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv v, size_t *out_at,
                     bool *out_found);

static inline struct mt_jv mt_jv_of_array(struct mt_jv_array *a)
{
    return a ? (struct mt_jv){.tag = MT_JV_ARRAY, .array = a} : MT_NONE;
}

static inline struct mt_jv mt_jv_of_object(struct mt_jv_object *o)
{
    return o ? (struct mt_jv){.tag = MT_JV_OBJECT, .object = o} : MT_NONE;
}

#endif
