/* The event loop: see loop.h. Owns the event base and the queue of posted calls.
 *
 * Posted calls are kept in a list under a mutex; the loop is woken only when the list was empty, and swaps
 * the whole list out before it calls anything. Two priorities: sockets of the HTTP client and posted calls
 * (0) come before timers and whatever the other rooms add (1, libevent's default for two). */
#include "net/loop.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

enum { POSTS_A_TURN = 256 }; /* then sockets and timers get their turn */

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct mt_loop {
    struct event_base *base;
    struct event *posted, *stopped;
    pthread_mutex_t lock;
    struct post *first, **last; /* under lock */
    struct post *taken;         /* loop thread: swapped out, not called yet */
    _Atomic pthread_t owner;
    bool ended; /* loop thread */
};

struct mt_timer {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

static pthread_once_t threads_once = PTHREAD_ONCE_INIT;

/* The base must know about threads before it is made: mt_loop_post wakes it from others. */
static void use_threads(void)
{
    if (evthread_use_pthreads() != 0)
        abort();
}

static void take_posts(struct mt_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->taken = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
}

/* Calls those of one turn. Returns whether some may be left. */
static bool call_posts(struct mt_loop *loop)
{
    for (unsigned i = 0; i < POSTS_A_TURN; i++) {
        if (!loop->taken)
            take_posts(loop);
        struct post *p = loop->taken;
        if (!p)
            return false;
        loop->taken = p->next;
        p->fn(p->arg);
        free(p);
    }
    return true;
}

static void on_posted(evutil_socket_t none, short what, void *arg)
{
    struct mt_loop *loop = arg;
    (void)none;
    (void)what;
    /* What was posted while the event was active has not activated it again, and may be the only one left. So
     * a used up turn is followed by another, even where nothing is left of what it took. */
    if (call_posts(loop))
        event_active(loop->posted, EV_TIMEOUT, 0);
}

static void on_stopped(evutil_socket_t none, short what, void *arg)
{
    struct mt_loop *loop = arg;
    (void)none;
    (void)what;
    loop->ended = true;
    event_base_loopbreak(loop->base);
}

struct mt_loop *mt_loop_new(void)
{
    struct mt_loop *loop = mt_alloc(sizeof *loop);
    pthread_once(&threads_once, use_threads);
    /* The coarse clock that libevent takes otherwise lets timers fire up to 4 ms early: into a closed window.
     */
    struct event_config *config = event_config_new();
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) != 0)
        abort();
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!loop->base || event_base_priority_init(loop->base, 2) != 0)
        abort(); /* no epoll instance to be had when the process starts */
    loop->posted = event_new(loop->base, -1, EV_PERSIST, on_posted, loop);
    loop->stopped = event_new(loop->base, -1, EV_PERSIST, on_stopped, loop);
    if (!loop->posted || !loop->stopped)
        abort();
    event_priority_set(loop->posted, 0);
    event_priority_set(loop->stopped, 0);
    loop->last = &loop->first;
    atomic_init(&loop->owner, pthread_self());
    pthread_mutex_init(&loop->lock, NULL);
    return loop;
}

void mt_loop_free(struct mt_loop *loop)
{
    if (!loop)
        return;
    while (call_posts(loop))
        ;
    event_free(loop->posted);
    event_free(loop->stopped);
    event_base_free(loop->base);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* Pooled connections hold no events, so that an idle loop would return (measured): NO_EXIT_ON_EMPTY keeps it.
 */
void mt_loop_run(struct mt_loop *loop)
{
    atomic_store(&loop->owner, pthread_self());
    while (!loop->ended && event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) == 0)
        ;
    loop->ended = false;
}

/* An activated event stays until it is dispatched, so that a stop before the run is not lost, as a break
 * would be. */
void mt_loop_stop(struct mt_loop *loop)
{
    event_active(loop->stopped, EV_TIMEOUT, 0);
}

void mt_loop_post(struct mt_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *p = mt_alloc(sizeof *p);
    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&loop->lock);
    bool wake = !loop->first;
    *loop->last = p;
    loop->last = &p->next;
    /* Under the lock: the loop cannot be freed between the post and the wake-up by a call that this post
     * makes. */
    if (wake)
        event_active(loop->posted, EV_TIMEOUT, 0);
    pthread_mutex_unlock(&loop->lock);
}

struct event_base *mt_loop_base(struct mt_loop *loop)
{
    return loop->base;
}

/* Before the first run the thread that made the loop counts as its thread. */
bool mt_loop_is_current(const struct mt_loop *loop)
{
    return pthread_equal(atomic_load(&loop->owner), pthread_self()) != 0;
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    struct mt_timer *timer = arg;
    (void)none;
    (void)what;
    timer->fn(timer->arg);
}

struct mt_timer *mt_timer_new(struct mt_loop *loop, uint64_t ms, void (*fn)(void *arg), void *arg)
{
    struct mt_timer *timer = mt_alloc(sizeof *timer);
    *timer = (struct mt_timer){.fn = fn, .arg = arg};
    timer->event = evtimer_new(loop->base, on_timer, timer);
    event_base_update_cache_time(
        loop->base); /* counted from now, not from the begin of the callback that calls */
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    if (!timer->event || evtimer_add(timer->event, &after) != 0)
        abort();
    return timer;
}

void mt_timer_free(struct mt_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}
