/* Builtins over strings: splitting, joining, trimming, case, code points. Called by the machine through
 * mt_string_natives, on the thread of the heap; results are the heap's. Everything is linear in the bytes it
 * reads and writes. */
#include <math.h>

#include "jq/text.h"

static struct mt_jv each_character(struct mt_jv_heap *h, struct mt_slice s)
{
    struct mt_jv out = mt_jv_array(h, mt_text_points(s.p, s.n));
    const char *p = s.p, *end = s.p + s.n;
    while (p < end && !mt_jv_is_none(out)) {
        unsigned n = mt_text_step(*p);
        struct mt_jv piece = mt_text_copy(h, (struct mt_slice){p, n});
        if (mt_jv_is_none(piece))
            return piece;
        out = mt_jv_append(h, out, piece);
        p += n;
    }
    return out;
}

static struct mt_jv split(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_text_both(args[0], args[1]))
        return mt_jv_raise(h, "split input and separator must be strings");
    struct mt_slice s = mt_jv_text(args[0]), by = mt_jv_text(args[1]);
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    if (by.n == 0)
        return mt_jv_work(h, s.n) ? each_character(h, s) : MT_NONE;
    struct mt_jv out = mt_jv_array(h, s.n > 0 ? 4 : 0);
    if (s.n == 0)
        return out;
    const char *p = s.p, *end = s.p + s.n;
    for (bool more = true; more && !mt_jv_is_none(out);) {
        const char *at =
            by.n == 1 ? memchr(p, by.p[0], (size_t)(end - p)) : memmem(p, (size_t)(end - p), by.p, by.n);
        more = at != NULL;
        struct mt_jv piece = mt_text_copy(h, (struct mt_slice){p, (size_t)((more ? at : end) - p)});
        if (mt_jv_is_none(piece) || !mt_jv_work(h, 1))
            return MT_NONE;
        out = mt_jv_append(h, out, piece);
        if (more)
            p = at + by.n;
    }
    return out;
}

/* jq's join: elements are added to "" one by one with the separator between them, null is "", numbers and
 * booleans are their JSON. What cannot be added raises as that addition does. */
static struct mt_jv join(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_ARRAY) && !mt_jv_is(args[0], MT_OBJECT)) {
        char shown[MT_JV_SHOWN];
        return mt_jv_raise(h, "Cannot iterate over %s", mt_jv_show(args[0], shown));
    }
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    struct mt_slice by = mt_jv_text(args[1]);
    bool can_add = mt_jv_is(args[1], MT_STRING) || mt_jv_is(args[1], MT_NULL), first = true;
    struct mt_jv key, v, bad = MT_NONE;
    for (struct mt_jv_iter it = mt_jv_iter_of(args[0]); mt_jv_iter_next(&it, &key, &v); first = false) {
        size_t before = out.n;
        if (!first && !can_add) {
            bad = args[1];
            break;
        }
        if (!first)
            mt_buf_put(&out, by);
        if (mt_jv_is(v, MT_STRING)) {
            mt_buf_put(&out, mt_jv_text(v));
        } else if (mt_jv_is(v, MT_ARRAY) || mt_jv_is(v, MT_OBJECT)) {
            bad = v;
            break;
        } else if (!mt_jv_is(v, MT_NULL)) {
            mt_jv_write(v, &out);
        }
        if (out.failed || !mt_jv_work(h, (out.n - before) / 8 + 1 + mt_text_digits_work(v))) {
            if (!out.failed) {
                mt_buf_fini(&out);
                return MT_NONE;
            }
            break;
        }
    }
    struct mt_jv text = mt_text_take(h, &out);
    return mt_jv_is_none(text) || mt_jv_is_none(bad) ? text : mt_jv_add(h, text, bad);
}

static bool starts(struct mt_slice s, struct mt_slice with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static bool ends(struct mt_slice s, struct mt_slice with)
{
    return s.n >= with.n && memcmp(s.p + s.n - with.n, with.p, with.n) == 0;
}

static struct mt_jv startswith(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_text_both(args[0], args[1]))
        return mt_jv_raise(h, "startswith() requires string inputs");
    if (!mt_text_work(h, mt_jv_text(args[1]).n))
        return MT_NONE;
    return mt_jv_bool(starts(mt_jv_text(args[0]), mt_jv_text(args[1])));
}

static struct mt_jv endswith(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_text_both(args[0], args[1]))
        return mt_jv_raise(h, "endswith() requires string inputs");
    if (!mt_text_work(h, mt_jv_text(args[1]).n))
        return MT_NONE;
    return mt_jv_bool(ends(mt_jv_text(args[0]), mt_jv_text(args[1])));
}

/* The part of a string that is left when bytes were taken off both sides. */
static struct mt_jv part(struct mt_jv_heap *h, struct mt_jv string, size_t left, size_t right)
{
    struct mt_slice s = mt_jv_text(string);
    if (left + right == 0)
        return string;
    s = (struct mt_slice){s.p + left, s.n - left - right};
    return mt_text_work(h, s.n) ? mt_text_copy(h, s) : MT_NONE;
}

static struct mt_jv ltrimstr(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv has = startswith(h, args);
    if (has.tag != MT_JV_TRUE)
        return mt_jv_is_none(has) ? has : args[0];
    return part(h, args[0], mt_jv_text(args[1]).n, 0);
}

