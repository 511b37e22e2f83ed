/* What Ocean does to expressions before jq sees them. Pure functions, any thread. */
#ifndef MT_JQ_SYNTAX_H
#define MT_JQ_SYNTAX_H

#include "base/buf.h"

bool mt_jq_quotes(struct mt_slice expression, struct mt_buf *out); /* single quotes, R-JQ-02 */
bool mt_jq_parse_path(struct mt_slice expression,
                      struct mt_slice *out_path); /* target of itemsToParse, R-ITP-04…06 */

#endif
