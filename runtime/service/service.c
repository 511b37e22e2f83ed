/* The process of `moontide run`: instances side by side on one loop, the two listeners, signals, and the end.
 */
#include "service/service.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/signal.h"
#include "observe/names.h"
#include "service/instance.h"
#include "state/state.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    CALLERS = 4,
    FLUSH_S = 10,
    ANSWER_MAX = 1 << 20,
    CLOCK_SET_S = 2 /* more than a leap second */
};
#define SHIPPING_S 2.0 /* for the last log lines */

extern char **environ;

/* ---- jobs and timers ---- */

void mt_service_submit(struct mt_service *s, struct mt_pool *pool, struct mt_job *job)
{
    s->jobs++;
    mt_pool_submit(pool, job);
}

void mt_service_job_done(struct mt_service *s)
{
    s->jobs--;
}

struct mt_timer *mt_service_timer(struct mt_service *s, double seconds, void (*fn)(void *arg), void *arg)
{
    return mt_timer_new(s->place->loop, (uint64_t)(seconds * 1000 / s->speed), fn, arg);
}

/* Timers, deadlines and durations are monotonic: nothing is moved. What names moments follows. */
static void look_at_clock(struct mt_service *s)
{
    const int64_t clock = mt_wall_us() - (int64_t)(mt_now_ns() / 1000), moved = clock - s->clock_us;
    if (llabs(moved) < CLOCK_SET_S * 1000000ll)
        return;
    s->clock_us = clock;
    mt_metrics_add(s->metrics, MT_METRIC_CLOCK,
                   (struct mt_label[]){{"direction", moved > 0 ? "forward" : "back"}, {NULL, NULL}}, 1);
    mt_log(MT_WARN,
           "the wall clock was set %s by %.0f s%s: resyncs and their schedule go on by the time that passed; "
           "the times of log lines, of /status and of reports to Port follow the new clock",
           moved > 0 ? "forward" : "back", (double)llabs(moved) / 1e6,
           moved > 0 ? ", or the machine slept" : "");
}

void mt_service_measure(struct mt_service *s)
{
    const unsigned damaged = mt_state_damaged_count();
    if (damaged > s->damaged)
        mt_metrics_add(s->metrics, MT_METRIC_DAMAGED, NULL, damaged - s->damaged);
    s->damaged = damaged;
    look_at_clock(s);
}

static void flush_due(void *arg)
{
    struct mt_service *s = arg;
    mt_service_measure(s);
    mt_log_flush();
    mt_timer_free(s->flush);
    s->flush = mt_timer_new(s->place->loop, FLUSH_S * 1000, flush_due, s);
}

/* ---- the end ---- */

static void shipped(void *ud)
{
    struct mt_service *s = ud;
    s->shipping--;
    mt_service_look(s);
}

static void drained_too_long(void *arg)
{
    struct mt_service *s = arg;
    mt_log(MT_ERROR,
           "what was under way did not end within max_wait_seconds_before_shutdown (%s s): the process ends "
           "without it",
           mt_config_text(s->config, "max_wait_seconds_before_shutdown"));
    fflush(NULL);
    _exit(s->code ? s->code : EXIT_FAILED);
}

void mt_service_end(struct mt_service *s, int code, const struct mt_err *err)
{
    if (s->ending)
        return;
    s->ending = true;
    s->code = code;
    if (err)
        s->err = *err;
    atomic_store(&s->canceled, true);
    mt_http_kick(s->place->http);
    double most = strtod(mt_config_text(s->config, "max_wait_seconds_before_shutdown"), NULL);
    s->deadline = mt_timer_new(s->place->loop, (uint64_t)((most + SHIPPING_S) * 1000), drained_too_long, s);
    for (size_t i = 0; i < s->count; i++) {
        mt_listener_stop(s->instances[i]);
        mt_instance_abort(s->instances[i]);
    }
    mt_service_look(s);
}

