/* The state file: opening, format, damage, and words for what SQLite says. See file.h.
 *
 * Called by store.c (on the thread that opens a state) and kv.c (on its own). */
#include "state/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { VERSION = 2, BUSY_MS = MT_FILE_BUSY_MS, AGAIN_MS = 20 };

/* Of two threads that find one file damaged, the second must not move the new one aside. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static atomic_uint damaged_files;

/* Texts of resources and scopes are few and long, entities many: pairs hold small ids. A pair is one row of
 * about 40 bytes. */
static const char version_1[] =
    "CREATE TABLE identity(id INTEGER PRIMARY KEY, base TEXT, type TEXT, identifier TEXT, run INTEGER NOT "
    "NULL DEFAULT 0,"
    " UNIQUE(base, type, identifier));"
    "CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE pair(identity INTEGER, entity BLOB, resource INTEGER, scope INTEGER, run INTEGER NOT NULL,"
    " PRIMARY KEY(identity, entity, resource, scope)) WITHOUT ROWID;";
/* Rows of up to 64 KB: the index is kept apart from them. */
static const char version_2[] =
    "CREATE TABLE kv(section TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, UNIQUE(section, key));"
    "PRAGMA user_version = 2;";

/* ---- words ---- */

/* "process 4711 (sqlite3)": who holds a write lock on the file or on its shared memory, as far as the system
 * tells. */
static bool find_holder(const char *path, char *out, size_t size)
{
    char line[256], kind[16], mode[16], name[64] = "";
    struct stat main = {0}, shared = {0};
    char *shm = mt_format("%s-shm", path);
    long holder = 0;
    if (stat(path, &main) != 0)
        main.st_ino = 0;
    if (stat(shm, &shared) != 0)
        shared.st_ino = 0;
    free(shm);
    FILE *f = fopen("/proc/locks", "re");
    while (f && !holder && fgets(line, sizeof line, f)) {
        long pid = 0;
        unsigned long inode = 0;
        if (sscanf(line, "%*d: %15s %*s %15s %ld %*[^:]:%*[^:]:%lu", kind, mode, &pid, &inode) == 4 &&
            inode && (inode == main.st_ino || inode == shared.st_ino) && strcmp(kind, "POSIX") == 0 &&
            strcmp(mode, "WRITE") == 0 && pid > 0 && pid != (long)getpid())
            holder = pid;
    }
    if (f)
        fclose(f);
    if (!holder)
        return false;
    snprintf(line, sizeof line, "/proc/%ld/comm", holder);
    f = fopen(line, "re");
    if (f && fgets(name, sizeof name, f))
        name[strcspn(name, "\n")] = '\0';
    if (f)
        fclose(f);
    snprintf(out, size, "process %ld%s%s%s", holder, name[0] ? " (" : "", name, name[0] ? ")" : "");
    return true;
}

static const char *shown(const struct mt_file *file)
{
    return file->path ? file->path : "(in memory)";
}

/* What the system said to the last read or write that failed; 0: unknown. SQLite's own word for a quota or a
 * limit on files is "disk I/O error" only, and a commit that fails leaves no number at the connection. */
static int find_cause(sqlite3 *db)
{
    int cause = sqlite3_system_errno(db);
    sqlite3_file *log = NULL;
    if (!cause && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
        log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &cause);
    if (!cause)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &cause);
    return cause;
}

enum mt_rc mt_file_failed(const struct mt_file *file, const char *what, struct mt_err *err)
{
    char holder[96] = "another program (a backup, a shell of sqlite3, a stopped moontide)";
    const int code = sqlite3_errcode(file->db) & 0xFF;
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        if (file->path)
            find_holder(file->path, holder, sizeof holder);
        return mt_fail(err, MT_EBUSY,
                       "state file %s: %s: it is locked, for more than %d s now, by %s: end that, or give "
                       "another file with --state",
                       shown(file), what, BUSY_MS / 1000, holder);
    }
    const int cause = code == SQLITE_IOERR ? find_cause(file->db) : 0;
    const bool full = code == SQLITE_FULL || cause == ENOSPC || cause == EDQUOT;
    const char *mend = full             ? ": make room there, or give another file with --state"
                       : cause == EFBIG ? ": let this process write larger files (ulimit -f), or give "
                                          "another file with --state"
                       : code == SQLITE_READONLY ? ": let this user write the file and its folder, or give "
                                                   "another file with --state"
                       : code == SQLITE_CANTOPEN ? ": is its folder there, and may this user write it?"
                                                 : "";
    return mt_fail(err, MT_EIO, "state file %s: %s: %s%s%s%s%s", shown(file), what, sqlite3_errmsg(file->db),
                   cause ? " (" : "", cause ? strerror(cause) : "", cause ? ")" : "", mend);
}

