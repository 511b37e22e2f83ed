/* Scanning of string bytes, shared by the parser, the builder and the writer; private to json/. Pure
 * functions. */
#ifndef MT_JSON_SCAN_H
#define MT_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MT_BYTES(b) (0x0101010101010101ull * (b))

/* Eight bytes, the first one lowest. */
static inline uint64_t mt_scan_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

static inline bool mt_scan_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c >= 0x7F;
}

/* The first byte that is a control, a quote, a backslash, DEL or not ASCII; end when there is none. Eight
 * bytes at a time: the subtractions borrow, and the addition carries, into bytes above a hit only, so the
 * lowest hit is exact. */
static inline const char *mt_scan_plain(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w = mt_scan_word(p);
        uint64_t quote = w ^ MT_BYTES('"'), slash = w ^ MT_BYTES('\\');
        uint64_t hit =
            (w - MT_BYTES(0x20)) | (quote - MT_BYTES(1)) | (slash - MT_BYTES(1)) | (w + MT_BYTES(1)) | w;
        hit &= MT_BYTES(0x80);
        if (hit)
            return p + (__builtin_ctzll(hit) >> 3);
    }
    while (p < end && !mt_scan_special((unsigned char)*p))
        p++;
    return p;
}

/* Length of the well-formed UTF-8 character at p, whose first byte is not ASCII; 0 when it is not one (RFC
 * 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
static inline unsigned mt_scan_utf8(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    unsigned char c = u[0], least = 0x80, most = 0xBF;
    unsigned n;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c < 0xE0) {
        n = 2;
    } else if (c < 0xF0) {
        n = 3;
        if (c == 0xE0)
            least = 0xA0;
        else if (c == 0xED)
            most = 0x9F;
    } else {
        n = 4;
        if (c == 0xF0)
            least = 0x90;
        else if (c == 0xF4)
            most = 0x8F;
    }
    if (left < n || u[1] < least || u[1] > most)
        return 0;
    for (unsigned i = 2; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

#endif
