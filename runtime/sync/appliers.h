/* Threads that talk to Port: each takes one piece of work at a time and may wait for answers. The queue is
 * bounded: whoever submits waits, and that is the back-pressure that reaches the coroutines. */
#ifndef MT_SYNC_APPLIERS_H
#define MT_SYNC_APPLIERS_H

struct mt_appliers;

/* Embedded in the work's record; run frees it. */
struct mt_work {
    void (*run)(struct mt_work *work);
    struct mt_work *next; /* private */
};

struct mt_appliers *mt_appliers_new(unsigned threads, unsigned queue);
void mt_appliers_submit(struct mt_appliers *a, struct mt_work *work); /* waits while the queue is full */
void mt_appliers_wait_idle(struct mt_appliers *a); /* until all that was submitted has run */
void mt_appliers_free(struct mt_appliers *a);      /* runs what is left, joins */

#endif
