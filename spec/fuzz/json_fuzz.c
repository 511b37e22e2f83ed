/* Any bytes as JSON: checking and parsing agree; what is accepted is written, parsed again, and is equal,
 * with the same digest and the same text; a copy made by the builder, half of it by reference, is too; every
 * member and element is found; a stream of it splits where the parser says; hints about what is read change
 * nothing; scanning with vector instructions (the only thing that differs on them) stops where a loop over
 * the bytes does. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/document.h"
#include "json/scan.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "json_fuzz: %s\n", what);
    abort();
}

static const struct mt_json_limits limits = {.depth = 200}; /* copy() recurses */

static void copy(struct mt_builder *b, struct mt_val v, unsigned depth)
{
    struct mt_val found;
    struct mt_iter it = mt_iter_of(v);
    struct mt_slice name;
    uint32_t met = 0;
    if (depth % 3 == 2) {
        mt_build_ref(b, v);
        return;
    }
    switch (mt_val_kind(v)) {
    case MT_NULL:
        mt_build_null(b);
        break;
    case MT_BOOL:
        mt_build_bool(b, mt_val_true(v));
        break;
    case MT_NUMBER: {
        int64_t whole;
        if (mt_val_int64(v, &whole)) {
            must((double)whole == mt_val_double(v), "an integer is not its double");
            mt_build_int(b, whole);
        } else if (mt_val_double(v) - mt_val_double(v) == 0) {
            mt_build_double(b, mt_val_double(v));
        } else {
            mt_build_literal(b, mt_val_literal(v));
        }
        break;
    }
    case MT_STRING:
        mt_build_string(b, mt_val_string(v));
        break;
    case MT_ARRAY:
        mt_build_array(b);
        for (; mt_iter_next(&it, &name, &v); met++) {
            must(mt_val_index(it.container, met, &found) && found.doc == v.doc && found.at == v.at,
                 "an element is not at its position");
            copy(b, v, depth + 1);
        }
        must(met == mt_val_count(it.container), "an array's count");
        mt_build_end(b);
        break;
    case MT_OBJECT:
        mt_build_object(b);
        for (; mt_iter_next(&it, &name, &v); met++) {
            must(mt_val_member(it.container, name, &found) && found.doc == v.doc && found.at == v.at,
                 "a member is not found by its name");
            mt_build_name(b, name);
            copy(b, v, depth + 1);
        }
        must(met == mt_val_count(it.container), "an object's count");
        mt_build_end(b);
        break;
    }
}

static void same(struct mt_val a, struct mt_val b, const char *what)
{
    struct mt_key x = mt_val_digest(a), y = mt_val_digest(b);
    must(mt_val_equal(a, b) && mt_val_equal(b, a) && memcmp(&x, &y, sizeof x) == 0, what);
}

static void texts_same(struct mt_val a, struct mt_val b, const char *what)
{
    struct mt_buf x, y;
    mt_buf_init(&x, SIZE_MAX / 2);
    mt_buf_init(&y, SIZE_MAX / 2);
    must(mt_val_write(a, &x) && mt_val_write(b, &y), "writing");
    must(mt_slice_eq(mt_buf_slice(&x), mt_buf_slice(&y)), what);
    mt_buf_fini(&x);
    mt_buf_fini(&y);
}

static void scans(struct mt_slice text)
{
    const char *end = text.p + text.n;
    for (size_t from = 0; from < text.n && from < 48; from++) {
        const char *p = text.p + from;
        while (p < end && !mt_scan_special((unsigned char)*p))
            p++;
        must(mt_scan_plain(text.p + from, end) == p, "scanning missed a byte, or stopped too early");
    }
}

/* The members by name first, while the others are missing; then the lists of them. */
static void members_same(struct mt_val plain, struct mt_val hinted)
{
    struct mt_iter it = mt_iter_of(plain), other;
    struct mt_slice name, met;
    struct mt_val a, b;
    while (mt_iter_next(&it, &name, &a)) {
        if (!name.p)
            break;
        must(mt_val_member(hinted, name, &b), "a hint lost a member");
        members_same(a, b);
    }
    must(mt_val_kind(plain) == mt_val_kind(hinted) && mt_val_count(plain) == mt_val_count(hinted),
         "a hint changed a count");
    it = mt_iter_of(plain);
    other = mt_iter_of(hinted);
    while (mt_iter_next(&it, &name, &a)) {
        must(mt_iter_next(&other, &met, &b) && mt_slice_eq(name, met), "a hint changed the order");
        if (!name.p)
            members_same(a, b);
    }
}

static void hints(struct mt_slice text, struct mt_doc *plain, enum mt_rc rc)
{
    static const struct mt_slice read[] = {{"a", 1}, {"", 0}, {"k", 1}, {"name", 4}, {"b", 1}};
    for (size_t count = 0; count <= sizeof read / sizeof read[0]; count += 2) {
        struct mt_names *names = mt_names_new(read, count);
        for (int order = 0; order < 4; order++) {
            struct mt_buf copied;
            struct mt_doc *doc = NULL;
            mt_buf_init(&copied, SIZE_MAX / 2);
            must(mt_buf_put(&copied, text), "no memory");
            must(mt_doc_parse_for(&copied, &limits, names, &doc, NULL) == rc,
                 "a hint made a text good or bad");
            mt_buf_fini(&copied);
            if (rc != MT_OK)
                break;
            if (order == 0)
                members_same(mt_doc_root(plain), mt_doc_root(doc));
            if (order == 1)
                texts_same(mt_doc_root(plain), mt_doc_root(doc), "a hint changed what is written");
            if (order <= 2)
                same(mt_doc_root(plain), mt_doc_root(doc), "a hint changed a value");
            must(!mt_doc_failed(doc), "a part was not built");
            mt_doc_unref(doc);
        }
        mt_names_free(names);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_slice text = {(const char *)data, size};
    struct mt_doc *doc = NULL, *again = NULL, *copied = NULL;
    struct mt_err err;
    size_t piece = 0;
    enum mt_rc next = mt_json_next(text, &piece, &err);
    enum mt_rc rc = mt_doc_parse_copy(text, &limits, &doc, &err);
    must(mt_json_check(text, &limits, NULL) == rc, "the check and the parser do not agree");
    scans(text);
    hints(text, doc, rc);
    if (rc != MT_OK) {
        must(rc == MT_EDATA || rc == MT_ELIMIT, "an unexpected error");
        return 0;
    }
    must(next == MT_OK && piece > 0 && piece <= size, "a value that the splitter does not see");
    for (size_t i = piece; i < size; i++)
        must(strchr(" \t\r\n", text.p[i]) && text.p[i], "a value that the splitter cut");

    struct mt_val root = mt_doc_root(doc);
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    must(mt_val_write(root, &out), "writing");
    must(mt_doc_parse(&out, &limits, &again, &err) == MT_OK, "what was written is not JSON");
    same(root, mt_doc_root(again), "what was written is another value");
    texts_same(root, mt_doc_root(again), "writing is not stable");

    struct mt_builder *b = mt_builder_new();
    copy(b, root, 0);
    must(mt_builder_finish(b, &copied, &err) == MT_OK, "the copy was refused");
    same(root, mt_doc_root(copied), "the copy is another value");
    mt_builder_free(b);
    mt_doc_unref(copied);
    mt_doc_unref(again);
    mt_doc_unref(doc);
    mt_buf_fini(&out);
    return 0;
}
