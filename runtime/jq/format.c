/* Formats (@csv and the like), and the conversions to text and from it. Called by the machine through
 * mt_format_natives and for string interpolation, on the thread of the heap. The byte-wise formats are in
 * encode.c, the parsers in fromjson.c. */
#include <math.h>

#include "jq/text.h"

struct mt_jv mt_text_take(struct mt_jv_heap *h, struct mt_buf *out)
{
    struct mt_jv v = MT_NONE;
    if (out->failed)
        h->fault = MT_FAULT_MEMORY;
    else
        v = mt_text_copy(h, mt_buf_slice(out));
    mt_buf_fini(out);
    return v;
}

static struct mt_jv json(struct mt_jv_heap *h, struct mt_jv v)
{
    switch (v.tag) {
    case MT_JV_NULL:
        return mt_text_copy(h, MT_SLICE("null"));
    case MT_JV_FALSE:
        return mt_text_copy(h, MT_SLICE("false"));
    case MT_JV_TRUE:
        return mt_text_copy(h, MT_SLICE("true"));
    case MT_JV_NUMBER: {
        char digits[MT_JV_NUMBER_SIZE];
        if (!mt_jv_work(h, mt_text_digits_work(v)))
            return MT_NONE;
        size_t n = mt_jv_format_number(v.number, digits);
        return mt_text_copy(h, (struct mt_slice){digits, n});
    }
    default: {
        struct mt_buf out;
        mt_buf_init(&out, h->max);
        if ((!mt_jv_write_stepping(h, v, &out) && !out.failed) || !mt_text_work(h, out.n)) {
            mt_buf_fini(&out);
            return MT_NONE;
        }
        return mt_text_take(h, &out);
    }
    }
}

struct mt_jv mt_text_of(struct mt_jv_heap *h, struct mt_jv v)
{
    return mt_jv_is(v, MT_STRING) ? v : json(h, v);
}

static void put_replacing(struct mt_buf *out, struct mt_slice s, const char *(*replacement)(char c))
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *with = s.p[i] == '\0' ? "\\0" : replacement(s.p[i]);
        if (!with)
            continue;
        mt_buf_add(out, s.p + from, i - from);
        mt_buf_puts(out, with);
        from = i + 1;
    }
    mt_buf_add(out, s.p + from, s.n - from);
}

static const char *in_csv(char c)
{
    return c == '"' ? "\"\"" : NULL;
}

static const char *in_tsv(char c)
{
    return c == '\t' ? "\\t" : c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '\\' ? "\\\\" : NULL;
}

static const char *in_shell(char c)
{
    return c == '\'' ? "'\\''" : NULL;
}

struct row {
    const char *between, *quote;
    const char *(*replacement)(char c);
    bool shell;           /* null is written, nan too */
    const char *no_array; /* what is said about an input that is no array; NULL: it is the only element */
    const char *no_field;
};

static bool put_field(struct mt_buf *out, const struct row *row, struct mt_jv v)
{
    switch (mt_jv_kind(v)) {
    case MT_NULL:
        if (row->shell)
            mt_buf_puts(out, "null");
        return true;
    case MT_NUMBER:
        if (row->shell || !isnan(mt_jv_double(v)))
            mt_jv_write(v, out);
        return true;
    case MT_BOOL:
        mt_jv_write(v, out);
        return true;
    case MT_STRING:
        mt_buf_puts(out, row->quote);
        put_replacing(out, mt_jv_text(v), row->replacement);
        mt_buf_puts(out, row->quote);
        return true;
    default:
        return false;
    }
}

static struct mt_jv row(struct mt_jv_heap *h, struct mt_jv v, const struct row *row)
{
    bool array = mt_jv_is(v, MT_ARRAY), first = true;
    if (!array && row->no_array)
        return mt_text_refuse(h, v, row->no_array);
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    struct mt_jv key, field = v, bad = MT_NONE;
    if (!array && !put_field(&out, row, v))
        bad = v;
    if (!mt_jv_work(h, out.n / 4 + 1)) {
        mt_buf_fini(&out);
        return MT_NONE;
    }
    if (array) {
        for (struct mt_jv_iter it = mt_jv_iter_of(v); mt_jv_iter_next(&it, &key, &field); first = false) {
            size_t before = out.n;
            if (!first)
                mt_buf_puts(&out, row->between);
            if (!put_field(&out, row, field)) {
                bad = field;
                break;
            }
            if (!mt_jv_work(h, (out.n - before) / 4 + 1 + mt_text_digits_work(field))) {
                mt_buf_fini(&out);
                return MT_NONE;
            }
        }
    }
    if (mt_jv_is_none(bad))
        return mt_text_take(h, &out);
    mt_buf_fini(&out);
    return mt_text_refuse(h, bad, row->no_field);
}

