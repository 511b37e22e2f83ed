/* Documents: their references and reading. Any thread; a document is read-only by now. */
#include <stdlib.h>

#include "base/memory.h"
#include "json/layout.h"
#include "json/scan.h"

/* The one who drops a reference sees all that the others did with the document before it frees it. */
static bool last_reference(struct mt_doc *doc)
{
    if (atomic_fetch_sub_explicit(&doc->refs, 1, memory_order_acq_rel) != 1)
        return false;
    return true;
}

/* The one whose references are counted: a part lives as long as its owner. */
static struct mt_doc *counted(const struct mt_doc *doc)
{
    struct mt_doc *d = (struct mt_doc *)(uintptr_t)doc; /* the count is not part of what is read-only */
    return d->owner ? d->owner : d;
}

struct mt_doc *mt_doc_ref(const struct mt_doc *doc)
{
    if (doc)
        atomic_fetch_add_explicit(&counted(doc)->refs, 1, memory_order_relaxed);
    return (struct mt_doc *)(uintptr_t)doc;
}

/* Documents may refer to documents in long chains (a value wrapped again and again), so no recursion here. */
void mt_doc_unref(struct mt_doc *doc)
{
    if (!doc || !last_reference(doc = counted(doc)))
        return;
    struct mt_doc *dead = doc;
    doc->dead = NULL;
    while (dead) {
        doc = dead;
        dead = doc->dead;
        for (uint32_t i = 0; i < doc->other_count; i++) {
            struct mt_doc *other = counted(doc->others[i]);
            if (last_reference(other)) {
                other->dead = dead;
                dead = other;
            }
        }
        for (struct mt_doc *part = atomic_load(&doc->part), *next; part; part = next) {
            next = part->next;
            mt_part_free(part);
        }
        free(doc->cells);
        free(doc->source);
        free(doc->side);
        free(doc->index);
        free(doc->others);
        mt_names_free(doc->read);
        free(doc);
    }
}

bool mt_doc_failed(const struct mt_doc *doc)
{
    return doc && atomic_load_explicit(&counted(doc)->failed, memory_order_relaxed);
}

size_t mt_doc_bytes(const struct mt_doc *doc)
{
    if (!doc)
        return 0;
    doc = counted(doc);
    size_t bytes = doc->bytes;
    for (const struct mt_doc *part = atomic_load(&doc->part); part; part = part->next)
        bytes += part->bytes;
    return bytes;
}

/* The value at a cell, a reference resolved. References are made to resolved values only, so one step is all.
 */
static struct mt_val value_at(const struct mt_doc *doc, uint32_t at)
{
    const struct mt_cell *c = &doc->cells[at];
    if (c->kind == MT_CELL_REF)
        return (struct mt_val){doc->others[c->from], c->n};
    return (struct mt_val){doc, at};
}

struct mt_val mt_doc_root(const struct mt_doc *doc)
{
    return doc ? value_at(doc, 0) : (struct mt_val){NULL, 0};
}

struct mt_val mt_val_target(struct mt_val v)
{
    return v.doc ? value_at(v.doc, v.at) : v;
}

enum mt_kind mt_val_kind(struct mt_val v)
{
    return v.doc ? (enum mt_kind)mt_val_cell(v)->kind : MT_NULL;
}

bool mt_val_is(struct mt_val v, enum mt_kind kind)
{
    return v.doc && mt_val_cell(v)->kind == kind;
}

bool mt_val_true(struct mt_val v)
{
    return mt_val_is(v, MT_BOOL) && mt_val_cell(v)->flags & MT_CELL_TRUE;
}

static struct mt_slice bytes_of(struct mt_val v)
{
    return mt_cell_bytes(mt_val_cell(v), v.doc->source, v.doc->side);
}

struct mt_slice mt_val_string(struct mt_val v)
{
    return mt_val_is(v, MT_STRING) ? bytes_of(v) : (struct mt_slice){NULL, 0};
}

struct mt_slice mt_val_literal(struct mt_val v)
{
    return mt_val_is(v, MT_NUMBER) ? bytes_of(v) : (struct mt_slice){NULL, 0};
}

uint32_t mt_val_count(struct mt_val v)
{
    v = mt_val_whole(v);
    if (!mt_val_is(v, MT_ARRAY) && !mt_val_is(v, MT_OBJECT))
        return 0;
    const struct mt_cell *c = mt_val_cell(v);
    return c->link == v.at + 1 ? 0 : c[1].from;
}

struct mt_slice mt_val_source(struct mt_val v)
{
    if (!v.doc || !v.doc->source || (!mt_val_is(v, MT_ARRAY) && !mt_val_is(v, MT_OBJECT)))
        return (struct mt_slice){NULL, 0};
    const struct mt_cell *c = mt_val_cell(v);
    return (struct mt_slice){v.doc->source + c->from, c->n};
}

