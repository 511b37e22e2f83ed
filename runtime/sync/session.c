/* What the files of sync/ share of a session: crossing to the loop's thread, errors, what is not proven, the
 * early end. See session.h. */
#include "sync/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"

struct crossing {
    struct mt_session *s;
    void (*fn)(struct mt_session *s, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool ran;
};

static void cross(void *arg)
{
    struct crossing *c = arg;
    c->fn(c->s, c->arg);
    pthread_mutex_lock(&c->lock);
    c->ran = true;
    pthread_cond_signal(&c->done);
    pthread_mutex_unlock(&c->lock);
}

void mt_session_on_loop(struct mt_session *s, void (*fn)(struct mt_session *s, void *arg), void *arg)
{
    struct crossing c = {.s = s, .fn = fn, .arg = arg};
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.done, NULL);
    mt_loop_post(s->loop, cross, &c);
    pthread_mutex_lock(&c.lock);
    while (!c.ran)
        pthread_cond_wait(&c.done, &c.lock);
    pthread_mutex_unlock(&c.lock);
    pthread_cond_destroy(&c.done);
    pthread_mutex_destroy(&c.lock);
}

void mt_session_error(struct mt_session *s, const char *kind, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    mt_report_error(s->report, kind, text);
    mt_log_repeat(MT_ERROR, kind ? kind : "resync", "%s%s%s", kind ? kind : "", kind ? ": " : "", text);
    free(text);
}

void mt_session_state_failed(struct mt_session *s, enum mt_rc rc)
{
    mt_metrics_add(s->options->place->metrics, MT_METRIC_STATE,
                   (struct mt_label[]){{"integration", mt_config_identifier(s->config)},
                                       {"reason", mt_rc_name(rc)},
                                       {NULL, NULL}},
                   1);
}

void mt_session_record_broken(struct mt_session *s, const struct mt_err *err)
{
    if (atomic_exchange(&s->record_broken, true))
        return;
    mt_session_state_failed(s, err->rc);
    mt_session_error(
        s, NULL,
        "the record of what produced what could not be written, so this resync counts as failed; "
        "entities go to Port all the same: %s",
        err->text);
}

void mt_resource_unproven(struct mt_session *s, struct mt_resource *r, const char *scope, const char *reason)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < r->unproven_count; i++)
        if (strcmp(r->unproven[i].scope, scope) == 0)
            goto out;
    r->unproven = mt_realloc(r->unproven, (r->unproven_count + 1) * sizeof *r->unproven);
    r->unproven[r->unproven_count++] = (struct mt_unproven){mt_strdup(scope), mt_strdup(reason)};
out:
    pthread_mutex_unlock(&s->lock);
}

void mt_session_blueprint(struct mt_session *s, struct mt_slice blueprint)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->blueprint_count; i++)
        if (mt_slice_is(blueprint, s->blueprints[i]))
            goto out;
    s->blueprints = mt_realloc(s->blueprints, (s->blueprint_count + (size_t)1) * sizeof *s->blueprints);
    s->blueprints[s->blueprint_count++] = mt_slice_dup(blueprint);
out:
    pthread_mutex_unlock(&s->lock);
}

static void cancel_run(void *arg)
{
    struct mt_session *s = arg;
    if (s->run)
        mt_run_cancel(s->run);
}

void mt_session_cancel(struct mt_session *s)
{
    atomic_store(&s->canceled, true);
    mt_http_kick(s->http);
    mt_loop_post(s->loop, cancel_run, s);
}

void mt_session_stop(struct mt_session *s, const char *reason)
{
    if (atomic_exchange(&s->canceled, true))
        return;
    mt_session_error(s, NULL, "Port does not take it any more, the resync ends here: %s", reason);
    mt_session_cancel(s);
}
