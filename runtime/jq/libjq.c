/* libjq 1.6: compile, feed, read. See libjq.h. Called by program.c and mapper.c, on the thread that owns the
 * program.
 *
 * jv's law, once: every jv_ function consumes its arguments and gives an owned result, except jv_copy and the
 * iteration over an object. */
#include "jq/libjq.h"

#include <limits.h>
#include <stdlib.h>

#include <jq.h>
#include <jv.h>

#include "base/memory.h"

enum { DEPTH_MAX = 10000 }; /* of a result; what the document's parser takes as well */

struct mt_libjq {
    jq_state *jq;
    char message[MT_FOREIGN + 1]; /* of the compiler: its first line */
};

enum { BIG_MAX = 64 }; /* integers kept for one input: more of them are no identifiers but data */

/* An integer from 2^53 on: a double may not hold it, and 1.6 spells it 1e+17. A result that equals the double
 * is taken for a copy of it, as jq 1.8 keeps literals as long as nothing is computed, unless two integers of
 * the input share the double. */
struct big {
    double value;
    struct mt_slice literal; /* {NULL, 0}: ambiguous */
};

struct mt_libjq_input {
    jv value;
    struct big *big;
    unsigned big_count;
};

/* The first message is the cause, what follows is "jq: 1 compile error". Its text is
 * "jq: error: CAUSE at <top-level>, line N:" and then the program, prelude included, which nobody wants to
 * read. */
