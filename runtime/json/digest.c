/* The canonical digest, and equality in full: the same relation. Any thread.
 *
 * A digest is built from those of the parts, so that nothing is sorted or copied:
 *
 *   null, true, false   H(tag)
 *   number              H(number, bits of the nearest double; -0 is 0)
 *   string              H(string, decoded bytes)
 *   array               a = H(element, a, digest) for each element in turn; H(array, a, count)
 *   object              o = sum of H(member, digest of name, digest of value) modulo 2^128; H(object, o,
 * count)
 *
 * H is XXH3 128 bits, its first argument the seed. The sum makes members independent of their order; each is
 * hashed with its name before, so that {"a":1,"b":2} and {"a":2,"b":1} differ. Digests are kept in the state
 * file: what is hashed, and the seeds, must not change. */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "json/digest.h"
#include "json/layout.h"

enum seed {
    SEED_NULL = 1,
    SEED_FALSE,
    SEED_TRUE,
    SEED_NUMBER,
    SEED_STRING,
    SEED_ELEMENT,
    SEED_ARRAY,
    SEED_MEMBER,
    SEED_OBJECT
};

enum { FEW_LEVELS = 32 };

static XXH128_hash_t of_bytes(enum seed seed, const void *p, size_t n)
{
    return XXH3_128bits_withSeed(p, n, (XXH64_hash_t)seed);
}

static XXH128_hash_t of_pair(enum seed seed, XXH128_hash_t a, XXH128_hash_t b)
{
    uint64_t words[4] = {a.low64, a.high64, b.low64, b.high64};
    return of_bytes(seed, words, sizeof words);
}

static XXH128_hash_t of_scalar(struct mt_val v)
{
    switch (mt_val_kind(v)) {
    case MT_BOOL:
        return of_bytes(mt_val_true(v) ? SEED_TRUE : SEED_FALSE, "", 0);
    case MT_NUMBER: {
        double value = mt_val_double(v);
        if (value == 0)
            value = 0; /* -0 */
        return of_bytes(SEED_NUMBER, &value, sizeof value);
    }
    case MT_STRING: {
        struct mt_slice s = mt_val_string(v);
        return of_bytes(SEED_STRING, s.p, s.n);
    }
    default:
        return of_bytes(SEED_NULL, "", 0);
    }
}

struct level {
    struct mt_iter parts;
    XXH128_hash_t sum;  /* a or o above */
    XXH128_hash_t name; /* digest of the name whose value is being digested */
    bool object;
};

static void add_part(struct level *l, XXH128_hash_t part)
{
    if (!l->object) {
        l->sum = of_pair(SEED_ELEMENT, l->sum, part);
        return;
    }
    XXH128_hash_t member = of_pair(SEED_MEMBER, l->name, part);
    l->sum.low64 += member.low64;
    l->sum.high64 += member.high64 + (l->sum.low64 < member.low64);
}

static XXH128_hash_t of_container(const struct level *l)
{
    XXH128_hash_t count = {mt_val_count(l->parts.container), 0};
    return of_pair(l->object ? SEED_OBJECT : SEED_ARRAY, l->sum, count);
}

static XXH128_hash_t of_value(struct mt_val v)
{
    struct level few[FEW_LEVELS], *stack = few;
    uint32_t cap = FEW_LEVELS, depth = 0;
    XXH128_hash_t done;
    for (;;) {
        bool object = mt_val_is(v, MT_OBJECT);
        if (object || mt_val_is(v, MT_ARRAY)) {
            if (depth == cap)
                stack = mt_json_stack_grow(stack, few, &cap, sizeof *stack);
            stack[depth++] = (struct level){.parts = mt_iter_of(v), .object = object};
        } else {
            done = of_scalar(v);
            if (depth == 0)
                break;
            add_part(&stack[depth - 1], done);
        }
        struct mt_slice name;
        while (!mt_iter_next(&stack[depth - 1].parts, &name, &v)) {
            done = of_container(&stack[--depth]);
            if (depth == 0)
                goto out;
            add_part(&stack[depth - 1], done);
        }
        if (stack[depth - 1].object)
            stack[depth - 1].name = of_bytes(SEED_STRING, name.p, name.n);
    }
out:
    mt_json_stack_free(stack, few);
    return done;
}

