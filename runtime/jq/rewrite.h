/* An expression made ready for libjq 1.6: its brackets checked, so that it cannot break out of the
 * parentheses that it is put into, and the spellings that jq 1.7 and 1.8 added turned into older ones. Pure
 * functions, any thread. */
#ifndef MT_JQ_REWRITE_H
#define MT_JQ_REWRITE_H

#include "base/buf.h"
#include "jq/prelude.h"

struct mt_expression {
    struct mt_prelude uses; /* definitions of the prelude that it mentions */
};

/* Appends the rewritten text. MT_EINVAL: a bracket, string or `if` that does not match, a NUL byte, or
 * nothing but blanks. */
enum mt_rc mt_jq_rewrite(struct mt_slice text, struct mt_buf *out, struct mt_expression *out_about,
                         struct mt_err *err);

#endif
