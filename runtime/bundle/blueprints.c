/* Checks of a mapping and of mapped entities against the bundle's blueprints: what Port would refuse, found
 * before anything is sent. Called by validate. */
#include "bundle/blueprints.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "bundle/settings.h"
#include "bundle/spelling.h"

struct check {
    mt_blueprint_problem *each;
    void *ud;
    struct mt_slice blueprint;
};

__attribute__((format(printf, 4, 5))) static void tell(const struct check *c, bool error, const char *field,
                                                       const char *format, ...)
{
    struct mt_err text;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text.text, sizeof text.text, format, ap);
    va_end(ap);
    c->each(c->ud, error, field, text.text);
}

static struct mt_slice text_of(struct mt_val object, const char *name)
{
    struct mt_val v;
    return mt_val_member(object, mt_slice_of(name), &v) ? mt_val_string(v) : (struct mt_slice){NULL, 0};
}

static bool flag_of(struct mt_val object, const char *name)
{
    struct mt_val v;
    return mt_val_member(object, mt_slice_of(name), &v) && mt_val_true(v);
}

bool mt_blueprints_find(struct mt_val blueprints, struct mt_slice identifier, struct mt_val *out)
{
    for (uint32_t i = 0; blueprints.doc && mt_val_index(blueprints, i, out); i++) {
        struct mt_slice other = text_of(*out, "identifier");
        if (other.p && mt_slice_eq(other, identifier))
            return true;
    }
    return false;
}

/* Blueprints that Port itself has ("_user", "_team"). */
static bool is_system(struct mt_slice identifier)
{
    return identifier.n && identifier.p[0] == '_';
}

static bool is_listed(struct mt_val list, struct mt_slice name)
{
    struct mt_val v;
    for (uint32_t i = 0; mt_val_index(list, i, &v); i++)
        if (mt_val_is(v, MT_STRING) && mt_slice_eq(mt_val_string(v), name))
            return true;
    return false;
}

/* "; did you mean X?" among the members of an object, or "". The caller frees it. */
static char *suggestion(struct mt_val members, struct mt_slice word)
{
    struct mt_slice name, nearest = {NULL, 0};
    struct mt_val v;
    unsigned best = mt_spelling_limit(word);
    for (struct mt_iter it = mt_iter_of(members); mt_iter_next(&it, &name, &v);)
        if (mt_spelling_nearer(word, name, &best))
            nearest = name;
    return nearest.n ? mt_format("; did you mean %.*s?", MT_FMT(nearest)) : mt_strdup("");
}

/* ---- the set ---- */

void mt_blueprints_check(struct mt_val blueprints, mt_blueprint_problem *each, void *ud)
{
    struct check c = {each, ud, {NULL, 0}};
    struct mt_val blueprint, other, relations, relation;
    struct mt_slice name;
    char field[200];
    for (uint32_t i = 0; blueprints.doc && mt_val_index(blueprints, i, &blueprint); i++) {
        struct mt_slice identifier = text_of(blueprint, "identifier");
        snprintf(field, sizeof field, "[%u]", i);
        if (!identifier.n) {
            tell(&c, true, field, "blueprint %u has no identifier", i);
            continue;
        }
        if (mt_blueprints_find(blueprints, identifier, &other) && other.at != blueprint.at)
            tell(&c, true, field, "the blueprint %.*s is there twice", MT_FMT(identifier));
        if (!mt_val_member(blueprint, MT_SLICE("relations"), &relations))
            continue;
        for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &relation);) {
            struct mt_slice target = text_of(relation, "target");
            snprintf(field, sizeof field, "[%u].relations.%.*s", i, (int)(name.n > 100 ? 100 : name.n),
                     name.p);
            if (!target.n)
                tell(&c, true, field, "relation %.*s of blueprint %.*s has no target", MT_FMT(name),
                     MT_FMT(identifier));
            else if (!is_system(target) && !mt_blueprints_find(blueprints, target, &other))
                tell(&c, false, field,
                     "relation %.*s of blueprint %.*s leads to %.*s, which the bundle does not have: Port "
                     "must have it "
                     "already",
                     MT_FMT(name), MT_FMT(identifier), MT_FMT(target));
        }
    }
}

/* ---- a mapping ---- */

static bool split_field(struct mt_slice field, const char *group, struct mt_slice *out_name)
{
    size_t n = strlen(group);
    if (field.n <= n || memcmp(field.p, group, n) != 0)
        return false;
    *out_name = (struct mt_slice){field.p + n, field.n - n};
    return true;
}

static bool is_computed(struct mt_val blueprint, struct mt_slice name)
{
    static const char *const groups[] = {"calculationProperties", "mirrorProperties",
                                         "aggregationProperties"};
    struct mt_val group, v;
    for (size_t i = 0; i < 3; i++)
        if (mt_val_member(blueprint, mt_slice_of(groups[i]), &group) && mt_val_member(group, name, &v))
            return true;
    return false;
}

