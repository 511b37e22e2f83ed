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
 * Parsed with a hint (mt_doc_parse_for), an object is made of the members that are going to be read. It has a
 * third cell, the pocket: when somebody asks for more than these, all of it is parsed from its span into a
 * document of its own, a part, and the pocket leads there from then on. Parts have no pockets, and live as
 * long as the document that owns them:
 *
 *   {"a":1,"b":2}, hint a      0 object link=5 | 1 extent count=1 | 2 pocket | 3 "a" link=4 | 4 1
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
    MT_CELL_INDEXED = 64,  /* a container with a part of the index */
    MT_CELL_POCKET = 128,  /* an object that was parsed with a hint */
    MT_CELL_PARTIAL = 1    /* one of these that lacks members (no string: SIDE means nothing for objects) */
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
    struct mt_doc *dead;            /* while it is freed: the next one to free */
    struct mt_names *read;          /* the hint it was parsed with, or NULL */
    uint32_t depth;                 /* with a hint: the limit that its parts are parsed under */
    atomic_bool failed;             /* a part was not built */
    atomic_size_t parted;           /* bytes of text that were parsed for parts */
    _Atomic(struct mt_doc *) whole; /* all of it once more: see part.c */
    _Atomic(struct mt_doc *) part;  /* a list of all parts, linked by next */
    struct mt_doc *owner, *next;    /* of a part, whose source is its owner's */
    uint32_t *objects;              /* of a whole: the cells of its objects, in the order of the text */
    uint32_t object_count;
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
 * While it is open its link is the parent, its extent's count that of the values met so far, and with a
 * pocket its n the number of members left out. */
uint32_t mt_draft_open(struct mt_draft *d, enum mt_kind kind, bool pocket, uint32_t parent);
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

/* Decodes the inside of a string that was scanned already; what comes out is never longer. A surrogate
 * without its other half becomes U+FFFD, and what follows it is read by itself. Returns the end of out. */
char *mt_json_unescape(char *out, const char *p, const char *end);
/* Parses all of an object that its document holds partially. The part is not published yet. */
enum mt_rc mt_part_parse(const struct mt_doc *owner, const struct mt_cell *object, struct mt_doc **out_part);
/* The whole of a partial object; no value when there was no memory for it. part.c */
struct mt_val mt_part_open(struct mt_val partial);
void mt_part_free(struct mt_doc *part);

/* A hint (names.c). */
enum { MT_FILTER_BITS = 2048 };
struct mt_names {
    atomic_size_t refs;
    uint64_t filter[MT_FILTER_BITS / 64];
    bool empty; /* the name "" */
    uint32_t mask;
    struct mt_slice slots[]; /* p NULL: free; at least half of them are */
};
struct mt_names *mt_names_ref(const struct mt_names *names); /* mt_names_free gives it back */

/* Scans a number. Returns its end, or NULL with *out_bad at the byte that breaks it. *out_plain:
 * MT_CELL_INTEGER. */
const char *mt_json_number(const char *p, const char *end, bool *out_plain, const char **out_bad);

#define MT_DOUBLE_SIZE 32
/* Writes a double as mt_build_double says; returns its length. */
size_t mt_json_format_double(double value, char out[MT_DOUBLE_SIZE]);

/* name is not empty. */
static inline uint32_t mt_names_spread(struct mt_slice name)
{
    const unsigned char *p = (const unsigned char *)name.p;
    uint32_t sample = (uint32_t)p[0] | (uint32_t)p[name.n / 2] << 8 | (uint32_t)p[name.n - 1] << 16;
    return (sample ^ (uint32_t)name.n << 24) * 0x9E3779B1u;
}

/* false: no name of the set is spread so. */
static inline bool mt_names_may(const struct mt_names *names, uint32_t spread)
{
    uint32_t bit = spread >> 21;
    return names->filter[bit / 64] >> bit % 64 & 1;
}

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

/* Behind a container's own cells. */
static inline uint32_t mt_cell_first(const struct mt_cell *cells, uint32_t at)
{
    return at + 2 + (cells[at].flags >> 7);
}

static inline _Atomic(struct mt_doc *) *mt_cell_pocket(struct mt_cell *cells, uint32_t at)
{
    return (_Atomic(struct mt_doc *) *)(void *)&cells[at + 2];
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

/* v with nothing missing. */
static inline struct mt_val mt_val_whole(struct mt_val v)
{
    if (v.doc && mt_val_cell(v)->kind == MT_OBJECT && mt_val_cell(v)->flags & MT_CELL_PARTIAL)
        return mt_part_open(v);
    return v;
}

static inline struct mt_slice mt_cell_bytes(const struct mt_cell *c, const char *source, const char *side)
{
    return (struct mt_slice){(c->flags & MT_CELL_SIDE ? side : source) + c->from, c->n};
}

#endif
