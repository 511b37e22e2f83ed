/* The integration's record and reports: see integration.h. */
#include "catalog/integration.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "catalog/blueprint.h"

enum {
    TEXT_MAX = 64 * 1024 * 1024,
    EXAMPLES_KEPT = 5,
    RESYNCS_KEPT = 20,
    ERRORS_KEPT = 50,
    MESSAGE_MAX = 2000
};

static struct mt_slice text_of(struct mt_val object, const char *name)
{
    struct mt_val v;
    return mt_val_member(object, mt_slice_of(name), &v) ? mt_val_string(v) : (struct mt_slice){0};
}

/* The stored record; NULL: refused, because there is none. */
static struct mt_doc *record(struct mt_cat_store *s, struct mt_slice id, struct mt_cat_refusal *why)
{
    struct mt_doc *doc = NULL;
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_INTEGRATION_GET);
    mt_cat_bind(row, 1, id);
    if (!mt_cat_step(s, row))
        mt_cat_refuse(why, 404, "not_found", "there is no integration \"%.*s\"", MT_CUT(id));
    else if (mt_doc_parse_copy(mt_cat_column(row, 0), NULL, &doc, NULL) != MT_OK)
        mt_cat_refuse(why, 500, "internal_error", "the record of integration \"%.*s\" is damaged",
                      MT_CUT(id));
    sqlite3_reset(row);
    return doc;
}

static void member(struct mt_buf *out, const char *name)
{
    if (out->n && out->p[out->n - 1] != '{')
        mt_buf_putc(out, ',');
    mt_buf_printf(out, "\"%s\":", name);
}

static bool is_one_of(struct mt_slice name, const char *const *names)
{
    for (; *names; names++)
        if (mt_slice_is(name, *names))
            return true;
    return false;
}

/* Members of old that changes does not name, then those of changes; but none of ours. */
static void overlay(struct mt_buf *out, struct mt_val old, struct mt_val changes, const char *const *ours)
{
    struct mt_slice name;
    struct mt_val v, other;
    for (int pass = 0; pass < 2; pass++)
        for (struct mt_iter it = mt_iter_of(pass ? changes : old); mt_iter_next(&it, &name, &v);) {
            if (is_one_of(name, ours) || (!pass && mt_val_member(changes, name, &other)))
                continue;
            if (out->p[out->n - 1] != '{')
                mt_buf_putc(out, ',');
            mt_buf_put_json_string(out, name);
            mt_buf_putc(out, ':');
            mt_val_write(v, out);
        }
}

/* Stores old with changes; state: they are of its resyncState. */
static void put_record(struct mt_cat_store *s, struct mt_slice id, struct mt_val old, struct mt_val changes,
                       bool state)
{
    static const char *const set[] = {"identifier", "updatedAt", "createdAt", "resyncState", "_id", NULL};
    static const char *const stated[] = {"updatedAt", NULL}, *const nothing[] = {NULL};
    struct mt_buf text;
    struct mt_val created, was = {0};
    int64_t now = mt_cat_store_now(s);
    mt_buf_init(&text, TEXT_MAX);
    mt_buf_putc(&text, '{');
    overlay(&text, old, state ? (struct mt_val){0} : changes, set);
    member(&text, "createdAt");
    if (mt_val_member(old, MT_SLICE("createdAt"), &created))
        mt_val_write(created, &text);
    else
        mt_cat_time_write(now, &text);
    member(&text, "updatedAt");
    mt_cat_time_write(now, &text);
    mt_val_member(old, MT_SLICE("resyncState"), &was);
    if (state || was.doc) {
        member(&text, "resyncState");
        mt_buf_putc(&text, '{');
        overlay(&text, was, state ? changes : (struct mt_val){0}, state ? stated : nothing);
        if (state) {
            member(&text, "updatedAt");
            mt_cat_time_write(now, &text);
        }
        mt_buf_putc(&text, '}');
    }
    mt_buf_putc(&text, '}');
    mt_cat_store_write(s);
    sqlite3_stmt *put = mt_cat_store_sql(s, MT_CAT_INTEGRATION_PUT);
    mt_cat_bind(put, 1, id);
    mt_cat_bind(put, 2, mt_buf_slice(&text));
    mt_cat_run(s, put);
    mt_buf_fini(&text);
}

