/* Port's record of the integration: see integration.h. */
#include "port/integration.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/url.h"

enum { BODY_MAX = 64 * 1024 * 1024, CLOCK_SET_US = 2000000 /* more than a leap second */ };

/* "/integration/{id}SUFFIX", each segment escaped (A-COM-10). */
static char *path_of(const struct mt_integration *i, const char *suffix)
{
    struct mt_buf path;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_puts(&path, "/integration/");
    mt_url_escape(&path, mt_slice_of(i->identifier));
    mt_buf_puts(&path, suffix);
    mt_buf_text(&path);
    return mt_buf_take(&path, NULL);
}

static void keep(struct mt_integration *i, struct mt_doc *doc)
{
    mt_doc_unref(i->doc);
    i->doc = doc;
}

void mt_integration_fini(struct mt_integration *i)
{
    keep(i, NULL);
}

bool mt_integration_member(const struct mt_integration *i, const char *dotted, struct mt_val *out)
{
    struct mt_val v;
    if (!i->doc || !mt_val_member(mt_doc_root(i->doc), MT_SLICE("integration"), &v) ||
        !mt_val_path(v, dotted, &v) || mt_val_is(v, MT_NULL))
        return false;
    *out = v;
    return true;
}

enum mt_rc mt_integration_get(struct mt_port *port, struct mt_integration *i, struct mt_err *err)
{
    struct mt_port_answer answer;
    char *path = path_of(i, "?oceanCoreVersion=" MT_OCEAN_VERSION "&isPolling=false"); /* A-INT-01 */
    enum mt_rc rc = mt_port_call(port, "GET", path, (struct mt_slice){0}, 0, &answer, err);
    if (rc == MT_EHTTP && err && err->status == 404) {
        keep(i, NULL);
        rc = MT_OK;
    } else if (rc == MT_OK) {
        struct mt_val record;
        if (!answer.doc || !mt_val_member(mt_doc_root(answer.doc), MT_SLICE("integration"), &record)) {
            mt_doc_unref(answer.doc);
            rc = mt_fail(err, MT_EDATA, "Port's answer about integration %s holds no integration",
                         i->identifier);
        } else {
            keep(i, answer.doc);
        }
    }
    free(path);
    return rc;
}

/* Sends a body and keeps the answered record, if there is one. */
static enum mt_rc change(struct mt_port *port, struct mt_integration *i, const char *method, const char *path,
                         unsigned flags, struct mt_buf *body, struct mt_err *err)
{
    struct mt_port_answer answer = {0};
    struct mt_val record;
    enum mt_rc rc = body->failed
                        ? mt_fail(err, MT_ELIMIT, "the record of integration %s is larger than %d bytes",
                                  i->identifier, BODY_MAX)
                        : mt_port_call(port, method, path, mt_buf_slice(body), flags, &answer, err);
    if (rc == MT_OK && answer.doc && mt_val_member(mt_doc_root(answer.doc), MT_SLICE("integration"), &record))
        keep(i, answer.doc);
    else
        mt_doc_unref(answer.doc);
    return rc;
}

static void put_destination(struct mt_buf *out, const struct mt_integration *i)
{
    if (i->destination) {
        mt_buf_puts(out, "{\"type\":\"WEBHOOK\",\"url\":");
        mt_buf_put_json_string(out, mt_slice_of(i->destination));
        mt_buf_putc(out, '}');
    } else {
        mt_buf_puts(out, "{}");
    }
}

enum mt_rc mt_integration_create(struct mt_port *port, struct mt_integration *i, struct mt_val mapping,
                                 struct mt_err *err)
{
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"installationId\":");
    mt_buf_put_json_string(&body, mt_slice_of(i->identifier));
    mt_buf_puts(&body, ",\"installationAppType\":");
    mt_buf_put_json_string(&body, mt_slice_of(i->type));
    mt_buf_puts(&body, ",\"version\":");
    mt_buf_put_json_string(&body, mt_slice_of(i->version));
    mt_buf_puts(&body, ",\"changelogDestination\":");
    put_destination(&body, i);
    mt_buf_puts(&body, ",\"config\":");
    if (mapping.doc)
        mt_val_write(mapping, &body);
    else
        mt_buf_puts(&body, "{}");
    mt_buf_puts(&body, ",\"actionsProcessingEnabled\":false,\"incrementalSyncEnabled\":false,"
                       "\"createPortResourcesOrigin\":\"Default\"}");
    enum mt_rc rc = change(port, i, "POST", "/integration", 0, &body, err);
    mt_buf_fini(&body);
    return rc;
}

