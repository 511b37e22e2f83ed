/* jq's order of values: null < false < true < numbers < strings < arrays < objects. On the thread of
 * the heap.
 *
 * Arrays compare element by element. Objects compare by their sorted names first, then by their values in the
 * order of the names; neither needs the names sorted: what decides is the smallest name that only one of them
 * has, or else the smallest name whose values differ. */
#include "jq/decimal.h"
#include "jq/heap.h"

enum { LEVELS_MAX = 10000 };

/* h NULL: nothing is raised, levels past the limit count as equal. */
struct order {
    struct mt_jv_heap *h;
    bool failed;
};

static bool work(struct order *o, size_t bytes)
{
    if (o->h && !mt_jv_work(o->h, 1 + bytes / 64))
        o->failed = true;
    return !o->failed;
}

/* Goes one level down. */
static bool deeper(struct order *o, unsigned level)
{
    if (level < LEVELS_MAX)
        return true;
    if (o->h) {
        mt_jv_raise(o->h, "Comparison too deep");
        o->failed = true;
    }
    return false;
}

static int rank(struct mt_jv v)
{
    switch (mt_jv_kind(v)) {
    case MT_NULL:
        return 0;
    case MT_BOOL:
        return v.tag == MT_JV_TRUE ? 2 : 1;
    default:
        return (int)mt_jv_kind(v) + 1;
    }
}

static int compare_numbers(struct mt_jv a, struct mt_jv b, struct order *o)
{
    if (!work(o, 8 * (mt_jv_spelling(a).n + mt_jv_spelling(b).n))) /* digits are gone through one by one */
        return 0;
    double x = mt_jv_double(a), y = mt_jv_double(b);
    if (x != x) /* nan is less than any number, nan too */
        return -1;
    if (x < y)
        return -1;
    if (!(x == y))
        return 1;
    struct mt_slice s = mt_jv_spelling(a), t = mt_jv_spelling(b);
    char number[MT_JV_NUMBER_SIZE];
    if (!s.p && !t.p)
        return 0;
    /* Where both are spelled, the digits decide that doubles do not hold. */
    if (!s.p) {
        if (a.at == 0)
            return 0;
        s = (struct mt_slice){number, mt_jv_format_number(x, number)};
    } else if (!t.p) {
        if (b.at == 0)
            return 0;
        t = (struct mt_slice){number, mt_jv_format_number(y, number)};
    }
    return mt_decimal_compare(s, t);
}

