/* One integration of the service: its standing at Port, its requests for resyncs, and the resync at work.
 * Loop thread; what waits for Port is a job on the callers' threads. */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"
#include "service/instance.h"
#include "state/state.h"

enum {
    RETRY_S = 5,
    RETRY_MAX_S = 60,
    REPORT_MAX = 4 << 20,
    ABORTED = 128 + SIGTERM,
    EXIT_USAGE = 2,
    EXIT_PORT = 3
};

static void free_kinds(char **kinds)
{
    for (char **kind = kinds; kind && *kind; kind++)
        free(*kind);
    free(kinds);
}

static void free_wish(struct mt_wish *wish)
{
    free_kinds(wish->kinds);
    *wish = (struct mt_wish){0};
}

/* ---- standing at Port ---- */

struct connecting {
    struct mt_job job;
    struct mt_instance *i;
    enum mt_rc rc;
    struct mt_err err;
    bool orphan;
};

static bool is_running(const struct mt_integration *record)
{
    struct mt_val status;
    return mt_integration_member(record, "resyncState.status", &status) &&
           mt_slice_is(mt_val_string(status), "running");
}

/* A resync that Port believes to be running while nobody here holds its lock: its process was killed, or it
 * has ended since Port answered. The state file itself is not opened: also one that is locked, full or
 * damaged must not hold the report up. */
static bool looks_orphaned(struct mt_instance *i)
{
    const struct mt_config *config = i->record_version->config;
    struct mt_state_options o = {.path = mt_config_text(config, "state_file"),
                                 .base_url = mt_config_embedded(config) ? "embedded" : i->base_url,
                                 .type = i->type,
                                 .identifier = i->identifier};
    return is_running(&i->record) && mt_state_check_lock(&o, NULL) == MT_OK;
}

static void connect(struct mt_job *job, unsigned worker)
{
    struct connecting *c = (struct connecting *)job;
    struct mt_instance *i = c->i;
    (void)worker;
    c->rc = mt_integration_get(i->port, &i->record, &c->err);
    if (c->rc == MT_OK && looks_orphaned(i)) {
        c->rc = mt_integration_get(i->port, &i->record, &c->err);
        c->orphan = c->rc == MT_OK && looks_orphaned(i);
    }
    if (c->orphan)
        mt_integration_resync_ended(i->port, &i->record, "failed");
    /* Nobody can ask for a resync of what Port does not know (R-INIT-08), or at an address that it does not
     * know (R-LIS-12). Its mapping comes with the first resync. */
    if (c->rc == MT_OK && !i->record.doc)
        c->rc = mt_integration_create(i->port, &i->record, (struct mt_val){0}, &c->err);
    if (c->rc == MT_OK)
        c->rc = mt_integration_update(i->port, &i->record, &c->err);
}

static void start_connecting(struct mt_instance *i);

static void connect_again(void *arg)
{
    struct mt_instance *i = arg;
    mt_timer_free(i->retry);
    i->retry = NULL;
    start_connecting(i);
}

static void connected(struct mt_job *job)
{
    struct connecting *c = (struct connecting *)job;
    struct mt_instance *i = c->i;
    struct mt_service *s = i->service;
    struct mt_val url;
    mt_service_job_done(s);
    if (s->ending) {
        mt_service_look(s);
    } else if (c->rc == MT_EAUTH) {
        mt_err_context(&c->err, "%s", i->identifier);
        mt_service_end(s, EXIT_PORT, &c->err);
    } else if (c->rc != MT_OK && mt_listener_is_once(i)) { /* a job that never ends would help nobody */
        mt_log(MT_ERROR, "%s: Port does not answer: %s", i->identifier, c->err.text);
        i->given_up = true;
        i->once_code = EXIT_PORT;
        mt_listener_resync_ended(i, 0);
    } else if (c->rc != MT_OK) {
        double wait = RETRY_S * (double)(1u << (i->attempts < 4 ? i->attempts : 4));
        i->attempts++;
        wait = wait < RETRY_MAX_S ? wait : RETRY_MAX_S;
        mt_log_repeat(MT_ERROR, i->identifier, "%s: Port does not answer, next try in %.0f s: %s",
                      i->identifier, wait, c->err.text);
        i->retry = mt_timer_new(s->place->loop, (uint64_t)(wait * 1000), connect_again, i);
    } else {
        if (c->orphan)
            mt_log(MT_WARN, "%s: the last resync ended with its process; reported as failed", i->identifier);
        i->connected = true;
        if (i->shipping) {
            char *address = mt_integration_member(&i->record, "logAttributes.ingestUrl", &url) &&
                                    mt_val_is(url, MT_STRING)
                                ? mt_slice_dup(mt_val_string(url))
                                : NULL;
            mt_shipping_address(i->shipping, address);
            free(address);
        }
        if (i->active)
            mt_listener_start(i);
    }
    free(c);
}

