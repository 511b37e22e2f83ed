/* Private to cli/: raw items through the mappers, on one thread or on several. */
#ifndef MT_CLI_PIPELINE_H
#define MT_CLI_PIPELINE_H

#include "cli/command.h"
#include "cli/items.h"
#include "jq/mapping.h"

struct mt_pipeline_totals {
    uint64_t items, selected, mapped, failed, rejected, skipped, broken;
    struct mt_empty_field *empty; /* by resource and field; count, samples: the caller frees them */
};

struct mt_pipeline {
    const struct mt_command *self;
    struct mt_mapping **resources; /* the chosen ones, borrowed */
    unsigned resource_count, field_max;
    unsigned *indexes;
    const char *name; /* of the input */
    struct mt_pipeline_totals totals;
};

/* Reads items, maps them and writes the entities to stdout in their order, one a line; what is broken goes to
 * stderr. Returns the exit code. */
int mt_pipeline_run(struct mt_pipeline *p, struct mt_items *items, unsigned threads);
void mt_pipeline_masked(struct mt_buf *messages); /* to stderr */

#endif
