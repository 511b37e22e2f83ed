/* The HTTP client: see http.h; the way of a call is drawn in call.h. On the loop's thread.
 *
 * A call owns copies of everything that was asked for. It is freed after done was called, or by
 * mt_http_cancel. done is called from the loop: after a transfer ended, or by the call's timer, never inside
 * a function that the caller called. */
#include "net/http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/call.h"
#include "net/reach.h"
#include "net/url.h"

enum {
    DEFAULT_TIMEOUT_MS = 60 * 1000,
    DEFAULT_CONNECT_TIMEOUT_MS = 10 * 1000,
    DEFAULT_DEADLINE_MS = 60 * 1000,
    MAX_HEADERS = 256 << 10,
};
#define DEFAULT_MAX_BODY ((size_t)256 << 20)

/* ---- stats ---- */

static void touch(struct mt_http_group *g)
{
    uint64_t now = mt_now_ns();
    atomic_fetch_add_explicit(&g->stats->busy_ns, now - g->since_ns, memory_order_relaxed);
    g->since_ns = now;
}

static struct mt_http_group *join_group(struct mt_http *http, struct mt_http_stats *stats)
{
    struct mt_http_group *g = http->groups;
    while (g && g->stats != stats)
        g = g->next;
    if (!g) {
        g = mt_alloc(sizeof *g);
        *g = (struct mt_http_group){
            .next = http->groups, .link = &http->groups, .stats = stats, .since_ns = mt_now_ns()};
        if (g->next)
            g->next->link = &g->next;
        http->groups = g;
    }
    touch(g);
    g->calls++;
    return g;
}

static void leave_group(struct mt_http_group *g)
{
    touch(g);
    if (--g->calls)
        return;
    *g->link = g->next;
    if (g->next)
        g->next->link = g->link;
    free(g);
}

void mt_call_waits_until(struct mt_http_call *call, int64_t wall_us)
{
    struct mt_http_group *g = call->group;
    if (!g || (!wall_us && !call->waits))
        return;
    if (wall_us) {
        g->waits += !call->waits;
        call->waits = true;
        if ((int64_t)atomic_load(&g->stats->waiting_until_us) < wall_us)
            atomic_store(&g->stats->waiting_until_us, (unsigned long long)wall_us);
    } else {
        call->waits = false;
        if (--g->waits == 0)
            atomic_store(&g->stats->waiting_until_us, 0);
    }
}

/* ---- the clock of the deadline ---- */

uint64_t mt_call_left_ns(const struct mt_http_call *call)
{
    uint64_t spent = call->running_ns ? mt_now_ns() - call->running_ns : 0;
    return spent < call->left_ns ? call->left_ns - spent : 0;
}

static void stop_clock(struct mt_http_call *call)
{
    call->left_ns = mt_call_left_ns(call);
    call->running_ns = 0;
}

static void start_clock(struct mt_http_call *call)
{
    if (!call->running_ns)
        call->running_ns = mt_now_ns();
}

/* ---- the end ---- */

static void call_free(struct mt_http_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    mt_admission_release(call->admission);
    if (call->group)
        leave_group(call->group);
    if (call->timer)
        event_free(call->timer);
    for (size_t i = 0; i < call->header_count; i++) {
        free((char *)(uintptr_t)call->headers[i].name);
        free((char *)(uintptr_t)call->headers[i].value);
    }
    free(call->headers);
    mt_buf_fini(&call->body);
    mt_http_response_fini(&call->res);
    free(call->statuses);
    free(call->method);
    free(call->url);
    free(call->hop_url);
    free(call);
}

static void finish(struct mt_http_call *call, bool failed)
{
    call->phase = MT_OVER;
    if (call->group) { /* before done: a thread that waits for the answer may free the statistics with it */
        leave_group(call->group);
        call->group = NULL;
    }
    if (failed) {
        call->done(call->ud, NULL, &call->err);
    } else {
        call->res.url = mt_strdup(call->hop_url ? call->hop_url : call->url);
        call->res.attempts = call->attempts;
        call->done(call->ud, &call->res, NULL);
    }
    call_free(call);
}

/* The error that is given back: "GET https://api…/repos?page=3: connection reset after 12 of 40 KB (4
 * attempts)". */
