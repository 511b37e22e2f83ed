/* The operators + - * / % and negation. On the thread of the heap. */
#include <math.h>

#include "jq/heap.h"
#include "jq/native.h"

enum { MERGE_LEVELS = 10000, SUM_BUFFER = 128 };
#define REPEAT_MAX ((size_t)INT32_MAX)

static struct mt_jv refuse(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, const char *what)
{
    char x[MT_JV_SHOWN], y[MT_JV_SHOWN];
    return mt_jv_raise(h, "%s and %s cannot be %s", mt_jv_show(a, x), mt_jv_show(b, y), what);
}

static bool both(struct mt_jv a, struct mt_jv b, enum mt_kind kind)
{
    return mt_jv_is(a, kind) && mt_jv_is(b, kind);
}

/* A view of n bytes of a buffer. */
static struct mt_jv view(struct mt_jv_heap *h, struct mt_jv_bytes *bytes, size_t n)
{
    struct mt_jv_text *text = mt_heap_take(h, sizeof *text, MT_BLOCK_TEXT);
    if (!text)
        return MT_NONE;
    text->head.flags |= MT_BLOCK_SUM;
    text->n = n;
    text->bytes = bytes;
    return (struct mt_jv){.tag = MT_JV_STRING, .text = text};
}

/* a + b. The first sum is written out. A sum of a sum gets a buffer with room, into which the sums after it
 * are written in place, as long as each continues the newest: so a loop that appends is linear. */
static struct mt_jv add_strings(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    struct mt_slice s = mt_jv_text(a), t = mt_jv_text(b);
    if (t.n == 0)
        return a;
    if (s.n == 0)
        return b;
    if (!mt_jv_work(h, t.n / 64 + 1))
        return MT_NONE;
    size_t n = s.n + t.n;
    bool grows = a.tag == MT_JV_STRING && a.text->head.flags & MT_BLOCK_SUM && n >= SUM_BUFFER;
    struct mt_jv_bytes *bytes = grows ? a.text->bytes : NULL;
    if (bytes && bytes->used == s.n && bytes->cap - bytes->used >= t.n &&
        !(bytes->head.flags & MT_BLOCK_PERMANENT)) {
        memcpy(bytes->p + bytes->used, t.p, t.n);
        bytes->used = n;
        return view(h, bytes, n);
    }
    if (!mt_jv_work(h, s.n / 64))
        return MT_NONE;
    if (grows) {
        bytes = mt_heap_take(h, sizeof *bytes + 2 * n, MT_BLOCK_BYTES);
        if (!bytes)
            return MT_NONE;
        memcpy(bytes->p, s.p, s.n);
        memcpy(bytes->p + s.n, t.p, t.n);
        bytes->used = n;
        bytes->cap = 2 * n;
        return view(h, bytes, n);
    }
    char *out;
    struct mt_jv sum = mt_jv_string_room(h, n, &out);
    if (mt_jv_is_none(sum))
        return sum;
    memcpy(out, s.p, s.n);
    memcpy(out + s.n, t.p, t.n);
    sum.text->head.flags |= MT_BLOCK_SUM;
    return sum;
}

static struct mt_jv merge(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (mt_jv_count(a) == 0)
        return b;
    if (!mt_jv_work(h, mt_jv_count(b)))
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(b);
    struct mt_jv key, value;
    while (!mt_jv_is_none(a) && mt_jv_iter_next(&it, &key, &value))
        a = mt_jv_set(h, a, key, value);
    return a;
}

struct mt_jv mt_jv_add(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (a.tag == MT_JV_NUMBER && b.tag == MT_JV_NUMBER)
        return mt_jv_number(a.number + b.number);
    if (mt_jv_is(a, MT_NULL))
        return b;
    if (mt_jv_is(b, MT_NULL))
        return a;
    if (both(a, b, MT_STRING))
        return add_strings(h, a, b);
    if (both(a, b, MT_NUMBER))
        return mt_jv_number(mt_jv_double(a) + mt_jv_double(b));
    if (both(a, b, MT_ARRAY)) {
        if (mt_jv_count(a) == 0)
            return b;
        return mt_jv_work(h, mt_jv_count(b)) ? mt_jv_concat(h, a, b) : MT_NONE;
    }
    if (both(a, b, MT_OBJECT))
        return merge(h, a, b);
    return refuse(h, a, b, "added");
}

