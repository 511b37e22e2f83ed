/* Inside of a mapping: what mapping.c reads from a resource, plan.c compiles and mapper.c runs. Private to
 * jq/. */
#ifndef MT_JQ_UNIT_H
#define MT_JQ_UNIT_H

#include <pthread.h>

#include "jq/mapping.h"
#include "jq/value.h"

#define MT_NO_FIELD UINT32_MAX
#define MT_SELECTOR 0 /* its leaf */

/* One expression. */
struct mt_leaf {
    struct mt_slice source; /* as the mapping has it; owned, terminated */
    struct mt_slice text;   /* the same with its single quotes turned (R-JQ-02); owned */
    bool absent;            /* null, or a file:// or search:// value (R-JQ-08): always null */
    uint32_t field;         /* MT_NO_FIELD: selector, itemsToParse, or its deletion */
};

enum mt_section { MT_IDENTIFIER, MT_TITLE, MT_ICON, MT_BLUEPRINT, MT_TEAM, MT_PROPERTY, MT_RELATION };

struct mt_field {
    enum mt_section section;
    char *name;             /* dotted, for messages */
    struct mt_slice member; /* the name in the entity */
    struct mt_val shape;    /* a query: evaluated leaf by leaf (R-JQ-09); else no value */
    unsigned first, count;  /* its leaves */
};

struct mt_plan;

/* Made at the first need, then read by all. */
struct mt_shared {
    pthread_mutex_t lock;
    struct mt_plan *plan;
};

struct mt_mapping {
    struct mt_doc *doc;
    char *source;
    unsigned index;
    bool environment;
    struct mt_slice kind;      /* owned */
    struct mt_slice blueprint; /* when it is a constant string; owned */
    struct mt_val selector_object;
    bool expands;              /* itemsToParse is given */
    unsigned items, remove;    /* leaves; remove 0: no path to delete was found (R-ITP-04) */
    struct mt_slice item_name; /* owned */
    bool transform;            /* itemsToParseTopLevelTransform */
    bool has_properties, has_relations;
    unsigned field_count, leaf_count;
    struct mt_field *fields; /* [0] is the identifier */
    struct mt_leaf *leaves;  /* [0] is the selector, then the fields', then items and remove */
    unsigned blueprint_field;
    struct mt_shared *shared;
};

/* Text of a number as Python's str() spells it: 5.0 for a float, 1e+16. */
#define MT_NUMBER_TEXT 40
const char *mt_number_text(double value, char out[MT_NUMBER_TEXT]);

/* plan.c: at most `most` bytes of text, whole characters, and a NUL behind them. */
void mt_cut(char *to, size_t most, struct mt_slice text);

/* entity.c */
enum mt_rc mt_identifier_text(struct mt_jv v, struct mt_buf *out); /* R-DIFF-05 */
bool mt_jv_present(struct mt_jv v); /* Python's truth: not null, "", 0, false, {} or [] (R-ENT-01) */
static inline bool mt_jv_leaves_null(struct mt_jv v) /* null, or nan, which is written as null */
{
    return v.tag == MT_JV_NULL || (v.tag == MT_JV_NUMBER && v.number != v.number);
}
bool mt_jv_holds_object(struct mt_jv v); /* an object, or a list with one in it (R-ENT-07) */

#endif
