/* Reading and changing parts of values: v[key], slices, and along paths. On the thread of the heap.
 *
 * A path is walked down and the changed parts are put back on the way up. A part that only its container
 * holds is taken out without being marked, so that it is changed in place (value.h). */
#include <math.h>

#include "jq/heap.h"
#include "jq/native.h"

enum { PATH_MAX_KEYS = 10000 };

static struct mt_jv no_index(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key)
{
    char shown[MT_JV_SHOWN];
    return mt_jv_raise(h, "Cannot index %s with %s", mt_jv_kind_name(v), mt_jv_show(key, shown));
}

struct mt_jv mt_jv_not_iterable(struct mt_jv_heap *h, struct mt_jv v)
{
    char shown[MT_JV_SHOWN];
    return mt_jv_raise(h, "Cannot iterate over %s", mt_jv_show(v, shown));
}

/* A number as a position: without its fraction, from the end when it is below 0. false: before the begin, or
 * past 2^53. */
static bool position(double d, size_t count, size_t *out)
{
    if (!(d > -0x1p53 && d < 0x1p53))
        return false;
    d = trunc(d);
    if (d < 0)
        d += (double)count;
    if (d < 0)
        return false;
    *out = (size_t)d;
    return true;
}

/* A slice's bounds on n elements. false: raised. */
static bool bounds(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv from, struct mt_jv to, size_t n,
                   size_t *out_from, size_t *out_to)
{
    bool open = mt_jv_is(from, MT_NULL), endless = mt_jv_is(to, MT_NULL);
    if ((!open && !mt_jv_is(from, MT_NUMBER)) || (!endless && !mt_jv_is(to, MT_NUMBER))) {
        mt_jv_raise(h, "Start and end indices of an %s slice must be numbers", mt_jv_kind_name(v));
        return false;
    }
    double count = (double)n, start = open ? 0 : mt_jv_double(from), end = endless ? count : mt_jv_double(to);
    if (isnan(start))
        start = 0;
    if (isnan(end))
        end = count;
    if (start < 0)
        start += count;
    if (end < 0)
        end += count;
    start = start < 0 ? 0 : start > count ? count : floor(start);
    end = end > count ? count : ceil(end); /* 1 lies before 1.5, so [:1.5] has it */
    *out_from = (size_t)start;
    *out_to = (size_t)(end < start ? start : end);
    return true;
}

/* Byte offset of a code point in valid UTF-8. */
static size_t offset_of(struct mt_slice s, size_t point)
{
    size_t i = 0;
    for (; i < s.n; i++)
        if ((s.p[i] & 0xC0) != 0x80 && point-- == 0)
            break;
    return i;
}

static struct mt_jv slice_string(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv from, struct mt_jv to)
{
    struct mt_slice s = mt_jv_text(v);
    size_t points = 0, start, end;
    if (!mt_jv_work(h, s.n / 8 + 1))
        return MT_NONE;
    for (size_t i = 0; i < s.n; i++)
        points += (s.p[i] & 0xC0) != 0x80;
    if (!bounds(h, v, from, to, points, &start, &end))
        return MT_NONE;
    if (start == 0 && end == points)
        return v;
    if (points != s.n) {
        end -= start;
        start = offset_of(s, start);
        end = start + offset_of((struct mt_slice){s.p + start, s.n - start}, end);
    }
    char *out;
    struct mt_jv part = mt_jv_string_room(h, end - start, &out);
    if (!mt_jv_is_none(part))
        memcpy(out, s.p + start, end - start);
    return part;
}

struct mt_jv mt_jv_get_slice(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv from, struct mt_jv to)
{
    size_t start, end;
    switch (mt_jv_kind(v)) {
    case MT_NULL:
        return mt_jv_null();
    case MT_STRING:
        return slice_string(h, v, from, to);
    case MT_ARRAY:
        if (!bounds(h, v, from, to, mt_jv_count(v), &start, &end))
            return MT_NONE;
        if (v.tag == MT_JV_DOC && !mt_jv_work(h, end))
            return MT_NONE;
        return mt_jv_slice(h, v, start, end);
    default: {
        struct mt_jv key = mt_jv_object(h, 2), name = MT_NONE;
        const char *names[] = {"start", "end"};
        for (int i = 0; i < 2 && !mt_jv_is_none(key); i++) {
            name = mt_jv_string_of(h, names[i]);
            key = mt_jv_is_none(name) ? name : mt_jv_set(h, key, name, i == 0 ? from : to);
        }
        return mt_jv_is_none(key) ? key : no_index(h, v, key);
    }
    }
}

