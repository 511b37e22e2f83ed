/* One property of a blueprint, and whether a value fits it (the subset of JSON Schema that Port's blueprints
 * use). Pure functions. */
#ifndef MT_CATALOG_VALIDATE_H
#define MT_CATALOG_VALIDATE_H

#include "catalog/refusal.h"
#include "json/document.h"

enum mt_cat_type { MT_CAT_ANY, MT_CAT_STRING, MT_CAT_NUMBER, MT_CAT_BOOLEAN, MT_CAT_OBJECT, MT_CAT_ARRAY };
enum mt_cat_format { MT_CAT_PLAIN, MT_CAT_URL, MT_CAT_EMAIL, MT_CAT_DATE_TIME, MT_CAT_IPV4, MT_CAT_IPV6 };

/* What a value must be; borrows from the blueprint's document. */
struct mt_cat_rule {
    enum mt_cat_type type;
    enum mt_cat_format format;
    struct mt_val allowed; /* the enum's array, or no value */
};

struct mt_cat_property {
    struct mt_slice name;
    struct mt_cat_rule rule, items; /* items: of an array; MT_CAT_ANY when it does not say */
    bool required;
};

/* Reads schema.properties[name]. false: the definition is no definition. */
bool mt_cat_property_read(struct mt_slice name, struct mt_val definition, struct mt_cat_property *out,
                          struct mt_cat_refusal *why);
/* null passes here: whether the property is required is the entity's business. */
bool mt_cat_property_check(const struct mt_cat_property *p, struct mt_val value, struct mt_cat_refusal *why);

/* Text that can name something: 1 to 500 bytes, no NUL. */
bool mt_cat_identifier_check(struct mt_slice identifier, const char *of_what, struct mt_cat_refusal *why);

#endif
