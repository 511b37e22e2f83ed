/* Builtins over numbers: libm's functions by their names, and what jq adds. Called by the machine through
 * mt_number_natives, on the thread of the heap. */
#include <limits.h>
#include <math.h>

#include "jq/text.h"

static bool number(struct mt_jv_heap *h, struct mt_jv v)
{
    if (mt_jv_is(v, MT_NUMBER))
        return true;
    mt_text_refuse(h, v, "number required");
    return false;
}

/* Casts to int out of int's range are undefined: the nearest int, 0 for nan. */
static int to_int(double d)
{
    if (isnan(d))
        return 0;
    return d <= INT_MIN ? INT_MIN : d >= INT_MAX ? INT_MAX : (int)d;
}

/* One, two, three numbers in, one out (glibc's exp10 misses 1000 for 3, its pow does not): X(jq's name, C's
 * expression of a, b, c). */
#define MT_UNARY(X)                                                                                          \
    X(floor, floor(a))                                                                                       \
    X(ceil, ceil(a))                                                                                         \
    X(round, round(a))                                                                                       \
    X(trunc, trunc(a))                                                                                       \
    X(rint, rint(a))                                                                                         \
    X(nearbyint, nearbyint(a))                                                                               \
    X(sqrt, sqrt(a))                                                                                         \
    X(cbrt, cbrt(a))                                                                                         \
    X(fabs, fabs(a))                                                                                         \
    X(exp, exp(a))                                                                                           \
    X(exp2, exp2(a))                                                                                         \
    X(exp10, pow(10, a))                                                                                     \
    X(pow10, pow(10, a))                                                                                     \
    X(expm1, expm1(a))                                                                                       \
    X(log, log(a))                                                                                           \
    X(log2, log2(a))                                                                                         \
    X(log10, log10(a))                                                                                       \
    X(log1p, log1p(a))                                                                                       \
    X(logb, logb(a))                                                                                         \
    X(significand, significand(a))                                                                           \
    X(gamma, lgamma_r(a, &(int){0}))                                                                         \
    X(lgamma, lgamma_r(a, &(int){0}))                                                                        \
    X(tgamma, tgamma(a))                                                                                     \
    X(sin, sin(a))                                                                                           \
    X(cos, cos(a))                                                                                           \
    X(tan, tan(a))                                                                                           \
    X(asin, asin(a))                                                                                         \
    X(acos, acos(a))                                                                                         \
    X(atan, atan(a))                                                                                         \
    X(sinh, sinh(a))                                                                                         \
    X(cosh, cosh(a))                                                                                         \
    X(tanh, tanh(a))                                                                                         \
    X(asinh, asinh(a))                                                                                       \
    X(acosh, acosh(a))                                                                                       \
    X(atanh, atanh(a))                                                                                       \
    X(j0, j0(a))                                                                                             \
    X(j1, j1(a))                                                                                             \
    X(y0, y0(a))                                                                                             \
    X(y1, y1(a))

#define MT_BINARY(X)                                                                                         \
    X(pow, pow(a, b))                                                                                        \
    X(atan2, atan2(a, b))                                                                                    \
    X(fmin, fmin(a, b))                                                                                      \
    X(fmax, fmax(a, b))                                                                                      \
    X(fmod, fmod(a, b))                                                                                      \
    X(fdim, fdim(a, b))                                                                                      \
    X(hypot, hypot(a, b))                                                                                    \
    X(copysign, copysign(a, b))                                                                              \
    X(drem, remainder(a, b))                                                                                 \
    X(remainder, remainder(a, b))                                                                            \
    X(nextafter, nextafter(a, b))                                                                            \
    X(nexttoward, nexttoward(a, (long double)b))                                                             \
    X(ldexp, ldexp(a, to_int(b)))                                                                            \
    X(scalb, scale(a, b))                                                                                    \
    X(scalbln, scalbln(a, to_int(b)))

#define MT_TERNARY(X) X(fma, fma(a, b, c))

/* scalb as POSIX had it: a * 2^b, not a number when b is no integer. */
static double scale(double a, double b)
{
    if (isnan(a) || isnan(b))
        return a + b;
    if (isinf(b))
        return b > 0 ? a * b : a / -b;
    return b == trunc(b) ? ldexp(a, to_int(b)) : (double)NAN;
}

#define MT_FUNCTION(name, result)                                                                            \
    static struct mt_jv native_##name(struct mt_jv_heap *h, struct mt_jv *args)                              \
    {                                                                                                        \
        if (!number(h, args[0]))                                                                             \
            return MT_NONE;                                                                                  \
        double a = mt_jv_double(args[0]);                                                                    \
        return mt_jv_number(result);                                                                         \
    }