bool mt_cat_integration_write(struct mt_cat_store *s, struct mt_slice id, const char *url, struct mt_buf *out,
                              struct mt_cat_refusal *why)
{
    static const char *const ours[] = {"logAttributes", "metricAttributes", "ingestAttributes", NULL};
    struct mt_val v;
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    struct mt_val root = mt_doc_root(doc);
    mt_buf_puts(out, "{\"identifier\":");
    mt_buf_put_json_string(out, id);
    if (!mt_val_member(root, MT_SLICE("installationType"), &v))
        mt_buf_puts(out, ",\"installationType\":\"OnPrem\"");
    overlay(out, root, (struct mt_val){0}, ours);
    mt_buf_printf(out,
                  ",\"logAttributes\":{\"ingestUrl\":\"%s/ingest/logs\"},\"metricAttributes\":{\"ingestUrl\":"
                  "\"%s/ingest/metrics\"},\"ingestAttributes\":{\"ingestUrl\":\"%s/ingest\"}}",
                  url, url, url);
    mt_doc_unref(doc);
    return true;
}

static bool is_mapping(struct mt_val body, struct mt_cat_refusal *why)
{
    struct mt_val v;
    if (mt_val_member(body, MT_SLICE("config"), &v) && !mt_val_is(v, MT_OBJECT) && !mt_val_is(v, MT_NULL))
        return mt_cat_invalid(why, "config must be an object");
    return true;
}

bool mt_cat_integration_create(struct mt_cat_store *s, struct mt_val body, struct mt_slice *id,
                               struct mt_cat_refusal *why)
{
    *id = text_of(body, "installationId");
    if (!mt_cat_identifier_check(*id, "installationId", why) || !is_mapping(body, why))
        return false;
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_INTEGRATION_GET);
    mt_cat_bind(row, 1, *id);
    bool exists = mt_cat_step(s, row);
    sqlite3_reset(row);
    if (exists)
        return mt_cat_refuse(why, 409, "conflict", "integration \"%.*s\" exists already", MT_CUT(*id));
    put_record(s, *id, (struct mt_val){0}, body, false);
    return true;
}

static void raise(struct mt_cat_store *s, struct mt_slice id)
{
    char uuid[MT_UUID_SIZE];
    sqlite3_stmt *put = mt_cat_store_sql(s, MT_CAT_REQUEST_PUT);
    mt_uuid(uuid);
    mt_cat_store_write(s);
    mt_cat_bind(put, 1, id);
    mt_cat_bind(put, 2, mt_slice_of(uuid));
    sqlite3_bind_int64(put, 3, mt_cat_store_now(s));
    mt_cat_run(s, put);
}

bool mt_cat_integration_patch(struct mt_cat_store *s, struct mt_slice id, struct mt_val body, bool resync,
                              struct mt_cat_refusal *why)
{
    struct mt_val config, old = {0};
    struct mt_doc *doc = record(s, id, why);
    bool fine = doc && is_mapping(body, why);
    if (fine && !mt_val_is(body, MT_OBJECT))
        fine = mt_cat_invalid(why, "the body must be an object");
    if (fine) {
        put_record(s, id, mt_doc_root(doc), body, false);
        bool mapped = mt_val_member(body, MT_SLICE("config"), &config);
        mt_val_member(mt_doc_root(doc), MT_SLICE("config"), &old);
        if (resync && mapped && !(old.doc && mt_val_equal(old, config)))
            raise(s, id);
    }
    mt_doc_unref(doc);
    return fine;
}

