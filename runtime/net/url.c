/* URLs: see url.h. Pure functions on slices; nothing is kept.
 *
 * A URL is split as RFC 3986 appendix B does. What two parsers may read differently (two '@', a backslash,
 * controls) is no origin at all: credentials are bound to it, and libcurl parses the URL a second time. */
#include "net/url.h"

#include <stdlib.h>
#include <strings.h>

#include "base/log.h"

struct parts {
    struct mt_slice scheme, authority, path, query, fragment;
    bool has_scheme, has_authority, has_query, has_fragment;
};

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && (unsigned char)s.p[0] <= ' ')
        s = (struct mt_slice){s.p + 1, s.n - 1};
    while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

/* Length of the run before the first byte of `stops`. */
static size_t run(struct mt_slice s, const char *stops)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == '\0' || !strchr(stops, s.p[n])))
        n++;
    return n;
}

static struct mt_slice cut(struct mt_slice *s, size_t n)
{
    struct mt_slice head = {s->p, n};
    *s = (struct mt_slice){s->n > n ? s->p + n : NULL, s->n - n};
    return head;
}

static struct parts split(struct mt_slice url)
{
    struct parts u = {0};
    size_t n = run(url, ":/?#");
    if (n > 0 && n < url.n && url.p[n] == ':' && is_alpha(url.p[0])) {
        u.has_scheme = true;
        for (size_t i = 1; i < n; i++)
            u.has_scheme =
                u.has_scheme && (is_alpha(url.p[i]) || is_digit(url.p[i]) || memchr("+-.", url.p[i], 3));
        if (u.has_scheme) {
            u.scheme = cut(&url, n);
            cut(&url, 1);
        }
    }
    if (url.n >= 2 && url.p[0] == '/' && url.p[1] == '/') {
        u.has_authority = true;
        cut(&url, 2);
        u.authority = cut(&url, run(url, "/?#"));
    }
    u.path = cut(&url, run(url, "?#"));
    if (url.n && url.p[0] == '?') {
        u.has_query = true;
        cut(&url, 1);
        u.query = cut(&url, run(url, "#"));
    }
    if (url.n) {
        u.has_fragment = true;
        cut(&url, 1);
        u.fragment = url;
    }
    return u;
}

static bool scheme_is(const struct parts *u, const char *name)
{
    return u->has_scheme && u->scheme.n == strlen(name) && strncasecmp(u->scheme.p, name, u->scheme.n) == 0;
}

struct place {
    struct mt_slice host; /* with the brackets of an IPv6 address */
    unsigned port;        /* 0: the scheme's */
};

/* Splits [userinfo@]host[:port]. */
static bool find_place(struct mt_slice authority, struct place *out)
{
    size_t at = run(authority, "@");
    for (size_t i = 0; i < authority.n; i++)
        if ((unsigned char)authority.p[i] <= ' ' || is_control(authority.p[i]) ||
            strchr("\\\"<>^`{|}", authority.p[i]) || (authority.p[i] == '@' && i != at))
            return false;
    if (at < authority.n)
        cut(&authority, at + 1);
    struct mt_slice host;
    if (authority.n && authority.p[0] == '[') {
        size_t end = run(authority, "]");
        if (end == authority.n)
            return false;
        host = cut(&authority, end + 1);
        for (size_t i = 1; i < end; i++)
            if (!strchr("0123456789abcdefABCDEF:.", host.p[i]))
                return false; /* zone identifiers included: they mean nothing to anybody else */
        if (end < 3)
            return false;
    } else {
        host = cut(&authority, run(authority, ":"));
        if (memchr(host.p ? host.p : "", '[', host.n) || memchr(host.p ? host.p : "", ']', host.n))
            return false;
    }
    unsigned port = 0;
    if (authority.n) {
        if (authority.p[0] != ':')
            return false;
        cut(&authority, 1);
        for (size_t i = 0; i < authority.n; i++) {
            if (!is_digit(authority.p[i]) || (port = port * 10 + (unsigned)(authority.p[i] - '0')) > 65535)
                return false;
        }
        if (authority.n && port == 0)
            return false;
    }
    if (!host.n)
        return false;
    *out = (struct place){host, port};
    return true;
}

static bool web_place(struct mt_slice url, struct place *out, bool *out_tls)
{
    struct parts u = split(url);
    *out_tls = scheme_is(&u, "https");
    if ((!*out_tls && !scheme_is(&u, "http")) || !u.has_authority || !find_place(u.authority, out))
        return false;
    if (out->port == (*out_tls ? 443U : 80U))
        out->port = 0;
    return true;
}

static void put_lower(struct mt_buf *out, struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        mt_buf_putc(out, lower(s.p[i]));
}

