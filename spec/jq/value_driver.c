/* Runs small programs over the values of jq/ for spec/jq/value_spec.lua: one JSON request a line on stdin,
 * one answer a line on stdout.
 *
 *   {"inputs":[TEXT…],"steps":[STEP…],"collect":BOOL,"max":BYTES,"fail":N,"freeze":BOOL}
 *   → {"v":[TEXT…], "used":BYTES, "steps":WORK} or {"fault":"memory"|"steps","at":STEP} ; "bad": what does
 * not agree with itself
 *
 * inputs are JSON texts, each a document of its own. A step is [to, name, operand…]: the result goes to
 * register `to`. An operand is n: register n, marked shared as by a variable; -n: register n taken out of it,
 * as the machine's stack gives it away. An error becomes the string "error: …" in the register. v holds the
 * registers as they are in the end. collect: everything is collected after each step. fail: allocation n
 * fails. freeze: what the first step makes is made on a heap that is frozen then; "kept" gives it. ["loop",
 * n, [STEP…]] runs steps n times. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/heap.h"
#include "jq/native.h"

enum { REGISTERS = 10, INPUTS = 256, OPERANDS = 4 };

void *__real_mt_try_alloc(size_t size);
void *__wrap_mt_try_alloc(size_t size);

static int64_t left_until_failure = -1; /* -1: none fails */

void *__wrap_mt_try_alloc(size_t size)
{
    if (left_until_failure >= 0 && left_until_failure-- == 0)
        return NULL;
    return __real_mt_try_alloc(size);
}

struct run {
    struct mt_jv_heap heap, frozen;
    struct mt_jv registers[REGISTERS], kept;
    struct mt_doc *inputs[INPUTS];
    size_t input_count;
    int64_t counter, again;
    bool collect, freeze;
    const char *bad;
};

static struct mt_val value_of(struct mt_val v, const char *name)
{
    struct mt_val member = {NULL, 0};
    mt_val_path(v, name, &member);
    return member;
}

static int64_t int_of(struct mt_val v, int64_t otherwise)
{
    int64_t n;
    return mt_val_int64(v, &n) ? n : otherwise;
}

static struct mt_val at(struct mt_val array, uint32_t i)
{
    struct mt_val v = {NULL, 0};
    mt_val_index(array, i, &v);
    return v;
}

/* The same value, all of it on the heap. */
static struct mt_jv own(struct mt_jv_heap *h, struct mt_jv v)
{
    struct mt_jv key, part, out = v;
    if (mt_jv_is(v, MT_STRING))
        return mt_jv_string(h, mt_jv_text(v));
    if (mt_jv_is(v, MT_NUMBER) && mt_jv_spelling(v).p)
        return mt_jv_literal(h, mt_jv_spelling(v));
    if (!mt_jv_is(v, MT_ARRAY) && !mt_jv_is(v, MT_OBJECT))
        return v;
    out = mt_jv_is(v, MT_ARRAY) ? mt_jv_array(h, 0) : mt_jv_object(h, 0);
    struct mt_jv_iter it = mt_jv_iter_of(v);
    while (!mt_jv_is_none(out) && mt_jv_iter_next(&it, &key, &part)) {
        part = own(h, part);
        if (mt_jv_is_none(part))
            return part;
        if (mt_jv_is_none(key)) {
            out = mt_jv_append(h, out, part);
        } else {
            key = own(h, key);
            out = mt_jv_is_none(key) ? key : mt_jv_set(h, out, key, part);
        }
    }
    return out;
}

static struct mt_jv native(struct mt_jv_heap *h, struct mt_slice name, struct mt_jv *args, unsigned arity)
{
    static const struct mt_native *const tables[] = {mt_container_natives, mt_order_natives, mt_path_natives};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct mt_native *n = tables[i]; n->name; n++)
            if (mt_slice_is(name, n->name) && n->arity == arity)
                return n->run(h, args);
    fprintf(stderr, "value_driver: there is no %.*s/%u\n", MT_FMT(name), arity);
    exit(1);
}

static struct mt_jv or_null(struct mt_jv v)
{
    return mt_jv_is_none(v) ? mt_jv_null() : v;
}

