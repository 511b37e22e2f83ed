/* The state file itself: opening, checking, its tables. Called by state.c, at open and close on the caller's
 * thread, between them on the state's own.
 *
 * Tables (schema 1): identity (base URL, type, identifier; the number of its last run), text (small integers
 * for resources and scopes), produced (the pairs of an entity, with the run that produced it last), begun
 * (resources whose records of that run may be incomplete: a run that was killed leaves its row). */
#include "state/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

enum { SCHEMA = 1, APPLICATION = 0x4d54494e, CLEAN_EVERY = 16, BUSY_MS = 30000 };

static const char TABLES[] =
    "CREATE TABLE identity(id INTEGER PRIMARY KEY, base_url TEXT NOT NULL, type TEXT NOT NULL, identifier "
    "TEXT NOT NULL,"
    " run INTEGER NOT NULL, UNIQUE(base_url, type, identifier));"
    "CREATE TABLE text(id INTEGER PRIMARY KEY, identity INTEGER NOT NULL, value TEXT NOT NULL, "
    "UNIQUE(identity, value));"
    "CREATE TABLE produced(identity INTEGER NOT NULL, key BLOB NOT NULL, resource INTEGER NOT NULL, scope "
    "INTEGER NOT NULL,"
    " run INTEGER NOT NULL, PRIMARY KEY(identity, key, resource, scope)) WITHOUT ROWID;"
    "CREATE TABLE begun(identity INTEGER NOT NULL, resource INTEGER NOT NULL, run INTEGER NOT NULL,"
    " PRIMARY KEY(identity, resource, run)) WITHOUT ROWID;";

enum mt_rc mt_store_fail(sqlite3 *db, const char *path, const char *doing, struct mt_err *err)
{
    int code = sqlite3_errcode(db);
    const char *text = sqlite3_errmsg(db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return mt_fail(err, MT_EIO, "%s %s: the disk is full; free some space", path, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mt_fail(err, MT_EBUSY, "%s %s: another process has kept it locked for 30 s", path, doing);
    case SQLITE_NOMEM:
        return mt_fail(err, MT_ENOMEM, "%s %s: no memory left", path, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return mt_fail(err, MT_EIO, "%s %s: the file is damaged (%s); the next start moves it aside", path,
                       doing, text);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return mt_fail(
            err, MT_EIO,
            "%s %s: %s; make the file and its folder writable or choose another place with --state", path,
            doing, text);
    default:
        return mt_fail(err, MT_EIO, "%s %s: %s", path, doing, text);
    }
}

static bool failed(struct mt_store *s, const char *doing, struct mt_err *err)
{
    mt_store_fail(s->db, s->path, doing, err);
    return false;
}

static bool run_sql(struct mt_store *s, const char *sql, const char *doing, struct mt_err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? true : failed(s, doing, err);
}

/* Runs a statement that gives at most one integer. */
static int query_int(struct mt_store *s, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            *out = sqlite3_column_int64(stmt, 0);
            rc = SQLITE_OK;
        }
    }
    int end = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? end : rc;
}

/* ---- opening ---- */

