/* fromjson and tonumber: text that a mapping parses itself. Called through format.c's table, on the thread of
 * the heap.
 *
 * It is a parser of its own beside json/document.h because jq reads more than JSON here (nan, Infinity, +1,
 * .5), users match on its messages, and the result has to be on the heap. Text
 * is taken apart as jq does: runs of characters between quotes, blanks and structural characters are one
 * literal, judged where they end; the messages' columns follow from that. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/text.h"

static bool same_word(struct mt_slice s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* A number as jq reads it: sign, digits with a point anywhere, exponent; nan and infinity in any case. A
 * number that a double does not surely hold keeps its spelling, made valid JSON. MT_NONE, with nothing
 * raised: it is none. */
static struct mt_jv read_number(struct mt_jv_heap *h, struct mt_slice s)
{
    const char *p = s.p, *end = s.p + s.n;
    bool minus = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    struct mt_slice rest = {p, (size_t)(end - p)};
    if (same_word(rest, "nan"))
        return mt_jv_number((double)NAN);
    if (same_word(rest, "infinity") || same_word(rest, "inf"))
        return mt_jv_number(minus ? -(double)INFINITY : (double)INFINITY);
    while (end - p > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '9')
        p++;
    struct mt_slice whole = {p, 0}, fraction = {NULL, 0};
    double value = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (*p - '0');
    whole.n = (size_t)(p - whole.p);
    if (p == end && whole.n > 0 && whole.n <= 15 && !(minus && value == 0))
        return mt_jv_number(minus ? -value : value);
    if (p < end && *p == '.') {
        fraction.p = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        fraction.n = (size_t)(p - fraction.p);
    }
    if (whole.n + fraction.n == 0)
        return MT_NONE;
    struct mt_slice exponent = {p, (size_t)(end - p)};
    if (p < end) {
        if (*p != 'e' && *p != 'E')
            return MT_NONE;
        p++;
        p += p < end && (*p == '-' || *p == '+');
        if (p == end)
            return MT_NONE;
        for (; p < end; p++)
            if (*p < '0' || *p > '9')
                return MT_NONE;
    }
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    if (minus)
        mt_buf_putc(&out, '-');
    mt_buf_put(&out, whole.n > 0 ? whole : MT_SLICE("0"));
    if (fraction.n > 0) {
        mt_buf_putc(&out, '.');
        mt_buf_put(&out, fraction);
    }
    mt_buf_put(&out, exponent);
    struct mt_jv v = MT_NONE;
    if (out.failed)
        h->fault = MT_FAULT_MEMORY;
    else
        v = mt_jv_literal(h, mt_buf_slice(&out));
    mt_buf_fini(&out);
    return v;
}

struct mt_jv mt_native_tonumber(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (mt_jv_is(args[0], MT_NUMBER))
        return args[0];
    struct mt_slice s = mt_jv_text(args[0]);
    if (!mt_text_work(h, s.n))
        return MT_NONE;
    struct mt_jv v = mt_jv_is(args[0], MT_STRING) ? read_number(h, s) : MT_NONE;
    if (mt_jv_is_none(v) && h->fault == MT_FAULT_NONE)
        return mt_text_refuse(h, args[0], "cannot be parsed as a number");
    return v;
}

enum { DEPTH_MAX = 10000 }; /* jq 1.8's */

/* An open array or object; an object's name is kept until its value came. */
struct level {
    struct mt_jv container, name;
};

struct parser {
    struct mt_jv_heap *h;
    const char *start, *p, *end;
    struct level *levels;
    size_t depth, capacity;
    struct mt_jv next;   /* the value that was read and has no place yet; MT_NONE: there is none */
    const char *problem; /* NULL with a fault in h: that one */
    bool failed;
};

static void fail(struct parser *p, const char *problem)
{
    if (!p->failed)
        p->problem = problem;
    p->failed = true;
}

static void give(struct parser *p, struct mt_jv v)
{
    if (mt_jv_is_none(v))
        fail(p, NULL);
    else if (!mt_jv_is_none(p->next))
        fail(p, "Expected separator between values");
    else
        p->next = v;
}

static void literal(struct parser *p, struct mt_slice s)
{
    static const struct {
        const char *word;
        struct mt_jv value;
    } words[] = {
        {"null", {.tag = MT_JV_NULL}}, {"true", {.tag = MT_JV_TRUE}}, {"false", {.tag = MT_JV_FALSE}}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (s.p[0] != words[i].word[0] || (s.p[0] == 'n' && (s.n < 2 || s.p[1] != 'u')))
            continue;
        if (mt_slice_is(s, words[i].word))
            give(p, words[i].value);
        else
            fail(p, "Invalid literal");
        return;
    }
    if (s.p[0] == '\'') {
        fail(p, "Invalid string literal; expected \", but got '");
        return;
    }
    struct mt_jv v = read_number(p->h, s);
    if (mt_jv_is_none(v) && p->h->fault == MT_FAULT_NONE)
        fail(p, "Invalid numeric literal");
    else
        give(p, v);
}

