/* Splitting a stream of values: finds where the next one ends and leaves its inside to the parser. Any
 * thread. */
#include "json/document.h"

/* The quote that ends a string whose inside begins at p; NULL: there is none. A quote behind an odd number of
 * backslashes is part of the string. */
static const char *closing_quote(const char *p, const char *end)
{
    const char *from = p;
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            return NULL;
        const char *slash = quote;
        while (slash > from && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            return quote;
        p = from = quote + 1;
    }
    return NULL;
}

/* What follows the container at p; NULL: cut short. Brackets are counted, not matched: the parser tells ]
 * from }. */
static const char *container_end(const char *p, const char *end)
{
    size_t depth = 0;
    for (; p < end; p++) {
        switch (*p) {
        case '[':
        case '{':
            depth++;
            break;
        case ']':
        case '}':
            if (--depth == 0)
                return p + 1;
            break;
        case '"':
            p = closing_quote(p + 1, end);
            if (!p)
                return NULL;
            break;
        default:
            break;
        }
    }
    return NULL;
}

static bool ends_scalar(char c)
{
    return memchr(" \t\r\n,:[]{}\"", c, 11) != NULL;
}

enum mt_rc mt_json_next(struct mt_slice text, size_t *out_length, struct mt_err *err)
{
    const char *p = text.p, *end = text.p + text.n, *from, *after;
    if (text.n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    if (p == end) {
        *out_length = 0;
        return MT_OK;
    }
    from = p;
    if (*p == '[' || *p == '{') {
        after = container_end(p, end);
    } else if (*p == '"') {
        const char *quote = closing_quote(p + 1, end);
        after = quote ? quote + 1 : NULL;
    } else {
        while (p < end && !ends_scalar(*p))
            p++;
        after = p;
        struct mt_err inner;
        if (mt_json_check((struct mt_slice){from, (size_t)(after - from)}, NULL, &inner) != MT_OK)
            return mt_fail(err, MT_EDATA, "not a JSON value at byte %zu of the stream: %s",
                           (size_t)(from - text.p), inner.text);
    }
    if (!after)
        return mt_fail(err, MT_EDATA,
                       "a stream of JSON values is cut short: the value at byte %zu has no end",
                       (size_t)(from - text.p));
    *out_length = (size_t)(after - text.p);
    return MT_OK;
}
