/* One jq program on libjq. A program and its results belong to one thread. */
#ifndef MT_JQ_PROGRAM_H
#define MT_JQ_PROGRAM_H

#include "json/document.h"

struct mt_jq;

/* Compiles text. The process environment is hidden from it ($ENV and env are {}) unless environment is set
 * (R-JQ-03). Errors: MT_EINVAL with jq's message, cut and without the program's prelude. Takes 20 to 41 ms
 * with libjq 1.6: worker threads only. */
enum mt_rc mt_jq_compile(struct mt_slice text, bool environment, struct mt_jq **out, struct mt_err *err);
void mt_jq_free(struct mt_jq *jq);
/* Runs it on input; emit is called for each result (a document that it may keep by reference) until it
 * returns false. An error that ends the evaluation is MT_EDATA with jq's message. */
enum mt_rc mt_jq_run(struct mt_jq *jq, struct mt_val input, bool (*emit)(void *ud, struct mt_doc *result),
                     void *ud, struct mt_err *err);

#endif
