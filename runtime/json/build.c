/* The builder: writes the cells of a document value by value. One thread. The first error sticks: what comes
 * after it does nothing, and mt_builder_finish tells it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "json/layout.h"
#include "json/scan.h"

enum { MAX_DEPTH = 10000 }; /* the parser's, so that what is built can be read back */

/* A shorter string is copied rather than referred to, lest it hold a page of its document's. */
enum { COPIED = 64 };

struct mt_builder {
    struct mt_draft draft;
    uint32_t open, depth;
    uint32_t name; /* the name that waits for its value, or MT_NO_CELL */
    bool finished;
    struct mt_err err;
};

struct mt_builder *mt_builder_new(void)
{
    struct mt_builder *b = mt_alloc(sizeof *b);
    mt_draft_init(&b->draft, (struct mt_slice){NULL, 0});
    b->open = b->name = MT_NO_CELL;
    return b;
}

void mt_builder_free(struct mt_builder *b)
{
    if (!b)
        return;
    mt_draft_fini(&b->draft);
    free(b);
}

static bool in_object(const struct mt_builder *b)
{
    return b->open != MT_NO_CELL && b->draft.cells[b->open].kind == MT_OBJECT;
}

static void misused(struct mt_builder *b, const char *what)
{
    mt_fail(&b->err, MT_EINVAL, "building a JSON document: %s", what);
}

static void not_grown(struct mt_builder *b)
{
    if (b->draft.rc == MT_ELIMIT)
        mt_fail(&b->err, MT_ELIMIT,
                "building a JSON document: it is larger than one can be (4 GiB of text or 2^32 values)");
    else
        mt_fail(&b->err, MT_ENOMEM, "building a JSON document: no memory after %u values", b->draft.count);
}

/* May a value come here? Counts it. */
static bool place(struct mt_builder *b)
{
    if (b->err.rc != MT_OK)
        return false;
    if (b->finished)
        misused(b, "the builder is finished; one makes one document");
    else if (b->open == MT_NO_CELL && b->draft.count > 0)
        misused(b, "a second value at the top");
    else if (in_object(b) && b->name == MT_NO_CELL)
        misused(b, "a member without a name");
    if (b->err.rc != MT_OK)
        return false;
    if (b->name != MT_NO_CELL)
        b->draft.cells[b->name].link = b->draft.count;
    b->name = MT_NO_CELL;
    if (b->open != MT_NO_CELL)
        b->draft.cells[b->open + 1].from++;
    return true;
}

static void add(struct mt_builder *b, struct mt_cell value)
{
    struct mt_cell *c = mt_draft_add(&b->draft);
    if (c)
        *c = value;
    else
        not_grown(b);
}

/* Adds bytes to side, and the cell that spans them. */
static void add_bytes(struct mt_builder *b, enum mt_kind kind, uint8_t flags, struct mt_slice s)
{
    struct mt_draft *d = &b->draft;
    char *p = mt_draft_side(d, s.n + 1); /* a number's literal is ended by the NUL */
    if (!p) {
        not_grown(b);
        return;
    }
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    add(b, (struct mt_cell){.kind = (uint8_t)kind,
                            .flags = (uint8_t)(flags | MT_CELL_SIDE),
                            .from = (uint32_t)d->side.n,
                            .n = (uint32_t)s.n});
    d->side.n += s.n + (kind == MT_NUMBER);
}

/* Is it UTF-8? *out_escape: writing it may take escapes. */
static bool valid(struct mt_builder *b, struct mt_slice s, bool *out_escape)
{
    const char *p = s.p, *end = s.p + s.n;
    *out_escape = false;
    if (s.n == 0)
        return true;
    while ((p = mt_scan_plain(p, end)) < end) {
        if ((unsigned char)*p < 0x80) {
            *out_escape = true;
            p++;
            continue;
        }
        unsigned n = mt_scan_utf8(p, end);
        if (n == 0) {
            mt_fail(&b->err, MT_EINVAL,
                    "building a JSON document: byte %zu of a string (0x%02X) is not UTF-8", (size_t)(p - s.p),
                    (unsigned char)*p);
            return false;
        }
        p += n;
    }
    return true;
}

void mt_build_null(struct mt_builder *b)
{
    if (place(b))
        add(b, (struct mt_cell){.kind = MT_NULL});
}

void mt_build_bool(struct mt_builder *b, bool value)
{
    if (place(b))
        add(b, (struct mt_cell){.kind = MT_BOOL, .flags = value ? MT_CELL_TRUE : 0});
}

