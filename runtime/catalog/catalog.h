/* The embedded catalog: a server with Port's API (port-api.md section 19) kept in SQLite. It runs on a thread
 * and a loop of its own. */
#ifndef MT_CATALOG_CATALOG_H
#define MT_CATALOG_CATALOG_H

#include "base/error.h"

struct mt_catalog;

struct mt_catalog_options {
    const char *host; /* "127.0.0.1" */
    int port;         /* 0 picks one */
    const char *path; /* database file; NULL: in memory */
};

/* Starts listening before it returns. MT_EBUSY: another process holds the database; MT_EIO: damaged or
 * unwritable, with what to do. */
enum mt_rc mt_catalog_start(const struct mt_catalog_options *options, struct mt_catalog **out,
                            struct mt_err *err);
const char *mt_catalog_url(const struct mt_catalog *c); /* http://127.0.0.1:PORT */
void mt_catalog_stop(struct mt_catalog *c);             /* commits, joins the thread */

#endif
