/* Drives mt_doc_parse_for for hint_spec.lua: hint_driver COMMAND [ARGUMENT…], input on stdin. A document that
 * was parsed with a hint must answer everything as one that was not; where it does not, the driver ends with
 * 1 and says what. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "json/document.h"

/* ---- An allocator that fails on demand: the linker leads all calls of the program here ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static atomic_long fail_after = -1, met; /* how many calls still succeed (-1: all), how many there were */

static bool refused(void)
{
    met++;
    if (fail_after < 0)
        return false;
    if (fail_after > 0) {
        fail_after--;
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return refused() ? NULL : __real_realloc(p, size);
}

/* ---- Comparing ---- */

static void die(const char *what)
{
    fprintf(stderr, "hint_driver: %s\n", what);
    exit(1);
}

static void must(bool holds, const char *what)
{
    if (!holds)
        die(what);
}

static enum mt_rc parse(struct mt_slice text, const struct mt_names *read, struct mt_doc **out_doc,
                        struct mt_err *err)
{
    struct mt_buf copy;
    mt_buf_init(&copy, SIZE_MAX / 2);
    *out_doc = NULL;
    must(mt_buf_put(&copy, text), "no memory for a copy");
    enum mt_rc rc = mt_doc_parse_for(&copy, NULL, read, out_doc, err);
    must(rc == MT_OK ? copy.p == NULL : copy.n == text.n && !*out_doc, "the text was taken over, or not");
    mt_buf_fini(&copy);
    return rc;
}

static void same_text(struct mt_val plain, struct mt_val v)
{
    struct mt_buf x, y;
    mt_buf_init(&x, SIZE_MAX / 2);
    mt_buf_init(&y, SIZE_MAX / 2);
    must(mt_val_write(plain, &x) && mt_val_write(v, &y), "writing failed");
    must(mt_slice_eq(mt_buf_slice(&x), mt_buf_slice(&y)), "two texts");
    mt_buf_fini(&x);
    mt_buf_fini(&y);
}

enum order { LOOKED_UP, LISTED, WRITTEN, DIGESTED, COMPARED, ORDERS };

/* Everything that v answers, against what plain does. What is asked for first, when nothing but the hinted
 * members is there, differs from order to order. */
static void same(struct mt_val plain, struct mt_val v, enum order order)
{
    struct mt_val a, b, target = mt_val_target(v);
    struct mt_slice name, other;
    must(mt_val_kind(plain) == mt_val_kind(v) && mt_val_is(v, mt_val_kind(plain)), "two kinds");
    must(target.doc == v.doc && target.at == v.at, "a value that is no target");
    if (order == WRITTEN)
        same_text(plain, v);
    if (order == DIGESTED) {
        struct mt_key x = mt_val_digest(plain), y = mt_val_digest(v);
        must(memcmp(&x, &y, sizeof x) == 0, "two digests");
    }
    if (order == COMPARED)
        must(mt_val_equal(v, plain) && mt_val_equal(plain, v) && mt_val_equal(v, v), "not equal");
    must(mt_slice_eq(mt_val_string(plain), mt_val_string(v)) &&
             mt_slice_eq(mt_val_literal(plain), mt_val_literal(v)) && mt_val_true(plain) == mt_val_true(v),
         "two scalars");
    struct mt_iter it = mt_iter_of(plain), also;
    uint32_t n = 0;
    if (mt_val_is(plain, MT_OBJECT) && order != LISTED)
        while (mt_iter_next(&it, &name, &a)) {
            must(mt_val_member(v, name, &b), "a member is not found");
            same(a, b, order);
        }
    if (order != LISTED)
        must(mt_val_member(v, MT_SLICE("no such name"), &b) == false, "a member that is not there");
    must(mt_val_count(plain) == mt_val_count(v), "two counts");
    for (it = mt_iter_of(plain), also = mt_iter_of(v); mt_iter_next(&it, &name, &a); n++) {
        must(mt_iter_next(&also, &other, &b) && mt_slice_eq(name, other), "two lists of members");
        if (!name.p || order == LISTED)
            same(a, b, order);
        if (!name.p)
            must(mt_val_index(v, n, &b) && mt_val_kind(a) == mt_val_kind(b), "an element is not found");
    }
    must(!mt_iter_next(&also, &other, &b), "more members");
    must(!mt_val_index(v, n, &b), "more elements");
}

/* Hints by which parts are missing at every place: nothing is read, a few names, and every second and third
 * name that the value holds. */
static void collect(struct mt_val v, struct mt_slice *names, size_t *count, size_t max)
{
    struct mt_iter it = mt_iter_of(v);
    struct mt_slice name;
    while (mt_iter_next(&it, &name, &v)) {
        if (name.p && *count < max)
            names[(*count)++] = name;
        collect(v, names, count, max);
    }
}

enum { NAMES = 4096, HINTS = 5 };

static struct mt_names *hint(struct mt_val plain, unsigned which)
{
    static const struct mt_slice few[] = {{"a", 1}, {"name", 4}, {"owner", 5}, {"login", 5}, {"", 0}};
    struct mt_slice *all = mt_alloc(NAMES * sizeof *all);
    size_t count = 0, kept = 0;
    collect(plain, all, &count, NAMES);
    if (which >= 2)
        for (size_t i = 0; i < count; i++)
            if (which == 4 || i % which == 0)
                all[kept++] = all[i];
    struct mt_names *names = which == 0   ? mt_names_new(NULL, 0)
                             : which == 1 ? mt_names_new(few, sizeof few / sizeof few[0])
                                          : mt_names_new(all, kept);
    for (size_t i = 0; i < kept; i++)
        must(mt_names_has(names, all[i]), "a name is not in its set");
    must(!mt_names_has(names, MT_SLICE("no such name")), "a name is in a set that it was not put into");
    free(all);
    return names;
}

/* The text with and without hints. Returns what the parser says. */
static enum mt_rc compare(struct mt_slice text, struct mt_err *err)
{
    struct mt_doc *plain, *doc;
    struct mt_err other = {0};
    enum mt_rc rc = parse(text, NULL, &plain, err);
    for (unsigned which = 0; which < HINTS; which++) {
        struct mt_names *names = hint(mt_doc_root(plain), which);
        for (enum order order = 0; order < ORDERS; order++) {
            must(parse(text, names, &doc, &other) == rc, "a hint made a text good or bad");
            if (rc != MT_OK) {
                must(strcmp(other.text, err->text) == 0, "a hint changed the message");
                break;
            }
            same(mt_doc_root(plain), mt_doc_root(doc), order);
            same_text(mt_doc_root(plain), mt_doc_root(doc));
            must(!mt_doc_failed(doc) && mt_doc_bytes(doc) > 0, "a failure that was none");
            mt_doc_unref(doc);
        }
        mt_names_free(names);
    }
    mt_doc_unref(plain);
    return rc;
}

/* ---- Commands ---- */

static struct mt_buf read_all(FILE *file)
{
    struct mt_buf text;
    char piece[65536];
    size_t n;
    mt_buf_init(&text, SIZE_MAX / 2);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        must(mt_buf_add(&text, piece, n), "no memory for the input");
    return text;
}

static void tell(const char *label, enum mt_rc rc, const struct mt_err *err)
{
    printf("%s%s%s\n", label, rc == MT_OK ? "ok" : mt_rc_name(rc), rc == MT_OK ? "" : err->text);
}

/* lines: each line is a text. */
static void lines(struct mt_slice text)
{
    while (text.n > 0) {
        struct mt_err err = {0};
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        enum mt_rc rc = compare((struct mt_slice){text.p, n}, &err);
        puts(rc == MT_OK ? "ok" : err.text);
        n += nl != NULL;
        text = (struct mt_slice){text.p + n, text.n - n};
    }
}

/* skipped FILE…: each file as the value of a member that no hint names, and of one inside an array of it. */
static void skipped(char **paths)
{
    static const char *const before[] = {"{\"read\":1,\"skipped\":", "[{\"skipped\":[{\"a\":0},",
                                         "{\"skipped\":{\"deep\":{\"deeper\":"};
    static const char *const after[] = {"}", "]}]", "}}}"};
    for (; *paths; paths++) {
        FILE *file = fopen(*paths, "rb");
        must(file != NULL, "cannot open the file");
        struct mt_buf inner = read_all(file), text;
        fclose(file);
        mt_buf_init(&text, SIZE_MAX / 2);
        enum mt_rc first = MT_OK;
        struct mt_err err;
        for (size_t i = 0; i < 3; i++) {
            mt_buf_clear(&text);
            mt_buf_puts(&text, before[i]);
            mt_buf_put(&text, mt_buf_slice(&inner));
            mt_buf_puts(&text, after[i]);
            enum mt_rc rc = compare(mt_buf_slice(&text), &err);
            must(i == 0 || rc == first, "the place made a text good or bad");
            first = rc;
        }
        printf("%s ", *paths);
        tell("", first, &err);
        mt_buf_fini(&inner);
        mt_buf_fini(&text);
    }
}

/* cut: every beginning of the text (without its newline) that is shorter than it. */
static void cut(struct mt_slice text)
{
    text.n -= text.n > 0 && text.p[text.n - 1] == '\n';
    struct mt_names *names = mt_names_new(NULL, 0);
    for (size_t n = 0; n < text.n; n++) {
        struct mt_doc *doc;
        struct mt_err err, checked;
        struct mt_slice piece = {mt_slice_dup((struct mt_slice){text.p, n}), n};
        must(parse(piece, names, &doc, &err) == MT_EDATA, "a text that was cut is accepted");
        must(mt_json_check(piece, NULL, &checked) == MT_EDATA, "a text that was cut passes the check");
        must(strcmp(err.text, checked.text) == 0, "two messages for one text");
        free((void *)(uintptr_t)piece.p);
    }
    printf("%zu\n", text.n);
    mt_names_free(names);
}

/* sweep: parsing with a hint, then reading what is missing, with the n-th allocation refused. */
static void sweep(struct mt_slice text)
{
    struct mt_slice one = MT_SLICE("name");
    struct mt_names *names = mt_names_new(&one, 1);
    struct mt_doc *plain, *doc;
    struct mt_err err;
    long failures = 0;
    must(parse(text, NULL, &plain, &err) == MT_OK, "the text is bad");
    for (long n = 0, calls = n + 1; calls > n; n++) {
        struct mt_buf copy;
        mt_buf_init(&copy, SIZE_MAX / 2);
        mt_buf_put(&copy, text);
        doc = NULL;
        fail_after = n;
        met = 0;
        enum mt_rc rc = mt_doc_parse_for(&copy, NULL, names, &doc, &err);
        calls = met;
        fail_after = -1;
        must(rc == MT_OK || (rc == MT_ENOMEM && copy.n == text.n && !doc),
             "parsing hid that it had no memory");
        mt_doc_unref(doc);
        mt_buf_fini(&copy);
    }
    for (long n = 0, calls = n + 1; calls > n; n++) {
        struct mt_buf out;
        mt_buf_init(&out, SIZE_MAX / 2);
        mt_buf_reserve(&out, 2 * text.n + 64);
        must(parse(text, names, &doc, &err) == MT_OK, "the text is bad with a hint");
        fail_after = n;
        met = 0;
        uint32_t count = mt_val_count(mt_doc_root(doc));
        struct mt_key key = mt_val_digest(mt_doc_root(doc));
        bool written = mt_val_write(mt_doc_root(doc), &out);
        calls = met;
        fail_after = -1;
        if (mt_doc_failed(doc)) {
            failures++;
        } else {
            struct mt_key whole = mt_val_digest(mt_doc_root(plain));
            must(written && count == mt_val_count(mt_doc_root(plain)) &&
                     memcmp(&key, &whole, sizeof key) == 0,
                 "a part is missing, and nothing tells");
        }
        same(mt_doc_root(plain), mt_doc_root(doc), LISTED); /* later there is memory again */
        mt_doc_unref(doc);
        mt_buf_fini(&out);
    }
    /* No memory at all: writing says so by itself. */
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_buf_reserve(&out, 2 * text.n + 64);
    must(parse(text, names, &doc, &err) == MT_OK, "the text is bad with a hint");
    fail_after = 0;
    bool written = mt_val_write(mt_doc_root(doc), &out);
    uint32_t count = mt_val_count(mt_doc_root(doc));
    fail_after = -1;
    must(!written && count == 0 && mt_doc_failed(doc), "writing half of a value was called well");
    mt_buf_fini(&out);
    mt_doc_unref(doc);
    mt_doc_unref(plain);
    mt_names_free(names);
    printf("%ld failures\n", failures);
}

/* kept: a part that a built document refers to outlives all who parsed it; the hint may go before its
 * document. */
static void kept(struct mt_slice text)
{
    struct mt_slice one = MT_SLICE("name");
    struct mt_names *names = mt_names_new(&one, 1);
    struct mt_doc *doc, *outer;
    struct mt_err err;
    must(parse(text, names, &doc, &err) == MT_OK, "the text is bad");
    mt_names_free(names);
    struct mt_builder *b = mt_builder_new();
    struct mt_iter it = mt_iter_of(mt_doc_root(doc));
    struct mt_slice name;
    struct mt_val v;
    mt_build_array(b);
    mt_build_ref(b, mt_doc_root(doc));
    while (mt_iter_next(&it, &name, &v))
        mt_build_ref(b, v);
    mt_build_end(b);
    must(mt_builder_finish(b, &outer, &err) == MT_OK, "the builder refused");
    mt_builder_free(b);
    mt_doc_unref(mt_doc_ref(v.doc));
    mt_doc_unref(doc);
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    must(mt_val_write(mt_doc_root(outer), &out), "writing failed");
    printf("%.*s\n", (int)out.n, out.p);
    mt_buf_fini(&out);
    mt_doc_unref(outer);
}

/* threads: many read the missing parts of one document at once. */
struct race {
    struct mt_doc *plain, *doc;
    atomic_int waiting;
};

static void *racer(void *argument)
{
    struct race *race = argument;
    race->waiting--;
    while (race->waiting > 0)
        continue;
    same(mt_doc_root(race->plain), mt_doc_root(race->doc), LOOKED_UP);
    mt_doc_unref(race->doc);
    return NULL;
}

static void threads(struct mt_slice text)
{
    enum { THREADS = 4, ROUNDS = 100 };
    struct mt_names *names = mt_names_new(NULL, 0);
    struct mt_err err;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t ids[THREADS];
        struct race race = {.waiting = THREADS};
        must(parse(text, NULL, &race.plain, &err) == MT_OK && parse(text, names, &race.doc, &err) == MT_OK,
             "the text is bad");
        for (int i = 0; i < THREADS; i++) {
            mt_doc_ref(race.doc);
            must(pthread_create(&ids[i], NULL, racer, &race) == 0, "no thread");
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(ids[i], NULL);
        mt_doc_unref(race.doc);
        mt_doc_unref(race.plain);
    }
    mt_names_free(names);
    puts("same");
}

/* deep: 9,999 objects around the text, each in the one before it, that all lack a member; asked for it
 * innermost first. Prints how many bytes a byte of text this took. */
static void deep(struct mt_slice text)
{
    enum { LEVELS = 9999 };
    static struct mt_val levels[LEVELS];
    struct mt_slice one = MT_SLICE("in");
    struct mt_names *names = mt_names_new(&one, 1);
    struct mt_buf nested;
    struct mt_doc *doc;
    struct mt_err err;
    mt_buf_init(&nested, SIZE_MAX / 2);
    for (int i = 0; i < LEVELS; i++)
        mt_buf_printf(&nested, "{\"level\":%d,\"in\":", i);
    mt_buf_put(&nested, text);
    for (int i = 0; i < LEVELS; i++)
        mt_buf_putc(&nested, '}');
    must(parse(mt_buf_slice(&nested), names, &doc, &err) == MT_OK, "the text is bad");
    levels[0] = mt_doc_root(doc);
    for (int i = 1; i < LEVELS; i++)
        must(mt_val_member(levels[i - 1], one, &levels[i]), "a level is missing");
    for (int i = LEVELS - 1; i >= 0; i--) {
        struct mt_val level;
        int64_t number;
        must(mt_val_count(levels[i]) == 2 && mt_val_member(levels[i], MT_SLICE("level"), &level) &&
                 mt_val_int64(level, &number) && number == i,
             "a level is another one");
    }
    printf("%zu\n", mt_doc_bytes(doc) / nested.n);
    mt_doc_unref(doc);
    mt_names_free(names);
    mt_buf_fini(&nested);
}

/* once: the text, plain and with an empty hint; "ok" or the message. */
static void once(struct mt_slice text)
{
    struct mt_names *names = mt_names_new(NULL, 0);
    struct mt_doc *doc, *plain;
    struct mt_err err = {0}, other = {0};
    enum mt_rc rc = parse(text, NULL, &plain, &err);
    must(parse(text, names, &doc, &other) == rc && strcmp(err.text, other.text) == 0,
         "a hint changed the answer");
    must(mt_json_check(text, NULL, &other) == rc && strcmp(err.text, other.text) == 0, "the check differs");
    if (doc)
        must(mt_val_equal(mt_doc_root(doc), mt_doc_root(plain)), "not equal");
    puts(rc == MT_OK ? "ok" : err.text);
    mt_doc_unref(doc);
    mt_doc_unref(plain);
    mt_names_free(names);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "skipped") == 0) {
        skipped(argv + 2);
        return 0;
    }
    static const struct {
        const char *verb;
        void (*run)(struct mt_slice text);
    } commands[] = {{"lines", lines},     {"cut", cut},   {"sweep", sweep}, {"kept", kept},
                    {"threads", threads}, {"once", once}, {"deep", deep}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(verb, commands[i].verb) == 0) {
            struct mt_buf text = read_all(stdin);
            commands[i].run(mt_buf_slice(&text));
            mt_buf_fini(&text);
            return 0;
        }
    return 2;
}
