/* Scrubbing: see scrub.h. Called by recorder.c, and by recording.c for what it shows.
 *
 * JSON is walked value by value, so that it does not matter how its strings are escaped; a string that holds
 * JSON again is walked too. */
#include "script/scrub.h"

#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "json/document.h"

enum {
    NESTED = 4,     /* JSON in strings of JSON in strings … */
    DEPTH = 200,    /* of the walk's recursion; deeper texts are scrubbed as text */
    SHORTEST64 = 6, /* base64 of the shortest secret, 4 bytes */
    MAX_NAME = 64,
};
static const char redacted[] = "[REDACTED]";

/* ---- names ---- */

/* Lower case, without what stands between words: accessToken, access_token and Access-Token are one. */
static void normalise(struct mt_slice name, char out[MAX_NAME])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < MAX_NAME - 1; i++) {
        char c = name.p[i];
        if (c != '-' && c != '_' && c != '.' && c != ' ')
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out[n] = '\0';
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static bool contains(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strstr(name, *list))
            return true;
    return false;
}

static bool is_of_paging(const char *name)
{
    static const char *const words[] = {"page",  "next",   "prev", "continu", "cursor", "sync",
                                        "delta", "resume", "skip", "marker",  "start",  NULL};
    return contains(name, words);
}

bool mt_scrub_hides_header(struct mt_slice name)
{
    static const char *const words[] = {"token",  "secret",    "key",           "password",
                                        "passwd", "signature", "authorization", NULL};
    static const char *const whole[] = {"cookie", "setcookie", "cookie2", "setcookie2", "xauth", NULL};
    char text[MAX_NAME];
    normalise(name, text);
    return is_one_of(text, whole) || (contains(text, words) && !is_of_paging(text));
}

bool mt_scrub_hides_member(struct mt_slice name)
{
    static const char *const whole[] = {"pwd",    "passwd", "jwt",  "sig",       "authorization",
                                        "cookie", "bearer", "pass", "assertion", NULL};
    static const char *const ends[] = {
        "token",     "secret",          "password",    "passphrase", "apikey",  "privatekey",
        "secretkey", "accesskey",       "accesskeyid", "signingkey", "authkey", "sharedkey",
        "signature", "clientassertion", "credential",  "accountkey", NULL};
    char text[MAX_NAME];
    normalise(name, text);
    if (is_one_of(text, whole))
        return true;
    size_t n = strlen(text);
    for (const char *const *end = ends; *end; end++) {
        size_t length = strlen(*end);
        if (n >= length && strcmp(text + n - length, *end) == 0)
            return !is_of_paging(text);
    }
    return false;
}

/* ---- text ---- */

bool mt_scrub_unescape(struct mt_slice s, size_t at, char *out)
{
    int value = 0;
    if (at + 2 >= s.n || s.p[at] != '%')
        return false;
    for (size_t i = at + 1; i <= at + 2; i++) {
        char c = s.p[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return false;
        value = value * 16 + digit;
    }
    *out = (char)value;
    return true;
}

bool mt_scrub_decode(struct mt_buf *out, struct mt_slice part)
{
    char decoded;
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] == '%' && mt_scrub_unescape(part, i, &decoded)) {
            mt_buf_putc(out, decoded);
            i += 2;
        } else {
            mt_buf_putc(out, part.p[i] == '+' ? ' ' : part.p[i]);
        }
    }
    return !out->failed;
}

/* Does the text hold a known secret as it is? */
static bool holds_known(struct mt_slice text)
{
    struct mt_buf masked;
    mt_buf_init(&masked, 4 * text.n + sizeof redacted);
    mt_mask_put_known(&masked, text);
    bool found = masked.failed || !mt_slice_eq(mt_buf_slice(&masked), text);
    mt_buf_fini(&masked);
    return found;
}

