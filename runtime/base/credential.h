/* What looks like a credential although no setting says so: the patterns of R-LOG-09, found by a plain scan
 * for the words and signs that each of them needs. Linear in the text, whatever it holds; pure. For mask.c.
 */
#ifndef MT_BASE_CREDENTIAL_H
#define MT_BASE_CREDENTIAL_H

#include "base/slice.h"

struct mt_credential_scan {
    struct mt_slice text;
    size_t at;       /* looked at so far */
    size_t floor;    /* end of the last find: nothing before it is looked at again */
    size_t line_end; /* of the line that holds `at`, once it was asked for */
    bool fresh;      /* `at` is where a line begins, or goes on after a find over several lines */
    size_t firebase; /* next occurrences at or after `at`, once they were asked for; text.n: none */
    size_t pem_end;
    size_t quoted_line; /* end of the line that the last quoted runs below were looked up for */
    struct {
        size_t begin, end;
    } quoted45, quoted40; /* of 32 to 45, of 35 to 40 letters and digits; end 0: there is none */
};

void mt_credential_scan(struct mt_credential_scan *s, struct mt_slice text);
/* The next find: from begin up to end. Finds do not overlap and come in order. */
bool mt_credential_next(struct mt_credential_scan *s, size_t *out_begin, size_t *out_end);

#endif
