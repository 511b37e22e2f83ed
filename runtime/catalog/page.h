/* GET / : the catalog as a page for people. */
#ifndef MT_CATALOG_PAGE_H
#define MT_CATALOG_PAGE_H

#include "catalog/call.h"

/* Query: nothing for the overview, ?blueprint=B[&page=N] for its entities, ?blueprint=B&entity=E for one. */
void mt_cat_page(struct mt_cat_call *c);

#endif
