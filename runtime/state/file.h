/* Private to state/: the state file as such, which the records of resyncs (store.c) and tide.kv (kv.c) share,
 * each through a connection of its own.
 *
 * Any thread; calls for one path are put in order by a lock of the process, because opening may repair. */
#ifndef MT_STATE_FILE_H
#define MT_STATE_FILE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/error.h"

struct mt_file {
    sqlite3 *db;
    char *path; /* NULL: in memory only */
    dev_t device;
    ino_t inode; /* of what was opened; 0: nothing on disk */
};

/* Opens it, made anew or brought up to this program's format where it must be. A damaged file is moved aside
 * (".damaged-…") with a warning and a new one begun: the connections that others have open go on in the file
 * that was moved and see it by mt_file_is_current. readonly: nothing is written; an absent or damaged file
 * counts as empty. path NULL: a file that ends with the connection. MT_EINVAL: of a newer version, or of
 * something else; MT_EBUSY: locked; MT_EIO. Blocks for up to 5 s while it is locked. On failure there is
 * nothing to close. */
enum mt_rc mt_file_open(struct mt_file *file, const char *path, bool readonly, struct mt_err *err);
void mt_file_close(struct mt_file *file); /* also one that was closed already */
/* How long a call waits for a lock; MT_FILE_BUSY_MS at first. */
enum { MT_FILE_BUSY_MS = 5000 };
void mt_file_wait(struct mt_file *file, unsigned ms);
unsigned mt_file_damaged_count(void); /* how many were moved aside in the life of this process */

/* Is what the path names still what was opened? False: removed, or moved aside and begun anew. */
bool mt_file_is_current(const struct mt_file *file);
/* Did the last call on it find the file broken? */
bool mt_file_is_damaged(const struct mt_file *file);

/* The error of the connection's last call: `what` did not work. Returns err's rc. */
enum mt_rc mt_file_failed(const struct mt_file *file, const char *what, struct mt_err *err);
enum mt_rc mt_file_execute(struct mt_file *file, const char *sql, struct mt_err *err);

#endif
