/* UTF-8: see utf8.h. Pure. */
#include "base/utf8.h"

unsigned mt_utf8_length(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    const size_t left = (size_t)(end - p);
    unsigned n;
    /* Bounds of the second byte keep out overlong forms, surrogates and what is above U+10FFFF. */
    unsigned char low = 0x80, high = 0xBF;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    if (s[0] < 0xE0) {
        n = 2;
    } else if (s[0] < 0xF0) {
        n = 3;
        low = s[0] == 0xE0 ? 0xA0 : low;
        high = s[0] == 0xED ? 0x9F : high;
    } else {
        n = 4;
        low = s[0] == 0xF0 ? 0x90 : low;
        high = s[0] == 0xF4 ? 0x8F : high;
    }
    if (left < n || s[1] < low || s[1] > high)
        return 0;
    for (unsigned i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

bool mt_utf8_put(struct mt_buf *out, struct mt_slice text)
{
    size_t from = 0, i = 0;
    while (i < text.n) {
        if ((unsigned char)text.p[i] < 0x80) {
            i++;
            continue;
        }
        unsigned n = mt_utf8_length(text.p + i, text.p + text.n);
        if (!n) {
            mt_buf_add(out, text.p + from, i - from);
            mt_buf_add(out, "\xEF\xBF\xBD", 3);
            from = i + 1;
        }
        i += n ? n : 1;
    }
    return mt_buf_add(out, text.p + from, text.n - from);
}

struct mt_slice mt_utf8_cut(struct mt_slice text, size_t n)
{
    if (text.n <= n)
        return text;
    size_t at = n;
    while (at && n - at < 3 && ((unsigned char)text.p[at] & 0xC0) == 0x80)
        at--;
    /* Not the middle of a character after all: then the bytes are not UTF-8, and any cut is as good. */
    return (struct mt_slice){text.p, ((unsigned char)text.p[at] & 0xC0) == 0x80 ? n : at};
}
