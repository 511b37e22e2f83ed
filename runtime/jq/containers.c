/* Natives over arrays and objects: sizes, names, membership, entries, flattening, adding up. Searching is in
 * search.c, sorting in sort.c. On the thread of the heap. */
#include <math.h>

#include "jq/heap.h"
#include "jq/native.h"
#include "jq/search.h"
#include "jq/text.h"

static struct mt_jv refuse(struct mt_jv_heap *h, struct mt_jv v, const char *what)
{
    char shown[MT_JV_SHOWN];
    return mt_jv_raise(h, "%s %s", mt_jv_show(v, shown), what);
}

static bool is_container(struct mt_jv v)
{
    return mt_jv_is(v, MT_ARRAY) || mt_jv_is(v, MT_OBJECT);
}

/* v if it can be gone through in as many steps as it has parts; else raises. */
static bool iterable(struct mt_jv_heap *h, struct mt_jv v)
{
    if (is_container(v))
        return mt_jv_work(h, mt_jv_count(v));
    mt_jv_not_iterable(h, v);
    return false;
}

static struct mt_jv length(struct mt_jv_heap *h, struct mt_jv *args)
{
    switch (mt_jv_kind(args[0])) {
    case MT_NULL:
        return mt_jv_number(0);
    case MT_BOOL:
        return refuse(h, args[0], "has no length");
    case MT_NUMBER:
        return mt_jv_double(args[0]) < 0 ? mt_jv_negate(h, args[0]) : args[0];
    case MT_STRING: {
        struct mt_slice s = mt_jv_text(args[0]);
        size_t points = 0;
        if (!mt_jv_work(h, s.n / 64))
            return MT_NONE;
        for (size_t i = 0; i < s.n; i++)
            points += (s.p[i] & 0xC0) != 0x80;
        return mt_jv_number((double)points);
    }
    default:
        return mt_jv_number((double)mt_jv_count(args[0]));
    }
}

static struct mt_jv utf8bytelength(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_STRING))
        return refuse(h, args[0], "only strings have UTF-8 byte length");
    return mt_jv_number((double)mt_jv_text(args[0]).n);
}

static struct mt_jv type(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_jv_string_of(h, mt_jv_kind_name(args[0]));
}

static struct mt_jv positions(struct mt_jv_heap *h, size_t n)
{
    struct mt_jv out = mt_jv_work(h, n) ? mt_jv_array(h, n) : MT_NONE;
    for (size_t i = 0; i < n && !mt_jv_is_none(out); i++)
        out = mt_jv_append(h, out, mt_jv_number((double)i));
    return out;
}

static struct mt_jv keys(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (mt_jv_is(args[0], MT_ARRAY))
        return positions(h, mt_jv_count(args[0]));
    return mt_jv_is(args[0], MT_OBJECT) ? mt_jv_keys(h, args[0]) : refuse(h, args[0], "has no keys");
}

static struct mt_jv keys_unsorted(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_OBJECT))
        return keys(h, args);
    size_t n = mt_jv_count(args[0]);
    struct mt_jv out = mt_jv_work(h, n) ? mt_jv_array(h, n) : MT_NONE, key, value;
    struct mt_jv_iter it = mt_jv_iter_of(args[0]);
    while (!mt_jv_is_none(out) && mt_jv_iter_peek(&it, &key, &value))
        out = mt_jv_append(h, out, key);
    return out;
}

static struct mt_jv has(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv v = args[0], key = args[1];
    enum mt_kind kind = mt_jv_kind(v), by = mt_jv_kind(key);
    if (by == MT_STRING && (kind == MT_OBJECT || kind == MT_NULL))
        return mt_jv_name_work(h, mt_jv_text(key))
                   ? mt_jv_bool(!mt_jv_is_none(mt_jv_member(v, mt_jv_text(key))))
                   : MT_NONE;
    if (by == MT_NUMBER && (kind == MT_ARRAY || kind == MT_NULL)) {
        double d = mt_jv_double(key);
        return mt_jv_bool(d > -1 && d < (double)mt_jv_count(v));
    }
    return mt_jv_raise(h, "Cannot check whether %s has a %s key", mt_jv_kind_name(v), mt_jv_kind_name(key));
}

static struct mt_jv add(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv sum = mt_jv_null(), key, value;
    if (!iterable(h, args[0]))
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(args[0]);
    while (!mt_jv_is_none(sum) && mt_jv_iter_next(&it, &key, &value))
        sum = mt_jv_add(h, sum, value);
    return sum;
}

static struct mt_jv some(struct mt_jv_heap *h, struct mt_jv v, bool wanted)
{
    struct mt_jv key, value;
    if (!iterable(h, v))
        return MT_NONE;
    for (struct mt_jv_iter it = mt_jv_iter_of(v); mt_jv_iter_peek(&it, &key, &value);)
        if (mt_jv_truthy(value) == wanted)
            return mt_jv_bool(wanted);
    return mt_jv_bool(!wanted);
}

