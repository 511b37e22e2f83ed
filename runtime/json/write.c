/* Writing a value as compact JSON. Any thread. */
#include <stdlib.h>

#include "json/layout.h"
#include "json/scan.h"

struct level {
    struct mt_iter members;
    char close;
    bool comma;
};

enum { FEW_LEVELS = 32 };

/* Room for n bytes, the buffer's own check without a call where it holds; NULL: refused. */
static inline char *room(struct mt_buf *out, size_t n)
{
    if (!out->failed && n < out->cap - out->n && n <= out->max - out->n)
        return out->p + out->n;
    if (out->failed || !mt_buf_reserve(out, n))
        return NULL;
    return out->p + out->n;
}

static inline void put(struct mt_buf *out, const char *bytes, size_t n)
{
    char *p = room(out, n);
    if (p) {
        memcpy(p, bytes, n);
        out->n += n;
    }
}

static inline void put_char(struct mt_buf *out, char c)
{
    put(out, &c, 1);
}

static void put_string(struct mt_buf *out, struct mt_slice s, bool escape)
{
    if (escape) {
        mt_buf_put_json_string(out, s);
        return;
    }
    char *p = room(out, s.n + 2);
    if (!p)
        return;
    *p++ = '"';
    memcpy(p, s.p, s.n);
    p[s.n] = '"';
    out->n += s.n + 2;
}

/* Scalars, empty containers and those whose source is as it should be. */
static bool put_whole(struct mt_buf *out, struct mt_val v)
{
    const struct mt_cell *c = mt_val_cell(v);
    struct mt_slice bytes;
    switch (c->kind) {
    case MT_NULL:
        put(out, "null", 4);
        return true;
    case MT_BOOL:
        bytes = c->flags & MT_CELL_TRUE ? MT_SLICE("true") : MT_SLICE("false");
        put(out, bytes.p, bytes.n);
        return true;
    case MT_NUMBER:
        bytes = mt_cell_bytes(c, v.doc->source, v.doc->side);
        put(out, bytes.p, bytes.n);
        return true;
    case MT_STRING:
        put_string(out, mt_cell_bytes(c, v.doc->source, v.doc->side), c->flags & MT_CELL_ESCAPE);
        return true;
    default:
        if (c->flags & MT_CELL_TIDY) {
            put(out, v.doc->source + c->from, c->n);
            return true;
        }
        if (mt_val_count(v) == 0) {
            put(out, c->kind == MT_ARRAY ? "[]" : "{}", 2);
            return true;
        }
        return false;
    }
}

bool mt_val_write(struct mt_val v, struct mt_buf *out)
{
    struct level few[FEW_LEVELS], *stack = few;
    uint32_t cap = FEW_LEVELS, depth = 0;
    if (!v.doc) {
        put(out, "null", 4);
        return !out->failed;
    }
    for (;;) {
        v = mt_val_whole(v);
        if (!v.doc) { /* no memory for the rest of it */
            out->failed = true;
            break;
        }
        if (!put_whole(out, v)) {
            bool array = mt_val_is(v, MT_ARRAY);
            if (depth == cap)
                stack = mt_json_stack_grow(stack, few, &cap, sizeof *stack);
            stack[depth++] = (struct level){mt_iter_of(v), array ? ']' : '}', false};
            put_char(out, array ? '[' : '{');
        }
        struct mt_slice name;
        while (depth > 0 && !mt_iter_next(&stack[depth - 1].members, &name, &v))
            put_char(out, stack[--depth].close);
        if (depth == 0 || out->failed)
            break;
        struct level *top = &stack[depth - 1];
        if (top->comma)
            put_char(out, ',');
        top->comma = true;
        if (name.p) {
            put_string(out, name, mt_scan_plain(name.p, name.p + name.n) != name.p + name.n);
            put_char(out, ':');
        }
    }
    mt_json_stack_free(stack, few);
    return !out->failed;
}
