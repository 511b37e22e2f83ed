/* The parser: one pass over the bytes, no recursion, strict RFC 8259 (what it forgives: see document.h). Any
 * thread.
 *
 * Checking, building and building with a hint are the same code (run): the compiler makes a function of each.
 *
 * Why our own and why one pass. GB/s on 2,206 repositories of GitHub (5.5 KB each, compact) and 609 issues,
 * best of 30 rounds in turn on one x86-64 core, Release (spec/bench/parse_bench.cc; parsing takes in the
 * copy of the text and the release of the document):
 *
 *                                          repositories   issues
 *   libsimdjson 3.0.1, DOM (AVX-512)           4.5          3.5
 *   libsimdjson, on demand, every value        3.6          3.1
 *   libsimdjson, on demand, 7 names            3.9          2.7
 *   check (what a part left out costs)         4.2          3.5
 *   parse with a mapping's hint                2.9          2.5
 *   parse                                      2.7          1.7
 *
 * A DOM of simdjson's would have to be walked into cells still, with its numbers gone as doubles, and on
 * demand it does not look at what it skips. A table of structural bits first was not built: it could help
 * the check, which is at the DOM's speed as it is, but not the building. Scanning strings by 16 bytes is
 * worth a fifth of the check (4.4 against 3.6 by 8 bytes in a register); by 32 bytes with AVX2 the same
 * (4.4), by 32 and 64 bytes of SSE2 less (4.0, 3.5), as most strings are shorter: so there is no dispatch by
 * processor. */
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
    const struct mt_names *read;
    uint64_t *nest; /* one bit a level: is the container around it an object? */
    /* The end of the last thing that writing would spell otherwise: a blank, a needless escape. */
    const char *untidy;
    enum mt_rc rc; /* of the refusal */
    struct mt_err *err;
};

/* The refusals return NULL. A bad text: where, what was expected, what is there instead. */
static __attribute__((cold)) const char *broken(struct parser *ps, const char *p, const char *what)
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
    ps->rc = mt_fail(ps->err, MT_EDATA, "not valid JSON at byte %zu (line %zu, column %zu): %s, met %s", at,
                     line, column, what, met);
    return NULL;
}

static __attribute__((cold)) const char *too_deep(struct parser *ps, const char *p)
{
    ps->rc = mt_fail(ps->err, MT_ELIMIT, "JSON is nested deeper than the limit of %u levels, at byte %zu",
                     ps->limits.depth, (size_t)(p - ps->text.p));
    return NULL;
}

static __attribute__((cold)) const char *not_grown(struct parser *ps)
{
    ps->rc = ps->draft->rc == MT_ELIMIT
                 ? mt_fail(ps->err, MT_ELIMIT, "JSON of %zu bytes has more values than a document can hold",
                           ps->text.n)
                 : mt_fail(ps->err, MT_ENOMEM, "no memory for the document of %zu bytes of JSON", ps->text.n);
    return NULL;
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
            if (mt_scan_hex(*c) < 0)
                return broken(ps, c, "\\u takes four hexadecimal digits");
        }
        return c;
    default:
        return broken(ps, c, "a backslash in a string is followed by one of \"\\/bfnrtu");
    }
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
            if (end - p > 1 && (p[1] == 'n' || p[1] == 'r' || p[1] == '"')) {
                p += 2;
                continue;
            }
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
    if (!out)
        return not_grown(ps);
    size_t decoded = (size_t)(mt_json_unescape(out, from, p) - out);
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

enum mode { CHECK, BUILD, BUILD_READ };

static const char *run_check(struct parser *ps, const char *p, uint32_t depth);

/* One value with the blanks before it. p: where it begins; depth: of what is around it. Returns what follows;
 * NULL: refused. */
