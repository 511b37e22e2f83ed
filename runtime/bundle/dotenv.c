/* .env files as python-dotenv reads them, without its expansion of variables: a secret with a $ in it stays
 * what it is. Called by sources.c. */
#include "bundle/dotenv.h"

#include <ctype.h>

struct cursor {
    const char *p, *end;
    unsigned line;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && blank(*c->p))
        c->p++;
}

static void skip_line(struct cursor *c)
{
    while (c->p < c->end && *c->p != '\n')
        c->p++;
    if (c->p < c->end) {
        c->p++;
        c->line++;
    }
}

/* 'as it is' or "with \n, \t, \", \\". False: no closing quote. */
static bool quoted(struct cursor *c, struct mt_buf *value)
{
    char quote = *c->p++;
    for (; c->p < c->end; c->p++) {
        char ch = *c->p;
        if (ch == quote) {
            c->p++;
            return true;
        }
        if (ch == '\n')
            c->line++;
        if (ch == '\\' && c->p + 1 < c->end && (c->p[1] == quote || c->p[1] == '\\')) {
            ch = *++c->p;
        } else if (ch == '\\' && quote == '"' && c->p + 1 < c->end && strchr("nrt", c->p[1])) {
            c->p++;
            ch = *c->p == 'n' ? '\n' : *c->p == 'r' ? '\r' : '\t';
        }
        mt_buf_putc(value, ch);
    }
    return false;
}

/* Up to the end of the line or a comment: a # with a blank before it. */
static void plain(struct cursor *c, struct mt_buf *value)
{
    const char *from = c->p;
    while (c->p < c->end && *c->p != '\n' && !(*c->p == '#' && (c->p == from || blank(c->p[-1]))))
        c->p++;
    const char *to = c->p;
    while (to > from && blank(to[-1]))
        to--;
    mt_buf_add(value, from, (size_t)(to - from));
}

static struct mt_slice name_of(struct cursor *c)
{
    const char *from = c->p;
    while (c->p < c->end && (isalnum((unsigned char)*c->p) || *c->p == '_' || *c->p == '.' || *c->p == '-'))
        c->p++;
    return (struct mt_slice){from, (size_t)(c->p - from)};
}

void mt_dotenv_parse(struct mt_slice text,
                     void (*each)(void *ud, struct mt_slice name, struct mt_slice value, unsigned line),
                     void (*bad)(void *ud, unsigned line, const char *why), void *ud)
{
    struct cursor c = {text.p, text.p + text.n, 1};
    struct mt_buf value;
    mt_buf_init(&value, 1 << 20);
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        c.p += 3;
    for (; c.p < c.end; skip_line(&c)) {
        skip_blanks(&c);
        if (c.p == c.end || *c.p == '\n' || *c.p == '#')
            continue;
        unsigned line = c.line;
        struct mt_slice name = name_of(&c);
        bool exported = mt_slice_is(name, "export") && c.p < c.end && blank(*c.p);
        skip_blanks(&c);
        if (exported)
            name = name_of(&c);
        skip_blanks(&c);
        if (!name.n || c.p == c.end || *c.p != '=') {
            bad(ud, line, "not NAME=VALUE");
            continue;
        }
        c.p++;
        skip_blanks(&c);
        mt_buf_clear(&value);
        if (c.p < c.end && (*c.p == '"' || *c.p == '\'')) {
            if (!quoted(&c, &value)) {
                bad(ud, line, "its quote is not closed");
                break;
            }
            skip_blanks(&c);
            if (c.p < c.end && *c.p != '\n' && *c.p != '#') {
                bad(ud, line, "text behind the closing quote");
                continue;
            }
        } else {
            plain(&c, &value);
        }
        if (value.failed)
            bad(ud, line, "longer than 1 MiB");
        else
            each(ud, name, (struct mt_slice){value.n ? value.p : "", value.n}, line);
    }
    mt_buf_fini(&value);
}
