/* Is an entity as it was mapped already what Port holds? (R-DIFF-06…08, with the flaws mended: icons are
 * compared, numbers by value.) */
#ifndef MT_SYNC_DIFF_H
#define MT_SYNC_DIFF_H

#include "json/document.h"

/* The query text that asks a search for just the members that these mapped fields ("title", "properties.url"
 * …) need. */
struct mt_mapping;
char *mt_diff_include(const struct mt_mapping *mapping);

/* True when Port's copy is known to hold every mapped member of the entity. `each`, when given, is called for
 * every difference instead of stopping at the first: with the dotted path and both values (no value: the
 * member is absent). */
bool mt_diff_equal(struct mt_val mapped, struct mt_val existing,
                   void (*each)(void *ud, const char *path, struct mt_val from, struct mt_val to), void *ud);

#endif
