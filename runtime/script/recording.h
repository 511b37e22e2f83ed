/* Recorded HTTP exchanges: one JSON object a line, {"method","url","status","headers","body"}, body as text.
 */
#ifndef MT_SCRIPT_RECORDING_H
#define MT_SCRIPT_RECORDING_H

#include "net/http.h"

/* ---- answering from recordings ---- */

struct mt_recordings; /* immutable once it is read, but for what was asked */

struct mt_recordings *mt_recordings_new(void);
void mt_recordings_free(struct mt_recordings *r);
/* Reads a file, or its text (a file of a bundle). Errors name file and line. Of two recordings of one request
 * the first is answered first, the last one for ever. */
enum mt_rc mt_recordings_read(struct mt_recordings *r, const char *file, struct mt_err *err);
enum mt_rc mt_recordings_add(struct mt_recordings *r, const char *name, struct mt_slice text,
                             struct mt_err *err);
size_t mt_recordings_count(const struct mt_recordings *r);
/* The tape that answers from them. Requests match by method, path and query in any order, of whatever origin;
 * then with page sizes, a first page number, type, sort and direction left out. An origin in Link and
 * Location headers stays as recorded. If-None-Match that equals the recorded ETag is answered 304. An unknown
 * request is MT_ENOENT with what was asked and the nearest that is recorded. Valid as long as the recordings.
 */
const struct mt_http_tape *mt_recordings_tape(struct mt_recordings *r);

/* What was asked so far, in order; of a process that stays the first 100,000. Loop thread. */
struct mt_asked {
    const char *method, *url; /* scrubbed as a recorder does it */
    int status;               /* 0: nothing was recorded for it */
};
size_t mt_recordings_asked(const struct mt_recordings *r, size_t i,
                           struct mt_asked *out); /* returns the count */
void mt_recordings_forget_asked(struct mt_recordings *r);

/* ---- recording ---- */

struct mt_recorder;

/* Writes to file (made anew; appended to while it runs). Left out: 304, the answer that a request had the
 * time before, and answers that are asked again for (429, 408, 5xx, 403 with Retry-After) unless they are the
 * last one: who replays would only wait for the next. Scrubbed: the values given to mt_mask_add wherever
 * they occur, also escaped for URL and JSON or in base64; the headers and the members of JSON bodies and
 * queries that usually carry credentials. */
enum mt_rc mt_recorder_new(const char *file, struct mt_recorder **out, struct mt_err *err);
const struct mt_http_tape *mt_recorder_tape(struct mt_recorder *r);
/* Flushes and closes; *out_count exchanges were written. */
enum mt_rc mt_recorder_close(struct mt_recorder *r, size_t *out_count, struct mt_err *err);

#endif