static struct mt_jv call(struct run *r, struct mt_jv_heap *h, struct mt_slice name, struct mt_jv *a,
                         unsigned n)
{
    if (mt_slice_is(name, "input"))
        return mt_jv_of(mt_doc_root(r->inputs[(size_t)mt_jv_double(a[0])]));
    if (mt_slice_is(name, "own input"))
        return own(h, mt_jv_of(mt_doc_root(r->inputs[(size_t)mt_jv_double(a[0])])));
    if (mt_slice_is(name, "same"))
        return a[0];
    if (mt_slice_is(name, "kept"))
        return r->kept;
    if (mt_slice_is(name, "own"))
        return own(h, a[0]);
    if (mt_slice_is(name, "append"))
        return mt_jv_append(h, a[0], a[1]);
    if (mt_slice_is(name, "put"))
        return mt_jv_put(h, a[0], (size_t)mt_jv_double(a[1]), a[2]);
    if (mt_slice_is(name, "concat"))
        return mt_jv_concat(h, a[0], a[1]);
    if (mt_slice_is(name, "slice"))
        return mt_jv_slice(h, a[0], (size_t)mt_jv_double(a[1]), (size_t)mt_jv_double(a[2]));
    if (mt_slice_is(name, "set"))
        return mt_jv_set(h, a[0], a[1], a[2]);
    if (mt_slice_is(name, "unset"))
        return mt_jv_unset(h, a[0], mt_jv_text(a[1]));
    if (mt_slice_is(name, "member"))
        return or_null(mt_jv_member(a[0], mt_jv_text(a[1])));
    if (mt_slice_is(name, "element"))
        return or_null(mt_jv_index(a[0], (size_t)mt_jv_double(a[1])));
    if (mt_slice_is(name, "get"))
        return mt_jv_get(h, a[0], a[1]);
    if (mt_slice_is(name, "assign"))
        return mt_jv_assign(h, a[0], a[1], a[2]);
    if (mt_slice_is(name, "get_slice"))
        return mt_jv_get_slice(h, a[0], a[1], a[2]);
    if (mt_slice_is(name, "+"))
        return mt_jv_add(h, a[0], a[1]);
    if (mt_slice_is(name, "-") && n == 2)
        return mt_jv_subtract(h, a[0], a[1]);
    if (mt_slice_is(name, "-"))
        return mt_jv_negate(h, a[0]);
    if (mt_slice_is(name, "*"))
        return mt_jv_multiply(h, a[0], a[1]);
    if (mt_slice_is(name, "/"))
        return mt_jv_divide(h, a[0], a[1]);
    if (mt_slice_is(name, "%"))
        return mt_jv_modulo(h, a[0], a[1]);
    if (mt_slice_is(name, "compare"))
        return mt_jv_number(mt_jv_compare(a[0], a[1]));
    if (mt_slice_is(name, "order")) {
        int order;
        return mt_jv_order(h, a[0], a[1], &order) ? mt_jv_number((order > 0) - (order < 0)) : MT_NONE;
    }
    if (mt_slice_is(name, "equal")) {
        bool same;
        return mt_jv_same(h, a[0], a[1], &same) ? mt_jv_bool(same) : MT_NONE;
    }
    if (mt_slice_is(name, "counter"))
        return mt_jv_number((double)r->counter++);
    if (mt_slice_is(name, "name")) {
        char text[32];
        snprintf(text, sizeof text, "key %lld", (long long)r->counter++);
        return mt_jv_string_of(h, text);
    }
    if (mt_slice_is(name, "old name")) { /* the names that were given, again */
        char text[32];
        snprintf(text, sizeof text, "key %lld", (long long)r->again++);
        return mt_jv_string_of(h, text);
    }
    if (mt_slice_is(name, "double")) /* computed: no spelling any more */
        return mt_jv_number(mt_jv_double(a[0]));
    if (mt_slice_is(name, "nan"))
        return mt_jv_number(NAN);
    if (mt_slice_is(name, "infinite"))
        return mt_jv_number(INFINITY);
    if (mt_slice_is(name, "shown")) {
        char shown[MT_JV_SHOWN];
        return mt_jv_string_of(h, mt_jv_show(a[0], shown));
    }
    if (mt_slice_is(name, "sorted")) {
        struct mt_buf out;
        mt_buf_init(&out, h->max);
        mt_jv_write_sorted(a[0], &out);
        struct mt_jv text = mt_jv_string(h, mt_buf_slice(&out));
        mt_buf_fini(&out);
        return text;
    }
    if (mt_slice_is(name, "int64")) {
        int64_t i;
        char text[32] = "none";
        if (mt_jv_int64(a[0], &i))
            snprintf(text, sizeof text, "%lld", (long long)i);
        return mt_jv_string_of(h, text);
    }
    if (mt_slice_is(name, "bytes")) { /* numbers below 256: any bytes as a string */
        char text[256];
        size_t count = mt_jv_count(a[0]);
        for (size_t i = 0; i < count && i < sizeof text; i++)
            text[i] = (char)(unsigned char)mt_jv_double(mt_jv_index(a[0], i));
        return mt_jv_string(h, (struct mt_slice){text, count});
    }
    return native(h, name, a, n - 1);
}

