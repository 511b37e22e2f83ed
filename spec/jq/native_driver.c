/* Drives the natives over strings, formats, regular expressions, dates and numbers for native_spec.lua,
 * without programs: one JSON request a line on stdin, one answer a line on stdout.
 *   {"calls":[[NAME, ARGUMENT…], …], "input":VALUE, "steps":N?, "memory":N?, "repeat":N?}
 *     → {"v":VALUE,"text":JSON as jq writes it} or {"e":VALUE} or {"fault":"steps"|"memory"}, and {"ns"}
 *     each call's result is the next one's input; {"$":"nan"} is that number ("infinite", "-infinite" too)
 *   {"sweep":true} → {"calls":N}: every native with arguments of every kind; dies on a broken promise
 *   {"threads":N} → {"same":true}: regular expressions and dates on N threads at once
 *   {"natives":true} → {"names":["split/1", …]} */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jq/native.h"

static const struct mt_native *const tables[] = {mt_string_natives, mt_format_natives, mt_regex_natives,
                                                 mt_date_natives, mt_number_natives};
enum { TABLES = sizeof tables / sizeof *tables, ARGUMENTS_MAX = 4 };

static const struct mt_native *find(struct mt_slice name, unsigned arity)
{
    for (int t = 0; t < TABLES; t++)
        for (const struct mt_native *n = tables[t]; n->name; n++)
            if (n->arity == arity && mt_slice_is(name, n->name))
                return n;
    return NULL;
}

static bool member(struct mt_val v, const char *name, struct mt_val *out)
{
    return mt_val_member(v, mt_slice_of(name), out);
}

static int64_t number_of(struct mt_val request, const char *name, int64_t otherwise)
{
    struct mt_val v;
    int64_t n = otherwise;
    if (member(request, name, &v))
        mt_val_int64(v, &n);
    return n;
}

static struct mt_jv argument(struct mt_val v)
{
    struct mt_val special;
    if (mt_val_is(v, MT_OBJECT) && member(v, "$", &special)) {
        struct mt_slice s = mt_val_string(special);
        return mt_jv_number((double)(mt_slice_is(s, "nan")        ? (double)NAN
                                     : mt_slice_is(s, "infinite") ? (double)INFINITY
                                                                  : -(double)INFINITY));
    }
    return mt_jv_of(v);
}

/* A result is there exactly when nothing was raised. */
static void check(const struct mt_native *n, struct mt_jv result, const struct mt_jv_heap *h)
{
    if (mt_jv_is_none(result) != (h->fault != MT_FAULT_NONE)) {
        fprintf(stderr, "native_driver: %s/%d: result and fault do not agree\n", n->name, n->arity);
        abort();
    }
}

static void put_result(struct mt_jv v, const struct mt_jv_heap *h, struct mt_builder *b)
{
    if (h->fault == MT_FAULT_STEPS || h->fault == MT_FAULT_MEMORY) {
        mt_build_name(b, MT_SLICE("fault"));
        mt_build_string(b, h->fault == MT_FAULT_STEPS ? MT_SLICE("steps") : MT_SLICE("memory"));
    } else if (mt_jv_is_none(v)) {
        mt_build_name(b, MT_SLICE("e"));
        mt_jv_build(h->error, b);
    } else {
        struct mt_buf text;
        mt_buf_init(&text, (size_t)1 << 30);
        mt_jv_write(v, &text);
        mt_build_name(b, MT_SLICE("v"));
        mt_jv_build(v, b);
        mt_build_name(b, MT_SLICE("text"));
        mt_build_string(b, mt_buf_slice(&text));
        mt_buf_fini(&text);
    }
}

static struct mt_jv run(struct mt_jv_heap *h, struct mt_val calls, struct mt_jv input)
{
    struct mt_slice none;
    struct mt_val call, part;
    struct mt_jv v = input;
    for (struct mt_iter it = mt_iter_of(calls); mt_iter_next(&it, &none, &call) && !mt_jv_is_none(v);) {
        struct mt_jv args[ARGUMENTS_MAX] = {v};
        unsigned count = 0;
        struct mt_slice name = {NULL, 0};
        for (struct mt_iter parts = mt_iter_of(call); mt_iter_next(&parts, &none, &part); count++) {
            if (count == 0)
                name = mt_val_string(part);
            else if (count < ARGUMENTS_MAX)
                args[count] = argument(part);
        }
        const struct mt_native *n = count > 0 ? find(name, count - 1) : NULL;
        if (!n) {
            fprintf(stderr, "native_driver: no native %.*s/%d\n", MT_FMT(name), (int)count - 1);
            exit(1);
        }
        v = n->run(h, args);
        check(n, v, h);
    }
    return v;
}

