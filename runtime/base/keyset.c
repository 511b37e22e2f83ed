/* A set of 16-byte keys: see keyset.h.
 *
 * 256 open-addressed tables (linear probing), chosen by the key's first byte and grown one at a time by a
 * quarter, so that the copy made while growing is 1/256 of the set. A slot is 20 bytes; tables are between
 * 2/3 and 5/6 full once they are large: 24 to 30 bytes a key. */
#include "base/keyset.h"

#include <stdlib.h>
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

#include "base/memory.h"

enum { TABLES = 256, FIRST_SLOTS = 12 };

/* The tag of a free slot; users' tags are below. */
#define FREE UINT32_MAX

struct slot {
    struct mt_key key;
    uint32_t tag;
};

struct table {
    struct slot *slots;
    uint32_t size, used;
};

struct mt_keyset {
    struct table tables[TABLES];
    size_t count, bytes;
};

struct mt_keyset *mt_keyset_new(void)
{
    struct mt_keyset *set = mt_alloc(sizeof *set);
    set->bytes = sizeof *set;
    return set;
}

void mt_keyset_free(struct mt_keyset *set)
{
    if (!set)
        return;
    for (unsigned i = 0; i < TABLES; i++)
        free(set->tables[i].slots);
    free(set);
}

static uint32_t home(const struct mt_key *key, uint32_t size)
{
    uint32_t h;
    memcpy(&h, key->b + 4, sizeof h);
    return (uint32_t)((uint64_t)h * size >> 32);
}

/* The slot of key, or the free one where it belongs. The table is never full. */
static struct slot *probe(const struct table *t, const struct mt_key *key)
{
    uint32_t at = home(key, t->size);
    while (t->slots[at].tag != FREE && memcmp(&t->slots[at].key, key, sizeof *key) != 0)
        at = at + 1 == t->size ? 0 : at + 1;
    return &t->slots[at];
}

static void grow(struct mt_keyset *set, struct table *t)
{
    struct table bigger = {.size = t->size ? t->size + t->size / 4 : FIRST_SLOTS, .used = t->used};
    bigger.slots = mt_realloc(NULL, bigger.size * sizeof *bigger.slots);
    for (uint32_t i = 0; i < bigger.size; i++)
        bigger.slots[i].tag = FREE;
    for (uint32_t i = 0; i < t->size; i++)
        if (t->slots[i].tag != FREE)
            *probe(&bigger, &t->slots[i].key) = t->slots[i];
    set->bytes += (bigger.size - t->size) * sizeof *t->slots;
    free(t->slots);
    *t = bigger;
}

bool mt_keyset_add(struct mt_keyset *set, const struct mt_key *key, uint32_t tag)
{
    struct table *t = &set->tables[key->b[0]];
    if ((uint64_t)t->used * 6 >= (uint64_t)t->size * 5)
        grow(set, t);
    struct slot *s = probe(t, key);
    if (s->tag != FREE)
        return false;
    *s = (struct slot){*key, tag == FREE ? FREE - 1 : tag};
    t->used++;
    set->count++;
    return true;
}

bool mt_keyset_find(const struct mt_keyset *set, const struct mt_key *key, uint32_t *out_tag)
{
    const struct table *t = &set->tables[key->b[0]];
    if (!t->size)
        return false;
    const struct slot *s = probe(t, key);
    if (s->tag == FREE)
        return false;
    if (out_tag)
        *out_tag = s->tag;
    return true;
}

bool mt_keyset_remove(struct mt_keyset *set, const struct mt_key *key)
{
    struct table *t = &set->tables[key->b[0]];
    if (!t->size)
        return false;
    struct slot *gap = probe(t, key);
    if (gap->tag == FREE)
        return false;
    gap->tag = FREE;
    t->used--;
    set->count--;
    /* Close the gap: what was pushed past it by a collision moves back (Knuth, 6.4 algorithm R). */
    uint32_t at = (uint32_t)(gap - t->slots), hole = at;
    for (;;) {
        at = at + 1 == t->size ? 0 : at + 1;
        if (t->slots[at].tag == FREE)
            return true;
        uint32_t want = home(&t->slots[at].key, t->size);
        bool stays = hole <= at ? hole < want && want <= at : hole < want || want <= at;
        if (stays)
            continue;
        t->slots[hole] = t->slots[at];
        t->slots[at].tag = FREE;
        hole = at;
    }
}

size_t mt_keyset_count(const struct mt_keyset *set)
{
    return set->count;
}

size_t mt_keyset_bytes(const struct mt_keyset *set)
{
    return set->bytes;
}

struct mt_key mt_key_of(const struct mt_slice *parts, size_t count)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < count; i++) {
        uint64_t n = parts[i].n;
        XXH3_128bits_update(&state, &n, sizeof n);
        if (n)
            XXH3_128bits_update(&state, parts[i].p, parts[i].n);
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    struct mt_key key;
    memcpy(key.b, canonical.digest, sizeof key.b);
    return key;
}
