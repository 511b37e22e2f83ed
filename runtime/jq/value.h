/* A jq value while it is computed, and the heap that holds it.
 *
 * A value is 16 bytes, passed by copy, never freed: what it points at belongs to a heap (reset as a whole,
 * and collected when it grows), to a document (borrowed, which the caller keeps alive), or to a program
 * (constants). Values of a document are not converted: a container, a string or a number whose literal
 * matters stays a cell of its document until somebody changes it.
 *
 * Updates happen in place where nobody can tell. A computed container has a sticky mark "shared": it is set
 * as soon as a second way to the container exists (mt_jv_share; a second copy on the machine's stack, a
 * variable read, an element read out of its container). mt_jv_set and its like change an unmarked container
 * in place and copy a marked one; copying a container marks its children. So `reduce` builds objects in
 * linear time without counting references.
 *
 * Errors: a function that raises returns no value (tag MT_JV_NONE) and leaves the error in the heap, where
 * the machine finds it. Natives pass that on. A heap, and all values on it, belong to one thread; constants
 * of a program are all marked shared and may be read by any. */
#ifndef MT_JQ_VALUE_H
#define MT_JQ_VALUE_H

#include "json/document.h"

enum mt_jv_tag {
    MT_JV_NONE, /* no value: something was raised, or "absent" where a function says so */
    MT_JV_NULL,
    MT_JV_FALSE,
    MT_JV_TRUE,
    MT_JV_NUMBER,  /* number */
    MT_JV_LITERAL, /* text: a number with its spelling (jq 1.7's literals); exact as long as nothing is
                      computed */
    MT_JV_STRING,  /* text: bytes of UTF-8 */
    MT_JV_ARRAY,
    MT_JV_OBJECT,
    MT_JV_DOC /* a string, container or number literal of a document: doc, at */
};

struct mt_jv_text; /* immutable; no NUL follows the bytes. These three are private, see heap.h */
struct mt_jv_array;
struct mt_jv_object;

struct mt_jv {
    uint8_t tag;
    uint32_t at; /* MT_JV_DOC: the cell, never a reference cell. MT_JV_NUMBER: 1 when it is spelled as this
                    integer somewhere (comparing exactly), 0 when it was computed */
    union {
        double number;
        struct mt_jv_text *text;
        struct mt_jv_array *array;
        struct mt_jv_object *object;
        const struct mt_doc *doc;
    };
};

/* Why an evaluation ended; MT_FAULT_ERROR is what `try` catches, the others are not. */
enum mt_fault { MT_FAULT_NONE, MT_FAULT_ERROR, MT_FAULT_STEPS, MT_FAULT_MEMORY };

struct mt_regexes; /* compiled regular expressions; regex.c */

struct mt_jv_heap {
    struct mt_jv_chunk *chunks; /* private to value.c */
    char *free, *end;
    size_t used, max;  /* bytes; a larger need raises MT_FAULT_MEMORY */
    size_t collect_at; /* the machine collects at its next safe point when used has passed this. 0 stays 0:
                          at every safe point, for tests */
    uint64_t steps;    /* left. The machine takes one an instruction; natives take mt_jv_work's */
    enum mt_fault fault;
    struct mt_jv error; /* of MT_FAULT_ERROR: any value, also null */
    bool environment;   /* env and $ENV show the process's environment (R-JQ-03) */
    struct mt_regexes
        *regexes; /* made at the first need by regex.c, freed with the heap by mt_regexes_free */
};

/* max: ceiling in bytes. The heap is the caller's memory. */
void mt_jv_heap_init(struct mt_jv_heap *h, size_t max);
void mt_jv_heap_fini(struct mt_jv_heap *h);
/* Everything on it is gone; the first chunk is kept for the next evaluation, the regular expressions too. */
void mt_jv_heap_reset(struct mt_jv_heap *h);
/* Copies what is reachable from the roots and drops the rest. each_root calls visit for every value that
 * lives on (it is rewritten in place). Only where no native has values in C variables. */
void mt_jv_heap_collect(struct mt_jv_heap *h,
                        void (*each_root)(void *ud, void (*visit)(struct mt_jv_heap *h, struct mt_jv *v)),
                        void *ud);
/* Makes a heap permanent: what is on it is marked shared and is left alone by other heaps' collections, so
 * that other threads may read it while they live on heaps of their own. Nothing on it may be changed after.
 */
