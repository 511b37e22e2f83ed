/* One hop of a call: what is sent to one URL, and the tape that may answer it in place of the network. Called
 * by http.c on the loop's thread. Also the reading of answers (any thread). */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/call.h"

void mt_hop_init(struct mt_hop *hop, const struct mt_http_call *call)
{
    bool home = mt_redirect_is_home(call);
    uint64_t left = mt_call_left_ns(call) / 1000000, used = (mt_now_ns() - call->attempt_ns) / 1000000;
    uint64_t timeout = used < call->timeout_ms ? call->timeout_ms - used : 1;
    if (timeout > left)
        timeout = left ? left : 1;
    hop->headers = mt_alloc((call->header_count + 1) * sizeof *hop->headers);
    hop->sent = (struct mt_http_request){
        .method = call->hop_method,
        .url = call->hop_url ? call->hop_url : call->url,
        .headers = hop->headers,
        .body = call->hop_bare ? (struct mt_slice){NULL, 0} : mt_buf_slice(&call->body),
        .timeout_ms = (uint32_t)timeout,
        .connect_timeout_ms = call->connect_timeout_ms,
        .insecure_tls = call->insecure_tls,
        .stats = call->group ? call->group->stats : NULL,
    };
    for (size_t i = 0; i < call->header_count; i++) {
        bool of_body = strncasecmp(call->headers[i].name, "Content-", 8) == 0;
        if ((call->headers[i].secret && !home) || (of_body && call->hop_bare))
            continue;
        hop->headers[hop->sent.header_count++] = call->headers[i];
    }
}

void mt_hop_fini(struct mt_hop *hop)
{
    free(hop->headers);
}

void mt_hop_play(struct mt_http_call *call, struct mt_outcome *out)
{
    struct mt_hop hop;
    struct mt_err err = {0};
    mt_hop_init(&hop, call);
    call->res.status = 0;
    mt_buf_clear(&call->res.headers);
    mt_buf_clear(&call->res.body);
    if (hop.sent.stats)
        atomic_fetch_add_explicit(&hop.sent.stats->requests, 1, memory_order_relaxed);
    *out = (struct mt_outcome){.rc = call->tape->play(call->tape->ud, &hop.sent, &call->res, &err)};
    if (out->rc == MT_OK && (call->res.headers.failed || call->res.body.failed)) {
        out->rc = MT_ELIMIT;
        mt_fail(&err, out->rc, "the recorded answer is larger than the %zu bytes that this request may have",
                call->res.headers.failed ? call->res.headers.max : call->res.body.max);
    }
    if (out->rc == MT_OK && hop.sent.stats)
        atomic_fetch_add_explicit(&hop.sent.stats->bytes, call->res.body.n, memory_order_relaxed);
    if (out->rc != MT_OK) {
        out->transient =
            out->rc == MT_ENET; /* as the network's own failures are; else the next time is the same */
        snprintf(out->cause, sizeof out->cause, "%s", mt_mask(err.text));
    }
    mt_hop_fini(&hop);
}

void mt_hop_record(const struct mt_http_call *call)
{
    if (!call->tape || call->tape->play || !call->tape->record)
        return;
    struct mt_hop hop;
    mt_hop_init(&hop, call);
    call->tape->record(call->tape->ud, &hop.sent, &call->res);
    mt_hop_fini(&hop);
}

/* ---- answers ---- */

bool mt_http_header(const struct mt_http_response *res, const char *name, struct mt_slice *out_value)
{
    size_t wanted = strlen(name), at = 0;
    while (at < res->headers.n) {
        const char *line = res->headers.p + at;
        size_t n = (size_t)((const char *)memchr(line, '\n', res->headers.n - at) - line);
        if (n >= wanted + 2 && memcmp(line, name, wanted) == 0 && line[wanted] == ':') {
            *out_value = (struct mt_slice){line + wanted + 2, n - wanted - 2};
            return true;
        }
        at += n + 1;
    }
    return false;
}

void mt_http_response_fini(struct mt_http_response *res)
{
    mt_buf_fini(&res->headers);
    mt_buf_fini(&res->body);
    free(res->url);
    res->url = NULL;
}
