/* Blueprints: see blueprint.h. */
#include "catalog/blueprint.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "catalog/entity.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

static void blueprint_free(struct mt_cat_blueprint *b)
{
    if (!b)
        return;
    mt_doc_unref(b->doc);
    free(b->properties);
    free(b->relations);
    free(b);
}

void mt_cat_blueprints_free(struct mt_cat_blueprints *all)
{
    if (!all)
        return;
    for (uint32_t i = 0; i < all->count; i++)
        blueprint_free(all->list[i]);
    free(all->list);
    free(all);
}

const struct mt_cat_blueprint *mt_cat_blueprint_find(const struct mt_cat_store *s, struct mt_slice identifier)
{
    for (uint32_t i = 0; i < s->blueprints->count; i++)
        if (mt_slice_eq(s->blueprints->list[i]->identifier, identifier))
            return s->blueprints->list[i];
    return NULL;
}

const struct mt_cat_property *mt_cat_blueprint_property(const struct mt_cat_blueprint *b,
                                                        struct mt_slice name)
{
    for (uint32_t i = 0; i < b->property_count; i++)
        if (mt_slice_eq(b->properties[i].name, name))
            return &b->properties[i];
    return NULL;
}

const struct mt_cat_relation *mt_cat_blueprint_relation(const struct mt_cat_blueprint *b,
                                                        struct mt_slice name)
{
    for (uint32_t i = 0; i < b->relation_count; i++)
        if (mt_slice_eq(b->relations[i].name, name))
            return &b->relations[i];
    return NULL;
}

/* Reading a definition ---------------------------------------------------------------------------- */

static bool flag_of(struct mt_val object, const char *name, bool *out)
{
    struct mt_val v;
    *out = false;
    if (!mt_val_member(object, mt_slice_of(name), &v) || mt_val_is(v, MT_NULL))
        return true;
    *out = mt_val_true(v);
    return mt_val_is(v, MT_BOOL);
}

static bool properties_read(struct mt_cat_blueprint *b, struct mt_val schema, struct mt_cat_refusal *why)
{
    struct mt_val properties, required, value;
    struct mt_slice name;
    if (!mt_val_member(schema, MT_SLICE("properties"), &properties) || !mt_val_is(properties, MT_OBJECT))
        return mt_cat_invalid(why, "schema.properties must be an object");
    b->properties = mt_alloc((mt_val_count(properties) + 1) * sizeof *b->properties);
    for (struct mt_iter it = mt_iter_of(properties); mt_iter_next(&it, &name, &value);)
        if (!mt_cat_identifier_check(name, "the name of a property", why) ||
            !mt_cat_property_read(name, value, &b->properties[b->property_count++], why))
            return false;
    if (!mt_val_member(schema, MT_SLICE("required"), &required) || mt_val_is(required, MT_NULL))
        return true;
    if (!mt_val_is(required, MT_ARRAY))
        return mt_cat_invalid(why, "schema.required must be a list of names");
    for (uint32_t i = 0; mt_val_index(required, i, &value); i++) {
        uint32_t at = 0;
        while (at < b->property_count && !mt_slice_eq(b->properties[at].name, mt_val_string(value)))
            at++;
        if (!mt_val_is(value, MT_STRING) || at == b->property_count)
            return mt_cat_invalid(why, "schema.required names \"%.*s\", which is no property",
                                  MT_CUT(mt_val_string(value)));
        b->properties[at].required = b->demands = true;
    }
    return true;
}

static bool relations_read(struct mt_cat_blueprint *b, struct mt_val relations, struct mt_cat_refusal *why)
{
    struct mt_val definition, target;
    struct mt_slice name;
    b->relations = mt_alloc((mt_val_count(relations) + 1) * sizeof *b->relations);
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &definition);) {
        struct mt_cat_relation *r = &b->relations[b->relation_count++];
        r->name = name;
        if (!mt_cat_identifier_check(name, "the name of a relation", why))
            return false;
        if (!mt_val_member(definition, MT_SLICE("target"), &target) || !mt_val_string(target).n)
            return mt_cat_invalid(why, "relation \"%.*s\" needs the identifier of a blueprint as its target",
                                  MT_CUT(name));
        if (!flag_of(definition, "many", &r->many) || !flag_of(definition, "required", &r->required))
            return mt_cat_invalid(why, "relation \"%.*s\": many and required must be true or false",
                                  MT_CUT(name));
        r->target = mt_val_string(target);
        b->demands |= r->required;
        if (mt_cat_blueprint_property(b, name))
            return mt_cat_invalid(why, "\"%.*s\" is a property and a relation at once", MT_CUT(name));
    }
    return true;
}

