/* Sorting by jq's order (order.c), and the natives that do it: a stable merge sort whose comparisons take
 * steps. On the thread of the heap. */
#include "jq/heap.h"
#include "jq/native.h"

enum { FEW_ENTRIES = 8 };

struct entry {
    struct mt_jv key, value;
};

/* Merges the sorted runs from[0…middle) and from[middle…n) into to. */
static bool merge(struct mt_jv_heap *h, const struct entry *from, size_t middle, size_t n, struct entry *to)
{
    size_t i = 0, j = middle;
    int c = 1;
    if (middle < n && !mt_jv_order(h, from[middle - 1].key, from[middle].key, &c))
        return false;
    if (middle >= n || c <= 0) {
        memcpy(to, from, n * sizeof *to);
        return true;
    }
    for (size_t k = 0; k < n; k++) {
        if (i < middle && j < n && !mt_jv_order(h, from[i].key, from[j].key, &c))
            return false;
        to[k] = j == n || (i < middle && c <= 0) ? from[i++] : from[j++];
    }
    return true;
}

static bool sort_few(struct mt_jv_heap *h, struct entry *e, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct entry moving = e[i];
        size_t j = i;
        for (int c = 0; j > 0; j--) {
            if (!mt_jv_order(h, e[j - 1].key, moving.key, &c))
                return false;
            if (c <= 0)
                break;
            e[j] = e[j - 1];
        }
        e[j] = moving;
    }
    return true;
}

/* Stable. NULL: raised. The result is e or a piece of the heap. */
static struct entry *sort_entries(struct mt_jv_heap *h, struct entry *e, size_t n)
{
    for (size_t i = 0; i < n; i += FEW_ENTRIES)
        if (!sort_few(h, e + i, n - i < FEW_ENTRIES ? n - i : FEW_ENTRIES))
            return NULL;
    if (n <= FEW_ENTRIES)
        return e;
    struct entry *other = mt_jv_alloc(h, n * sizeof *e);
    if (!other)
        return NULL;
    for (size_t run = FEW_ENTRIES; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t left = n - i;
            if (!merge(h, e + i, run, left < 2 * run ? left : 2 * run, other + i))
                return NULL;
        }
        struct entry *swap = e;
        e = other;
        other = swap;
    }
    return e;
}

/* Values with their keys (keys NULL: themselves), sorted. NULL: raised. */
static struct entry *sorted(struct mt_jv_heap *h, struct mt_jv values, const struct mt_jv *keys)
{
    size_t n = mt_jv_count(values);
    struct entry *e = mt_jv_work(h, n) ? mt_jv_alloc(h, (n + 1) * sizeof *e) : NULL;
    if (!e)
        return NULL;
    struct mt_jv_iter it = mt_jv_iter_of(values), at = mt_jv_iter_of(keys ? *keys : values);
    struct mt_jv name;
    for (size_t i = 0; i < n; i++) {
        mt_jv_iter_next(&it, &name, &e[i].value);
        mt_jv_iter_peek(&at, &name, &e[i].key);
    }
    return sort_entries(h, e, n);
}

struct mt_jv mt_jv_keys(struct mt_jv_heap *h, struct mt_jv object)
{
    size_t n = mt_jv_count(object);
    struct entry *e = mt_jv_work(h, n) ? mt_jv_alloc(h, (n + 1) * sizeof *e) : NULL;
    if (!e)
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(object);
    for (size_t i = 0; i < n; i++)
        mt_jv_iter_peek(&it, &e[i].key, &e[i].value);
    e = sort_entries(h, e, n);
    struct mt_jv keys = e ? mt_jv_array(h, n) : MT_NONE;
    for (size_t i = 0; i < n && !mt_jv_is_none(keys); i++)
        keys = mt_jv_append(h, keys, e[i].key);
    return keys;
}

struct mt_jv mt_order_sort(struct mt_jv_heap *h, struct mt_jv array)
{
    size_t n = mt_jv_count(array);
    const struct entry *e = sorted(h, array, NULL);
    struct mt_jv out = e ? mt_jv_array(h, n) : MT_NONE;
    for (size_t i = 0; i < n && !mt_jv_is_none(out); i++)
        out = mt_jv_append(h, out, e[i].value);
    return out;
}

bool mt_order_search(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv v, size_t *out_at,
                     bool *out_found)
{
    size_t from = 0, to = mt_jv_count(array);
    *out_found = false;
    while (from < to && !*out_found) {
        size_t middle = from + (to - from) / 2;
        int c;
        if (!mt_jv_order(h, v, mt_jv_index(array, middle), &c))
            return false;
        if (c > 0)
            from = middle + 1;
        else
            to = middle;
        if (c == 0) {
            from = middle;
            *out_found = true;
        }
    }
    *out_at = from;
    return true;
}

static struct mt_jv refuse(struct mt_jv_heap *h, struct mt_jv v, const char *what)
{
    char shown[MT_JV_SHOWN];
    return mt_jv_raise(h, "%s %s", mt_jv_show(v, shown), what);
}

static bool both_arrays(struct mt_jv_heap *h, struct mt_jv *args, const char *what)
{
    char a[MT_JV_SHOWN], b[MT_JV_SHOWN];
    if (mt_jv_is(args[0], MT_ARRAY) && mt_jv_is(args[1], MT_ARRAY) &&
        mt_jv_count(args[0]) == mt_jv_count(args[1]))
        return true;
    mt_jv_raise(h, "%s and %s %s", mt_jv_show(args[0], a), mt_jv_show(args[1], b), what);
    return false;
}

