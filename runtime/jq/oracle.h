/* Expressions of a mapping that libjq evaluates: all of them with the engine libjq, with the native engine
 * those few that it does not take. Private to jq/; belongs to one thread. */
#ifndef MT_JQ_ORACLE_H
#define MT_JQ_ORACLE_H

#include "jq/machine.h"
#include "jq/unit.h"

/* What the leaves gave for the item at hand, each by its number. */
struct mt_states {
    struct mt_jv *values;             /* null where it gave none or raised (R-JQ-04) */
    uint8_t *outcomes;                /* enum mt_outcome */
    char (*messages)[MT_FOREIGN + 1]; /* of those that raised, as far as somebody will read it */
};

struct mt_oracle;

/* leaves are borrowed. With the selector as the first of them the others are evaluated unless it is false. */
enum mt_rc mt_oracle_new(const struct mt_mapping *m, const unsigned *leaves, unsigned count,
                         struct mt_oracle **out, struct mt_err *err);
void mt_oracle_free(struct mt_oracle *o); /* NULL is fine */
/* Sets the states of its leaves; the values live until the next run. MT_ENOMEM only. */
enum mt_rc mt_oracle_run(struct mt_oracle *o, struct mt_val item, struct mt_states *states,
                         struct mt_err *err);

#endif
