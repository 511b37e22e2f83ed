/* One resync: extract, transform, diff, apply, reconcile. */
#ifndef MT_SYNC_RESYNC_H
#define MT_SYNC_RESYNC_H

#include "observe/report.h"
#include "port/integration.h"
#include "sync/source.h"

struct mt_resync;

struct mt_resync_options {
    struct mt_place *place;
    struct mt_version *version; /* whose mapping, blueprints and settings; a reference is taken */
    struct mt_source *source;   /* whose handlers; borrowed until done was called */
    const char *base_url;       /* Port's */
    const char *const *kinds;   /* ended by NULL; NULL: all; copied */
    uint64_t limit;             /* first N items of each kind; 0: all */
    bool local_mapping;         /* the bundle's mapping file wins over Port's */
    bool plan;                  /* change nothing; print what would change to changes */
    FILE *changes;              /* where changes are printed, a line each; NULL: nowhere */
    bool progress;              /* bars on stderr */
    unsigned generation;        /* that log lines carry; 0: none */
    bool json;
    struct mt_schedule schedule;        /* when the next one is due, for Port */
    const char *destination;            /* of Port's requests (R-LIS-12); NULL: none */
    struct mt_port_health *port_health; /* may be NULL */
};

/* Begins a resync; everything in options but what says otherwise is borrowed until done. done is called once
 * on the loop's thread, never before this returns, when the resync's thread has ended: it may take the
 * results and must free the record, there or later. Loop thread. */
struct mt_resync *mt_resync_start(const struct mt_resync_options *options,
                                  void (*done)(void *ud, struct mt_resync *r), void *ud);
/* Ends it at the next safe point: what is on the way to Port arrives, nothing is deleted any more, Port's
 * state becomes `aborted`. code: what mt_resync_code will be. Loop thread; the first call counts. */
void mt_resync_abort(struct mt_resync *r, int code);

int mt_resync_code(const struct mt_resync *r); /* the exit code of `moontide resync` or `plan`; after done */
const struct mt_err *mt_resync_err(const struct mt_resync *r); /* why nothing was begun; rc MT_OK: it was */
struct mt_report *mt_resync_report(struct mt_resync *r);       /* also while it runs */
const char *mt_resync_event_id(const struct mt_resync *r);
/* When Port says that it began to run; 0: it did not say. */
int64_t mt_resync_state_us(const struct mt_resync *r);
/* The last state, where Port could not be told it and still believes in `running`; else NULL. After done. */
const char *mt_resync_unreported(const struct mt_resync *r);
void mt_resync_free(struct mt_resync *r); /* after done was called, or inside */

#endif