static struct mt_jv rtrimstr(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv has = endswith(h, args);
    if (has.tag != MT_JV_TRUE)
        return mt_jv_is_none(has) ? has : args[0];
    return part(h, args[0], 0, mt_jv_text(args[1]).n);
}

static struct mt_jv trimstr(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_text_both(args[0], args[1]))
        return mt_jv_raise(h, "startswith() requires string inputs");
    struct mt_slice s = mt_jv_text(args[0]), off = mt_jv_text(args[1]);
    if (!mt_text_work(h, off.n))
        return MT_NONE;
    size_t left = starts(s, off) ? off.n : 0;
    size_t right = ends((struct mt_slice){s.p + left, s.n - left}, off) ? off.n : 0;
    return part(h, args[0], left, right);
}

/* Unicode's White_Space. */
static bool blank(uint32_t c)
{
    return (c >= 0x9 && c <= 0xD) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

enum { LEFT = 1, RIGHT = 2 };

static struct mt_jv trim_sides(struct mt_jv_heap *h, struct mt_jv string, int sides)
{
    if (!mt_jv_is(string, MT_STRING))
        return mt_jv_raise(h, "trim input must be a string");
    struct mt_slice s = mt_jv_text(string);
    const char *from = s.p, *to = s.p + s.n;
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    while (sides & LEFT && from < to) {
        const char *next = from;
        if (!blank(mt_text_point(&next)))
            break;
        from = next;
    }
    while (sides & RIGHT && from < to) {
        const char *last = to - 1;
        while (last > from && (*last & 0xC0) == 0x80)
            last--;
        const char *next = last;
        if (!blank(mt_text_point(&next)))
            break;
        to = last;
    }
    return part(h, string, (size_t)(from - s.p), (size_t)(s.p + s.n - to));
}

static struct mt_jv trim(struct mt_jv_heap *h, struct mt_jv *args)
{
    return trim_sides(h, args[0], LEFT | RIGHT);
}

static struct mt_jv ltrim(struct mt_jv_heap *h, struct mt_jv *args)
{
    return trim_sides(h, args[0], LEFT);
}

static struct mt_jv rtrim(struct mt_jv_heap *h, struct mt_jv *args)
{
    return trim_sides(h, args[0], RIGHT);
}

/* Flips the case bit of the letters from `first` on. */
static struct mt_jv ascii_case(struct mt_jv_heap *h, struct mt_jv string, unsigned char first)
{
    if (!mt_jv_is(string, MT_STRING))
        return mt_jv_raise(h, "explode input must be a string");
    struct mt_slice s = mt_jv_text(string);
    char *out;
    struct mt_jv v = mt_text_work(h, s.n) ? mt_jv_string_room(h, s.n, &out) : MT_NONE;
    if (mt_jv_is_none(v))
        return v;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[i] = (char)(c ^ ((unsigned char)(c - first) < 26 ? 0x20 : 0));
    }
    return v;
}

static struct mt_jv ascii_downcase(struct mt_jv_heap *h, struct mt_jv *args)
{
    return ascii_case(h, args[0], 'A');
}

static struct mt_jv ascii_upcase(struct mt_jv_heap *h, struct mt_jv *args)
{
    return ascii_case(h, args[0], 'a');
}

static struct mt_jv explode(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_STRING))
        return mt_jv_raise(h, "explode input must be a string");
    struct mt_slice s = mt_jv_text(args[0]);
    if (!mt_jv_work(h, s.n + 1))
        return MT_NONE;
    struct mt_jv out = mt_jv_array(h, mt_text_points(s.p, s.n));
    for (const char *p = s.p, *end = s.p + s.n; p < end && !mt_jv_is_none(out);)
        out = mt_jv_append(h, out, mt_jv_number(mt_text_point(&p)));
    return out;
}

static struct mt_jv implode(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_ARRAY))
        return mt_jv_raise(h, "implode input must be an array");
    size_t count = mt_jv_count(args[0]);
    if (!mt_jv_work(h, count + 1))
        return MT_NONE;
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    struct mt_jv key, v;
    for (struct mt_jv_iter it = mt_jv_iter_of(args[0]); mt_jv_iter_next(&it, &key, &v);) {
        double d = mt_jv_is(v, MT_NUMBER) ? trunc(mt_jv_double(v)) : (double)NAN;
        if (isnan(d)) {
            mt_buf_fini(&out);
            return mt_text_refuse(h, v, "can't be imploded, unicode codepoint needs to be numeric");
        }
        bool valid = d >= 0 && d <= 0x10FFFF && !(d >= 0xD800 && d <= 0xDFFF);
        char character[4];
        mt_buf_add(&out, character,
                   (size_t)(mt_text_put(character, valid ? (uint32_t)d : 0xFFFD) - character));
    }
    return mt_text_take(h, &out);
}

const struct mt_native mt_string_natives[] = {
    {"split", 1, true, split},
    {"join", 1, true, join},
    {"startswith", 1, true, startswith},
    {"endswith", 1, true, endswith},
    {"ltrimstr", 1, true, ltrimstr},
    {"rtrimstr", 1, true, rtrimstr},
    {"trimstr", 1, true, trimstr},
    {"trim", 0, true, trim},
    {"ltrim", 0, true, ltrim},
    {"rtrim", 0, true, rtrim},
    {"ascii_downcase", 0, true, ascii_downcase},
    {"ascii_upcase", 0, true, ascii_upcase},
    {"explode", 0, true, explode},
    {"implode", 0, true, implode},
    {NULL, 0, false, NULL},
};
