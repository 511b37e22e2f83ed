/* Time. The monotonic clock measures, the wall clock names moments. Thread-safe. */
#ifndef MT_BASE_CLOCK_H
#define MT_BASE_CLOCK_H

#include <stdint.h>

#include "base/error.h"

uint64_t mt_now_ns(void); /* monotonic */
uint64_t mt_cpu_ns(void); /* processor time of the calling thread; 0.3 us, ten times what mt_now_ns takes */
int64_t mt_wall_us(void); /* microseconds since the epoch, UTC */

#define MT_ISO_SIZE 40
/* 2026-11-23T09:43:28.997323+00:00 (A-INT-18). Returns out. */
const char *mt_iso_format(int64_t wall_us, char out[MT_ISO_SIZE]);
/* ISO 8601 date or date-time, 'Z' or offset; without one it is UTC. */
enum mt_rc mt_iso_parse(struct mt_slice text, int64_t *out_us);
/* The three date forms of RFC 9110 section 5.6.7, as in Retry-After. */
enum mt_rc mt_http_date_parse(struct mt_slice text, int64_t *out_us);

#define MT_UUID_SIZE 37
const char *mt_uuid(char out[MT_UUID_SIZE]); /* random, version 4 (RFC 9562) */

#endif
