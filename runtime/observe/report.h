/* The report of a run (architecture 3.1): counters that the stages add to, and its two forms. Counters are
 * atomic; the lists are under a lock. */
#ifndef MT_OBSERVE_REPORT_H
#define MT_OBSERVE_REPORT_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "net/http.h"

/* What a kind used while it ran (R-OBS-05): sampled is false for one that was over before the first sample.
 */
struct mt_usage_of {
    double max, median, avg, sum;
};
struct mt_usage {
    bool sampled, answered;
    struct mt_usage_of cpu;     /* percent of one core */
    struct mt_usage_of memory;  /* bytes resident */
    struct mt_usage_of latency; /* milliseconds */
    struct mt_usage_of answers; /* bytes of bodies */
};

struct mt_kind_report {
    char *kind;
    unsigned index;
    atomic_bool ran; /* false: left out by --kind, or never reached */
    atomic_ullong pages, items, selected, mapped, skipped, failed, created, updated, unchanged, deleted,
        withheld, load_failed;
    atomic_ullong started_ns, ended_ns;
    struct mt_usage usage; /* set before ended_ns */
};

struct mt_report;

struct mt_report *mt_report_new(void);
void mt_report_free(struct mt_report *r);
struct mt_kind_report *mt_report_kind(struct mt_report *r, const char *kind,
                                      unsigned index); /* adds one; stays valid */
unsigned mt_report_kind_count(struct mt_report *r);
struct mt_kind_report *mt_report_kind_at(struct mt_report *r, unsigned i);
void mt_report_mapping(struct mt_report *r, const char *from, const char *digest_hex);
void mt_report_error(
    struct mt_report *r, const char *kind,
    const char *message); /* kind NULL: of the whole run; masked; at most 100 are kept, all are counted */
size_t mt_report_error_count(struct mt_report *r);
void mt_report_withheld(struct mt_report *r, const char *blueprint, uint64_t count, const char *reason);
void mt_report_deleted(struct mt_report *r, uint64_t count);
uint64_t mt_report_deleted_count(const struct mt_report *r);
void mt_report_waited(struct mt_report *r, double source_s, double mapping_s, double port_s);
void mt_report_requests(struct mt_report *r, uint64_t source, uint64_t port);
void mt_report_finish(struct mt_report *r,
                      const char *result); /* complete, failed, aborted; takes time and peak memory */

bool mt_report_json(struct mt_report *r, struct mt_buf *out);     /* one line, as architecture 3.1 says */
void mt_report_print(struct mt_report *r, FILE *out, bool color); /* a table for people */

#endif