static void describe(struct mt_http_call *call, enum mt_rc rc, const char *cause)
{
    struct mt_buf from, to;
    mt_buf_init(&from, 4 * MT_FOREIGN);
    mt_buf_init(&to, 4 * MT_FOREIGN);
    mt_url_redact(mt_slice_of(call->url), &from);
    if (call->hop_url)
        mt_url_redact(mt_slice_of(call->hop_url), &to);
    char attempts[32] = "";
    if (call->attempts)
        snprintf(attempts, sizeof attempts, " (%u attempt%s)", call->attempts,
                 call->attempts == 1 ? "" : "s");
    int status = call->err.status;
    const char *origin = call->err.origin;
    int line = call->err.line;
    mt_fail(&call->err, rc, "%s %s%s%s: %.500s%s", call->method, mt_buf_text(&from),
            call->hop_url ? ", redirected to " : "", call->hop_url ? mt_buf_text(&to) : "", cause, attempts);
    call->err.status = status;
    if (origin) {
        call->err.origin = origin;
        call->err.line = line;
    }
    mt_buf_fini(&from);
    mt_buf_fini(&to);
}

/* Ends with the error by the timer: the caller may be inside mt_http_start. */
static void fail_later(struct mt_http_call *call)
{
    call->phase = MT_FAILED;
    event_active(call->timer, EV_TIMEOUT, 0);
}

/* ---- attempts ---- */

static void enter(struct mt_http_call *call)
{
    stop_clock(call);
    call->phase = MT_QUEUED;
    if (call->admission)
        mt_admission_ask(call);
    else
        mt_call_send(call);
}

static void leave(struct mt_http_call *call)
{
    if (call->admitted)
        mt_admission_leave(call);
}

static void arm(struct mt_http_call *call, enum mt_phase phase, uint64_t ms)
{
    call->phase = phase;
    event_base_update_cache_time(mt_loop_base(call->http->loop)); /* as in mt_timer_new */
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    evtimer_add(call->timer, &after);
}

/* An attempt gave an answer that is not final, or an error in call->err: again, or the end. */
static void end_or_repeat(struct mt_http_call *call, bool failed, bool transient)
{
    struct mt_plan plan = mt_retry_plan(call, failed, transient);
    if (plan.closed_ms >= 0 && call->admission)
        mt_admission_close(call->admission, plan.closed_ms); /* before the slot goes to the next one */
    leave(call);
    if (plan.again == MT_NEVER) {
        if (!failed && call->judge && call->res.status < 400) {
            call->phase = MT_JUDGING;
            call->judging_now = true;
            call->judge(call->judge_ud, call, &call->res);
            call->judging_now = false;
            if (call->cancelled)
                call_free(call);
            return;
        }
        if (failed) {
            struct mt_err last = call->err;
            describe(call, last.rc, last.text);
        }
        finish(call, failed);
        return;
    }
    call->retries++;
    if (call->group)
        atomic_fetch_add_explicit(&call->group->stats->retries, 1, memory_order_relaxed);
    if (plan.again == MT_AFTER_BACKOFF) {
        start_clock(call);
        arm(call, MT_BACKOFF, plan.wait_ms);
    } else if (call->admission) {
        enter(call); /* the window is closed: it waits there with the others */
    } else {
        stop_clock(call);
        mt_call_waits_until(call, mt_wall_us() + (int64_t)plan.wait_ms * 1000);
        arm(call, MT_ANNOUNCED, plan.wait_ms);
    }
}

static void send_hop(struct mt_http_call *call);

static void on_ended(void *ud, const struct mt_outcome *outcome)
{
    struct mt_http_call *call = ud;
    bool failed = outcome->rc != MT_OK;
    call->transfer = NULL;
    if (failed) {
        call->err = (struct mt_err){0};
        mt_fail(&call->err, outcome->rc, "%s", outcome->cause);
    } else {
        mt_hop_record(call);
        switch (mt_redirect(call)) {
        case MT_REDIRECT_FOLLOW:
            send_hop(call);
            return;
        case MT_REDIRECT_FAILED:
            failed = true;
            break;
        case MT_REDIRECT_NONE:
            break;
        }
    }
    struct mt_http_stats *stats = call->group ? call->group->stats : NULL;
    if (stats && stats->observed)
        stats->observed(stats->observed_ud, (double)(mt_now_ns() - call->attempt_ns) / 1e9,
                        failed ? 0 : call->res.body.n);
    end_or_repeat(call, failed, outcome->transient);
}

