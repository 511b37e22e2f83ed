/* The parser: one pass over the bytes, no recursion, strict RFC 8259 (what it forgives: see document.h). Any
 * thread.
 *
 * Checking and building are the same code (run): the compiler makes one function with the building and one
 * without. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "json/layout.h"
#include "json/scan.h"

enum { DEFAULT_DEPTH = 10000, NEST_WORDS = (DEFAULT_DEPTH + 63) / 64 };

#define DEFAULT_BYTES ((size_t)1 << 30)

struct parser {
    struct mt_slice text;
    struct mt_json_limits limits;
    struct mt_draft *draft;
    uint64_t *nest; /* one bit a level: is the container around it an object? */
    /* The end of the last thing that writing would spell otherwise: a blank, a needless escape. */
    const char *untidy;
    struct mt_err *err;
};

/* A bad text: where, what was expected, what is there instead. */
static const char *broken(const struct parser *ps, const char *p, const char *what)
{
    size_t at = (size_t)(p - ps->text.p), line = 1, column = at + 1;
    for (size_t i = 0; i < at; i++) {
        if (ps->text.p[i] == '\n') {
            line++;
            column = at - i;
        }
    }
    char met[32] = "the end";
    if (at < ps->text.n) {
        unsigned char c = (unsigned char)*p;
        snprintf(met, sizeof met, c > 0x20 && c < 0x7F ? "'%c'" : "byte 0x%02X", c);
    }
    mt_fail(ps->err, MT_EDATA, "not valid JSON at byte %zu (line %zu, column %zu): %s, met %s", at, line,
            column, what, met);
    return NULL;
}

static enum mt_rc too_deep(const struct parser *ps, const char *p)
{
    return mt_fail(ps->err, MT_ELIMIT, "JSON is nested deeper than the limit of %u levels, at byte %zu",
                   ps->limits.depth, (size_t)(p - ps->text.p));
}

static enum mt_rc not_grown(const struct parser *ps)
{
    if (ps->draft->rc == MT_ELIMIT)
        return mt_fail(ps->err, MT_ELIMIT, "JSON of %zu bytes has more values than a document can hold",
                       ps->text.n);
    return mt_fail(ps->err, MT_ENOMEM, "no memory for the document of %zu bytes of JSON", ps->text.n);
}