bool mt_cat_integration_delete(struct mt_cat_store *s, struct mt_slice id, struct mt_cat_refusal *why)
{
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    mt_doc_unref(doc);
    mt_cat_store_write(s);
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_INTEGRATION_DELETE);
    mt_cat_bind(statement, 1, id);
    mt_cat_run(s, statement);
    return true;
}

/* Resyncs: one row for each, of what the state, the metrics and the logs say ---------------------- */

struct resync {
    int64_t id; /* 0: none yet */
    bool running, has_event;
};

static struct resync last_resync(struct mt_cat_store *s, struct mt_slice integration)
{
    struct resync last = {0};
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_RESYNC_LAST);
    mt_cat_bind(row, 1, integration);
    if (mt_cat_step(s, row))
        last = (struct resync){sqlite3_column_int64(row, 0), mt_slice_is(mt_cat_column(row, 1), "running"),
                               mt_cat_column(row, 2).p != NULL};
    sqlite3_reset(row);
    return last;
}

static void end_resync(struct mt_cat_store *s, int64_t id, struct mt_slice status, struct mt_slice ended)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_RESYNC_END);
    sqlite3_bind_int64(statement, 1, id);
    mt_cat_bind(statement, 2, status);
    mt_cat_bind(statement, 3, ended);
    mt_cat_run(s, statement);
}

static int64_t new_resync(struct mt_cat_store *s, struct mt_slice integration, struct mt_slice status,
                          struct mt_slice started, struct mt_slice ended, struct mt_slice event)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_RESYNC_START);
    mt_cat_bind(statement, 1, integration);
    mt_cat_bind(statement, 2, status);
    mt_cat_bind(statement, 3, started);
    mt_cat_bind(statement, 4, ended);
    mt_cat_bind(statement, 5, event);
    mt_cat_run(s, statement);
    int64_t id = sqlite3_last_insert_rowid(s->db);
    statement = mt_cat_store_sql(s, MT_CAT_RESYNC_TRIM);
    mt_cat_bind(statement, 1, integration);
    sqlite3_bind_int(statement, 2, RESYNCS_KEPT);
    mt_cat_run(s, statement);
    return id;
}

bool mt_cat_integration_state(struct mt_cat_store *s, struct mt_slice id, struct mt_val state,
                              struct mt_cat_refusal *why)
{
    struct mt_slice status = text_of(state, "status"), none = {0};
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    bool fine = status.n > 0 || mt_cat_invalid(why, "the body must hold a status");
    if (fine) {
        put_record(s, id, mt_doc_root(doc), state, true);
        struct resync last = last_resync(s, id);
        bool starts = mt_slice_is(status, "running");
        if (last.id && last.running) /* that no end was reported of: its process is gone */
            end_resync(s, last.id, starts ? MT_SLICE("interrupted") : status,
                       text_of(state, "lastResyncEnd"));
        if (starts)
            new_resync(s, id, status, text_of(state, "lastResyncStart"), none, none);
        else if (!last.id || !last.running)
            new_resync(s, id, status, text_of(state, "lastResyncStart"), text_of(state, "lastResyncEnd"),
                       none);
    }
    mt_doc_unref(doc);
    return fine;
}

/* The resync of an event: the one that has it, else the last one that has none yet, else a new one. */
static int64_t resync_of_event(struct mt_cat_store *s, struct mt_slice integration, struct mt_slice event)
{
    struct mt_slice none = {0};
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_RESYNC_BY_EVENT);
    mt_cat_bind(row, 1, event);
    mt_cat_bind(row, 2, integration);
    int64_t id = mt_cat_step(s, row) ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    if (id)
        return id;
    struct resync last = last_resync(s, integration);
    if (!last.id || last.has_event)
        return new_resync(s, integration, MT_SLICE("running"), none, none, event);
    row = mt_cat_store_sql(s, MT_CAT_RESYNC_EVENT);
    sqlite3_bind_int64(row, 1, last.id);
    mt_cat_bind(row, 2, event);
    mt_cat_run(s, row);
    return last.id;
}

