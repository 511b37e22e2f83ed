/* What Ocean does to expressions before jq sees them: see syntax.h. Pure functions, any thread. */
#include "jq/syntax.h"

#include <stdint.h>

/* Python's \s and \w look at characters, so bytes are decoded. Broken UTF-8 counts as one byte that is
 * neither. */
static uint32_t decode(struct mt_slice s, size_t at, size_t *out_size)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t left = s.n - at;
    size_t size = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
    *out_size = 1;
    if (size == 0 || size > left)
        return UINT32_MAX;
    if (size == 1)
        return p[0];
    uint32_t code = p[0] & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return UINT32_MAX;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    *out_size = size;
    return code;
}

static bool is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

/* Letters, digits and '_'. Outside of ASCII everything counts but the blanks and the blocks of punctuation:
 * the exact tables of Unicode would cost 20 KB to decide about names that no API has. */
static bool is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (c == UINT32_MAX || is_blank(c) || c < 0xAA)
        return false;
    if (c < 0xC0)
        return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || (c >= 0xB9 && c <= 0xBA) ||
               (c >= 0xBC && c <= 0xBE);
    return c != 0xD7 && c != 0xF7 && !(c >= 0x2000 && c <= 0x206F) && !(c >= 0x20A0 && c <= 0x20CF) &&
           !(c >= 0x2190 && c <= 0x245F) && !(c >= 0x2500 && c <= 0x2BFF) && !(c >= 0x3001 && c <= 0x3004);
}

static bool blank_at(struct mt_slice s, size_t at, size_t *out_size)
{
    return at < s.n && is_blank(decode(s, at, out_size));
}

static bool blank_before(struct mt_slice s, size_t at)
{
    size_t from = at - 1, size;
    while (from > 0 && at - from < 4 && ((unsigned char)s.p[from] & 0xC0) == 0x80)
        from--;
    return is_blank(decode(s, from, &size)) && from + size == at;
}

/* Is there a quote at `at` that neither a blank nor a double quote follows? */
static bool opens(struct mt_slice s, size_t at)
{
    size_t size;
    return at < s.n && s.p[at] == '\'' && !(at + 1 < s.n && s.p[at + 1] == '"') &&
           !blank_at(s, at + 1, &size);
}

/* The regex of R-JQ-02, tried at each place from left to right as Python's re.sub does: a match takes its
 * blank with it, so that this blank cannot serve the next quote. */
bool mt_jq_quotes(struct mt_slice expression, struct mt_buf *out)
{
    struct mt_slice s = expression;
    for (size_t i = 0; i < s.n;) {
        size_t size = 0;
        if (i == 0 && opens(s, 0)) {
            mt_buf_putc(out, '"');
            i = 1;
        } else if (blank_at(s, i, &size) && opens(s, i + size)) {
            mt_buf_add(out, s.p + i, size);
            mt_buf_putc(out, '"');
            i += size + 1;
        } else if (s.p[i] == '\'' && !(i > 0 && (s.p[i - 1] == '"' || blank_before(s, i))) &&
                   (i + 1 == s.n || blank_at(s, i + 1, &size))) {
            mt_buf_putc(out, '"');
            if (i + 1 < s.n)
                mt_buf_add(out, s.p + i + 1, size);
            i += 1 + (i + 1 < s.n ? size : 0);
        } else {
            mt_buf_putc(out, s.p[i++]);
        }
    }
    return !out->failed;
}

static struct mt_slice trim(struct mt_slice s)
{
    size_t size;
    while (s.n && blank_at(s, 0, &size))
        s = (struct mt_slice){s.p + size, s.n - size};
    while (s.n && blank_before(s, s.n)) {
        s.n--;
        while (s.n && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--;
    }
    return s;
}

static size_t words(struct mt_slice s, size_t at)
{
    size_t from = at, size;
    while (at < s.n && is_word(decode(s, at, &size)))
        at += size;
    return at - from;
}

/* "[…]" with at least one character, up to the first "]". */
static size_t bracket(struct mt_slice s, size_t at)
{
    if (at >= s.n || s.p[at] != '[')
        return 0;
    const char *end = memchr(s.p + at + 1, ']', s.n - at - 1);
    size_t size = end ? (size_t)(end - (s.p + at)) + 1 : 0;
    return size > 2 ? size : 0;
}

static size_t path_prefix(struct mt_slice s)
{
    size_t n = 0;
    for (;;) {
        size_t step = 0;
        if (n < s.n && s.p[n] == '.') {
            step = words(s, n + 1);
            if (!step)
                step = bracket(s, n + 1);
            step += step ? 1 : 0;
        } else if (n > 0) {
            step = bracket(s, n);
        }
        if (!step)
            return n;
        n += step;
    }
}

/* ". as $name" and what follows it in its part. */
static bool is_binding(struct mt_slice part)
{
    size_t at = 1, size;
    if (!part.n || part.p[0] != '.' || !blank_at(part, at, &size))
        return false;
    while (blank_at(part, at, &size))
        at += size;
    if (part.n - at < 2 || memcmp(part.p + at, "as", 2) != 0 || !blank_at(part, at + 2, &size))
        return false;
    at += 2;
    while (blank_at(part, at, &size))
        at += size;
    return at + 1 < part.n && part.p[at] == '$' && words(part, at + 1) > 0;
}

bool mt_jq_parse_path(struct mt_slice expression, struct mt_slice *out_path)
{
    struct mt_slice s = trim(expression);
    if (s.n && s.p[0] == '(') {
        const char *end = memchr(s.p, ')', s.n);
        if (!end)
            return false;
        s = (struct mt_slice){s.p + 1, (size_t)(end - s.p) - 1};
    }
    for (;;) {
        const char *bar = s.n ? memchr(s.p, '|', s.n) : NULL;
        struct mt_slice part = trim((struct mt_slice){s.p, bar ? (size_t)(bar - s.p) : s.n});
        bool ignored = is_binding(part) || mt_slice_is(part, ".") || (part.n && part.p[0] == '$');
        size_t n = ignored ? 0 : path_prefix(part);
        if (n) {
            *out_path = (struct mt_slice){part.p, n};
            return true;
        }
        if (!bar)
            return false;
        s = (struct mt_slice){bar + 1, s.n - (size_t)(bar + 1 - s.p)};
    }
}