static void calls(struct mt_val request, struct mt_val list, struct mt_builder *b)
{
    struct mt_jv_heap h;
    struct mt_val input = {NULL, 0};
    struct mt_jv v = MT_NONE;
    int64_t repeat = number_of(request, "repeat", 1), steps = number_of(request, "steps", 50000000);
    mt_jv_heap_init(&h, (size_t)number_of(request, "memory", 256 << 20));
    member(request, "input", &input);
    uint64_t began = mt_now_ns();
    for (int64_t i = 0; i < repeat; i++) {
        mt_jv_heap_reset(&h);
        h.fault = MT_FAULT_NONE;
        h.steps = (uint64_t)steps;
        v = run(&h, list, argument(input));
    }
    uint64_t ns = mt_now_ns() - began;
    put_result(v, &h, b);
    mt_build_name(b, MT_SLICE("ns"));
    mt_build_int(b, (int64_t)(ns / (uint64_t)repeat));
    mt_build_name(b, MT_SLICE("left"));
    mt_build_int(b, (int64_t)h.steps);
    mt_jv_heap_fini(&h);
}

static const char values[] =
    "[null,true,false,0,-1,1.5,3.0,-0.0,2147483648,-2147483649,9007199254740993,1e18,1e300,-1e300,1e-320,"
    "1E+1000,\"\",\"abc\",\" a,b c "
    "\",\"a(\",\"(a|b)*?\",\"gix\",\"%Y-%m-%dT%H:%M:%SZ\",\"%5000000Y\",\"%%%\",\"%s\","
    "\"2015-03-05T23:51:47Z\",\"QUJD\",\"\\u0000\",\"\\ud83d\\ude00\xC3\xA9\",\"nan\",\"[1,{\\\"a\\\":\","
    "\"csv\",\"sh\","
    "\"%F0%9F\",[],[1],[-1,1114112,55296,1e300],[2015,2,5,23,51,47.5,4,63],[1e300,1e300,-1e300,1e300,1e300,-"
    "1e300],"
    "[2147483647,2147483647,2147483647,2147483647,2147483647,2147483647],[\"a\",null,2],[[],{}],{},{\"a\":1},"
    "{\"$\":\"nan\"},{\"$\":\"infinite\"},{\"$\":\"-infinite\"}]";

static void sweep(struct mt_builder *b)
{
    struct mt_doc *doc = NULL;
    struct mt_err err;
    if (mt_doc_parse_copy(MT_SLICE(values), NULL, &doc, &err)) {
        fprintf(stderr, "native_driver: %s\n", err.text);
        exit(1);
    }
    struct mt_val list = mt_doc_root(doc), v;
    uint32_t count = mt_val_count(list);
    int64_t made = 0;
    struct mt_jv_heap h;
    mt_jv_heap_init(&h, 16 << 20);
    for (int t = 0; t < TABLES; t++) {
        for (const struct mt_native *n = tables[t]; n->name; n++) {
            /* Three arguments: every third value. */
            uint32_t stride = n->arity > 2 ? 3 : 1, total = 1;
            for (unsigned i = 0; i <= n->arity; i++)
                total *= count / stride;
            for (uint32_t choice = 0; choice < total; choice++, made++) {
                struct mt_jv args[ARGUMENTS_MAX];
                uint32_t left = choice;
                mt_jv_heap_reset(&h);
                h.fault = MT_FAULT_NONE;
                h.steps = 100000;
                for (unsigned i = 0; i <= n->arity; i++) {
                    mt_val_index(list, left % (count / stride) * stride, &v);
                    args[i] = argument(v);
                    left /= count / stride;
                }
                check(n, n->run(&h, args), &h);
            }
        }
    }
    mt_jv_heap_fini(&h);
    mt_doc_unref(doc);
    mt_build_name(b, MT_SLICE("calls"));
    mt_build_int(b, made);
}

