/* Scanning of string bytes, shared by the parser, the builder and the writer; private to json/. Pure
 * functions. */
#ifndef MT_JSON_SCAN_H
#define MT_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* MT_JSON_PORTABLE chooses the path without vector instructions, so that specs can run both. */
#if !defined(MT_JSON_PORTABLE) && defined(__SSE2__)
#include <emmintrin.h>
#define MT_SCAN_BLOCK 16
#elif !defined(MT_JSON_PORTABLE) && defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define MT_SCAN_BLOCK 16
#endif

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

/* memcmp's call costs more than comparing a name does. */
static inline bool mt_scan_same(const char *a, const char *b, size_t n)
{
    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8)
        return mt_scan_word(a) == mt_scan_word(b) && mt_scan_word(a + n - 8) == mt_scan_word(b + n - 8);
    while (n > 0 && a[n - 1] == b[n - 1])
        n--;
    return n == 0;
}

static inline bool mt_scan_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c >= 0x7F;
}

/* The value of a hexadecimal digit, -1 for anything else. */
static inline int mt_scan_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The special bytes of the next MT_SCAN_BLOCK ones: a mask of MT_SCAN_BITS bits a byte, the first byte
 * lowest; bits above the lowest may be wrong. The instructions are those that every x86-64 and arm64 has. */
#if defined(MT_SCAN_BLOCK) && defined(__SSE2__)
#define MT_SCAN_BITS 1
static inline uint64_t mt_scan_block(const char *p)
{
    /* Signed: what is not ASCII is below 0x20 too. */
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F));
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i hit = _mm_or_si128(_mm_or_si128(low, del), _mm_or_si128(quote, slash));
    return (unsigned)_mm_movemask_epi8(hit);
}
#elif defined(MT_SCAN_BLOCK)
#define MT_SCAN_BITS 4 /* arm64 has no movemask */
static inline uint64_t mt_scan_block(const char *p)
{
    uint8x16_t v = vld1q_u8((const uint8_t *)p);
    uint8x16_t far = vcgeq_u8(vsubq_u8(v, vdupq_n_u8(0x20)), vdupq_n_u8(0x7F - 0x20));
    uint8x16_t quote = vceqq_u8(v, vdupq_n_u8('"')), slash = vceqq_u8(v, vdupq_n_u8('\\'));
    uint8x16_t hit = vorrq_u8(far, vorrq_u8(quote, slash));
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
}
#else
#define MT_SCAN_BLOCK 8
#define MT_SCAN_BITS 8
/* The subtractions borrow, and the addition carries, into bytes above a hit only. */
static inline uint64_t mt_scan_block(const char *p)
{
    uint64_t w = mt_scan_word(p);
    uint64_t quote = w ^ MT_BYTES('"'), slash = w ^ MT_BYTES('\\');
    uint64_t hit =
        (w - MT_BYTES(0x20)) | (quote - MT_BYTES(1)) | (slash - MT_BYTES(1)) | (w + MT_BYTES(1)) | w;
    return hit & MT_BYTES(0x80);
}
#endif

/* The first byte that is a control, a quote, a backslash, DEL or not ASCII; end when there is none. The step
 * is a constant, never the position of the hit: the processor then guesses on where the string ends, instead
 * of waiting for it (4.4 GB/s against 2.4). */
static inline const char *mt_scan_plain(const char *p, const char *end)
{
    for (; end - p >= MT_SCAN_BLOCK; p += MT_SCAN_BLOCK) {
        uint64_t hit = mt_scan_block(p);
        if (hit)
            return p + __builtin_ctzll(hit) / MT_SCAN_BITS;
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
