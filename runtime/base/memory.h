/* Allocation. Fixed-size records and small names come from mt_alloc and friends, which end the process with a
 * message when the system has no memory left: there is nothing useful to do then. What the input sizes
 * (bodies, documents, batches) goes through struct mt_buf or mt_try_alloc, which fail with MT_ENOMEM instead.
 */
#ifndef MT_BASE_MEMORY_H
#define MT_BASE_MEMORY_H

#include "base/slice.h"

void *mt_alloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed; release with free() */
void *mt_realloc(void *p, size_t size) __attribute__((returns_nonnull));
char *mt_strdup(const char *text);                                      /* NULL gives NULL */
char *mt_slice_dup(struct mt_slice s) __attribute__((returns_nonnull)); /* terminated copy */
char *mt_format(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
void *mt_try_alloc(size_t size); /* not zeroed; NULL when refused */

#endif
