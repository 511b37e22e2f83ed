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

static const char *kind_name(struct mt_jv v)
{
    static const char *const names[] = {"null", "a boolean", "a number", "a string", "a list", "an object"};
    return names[mt_jv_kind(v)];
}

static char *expression_message(const char *field, const struct mt_leaf *leaf, const char *what)
{
    char source[MT_FOREIGN + 1];
    mt_cut(source, MT_FOREIGN, leaf->source);
    return mt_format("%s (%s): %s", field, source, what);
}

/* NULL, or why the value cannot stand there (R-ENT-04). */
static const char *violation(const struct mt_field *f, struct mt_jv v)
{
    if (mt_jv_leaves_null(v) || mt_jv_is(v, MT_STRING))
        return NULL;
    if (f->section == MT_ICON)
        return "text or null";
    return mt_jv_is(v, MT_BOOL) ? "text, a list, a query or null" : NULL;
}

/* Of a field that is no query. */
static struct mt_jv value_of_field(const struct mt_mapper *r, unsigned field)
{
    const struct mt_field *f = &r->mapping->fields[field];
    return f->count ? r->states.values[f->first] : mt_jv_null();
}

/* A query as it is sent; takes its leaves from *leaf on. */
static bool put_shape(const struct mt_mapper *r, struct mt_val shape, unsigned *leaf, struct mt_buf *out)
{
    bool object = mt_val_is(shape, MT_OBJECT), first = true;
    if (!object && !mt_val_is(shape, MT_ARRAY))
        return mt_jv_write(r->states.values[(*leaf)++], out);
    struct mt_slice name;
    struct mt_val member;
    bool ok = mt_buf_putc(out, object ? '{' : '[');
    for (struct mt_iter it = mt_iter_of(shape); ok && mt_iter_next(&it, &name, &member); first = false) {
        if (!first)
            mt_buf_putc(out, ',');
        if (object) {
            mt_buf_put_json_string(out, name);
            mt_buf_putc(out, ':');
        }
        ok = put_shape(r, member, leaf, out);
    }
    return ok && mt_buf_putc(out, object ? '}' : ']');
}

static bool query_text(struct mt_mapper *r, const struct mt_field *f)
{
    struct mt_doc *doc = NULL;
    struct mt_buf query;
    unsigned leaf = f->first;
    mt_buf_init(&query, r->json.max);
    bool ok = put_shape(r, f->shape, &leaf, &query) && mt_doc_parse(&query, NULL, &doc, NULL) == MT_OK &&
              mt_identifier_text(mt_jv_of(mt_doc_root(doc)), &r->identifier) == MT_OK;
    mt_buf_fini(&query);
    mt_doc_unref(doc);
    return ok;
}

/* Texts of identifier and blueprint. */
static bool name_entity(struct mt_mapper *r)
{
    const struct mt_mapping *m = r->mapping;
    const struct mt_field *f = &m->fields[0];
    mt_buf_clear(&r->identifier);
    mt_buf_clear(&r->blueprint);
    bool ok = f->shape.doc ? query_text(r, f)
                           : mt_identifier_text(r->states.values[f->first], &r->identifier) == MT_OK;
    return ok && mt_identifier_text(value_of_field(r, m->blueprint_field), &r->blueprint) == MT_OK;
}

/* The upsert's body. false: it is too large. */
static bool write_body(struct mt_mapper *r, bool *out_search_relation)
{
    const struct mt_plan *plan = r->plan;
    struct mt_buf *b = &r->json;
    bool search = plan->search_relation;
    mt_buf_clear(b);
    for (unsigned i = 0; i < plan->piece_count; i++) {
        const struct mt_piece *piece = &plan->pieces[i];
        struct mt_jv v = r->states.values[piece->leaf];
        mt_buf_put(b, piece->before);
        if (piece->team && mt_jv_is(v, MT_NUMBER) && !mt_jv_leaves_null(v)) {
            mt_buf_putc(b, '"');
            mt_identifier_text(v, b);
            mt_buf_putc(b, '"');
        } else {
            mt_jv_write(v, b);
        }
        search = search || (piece->relation && mt_jv_holds_object(v));
    }
    *out_search_relation = search;
    return mt_buf_put(b, plan->after) && !b->failed;
}

