/* Plain YAML 1.1 scalars. The patterns are those of PyYAML's resolver (Ocean's files are read by it), not of
 * the YAML 1.1 type repository: a float needs a dot
 * ("1e3" is text), its exponent a sign, ".5" takes no sign, "08" is text, "010" is eight. Called by yaml.c,
 * any thread. */
#include "bundle/scalar.h"

#include <stdint.h>
#include <stdio.h>

static bool one_of(struct mt_slice s, const char *const *words)
{
    for (; *words; words++)
        if (mt_slice_is(s, *words))
            return true;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Digits of a base and underscores; at least one digit. */
static enum mt_scalar based(struct mt_slice digits, unsigned base, bool negative, struct mt_buf *literal)
{
    uint64_t value = 0;
    bool any = false, large = false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] == '_')
            continue;
        int d = digit_value(digits.p[i]);
        if (d >= (int)base)
            return MT_SCALAR_TEXT;
        large |=
            __builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, (uint64_t)d, &value);
        any = true;
    }
    if (!any)
        return MT_SCALAR_TEXT;
    if (large)
        return MT_SCALAR_TOO_LARGE;
    mt_buf_printf(literal, "%s%llu", negative && value ? "-" : "", (unsigned long long)value);
    return MT_SCALAR_NUMBER;
}

/* [1-9][0-9_]*(:[0-5]?[0-9])+ : sixty to a digit. */
static enum mt_scalar sexagesimal(struct mt_slice body, bool negative, struct mt_buf *literal)
{
    uint64_t total = 0, part = 0;
    bool large = false;
    size_t i = 0;
    if (!body.n || body.p[0] == '0')
        return MT_SCALAR_TEXT;
    for (; i < body.n && (is_digit(body.p[i]) || body.p[i] == '_'); i++)
        if (body.p[i] != '_')
            large |= __builtin_mul_overflow(total, 10u, &total) ||
                     __builtin_add_overflow(total, (uint64_t)(body.p[i] - '0'), &total);
    while (i < body.n) {
        if (body.p[i++] != ':' || i >= body.n || !is_digit(body.p[i]))
            return MT_SCALAR_TEXT;
        part = (uint64_t)(body.p[i++] - '0');
        if (i < body.n && is_digit(body.p[i])) {
            if (part > 5)
                return MT_SCALAR_TEXT;
            part = part * 10 + (uint64_t)(body.p[i++] - '0');
        }
        large |= __builtin_mul_overflow(total, 60u, &total) || __builtin_add_overflow(total, part, &total);
    }
    if (large)
        return MT_SCALAR_TOO_LARGE;
    mt_buf_printf(literal, "%s%llu", negative ? "-" : "", (unsigned long long)total);
    return MT_SCALAR_NUMBER;
}

static enum mt_scalar integer(struct mt_slice body, bool negative, struct mt_buf *literal)
{
    if (body.n > 2 && body.p[0] == '0' && body.p[1] == 'b')
        return based((struct mt_slice){body.p + 2, body.n - 2}, 2, negative, literal);
    if (body.n > 2 && body.p[0] == '0' && body.p[1] == 'x')
        return based((struct mt_slice){body.p + 2, body.n - 2}, 16, negative, literal);
    if (body.p[0] == '0')
        return based(body, 8, negative, literal);
    if (memchr(body.p, ':', body.n))
        return sexagesimal(body, negative, literal);
    if (!is_digit(body.p[0]))
        return MT_SCALAR_TEXT;
    for (size_t i = 0; i < body.n; i++)
        if (!is_digit(body.p[i]) && body.p[i] != '_')
            return MT_SCALAR_TEXT;
    if (negative)
        mt_buf_putc(literal, '-');
    for (size_t i = 0; i < body.n; i++)
        if (body.p[i] != '_')
            mt_buf_putc(literal, body.p[i]);
    return MT_SCALAR_NUMBER;
}

/* Sixty to a digit with a fraction, as PyYAML adds it up: in doubles. */
static void put_sexagesimal_float(struct mt_slice body, bool negative, struct mt_buf *literal)
{
    double total = 0, part = 0, scale = 1;
    bool fraction = false;
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (c == ':') {
            total = (total + part) * 60;
            part = 0;
        } else if (c == '.') {
            fraction = true;
        } else if (c != '_') {
            if (fraction)
                scale *= 10;
            part = part * 10 + (c - '0');
        }
    }
    mt_buf_printf(literal, "%s%.17g", negative ? "-" : "", total + part / scale);
}

