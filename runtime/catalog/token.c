/* Access tokens: see token.h. */
#include "catalog/token.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"

const char *mt_cat_token_issue(struct mt_cat_tokens *tokens)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        abort(); /* 16 bytes are never short once the kernel's generator is seeded */
    unsigned at = tokens->next;
    tokens->next = (at + 1) % MT_CAT_TOKENS;
    for (size_t i = 0; i < sizeof random; i++) {
        tokens->ring[at].text[2 * i] = digits[random[i] >> 4];
        tokens->ring[at].text[2 * i + 1] = digits[random[i] & 15];
    }
    tokens->ring[at].until_ns = mt_now_ns() + MT_CAT_TOKEN_S * 1000000000ull;
    return tokens->ring[at].text;
}

bool mt_cat_token_good(const struct mt_cat_tokens *tokens, const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0 || strlen(authorization + 7) != 32)
        return false;
    uint64_t now = mt_now_ns();
    for (unsigned i = 1; i <= MT_CAT_TOKENS; i++) { /* from the newest on: the one in use is found at once */
        unsigned at = (tokens->next + MT_CAT_TOKENS - i) % MT_CAT_TOKENS;
        if (!tokens->ring[at].until_ns)
            return false;
        if (memcmp(tokens->ring[at].text, authorization + 7, 32) == 0)
            return now < tokens->ring[at].until_ns;
    }
    return false;
}