static enum mt_rc build_entity(struct mt_mapper *r, uint32_t item, const struct mt_key *key,
                               struct mt_mapped *out, struct mt_err *err)
{
    const struct mt_slice blueprint = mt_buf_slice(&r->blueprint), identifier = mt_buf_slice(&r->identifier);
    bool search_relation;
    if (!write_body(r, &search_relation)) {
        fail_item(
            out, item, key,
            mt_format("the entity is larger than %zu MiB, more than moontide sends", r->json.max >> 20));
        return MT_OK;
    }
    const struct mt_slice json = mt_buf_slice(&r->json);
    struct mt_entity *e = mt_try_alloc(sizeof *e + blueprint.n + identifier.n + json.n);
    if (!e)
        return mt_fail(err, MT_ENOMEM, "no memory for an entity of %zu bytes", json.n);
    char *p = (char *)(e + 1);
    *e = (struct mt_entity){
        .key = *key,
        .json = {p, json.n},
        .blueprint = {p + json.n, blueprint.n},
        .identifier = {p + json.n + blueprint.n, identifier.n},
        .search_identifier = r->plan->search_identifier || mt_jv_is(value_of_field(r, 0), MT_OBJECT),
        .search_relation = search_relation,
        .item = item,
    };
    memcpy(p, json.p, json.n);
    memcpy(p + json.n, blueprint.p, blueprint.n);
    memcpy(p + json.n + blueprint.n, identifier.p, identifier.n);
    grow(&out->entities, out->entity_count, sizeof(struct mt_entity *));
    out->entities[out->entity_count++] = e;
    return MT_OK;
}

/* Fields that gave null, once a field and item (R-JQ-05). */
static void count_empty(struct mt_mapper *r, struct mt_mapped *out, bool named)
{
    const struct mt_plan *plan = r->plan;
    for (unsigned i = 0; i < plan->nullable_count; i++) {
        unsigned field = plan->nullable[i];
        const struct mt_field *f = &r->mapping->fields[field];
        unsigned leaf = f->first, end = f->first + f->count;
        while (leaf < end && !mt_jv_leaves_null(r->states.values[leaf]))
            leaf++;
        if (leaf == end)
            continue;
        if (r->empty[field] == 0) {
            grow(&out->empty, out->empty_count, sizeof *out->empty);
            struct mt_empty_field *e = &out->empty[out->empty_count];
            *e = (struct mt_empty_field){.field = field};
            e->sample = mt_strdup(r->states.outcomes[leaf] == MT_RAISED ? r->states.messages[leaf] : "null");
            if (named && r->identifier.n)
                e->sample_entity = mt_slice_dup(mt_buf_slice(&r->identifier));
            r->empty[field] = (unsigned)++out->empty_count;
        }
        out->empty[r->empty[field] - 1].count++;
    }
}

/* The field's first leaf that raised, or MT_SELECTOR. */
static unsigned raised(const struct mt_mapper *r, unsigned field)
{
    const struct mt_field *f = &r->mapping->fields[field];
    for (unsigned k = f->first; k < f->first + f->count; k++)
        if (r->states.outcomes[k] == MT_RAISED)
            return k;
    return MT_SELECTOR;
}

static bool has_name(const struct mt_mapper *r)
{
    const struct mt_field *id = &r->mapping->fields[0];
    bool query = id->shape.doc && mt_val_count(id->shape) > 0;
    return (query || mt_jv_present(value_of_field(r, 0))) &&
           mt_jv_present(value_of_field(r, r->mapping->blueprint_field));
}

static char *selector_message(const struct mt_mapper *r)
{
    const struct mt_leaf *leaf = &r->mapping->leaves[MT_SELECTOR];
    uint8_t outcome = r->states.outcomes[MT_SELECTOR];
    if (outcome == MT_RAISED)
        return expression_message("selector.query", leaf, r->states.messages[MT_SELECTOR]);
    char *what = mt_format("must give true or false, not %s",
                           outcome == MT_GAVE_NOTHING ? "nothing" : kind_name(r->states.values[MT_SELECTOR]));
    char *message = expression_message("selector.query", leaf, what);
    free(what);
    return message;
}