enum mt_rc mt_file_execute(struct mt_file *file, const char *sql, struct mt_err *err)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? MT_OK
               : mt_file_failed(file, "cannot be written", err);
}

static bool is_damage(int code)
{
    return (code & 0xFF) == SQLITE_NOTADB || (code & 0xFF) == SQLITE_CORRUPT;
}

bool mt_file_is_damaged(const struct mt_file *file)
{
    return file->db && is_damage(sqlite3_errcode(file->db));
}

/* ---- format ---- */

static int64_t read_number(sqlite3 *db, const char *sql, int *out_code)
{
    sqlite3_stmt *st = NULL;
    int64_t value = 0;
    *out_code = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (*out_code == SQLITE_OK) {
        int step = sqlite3_step(st);
        *out_code = step == SQLITE_ROW || step == SQLITE_DONE ? SQLITE_OK : step;
        value = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    }
    sqlite3_finalize(st);
    return value;
}

/* Reads the whole file: the pairs of 200,000 entities take about 20 ms. */
static int check_pages(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        code = text && strcmp(text, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(st);
    return code;
}

/* A kill -9 leaves all of it or none. Others may do the same at the same time: who comes second finds it
 * done. */
static enum mt_rc bring_up(struct mt_file *file, struct mt_err *err)
{
    int code;
    enum mt_rc rc = mt_file_execute(file, "BEGIN IMMEDIATE", err);
    if (rc != MT_OK)
        return rc;
    int64_t version = read_number(file->db, "PRAGMA user_version", &code);
    if (code != SQLITE_OK)
        rc = mt_file_failed(file, "cannot be read", err);
    if (rc == MT_OK && version < 1)
        rc = mt_file_execute(file, version_1, err);
    if (rc == MT_OK && version < 2)
        rc = mt_file_execute(file, version_2, err);
    if (rc == MT_OK)
        rc = mt_file_execute(file, "COMMIT", err);
    if (rc != MT_OK)
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* The change to a write-ahead log does not wait for locks by itself. */
static enum mt_rc use_log(struct mt_file *file, struct mt_err *err)
{
    const uint64_t begin = mt_now_ns();
    int code;
    while ((code = sqlite3_exec(file->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", NULL,
                                NULL, NULL)) == SQLITE_BUSY &&
           mt_now_ns() - begin < (uint64_t)BUSY_MS * 1000000)
        sqlite3_sleep(AGAIN_MS);
    return code == SQLITE_OK ? MT_OK : mt_file_failed(file, "cannot be written", err);
}

/* ---- opening ---- */

/* For plan, which leaves nothing behind. Without a write-ahead log nobody is at work on the file and it is
 * read as it lies; else the log has to be read with it, through the other process's shared memory. */
static int open_readonly(struct mt_file *file)
{
    struct mt_buf uri;
    struct stat st;
    char *wal = mt_format("%s-wal", file->path);
    bool quiet = stat(wal, &st) != 0 || st.st_size == 0;
    mt_buf_init(&uri, 1 << 16);
    mt_buf_puts(&uri, "file:");
    for (const char *p = file->path; *p; p++)
        mt_buf_printf(&uri, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    mt_buf_puts(&uri, quiet ? "?immutable=1" : "");
    int code = sqlite3_open_v2(mt_buf_text(&uri), &file->db,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    mt_buf_fini(&uri);
    free(wal);
    return code;
}

static void remember(struct mt_file *file)
{
    struct stat st;
    if (file->path && stat(file->path, &st) == 0) {
        file->device = st.st_dev;
        file->inode = st.st_ino;
    }
}

/* Opens the file and looks into it. *out_damaged: it is no database, or a broken one. */
static enum mt_rc look(struct mt_file *file, bool readonly, bool *out_damaged, struct mt_err *err)
{
    const bool memory = !file->path || (readonly && access(file->path, F_OK) != 0);
    int code = readonly && !memory
                   ? open_readonly(file)
                   : sqlite3_open_v2(memory ? ":memory:" : file->path, &file->db,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_busy_timeout(file->db, BUSY_MS);
    remember(file);
    /* In this order: another process may bring the file up meanwhile, which changes both at once. */
    int64_t tables =
        code == SQLITE_OK ? read_number(file->db, "SELECT count(*) FROM sqlite_schema", &code) : 0;
    int64_t version = code == SQLITE_OK ? read_number(file->db, "PRAGMA user_version", &code) : 0;
    if (code == SQLITE_OK && version > 0 && version <= VERSION)
        code = check_pages(file->db);
    *out_damaged = is_damage(code);
    if (code != SQLITE_OK)
        return mt_file_failed(file, "cannot be opened", err);
    if (version > VERSION)
        return mt_fail(err, MT_EINVAL,
                       "state file %s was written by a newer version of moontide (its format is %lld, this "
                       "program knows %d): "
                       "use that version, or give another file with --state",
                       file->path, (long long)version, VERSION);
    if (version == 0 && tables > 0)
        return mt_fail(err, MT_EINVAL, "%s is a database of something else: give another file with --state",
                       file->path);
    if (version == VERSION)
        return MT_OK;
    if (readonly && !memory) /* of version 1, without what came later; or empty */
        return mt_file_execute(file,
                               version == 0
                                   ? "CREATE TEMP TABLE identity(id, base, type, identifier, run);"
                                     "CREATE TEMP TABLE name(id, text);"
                                     "CREATE TEMP TABLE pair(identity, entity, resource, scope, run);"
                                     "CREATE TEMP TABLE kv(section, key, value)"
                                   : "CREATE TEMP TABLE kv(section, key, value)",
                               err);
    return bring_up(file, err);
}

static enum mt_rc move_aside(struct mt_file *file, struct mt_err *err)
{
    struct tm tm;
    time_t now = time(NULL);
    char when[32];
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    char *aside = mt_format("%s.damaged-%s", file->path, when), *wal = mt_format("%s-wal", file->path),
         *shm = mt_format("%s-shm", file->path);
    sqlite3_close(file->db);
    file->db = NULL;
    enum mt_rc rc = MT_OK;
    if (!mt_file_is_current(file)) {
        mt_log(MT_INFO, "state file %s was damaged, and another process has begun a new one", file->path);
    } else if (rename(file->path, aside) == 0) {
        unlink(wal);
        unlink(shm);
        mt_log(MT_WARN,
               "state file %s is damaged; it was moved to %s and a new one is begun: this costs time, no "
               "entity; what scripts kept with tide.kv is gone",
               file->path, aside);
        atomic_fetch_add(&damaged_files, 1);
    } else {
        rc =
            mt_fail(err, MT_EIO, "state file %s is damaged and cannot be moved aside: delete it", file->path);
    }
    free(aside);
    free(wal);
    free(shm);
    return rc;
}

enum mt_rc mt_file_open(struct mt_file *file, const char *path, bool readonly, struct mt_err *err)
{
    bool damaged = false;
    *file = (struct mt_file){.path = mt_strdup(path)};
    pthread_mutex_lock(&opening);
    enum mt_rc rc = look(file, readonly, &damaged, err);
    if (rc != MT_OK && damaged && readonly) {
        mt_log(MT_WARN, "state file %s is damaged; it is read as if it were empty", file->path);
        sqlite3_close(file->db);
        file->db = NULL;
        rc = sqlite3_open(":memory:", &file->db) == SQLITE_OK ? bring_up(file, err)
                                                              : mt_file_failed(file, "cannot be opened", err);
    } else if (rc != MT_OK && damaged) {
        rc = move_aside(file, err);
        if (rc == MT_OK)
            rc = look(file, false, &damaged, err);
    }
    if (rc == MT_OK && !readonly)
        rc = use_log(file, err);
    pthread_mutex_unlock(&opening);
    if (rc != MT_OK)
        mt_file_close(file);
    return rc;
}

void mt_file_wait(struct mt_file *file, unsigned ms)
{
    sqlite3_busy_timeout(file->db, (int)ms);
}

unsigned mt_file_damaged_count(void)
{
    return atomic_load(&damaged_files);
}

void mt_file_close(struct mt_file *file)
{
    sqlite3_close(file->db);
    free(file->path);
    *file = (struct mt_file){0};
}

bool mt_file_is_current(const struct mt_file *file)
{
    struct stat st;
    if (!file->path)
        return true;
    if (stat(file->path, &st) != 0)
        return file->inode == 0;
    return st.st_dev == file->device && st.st_ino == file->inode;
}
