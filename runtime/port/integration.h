/* Port's record of the integration: its mapping, its resync state, its metrics and examples (A-INT, A-EX,
 * A-MET). Calls block. */
#ifndef MT_PORT_INTEGRATION_H
#define MT_PORT_INTEGRATION_H

#include "port/port.h"

/* The version of Ocean whose protocol is spoken: reported where Ocean reports its own. */
#define MT_OCEAN_VERSION "0.48.12"

/* A resync at due_ns and every interval after it (R-ST-02), by the monotonic clock: a wall clock that jumps
 * moves none. seconds 0: none. Port is told minutes, rounded up. */
struct mt_schedule {
    uint64_t due_ns, every_ns; /* every_ns: the interval, shorter than `seconds` on the fast clock of tests */
    unsigned seconds;
};
/* When the next one is due, by the wall clock as it goes now; 0: there is no schedule. */
int64_t mt_schedule_next(const struct mt_schedule *schedule);

struct mt_integration {
    const char *identifier, *type, *version;
    const char *destination; /* URL for resync requests (R-LIS-12); NULL: Port is asked */
    struct mt_schedule schedule;
    int64_t started_us; /* of the resync whose begin Port was told, by either clock; 0: of none */
    uint64_t started_ns;
    _Atomic int64_t state_us; /* updatedAt of the resync state as Port last answered (A-INT-19); 0: never */
    struct mt_doc *doc;       /* {"integration":{…}} as Port last answered; NULL: it does not exist */
};

/* GET; absent (404) leaves doc NULL and is no error (A-INT-04). */
enum mt_rc mt_integration_get(struct mt_port *port, struct mt_integration *i, struct mt_err *err);
/* POST with this mapping (its wire form, or no value) and `createPortResourcesOrigin` Default (A-INT-06). */
enum mt_rc mt_integration_create(struct mt_port *port, struct mt_integration *i, struct mt_val mapping,
                                 struct mt_err *err);
/* PATCH when what Port holds of type, version, listener, modes differs (A-INT-09). */
enum mt_rc mt_integration_update(struct mt_port *port, struct mt_integration *i, struct mt_err *err);
enum mt_rc mt_integration_mark_initialized(struct mt_port *port, struct mt_integration *i,
                                           struct mt_err *err); /* A-INT-10 */
enum mt_rc mt_integration_put_mapping(struct mt_port *port, struct mt_integration *i, struct mt_val mapping,
                                      struct mt_err *err); /* A-INT-13 */
void mt_integration_fini(struct mt_integration *i);

/* A member of the record ("config", "metricAttributes.ingestUrl"); false when absent or null. */
bool mt_integration_member(const struct mt_integration *i, const char *dotted, struct mt_val *out);

/* Reports; what goes wrong is logged and never decides (A-INT-19, A-MET-06, A-EX-04). ended: false when Port
 * did not take it; the begin is told anew when the wall clock was set since, so that Port sees the time it
 * took. */
void mt_integration_resync_started(struct mt_port *port, struct mt_integration *i, int64_t started_us,
                                   uint64_t started_ns);
bool mt_integration_resync_ended(struct mt_port *port, struct mt_integration *i, const char *status);
/* A process is alive and resyncs (A-MET-07). */
void mt_integration_heartbeat(struct mt_port *port, const struct mt_integration *i, const char *event_id);
/* When somebody asked for a resync (A-INT-20); 0: nobody did, or its time cannot be read. */
enum mt_rc mt_integration_resync_request(struct mt_port *port, const struct mt_integration *i,
                                         int64_t *out_us, struct mt_err *err);
void mt_integration_examples(struct mt_port *port, const struct mt_integration *i, const char *kind,
                             struct mt_slice array);

/* One kindMetric object (A-MET-03). */
struct mt_kind_metric {
    const char *kind_identifier; /* "issue-0", "__runtime__", "__reconciliation__" */
    const char *kind;
    unsigned index;
    const char *event_id, *state; /* A-MET-05 */
    const char *blueprint;        /* the raw expression */
    struct mt_slice metrics;      /* JSON object */
};
/* POST of several at once, or PUT of one kind (A-MET-01, A-MET-02). Nothing is sent when Port named no ingest
 * address. */
void mt_integration_metrics_post(struct mt_port *port, const struct mt_integration *i,
                                 const struct mt_kind_metric *metrics, size_t count);
void mt_integration_metrics_put(struct mt_port *port, const struct mt_integration *i,
                                const struct mt_kind_metric *metric);

#endif