static bool is_damage(int rc)
{
    rc &= 0xff;
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

/* quick_check reads the whole file: 8 MB, the records of 200,000 entities, take 20 ms. */
static int check(struct mt_store *s)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        rc = text && strcmp(text, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* A relative path that ends up in a "file:" name of its own, with what that form reserves escaped. */
static char *uri_of(const char *path)
{
    struct mt_buf uri;
    mt_buf_init(&uri, 1 << 16);
    mt_buf_puts(&uri, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("%?#", *p))
            mt_buf_printf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
        else
            mt_buf_putc(&uri, *p);
    mt_buf_puts(&uri, "?mode=ro&immutable=1");
    char *text = mt_strdup(mt_buf_text(&uri));
    mt_buf_fini(&uri);
    return text;
}

/* Without a write-ahead log nobody else is at work, and the file can be read without leaving a trace; with
 * one the log has to be read too, which needs its shared memory file. */
static int open_readonly(struct mt_store *s)
{
    struct stat st;
    char *wal = mt_format("%s-wal", s->path);
    bool quiet = stat(wal, &st) < 0 || st.st_size == 0;
    free(wal);
    if (!quiet)
        return sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    char *uri = uri_of(s->path);
    int rc = sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    free(uri);
    return rc;
}

static void close_database(struct mt_store *s)
{
    sqlite3_stmt **statements[] = {&s->produced, &s->forget, &s->pairs, &s->text, &s->text_id};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_finalize(*statements[i]);
        *statements[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

enum found { FOUND_GOOD, FOUND_NEW, FOUND_DAMAGED, FOUND_WRONG };

/* Opens the file and tells what is in it; FOUND_WRONG fills err. */
static enum found look(struct mt_store *s, struct mt_err *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int rc = s->readonly
                 ? open_readonly(s)
                 : sqlite3_open_v2(s->path, &s->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        rc = sqlite3_exec(s->db, "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        rc = query_int(s, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = query_int(s, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = query_int(s, "SELECT count(*) FROM sqlite_master", &tables);
    if (rc == SQLITE_OK && tables == 0 && application == 0)
        return FOUND_NEW;
    if (rc == SQLITE_OK && application != APPLICATION) {
        mt_fail(err, MT_EINVAL, "%s is a database of another program: choose another place with --state",
                s->path);
        return FOUND_WRONG;
    }
    if (rc == SQLITE_OK && version > SCHEMA) {
        mt_fail(err, MT_EINVAL,
                "%s was written by a newer moontide (schema %lld, this one knows %d): update moontide, or "
                "choose another state file "
                "with --state",
                s->path, (long long)version, SCHEMA);
        return FOUND_WRONG;
    }
    if (rc == SQLITE_OK)
        rc = check(s);
    if (rc == SQLITE_OK)
        return FOUND_GOOD;
    if (is_damage(rc))
        return FOUND_DAMAGED;
    failed(s, "cannot be opened", err);
    return FOUND_WRONG;
}

static bool move_aside(struct mt_store *s, struct mt_err *err)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    char *aside = mt_format("%s.damaged-%s-%ld", s->path, stamp, (long)getpid());
    bool ok = rename(s->path, aside) == 0;
    if (!ok)
        mt_fail(err, MT_EIO, "%s is damaged and cannot be moved aside: %s; remove it", s->path,
                strerror(errno));
    for (size_t i = 0; ok && i < 2; i++) {
        char *from = mt_format("%s%s", s->path, suffixes[i]), *to = mt_format("%s%s", aside, suffixes[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            unlink(from); /* an old log must not be read into the new file */
        free(from);
        free(to);
    }
    if (ok)
        mt_log(MT_WARN,
               "the state file %s is damaged: it was moved to %s and a new one is begun; until its records "
               "are complete again a failed kind "
               "withholds more deletes than it had to",
               s->path, aside);
    free(aside);
    return ok;
}

static bool create(struct mt_store *s, struct mt_err *err)
{
    char pragmas[120];
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION,
             SCHEMA);
    return run_sql(s, "BEGIN IMMEDIATE", "cannot be written", err) &&
           run_sql(s, TABLES, "cannot be written", err) && run_sql(s, pragmas, "cannot be written", err) &&
           run_sql(s, "COMMIT", "cannot be written", err);
}

static bool prepare(struct mt_store *s, const char *sql, sqlite3_stmt **out, struct mt_err *err)
{
    return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK
               ? true
               : failed(s, "cannot be read", err);
}

/* A new statement with this identity as ?1 and texts from ?2 on. */
static sqlite3_stmt *statement(struct mt_store *s, const char *sql, struct mt_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        failed(s, "cannot be read", err);
        return NULL;
    }
    sqlite3_bind_int64(stmt, 1, s->identity);
    return stmt;
}

/* Runs a statement that gives no row (or one, which is left unread), and finalizes it. */
static bool finish(struct mt_store *s, sqlite3_stmt *stmt, struct mt_err *err)
{
    if (!stmt)
        return false;
    int step = sqlite3_step(stmt);
    bool ok = (step == SQLITE_DONE || step == SQLITE_ROW) || failed(s, "cannot be written", err);
    sqlite3_finalize(stmt);
    return ok;
}

static bool find_identity(struct mt_store *s, const struct mt_state_options *o, struct mt_err *err)
{
    sqlite3_stmt *stmt = statement(
        s, "SELECT id, run FROM identity WHERE base_url = ?2 AND type = ?3 AND identifier = ?4 AND ?1 = 0",
        err);
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 2, o->base_url, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, o->type, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 4, o->identifier, -1, SQLITE_STATIC);
    int step = sqlite3_step(stmt);
    if (step == SQLITE_ROW) {
        s->identity = sqlite3_column_int64(stmt, 0);
        s->run = sqlite3_column_int64(stmt, 1);
    }
    bool ok = step == SQLITE_ROW || step == SQLITE_DONE || failed(s, "cannot be read", err);
    sqlite3_finalize(stmt);
    return ok;
}

/* Numbers this run. Every sixteenth one also removes texts that no record uses any more. */
static bool begin_run(struct mt_store *s, const struct mt_state_options *o, struct mt_err *err)
{
    if (!mt_store_begin(s, err) || !find_identity(s, o, err))
        return false;
    sqlite3_stmt *stmt;
    if (!s->identity) {
        stmt =
            statement(s, "INSERT INTO identity(base_url, type, identifier, run) VALUES(?2, ?3, ?4, ?1)", err);
        if (stmt) {
            sqlite3_bind_text(stmt, 2, o->base_url, -1, SQLITE_STATIC);
            sqlite3_bind_text(stmt, 3, o->type, -1, SQLITE_STATIC);
            sqlite3_bind_text(stmt, 4, o->identifier, -1, SQLITE_STATIC);
        }
        if (!finish(s, stmt, err))
            return false;
        s->identity = sqlite3_last_insert_rowid(s->db);
    }
    s->run++;
    stmt = statement(s, "UPDATE identity SET run = ?2 WHERE id = ?1", err);
    if (stmt)
        sqlite3_bind_int64(stmt, 2, s->run);
    if (!finish(s, stmt, err))
        return false;
    if (s->run % CLEAN_EVERY == 0 &&
        !finish(s,
                statement(s,
                          "DELETE FROM text WHERE identity = ?1 AND id NOT IN (SELECT resource FROM produced "
                          "WHERE identity = ?1"
                          " UNION SELECT scope FROM produced WHERE identity = ?1 UNION SELECT resource FROM "
                          "begun WHERE identity = ?1)",
                          err),
                err))
        return false;
    return mt_store_commit(s, err);
}

static bool prepare_all(struct mt_store *s, struct mt_err *err)
{
    return prepare(s,
                   "INSERT INTO produced(identity, key, resource, scope, run) VALUES(?1, ?2, ?3, ?4, ?5)"
                   " ON CONFLICT DO UPDATE SET run = excluded.run",
                   &s->produced, err) &&
           prepare(s, "DELETE FROM produced WHERE identity = ?1 AND key = ?2", &s->forget, err) &&
           /* With a record, also what a killed run may have produced without noting it. */
           prepare(s,
                   "WITH known AS (SELECT resource, scope FROM produced WHERE identity = ?1 AND key = ?2)"
                   " SELECT r.value, c.value FROM known JOIN text r ON r.id = resource JOIN text c ON c.id = "
                   "scope"
                   " UNION ALL SELECT r.value, NULL FROM begun JOIN text r ON r.id = begun.resource"
                   " WHERE begun.identity = ?1 AND begun.run < ?3 AND EXISTS (SELECT 1 FROM known)",
                   &s->pairs, err) &&
           prepare(s, "INSERT OR IGNORE INTO text(identity, value) VALUES(?1, ?2)", &s->text, err) &&
           prepare(s, "SELECT id FROM text WHERE identity = ?1 AND value = ?2", &s->text_id, err);
}

static bool open_writable(struct mt_store *s, const struct mt_state_options *o, enum found found,
                          struct mt_err *err)
{
    return run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=8388608",
                   "cannot be written", err) &&
           (found != FOUND_NEW || create(s, err)) && begin_run(s, o, err) && prepare_all(s, err);
}

enum mt_rc mt_store_open(const struct mt_state_options *o, struct mt_store *s, struct mt_err *err)
{
    struct mt_err local;
    struct stat st;
    *s = (struct mt_store){.path = mt_strdup(o->path), .readonly = o->readonly};
    err = err ? err : &local;
    err->rc = MT_OK;
    if (o->readonly && stat(o->path, &st) < 0 && errno == ENOENT)
        return MT_OK;
    enum found found = look(s, err);
    if (found == FOUND_DAMAGED) {
        close_database(s);
        if (o->readonly) {
            mt_log(MT_WARN, "the state file %s is damaged: it is read as empty", o->path);
            return MT_OK;
        }
        found = move_aside(s, err) ? look(s, err) : FOUND_WRONG;
        if (found == FOUND_DAMAGED)
            failed(s, "cannot be opened", err);
    }
    bool ok;
    if (!o->readonly)
        ok = (found == FOUND_GOOD || found == FOUND_NEW) && open_writable(s, o, found, err);
    else if (found == FOUND_NEW)
        return close_database(s), MT_OK;
    else
        ok = found == FOUND_GOOD && find_identity(s, o, err) && prepare_all(s, err);
    if (ok)
        return MT_OK;
    enum mt_rc rc = err->rc;
    mt_store_close(s);
    return rc;
}

void mt_store_close(struct mt_store *s)
{
    close_database(s);
    free(s->path);
    s->path = NULL;
}

/* ---- records ---- */

bool mt_store_begin(struct mt_store *s, struct mt_err *err)
{
    return run_sql(s, "BEGIN IMMEDIATE", "cannot be written", err);
}

bool mt_store_commit(struct mt_store *s, struct mt_err *err)
{
    return run_sql(s, "COMMIT", "cannot be written", err);
}

void mt_store_rollback(struct mt_store *s)
{
    if (!sqlite3_get_autocommit(s->db)) /* a full disk has ended it already */
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

static bool step_write(struct mt_store *s, sqlite3_stmt *stmt, struct mt_err *err)
{
    bool ok = sqlite3_step(stmt) == SQLITE_DONE || failed(s, "cannot be written", err);
    sqlite3_reset(stmt);
    return ok;
}

int64_t mt_store_text(struct mt_store *s, struct mt_slice text, struct mt_err *err)
{
    int64_t id = 0;
    sqlite3_stmt *statements[] = {s->text, s->text_id};
    for (int i = 0; i < 2; i++) {
        sqlite3_bind_int64(statements[i], 1, s->identity);
        sqlite3_bind_text64(statements[i], 2, text.n ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
    }
    if (step_write(s, s->text, err)) {
        if (sqlite3_step(s->text_id) == SQLITE_ROW)
            id = sqlite3_column_int64(s->text_id, 0);
        else
            failed(s, "cannot be read", err);
    }
    for (int i = 0; i < 2; i++) {
        sqlite3_reset(statements[i]);
        sqlite3_clear_bindings(statements[i]);
    }
    return id;
}

bool mt_store_begun(struct mt_store *s, int64_t resource, struct mt_err *err)
{
    sqlite3_stmt *stmt =
        statement(s, "INSERT OR IGNORE INTO begun(identity, resource, run) VALUES(?1, ?2, ?3)", err);
    if (stmt) {
        sqlite3_bind_int64(stmt, 2, resource);
        sqlite3_bind_int64(stmt, 3, s->run);
    }
    return finish(s, stmt, err);
}

bool mt_store_ended(struct mt_store *s, struct mt_err *err)
{
    sqlite3_stmt *stmt = statement(s, "DELETE FROM begun WHERE identity = ?1 AND run = ?2", err);
    if (stmt)
        sqlite3_bind_int64(stmt, 2, s->run);
    return finish(s, stmt, err);
}

bool mt_store_produced(struct mt_store *s, const struct mt_key *key, int64_t resource, int64_t scope,
                       struct mt_err *err)
{
    sqlite3_bind_int64(s->produced, 1, s->identity);
    sqlite3_bind_blob(s->produced, 2, key->b, sizeof key->b, SQLITE_STATIC);
    sqlite3_bind_int64(s->produced, 3, resource);
    sqlite3_bind_int64(s->produced, 4, scope);
    sqlite3_bind_int64(s->produced, 5, s->run);
    return step_write(s, s->produced, err);
}

bool mt_store_forget(struct mt_store *s, const struct mt_key *key, struct mt_err *err)
{
    sqlite3_bind_int64(s->forget, 1, s->identity);
    sqlite3_bind_blob(s->forget, 2, key->b, sizeof key->b, SQLITE_STATIC);
    return step_write(s, s->forget, err);
}

/* A scope that failed covers what is nested in it too ("a" covers "a/b"). */
static bool keep_scope(struct mt_store *s, const char *scope, struct mt_err *err)
{
    sqlite3_stmt *stmt =
        statement(s,
                  "INSERT OR IGNORE INTO temp.keep SELECT id FROM text WHERE identity = ?1 AND"
                  " (value = ?2 OR substr(value, 1, length(?2) + 1) = ?2 || '/' OR ?2 = '')",
                  err);
    if (stmt)
        sqlite3_bind_text(stmt, 2, scope, -1, SQLITE_STATIC);
    return finish(s, stmt, err);
}

bool mt_store_forget_stale(struct mt_store *s, const char *resource, const char *const *keep_scopes,
                           struct mt_err *err)
{
    bool whole = !keep_scopes || !keep_scopes[0];
    int64_t id = mt_store_text(s, mt_slice_of(resource), err);
    if (!id ||
        !run_sql(s, "CREATE TEMP TABLE IF NOT EXISTS keep(id INTEGER PRIMARY KEY); DELETE FROM temp.keep",
                 "cannot be written", err))
        return false;
    for (; keep_scopes && *keep_scopes; keep_scopes++)
        if (!keep_scope(s, *keep_scopes, err))
            return false;
    sqlite3_stmt *stmt = statement(s,
                                   "DELETE FROM produced WHERE identity = ?1 AND resource = ?2 AND run < ?3"
                                   " AND scope NOT IN (SELECT id FROM temp.keep)",
                                   err);
    if (stmt) {
        sqlite3_bind_int64(stmt, 2, id);
        sqlite3_bind_int64(stmt, 3, s->run);
    }
    if (!finish(s, stmt, err))
        return false;
    if (!whole)
        return true;
    /* All of it is known again: what a killed run left open is settled. */
    stmt = statement(s, "DELETE FROM begun WHERE identity = ?1 AND resource = ?2 AND run < ?3", err);
    if (stmt) {
        sqlite3_bind_int64(stmt, 2, id);
        sqlite3_bind_int64(stmt, 3, s->run);
    }
    return finish(s, stmt, err);
}

static bool put_text(sqlite3_stmt *stmt, int column, struct mt_buf *out)
{
    uint32_t length = UINT32_MAX;
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return mt_buf_add(out, &length, sizeof length);
    const unsigned char *text = sqlite3_column_text(stmt, column);
    length = (uint32_t)sqlite3_column_bytes(stmt, column);
    return text && mt_buf_add(out, &length, sizeof length) && mt_buf_add(out, text, length);
}

bool mt_store_pairs(struct mt_store *s, const struct mt_key *key, struct mt_buf *out, struct mt_err *err)
{
    int step;
    bool ok = true;
    sqlite3_bind_int64(s->pairs, 1, s->identity);
    sqlite3_bind_blob(s->pairs, 2, key->b, sizeof key->b, SQLITE_STATIC);
    sqlite3_bind_int64(s->pairs, 3, s->readonly ? INT64_MAX : s->run);
    while ((step = sqlite3_step(s->pairs)) == SQLITE_ROW && ok)
        ok = put_text(s->pairs, 0, out) && put_text(s->pairs, 1, out);
    if (!ok)
        mt_fail(err, MT_ENOMEM, "no memory left for the records of an entity");
    else if (step != SQLITE_DONE)
        ok = failed(s, "cannot be read", err);
    sqlite3_reset(s->pairs);
    return ok;
}
