/* Calls of Port's API: the token, the User-Agent, retries, and what an error says. On the resync's threads;
 * see port.h. */
#include "port/port.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"

enum {
    RETRIES = 10,        /* A-NET-07 */
    BASE_MS = 300,       /* A-NET-08 */
    CAP_MS = 300 * 1000, /* A-NET-08 */
    DEADLINE_S = 120,
    TIMEOUT_MS = 60 * 1000, /* A-NET-01 */
    EARLY_S = 30,           /* refresh a token this long before it ends (A-AUTH-04) */
    LAST_WORDS_MS = 5000,   /* an interrupted run must end soon */
    REFUSED_S = 60,         /* a refusal of the credentials is believed this long */
    LOOK_MS = 50            /* who waits for a token looks this often whether it was cancelled */
};

/* A-NET-05, and 500: what is marked retryable may arrive twice. A 401 is a new token, once. */
static const int retried[] = {408, 429, 500, 502, 503, 504, 0};

struct token {
    char *authorization; /* "<tokenType> <accessToken>", owned */
    uint64_t expires_ns;
};

struct mt_port {
    struct mt_http *http;
    char *base, *client_id, *client_secret;
    char *agent, *exporter_agent;
    char *event; /* query parameters of A-COM-06, or NULL */
    bool insecure_tls;
    uint32_t deadline_ms;
    atomic_bool last_words;
    const atomic_bool *cancel;
    struct mt_port_health *health;
    void (*observed)(void *ud, double seconds);
    void *observed_ud;
    struct mt_http_stats stats;

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t fetched;
    bool fetching; /* by one thread; the others wait for its token (A-AUTH-05) */
    struct token token;
    unsigned generation;   /* of token; 0: there was none yet */
    struct mt_err refused; /* credentials that were refused are not tried again for a while (A-NET-11) */
    uint64_t refused_ns;
};

struct mt_port *mt_port_new(const struct mt_port_options *o)
{
    struct mt_port *p = mt_alloc(sizeof *p);
    struct mt_slice base = mt_slice_of(o->base_url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    p->http = o->http;
    p->base = mt_slice_dup(base);
    p->client_id = mt_strdup(o->client_id ? o->client_id : "");
    p->client_secret = mt_strdup(o->client_secret ? o->client_secret : "");
    p->agent = mt_format("port-ocean/%s/%s/%s", o->type, o->version, o->identifier);
    p->exporter_agent = mt_format("%s/exporter", p->agent);
    p->insecure_tls = o->insecure_tls;
    p->deadline_ms = (o->deadline_s ? o->deadline_s : DEADLINE_S) * 1000u;
    p->cancel = o->cancel;
    p->health = o->health;
    p->observed = o->observed;
    p->observed_ud = o->observed_ud;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->fetched, &attributes);
    pthread_condattr_destroy(&attributes);
    if (strchr(p->client_id, '@'))
        mt_log(MT_WARN,
               "the Port client id looks like an e-mail address: use the credentials of the organization, "
               "not personal ones (A-AUTH-06)");
    return p;
}

void mt_port_free(struct mt_port *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->fetched);
    free(p->base);
    free(p->client_id);
    free(p->client_secret);
    free(p->agent);
    free(p->exporter_agent);
    free(p->event);
    free(p->token.authorization);
    free(p);
}

struct mt_http_stats *mt_port_stats(struct mt_port *p)
{
    return &p->stats;
}

bool mt_port_is_canceled(const struct mt_port *p)
{
    return !atomic_load(&p->last_words) && p->cancel && atomic_load(p->cancel);
}

void mt_port_ignore_cancel(struct mt_port *p)
{
    atomic_store(&p->last_words, true);
}

void mt_port_event(struct mt_port *p, const char *event_type, const char *resync_id)
{
    free(p->event);
    p->event = NULL;
    if (event_type && resync_id)
        p->event = mt_format("ocean_info_event_type=%s&ocean_info_resync_id=%s", event_type, resync_id);
    else if (event_type)
        p->event = mt_format("ocean_info_event_type=%s", event_type);
}

/* What Port says of an error: `message`, else `error`, else the begin of the body. */
static struct mt_slice reason_of(const struct mt_doc *doc, struct mt_slice body)
{
    struct mt_val v;
    if (doc && mt_val_member(mt_doc_root(doc), MT_SLICE("message"), &v) && mt_val_is(v, MT_STRING))
        body = mt_val_string(v);
    else if (doc && mt_val_member(mt_doc_root(doc), MT_SLICE("error"), &v) && mt_val_is(v, MT_STRING))
        body = mt_val_string(v);
    if (body.n > MT_FOREIGN)
        body.n = MT_FOREIGN;
    return body;
}

/* ---- health ---- */

void mt_port_health_init(struct mt_port_health *h)
{
    *h = (struct mt_port_health){.requests = 0};
    pthread_mutex_init(&h->lock, NULL);
}