static void send_hop(struct mt_http_call *call)
{
    bool plays = call->tape && call->tape->play;
    struct mt_hop hop;
    struct mt_outcome refused;
    mt_hop_init(&hop, call);
    if (mt_reach_check(call->reach, hop.sent.url, !plays, &call->err) != MT_OK) {
        struct mt_err why = call->err;
        describe(call, why.rc, why.text);
        fail_later(call);
    } else if (plays) {
        event_active(call->timer, EV_TIMEOUT, 0);
    } else {
        struct mt_exchange exchange = {
            .method = hop.sent.method,
            .url = hop.sent.url,
            .headers = hop.sent.headers,
            .header_count = hop.sent.header_count,
            .body = hop.sent.body,
            .timeout_ms = hop.sent.timeout_ms,
            .connect_timeout_ms = hop.sent.connect_timeout_ms,
            .insecure_tls = hop.sent.insecure_tls,
            .fresh = mt_retry_sends_once(call),
            .public_only = mt_reach_guards(call->reach, hop.sent.url),
            .res = &call->res,
            .stats = hop.sent.stats,
        };
        call->transfer = mt_transfer_start(call->http->transfers, &exchange, on_ended, call, &refused);
        if (!call->transfer) {
            call->err = (struct mt_err){0};
            describe(call, refused.rc, refused.cause);
            fail_later(call);
        }
    }
    mt_hop_fini(&hop);
}

void mt_call_send(struct mt_http_call *call)
{
    mt_call_waits_until(call, 0);
    call->phase = MT_SENDING;
    call->attempts++;
    call->attempt_ns = mt_now_ns();
    start_clock(call);
    free(call->hop_url);
    call->hop_url = NULL;
    call->hop_method = call->method;
    call->hop_bare = false;
    call->redirects = 0;
    /* The judge may have taken the body of the attempt before. */
    size_t max_body = call->res.body.max;
    mt_http_response_fini(&call->res);
    mt_buf_init(&call->res.headers, MAX_HEADERS);
    mt_buf_init(&call->res.body, max_body);
    send_hop(call);
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    struct mt_http_call *call = arg;
    (void)none;
    (void)what;
    struct mt_outcome outcome;
    switch (call->phase) {
    case MT_SENDING:
        mt_hop_play(call, &outcome);
        on_ended(call, &outcome);
        break;
    case MT_BACKOFF:
    case MT_ANNOUNCED:
        mt_call_waits_until(call, 0);
        enter(call);
        break;
    case MT_JUDGED:
        if (call->err.rc == MT_OK)
            finish(call, false);
        else
            end_or_repeat(call, true, true);
        break;
    case MT_FAILED:
        leave(call);
        finish(call, true);
        break;
    default:
        assert(!"a timer in a phase without one");
    }
}

void mt_http_judged(struct mt_http_call *call, const struct mt_err *refusal)
{
    assert(call->phase == MT_JUDGING);
    call->err = refusal ? *refusal : (struct mt_err){0};
    if (refusal && call->err.rc == MT_OK)
        call->err.rc = MT_EDATA;
    call->phase = MT_JUDGED;
    event_active(call->timer, EV_TIMEOUT, 0);
}

/* ---- start ---- */

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                      (*text >= '0' && *text <= '9');
        if (!letter && !strchr("!#$%&'*+-.^_`|~", *text))
            return false;
    }
    return true;
}

/* A line break in a value would be a header of its own. */
static bool is_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7F)
            return false;
    return true;
}

/* NULL, or what is wrong with the request. */
static const char *fault_of(const struct mt_http_request *req)
{
    struct mt_buf origin;
    mt_buf_init(&origin, MT_MAX_URL);
    bool absolute = mt_url_origin(mt_slice_of(req->url), &origin);
    mt_buf_fini(&origin);
    if (!absolute)
        return "not an absolute http or https URL";
    if (strlen(req->url) > MT_MAX_URL)
        return "the URL is longer than 64 KB";
    for (const char *p = req->url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7F)
            return "the URL holds a space or a control character: percent-encode it";
    if (!is_token(req->method))
        return "the method is not a word";
    for (size_t i = 0; i < req->header_count; i++) {
        if (!is_token(req->headers[i].name))
            return "a header's name is not a word";
        if (!is_value(req->headers[i].value))
            return "a header's value holds a control character (its name: see the code that sets it)";
    }
    return NULL;
}