static struct mt_jv any(struct mt_jv_heap *h, struct mt_jv *args)
{
    return some(h, args[0], true);
}

static struct mt_jv all(struct mt_jv_heap *h, struct mt_jv *args)
{
    return some(h, args[0], false);
}

/* The arrays that flatten is inside of, innermost first. */
struct nest {
    struct nest *outer;
    struct mt_jv_iter parts;
    double depth; /* levels that may still be opened: each of jq's, so a fraction never ends */
};

static struct nest *enter(struct mt_jv_heap *h, struct nest *outer, struct mt_jv v, double depth)
{
    struct nest *nest = mt_jv_work(h, mt_jv_count(v) + 1) ? mt_jv_alloc(h, sizeof *nest) : NULL;
    if (nest)
        *nest = (struct nest){outer, mt_jv_iter_of(v), depth};
    return nest;
}

static struct mt_jv flatten_to(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv depth)
{
    struct mt_jv out = iterable(h, v) ? mt_jv_array(h, mt_jv_count(v)) : MT_NONE, key, part;
    struct nest *nest = mt_jv_is_none(out) ? NULL : enter(h, NULL, v, mt_jv_double(depth));
    if (!nest)
        return MT_NONE;
    while (nest && !mt_jv_is_none(out)) {
        if (!mt_jv_iter_next(&nest->parts, &key, &part)) {
            nest = nest->outer;
        } else if (!mt_jv_is(part, MT_ARRAY) || (nest->depth == 0 && mt_jv_is(depth, MT_NUMBER))) {
            out = mt_jv_append(h, out, part);
        } else if (!mt_jv_is(depth, MT_NUMBER)) {
            return mt_jv_subtract(h, depth, mt_jv_number(1)); /* raises */
        } else {
            nest = enter(h, nest, part, nest->depth - 1);
            if (!nest)
                return MT_NONE;
        }
    }
    return out;
}

static struct mt_jv flatten(struct mt_jv_heap *h, struct mt_jv *args)
{
    return flatten_to(h, args[0], mt_jv_number(INFINITY));
}

static struct mt_jv flatten_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (mt_jv_compare(args[1], mt_jv_number(0)) < 0)
        return mt_jv_raise(h, "flatten depth must not be negative");
    return flatten_to(h, args[0], args[1]);
}

/* The code points of a string in the opposite order. */
static struct mt_jv reverse_string(struct mt_jv_heap *h, struct mt_slice s)
{
    char *out;
    struct mt_jv v = mt_jv_work(h, s.n / 4 + 1) ? mt_jv_string_room(h, s.n, &out) : MT_NONE;
    if (mt_jv_is_none(v))
        return v;
    for (size_t to = s.n, from = 0, n; from < s.n; from += n) {
        for (n = 1; from + n < s.n && (s.p[from + n] & 0xC0) == 0x80;)
            n++;
        to -= n;
        memcpy(out + to, s.p + from, n);
    }
    return v;
}

static struct mt_jv reverse(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv v = args[0];
    if (mt_jv_is(v, MT_STRING))
        return reverse_string(h, mt_jv_text(v));
    struct mt_jv n = length(h, args);
    if (mt_jv_is_none(n) || mt_jv_double(n) == 0)
        return mt_jv_is_none(n) ? n : mt_jv_array(h, 0);
    if (!mt_jv_is(v, MT_ARRAY)) /* jq reads the last element: raises */
        return mt_jv_get(h, v, mt_jv_number(mt_jv_double(n) - 1));
    size_t count = mt_jv_count(v);
    struct mt_jv_array *a = mt_jv_work(h, count) ? mt_array_own(h, v, 0, true) : NULL;
    if (!a)
        return MT_NONE;
    struct mt_jv *items = a->items->v + a->from;
    for (size_t i = 0, j = count - 1; i < j; i++, j--) {
        struct mt_jv swap = items[i];
        items[i] = items[j];
        items[j] = swap;
    }
    return mt_jv_of_array(a);
}

static struct mt_jv entry(struct mt_jv_heap *h, struct mt_jv key_name, struct mt_jv value_name,
                          struct mt_jv key, struct mt_jv value)
{
    struct mt_jv out = mt_jv_object(h, 2);
    if (!mt_jv_is_none(out))
        out = mt_jv_set(h, out, key_name, key);
    return mt_jv_is_none(out) ? out : mt_jv_set(h, out, value_name, value);
}

