/* Plain paths and literals: see path.h. Nine of ten expressions of Ocean's mappings are these. */
#include "jq/path.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { STEPS_MAX = 32 };

struct step {
    bool index;    /* [n], else a member */
    bool optional; /* `?` after it: catches its errors and those of the steps before it */
    int64_t at;
    struct mt_val name; /* of names */
};

struct mt_plain {
    struct mt_doc *names; /* the members' names, decoded, as an array */
    struct mt_doc *constant;
    unsigned count;
    struct step steps[];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && is_blank(s.p[0]))
        s = (struct mt_slice){s.p + 1, s.n - 1};
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Length of the string literal at s, quotes included; 0 when there is none or it interpolates. */
static size_t string_literal(struct mt_slice s)
{
    if (!s.n || s.p[0] != '"')
        return 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] == '\\' && (++i == s.n || s.p[i] == '('))
            return 0;
    }
    return 0;
}

/* One step; adds its name to names (an array in JSON's spelling). 0: not plain. */
static size_t parse_step(struct mt_slice s, bool first, struct step *step, struct mt_buf *names)
{
    size_t at = 0;
    *step = (struct step){0};
    if (s.p[0] == '.') {
        at = 1;
        if (at < s.n && is_name(s.p[at], true)) {
            size_t from = at;
            while (at < s.n && is_name(s.p[at], false))
                at++;
            mt_buf_put_json_string(names, (struct mt_slice){s.p + from, at - from});
            return at;
        }
        size_t n = string_literal((struct mt_slice){s.p + at, s.n - at});
        if (n) {
            mt_buf_add(names, s.p + at, n);
            return at + n;
        }
    } else if (first) {
        return 0;
    }
    if (at >= s.n || s.p[at] != '[')
        return 0;
    at++;
    size_t n = string_literal((struct mt_slice){s.p + at, s.n - at});
    if (n) {
        mt_buf_add(names, s.p + at, n);
    } else {
        step->index = true;
        bool negative = at < s.n && s.p[at] == '-';
        at += negative;
        while (at + n < s.n && n < 9 && s.p[at + n] >= '0' && s.p[at + n] <= '9')
            step->at = step->at * 10 + (s.p[at + n++] - '0');
        if (negative)
            step->at = -step->at;
        if (n == 0)
            return 0;
    }
    at += n;
    return at < s.n && s.p[at] == ']' ? at + 1 : 0;
}

static struct mt_plain *parse_path(struct mt_slice s)
{
    struct step steps[STEPS_MAX];
    unsigned count = 0, named = 0;
    struct mt_plain *p = NULL;
    struct mt_buf names;
    mt_buf_init(&names, s.n * 2 + 16);
    mt_buf_putc(&names, '[');
    while (s.n) {
        size_t mark = names.n;
        if (count == STEPS_MAX)
            goto out;
        if (named)
            mt_buf_putc(&names, ',');
        size_t n = parse_step(s, count == 0, &steps[count], &names);
        if (!n)
            goto out;
        if (steps[count].index)
            names.n = mark;
        else
            named++;
        s = (struct mt_slice){s.p + n, s.n - n};
        while (s.n && s.p[0] == '?' && !(s.n > 1 && s.p[1] == '/')) {
            steps[count].optional = true;
            s = (struct mt_slice){s.p + 1, s.n - 1};
        }
        count++;
    }
    mt_buf_putc(&names, ']');
    struct mt_doc *doc = NULL;
    /* Fails on spellings that JSON has not (a raw line break in a string): jq reads those itself. */
    if (names.failed || mt_doc_parse_copy(mt_buf_slice(&names), NULL, &doc, NULL))
        goto out;
    p = mt_alloc(sizeof *p + count * sizeof *steps);
    p->names = doc;
    p->count = count;
    named = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!steps[i].index)
            mt_val_index(mt_doc_root(doc), named++, &steps[i].name);
        p->steps[i] = steps[i];
    }
out:
    mt_buf_fini(&names);
    return p;
}

/* Numbers are JSON's, but for those whose spelling libjq changes beyond recognition (infinities) or that are
 * past 2^53. */
static bool is_number(struct mt_slice s)
{
    if (!s.n || !((s.p[0] >= '0' && s.p[0] <= '9') || (s.p[0] == '-' && s.n > 1)))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '.')
            return false;
    return s.n < 17;
}

