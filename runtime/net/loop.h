/* The event loop: libevent's, on the thread that calls mt_loop_run. It carries HTTP, timers, signals and Lua.
 * Everything here but mt_loop_post and mt_loop_stop is for the loop's thread. */
#ifndef MT_NET_LOOP_H
#define MT_NET_LOOP_H

#include <stdint.h>

#include "base/error.h"

struct event_base;
struct mt_loop;
struct mt_timer;

struct mt_loop *mt_loop_new(void);
void mt_loop_free(struct mt_loop *loop); /* after run returned; posted calls that are left are run */
void mt_loop_run(struct mt_loop *loop);  /* until mt_loop_stop, also with nothing to do */
void mt_loop_stop(struct mt_loop *loop); /* any thread */
void mt_loop_post(struct mt_loop *loop, void (*fn)(void *arg),
                  void *arg); /* any thread; runs fn on the loop, in order */
struct event_base *mt_loop_base(struct mt_loop *loop);
bool mt_loop_is_current(const struct mt_loop *loop); /* any thread: is this the loop's thread? */

/* One shot after ms milliseconds; free it to cancel, also after it fired and from inside fn. */
struct mt_timer *mt_timer_new(struct mt_loop *loop, uint64_t ms, void (*fn)(void *arg), void *arg);
void mt_timer_free(struct mt_timer *timer); /* NULL is fine */

#endif