static void check_field(const struct check *c, struct mt_val blueprint, struct mt_slice field)
{
    struct mt_slice name;
    struct mt_val group = {NULL, 0}, v;
    bool property = split_field(field, "properties.", &name),
         relation = !property && split_field(field, "relations.", &name);
    if (!property && !relation)
        return;
    bool given = mt_val_path(blueprint, property ? "schema.properties" : "relations", &group);
    if (given && mt_val_member(group, name, &v))
        return;
    char *path = mt_slice_dup(field), *hint = given ? suggestion(group, name) : mt_strdup("");
    if (property && is_computed(blueprint, name))
        tell(c, true, path, "the property %.*s of blueprint %.*s is computed by Port and cannot be mapped",
             MT_FMT(name), MT_FMT(c->blueprint));
    else
        tell(c, true, path, "blueprint %.*s has no %s %.*s%s", MT_FMT(c->blueprint),
             property ? "property" : "relation", MT_FMT(name), hint);
    free(path);
    free(hint);
}

static bool is_mapped(const struct mt_mapping *m, const char *group, struct mt_slice name)
{
    struct mt_slice other;
    for (unsigned i = 0; i < mt_mapping_field_count(m); i++)
        if (split_field(mt_mapping_field(m, i), group, &other) && mt_slice_eq(other, name))
            return true;
    return false;
}

static void check_required(const struct check *c, struct mt_val blueprint, const struct mt_mapping *m)
{
    struct mt_val list, relation;
    struct mt_slice name;
    if (mt_val_path(blueprint, "schema.required", &list))
        for (uint32_t i = 0; mt_val_index(list, i, &relation); i++)
            if (mt_val_is(relation, MT_STRING) && !is_mapped(m, "properties.", mt_val_string(relation)))
                tell(c, true, "properties", "blueprint %.*s requires the property %.*s, which is not mapped",
                     MT_FMT(c->blueprint), MT_FMT(mt_val_string(relation)));
    if (mt_val_member(blueprint, MT_SLICE("relations"), &list))
        for (struct mt_iter it = mt_iter_of(list); mt_iter_next(&it, &name, &relation);)
            if (flag_of(relation, "required") && !is_mapped(m, "relations.", name))
                tell(c, true, "relations", "blueprint %.*s requires the relation %.*s, which is not mapped",
                     MT_FMT(c->blueprint), MT_FMT(name));
}

void mt_blueprints_check_mapping(struct mt_val blueprints, const struct mt_mapping *m,
                                 mt_blueprint_problem *each, void *ud)
{
    struct check c = {each, ud, mt_mapping_blueprint(m)};
    struct mt_val blueprint;
    if (!c.blueprint.p || is_system(c.blueprint))
        return;
    if (!mt_blueprints_find(blueprints, c.blueprint, &blueprint)) {
        tell(&c, false, "blueprint", "the bundle has no blueprint %.*s: Port must have it already",
             MT_FMT(c.blueprint));
        return;
    }
    for (unsigned i = 0; i < mt_mapping_field_count(m); i++)
        check_field(&c, blueprint, mt_mapping_field(m, i));
    check_required(&c, blueprint, m);
}

/* ---- an entity ---- */

static const char *kind_name(struct mt_val v)
{
    static const char *const names[] = {"null", "a boolean", "a number", "a text", "a list", "an object"};
    return names[mt_val_kind(v)];
}

static bool fits_type(struct mt_slice type, struct mt_val v)
{
    static const struct {
        const char *name;
        enum mt_kind kind;
    } types[] = {{"string", MT_STRING},
                 {"number", MT_NUMBER},
                 {"boolean", MT_BOOL},
                 {"array", MT_ARRAY},
                 {"object", MT_OBJECT}};
    int64_t whole;
    if (mt_slice_is(type, "integer"))
        return mt_val_is(v, MT_NUMBER) &&
               (mt_val_int64(v, &whole) || mt_val_double(v) > 9e18 || mt_val_double(v) < -9e18);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (mt_slice_is(type, types[i].name))
            return mt_val_is(v, types[i].kind);
    return true;
}

static bool fits_format(struct mt_slice format, struct mt_slice text)
{
    if (mt_slice_is(format, "url")) {
        char *url = mt_setting_url(text, false);
        free(url);
        return url != NULL;
    }
    if (mt_slice_is(format, "email")) {
        const char *at = memchr(text.p, '@', text.n);
        return at && at > text.p && at + 1 < text.p + text.n && !memchr(text.p, ' ', text.n);
    }
    if (mt_slice_is(format, "date-time")) {
        int64_t us;
        return mt_iso_parse(text, &us) == MT_OK;
    }
    return true;
}

