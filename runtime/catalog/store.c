/* The catalog's database: see store.h. */
#include "catalog/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "catalog/blueprint.h"

enum {
    APPLICATION_ID = 0x4D544344, /* "MTCD" in the header of the file */
    VERSION = 1,
    BUSY_MS = 1500 /* a predecessor that is ending needs a moment for its last checkpoint */
};

/* Entity columns that a listing reads come first: rows of more than a page then need no overflow page read.
 */
static const char schema[] =
    "CREATE TABLE blueprint(identifier TEXT PRIMARY KEY, body TEXT NOT NULL, created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE entity(id INTEGER PRIMARY KEY, blueprint TEXT NOT NULL, identifier TEXT NOT NULL,"
    " datasource TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, title TEXT, icon TEXT, "
    "team TEXT,"
    " relations TEXT NOT NULL, properties TEXT NOT NULL, UNIQUE(blueprint, identifier));"
    "CREATE TABLE relation(source INTEGER NOT NULL, name TEXT NOT NULL, target INTEGER NOT NULL,"
    " PRIMARY KEY(source, name, target)) WITHOUT ROWID;"
    "CREATE INDEX relation_target ON relation(target);"
    "CREATE TABLE integration(identifier TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE request(integration TEXT PRIMARY KEY, id TEXT NOT NULL, updated INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE example(integration TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY(integration, kind)) WITHOUT ROWID;"
    "CREATE TABLE resync(id INTEGER PRIMARY KEY, integration TEXT NOT NULL, status TEXT NOT NULL, started "
    "TEXT,"
    " ended TEXT, event TEXT);"
    "CREATE INDEX resync_integration ON resync(integration, id);"
    "CREATE TABLE metric(resync INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY "
    "KEY(resync, kind))"
    " WITHOUT ROWID;"
    "CREATE TABLE log(id INTEGER PRIMARY KEY, resync INTEGER NOT NULL, at TEXT, level TEXT NOT NULL,"
    " message TEXT NOT NULL);"
    "CREATE INDEX log_resync ON log(resync);"
    "CREATE TABLE resource(kind TEXT NOT NULL, blueprint TEXT NOT NULL, identifier TEXT NOT NULL, body TEXT "
    "NOT NULL,"
    " PRIMARY KEY(kind, blueprint, identifier)) WITHOUT ROWID;"
    "CREATE TABLE migration(id TEXT PRIMARY KEY, blueprint TEXT NOT NULL, actor TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TRIGGER resync_gone AFTER DELETE ON resync BEGIN"
    " DELETE FROM metric WHERE resync=old.id; DELETE FROM log WHERE resync=old.id; END;"
    "CREATE TRIGGER integration_gone AFTER DELETE ON integration BEGIN"
    " DELETE FROM request WHERE integration=old.identifier; DELETE FROM example WHERE "
    "integration=old.identifier;"
    " DELETE FROM resync WHERE integration=old.identifier; END;";

#define ROW                                                                                                  \
    "id, blueprint, identifier, datasource, created, updated, title, icon, team, relations, properties"

