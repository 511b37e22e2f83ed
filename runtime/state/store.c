/* The records of resyncs in the state file: statements. Called on the state's thread only (mt_store_open on
 * the opener's, before that thread exists). */
#include "state/store.h"

enum { AGAIN_MS = 100 };

static bool prepare(struct mt_store *s, sqlite3_stmt **out, const char *sql)
{
    return sqlite3_prepare_v3(s->file.db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK;
}

/* A run that is under way has a pair of no entity, so that one whose records could not be written, or that
 * did not come to its end, is known for what it is by the next one. */
#define UNDER_WAY "identity = ? AND entity = x'' AND resource = 0 AND scope = 0"

static bool find_identity(struct mt_store *s, const struct mt_state_options *o)
{
    sqlite3_stmt *st = NULL;
    const char *sql = o->readonly
                          ? "SELECT id, run + 1 FROM identity WHERE base = ? AND type = ? AND identifier = ?"
                          : "INSERT INTO identity(base, type, identifier, run) VALUES(?, ?, ?, 1)"
                            " ON CONFLICT DO UPDATE SET run = run + 1 RETURNING id, run";
    bool ok = prepare(s, &st, sql);
    if (ok) {
        sqlite3_bind_text(st, 1, o->base_url, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 2, o->type, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 3, o->identifier, -1, SQLITE_STATIC);
        int step = sqlite3_step(st);
        ok = step == SQLITE_ROW || step == SQLITE_DONE;
        if (step == SQLITE_ROW) {
            s->identity = sqlite3_column_int64(st, 0);
            s->run = sqlite3_column_int64(st, 1);
        }
        ok = sqlite3_reset(st) == SQLITE_OK && ok;
    }
    sqlite3_finalize(st);
    return ok;
}

/* Runs a statement about this identity; *out_found: it gave a row. */
static bool run_once(struct mt_store *s, const char *sql, bool *out_found)
{
    sqlite3_stmt *st = NULL;
    bool ok = prepare(s, &st, sql);
    if (ok) {
        sqlite3_bind_int64(st, 1, s->identity);
        int step = sqlite3_step(st);
        ok = step == SQLITE_ROW || step == SQLITE_DONE;
        if (out_found)
            *out_found = step == SQLITE_ROW;
        ok = sqlite3_reset(st) == SQLITE_OK && ok;
    }
    sqlite3_finalize(st);
    return ok;
}

static enum mt_rc begin_run(struct mt_store *s, const struct mt_state_options *o, struct mt_err *err)
{
    enum mt_rc rc = o->readonly ? MT_OK : mt_file_execute(&s->file, "BEGIN IMMEDIATE", err);
    if (rc != MT_OK)
        return rc;
    bool ok = find_identity(s, o) && run_once(s, "SELECT 1 FROM pair WHERE " UNDER_WAY, &s->partial);
    if (o->readonly)
        return ok ? MT_OK : mt_file_failed(&s->file, "cannot be read", err);
    ok = ok && run_once(s, "INSERT OR IGNORE INTO pair VALUES(?, x'', 0, 0, 0)", NULL);
    rc = ok ? mt_file_execute(&s->file, "COMMIT", err) : mt_file_failed(&s->file, "cannot be written", err);
    if (rc != MT_OK)
        sqlite3_exec(s->file.db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

enum mt_rc mt_store_settle(struct mt_store *s, bool whole, struct mt_err *err)
{
    if (s->incomplete || (s->partial && !whole))
        return MT_OK;
    return run_once(s, "DELETE FROM pair WHERE " UNDER_WAY, NULL)
               ? MT_OK
               : mt_file_failed(&s->file, "cannot be written", err);
}

enum mt_rc mt_store_open(struct mt_store *s, const struct mt_state_options *o, struct mt_err *err)
{
    *s = (struct mt_store){0};
    enum mt_rc rc = mt_file_open(&s->file, o->path, o->readonly, err);
    if (rc == MT_OK)
        rc = mt_file_execute(&s->file, "PRAGMA cache_size = -8000", err);
    if (rc == MT_OK) /* a temporary database: on disk, and gone with the process */
        rc = mt_file_execute(
            &s->file,
            "CREATE TEMP TABLE spill(list TEXT, key BLOB, value BLOB, PRIMARY KEY(list, key)) WITHOUT ROWID",
            err);
    if (rc == MT_OK)
        rc = begin_run(s, o, err);
    if (rc == MT_OK &&
        !(prepare(s, &s->add,
                  "INSERT INTO pair(identity, entity, resource, scope, run) VALUES(?, ?, ?, ?, ?)"
                  " ON CONFLICT DO UPDATE SET run = excluded.run") &&
          prepare(s, &s->pairs,
                  "SELECT r.text, p.text FROM pair JOIN name r ON r.id = resource JOIN name p ON p.id = scope"
                  " WHERE identity = ? AND entity = ?") &&
          prepare(s, &s->forget, "DELETE FROM pair WHERE identity = ? AND entity = ?") &&
          prepare(s, &s->stale,
                  "SELECT entity, scope, text FROM pair JOIN name ON id = scope"
                  " WHERE identity = ? AND resource = ? AND run < ?") &&
          prepare(s, &s->name, "SELECT id FROM name WHERE text = ?") &&
          prepare(s, &s->add_name,
                  "INSERT INTO name(text) VALUES(?) ON CONFLICT DO UPDATE SET text = excluded.text"
                  " RETURNING id") &&
          prepare(s, &s->spill, "INSERT OR REPLACE INTO spill(list, key, value) VALUES(?, ?, ?)") &&
          prepare(s, &s->spilled, "SELECT value FROM spill WHERE list = ? AND key = ?")))
        rc = mt_file_failed(&s->file, "cannot be read", err);
    if (rc != MT_OK)
        mt_store_close(s);
    return rc;
}

void mt_store_close(struct mt_store *s)
{
    sqlite3_stmt *all[] = {s->add, s->pairs, s->forget, s->stale, s->name, s->add_name, s->spill, s->spilled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sqlite3_finalize(all[i]);
    mt_file_close(&s->file);
    *s = (struct mt_store){0};
}

/* Runs a statement that gives no rows. */
static bool run(sqlite3_stmt *st)
{
    bool ok = sqlite3_step(st) == SQLITE_DONE;
    sqlite3_reset(st);
    return ok;
}

static void bind_text(sqlite3_stmt *st, int at, struct mt_slice text)
{
    sqlite3_bind_text(st, at, text.n ? text.p : "", (int)text.n, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *st, int at, struct mt_slice bytes)
{
    sqlite3_bind_blob64(st, at, bytes.n ? bytes.p : "", bytes.n, SQLITE_STATIC);
}

/* Who waited for a lock in vain waits less from then on, until it gets it: 5 s for each hundred entities
 * would make a resync of 100,000 last more than an hour longer. */
static void note_lock(struct mt_store *s, enum mt_rc rc)
{
    if (s->impatient == (rc == MT_EBUSY))
        return;
    s->impatient = rc == MT_EBUSY;
    mt_file_wait(&s->file, s->impatient ? AGAIN_MS : MT_FILE_BUSY_MS);
}

enum mt_rc mt_store_name(struct mt_store *s, struct mt_slice text, uint32_t *out_id, struct mt_err *err)
{
    bind_text(s->name, 1, text);
    bool found = sqlite3_step(s->name) == SQLITE_ROW;
    if (found)
        *out_id = (uint32_t)sqlite3_column_int64(s->name, 0);
    sqlite3_reset(s->name);
    if (found)
        return MT_OK;
    /* Another resync on this file may have made it since. */
    bind_text(s->add_name, 1, text);
    if (s->impatient) /* asked for each entity, as long as it has no id */
        mt_file_wait(&s->file, 0);
    found = sqlite3_step(s->add_name) == SQLITE_ROW;
    if (found)
        *out_id = (uint32_t)sqlite3_column_int64(s->add_name, 0);
    bool ok = sqlite3_reset(s->add_name) == SQLITE_OK && found;
    enum mt_rc rc = ok ? MT_OK : mt_file_failed(&s->file, "cannot be written", err);
    if (s->impatient)
        mt_file_wait(&s->file, AGAIN_MS);
    note_lock(s, rc);
    if (rc != MT_OK)
        s->incomplete = true;
    return rc;
}

static bool write_record(struct mt_store *s, const struct mt_store_record *r)
{
    sqlite3_stmt *st = r->change == MT_STORE_PRODUCED ? s->add : s->forget;
    sqlite3_bind_int64(st, 1, s->identity);
    sqlite3_bind_blob(st, 2, r->key.b, sizeof r->key.b, SQLITE_STATIC);
    if (r->change == MT_STORE_PRODUCED) {
        sqlite3_bind_int64(st, 3, r->resource);
        sqlite3_bind_int64(st, 4, r->scope);
        sqlite3_bind_int64(st, 5, s->run);
    }
    return run(st);
}

enum mt_rc mt_store_write(struct mt_store *s, const struct mt_store_record *records, size_t count,
                          struct mt_err *err)
{
    enum mt_rc rc = mt_file_execute(&s->file, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; rc == MT_OK && i < count; i++)
        if (!write_record(s, &records[i]))
            rc = mt_file_failed(&s->file, "cannot be written", err);
    if (rc == MT_OK)
        rc = mt_file_execute(&s->file, "COMMIT", err);
    if (rc != MT_OK) {
        sqlite3_exec(s->file.db, "ROLLBACK", NULL, NULL, NULL);
        s->incomplete = true;
    }
    note_lock(s, rc);
    return rc;
}

static struct mt_slice column(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    return (struct mt_slice){p ? p : "", (size_t)sqlite3_column_bytes(st, at)};
}

enum mt_rc mt_store_pairs(struct mt_store *s, const struct mt_key *key,
                          void (*each)(void *ud, struct mt_slice resource, struct mt_slice scope), void *ud,
                          struct mt_err *err)
{
    int step;
    sqlite3_bind_int64(s->pairs, 1, s->identity);
    sqlite3_bind_blob(s->pairs, 2, key->b, sizeof key->b, SQLITE_STATIC);
    while ((step = sqlite3_step(s->pairs)) == SQLITE_ROW)
        each(ud, column(s->pairs, 0), column(s->pairs, 1));
    enum mt_rc rc = step == SQLITE_DONE ? MT_OK : mt_file_failed(&s->file, "cannot be read", err);
    sqlite3_reset(s->pairs);
    return rc;
}

/* "a" keeps "a" and what is nested in it. */
static bool is_kept(struct mt_slice scope, const char *const *keep)
{
    for (; keep && *keep; keep++) {
        size_t n = strlen(*keep);
        if (scope.n >= n && memcmp(scope.p, *keep, n) == 0 && (scope.n == n || scope.p[n] == '/'))
            return true;
    }
    return false;
}

enum mt_rc mt_store_forget_stale(struct mt_store *s, const char *resource, const char *const *keep_scopes,
                                 struct mt_err *err)
{
    uint32_t id = 0;
    sqlite3_stmt *remove = NULL;
    if (s->incomplete) /* what this run did not produce cannot be told from what could not be written */
        return mt_fail(err, MT_EIO,
                       "state file %s: its records of this run are incomplete, nothing is forgotten",
                       s->file.path);
    enum mt_rc rc = mt_store_name(s, mt_slice_of(resource), &id, err);
    if (rc == MT_OK &&
        !prepare(s, &remove,
                 "DELETE FROM pair WHERE identity = ? AND entity = ? AND resource = ? AND scope = ?"))
        rc = mt_file_failed(&s->file, "cannot be read", err);
    if (rc == MT_OK)
        rc = mt_file_execute(&s->file, "BEGIN IMMEDIATE", err);
    if (rc != MT_OK)
        goto out;
    sqlite3_bind_int64(s->stale, 1, s->identity);
    sqlite3_bind_int64(s->stale, 2, id);
    sqlite3_bind_int64(s->stale, 3, s->run);
    /* Deleting the row that a walk stands on does not disturb the walk. */
    while (rc == MT_OK && sqlite3_step(s->stale) == SQLITE_ROW) {
        if (is_kept(column(s->stale, 2), keep_scopes))
            continue;
        sqlite3_bind_int64(remove, 1, s->identity);
        bind_blob(remove, 2, column(s->stale, 0));
        sqlite3_bind_int64(remove, 3, id);
        sqlite3_bind_int64(remove, 4, sqlite3_column_int64(s->stale, 1));
        if (!run(remove))
            rc = mt_file_failed(&s->file, "cannot be written", err);
    }
    sqlite3_reset(s->stale);
    if (rc == MT_OK)
        rc = mt_file_execute(&s->file, "COMMIT", err);
    if (rc != MT_OK)
        sqlite3_exec(s->file.db, "ROLLBACK", NULL, NULL, NULL);
out:
    sqlite3_finalize(remove);
    return rc;
}

enum mt_rc mt_store_spill(struct mt_store *s, const char *list, struct mt_slice key, struct mt_slice value,
                          struct mt_err *err)
{
    bind_text(s->spill, 1, mt_slice_of(list));
    bind_blob(s->spill, 2, key);
    bind_blob(s->spill, 3, value);
    return run(s->spill) ? MT_OK : mt_file_failed(&s->file, "a list cannot be kept on disk", err);
}

enum mt_rc mt_store_spilled(struct mt_store *s, const char *list, struct mt_slice key, struct mt_buf *out,
                            struct mt_err *err)
{
    bind_text(s->spilled, 1, mt_slice_of(list));
    bind_blob(s->spilled, 2, key);
    int step = sqlite3_step(s->spilled);
    enum mt_rc rc = step == SQLITE_ROW    ? MT_OK
                    : step == SQLITE_DONE ? MT_ENOENT
                                          : mt_file_failed(&s->file, "a list cannot be read back", err);
    if (rc == MT_OK && out && !mt_buf_put(out, column(s->spilled, 0)))
        rc = mt_fail(err, MT_ENOMEM, "no memory for a value of list %s", list);
    sqlite3_reset(s->spilled);
    return rc;
}
