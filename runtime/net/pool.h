/* Worker threads for what takes long: parsing bodies, compiling and running mappings. Jobs run in no set
 * order; what needs order keeps it itself. Workers never touch the loop, Lua or curl. */
#ifndef MT_NET_POOL_H
#define MT_NET_POOL_H

#include "net/loop.h"

struct mt_pool;

/* A job is embedded in its owner's record. work runs on a worker and cannot fail: it leaves its error in the
 * record. done (may be NULL) is then called on the loop's thread, exactly once; with loop NULL on the worker.
 * A job without done is not touched any more once work has been called: work may hand its record to another
 * thread that frees it. */
struct mt_job {
    void (*work)(struct mt_job *job,
                 unsigned worker); /* worker: 0 .. count-1, for state kept for each worker */
    void (*done)(struct mt_job *job);
    struct mt_job *next; /* private */
};

struct mt_pool *mt_pool_new(struct mt_loop *loop,
                            unsigned workers); /* 0: the number of CPUs this process may use */
unsigned mt_pool_count(const struct mt_pool *pool);
void mt_pool_submit(struct mt_pool *pool,
                    struct mt_job *job); /* any thread; never refuses: bounds are the caller's */
void mt_pool_free(struct mt_pool *pool); /* finishes what was submitted, joins the threads */

#endif
