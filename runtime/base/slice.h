/* A borrowed run of bytes: never terminated, never owned. Valid as long as what it points into. */
#ifndef MT_BASE_SLICE_H
#define MT_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct mt_slice {
    const char *p;
    size_t n;
};

#define MT_SLICE(literal) ((struct mt_slice){(literal), sizeof(literal) - 1})

static inline struct mt_slice mt_slice_of(const char *text)
{
    return (struct mt_slice){text, text ? strlen(text) : 0};
}

static inline bool mt_slice_eq(struct mt_slice a, struct mt_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool mt_slice_is(struct mt_slice a, const char *text)
{
    return mt_slice_eq(a, mt_slice_of(text));
}

/* For printf: "%.*s", MT_FMT(slice). */
#define MT_FMT(s) (int)(s).n, (s).p

#endif
