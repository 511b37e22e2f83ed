/* Any bytes as a jq program and its inputs: it is compiled and run, with tight limits. The same comes out
 *   - when the heap is collected wherever it may be,
 *   - when no container is changed in place (what changes one is linked under another name here, which marks
 *     it shared first),
 *   - when the input is no input but a computed value, so that nothing is a slot,
 *   - when another program was run on the machine before, and when a second machine runs it.
 * Programs that look at the clock aside. The program ends at the first NUL, or if there is none at the first
 * newline; each line behind it is an input, and null is one when none is JSON. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "jq/heap.h"
#include "jq/machine.h"

enum { INPUTS = 3, OUTPUTS = 100, STEPS = 20000, STRESSED_STEPS = 3000 };

#define MEMORY ((size_t)4 << 20)
#define STRESSED_MEMORY ((size_t)256 << 10)

static bool copying;

static struct mt_jv seen(struct mt_jv v)
{
    return copying ? mt_jv_share(v) : v;
}

/* result name(heap, container, more parameters…), called with the container marked shared. */
#define WRAP(type, name, parameters, arguments)                                                              \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return __real_##name arguments;                                                                      \
    }

WRAP(struct mt_jv, mt_jv_append, (struct mt_jv_heap * h, struct mt_jv array, struct mt_jv value),
     (h, seen(array), value))
WRAP(struct mt_jv, mt_jv_put, (struct mt_jv_heap * h, struct mt_jv array, size_t i, struct mt_jv value),
     (h, seen(array), i, value))
WRAP(struct mt_jv, mt_jv_concat, (struct mt_jv_heap * h, struct mt_jv array, struct mt_jv more),
     (h, seen(array), seen(more)))
WRAP(struct mt_jv, mt_jv_slice, (struct mt_jv_heap * h, struct mt_jv array, size_t from, size_t to),
     (h, seen(array), from, to))
WRAP(struct mt_jv, mt_jv_set,
     (struct mt_jv_heap * h, struct mt_jv object, struct mt_jv name, struct mt_jv value),
     (h, seen(object), name, value))
WRAP(struct mt_jv, mt_jv_unset, (struct mt_jv_heap * h, struct mt_jv object, struct mt_slice name),
     (h, seen(object), name))
WRAP(struct mt_jv_array *, mt_array_own, (struct mt_jv_heap * h, struct mt_jv v, size_t room, bool to_write),
     (h, seen(v), room, to_write))
WRAP(struct mt_jv_object *, mt_object_own, (struct mt_jv_heap * h, struct mt_jv v, size_t room),
     (h, seen(v), room))

/* What came out of a program for one input. */
struct outcome {
    struct mt_buf text; /* outputs and the error, a line each */
    bool cut;           /* a limit ended it, so that another run may get further */
};

static void fail(const char *what, struct mt_slice program, const struct outcome *a, const struct outcome *b)
{
    fprintf(stderr, "jq_program_fuzz: %s\nprogram %.*s\n", what, MT_FMT(program));
    if (a)
        fprintf(stderr, "once\n%.*s", (int)a->text.n, a->text.p);
    if (b)
        fprintf(stderr, "and now\n%.*s", (int)b->text.n, b->text.p);
    abort();
}

static void run(struct mt_machine *m, unsigned entry, struct mt_val input, struct mt_slice program,
                struct outcome *out)
{
    struct mt_jv v;
    char message[MT_FOREIGN + 1];
    enum mt_outcome got = MT_GAVE_NOTHING;
    int left = OUTPUTS;
    mt_buf_clear(&out->text);
    out->cut = false;
    mt_machine_begin(m, input);
    mt_machine_start(m, entry);
    while (left-- > 0 && (got = mt_machine_next(m, &v)) == MT_GAVE_VALUE) {
        mt_jv_write(v, &out->text);
        mt_buf_putc(&out->text, '\n');
    }
    if (got == MT_RAISED) {
        mt_machine_error(m, message);
        out->cut = mt_jv_is_none(mt_machine_error_value(m));
        if (!out->cut)
            mt_buf_printf(&out->text, "error: %s\n", message);
        else if (strncmp(message, "the expression ", 15) != 0)
            fail("a fault without a reason", program, NULL, NULL);
        if (mt_machine_next(m, &v) != MT_GAVE_NOTHING)
            fail("it went on behind its end", program, NULL, NULL);
    }
    out->cut = out->cut || out->text.failed;
}

static void compare(const char *what, struct mt_slice program, const struct outcome *a,
                    const struct outcome *b)
{
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    bool same = n == 0 || memcmp(a->text.p, b->text.p, n) == 0;
    if (!a->cut && !b->cut)
        same = same && a->text.n == b->text.n;
    else if (!a->cut)
        same = same && b->text.n <= a->text.n;
    else if (!b->cut)
        same = same && a->text.n <= b->text.n;
    if (!same)
        fail(what, program, a, b);
}

