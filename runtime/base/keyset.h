/* A set of 16-byte keys with a small tag each: 20 bytes a slot, at most 48 bytes a key while it grows,
 * because it is split into 256 tables that grow one by one. Keys must be well mixed (digests). Not
 * thread-safe. */
#ifndef MT_BASE_KEYSET_H
#define MT_BASE_KEYSET_H

#include <stdint.h>

#include "base/error.h"

struct mt_key {
    uint8_t b[16];
};

struct mt_keyset;

struct mt_keyset *mt_keyset_new(void);
void mt_keyset_free(struct mt_keyset *set);
/* Adds key. Returns true when it was new; a known key keeps its tag. The all-zero key is legal. */
bool mt_keyset_add(struct mt_keyset *set, const struct mt_key *key, uint32_t tag);
bool mt_keyset_find(const struct mt_keyset *set, const struct mt_key *key, uint32_t *out_tag);
bool mt_keyset_remove(struct mt_keyset *set, const struct mt_key *key);
size_t mt_keyset_count(const struct mt_keyset *set);
size_t mt_keyset_bytes(const struct mt_keyset *set);

/* Digest of parts, each preceded by its length, so that ("ab","c") and ("a","bc") differ. */
struct mt_key mt_key_of(const struct mt_slice *parts, size_t count);

#endif