static const char *const sql[MT_CAT_SQL_COUNT] = {
    [MT_CAT_BLUEPRINT_ALL] = "SELECT identifier, body, created, updated FROM blueprint ORDER BY identifier",
    [MT_CAT_BLUEPRINT_PUT] = "INSERT INTO blueprint VALUES(?1,?2,?3,?4) ON CONFLICT(identifier) DO UPDATE SET"
                             " body=excluded.body, updated=excluded.updated",
    [MT_CAT_BLUEPRINT_DELETE] = "DELETE FROM blueprint WHERE identifier=?1",
    [MT_CAT_ROW_BY_KEY] = "SELECT " ROW " FROM entity WHERE blueprint=?1 AND identifier=?2",
    [MT_CAT_ROW_BY_ID] = "SELECT " ROW " FROM entity WHERE id=?1",
    [MT_CAT_ROW_SCAN] = "SELECT " ROW " FROM entity WHERE blueprint=?1 ORDER BY identifier",
    [MT_CAT_ROW_SCAN_ALL] = "SELECT " ROW " FROM entity ORDER BY id",
    [MT_CAT_ROW_PAGE] =
        "SELECT " ROW " FROM entity WHERE blueprint=?1 ORDER BY identifier LIMIT ?2 OFFSET ?3",
    [MT_CAT_ROW_CURRENT] = "SELECT " ROW " FROM entity WHERE blueprint=?1 AND identifier=?2",
    [MT_CAT_ENTITY_ID] = "SELECT id FROM entity WHERE blueprint=?1 AND identifier=?2",
    [MT_CAT_ENTITY_INSERT] = "INSERT INTO entity(blueprint, identifier, datasource, created, updated, title, "
                             "icon, team, relations,"
                             " properties) VALUES(?1,?2,?3,?4,?4,?5,?6,?7,?8,?9)",
    [MT_CAT_ENTITY_UPDATE] =
        "UPDATE entity SET datasource=?2, updated=?3, title=?4, icon=?5, team=?6, relations=?7,"
        " properties=?8 WHERE id=?1",
    [MT_CAT_ENTITY_CONTENT] = "UPDATE entity SET relations=?2, properties=?3 WHERE id=?1",
    [MT_CAT_ENTITY_DELETE] = "DELETE FROM entity WHERE id=?1",
    [MT_CAT_ENTITY_COUNT] = "SELECT count(*) FROM entity WHERE blueprint=?1",
    [MT_CAT_ENTITY_LISTING] =
        "SELECT id, blueprint, identifier, datasource, relations FROM entity WHERE id>?1 AND"
        " updated<?2 ORDER BY id",
    [MT_CAT_RELATION_INSERT] = "INSERT OR IGNORE INTO relation VALUES(?1,?2,?3)",
    [MT_CAT_RELATION_CLEAR] = "DELETE FROM relation WHERE source=?1",
    [MT_CAT_RELATION_DROP] = "DELETE FROM relation WHERE source=?1 AND name=?2 AND (?3 IS NULL OR target=?3)",
    [MT_CAT_RELATION_SOURCES] =
        "SELECT r.source, r.name, e.blueprint, e.identifier FROM relation r JOIN entity e ON"
        " e.id=r.source WHERE r.target=?1 ORDER BY r.source",
    [MT_CAT_RELATION_INCOMING] =
        "SELECT e.blueprint, e.identifier, e.title, r.name FROM relation r JOIN entity e ON"
        " e.id=r.source WHERE r.target=?1 ORDER BY e.blueprint, r.name, e.identifier"
        " LIMIT ?2",
    [MT_CAT_INTEGRATION_GET] = "SELECT body FROM integration WHERE identifier=?1",
    [MT_CAT_INTEGRATION_ALL] = "SELECT identifier, body FROM integration ORDER BY identifier",
    [MT_CAT_INTEGRATION_PUT] = "INSERT OR REPLACE INTO integration VALUES(?1,?2)",
    [MT_CAT_INTEGRATION_DELETE] = "DELETE FROM integration WHERE identifier=?1",
    [MT_CAT_REQUEST_GET] = "SELECT id, updated FROM request WHERE integration=?1",
    [MT_CAT_REQUEST_PUT] = "INSERT OR REPLACE INTO request VALUES(?1,?2,?3)",
    [MT_CAT_EXAMPLE_GET] = "SELECT body FROM example WHERE integration=?1 AND kind=?2",
    [MT_CAT_EXAMPLE_PUT] = "INSERT OR REPLACE INTO example VALUES(?1,?2,?3)",
    [MT_CAT_RESYNC_START] =
        "INSERT INTO resync(integration, status, started, ended, event) VALUES(?1,?2,?3,?4,?5)",
    [MT_CAT_RESYNC_LAST] =
        "SELECT id, status, event FROM resync WHERE integration=?1 ORDER BY id DESC LIMIT 1",
    [MT_CAT_RESYNC_END] = "UPDATE resync SET status=?2, ended=?3 WHERE id=?1",
    [MT_CAT_RESYNC_EVENT] = "UPDATE resync SET event=?2 WHERE id=?1",
    [MT_CAT_RESYNC_BY_EVENT] = "SELECT id FROM resync WHERE event=?1 AND (?2 IS NULL OR integration=?2)"
                               " ORDER BY id DESC LIMIT 1",
    [MT_CAT_RESYNC_TRIM] =
        "DELETE FROM resync WHERE integration=?1 AND id NOT IN (SELECT id FROM resync WHERE"
        " integration=?1 ORDER BY id DESC LIMIT ?2)",
    [MT_CAT_RESYNC_RECENT] =
        "SELECT id, integration, status, started, ended FROM resync ORDER BY id DESC LIMIT ?1",
    [MT_CAT_METRIC_PUT] = "INSERT OR REPLACE INTO metric VALUES(?1,?2,?3)",
    [MT_CAT_METRIC_LIST] = "SELECT kind, body FROM metric WHERE resync=?1 ORDER BY kind",
    [MT_CAT_LOG_PUT] = "INSERT INTO log(resync, at, level, message) VALUES(?1,?2,?3,?4)",
    [MT_CAT_LOG_COUNT] = "SELECT count(*) FROM log WHERE resync=?1",
    [MT_CAT_LOG_LIST] = "SELECT at, level, message FROM log WHERE resync=?1 ORDER BY id",
    [MT_CAT_RESOURCE_PUT] = "INSERT OR REPLACE INTO resource VALUES(?1,?2,?3,?4)",
    [MT_CAT_RESOURCE_DELETE] = "DELETE FROM resource WHERE kind=?1 AND identifier=?2",
    [MT_CAT_RESOURCE_OF] = "DELETE FROM resource WHERE kind='scorecard' AND blueprint=?1",
    [MT_CAT_MIGRATION_PUT] = "INSERT INTO migration VALUES(?1,?2,?3)",
    [MT_CAT_MIGRATION_GET] = "SELECT blueprint, actor FROM migration WHERE id=?1",
};