static struct mt_jv to_entries(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv v = args[0], key, value, out;
    if (!is_container(v))
        return refuse(h, v, "has no keys");
    struct mt_jv key_name = mt_jv_string_of(h, "key"), value_name = mt_jv_string_of(h, "value");
    if (mt_jv_is_none(key_name) || mt_jv_is_none(value_name) || !mt_jv_work(h, mt_jv_count(v)))
        return MT_NONE;
    out = mt_jv_array(h, mt_jv_count(v));
    struct mt_jv_iter it = mt_jv_iter_of(v);
    for (size_t i = 0; !mt_jv_is_none(out) && mt_jv_iter_next(&it, &key, &value); i++) {
        if (mt_jv_is_none(key))
            key = mt_jv_number((double)i);
        struct mt_jv made = entry(h, key_name, value_name, key, value);
        out = mt_jv_is_none(made) ? made : mt_jv_append(h, out, made);
    }
    return out;
}

/* v.name, or MT_NONE with the error of jq's first look at it when v has no members. */
static struct mt_jv entry_key(struct mt_jv_heap *h, struct mt_jv v)
{
    static const char *const names[] = {"k", "name", "Name", "K", "Key"};
    struct mt_jv name = mt_jv_string_of(h, "key");
    struct mt_jv key = mt_jv_is_none(name) ? name : mt_jv_get(h, v, name);
    if (mt_jv_is_none(key) || !mt_jv_is(key, MT_NULL))
        return key;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !mt_jv_truthy(key); i++) {
        key = mt_jv_member(v, mt_slice_of(names[i]));
        if (mt_jv_is_none(key))
            key = mt_jv_null();
    }
    return key;
}

static struct mt_jv entry_value(struct mt_jv v)
{
    static const char *const names[] = {"value", "v", "Value", "V"};
    struct mt_jv value = MT_NONE;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && mt_jv_is_none(value); i++)
        value = mt_jv_member(v, mt_slice_of(names[i]));
    return mt_jv_is_none(value) ? mt_jv_null() : value;
}

static struct mt_jv from_entries(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv out = iterable(h, args[0]) ? mt_jv_object(h, mt_jv_count(args[0])) : MT_NONE, name, part;
    struct mt_jv_iter it = mt_jv_iter_of(args[0]);
    while (!mt_jv_is_none(out) && mt_jv_iter_next(&it, &name, &part)) {
        struct mt_jv key = entry_key(h, part);
        if (!mt_jv_is_none(key))
            key = mt_text_of(h, key);
        out = mt_jv_is_none(key) ? key : mt_jv_set(h, out, key, entry_value(part));
    }
    return out;
}

static struct mt_jv transpose(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv rows = args[0], name, row, out;
    double columns = 0;
    if (!iterable(h, rows))
        return MT_NONE;
    for (struct mt_jv_iter it = mt_jv_iter_of(rows); mt_jv_iter_next(&it, &name, &row);) {
        struct mt_jv n = length(h, &row);
        if (mt_jv_is_none(n))
            return n;
        columns = fmax(columns, mt_jv_double(n));
    }
    out = mt_jv_array(h, 0);
    for (double i = 0; i < columns && !mt_jv_is_none(out); i++) {
        struct mt_jv column = mt_jv_work(h, mt_jv_count(rows)) ? mt_jv_array(h, mt_jv_count(rows)) : MT_NONE;
        struct mt_jv_iter it = mt_jv_iter_of(rows);
        while (!mt_jv_is_none(column) && mt_jv_iter_next(&it, &name, &row)) {
            struct mt_jv cell = mt_jv_get(h, row, mt_jv_number(i));
            column = mt_jv_is_none(cell) ? cell : mt_jv_append(h, column, cell);
        }
        out = mt_jv_is_none(column) ? column : mt_jv_append(h, out, column);
    }
    return out;
}

static struct mt_jv toarray(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (mt_jv_is(args[0], MT_ARRAY))
        return args[0];
    struct mt_jv out = mt_jv_array(h, 1);
    return mt_jv_is_none(out) ? out : mt_jv_append(h, out, args[0]);
}

const struct mt_native mt_container_natives[] = {
    {"length", 0, true, length},
    {"utf8bytelength", 0, true, utf8bytelength},
    {"type", 0, true, type},
    {"keys", 0, true, keys},
    {"keys_unsorted", 0, true, keys_unsorted},
    {"has", 1, true, has},
    {"contains", 1, true, mt_search_contains},
    {"indices", 1, true, mt_search_indices},
    {"_indices", 1, true, mt_search_indices},
    {"_strindices", 1, true, mt_search_strindices},
    {"index", 1, true, mt_search_index},
    {"rindex", 1, true, mt_search_rindex},
    {"add", 0, true, add},
    {"any", 0, true, any},
    {"all", 0, true, all},
    {"flatten", 0, true, flatten},
    {"flatten", 1, true, flatten_by},
    {"reverse", 0, true, reverse},
    {"to_entries", 0, true, to_entries},
    {"from_entries", 0, true, from_entries},
    {"transpose", 0, true, transpose},
    {"toarray", 0, true, toarray},
    {NULL, 0, false, NULL},
};
