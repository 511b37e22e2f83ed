/* The parts that resyncs share: see place.h. */
#include "sync/place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/catalog.h"

struct mt_place *mt_place_new(unsigned workers, const char *state_file, bool readonly)
{
    struct mt_place *p = mt_alloc(sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    p->loop = mt_loop_new();
    p->http = mt_http_new(p->loop);
    p->pool = mt_pool_new(p->loop, workers);
    p->kv = mt_kv_new(p->loop, state_file);
    if (readonly)
        mt_kv_keep_draft(p->kv);
    else
        mt_make_parent(state_file, NULL); /* what is wrong with it is said by whoever opens the file */
    return p;
}

void mt_place_free(struct mt_place *p)
{
    if (!p)
        return;
    mt_http_free(p->http);
    mt_pool_free(p->pool);
    mt_kv_free(p->kv);
    mt_catalog_stop(p->catalog);
    mt_loop_free(p->loop);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

enum mt_rc mt_make_parent(const char *path, struct mt_err *err)
{
    char *copy = mt_strdup(path);
    enum mt_rc rc = MT_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && rc == MT_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        struct stat st;
        if (mkdir(copy, 0777) != 0 && (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)))
            rc = mt_fail(err, MT_EIO, "cannot make the folder %s for %s: %s", copy, path, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return rc;
}

/* Under the lock. */
static enum mt_rc start_catalog(struct mt_place *p, bool readonly, struct mt_err *err)
{
    static const char path[] = ".moontide/catalog.db";
    bool hidden = readonly && access(path, F_OK) != 0;
    enum mt_rc rc = hidden ? MT_OK : mt_make_parent(path, err);
    struct mt_catalog_options options = {"127.0.0.1", 0, hidden ? NULL : path};
    if (rc == MT_OK)
        rc = mt_catalog_start(&options, &p->catalog, err);
    if (rc == MT_OK)
        mt_log(MT_INFO, "no Port credentials are set: Port is the embedded catalog in %s", path);
    return rc;
}

enum mt_rc mt_place_port(struct mt_place *p, const struct mt_config *config, bool readonly,
                         const char **out_url, struct mt_err *err)
{
    if (!mt_config_embedded(config)) {
        *out_url = mt_config_text(config, "port.base_url");
        return MT_OK;
    }
    pthread_mutex_lock(&p->lock);
    enum mt_rc rc = p->catalog ? MT_OK : start_catalog(p, readonly, err);
    pthread_mutex_unlock(&p->lock);
    if (rc == MT_OK)
        *out_url = mt_catalog_url(p->catalog);
    return rc;
}