static void start_connecting(struct mt_instance *i)
{
    struct connecting *c = mt_alloc(sizeof *c);
    c->job = (struct mt_job){.work = connect, .done = connected};
    c->i = i;
    mt_service_submit(i->service, i->service->callers, &c->job);
}

static char *destination_of(struct mt_instance *i, const struct mt_config *config)
{
    const char *host = mt_config_text(config, "event_listener.app_host");
    if (strcmp(mt_config_text(config, "event_listener.type"), "WEBHOOK") != 0 || !host)
        return NULL;
    bool several = i->service->count > 1;
    return mt_format("%s%s%s/resync", host, several ? "/" : "", several ? i->identifier : "");
}

void mt_instance_loaded(struct mt_instance *i)
{
    struct mt_err err;
    if (i->connected)
        mt_listener_start(i);
    else if (i->given_up)
        mt_listener_resync_ended(i, 0);
    else if (!i->port && mt_instance_connect(i, i->active->version, &err) != MT_OK)
        mt_service_end(i->service, EXIT_USAGE, &err);
}

enum mt_rc mt_instance_connect(struct mt_instance *i, struct mt_version *version, struct mt_err *err)
{
    struct mt_service *s = i->service;
    const struct mt_config *config = version->config;
    const char *url;
    enum mt_rc rc = mt_place_port(s->place, config, false, &url, err);
    if (rc != MT_OK)
        return rc;
    i->base_url = mt_strdup(url);
    i->record_version = mt_version_ref(version);
    bool embedded = mt_config_embedded(config);
    struct mt_port_options o = {
        .http = s->place->http,
        .base_url = i->base_url,
        .client_id = embedded ? "embedded" : mt_config_text(config, "port.client_id"),
        .client_secret = embedded ? "embedded" : mt_config_text(config, "port.client_secret"),
        .type = i->type,
        .version = mt_config_version(config),
        .identifier = i->identifier,
        .insecure_tls = !mt_config_bool(config, "ssl.port.verify"),
        .deadline_s = (unsigned)mt_config_int(config, "port.retry_deadline_seconds"),
        .cancel = &s->canceled,
        .health = &i->health,
    };
    i->port = mt_port_new(&o);
    i->destination = destination_of(i, config);
    i->schedule = mt_listener_schedule(i);
    i->record = (struct mt_integration){.identifier = i->identifier,
                                        .type = i->type,
                                        .version = mt_config_version(config),
                                        .destination = i->destination,
                                        .schedule = i->schedule};
    if (!embedded && mt_config_bool(config, "application.enable_http_logging")) {
        struct mt_shipping_options shipping = {.loop = s->place->loop,
                                               .callers = s->callers,
                                               .port = i->port,
                                               .identifier = i->identifier,
                                               .unnamed = i == s->instances[0]};
        i->shipping = mt_shipping_new(&shipping);
    }
    start_connecting(i);
    return MT_OK;
}

/* ---- resyncs ---- */

bool mt_instance_resyncs(const struct mt_instance *i)
{
    return i->active && mt_config_bool(i->active->version->config, "event_listener.should_resync");
}