static int hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = p[i] >= '0' && p[i] <= '9'                     ? p[i] - '0'
                    : (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f' ? (p[i] | 0x20) - 'a' + 10
                                                                   : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The string whose raw bytes are s; it never gets longer by decoding. */
static struct mt_jv unescape(struct parser *p, struct mt_slice s)
{
    char *start, *out;
    struct mt_jv v = mt_jv_string_room(p->h, s.n, &start);
    if (mt_jv_is_none(v))
        return v;
    out = start;
    for (const char *at = s.p, *end = s.p + s.n; at < end;) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at++; /* never the end: a quote behind it would not have ended the string */
        static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        const char *name = *at ? strchr(names, *at) : NULL;
        if (name) {
            *out++ = meant[name - names];
            at++;
            continue;
        }
        if (*at != 'u') {
            fail(p, "Invalid escape");
            return MT_NONE;
        }
        int unit = hex4(++at, end), low;
        if (unit < 0) {
            fail(p, end - at < 4 ? "Invalid \\uXXXX escape" : "Invalid characters in \\uXXXX escape");
            return MT_NONE;
        }
        at += 4;
        uint32_t c = (uint32_t)unit;
        if (unit >= 0xD800 && unit < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
            (low = hex4(at + 2, end)) >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((uint32_t)(unit & 0x3FF) << 10 | (uint32_t)(low & 0x3FF));
            at += 6;
        } else if (unit >= 0xD800 && unit < 0xE000) {
            c = 0xFFFD;
        }
        out = mt_text_put(out, c);
    }
    mt_jv_string_cut(p->h, v, (size_t)(out - start));
    return v;
}

/* From behind the opening quote to behind the closing one. */
static void string(struct parser *p)
{
    const char *from = p->p;
    bool escaped = false;
    bool control = false;
    for (; p->p < p->end && *p->p != '"'; p->p++) {
        if (*p->p == '\\') {
            escaped = true;
            if (++p->p == p->end)
                break;
        } else if (*p->p > 0 && *p->p < 0x1F) { /* U+0000 and U+001F pass in jq */
            control = true;
        }
    }
    if (p->p == p->end) {
        fail(p, "Unfinished string");
        return;
    }
    struct mt_slice raw = {from, (size_t)(p->p++ - from)};
    if (control) {
        fail(p, "Invalid string: control characters from U+0000 through U+001F must be escaped");
        return;
    }
    struct mt_jv v = escaped ? unescape(p, raw) : mt_text_copy(p->h, raw);
    if (!p->failed)
        give(p, v);
}

static void open_container(struct parser *p, struct mt_jv container)
{
    if (!mt_jv_is_none(p->next)) {
        fail(p, "Expected separator between values");
        return;
    }
    if (p->depth >= DEPTH_MAX) {
        fail(p, "Exceeds depth limit for parsing");
        return;
    }
    if (p->depth == p->capacity) {
        p->capacity = p->capacity > 0 ? 2 * p->capacity : 16;
        p->levels = mt_realloc(p->levels, p->capacity * sizeof *p->levels);
    }
    if (mt_jv_is_none(container))
        fail(p, NULL);
    else
        p->levels[p->depth++] = (struct level){container, MT_NONE};
}

/* Puts the value that was read into its container. */
static void place(struct parser *p, struct level *l)
{
    if (mt_jv_is(l->container, MT_ARRAY)) {
        l->container = mt_jv_append(p->h, l->container, p->next);
    } else {
        l->container = mt_jv_set(p->h, l->container, l->name, p->next);
        l->name = MT_NONE;
    }
    p->next = MT_NONE;
    if (mt_jv_is_none(l->container))
        fail(p, NULL);
}

static void close_container(struct parser *p, bool array)
{
    struct level *l = p->depth > 0 ? &p->levels[p->depth - 1] : NULL;
    bool in_array = l && mt_jv_is(l->container, MT_ARRAY), value = !mt_jv_is_none(p->next);
    bool named = l && !mt_jv_is_none(l->name);
    if (!l || (array && !in_array) || (!array && !value && (in_array || named)))
        fail(p, array ? "Unmatched ']'" : "Unmatched '}'");
    else if (!array && value && !named)
        fail(p, "Objects must consist of key:value pairs");
    else if (value)
        place(p, l);
    else if (mt_jv_count(l->container) > 0)
        fail(p, array ? "Expected another array element" : "Expected another key-value pair");
    if (!p->failed) {
        p->next = l->container;
        p->depth--;
    }
}

