/* What asks for resyncs: the start, Port's resync requests (POLLING), the schedule; and heartbeats while one
 * runs. POST /resync (WEBHOOK) comes through service.c. Loop thread; questions to Port are jobs on the
 * callers' threads.
 *
 * Differs from Ocean: the first resync takes place (R-LIS-06, its flaw R-LIS-07); Port is asked also while a
 * resync runs, so that a newer request aborts it; a request from between the begin and the end of a resync is
 * newer than it, since the resync may have read the mapping before (R-LIS-09 takes the end); a schedule that
 * fires while a resync is at work is left out: one that takes longer than its interval would never end. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/instance.h"

static const struct mt_config *config_of(const struct mt_instance *i)
{
    return i->active ? i->active->version->config : i->record_version->config;
}

static bool is_type(const struct mt_instance *i, const char *type)
{
    const char *own =
        i->service->options->once ? "ONCE" : mt_config_text(config_of(i), "event_listener.type");
    return strcmp(own, type) == 0;
}

/* ---- POLLING (R-LIS-05…10) ---- */

struct poll {
    struct mt_job job;
    struct mt_instance *i;
    int64_t request_us;
    enum mt_rc rc;
    struct mt_err err;
};

static void set_poll(struct mt_instance *i);

static void ask(struct mt_job *job, unsigned worker)
{
    struct poll *p = (struct poll *)job;
    (void)worker;
    p->rc = mt_integration_resync_request(p->i->port, &p->i->record, &p->request_us, &p->err);
}

/* R-LIS-08: newer than the last request that was processed, else than the last reported state, which is that
 * of the resync at work once Port has it. */
static bool is_new(const struct mt_instance *i, int64_t request_us)
{
    int64_t state = i->resync ? mt_resync_state_us(i->resync) : i->baseline_us;
    if (i->resync && !state && !i->watermark_us)
        return false; /* asked again at the next poll */
    return request_us && request_us > (i->watermark_us ? i->watermark_us : state);
}

static void asked(struct mt_job *job)
{
    struct poll *p = (struct poll *)job;
    struct mt_instance *i = p->i;
    struct mt_service *s = i->service;
    mt_service_job_done(s);
    i->polling = false;
    if (s->ending) {
        mt_service_look(s);
    } else {
        if (p->rc != MT_OK)
            mt_log_repeat(MT_WARN, i->identifier, "%s: could not ask Port for resync requests: %s",
                          i->identifier, p->err.text);
        else if (is_new(i, p->request_us) && !(i->wishes && i->wish.request_us >= p->request_us))
            mt_instance_wish(i, (struct mt_wish){.trigger = "request", .request_us = p->request_us});
        set_poll(i);
    }
    free(p);
}

static void poll_due(void *arg)
{
    struct mt_instance *i = arg;
    struct poll *p = mt_alloc(sizeof *p);
    p->job = (struct mt_job){.work = ask, .done = asked};
    p->i = i;
    i->polling = true;
    mt_service_submit(i->service, i->service->callers, &p->job);
}

static void set_poll(struct mt_instance *i)
{
    mt_timer_free(i->poll);
    i->poll = mt_service_timer(i->service, (double)mt_config_int(config_of(i), "event_listener.interval"),
                               poll_due, i);
}

/* ---- the schedule (R-ST-04) ---- */

static void set_schedule(struct mt_instance *i);

static void schedule_due(void *arg)
{
    struct mt_instance *i = arg;
    const uint64_t now = mt_now_ns();
    do
        i->schedule.due_ns += i->schedule.every_ns;
    while (i->schedule.due_ns <= now);
    if (i->resync || i->wishes)
        mt_log(MT_WARN, "%s: the scheduled resync is left out, the one before it is still at work",
               i->identifier);
    else
        mt_instance_wish(i, (struct mt_wish){.trigger = "schedule"});
    set_schedule(i);
}

/* The timer of the next one; from its own time on, so that late timers do not add up. */
static void set_schedule(struct mt_instance *i)
{
    const uint64_t now = mt_now_ns();
    mt_timer_free(i->scheduled);
    i->scheduled = NULL;
    if (!i->schedule.every_ns)
        return;
    const uint64_t left = i->schedule.due_ns > now ? i->schedule.due_ns - now : 0;
    i->scheduled = mt_timer_new(i->service->place->loop, (left + 999999) / 1000000, schedule_due, i);
}

struct mt_schedule mt_listener_schedule(const struct mt_instance *i)
{
    const int64_t seconds = mt_config_int(config_of(i), "scheduled_resync_interval_seconds");
    const uint64_t every = (uint64_t)((double)seconds * 1e9 / i->service->speed);
    return (struct mt_schedule){mt_now_ns() + every, every, (unsigned)seconds};
}