/* Positions in an array where another one begins. */
static struct mt_jv positions(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv part)
{
    size_t n = mt_jv_count(v), m = mt_jv_count(part);
    struct mt_jv found = mt_jv_array(h, 0);
    for (size_t i = 0; m > 0 && i + m <= n && !mt_jv_is_none(found); i++) {
        bool same = true;
        for (size_t j = 0; j < m && same; j++)
            if (!mt_jv_work(h, 1) || !mt_jv_same(h, mt_jv_index(v, i + j), mt_jv_index(part, j), &same))
                return MT_NONE;
        if (same)
            found = mt_jv_append(h, found, mt_jv_number((double)i));
    }
    return found;
}

static struct mt_jv or_null(struct mt_jv v)
{
    return mt_jv_is_none(v) ? mt_jv_null() : v;
}

struct mt_jv mt_jv_get(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key)
{
    enum mt_kind kind = mt_jv_kind(v), by = mt_jv_kind(key);
    size_t at;
    if (kind == MT_OBJECT && by == MT_STRING)
        return mt_jv_name_work(h, mt_jv_text(key)) ? or_null(mt_jv_member(v, mt_jv_text(key))) : MT_NONE;
    if (kind == MT_ARRAY && by == MT_NUMBER)
        return position(mt_jv_double(key), mt_jv_count(v), &at) ? or_null(mt_jv_index(v, at)) : mt_jv_null();
    if (kind == MT_NULL && (by == MT_STRING || by == MT_NUMBER || by == MT_OBJECT))
        return mt_jv_null();
    if (by == MT_OBJECT && (kind == MT_ARRAY || kind == MT_STRING)) /* v stays as it is: it is only read */
        return mt_jv_get_slice(h, mt_jv_share(v), mt_jv_member(key, MT_SLICE("start")),
                               mt_jv_member(key, MT_SLICE("end")));
    if (kind == MT_ARRAY && by == MT_ARRAY)
        return positions(h, v, key);
    return no_index(h, v, key);
}

static struct mt_jv assign_slice(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key, struct mt_jv value)
{
    size_t n = mt_jv_count(v), m = mt_jv_count(value), from, to;
    if (!bounds(h, v, mt_jv_member(key, MT_SLICE("start")), mt_jv_member(key, MT_SLICE("end")), n, &from,
                &to))
        return MT_NONE;
    if (!mt_jv_is(value, MT_ARRAY))
        return mt_jv_raise(h, "A slice of an array can only be assigned another array");
    if (!mt_jv_work(h, n + m))
        return MT_NONE;
    struct mt_jv out = mt_jv_array(h, n - (to - from) + m), key_of, part;
    struct mt_jv_iter it = mt_jv_iter_of(v);
    for (size_t i = 0; i < n && !mt_jv_is_none(out); i++) {
        if (i == from)
            out = mt_jv_concat(h, out, value);
        mt_jv_iter_next(&it, &key_of, &part);
        if (!mt_jv_is_none(out) && (i < from || i >= to))
            out = mt_jv_append(h, out, part);
    }
    return from == n && !mt_jv_is_none(out) ? mt_jv_concat(h, out, value) : out;
}

