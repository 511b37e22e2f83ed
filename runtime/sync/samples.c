/* Samples: see samples.h. Maxima, sums and counts are exact; medians are of a reservoir, so that a kind that
 * runs for days costs no more than one that runs for minutes. */
#include "sync/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

enum { EVERY_MS = 500 /* R-OBS-09 */, RESERVOIR = 2048 };

struct series {
    double max, sum;
    uint64_t count;
    double kept[RESERVOIR];
};

struct mt_samples {
    struct mt_loop *loop;
    struct mt_timer *timer;
    uint64_t due_ns, taken_ns, cpu_ns;
    uint64_t random;
    struct series cpu, memory, latency, answers;
};

static void add(struct mt_samples *s, struct series *series, double value)
{
    uint64_t at = series->count++;
    series->sum += value;
    if (value > series->max)
        series->max = value;
    if (at >= RESERVOIR) { /* each value so far is kept with the same probability */
        s->random = s->random * 6364136223846793005u + 1442695040888963407u;
        at = (s->random >> 32) % series->count;
    }
    if (at < RESERVOIR)
        series->kept[at] = value;
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void take(void *arg)
{
    struct mt_samples *s = arg;
    uint64_t now = mt_now_ns(), cpu = cpu_ns();
    add(s, &s->latency, now > s->due_ns ? (double)(now - s->due_ns) / 1e6 : 0);
    if (now > s->taken_ns)
        add(s, &s->cpu, 100.0 * (double)(cpu - s->cpu_ns) / (double)(now - s->taken_ns));
    add(s, &s->memory, resident_bytes());
    s->taken_ns = now;
    s->cpu_ns = cpu;
    s->due_ns = now + EVERY_MS * 1000000ull;
    mt_timer_free(s->timer);
    s->timer = mt_timer_new(s->loop, EVERY_MS, take, s);
}

struct mt_samples *mt_samples_begin(struct mt_loop *loop)
{
    struct mt_samples *s = mt_alloc(sizeof *s);
    s->loop = loop;
    s->taken_ns = mt_now_ns();
    s->cpu_ns = cpu_ns();
    s->due_ns = s->taken_ns + EVERY_MS * 1000000ull;
    s->timer = mt_timer_new(loop, EVERY_MS, take, s);
    return s;
}

void mt_samples_answer(struct mt_samples *s, size_t bytes)
{
    if (s)
        add(s, &s->answers, (double)bytes);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct mt_usage_of summary(struct series *series)
{
    size_t n = series->count < RESERVOIR ? (size_t)series->count : RESERVOIR;
    if (!n)
        return (struct mt_usage_of){0};
    qsort(series->kept, n, sizeof series->kept[0], by_value);
    return (struct mt_usage_of){.max = series->max,
                                .sum = series->sum,
                                .median = (series->kept[(n - 1) / 2] + series->kept[n / 2]) / 2,
                                .avg = series->sum / (double)series->count};
}

void mt_samples_end(struct mt_samples *s, struct mt_usage *usage)
{
    *usage = (struct mt_usage){.sampled = s->cpu.count > 0,
                               .answered = s->answers.count > 0,
                               .cpu = summary(&s->cpu),
                               .memory = summary(&s->memory),
                               .latency = summary(&s->latency),
                               .answers = summary(&s->answers)};
    mt_timer_free(s->timer);
    free(s);
}