static XXH128_hash_t inner(struct mt_digest d)
{
    return (XXH128_hash_t){d.low, d.high};
}

static struct mt_digest outer(XXH128_hash_t h)
{
    return (struct mt_digest){h.low64, h.high64};
}

struct mt_digest mt_digest_null(void)
{
    return outer(of_bytes(SEED_NULL, "", 0));
}

struct mt_digest mt_digest_bool(bool value)
{
    return outer(of_bytes(value ? SEED_TRUE : SEED_FALSE, "", 0));
}

struct mt_digest mt_digest_number(double value)
{
    if (value == 0)
        value = 0; /* -0 */
    return outer(of_bytes(SEED_NUMBER, &value, sizeof value));
}

struct mt_digest mt_digest_string(struct mt_slice text)
{
    return outer(of_bytes(SEED_STRING, text.p, text.n));
}

struct mt_digest mt_digest_val(struct mt_val v)
{
    return outer(of_value(v));
}

void mt_digest_element(struct mt_digest *sum, struct mt_digest element)
{
    *sum = outer(of_pair(SEED_ELEMENT, inner(*sum), inner(element)));
}

void mt_digest_member(struct mt_digest *sum, struct mt_digest name, struct mt_digest value)
{
    XXH128_hash_t member = of_pair(SEED_MEMBER, inner(name), inner(value));
    sum->low += member.low64;
    sum->high += member.high64 + (sum->low < member.low64);
}

struct mt_digest mt_digest_array(struct mt_digest sum, uint64_t count)
{
    return outer(of_pair(SEED_ARRAY, inner(sum), (XXH128_hash_t){count, 0}));
}

struct mt_digest mt_digest_object(struct mt_digest sum, uint64_t count)
{
    return outer(of_pair(SEED_OBJECT, inner(sum), (XXH128_hash_t){count, 0}));
}

struct mt_key mt_digest_key(struct mt_digest digest)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, inner(digest));
    struct mt_key key;
    memcpy(key.b, canonical.digest, sizeof key.b);
    return key;
}

struct mt_key mt_val_digest(struct mt_val v)
{
    return mt_digest_key(outer(of_value(v)));
}

static bool equal_scalars(struct mt_val a, struct mt_val b)
{
    switch (mt_val_kind(a)) {
    case MT_BOOL:
        return mt_val_true(a) == mt_val_true(b);
    case MT_NUMBER:
        return mt_slice_eq(mt_val_literal(a), mt_val_literal(b)) || mt_val_double(a) == mt_val_double(b);
    case MT_STRING:
        return mt_slice_eq(mt_val_string(a), mt_val_string(b));
    default:
        return true;
    }
}

struct couple {
    struct mt_iter a, b;
    bool object;
};

/* The next pair to compare. Members mostly come in the same order: the other side's next one is tried before
 * it is looked up. false: the names differ. */
static bool next_pair(struct couple *c, struct mt_val *a, struct mt_val *b)
{
    struct mt_slice name, other;
    mt_iter_next(&c->a, &name, a);
    mt_iter_next(&c->b, &other, b);
    return !c->object || mt_slice_eq(name, other) || mt_val_member(c->b.container, name, b);
}

bool mt_val_equal(struct mt_val a, struct mt_val b)
{
    struct couple few[FEW_LEVELS], *stack = few;
    uint32_t cap = FEW_LEVELS, depth = 0;
    bool equal = false;
    if (!a.doc || !b.doc)
        return a.doc == b.doc;
    for (;;) {
        bool same = a.doc == b.doc && a.at == b.at;
        if (!same) {
            enum mt_kind kind = mt_val_kind(a);
            if (kind != mt_val_kind(b) || mt_val_count(a) != mt_val_count(b) || !equal_scalars(a, b))
                break;
            if (mt_val_count(a) > 0) {
                if (depth == cap)
                    stack = mt_json_stack_grow(stack, few, &cap, sizeof *stack);
                stack[depth++] = (struct couple){mt_iter_of(a), mt_iter_of(b), kind == MT_OBJECT};
            }
        }
        while (depth > 0 && stack[depth - 1].a.left == 0)
            depth--;
        if (depth == 0) {
            equal = true;
            break;
        }
        if (!next_pair(&stack[depth - 1], &a, &b))
            break;
    }
    mt_json_stack_free(stack, few);
    return equal;
}