void mt_jv_heap_freeze(struct mt_jv_heap *h);
/* n bytes aligned to 16 for private records (gone at the next collection); NULL raises MT_FAULT_MEMORY. */
void *mt_jv_alloc(struct mt_jv_heap *h, size_t n);
/* Takes n steps at once: natives call it with the elements or 64-byte blocks that they go through, before
 * they do. false: the budget is spent and MT_FAULT_STEPS is raised; return MT_NONE then. */
bool mt_jv_work(struct mt_jv_heap *h, uint64_t n);

#define MT_NONE ((struct mt_jv){.tag = MT_JV_NONE})

/* Raising; all return MT_NONE. mt_jv_raise's text becomes jq's error message (a string). */
struct mt_jv mt_jv_raise(struct mt_jv_heap *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct mt_jv mt_jv_raise_value(struct mt_jv_heap *h, struct mt_jv error);
/* "object ({"a":1})", "string ("code_generation_activity...")": v in an error message as jq 1.8.2 writes it,
 * its JSON cut to 29 bytes. Returns out, which holds MT_JV_SHOWN bytes. */
#define MT_JV_SHOWN 64
const char *mt_jv_show(struct mt_jv v, char out[MT_JV_SHOWN]);

/* Making. No function takes anything over but by copy. */
static inline struct mt_jv mt_jv_null(void)
{
    return (struct mt_jv){.tag = MT_JV_NULL};
}
static inline struct mt_jv mt_jv_bool(bool value)
{
    return (struct mt_jv){.tag = value ? MT_JV_TRUE : MT_JV_FALSE};
}
static inline struct mt_jv mt_jv_number(double value)
{
    return (struct mt_jv){.tag = MT_JV_NUMBER, .number = value};
}
struct mt_jv mt_jv_literal(struct mt_jv_heap *h, struct mt_slice literal); /* a valid JSON number */
/* Copies; invalid UTF-8 becomes U+FFFD (as jq: one for each broken sequence). */
struct mt_jv mt_jv_string(struct mt_jv_heap *h, struct mt_slice text);
struct mt_jv mt_jv_string_of(struct mt_jv_heap *h, const char *text);
/* Room for n bytes to be written at *out before anything else is made; then the string. The bytes have to be
 * valid UTF-8. mt_jv_string_cut makes it shorter right after it was made. */
struct mt_jv mt_jv_string_room(struct mt_jv_heap *h, size_t n, char **out);
void mt_jv_string_cut(struct mt_jv_heap *h, struct mt_jv string, size_t n);
struct mt_jv mt_jv_array(struct mt_jv_heap *h, size_t expected);  /* empty, with room */
struct mt_jv mt_jv_object(struct mt_jv_heap *h, size_t expected); /* the same */
/* A value of a document; small exact integers, null and booleans become inline values. Steps over references.
 * No value ({NULL, 0}) is null. */
struct mt_jv mt_jv_of(struct mt_val v);

/* Reading. Wrong kinds give the empty answer. */
enum mt_kind mt_jv_kind(struct mt_jv v);     /* undefined for MT_NONE */
const char *mt_jv_kind_name(struct mt_jv v); /* "null" "boolean" "number" "string" "array" "object" */
static inline bool mt_jv_is_none(struct mt_jv v)
{
    return v.tag == MT_JV_NONE;
}
static inline bool mt_jv_truthy(struct mt_jv v) /* jq's: all but null and false */
{
    return v.tag > MT_JV_FALSE;
}
bool mt_jv_is(struct mt_jv v, enum mt_kind kind); /* false for MT_NONE */
double mt_jv_double(struct mt_jv v);
bool mt_jv_int64(struct mt_jv v,
                 int64_t *out); /* a number that is exactly an int64, from its literal if it has one */
/* The spelling of a number that has one (MT_JV_LITERAL, MT_JV_DOC), else {NULL, 0}. */
struct mt_slice mt_jv_spelling(struct mt_jv v);
struct mt_slice mt_jv_text(struct mt_jv string); /* bytes of a string */
size_t mt_jv_count(struct mt_jv v);              /* elements or members */
/* Element i, MT_NONE when there is none (nothing is raised). A container that is read out is marked shared.
 */
struct mt_jv mt_jv_index(struct mt_jv array, size_t i);
struct mt_jv mt_jv_member(struct mt_jv object, struct mt_slice name);
struct mt_jv_iter {
    struct mt_jv container;
    struct mt_iter doc;
    size_t at;
};
/* Elements in order, or members in the order of their insertion (key is a string; MT_NONE for elements). A
 * container must not be changed while it is iterated. What is read out is marked shared. */
struct mt_jv_iter mt_jv_iter_of(struct mt_jv container);
bool mt_jv_iter_next(struct mt_jv_iter *it, struct mt_jv *out_key, struct mt_jv *out_value);
/* The same for who only looks: nothing is marked, so what it gives must not be kept or changed. */
bool mt_jv_iter_peek(struct mt_jv_iter *it, struct mt_jv *out_key, struct mt_jv *out_value);
static inline bool mt_jv_is_heap_container(struct mt_jv v)
{
    return v.tag == MT_JV_ARRAY || v.tag == MT_JV_OBJECT;
}
void mt_jv_share_container(struct mt_jv v);
static inline struct mt_jv mt_jv_share(struct mt_jv v) /* returns v, marked: a second way to it exists now */
{
    if (mt_jv_is_heap_container(v))
        mt_jv_share_container(v);
    return v;
}

/* Changing. Each takes a container (a document's too), changes it in place if it is unmarked or else a copy,
 * and returns the result; the old value must not be used any more. Nesting deeper than 10,240 raises. */
struct mt_jv mt_jv_append(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv value);
/* i past the end fills with null; i >= 2^29 raises "Array index too large". */
struct mt_jv mt_jv_put(struct mt_jv_heap *h, struct mt_jv array, size_t i, struct mt_jv value);
struct mt_jv mt_jv_concat(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv more); /* arrays */
struct mt_jv mt_jv_slice(struct mt_jv_heap *h, struct mt_jv array, size_t from, size_t to);
struct mt_jv mt_jv_set(struct mt_jv_heap *h, struct mt_jv object, struct mt_jv name, struct mt_jv value);
struct mt_jv mt_jv_unset(struct mt_jv_heap *h, struct mt_jv object, struct mt_slice name);

/* Comparing, in jq's order: null < false < true < numbers < strings < arrays < objects. order.c. */
int mt_jv_compare(struct mt_jv a, struct mt_jv b);
bool mt_jv_equal(struct mt_jv a, struct mt_jv b);
/* The same for values of any depth and size: false raises "Comparison too deep" (past jq's 10,000 levels), or
 * the steps are spent. What evaluates `<` or `==` uses these. */
bool mt_jv_order(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, int *out_order);
bool mt_jv_same(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b, bool *out_same);
/* A new array of the object's names, sorted by code point. */
struct mt_jv mt_jv_keys(struct mt_jv_heap *h, struct mt_jv object);

/* Writing. write.c. Compact JSON, numbers as jq 1.8 does (literals as they are spelled, doubles with 17
 * digits shortest, nan as null, infinities as +-1.7976931348623157e+308), strings with JSON's escapes. Deeper
 * than 10,001 levels: "<skipped: too deep>" as jq. false: the buffer's ceiling. */
bool mt_jv_write(struct mt_jv v, struct mt_buf *out);
/* The same for who evaluates: each part takes steps. false: the ceiling, or the steps are spent, raised. */
bool mt_jv_write_stepping(struct mt_jv_heap *h, struct mt_jv v, struct mt_buf *out);
/* Its first bytes for messages: `enough` of them at least, if there are so many. */
bool mt_jv_write_begin(struct mt_jv v, size_t enough, struct mt_buf *out);
bool mt_jv_write_sorted(
    struct mt_jv v,
    struct mt_buf *out); /* members by name, as tojson does not and @json does not: for identifiers */
/* A number's text as tostring gives it; returns its length. */
#define MT_JV_NUMBER_SIZE 40
size_t mt_jv_format_number(double value, char out[MT_JV_NUMBER_SIZE]);
/* Builds it into a document (a value of a document by reference). */
void mt_jv_build(struct mt_jv v, struct mt_builder *b);
/* The digest that mt_val_digest gives for the same JSON (layout of digest.c). */
struct mt_key mt_jv_digest(struct mt_jv v);

#endif
