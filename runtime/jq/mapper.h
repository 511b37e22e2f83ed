/* Between mapper.c, which evaluates expressions, and batch.c, which makes entities of the results. Private to
 * jq/. */
#ifndef MT_JQ_MAPPER_H
#define MT_JQ_MAPPER_H

#include "jq/libjq.h"
#include "jq/unit.h"

/* What a leaf gave for the item at hand. */
struct mt_state {
    enum mt_outcome outcome;
    struct mt_val val;            /* no value stands for null */
    char message[MT_FOREIGN + 1]; /* when it raised */
};

struct mt_mapper {
    const struct mt_mapping *mapping;
    struct mt_libjq *fields; /* [selector,] leaves that need libjq; NULL when none does */
    struct mt_libjq *expand; /* itemsToParse and the deletion, as far as they need libjq */
    bool slow_selector;
    unsigned slow_count;
    unsigned *slow;          /* leaf numbers in the order of the program's results */
    struct mt_state *states; /* one for each leaf */
    struct mt_state selector, items, remove;
    struct mt_doc *constants;                  /* results of constant expressions */
    struct mt_doc *results;                    /* of the item at hand; the states point into it */
    struct mt_doc *expansion;                  /* the same for itemsToParse */
    struct mt_buf json, identifier, blueprint; /* scratch, kept between items */
    unsigned *empty;                           /* by field: how many items gave null */
};

enum mt_selected { MT_REJECTED, MT_SELECTED, MT_UNDECIDED };

/* Evaluates selector and, unless it is false, all fields. MT_ENOMEM only. */
enum mt_rc mt_mapper_evaluate(struct mt_mapper *mapper, struct mt_val item, enum mt_selected *out,
                              struct mt_err *err);
/* Evaluates itemsToParse and the deletion that libjq does, on a raw item. */
enum mt_rc mt_mapper_expand(struct mt_mapper *mapper, struct mt_val item, struct mt_err *err);

#endif
