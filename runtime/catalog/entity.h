/* Entities: reading, upserting and deleting them. The catalog's thread only. */
#ifndef MT_CATALOG_ENTITY_H
#define MT_CATALOG_ENTITY_H

#include "catalog/blueprint.h"

/* A stored entity; borrows from a statement that stands on it. Absent members are {NULL,0}. */
struct mt_cat_row {
    int64_t id, created, updated;
    struct mt_slice blueprint, identifier, datasource;
    struct mt_slice title, icon;                 /* text */
    struct mt_slice team, relations, properties; /* JSON */
};
void mt_cat_row_read(sqlite3_stmt *statement, struct mt_cat_row *out); /* of the MT_CAT_ROW_… statements */

/* The members of an answer. */
enum {
    MT_CAT_IDENTIFIER = 1,
    MT_CAT_BLUEPRINT = 2,
    MT_CAT_TITLE = 4,
    MT_CAT_ICON = 8,
    MT_CAT_TEAM = 16,
    MT_CAT_PROPERTIES = 32,
    MT_CAT_RELATIONS = 64,
    MT_CAT_TIMES = 128, /* createdAt, updatedAt */
    MT_CAT_WHOLE = 255
};
struct mt_cat_include {
    unsigned members;
    const struct mt_slice *properties,
        *relations; /* single ones, beside the members that are asked for whole */
    uint32_t property_count, relation_count;
};
/* Appends exactly those members that the entity has (A-SRV-07). */
void mt_cat_row_write(const struct mt_cat_row *row, const struct mt_cat_include *include, struct mt_buf *out);

struct mt_cat_upsert {
    const struct mt_cat_blueprint *blueprint;
    bool upsert, merge, create_missing, validation_only; /* A-ENT-03 */
    struct mt_slice datasource;                          /* A-SRV-03 */
    int64_t now;
};
struct mt_cat_outcome {
    struct mt_buf identifier; /* the caller's; what could be told of it when it is refused */
    bool created;
    bool unknown; /* a search identifier that matched nothing (A-SRV-11) */
    struct mt_cat_refusal why;
};
/* false: refused; nothing of it was stored. */
bool mt_cat_entity_upsert(struct mt_cat_store *s, const struct mt_cat_upsert *options, struct mt_val entity,
                          struct mt_cat_outcome *out);

/* What becomes of the entities that relate to a deleted one. */
enum mt_cat_dependents {
    MT_CAT_SPARE,   /* their relation is emptied; a required one refuses the delete */
    MT_CAT_CASCADE, /* they are deleted too, and theirs */
    MT_CAT_EMPTY    /* their relation is emptied, required or not */
};
bool mt_cat_entity_exists(struct mt_cat_store *s, struct mt_slice blueprint, struct mt_slice identifier,
                          int64_t *out_id);
/* false: refused. An entity that does not exist is deleted already. */
bool mt_cat_entity_delete(struct mt_cat_store *s, struct mt_slice blueprint, struct mt_slice identifier,
                          enum mt_cat_dependents dependents, struct mt_cat_refusal *why);
void mt_cat_entities_delete_all(struct mt_cat_store *s, struct mt_slice blueprint);
/* Takes these members out of all entities of a blueprint. */
void mt_cat_entities_forget(struct mt_cat_store *s, struct mt_slice blueprint,
                            const struct mt_slice *properties, uint32_t property_count,
                            const struct mt_slice *relations, uint32_t relation_count);

#endif
