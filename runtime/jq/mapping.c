/* A resource of a mapping file, taken apart: see mapping.h. Called by bundle/appconfig.c, once for each
 * resource; what it makes is immutable and read by the mappers of all worker threads. */
#include "jq/mapping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "jq/plan.h"
#include "jq/syntax.h"
#include "jq/syntax_tree.h"

enum { EXPRESSION_MAX = 1 << 20, QUERY_DEPTH_MAX = 32 };

/* "PORT, resource 2 (kind "issue"), properties.url" in front of what went wrong. */
static enum mt_rc blame(const struct mt_mapping *m, const char *field, struct mt_err *err)
{
    return mt_err_context(err, "%s, resource %u (kind \"%.*s\"), %s", m->source, m->index,
                          m->kind.n > 60 ? 60 : (int)m->kind.n, m->kind.p, field);
}

static bool given(struct mt_val object, const char *name, struct mt_val *out)
{
    return mt_val_is(object, MT_OBJECT) && mt_val_member(object, mt_slice_of(name), out);
}

const char *mt_number_text(double value, char out[MT_NUMBER_TEXT])
{
    if (isnan(value) || isinf(value)) {
        snprintf(out, MT_NUMBER_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return out;
    }
    int digits = 1;
    do
        snprintf(out, MT_NUMBER_TEXT, "%.*e", digits - 1, value);
    while (strtod(out, NULL) != value && ++digits <= 17);
    long exponent = strtol(strchr(out, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 16) {
        int after = digits - 1 - (int)exponent;
        snprintf(out, MT_NUMBER_TEXT, "%.*f", after < 1 ? 1 : after, value);
    }
    return out;
}

static struct mt_slice owned(struct mt_slice s)
{
    return (struct mt_slice){mt_slice_dup(s), s.n};
}

/* A scalar as the text that Python's validation makes of it (R-MAP-05). */
static enum mt_rc scalar_text(struct mt_val v, struct mt_slice *out, struct mt_err *err)
{
    char number[MT_NUMBER_TEXT];
    switch (mt_val_kind(v)) {
    case MT_STRING:
        *out = owned(mt_val_string(v));
        return MT_OK;
    case MT_BOOL:
        *out = owned(mt_val_true(v) ? MT_SLICE("True") : MT_SLICE("False"));
        return MT_OK;
    case MT_NUMBER: {
        struct mt_slice literal = mt_val_literal(v);
        bool whole = true;
        for (size_t i = 0; i < literal.n; i++)
            whole = whole && literal.p[i] != '.' && literal.p[i] != 'e' && literal.p[i] != 'E';
        *out = owned(whole ? literal : mt_slice_of(mt_number_text(mt_val_double(v), number)));
        return MT_OK;
    }
    default:
        return mt_fail(err, MT_EINVAL, "a jq expression (text) is expected here, not %s",
                       mt_val_is(v, MT_ARRAY)    ? "a list"
                       : mt_val_is(v, MT_OBJECT) ? "an object"
                                                 : "null");
    }
}

static bool starts_with(struct mt_slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

/* Adds an expression; its number is the result. Takes source over. */
static unsigned add_leaf(struct mt_mapping *m, struct mt_slice source, uint32_t field)
{
    if ((m->leaf_count & (m->leaf_count - 1)) == 0)
        m->leaves = mt_realloc(m->leaves, (m->leaf_count ? m->leaf_count * 2 : 1) * sizeof *m->leaves);
    struct mt_leaf *leaf = &m->leaves[m->leaf_count];
    *leaf = (struct mt_leaf){.source = source, .field = field};
    leaf->absent = starts_with(source, "file://") || starts_with(source, "search://");
    struct mt_buf text;
    mt_buf_init(&text, EXPRESSION_MAX);
    if (!leaf->absent && mt_jq_quotes(source, &text))
        leaf->text = owned(mt_buf_slice(&text));
    mt_buf_fini(&text);
    return m->leaf_count++;
}

static void leaf_fini(struct mt_leaf *leaf)
{
    free((void *)(uintptr_t)leaf->source.p);
    free((void *)(uintptr_t)leaf->text.p);
}

/* null counts as mapped and gives null (R-MAP-03); inside a query it does the same. */
static enum mt_rc add_scalar(struct mt_mapping *m, struct mt_val v, bool nullable, struct mt_err *err)
{
    struct mt_slice text = {NULL, 0};
    bool null = nullable && mt_val_is(v, MT_NULL);
    enum mt_rc rc = MT_OK;
    if (null)
        text = owned(MT_SLICE("null"));
    else
        rc = scalar_text(v, &text, err);
    if (rc)
        return rc;
    unsigned leaf = add_leaf(m, text, m->field_count - 1);
    m->leaves[leaf].absent = m->leaves[leaf].absent || null;
    return MT_OK;
}

static enum mt_rc add_query(struct mt_mapping *m, struct mt_val v, unsigned depth, struct mt_err *err)
{
    if (!mt_val_is(v, MT_OBJECT) && !mt_val_is(v, MT_ARRAY))
        return add_scalar(m, v, true, err);
    if (depth > QUERY_DEPTH_MAX)
        return mt_fail(err, MT_EINVAL, "a query nests deeper than %d", QUERY_DEPTH_MAX);
    struct mt_slice name;
    struct mt_val member;
    for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &member);) {
        enum mt_rc rc = add_query(m, member, depth + 1, err);
        if (rc)
            return rc;
    }
    return MT_OK;
}

static enum mt_rc add_field(struct mt_mapping *m, enum mt_section section, struct mt_slice member,
                            struct mt_val v, struct mt_err *err)
{
    if ((m->field_count & (m->field_count - 1)) == 0)
        m->fields = mt_realloc(m->fields, (m->field_count ? m->field_count * 2 : 1) * sizeof *m->fields);
    struct mt_field *f = &m->fields[m->field_count++];
    *f = (struct mt_field){.section = section, .member = member, .first = m->leaf_count};
    const char *group = section == MT_PROPERTY ? "properties." : section == MT_RELATION ? "relations." : "";
    f->name = mt_format("%s%.*s", group, MT_FMT(member));
    bool query =
        (section == MT_IDENTIFIER || section == MT_TEAM || section == MT_RELATION) && mt_val_is(v, MT_OBJECT);
    bool nullable = section == MT_TITLE || section == MT_ICON || section == MT_TEAM;
    enum mt_rc rc;
    if (query) {
        f->shape = v;
        rc = add_query(m, v, 0, err);
    } else {
        rc = add_scalar(m, v, nullable, err);
    }
    if (rc)
        return blame(m, f->name, err);
    f->count = m->leaf_count - f->first;
    for (unsigned i = f->first; i < m->leaf_count; i++)
        if (m->leaves[i].absent && !mt_slice_is(m->leaves[i].source, "null"))
            mt_log(MT_WARN,
                   "%s, resource %u (kind \"%.*s\"), %s: %.*s cannot be evaluated here; the field is null",
                   m->source, m->index, MT_FMT(m->kind), f->name,
                   m->leaves[i].source.n > MT_FOREIGN ? MT_FOREIGN : (int)m->leaves[i].source.n,
                   m->leaves[i].source.p);
    return MT_OK;
}

static enum mt_rc add_group(struct mt_mapping *m, struct mt_val mappings, const char *name,
                            enum mt_section section, bool *out_given, struct mt_err *err)
{
    struct mt_val group, v;
    struct mt_slice member;
    if (!given(mappings, name, &group))
        return MT_OK;
    if (!mt_val_is(group, MT_OBJECT)) {
        mt_fail(err, MT_EINVAL, "an object of name: expression is expected");
        return blame(m, name, err);
    }
    *out_given = true;
    for (struct mt_iter it = mt_iter_of(group); mt_iter_next(&it, &member, &v);) {
        enum mt_rc rc = add_field(m, section, member, v, err);
        if (rc)
            return rc;
    }
    return MT_OK;
}

static enum mt_rc read_fields(struct mt_mapping *m, struct mt_val mappings, struct mt_err *err)
{
    static const struct {
        const char *name;
        enum mt_section section;
        bool required;
    } singles[] = {{"identifier", MT_IDENTIFIER, true},
                   {"title", MT_TITLE, false},
                   {"icon", MT_ICON, false},
                   {"blueprint", MT_BLUEPRINT, true},
                   {"team", MT_TEAM, false}};
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        struct mt_val v;
        if (given(mappings, singles[i].name, &v)) {
            if (singles[i].section == MT_BLUEPRINT)
                m->blueprint_field = m->field_count;
            enum mt_rc rc = add_field(m, singles[i].section, mt_slice_of(singles[i].name), v, err);
            if (rc)
                return rc;
        } else if (singles[i].required) {
            mt_fail(err, MT_EINVAL, "is missing; every mapping needs one");
            return blame(m, singles[i].name, err);
        }
    }
    enum mt_rc rc = add_group(m, mappings, "properties", MT_PROPERTY, &m->has_properties, err);
    return rc ? rc : add_group(m, mappings, "relations", MT_RELATION, &m->has_relations, err);
}

