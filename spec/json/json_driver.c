/* Drives the document's header for document_spec.lua: json_driver COMMAND [ARGUMENT…], input on stdin,
 * answers on stdout, one a line. A refused input is a line "CODE MESSAGE", where CODE is that of mt_rc_name;
 * the exit code is 0 unless the driver itself was misused (2) or an invariant does not hold (1). */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "json/document.h"

/* ---- An allocator that fails on demand: the linker leads all calls of the program here ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

/* How many calls still succeed (-1: all), and how many there were since the countdown began. */
static atomic_long fail_after = -1, met;

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

/* ---- Input and output ---- */

static void die(const char *what)
{
    fprintf(stderr, "json_driver: %s\n", what);
    exit(1);
}

static void read_all(FILE *file, struct mt_buf *out)
{
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        if (!mt_buf_add(out, piece, n))
            die("no memory for the input");
}

static void read_file(const char *path, struct mt_buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die("cannot open the file");
    read_all(file, out);
    fclose(file);
}

/* The next line of *text, which moves behind it. */
static bool next_line(struct mt_slice *text, struct mt_slice *out_line)
{
    if (text->n == 0)
        return false;
    const char *nl = memchr(text->p, '\n', text->n);
    size_t n = nl ? (size_t)(nl - text->p) : text->n;
    *out_line = (struct mt_slice){text->p, n};
    n += nl != NULL;
    *text = (struct mt_slice){text->p + n, text->n - n};
    return true;
}

static struct mt_slice next_word(struct mt_slice *line)
{
    const char *space = line->n ? memchr(line->p, ' ', line->n) : NULL;
    size_t n = space ? (size_t)(space - line->p) : line->n;
    struct mt_slice word = {line->p, n};
    n += space != NULL;
    *line = (struct mt_slice){line->p + n, line->n - n};
    return word;
}

static uint64_t to_number(struct mt_slice s)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)s.n, s.p);
    return strtoull(text, NULL, 10);
}

static void print_error(const struct mt_err *err)
{
    printf("%s %s\n", mt_rc_name(err->rc), err->text);
}

/* Parses a copy; prints the error of a refused text. */
static struct mt_doc *parsed(struct mt_slice text, const struct mt_json_limits *limits)
{
    struct mt_doc *doc = NULL;
    struct mt_err err;
    if (mt_doc_parse_copy(text, limits, &doc, &err) != MT_OK)
        print_error(&err);
    return doc;
}

static void print_value(struct mt_val v)
{
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    if (!mt_val_write(v, &out))
        die("writing failed");
    fwrite(out.p, 1, out.n, stdout);
    putchar('\n');
    mt_buf_fini(&out);
}

static void print_key(struct mt_key key)
{
    for (size_t i = 0; i < sizeof key.b; i++)
        printf("%02x", key.b[i]);
    putchar('\n');
}

static const char *const kinds[] = {"null", "boolean", "number", "string", "array", "object"};

/* ---- Commands ---- */

/* check FILE…: "FILE ok" or "FILE CODE MESSAGE"; parsing and checking must agree, in their message too. */
static void check_files(char **paths)
{
    for (; *paths; paths++) {
        struct mt_buf text;
        mt_buf_init(&text, SIZE_MAX / 2);
        read_file(*paths, &text);
        struct mt_err checked = {0}, built = {0};
        struct mt_doc *doc = NULL;
        enum mt_rc rc = mt_json_check(mt_buf_slice(&text), NULL, &checked);
        size_t n = text.n;
        if (mt_doc_parse(&text, NULL, &doc, &built) != rc || strcmp(checked.text, built.text) != 0)
            die("mt_json_check and mt_doc_parse do not agree");
        if (rc == MT_OK ? text.p != NULL : text.n != n)
            die("mt_doc_parse took the text over, or not, against its word");
        printf("%s ", *paths);
        if (rc == MT_OK)
            puts("ok");
        else
            print_error(&checked);
        mt_doc_unref(doc);
        mt_buf_fini(&text);
    }
}