bool mt_url_origin(struct mt_slice url, struct mt_buf *out)
{
    struct place place;
    bool tls;
    if (!web_place(url, &place, &tls))
        return false;
    mt_buf_puts(out, tls ? "https://" : "http://");
    put_lower(out, place.host);
    if (place.port)
        mt_buf_printf(out, ":%u", place.port);
    return !out->failed;
}

bool mt_url_host(struct mt_slice url, struct mt_buf *out)
{
    struct place place;
    bool tls;
    if (!web_place(url, &place, &tls))
        return false;
    if (place.host.p[0] == '[')
        place.host = (struct mt_slice){place.host.p + 1, place.host.n - 2};
    put_lower(out, place.host);
    return !out->failed;
}

bool mt_url_escape(struct mt_buf *out, struct mt_slice part)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        if (is_alpha(c) || is_digit(c) || (c && strchr("-._~", c)))
            mt_buf_putc(out, c);
        else
            mt_buf_printf(out, "%%%02X", (unsigned char)c);
    }
    return !out->failed;
}

/* Copies, percent-encoding the bytes that are legal nowhere in a URL: a Location or a Link of the field may
 * hold them. */
static void put_legal(struct mt_buf *out, struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7F || strchr("\"<>\\^`{|}", c))
            mt_buf_printf(out, "%%%02X", c);
        else
            mt_buf_putc(out, (char)c);
    }
}

/* RFC 3986 section 5.2.4, on segments: "." vanishes, ".." takes the one before with it. */
static void put_path(struct mt_buf *out, struct mt_slice path)
{
    size_t floor = out->n;
    bool rooted = path.n && path.p[0] == '/';
    bool open = false; /* the path so far ends in a directory, "/" is still to be written */
    while (path.n) {
        if (path.p[0] == '/') {
            cut(&path, 1);
            open = true;
        }
        struct mt_slice segment = cut(&path, run(path, "/"));
        bool last = !path.n;
        if (mt_slice_is(segment, ".")) {
            if (last && (out->n > floor || rooted))
                mt_buf_putc(out, '/');
            open = false;
        } else if (mt_slice_is(segment, "..")) {
            while (out->n > floor && out->p[out->n - 1] != '/')
                out->n--;
            if (out->n > floor)
                out->n--;
            if (last && (out->n > floor || rooted))
                mt_buf_putc(out, '/');
            open = false;
        } else {
            if (open && (out->n > floor || rooted))
                mt_buf_putc(out, '/');
            put_legal(out, segment);
        }
    }
}

static void put_merged(struct mt_buf *out, const struct parts *base, struct mt_slice path)
{
    if (base->has_authority && !base->path.n) {
        mt_buf_putc(out, '/');
    } else {
        size_t n = base->path.n;
        while (n && base->path.p[n - 1] != '/')
            n--;
        mt_buf_add(out, base->path.p, n);
    }
    mt_buf_put(out, path);
}

enum mt_rc mt_url_resolve(struct mt_slice base, struct mt_slice reference, struct mt_buf *out,
                          struct mt_err *err)
{
    enum mt_rc rc = MT_OK;
    struct mt_buf shown, merged;
    mt_buf_init(&shown, 4096);
    mt_buf_init(&merged, base.n + reference.n + 1);
    reference = trim(reference);
    struct place place;
    bool tls;
    for (size_t i = 0; i < reference.n; i++)
        if (is_control(reference.p[i])) {
            rc = mt_fail(err, MT_EINVAL,
                         "a URL with a control character (byte 0x%02X at offset %zu): percent-encode it",
                         (unsigned char)reference.p[i], i);
            goto out;
        }
    if (!web_place(base, &place, &tls)) {
        mt_url_redact(base, &shown);
        rc = mt_fail(err, MT_EINVAL, "\"%s\" is no absolute http or https URL", mt_buf_text(&shown));
        goto out;
    }
    struct parts b = split(base), r = split(reference), t = r;
    struct mt_slice path = r.path;
    if (!r.has_scheme) {
        t.scheme = b.scheme;
        if (!r.has_authority) {
            t.has_authority = b.has_authority;
            t.authority = b.authority;
            if (!r.path.n) {
                path = b.path;
                if (!r.has_query) {
                    t.has_query = b.has_query;
                    t.query = b.query;
                }
            } else if (r.path.p[0] != '/') {
                put_merged(&merged, &b, r.path);
                path = mt_buf_slice(&merged);
            }
        }
    }
    size_t before = out->n;
    put_lower(out, t.scheme);
    mt_buf_putc(out, ':');
    if (t.has_authority) {
        mt_buf_puts(out, "//");
        put_legal(out, t.authority);
    }
    put_path(out, path);
    if (t.has_query) {
        mt_buf_putc(out, '?');
        put_legal(out, t.query);
    }
    if (r.has_fragment) {
        mt_buf_putc(out, '#');
        put_legal(out, r.fragment);
    }
    if (out->failed || merged.failed) {
        out->n = before;
        rc = mt_fail(err, MT_ELIMIT, "a URL of more than %zu bytes", out->max);
    }
out:
    mt_buf_fini(&merged);
    mt_buf_fini(&shown);
    return rc;
}