static void add_kinds(struct mt_wish *wish, char **kinds)
{
    size_t n = 0;
    while (wish->kinds[n])
        n++;
    for (char **kind = kinds; *kind; kind++) {
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known |= strcmp(wish->kinds[k], *kind) == 0;
        if (known)
            continue;
        wish->kinds = mt_realloc(wish->kinds, (n + 2) * sizeof *wish->kinds);
        wish->kinds[n++] = mt_strdup(*kind);
        wish->kinds[n] = NULL;
    }
}

void mt_instance_wish(struct mt_instance *i, struct mt_wish wish)
{
    if (i->service->ending || !i->active) {
        free_wish(&wish);
        return;
    }
    if (!i->wishes) {
        i->wish = wish;
        i->wishes = true;
    } else { /* one that waits covers both */
        if (i->wish.kinds && wish.kinds)
            add_kinds(&i->wish, wish.kinds);
        else if (i->wish.kinds)
            free_wish(&i->wish);
        if (wish.request_us)
            i->wish.request_us = wish.request_us;
        i->wish.trigger = wish.trigger;
        free_wish(&wish);
    }
    if (i->resync && i->wish.kinds) { /* what the aborted one leaves undone is caught up */
        int64_t request = i->wish.request_us;
        const char *trigger = i->wish.trigger;
        if (i->resync_kinds) {
            add_kinds(&i->wish, i->resync_kinds);
        } else {
            free_wish(&i->wish);
            i->wish = (struct mt_wish){.trigger = trigger, .request_us = request};
        }
    }
    if (i->resync) {
        mt_log(MT_INFO, "%s: a newer request (%s): the resync at work is aborted", i->identifier,
               i->wish.trigger);
        mt_instance_abort(i);
    } else {
        mt_instance_next(i);
    }
}

void mt_instance_abort(struct mt_instance *i)
{
    if (i->resync)
        mt_resync_abort(i->resync, ABORTED);
}

bool mt_instance_is_idle(const struct mt_instance *i)
{
    return !i->resync;
}

static void keep_report(struct mt_instance *i, struct mt_resync *resync, const char *result, double seconds)
{
    struct mt_buf text;
    char started[MT_ISO_SIZE];
    const struct mt_err *err = mt_resync_err(resync);
    mt_buf_init(&text, REPORT_MAX);
    mt_buf_printf(
        &text, "{\"result\":\"%s\",\"trigger\":\"%s\",\"started\":\"%s\",\"seconds\":%.3f,\"error\":", result,
        i->trigger, mt_iso_format(i->resync_started_us, started), seconds);
    if (err->rc != MT_OK && err->rc != MT_ECANCELED) {
        char *masked = mt_mask(mt_strdup(err->text));
        mt_buf_put_json_string(&text, mt_slice_of(masked));
        free(masked);
    } else {
        mt_buf_puts(&text, "null");
    }
    mt_buf_puts(&text, ",\"report\":");
    size_t before = text.n;
    mt_report_json(mt_resync_report(resync), &text);
    while (text.n > before && text.p[text.n - 1] == '\n')
        text.n--;
    mt_buf_putc(&text, '}');
    free(i->last_resync);
    i->last_resync = text.failed ? NULL : mt_strdup(mt_buf_text(&text));
    mt_buf_fini(&text);
}

/* The resync's one line. */
static void say_ended(struct mt_instance *i, struct mt_resync *resync, const char *result, double seconds)
{
    struct mt_report *report = mt_resync_report(resync);
    const struct mt_err *err = mt_resync_err(resync);
    unsigned long long created = 0, updated = 0, unchanged = 0;
    for (unsigned k = 0; k < mt_report_kind_count(report); k++) {
        struct mt_kind_report *kind = mt_report_kind_at(report, k);
        created += atomic_load(&kind->created);
        updated += atomic_load(&kind->updated);
        unchanged += atomic_load(&kind->unchanged);
    }
    if (err->rc != MT_OK && err->rc != MT_ECANCELED)
        mt_log(MT_ERROR, "resync of %s (%s) failed: %s", i->identifier, i->trigger, err->text);
    else
        mt_log(MT_INFO,
               "resync of %s (%s) %s: %llu created, %llu updated, %llu unchanged, %llu deleted (%.1f s)",
               i->identifier, i->trigger, result, created, updated, unchanged,
               (unsigned long long)mt_report_deleted_count(report), seconds);
}

