/* One HTTP exchange by libcurl: a request out, an answer in, no retries, no redirects. Private to net/; loop
 * thread only. */
#ifndef MT_NET_TRANSFER_H
#define MT_NET_TRANSFER_H

#include "net/http.h"

struct mt_transfers; /* the multi handle with its connections, and the idle easy handles */
struct mt_transfer;  /* an exchange under way */

struct mt_exchange {
    const char *method, *url;
    const struct mt_header *headers; /* those to be sent; copied at the start */
    size_t header_count;
    struct mt_slice body; /* borrowed until the end; {NULL,0}: none */
    uint32_t timeout_ms, connect_timeout_ms;
    bool insecure_tls;
    bool public_only; /* no connection to a private address (net/reach.h), but to a proxy's */
    bool fresh;       /* on a new connection: libcurl sends again by itself when a kept one turns out dead */
    struct mt_http_response
        *res; /* borrowed until the end; status, headers and body are filled under the buffers' ceilings */
    struct mt_http_stats *stats; /* requests and bytes are counted; may be NULL */
};

struct mt_outcome {
    enum mt_rc rc;   /* MT_OK: an answer with a status, read to its end */
    bool transient;  /* another attempt may do better */
    char cause[400]; /* "connection reset after 12 of 40 KB" */
};

struct mt_transfers *mt_transfers_new(struct mt_loop *loop);
void mt_transfers_free(struct mt_transfers *set); /* every transfer was stopped or has ended */

/* ended is called once from the loop, never before this returns; the transfer is gone then. NULL with
 * out_outcome filled when it cannot even start. */
struct mt_transfer *mt_transfer_start(struct mt_transfers *set, const struct mt_exchange *exchange,
                                      void (*ended)(void *ud, const struct mt_outcome *outcome), void *ud,
                                      struct mt_outcome *out_outcome);
void mt_transfer_stop(struct mt_transfer *transfer); /* ended is not called any more */

#endif