static int digit64(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Does a run of base64 digits hold a secret? What stands before it may belong to the run or not: it is
 * decoded from each of its first four digits. */
static bool holds_base64(struct mt_slice run)
{
    struct mt_buf decoded;
    bool found = false;
    mt_buf_init(&decoded, run.n);
    for (size_t skip = 0; skip < 4 && !found; skip++) {
        unsigned bits = 0, have = 0;
        mt_buf_clear(&decoded);
        for (size_t i = skip; i < run.n; i++) {
            bits = (bits << 6 | (unsigned)digit64(run.p[i])) & 0xffff;
            have += 6;
            if (have >= 8) {
                have -= 8;
                mt_buf_putc(&decoded, (char)(bits >> have & 0xff));
            }
        }
        found = holds_known(mt_buf_slice(&decoded));
    }
    mt_buf_fini(&decoded);
    return found;
}

bool mt_scrub_text(struct mt_buf *out, struct mt_slice text)
{
    size_t done = 0;
    if (!mt_mask_count())
        return mt_buf_put(out, text);
    for (size_t i = 0; i < text.n;) {
        size_t from = i;
        while (i < text.n && digit64(text.p[i]) >= 0)
            i++;
        struct mt_slice run = {text.p + from, i - from};
        if (run.n >= SHORTEST64 && holds_base64(run)) {
            mt_mask_put_known(out, (struct mt_slice){text.p + done, from - done});
            mt_buf_puts(out, redacted);
            while (i < text.n && text.p[i] == '=')
                i++;
            done = i;
        } else if (i == from) {
            i++;
        }
    }
    mt_mask_put_known(out, (struct mt_slice){text.p + done, text.n - done});
    return !out->failed;
}

/* ---- URLs and forms ---- */

/* Puts what stands between separators; a part that holds a secret once it is decoded goes as a whole. */
static void put_part(struct mt_buf *out, struct mt_slice part)
{
    struct mt_buf decoded;
    mt_buf_init(&decoded, part.n);
    mt_scrub_decode(&decoded, part);
    if (part.n && holds_known(mt_buf_slice(&decoded)))
        mt_buf_puts(out, redacted);
    else
        mt_scrub_text(out, part);
    mt_buf_fini(&decoded);
}

static void put_pairs(struct mt_buf *out, struct mt_slice query)
{
    struct mt_buf name;
    mt_buf_init(&name, query.n);
    for (size_t at = 0; at <= query.n;) {
        size_t end = at, equals;
        while (end < query.n && query.p[end] != '&' && query.p[end] != '#')
            end++;
        for (equals = at; equals < end && query.p[equals] != '=';)
            equals++;
        mt_buf_clear(&name);
        mt_scrub_decode(&name, (struct mt_slice){query.p + at, equals - at});
        put_part(out, (struct mt_slice){query.p + at, equals - at});
        if (equals < end) {
            mt_buf_putc(out, '=');
            if (equals + 1 < end && mt_scrub_hides_member(mt_buf_slice(&name)))
                mt_buf_puts(out, redacted);
            else
                put_part(out, (struct mt_slice){query.p + equals + 1, end - equals - 1});
        }
        if (end < query.n)
            mt_buf_putc(out, query.p[end]);
        at = end + 1;
    }
    mt_buf_fini(&name);
}

static void put_url(struct mt_buf *out, struct mt_slice url)
{
    const char *mark = url.n ? memchr(url.p, '?', url.n) : NULL;
    struct mt_slice path = {url.p, mark ? (size_t)(mark - url.p) : url.n};
    const char *authority = path.n ? memmem(path.p, path.n, "://", 3) : NULL;
    size_t at = 0;
    if (authority) {
        at = (size_t)(authority - path.p) + 3;
        size_t end = at;
        while (end < path.n && path.p[end] != '/' && path.p[end] != '#')
            end++;
        const char *sign = memrchr(path.p + at, '@', end - at);
        mt_buf_add(out, path.p, at);
        if (sign) {
            mt_buf_puts(out, redacted);
            at = (size_t)(sign - path.p);
        }
    }
    while (at < path.n) {
        size_t end = at;
        while (end < path.n && path.p[end] != '/')
            end++;
        put_part(out, (struct mt_slice){path.p + at, end - at});
        if (end < path.n)
            mt_buf_putc(out, '/');
        at = end + 1;
    }
    if (mark) {
        mt_buf_putc(out, '?');
        put_pairs(out, (struct mt_slice){mark + 1, url.n - path.n - 1});
    }
}

/* A secret may hold what separates the parts: the whole is looked at before them. */
static bool put_whole(struct mt_buf *out, struct mt_slice text,
                      void (*put)(struct mt_buf *out, struct mt_slice text))
{
    struct mt_buf whole;
    mt_buf_init(&whole, out->max);
    if (mt_scrub_text(&whole, text))
        put(out, mt_buf_slice(&whole));
    else
        out->failed = true;
    mt_buf_fini(&whole);
    return !out->failed;
}

bool mt_scrub_url(struct mt_buf *out, struct mt_slice url)
{
    return put_whole(out, url, put_url);
}

static bool is_url(struct mt_slice s)
{
    return (s.n > 8 && (strncasecmp(s.p, "http://", 7) == 0 || strncasecmp(s.p, "https://", 8) == 0) &&
            !memchr(s.p, ' ', s.n) && !memchr(s.p, '\n', s.n));
}

bool mt_scrub_header(struct mt_buf *out, struct mt_slice name, struct mt_slice value)
{
    if (value.n && mt_scrub_hides_header(name))
        return mt_buf_puts(out, redacted);
    if (is_url(value) || (value.n && value.p[0] == '/' && name.n == 8 && !strncasecmp(name.p, "location", 8)))
        return mt_scrub_url(out, value);
    while (value.n) { /* Link, and whatever else names URLs in <> */
        const char *open = memchr(value.p, '<', value.n);
        const char *shut = open ? memchr(open, '>', value.n - (size_t)(open - value.p)) : NULL;
        if (!shut)
            break;
        mt_scrub_text(out, (struct mt_slice){value.p, (size_t)(open - value.p)});
        mt_buf_putc(out, '<');
        mt_scrub_url(out, (struct mt_slice){open + 1, (size_t)(shut - open) - 1});
        value = (struct mt_slice){shut, value.n - (size_t)(shut - value.p)};
    }
    return mt_scrub_text(out, value);
}

/* ---- bodies ---- */

static bool put_json(struct mt_buf *out, struct mt_slice text, unsigned level);

static void put_string(struct mt_buf *out, struct mt_slice s, unsigned level)
{
    struct mt_buf clean;
    mt_buf_init(&clean, out->max);
    bool json = s.n > 1 && (s.p[0] == '{' || s.p[0] == '[') && level < NESTED;
    if (!json || !put_json(&clean, s, level + 1)) {
        mt_buf_clear(&clean);
        if (is_url(s))
            mt_scrub_url(&clean, s);
        else
            mt_scrub_text(&clean, s);
    }
    if (clean.failed)
        out->failed = true;
    mt_buf_put_json_string(out, mt_buf_slice(&clean));
    mt_buf_fini(&clean);
}

static void put_value(struct mt_buf *out, struct mt_val v, bool hidden, unsigned level)
{
    struct mt_slice name, text;
    struct mt_val member;
    bool first = true, object = mt_val_is(v, MT_OBJECT);
    switch (mt_val_kind(v)) {
    case MT_NULL:
    case MT_BOOL:
        mt_val_write(v, out);
        break;
    case MT_NUMBER:
        text = mt_val_literal(v);
        if (hidden || holds_known(text))
            mt_buf_printf(out, "\"%s\"", redacted);
        else
            mt_buf_put(out, text);
        break;
    case MT_STRING:
        text = mt_val_string(v);
        if (hidden && text.n)
            mt_buf_printf(out, "\"%s\"", redacted);
        else
            put_string(out, text, level);
        break;
    default:
        mt_buf_putc(out, object ? '{' : '[');
        for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &member); first = false) {
            if (!first)
                mt_buf_putc(out, ',');
            if (object) {
                put_string(out, name, NESTED);
                mt_buf_putc(out, ':');
            }
            put_value(out, member, object ? mt_scrub_hides_member(name) : hidden, level);
        }
        mt_buf_putc(out, object ? '}' : ']');
    }
}

