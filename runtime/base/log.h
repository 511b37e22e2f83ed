/* The log: one line an event on stderr, secrets masked (base/mask.h), repeats coalesced. Thread-safe.
 *
 * Line: "2026-11-23 09:43:28.935 WARN  message" (R-LOG-01), with what the thread entered behind the level:
 * "… INFO  [my-github repository run 1f056ea3 gen 3] message"; on a terminal the progress display owns the
 * last lines and is told to step aside through the hook. A line waits until stderr takes it: who reads it
 * slowly slows the process down, and nothing is lost. */
#ifndef MT_BASE_LOG_H
#define MT_BASE_LOG_H

#include <stdint.h>

#include "base/error.h"
#include "base/mask.h"

enum mt_level { MT_DEBUG, MT_INFO, MT_WARN, MT_ERROR };

void mt_log_level(enum mt_level least);                            /* default MT_INFO */
bool mt_log_level_parse(struct mt_slice name, enum mt_level *out); /* DEBUG, INFO, WARNING, ERROR, CRITICAL */
const char *mt_log_level_name(enum mt_level level);                /* "DEBUG", "INFO", "WARNING", "ERROR" */
void mt_log(enum mt_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Like mt_log, but lines of one key (and one integration, as entered) are written at most once in 10 s; the
 * next one says how many were left out. */
void mt_log_repeat(enum mt_level level, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Writes the "N more" lines that are owed. A process that stays calls it every 10 s, every process at its
 * end. */
void mt_log_flush(void);

/* What the lines of a thread carry beside their message, until it is entered with something else: names a
 * run's lines among those of others. Returns what was there; restore it. The record must outlive its use.
 * Threads start with NULL: nothing. */
struct mt_log_fields {
    const char *integration; /* identifier; NULL: left out, as each of these */
    const char *run;         /* event id of the resync */
    const char *kind;
    unsigned generation; /* 0: left out */
    bool local;          /* not for the taps: never shipped (R-LOG-05) */
};
const struct mt_log_fields *mt_log_enter(const struct mt_log_fields *fields);

/* Lines as text (the default) or as JSON objects {"timestamp","level","message","integration","run","kind",
 * "generation"}; those of the record that are absent are left out. Valid UTF-8, one line each, whatever the
 * message holds; the timestamp is UTC with microseconds. */
void mt_log_json(bool json);

/* A line as the taps see it: masked in all its parts, valid UTF-8, no line end at its end. */
struct mt_log_record {
    enum mt_level level;
    int64_t wall_us;
    struct mt_slice message;
    struct mt_log_fields fields;
};
/* Also hands every line of the least level or more to tap, on the thread that logs, possibly on several at
 * once. The log holds no lock of its own then, so that a tap may take its lock; what it logs itself goes to
 * stderr only. A tap may not add or remove taps. */
void mt_log_tap(void (*tap)(void *ud, const struct mt_log_record *record), void *ud);
/* Afterwards the tap is not called any more, and no call of it is under way. Not with a lock held that the
 * tap takes. */
void mt_log_untap(void (*tap)(void *ud, const struct mt_log_record *record), void *ud);

/* Called with the line (terminated by a newline) instead of writing it to stderr; NULL: stderr again. Called
 * under the log's lock: it must not log. */
void mt_log_sink(void (*sink)(void *ud, struct mt_slice line), void *ud);

#define MT_LOG_TIME_SIZE 32
/* 2026-11-23T09:43:28.935792Z (A-LOG-01). Returns out. */
const char *mt_log_time(int64_t wall_us, char out[MT_LOG_TIME_SIZE]);

#endif
