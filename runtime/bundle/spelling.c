/* Names of settings as Ocean converts them (R-CFG-02, R-CFG-04, R-CFG-14), and suggestions for misspelt ones.
 * Called by the configuration and validate. */
#include "bundle/spelling.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"

enum { LONGEST = 64 };

static bool upper(char c)
{
    return isupper((unsigned char)c);
}

static bool lower(char c)
{
    return islower((unsigned char)c);
}

char *mt_spelling_snake(struct mt_slice name)
{
    char *out = mt_alloc(name.n * 2 + 1), *to = out;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], before = i ? name.p[i - 1] : '_';
        bool next_lower = i + 1 < name.n && lower(name.p[i + 1]);
        /* A word begins at a capital after a small letter or digit, and at the last capital of an acronym. */
        if (upper(c) && before != '_' && before != '-' && (!upper(before) || next_lower))
            *to++ = '_';
        *to++ = c == '-' ? '_' : (char)tolower((unsigned char)c);
    }
    return out;
}

char *mt_spelling_camel(struct mt_slice name)
{
    char *out = mt_alloc(name.n + 1), *to = out;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '_' && to != out && i + 1 < name.n)
            *to++ = (char)toupper((unsigned char)name.p[++i]);
        else
            *to++ = name.p[i];
    return out;
}

/* An edit (insert, remove, replace, swap of neighbours) costs two, another case one. */
static unsigned cost(char a, char b)
{
    if (a == b)
        return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? 1 : 2;
}

static size_t without_underscores(struct mt_slice in, char out[LONGEST])
{
    size_t n = 0;
    for (size_t i = 0; i < in.n && n < LONGEST; i++)
        if (in.p[i] != '_')
            out[n++] = in.p[i];
    return n;
}

unsigned mt_spelling_limit(struct mt_slice word)
{
    return word.n < 4 ? 3 : (unsigned)(word.n > LONGEST ? LONGEST : word.n) * 2 / 3 + 1;
}

bool mt_spelling_nearer(struct mt_slice word, struct mt_slice candidate, unsigned *best)
{
    char a[LONGEST], b[LONGEST];
    unsigned rows[3][LONGEST + 1];
    size_t n = without_underscores(word, a), m = without_underscores(candidate, b);
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j * 2;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = (unsigned)i * 2;
        for (size_t j = 1; j <= m; j++) {
            unsigned least = above[j - 1] + cost(a[i - 1], b[j - 1]);
            least = above[j] + 2 < least ? above[j] + 2 : least;
            least = row[j - 1] + 2 < least ? row[j - 1] + 2 : least;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            row[j] = swapped && second[j - 2] + 2 < least ? second[j - 2] + 2 : least;
        }
    }
    if (rows[n % 3][m] >= *best)
        return false;
    *best = rows[n % 3][m];
    return true;
}
