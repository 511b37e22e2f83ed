/* The formats that change a string byte by byte: @html, @uri, @urid, @base64, @base64d, @base32, @base32d.
 * Called by format.c, on the thread of the heap. Each measures its result first, so that it is written once,
 * where it stays. */
#include "jq/text.h"

static const char *html(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '\'':
        return "&#39;";
    case '"':
        return "&quot;";
    case '\0':
        return "\\0";
    default:
        return NULL;
    }
}

struct mt_jv mt_encode_html(struct mt_jv_heap *h, struct mt_jv string)
{
    struct mt_slice s = mt_jv_text(string);
    size_t n = s.n;
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    for (size_t i = 0; i < s.n; i++) {
        const char *entity = html(s.p[i]);
        n += entity ? strlen(entity) - 1 : 0;
    }
    char *out;
    struct mt_jv v = n == s.n ? string : mt_jv_string_room(h, n, &out);
    if (n == s.n || mt_jv_is_none(v))
        return v;
    for (size_t i = 0; i < s.n; i++) {
        const char *entity = html(s.p[i]);
        if (entity) {
            memcpy(out, entity, strlen(entity));
            out += strlen(entity);
        } else {
            *out++ = s.p[i];
        }
    }
    return v;
}

/* RFC 3986, section 2.3. */
static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

struct mt_jv mt_encode_uri(struct mt_jv_heap *h, struct mt_jv string)
{
    struct mt_slice s = mt_jv_text(string);
    size_t n = s.n;
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    for (size_t i = 0; i < s.n; i++)
        n += unreserved(s.p[i]) ? 0 : 2;
    char *out;
    struct mt_jv v = n == s.n ? string : mt_jv_string_room(h, n, &out);
    if (n == s.n || mt_jv_is_none(v))
        return v;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (unreserved(s.p[i])) {
            *out++ = s.p[i];
        } else {
            *out++ = '%';
            *out++ = "0123456789ABCDEF"[c >> 4];
            *out++ = "0123456789ABCDEF"[c & 15];
        }
    }
    return v;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes are decoded into a buffer of their own because they may be no UTF-8. */
struct mt_jv mt_decode_uri(struct mt_jv_heap *h, struct mt_jv string)
{
    struct mt_slice s = mt_jv_text(string);
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    if (!memchr(s.p, '%', s.n))
        return string;
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    const char *p = s.p, *end = s.p + s.n;
    unsigned more = 0; /* encoded bytes that the character still needs */
    while (p < end) {
        int high, low;
        if (*p != '%' && more == 0) {
            const char *next = memchr(p, '%', (size_t)(end - p));
            next = next ? next : end;
            mt_buf_add(&out, p, (size_t)(next - p));
            p = next;
            continue;
        }
        if (end - p < 3 || *p != '%' || (high = hex(p[1])) < 0 || (low = hex(p[2])) < 0)
            goto bad;
        unsigned char c = (unsigned char)(high << 4 | low);
        if (more == 0)
            more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
        else
            more = (c & 0xC0) == 0x80 ? more - 1 : 0;
        mt_buf_putc(&out, (char)c);
        p += 3;
    }
    if (more > 0)
        goto bad;
    struct mt_jv v = out.failed ? mt_text_take(h, &out) : mt_jv_string(h, mt_buf_slice(&out));
    mt_buf_fini(&out);
    return v;
bad:
    mt_buf_fini(&out);
    return mt_text_refuse(h, string, "is not a valid uri encoding");
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* Groups of `bytes` bytes become `digits` digits of `bits` bits; the last group is filled up with "=". */
static struct mt_jv encode(struct mt_jv_heap *h, struct mt_slice s, const char *alphabet, unsigned bytes,
                           unsigned digits, unsigned bits)
{
    char *out;
    size_t groups = s.n / bytes + (s.n % bytes != 0);
    struct mt_jv v = mt_text_work(h, s.n) ? mt_jv_string_room(h, groups * digits, &out) : MT_NONE;
    if (mt_jv_is_none(v))
        return v;
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t left = s.n; left > 0; p += bytes) {
        uint64_t group = 0;
        unsigned n = left < bytes ? (unsigned)left : bytes;
        for (unsigned i = 0; i < bytes; i++)
            group = group << 8 | (i < n ? p[i] : 0);
        unsigned used = (n * 8 + bits - 1) / bits;
        for (unsigned i = 0; i < digits; i++)
            *out++ = i < used ? alphabet[group >> (bits * (digits - 1 - i)) & ((1u << bits) - 1)] : '=';
        left -= n;
    }
    return v;
}

struct mt_jv mt_encode_base64(struct mt_jv_heap *h, struct mt_jv string)
{
    return encode(h, mt_jv_text(string), base64, 3, 4, 6);
}

struct mt_jv mt_encode_base32(struct mt_jv_heap *h, struct mt_jv string)
{
    return encode(h, mt_jv_text(string), base32, 5, 8, 5);
}

/* Digits up to the first "="; what follows it is ignored, as jq does. The rest of a group gives as many whole
 * bytes as it has. false: *bad says what is wrong. */
static bool decode(struct mt_slice s, const char *alphabet, unsigned bits, struct mt_buf *out,
                   const char **bad, const char *invalid)
{
    signed char digits[256];
    memset(digits, -1, sizeof digits);
    for (int i = 0; i < 1 << bits; i++)
        digits[(unsigned char)alphabet[i]] = (signed char)i;
    uint32_t group = 0;
    unsigned held = 0; /* bits */
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n && p[i] != '='; i++) {
        if (digits[p[i]] < 0) {
            *bad = invalid;
            return false;
        }
        group = group << bits | (unsigned char)digits[p[i]];
        held += bits;
        if (held >= 8) {
            held -= 8;
            mt_buf_putc(out, (char)(group >> held & 0xFF));
        }
    }
    if (held >= bits) { /* the last digit gave no byte */
        *bad = bits == 6 ? "trailing base64 byte found" : invalid;
        return false;
    }
    return true;
}

static struct mt_jv decoded(struct mt_jv_heap *h, struct mt_jv string, const char *alphabet, unsigned bits,
                            const char *invalid)
{
    struct mt_slice s = mt_jv_text(string);
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    struct mt_buf out;
    const char *bad = NULL;
    mt_buf_init(&out, h->max);
    struct mt_jv v;
    if (!decode(s, alphabet, bits, &out, &bad, invalid))
        v = mt_text_refuse(h, string, bad);
    else
        v = out.failed ? mt_text_take(h, &out) : mt_jv_string(h, mt_buf_slice(&out));
    mt_buf_fini(&out);
    return v;
}

struct mt_jv mt_decode_base64(struct mt_jv_heap *h, struct mt_jv string)
{
    return decoded(h, string, base64, 6, "is not valid base64 data");
}

struct mt_jv mt_decode_base32(struct mt_jv_heap *h, struct mt_jv string)
{
    return decoded(h, string, base32, 5, "is not valid base32 data");
}