/* Everything that could still log has ended: the log's last lines go to Port. */
static void end_shipping(struct mt_service *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct mt_shipping *shipping = s->instances[i]->shipping;
        if (!shipping)
            continue;
        s->instances[i]->shipping = NULL;
        s->shipping++;
        mt_shipping_end(shipping, SHIPPING_S, shipped, s);
    }
}

static void stop(void *arg)
{
    struct mt_service *s = arg;
    mt_loop_stop(s->place->loop);
}

void mt_service_look(struct mt_service *s)
{
    for (size_t i = 0; i < s->count && !s->ending; i++)
        mt_instance_next(s->instances[i]);
    if (!s->ending || s->running || s->jobs)
        return;
    end_shipping(s);
    if (!s->shipping && !s->last) /* not at once: answers that were just given go out first */
        s->last = mt_timer_new(s->place->loop, 0, stop, s);
}

/* ---- reloads ---- */

struct reloading {
    struct mt_answer *answer; /* NULL: a signal asked */
    size_t left;
    bool refused;
    struct mt_buf text;
};

static void reloaded(void *ud, struct mt_instance *i, const char *result, const char *error)
{
    struct reloading *r = ud;
    r->refused |= error != NULL;
    mt_buf_puts(&r->text, r->text.n > 12 ? ",{\"name\":" : "{\"name\":");
    mt_buf_put_json_string(&r->text, mt_slice_of(i->name ? i->name : i->path));
    mt_buf_printf(&r->text, ",\"result\":\"%s\",\"generation\":%u,\"error\":", result,
                  i->active ? i->active->number : 0);
    if (error)
        mt_buf_put_json_string(&r->text, mt_slice_of(error));
    else
        mt_buf_puts(&r->text, "null");
    mt_buf_putc(&r->text, '}');
    if (--r->left)
        return;
    mt_buf_puts(&r->text, "]}");
    if (r->answer)
        mt_answer_give(r->answer, r->refused ? 422 : 200, mt_buf_slice(&r->text));
    mt_buf_fini(&r->text);
    free(r);
}

static void reload_all(struct mt_service *s, struct mt_answer *answer)
{
    struct reloading *r = mt_alloc(sizeof *r);
    *r = (struct reloading){.answer = answer, .left = s->count};
    mt_buf_init(&r->text, ANSWER_MAX);
    mt_buf_puts(&r->text, "{\"bundles\":[");
    for (size_t i = 0; i < s->count; i++)
        mt_instance_reload(s->instances[i], NULL, reloaded, r);
}

static void on_reload(void *ud, struct mt_answer *answer)
{
    struct mt_service *s = ud;
    if (s->ending)
        mt_answer_give(answer, 503, MT_SLICE("{\"detail\":\"the process ends\"}"));
    else
        reload_all(s, answer);
}

static void on_saved(void *ud)
{
    struct mt_instance *i = ud;
    if (!i->service->ending)
        mt_instance_reload(i, NULL, NULL, NULL);
}

/* ---- other requests from outside ---- */

static bool on_resync(void *ud, struct mt_slice identifier)
{
    struct mt_service *s = ud;
    for (size_t i = 0; i < s->count; i++) {
        struct mt_instance *instance = s->instances[i];
        bool meant = identifier.p ? mt_slice_is(identifier, instance->identifier) : s->count == 1;
        if (!meant || !instance->destination || !mt_instance_resyncs(instance) || s->ending)
            continue;
        mt_instance_wish(instance, (struct mt_wish){.trigger = "webhook"});
        return true;
    }
    return false;
}

static void on_signal(void *ud, int number)
{
    struct mt_service *s = ud;
    if (number == SIGHUP) {
        if (!s->ending)
            reload_all(s, NULL);
        return;
    }
    mt_log(MT_INFO, "%s: ending; once more ends at once", number == SIGINT ? "SIGINT" : "SIGTERM");
    mt_service_end(s, 0, NULL);
}

/* ---- the start ---- */

static enum mt_rc read_first(struct mt_service *s, const char *path, struct mt_version **out,
                             struct mt_err *err)
{
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_bundle_options open = {.trust = s->options->trust};
    enum mt_rc rc = mt_bundle_open(path, &open, &bundle, err);
    if (rc == MT_OK)
        rc = mt_config_load(bundle, environ, &s->options->flags, &config, err);
    if (rc == MT_OK)
        *out = mt_version_new(bundle, config);
    else
        mt_bundle_free(bundle);
    return rc;
}

