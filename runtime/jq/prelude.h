/* Definitions put before a program so that libjq 1.6 means what jq 1.8 means. Static data, any thread. */
#ifndef MT_JQ_PRELUDE_H
#define MT_JQ_PRELUDE_H

#include "base/buf.h"

#define MT_PRELUDE_MAX 96

struct mt_prelude {
    bool wanted[MT_PRELUDE_MAX];
};

/* A name, operator or "@format" that a program mentions: wants the definitions that mend it. */
void mt_prelude_note(struct mt_prelude *p, struct mt_slice name);
void mt_prelude_join(struct mt_prelude *p, const struct mt_prelude *other);
/* Appends the wanted definitions, on one line, so that the line numbers of $__loc__ and of jq's messages stay
 * right. */
void mt_prelude_write(const struct mt_prelude *p, struct mt_buf *out);

#endif
