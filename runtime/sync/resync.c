/* One resync from beginning to end: makes the parts, runs the resync thread beside the loop, ends in every
 * case with a state at Port and a report. Called by the CLI; the calling thread becomes the loop's. */
#include "sync/resync.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "catalog/catalog.h"
#include "sync/failed.h"
#include "sync/progress.h"
#include "sync/session.h"

enum {
    APPLIERS = 5 /* A-NET-03 */,
    QUEUED_CHUNKS = 5,
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CHANGES = 2,
    EXIT_PORT = 3
};

/* ---- signals; loop thread ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct mt_session *s = arg;
    (void)what;
    if (atomic_load(&s->signal))
        _exit(128 + number); /* a second one ends at once */
    atomic_store(&s->signal, number);
    mt_log(MT_WARN, "interrupted; once more ends at once");
    mt_session_cancel(s);
}

/* ---- the resync thread ---- */

struct job {
    struct mt_session s;
    pthread_t thread;
    int code;
    bool begun;
    struct mt_err err;
};

static void run_resources(struct mt_session *s)
{
    for (unsigned i = 0; i < s->resource_count && !atomic_load(&s->canceled); i++) {
        struct mt_resource *r = &s->resources[i];
        if (!r->wanted)
            continue;
        mt_metrics_kind(s, r, "syncing");
        mt_extract(s, r);
        bool whole_failed = false;
        for (size_t u = 0; u < r->unproven_count; u++)
            whole_failed |= !r->unproven[u].scope[0] && !s->options->limit;
        bool aborted = atomic_load(&s->signal);
        if (aborted)
            mt_port_ignore_cancel(s->port); /* what follows are last words */
        mt_metrics_kind(s, r,
                        aborted                                     ? "aborted"
                        : whole_failed || atomic_load(&s->canceled) ? "failed"
                                                                    : "completed");
        for (unsigned w = 0; w < mt_pool_count(s->pool);
             w++) { /* a compiled resource holds megabytes with libjq */
            mt_mapper_free(r->mappers[w]);
            r->mappers[w] = NULL;
        }
    }
}

static void clear_cache(struct mt_session *s, void *arg)
{
    (void)arg;
    mt_host_clear_cache(s->host);
}

/* The steps of R-RES-01. */
static void run_steps(struct mt_session *s)
{
    mt_metrics_begin(s);
    mt_session_on_loop(s, clear_cache, NULL);
    bool go_on = mt_extract_hook(s, MT_HOOK_START) && mt_extract_hook(s, MT_HOOK_RESYNC_START);
    if (go_on && !atomic_load(&s->canceled)) {
        run_resources(s);
        if (!atomic_load(&s->canceled) && mt_reconcile(s) && !atomic_load(&s->canceled) && !s->options->plan)
            mt_extract_hook(s, MT_HOOK_RESYNC_COMPLETE);
    }
    mt_session_on_loop(s, clear_cache, NULL);
}

/* A plan's own codes: 0 nothing to do, 2 changes, 1 could not tell. */
static int plan_code(struct mt_session *s, bool failed)
{
    unsigned long long changes = 0;
    for (unsigned i = 0; i < mt_report_kind_count(s->report); i++) {
        struct mt_kind_report *k = mt_report_kind_at(s->report, i);
        changes += atomic_load(&k->created) + atomic_load(&k->updated);
    }
    changes += mt_report_deleted_count(s->report); /* also what no kind's line counts */
    return failed ? EXIT_FAILED : changes ? EXIT_CHANGES : EXIT_OK;
}

