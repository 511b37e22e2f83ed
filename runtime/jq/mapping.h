/* The mapping: a resource of a mapping file compiled into one unit, and the batch that goes through it.
 *
 * This is the seam behind which the engines stand (engine.h). Meaning: R-MAP, R-ITP, R-JQ, R-ENT. A struct
 * mt_mapping is immutable and shared, its expressions are compiled once, when the first mapper is made; what
 * runs it (struct mt_mapper) belongs to one worker thread. */
#ifndef MT_JQ_MAPPING_H
#define MT_JQ_MAPPING_H

#include "json/document.h"

struct mt_mapping; /* one resource, its expressions checked */
struct mt_mapper;  /* one resource compiled for one thread */

struct mt_mapping_options {
    bool environment;   /* allow_environment_variables_jq_access (our default: off) */
    const char *source; /* name of the mapping for messages: a file's name, or "Port" */
};

/* resource: one element of `resources` (R-MAP-02…05), index its position. Checks shape and scalars (a null or
 * list where text is expected is an error; numbers and booleans become text as Python spells them), not the
 * expressions: that needs a mapper. Errors name source, resource index, kind and field. A reference to the
 * resource's document is kept. */
enum mt_rc mt_mapping_new(struct mt_val resource, unsigned index, const struct mt_mapping_options *options,
                          struct mt_mapping **out, struct mt_err *err);
void mt_mapping_free(struct mt_mapping *m); /* after its mappers */
struct mt_slice mt_mapping_kind(const struct mt_mapping *m);
struct mt_val mt_mapping_selector(const struct mt_mapping *m); /* the whole selector object */
/* The blueprint's name when its expression is a constant string, else {NULL,0}. */
struct mt_slice mt_mapping_blueprint(const struct mt_mapping *m);
struct mt_slice mt_mapping_blueprint_expression(const struct mt_mapping *m);
/* Mapped fields in order: "identifier", "title", "properties.url", "relations.owner" … (a query's leaves
 * count as its field). */
unsigned mt_mapping_field_count(const struct mt_mapping *m);
struct mt_slice mt_mapping_field(const struct mt_mapping *m, unsigned i);
struct mt_slice mt_mapping_field_expression(const struct mt_mapping *m, unsigned i); /* first leaf's */

/* Makes it ready for the calling thread. An expression that does not compile is MT_EINVAL: source, resource,
 * kind, field, expression, line and column in it, and why; except file:// and search:// values (R-JQ-08),
 * which give null with a warning. MOONTIDE__ENGINE chooses the engine. */
enum mt_rc mt_mapper_new(const struct mt_mapping *m, struct mt_mapper **out, struct mt_err *err);
void mt_mapper_free(struct mt_mapper *mapper);
/* Appends the names of the members that it reads, borrowed, to *names (grown with mt_realloc): the hint of
 * mt_doc_parse_for. false: it reads whole items, there is no hint. */
bool mt_mapper_names(const struct mt_mapper *mapper, struct mt_slice **names, size_t *count);

/* An entity on its way: one allocation, released with free(). All slices point into it. */
struct mt_entity {
    struct mt_key key; /* of (blueprint, normalised identifier): mt_entity_key */
    struct mt_slice blueprint;
    struct mt_slice identifier; /* normalised (R-DIFF-05): text form, or sorted JSON of a query */
    struct mt_slice json;       /* the upsert's body, compact */
    bool search_identifier;     /* identifier is a query object (R-ENT-07) */
    bool search_relation;       /* a relation, or team, is or holds a query object (R-ENT-07, R-ENT-08) */
    uint32_t item;              /* position of its raw item in the batch */
};
struct mt_key mt_entity_key(struct mt_slice blueprint, struct mt_slice normalised_identifier);

/* A raw item that yielded no entity because of an error (architecture 3.4.1, R-JQ-06, R-JQ-10). */
struct mt_failed_item {
    uint32_t item;
    bool has_key; /* identifier and blueprint could still be evaluated: key protects the entity */
    struct mt_key key;
    char *message; /* field, expression, cause; owned */
};

/* Fields that gave null in this batch (R-JQ-05): one record a field that did. */
struct mt_empty_field {
    unsigned field; /* index for mt_mapping_field */
    unsigned count;
    char *sample;        /* the first cause: jq's error or "null"; owned; never longer than MT_FOREIGN */
    char *sample_entity; /* identifier of the first entity concerned, or NULL; owned */
};

struct mt_mapped {
    struct mt_entity **entities;
    size_t entity_count; /* in the order of the items */
    struct mt_failed_item *failed;
    size_t failed_count;
    struct mt_empty_field *empty;
    size_t empty_count;
    uint64_t items;    /* after itemsToParse (R-ITP-07) */
    uint64_t selected; /* selector true */
    uint64_t rejected; /* selector false: not an error, not counted as skipped (R-ENT-02) */
    uint64_t skipped;  /* identifier or blueprint falsy without an error (R-ENT-01), itemsToParse null */
};
void mt_mapped_fini(struct mt_mapped *mapped); /* also frees the entities that are still in it */

/* Maps every element of an array of raw items. Elements must be objects: others are failed items. Never fails
 * as a whole except for MT_ENOMEM. */
enum mt_rc mt_mapper_run(struct mt_mapper *mapper, struct mt_val items, struct mt_mapped *out,
                         struct mt_err *err);

#endif
