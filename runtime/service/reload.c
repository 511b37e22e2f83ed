/* Reloads: a new generation of a bundle is loaded beside the one at work, then swapped in one step of the
 * loop; what runs ends on the old one. A failure leaves everything as it is. Loop thread, but for the load
 * itself. */
#include <ctype.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"
#include "service/instance.h"

struct load {
    struct mt_job job;
    struct mt_instance *i;
    struct mt_version *version; /* the first one's */
    struct mt_generation *generation;
    unsigned number;
    uint64_t started_ns;
    enum mt_rc rc;
    struct mt_err err;
};

static void load(struct mt_job *job, unsigned worker)
{
    struct load *l = (struct load *)job;
    struct mt_service *s = l->i->service;
    (void)worker;
    struct mt_generation_options o = {.place = s->place,
                                      .path = l->i->path,
                                      .trust = s->options->trust,
                                      .flags = s->options->flags,
                                      .number = l->number,
                                      .version = l->version,
                                      .before = l->i->active,
                                      .known = l->i->record_version,
                                      .known_url = l->i->base_url};
    l->rc = mt_generation_load(&o, &l->generation, &l->err);
}

/* ---- what a refusal says: the first "FILE:LINE" of its text ---- */

static void find_place(const char *text, char **out_file, unsigned *out_line)
{
    for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
        const char *from = colon;
        while (from > text && (isalnum((unsigned char)from[-1]) || strchr("._-/", from[-1])))
            from--;
        if (from == colon || !isdigit((unsigned char)colon[1]) || !memchr(from, '.', (size_t)(colon - from)))
            continue;
        *out_file = mt_slice_dup((struct mt_slice){from, (size_t)(colon - from)});
        *out_line = (unsigned)strtoul(colon + 1, NULL, 10);
        return;
    }
}

static void note_refused(struct mt_instance *i, const char *text)
{
    free(i->refused.error);
    free(i->refused.file);
    i->refused.error = mt_mask(mt_strdup(text));
    i->refused.file = NULL;
    i->refused.line = 0;
    i->refused.at_us = mt_wall_us();
    find_place(i->refused.error, &i->refused.file, &i->refused.line);
}

static void forget_refused(struct mt_instance *i)
{
    free(i->refused.error);
    free(i->refused.file);
    memset(&i->refused, 0, sizeof i->refused);
}

/* ---- swapping ---- */

static void drained_too_long(void *arg)
{
    struct mt_instance *i = arg;
    mt_timer_free(i->drain);
    i->drain = NULL;
    if (!i->resync || i->resync_generation == i->active)
        return;
    mt_log(MT_WARN,
           "%s: the resync of generation %u is still at work after the drain time (reload.drain_seconds): "
           "it is aborted, and begins anew on generation %u",
           i->identifier, i->resync_generation->number, i->active->number);
    mt_instance_wish(i, (struct mt_wish){.trigger = "reload"});
}

/* The first generation under --watch may come after a refusal: only now is it known who this is. */
static void name_instance(struct mt_instance *i)
{
    if (i->name)
        return;
    i->name = mt_strdup(mt_bundle_name(i->active->version->bundle));
    i->identifier = mt_strdup(mt_config_identifier(i->active->version->config));
    i->type = mt_strdup(mt_config_type(i->active->version->config));
}

struct closing {
    struct mt_job job;
    struct mt_service *s;
    struct mt_generation *generation;
};

static void close_generation(struct mt_job *job, unsigned worker)
{
    (void)worker;
    mt_generation_free(((struct closing *)job)->generation);
}

static void submit_load(struct mt_service *s, struct mt_job *job)
{
    if (!s->loads++)
        s->loaders = mt_pool_new(s->place->loop, 0);
    mt_service_submit(s, s->loaders, job);
}

static void load_done(struct mt_service *s)
{
    mt_service_job_done(s);
    if (!--s->loads) {
        mt_pool_free(s->loaders);
        s->loaders = NULL;
    }
}

