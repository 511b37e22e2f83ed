/* A growable byte buffer with a ceiling. Not thread-safe; owned by whoever inited it. */
#ifndef MT_BASE_BUF_H
#define MT_BASE_BUF_H

#include "base/error.h"

struct mt_buf {
    char *p;
    size_t n;    /* bytes used */
    size_t cap;  /* bytes allocated */
    size_t max;  /* ceiling on n */
    bool failed; /* an append was refused; sticky, so that a chain of appends is checked once at its end */
};

void mt_buf_init(struct mt_buf *b, size_t max);
void mt_buf_fini(struct mt_buf *b);
void mt_buf_clear(struct mt_buf *b); /* keeps the memory, resets failed */

/* All appends return false, and set failed, when the ceiling or the memory is hit; the content stays as it
 * was. */
bool mt_buf_add(struct mt_buf *b, const void *p, size_t n);
bool mt_buf_put(struct mt_buf *b, struct mt_slice s);
bool mt_buf_puts(struct mt_buf *b, const char *text);
bool mt_buf_putc(struct mt_buf *b, char c);
bool mt_buf_printf(struct mt_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool mt_buf_reserve(struct mt_buf *b, size_t extra); /* room for n + extra bytes */
bool mt_buf_put_json_string(struct mt_buf *b,
                            struct mt_slice s); /* quoted and escaped (RFC 8259 section 7) */

struct mt_slice mt_buf_slice(const struct mt_buf *b);
const char *mt_buf_text(struct mt_buf *b);          /* terminated (the NUL is not counted); "" on failure */
char *mt_buf_take(struct mt_buf *b, size_t *out_n); /* ownership leaves: free() it; b is empty after */

#endif
