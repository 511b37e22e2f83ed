/* contains, indices, index, rindex. On the thread of the heap. */
#include "jq/search.h"

enum { CONTAINS_LEVELS = 10000 };

static struct mt_jv contains(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, unsigned level);

/* Some element of a contains v. */
static struct mt_jv some_contains(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv v, unsigned level)
{
    struct mt_jv name, part;
    for (struct mt_jv_iter it = mt_jv_iter_of(a); mt_jv_iter_peek(&it, &name, &part);) {
        struct mt_jv found = contains(h, part, v, level);
        if (found.tag != MT_JV_FALSE)
            return found;
    }
    return mt_jv_bool(false);
}

static struct mt_jv contains(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, unsigned level)
{
    enum mt_kind kind = mt_jv_kind(a);
    struct mt_jv name, part;
    bool same = false;
    if (level > CONTAINS_LEVELS)
        return mt_jv_raise(h, "Containment check too deep");
    if (!mt_jv_work(h, 1))
        return MT_NONE;
    if (kind != mt_jv_kind(b))
        return mt_jv_bool(false);
    if (kind == MT_STRING) {
        struct mt_slice s = mt_jv_text(a), t = mt_jv_text(b);
        if (!mt_jv_work(h, s.n / 8))
            return MT_NONE;
        return mt_jv_bool(t.n == 0 || (t.n <= s.n && memmem(s.p, s.n, t.p, t.n)));
    }
    if (kind != MT_ARRAY && kind != MT_OBJECT)
        return mt_jv_same(h, a, b, &same) ? mt_jv_bool(same) : MT_NONE;
    for (struct mt_jv_iter it = mt_jv_iter_of(b); mt_jv_iter_peek(&it, &name, &part);) {
        struct mt_jv found;
        if (kind == MT_ARRAY) {
            found = some_contains(h, a, part, level + 1);
        } else {
            struct mt_jv mine = mt_jv_member(a, mt_jv_text(name));
            found = mt_jv_is_none(mine) ? mt_jv_bool(false) : contains(h, mine, part, level + 1);
        }
        if (found.tag != MT_JV_TRUE)
            return found;
    }
    return mt_jv_bool(true);
}

struct mt_jv mt_search_contains(struct mt_jv_heap *h, struct mt_jv *args)
{
    enum mt_kind kind = mt_jv_kind(args[0]);
    if (kind == mt_jv_kind(args[1]) && (kind != MT_BOOL || args[0].tag == args[1].tag))
        return contains(h, args[0], args[1], 0);
    char a[MT_JV_SHOWN], b[MT_JV_SHOWN];
    return mt_jv_raise(h, "%s and %s cannot have their containment checked", mt_jv_show(args[0], a),
                       mt_jv_show(args[1], b));
}

static size_t points(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (p[i] & 0xC0) != 0x80;
    return count;
}

/* Where a string occurs in another one, in code points; also where it overlaps itself. An empty one nowhere.
 */
static struct mt_jv string_indices(struct mt_jv_heap *h, struct mt_slice s, struct mt_slice part)
{
    struct mt_jv out = mt_jv_work(h, s.n / 8 + 1) ? mt_jv_array(h, 0) : MT_NONE;
    const char *at = s.p, *end = s.p + s.n;
    size_t before = 0;
    while (part.n > 0 && !mt_jv_is_none(out)) {
        const char *found = memmem(at, (size_t)(end - at), part.p, part.n);
        if (!found)
            break;
        if (!mt_jv_work(h, part.n / 4 + 1))
            return MT_NONE;
        before += points(at, (size_t)(found - at));
        out = mt_jv_append(h, out, mt_jv_number((double)before));
        before++; /* part begins with a character's first byte */
        at = found + 1;
    }
    return out;
}

struct mt_jv mt_search_strindices(struct mt_jv_heap *h, struct mt_jv *args)
{
    char shown[MT_JV_SHOWN];
    for (int i = 0; i < 2; i++)
        if (!mt_jv_is(args[i], MT_STRING))
            return mt_jv_raise(h, "%s is not a string", mt_jv_show(args[i], shown));
    return string_indices(h, mt_jv_text(args[0]), mt_jv_text(args[1]));
}

struct mt_jv mt_search_indices(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv v = args[0], part = args[1];
    if (mt_jv_is(v, MT_STRING) && mt_jv_is(part, MT_STRING))
        return string_indices(h, mt_jv_text(v), mt_jv_text(part));
    if (mt_jv_is(v, MT_ARRAY) && !mt_jv_is(part, MT_ARRAY)) {
        struct mt_jv list = mt_jv_array(h, 1);
        part = mt_jv_is_none(list) ? list : mt_jv_append(h, list, part);
    }
    return mt_jv_is_none(part) ? part : mt_jv_get(h, v, part);
}

struct mt_jv mt_search_index(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv v = args[0], part = args[1];
    if (mt_jv_is(v, MT_STRING) && mt_jv_is(part, MT_STRING)) {
        struct mt_slice s = mt_jv_text(v), t = mt_jv_text(part);
        if (!mt_jv_work(h, s.n / 8 + 1))
            return MT_NONE;
        const char *found = t.n > 0 ? memmem(s.p, s.n, t.p, t.n) : NULL;
        return found ? mt_jv_number((double)points(s.p, (size_t)(found - s.p))) : mt_jv_null();
    }
    struct mt_jv all = mt_search_indices(h, args);
    return mt_jv_is_none(all) ? all : mt_jv_get(h, all, mt_jv_number(0));
}

struct mt_jv mt_search_rindex(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv all = mt_search_indices(h, args);
    if (mt_jv_is_none(all))
        return all;
    /* jq: .[-1:][0] */
    struct mt_jv last = mt_jv_get_slice(h, all, mt_jv_number(-1), mt_jv_null());
    return mt_jv_is_none(last) ? last : mt_jv_get(h, last, mt_jv_number(0));
}
