/* One jq program, on the engine that is chosen (engine.h). A program and its results belong to one thread. */
#ifndef MT_JQ_PROGRAM_H
#define MT_JQ_PROGRAM_H

#include "json/document.h"

struct mt_jq;

/* Compiles text. The process environment is hidden from it ($ENV and env are {}) unless environment is set
 * (R-JQ-03). Errors: MT_EINVAL with position, offending text and hint. What our own engine does not take goes
 * to libjq, which needs 20 to 41 ms: worker threads only. */
enum mt_rc mt_jq_compile(struct mt_slice text, bool environment, struct mt_jq **out, struct mt_err *err);
void mt_jq_free(struct mt_jq *jq);
/* Runs it on input; emit is called for each result (a document that it may keep by reference) until it
 * returns false. An error that ends the evaluation is MT_EDATA with jq's message, a limit that was met
 * MT_ELIMIT. */
enum mt_rc mt_jq_run(struct mt_jq *jq, struct mt_val input, bool (*emit)(void *ud, struct mt_doc *result),
                     void *ud, struct mt_err *err);

#endif