bool mt_cat_metric_put(struct mt_cat_store *s, struct mt_val metric, struct mt_cat_refusal *why)
{
    struct mt_slice integration = text_of(metric, "integrationIdentifier"),
                    event = text_of(metric, "eventId"), kind = text_of(metric, "kindIdentifier");
    struct mt_buf text;
    if (!integration.n || !event.n || !kind.n)
        return mt_cat_invalid(why, "a metric needs integrationIdentifier, eventId and kindIdentifier");
    mt_cat_store_write(s);
    mt_buf_init(&text, TEXT_MAX);
    mt_val_write(metric, &text);
    int64_t resync = resync_of_event(s, integration, event);
    sqlite3_stmt *put = mt_cat_store_sql(s, MT_CAT_METRIC_PUT);
    sqlite3_bind_int64(put, 1, resync);
    mt_cat_bind(put, 2, kind);
    mt_cat_bind(put, 3, mt_buf_slice(&text));
    mt_cat_run(s, put);
    mt_buf_fini(&text);
    return true;
}

/* port-ocean/{type}/{ver}/{id}[/feature] (A-COM-03) */
static struct mt_slice integration_of(struct mt_slice agent)
{
    for (int skipped = 0; skipped < 3; skipped++) {
        const char *slash = agent.n ? memchr(agent.p, '/', agent.n) : NULL;
        if (!slash)
            return (struct mt_slice){0};
        agent = (struct mt_slice){slash + 1, agent.n - (size_t)(slash + 1 - agent.p)};
    }
    const char *slash = agent.n ? memchr(agent.p, '/', agent.n) : NULL;
    return slash ? (struct mt_slice){agent.p, (size_t)(slash - agent.p)} : agent;
}

bool mt_cat_logs_add(struct mt_cat_store *s, struct mt_slice user_agent, struct mt_val body,
                     struct mt_cat_refusal *why)
{
    struct mt_val logs, entry;
    struct mt_slice none;
    if (!mt_val_member(body, MT_SLICE("logs"), &logs) || !mt_val_is(logs, MT_ARRAY))
        return mt_cat_invalid(why, "the body must be {\"logs\":[…]}");
    struct resync last = last_resync(s, integration_of(user_agent));
    if (!last.id)
        return true;
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_LOG_COUNT);
    sqlite3_bind_int64(row, 1, last.id);
    int64_t kept = mt_cat_step(s, row) ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    for (struct mt_iter it = mt_iter_of(logs); kept < ERRORS_KEPT && mt_iter_next(&it, &none, &entry);) {
        struct mt_slice level = text_of(entry, "level"), message = text_of(entry, "message");
        if (!mt_slice_is(level, "ERROR") && !mt_slice_is(level, "CRITICAL"))
            continue;
        if (message.n > MESSAGE_MAX) {
            message.n = MESSAGE_MAX;
            while (message.n && ((unsigned char)message.p[message.n] & 0xC0) == 0x80)
                message.n--;
        }
        mt_cat_store_write(s);
        row = mt_cat_store_sql(s, MT_CAT_LOG_PUT);
        sqlite3_bind_int64(row, 1, last.id);
        mt_cat_bind(row, 2, text_of(entry, "timestamp"));
        mt_cat_bind(row, 3, level);
        mt_cat_bind(row, 4, message.p ? message : MT_SLICE(""));
        mt_cat_run(s, row);
        kept++;
    }
    return true;
}

/* Requests, examples, resources ------------------------------------------------------------------- */

bool mt_cat_request_write(struct mt_cat_store *s, struct mt_slice id, struct mt_buf *out,
                          struct mt_cat_refusal *why)
{
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    mt_doc_unref(doc);
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_REQUEST_GET);
    mt_cat_bind(row, 1, id);
    mt_buf_putc(out, '{');
    if (mt_cat_step(s, row)) {
        member(out, "id");
        mt_buf_put_json_string(out, mt_cat_column(row, 0));
        member(out, "updatedAt");
        mt_cat_time_write(sqlite3_column_int64(row, 1), out);
    }
    mt_buf_putc(out, '}');
    sqlite3_reset(row);
    return true;
}