/* Elements of a that b does not have. b is sorted when it is long, so that each of a is looked up in it. */
static struct mt_jv difference(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    enum { FEW = 8 };
    struct mt_jv key, value, other, rest = mt_jv_array(h, 0), taken = b;
    size_t n = mt_jv_count(b);
    if (!mt_jv_work(h, mt_jv_count(a)) || mt_jv_is_none(rest))
        return MT_NONE;
    if (n > FEW) {
        taken = mt_order_sort(h, b);
        if (mt_jv_is_none(taken))
            return taken;
    }
    struct mt_jv_iter it = mt_jv_iter_of(a);
    while (!mt_jv_is_none(rest) && mt_jv_iter_next(&it, &key, &value)) {
        bool found = false;
        if (n > FEW) {
            size_t at;
            if (!mt_order_search(h, taken, value, &at, &found))
                return MT_NONE;
        } else {
            for (struct mt_jv_iter i = mt_jv_iter_of(b); !found && mt_jv_iter_peek(&i, &key, &other);)
                if (!mt_jv_same(h, value, other, &found))
                    return MT_NONE;
        }
        if (!found)
            rest = mt_jv_append(h, rest, value);
    }
    return rest;
}

struct mt_jv mt_jv_subtract(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (both(a, b, MT_NUMBER))
        return mt_jv_number(mt_jv_double(a) - mt_jv_double(b));
    if (both(a, b, MT_ARRAY))
        return difference(h, a, b);
    return refuse(h, a, b, "subtracted");
}

static struct mt_jv repeat(struct mt_jv_heap *h, struct mt_jv string, double times)
{
    struct mt_slice s = mt_jv_text(string);
    if (!(times >= 0)) /* nan too */
        return mt_jv_null();
    size_t n = times >= (double)REPEAT_MAX ? REPEAT_MAX : (size_t)times;
    if (n == 1 || s.n == 0)
        return string;
    if (n > 0 && s.n > REPEAT_MAX / n)
        return mt_jv_raise(h, "Repeat string result too long");
    char *out;
    struct mt_jv v = mt_jv_work(h, s.n * n / 64 + 1) ? mt_jv_string_room(h, s.n * n, &out) : MT_NONE;
    if (mt_jv_is_none(v) || n == 0)
        return v;
    memcpy(out, s.p, s.n);
    for (size_t done = s.n; done < s.n * n;) { /* doubling */
        size_t more = done < s.n * n - done ? done : s.n * n - done;
        memcpy(out + done, out, more);
        done += more;
    }
    return v;
}

/* a * b: members that are objects on both sides are merged in turn. */
static struct mt_jv merge_deeply(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, unsigned level)
{
    if (level > MERGE_LEVELS)
        return mt_jv_raise(h, "Object merge too deep");
    if (!mt_jv_work(h, mt_jv_count(b)))
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(b);
    struct mt_jv key, value;
    while (!mt_jv_is_none(a) && mt_jv_iter_next(&it, &key, &value)) {
        if (mt_jv_is(value, MT_OBJECT)) {
            struct mt_jv_object *o = mt_object_own(h, a, 0);
            if (!o)
                return MT_NONE;
            a = mt_jv_of_object(o);
            /* Not read out, so not marked: what is a's alone is changed in place. */
            struct mt_jv_pair *pair = mt_object_find(o, mt_jv_text(key));
            if (pair && mt_jv_is(pair->value, MT_OBJECT)) {
                value = merge_deeply(h, pair->value, value, level + 1);
                if (mt_jv_is_none(value))
                    return value;
            }
        }
        a = mt_jv_set(h, a, key, value);
    }
    return a;
}