MT_UNARY(MT_FUNCTION)
#undef MT_FUNCTION

#define MT_FUNCTION(name, result)                                                                            \
    static struct mt_jv native_##name(struct mt_jv_heap *h, struct mt_jv *args)                              \
    {                                                                                                        \
        if (!number(h, args[1]) || !number(h, args[2]))                                                      \
            return MT_NONE;                                                                                  \
        double a = mt_jv_double(args[1]), b = mt_jv_double(args[2]);                                         \
        return mt_jv_number(result);                                                                         \
    }
MT_BINARY(MT_FUNCTION)
#undef MT_FUNCTION

#define MT_FUNCTION(name, result)                                                                            \
    static struct mt_jv native_##name(struct mt_jv_heap *h, struct mt_jv *args)                              \
    {                                                                                                        \
        if (!number(h, args[1]) || !number(h, args[2]) || !number(h, args[3]))                               \
            return MT_NONE;                                                                                  \
        double a = mt_jv_double(args[1]), b = mt_jv_double(args[2]), c = mt_jv_double(args[3]);              \
        return mt_jv_number(result);                                                                         \
    }
MT_TERNARY(MT_FUNCTION)
#undef MT_FUNCTION

static struct mt_jv pair(struct mt_jv_heap *h, double a, double b)
{
    struct mt_jv out = mt_jv_append(h, mt_jv_array(h, 2), mt_jv_number(a));
    return mt_jv_is_none(out) ? out : mt_jv_append(h, out, mt_jv_number(b));
}

static struct mt_jv native_frexp(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!number(h, args[0]))
        return MT_NONE;
    double d = mt_jv_double(args[0]);
    int exponent = 0;
    if (isfinite(d)) /* C leaves the exponent of the others open */
        d = frexp(d, &exponent);
    return pair(h, d, exponent);
}

static struct mt_jv native_modf(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!number(h, args[0]))
        return MT_NONE;
    double whole, fraction = modf(mt_jv_double(args[0]), &whole);
    return pair(h, fraction, whole);
}

static struct mt_jv native_lgamma_r(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!number(h, args[0]))
        return MT_NONE;
    int sign = 0;
    double value = lgamma_r(mt_jv_double(args[0]), &sign);
    return pair(h, value, sign);
}

static struct mt_jv native_abs(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_NUMBER))
        return mt_text_refuse(h, args[0], "has no absolute value");
    return mt_jv_double(args[0]) < 0 ? mt_jv_negate(h, args[0]) : args[0];
}

static struct mt_jv native_infinite(struct mt_jv_heap *h, struct mt_jv *args)
{
    (void)h;
    (void)args;
    return mt_jv_number((double)INFINITY);
}

static struct mt_jv native_nan(struct mt_jv_heap *h, struct mt_jv *args)
{
    (void)h;
    (void)args;
    return mt_jv_number((double)NAN);
}

static struct mt_jv native_isinfinite(struct mt_jv_heap *h, struct mt_jv *args)
{
    return number(h, args[0]) ? mt_jv_bool(isinf(mt_jv_double(args[0]))) : MT_NONE;
}

static struct mt_jv native_isnan(struct mt_jv_heap *h, struct mt_jv *args)
{
    return number(h, args[0]) ? mt_jv_bool(isnan(mt_jv_double(args[0]))) : MT_NONE;
}

static struct mt_jv native_isnormal(struct mt_jv_heap *h, struct mt_jv *args)
{
    return number(h, args[0]) ? mt_jv_bool(isnormal(mt_jv_double(args[0]))) : MT_NONE;
}

const struct mt_native mt_number_natives[] = {
#define MT_ENTRY(name, result) {#name, 0, true, native_##name},
    MT_UNARY(MT_ENTRY)
#undef MT_ENTRY
#define MT_ENTRY(name, result) {#name, 2, true, native_##name},
        MT_BINARY(MT_ENTRY)
#undef MT_ENTRY
#define MT_ENTRY(name, result) {#name, 3, true, native_##name},
            MT_TERNARY(MT_ENTRY)
#undef MT_ENTRY
                {"frexp", 0, true, native_frexp},
    {"modf", 0, true, native_modf},
    {"lgamma_r", 0, true, native_lgamma_r},
    {"abs", 0, true, native_abs},
    {"infinite", 0, true, native_infinite},
    {"nan", 0, true, native_nan},
    {"isinfinite", 0, true, native_isinfinite},
    {"isnan", 0, true, native_isnan},
    {"isnormal", 0, true, native_isnormal},
    {NULL, 0, false, NULL},
};
