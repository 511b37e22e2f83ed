/* Drives observe/metrics.c from metrics_spec.lua: metrics_driver COMMAND; prints the rendered text. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "observe/metrics.h"
#include "observe/names.h"

static void labels_of(struct mt_label out[4], char **argv, int argc)
{
    for (int i = 0; i < 3 && i + 1 < argc; i += 2)
        out[i / 2] = (struct mt_label){argv[i], argv[i + 1]};
}

static void sample(struct mt_metrics *m, double n)
{
    const struct mt_label one[] = {{"integration", "gh"}, {0}},
                          kind[] = {{"integration", "gh"}, {"kind", "issue-0"}, {0}},
                          turned[] = {{"kind", "issue-0"}, {"integration", "gh"}, {0}},
                          phase[] = {{"integration", "gh"}, {"kind", "issue-0"}, {"phase", "load"}, {0}},
                          count[] = {{"integration", "gh"},
                                     {"kind", "issue-0"},
                                     {"phase", "load"},
                                     {"object_count_type", "loaded"},
                                     {0}};
    mt_metrics_set(m, MT_METRIC_DURATION, phase, 1.5 * n);
    mt_metrics_set(m, MT_METRIC_OBJECTS, count, n);
    mt_metrics_set(m, MT_METRIC_SUCCESS, phase, 1);
    mt_metrics_set(m, MT_METRIC_LATENCY_MAX, kind, 0.1);
    mt_metrics_set(m, MT_METRIC_GENERATION, one, n);
    mt_metrics_add(m, MT_METRIC_RELOADS,
                   (const struct mt_label[]){{"integration", "gh"}, {"result", "reloaded"}, {0}}, 1);
    mt_metrics_add(m, MT_METRIC_RESYNCS,
                   (const struct mt_label[]){{"integration", "gh"}, {"result", "failed"}, {0}}, 1);
    mt_metrics_add(m, MT_METRIC_REFUSED,
                   (const struct mt_label[]){{"listener", "admin"}, {"reason", "slow"}, {0}}, 1);
    mt_metrics_observe(m, MT_METRIC_HTTP, mt_buckets_seconds, one, 0.003);
    mt_metrics_observe(m, MT_METRIC_PORT, mt_buckets_seconds, one, 100);
    mt_metrics_observe(m, MT_METRIC_MAPPING, mt_buckets_seconds, kind, 0.001);
    mt_metrics_observe(m, MT_METRIC_MAPPING, mt_buckets_seconds, turned, 0.02);
    mt_metrics_observe(m, MT_METRIC_QUEUE, mt_buckets_count, kind, 100);
    mt_metrics_observe(m, MT_METRIC_SWAP, mt_buckets_seconds, one, 0.0001);
    mt_metrics_observe(m, MT_METRIC_RELOAD, mt_buckets_seconds,
                       (const struct mt_label[]){{"integration", "gh"}, {"result", "refused"}, {0}}, 0.1);
}

static void *work(void *arg)
{
    for (int i = 0; i < 2000; i++)
        sample(arg, 1);
    return NULL;
}

/* Two threads count while this one renders. */
static void threads(struct mt_metrics *m)
{
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, work, m);
    for (int i = 0; i < 50; i++) {
        struct mt_buf out;
        mt_buf_init(&out, 1 << 20);
        mt_metrics_process(m);
        mt_metrics_render(m, &out);
        mt_metrics_forget(m, "integration", "other");
        mt_buf_fini(&out);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

/* What a sample costs, and whether one that is known allocates. */
static void speed(struct mt_metrics *m)
{
    char name[16];
    for (int i = 0; i < 5000; i++) { /* a large registry beside it */
        snprintf(name, sizeof name, "i-%d", i);
        mt_metrics_set(m, "moontide_generation", "x", (const struct mt_label[]){{"integration", name}, {0}},
                       i);
    }
    sample(m, 1);
    size_t before = mallinfo2().uordblks;
    uint64_t began = mt_now_ns();
    for (int i = 0; i < 20000; i++)
        sample(m, i);
    printf("%.0f ns, %zu bytes\n", (double)(mt_now_ns() - began) / 20000 / 15, mallinfo2().uordblks - before);
}

int main(int argc, char **argv)
{
    static const double bounds[] = {0.5, 1, 2.5, 0};
    const char *command = argc > 1 ? argv[1] : "";
    struct mt_metrics *m = mt_metrics_new();
    struct mt_label labels[4] = {0};
    struct mt_buf out;
    mt_buf_init(&out, 4 << 20);
    if (strcmp(command, "all") == 0) {
        sample(m, 1);
        sample(m, 2);
        mt_metrics_process(m);
    } else if (strcmp(command, "gauge") == 0) { /* gauge HELP VALUE [NAME VALUE]… */
        labels_of(labels, argv + 4, argc - 4);
        mt_metrics_set(m, "g", argv[2], labels, strtod(argv[3], NULL));
    } else if (strcmp(command, "histogram") == 0) { /* histogram VALUE… */
        for (int i = 2; i < argc; i++)
            mt_metrics_observe(m, "h_seconds", "H", bounds, NULL, strtod(argv[i], NULL));
    } else if (strcmp(command, "forget") == 0) {
        for (int i = 0; i < 300; i++) {
            char name[16];
            snprintf(name, sizeof name, "i-%d", i);
            mt_metrics_add(m, "moontide_x_total", "X",
                           (const struct mt_label[]){{"integration", name}, {"kind", ""}, {0}}, 1);
            mt_metrics_set(m, "only", "Y", (const struct mt_label[]){{"integration", name}, {0}}, 1);
            if (i % 100) {
                mt_metrics_forget(m, "integration", name);
                mt_metrics_forget(m, "kind", name);
            }
        }
        mt_metrics_forget(m, "integration", "i-0");
        mt_metrics_add(m, "moontide_x_total", "X", (const struct mt_label[]){{"integration", "i-100"}, {0}},
                       1);
    } else if (strcmp(command, "misuse") == 0) {
        mt_metrics_set(m, "a", "A", NULL, 1);
        mt_metrics_add(m, "a", "A", NULL, 1);
        mt_metrics_observe(m, "a", "A", mt_buckets_count, (const struct mt_label[]){{"x", "y"}, {0}}, 1);
        mt_metrics_add(m, "b_total", "B", NULL, 5);
        mt_metrics_add(m, "b_total", "B", NULL, -3);
        for (int i = 0; i < 3; i++) /* one label too many */
            mt_metrics_set(m, "c", "C",
                           (const struct mt_label[]){{"a", "1"},
                                                     {"b", "1"},
                                                     {"c", "1"},
                                                     {"d", "1"},
                                                     {"e", "1"},
                                                     {"f", "1"},
                                                     {"g", "1"},
                                                     {"h", "1"},
                                                     {"i", "1"},
                                                     {0}},
                           i);
        mt_metrics_set(NULL, "a", "A", NULL, 1);
        mt_metrics_add(NULL, "a", "A", NULL, 1);
        mt_metrics_observe(NULL, "a", "A", mt_buckets_count, NULL, 1);
        mt_metrics_forget(NULL, "a", "b");
        mt_log_flush();
    } else if (strcmp(command, "threads") == 0) {
        threads(m);
    } else if (strcmp(command, "speed") == 0) {
        speed(m);
        mt_metrics_free(m);
        return 0;
    } else if (strcmp(command, "full") == 0) {
        sample(m, 1);
        out.max = 100;
    }
    bool ok = mt_metrics_render(m, &out);
    fwrite(out.p, 1, out.n, stdout);
    mt_buf_fini(&out);
    mt_metrics_free(m);
    return ok ? 0 : 3;
}
