/* The integration's own values: each configuration of the spec is looked up by the snake_case form of its
 * name, checked against its type, and put into one document. Called by config.c; the document belongs to the
 * caller. */
#include "bundle/values.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/settings.h"
#include "bundle/spelling.h"
#include "bundle/yaml.h"

static const char PREFIX[] = "integration.config.";

enum value_type {
    VALUE_STRING,
    VALUE_INTEGER,
    VALUE_BOOLEAN,
    VALUE_OBJECT,
    VALUE_ARRAY,
    VALUE_URL,
    VALUE_TYPES
};

static const struct {
    const char *name, *wanted;
} types[] = {[VALUE_STRING] = {"string", "a text"},
             [VALUE_INTEGER] = {"integer", "a whole number"},
             [VALUE_BOOLEAN] = {"boolean", "true or false"},
             [VALUE_OBJECT] = {"object", "an object, or one as JSON text"},
             [VALUE_ARRAY] = {"array", "a list, or one as JSON text"},
             [VALUE_URL] = {"url", "a URL like https://example.com"}};

struct reading {
    const struct mt_sources *s;
    const struct mt_bundle *bundle;
    struct mt_builder *b;
    struct mt_keyset *lines; /* of the spec; made when a message needs it */
};

static unsigned spec_line(struct reading *r, unsigned index)
{
    if (!r->lines) {
        struct mt_buf text;
        mt_buf_init(&text, 8 << 20);
        if (mt_bundle_read(r->bundle, mt_bundle_spec_file(r->bundle), &text, NULL) == MT_OK)
            r->lines = mt_yaml_lines(mt_buf_slice(&text));
        mt_buf_fini(&text);
    }
    char path[40];
    snprintf(path, sizeof path, "configurations[%u]", index);
    return mt_yaml_line(r->lines, path);
}

static bool text_member(struct mt_val object, const char *name, struct mt_slice *out)
{
    struct mt_val v;
    if (!mt_val_member(object, mt_slice_of(name), &v) || !mt_val_is(v, MT_STRING))
        return false;
    *out = mt_val_string(v);
    return true;
}

static bool flag_member(struct mt_val object, const char *name)
{
    struct mt_val v;
    return mt_val_member(object, mt_slice_of(name), &v) && mt_val_true(v);
}

void mt_values_mask(struct mt_val value)
{
    struct mt_slice name;
    struct mt_val v;
    if (mt_val_is(value, MT_STRING))
        mt_mask_add(mt_val_string(value));
    else if (mt_val_is(value, MT_NUMBER))
        mt_mask_add(mt_val_literal(value));
    for (struct mt_iter it = mt_iter_of(value); mt_iter_next(&it, &name, &v);)
        mt_values_mask(v);
}

/* ---- one value ---- */

/* Object or list, as such or as JSON text (R-CFG-15). */
static bool write_container(struct mt_builder *b, enum mt_kind kind, const char *text, struct mt_val v,
                            bool sensitive)
{
    struct mt_doc *doc = NULL;
    if (mt_val_is(v, kind)) {
        if (sensitive)
            mt_values_mask(v);
        mt_build_ref(b, v);
        return true;
    }
    if (!text || (v.doc && !mt_val_is(v, MT_STRING)))
        return false;
    struct mt_json_limits limits = {8 << 20, 64};
    bool ok = mt_doc_parse_copy(mt_slice_of(text), &limits, &doc, NULL) == MT_OK &&
              mt_val_is(mt_doc_root(doc), kind);
    if (ok && sensitive)
        mt_values_mask(mt_doc_root(doc));
    if (ok)
        mt_build_ref(b, mt_doc_root(doc));
    mt_doc_unref(doc);
    return ok;
}

/* Writes one value of that type; text: of a variable, or the scalar's. False: it does not fit, nothing is
 * written. */