static void check_value(const struct check *c, struct mt_val schema, struct mt_val v, const char *field,
                        unsigned depth)
{
    struct mt_val list, items, element;
    struct mt_slice type = text_of(schema, "type"), format = text_of(schema, "format");
    struct mt_buf shown;
    mt_buf_init(&shown, MT_FOREIGN);
    const char *text = mt_val_write(v, &shown) ? mt_buf_text(&shown) : "a long value";
    if (type.n && !fits_type(type, v)) {
        tell(c, true, field, "gives %s, blueprint %.*s wants type %.*s: %s", kind_name(v),
             MT_FMT(c->blueprint), MT_FMT(type), text);
    } else if (mt_val_member(schema, MT_SLICE("enum"), &list) && mt_val_is(list, MT_ARRAY)) {
        bool found = false;
        for (uint32_t i = 0; !found && mt_val_index(list, i, &element); i++)
            found = mt_val_equal(element, v);
        if (!found)
            tell(c, true, field, "gives %s, which is not in the enum of blueprint %.*s", text,
                 MT_FMT(c->blueprint));
    } else if (format.n && mt_val_is(v, MT_STRING) && !fits_format(format, mt_val_string(v))) {
        tell(c, true, field, "gives %s, which is no %.*s as blueprint %.*s wants it", text, MT_FMT(format),
             MT_FMT(c->blueprint));
    } else if (mt_val_is(v, MT_ARRAY) && depth < 4 && mt_val_member(schema, MT_SLICE("items"), &items)) {
        for (uint32_t i = 0; mt_val_index(v, i, &element); i++)
            check_value(c, items, element, field, depth + 1);
    }
    mt_buf_fini(&shown);
}

static void check_properties(const struct check *c, struct mt_val blueprint, struct mt_val properties)
{
    struct mt_val schema, required = {NULL, 0}, v;
    struct mt_slice name;
    mt_val_path(blueprint, "schema.required", &required);
    for (struct mt_iter it = mt_iter_of(properties); mt_iter_next(&it, &name, &v);) {
        char *field =
            mt_format("properties.%.*s", MT_FMT(name)); /* a member's name may hold dots: no mt_val_path */
        struct mt_val all;
        if (mt_val_is(v, MT_NULL)) {
            if (is_listed(required, name))
                tell(c, true, field, "gives null, and blueprint %.*s requires it", MT_FMT(c->blueprint));
        } else if (mt_val_path(blueprint, "schema.properties", &all) && mt_val_member(all, name, &schema)) {
            check_value(c, schema, v, field, 0);
        }
        free(field);
    }
}

static void check_relations(const struct check *c, struct mt_val blueprint, struct mt_val relations)
{
    struct mt_val all, relation, v, element;
    struct mt_slice name;
    if (!mt_val_member(blueprint, MT_SLICE("relations"), &all))
        return;
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &v);) {
        if (!mt_val_member(all, name, &relation))
            continue;
        char *field = mt_format("relations.%.*s", MT_FMT(name));
        bool many = flag_of(relation, "many");
        if (mt_val_is(v, MT_NULL)) {
            if (flag_of(relation, "required"))
                tell(c, true, field, "gives null, and blueprint %.*s requires it", MT_FMT(c->blueprint));
        } else if (mt_val_is(v, MT_ARRAY) != many && !mt_val_is(v, MT_OBJECT)) {
            tell(c, true, field, "gives %s, blueprint %.*s wants %s", kind_name(v), MT_FMT(c->blueprint),
                 many ? "a list of identifiers (many: true)" : "one identifier (many: false)");
        } else {
            bool texts = mt_val_is(v, MT_STRING) || mt_val_is(v, MT_ARRAY) || mt_val_is(v, MT_OBJECT);
            for (uint32_t i = 0; texts && mt_val_index(v, i, &element); i++)
                texts = mt_val_is(element, MT_STRING);
            if (!texts)
                tell(c, true, field, "gives %s; identifiers are texts",
                     mt_val_is(v, MT_ARRAY) ? "a list of other values" : kind_name(v));
        }
        free(field);
    }
}

void mt_blueprints_check_entity(struct mt_val blueprints, struct mt_val entity, mt_blueprint_problem *each,
                                void *ud)
{
    struct check c = {each, ud, text_of(entity, "blueprint")};
    struct mt_val blueprint, v;
    if (!mt_val_member(entity, MT_SLICE("identifier"), &v) ||
        (mt_val_is(v, MT_STRING) && !mt_val_string(v).n))
        tell(&c, true, "identifier", "gives an empty text");
    else if (!mt_val_is(v, MT_STRING) && !mt_val_is(v, MT_OBJECT) && !mt_val_is(v, MT_NUMBER))
        tell(&c, true, "identifier", "gives %s", kind_name(v));
    if (!mt_blueprints_find(blueprints, c.blueprint, &blueprint))
        return; /* told once, by the mapping's check */
    if (mt_val_member(entity, MT_SLICE("properties"), &v))
        check_properties(&c, blueprint, v);
    if (mt_val_member(entity, MT_SLICE("relations"), &v))
        check_relations(&c, blueprint, v);
}