static void each_root(void *ud, void (*visit)(struct mt_jv_heap *h, struct mt_jv *v))
{
    struct run *r = ud;
    for (int i = 0; i < REGISTERS; i++)
        visit(&r->heap, &r->registers[i]);
}

static bool run_step(struct run *r, struct mt_val step)
{
    if (mt_val_is(at(step, 0), MT_STRING)) { /* a loop */
        struct mt_slice name;
        struct mt_val inner;
        for (int64_t i = int_of(at(step, 1), 0); i > 0; i--)
            for (struct mt_iter it = mt_iter_of(at(step, 2)); mt_iter_next(&it, &name, &inner);)
                if (!run_step(r, inner))
                    return false;
        return true;
    }
    struct mt_jv operands[OPERANDS];
    unsigned n = 0;
    struct mt_slice name = mt_val_string(at(step, 1));
    for (uint32_t i = 2; i < mt_val_count(step); i++) {
        int64_t operand = int_of(at(step, i), 0);
        if (mt_slice_is(name, "input") || mt_slice_is(name, "own input")) {
            operands[n++] = mt_jv_number((double)operand);
        } else if (operand > 0) {
            operands[n++] = mt_jv_share(r->registers[operand]);
        } else {
            operands[n++] = r->registers[-operand];
            r->registers[-operand] = mt_jv_null();
        }
    }
    struct mt_jv_heap *h = r->freeze ? &r->frozen : &r->heap;
    struct mt_jv result = call(r, h, name, operands, n);
    if (mt_jv_is_none(result)) {
        if (h->fault != MT_FAULT_ERROR)
            return false;
        struct mt_jv text = mt_jv_string_of(h, "error: ");
        result = mt_jv_is_none(text) ? text : mt_jv_add(h, text, h->error);
        if (mt_jv_is_none(result))
            return false;
        h->fault = MT_FAULT_NONE;
        h->error = MT_NONE;
    } else if (h->fault != MT_FAULT_NONE) {
        r->bad = "a result and a fault";
    }
    r->registers[int_of(at(step, 0), 0)] = result;
    if (r->freeze) {
        mt_jv_heap_freeze(&r->frozen);
        r->kept = result;
        r->freeze = false;
    }
    if (r->collect)
        mt_jv_heap_collect(&r->heap, each_root, r);
    return true;
}

/* What is written, built, digested and compared has to be the same value. */
static void put_value(struct run *r, struct mt_jv v, struct mt_builder *b)
{
    struct mt_buf text, built;
    struct mt_err err;
    struct mt_doc *doc = NULL;
    mt_buf_init(&text, (size_t)1 << 30);
    mt_buf_init(&built, (size_t)1 << 30);
    struct mt_builder *copy = mt_builder_new();
    mt_jv_build(v, copy);
    bool written = mt_jv_write(v, &text);
    enum mt_rc rc = mt_builder_finish(copy, &doc, &err);
    if (!written || (rc && rc != MT_ELIMIT)) { /* a document holds one level less than jq writes */
        r->bad = "not written or built";
    } else if (!rc) {
        struct mt_jv back = mt_jv_of(mt_doc_root(doc));
        mt_val_write(mt_doc_root(doc), &built);
        struct mt_key one = mt_jv_digest(v), other = mt_val_digest(mt_doc_root(doc));
        bool odd = memmem(text.p, text.n, "null", 4) || memmem(text.p, text.n, "e+308", 5);
        if (!mt_slice_eq(mt_buf_slice(&text), mt_buf_slice(&built)))
            r->bad = "built is not what is written";
        else if (!odd && memcmp(&one, &other, sizeof one) != 0)
            r->bad = "the digests differ";
        else if (!odd && (!mt_jv_equal(v, back) || !mt_jv_equal(back, v) || mt_jv_compare(v, back) != 0))
            r->bad = "not equal to itself"; /* nan is not, and is written as null */
    }
    mt_build_string(b, mt_buf_slice(&text));
    mt_buf_fini(&text);
    mt_buf_fini(&built);
    mt_builder_free(copy);
    mt_doc_unref(doc);
}