static void *resync_thread(void *arg)
{
    struct job *job = arg;
    struct mt_session *s = &job->s;
    bool plan = s->options->plan;
    pthread_setname_np(pthread_self(), "mt-resync");
    enum mt_rc rc = mt_session_start(s, &job->err);
    if (rc == MT_OK) {
        job->err = (struct mt_err){0}; /* what was met and mended on the way, such as a 404 */
        job->begun = true;
        if (!plan)
            mt_integration_resync_started(s->port, &s->integration, s->started_us);
        run_steps(s);
    } else if (rc != MT_ECANCELED) {
        mt_report_error(s->report, NULL, job->err.text); /* printed by the caller */
    }
    int signal_number = atomic_load(&s->signal);
    bool failed = rc != MT_OK || mt_report_error_count(s->report) > 0 || atomic_load(&s->canceled);
    const char *result = signal_number ? "aborted" : failed ? "failed" : "complete";
    const char *state = signal_number ? "aborted" : failed ? "failed" : "completed";
    if (job->begun && !plan) {
        mt_port_ignore_cancel(s->port);
        mt_integration_resync_ended(s->port, &s->integration, state);
        mt_metrics_end(s, state);
    }
    job->code = signal_number                                                         ? 128 + signal_number
                : plan                                                                ? plan_code(s, failed)
                : rc == MT_ENET || rc == MT_EHTTP || rc == MT_EAUTH || rc == MT_EDATA ? EXIT_PORT
                : rc != MT_OK                                                         ? EXIT_USAGE
                : failed                                                              ? EXIT_FAILED
                                                                                      : EXIT_OK;
    mt_report_waited(s->report, s->waited_source, s->waited_mapping, s->waited_port);
    mt_report_requests(s->report, atomic_load(&s->source_stats.requests),
                       atomic_load(&mt_port_stats(s->port)->requests));
    mt_report_finish(s->report, result);
    mt_loop_stop(s->loop);
    return NULL;
}

/* ---- making and unmaking ---- */

static enum mt_rc read_source(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    return mt_bundle_read(ud, relative, out, err);
}

static bool is_sensitive(void *ud, struct mt_slice name)
{
    return mt_config_is_sensitive(ud, name);
}

static enum mt_rc make_parent(const char *path, struct mt_err *err)
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

struct catalog_place {
    struct mt_catalog *catalog;
    char *url;
};

/* Where Port is (architecture 3.1). A plan must not leave a file behind that was not there. */
static enum mt_rc find_port(const struct mt_resync_options *o, struct catalog_place *place,
                            struct mt_err *err)
{
    static const char path[] = ".moontide/catalog.db";
    if (!mt_config_embedded(o->config)) {
        place->url = mt_strdup(mt_config_text(o->config, "port.base_url"));
        return MT_OK;
    }
    bool exists = access(path, F_OK) == 0;
    enum mt_rc rc = o->plan && !exists ? MT_OK : make_parent(path, err);
    struct mt_catalog_options options = {"127.0.0.1", 0, o->plan && !exists ? NULL : path};
    if (rc == MT_OK)
        rc = mt_catalog_start(&options, &place->catalog, err);
    if (rc != MT_OK)
        return rc;
    place->url = mt_strdup(mt_catalog_url(place->catalog));
    mt_log(MT_INFO, "no Port credentials are set: Port is the embedded catalog in %s", path);
    return MT_OK;
}

static enum mt_rc open_state(struct mt_session *s, struct mt_err *err)
{
    const char *path = mt_config_text(s->config, "state_file");
    /* The embedded catalog has a new port at each start; its file is what stays. */
    struct mt_state_options o = {.path = path,
                                 .base_url = mt_config_embedded(s->config) ? "embedded" : s->base_url,
                                 .type = mt_config_type(s->config),
                                 .identifier = mt_config_identifier(s->config),
                                 .readonly = s->options->plan};
    enum mt_rc rc = o.readonly ? MT_OK : make_parent(path, err);
    return rc == MT_OK ? mt_state_open(&o, &s->state, err) : rc;
}

static enum mt_rc make_host(struct mt_session *s, struct mt_err *err)
{
    struct mt_host_options o = {
        .loop = s->loop,
        .http = s->http,
        .pool = s->pool,
        .name = mt_bundle_name(s->bundle),
        .read = read_source,
        .read_ud = s->bundle,
        .config = mt_config_integration(s->config),
        .is_sensitive = is_sensitive,
        .sensitive_ud = s->config,
        .stats = &s->source_stats,
        .client_timeout_ms = (uint32_t)mt_config_int(s->config, "client_timeout") * 1000u,
        .insecure_tls = !mt_config_bool(s->config, "ssl.third_party.verify"),
    };
    return mt_host_new(&o, &s->host, err);
}

