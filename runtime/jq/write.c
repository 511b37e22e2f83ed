/* Values as text, as a document and as a digest. Nothing recurses: values may nest as deep as they like. On
 * the thread of the heap, of which only the steps are touched. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "jq/decimal.h"
#include "jq/heap.h"
#include "json/digest.h"

enum { FEW_LEVELS = 16, WRITTEN_LEVELS = 10001, SHOWN_BYTES = 29, DIGITS_STEPS = 50 };

struct member {
    struct mt_jv key, value;
};

struct level {
    struct mt_jv_iter parts;
    struct member *members; /* sorted; NULL: parts are given in their order */
    size_t at, count;
    bool object, comma;
    struct mt_digest sum, name; /* of mt_jv_digest */
};

/* The containers around a value, outermost first. */
struct stack {
    struct level few[FEW_LEVELS], *levels;
    size_t depth, cap;
};

static void stack_init(struct stack *s)
{
    s->levels = s->few;
    s->depth = 0;
    s->cap = FEW_LEVELS;
}

static void pop(struct stack *s)
{
    free(s->levels[--s->depth].members);
}

static void stack_fini(struct stack *s)
{
    while (s->depth > 0)
        pop(s);
    if (s->levels != s->few)
        free(s->levels);
}

static struct level *push(struct stack *s, struct mt_jv container)
{
    if (s->depth == s->cap) {
        struct level *levels = s->levels == s->few ? NULL : s->levels;
        levels = mt_realloc(levels, 2 * s->cap * sizeof *levels);
        if (s->levels == s->few)
            memcpy(levels, s->few, sizeof s->few);
        s->levels = levels;
        s->cap *= 2;
    }
    struct level *l = &s->levels[s->depth++];
    *l = (struct level){.parts = mt_jv_iter_of(container), .object = mt_jv_is(container, MT_OBJECT)};
    return l;
}

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return mt_jv_compare(x->key, y->key);
}

/* false: no memory. */
static bool sort_members(struct level *l)
{
    size_t n = mt_jv_count(l->parts.container);
    if (!l->object || n == 0)
        return true;
    l->members = mt_try_alloc(n * sizeof *l->members);
    if (!l->members)
        return false;
    while (l->count < n && mt_jv_iter_peek(&l->parts, &l->members[l->count].key, &l->members[l->count].value))
        l->count++;
    qsort(l->members, l->count, sizeof *l->members, by_name);
    return true;
}

static bool next(struct level *l, struct mt_jv *key, struct mt_jv *value)
{
    if (!l->members)
        return mt_jv_iter_peek(&l->parts, key, value);
    if (l->at == l->count)
        return false;
    *key = l->members[l->at].key;
    *value = l->members[l->at++].value;
    return true;
}

static bool is_container(struct mt_jv v)
{
    enum mt_kind kind = mt_jv_kind(v);
    return kind == MT_ARRAY || kind == MT_OBJECT;
}

