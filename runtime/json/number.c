/* Numbers: scanning, reading as a double or an integer, and the shortest spelling of a double. A literal is
 * always followed by a byte that cannot be part of it (see mt_doc_parse, mt_build_literal), so it is read
 * where it lies. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/layout.h"

static inline bool digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && digit(*p))
        p++;
    return p;
}

const char *mt_json_number(const char *p, const char *end, bool *out_plain, const char **out_bad)
{
    bool minus = p < end && *p == '-';
    const char *from = p += minus;
    if (p < end && *p == '0')
        p++;
    else
        p = digits(p, end);
    if (p == from)
        goto bad;
    *out_plain = p - from <= 18 && !(minus && *from == '0');
    if (p < end && *p == '.') {
        *out_plain = false;
        from = ++p;
        p = digits(p, end);
        if (p == from)
            goto bad;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *out_plain = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p = digits(p, end);
        if (p == from)
            goto bad;
    }
    return p;
bad:
    *out_bad = p;
    return NULL;
}

static int64_t plain(struct mt_slice s)
{
    bool minus = s.p[0] == '-';
    int64_t value = 0;
    for (size_t i = minus; i < s.n; i++)
        value = value * 10 + (s.p[i] - '0');
    return minus ? -value : value;
}

/* A number taken apart: value * 10^scale, where value has no trailing zeros. */
struct decimal {
    bool minus, inexact; /* inexact: more significant digits than value holds; the rest means nothing then */
    uint64_t value;
    int64_t scale;
};

static struct decimal decimal(struct mt_slice s)
{
    struct decimal d = {.minus = s.p[0] == '-'};
    int64_t zeros = 0, exponent = 0; /* zeros met since the last significant digit */
    bool in_fraction = false;
    size_t i = d.minus;
    for (; i < s.n && (s.p[i] | 0x20) != 'e'; i++) {
        if (s.p[i] == '.') {
            in_fraction = true;
            continue;
        }
        d.scale -= in_fraction;
        if (s.p[i] == '0') {
            zeros += d.value != 0;
            continue;
        }
        for (; zeros > 0 && !d.inexact; zeros--)
            d.inexact = __builtin_mul_overflow(d.value, (uint64_t)10, &d.value);
        zeros = 0;
        d.inexact = d.inexact || __builtin_mul_overflow(d.value, (uint64_t)10, &d.value) ||
                    __builtin_add_overflow(d.value, (uint64_t)(s.p[i] - '0'), &d.value);
    }
    if (i < s.n) {
        bool minus = s.p[++i] == '-';
        i += minus || s.p[i] == '+';
        for (; i < s.n; i++)
            if (exponent < (int64_t)1
                               << 40) /* far past what the 2^32 digits of the largest text can make good */
                exponent = exponent * 10 + (s.p[i] - '0');
        if (minus)
            exponent = -exponent;
    }
    d.scale += exponent + zeros;
    return d;
}

bool mt_val_int64(struct mt_val v, int64_t *out)
{
    if (!mt_val_is(v, MT_NUMBER))
        return false;
    struct mt_slice s = mt_val_literal(v);
    if (mt_val_cell(v)->flags & MT_CELL_INTEGER) {
        *out = plain(s);
        return true;
    }
    struct decimal d = decimal(s);
    if (d.inexact)
        return false;
    if (d.value == 0) {
        *out = 0;
        return true;
    }
    if (d.scale < 0 || d.scale > 18)
        return false;
    for (; d.scale > 0; d.scale--)
        if (__builtin_mul_overflow(d.value, (uint64_t)10, &d.value))
            return false;
    if (d.value > (uint64_t)INT64_MAX + d.minus)
        return false;
    *out = d.minus ? (int64_t)(0 - d.value) : (int64_t)d.value;
    return true;
}

/* The "C" locale, whatever the process (or a stock lua that loads us) has set: its decimal point is a point.
 */
static locale_t plain_locale(void)
{
    static _Atomic(locale_t) kept;
    locale_t l = atomic_load(&kept);
    if (l == (locale_t)0) {
        l = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        locale_t none = (locale_t)0;
        if (l != (locale_t)0 && !atomic_compare_exchange_strong(&kept, &none, l)) {
            freelocale(l);
            l = none;
        }
    }
    return l;
}

double mt_val_double(struct mt_val v)
{
    if (!mt_val_is(v, MT_NUMBER))
        return 0;
    struct mt_slice s = mt_val_literal(v);
    if (mt_val_cell(v)->flags & MT_CELL_INTEGER)
        return (double)plain(s);
#if FLT_EVAL_METHOD == 0
    /* Powers of ten up to 22 and integers up to 2^53 are exact doubles, and one operation on two of them is
     * rounded right (Clinger 1990). It spares nearly all numbers strtod, which takes about 4 times as long.
     */
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal d = decimal(s);
    if (!d.inexact && d.value <= (uint64_t)1 << 53 && d.scale >= -22 && d.scale <= 22) {
        double value = (double)d.value;
        value = d.scale < 0 ? value / powers[-d.scale] : value * powers[d.scale];
        return d.minus ? -value : value;
    }
#endif
    locale_t locale = plain_locale();
    return locale != (locale_t)0 ? strtod_l(s.p, NULL, locale) : strtod(s.p, NULL);
}

size_t mt_json_format_double(double value, char out[MT_DOUBLE_SIZE])
{
    if (isnan(value))
        return (size_t)snprintf(out, MT_DOUBLE_SIZE, "null");
    if (isinf(value))
        value = copysign(DBL_MAX, value);
    if (value == 0) /* -0.0 leaves as 0 (R-JQ-17) */
        return (size_t)snprintf(out, MT_DOUBLE_SIZE, "0");
    if (fabs(value) < 1e17 && value == trunc(value))
        return (size_t)snprintf(out, MT_DOUBLE_SIZE, "%.0f", value);
    int n = 0;
    for (int precision = 15; precision <= 17; precision++) {
        n = snprintf(out, MT_DOUBLE_SIZE, "%.*g", precision, value);
        /* Read back by the same locale that wrote it. */
        if (precision == 17 || strtod(out, NULL) == value)
            break;
    }
    /* The locale's decimal point may be another character, of several bytes even. */
    size_t kept = 0;
    for (int i = 0; i < n; i++) {
        if (digit(out[i]) || out[i] == '-' || out[i] == '+' || out[i] == 'e')
            out[kept++] = out[i];
        else if (kept == 0 || out[kept - 1] != '.')
            out[kept++] = '.';
    }
    out[kept] = '\0';
    return kept;
}