/* write [BYTES [DEPTH]]: the whole input as one value, under these limits, written again. */
static void write_value(struct mt_slice text, char **arguments)
{
    struct mt_json_limits limits = {0};
    if (*arguments) {
        limits.bytes = strtoull(*arguments++, NULL, 10);
        if (*arguments)
            limits.depth = (uint32_t)strtoul(*arguments, NULL, 10);
    }
    struct mt_doc *doc = parsed(text, &limits);
    if (doc)
        print_value(mt_doc_root(doc));
    mt_doc_unref(doc);
}

/* lines COMMAND: each line of the input is a value. */
static void each_line(struct mt_slice text, const char *command)
{
    struct mt_slice line;
    while (next_line(&text, &line)) {
        struct mt_doc *doc = parsed(line, NULL);
        if (!doc)
            continue;
        struct mt_val v = mt_doc_root(doc);
        if (strcmp(command, "write") == 0) {
            print_value(v);
        } else if (strcmp(command, "digest") == 0) {
            print_key(mt_val_digest(v));
        } else if (strcmp(command, "number") == 0) {
            int64_t whole = 0;
            bool exact = mt_val_int64(v, &whole);
            printf("%.17g ", mt_val_double(v));
            if (exact)
                printf("%" PRId64 "\n", whole);
            else
                puts("inexact");
        } else if (strcmp(command, "double") == 0) { /* what the builder makes of it */
            struct mt_builder *b = mt_builder_new();
            struct mt_doc *built;
            mt_build_double(b, mt_val_double(v));
            if (mt_builder_finish(b, &built, NULL) != MT_OK)
                die("a double was not built");
            if (mt_val_double(mt_doc_root(built)) != mt_val_double(v) &&
                mt_val_double(v) - mt_val_double(v) == 0)
                die("a double does not read back equal");
            print_value(mt_doc_root(built));
            mt_doc_unref(built);
            mt_builder_free(b);
        } else {
            die("unknown command");
        }
        mt_doc_unref(doc);
    }
}

/* equal: the first line with each other one. */
static void compare(struct mt_slice text)
{
    struct mt_slice line;
    struct mt_doc *first = NULL;
    while (next_line(&text, &line)) {
        struct mt_doc *doc = parsed(line, NULL);
        if (!first) {
            first = doc;
            continue;
        }
        struct mt_val a = mt_doc_root(first), b = mt_doc_root(doc);
        bool equal = mt_val_equal(a, b);
        struct mt_key x = mt_val_digest(a), y = mt_val_digest(b);
        if (mt_val_equal(b, a) != equal || !mt_val_equal(b, b) || (memcmp(&x, &y, sizeof x) == 0) != equal)
            die("equality is not symmetric, not reflexive, or not the digests'");
        puts(equal ? "equal" : "different");
        mt_doc_unref(doc);
    }
    mt_doc_unref(first);
}

/* next: the pieces of a stream, each in brackets. */
static void split(struct mt_slice text)
{
    struct mt_err err;
    size_t n;
    enum mt_rc rc;
    while ((rc = mt_json_next(text, &n, &err)) == MT_OK && n > 0) {
        printf("[%.*s]\n", (int)n, text.p);
        text = (struct mt_slice){text.p + n, text.n - n};
    }
    if (rc != MT_OK)
        print_error(&err);
}

/* get: the first line is the document, each other one asks: "member NAME", "index I", "path A.B", "list",
 * "count", "string"; each begins at the root. */
