/* Reports of kinds to Port (A-MET, R-OBS): what the stages counted, in the nested form of the gauges. On the
 * resync thread. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "sync/session.h"

enum { METRICS_MAX = 64 * 1024 };

static double count_of(atomic_ullong *counter)
{
    return (double)atomic_load(counter);
}

static void put_usage(struct mt_buf *out, const char *name, const char *unit, const struct mt_usage_of *u)
{
    mt_buf_printf(out, ",\"%s_max_%s\":%.6f,\"%s_median_%s\":%.6f,\"%s_avg_%s\":%.6f", name, unit, u->max,
                  name, unit, u->median, name, unit, u->avg);
}

static void put_kind(struct mt_buf *out, struct mt_resource *r, bool done)
{
    struct mt_kind_report *k = r->report;
    double seconds = k->ended_ns ? (double)(k->ended_ns - k->started_ns) / 1e9 : 0;
    double filtered = count_of(&k->items) - count_of(&k->mapped);
    double loaded = count_of(&k->created) + count_of(&k->updated);
    bool success = done && !r->unproven_count && !atomic_load(&k->failed);
    mt_buf_printf(out,
                  "{\"phase\":{\"resync\":{\"duration_seconds\":%.6f,\"success\":%.1f},"
                  "\"extract\":{\"object_count_type\":{\"raw_extracted\":{\"object_count\":%.1f}}},"
                  "\"transform\":{\"object_count_type\":{\"transformed\":{\"object_count\":%.1f},"
                  "\"filtered_out\":{\"object_count\":%.1f},\"failed\":{\"object_count\":0.0}}},"
                  "\"load\":{\"object_count_type\":{\"loaded\":{\"object_count\":%.1f},\"failed\":{\"object_"
                  "count\":%.1f},"
                  "\"skipped\":{\"object_count\":%.1f}}}}",
                  seconds, success ? 1.0 : 0.0, count_of(&k->items), count_of(&k->mapped),
                  filtered > 0 ? filtered : 0.0, loaded, count_of(&k->load_failed), count_of(&k->unchanged));
    if (k->usage.sampled) {
        put_usage(out, "cpu", "percent", &k->usage.cpu);
        put_usage(out, "memory", "bytes", &k->usage.memory);
        put_usage(out, "event_loop_latency", "ms", &k->usage.latency);
    }
    if (k->usage.answered)
        mt_buf_printf(out,
                      ",\"response_size_total_bytes\":%.1f,\"response_size_avg_bytes\":%.1f,"
                      "\"response_size_median_bytes\":%.1f",
                      k->usage.answers.sum, k->usage.answers.avg, k->usage.answers.median);
    mt_buf_putc(out, '}');
}

static struct mt_kind_metric metric_of(struct mt_session *s, struct mt_resource *r, const char *state,
                                       struct mt_buf *text, char **out_name)
{
    struct mt_slice expression = mt_mapping_blueprint_expression(r->mapping);
    put_kind(text, r, strcmp(state, "completed") == 0);
    *out_name = mt_format("%s-%u%c%.*s", r->kind, r->report->index, '\0', MT_FMT(expression));
    size_t n = strlen(*out_name) + 1;
    return (struct mt_kind_metric){.kind_identifier = *out_name,
                                   .kind = r->kind,
                                   .index = r->report->index,
                                   .event_id = s->event_id,
                                   .state = state,
                                   .blueprint = *out_name + n,
                                   .metrics = mt_buf_slice(text)};
}

static void post_runtime(struct mt_session *s, const char *state, const char *metrics)
{
    struct mt_kind_metric m = {.kind_identifier = "__runtime__",
                               .kind = "__runtime__",
                               .event_id = s->event_id,
                               .state = state,
                               .metrics = mt_slice_of(metrics)};
    mt_integration_metrics_post(s->port, &s->integration, &m, 1);
}

void mt_metrics_begin(struct mt_session *s)
{
    if (s->options->plan)
        return;
    size_t n = s->resource_count;
    struct mt_kind_metric *metrics = mt_alloc((n + 1) * sizeof *metrics);
    struct mt_buf *texts = mt_alloc((n + 1) * sizeof *texts);
    char **names = mt_alloc((n + 1) * sizeof *names);
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++) {
        if (!s->resources[i].wanted)
            continue;
        mt_buf_init(&texts[wanted], METRICS_MAX);
        metrics[wanted] =
            metric_of(s, &s->resources[i], "pending", &texts[wanted], &names[wanted]); /* R-RES-16 */
        wanted++;
    }
    mt_integration_metrics_post(s->port, &s->integration, metrics, wanted);
    for (size_t i = 0; i < wanted; i++) {
        mt_buf_fini(&texts[i]);
        free(names[i]);
    }
    free(names);
    free(texts);
    free(metrics);
    post_runtime(s, "syncing", "{\"phase\":{\"resync\":{\"success\":0.0}}}");
}

void mt_metrics_kind(struct mt_session *s, struct mt_resource *r, const char *state)
{
    if (s->options->plan)
        return;
    struct mt_buf text;
    char *name;
    mt_buf_init(&text, METRICS_MAX);
    struct mt_kind_metric m = metric_of(s, r, state, &text, &name);
    mt_integration_metrics_put(s->port, &s->integration, &m);
    mt_buf_fini(&text);
    free(name);
}

void mt_metrics_reconciliation(struct mt_session *s, const char *state, double seconds, uint64_t deleted,
                               bool ok)
{
    if (s->options->plan)
        return;
    bool begin = strcmp(state, "syncing") == 0;
    char *text =
        begin ? mt_strdup("{\"phase\":{\"resync\":{\"success\":0.0}}}")
              : mt_format(
                    "{\"phase\":{\"delete\":{\"duration_seconds\":%.6f,\"object_count_type\":{\"deleted\":"
                    "{\"object_count\":%.1f}}},\"resync\":{\"duration_seconds\":%.6f,\"success\":%.1f}}}",
                    seconds, (double)deleted, seconds, ok ? 1.0 : 0.0);
    struct mt_kind_metric m = {.kind_identifier = "__reconciliation__",
                               .kind = "__reconciliation__",
                               .event_id = s->event_id,
                               .state = state,
                               .metrics = mt_slice_of(text)};
    if (begin)
        mt_integration_metrics_post(s->port, &s->integration, &m, 1);
    else
        mt_integration_metrics_put(s->port, &s->integration, &m);
    free(text);
}

void mt_metrics_end(struct mt_session *s, const char *state)
{
    if (s->options->plan)
        return;
    char *text =
        mt_format("{\"phase\":{\"resync\":{\"duration_seconds\":%.6f,\"success\":%.1f}}}",
                  (double)(mt_now_ns() - s->started_ns) / 1e9, strcmp(state, "completed") == 0 ? 1.0 : 0.0);
    post_runtime(s, state, text);
    free(text);
}
