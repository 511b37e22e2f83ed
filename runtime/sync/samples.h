/* What a kind costs while it runs (R-OBS-05, R-OBS-09): CPU, memory and the loop's latency every half second,
 * and the sizes of the third party's answers. Loop thread. */
#ifndef MT_SYNC_SAMPLES_H
#define MT_SYNC_SAMPLES_H

#include "net/loop.h"
#include "observe/report.h"

struct mt_samples;

struct mt_samples *mt_samples_begin(struct mt_loop *loop);
void mt_samples_answer(struct mt_samples *s, size_t bytes); /* NULL: nothing happens */
/* Fills usage and frees. */
void mt_samples_end(struct mt_samples *s, struct mt_usage *usage);

#endif