static void get(struct mt_slice text)
{
    struct mt_slice line;
    if (!next_line(&text, &line))
        die("no document");
    struct mt_doc *doc = parsed(line, NULL);
    while (doc && next_line(&text, &line)) {
        struct mt_slice verb = next_word(&line);
        struct mt_val v = mt_doc_root(doc), found = {NULL, 0};
        if (mt_slice_is(verb, "list")) {
            struct mt_slice name;
            struct mt_iter it = mt_iter_of(v);
            while (mt_iter_next(&it, &name, &found)) {
                printf("%s%.*s%s%s", name.p ? "" : "-", (int)name.n, name.p ? name.p : "", "=",
                       kinds[mt_val_kind(found)]);
                putchar(it.left ? ' ' : '\n');
            }
            if (mt_val_count(v) == 0)
                putchar('\n');
            continue;
        }
        if (mt_slice_is(verb, "count")) {
            printf("%" PRIu32 "\n", mt_val_count(v));
            continue;
        }
        if (mt_slice_is(verb, "string")) {
            struct mt_slice s = mt_val_string(v);
            printf("%zu:", s.n);
            for (size_t i = 0; i < s.n; i++)
                printf(" %02x", (unsigned char)s.p[i]);
            putchar('\n');
            continue;
        }
        bool ok = false;
        char *path = mt_slice_dup(line);
        if (mt_slice_is(verb, "member"))
            ok = mt_val_member(v, line, &found);
        else if (mt_slice_is(verb, "index"))
            ok = mt_val_index(v, (uint32_t)to_number(line), &found);
        else if (mt_slice_is(verb, "path"))
            ok = mt_val_path(v, path, &found);
        else
            die("unknown question");
        free(path);
        if (ok)
            print_value(found);
        else
            puts("none");
    }
    mt_doc_unref(doc);
}

enum { MAX_DOCS = 32 };

/* One step of a builder: "null", "true", "false", "int N", "double TEXT", "literal TEXT", "string TEXT",
 * "name TEXT", "bytes HEX" (a string), "array", "object", "end", "repeat N STEP", "ref DOC [PATH]". */
static void build_step(struct mt_builder *b, struct mt_slice line, struct mt_doc **docs)
{
    struct mt_slice verb = next_word(&line);
    char *rest = mt_slice_dup(line);
    if (mt_slice_is(verb, "null")) {
        mt_build_null(b);
    } else if (mt_slice_is(verb, "true") || mt_slice_is(verb, "false")) {
        mt_build_bool(b, verb.n == 4);
    } else if (mt_slice_is(verb, "int")) {
        mt_build_int(b, strtoll(rest, NULL, 10));
    } else if (mt_slice_is(verb, "double")) {
        mt_build_double(b, strtod(rest, NULL));
    } else if (mt_slice_is(verb, "literal")) {
        mt_build_literal(b, line);
    } else if (mt_slice_is(verb, "string")) {
        mt_build_string(b, line);
    } else if (mt_slice_is(verb, "bytes")) {
        for (size_t i = 0; i < line.n / 2; i++) {
            char pair[3] = {rest[2 * i], rest[2 * i + 1], 0};
            rest[i] = (char)strtoul(pair, NULL, 16);
        }
        mt_build_string(b, (struct mt_slice){rest, line.n / 2});
    } else if (mt_slice_is(verb, "name")) {
        mt_build_name(b, line);
    } else if (mt_slice_is(verb, "array")) {
        mt_build_array(b);
    } else if (mt_slice_is(verb, "object")) {
        mt_build_object(b);
    } else if (mt_slice_is(verb, "end")) {
        mt_build_end(b);
    } else if (mt_slice_is(verb, "repeat")) {
        uint64_t n = to_number(next_word(&line));
        while (n-- > 0)
            build_step(b, line, docs);
    } else if (mt_slice_is(verb, "ref")) {
        uint64_t i = to_number(next_word(&line));
        struct mt_val v = {NULL, 0};
        if (i < MAX_DOCS && docs[i]) {
            char *path = mt_slice_dup(line);
            v = mt_doc_root(docs[i]);
            if (line.n && !mt_val_path(v, path, &v))
                v = (struct mt_val){NULL, 0};
            free(path);
        }
        mt_build_ref(b, v);
    } else {
        die("unknown step");
    }
    free(rest);
}

/* build: steps, one a line. "doc TEXT" keeps a parsed document, "make" keeps the one built so far (both are
 * numbered from 0); what is built at the end is printed, and must be what parsing its text gives. "forget"
 * drops the kept ones. */
