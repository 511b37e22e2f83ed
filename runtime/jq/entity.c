/* What leaves a mapper: entities and the records of a batch. See mapping.h. Plain data, any thread. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/unit.h"

struct mt_key mt_entity_key(struct mt_slice blueprint, struct mt_slice normalised_identifier)
{
    const struct mt_slice parts[] = {blueprint, normalised_identifier};
    return mt_key_of(parts, 2);
}

bool mt_val_truthy(struct mt_val v)
{
    if (!v.doc)
        return false;
    switch (mt_val_kind(v)) {
    case MT_BOOL:
        return mt_val_true(v);
    case MT_NUMBER:
        return mt_val_double(v) != 0;
    case MT_STRING:
        return mt_val_string(v).n > 0;
    case MT_ARRAY:
    case MT_OBJECT:
        return mt_val_count(v) > 0;
    default:
        return false;
    }
}

/* Integral numbers without a fraction, as they leave jq (R-JQ-17), and exactly as far as the literal says. */
static bool put_number(struct mt_val v, struct mt_buf *out)
{
    int64_t whole;
    char text[MT_NUMBER_TEXT];
    if (mt_val_int64(v, &whole))
        return mt_buf_printf(out, "%lld", (long long)whole);
    struct mt_slice literal = mt_val_literal(v);
    for (size_t i = 0; i < literal.n; i++)
        if (literal.p[i] == '.' || literal.p[i] == 'e' || literal.p[i] == 'E')
            return mt_buf_puts(out, mt_number_text(mt_val_double(v), text));
    return mt_buf_put(out, literal);
}

struct member {
    struct mt_slice name;
    struct mt_val value;
};

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int order = n ? memcmp(x->name.p, y->name.p, n) : 0;
    return order ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static bool put_sorted(struct mt_val v, struct mt_buf *out)
{
    if (mt_val_is(v, MT_NUMBER))
        return put_number(v, out);
    if (!mt_val_is(v, MT_OBJECT) && !mt_val_is(v, MT_ARRAY))
        return mt_val_write(v, out);
    bool object = mt_val_is(v, MT_OBJECT);
    uint32_t count = mt_val_count(v), n = 0;
    struct member *members = mt_try_alloc((count ? count : 1) * sizeof *members);
    if (!members)
        return false;
    for (struct mt_iter it = mt_iter_of(v);
         n < count && mt_iter_next(&it, &members[n].name, &members[n].value);)
        n++;
    if (object)
        qsort(members, n, sizeof *members, by_name);
    mt_buf_putc(out, object ? '{' : '[');
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
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

enum mt_rc mt_identifier_text(struct mt_val v, struct mt_buf *out)
{
    bool ok = !v.doc                    ? mt_buf_puts(out, "null")
              : mt_val_is(v, MT_STRING) ? mt_buf_put(out, mt_val_string(v))
                                        : put_sorted(v, out);
    return ok && !out->failed ? MT_OK : MT_ENOMEM;
}

struct mt_entity *mt_entity_new(struct mt_slice blueprint, struct mt_slice identifier, struct mt_slice json)
{
    struct mt_entity *e = mt_try_alloc(sizeof *e + blueprint.n + identifier.n + json.n);
    if (!e)
        return NULL;
    char *p = (char *)(e + 1);
    *e = (struct mt_entity){.key = mt_entity_key(blueprint, identifier)};
    struct mt_slice *const to[] = {&e->blueprint, &e->identifier, &e->json};
    const struct mt_slice from[] = {blueprint, identifier, json};
    for (size_t i = 0; i < 3; i++) {
        if (from[i].n)
            memcpy(p, from[i].p, from[i].n);
        *to[i] = (struct mt_slice){p, from[i].n};
        p += from[i].n;
    }
    return e;
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