/* R-ITP: the expression, the name of the member, and what is to be deleted from the item. */
static enum mt_rc read_items(struct mt_mapping *m, struct mt_val port, struct mt_err *err)
{
    struct mt_val v;
    m->transform = true;
    m->item_name = owned(MT_SLICE("item"));
    if (given(port, "itemsToParseName", &v) && !mt_val_is(v, MT_NULL)) {
        free((void *)(uintptr_t)m->item_name.p);
        m->item_name = (struct mt_slice){NULL, 0};
        if (scalar_text(v, &m->item_name, err))
            return blame(m, "itemsToParseName", err);
    }
    if (given(port, "itemsToParseTopLevelTransform", &v) && !mt_val_is(v, MT_NULL)) {
        if (!mt_val_is(v, MT_BOOL)) {
            mt_fail(err, MT_EINVAL, "true or false is expected");
            return blame(m, "itemsToParseTopLevelTransform", err);
        }
        m->transform = mt_val_true(v);
    }
    if (!given(port, "itemsToParse", &v) || mt_val_is(v, MT_NULL))
        return MT_OK;
    struct mt_slice text, path;
    if (scalar_text(v, &text, err))
        return blame(m, "itemsToParse", err);
    if (text.n == 0) {
        free((void *)(uintptr_t)text.p);
        return MT_OK;
    }
    m->expands = true;
    m->items = add_leaf(m, text, MT_NO_FIELD);
    if (m->transform && mt_jq_parse_path(m->leaves[m->items].source, &path)) {
        char *del = mt_format("del(%.*s)", MT_FMT(path));
        m->remove = add_leaf(m, mt_slice_of(del), MT_NO_FIELD);
    }
    return MT_OK;
}

