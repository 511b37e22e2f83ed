/* Why a request, or one entity of it, is refused: what the client is told. */
#ifndef MT_CATALOG_REFUSAL_H
#define MT_CATALOG_REFUSAL_H

#include "base/error.h"

struct mt_cat_refusal {
    int status;        /* of HTTP; 0: not refused */
    const char *error; /* Port's short code: "not_found", "validation_error", …; static storage */
    struct mt_err err; /* the message */
};

static inline bool mt_cat_refused(struct mt_cat_refusal *r, int status, const char *error, enum mt_rc rc)
{
    r->status = status;
    r->error = error;
    (void)rc; /* in r->err already */
    return false;
}

/* Fills r and gives false: `return mt_cat_refuse(r, 422, "validation_error", "…", …)`. */
#define mt_cat_refuse(r, code, name, ...)                                                                    \
    mt_cat_refused((r), (code), (name), mt_fail(&(r)->err, MT_EINVAL, __VA_ARGS__))
/* The usual case: content that the blueprint or the rules do not allow. */
#define mt_cat_invalid(r, ...) mt_cat_refuse((r), 422, "validation_error", __VA_ARGS__)

/* The first bytes of foreign text, cut at a character; for "%.*s". */
static inline struct mt_slice mt_cat_cut(struct mt_slice s)
{
    enum { LONGEST = 120 }; /* two names and a value fit into one message */
    if (s.n > LONGEST) {
        s.n = LONGEST;
        while (s.n && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--;
    }
    return s;
}
#define MT_CUT(s) MT_FMT(mt_cat_cut(s))

#endif
