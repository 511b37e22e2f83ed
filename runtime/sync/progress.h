/* Progress on a terminal: one line a kind that works, redrawn five times a second; nothing where stderr is no
 * terminal. Loop thread. */
#ifndef MT_SYNC_PROGRESS_H
#define MT_SYNC_PROGRESS_H

#include "net/loop.h"
#include "observe/report.h"

struct mt_progress;

struct mt_progress *mt_progress_new(struct mt_loop *loop, struct mt_report *report,
                                    struct mt_http_stats *source);
void mt_progress_free(struct mt_progress *progress); /* clears its lines; NULL is fine */

#endif