static bool text_is(const struct mt_integration *i, const char *member, const char *text)
{
    struct mt_val v;
    return mt_integration_member(i, member, &v) && mt_val_is(v, MT_STRING) &&
           mt_slice_is(mt_val_string(v), text);
}

/* An absent field counts as different (A-INT-10). */
static bool is_false(const struct mt_integration *i, const char *member)
{
    struct mt_val v;
    return mt_integration_member(i, member, &v) && mt_val_is(v, MT_BOOL) && !mt_val_true(v);
}

static bool has_destination(const struct mt_integration *i)
{
    struct mt_val v;
    if (!mt_integration_member(i, "changelogDestination", &v) || !mt_val_is(v, MT_OBJECT))
        return false;
    return i->destination ? mt_val_count(v) == 2 && text_is(i, "changelogDestination.type", "WEBHOOK") &&
                                text_is(i, "changelogDestination.url", i->destination)
                          : mt_val_count(v) == 0;
}

enum mt_rc mt_integration_update(struct mt_port *port, struct mt_integration *i, struct mt_err *err)
{
    if (text_is(i, "installationAppType", i->type) && text_is(i, "version", i->version) &&
        text_is(i, "processingMode", "ocean-core") && is_false(i, "actionsProcessingEnabled") &&
        is_false(i, "incrementalSyncEnabled") && has_destination(i))
        return MT_OK;
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"installationAppType\":");
    mt_buf_put_json_string(&body, mt_slice_of(i->type));
    mt_buf_puts(
        &body,
        ",\"actionsProcessingEnabled\":false,\"incrementalSyncEnabled\":false,\"changelogDestination\":");
    put_destination(&body, i);
    mt_buf_puts(&body, ",\"processingMode\":\"ocean-core\",\"version\":"); /* R-DSP-06 */
    mt_buf_put_json_string(&body, mt_slice_of(i->version));
    mt_buf_putc(&body, '}');
    char *path = path_of(i, "");
    enum mt_rc rc = change(port, i, "PATCH", path, 0, &body, err);
    free(path);
    mt_buf_fini(&body);
    return rc;
}

enum mt_rc mt_integration_mark_initialized(struct mt_port *port, struct mt_integration *i, struct mt_err *err)
{
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"arePortResourcesInitialized\":true,\"version\":");
    mt_buf_put_json_string(&body, mt_slice_of(i->version));
    mt_buf_putc(&body, '}');
    char *path = path_of(i, "");
    enum mt_rc rc = change(port, i, "PATCH", path, 0, &body, err);
    free(path);
    mt_buf_fini(&body);
    return rc;
}

enum mt_rc mt_integration_put_mapping(struct mt_port *port, struct mt_integration *i, struct mt_val mapping,
                                      struct mt_err *err)
{
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"config\":");
    mt_val_write(mapping, &body);
    mt_buf_putc(&body, '}');
    char *path = path_of(i, "/config");
    /* Ours is followed by a resync already; Ocean sends the header as SaaS only. */
    enum mt_rc rc = change(port, i, "PATCH", path, MT_PORT_QUIET, &body, err);
    free(path);
    mt_buf_fini(&body);
    return rc;
}

/* Reports never decide: an error is logged, and that is all. False: Port did not take it. */
static bool ask(struct mt_port *port, const char *what, const char *method, const char *path,
                struct mt_buf *body, struct mt_doc **out)
{
    struct mt_err err;
    struct mt_port_answer answer = {0};
    enum mt_rc rc = mt_port_call(port, method, path, mt_buf_slice(body), 0, &answer, &err);
    if (rc != MT_OK && err.rc != MT_ECANCELED)
        mt_log_repeat(MT_WARN, what, "could not report %s: %s", what, err.text);
    *out = answer.doc;
    return rc == MT_OK;
}