static inline __attribute__((always_inline)) const char *run(struct parser *ps, const char *p,
                                                             const uint32_t around, const enum mode mode)
{
    const char *const end = ps->text.p + ps->text.n;
    struct mt_draft *const d = ps->draft;
    const bool build = mode != CHECK;
    struct mt_cell unused, *cell = &unused;
    uint32_t open = MT_NO_CELL, depth = around;
    bool in_object = false, left_out = false;

value:
    p = blanks(ps, p, end);
    if (p == end)
        return broken(
            ps, p, depth ? "the text is cut short, expected a value" : "the text is empty, expected a value");
    if (*p == '{' || *p == '[') {
        if (mode == BUILD_READ && left_out) {
            p = run_check(ps, p, depth);
            if (!p)
                return NULL;
            ps->untidy = p; /* two names in it may be the same, as below */
            goto after;
        }
        in_object = *p == '{';
        if (depth == ps->limits.depth)
            return too_deep(ps, p);
        uint64_t bit = (uint64_t)1 << depth % 64, *bits = &ps->nest[depth / 64];
        *bits = in_object ? *bits | bit : *bits & ~bit;
        depth++;
        if (build) {
            open = mt_draft_open(d, in_object ? MT_OBJECT : MT_ARRAY, mode == BUILD_READ && in_object, open);
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
    if (mode == BUILD_READ && left_out)
        cell = &unused;
    else if (build && !(cell = mt_draft_add(d)))
        return not_grown(ps);
    if (*p == '"')
        p = string(ps, p + 1, end, build && !(mode == BUILD_READ && left_out), cell);
    else if (*p == '-' || (*p >= '0' && *p <= '9'))
        p = number(ps, p, end, cell);
    else
        p = word(ps, p, end, cell);
    if (!p)
        return NULL;

after:
    if (depth == around)
        return p;
    if (mode == BUILD_READ && left_out)
        left_out = false;
    else if (build)
        d->cells[open + 1].from++;
    p = blanks(ps, p, end);
    if (p < end && *p == ',') {
        p++;
        if (!in_object)
            goto value;
        p = blanks(ps, p, end);
        goto name;
    }
    if (p == end || *p != (in_object ? '}' : ']'))
        return broken(ps, p, in_object ? "expected ',' or '}'" : "expected ',' or ']'");

close:
    p++;
    if (build) {
        uint32_t closed = open;
        const char *from = ps->text.p + d->cells[closed].from;
        bool duplicates;
        if (!mt_draft_close(d, closed, &open, &duplicates))
            return not_grown(ps);
        d->cells[closed].n = (uint32_t)(p - from);
        if (duplicates)
            ps->untidy = p;
        if (ps->untidy <= from)
            d->cells[closed].flags |= MT_CELL_TIDY;
    }
    depth--;
    in_object = depth > around && nested_in_object(ps->nest, depth - 1);
    goto after;

name:
    if (p == end || *p != '"')
        return broken(ps, p, "expected a member's name in quotes");
    if (mode == BUILD_READ) {
        struct mt_cell named;
        p = string(ps, p + 1, end, true, &named);
        if (!p)
            return NULL;
        struct mt_slice name = mt_cell_bytes(&named, ps->text.p, d->side.p);
        left_out =
            (name.n > 0 && !mt_names_may(ps->read, mt_names_spread(name))) || !mt_names_has(ps->read, name);
        if (left_out) {
            if (named.flags & MT_CELL_SIDE)
                d->side.n = named.from;
            /* Two names that were left out may be the same. */
            if (d->cells[open].n++ > 0)
                ps->untidy = p;
        } else {
            cell = mt_draft_add(d);
            if (!cell)
                return not_grown(ps);
            *cell = named;
            cell->link = d->count;
        }
    } else {
        if (build && !(cell = mt_draft_add(d)))
            return not_grown(ps);
        p = string(ps, p + 1, end, build, cell);
        if (!p)
            return NULL;
        if (build)
            cell->link = d->count;
    }
    p = blanks(ps, p, end);
    if (p == end || *p != ':')
        return broken(ps, p, "expected ':' behind a member's name");
    p++;
    goto value;
}

static __attribute__((noinline)) const char *run_check(struct parser *ps, const char *p, uint32_t depth)
{
    return run(ps, p, depth, CHECK);
}

static __attribute__((noinline)) const char *run_build(struct parser *ps, const char *p)
{
    return run(ps, p, 0, BUILD);
}

static __attribute__((noinline)) const char *run_build_read(struct parser *ps, const char *p)
{
    return run(ps, p, 0, BUILD_READ);
}

/* The record of nesting for as many levels as the text can have. NULL: no memory. */
static uint64_t *nest_for(const struct parser *ps, size_t bytes, uint64_t few[NEST_WORDS])
{
    size_t levels = bytes < ps->limits.depth ? bytes : ps->limits.depth;
    return levels <= DEFAULT_DEPTH ? few : mt_try_alloc((levels + 63) / 64 * sizeof *few);
}

static struct mt_json_limits settled(const struct mt_json_limits *limits)
{
    struct mt_json_limits l = limits ? *limits : (struct mt_json_limits){0};
    if (!l.bytes)
        l.bytes = DEFAULT_BYTES;
    if (!l.depth)
        l.depth = DEFAULT_DEPTH;
    return l;
}

static enum mt_rc parse(struct mt_slice text, const struct mt_json_limits *limits, struct mt_draft *draft,
                        const struct mt_names *read, struct mt_err *err)
{
    struct parser ps = {
        .text = text, .limits = settled(limits), .draft = draft, .read = read, .rc = MT_OK, .err = err};
    uint64_t few[NEST_WORDS];
    if (!text.p)
        ps.text = MT_SLICE("");
    if (text.n > ps.limits.bytes)
        return mt_fail(err, MT_ELIMIT, "JSON of %zu bytes is larger than the limit of %zu", text.n,
                       ps.limits.bytes);
    if (text.n > UINT32_MAX) /* offsets have 32 bits */
        return mt_fail(err, MT_ELIMIT, "JSON of %zu bytes is larger than a document can be (4 GiB)", text.n);
    ps.nest = nest_for(&ps, text.n, few);
    if (!ps.nest)
        return mt_fail(err, MT_ENOMEM, "no memory for the nesting of %zu bytes of JSON", text.n);
    const char *p = ps.text.p, *end = p + text.n;
    if (text.n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    ps.untidy = p;
    p = !draft ? run_check(&ps, p, 0) : read ? run_build_read(&ps, p) : run_build(&ps, p);
    if (p) {
        p = blanks(&ps, p, end);
        if (p < end)
            broken(&ps, p, "expected nothing behind the value");
    }
    if (ps.nest != few)
        free(ps.nest);
    return ps.rc;
}

enum mt_rc mt_json_check(struct mt_slice text, const struct mt_json_limits *limits, struct mt_err *err)
{
    return parse(text, limits, NULL, NULL, err);
}

enum mt_rc mt_doc_parse_for(struct mt_buf *text, const struct mt_json_limits *limits,
                            const struct mt_names *read, struct mt_doc **out_doc, struct mt_err *err)
{
    struct mt_slice source = mt_buf_slice(text);
    struct mt_draft d;
    mt_draft_init(&d, source);
    if (read)
        d.expected = d.expected / 8 + 8;
    enum mt_rc rc = parse(source, limits, &d, read, err);
    if (rc != MT_OK)
        goto out;
    /* The buffer's NUL behind the text ends a number that ends the text. */
    struct mt_doc *doc;
    bool failed = text->failed;
    if (mt_buf_reserve(text, 0) && mt_draft_finish(&d, text, &doc) == MT_OK) {
        if (read) {
            doc->read = mt_names_ref(read);
            doc->depth = settled(limits).depth;
        }
        *out_doc = doc;
    } else {
        rc = mt_fail(err, MT_ENOMEM, "no memory for the document of %zu bytes of JSON", source.n);
    }
    text->failed = rc != MT_OK && failed;
out:
    mt_draft_fini(&d);
    return rc;
}

enum mt_rc mt_doc_parse(struct mt_buf *text, const struct mt_json_limits *limits, struct mt_doc **out_doc,
                        struct mt_err *err)
{
    return mt_doc_parse_for(text, limits, NULL, out_doc, err);
}

enum mt_rc mt_part_parse(const struct mt_doc *owner, const struct mt_cell *object, struct mt_doc **out_part)
{
    struct mt_slice span = {owner->source + object->from, object->n};
    struct mt_draft d;
    uint64_t few[NEST_WORDS];
    mt_draft_init(&d, span);
    d.source = owner->source;
    struct parser ps = {.text = {owner->source, object->from + (size_t)object->n},
                        .limits = {.depth = owner->depth},
                        .draft = &d,
                        .untidy = span.p,
                        .rc = MT_OK};
    ps.nest = nest_for(&ps, span.n, few);
    if (!ps.nest)
        return MT_ENOMEM;
    if (run_build(&ps, span.p))
        ps.rc = mt_draft_finish(&d, NULL, out_part);
    if (ps.rc == MT_OK) {
        (*out_part)->source = owner->source;
        (*out_part)->owner = (struct mt_doc *)(uintptr_t)owner;
    }
    if (ps.nest != few)
        free(ps.nest);
    mt_draft_fini(&d);
    return ps.rc;
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