static void closed(struct mt_job *job)
{
    struct mt_service *s = ((struct closing *)job)->s;
    load_done(s);
    free(job);
    mt_service_look(s);
}

/* A state that never ran is closed beside the loop, on a thread like the one that made it. */
static void release(struct mt_service *s, struct mt_generation *g)
{
    if (!g || g->refs > 1 || g->source->refs > 1 || g->source->ran) {
        mt_generation_unref(g);
        return;
    }
    struct closing *c = mt_alloc(sizeof *c);
    *c = (struct closing){.job = {.work = close_generation, .done = closed}, .s = s, .generation = g};
    submit_load(s, &c->job);
}

static void swap(struct mt_instance *i, struct mt_generation *next)
{
    struct mt_generation *before = i->active;
    uint64_t started = mt_now_ns();
    if (!next->source)
        next->source = mt_shared_source_ref(before->source);
    i->active = next;
    name_instance(i);
    if (before && i->resync && i->resync_generation == before && !i->drain)
        i->drain = mt_timer_new(i->service->place->loop,
                                (uint64_t)mt_config_int(next->version->config, "reload.drain_seconds") * 1000,
                                drained_too_long, i);
    release(i->service, before);
    mt_metrics_observe(i->service->metrics, MT_METRIC_SWAP, mt_buckets_seconds,
                       (struct mt_label[]){{"integration", i->identifier}, {NULL, NULL}},
                       (double)(mt_now_ns() - started) /
                           1e9); /* closing the old state counts: it holds up the loop */
}

static char **copy_kinds(const char *const *kinds)
{
    size_t n = 0;
    while (kinds && kinds[n])
        n++;
    char **copy = mt_alloc((n + 1) * sizeof *copy);
    for (size_t k = 0; k < n; k++)
        copy[k] = mt_strdup(kinds[k]);
    return copy;
}

/* Under --watch a save is followed by a resync of what it changed. */
static void resync_changes(struct mt_instance *i)
{
    struct mt_generation *g = i->active;
    if (!i->connected || !mt_instance_resyncs(i) || (!g->all_changed && !g->changed_kinds[0]))
        return;
    mt_instance_wish(i, (struct mt_wish){.trigger = "reload",
                                         .kinds = g->all_changed ? NULL : copy_kinds(g->changed_kinds)});
}

/* ---- the end of a load ---- */

static void count(struct mt_instance *i, const char *result, uint64_t started_ns, bool first)
{
    struct mt_label labels[] = {
        {"integration", i->identifier ? i->identifier : i->path}, {"result", result}, {NULL, NULL}};
    struct mt_metrics *m = i->service->metrics;
    if (!first) {
        mt_metrics_add(m, MT_METRIC_RELOADS, labels, 1);
        mt_metrics_observe(m, MT_METRIC_RELOAD, mt_buckets_seconds, labels,
                           (double)(mt_now_ns() - started_ns) / 1e9);
    }
    if (i->active)
        mt_metrics_set(m, MT_METRIC_GENERATION,
                       (struct mt_label[]){{"integration", i->identifier}, {NULL, NULL}}, i->active->number);
}

static void answer(struct mt_reload_waiter *waiters, struct mt_instance *i, const char *result,
                   const char *error)
{
    for (struct mt_reload_waiter *w = waiters, *next; w; w = next) {
        next = w->next;
        if (w->done)
            w->done(w->ud, i, result, error);
        free(w);
    }
}

static void start_load(struct mt_instance *i, struct mt_version *version);