static bool copy_request(struct mt_http_call *call, const struct mt_http_request *req)
{
    call->method = mt_strdup(req->method);
    call->hop_method = call->method;
    call->url = mt_strdup(req->url);
    call->headers = mt_alloc((req->header_count + 1) * sizeof *call->headers);
    for (size_t i = 0; i < req->header_count; i++) {
        const struct mt_header *h = &req->headers[i];
        call->headers[i] = (struct mt_header){mt_strdup(h->name), mt_strdup(h->value), h->secret};
        call->header_count++;
    }
    call->timeout_ms = req->timeout_ms ? req->timeout_ms : DEFAULT_TIMEOUT_MS;
    call->connect_timeout_ms = req->connect_timeout_ms ? req->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
    call->left_ns = (uint64_t)(req->deadline_ms ? req->deadline_ms : DEFAULT_DEADLINE_MS) * 1000000;
    call->max_redirects = req->max_redirects;
    call->insecure_tls = req->insecure_tls;
    call->retry = req->retry;
    if (req->retry.statuses) {
        size_t n = 1;
        while (req->retry.statuses[n - 1])
            n++;
        call->statuses = mt_alloc(n * sizeof *call->statuses);
        memcpy(call->statuses, req->retry.statuses, n * sizeof *call->statuses);
    }
    call->judge = req->judge;
    call->judge_ud = req->judge_ud;
    call->tape = req->tape;
    call->reach = req->reach;
    mt_buf_init(&call->res.headers, MAX_HEADERS);
    mt_buf_init(&call->res.body, req->max_body ? req->max_body : DEFAULT_MAX_BODY);
    mt_buf_init(&call->body, req->body.n);
    return !req->body.p || (mt_buf_reserve(&call->body, req->body.n) && mt_buf_put(&call->body, req->body));
}

struct mt_http_call *
mt_http_start(struct mt_http *http, const struct mt_http_request *req,
              void (*done)(void *ud, struct mt_http_response *res, const struct mt_err *err), void *ud)
{
    struct mt_http_call *call = mt_alloc(sizeof *call);
    *call = (struct mt_http_call){
        .http = http, .next = http->calls, .link = &http->calls, .done = done, .ud = ud};
    if (call->next)
        call->next->link = &call->next;
    http->calls = call;
    call->serial = ++http->serial;
    call->timer = evtimer_new(mt_loop_base(http->loop), on_timer, call);
    if (!call->timer)
        abort();
    if (req->stats)
        call->group = join_group(http, req->stats);
    const char *fault = fault_of(req);
    if (!copy_request(call, req)) {
        describe(call, MT_ENOMEM, "no memory for a copy of the body");
        fail_later(call);
    } else if (fault) {
        describe(call, MT_EINVAL, fault);
        fail_later(call);
    } else {
        if (req->admission) {
            mt_admission_hold(req->admission);
            call->admission = req->admission;
        }
        enter(call);
    }
    return call;
}

void mt_http_cancel(struct mt_http_call *call)
{
    bool owed = call->phase == MT_JUDGING;
    if (call->phase == MT_OVER)
        return;
    if (call->phase == MT_QUEUED)
        mt_admission_withdraw(call);
    mt_transfer_stop(call->transfer);
    call->transfer = NULL;
    mt_call_waits_until(call, 0);
    evtimer_del(call->timer);
    call->phase = MT_OVER;
    if (owed)
        call->judge(call->judge_ud, call, NULL);
    leave(call);
    if (call->judging_now)
        call->cancelled = true; /* freed when the judge returns */
    else
        call_free(call);
}

/* ---- the client ---- */

struct mt_http *mt_http_new(struct mt_loop *loop)
{
    struct mt_http *http = mt_alloc(sizeof *http);
    http->loop = loop;
    if (getrandom(&http->random, sizeof http->random, 0) != sizeof http->random || !http->random)
        http->random = mt_now_ns() | 1;
    http->transfers = mt_transfers_new(loop);
    mt_wait_init(http);
    return http;
}

void mt_http_free(struct mt_http *http)
{
    if (!http)
        return;
    mt_wait_fini(http);
    while (http->calls)
        mt_http_cancel(http->calls);
    mt_admission_orphan(http);
    mt_transfers_free(http->transfers);
    free(http);
}