static void structural(struct parser *p, char c)
{
    struct level *l = p->depth > 0 ? &p->levels[p->depth - 1] : NULL;
    switch (c) {
    case '[':
        open_container(p, mt_jv_array(p->h, 0));
        break;
    case '{':
        open_container(p, mt_jv_object(p->h, 0));
        break;
    case ']':
    case '}':
        close_container(p, c == ']');
        break;
    case ':':
        if (mt_jv_is_none(p->next))
            fail(p, "Expected string key before ':'");
        else if (!l || mt_jv_is(l->container, MT_ARRAY) || !mt_jv_is_none(l->name))
            fail(p, "':' not as part of an object");
        else if (!mt_jv_is(p->next, MT_STRING))
            fail(p, "Object keys must be strings");
        else
            l->name = p->next;
        p->next = MT_NONE;
        break;
    default: /* ',' */
        if (mt_jv_is_none(p->next))
            fail(p, "Expected value before ','");
        else if (!l)
            fail(p, "',' not as part of an object or array");
        else if (mt_jv_is(l->container, MT_OBJECT) && mt_jv_is_none(l->name))
            fail(p, "Objects must consist of key:value pairs");
        else
            place(p, l);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_structural(char c)
{
    return c == '[' || c == ']' || c == '{' || c == '}' || c == ':' || c == ',';
}

/* Reads one value of the text, and not beyond what shows that it is over; MT_NONE without a failure: there is
 * none left. */
static struct mt_jv read_value(struct parser *p)
{
    while (p->p < p->end && !p->failed) {
        char c = *p->p;
        if (is_blank(c)) {
            p->p++;
        } else if (c == '"') {
            p->p++;
            string(p);
        } else if (is_structural(c)) {
            p->p++;
            structural(p, c);
        } else {
            const char *from = p->p;
            while (p->p < p->end && !is_blank(*p->p) && !is_structural(*p->p) && *p->p != '"')
                p->p++;
            literal(p, (struct mt_slice){from, (size_t)(p->p - from)});
            /* jq has read the character behind a literal when it judges it. */
            if (p->failed && p->p < p->end)
                p->p++;
            else if (p->failed)
                p->p = NULL;
        }
        if (!p->failed && p->depth == 0 && !mt_jv_is_none(p->next)) {
            struct mt_jv v = p->next;
            p->next = MT_NONE;
            return v;
        }
    }
    if (!p->failed && (p->depth > 0 || !mt_jv_is_none(p->next))) {
        fail(p, "Unfinished JSON term");
        p->p = NULL;
    } else if (p->failed && p->p == p->end && p->problem && strcmp(p->problem, "Unfinished string") == 0) {
        p->p = NULL;
    }
    return MT_NONE;
}

/* Raises "PROBLEM at line L, column C (while parsing 'TEXT')"; where: behind the byte at which it was
 * noticed, NULL: at the end of the text. */
static struct mt_jv complain(struct parser *p, bool positioned)
{
    if (!p->problem ||
        !mt_jv_work(p->h, 32)) /* the heap's own fault; the words of a refusal take their time */
        return MT_NONE;
    struct mt_buf out;
    mt_buf_init(&out, p->h->max);
    mt_buf_puts(&out, p->problem);
    if (positioned) {
        const char *at = p->p ? p->p : p->end;
        size_t line = 1, column = 0;
        for (const char *q = p->start; q < at; q++) {
            column = *q == '\n' ? 0 : column + 1;
            line += *q == '\n';
        }
        mt_buf_printf(&out, " at %sline %zu, column %zu", p->p ? "" : "EOF at ", line, column);
    }
    mt_buf_puts(&out, " (while parsing '");
    mt_buf_add(&out, p->start, (size_t)(p->end - p->start));
    mt_buf_puts(&out, "')");
    struct mt_jv text = mt_text_take(p->h, &out);
    return mt_jv_is_none(text) ? text : mt_jv_raise_value(p->h, text);
}

struct mt_jv mt_native_fromjson(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[0], MT_STRING))
        return mt_text_refuse(h, args[0], "only strings can be parsed");
    struct mt_slice s = mt_jv_text(args[0]);
    if (!mt_jv_work(h, s.n / 4 + 1)) /* a value may be two bytes */
        return MT_NONE;
    struct parser p = {.h = h, .start = s.p, .p = s.p, .end = s.p + s.n, .next = MT_NONE};
    if (s.n >= 3 && memcmp(s.p, "\xEF\xBB\xBF", 3) == 0)
        p.p += 3;
    struct mt_jv v = read_value(&p);
    bool positioned = true;
    if (mt_jv_is_none(v) && !p.failed) {
        positioned = false;
        fail(&p, "Expected JSON value");
    }
    if (!p.failed && !mt_jv_is_none(read_value(&p))) {
        positioned = false;
        fail(&p, "Unexpected extra JSON values");
    }
    if (p.failed)
        v = complain(&p, positioned);
    free(p.levels);
    return v;
}