static void resync_done(void *ud, struct mt_resync *resync)
{
    struct mt_instance *i = ud;
    struct mt_service *s = i->service;
    int code = mt_resync_code(resync);
    const char *result = code == 0 ? "complete" : code == ABORTED ? "aborted" : "failed";
    double seconds = (double)(mt_now_ns() - i->resync_started_ns) / 1e9; /* the wall clock may jump */
    say_ended(i, resync, result, seconds);
    keep_report(i, resync, result, seconds);
    mt_status_measure(i, mt_resync_report(resync));
    mt_metrics_add(s->metrics, MT_METRIC_RESYNCS,
                   (struct mt_label[]){{"integration", i->identifier}, {"result", result}, {NULL, NULL}}, 1);
    int64_t state_us = mt_resync_state_us(resync);
    i->resync = NULL;
    i->resyncs_done++;
    i->once_code = code;
    i->unreported = mt_resync_unreported(resync);
    free_kinds(i->resync_kinds);
    i->resync_kinds = NULL;
    s->running--;
    mt_resync_free(resync);
    mt_generation_unref(i->resync_generation);
    i->resync_generation = NULL;
    mt_timer_free(i->drain);
    i->drain = NULL;
    mt_service_measure(s);
    malloc_trim(0); /* a resync's peak is not what a service should hold while it waits */
    mt_listener_resync_ended(i, state_us);
    mt_service_look(s);
}

void mt_instance_next(struct mt_instance *i)
{
    struct mt_service *s = i->service;
    if (!i->wishes || i->resync || s->ending || !i->connected || i->reporting)
        return;
    i->waiting = s->running >= s->most;
    if (i->waiting)
        return;
    struct mt_wish wish = i->wish;
    i->wish = (struct mt_wish){0};
    i->wishes = false;
    i->trigger = wish.trigger;
    if (wish.request_us)
        i->watermark_us = wish.request_us;
    i->resync_generation = mt_generation_ref(i->active);
    i->active->source->ran = true;
    i->resync_started_us = mt_wall_us();
    i->resync_started_ns = mt_now_ns();
    i->resync_kinds = wish.kinds;
    s->running++;
    mt_log(MT_INFO, "resync of %s begins (%s%s%s)", i->identifier, wish.trigger, wish.kinds ? ", only " : "",
           wish.kinds ? wish.kinds[0] : "");
    struct mt_resync_options options = {
        .place = s->place,
        .version = i->active->version,
        .source = i->active->source->source,
        .base_url = i->active->base_url,
        .kinds = (const char *const *)wish.kinds,
        .local_mapping = s->options->local_mapping || s->options->watch,
        .changes = s->options->watch && strcmp(wish.trigger, "reload") == 0 ? stderr : NULL,
        .generation = i->active->number,
        .schedule = i->schedule,
        .destination = i->destination,
        .port_health = &i->health,
    };
    i->resync = mt_resync_start(&options, resync_done, i);
}

/* ---- making and unmaking ---- */

struct mt_instance *mt_instance_new(struct mt_service *s, const char *path, struct mt_version *version)
{
    struct mt_instance *i = mt_alloc(sizeof *i);
    i->service = s;
    i->path = path;
    mt_port_health_init(&i->health);
    if (version) {
        i->name = mt_strdup(mt_bundle_name(version->bundle));
        i->identifier = mt_strdup(mt_config_identifier(version->config));
        i->type = mt_strdup(mt_config_type(version->config));
    }
    return i;
}

void mt_instance_free(struct mt_instance *i)
{
    if (!i)
        return;
    mt_listener_stop(i);
    mt_reload_stop(i);
    free_wish(&i->wish);
    free_kinds(i->resync_kinds);
    mt_generation_unref(i->resync_generation);
    mt_generation_unref(i->active);
    mt_port_free(i->port);
    mt_port_health_fini(&i->health);
    mt_integration_fini(&i->record);
    mt_version_unref(i->record_version);
    free(i->base_url);
    free(i->last_resync);
    free(i->destination);
    free(i->name);
    free(i->identifier);
    free(i->type);
    free(i);
}
