/* Decoding the escapes of strings that the parser has scanned already. Pure functions, any thread. */
#include "json/layout.h"
#include "json/scan.h"

static uint32_t hex4(const char *p)
{
    return (uint32_t)(mt_scan_hex(p[0]) << 12 | mt_scan_hex(p[1]) << 8 | mt_scan_hex(p[2]) << 4 |
                      mt_scan_hex(p[3]));
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

char *mt_json_unescape(char *out, const char *p, const char *end)
{
    while (p < end) {
        /* Escapes come in clusters ("\r\n"), too close for memchr to pay. What is stored past a backslash is
         * overwritten; there is room for it, as out is never ahead of p. */
        while (end - p >= 8) {
            uint64_t slash = mt_scan_word(p) ^ MT_BYTES('\\');
            slash = (slash - MT_BYTES(1)) & ~slash & MT_BYTES(0x80);
            memcpy(out, p, 8);
            unsigned n = slash ? (unsigned)__builtin_ctzll(slash) / 8 : 8;
            p += n;
            out += n;
            if (slash)
                break;
        }
        while (p < end && *p != '\\')
            *out++ = *p++;
        if (p == end)
            break;
        p += 2;
        switch (p[-1]) {
        case 'b':
            *out++ = '\b';
            break;
        case 'f':
            *out++ = '\f';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'u': {
            uint32_t code = hex4(p), low = 0;
            p += 4;
            if ((code & 0xFC00) == 0xD800 && end - p >= 6 && p[0] == '\\' && p[1] == 'u')
                low = hex4(p + 2);
            if ((low & 0xFC00) == 0xDC00) {
                code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
                p += 6;
            } else if ((code & 0xF800) == 0xD800) {
                code = 0xFFFD;
            }
            out = put_utf8(out, code);
            break;
        }
        default:
            *out++ = p[-1];
        }
    }
    return out;
}
