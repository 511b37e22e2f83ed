/* Default resources: see resources.h. */
#include "port/resources.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/url.h"

enum { BODY_MAX = 64 * 1024 * 1024, TURN_MS = 10 * 1000, LOOK_MS = 20 };

static char *blueprint_path(struct mt_slice identifier, const char *suffix)
{
    struct mt_buf path;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_puts(&path, "/blueprints/");
    mt_url_escape(&path, identifier);
    mt_buf_puts(&path, suffix);
    mt_buf_text(&path);
    return mt_buf_take(&path, NULL);
}

enum mt_rc mt_blueprint_get(struct mt_port *port, struct mt_slice identifier, struct mt_doc **out,
                            struct mt_err *err)
{
    struct mt_port_answer answer;
    char *path = blueprint_path(identifier, "");
    enum mt_rc rc = mt_port_call(port, "GET", path, (struct mt_slice){0}, 0, &answer, err);
    free(path);
    struct mt_val blueprint;
    if (rc == MT_OK &&
        (!answer.doc || !mt_val_member(mt_doc_root(answer.doc), MT_SLICE("blueprint"), &blueprint))) {
        mt_doc_unref(answer.doc);
        return mt_fail(err, MT_EDATA, "Port's answer about blueprint %.*s holds no blueprint",
                       MT_FMT(identifier));
    }
    if (rc == MT_OK)
        *out = answer.doc;
    return rc;
}

static struct mt_slice identifier_of(struct mt_val object)
{
    struct mt_val v;
    return mt_val_member(object, MT_SLICE("identifier"), &v) ? mt_val_string(v) : (struct mt_slice){0};
}

/* The members that a stage leaves out (A-BP-07): those that may point at blueprints of the set that do not
 * exist yet. */
static bool left_out(int stage, struct mt_slice member)
{
    static const char *const last[] = {"calculationProperties", "mirrorProperties", "aggregationProperties"};
    static const char *const second[] = {"teamInheritance", "ownership", "relations"};
    for (size_t i = 0; stage < 3 && i < 3; i++)
        if (mt_slice_is(member, last[i]))
            return true;
    for (size_t i = 0; stage < 2 && i < 3; i++)
        if (mt_slice_is(member, second[i]))
            return true;
    return false;
}

static enum mt_rc send_stage(struct mt_port *port, struct mt_val blueprint, int stage, const char *method,
                             struct mt_err *err)
{
    struct mt_buf body;
    struct mt_slice name;
    struct mt_val value;
    bool first = true;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_putc(&body, '{');
    for (struct mt_iter it = mt_iter_of(blueprint); mt_iter_next(&it, &name, &value);) {
        if (left_out(stage, name))
            continue;
        if (!first)
            mt_buf_putc(&body, ',');
        first = false;
        mt_buf_put_json_string(&body, name);
        mt_buf_putc(&body, ':');
        mt_val_write(value, &body);
    }
    mt_buf_putc(&body, '}');
    bool create = strcmp(method, "POST") == 0;
    char *path = create ? mt_strdup("/blueprints") : blueprint_path(identifier_of(blueprint), "");
    enum mt_rc rc = mt_port_call(port, method, path, mt_buf_slice(&body), MT_PORT_EXPORTER, NULL, err);
    if (rc != MT_OK)
        mt_err_context(err, "cannot %s blueprint %.*s", create ? "create" : "complete",
                       MT_FMT(identifier_of(blueprint)));
    free(path);
    mt_buf_fini(&body);
    return rc;
}

static void remove_created(struct mt_port *port, struct mt_val blueprints, const bool *created)
{
    struct mt_val blueprint;
    for (uint32_t i = 0; mt_val_index(blueprints, i, &blueprint); i++) {
        struct mt_err err;
        if (!created[i])
            continue;
        char *path = blueprint_path(identifier_of(blueprint), "");
        if (mt_port_call(port, "DELETE", path, (struct mt_slice){0}, MT_PORT_EXPORTER, NULL, &err) != MT_OK)
            mt_log(MT_WARN, "could not remove the half created blueprint %.*s: %s",
                   MT_FMT(identifier_of(blueprint)), err.text);
        free(path);
    }
}

