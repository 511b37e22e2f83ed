/* The process's signals, given to the loop. One user a process. */
#ifndef MT_NET_SIGNAL_H
#define MT_NET_SIGNAL_H

#include "net/loop.h"

struct mt_signals;

/* SIGINT, SIGTERM and SIGHUP call fn on the loop's thread. A second SIGINT or SIGTERM ends the process at
 * once with 128 + its number, in the handler itself: also when the loop's thread is held up (a pattern match
 * of a script cannot be interrupted). */
struct mt_signals *mt_signals_new(struct mt_loop *loop, void (*fn)(void *ud, int number), void *ud);
void mt_signals_free(struct mt_signals *s); /* the former handlers are back */

#endif
