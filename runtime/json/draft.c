/* A document while it grows: see layout.h. The parser and the builder write cells through it; both close
 * containers here, where duplicate names are settled and the index is made. */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/memory.h"
#include "json/layout.h"
#include "json/scan.h"

void mt_draft_init(struct mt_draft *d, struct mt_slice source)
{
    /* REST answers have a cell each 20 bytes or more, bare numbers each 2. Not above 16 MB at once: it may be
     * one long string. */
    size_t expected = source.n / 16 + 8;
    *d = (struct mt_draft){.source = source.p, .expected = expected < 1 << 20 ? (uint32_t)expected : 1 << 20};
    mt_buf_init(&d->side, UINT32_MAX);
}

void mt_draft_fini(struct mt_draft *d)
{
    free(d->cells);
    free(d->index);
    mt_buf_fini(&d->side);
    for (uint32_t i = 0; i < d->other_count; i++)
        mt_doc_unref(d->others[i]);
    free(d->others);
    mt_draft_init(d, (struct mt_slice){NULL, 0});
}

static bool refuse(struct mt_draft *d, enum mt_rc rc)
{
    d->rc = rc;
    return false;
}

bool mt_draft_grow(struct mt_draft *d)
{
    if (d->cap > UINT32_MAX / 2)
        return refuse(d, MT_ELIMIT);
    uint32_t cap = d->cap ? d->cap * 2 : d->expected;
    struct mt_cell *cells = realloc(d->cells, (size_t)cap * sizeof *cells);
    if (!cells)
        return refuse(d, MT_ENOMEM);
    d->cells = cells;
    d->cap = cap;
    return true;
}

char *mt_draft_side(struct mt_draft *d, size_t n)
{
    if (n > d->side.max - d->side.n) {
        refuse(d, MT_ELIMIT);
        return NULL;
    }
    if (!mt_buf_reserve(&d->side, n)) {
        refuse(d, MT_ENOMEM);
        return NULL;
    }
    return d->side.p + d->side.n;
}

bool mt_draft_refer(struct mt_draft *d, struct mt_val v)
{
    /* Values are taken from few documents in turn; an older one that is entered twice costs 8 bytes. */
    uint32_t i = d->other_count, last = i > 8 ? i - 8 : 0;
    while (i > last && d->others[i - 1] != v.doc)
        i--;
    if (i == last) {
        if (d->other_count == d->other_cap) {
            if (d->other_cap > UINT32_MAX / 2)
                return refuse(d, MT_ELIMIT);
            uint32_t cap = d->other_cap ? d->other_cap * 2 : 4;
            struct mt_doc **others = realloc(d->others, cap * sizeof *others);
            if (!others)
                return refuse(d, MT_ENOMEM);
            d->others = others;
            d->other_cap = cap;
        }
        d->others[d->other_count++] = mt_doc_ref(v.doc);
        i = d->other_count;
    }
    struct mt_cell *c = mt_draft_add(d);
    if (!c)
        return false;
    *c = (struct mt_cell){.kind = MT_CELL_REF, .from = i - 1, .n = v.at};
    return true;
}

uint32_t mt_draft_open(struct mt_draft *d, enum mt_kind kind, bool pocket, uint32_t parent)
{
    uint32_t at = d->count;
    struct mt_cell *c = mt_draft_add(d);
    if (!c)
        return MT_NO_CELL;
    *c = (struct mt_cell){.kind = (uint8_t)kind, .flags = pocket ? MT_CELL_POCKET : 0, .link = parent};
    c = mt_draft_add(d);
    if (!c)
        return MT_NO_CELL;
    *c = (struct mt_cell){.kind = MT_CELL_EXTENT};
    if (pocket) {
        if (!mt_draft_add(d))
            return MT_NO_CELL;
        atomic_init(mt_cell_pocket(d->cells, at), NULL);
    }
    return at;
}

/* Chosen by chance once a process, so that nobody can choose member names that fall into one slot. */
static uint64_t hash_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (s == 0) {
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != sizeof s)
            s = mt_now_ns();
        uint64_t none = 0;
        s |= 1;
        if (!atomic_compare_exchange_strong(&seed, &none, s))
            s = none;
    }
    return s;
}

uint64_t mt_json_hash(struct mt_slice name)
{
    return XXH3_64bits_withSeed(name.p, name.n, hash_seed());
}

static uint32_t *index_room(struct mt_draft *d, size_t n)
{
    if (d->index_count + n > UINT32_MAX) {
        refuse(d, MT_ELIMIT);
        return NULL;
    }
    if (d->index_count + n > d->index_cap) {
        size_t cap = d->index_cap * 2 > d->index_count + n ? d->index_cap * 2 : d->index_count + n;
        uint32_t *index = realloc(d->index, cap * sizeof *index);
        if (!index) {
            refuse(d, MT_ENOMEM);
            return NULL;
        }
        d->index = index;
        d->index_cap = cap;
    }
    uint32_t *part = d->index + d->index_count;
    d->index_count += n;
    return part;
}

static bool same_name(const struct mt_draft *d, const struct mt_cell *a, const struct mt_cell *b)
{
    return a->n == b->n && mt_scan_same(mt_cell_bytes(a, d->source, d->side.p).p,
                                        mt_cell_bytes(b, d->source, d->side.p).p, a->n);
}

/* The later of two equal names: its value moves to the earlier one's place. */
static void shadow(struct mt_cell *earlier, struct mt_cell *later)
{
    earlier->link = later->link;
    later->flags |= MT_CELL_SHADOWED;
}