void mt_port_health_fini(struct mt_port_health *h)
{
    pthread_mutex_destroy(&h->lock);
}

char *mt_port_health_error(struct mt_port_health *h)
{
    pthread_mutex_lock(&h->lock);
    char *copy = h->error[0] ? mt_strdup(h->error) : NULL;
    pthread_mutex_unlock(&h->lock);
    return copy;
}

static bool is_down(int status)
{
    return status == 401 || status == 403 || status == 408 || status == 429 || status >= 500;
}

static void note_accepted(struct mt_port *p)
{
    if (p->health)
        atomic_store(&p->health->accepted, true);
}

/* rc and err of a call of Port's API, and its status where there was one. */
static void note_end(struct mt_port *p, enum mt_rc rc, int status, const struct mt_err *err)
{
    struct mt_port_health *h = p->health;
    if (!h || rc == MT_ECANCELED)
        return;
    /* MT_EHTTP without a status of this call: the token could not be had. */
    const bool failed = is_down(status) || (rc != MT_OK && (rc != MT_EHTTP || !status));
    atomic_fetch_add(&h->requests, 1);
    if (failed) {
        struct mt_err shown = {.rc = rc};
        if (rc == MT_OK)
            snprintf(shown.text, sizeof shown.text, "Port answered with status %d", status);
        else
            shown = *err;
        struct mt_slice text = mt_utf8_cut(mt_slice_of(mt_mask(shown.text)), sizeof h->error - 1);
        pthread_mutex_lock(&h->lock);
        memcpy(h->error, text.p, text.n);
        h->error[text.n] = '\0';
        pthread_mutex_unlock(&h->lock);
        atomic_fetch_add(&h->failures, 1);
    }
    atomic_store(&h->failed, failed);
}

/* ---- requests ---- */

struct outgoing {
    const char *method, *url;
    struct mt_slice body;
    unsigned flags;
    char *authorization; /* owned; NULL for the token request */
    uint32_t deadline_ms;
    const atomic_bool *cancel;
};

/* NULL: it is not to be cancelled. */
static const atomic_bool *cancel_of(struct mt_port *p, const struct outgoing *o)
{
    return atomic_load(&p->last_words) && o->cancel == p->cancel ? NULL : o->cancel;
}

static uint32_t deadline_of(struct mt_port *p, const struct outgoing *o)
{
    return atomic_load(&p->last_words) && o->deadline_ms > LAST_WORDS_MS ? LAST_WORDS_MS : o->deadline_ms;
}

static enum mt_rc transmit(struct mt_port *p, const struct outgoing *o, struct mt_http_response *res,
                           struct mt_err *err)
{
    struct mt_header headers[5];
    size_t n = 0;
    headers[n++] = (struct mt_header){"Accept", "*/*", false};
    headers[n++] =
        (struct mt_header){"User-Agent", o->flags & MT_PORT_EXPORTER ? p->exporter_agent : p->agent, false};
    if (o->authorization)
        headers[n++] = (struct mt_header){"Authorization", o->authorization, true};
    if (o->body.p)
        headers[n++] = (struct mt_header){"Content-Type", "application/json", false};
    if (o->flags & MT_PORT_QUIET)
        headers[n++] = (struct mt_header){"x-skip-resync", "true", false};
    bool once = strcmp(o->method, "POST") == 0 && !(o->flags & MT_PORT_RETRY);
    bool last_words = atomic_load(&p->last_words);
    uint32_t deadline_ms = deadline_of(p, o);
    struct mt_http_request req = {
        .method = o->method,
        .url = o->url,
        .headers = headers,
        .header_count = n,
        .body = o->body,
        .timeout_ms = deadline_ms < TIMEOUT_MS ? deadline_ms : TIMEOUT_MS,
        .deadline_ms = deadline_ms,
        .insecure_tls = p->insecure_tls,
        .stats = &p->stats,
        .cancel = cancel_of(p, o),
        /* PATCH too: those that Port has set a state, whatever it was before (A-NET-12). */
        .retry = {.max_retries = once         ? 0
                                 : last_words ? 1
                                              : RETRIES,
                  .statuses = retried,
                  .any_method = true,
                  .base_ms = BASE_MS,
                  .cap_ms = CAP_MS,
                  .announced_cap_ms = last_words ? 1000 : CAP_MS},
    };
    return mt_http_wait(p->http, &req, res, err);
}