/* false: it is no JSON, nothing was put. JSON that holds no credential stays as it is spelled. */
static bool put_json(struct mt_buf *out, struct mt_slice text, unsigned level)
{
    const struct mt_json_limits limits = {.depth = DEPTH};
    struct mt_doc *doc;
    if (mt_doc_parse_copy(text, &limits, &doc, NULL) != MT_OK)
        return false;
    struct mt_buf clean, same;
    mt_buf_init(&clean, out->max);
    mt_buf_init(&same, out->max);
    put_value(&clean, mt_doc_root(doc), false, level);
    mt_val_write(mt_doc_root(doc), &same);
    if (clean.failed || same.failed)
        out->failed = true;
    else
        mt_buf_put(out, mt_slice_eq(mt_buf_slice(&clean), mt_buf_slice(&same)) ? text : mt_buf_slice(&clean));
    mt_buf_fini(&clean);
    mt_buf_fini(&same);
    mt_doc_unref(doc);
    return true;
}

static bool is_form(struct mt_slice s)
{
    if (!s.n || !memchr(s.p, '=', s.n))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || strchr("<>{}[]\"'\\", s.p[i]))
            return false;
    return true;
}

bool mt_scrub_body(struct mt_buf *out, struct mt_slice body)
{
    if (!body.n || put_json(out, body, 0))
        return !out->failed;
    if (is_form(body))
        return put_whole(out, body, put_pairs);
    while (body.n) { /* lines of JSON, or text */
        const char *end = memchr(body.p, '\n', body.n);
        struct mt_slice line = {body.p, end ? (size_t)(end - body.p) : body.n};
        if (!line.n || (line.p[0] != '{' && line.p[0] != '[') || !put_json(out, line, 0))
            break;
        if (end)
            mt_buf_putc(out, '\n');
        body = (struct mt_slice){body.p + line.n + (end != NULL), body.n - line.n - (end != NULL)};
    }
    return mt_scrub_text(out, body);
}