/* Two integrations of one identifier would delete each other's entities. */
static enum mt_rc check_apart(struct mt_service *s, struct mt_err *err)
{
    const char **names = mt_alloc((s->count + 1) * sizeof *names);
    size_t n = 0;
    enum mt_rc rc = MT_OK;
    for (size_t i = 0; i < s->count && rc == MT_OK; i++) {
        const struct mt_instance *a = s->instances[i];
        if (!a->name)
            continue;
        names[n++] = a->name;
        for (size_t k = 0; k < i && rc == MT_OK; k++) {
            const struct mt_instance *b = s->instances[k];
            if (b->identifier && strcmp(a->identifier, b->identifier) == 0)
                rc = mt_fail(err, MT_EINVAL,
                             "%s and %s have the same identifier %s: give one of them another, with "
                             "MOONTIDE__BUNDLES__NAME__INTEGRATION__IDENTIFIER",
                             b->path, a->path, a->identifier);
        }
    }
    if (rc == MT_OK && s->count > 1)
        rc = mt_config_check_names(names, n, err);
    free(names);
    return rc;
}

static void warn_unknown(void *ud, const struct mt_config_problem *problem)
{
    (void)ud;
    mt_log(MT_WARN, "%s", problem->text);
}

static void announce(struct mt_service *s)
{
    int public = mt_routes_public_port(s->routes), admin = mt_routes_admin_port(s->routes);
    char *listen = mt_strdup(mt_config_text(s->config, "admin.listen"));
    char *colon = listen ? strrchr(listen, ':') : NULL;
    if (colon)
        *colon = '\0';
    if (public >= 0)
        printf("listening http://127.0.0.1:%d%s", public, admin >= 0 ? " " : "");
    if (admin >= 0)
        printf("admin http://%s:%d", strcmp(listen, "0.0.0.0") == 0 ? "127.0.0.1" : listen, admin);
    putchar('\n');
    fflush(stdout);
    free(listen);
}

static enum mt_rc listen_all(struct mt_service *s, struct mt_err *err)
{
    struct mt_routes_options o = {
        .loop = s->place->loop,
        .metrics = s->metrics,
        .public_host = "0.0.0.0",
        .public_port = (int)mt_config_int(s->config, "application.port"),
        .admin = mt_config_text(s->config, "admin.listen"),
        .prefix = mt_config_text(s->config, "path_prefix"),
        .ready = mt_status_ready,
        .status = mt_status_put,
        .reload = on_reload,
        .resync = on_resync,
        .ud = s,
    };
    enum mt_rc rc = mt_routes_new(&o, &s->routes, err);
    if (rc == MT_OK)
        announce(s);
    return rc;
}

static void first_loaded(void *ud, struct mt_instance *i, const char *result, const char *error)
{
    struct mt_service *s = ud;
    (void)result;
    if (!error || s->options->watch) /* the next save may mend it */
        return;
    struct mt_err err;
    mt_fail(&err, MT_EINVAL, "%s", error);
    (void)i;
    mt_service_end(s, EXIT_USAGE, &err);
}

