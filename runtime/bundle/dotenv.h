/* .env files. Pure, any thread. */
#ifndef MT_BUNDLE_DOTENV_H
#define MT_BUNDLE_DOTENV_H

#include "base/buf.h"

/* Calls each() for every NAME=VALUE in order, and bad() for a line that is none. Values: quotes (over several
 * lines too), comments, `export `; nothing is expanded. */
void mt_dotenv_parse(struct mt_slice text,
                     void (*each)(void *ud, struct mt_slice name, struct mt_slice value, unsigned line),
                     void (*bad)(void *ud, unsigned line, const char *why), void *ud);

#endif