bool mt_val_index(struct mt_val array, uint32_t i, struct mt_val *out)
{
    if (!mt_val_is(array, MT_ARRAY) || i >= mt_val_count(array))
        return false;
    const struct mt_cell *cells = array.doc->cells, *c = &cells[array.at];
    uint32_t at = array.at + 2;
    if (c->flags & MT_CELL_INDEXED)
        at = array.doc->index[c[1].n + i];
    else if (c->link - at == c[1].from)
        at += i;
    else
        while (i--)
            at = mt_cell_after(cells, at);
    *out = value_at(array.doc, at);
    return true;
}

/* The cell of a name, 0 when there is none. */
static uint32_t find_name(const struct mt_doc *doc, uint32_t object, struct mt_slice name)
{
    const struct mt_cell *cells = doc->cells, *c = &cells[object];
    if (c->flags & MT_CELL_INDEXED) {
        const uint32_t *table = doc->index + c[1].n;
        uint64_t h = mt_json_hash(name);
        uint32_t mask = c[1].link - 1, slot = (uint32_t)h & mask;
        for (; table[slot]; slot = (slot + 1) & mask) {
            const struct mt_cell *met = &cells[table[slot]];
            if (met->mark == (uint16_t)(h >> 48) && met->n == name.n &&
                mt_scan_same(mt_cell_bytes(met, doc->source, doc->side).p, name.p, name.n))
                return table[slot];
        }
        return 0;
    }
    /* A name that came before is met first, and leads to the value that won. */
    for (uint32_t at = mt_cell_first(cells, object); at < c->link; at = mt_cell_after(cells, at + 1))
        if (cells[at].n == name.n &&
            mt_scan_same(mt_cell_bytes(&cells[at], doc->source, doc->side).p, name.p, name.n))
            return at;
    return 0;
}

bool mt_val_member(struct mt_val object, struct mt_slice name, struct mt_val *out)
{
    if (!mt_val_is(object, MT_OBJECT) || mt_val_cell(object)->link == object.at + 1)
        return false;
    if (mt_val_cell(object)->flags & MT_CELL_PARTIAL && !mt_names_has(object.doc->read, name)) {
        object = mt_part_open(object);
        if (!object.doc)
            return false;
    }
    uint32_t at = find_name(object.doc, object.at, name);
    if (at == 0)
        return false;
    *out = value_at(object.doc, object.doc->cells[at].link);
    return true;
}

bool mt_val_path(struct mt_val v, const char *dotted, struct mt_val *out)
{
    for (;;) {
        size_t n = strcspn(dotted, ".");
        if (!mt_val_member(v, (struct mt_slice){dotted, n}, &v))
            return false;
        if (dotted[n] == '\0')
            break;
        dotted += n + 1;
    }
    *out = v;
    return true;
}

struct mt_iter mt_iter_of(struct mt_val container)
{
    container = mt_val_whole(container);
    uint32_t left = mt_val_count(container);
    return (struct mt_iter){container, left ? mt_cell_first(container.doc->cells, container.at) : 0, left};
}

bool mt_iter_next(struct mt_iter *it, struct mt_slice *out_name, struct mt_val *out_value)
{
    if (it->left == 0)
        return false;
    it->left--;
    const struct mt_doc *doc = it->container.doc;
    const struct mt_cell *cells = doc->cells;
    if (mt_val_is(it->container, MT_ARRAY)) {
        *out_name = (struct mt_slice){NULL, 0};
        *out_value = value_at(doc, it->at);
        it->at = mt_cell_after(cells, it->at);
        return true;
    }
    while (cells[it->at].flags & MT_CELL_SHADOWED)
        it->at = mt_cell_after(cells, it->at + 1);
    const struct mt_cell *name = &cells[it->at];
    *out_name = mt_cell_bytes(name, doc->source, doc->side);
    *out_value = value_at(doc, name->link);
    it->at = mt_cell_after(cells, it->at + 1);
    return true;
}

bool mt_iter_next_member(struct mt_iter *it, struct mt_val *out_name, struct mt_val *out_value)
{
    struct mt_iter before = *it;
    struct mt_slice name;
    if (!mt_iter_next(it, &name, out_value))
        return false;
    *out_name = (struct mt_val){NULL, 0};
    if (!name.p)
        return true;
    const struct mt_cell *cells = before.container.doc->cells;
    while (cells[before.at].flags & MT_CELL_SHADOWED)
        before.at = mt_cell_after(cells, before.at + 1);
    *out_name = (struct mt_val){before.container.doc, before.at};
    return true;
}
