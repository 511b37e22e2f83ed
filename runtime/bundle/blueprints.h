/* The blueprints of a bundle, as checks of a mapping and of its entities see them. Pure, any thread. */
#ifndef MT_BUNDLE_BLUEPRINTS_H
#define MT_BUNDLE_BLUEPRINTS_H

#include "jq/mapping.h"

/* field: "properties.url", "relations.owner", "identifier", "blueprint". */
typedef void mt_blueprint_problem(void *ud, bool error, const char *field, const char *text);

/* The blueprint of that identifier; false: the bundle has none. */
bool mt_blueprints_find(struct mt_val blueprints, struct mt_slice identifier, struct mt_val *out);
/* The set itself: objects with identifiers that differ, relations to blueprints that exist. field:
 * "[3].relations.owner". */
void mt_blueprints_check(struct mt_val blueprints, mt_blueprint_problem *each, void *ud);
/* A mapping whose blueprint is a constant: fields that the blueprint does not have, and required ones that
 * are not mapped. */
void mt_blueprints_check_mapping(struct mt_val blueprints, const struct mt_mapping *mapping,
                                 mt_blueprint_problem *each, void *ud);
/* An entity as it would be sent: the types of its values. */
void mt_blueprints_check_entity(struct mt_val blueprints, struct mt_val entity, mt_blueprint_problem *each,
                                void *ud);

#endif