/* ---- heartbeats (A-MET-07, R-OBS-12), and states that Port could not be told ---- */

struct beat {
    struct mt_job job;
    struct mt_instance *i;
    const char *state; /* to report; NULL: a heartbeat */
    bool taken;
    char event_id[MT_UUID_SIZE];
};

static void set_heartbeat(struct mt_instance *i);

static void beat(struct mt_job *job, unsigned worker)
{
    struct beat *b = (struct beat *)job;
    (void)worker;
    if (b->state)
        b->taken = mt_integration_resync_ended(b->i->port, &b->i->record, b->state);
    else
        mt_integration_heartbeat(b->i->port, &b->i->record, b->event_id);
}

static void beaten(struct mt_job *job)
{
    struct beat *b = (struct beat *)job;
    struct mt_instance *i = b->i;
    mt_service_job_done(i->service);
    i->beating = i->reporting = false;
    if (b->state && b->taken)
        i->unreported = NULL;
    free(b);
    if (!i->service->ending)
        set_heartbeat(i);
    mt_service_look(i->service); /* a resync may have waited for the report */
}

static void heartbeat_due(void *arg)
{
    struct mt_instance *i = arg;
    const char *state = i->resync ? NULL : i->unreported;
    if ((!i->resync && !state) || i->beating) {
        set_heartbeat(i);
        return;
    }
    struct beat *b = mt_alloc(sizeof *b);
    b->job = (struct mt_job){.work = beat, .done = beaten};
    b->i = i;
    b->state = state;
    if (state)
        i->record.schedule = i->schedule; /* which a reload may have changed */
    else
        strcpy(b->event_id, mt_resync_event_id(i->resync));
    i->reporting = state != NULL;
    i->beating = true;
    mt_service_submit(i->service, i->service->callers, &b->job);
}

static void set_heartbeat(struct mt_instance *i)
{
    mt_timer_free(i->heartbeat);
    i->heartbeat =
        mt_service_timer(i->service, (double)mt_config_int(config_of(i), "status_heartbeat_interval_seconds"),
                         heartbeat_due, i);
}

/* ---- */

bool mt_listener_is_once(const struct mt_instance *i)
{
    return is_type(i, "ONCE");
}

/* Polls and heartbeats take a new interval when they are due. */
void mt_listener_reloaded(struct mt_instance *i)
{
    unsigned seconds = (unsigned)mt_config_int(config_of(i), "scheduled_resync_interval_seconds");
    if (!i->heartbeat || is_type(i, "ONCE") || seconds == i->schedule.seconds)
        return;
    i->schedule = mt_listener_schedule(i);
    set_schedule(i);
}

void mt_listener_start(struct mt_instance *i)
{
    if (!mt_instance_resyncs(i) && !i->service->options->once) {
        mt_log(MT_INFO, "%s: event listener %s asks for no resyncs", i->identifier,
               mt_config_text(config_of(i), "event_listener.type"));
        return;
    }
    set_heartbeat(i);
    if (is_type(i, "ONCE")) {
        mt_instance_wish(i, (struct mt_wish){.trigger = "once"});
        return;
    }
    i->schedule = mt_listener_schedule(i);
    set_schedule(i);
    if (is_type(i, "POLLING")) {
        if (mt_config_bool(config_of(i), "event_listener.resync_on_start"))
            mt_instance_wish(i, (struct mt_wish){.trigger = "start"});
        else
            poll_due(i);
        if (!i->polling)
            set_poll(i);
    } else {
        mt_instance_next(i);
    }
}

void mt_listener_resync_ended(struct mt_instance *i, int64_t state_us)
{
    struct mt_service *s = i->service;
    if (state_us)
        i->baseline_us = state_us; /* R-LIS-09 */
    if (s->ending || !i->active || i->wishes || !is_type(i, "ONCE"))
        return;
    for (size_t k = 0; k < s->count; k++) {
        struct mt_instance *other = s->instances[k];
        if (!other->active || !is_type(other, "ONCE") || !(other->resyncs_done || other->given_up) ||
            other->resync || other->wishes)
            return;
    }
    int code = 0;
    for (size_t k = 0; k < s->count; k++)
        code = s->instances[k]->once_code > code ? s->instances[k]->once_code : code;
    mt_service_end(s, code, NULL);
}

void mt_listener_stop(struct mt_instance *i)
{
    mt_timer_free(i->poll);
    mt_timer_free(i->scheduled);
    mt_timer_free(i->heartbeat);
    mt_timer_free(i->retry);
    i->poll = i->scheduled = i->heartbeat = i->retry = NULL;
}
