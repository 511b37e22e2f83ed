/* Entities that Port refused, kept whole until the end of the resync, when their relation targets may exist
 * (R-TOPO; R-UPS-03's flaw mended). Past a size they lie in the state file. Not thread-safe: under the
 * session's lock. */
#ifndef MT_SYNC_FAILED_H
#define MT_SYNC_FAILED_H

#include "state/state.h"
#include "sync/session.h"

struct mt_failed_entities *mt_failed_new(struct mt_state *state);
void mt_failed_free(struct mt_failed_entities *f);
/* Copies json. */
void mt_failed_add(struct mt_failed_entities *f, struct mt_resource *r, struct mt_slice json);
size_t mt_failed_count(const struct mt_failed_entities *f);
/* Sends them once more, dependencies first, cycles in two steps; what fails again is an error of its kind.
 * Resync thread. */
void mt_failed_retry(struct mt_session *s);

#endif
