/* The log: one line an event on stderr, secrets masked, repeats coalesced. Thread-safe.
 *
 * Line: "2026-11-23 09:43:28.935 WARN  message" (R-LOG-01); on a terminal the progress display owns the last
 * lines and is told to step aside through the hook. */
#ifndef MT_BASE_LOG_H
#define MT_BASE_LOG_H

#include "base/error.h"

enum mt_level { MT_DEBUG, MT_INFO, MT_WARN, MT_ERROR };

void mt_log_level(enum mt_level least);                            /* default MT_INFO */
bool mt_log_level_parse(struct mt_slice name, enum mt_level *out); /* DEBUG, INFO, WARNING, ERROR, CRITICAL */
void mt_log(enum mt_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Like mt_log, but lines of one key are written at most once in 10 s; the next one says how many were left
 * out. */
void mt_log_repeat(enum mt_level level, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mt_log_flush(void); /* writes the "N more" lines that are still owed */

/* Every occurrence of a secret in a log line, an error printed by the CLI or an example is replaced by
 * "[REDACTED]". Empty ones and ones shorter than 4 bytes are ignored (R-LOG-07). Copies the text. */
void mt_mask_add(struct mt_slice secret);
void mt_mask_forget(void); /* all of them, at the end of the process */
/* Masks text in place and returns it; the result is never longer than it was. */
char *mt_mask(char *text);
struct mt_buf;
void mt_mask_put(struct mt_buf *out, struct mt_slice text); /* appends the masked text */

/* Called with the line (terminated by a newline) instead of writing it to stderr; NULL: stderr again. Called
 * under the log's lock: it must not log. */
void mt_log_sink(void (*sink)(void *ud, struct mt_slice line), void *ud);

#endif
