/* The process's metrics: named samples with labels, and their text for Prometheus. Thread-safe; a call takes
 * a lock and a look-up, so count batches and requests, not items. The names are in observe/names.h. */
#ifndef MT_OBSERVE_METRICS_H
#define MT_OBSERVE_METRICS_H

#include "base/buf.h"

struct mt_metrics;

/* Labels of a sample, at most eight; a NULL name ends the list, a NULL list is an empty one. Their order does
 * not matter; one with a NULL or empty value is as good as absent. Values are cut to 1,000 bytes in the text.
 */
struct mt_label {
    const char *name, *value;
};

struct mt_metrics *mt_metrics_new(void);
void mt_metrics_free(struct mt_metrics *m);

/* A metric is made by its first sample; names and help texts are string constants, labels are copied. m NULL:
 * nothing happens, so that callers need not ask. */
void mt_metrics_set(struct mt_metrics *m, const char *name, const char *help, const struct mt_label *labels,
                    double value); /* gauge */
void mt_metrics_add(struct mt_metrics *m, const char *name, const char *help, const struct mt_label *labels,
                    double value); /* counter; the name ends in _total */
/* Histogram; buckets: upper bounds, rising, of static storage, ended by 0. Every sample of one name has the
 * same. */
void mt_metrics_observe(struct mt_metrics *m, const char *name, const char *help, const double *buckets,
                        const struct mt_label *labels, double value);
extern const double mt_buckets_seconds[]; /* 1 ms … 60 s */
extern const double mt_buckets_count[];   /* 1 … 10,000 */
/* Takes away every sample that carries this label: of a bundle that is gone. */
void mt_metrics_forget(struct mt_metrics *m, const char *label, const char *value);

/* Sets moontide_build_info and the process_… gauges from /proc: before a render. */
void mt_metrics_process(struct mt_metrics *m);

/* Prometheus' text format 0.0.4, ended by "# EOF" as R-OBS-02 has it; samples in the order of their making.
 */
bool mt_metrics_render(struct mt_metrics *m, struct mt_buf *out);

#endif