static void build(struct mt_slice text)
{
    struct mt_doc *docs[MAX_DOCS] = {0}, *doc = NULL;
    unsigned count = 0;
    struct mt_builder *b = mt_builder_new();
    struct mt_err err;
    struct mt_slice line;
    while (next_line(&text, &line)) {
        struct mt_slice rest = line, verb = next_word(&rest);
        if (mt_slice_is(verb, "doc")) {
            docs[count++] = parsed(rest, NULL);
        } else if (mt_slice_is(verb, "make")) {
            if (mt_builder_finish(b, &docs[count++], &err) != MT_OK)
                die(err.text);
            mt_builder_free(b);
            b = mt_builder_new();
        } else if (mt_slice_is(verb, "forget")) {
            for (unsigned i = 0; i < count; i++)
                mt_doc_unref(docs[i]);
            memset(docs, 0, sizeof docs);
        } else if (mt_slice_is(verb, "finish")) {
            mt_doc_unref(doc);
            doc = NULL;
            if (mt_builder_finish(b, &doc, &err) != MT_OK)
                print_error(&err);
        } else {
            build_step(b, line, docs);
        }
    }
    for (unsigned i = 0; i < count; i++)
        mt_doc_unref(docs[i]);
    if (!doc && mt_builder_finish(b, &doc, &err) != MT_OK)
        print_error(&err);
    mt_builder_free(b);
    if (!doc)
        return;
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    if (!mt_val_write(mt_doc_root(doc), &out))
        die("writing failed");
    printf("%.*s\n", (int)out.n, out.p);
    struct mt_doc *again = parsed(mt_buf_slice(&out), &(struct mt_json_limits){.depth = 1u << 20});
    if (!again || !mt_val_equal(mt_doc_root(doc), mt_doc_root(again)))
        die("what was built does not equal its own text");
    struct mt_key x = mt_val_digest(mt_doc_root(doc)), y = mt_val_digest(mt_doc_root(again));
    if (memcmp(&x, &y, sizeof x) != 0)
        die("what was built has another digest than its own text");
    mt_doc_unref(again);
    mt_doc_unref(doc);
    mt_buf_fini(&out);
}

/* chain N: a document that refers to one that refers to one …; written, digested, compared, freed. */
static void chain(uint64_t n)
{
    struct mt_doc *doc = parsed(MT_SLICE("[\"the innermost of all\"]"), NULL);
    for (uint64_t i = 0; i < n; i++) {
        struct mt_builder *b = mt_builder_new();
        struct mt_doc *outer;
        mt_build_object(b);
        mt_build_name(b, MT_SLICE("in"));
        mt_build_ref(b, mt_doc_root(doc));
        mt_build_end(b);
        if (mt_builder_finish(b, &outer, NULL) != MT_OK)
            die("the chain broke");
        mt_builder_free(b);
        mt_doc_unref(doc);
        doc = outer;
    }
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_val_write(mt_doc_root(doc), &out);
    struct mt_doc *flat = parsed(mt_buf_slice(&out), &(struct mt_json_limits){.depth = UINT32_MAX});
    if (!flat || !mt_val_equal(mt_doc_root(doc), mt_doc_root(flat)))
        die("the chain does not equal its text");
    printf("%zu\n", out.n);
    mt_buf_fini(&out);
    mt_doc_unref(flat);
    mt_doc_unref(doc);
}

/* Fails the n-th allocation for n = 0, 1, … until none fails any more; prints how many there were. Every
 * failure must be MT_ENOMEM, and leave the text with its owner. A leak shows under AddressSanitizer. */
static void sweep_parse(struct mt_slice text)
{
    struct mt_doc *none = NULL;
    struct mt_json_limits deep = {.depth = UINT32_MAX};
    struct mt_slice large = {mt_alloc(100000), 100000};
    fail_after = 0;
    enum mt_rc copied = mt_doc_parse_copy(text, NULL, &none, NULL),
               checked = mt_json_check(large, &deep, NULL);
    fail_after = -1;
    free((void *)(uintptr_t)large.p);
    if (copied != MT_ENOMEM || none || checked != MT_ENOMEM)
        die("a refused copy or a refused record of nesting was not reported");
    for (long n = 0;; n++) {
        struct mt_buf copy;
        mt_buf_init(&copy, SIZE_MAX / 2);
        mt_buf_put(&copy, text);
        struct mt_doc *doc = NULL;
        struct mt_err err = {0};
        fail_after = n;
        met = 0;
        enum mt_rc rc = mt_doc_parse(&copy, NULL, &doc, &err);
        long calls = met;
        fail_after = -1;
        if (rc == MT_OK && calls > n) /* shrinking may be refused: the document is whole then */
            print_value(mt_doc_root(doc));
        mt_doc_unref(doc);
        if (rc != MT_OK && (rc != MT_ENOMEM || err.rc != MT_ENOMEM || copy.n != text.n || doc))
            die("a refused allocation was not reported, or the text was lost");
        mt_buf_fini(&copy);
        if (calls <= n) {
            printf("%ld allocations\n", n);
            break;
        }
    }
}

