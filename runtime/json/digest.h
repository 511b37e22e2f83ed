/* Pieces of the canonical digest (digest.c says what they are), for values that are not in a document yet.
 * mt_digest_key of the same JSON is what mt_val_digest gives. Any thread. */
#ifndef MT_JSON_DIGEST_H
#define MT_JSON_DIGEST_H

#include "json/document.h"

struct mt_digest {
    uint64_t low, high;
};

struct mt_digest mt_digest_null(void);
struct mt_digest mt_digest_bool(bool value);
struct mt_digest mt_digest_number(double value);
struct mt_digest mt_digest_string(struct mt_slice text);
struct mt_digest mt_digest_val(struct mt_val v);
/* A container: begin with {0, 0}, add each part, close with the number of parts. */
void mt_digest_element(struct mt_digest *sum, struct mt_digest element);
void mt_digest_member(struct mt_digest *sum, struct mt_digest name, struct mt_digest value);
struct mt_digest mt_digest_array(struct mt_digest sum, uint64_t count);
struct mt_digest mt_digest_object(struct mt_digest sum, uint64_t count);
struct mt_key mt_digest_key(struct mt_digest digest);

#endif