/* One that could not be read at the start may turn out to be another one's twin. */
static void check_twin(struct load *l)
{
    struct mt_service *s = l->i->service;
    const char *identifier = l->generation ? mt_config_identifier(l->generation->version->config) : NULL;
    for (size_t i = 0; identifier && !l->i->identifier && i < s->count; i++) {
        if (!s->instances[i]->identifier || strcmp(s->instances[i]->identifier, identifier) != 0)
            continue;
        l->rc = mt_fail(&l->err, MT_EINVAL, "%s has the same identifier %s: give one of them another",
                        s->instances[i]->path, identifier);
        mt_generation_unref(l->generation);
        l->generation = NULL;
        return;
    }
}

static void take(struct load *l)
{
    struct mt_instance *i = l->i;
    check_twin(l);
    double ms = (double)(mt_now_ns() - l->started_ns) / 1e6;
    const char *result = l->rc != MT_OK ? "refused" : l->generation ? "reloaded" : "unchanged";
    bool first = !i->active;
    if (l->rc != MT_OK) {
        note_refused(i, l->err.text);
        i->reloads_refused += !first;
        mt_log(MT_ERROR, "refused %s (%.0f ms)%s: %s", i->name ? i->name : i->path, ms,
               first ? "" : ", the generation at work stays", l->err.text);
    } else {
        if (i->refused.at_us && !l->generation)
            mt_log(MT_INFO, "unchanged %s: as generation %u again, which goes on", i->name,
                   i->active->number);
        forget_refused(i);
    }
    if (l->generation) {
        i->generations = l->number;
        swap(i, l->generation);
        i->reloads_done += !first;
        if (!first)
            mt_listener_reloaded(i);
        if (!first)
            mt_log(MT_INFO, "reloaded %s: %s (generation %u, %.0f ms)", i->name, i->active->changed,
                   l->number, ms);
    }
    count(i, result, l->started_ns, first);
    struct mt_reload_waiter *waiters = i->waiters;
    i->waiters = NULL;
    answer(waiters, i, result, l->rc != MT_OK ? i->refused.error : NULL);
    if (l->generation && first)
        mt_instance_loaded(i);
    else if (l->generation && i->service->options->watch)
        resync_changes(i);
}

static void loaded(struct mt_job *job)
{
    struct load *l = (struct load *)job;
    struct mt_instance *i = l->i;
    struct mt_service *s = i->service;
    i->loading = false;
    if (s->ending)
        mt_generation_free(l->generation);
    else
        take(l);
    mt_version_unref(l->version);
    free(l);
    if (s->ending) { /* it may have begun in take: the first load of a bundle was refused */
        answer(i->waiters, i, "refused", "the process ends");
        answer(i->next_waiters, i, "refused", "the process ends");
        i->waiters = i->next_waiters = NULL;
    } else if (i->again) {
        i->again = false;
        i->waiters = i->next_waiters;
        i->next_waiters = NULL;
        start_load(i, NULL);
    }
    load_done(s);
    mt_service_look(s);
}

static void start_load(struct mt_instance *i, struct mt_version *version)
{
    struct load *l = mt_alloc(sizeof *l);
    l->job = (struct mt_job){.work = load, .done = loaded};
    l->i = i;
    l->version = version;
    l->number = i->generations + 1;
    l->started_ns = mt_now_ns();
    i->loading = true;
    submit_load(i->service, &l->job);
}

void mt_instance_reload(struct mt_instance *i, struct mt_version *version,
                        void (*done)(void *ud, struct mt_instance *i, const char *result, const char *error),
                        void *ud)
{
    struct mt_reload_waiter *w = mt_alloc(sizeof *w);
    *w = (struct mt_reload_waiter){.done = done, .ud = ud};
    if (i->loading) { /* the load at work may have read the files before they changed */
        w->next = i->next_waiters;
        i->next_waiters = w;
        i->again = true;
    } else {
        w->next = i->waiters;
        i->waiters = w;
        start_load(i, version);
    }
}

void mt_reload_stop(struct mt_instance *i)
{
    mt_watch_free(i->watch);
    i->watch = NULL;
    mt_timer_free(i->drain);
    i->drain = NULL;
    forget_refused(i);
}