/* false: a field is what it cannot be (R-ENT-04), and the item failed. */
static bool check_fields(const struct mt_mapper *r, uint32_t item, const struct mt_key *key,
                         struct mt_mapped *out)
{
    for (unsigned i = 0; i < r->plan->strict_count; i++) {
        const struct mt_field *f = &r->mapping->fields[r->plan->strict[i]];
        struct mt_jv value = r->states.values[f->first];
        const char *expected = violation(f, value);
        if (!expected)
            continue;
        char *what = mt_format("must be %s, not %s", expected, kind_name(value));
        fail_item(out, item, key, expression_message(f->name, &r->mapping->leaves[f->first], what));
        free(what);
        return false;
    }
    return true;
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
    const unsigned keys[] = {0, m->blueprint_field};
    unsigned broken = MT_SELECTOR;
    for (size_t i = 0; i < 2 && broken == MT_SELECTOR; i++) {
        broken = raised(r, keys[i]);
        if (broken != MT_SELECTOR && selected == MT_SELECTED)
            fail_item(
                out, item, NULL,
                expression_message(m->fields[keys[i]].name, &m->leaves[broken], r->states.messages[broken]));
    }
    bool named = broken == MT_SELECTOR && has_name(r);
    struct mt_key key;
    mt_buf_clear(&r->identifier);
    if (named) {
        if (!name_entity(r)) {
            fail_item(out, item, NULL, mt_format("the identifier is larger than %zu MiB", r->json.max >> 20));
            return MT_OK;
        }
        key = mt_entity_key(mt_buf_slice(&r->blueprint), mt_buf_slice(&r->identifier));
    }
    if (selected == MT_UNDECIDED) {
        fail_item(out, item, named ? &key : NULL, selector_message(r));
        return MT_OK;
    }
    out->selected++;
    count_empty(r, out, named);
    if (broken != MT_SELECTOR)
        return MT_OK;
    if (!named) {
        out->skipped++;
        return MT_OK;
    }
    return check_fields(r, item, &key, out) ? build_entity(r, item, &key, out, err) : MT_OK;
}

/* ---- itemsToParse ---- */

/* A value of this item as a document that outlives the evaluation of others. */
static enum mt_rc to_document(struct mt_jv v, struct mt_doc **out, struct mt_err *err)
{
    struct mt_builder *b = mt_builder_new();
    mt_jv_build(v, b);
    enum mt_rc rc = mt_builder_finish(b, out, err);
    mt_builder_free(b);
    return rc;
}

/* The item without what itemsToParse takes out of it (R-ITP-02). *out_doc NULL: null, the item is to be
 * skipped. */
static enum mt_rc transform(struct mt_mapper *r, struct mt_val item, struct mt_doc **out_doc,
                            struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    *out_doc = NULL;
    if (!m->transform)
        return to_document(mt_jv_of(item), out_doc, err);
    if (!m->remove || mt_jv_leaves_null(r->states.values[m->remove])) /* R-ITP-06 */
        return MT_OK;
    return to_document(r->states.values[m->remove], out_doc, err);
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

static enum mt_rc emit_all(struct mt_mapper *r, struct mt_val base, struct mt_val list, uint32_t item,
                           struct mt_mapped *out, struct mt_err *err)
{
    struct mt_slice name;
    struct mt_val element;
    enum mt_rc rc = MT_OK;
    for (struct mt_iter it = mt_iter_of(list); rc == MT_OK && mt_iter_next(&it, &name, &element);)
        rc = emit(r, base, element, item, out, err);
    return rc;
}

/* A failure here protects nothing by key: the entities would have come from the elements. */
static enum mt_rc expand(struct mt_mapper *r, struct mt_val v, uint32_t item, struct mt_mapped *out,
                         struct mt_err *err)
{
    const unsigned leaf = r->mapping->items;
    enum mt_rc rc = mt_mapper_expand(r, v, err);
    if (rc)
        return rc;
    const struct mt_leaf *source = &r->mapping->leaves[leaf];
    struct mt_jv list = r->states.values[leaf];
    if (r->states.outcomes[leaf] == MT_RAISED) {
        fail_item(out, item, NULL, expression_message("itemsToParse", source, r->states.messages[leaf]));
        return MT_OK;
    }
    if (mt_jv_leaves_null(list)) {
        out->skipped++;
        return MT_OK;
    }
    if (!mt_jv_is(list, MT_ARRAY)) {
        char *what = mt_format("must give a list, not %s", kind_name(list));
        fail_item(out, item, NULL, expression_message("itemsToParse", source, what));
        free(what);
        return MT_OK;
    }
    if (r->mapping->transform && r->out_of_limits) { /* where jq itself raises, the item is skipped */
        const unsigned remove = r->mapping->remove;
        source = &r->mapping->leaves[remove];
        fail_item(out, item, NULL, expression_message("itemsToParse", source, r->states.messages[remove]));
        return MT_OK;
    }
    struct mt_doc *base = NULL, *elements = NULL;
    rc = transform(r, v, &base, err);
    if (rc == MT_OK && !base)
        out->skipped++;
    if (rc == MT_OK && base)
        rc = to_document(list, &elements, err);
    if (rc == MT_OK && base)
        rc = emit_all(r, mt_doc_root(base), mt_doc_root(elements), item, out, err);
    mt_doc_unref(base);
    mt_doc_unref(elements);
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
            fail_item(&mapped, item, NULL,
                      mt_format("a raw item must be an object, not %s", kind_name(mt_jv_of(v))));
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
