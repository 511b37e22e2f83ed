/* Compiled programs and the machine that runs them: our own jq engine.
 *
 * A program is one or several expressions ("entries") compiled together; it is immutable and may be run by
 * any number of machines. A machine belongs to one thread. It evaluates lazily: each call of mt_machine_next
 * runs up to the next output; generators are never collected into lists.
 *
 * Paths of constant steps from the input (.a.b[0]) are slots: a trie that the entries share, so that a prefix
 * that several expressions have is walked once for an input. */
#ifndef MT_JQ_MACHINE_H
#define MT_JQ_MACHINE_H

#include "jq/value.h"

enum mt_outcome { MT_GAVE_VALUE, MT_GAVE_NOTHING, MT_RAISED };

struct mt_program;
struct mt_compiler;
struct mt_machine;

struct mt_machine_limits {
    uint64_t steps; /* of one output's evaluation; 0: 50 million (about a second) */
    size_t memory;  /* bytes of heap; 0: 256 MiB */
};

/* What else a program can see. */
struct mt_compile_options {
    bool environment; /* env and $ENV show the process's environment; else they are {} (R-JQ-03) */
};

struct mt_compiler *mt_compiler_new(const struct mt_compile_options *options); /* options NULL: defaults */
void mt_compiler_free(struct mt_compiler *c);
/* Adds an expression; *out_entry is its number (0, 1, …). MT_EINVAL: it does not compile (position, offending
 * text, hint: "line 1, column 5: …"); MT_ENOENT: jq takes it but this engine does not (import, input,
 * inputs, input_line_number, debug's and stderr's output, …), err names what; the compiler stays usable after
 * both, without that entry. */
enum mt_rc mt_compiler_add(struct mt_compiler *c, struct mt_slice expression, unsigned *out_entry,
                           struct mt_err *err);
/* The program; the compiler is empty after and still to be freed. */
struct mt_program *mt_compiler_finish(struct mt_compiler *c);
void mt_program_free(struct mt_program *p); /* after its machines */

/* The entry's value when it needs no input and no time (a literal, or folded): shared, the program's. */
bool mt_program_constant(const struct mt_program *p, unsigned entry, struct mt_jv *out);
/* The slot when the entry is nothing but a path of constant steps; `.` itself is slot 0. */
bool mt_program_slot(const struct mt_program *p, unsigned entry, unsigned *out_slot);
/* Names of members that any entry mentions (a hint for the parser which parts of an item are read); i from 0,
 * {NULL, 0} behind the last. */
struct mt_slice mt_program_name(const struct mt_program *p, unsigned i);

struct mt_machine *mt_machine_new(const struct mt_program *p, const struct mt_machine_limits *limits);
void mt_machine_free(struct mt_machine *m);
/* A new input: everything of the one before is gone, slots are empty. The document has to live until the next
 * begin. */
void mt_machine_begin(struct mt_machine *m, struct mt_val input);
void mt_machine_begin_value(struct mt_machine *m,
                            struct mt_jv input); /* of this machine's heap or of a document */
/* Values that the caller holds across calls (results of other entries for the same input): roots for the
 * collection, rewritten in place. The array has to live as long as the machine or until it is replaced. */
void mt_machine_keep(struct mt_machine *m, struct mt_jv *values, size_t count);
/* Starts an entry on the input; what an earlier start was at is dropped, its results are not. */
void mt_machine_start(struct mt_machine *m, unsigned entry);
/* The next output. MT_RAISED: see mt_machine_error; the entry is over. Steps count anew from each start. */
enum mt_outcome mt_machine_next(struct mt_machine *m, struct mt_jv *out);
/* The first output of an entry (R-JQ-04), and the end of it. */
enum mt_outcome mt_machine_first(struct mt_machine *m, unsigned entry, struct mt_jv *out);
/* A slot's value on the input: MT_GAVE_VALUE (null when absent) or MT_RAISED. */
enum mt_outcome mt_machine_slot(struct mt_machine *m, unsigned slot, struct mt_jv *out);
/* Of the last MT_RAISED: jq's message ("Cannot index number with \"a\""; a value that is no string is written
 * as JSON with " (not a string)" behind it), or the limit that was met. Cut to MT_FOREIGN bytes. */
void mt_machine_error(const struct mt_machine *m, char out[MT_FOREIGN + 1]);
struct mt_jv mt_machine_error_value(const struct mt_machine *m); /* MT_NONE: a limit */
struct mt_jv_heap *mt_machine_heap(struct mt_machine *m);

#endif
