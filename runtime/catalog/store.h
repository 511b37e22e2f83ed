/* The catalog's database: one SQLite connection, used on the catalog's thread only.
 *
 * Errors are sticky: the first statement that fails records why, later ones do nothing, and the next
 * mt_cat_store_commit rolls the whole group back. So the code between two commits is written as if nothing
 * could fail. */
#ifndef MT_CATALOG_STORE_H
#define MT_CATALOG_STORE_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/buf.h"

enum mt_cat_sql {
    MT_CAT_BLUEPRINT_ALL,
    MT_CAT_BLUEPRINT_PUT,
    MT_CAT_BLUEPRINT_DELETE,
    MT_CAT_ROW_BY_KEY,
    MT_CAT_ROW_BY_ID,
    MT_CAT_ROW_SCAN,
    MT_CAT_ROW_SCAN_ALL,
    MT_CAT_ROW_PAGE,
    MT_CAT_ROW_CURRENT,
    MT_CAT_ENTITY_ID,
    MT_CAT_ENTITY_INSERT,
    MT_CAT_ENTITY_UPDATE,
    MT_CAT_ENTITY_CONTENT,
    MT_CAT_ENTITY_DELETE,
    MT_CAT_ENTITY_COUNT,
    MT_CAT_ENTITY_LISTING,
    MT_CAT_RELATION_INSERT,
    MT_CAT_RELATION_CLEAR,
    MT_CAT_RELATION_DROP,
    MT_CAT_RELATION_SOURCES,
    MT_CAT_RELATION_INCOMING,
    MT_CAT_INTEGRATION_GET,
    MT_CAT_INTEGRATION_ALL,
    MT_CAT_INTEGRATION_PUT,
    MT_CAT_INTEGRATION_DELETE,
    MT_CAT_REQUEST_GET,
    MT_CAT_REQUEST_PUT,
    MT_CAT_EXAMPLE_GET,
    MT_CAT_EXAMPLE_PUT,
    MT_CAT_RESYNC_START,
    MT_CAT_RESYNC_LAST,
    MT_CAT_RESYNC_END,
    MT_CAT_RESYNC_EVENT,
    MT_CAT_RESYNC_BY_EVENT,
    MT_CAT_RESYNC_TRIM,
    MT_CAT_RESYNC_RECENT,
    MT_CAT_METRIC_PUT,
    MT_CAT_METRIC_LIST,
    MT_CAT_LOG_PUT,
    MT_CAT_LOG_COUNT,
    MT_CAT_LOG_LIST,
    MT_CAT_RESOURCE_PUT,
    MT_CAT_RESOURCE_DELETE,
    MT_CAT_RESOURCE_OF,
    MT_CAT_MIGRATION_PUT,
    MT_CAT_MIGRATION_GET,
    MT_CAT_SQL_COUNT
};

struct mt_cat_blueprints;

struct mt_cat_store {
    sqlite3 *db;
    sqlite3_stmt *statements[MT_CAT_SQL_COUNT];
    char *path;   /* NULL: in memory */
    bool writing; /* a transaction is open */
    bool failed;
    struct mt_err err; /* why, when failed */
    int64_t last_us;
    struct mt_cat_blueprints *blueprints; /* the parsed ones; owned */
};

/* path NULL: in memory. Makes the folder of the file. MT_EBUSY, MT_EIO with what to do. */
enum mt_rc mt_cat_store_open(const char *path, struct mt_cat_store **out, struct mt_err *err);
void mt_cat_store_close(struct mt_cat_store *s); /* commits what is open; NULL is fine */

/* Begins a transaction unless one is open: before the first change. */
void mt_cat_store_write(struct mt_cat_store *s);
/* Ends the group. On failure everything since the last commit is undone, and the store works on. */
enum mt_rc mt_cat_store_commit(struct mt_cat_store *s, struct mt_err *err);

/* The wall clock, but each call gives a later moment than the one before: update times differ. */
int64_t mt_cat_store_now(struct mt_cat_store *s);

/* A prepared statement, reset and with no bindings. */
sqlite3_stmt *mt_cat_store_sql(struct mt_cat_store *s, enum mt_cat_sql which);
/* Text is borrowed until the statement is reset. {NULL,0} binds NULL. */
void mt_cat_bind(sqlite3_stmt *statement, int at, struct mt_slice text);
/* true: there is a row. */
bool mt_cat_step(struct mt_cat_store *s, sqlite3_stmt *statement);
/* Steps a statement that gives no row, and resets it. */
void mt_cat_run(struct mt_cat_store *s, sqlite3_stmt *statement);
/* A column; {NULL,0} for NULL. Valid until the next step or reset. */
struct mt_slice mt_cat_column(sqlite3_stmt *statement, int at);

#endif
