/* mt_http_wait: requests of threads that block for them. The thread puts a record of its stack into the inbox
 * and sleeps on the record's condition; the loop starts the request, and ends the wait by setting the
 * record's flag under its lock, after which it does not touch the record any more. The event belongs to the
 * client, not to a posted call, so that nothing is left in the loop when the client is freed. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/call.h"

struct mt_waiter {
    struct mt_waiter *next, **link;
    const struct mt_http_request *req;
    struct mt_http *http;
    struct mt_http_call *call;
    struct mt_http_response *res;
    struct mt_err err;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over; /* under lock */
};

static void end(struct mt_waiter *w)
{
    pthread_mutex_lock(&w->lock);
    w->over = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

static void leave_list(struct mt_waiter *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
}

static void on_done(void *ud, struct mt_http_response *res, const struct mt_err *err)
{
    struct mt_waiter *w = ud;
    leave_list(w);
    if (err) {
        w->err = *err;
    } else {
        *w->res = *res;
        *res = (struct mt_http_response){0};
    }
    end(w);
}

static bool is_cancelled(const struct mt_waiter *w)
{
    return w->req->cancel && atomic_load(w->req->cancel);
}

static void end_cancelled(struct mt_waiter *w)
{
    mt_fail(&w->err, MT_ECANCELED, "%s request cancelled", w->req->method);
    end(w);
}

static struct mt_waiter *take_inbox(struct mt_http *http)
{
    pthread_mutex_lock(&http->lock);
    struct mt_waiter *taken = http->inbox;
    http->inbox = NULL;
    http->inbox_last = &http->inbox;
    pthread_mutex_unlock(&http->lock);
    return taken;
}

static void cancel(struct mt_waiter *w)
{
    leave_list(w);
    mt_http_cancel(w->call);
    end_cancelled(w);
}

/* New waits, and a look at the flags of all: mt_http_kick sets nothing else in motion. */
static void on_wake(evutil_socket_t none, short what, void *arg)
{
    struct mt_http *http = arg;
    (void)none;
    (void)what;
    for (struct mt_waiter *w = take_inbox(http), *next; w; w = next) {
        next = w->next;
        if (is_cancelled(w)) {
            end_cancelled(w);
            continue;
        }
        w->next = http->waiting;
        w->link = &http->waiting;
        if (w->next)
            w->next->link = &w->next;
        http->waiting = w;
        w->call = mt_http_start(http, w->req, on_done, w);
    }
    for (struct mt_waiter *w = http->waiting, *next; w; w = next) {
        next = w->next;
        if (is_cancelled(w))
            cancel(w);
    }
}

enum mt_rc mt_http_wait(struct mt_http *http, const struct mt_http_request *req, struct mt_http_response *res,
                        struct mt_err *err)
{
    assert(!mt_loop_is_current(http->loop)); /* it would wait for itself */
    struct mt_http_response answer = {0};
    struct mt_waiter w = {.req = req, .http = http, .res = &answer};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.ended, NULL);
    pthread_mutex_lock(&http->lock);
    *http->inbox_last = &w;
    http->inbox_last = &w.next;
    event_active(http->wake, EV_TIMEOUT, 0);
    pthread_mutex_unlock(&http->lock);
    pthread_mutex_lock(&w.lock);
    while (!w.over)
        pthread_cond_wait(&w.ended, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.ended);
    pthread_mutex_destroy(&w.lock);
    if (w.err.rc == MT_OK)
        *res = answer;
    else if (err)
        *err = w.err;
    return w.err.rc;
}

void mt_http_kick(struct mt_http *http)
{
    event_active(http->wake, EV_TIMEOUT, 0);
}

void mt_wait_init(struct mt_http *http)
{
    pthread_mutex_init(&http->lock, NULL);
    http->inbox_last = &http->inbox;
    http->wake = event_new(mt_loop_base(http->loop), -1, EV_PERSIST, on_wake, http);
    if (!http->wake)
        abort();
    event_priority_set(http->wake, 0);
}

void mt_wait_fini(struct mt_http *http)
{
    for (struct mt_waiter *w = take_inbox(http), *next; w; w = next) {
        next = w->next;
        end_cancelled(w);
    }
    while (http->waiting)
        cancel(http->waiting);
    event_free(http->wake);
    pthread_mutex_destroy(&http->lock);
}
