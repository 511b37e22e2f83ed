/* One resync from beginning to end: makes its parts, runs the resync thread beside the loop, ends in every
 * case with a state at Port and a report. Called on the loop's thread, which it never blocks. */
#include "sync/resync.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"
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

struct mt_resync {
    struct mt_session s;
    struct mt_resync_options options;
    char **kinds;
    pthread_t thread;
    struct mt_log_fields fields;
    struct mt_progress *progress;
    unsigned long long source_before; /* requests of earlier resyncs */
    int code;
    bool begun;
    _Atomic int64_t state_us; /* of `running`, as Port answered */
    const char *unreported;   /* see mt_resync_unreported */
    struct mt_err err;
    void (*done)(void *ud, struct mt_resync *r);
    void *ud;
};

/* ---- the resync thread ---- */

static void begin_samples(struct mt_session *s, void *arg)
{
    (void)arg;
    s->options->source->samples = mt_samples_begin(s->loop);
}

static void end_samples(struct mt_session *s, void *arg)
{
    struct mt_resource *r = arg;
    mt_samples_end(s->options->source->samples, &r->report->usage);
    s->options->source->samples = NULL;
}

static void run_resources(struct mt_session *s)
{
    for (unsigned i = 0; i < s->resource_count && !atomic_load(&s->canceled); i++) {
        struct mt_resource *r = &s->resources[i];
        if (!r->wanted)
            continue;
        struct mt_log_fields fields = s->log ? *s->log : (struct mt_log_fields){0};
        fields.kind = r->kind;
        mt_log_enter(s->log ? &fields : NULL);
        mt_metrics_kind(s, r, "syncing");
        mt_session_on_loop(s, begin_samples, NULL);
        mt_extract(s, r);
        mt_session_on_loop(s, end_samples, r);
        mt_log_enter(s->log);
        bool whole_failed = false;
        for (size_t u = 0; u < r->unproven_count; u++)
            whole_failed |= !r->unproven[u].scope[0] && !s->options->limit;
        bool aborted = atomic_load(&s->aborted);
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

static void enter_source(struct mt_session *s, void *arg)
{
    (void)arg;
    s->options->source->log.run = s->event_id;
    s->options->source->log.generation = s->options->generation;
    mt_host_clear_cache(s->host);
}

static void leave_source(struct mt_session *s, void *arg)
{
    (void)arg;
    s->options->source->log.run = NULL;
    mt_host_clear_cache(s->host);
}

/* on_start runs once in the life of a Lua state, before its first resync. */
static bool run_start_hook(struct mt_session *s)
{
    struct mt_source *source = s->options->source;
    if (source->started)
        return true;
    source->started = true;
    return mt_extract_hook(s, MT_HOOK_START);
}

/* The steps of R-RES-01. */
static void run_steps(struct mt_session *s)
{
    mt_metrics_begin(s);
    mt_session_on_loop(s, enter_source, NULL);
    bool go_on = run_start_hook(s) && mt_extract_hook(s, MT_HOOK_RESYNC_START);
    if (go_on && !atomic_load(&s->canceled)) {
        run_resources(s);
        if (!atomic_load(&s->canceled) && mt_reconcile(s) && !atomic_load(&s->canceled) && !s->options->plan)
            mt_extract_hook(s, MT_HOOK_RESYNC_COMPLETE);
    }
    mt_session_on_loop(s, leave_source, NULL);
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

static enum mt_rc open_state(struct mt_session *s, struct mt_err *err)
{
    const char *path = mt_config_text(s->config, "state_file");
    /* The embedded catalog has a new port at each start; its file is what stays. */
    struct mt_state_options o = {.path = path,
                                 .base_url = mt_config_embedded(s->config) ? "embedded" : s->base_url,
                                 .type = mt_config_type(s->config),
                                 .identifier = mt_config_identifier(s->config),
                                 .readonly = s->options->plan};
    enum mt_rc rc = o.readonly ? MT_OK : mt_make_parent(path, err);
    if (rc == MT_OK)
        rc = mt_state_open(&o, &s->state, err);
    if (rc == MT_OK)
        s->failed = mt_failed_new(s->state);
    return rc;
}

static void run(struct mt_resync *r)
{
    struct mt_session *s = &r->s;
    bool plan = s->options->plan;
    enum mt_rc rc = open_state(s, &r->err);
    bool opened = rc == MT_OK;
    if (!opened)
        mt_session_state_failed(s, rc);
    if (rc == MT_OK && atomic_load(&s->canceled))
        rc = mt_fail(&r->err, MT_ECANCELED, "interrupted");
    if (rc == MT_OK)
        rc = mt_session_start(s, &r->err);
    if (rc == MT_OK) {
        r->err = (struct mt_err){0}; /* what was met and mended on the way, such as a 404 */
        r->begun = true;
        if (!plan)
            mt_integration_resync_started(s->port, &s->integration, s->started_us, s->started_ns);
        atomic_store(&r->state_us, s->integration.state_us);
        /* What Port is asked to list by its own times is named by its own clock, as far as it told it: by
         * one of ours that is two days slow nothing of the last two days would be deleted. */
        mt_iso_format(s->integration.state_us ? s->integration.state_us : s->started_us, s->before);
        run_steps(s);
    } else if (rc != MT_ECANCELED) {
        mt_report_error(s->report, NULL, r->err.text); /* printed by the caller */
    }
    int aborted = atomic_load(&s->aborted);
    bool failed = rc != MT_OK || mt_report_error_count(s->report) > 0 || atomic_load(&s->canceled);
    const char *result = aborted ? "aborted" : failed ? "failed" : "complete";
    const char *state = aborted ? "aborted" : failed ? "failed" : "completed";
    if (r->begun && !plan) {
        mt_port_ignore_cancel(s->port);
        if (!mt_integration_resync_ended(s->port, &s->integration, state))
            r->unreported = state;
        mt_metrics_end(s, state);
    }
    r->code = aborted                                                               ? aborted
              : plan                                                                ? plan_code(s, failed)
              : !opened                                                             ? EXIT_USAGE
              : rc == MT_ENET || rc == MT_EHTTP || rc == MT_EAUTH || rc == MT_EDATA ? EXIT_PORT
              : rc != MT_OK                                                         ? EXIT_USAGE
              : failed                                                              ? EXIT_FAILED
                                                                                    : EXIT_OK;
    mt_report_waited(s->report, s->waited_source, s->waited_mapping, s->waited_port);
    mt_report_requests(s->report, atomic_load(&s->options->source->stats.requests) - r->source_before,
                       atomic_load(&mt_port_stats(s->port)->requests));
    mt_report_finish(s->report, result);
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

/* What one resync needs and the next one makes anew. On the resync thread: it joins threads and writes files.
 */
static void free_parts(struct mt_session *s)
{
    mt_appliers_free(s->appliers);
    mt_port_free(s->port);
    if (s->mapping)
        free_resources(s);
    mt_appconfig_free(s->mapping);
    mt_integration_fini(&s->integration);
    mt_failed_free(s->failed);
    mt_keyset_free(s->produced);
    mt_keyset_free(s->targets);
    mt_state_close(s->state);
    free(s->hook_fault);
}

static void finish(void *arg)
{
    struct mt_resync *r = arg;
    pthread_join(r->thread, NULL);
    mt_progress_free(r->progress);
    r->done(r->ud, r);
}

static void *resync_thread(void *arg)
{
    struct mt_resync *r = arg;
    pthread_setname_np(pthread_self(), "mt-resync");
    mt_log_enter(r->s.log);
    run(r);
    free_parts(&r->s);
    mt_loop_post(r->s.loop, finish, r);
    return NULL;
}

/* ---- loop thread ---- */

static char **copy_kinds(const char *const *kinds)
{
    size_t n = 0;
    while (kinds && kinds[n])
        n++;
    char **copy = kinds ? mt_alloc((n + 1) * sizeof *copy) : NULL;
    for (size_t i = 0; i < n; i++)
        copy[i] = mt_strdup(kinds[i]);
    return copy;
}

/* Any thread. */
static void port_observed(void *ud, double seconds)
{
    struct mt_session *s = ud;
    mt_metrics_observe(s->options->place->metrics, MT_METRIC_PORT, mt_buckets_seconds,
                       (struct mt_label[]){{"integration", mt_config_identifier(s->config)}, {NULL, NULL}},
                       seconds);
}

struct mt_resync *mt_resync_start(const struct mt_resync_options *options,
                                  void (*done)(void *ud, struct mt_resync *r), void *ud)
{
    struct mt_resync *r = mt_alloc(sizeof *r);
    struct mt_session *s = &r->s;
    r->options = *options;
    r->done = done;
    r->ud = ud;
    r->kinds = copy_kinds(options->kinds);
    r->options.kinds = (const char *const *)r->kinds;
    mt_version_ref(options->version);
    r->source_before = atomic_load(&options->source->stats.requests);
    s->options = &r->options;
    s->bundle = options->version->bundle;
    s->config = options->version->config;
    s->base_url = options->base_url;
    s->loop = options->place->loop;
    s->http = options->place->http;
    s->pool = options->place->pool;
    s->host = options->source->host;
    pthread_mutex_init(&s->lock, NULL);
    mt_uuid(s->event_id);
    r->fields = (struct mt_log_fields){.integration = mt_config_identifier(s->config),
                                       .run = s->event_id,
                                       .generation = options->generation};
    s->log = options->generation ? &r->fields : NULL;
    bool embedded = mt_config_embedded(s->config);
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
        .health = options->port_health,
        .observed = port_observed,
        .observed_ud = s,
    };
    s->port = mt_port_new(&o);
    s->integration = (struct mt_integration){.identifier = o.identifier,
                                             .type = o.type,
                                             .version = o.version,
                                             .destination = options->destination,
                                             .schedule = options->schedule};
    s->appliers = mt_appliers_new(APPLIERS, QUEUED_CHUNKS);
    s->produced = mt_keyset_new();
    s->targets = mt_keyset_new();
    s->report = mt_report_new();
    if (options->progress)
        r->progress = mt_progress_new(s->loop, s->report, &options->source->stats);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&r->thread, NULL, resync_thread, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        abort(); /* see mt_appliers_new */
    return r;
}

void mt_resync_abort(struct mt_resync *r, int code)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&r->s.aborted, &none, code))
        return;
    /* Not mt_session_cancel: what it posts would come after a `finish` that waits already, and so after the
     * record is freed. */
    atomic_store(&r->s.canceled, true);
    mt_http_kick(r->s.http);
    if (r->s.run)
        mt_run_cancel(r->s.run);
}

int mt_resync_code(const struct mt_resync *r)
{
    return r->code;
}

const struct mt_err *mt_resync_err(const struct mt_resync *r)
{
    return &r->err;
}

struct mt_report *mt_resync_report(struct mt_resync *r)
{
    return r->s.report;
}

const char *mt_resync_event_id(const struct mt_resync *r)
{
    return r->s.event_id;
}

int64_t mt_resync_state_us(const struct mt_resync *r)
{
    return r->state_us;
}

const char *mt_resync_unreported(const struct mt_resync *r)
{
    return r->unreported;
}

void mt_resync_free(struct mt_resync *r)
{
    if (!r)
        return;
    mt_report_free(r->s.report);
    mt_version_unref(r->options.version);
    for (char **kind = r->kinds; kind && *kind; kind++)
        free(*kind);
    free(r->kinds);
    pthread_mutex_destroy(&r->s.lock);
    free(r);
}