struct mt_jv mt_jv_assign(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key, struct mt_jv value)
{
    enum mt_kind kind = mt_jv_kind(v), by = mt_jv_kind(key);
    if (kind == MT_NULL && (by == MT_STRING || by == MT_NUMBER || by == MT_OBJECT)) {
        kind = by == MT_STRING ? MT_OBJECT : MT_ARRAY;
        v = kind == MT_OBJECT ? mt_jv_object(h, 1) : mt_jv_array(h, 0);
        if (mt_jv_is_none(v))
            return v;
    }
    if (kind == MT_OBJECT && by == MT_STRING)
        return mt_jv_set(h, v, key, value);
    if (kind == MT_ARRAY && by == MT_NUMBER) {
        double d = mt_jv_double(key);
        size_t at;
        if (isnan(d))
            return mt_jv_raise(h, "Cannot set array element at NaN index");
        if (d >= (double)MT_JV_ITEMS_MAX)
            return mt_jv_raise(h, "Array index too large");
        if (!position(d, mt_jv_count(v), &at))
            return mt_jv_raise(h, "Out of bounds negative array index");
        return mt_jv_put(h, v, at, value);
    }
    if (kind == MT_ARRAY && by == MT_OBJECT)
        return assign_slice(h, v, key, value);
    if (kind == MT_STRING && by == MT_OBJECT)
        return mt_jv_raise(h, "Cannot update string slices");
    if (kind == MT_ARRAY && by == MT_ARRAY)
        return mt_jv_raise(h, "Cannot update field at array index of array");
    return no_index(h, v, key);
}

static bool check_path(struct mt_jv_heap *h, struct mt_jv path)
{
    if (!mt_jv_is(path, MT_ARRAY)) {
        mt_jv_raise(h, "Path must be specified as an array");
        return false;
    }
    if (mt_jv_count(path) > PATH_MAX_KEYS) {
        mt_jv_raise(h, "Path too deep");
        return false;
    }
    return mt_jv_work(h, mt_jv_count(path));
}

struct mt_jv mt_jv_getpath(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv path)
{
    if (!check_path(h, path))
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(path);
    struct mt_jv name, key;
    while (!mt_jv_is_none(v) && mt_jv_iter_next(&it, &name, &key))
        v = mt_jv_get(h, v, key);
    return v;
}

/* The part of an unmarked container that a key leads to, unmarked if it was; for anything else what v[key]
 * gives. The container is to get it back, or something else in its place. */
static struct mt_jv take_out(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key)
{
    if (mt_jv_is_heap_container(v) && !(mt_jv_head(v)->flags & (MT_BLOCK_SHARED | MT_BLOCK_BORROWED))) {
        size_t at;
        if (v.tag == MT_JV_OBJECT && mt_jv_is(key, MT_STRING)) {
            const struct mt_jv_pair *pair = mt_object_find(v.object, mt_jv_text(key));
            return pair ? pair->value : mt_jv_null();
        }
        if (v.tag == MT_JV_ARRAY && mt_jv_is(key, MT_NUMBER) &&
            position(mt_jv_double(key), v.array->count, &at) && at < v.array->count)
            return mt_array_items(v.array)[at];
    }
    return mt_jv_get(h, v, key);
}

static struct mt_jv set_along(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv path, size_t at,
                              struct mt_jv value)
{
    if (at == mt_jv_count(path))
        return value;
    struct mt_jv key = mt_jv_index(path, at);
    struct mt_jv part = at + 1 == mt_jv_count(path) ? value : take_out(h, v, key);
    if (at + 1 < mt_jv_count(path) && !mt_jv_is_none(part))
        part = set_along(h, part, path, at + 1, value);
    return mt_jv_is_none(part) ? part : mt_jv_assign(h, v, key, part);
}

struct mt_jv mt_jv_setpath(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv path, struct mt_jv value)
{
    return check_path(h, path) ? set_along(h, v, path, 0, value) : MT_NONE;
}

/* An array without the elements at the keys: positions and slices, all of the array as it was. */
static struct mt_jv delete_elements(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv keys)
{
    size_t n = mt_jv_count(v);
    bool *gone = mt_jv_work(h, n + mt_jv_count(keys)) ? mt_jv_alloc(h, n + 1) : NULL;
    if (!gone)
        return MT_NONE;
    memset(gone, 0, n + 1);
    struct mt_jv_iter it = mt_jv_iter_of(keys);
    struct mt_jv name, key, part;
    while (mt_jv_iter_peek(&it, &name, &key)) {
        size_t from, to;
        if (mt_jv_is(key, MT_NUMBER)) {
            if (position(mt_jv_double(key), n, &from) && from < n)
                gone[from] = true;
        } else if (!mt_jv_is(key, MT_OBJECT)) {
            return mt_jv_raise(h, "Cannot delete %s element of array", mt_jv_kind_name(key));
        } else if (!bounds(h, v, mt_jv_member(key, MT_SLICE("start")), mt_jv_member(key, MT_SLICE("end")), n,
                           &from, &to) ||
                   !mt_jv_work(h, to - from)) {
            return MT_NONE;
        } else {
            memset(gone + from, 1, to - from);
        }
    }
    struct mt_jv rest = mt_jv_array(h, n);
    it = mt_jv_iter_of(v);
    for (size_t i = 0; i < n && !mt_jv_is_none(rest); i++) {
        mt_jv_iter_next(&it, &name, &part);
        if (!gone[i])
            rest = mt_jv_append(h, rest, part);
    }
    return rest;
}