static bool write_value(struct mt_builder *b, enum value_type type, const char *text, struct mt_val v,
                        bool sensitive)
{
    struct mt_slice s = mt_slice_of(text);
    int64_t whole;
    bool flag;
    char *url;
    switch (type) {
    case VALUE_STRING:
        if (!text)
            return false;
        /* A YAML boolean becomes text as Python spells it (R-MAP-05). */
        mt_build_string(b,
                        mt_val_is(v, MT_BOOL) ? (mt_val_true(v) ? MT_SLICE("True") : MT_SLICE("False")) : s);
        return true;
    case VALUE_INTEGER:
        if (mt_val_is(v, MT_BOOL) ||
            !(mt_val_is(v, MT_NUMBER) ? mt_val_int64(v, &whole) : text && mt_setting_int(s, &whole)))
            return false;
        mt_build_int(b, whole);
        return true;
    case VALUE_BOOLEAN:
        if (!text || !mt_setting_bool(s, &flag))
            return false;
        mt_build_bool(b, flag);
        return true;
    case VALUE_URL:
        url = text && (!v.doc || mt_val_is(v, MT_STRING)) ? mt_setting_url(s, false) : NULL;
        if (url)
            mt_build_string(b, mt_slice_of(url));
        free(url);
        return url != NULL;
    case VALUE_OBJECT:
    case VALUE_ARRAY:
        return write_container(b, type == VALUE_OBJECT ? MT_OBJECT : MT_ARRAY, text, v, sensitive);
    case VALUE_TYPES:
        break;
    }
    return false;
}

static char *text_of(struct mt_val v)
{
    if (mt_val_is(v, MT_STRING))
        return mt_slice_dup(mt_val_string(v));
    if (mt_val_is(v, MT_NUMBER))
        return mt_slice_dup(mt_val_literal(v));
    return mt_val_is(v, MT_BOOL) ? mt_strdup(mt_val_true(v) ? "true" : "false") : NULL;
}

/* The value that was given, else the default, else null. */
static void write_configuration(struct reading *r, unsigned index, struct mt_val entry, struct mt_slice name,
                                enum value_type type)
{
    const char *file = mt_bundle_spec_file(r->bundle);
    bool sensitive = flag_member(entry, "sensitive");
    char *snake = mt_spelling_snake(name), *path = mt_format("%s%s", PREFIX, snake);
    struct mt_leaf *leaf = mt_sources_find(r->s, path);
    struct mt_val fallback;
    bool has_default = mt_val_member(entry, MT_SLICE("default"), &fallback) && !mt_val_is(fallback, MT_NULL);
    mt_build_name(r->b, name);
    if (leaf) {
        if (sensitive && leaf->text)
            mt_mask_add(mt_slice_of(leaf->text));
        if (!write_value(r->b, type, leaf->text, leaf->value, sensitive)) {
            bool show = !sensitive && leaf->text;
            size_t n = show ? strlen(leaf->text) : 0;
            mt_build_null(r->b);
            mt_sources_problem(r->s, true, false, leaf->file, leaf->line,
                               "%s: %s%.*s%s does not fit: %.*s takes %s", leaf->source,
                               show ? "\"" : "the value", (int)(n > MT_FOREIGN ? MT_FOREIGN : n),
                               show ? leaf->text : "", show ? "\"" : "", MT_FMT(name), types[type].wanted);
        }
    } else if (has_default) {
        char *text = text_of(fallback);
        if (!write_value(r->b, type, text, fallback, false)) {
            unsigned line = spec_line(r, index);
            mt_build_null(r->b);
            mt_sources_problem(r->s, true, false, file, line,
                               "%s:%u: the default of %.*s does not fit its type %s: it takes %s", file, line,
                               MT_FMT(name), types[type].name, types[type].wanted);
        }
        free(text);
    } else {
        mt_build_null(r->b);
        if (flag_member(entry, "required")) {
            for (char *p = snake; *p; p++)
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
            mt_sources_problem(r->s, true, true, file, spec_line(r, index),
                               "%.*s is required and not set: set %sINTEGRATION__CONFIG__%s, or "
                               "integration.config.%.*s in the "
                               "bundle's config.yaml",
                               MT_FMT(name), mt_sources_prefix(r->s), snake, MT_FMT(name));
        }
    }
    free(snake);
    free(path);
}

/* ---- all of them ---- */

static bool configurations_of(const struct mt_bundle *bundle, struct mt_val *out)
{
    struct mt_val spec = mt_bundle_spec(bundle);
    return spec.doc && mt_val_member(spec, MT_SLICE("configurations"), out) && !mt_val_is(*out, MT_NULL);
}