static uint32_t compare_names(struct mt_draft *d, uint32_t first)
{
    uint32_t distinct[MT_FEW], n = 0;
    for (uint32_t at = first; at < d->count; at = mt_cell_after(d->cells, at + 1)) {
        struct mt_cell *c = &d->cells[at];
        uint32_t i = 0;
        while (i < n && !same_name(d, &d->cells[distinct[i]], c))
            i++;
        if (i < n)
            shadow(&d->cells[distinct[i]], c);
        else
            distinct[n++] = at;
    }
    return n;
}

/* Returns the number of distinct names, 0 on failure. The table is between a quarter and a half full; 0 is a
 * free slot, as the root is no name. */
static uint32_t index_names(struct mt_draft *d, uint32_t container)
{
    struct mt_cell *extent = &d->cells[container + 1];
    uint64_t size = 4 * MT_FEW;
    while (size < (uint64_t)extent->from * 2)
        size *= 2;
    size_t part = d->index_count;
    uint32_t *table = index_room(d, size);
    if (!table)
        return 0;
    memset(table, 0, size * sizeof *table);
    uint64_t seed = hash_seed();
    uint32_t n = 0, mask = (uint32_t)(size - 1);
    for (uint32_t at = mt_cell_first(d->cells, container); at < d->count;
         at = mt_cell_after(d->cells, at + 1)) {
        struct mt_cell *c = &d->cells[at];
        struct mt_slice name = mt_cell_bytes(c, d->source, d->side.p);
        uint64_t h = XXH3_64bits_withSeed(name.p, name.n, seed);
        c->mark = (uint16_t)(h >> 48);
        uint32_t slot = (uint32_t)h & mask;
        struct mt_cell *met = NULL;
        for (; table[slot]; slot = (slot + 1) & mask) {
            met = &d->cells[table[slot]];
            if (met->mark == c->mark && same_name(d, met, c))
                break;
        }
        if (table[slot]) {
            shadow(met, c);
            continue;
        }
        table[slot] = at;
        n++;
    }
    extent->n = (uint32_t)part;
    extent->link = (uint32_t)size;
    d->cells[container].flags |= MT_CELL_INDEXED;
    return n;
}

static bool index_elements(struct mt_draft *d, uint32_t container)
{
    struct mt_cell *extent = &d->cells[container + 1];
    if (d->count - (container + 2) == extent->from)
        return true;
    size_t part = d->index_count;
    uint32_t *elements = index_room(d, extent->from);
    if (!elements)
        return false;
    for (uint32_t at = container + 2; at < d->count; at = mt_cell_after(d->cells, at))
        *elements++ = at;
    extent->n = (uint32_t)part;
    extent->link = extent->from;
    d->cells[container].flags |= MT_CELL_INDEXED;
    return true;
}

bool mt_draft_close(struct mt_draft *d, uint32_t at, uint32_t *out_parent, bool *out_duplicates)
{
    struct mt_cell *c = &d->cells[at], *extent = c + 1;
    uint32_t parent = c->link, met = extent->from, missing = c->n;
    *out_duplicates = false;
    if (missing)
        c->flags |= MT_CELL_PARTIAL;
    if (met == 0 && missing == 0) {
        c->flags = 0;
        d->count = at + 1;
    } else if (c->kind == MT_ARRAY) {
        if (met > MT_FEW && !index_elements(d, at))
            return false;
    } else if (met > 0) {
        uint32_t distinct = met > MT_FEW ? index_names(d, at) : compare_names(d, mt_cell_first(d->cells, at));
        if (distinct == 0)
            return false;
        extent->from = distinct;
        *out_duplicates = distinct != met;
    }
    c->link = d->count;
    *out_parent = parent;
    return true;
}

/* Gives back what growing took too much; a refusal keeps the larger piece. */
static void *trimmed(void *p, size_t used, size_t held, size_t *bytes)
{
    void *smaller = NULL;
    if (p && held - used > used / 8 + 64)
        smaller = realloc(p, used ? used : 1);
    *bytes += smaller ? used : held;
    return smaller ? smaller : p;
}

enum mt_rc mt_draft_finish(struct mt_draft *d, struct mt_buf *source, struct mt_doc **out_doc)
{
    struct mt_doc *doc = mt_try_alloc(sizeof *doc);
    if (!doc)
        return MT_ENOMEM;
    *doc = (struct mt_doc){.bytes = sizeof *doc + d->other_cap * sizeof(struct mt_doc *),
                           .others = d->others,
                           .other_count = d->other_count};
    atomic_init(&doc->refs, 1);
    doc->cells = trimmed(d->cells, d->count * sizeof *d->cells, d->cap * sizeof *d->cells, &doc->bytes);
    doc->side = trimmed(d->side.p, d->side.n, d->side.cap, &doc->bytes);
    doc->index =
        trimmed(d->index, d->index_count * sizeof *d->index, d->index_cap * sizeof *d->index, &doc->bytes);
    if (source) {
        size_t held = source->cap, n = 0;
        char *text = mt_buf_take(source, &n);
        doc->source = trimmed(text, n + 1, held, &doc->bytes);
    }
    mt_draft_init(d, (struct mt_slice){NULL, 0});
    *out_doc = doc;
    return MT_OK;
}

void *mt_json_stack_grow(void *stack, const void *borrowed, uint32_t *cap, size_t size)
{
    bool moves = stack == borrowed;
    void *bigger = mt_realloc(moves ? NULL : stack, (size_t)*cap * 2 * size);
    if (moves)
        memcpy(bigger, stack, (size_t)*cap * size);
    *cap *= 2;
    return bigger;
}

void mt_json_stack_free(void *stack, const void *borrowed)
{
    if (stack != borrowed)
        free(stack);
}