static void sweep_build(struct mt_slice text)
{
    struct mt_doc *page = parsed(text, NULL);
    for (long n = 0;; n++) {
        struct mt_builder *b = mt_builder_new();
        struct mt_doc *doc = NULL;
        struct mt_err err = {0};
        fail_after = n;
        met = 0;
        mt_build_array(b);
        for (int i = 0; i < 40; i++) {
            mt_build_object(b);
            for (int j = 0; j < 20; j++) {
                char name[8];
                snprintf(name, sizeof name, "n%d", j);
                mt_build_name(b, mt_slice_of(name));
                mt_build_ref(b, mt_doc_root(page));
            }
            mt_build_end(b);
        }
        mt_build_end(b);
        enum mt_rc rc = mt_builder_finish(b, &doc, &err);
        long calls = met;
        fail_after = -1;
        if (rc != MT_OK && (rc != MT_ENOMEM || err.rc != MT_ENOMEM || doc))
            die("a refused allocation was not reported");
        mt_builder_free(b);
        mt_doc_unref(doc);
        if (calls <= n) {
            printf("%ld allocations\n", n);
            break;
        }
    }
    mt_doc_unref(page);
}

/* ceiling: writing into buffers of every size below the value's own must be refused. */
static void ceiling(struct mt_slice text)
{
    struct mt_doc *doc = parsed(text, NULL);
    struct mt_buf whole;
    mt_buf_init(&whole, SIZE_MAX / 2);
    mt_val_write(mt_doc_root(doc), &whole);
    for (size_t max = 0; max <= whole.n; max++) {
        struct mt_buf out;
        mt_buf_init(&out, max);
        if (mt_val_write(mt_doc_root(doc), &out) != (max == whole.n) || out.n > max)
            die("a buffer's ceiling was not kept, or not told");
        mt_buf_fini(&out);
    }
    printf("%zu\n", whole.n);
    mt_buf_fini(&whole);
    mt_doc_unref(doc);
}

/* threads: eight threads read one document, and wrap it in documents of their own, while its maker lets it
 * go. */
static void *reader(void *argument)
{
    struct mt_doc *doc = argument;
    struct mt_key *key = mt_alloc(sizeof *key);
    *key = mt_val_digest(mt_doc_root(doc));
    for (int i = 0; i < 200; i++) {
        struct mt_builder *b = mt_builder_new();
        struct mt_doc *outer = NULL;
        mt_build_array(b);
        mt_build_ref(b, mt_doc_root(doc));
        mt_build_double(b, 0.1 * i);
        mt_build_end(b);
        if (mt_builder_finish(b, &outer, NULL) != MT_OK)
            die("a thread's document was refused");
        mt_builder_free(b);
        struct mt_val first, member;
        if (!mt_val_index(mt_doc_root(outer), 0, &first) || !mt_val_equal(first, mt_doc_root(doc)))
            die("a thread read something else");
        mt_val_member(first, MT_SLICE("name"), &member);
        mt_doc_unref(outer);
    }
    mt_doc_unref(doc);
    return key;
}

static void threads(struct mt_slice text)
{
    enum { THREADS = 8 };
    pthread_t ids[THREADS];
    struct mt_doc *doc = parsed(text, NULL);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&ids[i], NULL, reader, mt_doc_ref(doc)) != 0)
            die("no thread");
    struct mt_key mine = mt_val_digest(mt_doc_root(doc));
    mt_doc_unref(doc);
    for (int i = 0; i < THREADS; i++) {
        void *theirs;
        pthread_join(ids[i], &theirs);
        if (memcmp(theirs, &mine, sizeof mine) != 0)
            die("two threads made two digests of one document");
        free(theirs);
    }
    print_key(mine);
}

