/* The HTTP client: libcurl multi on the loop. Admission, retries and rate limits are here; what a request
 * means is the caller's.
 *
 * One client a process. Requests are started on the loop's thread (mt_http_start) or, blocking, on any other
 * (mt_http_wait). Redirects are followed here (at most max_redirects), so that credentials never cross an
 * origin. Proxy and CA variables are honoured (A-COM-13), TLS is verified, only http and https are spoken,
 * decompression is on. */
#ifndef MT_NET_HTTP_H
#define MT_NET_HTTP_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/library.h"
#include "net/loop.h"

struct mt_http;
struct mt_http_call;
struct mt_http_request;
struct mt_http_response;

struct mt_header {
    const char *name; /* as sent */
    const char *value;
    bool secret; /* goes to the first URL's origin only; never logged */
};

/* When a request is sent again. All attempts and the back-off between them fit in deadline_ms; waits that the
 * server announced (Retry-After, exhausted rate limit) are outside it, with announced_cap_ms each. */
struct mt_retry {
    unsigned max_retries;      /* 0: never */
    const int *statuses;       /* retried statuses, ended by 0; NULL: 429, 500..599 */
    bool any_method;           /* else GET, HEAD, PUT, DELETE, OPTIONS only (a flagged POST sets it) */
    bool exhausted_403;        /* a 403 with Retry-After or a remaining limit of 0 is a 429 */
    uint32_t base_ms, cap_ms;  /* back-off: full jitter of min(cap, base * 2^n); 0: 500 ms, 30 s */
    uint32_t announced_cap_ms; /* 0: 65 min */
};

/* Shared admission: at most concurrency requests at once (0: any number) and, with rate > 0, a token bucket.
 * One a host and client settings; counted by its users: mt_admission_get makes or finds the one of that key.
 * Also holds the window that a server announced as closed: nobody who shares it sends inside it. Loop thread.
 */
struct mt_admission;
struct mt_admission *mt_admission_get(struct mt_http *http, struct mt_slice key, unsigned concurrency,
                                      double rate_per_s);
void mt_admission_release(struct mt_admission *admission);

struct mt_http_response {
    int status;
    struct mt_buf headers; /* "name: value\n" a line, names in lower case, of the last answer */
    struct mt_buf body;    /* decoded */
    char *url;             /* the one that answered, after redirects */
    unsigned attempts;     /* transmissions, redirects not counted */
};
/* First header of that name (lower case). */
bool mt_http_header(const struct mt_http_response *res, const char *name, struct mt_slice *out_value);
void mt_http_response_fini(struct mt_http_response *res);

/* Counters of a group of requests (third party, Port), read while they run. */
struct mt_http_stats {
    atomic_ullong requests; /* transmissions */
    atomic_ullong retries;
    atomic_ullong bytes;            /* of decoded bodies */
    atomic_ullong busy_ns;          /* time with at least one request under way, waits included */
    atomic_ullong waiting_until_us; /* wall clock: an announced wait is on until then; 0: none */
    /* Told of each attempt's time and the size of its body, on the loop's thread; set before the first
     * request; may be NULL. */
    void (*observed)(void *ud, double seconds, size_t bytes);
    void *observed_ud;
};

/* Stands in for the network, or sees what it answered: recordings (script/recording.h). Loop thread. */
struct mt_http_tape {
    /* Answers a transmission in place of the network; NULL: the network does. Fills status, headers and body
     * of out, or returns an error: MT_ENOENT, nothing answers this request, is never retried. Retries,
     * redirects, admission and judgement stay as they are, but nobody waits between attempts. */
    enum mt_rc (*play)(void *ud, const struct mt_http_request *sent, struct mt_http_response *out,
                       struct mt_err *err);
    /* Told of every answer of the network, the ones that are retried included; may be NULL. */
    void (*record)(void *ud, const struct mt_http_request *sent, const struct mt_http_response *answer);
    void *ud;
};

/* Where a request may go, redirects included. A refusal is MT_EINVAL, names host and reason, and is never
 * retried. Addresses are looked at when they are connected to. Where a proxy is used (A-COM-13), its address
 * is exempt, and of the host only the spelling is known here: a name is the proxy's to resolve. Requests that
 * a tape answers connect to nothing: of them the hosts are checked alone. */
