/* The mapping as a whole: flags checked, resources taken apart, and the form that Port is sent. Called by the
 * resync (Port's stored mapping or the bundle's file), validate and map; any thread. The appconfig owns its
 * resources and references to both documents. */
#include "bundle/appconfig.h"

#include <stdlib.h>

#include "base/memory.h"

struct appconfig {
    struct mt_appconfig public; /* first */
    struct mt_doc *wire;
};

struct reading {
    struct mt_val mapping;
    const char *source;
    struct mt_err *err;
};

/* A member by its wire name or, where that is absent, its snake_case one. */
static bool find(const struct reading *r, const char *name, const char *snake, struct mt_val *out,
                 const char **out_name)
{
    *out_name = name;
    if (mt_val_member(r->mapping, mt_slice_of(name), out))
        return true;
    *out_name = snake;
    return mt_val_member(r->mapping, mt_slice_of(snake), out);
}

static const char *spelled(struct mt_val v, struct mt_buf *text)
{
    mt_buf_init(text, MT_FOREIGN);
    return mt_val_write(v, text) ? mt_buf_text(text) : "a large value";
}

static enum mt_rc refuse(const struct reading *r, const char *name, struct mt_val v, const char *wanted)
{
    struct mt_buf text;
    enum mt_rc rc =
        mt_fail(r->err, MT_EINVAL, "%s: %s is %s, it must be %s", r->source, name, spelled(v, &text), wanted);
    mt_buf_fini(&text);
    return rc;
}

static bool is_word(struct mt_slice text, const char *const *words)
{
    for (; *words; words++)
        if (text.n == strlen(*words) && strncasecmp(text.p, *words, text.n) == 0)
            return true;
    return false;
}

/* Booleans with the spellings that Ocean's models take. */
static enum mt_rc read_flag(const struct reading *r, const char *name, const char *snake, bool *out)
{
    static const char *const yes[] = {"true", "t", "yes", "y", "on", "1", NULL};
    static const char *const no[] = {"false", "f", "no", "n", "off", "0", NULL};
    struct mt_val v;
    int64_t number;
    *out = true;
    if (!find(r, name, snake, &v, &name))
        return MT_OK;
    struct mt_slice text = mt_val_string(v);
    if (mt_val_is(v, MT_BOOL))
        *out = mt_val_true(v);
    else if (mt_val_int64(v, &number) && (number == 0 || number == 1))
        *out = number == 1;
    else if (mt_val_is(v, MT_STRING) && (is_word(text, yes) || is_word(text, no)))
        *out = is_word(text, yes);
    else
        return refuse(r, name, v, "true or false");
    return MT_OK;
}

static enum mt_rc read_threshold(const struct reading *r, double *out)
{
    struct mt_val v;
    const char *name;
    *out = 0.9;
    if (!find(r, "entityDeletionThreshold", "entity_deletion_threshold", &v, &name))
        return MT_OK;
    double value = -1;
    if (mt_val_is(v, MT_NUMBER)) {
        value = mt_val_double(v);
    } else if (mt_val_is(v, MT_STRING) && mt_val_string(v).n < 40) {
        char *text = mt_slice_dup(mt_val_string(v)), *end;
        value = strtod(text, &end);
        if (end == text || *end)
            value = -1;
        free(text);
    }
    if (!(value >= 0 && value <= 1))
        return refuse(r, name, v, "a number from 0 to 1");
    *out = value;
    return MT_OK;
}

/* ---- the wire form (A-INT-13) ---- */

static void without_nulls(struct mt_builder *b, struct mt_val v)
{
    struct mt_slice name;
    struct mt_val value;
    bool object = mt_val_is(v, MT_OBJECT);
    if (!object && !mt_val_is(v, MT_ARRAY)) {
        mt_build_ref(b, v);
        return;
    }
    if (object)
        mt_build_object(b);
    else
        mt_build_array(b);
    for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &value);) {
        if (object && mt_val_is(value, MT_NULL))
            continue;
        if (object)
            mt_build_name(b, name);
        without_nulls(b, value);
    }
    mt_build_end(b);
}

/* Is it shallow enough to be walked by recursion? A mapping nests about ten levels; Port's answer may nest as
 * deep as JSON does. */
static bool is_shallow(struct mt_val v, unsigned levels)
{
    struct mt_slice name;
    struct mt_val value;
    if (!mt_val_is(v, MT_OBJECT) && !mt_val_is(v, MT_ARRAY))
        return true;
    if (!levels)
        return false;
    for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &value);)
        if (!is_shallow(value, levels - 1))
            return false;
    return true;
}