/* wide N: an object and an array of N values, every one looked up. Linear work, or this does not end in time.
 */
static void wide(uint64_t n)
{
    struct mt_buf text;
    mt_buf_init(&text, SIZE_MAX / 2);
    mt_buf_putc(&text, '{');
    for (uint64_t i = 0; i < n; i++)
        mt_buf_printf(&text, "%s\"member%" PRIu64 "\":[%" PRIu64 "]", i ? "," : "", i, i);
    for (uint64_t i = 0; i < n; i++) /* all of them again */
        mt_buf_printf(&text, ",\"member%" PRIu64 "\":[%" PRIu64 "]", i, i + 1);
    mt_buf_putc(&text, '}');
    struct mt_doc *object = parsed(mt_buf_slice(&text), NULL);
    mt_buf_clear(&text);
    mt_buf_putc(&text, '[');
    for (uint64_t i = 0; i < n; i++)
        mt_buf_printf(&text, "%s[%" PRIu64 "]", i ? "," : "", i + 1);
    mt_buf_putc(&text, ']');
    struct mt_doc *array = parsed(mt_buf_slice(&text), NULL);
    if (!object || !array || mt_val_count(mt_doc_root(object)) != n || mt_val_count(mt_doc_root(array)) != n)
        die("values were lost");
    for (uint64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "member%" PRIu64, i);
        struct mt_val a, b;
        if (!mt_val_member(mt_doc_root(object), mt_slice_of(name), &a) ||
            !mt_val_index(mt_doc_root(array), (uint32_t)i, &b) || !mt_val_equal(a, b))
            die("a value was not found");
    }
    struct mt_val none;
    if (mt_val_member(mt_doc_root(object), MT_SLICE("member"), &none) ||
        mt_val_index(mt_doc_root(array), (uint32_t)n, &none))
        die("a value was found that is not there");
    printf("%" PRIu64 "\n", n);
    mt_doc_unref(object);
    mt_doc_unref(array);
    mt_buf_fini(&text);
}

/* nothing: every reader of no value gives the empty answer. */
static void nothing(void)
{
    struct mt_val no = {NULL, 0}, out = no;
    struct mt_slice name;
    int64_t whole;
    struct mt_iter it = mt_iter_of(no);
    bool answers = mt_val_is(no, MT_NULL) || mt_val_true(no) || mt_val_string(no).p || mt_val_literal(no).p ||
                   mt_val_double(no) != 0 || mt_val_int64(no, &whole) || mt_val_count(no) != 0 ||
                   mt_val_index(no, 0, &out) || mt_val_member(no, MT_SLICE("a"), &out) ||
                   mt_val_path(no, "a", &out) || mt_iter_next(&it, &name, &out) || mt_doc_root(NULL).doc ||
                   mt_doc_bytes(NULL) || mt_doc_ref(NULL) || !mt_val_equal(no, no);
    mt_doc_unref(NULL);
    mt_builder_free(NULL);
    puts(answers ? "something" : "nothing");
}

static double rate(size_t bytes, uint64_t since)
{
    return (double)bytes * 1000.0 / (double)(mt_now_ns() - since);
}