struct mt_reach {
    const char *const *hosts; /* "api.github.com", "*.example.com", each with ":PORT" or without; NULL: any */
    size_t host_count;
    /* R-HTTP-10, R-HTTP-11: no connection to a private address, whatever name led there. */
    bool block_private;
};

struct mt_http_request {
    const char *method; /* "GET" … */
    const char *url;    /* absolute http(s) */
    const struct mt_header *headers;
    size_t header_count;
    struct mt_slice body;        /* copied at the start; {NULL,0}: none */
    uint32_t timeout_ms;         /* of one attempt, from admission to the last byte; 0: 60 s */
    uint32_t connect_timeout_ms; /* 0: 10 s */
    uint32_t deadline_ms;        /* of the whole request; 0: 60 s */
    size_t max_body;             /* ceiling on decoded bytes; 0: 256 MiB */
    unsigned max_redirects;      /* 0: a 3xx is returned as it is */
    bool insecure_tls;           /* ssl.*.verify = false */
    struct mt_retry retry;
    struct mt_admission *admission; /* may be NULL; borrowed for the time of the call */
    struct mt_http_stats *stats;    /* may be NULL; outlives the call */
    const atomic_bool *cancel;      /* mt_http_wait only: polled when mt_http_kick is called; may be NULL */
    /* Judges an answer below 400 before it is given back (may be NULL), for example by parsing it on a
     * worker. On the loop's thread; it must call mt_http_judged exactly once, at once or later: with NULL to
     * accept, or with the error that makes this attempt a failure to be retried like a transport error.
     * response->body may be taken. It is told with response NULL when the call is cancelled while a judgement
     * is owed: then it must not call mt_http_judged any more. */
    void (*judge)(void *ud, struct mt_http_call *call, struct mt_http_response *response);
    void *judge_ud;
    const struct mt_http_tape *tape; /* may be NULL; outlives the call */
    const struct mt_reach *reach;    /* NULL: anywhere; outlives the call */
};
void mt_http_judged(struct mt_http_call *call, const struct mt_err *refusal);

struct mt_http *mt_http_new(struct mt_loop *loop);
void mt_http_free(struct mt_http *http); /* cancels what is left */

/* Starts a request; done is called once on the loop's thread, never before this returns: with a response
 * (whose status may be any; take its parts or leave them) and err NULL, or with response NULL and an error
 * (MT_ENET, MT_ELIMIT, MT_EDATA, MT_EHTTP for a redirect that leads nowhere, MT_EINVAL for a request that
 * cannot be sent, or the judge's). A status that is still to be retried when the retries or the deadline are
 * used up is given back as a response. */
struct mt_http_call *
mt_http_start(struct mt_http *http, const struct mt_http_request *req,
              void (*done)(void *ud, struct mt_http_response *res, const struct mt_err *err), void *ud);
void mt_http_cancel(struct mt_http_call *call); /* done is not called any more; not inside done */

/* Blocking form for other threads than the loop's. MT_ECANCELED when *req->cancel is set before or while it
 * waits. On success the caller owns res. */
enum mt_rc mt_http_wait(struct mt_http *http, const struct mt_http_request *req, struct mt_http_response *res,
                        struct mt_err *err);
/* Any thread: calls of mt_http_wait whose cancel flag is set end now. */
void mt_http_kick(struct mt_http *http);

/* Retry-After, x-ratelimit-*, ratelimit-*: milliseconds that the answer asks to wait, from its headers; -1:
 * none. wall_us: now, unless the answer's Date tells otherwise by more than a minute. Exposed for tests. */
int64_t mt_http_announced_wait_ms(const struct mt_http_response *res, int64_t wall_us);

/* libcurl with its TLS backend, libevent. */
void mt_http_libraries(struct mt_library out[2]);
/* The file and the folder of the certificates that are trusted without SSL_CERT_FILE and SSL_CERT_DIR; NULL:
 * none. */
void mt_http_default_ca(const char **out_file, const char **out_folder);

#endif