static inline const char *blanks(struct parser *ps, const char *p, const char *end)
{
    if (p < end && (unsigned char)*p > ' ')
        return p;
    const char *from = p;
    for (;;) {
        while (end - p >= 8 && mt_scan_word(p) == MT_BYTES(' '))
            p += 8;
        if (p == end || (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t'))
            break;
        p++;
    }
    if (p != from)
        ps->untidy = p;
    return p;
}

static inline int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t hex4(const char *p)
{
    return (uint32_t)(hex(p[0]) << 12 | hex(p[1]) << 8 | hex(p[2]) << 4 | hex(p[3]));
}

/* p is at the backslash. Returns what follows the escape. */
static const char *escape(struct parser *ps, const char *p, const char *end)
{
    const char *c = p + 1;
    if (c == end)
        return broken(ps, c, "the text is cut short in a string");
    switch (*c) {
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return c + 1;
    case '/':
        ps->untidy = c;
        return c + 1;
    case 'u':
        ps->untidy = c++;
        for (int i = 0; i < 4; i++, c++) {
            if (c == end)
                return broken(ps, c, "the text is cut short in a string");
            if (hex(*c) < 0)
                return broken(ps, c, "\\u takes four hexadecimal digits");
        }
        return c;
    default:
        return broken(ps, c, "a backslash in a string is followed by one of \"\\/bfnrtu");
    }
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

/* Decodes a string that was scanned already; what comes out is never longer. A surrogate without its other
 * half becomes U+FFFD, and what follows it is read by itself. */
static char *decode(char *out, const char *p, const char *end)
{
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        memcpy(out, p, n);
        out += n;
        if (!slash)
            break;
        p = slash + 2;
        switch (slash[1]) {
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
            *out++ = slash[1];
        }
    }
    return out;
}

/* p is behind the opening quote. Fills cell (its link aside). Returns what follows the closing quote; NULL:
 * refused. */
static inline __attribute__((always_inline)) const char *
string(struct parser *ps, const char *p, const char *end, const bool build, struct mt_cell *cell)
{
    const char *from = p;
    uint8_t flags = 0;
    bool escaped = false;
    for (;;) {
        p = mt_scan_plain(p, end);
        if (p == end)
            return broken(ps, p, "the text is cut short in a string");
        unsigned char c = (unsigned char)*p;
        if (c == '"')
            break;
        if (c == '\\') {
            escaped = true;
            p = escape(ps, p, end);
            if (!p)
                return NULL;
        } else if (c >= 0x80) {
            do {
                unsigned n = mt_scan_utf8(p, end);
                if (n == 0)
                    return broken(ps, p, "a string holds bytes that are not UTF-8");
                p += n;
            } while (p < end && (unsigned char)*p >= 0x80);
        } else if (c == 0x7F) {
            flags = MT_CELL_ESCAPE;
            ps->untidy = p++;
        } else {
            return broken(ps, p, "a control character in a string must be escaped");
        }
    }
    if (!build)
        return p + 1;
    size_t n = (size_t)(p - from);
    if (!escaped) {
        *cell = (struct mt_cell){
            .kind = MT_STRING, .flags = flags, .from = (uint32_t)(from - ps->text.p), .n = (uint32_t)n};
        return p + 1;
    }
    struct mt_buf *side = &ps->draft->side;
    char *out = mt_draft_side(ps->draft, n);
    if (!out) {
        not_grown(ps);
        return NULL;
    }
    size_t decoded = (size_t)(decode(out, from, p) - out);
    *cell = (struct mt_cell){.kind = MT_STRING,
                             .flags = MT_CELL_SIDE | MT_CELL_ESCAPE,
                             .from = (uint32_t)side->n,
                             .n = (uint32_t)decoded};
    side->n += decoded;
    return p + 1;
}

/* true, false, null. Returns what follows; NULL: refused. */
static const char *word(struct parser *ps, const char *p, const char *end, struct mt_cell *cell)
{
    static const struct {
        struct mt_slice text;
        struct mt_cell cell;
    } words[] = {
        {{"true", 4}, {.kind = MT_BOOL, .flags = MT_CELL_TRUE}},
        {{"false", 5}, {.kind = MT_BOOL}},
        {{"null", 4}, {.kind = MT_NULL}},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (*p != words[i].text.p[0])
            continue;
        size_t n = 1;
        while (n < words[i].text.n && p + n < end && p[n] == words[i].text.p[n])
            n++;
        if (n < words[i].text.n)
            return broken(ps, p + n, "expected one of true, false and null");
        *cell = words[i].cell;
        return p + n;
    }
    return broken(ps, p, "expected a value");
}

static const char *number(struct parser *ps, const char *p, const char *end, struct mt_cell *cell)
{
    bool plain = false;
    const char *bad = p, *after = mt_json_number(p, end, &plain, &bad);
    if (!after)
        return broken(ps, bad, "expected a digit of a number");
    *cell = (struct mt_cell){.kind = MT_NUMBER,
                             .flags = plain ? MT_CELL_INTEGER : 0,
                             .from = (uint32_t)(p - ps->text.p),
                             .n = (uint32_t)(after - p)};
    return after;
}

static inline bool nested_in_object(const uint64_t *nest, uint32_t depth)
{
    return nest[depth / 64] >> depth % 64 & 1;
}

static inline __attribute__((always_inline)) enum mt_rc run(struct parser *ps, const bool build)
{
    const char *p = ps->text.p, *const end = p + ps->text.n;
    struct mt_draft *const d = ps->draft;
    struct mt_cell unused, *cell = &unused;
    uint32_t open = MT_NO_CELL, depth = 0;
    bool in_object = false;

    if (ps->text.n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    ps->untidy = p;

value:
    p = blanks(ps, p, end);
    if (p == end) {
        broken(ps, p,
               depth ? "the text is cut short, expected a value" : "the text is empty, expected a value");
        return MT_EDATA;
    }
    if (*p == '{' || *p == '[') {
        in_object = *p == '{';
        if (depth == ps->limits.depth)
            return too_deep(ps, p);
        uint64_t bit = (uint64_t)1 << depth % 64, *bits = &ps->nest[depth / 64];
        *bits = in_object ? *bits | bit : *bits & ~bit;
        depth++;
        if (build) {
            open = mt_draft_open(d, in_object ? MT_OBJECT : MT_ARRAY, open);
            if (open == MT_NO_CELL)
                return not_grown(ps);
            d->cells[open].from = (uint32_t)(p - ps->text.p);
        }
        p = blanks(ps, p + 1, end);
        if (p < end && *p == (in_object ? '}' : ']'))
            goto close;
        if (in_object)
            goto name;
        goto value;
    }
    if (build && !(cell = mt_draft_add(d)))
        return not_grown(ps);
    if (*p == '"')
        p = string(ps, p + 1, end, build, cell);
    else if (*p == '-' || (*p >= '0' && *p <= '9'))
        p = number(ps, p, end, cell);
    else
        p = word(ps, p, end, cell);
    if (!p)
        goto refused;

after:
    if (depth == 0) {
        p = blanks(ps, p, end);
        if (p < end) {
            broken(ps, p, "expected nothing behind the value");
            return MT_EDATA;
        }
        return MT_OK;
    }
    if (build)
        d->cells[open + 1].from++;
    p = blanks(ps, p, end);
    if (p < end && *p == ',') {
        p++;
        if (!in_object)
            goto value;
        p = blanks(ps, p, end);
        goto name;
    }
    if (p == end || *p != (in_object ? '}' : ']')) {
        broken(ps, p, in_object ? "expected ',' or '}'" : "expected ',' or ']'");
        return MT_EDATA;
    }

close:
    p++;
    if (build) {
        struct mt_cell *c = &d->cells[open];
        const char *from = ps->text.p + c->from;
        bool duplicates;
        c->n = (uint32_t)(p - from);
        uint32_t closed = open;
        if (!mt_draft_close(d, closed, &open, &duplicates))
            return not_grown(ps);
        if (duplicates)
            ps->untidy = p;
        if (ps->untidy <= from)
            d->cells[closed].flags |= MT_CELL_TIDY;
    }
    depth--;
    in_object = depth && nested_in_object(ps->nest, depth - 1);
    goto after;

name:
    if (p == end || *p != '"') {
        broken(ps, p, "expected a member's name in quotes");
        return MT_EDATA;
    }
    if (build && !(cell = mt_draft_add(d)))
        return not_grown(ps);
    p = string(ps, p + 1, end, build, cell);
    if (!p)
        goto refused;
    if (build)
        cell->link = d->count;
    p = blanks(ps, p, end);
    if (p == end || *p != ':') {
        broken(ps, p, "expected ':' behind a member's name");
        return MT_EDATA;
    }
    p++;
    goto value;

refused:
    return build && d->rc != MT_OK ? d->rc : MT_EDATA;
}

static __attribute__((noinline)) enum mt_rc run_check(struct parser *ps)
{
    return run(ps, false);
}

static __attribute__((noinline)) enum mt_rc run_build(struct parser *ps)
{
    return run(ps, true);
}

static enum mt_rc parse(struct mt_slice text, const struct mt_json_limits *limits, struct mt_draft *draft,
                        struct mt_err *err)
{
    struct parser ps = {.text = text, .draft = draft, .err = err};
    uint64_t few[NEST_WORDS], *many = NULL;
    if (limits)
        ps.limits = *limits;
    if (!ps.limits.bytes)
        ps.limits.bytes = DEFAULT_BYTES;
    if (!ps.limits.depth)
        ps.limits.depth = DEFAULT_DEPTH;
    if (!text.p)
        ps.text = MT_SLICE("");
    if (text.n > ps.limits.bytes)
        return mt_fail(err, MT_ELIMIT, "JSON of %zu bytes is larger than the limit of %zu", text.n,
                       ps.limits.bytes);
    if (text.n > UINT32_MAX) /* offsets have 32 bits */
        return mt_fail(err, MT_ELIMIT, "JSON of %zu bytes is larger than a document can be (4 GiB)", text.n);
    ps.nest = few;
    size_t levels = text.n < ps.limits.depth ? text.n : ps.limits.depth;
    if (levels > DEFAULT_DEPTH) {
        many = mt_try_alloc((levels + 63) / 64 * sizeof *many);
        if (!many)
            return mt_fail(err, MT_ENOMEM, "no memory for %zu levels of JSON", levels);
        ps.nest = many;
    }
    enum mt_rc rc = draft ? run_build(&ps) : run_check(&ps);
    free(many);
    return rc;
}

enum mt_rc mt_json_check(struct mt_slice text, const struct mt_json_limits *limits, struct mt_err *err)
{
    return parse(text, limits, NULL, err);
}

enum mt_rc mt_doc_parse(struct mt_buf *text, const struct mt_json_limits *limits, struct mt_doc **out_doc,
                        struct mt_err *err)
{
    struct mt_slice source = mt_buf_slice(text);
    struct mt_draft d;
    mt_draft_init(&d, source);
    enum mt_rc rc = parse(source, limits, &d, err);
    if (rc != MT_OK)
        goto out;
    /* The buffer's NUL behind the text ends a number that ends the text. */
    struct mt_doc *doc;
    bool failed = text->failed;
    if (mt_buf_reserve(text, 0) && mt_draft_finish(&d, text, &doc) == MT_OK)
        *out_doc = doc;
    else
        rc = mt_fail(err, MT_ENOMEM, "no memory for the document of %zu bytes of JSON", source.n);
    text->failed = rc != MT_OK && failed;
out:
    mt_draft_fini(&d);
    return rc;
}

enum mt_rc mt_doc_parse_copy(struct mt_slice text, const struct mt_json_limits *limits,
                             struct mt_doc **out_doc, struct mt_err *err)
{
    struct mt_buf copy;
    mt_buf_init(&copy, text.n);
    enum mt_rc rc;
    if (mt_buf_reserve(&copy, text.n) && mt_buf_put(&copy, text))
        rc = mt_doc_parse(&copy, limits, out_doc, err);
    else
        rc = mt_fail(err, MT_ENOMEM, "no memory for a copy of %zu bytes of JSON", text.n);
    mt_buf_fini(&copy);
    return rc;
}