static void on_error(void *ud, jv msg)
{
    struct mt_libjq *p = ud;
    if (jv_get_kind(msg) == JV_KIND_STRING && !p->message[0]) {
        const char *text = jv_string_value(msg);
        static const char *const prefixes[] = {"jq: ", "error: "};
        for (size_t i = 0; i < 2; i++)
            if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
                text += strlen(prefixes[i]);
        size_t n = strcspn(text, "\n");
        static const char *const cuts[] = {" (Unix shell quoting issues?)", " at <top-level>"};
        for (size_t i = 0; i < 2; i++) {
            const char *cut = strstr(text, cuts[i]);
            if (cut && (size_t)(cut - text) < n)
                n = (size_t)(cut - text);
        }
        if (n > MT_FOREIGN)
            n = MT_FOREIGN;
        while (n > 0 && n == MT_FOREIGN && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
        memcpy(p->message, text, n);
        p->message[n] = '\0';
    }
    jv_free(msg);
}

static void on_debug(void *ud, jv msg)
{
    (void)ud;
    jv_free(msg);
}

enum mt_rc mt_libjq_new(struct mt_slice program, struct mt_libjq **out, struct mt_err *err)
{
    if (memchr(program.p, '\0', program.n))
        return mt_fail(err, MT_EINVAL, "a NUL byte in a jq program");
    struct mt_libjq *p = mt_alloc(sizeof *p);
    char *text = mt_slice_dup(program);
    enum mt_rc rc = MT_OK;
    p->jq = jq_init();
    if (!p->jq) {
        rc = mt_fail(err, MT_ENOMEM, "libjq did not start: out of memory");
        goto out;
    }
    jq_set_error_cb(p->jq, on_error, p);
    jq_set_debug_cb(p->jq, on_debug, NULL);
    /* Without a list of library paths, `import` is an assertion that ends the process. */
    jq_set_attr(p->jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
    if (!jq_compile(p->jq, text)) {
        rc = mt_fail(err, MT_EINVAL, "%s", p->message[0] ? p->message : "jq did not say why");
        goto out;
    }
    *out = p;
    p = NULL;
out:
    free(text);
    mt_libjq_free(p);
    return rc;
}

void mt_libjq_free(struct mt_libjq *p)
{
    if (!p)
        return;
    if (p->jq)
        jq_teardown(&p->jq);
    free(p);
}

static void note_big(struct mt_libjq_input *in, struct mt_val v, double value)
{
    struct mt_slice literal = mt_val_literal(v);
    if (memchr(literal.p, '.', literal.n) || memchr(literal.p, 'e', literal.n) ||
        memchr(literal.p, 'E', literal.n))
        return;
    unsigned i = 0;
    while (i < in->big_count && in->big[i].value != value)
        i++;
    if (i < in->big_count) {
        if (!mt_slice_eq(in->big[i].literal, literal))
            in->big[i].literal = (struct mt_slice){NULL, 0};
    } else if (in->big_count < BIG_MAX) {
        if (!in->big)
            in->big = mt_alloc(BIG_MAX * sizeof *in->big);
        in->big[in->big_count++] = (struct big){value, literal};
    }
}

/* Depth is the document parser's, so recursion is bounded. An invalid jv: a string that libjq cannot hold. */
static jv to_jv(struct mt_libjq_input *in, struct mt_val v)
{
    switch (mt_val_kind(v)) {
    case MT_NULL:
        break;
    case MT_BOOL:
        return mt_val_true(v) ? jv_true() : jv_false();
    case MT_NUMBER: {
        double value = mt_val_double(v);
        if (value >= 9007199254740992.0 || value <= -9007199254740992.0)
            note_big(in, v, value);
        return jv_number(value);
    }
    case MT_STRING: {
        struct mt_slice s = mt_val_string(v);
        return s.n > INT_MAX / 4 ? jv_invalid() : jv_string_sized(s.n ? s.p : "", (int)s.n);
    }
    case MT_ARRAY:
    case MT_OBJECT: {
        bool object = mt_val_kind(v) == MT_OBJECT;
        uint32_t count = mt_val_count(v);
        jv all = object ? jv_object() : jv_array_sized(count ? (int)count : 1);
        struct mt_iter it = mt_iter_of(v);
        struct mt_slice name;
        struct mt_val member;
        while (mt_iter_next(&it, &name, &member)) {
            jv one = to_jv(in, member);
            if (!jv_is_valid(one) || name.n > INT_MAX / 4) {
                jv_free(one);
                jv_free(all);
                return jv_invalid();
            }
            all = object ? jv_object_set(all, jv_string_sized(name.n ? name.p : "", (int)name.n), one)
                         : jv_array_append(all, one);
        }
        return all;
    }
    }
    return jv_null();
}

struct mt_libjq_input *mt_libjq_input_new(struct mt_val v)
{
    struct mt_libjq_input *in = mt_alloc(sizeof *in);
    jv value = to_jv(in, v), big = jv_null();
    if (!jv_is_valid(value)) {
        jv_free(value);
        free(in->big);
        free(in);
        return NULL;
    }
    for (unsigned i = 0; i < in->big_count; i++) {
        struct mt_slice literal = in->big[i].literal;
        if (!literal.p)
            continue;
        if (jv_get_kind(big) != JV_KIND_OBJECT)
            big = jv_object();
        big = jv_object_set(big, jv_dump_string(jv_number(in->big[i].value), 0),
                            jv_string_sized(literal.p, (int)literal.n));
    }
    in->value = JV_ARRAY(value, big);
    return in;
}

void mt_libjq_input_free(struct mt_libjq_input *in)
{
    if (!in)
        return;
    jv_free(in->value);
    free(in->big);
    free(in);
}

static struct mt_slice text_of(jv string)
{
    int n = jv_string_length_bytes(jv_copy(string));
    return (struct mt_slice){jv_string_value(string), (size_t)n};
}

static void build_number(struct mt_builder *b, const struct mt_libjq_input *in, double value)
{
    for (unsigned i = 0; i < in->big_count; i++) {
        if (in->big[i].value == value && in->big[i].literal.p) {
            mt_build_literal(b, in->big[i].literal);
            return;
        }
    }
    mt_build_double(b, value);
}

/* Consumes v. false: deeper than DEPTH_MAX. */
static bool build(struct mt_builder *b, const struct mt_libjq_input *in, jv v, unsigned depth)
{
    bool ok = depth < DEPTH_MAX;
    switch (ok ? jv_get_kind(v) : JV_KIND_INVALID) {
    case JV_KIND_INVALID:
    case JV_KIND_NULL:
        mt_build_null(b);
        break;
    case JV_KIND_FALSE:
    case JV_KIND_TRUE:
        mt_build_bool(b, jv_get_kind(v) == JV_KIND_TRUE);
        break;
    case JV_KIND_NUMBER:
        build_number(b, in, jv_number_value(v));
        break;
    case JV_KIND_STRING:
        mt_build_string(b, text_of(v));
        break;
    case JV_KIND_ARRAY: {
        int n = jv_array_length(jv_copy(v));
        mt_build_array(b);
        for (int i = 0; i < n && ok; i++)
            ok = build(b, in, jv_array_get(jv_copy(v), i), depth + 1);
        mt_build_end(b);
        break;
    }
    case JV_KIND_OBJECT:
        mt_build_object(b);
        for (int i = jv_object_iter(v); ok && jv_object_iter_valid(v, i); i = jv_object_iter_next(v, i)) {
            jv key = jv_object_iter_key(v, i);
            mt_build_name(b, text_of(key));
            jv_free(key);
            ok = build(b, in, jv_object_iter_value(v, i), depth + 1);
        }
        mt_build_end(b);
        break;
    }
    jv_free(v);
    return ok;
}

/* What a program raised, as text: strings as they are, other values as JSON. Consumes msg. */
static enum mt_rc raised(jv msg, struct mt_err *err)
{
    if (jv_get_kind(msg) != JV_KIND_STRING) {
        jv text = jv_dump_string(msg, 0);
        msg = jv_string_concat(text, jv_string(" (not a string)"));
    }
    struct mt_slice s = text_of(msg);
    while (s.n > MT_FOREIGN || (s.n == MT_FOREIGN && ((unsigned char)s.p[s.n] & 0xC0) == 0x80))
        s.n = s.n > MT_FOREIGN ? MT_FOREIGN : s.n - 1;
    mt_fail(err, MT_EDATA, "%.*s", MT_FMT(s));
    jv_free(msg);
    return MT_EDATA;
}

enum mt_rc mt_libjq_run(struct mt_libjq *p, const struct mt_libjq_input *input,
                        bool (*emit)(void *ud, struct mt_doc *result), void *ud, struct mt_err *err)
{
    enum mt_rc rc = MT_OK;
    jq_start(p->jq, jv_copy(input->value), 0);
    jv v = jq_next(p->jq);
    for (bool more = true; more && jv_is_valid(v); v = more ? jq_next(p->jq) : jv_null()) {
        struct mt_builder *b = mt_builder_new();
        struct mt_doc *doc = NULL;
        if (!build(b, input, v, 0))
            rc = mt_fail(err, MT_ELIMIT, "the result nests deeper than %d", DEPTH_MAX);
        else
            rc = mt_builder_finish(b, &doc, err);
        mt_builder_free(b);
        more = rc == MT_OK && emit(ud, doc);
        mt_doc_unref(doc);
    }
    if (rc == MT_OK && !jv_is_valid(v)) {
        if (jq_halted(p->jq))
            rc = mt_fail(err, MT_EDATA, "the program halted");
        else if (jv_invalid_has_msg(jv_copy(v)))
            rc = raised(jv_invalid_get_msg(jv_copy(v)), err);
    }
    jv_free(v);
    return rc;
}

struct mt_library mt_libjq_library(void)
{
    static const struct {
        const char *program, *version;
    } signs[] = {{"trimstr(\"a\")", "1.8"}, {"pick(.a)", "1.7"}, {".", "1.6"}};
    struct mt_library library = {"libjq", NULL, "unknown: it compiles nothing", NULL};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        struct mt_libjq *p = NULL;
        if (mt_libjq_new(mt_slice_of(signs[i].program), &p, NULL) != MT_OK)
            continue;
        mt_libjq_free(p);
        library.loaded = signs[i].version;
        library.detail = "by its builtins";
        break;
    }
    return library;
}
