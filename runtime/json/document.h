/* The document: a JSON value that is parsed or built once, then read-only, shared by atomic reference.
 *
 * Everything of moontide that touches JSON's representation goes through this header: the jq engines, Lua's
 * views, diff and apply know nothing else.
 *
 * Threads: a document is immutable once published and may be read by any number of threads at once;
 * references are counted atomically. Builders belong to one thread. Lifetime: a struct mt_val borrows from
 * its document, and all slices read from it do too: they live as long as a reference to the document is held.
 * Strings are spans of the source bytes where they need no decoding. Numbers keep their literal, so integers
 * of any size and spellings such as 3.0 survive a copy. Objects: the last of duplicate keys wins; members
 * iterate in the order of their first appearance. */
#ifndef MT_JSON_DOCUMENT_H
#define MT_JSON_DOCUMENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/keyset.h"

struct mt_doc;

enum mt_kind { MT_NULL, MT_BOOL, MT_NUMBER, MT_STRING, MT_ARRAY, MT_OBJECT };

/* A value of a document; passed by copy, never freed. {NULL, 0} is no value. Fields are private to json/. */
struct mt_val {
    const struct mt_doc *doc;
    uint32_t at;
};

struct mt_json_limits {
    size_t bytes;   /* of the text; 0: 1 GiB */
    uint32_t depth; /* of nesting; 0: 10000 (jq 1.8's) */
};

/* Parses exactly one value (RFC 8259, strict; a BOM, trailing bytes, lone surrogates in escapes (an escape
 * \ud800 becomes U+FFFD, as jq reads it) aside). Invalid UTF-8 is refused with its offset. The document takes
 * the buffer's bytes over: on success text is empty, on failure untouched. Errors: MT_EDATA with the offset
 * and what was met there, MT_ELIMIT, MT_ENOMEM. Any thread. */
enum mt_rc mt_doc_parse(struct mt_buf *text, const struct mt_json_limits *limits, struct mt_doc **out_doc,
                        struct mt_err *err);
/* The same from borrowed bytes, which are copied. */
enum mt_rc mt_doc_parse_copy(struct mt_slice text, const struct mt_json_limits *limits,
                             struct mt_doc **out_doc, struct mt_err *err);
/* A set of member names, immutable: any thread may ask it. */
struct mt_names;
struct mt_names *mt_names_new(const struct mt_slice *names,
                              size_t count); /* copies; twice the same is fine */
void mt_names_free(struct mt_names *names);  /* NULL is fine */
bool mt_names_has(const struct mt_names *names, struct mt_slice name);
/* mt_doc_parse with a hint: the names of the members that the caller is going to read. All others are checked
 * like these, but not built; when somebody asks for one, or for the list, the number, the text or the digest
 * of all, that object is parsed again in full, whichever thread comes first (no text more than three times in
 * all). So functions give what they give without the hint (NULL: none), with one exception: there may be no
 * memory for it then. The object reads as an empty one, mt_val_write gives false, and mt_doc_failed is true
 * from then on: who parses with a hint asks it when he has read, before he trusts what he has read. The
 * document holds the names itself. */
enum mt_rc mt_doc_parse_for(struct mt_buf *text, const struct mt_json_limits *limits,
                            const struct mt_names *read, struct mt_doc **out_doc, struct mt_err *err);
bool mt_doc_failed(const struct mt_doc *doc); /* always false for a document that no hint was given for */
/* Is it one valid value? Builds nothing. */
enum mt_rc mt_json_check(struct mt_slice text, const struct mt_json_limits *limits, struct mt_err *err);
/* Length of the first whitespace-separated JSON value in text (leading blanks included), so that a stream of
 * values can be split without parsing it twice. 0: nothing but blanks; MT_EDATA when it is cut short or
 * broken. Only the end of an array or object is looked for; what is inside is the parser's to judge. */
enum mt_rc mt_json_next(struct mt_slice text, size_t *out_length, struct mt_err *err);

struct mt_doc *mt_doc_ref(const struct mt_doc *doc); /* returns doc, one reference more */
void mt_doc_unref(struct mt_doc *doc); /* NULL is fine; the last one frees, with what it refers to */
struct mt_val mt_doc_root(const struct mt_doc *doc);
size_t mt_doc_bytes(const struct mt_doc *doc); /* memory held, documents it refers to not counted */