static void free_resources(struct mt_session *s)
{
    for (unsigned i = 0; i < s->resource_count; i++) {
        struct mt_resource *r = &s->resources[i];
        for (unsigned w = 0; w < mt_pool_count(s->pool); w++)
            mt_mapper_free(r->mappers[w]);
        for (size_t u = 0; u < r->unproven_count; u++) {
            free(r->unproven[u].scope);
            free(r->unproven[u].reason);
        }
        for (unsigned f = 0; f < mt_mapping_field_count(r->mapping); f++) {
            free(r->empty[f].sample);
            free(r->empty[f].sample_entity);
        }
        free(r->unproven);
        free(r->empty);
        free(r->mappers);
        free(r->include);
        free(r->name);
        free(r->kind);
    }
    free(s->resources);
    for (unsigned i = 0; i < s->blueprint_count; i++)
        free(s->blueprints[i]);
    free(s->blueprints);
}

static void run_loop(struct job *job)
{
    struct mt_session *s = &job->s;
    struct event *sigint = evsignal_new(mt_loop_base(s->loop), SIGINT, on_signal, s);
    struct event *sigterm = evsignal_new(mt_loop_base(s->loop), SIGTERM, on_signal, s);
    evsignal_add(sigint, NULL);
    evsignal_add(sigterm, NULL);
    struct mt_progress *progress =
        s->options->progress ? mt_progress_new(s->loop, s->report, &s->source_stats) : NULL;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&job->thread, NULL, resync_thread, job);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        abort(); /* see mt_appliers_new */
    mt_loop_run(s->loop);
    pthread_join(job->thread, NULL);
    mt_progress_free(progress);
    event_free(sigint);
    event_free(sigterm);
}

int mt_resync_run(const struct mt_resync_options *options, struct mt_report **out_report, struct mt_err *err)
{
    struct job *job = mt_alloc(sizeof *job);
    struct mt_session *s = &job->s;
    struct catalog_place place = {0};
    int code = options->plan ? EXIT_FAILED : EXIT_USAGE;
    *out_report = NULL;
    s->options = options;
    s->bundle = options->bundle;
    s->config = options->config;
    pthread_mutex_init(&s->lock, NULL);
    s->loop = mt_loop_new();
    s->http = mt_http_new(s->loop);
    s->pool = mt_pool_new(s->loop, (unsigned)mt_config_int(s->config, "process_in_queue_max_workers"));
    enum mt_rc rc = find_port(options, &place, err);
    s->base_url = place.url;
    if (rc == MT_OK)
        rc = open_state(s, err);
    if (rc == MT_OK)
        rc = make_host(s, err);
    if (rc == MT_OK) {
        bool embedded = place.catalog != NULL;
        struct mt_port_options o = {
            .http = s->http,
            .base_url = s->base_url,
            .client_id = embedded ? "embedded" : mt_config_text(s->config, "port.client_id"),
            .client_secret = embedded ? "embedded" : mt_config_text(s->config, "port.client_secret"),
            .type = mt_config_type(s->config),
            .version = mt_config_version(s->config),
            .identifier = mt_config_identifier(s->config),
            .insecure_tls = !mt_config_bool(s->config, "ssl.port.verify"),
            .deadline_s = (unsigned)mt_config_int(s->config, "port.retry_deadline_seconds"),
            .cancel = &s->canceled,
        };
        s->port = mt_port_new(&o);
        s->integration =
            (struct mt_integration){.identifier = o.identifier, .type = o.type, .version = o.version};
        s->appliers = mt_appliers_new(APPLIERS, QUEUED_CHUNKS);
        s->produced = mt_keyset_new();
        s->targets = mt_keyset_new();
        s->failed = mt_failed_new(s->state);
        s->report = mt_report_new();
        run_loop(job);
        code = job->code;
        if (err)
            *err = job->err;
        *out_report = s->report;
    }
    mt_host_free(s->host);
    mt_appliers_free(s->appliers);
    mt_port_free(s->port);
    mt_http_free(s->http);
    if (s->mapping)
        free_resources(s);
    mt_pool_free(s->pool);
    mt_appconfig_free(s->mapping);
    mt_integration_fini(&s->integration);
    mt_failed_free(s->failed);
    mt_keyset_free(s->produced);
    mt_keyset_free(s->targets);
    mt_state_close(s->state);
    mt_catalog_stop(place.catalog);
    mt_loop_free(s->loop);
    free(s->hook_fault);
    free(place.url);
    pthread_mutex_destroy(&s->lock);
    free(job);
    return code;
}
