/* A batch through a mapper: raw items are expanded (R-ITP), selected, and made into entities (R-ENT). See
 * mapping.h. Called by sync's mapping jobs and by `moontide map`, on the worker thread that owns the mapper.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/mapper.h"

static void grow(void *list_pointer, size_t count, size_t size)
{
    void **list = list_pointer;
    if ((count & (count - 1)) == 0)
        *list = mt_realloc(*list, (count ? count * 2 : 1) * size);
}

static void fail_item(struct mt_mapped *out, uint32_t item, const struct mt_key *key, char *message)
{
    grow(&out->failed, out->failed_count, sizeof *out->failed);
    struct mt_failed_item *f = &out->failed[out->failed_count++];
    *f = (struct mt_failed_item){.item = item, .has_key = key != NULL, .message = message};
    if (key)
        f->key = *key;
}

static const char *kind_name(struct mt_val v)
{
    static const char *const names[] = {"null", "a boolean", "a number", "a string", "a list", "an object"};
    return v.doc ? names[mt_val_kind(v)] : "null";
}

static char *expression_message(const char *field, const struct mt_leaf *leaf, const char *what)
{
    size_t n = leaf->source.n < MT_FOREIGN ? leaf->source.n : MT_FOREIGN;
    while (n > 0 && n < leaf->source.n && ((unsigned char)leaf->source.p[n] & 0xC0) == 0x80)
        n--;
    return mt_format("%s (%.*s): %s", field, (int)n, leaf->source.p, what);
}

/* The value of a leaf: null when it gave none or raised (R-JQ-04). */
static struct mt_val value_of(const struct mt_state *state)
{
    return state->outcome == MT_GAVE_VALUE ? state->val : (struct mt_val){NULL, 0};
}

static bool is_null(struct mt_val v)
{
    return !v.doc || mt_val_is(v, MT_NULL);
}

static bool put_value(struct mt_val v, struct mt_buf *out)
{
    return v.doc ? mt_val_write(v, out) : mt_buf_puts(out, "null");
}

/* A query with its leaves evaluated (R-JQ-09); takes them from *state on. */
static bool put_shape(struct mt_val shape, const struct mt_state **state, struct mt_buf *out)
{
    bool object = mt_val_is(shape, MT_OBJECT);
    if (!object && !mt_val_is(shape, MT_ARRAY))
        return put_value(value_of((*state)++), out);
    struct mt_slice name;
    struct mt_val member;
    bool first = true, ok = mt_buf_putc(out, object ? '{' : '[');
    for (struct mt_iter it = mt_iter_of(shape); ok && mt_iter_next(&it, &name, &member); first = false) {
        if (!first)
            mt_buf_putc(out, ',');
        if (object) {
            mt_buf_put_json_string(out, name);
            mt_buf_putc(out, ':');
        }
        ok = put_shape(member, state, out);
    }
    return ok && mt_buf_putc(out, object ? '}' : ']');
}

static bool holds_object(struct mt_val v)
{
    struct mt_slice name;
    struct mt_val member;
    if (mt_val_is(v, MT_OBJECT))
        return true;
    if (mt_val_is(v, MT_ARRAY))
        for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &member);)
            if (mt_val_is(member, MT_OBJECT))
                return true;
    return false;
}

/* NULL, or why the value cannot stand there (R-ENT-04). */
static const char *violation(const struct mt_field *f, struct mt_val v)
{
    if (f->shape.doc || is_null(v) || mt_val_is(v, MT_STRING))
        return NULL;
    if (f->section == MT_ICON)
        return "text or null";
    if (f->section == MT_TEAM && mt_val_is(v, MT_BOOL))
        return "text, a list, a query or null";
    return NULL;
}