/* Bundles of one process that share blueprints: the second must not find them half made. A Port that hangs
 * holds up the bundles of another one for 10 s at most. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Whether it is the caller's turn: else it goes on beside the others. */
static bool take_turn(struct mt_port *port)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    for (int waited_ms = 0; waited_ms < TURN_MS && !mt_port_is_canceled(port); waited_ms += LOOK_MS) {
        if (pthread_mutex_trylock(&one_at_a_time) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool is_refused(enum mt_rc rc, const struct mt_err *err)
{
    return rc == MT_EHTTP && err->status >= 400 && err->status < 500 && err->status != 429;
}

static enum mt_rc apply_blueprints(struct mt_port *port, struct mt_val blueprints, bool complete,
                                   bool *out_created, struct mt_err *err)
{
    uint32_t count = mt_val_count(blueprints), existing = 0;
    bool *exists = mt_alloc(count + 1), *created = mt_alloc(count + 1);
    struct mt_val blueprint;
    bool shared = false; /* another process is creating them too, and goes on where this one fails */
    enum mt_rc rc = MT_OK;
    for (uint32_t i = 0; rc == MT_OK && mt_val_index(blueprints, i, &blueprint); i++) {
        struct mt_doc *doc = NULL;
        rc = mt_blueprint_get(port, identifier_of(blueprint), &doc, err);
        if (rc == MT_EHTTP && err->status == 404)
            rc = MT_OK;
        else if (rc == MT_OK)
            existing += exists[i] = true;
        mt_doc_unref(doc);
    }
    *out_created = rc == MT_OK && (existing == 0 || complete);
    if (!*out_created)
        goto out;
    for (int stage = 1; rc == MT_OK && stage <= 3; stage++)
        for (uint32_t i = 0; rc == MT_OK && mt_val_index(blueprints, i, &blueprint); i++) {
            if (stage == 1 && exists[i])
                continue;
            rc = send_stage(port, blueprint, stage, stage == 1 ? "POST" : "PATCH", err);
            created[i] |= rc == MT_OK && stage == 1;
            if (stage == 1 && rc == MT_EHTTP && err->status == 409) {
                rc = MT_OK;
                shared = true;
            }
        }
    if (rc != MT_OK && (!shared || is_refused(rc, err)))
        remove_created(port, blueprints, created);
out:
    free(exists);
    free(created);
    return rc;
}

static void send_each(struct mt_port *port, struct mt_val list, const char *path, const char *what)
{
    struct mt_val object;
    for (uint32_t i = 0; mt_val_index(list, i, &object); i++) {
        struct mt_err err;
        struct mt_buf body;
        mt_buf_init(&body, BODY_MAX);
        mt_val_write(object, &body);
        if (mt_port_call(port, "POST", path, mt_buf_slice(&body), 0, NULL, &err) != MT_OK)
            mt_log(MT_WARN, "could not create %s %.*s: %s", what, MT_FMT(identifier_of(object)), err.text);
        mt_buf_fini(&body);
    }
}

enum mt_rc mt_defaults_apply(struct mt_port *port, const struct mt_defaults *d, bool complete,
                             struct mt_err *err)
{
    struct mt_err local;
    bool created = true;
    enum mt_rc rc = MT_OK;
    err = err ? err : &local;
    if (d->blueprints.doc) {
        const bool mine = take_turn(port);
        rc = apply_blueprints(port, d->blueprints, complete, &created, err);
        if (mine)
            pthread_mutex_unlock(&one_at_a_time);
    }
    if (rc != MT_OK || !created)
        return rc;
    if (d->actions.doc)
        send_each(port, d->actions, "/actions", "action");
    struct mt_val entry, data, blueprint;
    for (uint32_t i = 0; d->scorecards.doc && mt_val_index(d->scorecards, i, &entry); i++) {
        if (!mt_val_member(entry, MT_SLICE("blueprint"), &blueprint) ||
            !mt_val_member(entry, MT_SLICE("data"), &data))
            continue;
        char *path = blueprint_path(mt_val_string(blueprint), "/scorecards");
        send_each(port, data, path, "scorecard");
        free(path);
    }
    if (d->pages.doc)
        send_each(port, d->pages, "/pages", "page");
    return MT_OK;
}
