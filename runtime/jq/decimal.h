/* Numbers by their spelling: jq 1.8 keeps a number's literal until something is computed from it. A literal
 * is a valid JSON number. Any thread. */
#ifndef MT_JQ_DECIMAL_H
#define MT_JQ_DECIMAL_H

#include <stdint.h>

#include "base/buf.h"

/* An integer of at most 15 digits, exact as a double and written as it is spelled: true with its value. "-0"
 * is none. */
bool mt_decimal_plain(struct mt_slice literal, double *out);
/* The nearest double of the first 17 digits, rounded half to even, as jq has it; +-infinity beyond. The
 * literal has to be followed by a byte that is not part of it. */
double mt_decimal_double(struct mt_slice literal);
/* The nearest double, as documents and digests have it. Followed by another byte, too. */
double mt_decimal_nearest(struct mt_slice literal);
/* <0, 0, >0 by value, exactly. */
int mt_decimal_compare(struct mt_slice a, struct mt_slice b);
/* The number is exactly an int64. */
bool mt_decimal_int64(struct mt_slice literal, int64_t *out);
/* As jq writes it: 100e-2 is 1.00, 1e1000 is 1E+1000, an exponent past 999,999,999 is the largest double. */
bool mt_decimal_write(struct mt_slice literal, struct mt_buf *out);
/* Writes that literal as it stands. */
bool mt_decimal_is_canonical(struct mt_slice literal);

#endif
