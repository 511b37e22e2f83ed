/* Small values that integrations keep (tide.kv): a table of the state file, one section for each integration,
 * on a thread of its own. Shared by all bundles of a process; other processes may use the same file.
 *
 * Everything here is for the loop's thread. A value whose done said so survives kill -9. */
#ifndef MT_STATE_KV_H
#define MT_STATE_KV_H

#include "base/buf.h"
#include "net/loop.h"

struct mt_kv;

enum { MT_KV_VALUE_MAX = 64 * 1024, MT_KV_KEY_MAX = 256, MT_KV_ENTRIES_MAX = 10000 /* of a section */ };

/* Opens nothing yet: the file is made by the first write, the thread by the first call. path NULL: values end
 * with the process, nothing is on disk. */
struct mt_kv *mt_kv_new(struct mt_loop *loop, const char *path);
/* From here on what is set is seen by this kv only and never written (plan, which changes nothing). Before
 * the first call. */
void mt_kv_keep_draft(struct mt_kv *kv);
/* Commits what was written, and gives the answers that are owed before it returns. Before the loop is freed;
 * NULL is fine. */
void mt_kv_free(struct mt_kv *kv);

/* section: "base URL, type, identifier" as one text. done is called exactly once, on the loop's thread, never
 * before the call returns: value {NULL,0} when there is none, err NULL or what failed (MT_ELIMIT: too large
 * or too many, MT_EBUSY: locked, MT_EIO, MT_EINVAL: a file of a newer version or of something else). Order is
 * kept. What failed is tried anew by the next call: a file that is mended, or freed, is used again. */
void mt_kv_get(struct mt_kv *kv, const char *section, struct mt_slice key,
               void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *ud);
void mt_kv_set(struct mt_kv *kv, const char *section, struct mt_slice key,
               struct mt_slice value, /* {NULL,0}: removes it */
               void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *ud);

#endif