/* Digits of a whole number; returns their count. */
static int whole_digits(uint64_t value, char out[20])
{
    char backwards[20];
    int n = 0;
    do {
        backwards[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (int i = 0; i < n; i++)
        out[i] = backwards[n - 1 - i];
    return n;
}

/* Digits of a double, the fewest that read back as it: value = 0.DIGITS * 10^point. Returns their count. */
static int shortest(double value, char digits[20], int *point)
{
    /* Most numbers have few places: whole numbers of hundredths and so on below 10^15 are exact, and one
     * division of two of them is rounded right, so what divides back is what reads back. */
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    for (int places = 0; places < 10 && value >= 1e-3; places++) {
        double whole = value * powers[places];
        if (whole >= 1e15)
            break;
        if (whole != trunc(whole) || whole / powers[places] != value)
            continue;
        int n = whole_digits((uint64_t)whole, digits);
        *point = n - places;
        while (n > 1 && digits[n - 1] == '0')
            n--;
        return n;
    }
    char text[40];
    int from = value < DBL_MIN ? 1 : 15; /* subnormals have fewer digits */
    for (int precision = from; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        /* Read back by the same locale that wrote it. */
        if (precision == 17 || strtod(text, NULL) == value)
            break;
    }
    int n = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') /* the decimal point is the locale's */
            digits[n++] = *p;
    *point = atoi(p + 1) + 1;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

size_t mt_jv_format_number(double value, char out[MT_JV_NUMBER_SIZE])
{
    char *p = out;
    if (isnan(value))
        return (size_t)snprintf(out, MT_JV_NUMBER_SIZE, "null");
    if (signbit(value))
        *p++ = '-';
    value = fabs(value);
    if (value < 0x1p53 && value == trunc(value)) {
        p += whole_digits((uint64_t)value, p);
        *p = '\0';
        return (size_t)(p - out);
    }
    if (isinf(value))
        value = DBL_MAX;
    char digits[20];
    int point, n = shortest(value, digits, &point);
    if (point <= -4 || point > n + 15) {
        *p++ = digits[0];
        if (n > 1)
            *p++ = '.';
        memcpy(p, digits + 1, (size_t)(n - 1));
        p += n - 1;
        p += snprintf(p, (size_t)(MT_JV_NUMBER_SIZE - (p - out)), "e%+03d", point - 1);
        return (size_t)(p - out);
    }
    if (point <= 0) {
        memcpy(p, "0.0000", 6);
        p += 2 - point;
        memcpy(p, digits, (size_t)n);
        p += n;
    } else {
        for (int i = 0; i < n || i < point; i++) {
            if (i == point)
                *p++ = '.';
            *p++ = i < n ? digits[i] : '0';
        }
    }
    *p = '\0';
    return (size_t)(p - out);
}

/* How values are written. enough: stop when so many bytes are there, and take no more of a string. */
struct writer {
    struct mt_buf *out;
    bool sorted;
    size_t enough;           /* 0: no end */
    struct mt_jv_heap *heap; /* whose steps it takes; NULL: nobody's */
};

static void put_string(const struct writer *w, struct mt_jv v)
{
    struct mt_slice text = mt_jv_text(v);
    if (w->enough > 0 && text.n > 2 * w->enough) /* a cut drops 3 bytes at most: it still is too long */
        mt_buf_put_json_string(w->out, mt_utf8_cut(text, 2 * w->enough));
    else if (v.tag == MT_JV_DOC)
        mt_val_write((struct mt_val){v.doc, v.at}, w->out);
    else
        mt_buf_put_json_string(w->out, text);
}

static void put_number(const struct writer *w, struct mt_jv v)
{
    struct mt_slice spelling = mt_jv_spelling(v);
    char text[MT_JV_NUMBER_SIZE];
    if (!spelling.p)
        mt_buf_add(w->out, text, mt_jv_format_number(v.number, text));
    else if (w->enough > 0 && spelling.n > w->enough && mt_decimal_is_canonical(spelling))
        mt_buf_add(w->out, spelling.p, w->enough);
    else
        mt_decimal_write(spelling, w->out);
}

static void put_scalar(const struct writer *w, struct mt_jv v)
{
    switch (mt_jv_kind(v)) {
    case MT_BOOL:
        mt_buf_puts(w->out, v.tag == MT_JV_TRUE ? "true" : "false");
        break;
    case MT_NUMBER:
        put_number(w, v);
        break;
    case MT_STRING:
        put_string(w, v);
        break;
    default:
        mt_buf_puts(w->out, "null");
    }
}

static uint64_t steps_of(struct mt_jv v)
{
    if (v.tag == MT_JV_NUMBER && v.number != trunc(v.number))
        return DIGITS_STEPS;
    return 1;
}

static bool write_value(const struct writer *w, struct mt_jv v)
{
    struct stack s;
    struct mt_jv key;
    stack_init(&s);
    for (;;) {
        if (w->heap && !mt_jv_work(w->heap, steps_of(v))) {
            stack_fini(&s);
            return false;
        }
        if (!is_container(v)) {
            const size_t before = w->out->n;
            put_scalar(w, v);
            if (w->heap && !mt_jv_work(w->heap, (w->out->n - before) / 2)) { /* "\u0001" is six */
                stack_fini(&s);
                return false;
            }
        } else if (s.depth == WRITTEN_LEVELS) {
            mt_buf_puts(w->out, "<skipped: too deep>");
        } else {
            struct level *l = push(&s, v);
            if (w->sorted && !sort_members(l))
                w->out->failed = true;
            mt_buf_putc(w->out, l->object ? '{' : '[');
        }
        if (w->out->failed || (w->enough > 0 && w->out->n >= w->enough))
            break;
        while (s.depth > 0 && !next(&s.levels[s.depth - 1], &key, &v)) {
            mt_buf_putc(w->out, s.levels[s.depth - 1].object ? '}' : ']');
            pop(&s);
        }
        if (s.depth == 0)
            break;
        struct level *top = &s.levels[s.depth - 1];
        if (top->comma)
            mt_buf_putc(w->out, ',');
        top->comma = true;
        if (top->object) {
            put_string(w, key);
            mt_buf_putc(w->out, ':');
        }
    }
    stack_fini(&s);
    return !w->out->failed;
}

bool mt_jv_write(struct mt_jv v, struct mt_buf *out)
{
    return write_value(&(struct writer){.out = out}, v);
}

bool mt_jv_write_stepping(struct mt_jv_heap *h, struct mt_jv v, struct mt_buf *out)
{
    return write_value(&(struct writer){.out = out, .heap = h}, v);
}

bool mt_jv_write_begin(struct mt_jv v, size_t enough, struct mt_buf *out)
{
    return write_value(&(struct writer){.out = out, .enough = enough}, v);
}

bool mt_jv_write_sorted(struct mt_jv v, struct mt_buf *out)
{
    return write_value(&(struct writer){.out = out, .sorted = true}, v);
}

const char *mt_jv_show(struct mt_jv v, char out[MT_JV_SHOWN])
{
    struct mt_buf text;
    mt_buf_init(&text, 16 << 10);
    write_value(&(struct writer){.out = &text, .enough = SHOWN_BYTES + 1}, v);
    struct mt_slice shown = mt_buf_slice(&text);
    if (shown.n <= SHOWN_BYTES) {
        snprintf(out, MT_JV_SHOWN, "%s (%.*s)", mt_jv_kind_name(v), MT_FMT(shown));
    } else {
        static const char *const ends[] = {
            [MT_NULL] = "",     [MT_BOOL] = "",   [MT_NUMBER] = "",
            [MT_STRING] = "\"", [MT_ARRAY] = "]", [MT_OBJECT] = "}",
        };
        const char *end = ends[mt_jv_kind(v)];
        shown = mt_utf8_cut(shown, SHOWN_BYTES - 3 - strlen(end));
        snprintf(out, MT_JV_SHOWN, "%s (%.*s...%s)", mt_jv_kind_name(v), MT_FMT(shown), end);
    }
    mt_buf_fini(&text);
    return out;
}

static void build_number(struct mt_jv v, struct mt_builder *b)
{
    struct mt_slice spelling = mt_jv_spelling(v);
    char text[MT_JV_NUMBER_SIZE];
    if (!spelling.p) {
        if (isnan(v.number))
            mt_build_null(b);
        else
            mt_build_literal(b, (struct mt_slice){text, mt_jv_format_number(v.number, text)});
        return;
    }
    struct mt_buf canonical;
    mt_buf_init(&canonical, SIZE_MAX);
    mt_decimal_write(spelling, &canonical);
    mt_build_literal(b, canonical.failed ? spelling : mt_buf_slice(&canonical));
    mt_buf_fini(&canonical);
}

static void build_scalar(struct mt_jv v, struct mt_builder *b)
{
    switch (mt_jv_kind(v)) {
    case MT_BOOL:
        mt_build_bool(b, v.tag == MT_JV_TRUE);
        break;
    case MT_NUMBER:
        build_number(v, b);
        break;
    case MT_STRING:
        mt_build_string(b, mt_jv_text(v));
        break;
    default:
        mt_build_null(b);
    }
}

void mt_jv_build(struct mt_jv v, struct mt_builder *b)
{
    struct stack s;
    struct mt_jv key;
    stack_init(&s);
    for (;;) {
        if (v.tag == MT_JV_DOC && !mt_jv_is(v, MT_NUMBER))
            mt_build_ref(b, (struct mt_val){v.doc, v.at});
        else if (!is_container(v))
            build_scalar(v, b);
        else if (push(&s, v)->object)
            mt_build_object(b);
        else
            mt_build_array(b);
        while (s.depth > 0 && !next(&s.levels[s.depth - 1], &key, &v)) {
            mt_build_end(b);
            pop(&s);
        }
        if (s.depth == 0)
            break;
        if (s.levels[s.depth - 1].object)
            mt_build_name(b, mt_jv_text(key));
    }
    stack_fini(&s);
}

static struct mt_digest digest_of_scalar(struct mt_jv v)
{
    double number;
    switch (mt_jv_kind(v)) {
    case MT_BOOL:
        return mt_digest_bool(v.tag == MT_JV_TRUE);
    case MT_NUMBER:
        if (v.tag == MT_JV_DOC)
            return mt_digest_val((struct mt_val){v.doc, v.at});
        if (v.tag == MT_JV_LITERAL)
            return mt_digest_number(mt_decimal_nearest(mt_jv_spelling(v)));
        number = v.number;
        if (isnan(number))
            return mt_digest_null();
        if (isinf(number)) /* as it is written */
            number = copysign(DBL_MAX, number);
        return mt_digest_number(number);
    case MT_STRING:
        return mt_digest_string(mt_jv_text(v));
    default:
        return mt_digest_null();
    }
}

static void add_part(struct level *l, struct mt_digest part)
{
    if (l->object)
        mt_digest_member(&l->sum, l->name, part);
    else
        mt_digest_element(&l->sum, part);
}

static struct mt_digest close_container(const struct level *l)
{
    size_t count = mt_jv_count(l->parts.container);
    return l->object ? mt_digest_object(l->sum, count) : mt_digest_array(l->sum, count);
}

struct mt_key mt_jv_digest(struct mt_jv v)
{
    struct stack s;
    struct mt_jv key;
    struct mt_digest done = {0, 0};
    stack_init(&s);
    for (;;) {
        if (mt_jv_is_heap_container(v)) {
            push(&s, v);
        } else {
            done = v.tag == MT_JV_DOC && is_container(v) ? mt_digest_val((struct mt_val){v.doc, v.at})
                                                         : digest_of_scalar(v);
            if (s.depth > 0)
                add_part(&s.levels[s.depth - 1], done);
        }
        while (s.depth > 0 && !next(&s.levels[s.depth - 1], &key, &v)) {
            done = close_container(&s.levels[s.depth - 1]);
            pop(&s);
            if (s.depth > 0)
                add_part(&s.levels[s.depth - 1], done);
        }
        if (s.depth == 0)
            break;
        if (s.levels[s.depth - 1].object)
            s.levels[s.depth - 1].name = mt_digest_string(mt_jv_text(key));
    }
    stack_fini(&s);
    return mt_digest_key(done);
}