/* The identifier as it is sent is in r->json from `from` on when it is a query, else the state's value. */
static enum mt_rc name_entity(struct mt_mapper *r, struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    const struct mt_field *f = &m->fields[0];
    struct mt_doc *doc = NULL;
    enum mt_rc rc = MT_OK;
    mt_buf_clear(&r->identifier);
    mt_buf_clear(&r->blueprint);
    if (f->shape.doc) {
        const struct mt_state *state = &r->states[f->first];
        struct mt_buf query;
        mt_buf_init(&query, r->json.max);
        rc = put_shape(f->shape, &state, &query) ? mt_doc_parse(&query, NULL, &doc, err)
                                                 : mt_fail(err, MT_ENOMEM, "an identifier is too large");
        mt_buf_fini(&query);
        if (rc == MT_OK)
            rc = mt_identifier_text(mt_doc_root(doc), &r->identifier);
        mt_doc_unref(doc);
    } else {
        rc = mt_identifier_text(value_of(&r->states[f->first]), &r->identifier);
    }
    if (rc == MT_OK)
        rc = mt_identifier_text(value_of(&r->states[m->fields[m->blueprint].first]), &r->blueprint);
    return rc ? mt_fail(err, MT_ENOMEM, "an identifier is too large") : MT_OK;
}

/* The upsert's body (A-ENT-01): only mapped members, in this order. */
static enum mt_rc build_entity(struct mt_mapper *r, uint32_t item, struct mt_mapped *out, struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    struct mt_buf *b = &r->json;
    bool search_identifier = false, search_relation = false;
    enum mt_section open = MT_IDENTIFIER;
    mt_buf_clear(b);
    mt_buf_putc(b, '{');
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct mt_field *f = &m->fields[i];
        const struct mt_state *state = &r->states[f->first];
        struct mt_val v = f->shape.doc ? f->shape : value_of(state);
        if (f->section >= MT_PROPERTY && f->section != open) {
            if (open == MT_PROPERTY)
                mt_buf_putc(b, '}');
            if (f->section == MT_RELATION && m->has_properties && open != MT_PROPERTY)
                mt_buf_puts(b, ",\"properties\":{}");
            mt_buf_puts(b, f->section == MT_PROPERTY ? ",\"properties\":{" : ",\"relations\":{");
            open = f->section;
        } else if (i > 0) {
            mt_buf_putc(b, ',');
        }
        mt_buf_put_json_string(b, f->member);
        mt_buf_putc(b, ':');
        if (f->shape.doc)
            put_shape(f->shape, &state, b);
        else if (f->section == MT_TEAM && mt_val_is(v, MT_NUMBER)) {
            mt_buf_putc(b, '"');
            mt_identifier_text(v, b);
            mt_buf_putc(b, '"');
        } else {
            put_value(v, b);
        }
        if (f->section == MT_IDENTIFIER)
            search_identifier = f->shape.doc || mt_val_is(v, MT_OBJECT);
        if (f->section == MT_RELATION || f->section == MT_TEAM)
            search_relation = search_relation || f->shape.doc || holds_object(v);
    }
    if (open >= MT_PROPERTY)
        mt_buf_putc(b, '}');
    if (m->has_properties && open == MT_IDENTIFIER)
        mt_buf_puts(b, ",\"properties\":{}");
    if (m->has_relations && open != MT_RELATION)
        mt_buf_puts(b, ",\"relations\":{}");
    mt_buf_putc(b, '}');
    struct mt_entity *e =
        b->failed ? NULL
                  : mt_entity_new(mt_buf_slice(&r->blueprint), mt_buf_slice(&r->identifier), mt_buf_slice(b));
    if (!e)
        return mt_fail(err, MT_ENOMEM, "an entity is too large: more than %zu bytes", b->max);
    e->item = item;
    e->search_identifier = search_identifier;
    e->search_relation = search_relation;
    grow(&out->entities, out->entity_count, sizeof *out->entities);
    out->entities[out->entity_count++] = e;
    return MT_OK;
}

