/* Puts loop and pool under load for specs: pool_driver JOBS WORKERS loop|none. Jobs count, some submit
 * another one from done, posts come from four threads, timers fire in order. Prints what was counted.
 *
 * pool_driver calls N: for each number of calls up to N that wait before the loop runs, the first of them
 * posts the one that ends the loop. */
#undef NDEBUG /* its checks count in every build */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/pool.h"

enum { POSTERS = 4, POSTS = 5000 };

struct task {
    struct mt_job job;
    struct mt_job *again;
};

static struct mt_loop *loop;
static struct mt_pool *pool;
static atomic_uint worked, finished, most_worker, out_of_order, wrong_thread, posted;
static unsigned expected, seen[POSTERS];
static struct mt_timer *timers[3];
static char fired[5], a[] = "a", b[] = "b", c[] = "c", never[] = "x";

static void work(struct mt_job *job, unsigned worker)
{
    (void)job;
    atomic_fetch_add(&worked, 1);
    unsigned most = atomic_load(&most_worker);
    while (worker > most && !atomic_compare_exchange_weak(&most_worker, &most, worker))
        ;
    if (mt_loop_is_current(loop))
        atomic_fetch_add(&wrong_thread, 1);
}

static void check_end(void)
{
    if (atomic_load(&finished) == expected && atomic_load(&posted) == POSTERS * POSTS && strlen(fired) == 3)
        mt_loop_stop(loop);
}

static void done(struct mt_job *job)
{
    struct task *t = (struct task *)job;
    if (!mt_loop_is_current(loop))
        atomic_fetch_add(&wrong_thread, 1);
    atomic_fetch_add(&finished, 1);
    if (t->again)
        mt_pool_submit(pool, t->again);
    free(t);
    check_end();
}

static void done_on_worker(struct mt_job *job)
{
    atomic_fetch_add(&finished, 1);
    free(job);
}

struct post {
    unsigned poster, number;
};

static void on_post(void *arg)
{
    struct post *p = arg;
    if (seen[p->poster]++ != p->number)
        atomic_fetch_add(&out_of_order, 1);
    if (!mt_loop_is_current(loop))
        atomic_fetch_add(&wrong_thread, 1);
    atomic_fetch_add(&posted, 1);
    free(p);
    check_end();
}

static void *poster(void *arg)
{
    unsigned index = (unsigned)(size_t)arg;
    for (unsigned i = 0; i < POSTS; i++) {
        struct post *p = mt_alloc(sizeof *p);
        *p = (struct post){index, i};
        mt_loop_post(loop, on_post, p);
    }
    return NULL;
}

static void on_timer(void *arg)
{
    strcat(fired, arg);
    check_end();
}

static void on_stop(void *arg)
{
    mt_loop_stop(arg);
}

static void on_late(void *arg)
{
    strcat(arg, "late");
}

static void on_call(void *arg)
{
    (void)arg;
}

static void on_first_call(void *arg)
{
    mt_loop_post(arg, on_stop, arg);
}

static void run_calls(unsigned most)
{
    loop = mt_loop_new();
    for (unsigned calls = 1; calls <= most; calls++) {
        for (unsigned i = 0; i < calls; i++)
            mt_loop_post(loop, i == 0 ? on_first_call : on_call, loop);
        mt_loop_run(loop);
    }
    mt_loop_free(loop);
    printf("ended %u times\n", most);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "calls") == 0) {
        run_calls((unsigned)atoi(argv[2]));
        return 0;
    }
    assert(argc == 4);
    unsigned jobs = (unsigned)atoi(argv[1]), workers = (unsigned)atoi(argv[2]);
    bool with_loop = strcmp(argv[3], "loop") == 0;
    loop = mt_loop_new();
    assert(mt_loop_is_current(loop)); /* until it runs elsewhere, it is its maker's */
    mt_loop_post(loop, on_stop, loop);
    mt_loop_run(loop); /* a stop that was asked for from a posted call */
    mt_loop_stop(loop);
    mt_loop_run(loop); /* a stop that came before the run */
    pool = mt_pool_new(with_loop ? loop : NULL, workers);
    expected = jobs;
    struct task *last = NULL;
    for (unsigned i = 0; i < jobs; i++) {
        struct task *t = mt_alloc(sizeof *t);
        t->job.work = work;
        t->job.done = with_loop ? done : done_on_worker;
        if (with_loop && i % 10 == 9 && last) { /* every tenth is submitted by the one before */
            last->again = &t->job;
            mt_pool_submit(pool, &last->job);
            last = NULL;
            continue;
        }
        if (last)
            mt_pool_submit(pool, &last->job);
        last = t;
    }
    if (last)
        mt_pool_submit(pool, &last->job);
    char late[8] = "";
    if (with_loop) {
        pthread_t threads[POSTERS];
        for (size_t i = 0; i < POSTERS; i++)
            pthread_create(&threads[i], NULL, poster, (void *)i);
        timers[0] = mt_timer_new(loop, 30, on_timer, c);
        timers[1] = mt_timer_new(loop, 0, on_timer, a);
        timers[2] = mt_timer_new(loop, 10, on_timer, b);
        mt_timer_free(mt_timer_new(loop, 5, on_timer, never));
        mt_loop_run(loop);
        for (size_t i = 0; i < POSTERS; i++)
            pthread_join(threads[i], NULL);
        for (size_t i = 0; i < 3; i++)
            mt_timer_free(timers[i]);
        mt_loop_post(loop, on_late, late); /* nobody runs the loop any more */
    }
    unsigned count = mt_pool_count(pool);
    /* Submitted when nobody runs the loop any more: still worked, and done. */
    struct task *tail = mt_alloc(sizeof *tail);
    tail->job.work = work;
    tail->job.done = with_loop ? done : done_on_worker;
    mt_pool_submit(pool, &tail->job);
    mt_pool_free(pool);
    mt_loop_free(loop);
    printf("worked %u finished %u workers %u most %u order %u thread %u posted %u timers %s%s\n",
           atomic_load(&worked), atomic_load(&finished), count, atomic_load(&most_worker),
           atomic_load(&out_of_order), atomic_load(&wrong_thread), atomic_load(&posted), fired, late);
    return 0;
}
