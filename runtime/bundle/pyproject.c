/* name and version out of pyproject.toml, line by line: of TOML only what these two keys look like in
 * practice. What cannot be read so counts as absent; the folder's name serves then. Called by bundle.c. */
#include "bundle/pyproject.h"

#include "base/memory.h"

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* KEY = "TEXT" or 'TEXT', maybe with a comment behind it. */
static char *value_of(struct mt_slice line, const char *key)
{
    size_t n = strlen(key);
    if (line.n < n || memcmp(line.p, key, n) != 0)
        return NULL;
    line = trim((struct mt_slice){line.p + n, line.n - n});
    if (!line.n || *line.p != '=')
        return NULL;
    line = trim((struct mt_slice){line.p + 1, line.n - 1});
    if (line.n < 2 || (*line.p != '"' && *line.p != '\''))
        return NULL;
    const char *end = memchr(line.p + 1, *line.p, line.n - 1);
    if (!end || end == line.p + 1)
        return NULL;
    return mt_slice_dup((struct mt_slice){line.p + 1, (size_t)(end - line.p - 1)});
}

char *mt_pyproject_value(struct mt_slice text, const char *key)
{
    bool inside = false;
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct mt_slice line = trim((struct mt_slice){text.p, n});
        text.p += n + (end != NULL);
        text.n -= n + (end != NULL);
        if (line.n && *line.p == '[') {
            inside = mt_slice_is(line, "[tool.poetry]") || mt_slice_is(line, "[project]");
        } else if (inside) {
            char *value = value_of(line, key);
            if (value)
                return value;
        }
    }
    return NULL;
}
