/* Applier threads: see appliers.h. */
#include "sync/appliers.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

enum { STACK = 512 * 1024 };

struct mt_appliers {
    pthread_mutex_t lock;
    pthread_cond_t work, space;
    struct mt_work *first, **last;
    unsigned queued, most, running, threads;
    bool closing;
    pthread_t ids[];
};

static void *applier(void *arg)
{
    struct mt_appliers *a = arg;
    pthread_setname_np(pthread_self(), "mt-apply");
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->first && !a->closing)
            pthread_cond_wait(&a->work, &a->lock);
        struct mt_work *w = a->first;
        if (!w)
            break;
        a->first = w->next;
        if (!a->first)
            a->last = &a->first;
        a->queued--;
        a->running++;
        pthread_cond_broadcast(&a->space);
        pthread_mutex_unlock(&a->lock);
        w->run(w);
        pthread_mutex_lock(&a->lock);
        a->running--;
        pthread_cond_broadcast(&a->space);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct mt_appliers *mt_appliers_new(unsigned threads, unsigned queue)
{
    struct mt_appliers *a = mt_alloc(sizeof *a + threads * sizeof a->ids[0]);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->space, NULL);
    a->last = &a->first;
    a->most = queue;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; a->threads < threads; a->threads++)
        if (pthread_create(&a->ids[a->threads], &attr, applier, a) != 0)
            break;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (!a->threads)
        abort(); /* a process that may not have one thread more cannot work at all */
    return a;
}

void mt_appliers_submit(struct mt_appliers *a, struct mt_work *work)
{
    work->next = NULL;
    pthread_mutex_lock(&a->lock);
    while (a->queued >= a->most)
        pthread_cond_wait(&a->space, &a->lock);
    *a->last = work;
    a->last = &work->next;
    a->queued++;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void mt_appliers_wait_idle(struct mt_appliers *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->queued || a->running)
        pthread_cond_wait(&a->space, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void mt_appliers_free(struct mt_appliers *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->threads; i++)
        pthread_join(a->ids[i], NULL);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->space);
    free(a);
}
