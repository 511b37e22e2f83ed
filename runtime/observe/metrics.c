/* The registry of metrics: see metrics.h. One lock around everything: a sample costs a hash, a look-up and an
 * addition (some 100 ns), and only batches and requests are counted.
 *
 * Families (one a name) and their samples are kept in the order of their making, and an open-addressed table
 * finds a sample by name and labels without allocating. */
#include "observe/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"

enum { LABELS_MAX = 8, FIRST_SLOTS = 64, VALUE_MAX = 1000 };

enum type { GAUGE, COUNTER, HISTOGRAM };

struct sample {
    struct family *family;
    struct sample *next;
    uint64_t hash;
    double value;     /* the sum of a histogram */
    uint64_t *counts; /* of a histogram: one a bucket and +Inf, not cumulated */
    unsigned label_count;
    struct mt_label labels[LABELS_MAX]; /* copied; those without a value are left out */
};

struct family {
    struct family *next;
    const char *name, *help;
    enum type type;
    const double *buckets;
    size_t bucket_count;
    struct sample *first, **last;
};

struct mt_metrics {
    pthread_mutex_t lock;
    struct family *first, **last;
    struct sample **slots;
    size_t slot_count, used; /* a power of two, at most half full */
};

const double mt_buckets_seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                     0.5,   1,      2.5,   5,    10,    30,   60,  0};
const double mt_buckets_count[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 0};

