/* The report of a run: see report.h. Counters are atomic, lists are under a lock. */
#include "observe/report.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { ERRORS_KEPT = 100, WITHHELD_SHOWN = 10, ERRORS_SHOWN = 10 };

struct error {
    char *kind, *message;
};

struct withheld {
    char *blueprint, *reason;
    uint64_t count;
};

struct mt_report {
    pthread_mutex_t lock;
    uint64_t started_ns;
    double seconds;
    char *result, *mapping_from, *mapping_digest;
    struct mt_kind_report **kinds;
    unsigned kind_count;
    struct error errors[ERRORS_KEPT];
    size_t error_count;
    struct withheld *withheld;
    size_t withheld_count;
    uint64_t deleted, source_requests, port_requests;
    double source_s, mapping_s, port_s;
    uint64_t peak_rss;
};

struct mt_report *mt_report_new(void)
{
    struct mt_report *r = mt_alloc(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->started_ns = mt_now_ns();
    return r;
}

void mt_report_free(struct mt_report *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->kind_count; i++) {
        free(r->kinds[i]->kind);
        free(r->kinds[i]);
    }
    for (size_t i = 0; i < r->error_count && i < ERRORS_KEPT; i++) {
        free(r->errors[i].kind);
        free(r->errors[i].message);
    }
    for (size_t i = 0; i < r->withheld_count; i++) {
        free(r->withheld[i].blueprint);
        free(r->withheld[i].reason);
    }
    free(r->kinds);
    free(r->withheld);
    free(r->result);
    free(r->mapping_from);
    free(r->mapping_digest);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct mt_kind_report *mt_report_kind(struct mt_report *r, const char *kind, unsigned index)
{
    struct mt_kind_report *k = mt_alloc(sizeof *k);
    k->kind = mt_strdup(kind);
    k->index = index;
    pthread_mutex_lock(&r->lock);
    r->kinds = mt_realloc(r->kinds, (r->kind_count + (size_t)1) * sizeof(struct mt_kind_report *));
    r->kinds[r->kind_count++] = k;
    pthread_mutex_unlock(&r->lock);
    return k;
}

unsigned mt_report_kind_count(struct mt_report *r)
{
    pthread_mutex_lock(&r->lock);
    unsigned n = r->kind_count;
    pthread_mutex_unlock(&r->lock);
    return n;
}

struct mt_kind_report *mt_report_kind_at(struct mt_report *r, unsigned i)
{
    pthread_mutex_lock(&r->lock);
    struct mt_kind_report *k = r->kinds[i];
    pthread_mutex_unlock(&r->lock);
    return k;
}

void mt_report_mapping(struct mt_report *r, const char *from, const char *digest_hex)
{
    r->mapping_from = mt_strdup(from);
    r->mapping_digest = mt_strdup(digest_hex);
}

void mt_report_error(struct mt_report *r, const char *kind, const char *message)
{
    pthread_mutex_lock(&r->lock);
    if (r->error_count < ERRORS_KEPT)
        r->errors[r->error_count] = (struct error){mt_strdup(kind), mt_mask(mt_strdup(message))};
    r->error_count++;
    pthread_mutex_unlock(&r->lock);
}

size_t mt_report_error_count(struct mt_report *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->error_count;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void mt_report_withheld(struct mt_report *r, const char *blueprint, uint64_t count, const char *reason)
{
    r->withheld = mt_realloc(r->withheld, (r->withheld_count + 1) * sizeof *r->withheld);
    r->withheld[r->withheld_count++] = (struct withheld){mt_strdup(blueprint), mt_strdup(reason), count};
}

void mt_report_deleted(struct mt_report *r, uint64_t count)
{
    r->deleted += count;
}

uint64_t mt_report_deleted_count(const struct mt_report *r)
{
    return r->deleted;
}

void mt_report_waited(struct mt_report *r, double source_s, double mapping_s, double port_s)
{
    r->source_s = source_s;
    r->mapping_s = mapping_s;
    r->port_s = port_s;
}

void mt_report_requests(struct mt_report *r, uint64_t source, uint64_t port)
{
    r->source_requests = source;
    r->port_requests = port;
}

void mt_report_finish(struct mt_report *r, const char *result)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    r->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
    r->seconds = (double)(mt_now_ns() - r->started_ns) / 1e9;
    r->result = mt_strdup(result);
}

static double kind_seconds(const struct mt_kind_report *k)
{
    return k->ended_ns ? (double)(k->ended_ns - k->started_ns) / 1e9 : 0;
}

static unsigned long long get(const atomic_ullong *counter)
{
    return atomic_load(counter);
}

static void put_text(struct mt_buf *out, const char *name, const char *text)
{
    mt_buf_puts(out, name);
    if (text)
        mt_buf_put_json_string(out, mt_slice_of(text));
    else
        mt_buf_puts(out, "null");
}

static void put_kind(struct mt_buf *out, const struct mt_kind_report *k)
{
    put_text(out, "{\"kind\":", k->kind);
    mt_buf_printf(
        out,
        ",\"index\":%u,\"pages\":%llu,\"items\":%llu,\"selected\":%llu,\"mapped\":%llu,\"skipped\":%llu,"
        "\"failed\":%llu,\"created\":%llu,\"updated\":%llu,\"unchanged\":%llu,\"deleted\":%llu,\"withheld\":%"
        "llu,"
        "\"seconds\":%.3f}",
        k->index, get(&k->pages), get(&k->items), get(&k->selected), get(&k->mapped), get(&k->skipped),
        get(&k->failed) + get(&k->load_failed), get(&k->created), get(&k->updated), get(&k->unchanged),
        get(&k->deleted), get(&k->withheld), kind_seconds(k));
}

bool mt_report_json(struct mt_report *r, struct mt_buf *out)
{
    put_text(out, "{\"result\":", r->result);
    put_text(out, ",\"mapping\":{\"from\":", r->mapping_from);
    put_text(out, ",\"digest\":", r->mapping_digest);
    mt_buf_printf(out, "},\"seconds\":%.3f,\"kinds\":[", r->seconds);
    for (unsigned i = 0, n = 0; i < r->kind_count; i++) {
        if (!r->kinds[i]->ran)
            continue;
        if (n++)
            mt_buf_putc(out, ',');
        put_kind(out, r->kinds[i]);
    }
    mt_buf_puts(out, "],\"withheld\":[");
    for (size_t i = 0; i < r->withheld_count; i++) {
        put_text(out, i ? ",{\"blueprint\":" : "{\"blueprint\":", r->withheld[i].blueprint);
        mt_buf_printf(out, ",\"count\":%llu", (unsigned long long)r->withheld[i].count);
        put_text(out, ",\"reason\":", r->withheld[i].reason);
        mt_buf_putc(out, '}');
    }
    mt_buf_puts(out, "],\"errors\":[");
    for (size_t i = 0; i < r->error_count && i < ERRORS_KEPT; i++) {
        put_text(out, i ? ",{\"kind\":" : "{\"kind\":", r->errors[i].kind);
        put_text(out, ",\"message\":", r->errors[i].message);
        mt_buf_putc(out, '}');
    }
    return mt_buf_printf(
        out,
        "],\"requests\":{\"source\":%llu,\"port\":%llu},\"waited\":{\"source\":%.3f,\"mapping\":%.3f,"
        "\"port\":%.3f},\"peak_rss_bytes\":%llu}\n",
        (unsigned long long)r->source_requests, (unsigned long long)r->port_requests, r->source_s,
        r->mapping_s, r->port_s, (unsigned long long)r->peak_rss);
}

void mt_report_print(struct mt_report *r, FILE *out, bool color)
{
    bool good = r->result && strcmp(r->result, "complete") == 0;
    const char *on = !color ? "" : good ? "\033[1;32m" : "\033[1;31m", *off = color ? "\033[0m" : "";
    int width = 4;
    for (unsigned i = 0; i < r->kind_count; i++)
        if ((int)strlen(r->kinds[i]->kind) > width)
            width = (int)strlen(r->kinds[i]->kind);
    fprintf(out, "%-*s %6s %8s %8s %8s %7s %6s %8s %8s %9s %8s %8s %7s\n", width, "kind", "pages", "items",
            "selected", "mapped", "skipped", "failed", "created", "updated", "unchanged", "deleted",
            "withheld", "seconds");
    for (unsigned i = 0; i < r->kind_count; i++) {
        const struct mt_kind_report *k = r->kinds[i];
        if (k->ran)
            fprintf(out, "%-*s %6llu %8llu %8llu %8llu %7llu %6llu %8llu %8llu %9llu %8llu %8llu %7.2f\n",
                    width, k->kind, get(&k->pages), get(&k->items), get(&k->selected), get(&k->mapped),
                    get(&k->skipped), get(&k->failed) + get(&k->load_failed), get(&k->created),
                    get(&k->updated), get(&k->unchanged), get(&k->deleted), get(&k->withheld),
                    kind_seconds(k));
    }
    for (size_t i = 0; i < r->withheld_count && i < WITHHELD_SHOWN; i++)
        fprintf(out, "kept %llu of %s: %s\n", (unsigned long long)r->withheld[i].count,
                r->withheld[i].blueprint, r->withheld[i].reason);
    if (r->withheld_count > WITHHELD_SHOWN)
        fprintf(out, "… and %zu more reasons; --json lists them all\n", r->withheld_count - WITHHELD_SHOWN);
    for (size_t i = 0; i < r->error_count && i < ERRORS_SHOWN; i++)
        fprintf(out, "error%s%s: %s\n", r->errors[i].kind ? " in " : "",
                r->errors[i].kind ? r->errors[i].kind : "", r->errors[i].message);
    if (r->error_count > ERRORS_SHOWN)
        fprintf(out, "… and %zu more errors\n", r->error_count - ERRORS_SHOWN);
    fprintf(out,
            "waited %.2f s for the API, %.2f s for mapping, %.2f s for Port; %llu requests to the API, %llu "
            "to Port; peak memory %.1f MB\n",
            r->source_s, r->mapping_s, r->port_s, (unsigned long long)r->source_requests,
            (unsigned long long)r->port_requests, (double)r->peak_rss / 1e6);
    fprintf(out, "%s%s%s in %.2f s\n", on, r->result ? r->result : "nothing ran", off, r->seconds);
}
