/* Worker threads: see pool.h. One queue for all workers, one list of finished jobs.
 *
 * A finished job is put on the list; the loop's event is activated only when the list was empty. The loop
 * swaps the list out and calls the jobs' done functions outside the lock. The event belongs to the pool, not
 * to a posted call, so that a pool that is freed leaves nothing behind in the loop. */
#include "net/pool.h"

#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum {
    MOST_WORKERS = 256,
    STACK = 8 << 20, /* libjq recurses with the depth of a document */
};

struct worker {
    struct mt_pool *pool;
    pthread_t thread;
    unsigned index;
};

struct jobs {
    struct mt_job *first, **last;
};

struct mt_pool {
    pthread_mutex_t lock;
    pthread_cond_t submitted, idle;
    struct jobs waiting, finished; /* under lock */
    size_t unfinished;             /* submitted, work not returned yet; under lock */
    bool closed;                   /* under lock */
    struct event *deliver;         /* NULL without a loop */
    unsigned count;
    struct worker workers[];
};

static void jobs_init(struct jobs *jobs)
{
    jobs->first = NULL;
    jobs->last = &jobs->first;
}

static void jobs_put(struct jobs *jobs, struct mt_job *job)
{
    job->next = NULL;
    *jobs->last = job;
    jobs->last = &job->next;
}

static struct mt_job *jobs_take(struct jobs *jobs)
{
    struct mt_job *job = jobs->first;
    if (job && !(jobs->first = job->next))
        jobs->last = &jobs->first;
    return job;
}

static void *work(void *arg)
{
    const struct worker *w = arg;
    struct mt_pool *pool = w->pool;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct mt_job *job = jobs_take(&pool->waiting);
        if (!job) {
            if (pool->closed)
                break;
            pthread_cond_wait(&pool->submitted, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        bool owed = job->done != NULL;
        job->work(job, w->index);
        if (owed && !pool->deliver)
            job->done(job);
        pthread_mutex_lock(&pool->lock);
        /* Without a done function the record may be gone as soon as work has returned. */
        if (owed && pool->deliver) {
            bool was_empty = !pool->finished.first;
            jobs_put(&pool->finished, job);
            if (was_empty)
                event_active(pool->deliver, EV_TIMEOUT, 0);
        }
        if (--pool->unfinished == 0)
            pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void deliver(struct mt_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct mt_job *job = pool->finished.first;
    jobs_init(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    while (job) {
        struct mt_job *next = job->next; /* done may free or submit the record again */
        job->done(job);
        job = next;
    }
}

static void on_deliver(evutil_socket_t none, short what, void *arg)
{
    (void)none;
    (void)what;
    deliver(arg);
}

static unsigned usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

struct mt_pool *mt_pool_new(struct mt_loop *loop, unsigned workers)
{
    unsigned count = workers ? workers : usable_cpus();
    if (count > MOST_WORKERS)
        count = MOST_WORKERS;
    struct mt_pool *pool = mt_alloc(sizeof *pool + count * sizeof *pool->workers);
    pool->count = count;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->submitted, NULL);
    pthread_cond_init(&pool->idle, NULL);
    jobs_init(&pool->waiting);
    jobs_init(&pool->finished);
    if (loop) {
        pool->deliver = event_new(mt_loop_base(loop), -1, EV_PERSIST, on_deliver, pool);
        if (!pool->deliver)
            abort();
        event_priority_set(pool->deliver, 0);
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's */
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &pool->workers[i];
        *w = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&w->thread, &attr, work, w) != 0) {
            fputs("moontide: the system refuses another thread (see ulimit -u)\n", stderr);
            abort();
        }
        char name[16];
        snprintf(name, sizeof name, "mt-worker-%hhu", (unsigned char)i);
        pthread_setname_np(w->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return pool;
}

unsigned mt_pool_count(const struct mt_pool *pool)
{
    return pool->count;
}

void mt_pool_submit(struct mt_pool *pool, struct mt_job *job)
{
    pthread_mutex_lock(&pool->lock);
    jobs_put(&pool->waiting, job);
    pool->unfinished++;
    pthread_cond_signal(&pool->submitted);
    pthread_mutex_unlock(&pool->lock);
}

void mt_pool_free(struct mt_pool *pool)
{
    if (!pool)
        return;
    bool more;
    do { /* done functions may submit again */
        pthread_mutex_lock(&pool->lock);
        while (pool->unfinished)
            pthread_cond_wait(&pool->idle, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        deliver(pool);
        pthread_mutex_lock(&pool->lock);
        more = pool->unfinished > 0 || pool->finished.first;
        pool->closed = !more;
        pthread_cond_broadcast(&pool->submitted);
        pthread_mutex_unlock(&pool->lock);
    } while (more);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    if (pool->deliver)
        event_free(pool->deliver);
    pthread_cond_destroy(&pool->submitted);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
