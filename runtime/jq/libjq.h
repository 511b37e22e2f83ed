/* libjq, behind opaque names: the only file that includes its headers is libjq.c. No value of libjq crosses a
 * thread: its reference counts are plain ints, and even results share constants with the program that made
 * them. */
#ifndef MT_JQ_LIBJQ_H
#define MT_JQ_LIBJQ_H

#include "base/library.h"
#include "json/document.h"

struct mt_libjq;       /* a compiled program */
struct mt_libjq_input; /* a document's value as libjq holds it, for several runs */

/* What a program begins with: its input is [ITEM, BIG], BIG an object of the integers in the item from 2^53
 * on (the text that jq makes of them: their literal), or null. */
#define MT_LIBJQ_START ".[1] as $mt_big | .[0] | "

/* Compiles a whole program. MT_EINVAL with the first line of jq's message, cut. */
enum mt_rc mt_libjq_new(struct mt_slice program, struct mt_libjq **out, struct mt_err *err);
void mt_libjq_free(struct mt_libjq *p);

/* The value, or NULL when it cannot be held (a string beyond 2 GB). */
struct mt_libjq_input *mt_libjq_input_new(struct mt_val v);
void mt_libjq_input_free(struct mt_libjq_input *input);

/* Calls emit for each result until it returns false; the document is emit's to keep by reference only.
 * MT_EDATA: the program raised, with its message; MT_ELIMIT: a result nests too deep. */
enum mt_rc mt_libjq_run(struct mt_libjq *p, const struct mt_libjq_input *input,
                        bool (*emit)(void *ud, struct mt_doc *result), void *ud, struct mt_err *err);

/* Its version as its builtins show it: 1.6 has no function that tells. Takes three compilations. */
struct mt_library mt_libjq_library(void);

#endif
