/* The two listeners of a service, and what is served there. What is answered comes from the service through
 * the callbacks. Loop thread.
 *
 *   GET  /health/live, /health/ready  R-OBS-01; ready: 503 and why, while it is not
 *   GET  /metrics, /metrics/          R-OBS-02
 *   POST /resync, /IDENTIFIER/resync  R-LIS-11, answered at once: 200 `null`
 *   GET  /status, POST /reload        the admin listener only
 *
 * With a prefix (path_prefix) the public routes are there below it as well. HEAD is answered like GET. Nobody
 * has to prove who they are: the admin listener belongs on a loopback address. */
#ifndef MT_SERVICE_ROUTES_H
#define MT_SERVICE_ROUTES_H

#include "net/server.h"
#include "observe/metrics.h"

struct mt_routes;
struct mt_answer; /* an answer that is owed; given exactly once, at once or later */

struct mt_routes_options {
    struct mt_loop *loop;
    struct mt_metrics *metrics;
    const char *public_host; /* "0.0.0.0" */
    int public_port;         /* 0 picks one; -1: no public listener */
    const char *admin;       /* "127.0.0.1:8001", "[::1]:0"; NULL or "": no admin listener */
    const char *prefix;      /* of the public routes (path_prefix); NULL: none */
    /* Is the process ready? Else why not, into out. */
    bool (*ready)(void *ud, struct mt_buf *why);
    void (*status)(void *ud, struct mt_buf *out); /* one JSON object */
    /* POST /reload: mt_answer_give follows. */
    void (*reload)(void *ud, struct mt_answer *answer);
    /* POST /resync or /IDENTIFIER/resync: identifier {NULL,0} for the first form. False: there is no such
     * integration or its listener takes no such requests (404). R-LIS-11: answered at once. */
    bool (*resync)(void *ud, struct mt_slice identifier);
    void *ud;
};

/* MT_EIO: a port is in use, with the setting that names it. MT_EINVAL: admin is no address. */
enum mt_rc mt_routes_new(const struct mt_routes_options *options, struct mt_routes **out, struct mt_err *err);
/* Answers that are owed are dropped: their connections close, and a later mt_answer_give does nothing but
 * release the record. NULL is fine. */
void mt_routes_free(struct mt_routes *r);
int mt_routes_public_port(const struct mt_routes *r); /* -1: there is none */
int mt_routes_admin_port(const struct mt_routes *r);

void mt_answer_give(struct mt_answer *a, int status, struct mt_slice json);

#endif