static bool has(struct mt_slice text, const char *word)
{
    return memmem(text.p, text.n, word, strlen(word)) != NULL;
}

/* The time goes on between two runs; a program that looks its own text up is another one when it is wrapped.
 */
static bool may_differ(struct mt_slice program)
{
    return has(program, "now") || has(program, "localtime") || has(program, "strflocaltime") ||
           has(program, "mktime") || has(program, "__loc__");
}

static struct mt_machine *machine_for(const struct mt_program *p, uint64_t steps, size_t memory)
{
    struct mt_machine_limits limits = {steps, memory};
    return mt_machine_new(p, &limits);
}

struct runs {
    struct mt_program *p;
    struct mt_machine *plain, *second, *stressed;
    bool wrapped; /* entry 2 is the program on a computed value */
};

static void check(struct runs *r, struct mt_slice program, struct mt_val input)
{
    struct outcome first, next;
    struct mt_jv v;
    mt_buf_init(&first.text, 1 << 20);
    mt_buf_init(&next.text, 1 << 20);
    run(r->plain, 0, input, program, &first);
    if (!may_differ(program)) {
        run(r->stressed, 0, input, program, &next);
        compare("collecting makes a difference", program, &first, &next);
        copying = true;
        run(r->second, 0, input, program, &next);
        copying = false;
        compare("changing in place makes a difference", program, &first, &next);
        if (r->wrapped) {
            run(r->second, 2, input, program, &next);
            compare("a computed input makes a difference", program, &first, &next);
        }
        mt_machine_first(r->plain, 1, &v); /* on the same input, with its slots filled */
        run(r->plain, 0, input, program, &next);
        compare("a second run makes a difference", program, &first, &next);
    }
    mt_buf_fini(&first.text);
    mt_buf_fini(&next.text);
}

static bool add(struct mt_compiler *c, const char *before, struct mt_slice program, const char *behind)
{
    struct mt_buf text;
    struct mt_err err = {0};
    unsigned entry;
    mt_buf_init(&text, (size_t)1 << 21);
    mt_buf_puts(&text, before);
    mt_buf_put(&text, program);
    mt_buf_puts(&text, behind);
    enum mt_rc rc = mt_compiler_add(c, mt_buf_slice(&text), &entry, &err);
    mt_buf_fini(&text);
    if (rc != MT_OK && (rc != MT_EINVAL && rc != MT_ENOENT && rc != MT_ELIMIT))
        fail(err.text, program, NULL, NULL);
    if (rc != MT_OK && *err.text == '\0')
        fail("it does not compile, and nobody says why", program, NULL, NULL);
    return rc == MT_OK;
}

static void run_all(struct runs *r, struct mt_slice program, struct mt_slice rest)
{
    unsigned inputs = 0;
    while (inputs < INPUTS && rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        struct mt_doc *doc;
        if (mt_doc_parse_copy((struct mt_slice){rest.p, n}, NULL, &doc, NULL) == MT_OK) {
            check(r, program, mt_doc_root(doc));
            mt_doc_unref(doc);
            inputs++;
        }
        n += end != NULL;
        rest.p += n;
        rest.n -= n;
    }
    if (inputs == 0)
        check(r, program, (struct mt_val){NULL, 0});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_slice program = {(const char *)data, size}, rest = {NULL, 0};
    const char *end = size ? memchr(program.p, '\0', size) : NULL;
    if (!end && size)
        end = memchr(program.p, '\n', size);
    if (end) {
        program.n = (size_t)(end - program.p);
        rest = (struct mt_slice){end + 1, size - program.n - 1};
    }
    struct mt_compiler *c = mt_compiler_new(NULL);
    struct runs r = {.p = NULL};
    if (add(c, "", program, "")) {
        add(c, ".a, .a.b, .b[0]", (struct mt_slice){NULL, 0}, "");
        r.wrapped = add(c, "[.] | .[0] | (", program, "\n)");
        r.p = mt_compiler_finish(c);
        r.plain = machine_for(r.p, STEPS, MEMORY);
        r.second = machine_for(r.p, STEPS, MEMORY);
        r.stressed = machine_for(r.p, STRESSED_STEPS, STRESSED_MEMORY);
        mt_machine_heap(r.stressed)->collect_at = 0;
        run_all(&r, program, rest);
        mt_machine_free(r.plain);
        mt_machine_free(r.second);
        mt_machine_free(r.stressed);
        mt_program_free(r.p);
    }
    mt_compiler_free(c);
    return 0;
}