static void *work(void *argument_)
{
    static const char text[] = "[\"x2015-03-05T23:51:47Z\",\"(?<d>[0-9]+)-\",\"g\",\"x%Y-%m-%dT%H:%M:%SZ\"]";
    struct mt_doc *doc = NULL;
    struct mt_jv_heap h;
    bool *good = argument_;
    if (mt_doc_parse_copy(MT_SLICE(text), NULL, &doc, NULL))
        abort();
    mt_jv_heap_init(&h, 16 << 20);
    struct mt_jv parts[4];
    for (uint32_t i = 0; i < 4; i++) {
        struct mt_val v;
        mt_val_index(mt_doc_root(doc), i, &v);
        parts[i] = mt_jv_of(v);
    }
    *good = true;
    for (int i = 0; i < 2000 && *good; i++) {
        mt_jv_heap_reset(&h);
        h.steps = 50000000;
        struct mt_jv scanned = find(MT_SLICE("_scan"), 2)->run(&h, parts);
        struct mt_jv time[] = {parts[0], parts[3]};
        time[0] = find(MT_SLICE("strptime"), 1)->run(&h, time);
        struct mt_jv again = find(MT_SLICE("strftime"), 1)->run(&h, time);
        struct mt_jv local[] = {mt_jv_number(1425599507)};
        local[0] = find(MT_SLICE("localtime"), 0)->run(&h, local);
        *good = mt_jv_count(scanned) == 2 && mt_jv_equal(again, parts[0]) && mt_jv_count(local[0]) == 8;
    }
    mt_jv_heap_fini(&h);
    mt_doc_unref(doc);
    return NULL;
}

static void threads(int64_t count, struct mt_builder *b)
{
    enum { MAX = 16 };
    pthread_t thread[MAX];
    bool good[MAX] = {false}, same = true;
    count = count < MAX ? count : MAX;
    for (int64_t i = 0; i < count; i++)
        if (pthread_create(&thread[i], NULL, work, &good[i]) != 0)
            abort();
    for (int64_t i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
        same = same && good[i];
    }
    mt_build_name(b, MT_SLICE("same"));
    mt_build_bool(b, same);
}

static void names(struct mt_builder *b)
{
    mt_build_name(b, MT_SLICE("names"));
    mt_build_array(b);
    for (int t = 0; t < TABLES; t++) {
        for (const struct mt_native *n = tables[t]; n->name; n++) {
            char *name = mt_format("%s/%d", n->name, n->arity);
            mt_build_string(b, mt_slice_of(name));
            free(name);
        }
    }
    mt_build_end(b);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct mt_doc *request = NULL, *answer = NULL;
        struct mt_err err;
        struct mt_val list;
        if (mt_doc_parse_copy((struct mt_slice){line, (size_t)n}, NULL, &request, &err)) {
            fprintf(stderr, "native_driver: %s\n", err.text);
            return 1;
        }
        struct mt_builder *b = mt_builder_new();
        mt_build_object(b);
        if (member(mt_doc_root(request), "calls", &list))
            calls(mt_doc_root(request), list, b);
        else if (member(mt_doc_root(request), "sweep", &list))
            sweep(b);
        else if (member(mt_doc_root(request), "threads", &list))
            threads(number_of(mt_doc_root(request), "threads", 1), b);
        else if (member(mt_doc_root(request), "natives", &list))
            names(b);
        mt_build_end(b);
        struct mt_buf out;
        mt_buf_init(&out, (size_t)1 << 30);
        if (mt_builder_finish(b, &answer, &err)) {
            fprintf(stderr, "native_driver: %s\n", err.text);
            return 1;
        }
        mt_val_write(mt_doc_root(answer), &out);
        mt_buf_putc(&out, '\n');
        fwrite(out.p, 1, out.n, stdout);
        fflush(stdout);
        mt_buf_fini(&out);
        mt_builder_free(b);
        mt_doc_unref(answer);
        mt_doc_unref(request);
    }
    free(line);
    return 0;
}