struct mt_metrics *mt_metrics_new(void)
{
    struct mt_metrics *m = mt_alloc(sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->last = &m->first;
    m->slot_count = FIRST_SLOTS;
    m->slots = mt_alloc(m->slot_count * sizeof(struct sample *));
    return m;
}

static void free_sample(struct sample *s)
{
    for (unsigned i = 0; i < s->label_count; i++) {
        free((char *)(uintptr_t)s->labels[i].name);
        free((char *)(uintptr_t)s->labels[i].value);
    }
    free(s->counts);
    free(s);
}

void mt_metrics_free(struct mt_metrics *m)
{
    if (!m)
        return;
    for (struct family *f = m->first, *next; f; f = next) {
        next = f->next;
        for (struct sample *s = f->first, *after; s; s = after) {
            after = s->next;
            free_sample(s);
        }
        free(f);
    }
    free(m->slots);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- look-up ---- */

static uint64_t fnv(uint64_t h, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        h = (h ^ *p) * 0x100000001B3u;
    return (h ^ 0xFF) * 0x100000001B3u; /* 0xFF is in no UTF-8 text: it ends one */
}

/* A label with an empty value is the same as none. */
static bool is_set(const struct mt_label *label)
{
    return label->value && *label->value;
}

/* The labels' hashes are added: their order does not matter, as it does not to Prometheus. */
static uint64_t hash_of(const char *name, const struct mt_label *labels)
{
    uint64_t h = fnv(0xCBF29CE484222325u, name);
    for (unsigned n = 0; labels && labels->name && n < LABELS_MAX; labels++) {
        if (!is_set(labels))
            continue;
        h += fnv(fnv(0x84222325CBF29CE4u, labels->name), labels->value);
        n++;
    }
    h ^= h >> 32;
    return h * 0x9E3779B97F4A7C15u;
}

static const char *label_of(const struct sample *s, const char *name)
{
    for (unsigned i = 0; i < s->label_count; i++)
        if (strcmp(s->labels[i].name, name) == 0)
            return s->labels[i].value;
    return NULL;
}

static bool is_sample(const struct sample *s, uint64_t hash, const char *name, const struct mt_label *labels)
{
    if (s->hash != hash || strcmp(s->family->name, name) != 0)
        return false;
    unsigned count = 0;
    for (; labels && labels->name && count < LABELS_MAX; labels++) {
        if (!is_set(labels))
            continue;
        const char *value = label_of(s, labels->name);
        if (!value || strcmp(value, labels->value) != 0)
            return false;
        count++;
    }
    return count == s->label_count;
}

static void put_slot(struct mt_metrics *m, struct sample *s)
{
    size_t i = s->hash & (m->slot_count - 1);
    while (m->slots[i])
        i = (i + 1) & (m->slot_count - 1);
    m->slots[i] = s;
    m->used++;
}

static void rebuild(struct mt_metrics *m, size_t slot_count)
{
    free(m->slots);
    m->slot_count = slot_count;
    m->slots = mt_alloc(slot_count * sizeof(struct sample *));
    m->used = 0;
    for (struct family *f = m->first; f; f = f->next)
        for (struct sample *s = f->first; s; s = s->next)
            put_slot(m, s);
}

static struct family *family_of(struct mt_metrics *m, const char *name, const char *help, enum type type,
                                const double *buckets)
{
    struct family *f = m->first;
    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    if (f)
        return f;
    f = mt_alloc(sizeof *f);
    *f = (struct family){.name = name, .help = help, .type = type, .buckets = buckets, .last = &f->first};
    while (buckets && f->buckets[f->bucket_count] > 0)
        f->bucket_count++;
    *m->last = f;
    m->last = &f->next;
    return f;
}

/* Under the lock. NULL: the name is another type's, which would make a text that no parser takes. */
static struct sample *sample_of(struct mt_metrics *m, const char *name, const char *help, enum type type,
                                const double *buckets, const struct mt_label *labels)
{
    uint64_t hash = hash_of(name, labels);
    for (size_t i = hash & (m->slot_count - 1); m->slots[i]; i = (i + 1) & (m->slot_count - 1))
        if (is_sample(m->slots[i], hash, name, labels))
            return m->slots[i]->family->type == type ? m->slots[i] : NULL;
    struct family *f = family_of(m, name, help, type, buckets);
    if (f->type != type)
        return NULL;
    struct sample *s = mt_alloc(sizeof *s);
    s->family = f;
    s->hash = hash;
    for (; labels && labels->name && s->label_count < LABELS_MAX; labels++)
        if (is_set(labels))
            s->labels[s->label_count++] =
                (struct mt_label){mt_strdup(labels->name), mt_strdup(labels->value)};
    if (type == HISTOGRAM)
        s->counts = mt_alloc((f->bucket_count + 1) * sizeof *s->counts);
    *f->last = s;
    f->last = &s->next;
    if (2 * (m->used + 1) > m->slot_count)
        rebuild(m, 2 * m->slot_count); /* s is in its family: it is put as well */
    else
        put_slot(m, s);
    return s;
}

static void misused(const char *name)
{
    mt_log_repeat(MT_ERROR, name, "metric %s is used as two types: a sample is lost", name);
}

void mt_metrics_set(struct mt_metrics *m, const char *name, const char *help, const struct mt_label *labels,
                    double value)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    struct sample *s = sample_of(m, name, help, GAUGE, NULL, labels);
    if (s)
        s->value = value;
    pthread_mutex_unlock(&m->lock);
    if (!s)
        misused(name);
}

void mt_metrics_add(struct mt_metrics *m, const char *name, const char *help, const struct mt_label *labels,
                    double value)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    struct sample *s = sample_of(m, name, help, COUNTER, NULL, labels);
    if (s && value > 0) /* a counter never falls */
        s->value += value;
    pthread_mutex_unlock(&m->lock);
    if (!s)
        misused(name);
}

void mt_metrics_observe(struct mt_metrics *m, const char *name, const char *help, const double *buckets,
                        const struct mt_label *labels, double value)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    struct sample *s = sample_of(m, name, help, HISTOGRAM, buckets, labels);
    if (s) {
        const struct family *f = s->family;
        size_t i = 0;
        while (i < f->bucket_count && !(value <= f->buckets[i]))
            i++;
        s->counts[i]++;
        s->value += value;
    }
    pthread_mutex_unlock(&m->lock);
    if (!s)
        misused(name);
}

