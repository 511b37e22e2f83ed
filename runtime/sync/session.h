/* Private to sync/: one resync at work, as its files share it.
 *
 * Threads:
 *   loop     the process's: Lua, HTTP, signals
 *   resync   one thread that runs the steps of a resync in order and collects mapped batches (resync.c,
 * extract.c, reconcile.c) workers  the pool: mapping (transform.c) appliers five threads that each take a
 * chunk: search, compare, upsert (apply.c) `lock` guards what several of them touch; it is never held across
 * a call that waits. */
#ifndef MT_SYNC_SESSION_H
#define MT_SYNC_SESSION_H

#include <pthread.h>

#include "base/keyset.h"
#include "bundle/appconfig.h"
#include "port/entities.h"
#include "port/integration.h"
#include "script/host.h"
#include "state/state.h"
#include "sync/appliers.h"
#include "sync/resync.h"

/* What a fault leaves unproven: a scope of a resource, "" for all of it. */
struct mt_unproven {
    char *scope, *reason;
};

/* A resource of the mapping and what its run proved. Written by the resync thread, `unproven` also by
 * appliers (under lock). */
struct mt_resource {
    const struct mt_mapping *mapping;
    struct mt_kind_report *report;
    char *kind;
    char *name;                 /* stable over edits of the mapping: key of the state file */
    char *include;              /* query text of the search: "&include=…" */
    struct mt_mapper **mappers; /* one a worker, made by that worker */
    bool wanted;                /* not left out by --kind */
    bool ran;                   /* its handlers ended, in whatever way */
    atomic_bool search_failed;  /* a search identifier did not resolve: what it means may be any entity of the
                                   resource's blueprint */
    struct mt_unproven *unproven;
    size_t unproven_count;
    struct mt_empty_field *empty; /* one a mapped field, summed over the batches */
};

struct mt_failed_entities; /* sync/failed.h */

struct mt_session {
    const struct mt_resync_options *options;
    struct mt_bundle *bundle;
    struct mt_config *config;
    const char *base_url;

    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_pool *pool;
    struct mt_host *host;
    struct mt_port *port;
    struct mt_state *state;
    struct mt_appliers *appliers;
    struct mt_report *report;
    struct mt_appconfig *mapping;
    struct mt_integration integration;
    const struct mt_log_fields *log; /* that the threads of this resync enter; NULL: none */

    struct mt_resource *resources;
    unsigned resource_count;

    int64_t started_us;  /* to name the moment */
    uint64_t started_ns; /* to measure from it */
    char before[40], event_id[37];
    struct mt_upsert_options upsert;

    atomic_bool canceled;      /* by an abort, or because Port is gone */
    atomic_int aborted;        /* the exit code that the abort asked for; 0: nobody aborted it */
    atomic_bool record_broken; /* the state file could not be written, and that was said */
    atomic_uint refusals;      /* bulks in a row that Port answered with 500 for good */
    atomic_uint blind;         /* searches in a row that failed for good */
    struct mt_run *run;        /* loop thread: the handler at work, cancelled by an abort */
    atomic_uint shown;         /* changes printed of a resync that is no plan */

    pthread_mutex_t lock;
    struct mt_keyset
        *produced;     /* keys of entities that this resync produced or that a failed item protects */
    char **blueprints; /* written to in this resync */
    unsigned blueprint_count;
    struct mt_keyset
        *targets; /* (source blueprint, relation, target identifier) of what was produced or is withheld */
    struct mt_failed_entities *failed;
    char *hook_fault; /* a request failed in a hook: withholds everything */

    double waited_source, waited_mapping, waited_port; /* seconds; resync thread */
};