static struct mt_jv delete_keys(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv keys)
{
    struct mt_jv name, key;
    if (mt_jv_count(keys) == 0 || mt_jv_is(v, MT_NULL))
        return v;
    if (mt_jv_is(v, MT_ARRAY))
        return delete_elements(h, v, keys);
    if (!mt_jv_is(v, MT_OBJECT))
        return mt_jv_raise(h, "Cannot delete fields from %s", mt_jv_kind_name(v));
    struct mt_jv_iter it = mt_jv_iter_of(keys);
    while (!mt_jv_is_none(v) && mt_jv_iter_peek(&it, &name, &key)) {
        if (!mt_jv_is(key, MT_STRING))
            return mt_jv_raise(h, "Cannot delete %s field of object", mt_jv_kind_name(key));
        v = mt_jv_unset(h, v, mt_jv_text(key));
    }
    return v;
}

/* Removes what paths[from…to) lead to; they are sorted and share their first `at` keys, which lead to v. What
 * lies below a key goes first, then the keys of this level together: positions count as they were. */
static struct mt_jv delete_sorted(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv paths, size_t from,
                                  size_t to, size_t at)
{
    struct mt_jv keys = mt_jv_array(h, 0);
    for (size_t i = from, j; i < to && !mt_jv_is_none(keys) && !mt_jv_is_none(v); i = j) {
        struct mt_jv path = mt_jv_index(paths, i), key = mt_jv_index(path, at);
        bool same = true;
        for (j = i + 1; j < to; j++) {
            if (!mt_jv_same(h, mt_jv_index(mt_jv_index(paths, j), at), key, &same))
                return MT_NONE;
            if (!same)
                break;
        }
        if (mt_jv_count(path) == at + 1) { /* all of it goes, whatever the longer paths say */
            keys = mt_jv_append(h, keys, key);
            continue;
        }
        struct mt_jv part = take_out(h, v, key);
        if (mt_jv_is_none(part))
            return part;
        if (mt_jv_is(part, MT_NULL))
            continue;
        part = delete_sorted(h, part, paths, i, j, at + 1);
        v = mt_jv_is_none(part) ? part : mt_jv_assign(h, v, key, part);
    }
    return mt_jv_is_none(keys) || mt_jv_is_none(v) ? MT_NONE : delete_keys(h, v, keys);
}

struct mt_jv mt_jv_delpaths(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv paths)
{
    if (!mt_jv_is(paths, MT_ARRAY))
        return mt_jv_raise(h, "Paths must be specified as an array");
    struct mt_jv_iter it = mt_jv_iter_of(paths);
    struct mt_jv name, path;
    while (mt_jv_iter_peek(&it, &name, &path))
        if (!check_path(h, path))
            return MT_NONE;
    paths = mt_order_sort(h, paths);
    if (mt_jv_is_none(paths) || mt_jv_count(paths) == 0)
        return mt_jv_is_none(paths) ? paths : v;
    if (mt_jv_count(mt_jv_index(paths, 0)) == 0) /* the path of everything */
        return mt_jv_null();
    return delete_sorted(h, v, paths, 0, mt_jv_count(paths), 0);
}

static struct mt_jv getpath(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_jv_getpath(h, args[0], args[1]);
}

static struct mt_jv setpath(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_jv_setpath(h, args[0], args[1], args[2]);
}

static struct mt_jv delpaths(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_jv_delpaths(h, args[0], args[1]);
}

const struct mt_native mt_path_natives[] = {
    {"getpath", 1, true, getpath},
    {"setpath", 2, true, setpath},
    {"delpaths", 1, true, delpaths},
    {NULL, 0, false, NULL},
};
