/* Numbers by their spelling; see decimal.h. */
#include <locale.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "jq/decimal.h"

/* What jq 1.8 computes literals with holds exponents up to this. */
enum { EXPONENT_MAX = 999999999, DOUBLE_DIGITS = 17 };

/* Digits of a literal without the point: value = digits * 10^exponent. Leading zeros are skipped; count 0 is
 * the number zero. */
struct digits {
    bool minus;
    const char *p; /* the first digit that counts */
    const char *end;
    size_t count;
    int64_t exponent;
};

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static struct digits digits_of(struct mt_slice s)
{
    const char *p = s.p, *end = s.p + s.n;
    struct digits d = {.minus = p < end && *p == '-'};
    bool in_fraction = false;
    p += d.minus;
    d.p = NULL;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            in_fraction = true;
            continue;
        }
        d.exponent -= in_fraction;
        if (d.count == 0 && *p == '0')
            continue;
        if (d.count++ == 0)
            d.p = p;
    }
    d.end = p;
    if (!d.p)
        d.p = p;
    if (p < end) {
        bool minus = *++p == '-';
        int64_t exponent = 0;
        p += minus || *p == '+';
        for (; p < end; p++)
            if (exponent < (int64_t)1 << 50)
                exponent = exponent * 10 + (*p - '0');
        d.exponent += minus ? -exponent : exponent;
    }
    return d;
}

/* Calls for each digit in turn without the point. */
static char next_digit(const char **p)
{
    if (**p == '.')
        ++*p;
    return *(*p)++;
}

bool mt_decimal_plain(struct mt_slice s, double *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    size_t n = s.n - minus;
    if (n == 0 || n > 15 || (minus && s.p[1] == '0'))
        return false;
    int64_t value = 0;
    for (size_t i = minus; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return false;
        value = value * 10 + (s.p[i] - '0');
    }
    *out = (double)(minus ? -value : value);
    return true;
}

/* The "C" locale, whatever the process has set: its decimal point is a point. */
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

static double read_double(const char *text)
{
    locale_t locale = plain_locale();
    return locale != (locale_t)0 ? strtod_l(text, NULL, locale) : strtod(text, NULL);
}

/* The 17 digits that jq rounds a literal to, half to even, before it becomes a double. */
static double rounded(struct digits d)
{
    char text[64];
    uint64_t value = 0;
    int64_t exponent = d.exponent + (int64_t)(d.count - DOUBLE_DIGITS);
    for (int i = 0; i < DOUBLE_DIGITS; i++)
        value = value * 10 + (uint64_t)(next_digit(&d.p) - '0');
    char half = next_digit(&d.p);
    bool more = false;
    for (size_t i = DOUBLE_DIGITS + 1; i < d.count && !more; i++)
        more = next_digit(&d.p) != '0';
    value += half > '5' || (half == '5' && (more || value % 2 == 1));
    snprintf(text, sizeof text, "%s%llue%lld", d.minus ? "-" : "", (unsigned long long)value,
             (long long)exponent);
    return read_double(text);
}

double mt_decimal_nearest(struct mt_slice s)
{
    return read_double(s.p);
}

double mt_decimal_double(struct mt_slice s)
{
    double value;
    if (mt_decimal_plain(s, &value))
        return value;
    struct digits d = digits_of(s);
    return d.count > DOUBLE_DIGITS ? rounded(d) : read_double(s.p);
}

static int sign(bool minus, int order)
{
    return minus ? -order : order;
}

int mt_decimal_compare(struct mt_slice a, struct mt_slice b)
{
    struct digits x = digits_of(a), y = digits_of(b);
    if (x.count == 0 || y.count == 0) {
        if (x.count == 0 && y.count == 0)
            return 0;
        return x.count == 0 ? sign(y.minus, -1) : sign(x.minus, 1);
    }
    if (x.minus != y.minus)
        return x.minus ? -1 : 1;
    int64_t above_x = x.exponent + (int64_t)x.count, above_y = y.exponent + (int64_t)y.count;
    if (above_x != above_y)
        return sign(x.minus, above_x < above_y ? -1 : 1);
    size_t common = x.count > y.count ? x.count : y.count;
    for (size_t i = 0; i < common; i++) {
        char c = i < x.count ? next_digit(&x.p) : '0', d = i < y.count ? next_digit(&y.p) : '0';
        if (c != d)
            return sign(x.minus, c < d ? -1 : 1);
    }
    return 0;
}

bool mt_decimal_int64(struct mt_slice s, int64_t *out)
{
    struct digits d = digits_of(s);
    uint64_t value = 0;
    if (d.count > 0 && (d.exponent + (int64_t)d.count > 19 || d.exponent + (int64_t)d.count < 1))
        return false;
    /* Digits behind the point have to be zeros; d.count - fraction digits are left. */
    int64_t whole = d.exponent < 0 ? (int64_t)d.count + d.exponent : (int64_t)d.count;
    for (size_t i = 0; i < d.count; i++) {
        char c = next_digit(&d.p);
        if ((int64_t)i >= whole) {
            if (c != '0')
                return false;
        } else if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
                   __builtin_add_overflow(value, (uint64_t)(c - '0'), &value)) {
            return false;
        }
    }
    for (; d.count > 0 && d.exponent > 0; d.exponent--)
        if (__builtin_mul_overflow(value, (uint64_t)10, &value))
            return false;
    if (value > (uint64_t)INT64_MAX + d.minus)
        return false;
    *out = d.minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool mt_decimal_is_canonical(struct mt_slice s)
{
    size_t minus = s.n > 0 && s.p[0] == '-';
    /* 0.000000…: seven places and more before the first digit that counts are written with an exponent. */
    if (s.n - minus > 8 && memcmp(s.p + minus, "0.000000", 8) == 0)
        return false;
    return !memchr(s.p, 'e', s.n) && !memchr(s.p, 'E', s.n);
}

bool mt_decimal_write(struct mt_slice s, struct mt_buf *out)
{
    if (mt_decimal_is_canonical(s))
        return mt_buf_put(out, s);
    struct digits d = digits_of(s);
    bool zero = d.count == 0;
    int64_t places = zero ? 1 : (int64_t)d.count, adjusted = d.exponent + places - 1;
    if (adjusted > EXPONENT_MAX && !zero)
        return mt_buf_puts(out, d.minus ? "-1.7976931348623157e+308" : "1.7976931348623157e+308");
    if (d.minus)
        mt_buf_putc(out, '-');
    if (d.exponent <= 0 && adjusted >= -6) {
        int64_t point = places + d.exponent; /* digits before the point; none: "0.", then zeros */
        if (point <= 0) {
            mt_buf_puts(out, "0.");
            for (int64_t i = point; i < 0; i++)
                mt_buf_putc(out, '0');
        }
        for (int64_t i = 0; i < places; i++) {
            if (i == point && point > 0)
                mt_buf_putc(out, '.');
            mt_buf_putc(out, zero ? '0' : next_digit(&d.p));
        }
        return !out->failed;
    }
    for (int64_t i = 0; i < places; i++) {
        if (i == 1)
            mt_buf_putc(out, '.');
        mt_buf_putc(out, zero ? '0' : next_digit(&d.p));
    }
    return mt_buf_printf(out, "E%+lld", (long long)adjusted);
}
