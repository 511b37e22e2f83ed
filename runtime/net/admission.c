/* Admission: who may send now. Called by http.c on the loop's thread.
 *
 * Slots, a token bucket and the window that a server closed, over one queue in the order in which the calls
 * were started: a call that comes back from a wait is older than what was started since, and goes first. A
 * queued call has no timeout and no deadline running. Counted by its users and by the calls under way. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/call.h"

struct mt_admission {
    struct mt_http *http; /* NULL after mt_http_free */
    struct mt_admission *next, **link;
    char *key;
    size_t key_n;
    unsigned users;
    unsigned concurrency, busy;
    double rate, tokens;
    uint64_t filled_ns;
    uint64_t closed_until_ns;
    int64_t closed_until_us; /* the same moment by the wall clock */
    struct mt_http_call *head, *tail;
    struct event *timer;
};

/* The bucket holds a tenth of a second: bursts stay near the rate however short a server's window is. */
static double capacity(const struct mt_admission *a)
{
    return a->rate > 10 ? a->rate / 10 : 1;
}

static bool is_closed(const struct mt_admission *a)
{
    return a->closed_until_ns && mt_now_ns() < a->closed_until_ns;
}

static void unlink_call(struct mt_admission *a, struct mt_http_call *call)
{
    if (call->queue_prev)
        call->queue_prev->queue_next = call->queue_next;
    else
        a->head = call->queue_next;
    if (call->queue_next)
        call->queue_next->queue_prev = call->queue_prev;
    else
        a->tail = call->queue_prev;
    call->queue_next = call->queue_prev = NULL;
}

static void wake_after(struct mt_admission *a, uint64_t ns)
{
    uint64_t us = ns / 1000 + 1;
    event_base_update_cache_time(mt_loop_base(a->http->loop)); /* as in mt_timer_new */
    const struct timeval after = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    evtimer_add(a->timer, &after);
}

/* Admits from the head what may go now. mt_call_send never ends a call on the spot, so that the list is safe.
 */
static void pump(struct mt_admission *a)
{
    while (a->head && !(a->concurrency && a->busy >= a->concurrency)) {
        uint64_t now = mt_now_ns();
        if (a->closed_until_ns) {
            if (now < a->closed_until_ns) {
                wake_after(a, a->closed_until_ns - now);
                return;
            }
            a->closed_until_ns = 0;
            for (struct mt_http_call *c = a->head; c; c = c->queue_next)
                mt_call_waits_until(c, 0);
        }
        if (a->rate > 0) {
            a->tokens += (double)(now - a->filled_ns) / 1e9 * a->rate;
            a->filled_ns = now;
            if (a->tokens > capacity(a))
                a->tokens = capacity(a);
            if (a->tokens < 1) {
                wake_after(a, (uint64_t)((1 - a->tokens) / a->rate * 1e9));
                return;
            }
            a->tokens -= 1;
        }
        struct mt_http_call *call = a->head;
        unlink_call(a, call);
        a->busy++;
        call->admitted = true;
        mt_call_send(call);
    }
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    (void)none;
    (void)what;
    pump(arg);
}

struct mt_admission *mt_admission_get(struct mt_http *http, struct mt_slice key, unsigned concurrency,
                                      double rate_per_s)
{
    for (struct mt_admission *a = http->admissions; a; a = a->next)
        if (mt_slice_eq((struct mt_slice){a->key, a->key_n}, key)) {
            a->users++;
            return a;
        }
    struct mt_admission *a = mt_alloc(sizeof *a);
    *a = (struct mt_admission){
        .http = http,
        .next = http->admissions,
        .link = &http->admissions,
        .key = mt_slice_dup(key),
        .key_n = key.n,
        .users = 1,
        .concurrency = concurrency,
        .rate = rate_per_s > 0 ? rate_per_s : 0,
        .filled_ns = mt_now_ns(),
        .timer = evtimer_new(mt_loop_base(http->loop), on_timer, a),
    };
    a->tokens = capacity(a);
    if (!a->timer)
        abort();
    if (a->next)
        a->next->link = &a->next;
    http->admissions = a;
    return a;
}

void mt_admission_hold(struct mt_admission *admission)
{
    admission->users++;
}

static void disconnect(struct mt_admission *a)
{
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    event_free(a->timer);
    a->timer = NULL;
    a->http = NULL;
}

void mt_admission_release(struct mt_admission *admission)
{
    if (!admission || --admission->users)
        return;
    if (admission->http)
        disconnect(admission);
    free(admission->key);
    free(admission);
}

void mt_admission_orphan(struct mt_http *http)
{
    while (http->admissions)
        disconnect(http->admissions);
}

void mt_admission_ask(struct mt_http_call *call)
{
    struct mt_admission *a = call->admission;
    struct mt_http_call *before = a->tail;
    while (before && before->serial > call->serial)
        before = before->queue_prev;
    call->queue_prev = before;
    call->queue_next = before ? before->queue_next : a->head;
    if (call->queue_next)
        call->queue_next->queue_prev = call;
    else
        a->tail = call;
    if (before)
        before->queue_next = call;
    else
        a->head = call;
    if (is_closed(a))
        mt_call_waits_until(call, a->closed_until_us);
    pump(a);
}

void mt_admission_withdraw(struct mt_http_call *call)
{
    unlink_call(call->admission, call);
    mt_call_waits_until(call, 0);
}

void mt_admission_leave(struct mt_http_call *call)
{
    call->admitted = false;
    call->admission->busy--;
    pump(call->admission);
}

void mt_admission_close(struct mt_admission *admission, int64_t ms)
{
    uint64_t until = mt_now_ns() + (uint64_t)ms * 1000000;
    if (until <= admission->closed_until_ns)
        return;
    admission->closed_until_ns = until;
    admission->closed_until_us = mt_wall_us() + ms * 1000;
    for (struct mt_http_call *c = admission->head; c; c = c->queue_next)
        mt_call_waits_until(c, admission->closed_until_us);
}
