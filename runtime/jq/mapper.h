/* Between mapper.c, which evaluates expressions, and batch.c, which makes entities of the results. Private to
 * jq/. */
#ifndef MT_JQ_MAPPER_H
#define MT_JQ_MAPPER_H

#include "jq/oracle.h"
#include "jq/plan.h"

struct mt_mapper {
    const struct mt_mapping *mapping;
    const struct mt_plan *plan;
    struct mt_machine *machine; /* NULL: nothing is native */
    struct mt_oracle *fields;   /* selector and fields on libjq; NULL: there are none */
    struct mt_oracle *expand;   /* the same for itemsToParse and its deletion */
    struct mt_states states;
    struct mt_buf json, identifier, blueprint; /* scratch, kept between items */
    unsigned *empty;                           /* by field: how many items gave null; batch.c's */
    bool out_of_limits;                        /* expand: what itemsToParse deletes met a limit */
};

enum mt_selected { MT_REJECTED, MT_SELECTED, MT_UNDECIDED };

/* Evaluates selector and, unless it is false, all fields. MT_ENOMEM only. */
enum mt_rc mt_mapper_evaluate(struct mt_mapper *mapper, struct mt_val item, enum mt_selected *out,
                              struct mt_err *err);
/* Evaluates itemsToParse and what it deletes on a raw item. */
enum mt_rc mt_mapper_expand(struct mt_mapper *mapper, struct mt_val item, struct mt_err *err);

#endif
