/* GET /status, the answer of /health/ready, and the gauges of R-OBS-05. Loop thread. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"
#include "service/instance.h"

/* ---- readiness ---- */

static bool is_ready(struct mt_instance *i, struct mt_buf *why)
{
    const char *name = i->identifier ? i->identifier : i->path;
    if (!i->active) {
        mt_buf_printf(why, "%s is not loaded%s%s", name, i->refused.error ? ": " : "",
                      i->refused.error ? i->refused.error : "");
    } else if (!i->connected) {
        mt_buf_printf(why, "%s: Port has not accepted the credentials yet", name);
    } else if (atomic_load(&i->health.failed)) {
        mt_buf_printf(why, "%s: the last call to Port failed", name);
    } else {
        return true;
    }
    return false;
}

bool mt_status_ready(void *ud, struct mt_buf *why)
{
    struct mt_service *s = ud;
    if (s->ending) {
        mt_buf_puts(why, "the process ends");
        return false;
    }
    for (size_t i = 0; i < s->count; i++)
        if (!is_ready(s->instances[i], why))
            return false;
    return true;
}

/* ---- /status ---- */

static void put_text(struct mt_buf *out, const char *name, const char *value)
{
    mt_buf_printf(out, "\"%s\":", name);
    if (value)
        mt_buf_put_json_string(out, mt_slice_of(value));
    else
        mt_buf_puts(out, "null");
}

static void put_time(struct mt_buf *out, const char *name, int64_t us)
{
    char text[MT_ISO_SIZE];
    put_text(out, name, us ? mt_iso_format(us, text) : NULL);
}

static void put_digest(struct mt_buf *out, const struct mt_key *key)
{
    mt_buf_puts(out, "\"digest\":\"");
    for (size_t i = 0; i < sizeof key->b; i++)
        mt_buf_printf(out, "%02x", key->b[i]);
    mt_buf_putc(out, '"');
}

static void put_generation(struct mt_buf *out, struct mt_instance *i)
{
    const struct mt_generation *g = i->active;
    mt_buf_puts(out, ",\"generation\":");
    if (g) {
        mt_buf_printf(out, "{\"number\":%u,", g->number);
        put_time(out, "loaded", g->loaded_us);
        mt_buf_putc(out, ',');
        put_digest(out, &g->bundle);
        mt_buf_putc(out, '}');
    } else {
        mt_buf_puts(out, "null");
    }
    mt_buf_puts(out, ",\"refused\":");
    if (i->refused.at_us) {
        mt_buf_putc(out, '{');
        put_time(out, "at", i->refused.at_us);
        mt_buf_putc(out, ',');
        put_text(out, "error", i->refused.error);
        mt_buf_putc(out, ',');
        put_text(out, "file", i->refused.file);
        if (i->refused.line)
            mt_buf_printf(out, ",\"line\":%u}", i->refused.line);
        else
            mt_buf_puts(out, ",\"line\":null}");
    } else {
        mt_buf_puts(out, "null");
    }
}

/* The kind at work. */
static const char *kind_of(struct mt_instance *i)
{
    struct mt_report *report = i->resync ? mt_resync_report(i->resync) : NULL;
    for (unsigned k = 0; report && k < mt_report_kind_count(report); k++) {
        struct mt_kind_report *kind = mt_report_kind_at(report, k);
        if (atomic_load(&kind->ran) && !atomic_load(&kind->ended_ns))
            return kind->kind;
    }
    return NULL;
}

static void put_instance(struct mt_buf *out, struct mt_instance *i)
{
    const struct mt_generation *g = i->active;
    bool local = i->service->options->local_mapping || i->service->options->watch ||
                 (g && mt_config_embedded(g->version->config));
    mt_buf_putc(out, '{');
    put_text(out, "name", i->name);
    mt_buf_putc(out, ',');
    put_text(out, "identifier", i->identifier);
    mt_buf_putc(out, ',');
    put_text(out, "type", i->type);
    mt_buf_putc(out, ',');
    put_text(out, "version", g ? mt_config_version(g->version->config) : NULL);
    mt_buf_putc(out, ',');
    put_text(out, "path", i->path);
    mt_buf_putc(out, ',');
    put_text(out, "listener",
             !g                          ? NULL
             : i->service->options->once ? "ONCE"
                                         : mt_config_text(g->version->config, "event_listener.type"));
    put_generation(out, i);
    mt_buf_puts(out, ",\"mapping\":");
    if (g && g->mapping && local) {
        mt_buf_putc(out, '{');
        put_text(out, "from", mt_bundle_resources(g->version->bundle)->mapping_file);
        mt_buf_putc(out, ',');
        put_digest(out, &g->mapping->digest);
        mt_buf_putc(out, '}');
    } else {
        mt_buf_puts(out, g ? "{\"from\":\"Port\",\"digest\":null}" : "null");
    }
    mt_buf_printf(out, ",\"resync\":{\"state\":\"%s\",",
                  i->resync    ? "running"
                  : i->waiting ? "waiting"
                               : "idle");
    put_time(out, "started", i->resync ? i->resync_started_us : 0);
    mt_buf_putc(out, ',');
    put_text(out, "kind", kind_of(i));
    mt_buf_printf(out, "},\"last_resync\":%s,", i->last_resync ? i->last_resync : "null");
    put_time(out, "next_resync", i->scheduled ? mt_schedule_next(&i->schedule) : 0);
    mt_buf_printf(out, ",\"reloads\":{\"done\":%u,\"refused\":%u}}", i->reloads_done, i->reloads_refused);
}

