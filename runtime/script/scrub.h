/* Takes credentials out of what is recorded: the values given to mt_mask_add wherever they occur, also
 * escaped for URLs and JSON or in base64, and what stands under the names that usually carry credentials.
 * Each becomes
 * "[REDACTED]". Pure but for the mask; any thread. */
#ifndef MT_SCRIPT_SCRUB_H
#define MT_SCRIPT_SCRUB_H

#include "base/buf.h"

/* Does a header (lower or upper case), or a member of JSON, a form or a query, carry a credential? Page
 * tokens are none: without them no page is found again. */
bool mt_scrub_hides_header(struct mt_slice name);
bool mt_scrub_hides_member(struct mt_slice name);

/* Each appends the scrubbed form; false: the buffer's ceiling. What holds no credential stays byte for byte.
 */
bool mt_scrub_text(struct mt_buf *out, struct mt_slice text);
bool mt_scrub_url(struct mt_buf *out, struct mt_slice url); /* or a path with its query */
bool mt_scrub_header(struct mt_buf *out, struct mt_slice name, struct mt_slice value);
bool mt_scrub_body(struct mt_buf *out, struct mt_slice body); /* JSON, lines of JSON, a form, or text */

/* The byte that "%XX" at s.p[at] stands for; false: it is no escape. */
bool mt_scrub_unescape(struct mt_slice s, size_t at, char *out);
/* Appends a part of a query, decoded. */
bool mt_scrub_decode(struct mt_buf *out, struct mt_slice part);

#endif
