/* One resync: extract, transform, diff, apply, reconcile. */
#ifndef MT_SYNC_RESYNC_H
#define MT_SYNC_RESYNC_H

#include "bundle/config.h"
#include "observe/report.h"

struct mt_resync_options {
    struct mt_bundle *bundle;
    struct mt_config *config;
    const char *const *kinds; /* ended by NULL; NULL: all */
    uint64_t limit;           /* first N items of each kind; 0: all */
    bool local_mapping;       /* the bundle's mapping file wins over Port's */
    bool plan;                /* change nothing; print what would change to plan_out */
    FILE *plan_out;
    bool progress; /* bars on stderr */
    bool json;
};

/* Runs on the calling thread, which becomes the loop's thread, until the end. Returns the exit code of
 * `moontide resync` / `plan`. *out_report is the caller's, also on failure (NULL only when nothing was begun:
 * err says why). */
int mt_resync_run(const struct mt_resync_options *options, struct mt_report **out_report, struct mt_err *err);

#endif
