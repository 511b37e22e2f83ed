/* Access tokens: opaque, in memory only, good for three hours (A-AUTH-03). The catalog's thread only. */
#ifndef MT_CATALOG_TOKEN_H
#define MT_CATALOG_TOKEN_H

#include <stdint.h>

#include "base/slice.h"

enum { MT_CAT_TOKEN_S = 10800, MT_CAT_TOKENS = 4096 };

/* Zeroed to begin with. The oldest of too many is forgotten: its holder is told 401 and asks again. */
struct mt_cat_tokens {
    struct {
        char text[33];
        uint64_t until_ns;
    } ring[MT_CAT_TOKENS];
    unsigned next;
};

const char *mt_cat_token_issue(struct mt_cat_tokens *tokens);
/* authorization: the header "Bearer …", or NULL. */
bool mt_cat_token_good(const struct mt_cat_tokens *tokens, const char *authorization);

#endif
