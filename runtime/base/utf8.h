/* Valid UTF-8 out of any bytes: for lines of JSON and metrics that hold foreign text. */
#ifndef MT_BASE_UTF8_H
#define MT_BASE_UTF8_H

#include "base/buf.h"

/* Length of the well-formed character (RFC 3629) at p; 0: it is none. p < end. */
unsigned mt_utf8_length(const char *p, const char *end);
/* Appends the text; each byte that belongs to no character becomes U+FFFD (3 bytes for 1). */
bool mt_utf8_put(struct mt_buf *out, struct mt_slice text);
/* The longest begin of at most n bytes that does not end inside a character. */
struct mt_slice mt_utf8_cut(struct mt_slice text, size_t n);

#endif