/* Runs fn on the loop's thread and waits for it. Resync thread. */
void mt_session_on_loop(struct mt_session *s, void (*fn)(struct mt_session *s, void *arg), void *arg);
/* Counts and prints an error of the run. Any thread. kind NULL: of the whole run. */
void mt_session_error(struct mt_session *s, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The state file did not take records of this resync: said once, and the resync counts as failed. Any thread.
 */
void mt_session_record_broken(struct mt_session *s, const struct mt_err *err);
/* Counts it. Any thread. */
void mt_session_state_failed(struct mt_session *s, enum mt_rc rc);
/* Every wait of this resync ends, and the handler at work. Any thread. */
void mt_session_cancel(struct mt_session *s);
/* Ends the resync early as a failed one, with an error: Port does not answer any more. Any thread; the first
 * reason counts. */
void mt_session_stop(struct mt_session *s, const char *reason);
/* A resource proves nothing any more for scope ("": all of it). Any thread; reason is copied. */
void mt_resource_unproven(struct mt_session *s, struct mt_resource *r, const char *scope, const char *reason);

/* Notes a blueprint that entities are written to. Any thread. */
void mt_session_blueprint(struct mt_session *s, struct mt_slice blueprint);

/* extract.c: one resource from its handlers to the appliers; returns when all of it is applied. */
void mt_extract(struct mt_session *s, struct mt_resource *r);
/* extract.c: a hook; false: it failed in a way that ends the resync (R-RES-02). */
bool mt_extract_hook(struct mt_session *s, enum mt_hook hook);

/* apply.c: entities of one blueprint and resource go to Port; takes them over. Waits while the appliers are
 * busy. scope: of those with a search identifier, which are recorded only once Port has resolved it; they
 * come in chunks of their own. */
enum { MT_CHUNK = 100 };
void mt_apply(struct mt_session *s, struct mt_resource *r, const char *scope, struct mt_entity **entities,
              size_t count);
/* apply.c: writes count bodies to Port in bulks and reports how each of them went. On the calling thread. */
struct mt_upsert_item {
    struct mt_slice json;
    bool ok;
    bool created;     /* false only when Port says that it existed */
    bool unknown;     /* a search identifier that matched nothing (A-ENT-14) */
    char *identifier; /* as Port returned it; owned by the caller */
    char *error;      /* owned by the caller */
};
void mt_apply_bulk(struct mt_session *s, struct mt_slice blueprint, struct mt_upsert_item **items,
                   size_t count);

/* reconcile.c: retries, listing, proven deletes. False: the listing failed. */
bool mt_reconcile(struct mt_session *s);

/* completeness.c: NULL when the absence of an owned entity is proven, else why not (valid until the next
 * call; resync thread). */
const char *mt_completeness_missing(struct mt_session *s, struct mt_slice blueprint,
                                    const struct mt_key *key);

/* protect.c: relation targets of what was produced, and of what is kept although it was not. */
void mt_protect_targets(struct mt_session *s, struct mt_slice blueprint, struct mt_val entity);
void mt_protect_target(struct mt_session *s, struct mt_slice blueprint, struct mt_slice relation,
                       struct mt_slice target);
struct mt_protection;
struct mt_protection *mt_protection_new(struct mt_session *s,
                                        struct mt_err *err); /* NULL: blueprints could not be read */
bool mt_protection_holds(struct mt_protection *p, struct mt_slice blueprint, struct mt_slice identifier);
void mt_protection_free(struct mt_protection *p);

/* examples.c: raw items as Port shows them in its mapping editor (A-EX-02, A-EX-03): sends up to the
 * resource's allowance. */
void mt_examples_send(struct mt_session *s, struct mt_resource *r, struct mt_val items, unsigned *left);

/* metrics.c: reports of kinds (A-MET-09). */
void mt_metrics_begin(struct mt_session *s);
void mt_metrics_kind(struct mt_session *s, struct mt_resource *r, const char *state);
void mt_metrics_reconciliation(struct mt_session *s, const char *state, double seconds, uint64_t deleted,
                               bool ok);
void mt_metrics_end(struct mt_session *s, const char *state);

/* plan.c: what would change, or changed, for a reader or as JSON lines. Any thread. */
void mt_plan_upsert(struct mt_session *s, struct mt_val entity,
                    struct mt_val existing); /* existing: no value for a create */
void mt_plan_delete(struct mt_session *s, struct mt_slice blueprint, struct mt_slice identifier,
                    const char *reason);

/* start.c: from the configuration to a session that can fetch: Port's record, mapping, resources. Resync
 * thread. */
enum mt_rc mt_session_start(struct mt_session *s, struct mt_err *err);

#endif