/* The JSON spelling of DIGITS.DIGITS[e±DIGITS], so that "1.0" stays "1.0" (R-MAP-05). */
static void put_decimal(struct mt_slice body, bool negative, struct mt_buf *literal)
{
    size_t i = 0, whole = 0, fraction = 0;
    if (negative)
        mt_buf_putc(literal, '-');
    for (; body.p[i] != '.'; i++)
        if (body.p[i] != '_' && (whole || body.p[i] != '0')) {
            mt_buf_putc(literal, body.p[i]);
            whole++;
        }
    mt_buf_puts(literal, whole ? "." : "0.");
    for (i++; i < body.n && body.p[i] != 'e' && body.p[i] != 'E'; i++)
        if (body.p[i] != '_') {
            mt_buf_putc(literal, body.p[i]);
            fraction++;
        }
    if (!fraction)
        mt_buf_putc(literal, '0');
    mt_buf_add(literal, body.p + i, body.n - i);
}

/* The four shapes of PyYAML's float that are digits. text still has its sign. */
static enum mt_scalar decimal(struct mt_slice body, bool signed_, bool negative, struct mt_buf *literal)
{
    size_t i = 0;
    bool colons = false;
    if (body.p[0] == '.') {
        if (signed_ || body.n < 2 || !is_digit(body.p[1]))
            return MT_SCALAR_TEXT;
    } else if (!is_digit(body.p[0])) {
        return MT_SCALAR_TEXT;
    }
    while (i < body.n && (is_digit(body.p[i]) || body.p[i] == '_'))
        i++;
    while (i < body.n && body.p[i] == ':') {
        colons = true;
        if (++i >= body.n || !is_digit(body.p[i]))
            return MT_SCALAR_TEXT;
        char first = body.p[i++];
        if (i < body.n && is_digit(body.p[i])) {
            if (first > '5')
                return MT_SCALAR_TEXT;
            i++;
        }
    }
    if (i >= body.n || body.p[i] != '.')
        return MT_SCALAR_TEXT;
    for (i++; i < body.n && (is_digit(body.p[i]) || body.p[i] == '_'); i++)
        ;
    if (i < body.n && !colons && (body.p[i] == 'e' || body.p[i] == 'E')) {
        if (i + 2 >= body.n || (body.p[i + 1] != '+' && body.p[i + 1] != '-'))
            return MT_SCALAR_TEXT;
        for (i += 2; i < body.n && is_digit(body.p[i]); i++)
            ;
    }
    if (i != body.n)
        return MT_SCALAR_TEXT;
    if (colons)
        put_sexagesimal_float(body, negative, literal);
    else
        put_decimal(body, negative, literal);
    return MT_SCALAR_NUMBER;
}

enum mt_scalar mt_scalar_resolve(struct mt_slice text, struct mt_buf *literal)
{
    static const char *const yes[] = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const no[] = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const null[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    if (one_of(text, null))
        return MT_SCALAR_NULL;
    if (one_of(text, yes))
        return MT_SCALAR_TRUE;
    if (one_of(text, no))
        return MT_SCALAR_FALSE;
    if (one_of(text, nan))
        return MT_SCALAR_NULL; /* JSON has no NaN; jq writes null for it */
    bool signed_ = text.p[0] == '-' || text.p[0] == '+';
    bool negative = text.p[0] == '-';
    struct mt_slice body = {text.p + signed_, text.n - signed_};
    if (!body.n)
        return MT_SCALAR_TEXT;
    if (one_of(body, inf)) {
        mt_buf_puts(literal, negative ? "-1.7976931348623157e+308" : "1.7976931348623157e+308"); /* R-JQ-17 */
        return MT_SCALAR_NUMBER;
    }
    if (body.p[0] != '.' && !is_digit(body.p[0]))
        return MT_SCALAR_TEXT;
    enum mt_scalar kind = decimal(body, signed_, negative, literal);
    if (kind == MT_SCALAR_TEXT && body.p[0] != '.')
        kind = integer(body, negative, literal);
    return kind;
}