/* Takes doc over, also when it is refused. */
static struct mt_cat_blueprint *blueprint_read(struct mt_doc *doc, struct mt_cat_refusal *why)
{
    struct mt_cat_blueprint *b = mt_alloc(sizeof *b);
    struct mt_val root = mt_doc_root(doc), v;
    b->doc = doc;
    bool fine = true;
    if (!mt_val_member(root, MT_SLICE("identifier"), &v) || !mt_val_is(v, MT_STRING))
        fine = mt_cat_invalid(why, "a blueprint needs an identifier (text)");
    else
        fine =
            mt_cat_identifier_check(b->identifier = mt_val_string(v), "the identifier of a blueprint", why);
    if (fine && mt_val_member(root, MT_SLICE("title"), &v) && !mt_val_is(v, MT_STRING) &&
        !mt_val_is(v, MT_NULL))
        fine = mt_cat_invalid(why, "the title of a blueprint must be text");
    if (fine && (!mt_val_member(root, MT_SLICE("schema"), &v) || !mt_val_is(v, MT_OBJECT)))
        fine = mt_cat_invalid(why, "a blueprint needs a schema: {\"properties\":{…}}");
    if (!fine || !properties_read(b, v, why))
        goto refused;
    if (mt_val_member(root, MT_SLICE("relations"), &v) && !relations_read(b, v, why))
        goto refused;
    return b;
refused:
    blueprint_free(b);
    return NULL;
}

static bool targets_exist(const struct mt_cat_store *s, const struct mt_cat_blueprint *b,
                          struct mt_cat_refusal *why)
{
    for (uint32_t i = 0; i < b->relation_count; i++)
        if (!mt_slice_eq(b->relations[i].target, b->identifier) &&
            !mt_cat_blueprint_find(s, b->relations[i].target))
            return mt_cat_invalid(why, "relation \"%.*s\" points at blueprint \"%.*s\", which does not exist",
                                  MT_CUT(b->relations[i].name), MT_CUT(b->relations[i].target));
    return true;
}

/* The store --------------------------------------------------------------------------------------- */

enum mt_rc mt_cat_blueprints_load(struct mt_cat_store *s, struct mt_err *err)
{
    struct mt_cat_blueprints *all = mt_alloc(sizeof *all);
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_BLUEPRINT_ALL);
    enum mt_rc rc = MT_OK;
    while (rc == MT_OK && mt_cat_step(s, row)) {
        struct mt_doc *doc;
        struct mt_cat_refusal why = {0};
        rc = mt_doc_parse_copy(mt_cat_column(row, 1), NULL, &doc, err);
        struct mt_cat_blueprint *b = rc == MT_OK ? blueprint_read(doc, &why) : NULL;
        if (!b) {
            rc = mt_fail(err, MT_EIO,
                         "catalog %s is damaged: blueprint %.*s cannot be read; move the file away",
                         s->path ? s->path : "in memory", MT_CUT(mt_cat_column(row, 0)));
            break;
        }
        b->created = sqlite3_column_int64(row, 2);
        b->updated = sqlite3_column_int64(row, 3);
        all->list = mt_realloc(all->list, (all->count + 1) * sizeof *all->list);
        all->list[all->count++] = b;
    }
    sqlite3_reset(row);
    if (rc == MT_OK && s->failed) {
        if (err)
            *err = s->err;
        rc = s->err.rc;
    }
    if (rc == MT_OK) {
        mt_cat_blueprints_free(s->blueprints);
        s->blueprints = all;
    } else {
        mt_cat_blueprints_free(all);
    }
    return rc;
}