bool mt_cat_request_raise(struct mt_cat_store *s, struct mt_slice id, struct mt_cat_refusal *why)
{
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    mt_doc_unref(doc);
    raise(s, id);
    return true;
}

bool mt_cat_examples_add(struct mt_cat_store *s, struct mt_slice id, struct mt_slice kind, struct mt_val body,
                         struct mt_cat_refusal *why)
{
    struct mt_val fresh, v;
    struct mt_doc *old = NULL, *doc = record(s, id, why);
    if (!doc)
        return false;
    mt_doc_unref(doc);
    if (!mt_val_member(body, MT_SLICE("examples"), &fresh) || !mt_val_is(fresh, MT_ARRAY))
        return mt_cat_invalid(why, "the body must be {\"examples\":[…]}");
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_EXAMPLE_GET);
    mt_cat_bind(row, 1, id);
    mt_cat_bind(row, 2, kind);
    uint32_t before = 0;
    if (mt_cat_step(s, row) && mt_doc_parse_copy(mt_cat_column(row, 0), NULL, &old, NULL) == MT_OK)
        before = mt_val_count(mt_doc_root(old));
    sqlite3_reset(row);
    struct mt_buf text;
    mt_buf_init(&text, TEXT_MAX);
    mt_buf_putc(&text, '[');
    uint32_t all = before + mt_val_count(fresh);
    for (uint32_t i = all > EXAMPLES_KEPT ? all - EXAMPLES_KEPT : 0; i < all; i++) {
        if (text.n > 1)
            mt_buf_putc(&text, ',');
        if (i < before ? mt_val_index(mt_doc_root(old), i, &v) : mt_val_index(fresh, i - before, &v))
            mt_val_write(v, &text);
    }
    mt_buf_putc(&text, ']');
    mt_cat_store_write(s);
    row = mt_cat_store_sql(s, MT_CAT_EXAMPLE_PUT);
    mt_cat_bind(row, 1, id);
    mt_cat_bind(row, 2, kind);
    mt_cat_bind(row, 3, mt_buf_slice(&text));
    mt_cat_run(s, row);
    mt_buf_fini(&text);
    mt_doc_unref(old);
    return true;
}

bool mt_cat_examples_write(struct mt_cat_store *s, struct mt_slice id, struct mt_slice kind,
                           struct mt_buf *out, struct mt_cat_refusal *why)
{
    struct mt_doc *doc = record(s, id, why);
    if (!doc)
        return false;
    mt_doc_unref(doc);
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_EXAMPLE_GET);
    mt_cat_bind(row, 1, id);
    mt_cat_bind(row, 2, kind);
    mt_buf_put(out, mt_cat_step(s, row) ? mt_cat_column(row, 0) : MT_SLICE("[]"));
    sqlite3_reset(row);
    return true;
}

bool mt_cat_resource_put(struct mt_cat_store *s, const char *kind, struct mt_slice blueprint,
                         struct mt_val body, struct mt_cat_refusal *why)
{
    struct mt_slice identifier = text_of(body, "identifier");
    struct mt_buf text;
    if (!mt_cat_identifier_check(identifier, "the identifier", why))
        return false;
    mt_buf_init(&text, TEXT_MAX);
    mt_val_write(body, &text);
    mt_cat_store_write(s);
    sqlite3_stmt *put = mt_cat_store_sql(s, MT_CAT_RESOURCE_PUT);
    mt_cat_bind(put, 1, mt_slice_of(kind));
    mt_cat_bind(put, 2, blueprint);
    mt_cat_bind(put, 3, identifier);
    mt_cat_bind(put, 4, mt_buf_slice(&text));
    mt_cat_run(s, put);
    mt_buf_fini(&text);
    return true;
}
