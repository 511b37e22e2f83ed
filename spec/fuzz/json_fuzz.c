/* Any bytes as JSON: checking and parsing agree; what is accepted is written, parsed again, and is equal,
 * with the same digest and the same text; a copy made by the builder, half of it by reference, is too; every
 * member and element is found; a stream of it splits where the parser says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/document.h"

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