/* A string and nothing else. */
static struct mt_slice constant_text(const struct mt_leaf *leaf)
{
    struct mt_slice text = {NULL, 0};
    struct mt_syntax_error error;
    struct mt_syntax_tree *tree = leaf->text.p ? mt_jq_parse(leaf->text, &error) : NULL;
    if (tree && mt_syntax_tree_root(tree)->kind == MT_NODE_STRING)
        text = owned(mt_syntax_tree_root(tree)->text);
    mt_syntax_tree_free(tree);
    return text;
}

enum mt_rc mt_mapping_new(struct mt_val resource, unsigned index, const struct mt_mapping_options *options,
                          struct mt_mapping **out, struct mt_err *err)
{
    struct mt_mapping *m = mt_alloc(sizeof *m);
    m->shared = mt_alloc(sizeof *m->shared);
    pthread_mutex_init(&m->shared->lock, NULL);
    struct mt_val kind, port, entity, mappings, query;
    struct mt_slice text;
    enum mt_rc rc = MT_EINVAL;
    m->source = mt_strdup(options && options->source ? options->source : "mapping");
    m->environment = options && options->environment;
    m->index = index;
    if (!mt_val_is(resource, MT_OBJECT)) {
        mt_fail(err, MT_EINVAL, "%s, resource %u: an object is expected", m->source, index);
        goto out;
    }
    m->doc = mt_doc_ref(resource.doc);
    if (!given(resource, "kind", &kind) || scalar_text(kind, &m->kind, NULL)) {
        mt_fail(err, MT_EINVAL, "%s, resource %u: kind (text) is missing", m->source, index);
        goto out;
    }
    if (!given(resource, "selector", &m->selector_object) || !given(m->selector_object, "query", &query)) {
        mt_fail(err, MT_EINVAL, "is missing; write 'true' to take every item");
        rc = blame(m, "selector.query", err);
        goto out;
    }
    if (scalar_text(query, &text, err)) {
        rc = blame(m, "selector.query", err);
        goto out;
    }
    add_leaf(m, text, MT_NO_FIELD);
    if (!given(resource, "port", &port) || !given(port, "entity", &entity) ||
        !given(entity, "mappings", &mappings) || !mt_val_is(mappings, MT_OBJECT)) {
        mt_fail(err, MT_EINVAL, "an object is expected");
        rc = blame(m, "port.entity.mappings", err);
        goto out;
    }
    rc = read_fields(m, mappings, err);
    if (rc == MT_OK)
        rc = read_items(m, port, err);
    if (rc == MT_OK) {
        m->blueprint = constant_text(&m->leaves[m->fields[m->blueprint_field].first]);
        *out = m;
        m = NULL;
    }
out:
    mt_mapping_free(m);
    return rc;
}

void mt_mapping_free(struct mt_mapping *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->field_count; i++)
        free(m->fields[i].name);
    for (unsigned i = 0; i < m->leaf_count; i++)
        leaf_fini(&m->leaves[i]);
    free(m->fields);
    free(m->leaves);
    mt_plan_free(m->shared->plan);
    pthread_mutex_destroy(&m->shared->lock);
    free(m->shared);
    free((void *)(uintptr_t)m->blueprint.p);
    free((void *)(uintptr_t)m->item_name.p);
    free((void *)(uintptr_t)m->kind.p);
    free(m->source);
    mt_doc_unref(m->doc);
    free(m);
}

struct mt_slice mt_mapping_kind(const struct mt_mapping *m)
{
    return m->kind;
}

struct mt_val mt_mapping_selector(const struct mt_mapping *m)
{
    return m->selector_object;
}

struct mt_slice mt_mapping_blueprint(const struct mt_mapping *m)
{
    return m->blueprint;
}

struct mt_slice mt_mapping_blueprint_expression(const struct mt_mapping *m)
{
    return mt_mapping_field_expression(m, m->blueprint_field);
}

unsigned mt_mapping_field_count(const struct mt_mapping *m)
{
    return m->field_count;
}

struct mt_slice mt_mapping_field(const struct mt_mapping *m, unsigned i)
{
    return mt_slice_of(m->fields[i].name);
}

struct mt_slice mt_mapping_field_expression(const struct mt_mapping *m, unsigned i)
{
    const struct mt_field *f = &m->fields[i];
    return f->count ? m->leaves[f->first].source : (struct mt_slice){"", 0};
}
