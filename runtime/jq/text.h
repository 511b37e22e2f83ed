/* Small steps that the natives over strings share. Used by strings.c, format.c, encode.c, regex.c, dates.c
 * and numbers.c; on the thread of the heap. */
#ifndef MT_JQ_TEXT_H
#define MT_JQ_TEXT_H

#include <math.h>

#include "jq/native.h"

/* Takes the steps of going through n bytes one by one: a step is some 20 ns, a byte 1 to 3. */
static inline bool mt_text_work(struct mt_jv_heap *h, size_t n)
{
    return mt_jv_work(h, n / 8 + 1);
}

/* Steps of finding the digits of a number that is not whole. */
static inline size_t mt_text_digits_work(struct mt_jv v)
{
    return v.tag == MT_JV_NUMBER && v.number != trunc(v.number) ? 50 : 0;
}

/* A new string of bytes that are known to be valid UTF-8. */
static inline struct mt_jv mt_text_copy(struct mt_jv_heap *h, struct mt_slice text)
{
    char *out;
    struct mt_jv v = mt_jv_string_room(h, text.n, &out);
    if (!mt_jv_is_none(v) && text.n > 0)
        memcpy(out, text.p, text.n);
    return v;
}

/* Raises "number (5) WHAT". */
static inline struct mt_jv mt_text_refuse(struct mt_jv_heap *h, struct mt_jv v, const char *what)
{
    char shown[MT_JV_SHOWN];
    return mt_jv_raise(h, "%s %s", mt_jv_show(v, shown), what);
}

static inline bool mt_text_both(struct mt_jv a, struct mt_jv b)
{
    return mt_jv_is(a, MT_STRING) && mt_jv_is(b, MT_STRING);
}

/* The string of what was gathered in out, whose bytes are valid UTF-8; releases it. A buffer that met its
 * ceiling, which is the heap's, raises. */
struct mt_jv mt_text_take(struct mt_jv_heap *h, struct mt_buf *out);
/* tostring: a string is itself, anything else its JSON. */
struct mt_jv mt_text_of(struct mt_jv_heap *h, struct mt_jv v);

/* What the formats do to a string; encode.c. Decoding raises about it when it is not encoded so. */
struct mt_jv mt_encode_html(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_encode_uri(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_decode_uri(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_encode_base64(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_decode_base64(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_encode_base32(struct mt_jv_heap *h, struct mt_jv string);
struct mt_jv mt_decode_base32(struct mt_jv_heap *h, struct mt_jv string);

/* Natives of format.c's table that fromjson.c has. */
struct mt_jv mt_native_fromjson(struct mt_jv_heap *h, struct mt_jv *args);
struct mt_jv mt_native_tonumber(struct mt_jv_heap *h, struct mt_jv *args);

/* Length of the character that starts with byte c of valid UTF-8. */
static inline unsigned mt_text_step(char c)
{
    unsigned char u = (unsigned char)c;
    return u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
}

/* Code points of valid UTF-8: bytes that do not continue a character. Auto-vectorised. */
static inline size_t mt_text_points(const char *p, size_t n)
{
    size_t points = 0;
    for (size_t i = 0; i < n; i++)
        points += (p[i] & 0xC0) != 0x80;
    return points;
}

/* The code point at *p, which is moved behind it. Valid UTF-8. */
static inline uint32_t mt_text_point(const char **p)
{
    const unsigned char *u = (const unsigned char *)*p;
    unsigned n = mt_text_step(**p);
    *p += n;
    switch (n) {
    case 1:
        return u[0];
    case 2:
        return (uint32_t)(u[0] & 0x1F) << 6 | (u[1] & 0x3F);
    case 3:
        return (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    default:
        return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 | (uint32_t)(u[2] & 0x3F) << 6 |
               (u[3] & 0x3F);
    }
}

/* Writes a code point (no surrogate, at most U+10FFFF) and returns where it ends; 4 bytes at most. */
static inline char *mt_text_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

#endif
