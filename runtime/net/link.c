/* The Link header (RFC 8288): see mt_link_find in url.h. One pass over the header, nothing is copied.
 *
 * Tolerant as section 3 asks of a reader: what is no link is skipped up to the next comma. A link with an
 * anchor is about another resource than the page, so it is no way to the next page of this one (section 3.2).
 */
#include <strings.h>

#include "net/url.h"

struct cursor {
    const char *p, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && is_space(*c->p))
        c->p++;
}

static bool at(const struct cursor *c, char wanted)
{
    return c->p < c->end && *c->p == wanted;
}

/* A quoted string, its quotes included; an unclosed one runs to the end. */
static struct mt_slice quoted(struct cursor *c)
{
    const char *from = c->p++;
    while (c->p < c->end && *c->p != '"')
        c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
    if (c->p < c->end)
        c->p++;
    return (struct mt_slice){from, (size_t)(c->p - from)};
}

static struct mt_slice word(struct cursor *c, const char *stops)
{
    const char *from = c->p;
    while (c->p < c->end && !is_space(*c->p) && (*c->p == '\0' || !strchr(stops, *c->p)))
        c->p++;
    return (struct mt_slice){from, (size_t)(c->p - from)};
}

struct param {
    struct mt_slice name, value; /* a quoted value has its quotes */
};

/* The next ";name=value"; false at the end of this link. */
static bool next_param(struct cursor *c, struct param *out)
{
    skip_space(c);
    if (!at(c, ';'))
        return false;
    c->p++;
    skip_space(c);
    *out = (struct param){.name = word(c, "=;,")};
    skip_space(c);
    if (at(c, '=')) {
        c->p++;
        skip_space(c);
        out->value = at(c, '"') ? quoted(c) : word(c, ";,");
    }
    return true;
}

/* To the comma that ends this link, or to the end; commas in quotes and in <> do not count. */
static void skip_link(struct cursor *c)
{
    while (c->p < c->end && *c->p != ',') {
        if (*c->p == '"') {
            quoted(c);
        } else if (*c->p == '<') {
            while (c->p < c->end && *c->p != '>')
                c->p++;
        } else {
            c->p++;
        }
    }
    if (c->p < c->end)
        c->p++;
}

static bool name_is(struct mt_slice name, const char *wanted)
{
    return name.n == strlen(wanted) && strncasecmp(name.p, wanted, name.n) == 0;
}

/* Relation types are separated by spaces and compared without case (section 3.3). Inside quotes a backslash
 * escapes. */
static bool has_relation(struct mt_slice value, const char *rel)
{
    if (!value.n)
        return false;
    struct cursor c = {value.p, value.p + value.n};
    if (at(&c, '"')) {
        c.p++;
        if (c.end > c.p && c.end[-1] == '"')
            c.end--;
    }
    size_t wanted = strlen(rel);
    while (c.p < c.end) {
        while (c.p < c.end && is_space(*c.p))
            c.p++;
        size_t n = 0;
        bool same = true;
        for (; c.p < c.end && !is_space(*c.p); c.p++, n++) {
            if (*c.p == '\\' && value.p[0] == '"' && c.p + 1 < c.end)
                c.p++;
            same = same && n < wanted && strncasecmp(c.p, rel + n, 1) == 0;
        }
        if (same && n && n == wanted)
            return true;
    }
    return false;
}

bool mt_link_find(struct mt_slice header, const char *rel, struct mt_slice *out_target)
{
    if (!header.n)
        return false;
    struct cursor c = {header.p, header.p + header.n};
    while (c.p < c.end) {
        skip_space(&c);
        if (!at(&c, '<')) {
            skip_link(&c);
            continue;
        }
        const char *from = ++c.p;
        while (c.p < c.end && *c.p != '>')
            c.p++;
        if (c.p == c.end)
            return false;
        struct mt_slice target = {from, (size_t)(c.p - from)};
        c.p++;
        bool found = false, had_rel = false, elsewhere = false;
        struct param param;
        while (next_param(&c, &param)) {
            if (name_is(param.name, "rel") && !had_rel) { /* only the first one counts (section 3.3) */
                had_rel = true;
                found = has_relation(param.value, rel);
            } else if (name_is(param.name, "anchor")) {
                elsewhere = true;
            }
        }
        if (found && !elsewhere) {
            while (target.n && is_space(target.p[0]))
                target = (struct mt_slice){target.p + 1, target.n - 1};
            while (target.n && is_space(target.p[target.n - 1]))
                target.n--;
            *out_target = target;
            return true;
        }
        skip_link(&c);
    }
    return false;
}