static void answer(struct mt_val request, struct mt_builder *b)
{
    struct run *r = mt_alloc(sizeof *r);
    struct mt_slice name;
    struct mt_val v;
    struct mt_err err;
    size_t max = (size_t)int_of(value_of(request, "max"), (int64_t)1 << 30);
    mt_jv_heap_init(&r->heap, max);
    mt_jv_heap_init(&r->frozen, max);
    r->heap.steps = (uint64_t)int_of(value_of(request, "work"), INT64_MAX);
    r->collect = mt_val_true(value_of(request, "collect"));
    r->freeze = mt_val_true(value_of(request, "freeze"));
    for (int i = 0; i < REGISTERS; i++)
        r->registers[i] = mt_jv_null();
    for (struct mt_iter it = mt_iter_of(value_of(request, "inputs")); mt_iter_next(&it, &name, &v);)
        if (mt_doc_parse_copy(mt_val_string(v), NULL, &r->inputs[r->input_count++], &err)) {
            fprintf(stderr, "value_driver: %s\n", err.text);
            exit(1);
        }
    left_until_failure = int_of(value_of(request, "fail"), -1);
    int64_t done = 0;
    bool fine = true;
    for (struct mt_iter it = mt_iter_of(value_of(request, "steps")); fine && mt_iter_next(&it, &name, &v);
         done++)
        fine = run_step(r, v);
    left_until_failure = -1;
    mt_build_object(b);
    if (fine) {
        mt_build_name(b, MT_SLICE("v"));
        mt_build_array(b);
        for (int i = 1; i < REGISTERS; i++)
            put_value(r, r->registers[i], b);
        mt_build_end(b);
        mt_build_name(b, MT_SLICE("used"));
        mt_build_int(b, (int64_t)r->heap.used);
        mt_build_name(b, MT_SLICE("work"));
        mt_build_int(b, INT64_MAX - (int64_t)r->heap.steps);
    } else {
        mt_build_name(b, MT_SLICE("fault"));
        bool memory = r->heap.fault == MT_FAULT_MEMORY || r->frozen.fault == MT_FAULT_MEMORY;
        mt_build_string(b, memory ? MT_SLICE("memory") : MT_SLICE("steps"));
        mt_build_name(b, MT_SLICE("at"));
        mt_build_int(b, done);
    }
    if (r->bad) {
        mt_build_name(b, MT_SLICE("bad"));
        mt_build_string(b, mt_slice_of(r->bad));
    }
    mt_build_end(b);
    mt_jv_heap_fini(&r->heap);
    mt_jv_heap_fini(&r->frozen);
    for (size_t i = 0; i < r->input_count; i++)
        mt_doc_unref(r->inputs[i]);
    free(r);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct mt_doc *request = NULL, *reply = NULL;
        struct mt_err err;
        struct mt_buf out;
        struct mt_builder *b = mt_builder_new();
        mt_buf_init(&out, (size_t)1 << 30);
        if (mt_doc_parse_copy((struct mt_slice){line, (size_t)n}, NULL, &request, &err)) {
            fprintf(stderr, "value_driver: %s\n", err.text);
            return 1;
        }
        answer(mt_doc_root(request), b);
        if (mt_builder_finish(b, &reply, &err)) {
            fprintf(stderr, "value_driver: %s\n", err.text);
            return 1;
        }
        mt_val_write(mt_doc_root(reply), &out);
        mt_buf_putc(&out, '\n');
        fwrite(out.p, 1, out.n, stdout);
        mt_buf_fini(&out);
        mt_builder_free(b);
        mt_doc_unref(reply);
        mt_doc_unref(request);
    }
    free(line);
    return 0;
}
