/* Private to service/: the process, and one integration of it at work. Everything is the loop's thread's, but
 * what says otherwise.
 *
 *   service.c   the process: instances side by side, listeners, signals, the end
 *   instance.c  one integration: its requests for a resync, the resync, its standing at Port
 *   reload.c    a new generation of its bundle: load beside, swap, drain
 *   listener.c  what asks for resyncs: start, polling, schedule; heartbeats
 *   status.c    GET /status, and the gauges of /metrics
 */
#ifndef MT_SERVICE_INSTANCE_H
#define MT_SERVICE_INSTANCE_H

#include "port/shipping.h"
#include "service/generation.h"
#include "service/routes.h"
#include "service/service.h"
#include "service/watch.h"
#include "sync/resync.h"

struct mt_instance;

struct mt_service {
    const struct mt_service_options *options;
    struct mt_config *config; /* of the process */
    struct mt_place *place;
    /* Threads that load generations; there while some are loading: what malloc keeps for a thread (the C
     * library's cache, some 200 KB) goes with it, else that is what thousands of reloads leave behind. */
    struct mt_pool *loaders;
    unsigned loads;
    struct mt_pool *callers; /* threads that wait for Port: polls, heartbeats, logs */
    struct mt_metrics *metrics;
    struct mt_routes *routes;
    struct mt_instance **instances;
    size_t count;
    unsigned running, most; /* resyncs */
    unsigned jobs;          /* on loaders and callers, of all instances */
    double speed;           /* of the clock of schedules; 1 but in tests */
    int64_t started_us;
    int64_t clock_us;          /* the wall clock less the monotonic one, as last looked at */
    unsigned damaged;          /* state files that the metrics count */
    struct mt_timer *deadline; /* of the drain */
    struct mt_timer *last;     /* the last turn of the loop */
    struct mt_timer *flush;    /* of coalesced log lines */
    unsigned shipping;         /* that are not ended yet */
    bool announced, ending;
    int code;
    struct mt_err err;    /* why it ends, where code is not 0 */
    atomic_bool canceled; /* any thread: calls of Port that are under way end */
};

/* Why a resync is asked for, for the log. */
struct mt_wish {
    const char *trigger; /* static: "start", "request", "schedule", "webhook", "reload", "once" */
    char **kinds;        /* ended by NULL; NULL: all */
    int64_t request_us;  /* of a request at Port: becomes the watermark when it starts (R-LIS-09); 0: none */
    bool local_mapping;
};

/* Somebody who waits for a reload. result: "reloaded", "unchanged", "refused". */
struct mt_reload_waiter {
    struct mt_reload_waiter *next;
    void (*done)(void *ud, struct mt_instance *i, const char *result, const char *error);
    void *ud;
};

struct mt_instance {
    struct mt_service *service;
    const char *path;
    char *name, *identifier, *type; /* of the first generation; they cannot change */
    char *destination;              /* of Port's requests; NULL but for WEBHOOK */

    /* instance.c */
    struct mt_generation *active;      /* NULL until the first one is loaded */
    struct mt_version *record_version; /* that `port` and `record` point into */
    char *base_url;                    /* Port's */
    struct mt_port *port; /* for all that is no resync; made when the first generation is there */
    struct mt_port_health health;
    struct mt_integration record; /* callers' threads, one job at a time */
    bool connected;               /* Port has accepted the credentials */
    unsigned attempts;
    struct mt_timer *retry;
    struct mt_shipping *shipping;
    struct mt_resync *resync; /* at work */
    const char *trigger;
    struct mt_generation *resync_generation;
    int64_t resync_started_us;
    uint64_t resync_started_ns;
    char **resync_kinds;    /* of the one at work; NULL: all */
    const char *unreported; /* the last resync's state, while Port could not be told it */
    bool reporting;         /* a job tries it again */
    bool given_up;          /* ONCE: Port did not answer */
    bool wishes, waiting;   /* a resync is asked for; it waits for a slot */
    struct mt_wish wish;
    unsigned resyncs_done;
    char *last_resync; /* JSON */
    int once_code;

    /* listener.c */
    struct mt_timer *poll, *scheduled, *heartbeat;
    struct mt_schedule schedule;
    int64_t watermark_us, baseline_us;
    bool polling, beating; /* a job is under way */

    /* reload.c */
    unsigned generations; /* numbers given */
    bool loading, again;
    struct mt_reload_waiter *waiters, *next_waiters; /* of the load at work, and of the one after it */
    struct mt_watch *watch;
    struct mt_timer *drain;
    struct {
        int64_t at_us; /* 0: the last load was good */
        char *error, *file;
        unsigned line;
    } refused;
    unsigned reloads_done, reloads_refused;
};

/* A job of an instance on loaders or callers: counted, so that the process does not end under it. done is
 * called on the loop; when the service is ending too, and must then only clean up. */
void mt_service_submit(struct mt_service *s, struct mt_pool *pool, struct mt_job *job);
void mt_service_job_done(struct mt_service *s); /* first in every done */
/* The process ends: resyncs are aborted, what is under way comes to its end. err may be NULL. */
void mt_service_end(struct mt_service *s, int code, const struct mt_err *err);
void mt_service_look(
    struct mt_service *s); /* something came to its end: is all of it over, can another begin? */
/* What happens beside the loop, into the metrics: that the wall clock was set (which is also said), that
 * state files were damaged. Every 10 s, and where somebody looks. */
void mt_service_measure(struct mt_service *s);
/* A timer of the injected clock. */
struct mt_timer *mt_service_timer(struct mt_service *s, double seconds, void (*fn)(void *arg), void *arg);

/* instance.c */
struct mt_instance *mt_instance_new(struct mt_service *s, const char *path, struct mt_version *version);
void mt_instance_free(struct mt_instance *i);
/* Begins to talk to Port, beside the first load. MT_EIO: the embedded catalog does not start. */
enum mt_rc mt_instance_connect(struct mt_instance *i, struct mt_version *version, struct mt_err *err);
void mt_instance_loaded(struct mt_instance *i); /* the first generation is there */
/* Asks for a resync; takes kinds over. One at work is aborted for it at its next safe point. */
void mt_instance_wish(struct mt_instance *i, struct mt_wish wish);
void mt_instance_next(struct mt_instance *i); /* starts what was asked for, if it can be started now */
void mt_instance_abort(struct mt_instance *i);
bool mt_instance_is_idle(const struct mt_instance *i);
bool mt_instance_resyncs(const struct mt_instance *i); /* the listener's should_resync */

/* reload.c */
/* Loads a new generation and swaps; answers every waiter. version: the first one's, already read (taken
 * over). */
void mt_instance_reload(struct mt_instance *i, struct mt_version *version,
                        void (*done)(void *ud, struct mt_instance *i, const char *result, const char *error),
                        void *ud);
void mt_reload_stop(struct mt_instance *i);

/* listener.c */
void mt_listener_start(struct mt_instance *i); /* Port has accepted the credentials */
void mt_listener_stop(struct mt_instance *i);
struct mt_schedule mt_listener_schedule(const struct mt_instance *i); /* as configured, beginning now */
void mt_listener_reloaded(struct mt_instance *i);
bool mt_listener_is_once(const struct mt_instance *i);
void mt_listener_resync_ended(struct mt_instance *i, int64_t state_us); /* state_us: when it began */

/* status.c */
bool mt_status_ready(void *ud, struct mt_buf *why);
void mt_status_put(void *ud, struct mt_buf *out);
void mt_status_measure(struct mt_instance *i, struct mt_report *report);

#endif