/* speed FILE: the "body" texts of a recording, each parsed 20 times. MB/s of each verb. */
static void speed(const char *path)
{
    struct mt_buf text, out;
    mt_buf_init(&text, SIZE_MAX / 2);
    mt_buf_init(&out, SIZE_MAX / 2);
    read_file(path, &text);
    struct mt_slice rest = mt_buf_slice(&text), line;
    struct mt_doc *bodies[1024];
    size_t count = 0, bytes = 0, held = 0, written = 0;
    while (count < 1024 && next_line(&rest, &line)) {
        struct mt_doc *exchange = parsed(line, NULL);
        struct mt_val body;
        if (exchange && mt_val_member(mt_doc_root(exchange), MT_SLICE("body"), &body) &&
            mt_json_check(mt_val_string(body), NULL, NULL) == MT_OK) {
            bodies[count++] = exchange;
            bytes += mt_val_string(body).n;
        } else {
            mt_doc_unref(exchange);
        }
    }
    enum { ROUNDS = 20 };
    uint64_t check_from = mt_now_ns();
    struct mt_val body;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            if (mt_val_member(mt_doc_root(bodies[i]), MT_SLICE("body"), &body))
                mt_json_check(mt_val_string(body), NULL, NULL);
    printf("check   %6.0f MB/s\n", rate(bytes * ROUNDS, check_from));
    uint64_t parse_from = mt_now_ns();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            if (mt_val_member(mt_doc_root(bodies[i]), MT_SLICE("body"), &body)) {
                struct mt_doc *doc = parsed(mt_val_string(body), NULL);
                held += round == 0 ? mt_doc_bytes(doc) : 0;
                mt_doc_unref(doc);
            }
    printf("parse   %6.0f MB/s (with a copy of the text)\n", rate(bytes * ROUNDS, parse_from));
    for (size_t i = 0; i < count; i++) {
        struct mt_doc *exchange = bodies[i];
        mt_val_member(mt_doc_root(exchange), MT_SLICE("body"), &body);
        bodies[i] = parsed(mt_val_string(body), NULL);
        mt_doc_unref(exchange);
    }
    uint64_t write_from = mt_now_ns();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++) {
            mt_buf_clear(&out);
            mt_val_write(mt_doc_root(bodies[i]), &out);
            written += out.n;
        }
    printf("write   %6.0f MB/s\n", rate(written, write_from));
    uint64_t digest_from = mt_now_ns();
    uint8_t mixed = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            mixed ^= mt_val_digest(mt_doc_root(bodies[i])).b[0];
    printf("digest  %6.0f MB/s of source (%02x)\n", rate(bytes * ROUNDS, digest_from), mixed);
    printf("memory  %.2f bytes a byte of source, %zu documents, %zu bytes\n", (double)held / (double)bytes,
           count, bytes);
    for (size_t i = 0; i < count; i++)
        mt_doc_unref(bodies[i]);
    mt_buf_fini(&text);
    mt_buf_fini(&out);
}

int main(int argc, char **argv)
{
    setlocale(LC_NUMERIC, ""); /* a document must not care */
    const char *verb = argc > 1 ? argv[1] : "";
    char **arguments = argv + (argc > 1 ? 2 : 1);
    if (strcmp(verb, "check") == 0) {
        check_files(arguments);
        return 0;
    }
    if (strcmp(verb, "speed") == 0 && *arguments) {
        speed(*arguments);
        return 0;
    }
    struct mt_buf input;
    mt_buf_init(&input, SIZE_MAX / 2);
    read_all(stdin, &input);
    struct mt_slice text = mt_buf_slice(&input);
    int code = 0;
    if (strcmp(verb, "write") == 0)
        write_value(text, arguments);
    else if (strcmp(verb, "lines") == 0 && *arguments)
        each_line(text, *arguments);
    else if (strcmp(verb, "equal") == 0)
        compare(text);
    else if (strcmp(verb, "next") == 0)
        split(text);
    else if (strcmp(verb, "get") == 0)
        get(text);
    else if (strcmp(verb, "build") == 0)
        build(text);
    else if (strcmp(verb, "chain") == 0 && *arguments)
        chain(strtoull(*arguments, NULL, 10));
    else if (strcmp(verb, "sweep-parse") == 0)
        sweep_parse(text);
    else if (strcmp(verb, "sweep-build") == 0)
        sweep_build(text);
    else if (strcmp(verb, "ceiling") == 0)
        ceiling(text);
    else if (strcmp(verb, "threads") == 0)
        threads(text);
    else if (strcmp(verb, "wide") == 0 && *arguments)
        wide(strtoull(*arguments, NULL, 10));
    else if (strcmp(verb, "nothing") == 0)
        nothing();
    else
        code = 2;
    mt_buf_fini(&input);
    return code;
}
