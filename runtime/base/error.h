/* What went wrong, in a caller-provided record that never allocates.
 *
 * A fallible function returns enum mt_rc and takes a struct mt_err * last (NULL: not interested). On failure
 * it fills the record and leaves every other output untouched. The text says what happened, where, why and
 * how to mend it; it holds no secret, and foreign text in it is cut to 200 bytes (MT_FOREIGN). */
#ifndef MT_BASE_ERROR_H
#define MT_BASE_ERROR_H

#include "base/slice.h"

enum mt_rc {
    MT_OK = 0,
    MT_EINVAL,    /* bad input or usage: a file, a mapping, a request */
    MT_ENOMEM,    /* memory or a budget for it is exhausted */
    MT_ELIMIT,    /* a ceiling was hit: size, depth, time, redirects */
    MT_EIO,       /* file or database */
    MT_ENET,      /* transport: resolve, connect, TLS, reset, cut short, timeout */
    MT_EHTTP,     /* an answer with a status that is an error; see status */
    MT_EDATA,     /* an answer that is not what it should be (not JSON, wrong shape) */
    MT_EAUTH,     /* credentials refused */
    MT_ECANCELED, /* cancelled: signal, newer run, end of scope */
    MT_EBUSY,     /* held by somebody else */
    MT_ENOENT,    /* does not exist */
    MT_ESCRIPT    /* an error of the bundle's Lua code */
};

struct mt_err {
    enum mt_rc rc;
    int status;         /* HTTP status for MT_EHTTP and MT_EAUTH, else 0 */
    const char *origin; /* source file that raised it (static storage) */
    int line;
    char text[1000]; /* always terminated; longer texts are cut at a character */
};

#define MT_FOREIGN 200

/* Fills err (may be NULL) and returns rc: `return mt_fail(err, MT_EINVAL, "…", …)`. */
#define mt_fail(err, rc, ...) mt_fail_at((err), (rc), __FILE__, __LINE__, __VA_ARGS__)
enum mt_rc mt_fail_at(struct mt_err *err, enum mt_rc rc, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6), cold));

/* Puts "context: " in front of the text of an error. Returns err's rc. */
enum mt_rc mt_err_context(struct mt_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* The short name of a code, as Lua's err.code has it: "invalid", "memory", "limit", "io", "network", "http",
 * "data", "auth", "canceled", "busy", "not_found", "script". Static storage. */
const char *mt_rc_name(enum mt_rc rc);

#endif