static enum mt_rc parse_token(struct mt_port *p, struct mt_http_response *res, struct token *out,
                              struct mt_err *err)
{
    struct mt_doc *doc = NULL;
    int status = res->status;
    enum mt_rc rc = MT_OK;
    struct mt_val token, type, seconds;
    int64_t expires = 0;
    if (status >= 400) {
        mt_doc_parse(&res->body, NULL, &doc, NULL);
        struct mt_slice why = reason_of(doc, mt_buf_slice(&res->body));
        rc = mt_fail(err, status == 429 || status >= 500 ? MT_EHTTP : MT_EAUTH,
                     "Port at %s refused the credentials with status %d: %.*s (check OCEAN__PORT__CLIENT_ID, "
                     "OCEAN__PORT__CLIENT_SECRET and the region in OCEAN__PORT__BASE_URL)",
                     p->base, status, MT_FMT(why));
        err->status = status;
        goto out;
    }
    if (mt_doc_parse(&res->body, NULL, &doc, NULL) != MT_OK ||
        !mt_val_member(mt_doc_root(doc), MT_SLICE("accessToken"), &token) || !mt_val_is(token, MT_STRING) ||
        !mt_val_member(mt_doc_root(doc), MT_SLICE("tokenType"), &type) || !mt_val_is(type, MT_STRING) ||
        !mt_val_member(mt_doc_root(doc), MT_SLICE("expiresIn"), &seconds) ||
        !mt_val_int64(seconds, &expires)) {
        rc = mt_fail(
            err, MT_EDATA,
            "%s answered the request for a token with something else (status %d): is OCEAN__PORT__BASE_URL "
            "the address of Port's API?",
            p->base, status);
        goto out;
    }
    struct mt_slice t = mt_val_string(type), a = mt_val_string(token);
    out->authorization = mt_format("%.*s %.*s", MT_FMT(t), MT_FMT(a));
    mt_mask_add_passing(a);
    note_accepted(p);
    uint64_t lasts =
        expires > 2 * EARLY_S ? (uint64_t)expires - EARLY_S : (uint64_t)(expires > 0 ? expires : 0);
    if (lasts > 1000000000u)
        lasts = 1000000000u; /* A-MOCK-01 announces 31 years */
    out->expires_ns = mt_now_ns() + lasts * 1000000000u;
out:
    mt_doc_unref(doc);
    return rc;
}

static enum mt_rc fetch_token(struct mt_port *p, const struct outgoing *o, struct token *out,
                              struct mt_err *err)
{
    struct mt_buf body;
    mt_buf_init(&body, 64 * 1024);
    mt_buf_puts(&body, "{\"clientId\":");
    mt_buf_put_json_string(&body, mt_slice_of(p->client_id));
    mt_buf_puts(&body, ",\"clientSecret\":");
    mt_buf_put_json_string(&body, mt_slice_of(p->client_secret));
    mt_buf_putc(&body, '}');
    char *url = mt_format("%s/v1/auth/access_token", p->base);
    struct mt_http_response res;
    const struct outgoing request = {.method = "POST",
                                     .url = url,
                                     .body = mt_buf_slice(&body),
                                     .flags = MT_PORT_RETRY,
                                     .deadline_ms = o->deadline_ms,
                                     .cancel = o->cancel};
    enum mt_rc rc = transmit(p, &request, &res, err);
    if (rc == MT_OK) {
        rc = parse_token(p, &res, out, err);
        mt_http_response_fini(&res);
    } else if (rc != MT_ECANCELED) {
        mt_err_context(err, "cannot reach Port");
    }
    free(url);
    mt_buf_fini(&body);
    return rc;
}

/* Under the lock. Waits until nobody fetches a token, or the caller's own call is to end. */
static enum mt_rc wait_for_fetch(struct mt_port *p, const struct outgoing *o, struct mt_err *err)
{
    const uint64_t began_ns = mt_now_ns();
    while (p->fetching) {
        struct timespec until;
        const atomic_bool *cancel = cancel_of(p, o);
        if (cancel && atomic_load(cancel))
            return mt_fail(err, MT_ECANCELED, "%s request cancelled", o->method);
        if (mt_now_ns() - began_ns >= deadline_of(p, o) * 1000000ull)
            return mt_fail(err, MT_ENET, "cannot reach Port: no token within %.1f s",
                           deadline_of(p, o) / 1e3);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&p->fetched, &p->lock, &until);
    }
    return MT_OK;
}

/* Under the lock, which is let go meanwhile. */
static enum mt_rc renew_token(struct mt_port *p, const struct outgoing *o, struct mt_err *err)
{
    struct token token = {0};
    p->fetching = true;
    pthread_mutex_unlock(&p->lock);
    enum mt_rc rc = fetch_token(p, o, &token, err);
    pthread_mutex_lock(&p->lock);
    if (rc == MT_OK) {
        free(p->token.authorization);
        p->token = token;
        p->generation++;
    }
    if (rc == MT_EAUTH)
        p->refused_ns = mt_now_ns();
    p->refused = rc == MT_EAUTH ? *err : (struct mt_err){0};
    p->fetching = false;
    pthread_cond_broadcast(&p->fetched);
    return rc;
}

