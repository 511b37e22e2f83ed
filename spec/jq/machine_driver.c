/* Drives compiler and machine for their specs: one JSON request a line on stdin, one answer a line on stdout.
 *   {"op":"run","program","input","steps","memory","stress","max","environment"}
 *     → {"compile":MESSAGE,"rc":NAME} or {"v":[…],"e":MESSAGE?,"error":VALUE?,"steps":TAKEN,"used":BYTES}
 *   {"op":"entries","programs","inputs","stress"} → [[{"v"}|{"e"}|"empty" of each program] of each input],
 * all of an input's results held until its last expression is done
 *   {"op":"program","programs"} → {"entries":[{"constant"}|{"slot"}|{}],"names":[…],"failed":[…]}
 *   {"op":"threads","program","input","threads"} → as "run", if all threads got the same; else
 * {"differ":true}
 *   {"op":"refuse","program","input"} → {"refused":N}: the N-th allocation was refused, for every N there is
 * stress: the heap is collected wherever it may be. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/machine.h"

void *__wrap_mt_try_alloc(size_t size);
void *__real_mt_try_alloc(size_t size);

static unsigned refuse; /* counts down; the allocation that reaches 0 is refused */

void *__wrap_mt_try_alloc(size_t size)
{
    if (refuse && --refuse == 0)
        return NULL;
    return __real_mt_try_alloc(size);
}

static struct mt_val member(struct mt_val v, const char *name)
{
    struct mt_val found = {NULL, 0};
    mt_val_path(v, name, &found);
    return found;
}

static int64_t number(struct mt_val request, const char *name, int64_t otherwise)
{
    int64_t n;
    return mt_val_int64(member(request, name), &n) ? n : otherwise;
}

static void put_text(struct mt_builder *b, const char *name, struct mt_slice text)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_string(b, text);
}

static void put_number(struct mt_builder *b, const char *name, uint64_t n)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_int(b, (int64_t)n);
}

static void put_error(struct mt_machine *m, struct mt_builder *b)
{
    char message[MT_FOREIGN + 1];
    mt_machine_error(m, message);
    put_text(b, "e", mt_slice_of(message));
    if (!mt_jv_is_none(mt_machine_error_value(m))) {
        mt_build_name(b, MT_SLICE("error"));
        mt_jv_build(mt_machine_error_value(m), b);
    }
}

static struct mt_compiler *compiler_for(struct mt_val request)
{
    struct mt_compile_options options = {.environment = mt_val_true(member(request, "environment"))};
    return mt_compiler_new(&options);
}

static struct mt_program *compile(struct mt_val request, struct mt_builder *b)
{
    struct mt_compiler *c = compiler_for(request);
    struct mt_program *p = NULL;
    struct mt_err err;
    unsigned entry;
    enum mt_rc rc = mt_compiler_add(c, mt_val_string(member(request, "program")), &entry, &err);
    if (rc == MT_OK) {
        p = mt_compiler_finish(c);
    } else if (b) {
        put_text(b, "compile", mt_slice_of(err.text));
        put_text(b, "rc", mt_slice_of(mt_rc_name(rc)));
    }
    mt_compiler_free(c);
    return p;
}

static struct mt_machine *machine_for(const struct mt_program *p, struct mt_val request)
{
    struct mt_machine_limits limits = {(uint64_t)number(request, "steps", 0),
                                       (size_t)number(request, "memory", 0)};
    struct mt_machine *m = mt_machine_new(p, &limits);
    if (mt_val_true(member(request, "stress")))
        mt_machine_heap(m)->collect_at = 0;
    return m;
}

static void run_on(struct mt_machine *m, struct mt_val request, struct mt_builder *b)
{
    int64_t left = number(request, "max", 1000);
    struct mt_jv v;
    mt_machine_begin(m, member(request, "input"));
    mt_machine_start(m, 0);
    uint64_t steps = mt_machine_heap(m)->steps;
    mt_build_name(b, MT_SLICE("v"));
    mt_build_array(b);
    enum mt_outcome outcome = MT_GAVE_NOTHING;
    while (left-- > 0 && (outcome = mt_machine_next(m, &v)) == MT_GAVE_VALUE)
        mt_jv_build(v, b);
    mt_build_end(b);
    if (outcome == MT_RAISED)
        put_error(m, b);
    put_number(b, "steps", steps - mt_machine_heap(m)->steps);
    put_number(b, "used", mt_machine_heap(m)->used);
    if (mt_machine_next(m, &v) != MT_GAVE_NOTHING && outcome != MT_GAVE_VALUE)
        put_text(b, "broken", MT_SLICE("it went on after its end"));
}

