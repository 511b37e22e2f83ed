/* Making and reading values: scalars, strings, values of documents; raising. The heap is in heap.c, arrays
 * and objects are in array.c and object.c. On the thread of the heap. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "jq/decimal.h"
#include "jq/heap.h"

struct mt_jv mt_jv_raise_value(struct mt_jv_heap *h, struct mt_jv error)
{
    h->fault = MT_FAULT_ERROR;
    h->error = error;
    return MT_NONE;
}

enum { RAISE_STEPS = 16 }; /* values are written into messages */

struct mt_jv mt_jv_raise(struct mt_jv_heap *h, const char *format, ...)
{
    char few[512], *text = few;
    va_list args, again;
    if (!mt_jv_work(h, RAISE_STEPS))
        return MT_NONE;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(few, sizeof few, format, args);
    if (n >= (int)sizeof few) {
        text = mt_try_alloc((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    va_end(args);
    struct mt_jv message = mt_jv_string_of(h, text ? text : few); /* cut short rather than not said */
    if (text != few)
        free(text);
    return mt_jv_is_none(message) ? MT_NONE : mt_jv_raise_value(h, message);
}

struct mt_jv mt_jv_string_room(struct mt_jv_heap *h, size_t n, char **out)
{
    struct mt_jv_text *text = n < h->max ? mt_heap_take(h, sizeof *text + n + 1, MT_BLOCK_TEXT) : NULL;
    if (!text) {
        h->fault = MT_FAULT_MEMORY;
        h->error = MT_NONE;
        return MT_NONE;
    }
    text->n = n;
    text->bytes = NULL;
    text->own[n] = '\0';
    *out = text->own;
    return (struct mt_jv){.tag = MT_JV_STRING, .text = text};
}

void mt_jv_string_cut(struct mt_jv_heap *h, struct mt_jv string, size_t n)
{
    struct mt_jv_text *text = string.text;
    text->n = n;
    text->own[n] = '\0';
    mt_heap_shrink(h, &text->head, sizeof *text + n + 1);
}

/* Where text stops being valid UTF-8. */
static size_t valid_bytes(struct mt_slice text)
{
    if (text.n == 0) /* no bytes may be no pointer either */
        return 0;
    const char *p = text.p, *end = text.p + text.n;
    while (p < end) {
        uint64_t word;
        if (end - p >= 8 && (memcpy(&word, p, 8), !(word & 0x8080808080808080ull))) {
            p += 8;
            continue;
        }
        unsigned n = *p & 0x80 ? mt_utf8_length(p, end) : 1;
        if (n == 0)
            break;
        p += n;
    }
    return (size_t)(p - text.p);
}

/* A broken sequence: its first byte, and those behind it that would continue it. */
static size_t broken_bytes(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p;
    size_t most = c >= 0xF0 && c < 0xF8   ? 4
                  : c >= 0xE0 && c < 0xF0 ? 3
                  : c >= 0xC0 && c < 0xE0 ? 2
                                          : 1,
           n = 1;
    while (n < most && p + n < end && (p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static struct mt_jv mend(struct mt_jv_heap *h, struct mt_slice text, size_t valid)
{
    size_t most = text.n > SIZE_MAX / 3 ? SIZE_MAX / 3 : text.n;
    char *out;
    struct mt_jv v = mt_jv_string_room(h, 3 * most, &out);
    if (mt_jv_is_none(v))
        return v;
    char *to = out;
    const char *end = text.p + text.n;
    for (;;) {
        memcpy(to, text.p, valid);
        to += valid;
        text.p += valid;
        if (text.p == end)
            break;
        memcpy(to, "\xEF\xBF\xBD", 3);
        to += 3;
        text.p += broken_bytes(text.p, end);
        text.n = (size_t)(end - text.p);
        valid = valid_bytes(text);
    }
    mt_jv_string_cut(h, v, (size_t)(to - out));
    return v;
}

struct mt_jv mt_jv_string(struct mt_jv_heap *h, struct mt_slice text)
{
    size_t valid = valid_bytes(text);
    if (valid < text.n)
        return mend(h, text, valid);
    char *out;
    struct mt_jv v = mt_jv_string_room(h, text.n, &out);
    if (!mt_jv_is_none(v) && text.n > 0)
        memcpy(out, text.p, text.n);
    return v;
}

struct mt_jv mt_jv_string_of(struct mt_jv_heap *h, const char *text)
{
    return mt_jv_string(h, mt_slice_of(text));
}

struct mt_jv mt_jv_literal(struct mt_jv_heap *h, struct mt_slice literal)
{
    double value;
    if (mt_decimal_plain(literal, &value))
        return (struct mt_jv){.tag = MT_JV_NUMBER, .at = 1, .number = value};
    char *out;
    struct mt_jv v = mt_jv_string_room(h, literal.n, &out);
    if (!mt_jv_is_none(v)) {
        memcpy(out, literal.p, literal.n);
        v.tag = MT_JV_LITERAL;
    }
    return v;
}

struct mt_jv mt_jv_of(struct mt_val v)
{
    double value;
    if (!v.doc)
        return mt_jv_null();
    switch (mt_val_kind(v)) {
    case MT_NULL:
        return mt_jv_null();
    case MT_BOOL:
        return mt_jv_bool(mt_val_true(v));
    case MT_NUMBER:
        if (mt_decimal_plain(mt_val_literal(v), &value))
            return (struct mt_jv){.tag = MT_JV_NUMBER, .at = 1, .number = value};
        break;
    default:
        break;
    }
    return (struct mt_jv){.tag = MT_JV_DOC, .at = v.at, .doc = v.doc};
}

static struct mt_val val_of(struct mt_jv v)
{
    return (struct mt_val){v.doc, v.at};
}

enum mt_kind mt_jv_kind(struct mt_jv v)
{
    static const uint8_t kinds[] = {
        [MT_JV_NONE] = MT_NULL,     [MT_JV_NULL] = MT_NULL,     [MT_JV_FALSE] = MT_BOOL,
        [MT_JV_TRUE] = MT_BOOL,     [MT_JV_NUMBER] = MT_NUMBER, [MT_JV_LITERAL] = MT_NUMBER,
        [MT_JV_STRING] = MT_STRING, [MT_JV_ARRAY] = MT_ARRAY,   [MT_JV_OBJECT] = MT_OBJECT,
    };
    return v.tag == MT_JV_DOC ? mt_val_kind(val_of(v)) : (enum mt_kind)kinds[v.tag];
}

const char *mt_jv_kind_name(struct mt_jv v)
{
    static const char *const names[] = {
        [MT_NULL] = "null",     [MT_BOOL] = "boolean", [MT_NUMBER] = "number",
        [MT_STRING] = "string", [MT_ARRAY] = "array",  [MT_OBJECT] = "object",
    };
    return names[mt_jv_kind(v)];
}

bool mt_jv_is(struct mt_jv v, enum mt_kind kind)
{
    return v.tag != MT_JV_NONE && mt_jv_kind(v) == kind;
}

static struct mt_slice slice_of(const struct mt_jv_text *text)
{
    return (struct mt_slice){text->bytes ? text->bytes->p : text->own, text->n};
}

double mt_jv_double(struct mt_jv v)
{
    switch (v.tag) {
    case MT_JV_NUMBER:
        return v.number;
    case MT_JV_LITERAL:
        return mt_decimal_double(slice_of(v.text));
    case MT_JV_DOC: {
        /* Up to 17 digits, the point and the sign, both are the nearest. */
        struct mt_slice s = mt_val_literal(val_of(v));
        return s.n <= 18 ? mt_val_double(val_of(v)) : mt_decimal_double(s);
    }
    default:
        return 0;
    }
}

bool mt_jv_int64(struct mt_jv v, int64_t *out)
{
    switch (v.tag) {
    case MT_JV_NUMBER:
        /* 2^63 is a double, the largest int64 is not. */
        if (!(v.number >= -0x1p63 && v.number < 0x1p63) || v.number != trunc(v.number))
            return false;
        *out = (int64_t)v.number;
        return true;
    case MT_JV_LITERAL:
        return mt_decimal_int64(slice_of(v.text), out);
    case MT_JV_DOC:
        return mt_val_int64(val_of(v), out);
    default:
        return false;
    }
}

struct mt_slice mt_jv_spelling(struct mt_jv v)
{
    if (v.tag == MT_JV_LITERAL)
        return slice_of(v.text);
    if (v.tag == MT_JV_DOC)
        return mt_val_literal(val_of(v));
    return (struct mt_slice){NULL, 0};
}

struct mt_slice mt_jv_text(struct mt_jv v)
{
    if (v.tag == MT_JV_STRING)
        return slice_of(v.text);
    if (v.tag == MT_JV_DOC)
        return mt_val_string(val_of(v));
    return (struct mt_slice){NULL, 0};
}

size_t mt_jv_count(struct mt_jv v)
{
    switch (v.tag) {
    case MT_JV_ARRAY:
        return v.array->count;
    case MT_JV_OBJECT:
        return v.object->count;
    case MT_JV_DOC:
        return mt_val_count(val_of(v));
    default:
        return 0;
    }
}

struct mt_jv mt_jv_index(struct mt_jv array, size_t i)
{
    struct mt_val found;
    if (array.tag == MT_JV_ARRAY && i < array.array->count)
        return mt_jv_share(mt_array_items(array.array)[i]);
    if (array.tag == MT_JV_DOC && i < UINT32_MAX && mt_val_index(val_of(array), (uint32_t)i, &found))
        return mt_jv_of(found);
    return MT_NONE;
}

struct mt_jv mt_jv_member(struct mt_jv object, struct mt_slice name)
{
    struct mt_val found;
    if (object.tag == MT_JV_OBJECT) {
        const struct mt_jv_pair *pair = mt_object_find(object.object, name);
        return pair ? mt_jv_share(pair->value) : MT_NONE;
    }
    if (object.tag == MT_JV_DOC && mt_val_member(val_of(object), name, &found))
        return mt_jv_of(found);
    return MT_NONE;
}

struct mt_jv_iter mt_jv_iter_of(struct mt_jv container)
{
    struct mt_jv_iter it = {.container = container};
    if (container.tag == MT_JV_DOC)
        it.doc = mt_iter_of(val_of(container));
    return it;
}

bool mt_jv_iter_peek(struct mt_jv_iter *it, struct mt_jv *out_key, struct mt_jv *out_value)
{
    if (it->container.tag == MT_JV_DOC) {
        struct mt_val name, value;
        if (!mt_iter_next_member(&it->doc, &name, &value))
            return false;
        *out_key = name.doc ? (struct mt_jv){.tag = MT_JV_DOC, .at = name.at, .doc = name.doc} : MT_NONE;
        *out_value = mt_jv_of(value);
        return true;
    }
    if (it->container.tag == MT_JV_ARRAY) {
        const struct mt_jv_array *a = it->container.array;
        if (it->at >= a->count)
            return false;
        *out_key = MT_NONE;
        *out_value = mt_array_items(a)[it->at++];
        return true;
    }
    const struct mt_jv_table *t = it->container.tag == MT_JV_OBJECT ? it->container.object->table : NULL;
    while (t && it->at < t->used) {
        const struct mt_jv_pair *pair = &t->pairs[it->at++];
        if (mt_jv_is_none(pair->key))
            continue;
        *out_key = pair->key;
        *out_value = pair->value;
        return true;
    }
    return false;
}

bool mt_jv_iter_next(struct mt_jv_iter *it, struct mt_jv *out_key, struct mt_jv *out_value)
{
    if (!mt_jv_iter_peek(it, out_key, out_value))
        return false;
    mt_jv_share(*out_value);
    return true;
}

void mt_jv_share_container(struct mt_jv v)
{
    struct mt_jv_block *head = mt_jv_head(v);
    if (!(head->flags & MT_BLOCK_SHARED)) /* of a frozen heap all are: nothing is written there */
        head->flags |= MT_BLOCK_SHARED;
}

void mt_jv_share_all(const struct mt_jv *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mt_jv_share(v[i]);
}

bool mt_jv_deepen(struct mt_jv_heap *h, struct mt_jv_block *container, struct mt_jv child)
{
    unsigned depth = mt_jv_depth(child) + 1u;
    if (depth > MT_JV_DEPTH) {
        mt_jv_raise(h, "A value nests deeper than %d levels", MT_JV_DEPTH);
        return false;
    }
    if (depth > container->depth)
        container->depth = (uint16_t)depth;
    return true;
}