static enum mt_rc start(struct mt_service *s, struct mt_version **versions, struct mt_err *err)
{
    const struct mt_service_options *o = s->options;
    enum mt_rc rc = MT_OK;
    for (size_t i = 0; i < o->count && rc == MT_OK; i++) {
        rc = read_first(s, o->bundles[i], &versions[i], err);
        if (o->watch && rc != MT_ENOENT)
            rc = MT_OK; /* said by the load that follows; a save may mend it */
        s->instances[s->count++] = mt_instance_new(s, o->bundles[i], versions[i]);
    }
    if (rc == MT_OK)
        rc = check_apart(s, err);
    if (rc == MT_OK)
        rc = listen_all(s, err);
    for (size_t i = 0; i < s->count && rc == MT_OK && o->watch; i++)
        rc = mt_watch_new(s->place->loop, s->instances[i]->path, on_saved, s->instances[i],
                          &s->instances[i]->watch, err);
    if (rc != MT_OK)
        return rc;
    if (s->count > 1) {
        const char **names = mt_alloc((s->count + 1) * sizeof *names);
        size_t n = 0;
        for (size_t i = 0; i < s->count; i++)
            if (s->instances[i]->name)
                names[n++] = s->instances[i]->name;
        mt_config_unknown_bundles(names, n, environ, warn_unknown, NULL);
        free(names);
    }
    for (size_t i = 0; i < s->count; i++)
        if (versions[i] && mt_instance_connect(s->instances[i], versions[i], err) != MT_OK) {
            mt_service_end(s, EXIT_USAGE, err); /* what was begun comes to its end */
            return MT_OK;
        }
    for (size_t i = 0; i < s->count; i++)
        mt_instance_reload(s->instances[i], versions[i] ? mt_version_ref(versions[i]) : NULL, first_loaded,
                           s);
    return MT_OK;
}

static double clock_speed(void)
{
    const char *text =
        getenv("MOONTIDE_CLOCK_SPEED"); /* for tests: schedules, polls and heartbeats run faster */
    double speed = text ? strtod(text, NULL) : 1;
    return speed >= 1 && speed <= 1e6 ? speed : 1;
}

static void free_service(struct mt_service *s)
{
    for (size_t i = 0; i < s->count; i++)
        mt_instance_free(s->instances[i]);
    free(s->instances);
    mt_timer_free(s->deadline);
    mt_timer_free(s->last);
    mt_timer_free(s->flush);
    mt_routes_free(s->routes);
    mt_pool_free(s->loaders); /* NULL but for a start that failed */
    mt_pool_free(s->callers);
    mt_place_free(s->place);
    mt_metrics_free(s->metrics);
    mt_config_free(s->config);
    free(s);
}

int mt_service_run(const struct mt_service_options *options, struct mt_err *err)
{
    struct mt_service *s = mt_alloc(sizeof *s);
    struct mt_version **versions = mt_alloc((options->count + 1) * sizeof(struct mt_version *));
    struct mt_signals *signals = NULL;
    /* One heap for all threads: what one frees, the next one uses, and malloc_trim finds it. With a heap for
     * each thread a service that reloads often comes to hold twice as much. */
    mallopt(M_ARENA_MAX, 1);
    s->options = options;
    s->speed = clock_speed();
    s->started_us = mt_wall_us();
    s->clock_us = s->started_us - (int64_t)(mt_now_ns() / 1000);
    s->instances = mt_alloc((options->count + 1) * sizeof(struct mt_instance *));
    enum mt_rc rc = mt_config_load(NULL, environ, &options->flags, &s->config, err);
    if (rc != MT_OK)
        goto out;
    mt_log_json(strcmp(mt_config_text(s->config, "log.format"), "json") == 0);
    s->most = (unsigned)mt_config_int(s->config, "max_concurrent_resyncs");
    mt_config_set_engine(s->config);
    s->metrics = mt_metrics_new();
    s->place = mt_place_new((unsigned)mt_config_int(s->config, "process_in_queue_max_workers"),
                            mt_config_text(s->config, "state_file"), false);
    s->place->metrics = s->metrics;
    s->place->tape = options->tape;
    s->callers = mt_pool_new(s->place->loop, CALLERS);
    /* Before the first line of stdout: who reads it may send one at once. */
    signals = mt_signals_new(s->place->loop, on_signal, s);
    rc = start(s, versions, err);
    if (rc != MT_OK)
        goto out;
    s->flush = mt_timer_new(s->place->loop, FLUSH_S * 1000, flush_due, s);
    mt_loop_run(s->place->loop);
    *err = s->err;
out:
    for (size_t i = 0; i < options->count; i++)
        mt_version_unref(versions[i]);
    free(versions);
    mt_signals_free(signals);
    int code = rc == MT_OK ? s->code : EXIT_USAGE;
    free_service(s);
    return code;
}