static struct mt_jv csv(struct mt_jv_heap *h, struct mt_jv v)
{
    static const struct row rules = {.between = ",",
                                     .quote = "\"",
                                     .replacement = in_csv,
                                     .no_array = "cannot be csv-formatted, only an array can be",
                                     .no_field = "is not valid in a csv row"};
    return row(h, v, &rules);
}

static struct mt_jv tsv(struct mt_jv_heap *h, struct mt_jv v)
{
    static const struct row rules = {.between = "\t",
                                     .quote = "",
                                     .replacement = in_tsv,
                                     .no_array = "cannot be tsv-formatted, only an array can be",
                                     .no_field = "is not valid in a csv row"};
    return row(h, v, &rules);
}

static struct mt_jv sh(struct mt_jv_heap *h, struct mt_jv v)
{
    static const struct row rules = {.between = " ",
                                     .quote = "'",
                                     .replacement = in_shell,
                                     .shell = true,
                                     .no_field = "can not be escaped for shell"};
    return row(h, v, &rules);
}

static const struct format {
    const char *name;
    bool of_text; /* the value is made a string first */
    struct mt_jv (*run)(struct mt_jv_heap *h, struct mt_jv v);
} formats[] = {
    {"text", true, NULL},
    {"json", false, json},
    {"csv", false, csv},
    {"tsv", false, tsv},
    {"sh", false, sh},
    {"html", true, mt_encode_html},
    {"uri", true, mt_encode_uri},
    {"urid", true, mt_decode_uri},
    {"base64", true, mt_encode_base64},
    {"base64d", true, mt_decode_base64},
    {"base32", true, mt_encode_base32},
    {"base32d", true, mt_decode_base32},
};

static const struct format *find(struct mt_slice name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (mt_slice_is(name, formats[i].name))
            return &formats[i];
    return NULL;
}

bool mt_jv_is_format(struct mt_slice name)
{
    return find(name) != NULL;
}

struct mt_jv mt_jv_format(struct mt_jv_heap *h, struct mt_slice name, struct mt_jv v)
{
    if (!name.p)
        return mt_text_of(h, v);
    const struct format *f = find(name);
    if (!f)
        return mt_jv_raise(h, "%.*s is not a valid format", (int)(name.n < 200 ? name.n : 200), name.p);
    if (f->of_text)
        v = mt_text_of(h, v);
    return mt_jv_is_none(v) || !f->run ? v : f->run(h, v);
}

static struct mt_jv format(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_is(args[1], MT_STRING))
        return mt_text_refuse(h, args[1], "is not a valid format");
    return mt_jv_format(h, mt_jv_text(args[1]), args[0]);
}

static struct mt_jv tojson(struct mt_jv_heap *h, struct mt_jv *args)
{
    return json(h, args[0]);
}

static struct mt_jv tostring(struct mt_jv_heap *h, struct mt_jv *args)
{
    return mt_text_of(h, args[0]);
}

static struct mt_jv toboolean(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_slice s = mt_jv_text(args[0]);
    if (mt_jv_is(args[0], MT_BOOL))
        return args[0];
    if (mt_slice_is(s, "true") || mt_slice_is(s, "false"))
        return mt_jv_bool(s.n == 4);
    return mt_text_refuse(h, args[0], "cannot be parsed as a boolean");
}

const struct mt_native mt_format_natives[] = {
    {"format", 1, true, format},
    {"tojson", 0, true, tojson},
    {"fromjson", 0, true, mt_native_fromjson},
    {"tostring", 0, true, tostring},
    {"tonumber", 0, true, mt_native_tonumber},
    {"toboolean", 0, true, toboolean},
    {NULL, 0, false, NULL},
};