/* Fields that gave null, once a field and item (R-JQ-05). */
static void count_empty(struct mt_mapper *r, struct mt_mapped *out, bool named)
{
    const struct mt_mapping *m = r->mapping;
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct mt_field *f = &m->fields[i];
        const struct mt_state *null = NULL;
        for (unsigned k = f->first; k < f->first + f->count && !null; k++)
            if (is_null(value_of(&r->states[k])))
                null = &r->states[k];
        if (!null)
            continue;
        if (r->empty[i] == 0) {
            grow(&out->empty, out->empty_count, sizeof *out->empty);
            struct mt_empty_field *e = &out->empty[out->empty_count];
            *e = (struct mt_empty_field){.field = i};
            e->sample = mt_strdup(null->outcome == MT_RAISED ? null->message : "null");
            if (named && r->identifier.n)
                e->sample_entity = mt_slice_dup(mt_buf_slice(&r->identifier));
            r->empty[i] = (unsigned)++out->empty_count;
        }
        out->empty[r->empty[i] - 1].count++;
    }
}

/* The state of the field's first leaf that raised, or NULL. */
static const struct mt_state *raised(const struct mt_mapper *r, unsigned field)
{
    const struct mt_field *f = &r->mapping->fields[field];
    for (unsigned k = f->first; k < f->first + f->count; k++)
        if (r->states[k].outcome == MT_RAISED)
            return &r->states[k];
    return NULL;
}

static bool has_name(const struct mt_mapper *r)
{
    const struct mt_mapping *m = r->mapping;
    const struct mt_field *id = &m->fields[0];
    bool query = id->shape.doc && mt_val_count(id->shape) > 0;
    return (query || mt_val_truthy(value_of(&r->states[id->first]))) &&
           mt_val_truthy(value_of(&r->states[m->fields[m->blueprint].first]));
}

static char *selector_message(const struct mt_mapper *r)
{
    const struct mt_state *s = &r->selector;
    if (s->outcome == MT_RAISED)
        return expression_message("selector.query", &r->mapping->selector, s->message);
    char *what = mt_format("must give true or false, not %s",
                           s->outcome == MT_GAVE_NOTHING ? "nothing" : kind_name(s->val));
    char *message = expression_message("selector.query", &r->mapping->selector, what);
    free(what);
    return message;
}

/* One item, after expansion. */
static enum mt_rc map_item(struct mt_mapper *r, struct mt_val v, uint32_t item, struct mt_mapped *out,
                           struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    enum mt_selected selected;
    out->items++;
    enum mt_rc rc = mt_mapper_evaluate(r, v, &selected, err);
    if (rc)
        return rc;
    if (selected == MT_REJECTED) {
        out->rejected++;
        return MT_OK;
    }
    const unsigned keys[] = {0, m->blueprint};
    const struct mt_state *broken = NULL;
    for (size_t i = 0; i < 2 && !broken; i++) {
        broken = raised(r, keys[i]);
        if (broken && selected == MT_SELECTED)
            fail_item(
                out, item, NULL,
                expression_message(m->fields[keys[i]].name, &m->leaves[broken - r->states], broken->message));
    }
    bool named = !broken && has_name(r);
    struct mt_key key;
    mt_buf_clear(&r->identifier);
    if (named) {
        rc = name_entity(r, err);
        if (rc)
            return rc;
        key = mt_entity_key(mt_buf_slice(&r->blueprint), mt_buf_slice(&r->identifier));
    }
    if (selected == MT_UNDECIDED) {
        fail_item(out, item, named ? &key : NULL, selector_message(r));
        return MT_OK;
    }
    out->selected++;
    count_empty(r, out, named);
    if (broken)
        return MT_OK;
    if (!named) {
        out->skipped++;
        return MT_OK;
    }
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct mt_field *f = &m->fields[i];
        struct mt_val value = value_of(&r->states[f->first]);
        const char *expected = violation(f, value);
        if (!expected)
            continue;
        char *what = mt_format("must be %s, not %s", expected, kind_name(value));
        fail_item(out, item, &key, expression_message(f->name, &m->leaves[f->first], what));
        free(what);
        return MT_OK;
    }
    return build_entity(r, item, out, err);
}

/* The item without what itemsToParse takes out of it (R-ITP-02). *out_doc NULL: null, the item is to be
 * skipped. */
