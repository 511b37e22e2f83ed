/* The local state file: which resource and scope produced an entity, so that a failure withholds no more than
 * it must.
 *
 * SQLite (WAL) on a thread of its own with group commit: writes are queued and return at once, reads block
 * the caller (never call them on the loop's thread). Losing the file costs time, never an entity. */
#ifndef MT_STATE_STATE_H
#define MT_STATE_STATE_H

#include "base/buf.h"
#include "base/keyset.h"
#include "base/library.h"

struct mt_state;

/* The run's place: records are kept for each (base URL, type, identifier). Takes the lock of that identity:
 * MT_EBUSY says who holds it (pid, since when), after half a second. A damaged file is moved aside (".damaged-…") with a warning,
 * a file of a newer version is refused with what to do (MT_EINVAL); full or unwritable: MT_EIO. readonly: no
 * lock, nothing is written, an absent file counts as empty (for plan). */
struct mt_state_options {
    const char *path;
    const char *base_url, *type, *identifier;
    bool readonly;
};
enum mt_rc mt_state_open(const struct mt_state_options *options, struct mt_state **out, struct mt_err *err);
/* Would the lock be granted now? MT_EBUSY as above. Makes no file. */
enum mt_rc mt_state_check_lock(const struct mt_state_options *options, struct mt_err *err);
/* How many damaged files were moved aside in the life of this process, also for tide.kv. Any thread. */
unsigned mt_state_damaged_count(void);
struct mt_library mt_state_library(void);
void mt_state_close(struct mt_state *s); /* commits what is queued */

/* Entity key was produced by resource (a stable name) in scope ("" outside of any) in this run. Queued. */
void mt_state_produced(struct mt_state *s, const struct mt_key *key, struct mt_slice resource,
                       struct mt_slice scope);
/* Commits everything queued; reports what failed since the last call. Blocks. */
enum mt_rc mt_state_flush(struct mt_state *s, struct mt_err *err);

/* The pairs known for an entity, of this run and earlier ones. Blocks. */
enum mt_rc mt_state_pairs(struct mt_state *s, const struct mt_key *key,
                          void (*each)(void *ud, struct mt_slice resource, struct mt_slice scope), void *ud,
                          struct mt_err *err);
/* Is a record of an earlier run missing, because it could not be written or because the run did not come to
 * its end? Then what is recorded of an entity does not say what else could have produced it. */
bool mt_state_is_partial(const struct mt_state *s);
/* The run came to its end and its records are written; whole: every resource ended normally, which makes good
 * for what earlier runs could not write. Blocks. */
enum mt_rc mt_state_settle(struct mt_state *s, bool whole, struct mt_err *err);
/* After a resource (and scope) ended normally: forget the pairs of it that this run did not produce. scope
 * NULL: every scope of the resource except those listed in keep_scopes (ended by NULL). Blocks. */
enum mt_rc mt_state_forget_stale(struct mt_state *s, const char *resource, const char *const *keep_scopes,
                                 struct mt_err *err);
/* Entities that were deleted. Queued. */
void mt_state_forget(struct mt_state *s, const struct mt_key *key);

/* A list on disk for what may grow with the catalog; it ends with the state. Lists are told apart by name
 * ("failed", "targets"). Block. */
enum mt_rc mt_state_spill(struct mt_state *s, const char *list, struct mt_slice key, struct mt_slice value,
                          struct mt_err *err);
bool mt_state_spilled(struct mt_state *s, const char *list,
                      struct mt_slice key); /* is there an element of this key? blocks */
/* Appends the value of an element to out. MT_ENOENT: there is none. Blocks. */
enum mt_rc mt_state_spilled_value(struct mt_state *s, const char *list, struct mt_slice key,
                                  struct mt_buf *out, struct mt_err *err);

#endif
