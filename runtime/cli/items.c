/* Where the items of a stream begin and end: see items.h. Called by map.c, on the main thread. */
#include "cli/items.h"

#include "json/document.h"

enum {
    CHUNK = 1 << 17,
    VAIN_LEAST = 64 << 20, /* bytes that are read ahead in vain, or four times what is behind */
};

void mt_items_init(struct mt_items *r, FILE *stream)
{
    *r = (struct mt_items){.stream = stream, .line = 1, .fresh = true};
    mt_buf_init(&r->in, MT_ITEM_MAX);
}

void mt_items_of(struct mt_items *r, const struct mt_item *text)
{
    mt_items_init(r, NULL);
    mt_buf_put(&r->in, text->text);
    r->end = true;
    r->line = text->line;
    r->base = text->offset;
}

void mt_items_fini(struct mt_items *r)
{
    mt_buf_fini(&r->in);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Reads on; false at the end of the stream, or when MT_ITEM_MAX bytes are there (r->full). */
static bool fill(struct mt_items *r)
{
    if (r->end)
        return false;
    if (r->at > 0) {
        memmove(r->in.p, r->in.p + r->at, r->in.n - r->at);
        r->base += r->at;
        r->in.n -= r->at;
        r->at = 0;
    }
    size_t want =
        r->in.n > CHUNK ? r->in.n : CHUNK; /* doubles, so that a long item is searched in linear time */
    if (want > MT_ITEM_MAX - r->in.n)
        want = MT_ITEM_MAX - r->in.n;
    r->full = want == 0;
    if (r->full || !mt_buf_reserve(&r->in, want))
        return false;
    size_t got = fread(r->in.p + r->in.n, 1, want, r->stream);
    r->in.n += got;
    r->end = got < want;
    return got > 0;
}

static void advance(struct mt_items *r, size_t n)
{
    for (const char *p = r->in.p + r->at, *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        r->line++;
    r->at += n;
}

/* Bytes up to the line's end, which is not counted, from `from` bytes behind at on. */
static size_t line_length(struct mt_items *r, size_t from)
{
    for (;;) {
        size_t have = r->in.n - r->at;
        const char *end = from < have ? memchr(r->in.p + r->at + from, '\n', have - from) : NULL;
        if (end)
            return (size_t)(end - (r->in.p + r->at)) - from;
        if (!fill(r))
            return r->in.n - r->at - from;
    }
}

static struct mt_slice window(const struct mt_items *r, size_t from, size_t n)
{
    return (struct mt_slice){r->in.p + r->at + from, n};
}

/* Goes over a line of a value whose brackets are *depth deep where the line begins, and *depth deep where it
 * ends. */
enum reach {
    GOES_ON,
    ENDS,   /* *out_n bytes from the line's begin */
    BROKEN, /* a string does not end in its line */
};

static enum reach scan_line(struct mt_slice line, size_t *depth, size_t *out_n)
{
    for (size_t i = 0; i < line.n; i++)
        switch (line.p[i]) {
        case '"':
            for (i++; i < line.n && line.p[i] != '"'; i++)
                i += line.p[i] == '\\';
            if (i >= line.n)
                return BROKEN;
            break;
        case '[':
        case '{':
            ++*depth;
            break;
        case ']':
        case '}':
            if (--*depth == 0) {
                *out_n = i + 1;
                return ENDS;
            }
            break;
        default:
            break;
        }
    return GOES_ON;
}

/* What begins a line with { and ends with it. */
static bool is_whole(struct mt_slice line)
{
    size_t depth = 0, n;
    if (line.n == 0 || line.p[0] != '{' || scan_line(line, &depth, &n) != ENDS)
        return false;
    while (n < line.n && is_blank(line.p[n]))
        n++;
    return n == line.n;
}

/* Does a value go on there, `from` bytes behind at? */
static bool closes_or_separates(struct mt_items *r, size_t from)
{
    for (;; from++) {
        if (r->at + from >= r->in.n && !fill(r))
            return false;
        const char c = r->in.p[r->at + from];
        if (!is_blank(c))
            return c == ']' || c == '}' || c == ',';
    }
}

/* A value that goes on past its line: the lines that follow are added until its brackets are closed. A line
 * that is a whole object, with nothing behind it that a value around it would need, belongs to no value
 * before it, so that one broken line of NDJSON does not swallow the others. */
static bool spans_lines(struct mt_items *r, size_t *out_n)
{
    size_t n = 0, depth = 0;
    if (r->vain > VAIN_LEAST && r->vain / 4 > r->base + r->at)
        return false;
    do {
        const size_t length = line_length(r, n);
        size_t end = 0;
        if (n > 0 && is_whole(window(r, n, length)) && !closes_or_separates(r, n + length))
            break;
        const enum reach reach = scan_line(window(r, n, length), &depth, &end);
        if (reach == ENDS) {
            *out_n = n + end;
            return true;
        }
        n += length + 1;
        if (reach == BROKEN)
            break;
    } while ((r->at + n < r->in.n || fill(r)) && n < MT_ITEM_MAX / 2);
    r->vain += n;
    return false;
}

/* An element of an array: it ends where it ends, whatever lines there are. */
static bool element(struct mt_items *r, size_t *out_n)
{
    for (;;) {
        const bool whole = mt_json_next(window(r, 0, r->in.n - r->at), out_n, NULL) == MT_OK;
        /* A number or a word may go on behind what is read. */
        if (whole && (r->end || *out_n < r->in.n - r->at))
            return *out_n > 0;
        if (!fill(r))
            return whole && *out_n > 0;
    }
}

/* Moves on to the first byte that is no blank. false: the end. */
static bool skip_blanks(struct mt_items *r)
{
    for (;;) {
        for (; r->at < r->in.n && is_blank(r->in.p[r->at]); r->at++)
            if (r->in.p[r->at] == '\n') {
                r->line++;
                r->fresh = true;
            }
        if (r->at < r->in.n)
            return true;
        if (!fill(r))
            return false;
    }
}

bool mt_items_line(struct mt_items *r, struct mt_item *out)
{
    if (r->array || !skip_blanks(r) || !r->fresh || r->in.p[r->at] != '{')
        return false;
    size_t line = line_length(r, 0), n = line;
    if (r->at + line + 1 >= r->in.n && fill(r))
        line = n = line_length(r, 0); /* the next line's first byte is there, or the end is */
    while (is_blank(r->in.p[r->at + n - 1]))
        n--;
    size_t next = r->at + line + 1;
    if (r->in.p[r->at + n - 1] != '}' || (next < r->in.n ? r->in.p[next] != '{' : !r->end))
        return false;
    *out = (struct mt_item){window(r, 0, n), r->line, r->base + r->at};
    r->at = next < r->in.n ? next : r->in.n;
    r->line++;
    return true;
}

static bool is_bom(struct mt_items *r)
{
    while (r->in.p[r->at] == '\xEF' && r->in.n - r->at < 3)
        if (!fill(r))
            return false;
    return r->in.n - r->at >= 3 && memcmp(r->in.p + r->at, "\xEF\xBB\xBF", 3) == 0;
}

/* Moves on to the end of the line, however far it is. */
static void skip_line(struct mt_items *r)
{
    const char *end;
    while (!(end = memchr(r->in.p + r->at, '\n', r->in.n - r->at))) {
        r->at = r->in.n;
        if (!fill(r))
            return;
    }
    r->at = (size_t)(end - r->in.p);
}

static enum mt_found broken(struct mt_items *r, struct mt_item *out, struct mt_err *err, const char *why)
{
    *out = (struct mt_item){.line = r->line, .offset = r->base + r->at};
    size_t n = line_length(r, 0);
    if (r->full)
        mt_fail(err, MT_ELIMIT, "the item is larger than %d MiB, the most that moontide map takes",
                MT_ITEM_MAX >> 20);
    else if (why)
        mt_fail(err, MT_EDATA, "%s", why);
    else if (mt_json_check(window(r, 0, n), NULL, err) == MT_OK)
        mt_fail(err, MT_EDATA, "this is not one JSON value");
    skip_line(r);
    if (r->array) { /* what follows in an array cannot be told apart any more */
        r->array = false;
        r->end = true;
        r->at = r->in.n;
    }
    return MT_FOUND_BROKEN;
}

enum mt_found mt_items_next(struct mt_items *r, struct mt_item *out, struct mt_err *err)
{
    for (;;) {
        if (!skip_blanks(r)) {
            if (!r->array)
                return MT_FOUND_END;
            r->array = false;
            *out = (struct mt_item){.line = r->line, .offset = r->base + r->at};
            mt_fail(err, MT_EDATA, "the array ends without ]");
            return MT_FOUND_BROKEN;
        }
        char c = r->in.p[r->at];
        r->fresh = r->full = false;
        if (is_bom(r)) { /* of the stream, or of a file that was put behind another */
            advance(r, 3);
        } else if (!r->array && c == '[') {
            r->array = r->separated = true;
            advance(r, 1);
        } else if (r->array && c == ']') {
            r->array = false;
            advance(r, 1);
        } else if (r->array && c == ',' && !r->separated) {
            r->separated = true;
            advance(r, 1);
        } else if (r->array && !r->separated) {
            return broken(r, out, err, "a comma or ] is expected between the items of the array");
        } else {
            size_t n = 0;
            struct mt_slice line = window(r, 0, r->array ? 0 : line_length(r, 0));
            bool within = !r->array && mt_json_next(line, &n, NULL) == MT_OK && n > 0; /* one line */
            bool ok = within || (r->array ? element(r, &n) : c == '{' && spans_lines(r, &n));
            if (!ok)
                return broken(r, out, err, NULL);
            *out = (struct mt_item){window(r, 0, n), r->line, r->base + r->at};
            if (within)
                r->at += n;
            else
                advance(r, n);
            r->separated = false;
            return MT_FOUND_ITEM;
        }
    }
}