void mt_status_put(void *ud, struct mt_buf *out)
{
    struct mt_service *s = ud;
    struct mt_buf why;
    mt_service_measure(s); /* what this tells and the log agree */
    mt_buf_init(&why, 8192);
    bool ready = mt_status_ready(s, &why);
    mt_buf_printf(out, "{\"version\":\"%s\",\"pid\":%d,", MT_VERSION, (int)getpid());
    put_time(out, "started", s->started_us);
    mt_buf_printf(out, ",\"ready\":%s,", ready ? "true" : "false");
    put_text(out, "reason", ready ? NULL : mt_buf_text(&why));
    mt_buf_printf(out, ",\"resyncs_running\":%u,\"bundles\":[", s->running);
    for (size_t i = 0; i < s->count; i++) {
        if (i)
            mt_buf_putc(out, ',');
        put_instance(out, s->instances[i]);
    }
    mt_buf_puts(out, "]}");
    mt_buf_fini(&why);
}

/* ---- the gauges of R-OBS-05 and R-OBS-06, of the last resync ---- */

static void set_count(struct mt_instance *i, const char *kind, const char *phase, const char *type,
                      double value)
{
    mt_metrics_set(i->service->metrics, MT_METRIC_OBJECTS,
                   (struct mt_label[]){{"integration", i->identifier},
                                       {"kind", kind},
                                       {"phase", phase},
                                       {"object_count_type", type},
                                       {NULL, NULL}},
                   value);
}

static void set_phase(struct mt_instance *i, const char *kind, double seconds, bool success)
{
    struct mt_label labels[] = {
        {"integration", i->identifier}, {"kind", kind}, {"phase", "resync"}, {NULL, NULL}};
    mt_metrics_set(i->service->metrics, MT_METRIC_DURATION, labels, seconds);
    mt_metrics_set(i->service->metrics, MT_METRIC_SUCCESS, labels, success ? 1 : 0);
}

static double count_of(atomic_ullong *counter)
{
    return (double)atomic_load(counter);
}

static void set_usage(struct mt_instance *i, const char *kind, const struct mt_usage *u)
{
    struct mt_label labels[] = {{"integration", i->identifier}, {"kind", kind}, {NULL, NULL}};
    struct mt_metrics *m = i->service->metrics;
    if (u->sampled) {
        mt_metrics_set(m, MT_METRIC_CPU_MAX, labels, u->cpu.max);
        mt_metrics_set(m, MT_METRIC_CPU_MEDIAN, labels, u->cpu.median);
        mt_metrics_set(m, MT_METRIC_CPU_AVG, labels, u->cpu.avg);
        mt_metrics_set(m, MT_METRIC_MEMORY_MAX, labels, u->memory.max);
        mt_metrics_set(m, MT_METRIC_MEMORY_MEDIAN, labels, u->memory.median);
        mt_metrics_set(m, MT_METRIC_MEMORY_AVG, labels, u->memory.avg);
        mt_metrics_set(m, MT_METRIC_LATENCY_MAX, labels, u->latency.max);
        mt_metrics_set(m, MT_METRIC_LATENCY_MEDIAN, labels, u->latency.median);
        mt_metrics_set(m, MT_METRIC_LATENCY_AVG, labels, u->latency.avg);
    }
    if (u->answered) {
        mt_metrics_set(m, MT_METRIC_RESPONSE_TOTAL, labels, u->answers.sum);
        mt_metrics_set(m, MT_METRIC_RESPONSE_AVG, labels, u->answers.avg);
        mt_metrics_set(m, MT_METRIC_RESPONSE_MEDIAN, labels, u->answers.median);
    }
}

void mt_status_measure(struct mt_instance *i, struct mt_report *report)
{
    bool complete = i->last_resync && strstr(i->last_resync, "\"result\":\"complete\"");
    for (unsigned n = 0; n < mt_report_kind_count(report); n++) {
        struct mt_kind_report *k = mt_report_kind_at(report, n);
        if (!atomic_load(&k->ran))
            continue;
        char *name = mt_format("%s-%u", k->kind, k->index); /* R-OBS-07 */
        double filtered = count_of(&k->items) - count_of(&k->mapped);
        uint64_t begin = atomic_load(&k->started_ns), end = atomic_load(&k->ended_ns);
        set_phase(i, name, end > begin ? (double)(end - begin) / 1e9 : 0, complete);
        set_usage(i, name, &k->usage);
        set_count(i, name, "extract", "raw_extracted", count_of(&k->items));
        set_count(i, name, "transform", "transformed", count_of(&k->mapped));
        set_count(i, name, "transform", "filtered_out", filtered > 0 ? filtered : 0);
        set_count(i, name, "transform", "failed", count_of(&k->failed));
        set_count(i, name, "load", "loaded", count_of(&k->created) + count_of(&k->updated));
        set_count(i, name, "load", "failed", count_of(&k->load_failed));
        set_count(i, name, "load", "skipped", count_of(&k->unchanged));
        free(name);
    }
    set_count(i, "__reconciliation__", "delete", "deleted", (double)mt_report_deleted_count(report));
    set_phase(i, "__runtime__", (double)(mt_now_ns() - i->resync_started_ns) / 1e9, complete);
}