/* A copy of the Authorization header for what goes out. stale: the generation that was just refused with 401
 * (0: none). */
static enum mt_rc authorize(struct mt_port *p, const struct outgoing *o, unsigned stale, char **out,
                            unsigned *out_generation, struct mt_err *err)
{
    const uint64_t began_ns = mt_now_ns();
    pthread_mutex_lock(&p->lock);
    enum mt_rc rc = wait_for_fetch(p, o, err);
    if (rc == MT_OK && p->refused.rc && mt_now_ns() - p->refused_ns < REFUSED_S * 1000000000u) {
        *err = p->refused;
        rc = p->refused.rc;
    } else if (rc == MT_OK && (p->generation == stale || mt_now_ns() >= p->token.expires_ns)) {
        const uint64_t waited_ms = (mt_now_ns() - began_ns) / 1000000;
        struct outgoing rest = *o;
        rest.deadline_ms = waited_ms < o->deadline_ms ? o->deadline_ms - (uint32_t)waited_ms : 1;
        rc = renew_token(p, &rest, err);
    }
    if (rc == MT_OK) {
        *out = mt_strdup(p->token.authorization);
        *out_generation = p->generation;
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static char *address(const struct mt_port *p, const char *path, unsigned flags)
{
    char *url = path[0] == '/' ? mt_format("%s/v1%s", p->base, path) : mt_strdup(path);
    if (!(flags & MT_PORT_EVENT) || !p->event)
        return url;
    char *with = mt_format("%s%c%s", url, strchr(url, '?') ? '&' : '?', p->event);
    free(url);
    return with;
}

static enum mt_rc call(struct mt_port *p, struct outgoing *o, const char *path, struct mt_port_answer *out,
                       int *out_status, struct mt_err *err)
{
    struct mt_http_response res = {0};
    unsigned generation = 0;
    enum mt_rc rc;
    for (int attempt = 0;; attempt++) {
        free(o->authorization);
        o->authorization = NULL;
        rc = authorize(p, o, generation, &o->authorization, &generation, err);
        if (rc == MT_OK)
            rc = transmit(p, o, &res, err);
        if (rc != MT_OK)
            return rc;
        if (res.status != 401 || attempt)
            break;
        mt_http_response_fini(&res); /* one new token for each call (A-NET-10, A-NET-12) */
    }
    struct mt_doc *doc = NULL;
    struct mt_err broken;
    int status = *out_status = res.status;
    bool parsed = mt_doc_parse(&res.body, NULL, &doc, &broken) == MT_OK;
    if (status >= 300 && !(o->flags & MT_PORT_SOFT)) { /* A-COM-11 */
        struct mt_slice why = reason_of(doc, mt_buf_slice(&res.body));
        rc = mt_fail(err, status == 401 || status == 403 ? MT_EAUTH : MT_EHTTP,
                     "Port answered %s %.300s with status %d: %.*s", o->method, path, status, MT_FMT(why));
        err->status = status;
        mt_doc_unref(doc);
    } else if (!parsed && status < 300 && res.body.n && !(o->flags & MT_PORT_UNREAD)) {
        rc = mt_fail(err, MT_EDATA, "Port answered %s %.300s with a body that is not JSON: %.300s", o->method,
                     path, broken.text);
    } else if (out) {
        *out = (struct mt_port_answer){status, doc};
    } else {
        mt_doc_unref(doc);
    }
    mt_http_response_fini(&res);
    return rc;
}

enum mt_rc mt_port_call_within(struct mt_port *p, uint32_t deadline_ms, const atomic_bool *cancel,
                               const char *method, const char *path, struct mt_slice body, unsigned flags,
                               struct mt_port_answer *out, struct mt_err *err)
{
    struct mt_err local;
    err = err ? err : &local;
    const uint64_t began_ns = mt_now_ns();
    int status = 0;
    char *url = address(p, path, flags);
    struct outgoing o = {.method = method,
                         .url = url,
                         .body = body,
                         .flags = flags,
                         .deadline_ms = deadline_ms,
                         .cancel = cancel ? cancel : p->cancel};
    enum mt_rc rc = call(p, &o, path, out, &status, err);
    if (path[0] == '/') {
        note_end(p, rc, status, err);
        if (p->observed)
            p->observed(p->observed_ud, (double)(mt_now_ns() - began_ns) / 1e9);
    }
    free(o.authorization);
    free(url);
    return rc;
}

enum mt_rc mt_port_call(struct mt_port *p, const char *method, const char *path, struct mt_slice body,
                        unsigned flags, struct mt_port_answer *out, struct mt_err *err)
{
    return mt_port_call_within(p, p->deadline_ms, NULL, method, path, body, flags, out, err);
}

void mt_port_kick(struct mt_port *p)
{
    mt_http_kick(p->http);
}
