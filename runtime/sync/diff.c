/* Comparison with Port's copy: see diff.h. Pure functions, any thread. */
#include "sync/diff.h"

#include <stdlib.h>

#include "base/memory.h"
#include "jq/mapping.h"
#include "net/url.h"

char *mt_diff_include(const struct mt_mapping *mapping)
{
    struct mt_buf query;
    mt_buf_init(&query, 1024 * 1024);
    mt_buf_puts(&query, "&include=blueprint&include=identifier"); /* A-ENT-27 */
    for (unsigned i = 0; i < mt_mapping_field_count(mapping); i++) {
        struct mt_slice field = mt_mapping_field(mapping, i);
        if (mt_slice_is(field, "blueprint") || mt_slice_is(field, "identifier"))
            continue;
        mt_buf_puts(&query, "&include=");
        mt_url_escape(&query, field);
    }
    mt_buf_text(&query);
    return mt_buf_take(&query, NULL);
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct mt_key));
}

/* Teams are a set (R-DIFF-07). */
static bool same_team(struct mt_val a, struct mt_val b)
{
    uint32_t n = mt_val_count(a);
    if (!mt_val_is(a, MT_ARRAY) || !mt_val_is(b, MT_ARRAY))
        return mt_val_equal(a, b);
    if (n != mt_val_count(b))
        return false;
    struct mt_key *keys = mt_alloc((2 * (size_t)n + 1) * sizeof *keys);
    for (uint32_t i = 0; i < n; i++) {
        struct mt_val v;
        if (mt_val_index(a, i, &v))
            keys[i] = mt_val_digest(v);
        if (mt_val_index(b, i, &v))
            keys[n + i] = mt_val_digest(v);
    }
    qsort(keys, n, sizeof *keys, by_digest);
    qsort(keys + n, n, sizeof *keys, by_digest);
    bool same = n == 0 || memcmp(keys, keys + n, n * sizeof *keys) == 0;
    free(keys);
    return same;
}

static bool is_empty(struct mt_val v)
{
    return !v.doc || mt_val_is(v, MT_NULL);
}

struct difference {
    void (*each)(void *ud, const char *path, struct mt_val from, struct mt_val to);
    void *ud;
    bool found;
};

/* Returns true when the comparison may stop. */
static bool differs(struct difference *d, const char *path, struct mt_val from, struct mt_val to)
{
    d->found = true;
    if (d->each)
        d->each(d->ud, path, from, to);
    return !d->each;
}

/* Every mapped key must be there with that value. A key that is null here and absent there is a difference:
 * Port keeps the nulls that it was sent, so it was never sent (R-DIFF-08). */
static bool compare_members(struct difference *d, const char *group, struct mt_val mapped,
                            struct mt_val existing)
{
    struct mt_slice name;
    struct mt_val to, from;
    for (struct mt_iter it = mt_iter_of(mapped); mt_iter_next(&it, &name, &to);) {
        if (mt_val_member(existing, name, &from) && mt_val_equal(to, from))
            continue;
        if (!mt_val_member(existing, name, &from))
            from = (struct mt_val){0};
        char *path = mt_format("%s.%.*s", group, MT_FMT(name));
        bool stop = differs(d, path, from, to);
        free(path);
        if (stop)
            return true;
    }
    return false;
}

bool mt_diff_equal(struct mt_val mapped, struct mt_val existing,
                   void (*each)(void *ud, const char *path, struct mt_val from, struct mt_val to), void *ud)
{
    static const char *const scalars[] = {"title", "icon", "team"};
    static const char *const groups[] = {"properties", "relations"};
    struct difference d = {.each = each, .ud = ud};
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        struct mt_slice name = mt_slice_of(scalars[i]);
        struct mt_val to, from = {0};
        if (!mt_val_member(mapped, name, &to))
            continue;
        mt_val_member(existing, name, &from);
        bool team = i == 2;
        bool empty_team = team && mt_val_is(from, MT_ARRAY) && !mt_val_count(from);
        bool same = is_empty(to) ? is_empty(from) || empty_team /* absent and null are the same, A-SRV-07 */
                    : is_empty(from) ? team && mt_val_is(to, MT_ARRAY) && !mt_val_count(to)
                    : team           ? same_team(to, from)
                                     : mt_val_equal(to, from);
        if (!same && differs(&d, scalars[i], from, to))
            return false;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct mt_val to, from = {0};
        if (!mt_val_member(mapped, mt_slice_of(groups[i]), &to))
            continue;
        mt_val_member(existing, mt_slice_of(groups[i]), &from);
        if (compare_members(&d, groups[i], to, from))
            return false;
    }
    return !d.found;
}
