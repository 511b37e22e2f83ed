/* A request on its way through admission, attempts, redirects, waits and judgement. Private to net/; loop
 * thread only.
 *
 *            +----------------------- again -----------------------+
 *            v                                                     |
 *   start -> QUEUED -> SENDING -> (status, error, refusal) -> BACKOFF | ANNOUNCED
 *                         |  ^                                     ^
 *                         |  +-- redirect                          |
 *                         +----> JUDGING -> JUDGED (refused) ------+
 *                         |                    |
 *                         +--------------------+--> done
 *
 * The clock of the deadline runs in SENDING, JUDGING, JUDGED and BACKOFF; it stands in QUEUED and ANNOUNCED.
 */
#ifndef MT_NET_CALL_H
#define MT_NET_CALL_H

#include <event2/event.h>
#include <pthread.h>

#include "net/transfer.h"

struct mt_waiter;
struct mt_http_group;

struct mt_http {
    struct mt_loop *loop;
    struct mt_transfers *transfers;
    struct mt_http_call *calls;
    struct mt_admission *admissions;
    struct mt_http_group *groups;
    uint64_t serial;
    uint64_t random;
    /* wait.c */
    pthread_mutex_t lock;
    struct event *wake;
    struct mt_waiter *inbox, **inbox_last; /* under lock: to be started */
    struct mt_waiter *waiting;             /* loop thread: started */
};

/* The calls under way that count into one mt_http_stats. */
struct mt_http_group {
    struct mt_http_group *next, **link;
    struct mt_http_stats *stats;
    size_t calls;
    size_t waits; /* calls in an announced wait */
    uint64_t since_ns;
};

enum mt_phase { MT_QUEUED, MT_SENDING, MT_JUDGING, MT_JUDGED, MT_BACKOFF, MT_ANNOUNCED, MT_FAILED, MT_OVER };

struct mt_http_call {
    struct mt_http *http;
    struct mt_http_call *next, **link;
    uint64_t serial;
    enum mt_phase phase;
    struct event *timer; /* back-off, announced wait, and what must not happen inside the caller's call */

    char *method, *url; /* as asked for */
    struct mt_header *headers;
    size_t header_count;
    struct mt_buf body;
    uint32_t timeout_ms, connect_timeout_ms;
    unsigned max_redirects;
    bool insecure_tls;
    struct mt_retry retry;
    int *statuses;
    void (*judge)(void *ud, struct mt_http_call *call, struct mt_http_response *response);
    void *judge_ud;
    const struct mt_http_tape *tape;
    const struct mt_reach *reach;
    void (*done)(void *ud, struct mt_http_response *res, const struct mt_err *err);
    void *ud;

    struct mt_admission *admission;
    struct mt_http_call *queue_next, *queue_prev;
    bool admitted, waits, judging_now, cancelled;
    struct mt_http_group *group;

    struct mt_transfer *transfer;
    struct mt_http_response res;
    struct mt_err err; /* of the last attempt; rc MT_OK: it gave an answer */
    char *hop_url;     /* where a redirect led; NULL: url */
    const char *hop_method;
    bool hop_bare;      /* a redirect took the body away */
    unsigned redirects; /* of this attempt */
    unsigned attempts, retries;
    uint64_t attempt_ns; /* when this attempt began */
    uint64_t left_ns;    /* of the deadline, when the clock was last stopped */
    uint64_t running_ns; /* the clock runs since; 0: it stands */
};

/* http.c */
void mt_call_send(struct mt_http_call *call); /* admitted: the attempt begins */
uint64_t mt_call_left_ns(const struct mt_http_call *call);
void mt_call_waits_until(struct mt_http_call *call,
                         int64_t wall_us); /* 0: no longer; shown in the group's stats */
void mt_call_cancel_rest(struct mt_http *http);

/* hop.c: what the next transmission of a call sends. Its strings belong to the call, the list of headers to
 * the record. */
struct mt_hop {
    struct mt_http_request sent;
    struct mt_header *headers;
};
void mt_hop_init(struct mt_hop *hop, const struct mt_http_call *call);
void mt_hop_fini(struct mt_hop *hop);
/* Lets the call's tape answer in place of the network; the answer is in call->res. */
void mt_hop_play(struct mt_http_call *call, struct mt_outcome *out);
void mt_hop_record(const struct mt_http_call *call); /* tells the call's tape what the network answered */

/* redirect.c */
enum { MT_MAX_URL = 64 << 10 };
enum mt_redirect {
    MT_REDIRECT_NONE,
    MT_REDIRECT_FOLLOW,
    MT_REDIRECT_FAILED
};                                                       /* failed: call->err says why */
enum mt_redirect mt_redirect(struct mt_http_call *call); /* an answer came: sets hop_… to where it leads */
bool mt_redirect_is_home(const struct mt_http_call *call);

/* retry.c */
enum mt_again { MT_NEVER, MT_AFTER_BACKOFF, MT_AFTER_ANNOUNCED };
struct mt_plan {
    enum mt_again again;
    uint64_t wait_ms;
    int64_t closed_ms; /* the window that the answer closes for everybody under the admission; -1: none */
};
struct mt_plan mt_retry_plan(struct mt_http_call *call, bool failed, bool transient);
bool mt_retry_sends_once(const struct mt_http_call *call); /* a request that must never be sent twice */

/* admission.c */
void mt_admission_hold(struct mt_admission *admission);
void mt_admission_ask(struct mt_http_call *call);      /* mt_call_send follows, at once or later */
void mt_admission_withdraw(struct mt_http_call *call); /* queued */
void mt_admission_leave(struct mt_http_call *call);    /* admitted */
void mt_admission_close(struct mt_admission *admission, int64_t ms);
void mt_admission_orphan(struct mt_http *http);

/* wait.c */
void mt_wait_init(struct mt_http *http);
void mt_wait_fini(struct mt_http *http);

#endif