/* As the database lists them. */
static int by_identifier(const void *a, const void *b)
{
    struct mt_slice x = (*(struct mt_cat_blueprint *const *)a)->identifier;
    struct mt_slice y = (*(struct mt_cat_blueprint *const *)b)->identifier;
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static void keep(struct mt_cat_store *s, struct mt_cat_blueprint *b, const struct mt_cat_blueprint *old)
{
    struct mt_buf text;
    b->updated = mt_cat_store_now(s);
    b->created = old ? old->created : b->updated;
    mt_buf_init(&text, BODY_MAX);
    mt_val_write(mt_doc_root(b->doc), &text);
    sqlite3_stmt *put = mt_cat_store_sql(s, MT_CAT_BLUEPRINT_PUT);
    mt_cat_bind(put, 1, b->identifier);
    mt_cat_bind(put, 2, mt_buf_slice(&text));
    sqlite3_bind_int64(put, 3, b->created);
    sqlite3_bind_int64(put, 4, b->updated);
    mt_cat_store_write(s);
    mt_cat_run(s, put);
    mt_buf_fini(&text);
    struct mt_cat_blueprints *all = s->blueprints;
    uint32_t at = 0;
    while (at < all->count && all->list[at] != old)
        at++;
    if (at == all->count) {
        all->list = mt_realloc(all->list, (all->count + 1) * sizeof *all->list);
        all->count++;
    } else {
        blueprint_free(all->list[at]);
    }
    all->list[at] = b;
    if (!old)
        qsort(all->list, all->count, sizeof *all->list, by_identifier);
}

/* What old defines and b does not, or a relation that points elsewhere now, leaves the entities. */
static void drop_gone(struct mt_cat_store *s, const struct mt_cat_blueprint *old,
                      const struct mt_cat_blueprint *b)
{
    struct mt_slice *properties = mt_alloc((old->property_count + 1) * sizeof *properties);
    struct mt_slice *relations = mt_alloc((old->relation_count + 1) * sizeof *relations);
    uint32_t property_count = 0, relation_count = 0;
    for (uint32_t i = 0; i < old->property_count; i++)
        if (!mt_cat_blueprint_property(b, old->properties[i].name))
            properties[property_count++] = old->properties[i].name;
    for (uint32_t i = 0; i < old->relation_count; i++) {
        const struct mt_cat_relation *was = &old->relations[i], *is = mt_cat_blueprint_relation(b, was->name);
        if (!is || is->many != was->many || !mt_slice_eq(is->target, was->target))
            relations[relation_count++] = was->name;
    }
    if (property_count + relation_count)
        mt_cat_entities_forget(s, old->identifier, properties, property_count, relations, relation_count);
    free(properties);
    free(relations);
}

/* Changing ---------------------------------------------------------------------------------------- */

static void build_relations(struct mt_builder *build, struct mt_val relations)
{
    struct mt_slice name, member;
    struct mt_val definition, v;
    mt_build_object(build);
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &definition);) {
        mt_build_name(build, name);
        if (!mt_val_is(definition, MT_OBJECT)) {
            mt_build_ref(build, definition);
            continue;
        }
        mt_build_object(build);
        for (struct mt_iter in = mt_iter_of(definition); mt_iter_next(&in, &member, &v);)
            if (!mt_val_is(v, MT_NULL)) {
                mt_build_name(build, member);
                mt_build_ref(build, v);
            }
        static const char *const flags[] = {"many", "required"}; /* A-BP-01: mandatory */
        for (size_t i = 0; i < 2; i++)
            if (!mt_val_member(definition, mt_slice_of(flags[i]), &v) || mt_val_is(v, MT_NULL)) {
                mt_build_name(build, mt_slice_of(flags[i]));
                mt_build_bool(build, false);
            }
        mt_build_end(build);
    }
    mt_build_end(build);
}

static void build_schema(struct mt_builder *build, struct mt_val schema)
{
    struct mt_slice name;
    struct mt_val v;
    mt_build_object(build);
    for (struct mt_iter it = mt_iter_of(schema); mt_iter_next(&it, &name, &v);) {
        mt_build_name(build, name);
        mt_build_ref(build, v);
    }
    if (!mt_val_member(schema, MT_SLICE("properties"), &v)) {
        mt_build_name(build, MT_SLICE("properties"));
        mt_build_object(build);
        mt_build_end(build);
    }
    mt_build_end(build);
}

