/* What a recorded request is found by. Pure functions. For recording.c and recorder.c. */
#ifndef MT_SCRIPT_RECORDING_KEY_H
#define MT_SCRIPT_RECORDING_KEY_H

#include "base/buf.h"

/* Appends "GET /path?a=1&b=2": path and query of a URL or of what stands behind its origin, the parameters
 * sorted and spelled in one way, credentials among them hidden: a recording holds none, a request may. */
bool mt_recording_key(struct mt_buf *out, struct mt_slice method, struct mt_slice url);
/* Appends a key without what matters little: page sizes, the number of a first page, type, sort, direction.
 */
bool mt_recording_loosen(struct mt_buf *out, struct mt_slice key);
/* The path and query of an absolute URL, without fragment; another one as it is. Borrowed from it. */
struct mt_slice mt_recording_target(struct mt_slice url);

#endif
