/* `moontide run`: the process that stays. Several integrations side by side, each with its own Lua state,
 * budgets, section of the state file and routes. */
#ifndef MT_SERVICE_SERVICE_H
#define MT_SERVICE_SERVICE_H

#include "bundle/config.h"
#include "net/http.h"

struct mt_service_options {
    const char *const *bundles; /* folders or packed files */
    size_t count;
    struct mt_config_flags flags;
    const char *trust;
    const struct mt_http_tape *tape; /* in place of the third parties' network; NULL: the network */
    bool watch;                      /* a save reloads, and resyncs what changed; implies local_mapping */
    bool local_mapping;
    bool once; /* one resync of each, then the end */
};

/* Runs until a signal, or (ONCE) until the resyncs are done; the calling thread becomes the loop's. Returns
 * the exit code: 0 after SIGTERM or SIGINT and after good resyncs, 1 after one that failed, 2 configuration
 * or a bundle that does not load, 3 credentials refused. err says why where nothing else did. */
int mt_service_run(const struct mt_service_options *options, struct mt_err *err);

#endif