struct mt_plain *mt_plain_parse(struct mt_slice expression)
{
    struct mt_slice s = trim(expression);
    /* Inside of these parentheses the rest of this file takes no other, so the last one matches the first. */
    while (s.n > 2 && s.p[0] == '(' && s.p[s.n - 1] == ')')
        s = trim((struct mt_slice){s.p + 1, s.n - 2});
    if (!s.n)
        return NULL;
    if (s.n == 1 && s.p[0] == '.')
        return mt_alloc(sizeof(struct mt_plain));
    if (s.p[0] == '.')
        return parse_path(s);
    if (string_literal(s) != s.n && !is_number(s) && !mt_slice_is(s, "true") && !mt_slice_is(s, "false") &&
        !mt_slice_is(s, "null"))
        return NULL;
    struct mt_doc *doc = NULL;
    if (mt_doc_parse_copy(s, NULL, &doc, NULL))
        return NULL;
    struct mt_plain *p = mt_alloc(sizeof *p);
    p->constant = doc;
    return p;
}

void mt_plain_free(struct mt_plain *p)
{
    if (!p)
        return;
    mt_doc_unref(p->names);
    mt_doc_unref(p->constant);
    free(p);
}

bool mt_plain_constant(const struct mt_plain *p, struct mt_val *out)
{
    if (!p || !p->constant)
        return false;
    *out = mt_doc_root(p->constant);
    return true;
}

bool mt_plain_is_path(const struct mt_plain *p)
{
    bool path = p && !p->constant && p->count > 0;
    for (unsigned i = 0; path && i < p->count; i++)
        path = !p->steps[i].optional;
    return path;
}

static const char *kind_name(struct mt_val v)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    return names[mt_val_kind(v)];
}

static bool is_null(struct mt_val v)
{
    return !v.doc || mt_val_is(v, MT_NULL);
}

/* Can the step be taken from v? The wording is jq's. */
static bool takes(const struct step *step, struct mt_val v, char message[MT_PATH_MESSAGE])
{
    if (is_null(v) || mt_val_is(v, step->index ? MT_ARRAY : MT_OBJECT))
        return true;
    if (step->index) {
        snprintf(message, MT_PATH_MESSAGE, "Cannot index %s with number", kind_name(v));
    } else {
        struct mt_slice name = mt_val_string(step->name);
        snprintf(message, MT_PATH_MESSAGE, "Cannot index %s with \"%.*s%s\"", kind_name(v),
                 name.n > 60 ? 60 : (int)name.n, name.p, name.n > 60 ? "…" : "");
    }
    return false;
}

static bool find_index(const struct step *step, struct mt_val array, uint32_t *out)
{
    int64_t count = mt_val_count(array);
    int64_t at = step->at < 0 ? step->at + count : step->at;
    if (at < 0 || at >= count)
        return false;
    *out = (uint32_t)at;
    return true;
}

enum mt_outcome mt_plain_run(const struct mt_plain *p, struct mt_val input, struct mt_val *out,
                             char message[MT_PATH_MESSAGE])
{
    if (p->constant) {
        *out = mt_doc_root(p->constant);
        return MT_GAVE_VALUE;
    }
    struct mt_val v = input;
    for (unsigned i = 0; i < p->count; i++) {
        const struct step *step = &p->steps[i];
        if (!takes(step, v, message)) {
            for (; i < p->count; i++)
                if (p->steps[i].optional)
                    return MT_GAVE_NOTHING;
            return MT_RAISED;
        }
        uint32_t at;
        struct mt_val next = {NULL, 0};
        bool found = !is_null(v) && (step->index ? find_index(step, v, &at) && mt_val_index(v, at, &next)
                                                 : mt_val_member(v, mt_val_string(step->name), &next));
        v = found ? next : (struct mt_val){NULL, 0};
    }
    *out = v;
    return MT_GAVE_VALUE;
}

static bool delete_from(const struct mt_plain *p, unsigned i, struct mt_val v, struct mt_builder *b,
                        char message[MT_PATH_MESSAGE])
{
    if (i == p->count || is_null(v)) {
        mt_build_null(b);
        return true;
    }
    const struct step *step = &p->steps[i];
    if (!takes(step, v, message))
        return false;
    bool last = i + 1 == p->count, ok = true;
    uint32_t wanted = UINT32_MAX, at = 0;
    struct mt_slice target = {NULL, 0}, name;
    struct mt_val member;
    if (step->index) {
        find_index(step, v, &wanted);
        mt_build_array(b);
    } else {
        target = mt_val_string(step->name);
        mt_build_object(b);
    }
    for (struct mt_iter it = mt_iter_of(v); ok && mt_iter_next(&it, &name, &member); at++) {
        bool hit = step->index ? at == wanted : mt_slice_eq(name, target);
        if (hit && last)
            continue;
        if (!step->index)
            mt_build_name(b, name);
        if (hit)
            ok = delete_from(p, i + 1, member, b, message);
        else
            mt_build_ref(b, member);
    }
    mt_build_end(b);
    return ok;
}

bool mt_plain_delete(const struct mt_plain *p, struct mt_val input, struct mt_builder *b,
                     char message[MT_PATH_MESSAGE])
{
    return delete_from(p, 0, input, b, message);
}