void mt_metrics_forget(struct mt_metrics *m, const char *label, const char *value)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    for (struct family *f = m->first; f; f = f->next) {
        struct sample **link = &f->first;
        while (*link) {
            struct sample *s = *link;
            const char *has = label_of(s, label);
            if (has && strcmp(has, value) == 0) {
                *link = s->next;
                free_sample(s);
            } else {
                link = &s->next;
            }
        }
        f->last = link;
    }
    rebuild(m, m->slot_count);
    pthread_mutex_unlock(&m->lock);
}

/* ---- text ---- */

/* Shortest form that reads back as the same number. */
static void put_number(struct mt_buf *out, double value)
{
    char text[32];
    if (isnan(value)) {
        mt_buf_puts(out, "NaN");
        return;
    }
    if (isinf(value)) {
        mt_buf_puts(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    mt_buf_puts(out, text);
}

/* Label values are foreign (kinds, identifiers): valid UTF-8, `\`, `"` and line ends escaped. A help text
 * has no quotes to end. */
static void put_escaped(struct mt_buf *out, const char *text, bool quoted)
{
    struct mt_buf valid;
    mt_buf_init(&valid, 3 * VALUE_MAX);
    mt_utf8_put(&valid, mt_utf8_cut(mt_slice_of(text), VALUE_MAX));
    for (size_t i = 0; i < valid.n; i++) {
        const char c = valid.p[i];
        if (c == '\\')
            mt_buf_puts(out, "\\\\");
        else if (c == '\n')
            mt_buf_puts(out, "\\n");
        else if (c == '"' && quoted)
            mt_buf_puts(out, "\\\"");
        else
            mt_buf_putc(out, c);
    }
    mt_buf_fini(&valid);
}

/* name, suffix and labels; bound: of a bucket, NULL for the other lines */
static void put_series(struct mt_buf *out, const struct sample *s, const char *suffix, const double *bound)
{
    mt_buf_puts(out, s->family->name);
    mt_buf_puts(out, suffix);
    if (s->label_count || bound)
        mt_buf_putc(out, '{');
    for (unsigned i = 0; i < s->label_count; i++) {
        mt_buf_puts(out, i ? "," : "");
        mt_buf_puts(out, s->labels[i].name);
        mt_buf_puts(out, "=\"");
        put_escaped(out, s->labels[i].value, true);
        mt_buf_putc(out, '"');
    }
    if (bound) {
        mt_buf_puts(out, s->label_count ? ",le=\"" : "le=\"");
        put_number(out, *bound);
        mt_buf_putc(out, '"');
    }
    if (s->label_count || bound)
        mt_buf_putc(out, '}');
    mt_buf_putc(out, ' ');
}

static void put_histogram(struct mt_buf *out, const struct sample *s)
{
    const struct family *f = s->family;
    uint64_t below = 0;
    for (size_t i = 0; i <= f->bucket_count; i++) {
        const double bound = i < f->bucket_count ? f->buckets[i] : (double)INFINITY;
        below += s->counts[i];
        put_series(out, s, "_bucket", &bound);
        mt_buf_printf(out, "%llu\n", (unsigned long long)below);
    }
    put_series(out, s, "_sum", NULL);
    put_number(out, s->value);
    mt_buf_putc(out, '\n');
    put_series(out, s, "_count", NULL);
    mt_buf_printf(out, "%llu\n", (unsigned long long)below);
}

bool mt_metrics_render(struct mt_metrics *m, struct mt_buf *out)
{
    static const char *const types[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram"};
    pthread_mutex_lock(&m->lock);
    for (const struct family *f = m->first; f; f = f->next) {
        if (!f->first)
            continue;
        mt_buf_printf(out, "# HELP %s ", f->name);
        put_escaped(out, f->help, false);
        mt_buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->type]);
        for (const struct sample *s = f->first; s; s = s->next) {
            if (f->type == HISTOGRAM) {
                put_histogram(out, s);
            } else {
                put_series(out, s, "", NULL);
                put_number(out, s->value);
                mt_buf_putc(out, '\n');
            }
        }
    }
    pthread_mutex_unlock(&m->lock);
    return mt_buf_puts(out, "# EOF\n");
}