struct mt_jv mt_jv_multiply(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (both(a, b, MT_NUMBER))
        return mt_jv_number(mt_jv_double(a) * mt_jv_double(b));
    if (mt_jv_is(a, MT_STRING) && mt_jv_is(b, MT_NUMBER))
        return repeat(h, a, mt_jv_double(b));
    if (mt_jv_is(a, MT_NUMBER) && mt_jv_is(b, MT_STRING))
        return repeat(h, b, mt_jv_double(a));
    if (both(a, b, MT_OBJECT))
        return merge_deeply(h, a, b, 0);
    return refuse(h, a, b, "multiplied");
}

/* A piece of text, valid UTF-8 as the whole is. */
static struct mt_jv piece(struct mt_jv_heap *h, const char *p, size_t n)
{
    char *out;
    struct mt_jv v = mt_jv_string_room(h, n, &out);
    if (!mt_jv_is_none(v) && n > 0)
        memcpy(out, p, n);
    return v;
}

static struct mt_jv split(struct mt_jv_heap *h, struct mt_slice s, struct mt_slice by)
{
    struct mt_jv parts = mt_jv_work(h, s.n / 8 + 1) ? mt_jv_array(h, 0) : MT_NONE;
    const char *end = s.p + s.n;
    while (s.n > 0 && !mt_jv_is_none(parts)) {
        const char *at = by.n > 0 ? memmem(s.p, s.n, by.p, by.n) : s.p + 1;
        while (by.n == 0 && at < end && (*at & 0xC0) == 0x80)
            at++;
        struct mt_jv part = mt_jv_work(h, 1) ? piece(h, s.p, (size_t)((at ? at : end) - s.p)) : MT_NONE;
        parts = mt_jv_is_none(part) ? part : mt_jv_append(h, parts, part);
        if (!at || mt_jv_is_none(parts))
            break;
        s.p = at + by.n;
        s.n = (size_t)(end - s.p);
        if (s.n == 0 && by.n > 0) { /* the separator was the end: something empty is behind it */
            part = piece(h, "", 0);
            parts = mt_jv_is_none(part) ? part : mt_jv_append(h, parts, part);
        }
    }
    return parts;
}

struct mt_jv mt_jv_divide(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (both(a, b, MT_NUMBER)) {
        double divisor = mt_jv_double(b);
        if (divisor == 0)
            return refuse(h, a, b, "divided because the divisor is zero");
        return mt_jv_number(mt_jv_double(a) / divisor);
    }
    if (both(a, b, MT_STRING))
        return split(h, mt_jv_text(a), mt_jv_text(b));
    return refuse(h, a, b, "divided");
}

static int64_t truncated(double d)
{
    if (d >= 0x1p63)
        return INT64_MAX;
    return d < -0x1p63 ? INT64_MIN : (int64_t)d;
}

struct mt_jv mt_jv_modulo(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (!both(a, b, MT_NUMBER))
        return refuse(h, a, b, "divided (remainder)");
    double x = mt_jv_double(a), y = mt_jv_double(b);
    if (isnan(x) || isnan(y))
        return mt_jv_number(NAN);
    int64_t divisor = truncated(y);
    if (divisor == 0)
        return refuse(h, a, b, "divided (remainder) because the divisor is zero");
    return mt_jv_number(divisor == -1 ? 0 : (double)(truncated(x) % divisor)); /* -1: overflow */
}

struct mt_jv mt_jv_negate(struct mt_jv_heap *h, struct mt_jv a)
{
    if (a.tag == MT_JV_NUMBER) {
        a.number = -a.number;
        return a;
    }
    if (!mt_jv_is(a, MT_NUMBER)) {
        char shown[MT_JV_SHOWN];
        return mt_jv_raise(h, "%s cannot be negated", mt_jv_show(a, shown));
    }
    struct mt_slice s = mt_jv_spelling(a);
    if (s.p[0] == '-')
        return mt_jv_literal(h, (struct mt_slice){s.p + 1, s.n - 1});
    char *out;
    struct mt_jv v = mt_jv_string_room(h, s.n + 1, &out);
    if (!mt_jv_is_none(v)) {
        out[0] = '-';
        memcpy(out + 1, s.p, s.n);
        v.tag = MT_JV_LITERAL;
    }
    return v;
}