static void report(struct mt_port *port, const char *what, const char *method, const char *path,
                   struct mt_buf *body)
{
    struct mt_doc *answer;
    ask(port, what, method, path, body, &answer);
    mt_doc_unref(answer);
}

/* ---- the state of the resync ---- */

int64_t mt_schedule_next(const struct mt_schedule *schedule)
{
    if (!schedule->every_ns)
        return 0;
    const uint64_t now = mt_now_ns(), every = schedule->every_ns;
    const uint64_t left =
        now < schedule->due_ns ? schedule->due_ns - now : every - (now - schedule->due_ns) % every;
    return mt_wall_us() + (int64_t)(left / 1000);
}

static void put_schedule(struct mt_buf *body, const struct mt_integration *i)
{
    char when[MT_ISO_SIZE];
    int64_t next = mt_schedule_next(&i->schedule);
    if (next)
        mt_buf_printf(body, ",\"nextResync\":\"%s\",\"intervalInMinuets\":%u}", mt_iso_format(next, when),
                      (i->schedule.seconds + 59) / 60); /* A-INT-18 */
    else
        mt_buf_puts(body, ",\"nextResync\":null,\"intervalInMinuets\":null}");
}

static bool patch_state(struct mt_port *port, struct mt_integration *i, struct mt_buf *body)
{
    struct mt_val updated;
    int64_t state_us;
    char *path = path_of(i, "/resync-state");
    struct mt_doc *answer;
    bool taken = ask(port, "the resync state", "PATCH", path, body, &answer);
    if (answer && mt_val_path(mt_doc_root(answer), "integration.resyncState.updatedAt", &updated) &&
        mt_val_is(updated, MT_STRING) && mt_iso_parse(mt_val_string(updated), &state_us) == MT_OK)
        i->state_us = state_us;
    mt_doc_unref(answer);
    free(path);
    return taken;
}

void mt_integration_resync_started(struct mt_port *port, struct mt_integration *i, int64_t started_us,
                                   uint64_t started_ns)
{
    char when[MT_ISO_SIZE];
    i->started_us = started_us;
    i->started_ns = started_ns;
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_printf(&body, "{\"status\":\"running\",\"lastResyncEnd\":null,\"lastResyncStart\":\"%s\"",
                  mt_iso_format(started_us, when)); /* A-INT-16 */
    put_schedule(&body, i);
    patch_state(port, i, &body);
    mt_buf_fini(&body);
}

bool mt_integration_resync_ended(struct mt_port *port, struct mt_integration *i, const char *status)
{
    char when[MT_ISO_SIZE];
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    const int64_t now = mt_wall_us(), began = now - (int64_t)((mt_now_ns() - i->started_ns) / 1000);
    mt_buf_printf(&body, "{\"status\":\"%s\",\"lastResyncEnd\":\"%s\"", status,
                  mt_iso_format(now, when)); /* A-INT-17 */
    if (i->started_us && llabs(began - i->started_us) > CLOCK_SET_US)
        mt_buf_printf(&body, ",\"lastResyncStart\":\"%s\"", mt_iso_format(began, when));
    put_schedule(&body, i);
    bool taken = patch_state(port, i, &body);
    mt_buf_fini(&body);
    return taken;
}

enum mt_rc mt_integration_resync_request(struct mt_port *port, const struct mt_integration *i,
                                         int64_t *out_us, struct mt_err *err)
{
    struct mt_port_answer answer = {0};
    struct mt_val updated;
    char *path = path_of(i, "/resync-request");
    enum mt_rc rc = mt_port_call(port, "GET", path, (struct mt_slice){0}, 0, &answer, err);
    free(path);
    *out_us = 0;
    if (rc == MT_OK && answer.doc && mt_val_path(mt_doc_root(answer.doc), "request.updatedAt", &updated) &&
        mt_val_is(updated, MT_STRING) && mt_iso_parse(mt_val_string(updated), out_us) != MT_OK)
        *out_us = 0;
    mt_doc_unref(answer.doc);
    return rc;
}

