/* Expressions that need no engine: paths of constant members and indexes, and literals. They are evaluated on
 * the document itself, so that integers beyond 2^53 stay exact and nothing is converted. Immutable, any
 * thread. */
#ifndef MT_JQ_PATH_H
#define MT_JQ_PATH_H

#include "json/document.h"

enum mt_outcome { MT_GAVE_VALUE, MT_GAVE_NOTHING, MT_RAISED };

#define MT_PATH_MESSAGE 128

struct mt_plain;

struct mt_plain *mt_plain_parse(struct mt_slice expression); /* NULL: needs an engine */
void mt_plain_free(struct mt_plain *p);
bool mt_plain_constant(const struct mt_plain *p, struct mt_val *out);
bool mt_plain_is_path(const struct mt_plain *p); /* at least one step, none of them optional */
/* A null that no value of the document stands for is no value ({NULL, 0}). message: filled when it raised. */
enum mt_outcome mt_plain_run(const struct mt_plain *p, struct mt_val input, struct mt_val *out,
                             char message[MT_PATH_MESSAGE]);
/* Writes input without what the path leads to (jq's del). False when it raises; the builder is then to be
 * thrown away. */
bool mt_plain_delete(const struct mt_plain *p, struct mt_val input, struct mt_builder *b,
                     char message[MT_PATH_MESSAGE]);

#endif