/* Reading. A function of the wrong kind returns the empty answer (false, 0, {NULL,0}). */
enum mt_kind mt_val_kind(struct mt_val v);
bool mt_val_is(struct mt_val v, enum mt_kind kind); /* false for no value */
/* v with a reference to another document stepped over: O(1), builds nothing. All values that functions of
 * this header give are such targets already. */
struct mt_val mt_val_target(struct mt_val v);
bool mt_val_true(struct mt_val v);                /* the boolean true */
struct mt_slice mt_val_string(struct mt_val v);   /* decoded UTF-8; may hold NUL */
struct mt_slice mt_val_literal(struct mt_val v);  /* a number as it is spelled */
double mt_val_double(struct mt_val v);            /* a number's nearest double; huge ones are +-infinity */
bool mt_val_int64(struct mt_val v, int64_t *out); /* true when the number is exactly an int64 (5, 5.0, 1e3) */
uint32_t mt_val_count(struct mt_val v);           /* elements, or distinct members */
bool mt_val_index(struct mt_val array, uint32_t i, struct mt_val *out);
bool mt_val_member(struct mt_val object, struct mt_slice name, struct mt_val *out);
/* Walks "a.b.c" of plain member names; for control messages. */
bool mt_val_path(struct mt_val v, const char *dotted, struct mt_val *out);

struct mt_iter {
    struct mt_val container;
    uint32_t at, left;
};
/* for (it = mt_iter_of(v); mt_iter_next(&it, &name, &value);): elements (name is {NULL,0}) or members. */
struct mt_iter mt_iter_of(struct mt_val container);
bool mt_iter_next(struct mt_iter *it, struct mt_slice *out_name, struct mt_val *out_value);
/* The same with the name as a value, a string (no value for elements). */
bool mt_iter_next_member(struct mt_iter *it, struct mt_val *out_name, struct mt_val *out_value);

/* The bytes that an array or object was parsed from, inside of its document's text; {NULL, 0} for all else. */
struct mt_slice mt_val_source(struct mt_val v);

/* Appends compact JSON. Numbers as they were spelled; strings with the escapes that JSON demands, other bytes
 * as UTF-8. A span that was parsed whole is copied whole. false: the buffer's ceiling. */
bool mt_val_write(struct mt_val v, struct mt_buf *out);

/* Canonical digest (XXH3 128): independent of key order, of the spelling of strings and of numbers (by value;
 * beyond 2^53 as the nearest double, architecture 3.4.9). Equal values have equal digests. */
struct mt_key mt_val_digest(struct mt_val v);
bool mt_val_equal(struct mt_val a, struct mt_val b); /* the same relation, compared in full */

/* Building. One builder makes one document; values are written in order. Errors are sticky and come out at
 * the end. mt_build_object(b); mt_build_name(b, MT_SLICE("id")); mt_build_int(b, 5); mt_build_end(b); */
struct mt_builder;
struct mt_builder *mt_builder_new(void);
void mt_builder_free(struct mt_builder *b); /* also after finish, NULL is fine */
void mt_build_null(struct mt_builder *b);
void mt_build_bool(struct mt_builder *b, bool value);
void mt_build_int(struct mt_builder *b, int64_t value);
void mt_build_double(struct mt_builder *b, double value); /* shortest form that reads back equal; nan: null;
                                                             inf: +-1.7976931348623157e308 (R-JQ-17) */
void mt_build_literal(struct mt_builder *b, struct mt_slice number); /* a valid JSON number, copied */
void mt_build_string(struct mt_builder *b,
                     struct mt_slice value); /* copied; invalid UTF-8 makes finish fail */
void mt_build_array(struct mt_builder *b);
void mt_build_object(struct mt_builder *b);
void mt_build_name(struct mt_builder *b, struct mt_slice name); /* before each member's value; copied */
void mt_build_end(struct mt_builder *b);
/* A value of another document, by reference (a whole subtree costs one cell); the new document holds a
 * reference. This is how an overlay over a view becomes a document: the touched objects are written anew, the
 * rest is referred to. */
void mt_build_ref(struct mt_builder *b, struct mt_val v);
enum mt_rc mt_builder_finish(struct mt_builder *b, struct mt_doc **out_doc, struct mt_err *err);

#endif
