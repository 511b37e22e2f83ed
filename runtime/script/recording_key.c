/* Keys of recordings: see recording_key.h. */
#include "script/recording_key.h"

#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"
#include "net/url.h"
#include "script/scrub.h"

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

struct mt_slice mt_recording_target(struct mt_slice url)
{
    const char *fragment = url.n ? memchr(url.p, '#', url.n) : NULL;
    if (fragment)
        url.n = (size_t)(fragment - url.p);
    if (url.n && url.p[0] == '/')
        return url;
    const char *mark = memmem(url.p ? url.p : "", url.n, "://", 3);
    if (!mark)
        return url;
    size_t at = (size_t)(mark - url.p) + 3;
    while (at < url.n && url.p[at] != '/' && url.p[at] != '?')
        at++;
    return (struct mt_slice){url.p + at, url.n - at};
}

/* Escapes of what need not be escaped are undone, the digits of the others are made upper case. */
static void put_path(struct mt_buf *out, struct mt_slice path)
{
    char decoded;
    if (!path.n || path.p[0] != '/')
        mt_buf_putc(out, '/');
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '%' && mt_scrub_unescape(path, i, &decoded)) {
            if (is_unreserved(decoded))
                mt_buf_putc(out, decoded);
            else
                mt_buf_printf(out, "%%%02X", (unsigned char)decoded);
            i += 2;
        } else if (path.p[i] == '%') { /* begins no escape, and must not come to */
            mt_buf_puts(out, "%25");
        } else {
            mt_buf_putc(out, path.p[i]);
        }
    }
}

static int by_bytes(const void *a, const void *b)
{
    const struct mt_slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* name=value, each decoded and escaped anew, so that "%2D", "+" and "%20" make no difference. */
static void put_parameter(struct mt_buf *out, struct mt_slice parameter)
{
    const char *equals = memchr(parameter.p, '=', parameter.n);
    struct mt_slice name = {parameter.p, equals ? (size_t)(equals - parameter.p) : parameter.n};
    struct mt_slice value = {equals ? equals + 1 : NULL, equals ? parameter.n - name.n - 1 : 0};
    struct mt_buf decoded;
    mt_buf_init(&decoded, parameter.n);
    mt_scrub_decode(&decoded, name);
    mt_url_escape(out, mt_buf_slice(&decoded));
    if (equals) {
        bool hidden = mt_scrub_hides_member(mt_buf_slice(&decoded));
        mt_buf_clear(&decoded);
        mt_scrub_decode(&decoded, value);
        mt_buf_putc(out, '=');
        if (hidden)
            mt_buf_puts(out, "***");
        else
            mt_url_escape(out, mt_buf_slice(&decoded));
    }
    mt_buf_fini(&decoded);
}

/* Puts the parameters of a query that `keep` wants (NULL: all) behind '?' and '&', sorted. */
static void put_query(struct mt_buf *out, struct mt_slice query, bool (*keep)(struct mt_slice parameter),
                      bool spelled)
{
    size_t count = 1, n = 0;
    for (size_t i = 0; i < query.n; i++)
        count += query.p[i] == '&';
    struct mt_slice *list = mt_alloc(count * sizeof *list);
    struct mt_buf text;
    mt_buf_init(&text, 4 * query.n + 4 * count);
    while (query.n) {
        const char *end = memchr(query.p, '&', query.n);
        struct mt_slice one = {query.p, end ? (size_t)(end - query.p) : query.n};
        query = end ? (struct mt_slice){end + 1, query.n - one.n - 1} : (struct mt_slice){NULL, 0};
        if (!one.n || (keep && !keep(one)))
            continue;
        size_t before = text.n;
        if (spelled)
            mt_buf_put(&text, one);
        else
            put_parameter(&text, one);
        list[n++] = (struct mt_slice){NULL, text.n - before};
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) { /* the text stands still now */
        list[i].p = text.p + at;
        at += list[i].n;
    }
    if (n)
        qsort(list, n, sizeof *list, by_bytes);
    for (size_t i = 0; i < n; i++) {
        mt_buf_putc(out, i ? '&' : '?');
        mt_buf_put(out, list[i]);
    }
    if (text.failed)
        out->failed = true;
    mt_buf_fini(&text);
    free(list);
}

bool mt_recording_key(struct mt_buf *out, struct mt_slice method, struct mt_slice url)
{
    struct mt_slice target = mt_recording_target(url);
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t path = mark ? (size_t)(mark - target.p) : target.n;
    mt_buf_put(out, method);
    mt_buf_putc(out, ' ');
    put_path(out, (struct mt_slice){target.p, path});
    if (mark)
        put_query(out, (struct mt_slice){mark + 1, target.n - path - 1}, NULL, false);
    return !out->failed;
}

static bool matters(struct mt_slice parameter)
{
    static const char *const sizes[] = {"per_page", "page_size",   "pagesize",  "perpage",
                                        "limit",    "max_results", "maxresults"};
    static const char *const words[] = {"type", "sort", "direction"};
    const char *equals = memchr(parameter.p, '=', parameter.n);
    if (!equals)
        return true;
    struct mt_slice name = {parameter.p, (size_t)(equals - parameter.p)};
    struct mt_slice value = {equals + 1, parameter.n - name.n - 1};
    if (mt_slice_is(name, "page") && mt_slice_is(value, "1"))
        return false;
    bool digits = value.n > 0;
    for (size_t i = 0; i < value.n; i++)
        digits = digits && value.p[i] >= '0' && value.p[i] <= '9';
    for (size_t i = 0; digits && i < sizeof sizes / sizeof *sizes; i++)
        if (name.n == strlen(sizes[i]) && strncasecmp(name.p, sizes[i], name.n) == 0)
            return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (mt_slice_is(name, words[i]))
            return false;
    return true;
}

bool mt_recording_loosen(struct mt_buf *out, struct mt_slice key)
{
    const char *mark = memchr(key.p, '?', key.n);
    size_t head = mark ? (size_t)(mark - key.p) : key.n;
    mt_buf_add(out, key.p, head);
    if (mark)
        put_query(out, (struct mt_slice){mark + 1, key.n - head - 1}, matters, true);
    return !out->failed;
}
