/* Watches a bundle's folder or packed file for changes (inotify). Loop thread. */
#ifndef MT_SERVICE_WATCH_H
#define MT_SERVICE_WATCH_H

#include "net/loop.h"

struct mt_watch;

/* `changed` is called once after a burst of changes: 40 ms after the last one, at the latest 150 ms after the
 * first. It says that something may differ, not what: compare digests. Nothing that happens after this
 * returned is missed, so watch first and read then.
 *
 * path is taken as it was written, symbolic links and all: what they lead to is watched, and a link that is
 * turned is a change (a release's `current`, the `..data` of a Kubernetes ConfigMap). It need not exist, now
 * or later. Folders that appear are watched too; editors that write a new file and rename it over the old
 * one, a packed file that is replaced, a folder that is removed and made again are followed. A file that is
 * open for writing counts when it is closed. What never runs is left out: names that end in ~ or .swp, 4913
 * and the like of other editors, and what is below .git, .moontide and node_modules.
 *
 * MT_EIO: inotify's limits are reached, with the setting to raise. When that happens later, a warning says so
 * and what could be watched stays. File systems that tell inotify nothing (NFS, shared folders of virtual
 * machines) cannot be watched; SIGHUP and POST /reload remain. */
enum mt_rc mt_watch_new(struct mt_loop *loop, const char *path, void (*changed)(void *ud), void *ud,
                        struct mt_watch **out, struct mt_err *err);
void mt_watch_free(struct mt_watch *w); /* not from inside `changed`; NULL is fine */

#endif
