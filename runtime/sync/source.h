/* The third-party side of an integration: a version of its bundle, and the Lua state whose handlers fetch. */
#ifndef MT_SYNC_SOURCE_H
#define MT_SYNC_SOURCE_H

#include "base/log.h"
#include "script/host.h"
#include "sync/place.h"
#include "sync/samples.h"

/* A bundle as it was read, with its configuration. Counted; any thread. */
struct mt_version {
    struct mt_bundle *bundle;
    struct mt_config *config;
    atomic_uint refs; /* private */
};

struct mt_version *mt_version_new(struct mt_bundle *bundle, struct mt_config *config); /* takes both over */
struct mt_version *mt_version_ref(struct mt_version *v);
void mt_version_unref(struct mt_version *v);

/* A Lua state and what it borrows for its life. Its counters go on over resyncs. */
struct mt_source {
    struct mt_host *host;
    struct mt_version *version; /* that the Lua files are of */
    struct mt_http_stats stats;
    struct mt_log_fields log;   /* run is set by the resync at work, on the loop's thread */
    bool started;               /* on_start has run; loop thread */
    struct mt_samples *samples; /* of the kind at work; loop thread; NULL: none is */

    struct mt_reach reach; /* private, as all below */
    const char **hosts;
    struct mt_host_kv kv;
    struct mt_kv *store;
    struct mt_metrics *metrics;
    char *section, *identifier;
};

/* Makes the state and runs main.lua. Any thread; see mt_host_new. base_url: Port's, names the section of
 * tide.kv. */
enum mt_rc mt_source_new(struct mt_place *place, struct mt_version *version, const char *base_url,
                         unsigned generation, struct mt_source **out, struct mt_err *err);
/* Loop thread, or any when nothing ran in it. Calls under way are cancelled. */
void mt_source_free(struct mt_source *s);

#endif