static enum mt_rc make_wire(struct appconfig *a, struct mt_val resources, struct mt_err *err)
{
    const struct mt_appconfig *c = &a->public;
    struct mt_builder *b = mt_builder_new();
    mt_build_object(b);
    mt_build_name(b, MT_SLICE("deleteDependentEntities"));
    mt_build_bool(b, c->delete_dependents);
    mt_build_name(b, MT_SLICE("createMissingRelatedEntities"));
    mt_build_bool(b, c->create_missing);
    mt_build_name(b, MT_SLICE("enableMergeEntity"));
    mt_build_bool(b, c->merge);
    mt_build_name(b, MT_SLICE("entityDeletionThreshold"));
    mt_build_double(b, c->deletion_threshold);
    mt_build_name(b, MT_SLICE("resources"));
    if (mt_val_is(resources, MT_ARRAY)) {
        without_nulls(b, resources);
    } else {
        mt_build_array(b);
        mt_build_end(b);
    }
    mt_build_end(b);
    enum mt_rc rc = mt_builder_finish(b, &a->wire, err);
    mt_builder_free(b);
    return rc;
}

/* A document of its own whose root is the mapping. */
static enum mt_rc keep_mapping(struct mt_val mapping, struct mt_doc **out, struct mt_err *err)
{
    struct mt_builder *b = mt_builder_new();
    mt_build_ref(b, mapping);
    enum mt_rc rc = mt_builder_finish(b, out, err);
    mt_builder_free(b);
    return rc;
}

static enum mt_rc read_resources(const struct reading *r, const struct mt_mapping_options *options,
                                 struct mt_appconfig *c, struct mt_val *out_list)
{
    *out_list = (struct mt_val){NULL, 0};
    if (!mt_val_member(r->mapping, MT_SLICE("resources"), out_list))
        return MT_OK;
    if (!mt_val_is(*out_list, MT_ARRAY))
        return refuse(r, "resources", *out_list, "a list of kinds");
    if (!is_shallow(*out_list, 64))
        return mt_fail(r->err, MT_ELIMIT, "%s: resources nests deeper than 64 levels", r->source);
    uint32_t count = mt_val_count(*out_list);
    c->resources = mt_alloc((count + (size_t)1) * sizeof(struct mt_mapping *));
    for (uint32_t i = 0; i < count; i++) {
        struct mt_val resource;
        mt_val_index(*out_list, i, &resource);
        enum mt_rc rc = mt_mapping_new(resource, i, options, &c->resources[i], r->err);
        if (rc != MT_OK)
            return rc;
        c->resource_count++;
    }
    return MT_OK;
}

enum mt_rc mt_appconfig_new(struct mt_val mapping, const struct mt_mapping_options *options,
                            struct mt_appconfig **out, struct mt_err *err)
{
    struct mt_mapping_options o = *options;
    o.source = o.source ? o.source : "the mapping";
    struct reading r = {mapping, o.source, err};
    struct mt_val list;
    if (!mapping.doc || mt_val_is(mapping, MT_NULL) ||
        (mt_val_is(mapping, MT_OBJECT) && !mt_val_count(mapping)))
        return mt_fail(err, MT_EINVAL, "%s: the mapping is empty (R-MAP-07): give it resources", o.source);
    if (!mt_val_is(mapping, MT_OBJECT))
        return mt_fail(err, MT_EINVAL, "%s: the mapping must be an object with resources", o.source);
    struct appconfig *a = mt_alloc(sizeof *a);
    struct mt_appconfig *c = &a->public;
    enum mt_rc rc = read_flag(&r, "enableMergeEntity", "enable_merge_entity", &c->merge);
    if (rc == MT_OK)
        rc = read_flag(&r, "deleteDependentEntities", "delete_dependent_entities", &c->delete_dependents);
    if (rc == MT_OK)
        rc = read_flag(&r, "createMissingRelatedEntities", "create_missing_related_entities",
                       &c->create_missing);
    if (rc == MT_OK)
        rc = read_threshold(&r, &c->deletion_threshold);
    if (rc == MT_OK)
        rc = read_resources(&r, &o, c, &list);
    if (rc == MT_OK)
        rc = keep_mapping(mapping, &c->doc, err);
    if (rc == MT_OK)
        rc = make_wire(a, list, err);
    if (rc != MT_OK) {
        mt_appconfig_free(c);
        return rc;
    }
    /* Of the wire form, so that the file and what Port made of it compare equal. */
    c->digest = mt_val_digest(mt_doc_root(a->wire));
    *out = c;
    return MT_OK;
}

void mt_appconfig_free(struct mt_appconfig *c)
{
    if (!c)
        return;
    struct appconfig *a = (struct appconfig *)c;
    for (unsigned i = 0; i < c->resource_count; i++)
        mt_mapping_free(c->resources[i]);
    free(c->resources);
    mt_doc_unref(c->doc);
    mt_doc_unref(a->wire);
    free(a);
}

enum mt_rc mt_appconfig_wire(const struct mt_appconfig *c, struct mt_doc **out, struct mt_err *err)
{
    (void)err;
    *out = mt_doc_ref(((const struct appconfig *)c)->wire);
    return MT_OK;
}
