/* Natives that look for something in a string, an array or an object; containers.c has them in its table. */
#ifndef MT_JQ_SEARCH_H
#define MT_JQ_SEARCH_H

#include "jq/native.h"

struct mt_jv mt_search_contains(struct mt_jv_heap *h, struct mt_jv *args);
struct mt_jv mt_search_indices(struct mt_jv_heap *h, struct mt_jv *args);
struct mt_jv mt_search_strindices(struct mt_jv_heap *h, struct mt_jv *args);
struct mt_jv mt_search_index(struct mt_jv_heap *h, struct mt_jv *args);
struct mt_jv mt_search_rindex(struct mt_jv_heap *h, struct mt_jv *args);

#endif