void mt_integration_examples(struct mt_port *port, const struct mt_integration *i, const char *kind,
                             struct mt_slice array)
{
    struct mt_buf path, body;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_init(&body, BODY_MAX);
    char *prefix = path_of(i, "/kinds/");
    mt_buf_puts(&path, prefix);
    mt_url_escape(&path, mt_slice_of(kind));
    mt_buf_puts(&path, "/examples");
    mt_buf_puts(&body, "{\"examples\":");
    mt_buf_put(&body, array);
    mt_buf_putc(&body, '}');
    report(port, "raw examples", "POST", mt_buf_text(&path), &body);
    free(prefix);
    mt_buf_fini(&path);
    mt_buf_fini(&body);
}

static void put_metric(struct mt_buf *out, const struct mt_integration *i, const struct mt_kind_metric *m)
{
    struct mt_val v;
    struct mt_slice installation = MT_SLICE("Unknown");
    if (mt_integration_member(i, "installationType", &v) && mt_val_is(v, MT_STRING))
        installation = mt_val_string(v);
    const struct {
        const char *name;
        struct mt_slice value;
    } texts[] = {
        {"{\"integrationType\":", mt_slice_of(i->type)},
        {",\"installationType\":", installation},
        {",\"executionMode\":", MT_SLICE("single_process")},
        {",\"integrationIdentifier\":", mt_slice_of(i->identifier)},
        {",\"integrationVersion\":", mt_slice_of(i->version)},
        {",\"oceanVersion\":", MT_SLICE(MT_OCEAN_VERSION)},
        {",\"kindIdentifier\":", mt_slice_of(m->kind_identifier)},
        {",\"kind\":", mt_slice_of(m->kind)},
        {",\"eventId\":", mt_slice_of(m->event_id)},
        {",\"syncState\":", mt_slice_of(m->state)},
        {",\"blueprint\":", mt_slice_of(m->blueprint ? m->blueprint : "")},
    };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        mt_buf_puts(out, texts[k].name);
        mt_buf_put_json_string(out, texts[k].value);
    }
    mt_buf_printf(out, ",\"kindIndex\":%u,\"metrics\":", m->index);
    mt_buf_put(out, m->metrics);
    mt_buf_putc(out, '}');
}

static char *metrics_url(const struct mt_integration *i)
{
    struct mt_val v;
    if (!mt_integration_member(i, "metricAttributes.ingestUrl", &v) || !mt_val_is(v, MT_STRING))
        return NULL;
    return mt_slice_dup(mt_val_string(v));
}

void mt_integration_metrics_post(struct mt_port *port, const struct mt_integration *i,
                                 const struct mt_kind_metric *metrics, size_t count)
{
    char *base = metrics_url(i);
    if (!base)
        return;
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"syncKindsMetrics\":[");
    for (size_t k = 0; k < count; k++) {
        if (k)
            mt_buf_putc(&body, ',');
        put_metric(&body, i, &metrics[k]);
    }
    mt_buf_puts(&body, "]}");
    char *url = mt_format("%s/syncMetrics", base);
    report(port, "metrics", "POST", url, &body);
    free(url);
    free(base);
    mt_buf_fini(&body);
}

void mt_integration_metrics_put(struct mt_port *port, const struct mt_integration *i,
                                const struct mt_kind_metric *metric)
{
    char *base = metrics_url(i);
    if (!base)
        return;
    struct mt_buf body, url;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_init(&url, BODY_MAX);
    mt_buf_puts(&body, "{\"syncKindMetrics\":");
    put_metric(&body, i, metric);
    mt_buf_putc(&body, '}');
    mt_buf_printf(&url, "%s/syncMetrics/resync/", base);
    mt_url_escape(&url, mt_slice_of(metric->event_id));
    mt_buf_puts(&url, "/kind/");
    mt_url_escape(&url, mt_slice_of(metric->kind_identifier));
    report(port, "metrics", "PUT", mt_buf_text(&url), &body);
    free(base);
    mt_buf_fini(&url);
    mt_buf_fini(&body);
}

void mt_integration_heartbeat(struct mt_port *port, const struct mt_integration *i, const char *event_id)
{
    char *base = metrics_url(i);
    if (!base)
        return;
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_printf(&body, "{\"eventId\":\"%s\"}", event_id);
    char *url = mt_format("%s/heartbeat", base);
    report(port, "the heartbeat", "POST", url, &body);
    free(url);
    free(base);
    mt_buf_fini(&body);
}
