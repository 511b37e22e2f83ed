/* What the resyncs of a process share: the loop, the HTTP client, the workers, the store of tide.kv, the
 * metrics, and the embedded catalog where it stands in for Port. Made and freed by the loop's thread. */
#ifndef MT_SYNC_PLACE_H
#define MT_SYNC_PLACE_H

#include <pthread.h>

#include "bundle/config.h"
#include "net/http.h"
#include "net/pool.h"
#include "observe/metrics.h"
#include "state/kv.h"

struct mt_place {
    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_pool *pool; /* mapping */
    struct mt_kv *kv;
    struct mt_metrics *metrics;      /* borrowed; NULL: nobody reads them */
    const struct mt_http_tape *tape; /* of third-party requests; borrowed, may be NULL */
    pthread_mutex_t lock;            /* of the catalog's start */
    struct mt_catalog *catalog;      /* NULL: not started */
};

/* workers 0: the CPUs. readonly: what a script keeps in tide.kv is forgotten at the end, no folder is made.
 */
struct mt_place *mt_place_new(unsigned workers, const char *state_file, bool readonly);
void mt_place_free(struct mt_place *p);

/* Where Port is (architecture 3.1): the configured URL, else that of the embedded catalog, which is started
 * by the first call that needs it; readonly: without leaving a file behind that was not there. Any thread.
 * Borrowed from either. */
enum mt_rc mt_place_port(struct mt_place *p, const struct mt_config *config, bool readonly,
                         const char **out_url, struct mt_err *err);

/* Makes the folders above a file. */
enum mt_rc mt_make_parent(const char *path, struct mt_err *err);

#endif
