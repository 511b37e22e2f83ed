/* The client of Port's API. Calls block: they are for the resync's threads, never for the loop's.
 * Thread-safe. */
#ifndef MT_PORT_PORT_H
#define MT_PORT_PORT_H

#include <pthread.h>

#include "net/http.h"
#include "json/document.h"

struct mt_port;

/* How Port's API answers, for /health/ready, /status and doctor: written by the calls of any number of
 * clients, read by any thread at any time. Calls of absolute URLs (ingest addresses of logs and metrics) and
 * cancelled ones change nothing in it. */
struct mt_port_health {
    atomic_bool accepted; /* the credentials were, at least once */
    /* The last call failed for good: no answer, one that is not Port's, credentials refused (401, 403), 408,
     * 429 or 5xx when the retries were used up. Any other status is an answer. */
    atomic_bool failed;
    atomic_ullong requests, failures; /* calls, retries not counted */
    pthread_mutex_t lock;
    char error[400]; /* under lock: the last failure's message, masked; stays when calls succeed again */
};
void mt_port_health_init(struct mt_port_health *h);
void mt_port_health_fini(struct mt_port_health *h);
/* A copy of the last failure's message, NULL: there was none. The caller frees it. */
char *mt_port_health_error(struct mt_port_health *h);

struct mt_port_options {
    struct mt_http *http;
    const char *base_url; /* without /v1; a trailing slash is stripped */
    const char *client_id, *client_secret;
    const char *type, *version, *identifier; /* of the integration: the User-Agent (A-COM-03) */
    bool insecure_tls;
    unsigned deadline_s; /* of one call, retries included; 0: 120 */
    const atomic_bool
        *cancel; /* calls end with MT_ECANCELED once it is set (after mt_http_kick); may be NULL */
    struct mt_port_health *health;              /* may be NULL; outlives the client */
    void (*observed)(void *ud, double seconds); /* told of each call's time, on its thread; may be NULL */
    void *observed_ud;
};

struct mt_port *mt_port_new(const struct mt_port_options *options);
void mt_port_free(struct mt_port *port);
struct mt_http_stats *mt_port_stats(struct mt_port *port);
/* Calls after this ignore the cancel flag: for the last words of an interrupted resync. */
void mt_port_ignore_cancel(struct mt_port *port);
bool mt_port_is_canceled(const struct mt_port *port); /* calls from now on end at once */

/* Event parameters of A-COM-06, added where that rule says; NULL: none. Set before the calls that need it,
 * not while some run. */
void mt_port_event(struct mt_port *port, const char *event_type, const char *resync_id);

/* One call: status and parsed body. */
struct mt_port_answer {
    int status;
    struct mt_doc *doc; /* NULL: the body of an error was not JSON or empty (A-COM-11); caller releases */
};
enum {
    MT_PORT_RETRY = 1,    /* "Retryable" in A-rules; GET, PUT, DELETE always are */
    MT_PORT_EXPORTER = 2, /* User-Agent with /exporter (A-COM-04) */
    MT_PORT_EVENT = 4,    /* with the event parameters */
    MT_PORT_SOFT = 8,     /* a status of 400 or more is an answer, not an error */
    MT_PORT_UNREAD = 16,  /* the body of a good answer is not looked at (A-LOG-01) */
    MT_PORT_QUIET = 32    /* no resync is to follow from this change (A-COM-07) */
};
/* path starts with '/' and is below /v1, or is an absolute URL of an ingest address. Errors: MT_EHTTP
 * (strict), MT_EAUTH, MT_ENET, MT_EDATA, MT_ECANCELED; the message names the call and Port's own error text.
 */
enum mt_rc mt_port_call(struct mt_port *port, const char *method, const char *path, struct mt_slice body,
                        unsigned flags, struct mt_port_answer *out, struct mt_err *err);
/* The same with a deadline and a cancel flag of its own (may be NULL: the client's), for what must end when
 * its owner says so, after mt_port_kick. Waiting for a token that another call fetches is bounded by that
 * call's deadline alone. */
enum mt_rc mt_port_call_within(struct mt_port *port, uint32_t deadline_ms, const atomic_bool *cancel,
                               const char *method, const char *path, struct mt_slice body, unsigned flags,
                               struct mt_port_answer *out, struct mt_err *err);
void mt_port_kick(struct mt_port *port); /* any thread: calls whose cancel flag is set end now */

#endif
