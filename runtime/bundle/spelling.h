/* Names: the snake_case of a camelCase one, and which known name a wrong one resembles. Pure, any thread. */
#ifndef MT_BUNDLE_SPELLING_H
#define MT_BUNDLE_SPELLING_H

#include "base/slice.h"

/* githubAppId -> github_app_id, newRelicAPIKey -> new_relic_api_key, already_snake stays. The caller frees
 * it. */
char *mt_spelling_snake(struct mt_slice name);
/* github_app_id -> githubAppId. The caller frees it. */
char *mt_spelling_camel(struct mt_slice name);

/* Is candidate nearer to word than *best edits? Then *best is lowered. Case counts half as much as a letter,
 * underscores nothing. */
bool mt_spelling_nearer(struct mt_slice word, struct mt_slice candidate, unsigned *best);
/* Where to start: what is further away is no misspelling. */
unsigned mt_spelling_limit(struct mt_slice word);

#endif
