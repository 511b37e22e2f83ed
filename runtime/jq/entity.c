/* What leaves a mapper: entities and the records of a batch. See mapping.h. Plain data, any thread. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/unit.h"

struct mt_key mt_entity_key(struct mt_slice blueprint, struct mt_slice normalised_identifier)
{
    const struct mt_slice parts[] = {blueprint, normalised_identifier};
    return mt_key_of(parts, 2);
}

bool mt_jv_present(struct mt_jv v)
{
    switch (mt_jv_kind(v)) {
    case MT_BOOL:
        return v.tag == MT_JV_TRUE;
    case MT_NUMBER:
        return mt_jv_double(v) != 0 && !mt_jv_leaves_null(v);
    case MT_STRING:
        return mt_jv_text(v).n > 0;
    case MT_ARRAY:
    case MT_OBJECT:
        return mt_jv_count(v) > 0;
    default:
        return false;
    }
}

bool mt_jv_holds_object(struct mt_jv v)
{
    if (mt_jv_is(v, MT_OBJECT))
        return true;
    if (!mt_jv_is(v, MT_ARRAY))
        return false;
    struct mt_jv key, element;
    for (struct mt_jv_iter it = mt_jv_iter_of(v); mt_jv_iter_next(&it, &key, &element);)
        if (mt_jv_is(element, MT_OBJECT))
            return true;
    return false;
}

/* Integral numbers without a fraction, as they leave jq (R-JQ-17), and exactly as far as the literal says. */
static bool put_number(struct mt_jv v, struct mt_buf *out)
{
    int64_t whole;
    char text[MT_NUMBER_TEXT], computed[MT_JV_NUMBER_SIZE];
    if (mt_jv_int64(v, &whole))
        return mt_buf_printf(out, "%lld", (long long)whole);
    struct mt_slice literal = mt_jv_spelling(v);
    if (!literal.p)
        literal = (struct mt_slice){computed, mt_jv_format_number(mt_jv_double(v), computed)};
    for (size_t i = 0; i < literal.n; i++)
        if (literal.p[i] == '.' || literal.p[i] == 'e' || literal.p[i] == 'E') {
            const double value = mt_jv_double(v);
            return mt_buf_puts(out, mt_number_text(isinf(value) ? copysign(DBL_MAX, value) : value, text));
        }
    return mt_buf_put(out, literal);
}

struct member {
    struct mt_slice name;
    struct mt_jv value;
};

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int order = n ? memcmp(x->name.p, y->name.p, n) : 0;
    return order ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static bool put_sorted(struct mt_jv v, struct mt_buf *out)
{
    if (mt_jv_is(v, MT_NUMBER))
        return put_number(v, out);
    if (!mt_jv_is(v, MT_OBJECT) && !mt_jv_is(v, MT_ARRAY))
        return mt_jv_write(v, out);
    bool object = mt_jv_is(v, MT_OBJECT);
    size_t count = mt_jv_count(v), n = 0;
    struct member *members = mt_try_alloc((count ? count : 1) * sizeof *members);
    if (!members)
        return false;
    struct mt_jv key, value;
    for (struct mt_jv_iter it = mt_jv_iter_of(v); n < count && mt_jv_iter_next(&it, &key, &value); n++)
        members[n] = (struct member){object ? mt_jv_text(key) : (struct mt_slice){NULL, 0}, value};
    if (object)
        qsort(members, n, sizeof *members, by_name);
    mt_buf_putc(out, object ? '{' : '[');
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        if (i)
            mt_buf_putc(out, ',');
        if (object) {
            mt_buf_put_json_string(out, members[i].name);
            mt_buf_putc(out, ':');
        }
        ok = put_sorted(members[i].value, out);
    }
    free(members);
    return ok && mt_buf_putc(out, object ? '}' : ']');
}

enum mt_rc mt_identifier_text(struct mt_jv v, struct mt_buf *out)
{
    bool ok = mt_jv_is(v, MT_STRING) ? mt_buf_put(out, mt_jv_text(v)) : put_sorted(v, out);
    return ok && !out->failed ? MT_OK : MT_ENOMEM;
}

void mt_mapped_fini(struct mt_mapped *mapped)
{
    for (size_t i = 0; i < mapped->entity_count; i++)
        free(mapped->entities[i]);
    for (size_t i = 0; i < mapped->failed_count; i++)
        free(mapped->failed[i].message);
    for (size_t i = 0; i < mapped->empty_count; i++) {
        free(mapped->empty[i].sample);
        free(mapped->empty[i].sample_entity);
    }
    free(mapped->entities);
    free(mapped->failed);
    free(mapped->empty);
    *mapped = (struct mt_mapped){0};
}
