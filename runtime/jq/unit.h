/* Inside a mapping: what mapping.c reads from a resource and mapper.c runs. Private to jq/. */
#ifndef MT_JQ_UNIT_H
#define MT_JQ_UNIT_H

#include "jq/mapping.h"
#include "jq/path.h"
#include "jq/rewrite.h"

/* One expression. */
struct mt_leaf {
    struct mt_slice source; /* as the mapping has it; owned, terminated */
    bool absent;            /* null, or a file:// or search:// value (R-JQ-08): always null */
    struct mt_plain *plain; /* evaluated without an engine; else NULL and: */
    struct mt_slice text;   /* ready for libjq; owned */
    struct mt_expression about;
    char *broken; /* why it cannot be made ready; the mapper reports it */
};

enum mt_section { MT_IDENTIFIER, MT_TITLE, MT_ICON, MT_BLUEPRINT, MT_TEAM, MT_PROPERTY, MT_RELATION };

struct mt_field {
    enum mt_section section;
    char *name;             /* dotted, for messages */
    struct mt_slice member; /* the name in the entity */
    struct mt_val shape;    /* a query: evaluated leaf by leaf (R-JQ-09); else no value */
    unsigned first, count;  /* its leaves */
};

struct mt_mapping {
    struct mt_doc *doc;
    char *source;
    unsigned index;
    bool environment;
    struct mt_slice kind; /* owned */
    struct mt_val selector_object;
    struct mt_leaf selector;
    bool expands; /* itemsToParse is given */
    struct mt_leaf items;
    struct mt_slice item_name; /* owned */
    bool transform;            /* itemsToParseTopLevelTransform */
    bool removes;              /* a path to delete was found (R-ITP-04) */
    struct mt_leaf remove;     /* that path if it is plain, else del(PATH) */
    bool has_properties, has_relations;
    unsigned field_count, leaf_count;
    struct mt_field *fields; /* [0] is the identifier */
    struct mt_leaf *leaves;
    unsigned blueprint; /* its field */
};

/* Text of a number as Python's str() spells it: 5.0 for a float, 1e+16. */
#define MT_NUMBER_TEXT 40
const char *mt_number_text(double value, char out[MT_NUMBER_TEXT]);

/* entity.c */
enum mt_rc mt_identifier_text(struct mt_val v, struct mt_buf *out); /* R-DIFF-05; a missing value is null */
struct mt_entity *mt_entity_new(struct mt_slice blueprint, struct mt_slice identifier, struct mt_slice json);
bool mt_val_truthy(struct mt_val v); /* Python's: not null, "", 0, false, {} or [] (R-ENT-01) */

#endif