/* The members of old that body does not name, then body's, with schema and relations complete (A-BP-01). */
static struct mt_doc *merged(const struct mt_cat_blueprint *old, struct mt_val body,
                             struct mt_cat_refusal *why)
{
    static const char *const ours[] = {"createdAt", "updatedAt", "createdBy", "updatedBy", "id"};
    struct mt_builder *build = mt_builder_new();
    struct mt_doc *doc = NULL, *flat = NULL;
    struct mt_slice name;
    struct mt_val value, other;
    mt_build_object(build);
    if (old)
        for (struct mt_iter it = mt_iter_of(mt_doc_root(old->doc)); mt_iter_next(&it, &name, &value);)
            if (!mt_val_member(body, name, &other)) {
                mt_build_name(build, name);
                mt_build_ref(build, value);
            }
    for (struct mt_iter it = mt_iter_of(body); mt_iter_next(&it, &name, &value);) {
        bool skip = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            skip |= mt_slice_is(name, ours[i]);
        if (skip)
            continue;
        mt_build_name(build, name);
        if (mt_slice_is(name, "relations") && mt_val_is(value, MT_OBJECT))
            build_relations(build, value);
        else if (mt_slice_is(name, "schema") && mt_val_is(value, MT_OBJECT))
            build_schema(build, value);
        else
            mt_build_ref(build, value);
    }
    bool has_relations = mt_val_member(body, MT_SLICE("relations"), &other) ||
                         (old && mt_val_member(mt_doc_root(old->doc), MT_SLICE("relations"), &other));
    if (!has_relations) {
        mt_build_name(build, MT_SLICE("relations"));
        mt_build_object(build);
        mt_build_end(build);
    }
    mt_build_end(build);
    struct mt_err err;
    /* Written and read again, so that the stored one refers neither to the request nor to what it replaces.
     */
    if (mt_builder_finish(build, &doc, &err) == MT_OK) {
        struct mt_buf text;
        mt_buf_init(&text, BODY_MAX);
        mt_val_write(mt_doc_root(doc), &text);
        if (text.failed || mt_doc_parse(&text, NULL, &flat, &err) != MT_OK)
            mt_cat_refuse(why, 413, "payload_too_large", "the blueprint is too large");
        mt_buf_fini(&text);
    } else {
        mt_cat_refuse(why, 413, "payload_too_large", "the blueprint is too large: %.*s", MT_FOREIGN,
                      err.text);
    }
    mt_doc_unref(doc);
    mt_builder_free(build);
    return flat;
}

bool mt_cat_blueprint_change(struct mt_cat_store *s, enum mt_cat_change change, struct mt_slice identifier,
                             struct mt_val body, const struct mt_cat_blueprint **out,
                             struct mt_cat_refusal *why)
{
    struct mt_val v;
    if (!mt_val_is(body, MT_OBJECT))
        return mt_cat_invalid(why, "a blueprint must be an object");
    if (mt_val_member(body, MT_SLICE("relations"), &v) && !mt_val_is(v, MT_OBJECT))
        return mt_cat_invalid(why,
                              "relations must be an object: {\"name\":{\"target\",\"many\",\"required\"}}");
    bool named = mt_val_member(body, MT_SLICE("identifier"), &v);
    if (named && identifier.p && !(mt_val_is(v, MT_STRING) && mt_slice_eq(mt_val_string(v), identifier)))
        return mt_cat_invalid(why, "the identifier of blueprint \"%.*s\" cannot be changed",
                              MT_CUT(identifier));
    if (!identifier.p && named)
        identifier = mt_val_string(v);
    const struct mt_cat_blueprint *old = mt_cat_blueprint_find(s, identifier);
    if (change == MT_CAT_CREATE && old)
        return mt_cat_refuse(why, 409, "conflict", "blueprint \"%.*s\" exists already", MT_CUT(identifier));
    if (change == MT_CAT_MERGE && !old)
        return mt_cat_refuse(why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(identifier));
    struct mt_doc *doc = merged(change == MT_CAT_MERGE ? old : NULL, body, why);
    struct mt_cat_blueprint *b = doc ? blueprint_read(doc, why) : NULL;
    if (!b)
        return false;
    if (!targets_exist(s, b, why)) {
        blueprint_free(b);
        return false;
    }
    if (old)
        drop_gone(s, old, b);
    keep(s, b, old);
    *out = b;
    return true;
}

