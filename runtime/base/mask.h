/* The mask: what must never be printed becomes "[REDACTED]", the whole of it (R-LOG-06): the values of the
 * sensitive settings, also in the forms that URLs and JSON give them, and what looks like a credential
 * (R-LOG-09). Thread-safe; time is linear in the text. */
#ifndef MT_BASE_MASK_H
#define MT_BASE_MASK_H

#include "base/buf.h"

/* From now on every occurrence of the secret is masked. Trimmed; ignored are those shorter than 4 bytes and
 * None, null, true, false, which unset settings turn into (R-LOG-07). Copied; one that is known costs a
 * look-up. */
void mt_mask_add(struct mt_slice secret);
/* The same for what is replaced by and by, as access tokens are: the last 300 of those are known. */
void mt_mask_add_passing(struct mt_slice secret);
void mt_mask_forget(void);  /* all of them, at the end of the process */
size_t mt_mask_count(void); /* secrets known, their forms included */

/* Masks text in place and returns it; the result is never longer than it was. */
char *mt_mask(char *text);
void mt_mask_put(struct mt_buf *out, struct mt_slice text); /* appends the masked text */
/* The same for the added secrets alone: for data whose shape must stay, where a pattern that takes the rest
 * of a line would do harm. */
void mt_mask_put_known(struct mt_buf *out, struct mt_slice text);

#endif
