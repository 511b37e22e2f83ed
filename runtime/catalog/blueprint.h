/* Blueprints: parsed once, kept in the store, checked against each other. The catalog's thread only. */
#ifndef MT_CATALOG_BLUEPRINT_H
#define MT_CATALOG_BLUEPRINT_H

#include "catalog/refusal.h"
#include "catalog/store.h"
#include "catalog/validate.h"
#include "json/document.h"

struct mt_cat_relation {
    struct mt_slice name, target;
    bool many, required;
};

/* All slices and values borrow from doc. */
struct mt_cat_blueprint {
    struct mt_doc *doc; /* as stored: with schema.properties and relations, each with many and required */
    struct mt_slice identifier;
    struct mt_cat_property *properties;
    struct mt_cat_relation *relations;
    uint32_t property_count, relation_count;
    bool demands; /* some property or relation is required */
    int64_t created, updated;
};

struct mt_cat_blueprints {
    struct mt_cat_blueprint **list;
    uint32_t count;
};

/* (Re)reads all of them from the database. On failure the old ones stay. */
enum mt_rc mt_cat_blueprints_load(struct mt_cat_store *s, struct mt_err *err);
void mt_cat_blueprints_free(struct mt_cat_blueprints *all);

/* NULL: unknown. Valid until a blueprint is changed. */
const struct mt_cat_blueprint *mt_cat_blueprint_find(const struct mt_cat_store *s,
                                                     struct mt_slice identifier);
const struct mt_cat_property *mt_cat_blueprint_property(const struct mt_cat_blueprint *b,
                                                        struct mt_slice name);
const struct mt_cat_relation *mt_cat_blueprint_relation(const struct mt_cat_blueprint *b,
                                                        struct mt_slice name);

/* How a body changes the stored blueprint. */
enum mt_cat_change {
    MT_CAT_CREATE, /* 409 when it exists */
    MT_CAT_MERGE,  /* its members replace the stored ones of the same name (A-BP-05); 404 when it does not
                      exist */
    MT_CAT_REPLACE /* created when it does not exist */
};
/* identifier: of the path, or {NULL,0} for a creation. Properties and relations that go away, go from the
 * entities too. false: refused. */
bool mt_cat_blueprint_change(struct mt_cat_store *s, enum mt_cat_change change, struct mt_slice identifier,
                             struct mt_val body, const struct mt_cat_blueprint **out,
                             struct mt_cat_refusal *why);
/* Refused (409) while it has entities. Relations of other blueprints that point at it go with it. */
bool mt_cat_blueprint_delete(struct mt_cat_store *s, struct mt_slice identifier, struct mt_cat_refusal *why);

/* Appends the blueprint as an object, with createdAt and updatedAt. */
void mt_cat_blueprint_write(const struct mt_cat_blueprint *b, struct mt_buf *out);
/* Appends "2026-11-23T09:43:28.997323Z", quoted. */
void mt_cat_time_write(int64_t wall_us, struct mt_buf *out);

#endif