static void fail(struct mt_cat_store *s)
{
    if (s->failed)
        return;
    s->failed = true;
    int code = sqlite3_extended_errcode(s->db);
    const char *advice = "";
    switch (code & 0xFF) {
    case SQLITE_FULL:
        advice = ": make room on its disk";
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        advice = ": make the file and its folder writable";
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        advice = ": the file is damaged; move it away (the next resync fills a new one)";
        break;
    default:
        break;
    }
    mt_fail(&s->err, MT_EIO, "catalog %s: %s (SQLite %d)%s", s->path ? s->path : "in memory",
            sqlite3_errmsg(s->db), code, advice);
}

sqlite3_stmt *mt_cat_store_sql(struct mt_cat_store *s, enum mt_cat_sql which)
{
    sqlite3_stmt *statement = s->statements[which];
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

void mt_cat_bind(sqlite3_stmt *statement, int at, struct mt_slice text)
{
    if (text.p)
        sqlite3_bind_text64(statement, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(statement, at);
}

bool mt_cat_step(struct mt_cat_store *s, sqlite3_stmt *statement)
{
    if (s->failed)
        return false;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        fail(s);
    return false;
}

void mt_cat_run(struct mt_cat_store *s, sqlite3_stmt *statement)
{
    mt_cat_step(s, statement);
    sqlite3_reset(statement);
}

struct mt_slice mt_cat_column(sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return (struct mt_slice){text, text ? (size_t)sqlite3_column_bytes(statement, at) : 0};
}

int64_t mt_cat_store_now(struct mt_cat_store *s)
{
    int64_t now = mt_wall_us();
    s->last_us = now > s->last_us ? now : s->last_us + 1;
    return s->last_us;
}

void mt_cat_store_write(struct mt_cat_store *s)
{
    if (s->writing || s->failed)
        return;
    s->writing = true;
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        fail(s);
}

enum mt_rc mt_cat_store_commit(struct mt_cat_store *s, struct mt_err *err)
{
    for (size_t i = 0; i < MT_CAT_SQL_COUNT; i++) /* an open read would hold the log's checkpoint back */
        sqlite3_reset(s->statements[i]);
    if (s->writing && !s->failed && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        fail(s);
    if (!s->failed) {
        s->writing = false;
        return MT_OK;
    }
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    struct mt_err why = s->err;
    s->failed = false;
    if (s->writing)
        mt_cat_blueprints_load(s, NULL); /* what is parsed may be from the group that is undone */
    s->writing = s->failed = false;
    mt_log_repeat(MT_ERROR, "catalog", "%s", why.text);
    if (err)
        *err = why;
    return why.rc;
}

static void make_folder(const char *path)
{
    char *folder = mt_strdup(path), *slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = '\0';
        mkdir(folder, 0777); /* when it fails, opening the file says why */
    }
    free(folder);
}

/* What is wrong with a file that does not open; called before it belongs to us. */
static enum mt_rc refuse(struct mt_cat_store *s, struct mt_err *err)
{
    int code = sqlite3_errcode(s->db) & 0xFF;
    const char *path = s->path ? s->path : "in memory", *why = sqlite3_errmsg(s->db);
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mt_fail(
            err, MT_EBUSY,
            "catalog %s is open in another process (a moontide catalog or resync); stop that one, or name "
            "another file with --db",
            path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return mt_fail(
            err, MT_EIO,
            "catalog %s is damaged or no database (%s); move it away, and the next resync fills a new one",
            path, why);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return mt_fail(err, MT_EIO,
                       "catalog %s cannot be opened for writing (%s); look at the rights of the file and "
                       "of its folder",
                       path, why);
    default:
        return mt_fail(err, MT_EIO, "catalog %s: %s", path, why);
    }
}

static int number_of(struct mt_cat_store *s, const char *pragma, int *out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(s->db, pragma, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        *out = sqlite3_column_int(statement, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum mt_rc prepare(struct mt_cat_store *s, struct mt_err *err)
{
    int application = 0, version = 0, tables = 0;
    /* The lock is held while the process lives: the blueprints are parsed once, and a second writer would not
     * see them change. With it, write-ahead logging needs no shared memory. Committed is what reached the
     * log: it survives the end of the process, and syncing is left to checkpoints (synchronous=NORMAL). */
    static const char mode[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000;"
        "PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY; BEGIN IMMEDIATE; COMMIT";
    sqlite3_busy_timeout(s->db, BUSY_MS);
    /* Before the file is first read. */
    sqlite3_exec(s->db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    if (number_of(s, "PRAGMA application_id", &application) != SQLITE_OK ||
        number_of(s, "PRAGMA user_version", &version) != SQLITE_OK ||
        number_of(s, "SELECT count(*) FROM sqlite_schema", &tables) != SQLITE_OK)
        return refuse(s, err);
    if (tables && application != APPLICATION_ID)
        return mt_fail(err, MT_EIO,
                       "%s is a database, but no catalog of moontide; name another file with --db", s->path);
    if (version > VERSION)
        return mt_fail(err, MT_EIO,
                       "catalog %s was written by a newer moontide (format %d, this one knows %d)", s->path,
                       version, VERSION);
    if (sqlite3_exec(s->db, mode, NULL, NULL, NULL) != SQLITE_OK)
        return refuse(s, err);
    if (!version) {
        char *text = mt_format("BEGIN; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", schema,
                               APPLICATION_ID, VERSION);
        int code = sqlite3_exec(s->db, text, NULL, NULL, NULL);
        free(text);
        if (code != SQLITE_OK)
            return refuse(s, err);
    }
    for (size_t i = 0; i < MT_CAT_SQL_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) !=
            SQLITE_OK)
            return refuse(s, err);
    return MT_OK;
}

enum mt_rc mt_cat_store_open(const char *path, struct mt_cat_store **out, struct mt_err *err)
{
    struct mt_cat_store *s = mt_alloc(sizeof *s);
    enum mt_rc rc;
    s->path = mt_strdup(path);
    if (path)
        make_folder(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path ? path : ":memory:", &s->db, flags, NULL) != SQLITE_OK)
        rc = s->db ? refuse(s, err) : mt_fail(err, MT_ENOMEM, "no memory for the catalog");
    else
        rc = prepare(s, err);
    if (rc == MT_OK)
        rc = mt_cat_blueprints_load(s, err);
    if (rc != MT_OK) {
        mt_cat_store_close(s);
        return rc;
    }
    *out = s;
    return MT_OK;
}

void mt_cat_store_close(struct mt_cat_store *s)
{
    if (!s)
        return;
    mt_cat_store_commit(s, NULL);
    mt_cat_blueprints_free(s->blueprints);
    for (size_t i = 0; i < MT_CAT_SQL_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}
