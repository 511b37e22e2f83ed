/* Reading the spec and the default resources. Called by bundle.c. */
#include "bundle/resources.h"

#include <stdio.h>

#include "base/log.h"
#include "bundle/yaml.h"

static const char *const extensions[] = {".json", ".yaml", ".yml"};

static enum mt_rc parse(const struct mt_tree_file *file, struct mt_doc **out, struct mt_err *err)
{
    return mt_yaml_read((struct mt_slice){file->bytes, file->n}, file->path, out, err);
}

/* The first of .port/spec.json, .yaml, .yml (R-CFG-12). */
static enum mt_rc read_spec(const struct mt_tree *tree, struct mt_bundle_docs *out, struct mt_err *err)
{
    for (size_t i = 0; i < 3; i++) {
        char relative[32];
        snprintf(relative, sizeof relative, ".port/spec%s", extensions[i]);
        const struct mt_tree_file *file = mt_tree_find(tree, relative);
        if (!file)
            continue;
        out->spec_file = file->path;
        enum mt_rc rc = parse(file, &out->spec, err);
        if (rc == MT_OK && !mt_val_is(mt_doc_root(out->spec), MT_OBJECT))
            rc = mt_fail(err, MT_EINVAL, "%s: its top level must be an object (R-CFG-12)", relative);
        return rc;
    }
    return MT_OK;
}

struct slot {
    const char *base;
    enum mt_kind kind;
    struct mt_val *out;
    const struct mt_tree_file *file;
};

static enum mt_rc read_resource(struct mt_bundle_docs *d, const struct slot *slot, struct mt_err *err)
{
    struct mt_doc *doc = NULL;
    enum mt_rc rc = parse(slot->file, &doc, err);
    if (rc != MT_OK)
        return rc;
    d->docs[d->count++] = doc;
    if (!mt_val_is(mt_doc_root(doc), slot->kind))
        return mt_fail(err, MT_EINVAL, "%s: its top level must be %s", slot->file->path,
                       slot->kind == MT_ARRAY ? "a list" : "an object");
    *slot->out = mt_doc_root(doc);
    if (slot->out == &d->resources.mapping)
        d->resources.mapping_file = slot->file->path;
    return MT_OK;
}

/* R-INIT-13 */
static enum mt_rc read_resources(const struct mt_tree *tree, const char *name, struct mt_bundle_docs *d,
                                 struct mt_err *err)
{
    static const char folder[] = ".port/resources/";
    struct mt_resources *r = &d->resources;
    struct slot slots[] = {{"blueprints", MT_ARRAY, &r->blueprints, NULL},
                           {"port-app-config", MT_OBJECT, &r->mapping, NULL},
                           {"scorecards", MT_ARRAY, &r->scorecards, NULL},
                           {"actions", MT_ARRAY, &r->actions, NULL},
                           {"pages", MT_ARRAY, &r->pages, NULL}};
    size_t count = sizeof slots / sizeof *slots;
    bool any = false, known;
    for (size_t i = 0; i < tree->count; i++) {
        const struct mt_tree_file *file = &tree->files[i];
        if (strncmp(file->path, folder, sizeof folder - 1) != 0)
            continue;
        const char *base = mt_tree_resource(file->path + sizeof folder - 1, &known);
        any = true;
        for (size_t k = 0; base && k < count; k++) {
            if (strcmp(slots[k].base, base) != 0)
                continue;
            if (slots[k].file)
                return mt_fail(err, MT_EINVAL, ".port/resources holds both %s and %s: remove one",
                               slots[k].file->path + sizeof folder - 1, file->path + sizeof folder - 1);
            slots[k].file = file;
        }
    }
    if (!any)
        mt_log_repeat(MT_WARN, "bundle-resources",
                      "the bundle %s has no .port/resources: Port gets no default blueprints and no default "
                      "mapping from it",
                      name);
    enum mt_rc rc = MT_OK;
    for (size_t i = 0; i < count && rc == MT_OK; i++)
        if (slots[i].file)
            rc = read_resource(d, &slots[i], err);
    return rc;
}

enum mt_rc mt_bundle_docs_read(const struct mt_tree *tree, const char *name, struct mt_bundle_docs *out,
                               struct mt_err *err)
{
    *out = (struct mt_bundle_docs){0};
    enum mt_rc rc = read_spec(tree, out, err);
    if (rc == MT_OK)
        rc = read_resources(tree, name, out, err);
    if (rc != MT_OK)
        mt_bundle_docs_fini(out);
    return rc;
}

void mt_bundle_docs_fini(struct mt_bundle_docs *d)
{
    for (unsigned i = 0; i < d->count; i++)
        mt_doc_unref(d->docs[i]);
    mt_doc_unref(d->spec);
    *d = (struct mt_bundle_docs){0};
}