/* Without an entity of the target the relation holds nothing but nulls; keeping it would leave a blueprint
 * that no entity can fill, and a roll-back (A-BP-09) could not remove a set whose blueprints point at each
 * other. */
static bool unlink_target(struct mt_cat_store *s, const struct mt_cat_blueprint *b, struct mt_slice gone,
                          struct mt_cat_refusal *why)
{
    struct mt_builder *build = mt_builder_new();
    struct mt_doc *doc = NULL;
    struct mt_slice name;
    struct mt_val relations, definition;
    const struct mt_cat_blueprint *changed;
    struct mt_err err;
    mt_val_member(mt_doc_root(b->doc), MT_SLICE("relations"), &relations);
    mt_build_object(build);
    mt_build_name(build, MT_SLICE("relations"));
    mt_build_object(build);
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &definition);)
        if (!mt_slice_eq(mt_cat_blueprint_relation(b, name)->target, gone)) {
            mt_build_name(build, name);
            mt_build_ref(build, definition);
        }
    mt_build_end(build);
    mt_build_end(build);
    bool fine = mt_builder_finish(build, &doc, &err) == MT_OK;
    if (fine)
        fine = mt_cat_blueprint_change(s, MT_CAT_MERGE, b->identifier, mt_doc_root(doc), &changed, why);
    else
        mt_cat_refuse(why, 500, "internal_error", "%s", err.text);
    mt_doc_unref(doc);
    mt_builder_free(build);
    return fine;
}

bool mt_cat_blueprint_delete(struct mt_cat_store *s, struct mt_slice identifier, struct mt_cat_refusal *why)
{
    const struct mt_cat_blueprint *b = mt_cat_blueprint_find(s, identifier);
    if (!b)
        return mt_cat_refuse(why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(identifier));
    sqlite3_stmt *count = mt_cat_store_sql(s, MT_CAT_ENTITY_COUNT);
    mt_cat_bind(count, 1, identifier);
    int64_t entities = mt_cat_step(s, count) ? sqlite3_column_int64(count, 0) : 0;
    sqlite3_reset(count);
    if (entities)
        return mt_cat_refuse(why, 409, "conflict",
                             "blueprint \"%.*s\" has %lld entities; delete them first, or with it: "
                             "DELETE …/all-entities?delete_blueprint=true",
                             MT_CUT(identifier), (long long)entities);
    struct mt_cat_blueprints *all = s->blueprints;
    for (uint32_t i = 0; i < all->count; i++) {
        bool points = false;
        for (uint32_t j = 0; all->list[i] != b && j < all->list[i]->relation_count; j++)
            points |= mt_slice_eq(all->list[i]->relations[j].target, identifier);
        if (points && !unlink_target(s, all->list[i], identifier, why))
            return false;
    }
    mt_cat_store_write(s);
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_BLUEPRINT_DELETE);
    mt_cat_bind(statement, 1, identifier);
    mt_cat_run(s, statement);
    statement = mt_cat_store_sql(s, MT_CAT_RESOURCE_OF);
    mt_cat_bind(statement, 1, identifier);
    mt_cat_run(s, statement);
    for (uint32_t i = 0; i < all->count; i++)
        if (all->list[i] == b) {
            blueprint_free(all->list[i]);
            memmove(&all->list[i], &all->list[i + 1], (all->count - i - 1) * sizeof *all->list);
            all->count--;
            break;
        }
    return true;
}

/* Writing ----------------------------------------------------------------------------------------- */

void mt_cat_time_write(int64_t wall_us, struct mt_buf *out)
{
    char iso[MT_ISO_SIZE];
    mt_iso_format(wall_us, iso);
    mt_buf_printf(out, "\"%.26sZ\"", iso);
}

void mt_cat_blueprint_write(const struct mt_cat_blueprint *b, struct mt_buf *out)
{
    if (!mt_val_write(mt_doc_root(b->doc), out))
        return;
    out->n--; /* the closing brace */
    mt_buf_puts(out, ",\"createdAt\":");
    mt_cat_time_write(b->created, out);
    mt_buf_puts(out, ",\"updatedAt\":");
    mt_cat_time_write(b->updated, out);
    mt_buf_putc(out, '}');
}