static void run(struct mt_val request, struct mt_builder *b)
{
    struct mt_program *p = compile(request, b);
    if (!p)
        return;
    struct mt_machine *m = machine_for(p, request);
    run_on(m, request, b);
    mt_machine_free(m);
    mt_program_free(p);
}

enum { ENTRIES_MAX = 64 };

static void entries(struct mt_val request, struct mt_builder *b)
{
    struct mt_compiler *c = compiler_for(request);
    struct mt_val programs = member(request, "programs"), item;
    struct mt_slice name;
    struct mt_err err;
    unsigned count = 0, entry;
    struct mt_iter it = mt_iter_of(programs);
    while (mt_iter_next(&it, &name, &item) && count < ENTRIES_MAX)
        if (mt_compiler_add(c, mt_val_string(item), &entry, &err) == MT_OK)
            count++;
    struct mt_program *p = mt_compiler_finish(c);
    mt_compiler_free(c);
    struct mt_machine *m = machine_for(p, request);
    struct mt_jv kept[ENTRIES_MAX];
    enum mt_outcome outcomes[ENTRIES_MAX];
    char messages[ENTRIES_MAX][MT_FOREIGN + 1];
    mt_build_name(b, MT_SLICE("results"));
    mt_build_array(b);
    it = mt_iter_of(member(request, "inputs"));
    while (mt_iter_next(&it, &name, &item)) {
        mt_machine_begin(m, item);
        for (unsigned i = 0; i < count; i++) {
            mt_machine_keep(m, kept, i);
            outcomes[i] = mt_machine_first(m, i, &kept[i]);
            if (outcomes[i] != MT_GAVE_VALUE)
                kept[i] = mt_jv_null();
            if (outcomes[i] == MT_RAISED)
                mt_machine_error(m, messages[i]);
        }
        mt_machine_keep(m, NULL, 0);
        mt_build_array(b);
        for (unsigned i = 0; i < count; i++) {
            if (outcomes[i] == MT_GAVE_NOTHING) {
                mt_build_string(b, MT_SLICE("empty"));
                continue;
            }
            mt_build_object(b);
            if (outcomes[i] == MT_RAISED) {
                put_text(b, "e", mt_slice_of(messages[i]));
            } else {
                mt_build_name(b, MT_SLICE("v"));
                mt_jv_build(kept[i], b);
            }
            mt_build_end(b);
        }
        mt_build_end(b);
    }
    mt_build_end(b);
    mt_machine_free(m);
    mt_program_free(p);
}

static void program(struct mt_val request, struct mt_builder *b)
{
    struct mt_compiler *c = compiler_for(request);
    struct mt_val item;
    struct mt_slice name;
    struct mt_err err;
    unsigned count = 0, entry, slot;
    struct mt_iter it = mt_iter_of(member(request, "programs"));
    mt_build_name(b, MT_SLICE("failed"));
    mt_build_array(b);
    while (mt_iter_next(&it, &name, &item)) {
        if (mt_compiler_add(c, mt_val_string(item), &entry, &err) == MT_OK)
            count++;
        else
            mt_build_string(b, mt_slice_of(err.text));
    }
    mt_build_end(b);
    struct mt_program *p = mt_compiler_finish(c);
    mt_compiler_free(c);
    mt_build_name(b, MT_SLICE("entries"));
    mt_build_array(b);
    for (unsigned i = 0; i < count; i++) {
        struct mt_jv v;
        mt_build_object(b);
        if (mt_program_constant(p, i, &v)) {
            mt_build_name(b, MT_SLICE("constant"));
            mt_jv_build(v, b);
        }
        if (mt_program_slot(p, i, &slot))
            put_number(b, "slot", slot);
        mt_build_end(b);
    }
    mt_build_end(b);
    mt_build_name(b, MT_SLICE("names"));
    mt_build_array(b);
    for (unsigned i = 0; (name = mt_program_name(p, i)).p; i++)
        mt_build_string(b, name);
    mt_build_end(b);
    mt_program_free(p);
}