/* ---- what may be shown ---- */

static int hex(char c)
{
    return is_digit(c) ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

static void put_decoded(struct mt_buf *out, struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            mt_buf_putc(out, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
            i += 2;
        } else {
            mt_buf_putc(out, s.p[i] == '+' ? ' ' : s.p[i]);
        }
    }
}

static bool contains(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

static bool is_credential(struct mt_slice name)
{
    static const char *const within[] = {"token",      "secret", "passw", "signature", "credential",
                                         "access_key", "auth",   "jwt",   "session",   NULL};
    static const char *const whole[] = {"code", "sig", "pwd", "pass", "state", "nonce", "sid"};
    struct mt_buf decoded;
    mt_buf_init(&decoded, name.n);
    put_decoded(&decoded, name);
    const char *text = mt_buf_text(&decoded);
    size_t n = strlen(text);
    bool found = contains(text, within) || (n >= 3 && strcasecmp(text + n - 3, "key") == 0);
    for (size_t i = 0; !found && i < sizeof whole / sizeof *whole; i++)
        found = strcasecmp(text, whole[i]) == 0;
    mt_buf_fini(&decoded);
    return found;
}

/* A secret that was percent-encoded on its way into the URL does not look like itself: the decoded form is
 * asked. */
static void put_masked(struct mt_buf *out, struct mt_slice s)
{
    struct mt_buf decoded, masked;
    mt_buf_init(&decoded, s.n);
    mt_buf_init(&masked, s.n * 4 + 64);
    put_decoded(&decoded, s);
    mt_mask_put(&masked, mt_buf_slice(&decoded));
    if (mt_slice_eq(mt_buf_slice(&decoded), mt_buf_slice(&masked)))
        put_legal(out, s);
    else
        mt_buf_puts(out, "[REDACTED]");
    mt_buf_fini(&decoded);
    mt_buf_fini(&masked);
}

static void put_each(struct mt_buf *out, struct mt_slice s, const char *separator)
{
    while (s.n) {
        size_t n = run(s, separator);
        if (n)
            put_masked(out, cut(&s, n));
        else
            mt_buf_put(out, cut(&s, 1));
    }
}

static void put_query(struct mt_buf *out, struct mt_slice query)
{
    while (query.n) {
        struct mt_slice pair = cut(&query, run(query, "&;"));
        struct mt_slice name = cut(&pair, run(pair, "="));
        put_masked(out, name);
        if (pair.n && pair.p[0] == '=') {
            cut(&pair, 1);
            mt_buf_putc(out, '=');
            if (pair.n && is_credential(name))
                mt_buf_puts(out, "***");
            else
                put_masked(out, pair);
        }
        if (query.n)
            mt_buf_put(out, cut(&query, 1));
    }
}

bool mt_url_redact(struct mt_slice url, struct mt_buf *out)
{
    struct parts u = split(trim(url));
    struct mt_buf shown;
    mt_buf_init(&shown, 16 * 1024); /* a longer one is cut anyway */
    if (u.has_scheme) {
        put_legal(&shown, u.scheme);
        mt_buf_putc(&shown, ':');
    }
    if (u.has_authority)
        mt_buf_puts(&shown, "//");
    /* User info ends at the last '@'; without an authority whatever stands before one may have been meant as
     * such. */
    struct mt_slice *holder = u.has_authority ? &u.authority : &u.path;
    for (size_t at = holder->n; at > 0; at--)
        if (holder->p[at - 1] == '@' && (u.has_authority || at <= run(*holder, "/"))) {
            cut(holder, at);
            break;
        }
    put_masked(&shown, u.authority);
    put_each(&shown, u.path, "/");
    if (u.has_query) {
        mt_buf_putc(&shown, '?');
        put_query(&shown, u.query);
    }
    /* The mask once more over the whole (a secret that spans parts), and only then the cut: half a secret is
     * one, too. */
    struct mt_buf masked;
    mt_buf_init(&masked, 32 * 1024);
    mt_mask_put(&masked, mt_buf_slice(&shown));
    struct mt_slice s = mt_buf_slice(&masked);
    if (s.n > MT_FOREIGN) {
        mt_buf_add(out, s.p, MT_FOREIGN - 3);
        mt_buf_puts(out, "...");
    } else {
        mt_buf_put(out, s);
    }
    mt_buf_fini(&masked);
    mt_buf_fini(&shown);
    return !out->failed;
}