#define NOT_AN_ARRAY "cannot be sorted, as it is not an array"
#define NOT_BOTH_ARRAYS "cannot be sorted, as they are not both arrays"

static struct mt_jv list(struct mt_jv_heap *h, const struct entry *e, size_t n)
{
    struct mt_jv out = e ? mt_jv_array(h, n) : MT_NONE;
    for (size_t i = 0; i < n && !mt_jv_is_none(out); i++)
        out = mt_jv_append(h, out, e[i].value);
    return out;
}

static struct mt_jv sort(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_jv_is(args[0], MT_ARRAY) ? mt_order_sort(h, args[0]) : refuse(h, args[0], NOT_AN_ARRAY);
}

static struct mt_jv sort_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!both_arrays(h, args, NOT_BOTH_ARRAYS))
        return MT_NONE;
    return list(h, sorted(h, args[0], &args[1]), mt_jv_count(args[0]));
}

static bool same_key(struct mt_jv_heap *h, const struct entry *a, const struct entry *b, bool *out)
{
    return mt_jv_same(h, a->key, b->key, out);
}

static struct mt_jv group_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!both_arrays(h, args, NOT_BOTH_ARRAYS))
        return MT_NONE;
    size_t n = mt_jv_count(args[0]);
    const struct entry *e = sorted(h, args[0], &args[1]);
    struct mt_jv out = e ? mt_jv_array(h, 0) : MT_NONE;
    for (size_t i = 0, j; i < n && !mt_jv_is_none(out); i = j) {
        bool same = true;
        for (j = i + 1; j < n; j++) {
            if (!same_key(h, &e[j - 1], &e[j], &same))
                return MT_NONE;
            if (!same)
                break;
        }
        struct mt_jv group = list(h, e + i, j - i);
        out = mt_jv_is_none(group) ? group : mt_jv_append(h, out, group);
    }
    return out;
}

static struct mt_jv first_of_each(struct mt_jv_heap *h, const struct entry *e, size_t n)
{
    struct mt_jv out = e ? mt_jv_array(h, 0) : MT_NONE;
    for (size_t i = 0; i < n && !mt_jv_is_none(out); i++) {
        bool same = false;
        if (i > 0 && !same_key(h, &e[i - 1], &e[i], &same))
            return MT_NONE;
        if (!same)
            out = mt_jv_append(h, out, e[i].value);
    }
    return out;
}

static struct mt_jv unique(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_ARRAY))
        return refuse(h, args[0], NOT_AN_ARRAY);
    return first_of_each(h, sorted(h, args[0], NULL), mt_jv_count(args[0]));
}

static struct mt_jv unique_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!both_arrays(h, args, NOT_BOTH_ARRAYS))
        return MT_NONE;
    return first_of_each(h, sorted(h, args[0], &args[1]), mt_jv_count(args[0]));
}

/* The first of the smallest, or the last of the greatest, as jq has it. */
static struct mt_jv extreme(struct mt_jv_heap *h, struct mt_jv values, struct mt_jv keys, bool greatest)
{
    struct mt_jv both[] = {values, keys};
    if (!both_arrays(h, both, "cannot be iterated over"))
        return MT_NONE;
    struct mt_jv_iter it = mt_jv_iter_of(values), at = mt_jv_iter_of(keys);
    struct mt_jv name, value, key, best = mt_jv_null(), best_key = MT_NONE;
    while (mt_jv_iter_peek(&it, &name, &value) && mt_jv_iter_peek(&at, &name, &key)) {
        int c = 0;
        if (!mt_jv_is_none(best_key)) {
            if (!mt_jv_order(h, key, best_key, &c))
                return MT_NONE;
            if ((c < 0) == greatest)
                continue;
        }
        best = value;
        best_key = key;
    }
    return mt_jv_share(best);
}

static struct mt_jv min(struct mt_jv_heap *h, struct mt_jv *args)
{
    return extreme(h, args[0], args[0], false);
}

static struct mt_jv max(struct mt_jv_heap *h, struct mt_jv *args)
{
    return extreme(h, args[0], args[0], true);
}

static struct mt_jv min_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    return extreme(h, args[0], args[1], false);
}

static struct mt_jv max_by(struct mt_jv_heap *h, struct mt_jv *args)
{
    return extreme(h, args[0], args[1], true);
}

/* The place of the value, or -1 - the place where it would go. */
static struct mt_jv search(struct mt_jv_heap *h, struct mt_jv *args)
{
    size_t at;
    bool found;
    if (!mt_jv_is(args[0], MT_ARRAY))
        return refuse(h, args[0], "cannot be searched from");
    if (!mt_order_search(h, args[0], args[1], &at, &found))
        return MT_NONE;
    return mt_jv_number(found ? (double)at : -1 - (double)at);
}

const struct mt_native mt_order_natives[] = {
    {"sort", 0, true, sort},
    {"_sort_by", 1, true, sort_by},
    {"_group_by", 1, true, group_by},
    {"unique", 0, true, unique},
    {"_unique_by", 1, true, unique_by},
    {"min", 0, true, min},
    {"max", 0, true, max},
    {"_min_by", 1, true, min_by},
    {"_max_by", 1, true, max_by},
    {"bsearch", 1, true, search},
    {NULL, 0, false, NULL},
};