static int compare_texts(struct mt_slice a, struct mt_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

/* A member's value without marking it. */
static struct mt_jv look(struct mt_jv object, struct mt_slice name)
{
    if (object.tag != MT_JV_OBJECT)
        return mt_jv_member(object, name);
    const struct mt_jv_pair *pair = mt_object_find(object.object, name);
    return pair ? pair->value : MT_NONE;
}

/* The smallest name of a that b does not have; p NULL: there is none. */
static struct mt_slice least_of_its_own(struct mt_jv a, struct mt_jv b, struct order *o)
{
    struct mt_slice least = {NULL, 0};
    struct mt_jv_iter it = mt_jv_iter_of(a);
    struct mt_jv key, value;
    while (mt_jv_iter_peek(&it, &key, &value)) {
        struct mt_slice name = mt_jv_text(key);
        if (!work(o, name.n))
            break;
        if (mt_jv_is_none(look(b, name)) && (!least.p || compare_texts(name, least) < 0))
            least = name;
    }
    return least;
}

static bool has_greater(struct mt_jv object, struct mt_slice name)
{
    struct mt_jv_iter it = mt_jv_iter_of(object);
    struct mt_jv key, value;
    while (mt_jv_iter_peek(&it, &key, &value))
        if (compare_texts(mt_jv_text(key), name) > 0)
            return true;
    return false;
}

/* Sorted names as arrays: at the first name that only one has, the other has a greater one or has ended. */
static int compare_names(struct mt_jv a, struct mt_jv b, struct order *o)
{
    struct mt_slice x = least_of_its_own(a, b, o), y = least_of_its_own(b, a, o);
    if (!x.p && !y.p)
        return 0;
    if (x.p && (!y.p || compare_texts(x, y) < 0))
        return has_greater(b, x) ? -1 : 1;
    return has_greater(a, y) ? 1 : -1;
}

static int compare(struct mt_jv a, struct mt_jv b, struct order *o, unsigned level);

static __attribute__((noinline)) int compare_arrays(struct mt_jv a, struct mt_jv b, struct order *o,
                                                    unsigned level)
{
    struct mt_jv_iter x = mt_jv_iter_of(a), y = mt_jv_iter_of(b);
    struct mt_jv key, v, w;
    for (;;) {
        bool more = mt_jv_iter_peek(&x, &key, &v), other = mt_jv_iter_peek(&y, &key, &w);
        if (!more || !other)
            return more - other;
        int c = compare(v, w, o, level);
        if (c != 0 || o->failed)
            return c;
    }
}

static __attribute__((noinline)) int compare_objects(struct mt_jv a, struct mt_jv b, struct order *o,
                                                     unsigned level)
{
    if (!work(o, (mt_jv_count(a) + mt_jv_count(b)) * 64))
        return 0;
    int found = compare_names(a, b, o);
    if (found != 0 || o->failed)
        return found;
    struct mt_slice decides = {NULL, 0};
    struct mt_jv_iter it = mt_jv_iter_of(a);
    struct mt_jv key, value;
    while (!o->failed && mt_jv_iter_peek(&it, &key, &value)) {
        struct mt_slice name = mt_jv_text(key);
        if (decides.p && compare_texts(name, decides) > 0)
            continue;
        int c = compare(value, look(b, name), o, level);
        if (c != 0) {
            found = c;
            decides = name;
        }
    }
    return found;
}

static int compare(struct mt_jv a, struct mt_jv b, struct order *o, unsigned level)
{
    int r = rank(a), s = rank(b);
    if (r != s)
        return r < s ? -1 : 1;
    switch (mt_jv_kind(a)) {
    case MT_NUMBER:
        return compare_numbers(a, b, o);
    case MT_STRING: {
        struct mt_slice x = mt_jv_text(a), y = mt_jv_text(b);
        return work(o, x.n < y.n ? x.n : y.n) ? compare_texts(x, y) : 0;
    }
    case MT_ARRAY:
        return deeper(o, level) && work(o, 0) ? compare_arrays(a, b, o, level + 1) : 0;
    case MT_OBJECT:
        return deeper(o, level) ? compare_objects(a, b, o, level + 1) : 0;
    default:
        return 0;
    }
}

static bool same_place(struct mt_jv a, struct mt_jv b)
{
    return a.tag == b.tag && ((a.tag == MT_JV_DOC && a.doc == b.doc && a.at == b.at) ||
                              (mt_jv_is_heap_container(a) && a.array == b.array));
}

static bool equal(struct mt_jv a, struct mt_jv b, struct order *o, unsigned level);

static __attribute__((noinline)) bool equal_containers(struct mt_jv a, struct mt_jv b, struct order *o,
                                                       unsigned level)
{
    struct mt_jv_iter x = mt_jv_iter_of(a), y = mt_jv_iter_of(b);
    struct mt_jv name, other, v, w;
    while (mt_jv_iter_peek(&x, &name, &v)) {
        /* Members mostly come in the same order. */
        if (!mt_jv_iter_peek(&y, &other, &w) || !work(o, mt_jv_text(name).n))
            return false;
        if (!mt_jv_is_none(name) && !mt_slice_eq(mt_jv_text(name), mt_jv_text(other))) {
            w = look(b, mt_jv_text(name));
            if (mt_jv_is_none(w))
                return false;
        }
        if (!equal(v, w, o, level))
            return false;
    }
    return true;
}

static bool equal(struct mt_jv a, struct mt_jv b, struct order *o, unsigned level)
{
    enum mt_kind kind = mt_jv_kind(a);
    if (kind != mt_jv_kind(b))
        return false;
    switch (kind) {
    case MT_BOOL:
        return a.tag == b.tag;
    case MT_NUMBER:
        return compare_numbers(a, b, o) == 0;
    case MT_STRING: {
        struct mt_slice s = mt_jv_text(a), t = mt_jv_text(b);
        return s.n == t.n && work(o, s.n) && mt_slice_eq(s, t);
    }
    case MT_ARRAY:
    case MT_OBJECT:
        if (same_place(a, b))
            return true;
        return mt_jv_count(a) == mt_jv_count(b) && deeper(o, level) && work(o, 0) &&
               equal_containers(a, b, o, level + 1);
    default:
        return true;
    }
}

int mt_jv_compare(struct mt_jv a, struct mt_jv b)
{
    struct order o = {NULL, false};
    return compare(a, b, &o, 0);
}

bool mt_jv_equal(struct mt_jv a, struct mt_jv b)
{
    struct order o = {NULL, false};
    return equal(a, b, &o, 0);
}

/* A depth is a bound from above, but one that says so is right up to what was removed since. */
static bool too_deep(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b)
{
    if (mt_jv_depth(a) <= LEVELS_MAX + 1 || mt_jv_depth(b) <= LEVELS_MAX + 1)
        return false;
    mt_jv_raise(h, "Comparison too deep");
    return true;
}

bool mt_jv_order(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, int *out_order)
{
    struct order o = {h, false};
    if (too_deep(h, a, b))
        return false;
    *out_order = same_place(a, b) ? 0 : compare(a, b, &o, 0);
    return !o.failed;
}

bool mt_jv_same(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, bool *out_same)
{
    struct order o = {h, false};
    if (too_deep(h, a, b))
        return false;
    *out_same = equal(a, b, &o, 0);
    return !o.failed;
}