static enum mt_rc transform(struct mt_mapper *r, struct mt_val item, struct mt_doc **out_doc,
                            struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    struct mt_builder *b = mt_builder_new();
    enum mt_rc rc = MT_OK;
    char message[MT_PATH_MESSAGE];
    *out_doc = NULL;
    if (!m->transform) {
        mt_build_ref(b, item);
    } else if (!m->removes) {
        goto out; /* R-ITP-06 */
    } else if (m->remove.plain) {
        if (!mt_plain_delete(m->remove.plain, item, b, message))
            goto out;
    } else {
        struct mt_val left = value_of(&r->remove);
        if (is_null(left))
            goto out;
        mt_build_ref(b, left);
    }
    rc = mt_builder_finish(b, out_doc, err);
out:
    mt_builder_free(b);
    return rc;
}

static enum mt_rc emit(struct mt_mapper *r, struct mt_val base, struct mt_val element, uint32_t item,
                       struct mt_mapped *out, struct mt_err *err)
{
    struct mt_builder *b = mt_builder_new();
    struct mt_doc *doc = NULL;
    struct mt_slice name;
    struct mt_val member;
    mt_build_object(b);
    for (struct mt_iter it = mt_iter_of(base); mt_iter_next(&it, &name, &member);) {
        if (mt_slice_eq(name, r->mapping->item_name))
            continue;
        mt_build_name(b, name);
        mt_build_ref(b, member);
    }
    mt_build_name(b, r->mapping->item_name);
    mt_build_ref(b, element);
    mt_build_end(b);
    enum mt_rc rc = mt_builder_finish(b, &doc, err);
    mt_builder_free(b);
    if (rc == MT_OK)
        rc = map_item(r, mt_doc_root(doc), item, out, err);
    mt_doc_unref(doc);
    return rc;
}

/* A failure here protects nothing by key: the entities would have come from the elements. */
static enum mt_rc expand(struct mt_mapper *r, struct mt_val v, uint32_t item, struct mt_mapped *out,
                         struct mt_err *err)
{
    const struct mt_leaf *leaf = &r->mapping->items;
    enum mt_rc rc = mt_mapper_expand(r, v, err);
    if (rc)
        return rc;
    if (r->items.outcome == MT_RAISED) {
        fail_item(out, item, NULL, expression_message("itemsToParse", leaf, r->items.message));
        return MT_OK;
    }
    struct mt_val list = value_of(&r->items);
    if (is_null(list)) {
        out->skipped++;
        return MT_OK;
    }
    if (!mt_val_is(list, MT_ARRAY)) {
        char *what = mt_format("must give a list, not %s", kind_name(list));
        fail_item(out, item, NULL, expression_message("itemsToParse", leaf, what));
        free(what);
        return MT_OK;
    }
    struct mt_doc *base;
    rc = transform(r, v, &base, err);
    if (rc)
        return rc;
    if (!base) {
        out->skipped++;
        return MT_OK;
    }
    struct mt_slice name;
    struct mt_val element;
    for (struct mt_iter it = mt_iter_of(list); rc == MT_OK && mt_iter_next(&it, &name, &element);)
        rc = emit(r, mt_doc_root(base), element, item, out, err);
    mt_doc_unref(base);
    return rc;
}

enum mt_rc mt_mapper_run(struct mt_mapper *r, struct mt_val items, struct mt_mapped *out, struct mt_err *err)
{
    struct mt_mapped mapped = {0};
    struct mt_slice name;
    struct mt_val v;
    enum mt_rc rc = MT_OK;
    uint32_t item = 0;
    memset(r->empty, 0, r->mapping->field_count * sizeof *r->empty);
    for (struct mt_iter it = mt_iter_of(items); rc == MT_OK && mt_iter_next(&it, &name, &v); item++) {
        if (!mt_val_is(v, MT_OBJECT)) {
            mapped.items++;
            fail_item(&mapped, item, NULL, mt_format("a raw item must be an object, not %s", kind_name(v)));
        } else if (r->mapping->expands) {
            rc = expand(r, v, item, &mapped, err);
        } else {
            rc = map_item(r, v, item, &mapped, err);
        }
    }
    if (rc) {
        mt_mapped_fini(&mapped);
        return rc;
    }
    *out = mapped;
    return MT_OK;
}