void mt_build_literal(struct mt_builder *b, struct mt_slice number)
{
    bool plain = false;
    const char *bad, *end = number.p + number.n;
    if (!number.p || mt_json_number(number.p, end, &plain, &bad) != end) {
        if (b->err.rc == MT_OK)
            mt_fail(&b->err, MT_EINVAL, "building a JSON document: \"%.*s\" is not a JSON number",
                    (int)(number.n < MT_FOREIGN ? number.n : MT_FOREIGN), number.p ? number.p : "");
        return;
    }
    if (place(b))
        add_bytes(b, MT_NUMBER, plain ? MT_CELL_INTEGER : 0, number);
}

void mt_build_int(struct mt_builder *b, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    mt_build_literal(b, (struct mt_slice){text, (size_t)n});
}

void mt_build_double(struct mt_builder *b, double value)
{
    if (value != value) {
        mt_build_null(b);
        return;
    }
    char text[MT_DOUBLE_SIZE];
    size_t n = mt_json_format_double(value, text);
    mt_build_literal(b, (struct mt_slice){text, n});
}

void mt_build_string(struct mt_builder *b, struct mt_slice value)
{
    bool escape;
    if (place(b) && valid(b, value, &escape))
        add_bytes(b, MT_STRING, escape ? MT_CELL_ESCAPE : 0, value);
}

static void open(struct mt_builder *b, enum mt_kind kind)
{
    if (!place(b))
        return;
    if (b->depth == MAX_DEPTH) {
        mt_fail(&b->err, MT_ELIMIT, "building a JSON document: nested deeper than the limit of %d levels",
                MAX_DEPTH);
        return;
    }
    uint32_t at = mt_draft_open(&b->draft, kind, false, b->open);
    if (at == MT_NO_CELL) {
        not_grown(b);
        return;
    }
    b->open = at;
    b->depth++;
}

void mt_build_array(struct mt_builder *b)
{
    open(b, MT_ARRAY);
}

void mt_build_object(struct mt_builder *b)
{
    open(b, MT_OBJECT);
}

void mt_build_name(struct mt_builder *b, struct mt_slice name)
{
    bool escape;
    if (b->err.rc != MT_OK)
        return;
    if (!in_object(b))
        misused(b, "a name outside an object");
    else if (b->name != MT_NO_CELL)
        misused(b, "a name behind a name");
    else if (valid(b, name, &escape)) {
        uint32_t at = b->draft.count;
        add_bytes(b, MT_STRING, escape ? MT_CELL_ESCAPE : 0, name);
        if (b->err.rc == MT_OK)
            b->name = at;
    }
}

void mt_build_end(struct mt_builder *b)
{
    if (b->err.rc != MT_OK)
        return;
    if (b->open == MT_NO_CELL) {
        misused(b, "an end without an open array or object");
        return;
    }
    if (b->name != MT_NO_CELL) {
        misused(b, "an end behind a name, where a value belongs");
        return;
    }
    bool duplicates;
    if (!mt_draft_close(&b->draft, b->open, &b->open, &duplicates))
        not_grown(b);
    b->depth--;
}

void mt_build_ref(struct mt_builder *b, struct mt_val v)
{
    if (b->err.rc != MT_OK)
        return;
    if (!v.doc) {
        misused(b, "a reference to no value");
        return;
    }
    const struct mt_cell *c = mt_val_cell(v);
    bool container = c->kind == MT_ARRAY || c->kind == MT_OBJECT;
    if (container ? c->link > v.at + 1 : c->kind == MT_STRING && c->n > COPIED) {
        if (place(b) && !mt_draft_refer(&b->draft, v))
            not_grown(b);
        return;
    }
    struct mt_cell copy = {.kind = c->kind,
                           .flags = c->flags & (MT_CELL_TRUE | MT_CELL_INTEGER | MT_CELL_ESCAPE)};
    if (!place(b))
        return;
    if (c->kind == MT_STRING || c->kind == MT_NUMBER) {
        add_bytes(b, c->kind, copy.flags, mt_cell_bytes(c, v.doc->source, v.doc->side));
        return;
    }
    if (container)
        copy.link = b->draft.count + 1;
    add(b, copy);
}

enum mt_rc mt_builder_finish(struct mt_builder *b, struct mt_doc **out_doc, struct mt_err *err)
{
    if (b->err.rc == MT_OK) {
        if (b->finished)
            misused(b, "the builder is finished; one makes one document");
        else if (b->open != MT_NO_CELL)
            misused(b, "an array or object is still open at the end");
        else if (b->draft.count == 0)
            misused(b, "no value");
    }
    if (b->err.rc == MT_OK) {
        struct mt_doc *doc;
        enum mt_rc rc = mt_draft_finish(&b->draft, NULL, &doc);
        if (rc == MT_OK) {
            b->finished = true;
            *out_doc = doc;
            return MT_OK;
        }
        not_grown(b);
    }
    if (err)
        *err = b->err;
    return b->err.rc;
}