struct worker {
    pthread_t thread;
    const struct mt_program *p;
    struct mt_val request;
    struct mt_doc *answer;
};

static void *work(void *ud)
{
    struct worker *w = ud;
    struct mt_machine *m = machine_for(w->p, w->request);
    struct mt_builder *b = mt_builder_new();
    struct mt_err err;
    mt_build_object(b);
    run_on(m, w->request, b);
    mt_build_end(b);
    if (mt_builder_finish(b, &w->answer, &err))
        fprintf(stderr, "%s\n", err.text);
    mt_builder_free(b);
    mt_machine_free(m);
    return NULL;
}

static void threads(struct mt_val request, struct mt_builder *b)
{
    struct worker workers[16] = {{.p = NULL}};
    struct mt_program *p = compile(request, b);
    int64_t count = number(request, "threads", 4);
    bool same = true;
    for (int64_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.p = p, .request = request};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            abort();
    }
    for (int64_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (int64_t i = 1; i < count; i++)
        same = same && mt_val_equal(mt_doc_root(workers[0].answer), mt_doc_root(workers[i].answer));
    mt_build_name(b, MT_SLICE("differ"));
    mt_build_bool(b, !same);
    mt_build_name(b, MT_SLICE("v"));
    mt_build_ref(b, member(mt_doc_root(workers[0].answer), "v"));
    for (int64_t i = 0; i < count; i++)
        mt_doc_unref(workers[i].answer);
    mt_program_free(p);
}

/* One allocation after the other is refused until an evaluation meets none. */
static void refuse_each(struct mt_val request, struct mt_builder *b)
{
    unsigned n = 0;
    for (bool met = true; met;) {
        refuse = ++n;
        struct mt_program *p = compile(request, NULL);
        struct mt_machine *m = p ? machine_for(p, request) : NULL;
        if (m) {
            struct mt_jv v;
            mt_machine_begin(m, member(request, "input"));
            mt_machine_start(m, 0);
            while (mt_machine_next(m, &v) == MT_GAVE_VALUE)
                ;
        }
        met = refuse == 0;
        refuse = 0;
        mt_machine_free(m);
        mt_program_free(p);
    }
    put_number(b, "refused", n - 1);
}

static bool answer(struct mt_slice line)
{
    static const struct {
        const char *name;
        void (*run)(struct mt_val request, struct mt_builder *b);
    } operations[] = {{"run", run},         {"entries", entries},    {"program", program},
                      {"threads", threads}, {"refuse", refuse_each}, {NULL, NULL}};
    struct mt_doc *request, *doc;
    struct mt_err err;
    struct mt_buf out;
    if (mt_doc_parse_copy(line, NULL, &request, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    struct mt_slice op = mt_val_string(member(mt_doc_root(request), "op"));
    struct mt_builder *b = mt_builder_new();
    mt_build_object(b);
    for (int i = 0; operations[i].name; i++)
        if (mt_slice_is(op, operations[i].name))
            operations[i].run(mt_doc_root(request), b);
    mt_build_end(b);
    mt_buf_init(&out, (size_t)1 << 30);
    bool ok = mt_builder_finish(b, &doc, &err) == MT_OK;
    if (ok) {
        mt_val_write(mt_doc_root(doc), &out);
        printf("%s\n", mt_buf_text(&out));
        fflush(stdout);
        mt_doc_unref(doc);
    } else {
        fprintf(stderr, "%s\n", err.text);
    }
    mt_buf_fini(&out);
    mt_builder_free(b);
    mt_doc_unref(request);
    return ok;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    bool ok = true;
    while (ok && (n = getline(&line, &size, stdin)) > 0)
        ok = answer((struct mt_slice){line, (size_t)n});
    free(line);
    return ok ? 0 : 1;
}
