/* Search queries (A-ENT-02, A-SRV-08): {"combinator","rules":[{"property","operator","value"} | query]}. */
#ifndef MT_CATALOG_SEARCH_H
#define MT_CATALOG_SEARCH_H

#include "catalog/entity.h"

/* Calls each with every entity that matches, in no set order, until it gives false. blueprint: only its
 * entities, or {NULL,0} for all. each must not search, nor change entities. false: the query is none. */
bool mt_cat_search(struct mt_cat_store *s, struct mt_val query, struct mt_slice blueprint,
                   bool (*each)(void *ud, const struct mt_cat_row *row), void *ud,
                   struct mt_cat_refusal *why);

/* The ownership listing (A-ENT-23): one page of entities after the id `from`, last written before `before`,
 * whose datasource starts and ends so. Appends them to out, separated by commas; gives the id to go on from,
 * 0 at the end. */
int64_t mt_cat_listing(struct mt_cat_store *s, struct mt_slice prefix, struct mt_slice suffix, int64_t before,
                       int64_t from, int64_t limit, struct mt_buf *out);

#endif
