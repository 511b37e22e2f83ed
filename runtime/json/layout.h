/* How a document lies in memory; private to json/.
 *
 * A document is an array of 16-byte cells in the order of the text, so that a walk over it is a walk over
 * memory:
 *
 *   scalar                     one cell
 *   container                  its cell, an extent (unless it is empty), then its elements or members
 *   member                     the name's cell, then the value's cells
 *   value of another document  one reference cell
 *
 *   {"a":[1,2],"b":3}   0 object link=8 | 1 extent count=2 | 2 "a" link=3 | 3 array link=7 | 4 extent count=2
 *                       | 5 1 | 6 2 | 7 "b" link=8 | 8 3              (and so the object's link is 9)
 *
 * A container's link is the cell after its last one: siblings are reached without walking children. A name's
 * link is its value's cell: the next one, or with duplicates (the last wins, at the place of the first) a
 * later one; the names that lost their place are marked and skipped.
 *
 * Containers of more than MT_FEW members or elements have a part of the document's index: objects a hash
 * table of name cells, arrays the cells of their elements (none when all are one cell long: then position is
 * enough). */
#ifndef MT_JSON_LAYOUT_H
#define MT_JSON_LAYOUT_H

#include <stdatomic.h>

#include "json/document.h"

/* Kinds of cells beside those of enum mt_kind. */
enum { MT_CELL_REF = MT_OBJECT + 1, MT_CELL_EXTENT };

enum {
    MT_CELL_SIDE = 1,      /* the bytes are in side, not in source */
    MT_CELL_ESCAPE = 2,    /* a string that may need escapes when it is written */
    MT_CELL_TIDY = 4,      /* a container whose source is what writing it would give */
    MT_CELL_TRUE = 8,      /* the boolean true */
    MT_CELL_INTEGER = 16,  /* a number of at most 18 digits and nothing else, not -0 */
    MT_CELL_SHADOWED = 32, /* a name that came before in its object */
    MT_CELL_INDEXED = 64   /* a container with a part of the index */
};

struct mt_cell {
    uint8_t kind, flags;
    uint16_t mark; /* of a name in an indexed object: bits of its hash that did not choose the slot */
    uint32_t from; /* string, number: its first byte; container: of its source. Extent: count. Reference:
                      which doc */
    uint32_t
        n; /* string, number, container: bytes. Extent: first of its part of the index. Reference: its cell */
    uint32_t link; /* name: value; container: the cell after it. Extent: size of its part of the index */
};

#define MT_NO_CELL UINT32_MAX
#define MT_FEW 16 /* up to here comparing names pairwise is cheaper than hashing them */

struct mt_doc {
    atomic_size_t refs;
    struct mt_cell *cells;
    char *source; /* NULL when built */
    char *side;   /* decoded and built strings, built numbers (each with a NUL after it) */
    uint32_t *index;
    struct mt_doc **others; /* a reference is held to each */
    uint32_t other_count;
    size_t bytes;
    struct mt_doc *dead; /* while it is freed: the next one to free */
};

/* A document while it grows. Zeroed, with side inited, it is empty. Belongs to one thread. */
struct mt_draft {
    struct mt_cell *cells;
    uint32_t count, cap, expected;
    const char *source;
    struct mt_buf side;
    uint32_t *index;
    size_t index_count, index_cap;
    struct mt_doc **others;
    uint32_t other_count, other_cap;
    enum mt_rc rc; /* why growing failed */
};

/* source: the text that cells will span; it is borrowed. {NULL, 0} when there is none. */
void mt_draft_init(struct mt_draft *d, struct mt_slice source);
void mt_draft_fini(struct mt_draft *d);
bool mt_draft_grow(struct mt_draft *d);
/* Opens a container inside parent (MT_NO_CELL: it is the root). Returns its cell, MT_NO_CELL on failure.
 * While it is open its link is the parent, and its extent's count that of the values met so far. */
uint32_t mt_draft_open(struct mt_draft *d, enum mt_kind kind, uint32_t parent);
/* Closes it: settles duplicate names and builds its part of the index. *out_parent is the parent again. */
bool mt_draft_close(struct mt_draft *d, uint32_t at, uint32_t *out_parent, bool *out_duplicates);
/* Room for n bytes more in side; NULL on failure. */
char *mt_draft_side(struct mt_draft *d, size_t n);
/* A reference cell. */
bool mt_draft_refer(struct mt_draft *d, struct mt_val v);
/* Makes it a document, which takes the text over (NULL: there is none); the draft is empty after. MT_ENOMEM:
 * nothing has changed. */
enum mt_rc mt_draft_finish(struct mt_draft *d, struct mt_buf *source, struct mt_doc **out_doc);

uint64_t mt_json_hash(struct mt_slice name);

/* Scans a number. Returns its end, or NULL with *out_bad at the byte that breaks it. *out_plain:
 * MT_CELL_INTEGER. */
const char *mt_json_number(const char *p, const char *end, bool *out_plain, const char **out_bad);

#define MT_DOUBLE_SIZE 32
/* Writes a double as mt_build_double says; returns its length. */
size_t mt_json_format_double(double value, char out[MT_DOUBLE_SIZE]);

/* A stack of records that begins in the caller's array (borrowed) and moves to the heap when that is full:
 * returns the stack with room for twice as many. Release with mt_json_stack_free. */
void *mt_json_stack_grow(void *stack, const void *borrowed, uint32_t *cap, size_t size);
void mt_json_stack_free(void *stack, const void *borrowed);

/* One more cell at the end, content undefined; NULL on failure. */
static inline struct mt_cell *mt_draft_add(struct mt_draft *d)
{
    if (d->count == d->cap && !mt_draft_grow(d))
        return NULL;
    return &d->cells[d->count++];
}

/* The cell after the value at. */
static inline uint32_t mt_cell_after(const struct mt_cell *cells, uint32_t at)
{
    uint8_t kind = cells[at].kind;
    return kind == MT_ARRAY || kind == MT_OBJECT ? cells[at].link : at + 1;
}

static inline const struct mt_cell *mt_val_cell(struct mt_val v)
{
    return &v.doc->cells[v.at];
}

static inline struct mt_slice mt_cell_bytes(const struct mt_cell *c, const char *source, const char *side)
{
    return (struct mt_slice){(c->flags & MT_CELL_SIDE ? side : source) + c->from, c->n};
}

#endif