static void write_entry(struct reading *r, unsigned index, struct mt_val entry)
{
    const char *file = mt_bundle_spec_file(r->bundle);
    struct mt_slice name, type = {NULL, 0};
    if (!text_member(entry, "name", &name) || !name.n || !text_member(entry, "type", &type)) {
        unsigned line = spec_line(r, index);
        mt_sources_problem(r->s, true, false, file, line,
                           "%s:%u: configurations[%u] needs a name and a type (R-CFG-13)", file, line, index);
        return;
    }
    for (unsigned i = 0; i < VALUE_TYPES; i++)
        if (mt_slice_is(type, types[i].name)) {
            write_configuration(r, index, entry, name, (enum value_type)i);
            return;
        }
    unsigned line = spec_line(r, index);
    mt_sources_problem(r->s, true, false, file, line,
                       "%s:%u: %.*s has the type %.*s, which does not exist: string, integer, boolean, "
                       "object, array and url do",
                       file, line, MT_FMT(name), (int)(type.n > 60 ? 60 : type.n), type.p);
}

/* Settings that the spec does not name are dropped (R-CFG-14), but not in silence. */
static void name_unknown(const struct mt_sources *s, struct mt_val list)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct mt_leaf *leaf = &s->leaves[i];
        if (leaf->used || strncmp(leaf->path, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        struct mt_slice word = mt_slice_of(leaf->path + sizeof PREFIX - 1), nearest = {NULL, 0}, name;
        unsigned best = mt_spelling_limit(word);
        struct mt_val entry;
        for (uint32_t k = 0; mt_val_index(list, k, &entry); k++)
            if (text_member(entry, "name", &name)) {
                char *snake = mt_spelling_snake(name);
                if (mt_spelling_nearer(word, mt_slice_of(snake), &best))
                    nearest = name;
                free(snake);
            }
        mt_sources_problem(s, false, false, leaf->file, leaf->line,
                           "%s: the integration has no configuration %.*s: it is dropped%s%.*s%s",
                           leaf->source, MT_FMT(word), nearest.n ? "; did you mean " : "", MT_FMT(nearest),
                           nearest.n ? "?" : "");
    }
}

static void write_unchecked(struct reading *r)
{
    for (size_t i = 0; i < r->s->count; i++) {
        struct mt_leaf *leaf = &r->s->leaves[i];
        if (strncmp(leaf->path, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        char *name = mt_spelling_camel(mt_slice_of(leaf->path + sizeof PREFIX - 1));
        leaf->used = true;
        mt_build_name(r->b, mt_slice_of(name));
        if (leaf->value.doc)
            mt_build_ref(r->b, leaf->value);
        else
            mt_build_string(r->b, mt_slice_of(leaf->text));
        free(name);
    }
}

struct mt_doc *mt_values_read(const struct mt_sources *s, const struct mt_bundle *bundle)
{
    struct reading r = {s, bundle, mt_builder_new(), NULL};
    struct mt_val list = {NULL, 0}, entry;
    struct mt_doc *doc = NULL;
    struct mt_err err;
    const char *file = bundle ? mt_bundle_spec_file(bundle) : NULL;
    mt_build_object(r.b);
    if (!file) {
        write_unchecked(&r);
    } else if (configurations_of(bundle, &list)) {
        if (!mt_val_is(list, MT_ARRAY))
            mt_sources_problem(s, true, false, file, 0, "%s: configurations must be a list (R-CFG-13)", file);
        for (uint32_t i = 0; mt_val_index(list, i, &entry); i++)
            write_entry(&r, i, entry);
    }
    mt_build_end(r.b);
    if (file)
        name_unknown(s, list);
    if (mt_builder_finish(r.b, &doc, &err) != MT_OK) {
        mt_sources_problem(s, true, false, NULL, 0, "the integration's configuration: %s", err.text);
        doc = NULL;
    }
    mt_builder_free(r.b);
    mt_keyset_free(r.lines);
    return doc;
}

bool mt_values_sensitive(const struct mt_bundle *bundle, struct mt_slice name)
{
    struct mt_val list, entry;
    struct mt_slice other;
    if (!bundle || !configurations_of(bundle, &list))
        return false;
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++)
        if (text_member(entry, "name", &other) && mt_slice_eq(name, other))
            return flag_member(entry, "sensitive");
    return false;
}
