/* Private to bundle/: the integration's own values, as its spec declares them (R-CFG-12…17). */
#ifndef MT_BUNDLE_VALUES_H
#define MT_BUNDLE_VALUES_H

#include "bundle/sources.h"

/* One member for each configuration of the spec; what is missing or wrong is told and null. Without a spec:
 * everything below integration.config. Marks the leaves that it took. NULL: the values are no valid text,
 * which was told. */
struct mt_doc *mt_values_read(const struct mt_sources *s, const struct mt_bundle *bundle);
/* The configuration of that name has `sensitive: true`. */
bool mt_values_sensitive(const struct mt_bundle *bundle, struct mt_slice name);
/* Hands every text in a value to the log's mask. */
void mt_values_mask(struct mt_val value);

#endif
