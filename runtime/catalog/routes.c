/* The routes of Port's API (port-api.md sections 3 to 10 and 19), and what all calls share: segments, query,
 * token, body, refusals. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "catalog/call.h"
#include "catalog/integration.h"
#include "catalog/page.h"

/* The address ------------------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mt_cat_decode(struct mt_slice text, bool form, struct mt_buf *out)
{
    size_t from = out->n;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+' && form) {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= text.n || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
                return false;
            c = (char)(hex(text.p[i + 1]) * 16 + hex(text.p[i + 2]));
            i += 2;
        }
        mt_buf_putc(out, c);
    }
    struct mt_buf quoted; /* the reader of JSON is who knows UTF-8 */
    mt_buf_init(&quoted, SIZE_MAX / 2);
    mt_buf_put_json_string(&quoted, (struct mt_slice){out->p + from, out->n - from});
    bool fine = mt_json_check(mt_buf_slice(&quoted), NULL, NULL) == MT_OK;
    mt_buf_fini(&quoted);
    return fine;
}

bool mt_cat_call_flag(struct mt_cat_call *c, const char *name, bool otherwise, bool *out)
{
    struct mt_buf value;
    mt_buf_init(&value, 1024);
    bool given = mt_request_param(c->request, name, &value), fine = true;
    *out = given ? mt_slice_is(mt_buf_slice(&value), "true") : otherwise;
    if (given && !*out && !mt_slice_is(mt_buf_slice(&value), "false"))
        fine = mt_cat_refuse(&c->why, 400, "invalid_request",
                             "%s must be true or false (A-COM-09), not \"%.*s\"", name,
                             MT_CUT(mt_buf_slice(&value)));
    mt_buf_fini(&value);
    return fine;
}

uint32_t mt_cat_call_list(struct mt_cat_call *c, const char *name, struct mt_buf *text, struct mt_slice **out)
{
    const char *query = mt_request_query(c->request);
    size_t room = 1, length = strlen(name);
    uint32_t count = 0;
    for (const char *p = query; *p; p++)
        room += *p == '&';
    *out = mt_alloc(room * sizeof **out);
    mt_buf_reserve(text, strlen(query) + 1); /* so that the slices stay where they are */
    while (*query) {
        size_t n = strcspn(query, "&");
        if (n > length && strncmp(query, name, length) == 0 && query[length] == '=') {
            size_t from = text->n;
            if (mt_cat_decode((struct mt_slice){query + length + 1, n - length - 1}, true, text))
                (*out)[count++] = (struct mt_slice){text->p + from, text->n - from};
        }
        query += n + (query[n] == '&');
    }
    return count;
}

/* Handlers ---------------------------------------------------------------------------------------- */

static void call_token(struct mt_cat_call *c)
{
    struct mt_val id, secret;
    if (!mt_val_member(c->body, MT_SLICE("clientId"), &id) || !mt_val_string(id).n ||
        !mt_val_member(c->body, MT_SLICE("clientSecret"), &secret) || !mt_val_string(secret).n) {
        mt_cat_refuse(&c->why, 401, "unauthorized", "clientId and clientSecret must not be empty");
        return;
    }
    mt_buf_printf(&c->out, "{\"ok\":true,\"accessToken\":\"%s\",\"expiresIn\":%d,\"tokenType\":\"Bearer\"}",
                  mt_cat_token_issue(c->tokens), MT_CAT_TOKEN_S);
}

static void call_organization(struct mt_cat_call *c)
{
    mt_buf_puts(
        &c->out,
        "{\"ok\":true,\"organization\":{\"id\":\"org_moontide\",\"name\":\"moontide\",\"featureFlags\":[]}}");
}

static void call_provision(struct mt_cat_call *c)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"integrations\":[]}");
}

static void put_integration(struct mt_cat_call *c, struct mt_slice id)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"integration\":");
    mt_cat_integration_write(c->store, id, c->url, &c->out, &c->why);
    mt_buf_putc(&c->out, '}');
}

static void call_integration_get(struct mt_cat_call *c)
{
    put_integration(c, c->parts[0]);
}

static void call_integration_post(struct mt_cat_call *c)
{
    struct mt_slice id;
    if (!mt_cat_integration_create(c->store, c->body, &id, &c->why))
        return;
    c->status = 201;
    put_integration(c, id);
}

static void call_integration_patch(struct mt_cat_call *c)
{
    if (mt_cat_integration_patch(c->store, c->parts[0], c->body, true, &c->why))
        put_integration(c, c->parts[0]);
}

static void call_config(struct mt_cat_call *c)
{
    struct mt_val config;
    const char *skip = mt_request_header(c->request, "x-skip-resync"); /* A-COM-07 */
    if (!mt_val_member(c->body, MT_SLICE("config"), &config) || !mt_val_is(config, MT_OBJECT)) {
        mt_cat_invalid(&c->why, "the body must be {\"config\":{…}}");
        return;
    }
    if (mt_cat_integration_patch(c->store, c->parts[0], c->body, !skip || strcmp(skip, "true") != 0, &c->why))
        put_integration(c, c->parts[0]);
}

static void call_integration_delete(struct mt_cat_call *c)
{
    if (mt_cat_integration_delete(c->store, c->parts[0], &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_state(struct mt_cat_call *c)
{
    if (mt_cat_integration_state(c->store, c->parts[0], c->body, &c->why))
        put_integration(c, c->parts[0]);
}

static void call_request_get(struct mt_cat_call *c)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"request\":");
    mt_cat_request_write(c->store, c->parts[0], &c->out, &c->why);
    mt_buf_putc(&c->out, '}');
}

static void call_request_post(struct mt_cat_call *c)
{
    if (mt_cat_request_raise(c->store, c->parts[0], &c->why))
        call_request_get(c);
}

static void call_examples_get(struct mt_cat_call *c)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"examples\":");
    mt_cat_examples_write(c->store, c->parts[0], c->parts[1], &c->out, &c->why);
    mt_buf_putc(&c->out, '}');
}

static void call_examples_post(struct mt_cat_call *c)
{
    if (mt_cat_examples_add(c->store, c->parts[0], c->parts[1], c->body, &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_metrics_post(struct mt_cat_call *c)
{
    struct mt_slice none;
    struct mt_val list, metric;
    if (!mt_val_member(c->body, MT_SLICE("syncKindsMetrics"), &list) || !mt_val_is(list, MT_ARRAY)) {
        mt_cat_invalid(&c->why, "the body must be {\"syncKindsMetrics\":[…]}");
        return;
    }
    for (struct mt_iter it = mt_iter_of(list); mt_iter_next(&it, &none, &metric);)
        if (!mt_cat_metric_put(c->store, metric, &c->why))
            return;
    mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_metrics_put(struct mt_cat_call *c)
{
    struct mt_val metric;
    if (!mt_val_member(c->body, MT_SLICE("syncKindMetrics"), &metric))
        mt_cat_invalid(&c->why, "the body must be {\"syncKindMetrics\":{…}}");
    else if (mt_cat_metric_put(c->store, metric, &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_heartbeat(struct mt_cat_call *c)
{
    mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_logs(struct mt_cat_call *c)
{
    if (mt_cat_logs_add(c->store, c->datasource, c->body, &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

static void call_blueprint_list(struct mt_cat_call *c)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"blueprints\":[");
    for (uint32_t i = 0; i < c->store->blueprints->count; i++) {
        if (i)
            mt_buf_putc(&c->out, ',');
        mt_cat_blueprint_write(c->store->blueprints->list[i], &c->out);
    }
    mt_buf_puts(&c->out, "]}");
}

static void put_blueprint(struct mt_cat_call *c, const struct mt_cat_blueprint *b)
{
    mt_buf_puts(&c->out, "{\"ok\":true,\"blueprint\":");
    mt_cat_blueprint_write(b, &c->out);
    mt_buf_putc(&c->out, '}');
}

static void call_blueprint_get(struct mt_cat_call *c)
{
    const struct mt_cat_blueprint *b = mt_cat_blueprint_find(c->store, c->parts[0]);
    if (b)
        put_blueprint(c, b);
    else
        mt_cat_refuse(&c->why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(c->parts[0]));
}

static void change_blueprint(struct mt_cat_call *c, enum mt_cat_change change)
{
    const struct mt_cat_blueprint *b;
    if (!mt_cat_blueprint_change(c->store, change, c->parts[0], c->body, &b, &c->why))
        return;
    if (change == MT_CAT_CREATE)
        c->status = 201;
    put_blueprint(c, b);
}

static void call_blueprint_post(struct mt_cat_call *c)
{
    change_blueprint(c, MT_CAT_CREATE);
}

static void call_blueprint_patch(struct mt_cat_call *c)
{
    change_blueprint(c, MT_CAT_MERGE);
}

static void call_blueprint_put(struct mt_cat_call *c)
{
    change_blueprint(c, MT_CAT_REPLACE);
}

static void call_blueprint_delete(struct mt_cat_call *c)
{
    if (mt_cat_blueprint_delete(c->store, c->parts[0], &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

/* A-BP-10. It is done at once; the migration that the client then asks for is over. */
static void call_all_entities_delete(struct mt_cat_call *c)
{
    bool with_blueprint;
    char id[MT_UUID_SIZE];
    if (!mt_cat_call_flag(c, "delete_blueprint", false, &with_blueprint))
        return;
    if (!mt_cat_blueprint_find(c->store, c->parts[0])) {
        mt_cat_refuse(&c->why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(c->parts[0]));
        return;
    }
    mt_cat_entities_delete_all(c->store, c->parts[0]);
    if (with_blueprint && !mt_cat_blueprint_delete(c->store, c->parts[0], &c->why))
        return;
    mt_uuid(id);
    sqlite3_stmt *put = mt_cat_store_sql(c->store, MT_CAT_MIGRATION_PUT);
    mt_cat_bind(put, 1, mt_slice_of(id));
    mt_cat_bind(put, 2, c->parts[0]);
    mt_cat_bind(put, 3, c->datasource);
    mt_cat_run(c->store, put);
    mt_buf_printf(&c->out, "{\"ok\":true,\"migrationId\":\"%s\"}", id);
}

static void call_migration(struct mt_cat_call *c)
{
    sqlite3_stmt *row = mt_cat_store_sql(c->store, MT_CAT_MIGRATION_GET);
    mt_cat_bind(row, 1, c->parts[0]);
    if (mt_cat_step(c->store, row)) {
        mt_buf_puts(&c->out, "{\"ok\":true,\"migration\":{\"id\":");
        mt_buf_put_json_string(&c->out, c->parts[0]);
        mt_buf_puts(&c->out, ",\"actor\":");
        mt_buf_put_json_string(&c->out, mt_cat_column(row, 1));
        mt_buf_puts(&c->out, ",\"sourceBlueprint\":");
        mt_buf_put_json_string(&c->out, mt_cat_column(row, 0));
        mt_buf_puts(&c->out, ",\"mapping\":{},\"status\":\"COMPLETE\"}}");
    } else {
        mt_cat_refuse(&c->why, 404, "not_found", "there is no migration \"%.*s\"", MT_CUT(c->parts[0]));
    }
    sqlite3_reset(row);
}

static void put_resource(struct mt_cat_call *c, const char *kind, struct mt_slice blueprint)
{
    if (!mt_cat_resource_put(c->store, kind, blueprint, c->body, &c->why))
        return;
    mt_buf_printf(&c->out, "{\"ok\":true,\"%s\":", kind);
    mt_val_write(c->body, &c->out);
    mt_buf_putc(&c->out, '}');
}

static void call_scorecard(struct mt_cat_call *c)
{
    if (mt_cat_blueprint_find(c->store, c->parts[0]))
        put_resource(c, "scorecard", c->parts[0]);
    else
        mt_cat_refuse(&c->why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(c->parts[0]));
}

static void call_action(struct mt_cat_call *c)
{
    put_resource(c, "action", MT_SLICE(""));
}

static void call_page_post(struct mt_cat_call *c)
{
    put_resource(c, "page", MT_SLICE(""));
}

static void call_page_delete(struct mt_cat_call *c)
{
    mt_cat_store_write(c->store);
    sqlite3_stmt *statement = mt_cat_store_sql(c->store, MT_CAT_RESOURCE_DELETE);
    mt_cat_bind(statement, 1, MT_SLICE("page"));
    mt_cat_bind(statement, 2, c->parts[0]);
    mt_cat_run(c->store, statement);
    if (sqlite3_changes(c->store->db))
        mt_buf_puts(&c->out, "{\"ok\":true}");
    else
        mt_cat_refuse(&c->why, 404, "not_found", "there is no page \"%.*s\"", MT_CUT(c->parts[0]));
}

/* The table --------------------------------------------------------------------------------------- */

enum { OPEN = 1, BODY = 2 }; /* no token needed; a JSON object is its body */

static const struct route {
    const char *method, *pattern; /* '*' is one segment */
    void (*handle)(struct mt_cat_call *c);
    unsigned flags;
} routes[] = {
    {"GET", "/", mt_cat_page, OPEN},
    {"POST", "/v1/auth/access_token", call_token, OPEN | BODY},
    {"GET", "/v1/organization", call_organization, 0},
    {"GET", "/v1/integration/provision-enabled", call_provision, 0},
    {"POST", "/v1/integration", call_integration_post, BODY},
    {"GET", "/v1/integration/*", call_integration_get, 0},
    {"PATCH", "/v1/integration/*", call_integration_patch, BODY},
    {"DELETE", "/v1/integration/*", call_integration_delete, 0},
    {"PATCH", "/v1/integration/*/config", call_config, BODY},
    {"PATCH", "/v1/integration/*/resync-state", call_state, BODY},
    {"GET", "/v1/integration/*/resync-request", call_request_get, 0},
    {"POST", "/v1/integration/*/resync-request", call_request_post, 0},
    {"GET", "/v1/integration/*/kinds/*/examples", call_examples_get, 0},
    {"POST", "/v1/integration/*/kinds/*/examples", call_examples_post, BODY},
    {"POST", "/ingest/metrics/syncMetrics", call_metrics_post, BODY},
    {"PUT", "/ingest/metrics/syncMetrics/resync/*/kind/*", call_metrics_put, BODY},
    {"POST", "/ingest/metrics/heartbeat", call_heartbeat, BODY},
    {"POST", "/ingest/logs", call_logs, BODY},
    {"POST", "/v1/blueprints/entities/datasource-entities", mt_cat_entity_owned, BODY},
    {"POST", "/v1/entities/search", mt_cat_entity_search, BODY},
    {"GET", "/v1/blueprints", call_blueprint_list, 0},
    {"POST", "/v1/blueprints", call_blueprint_post, BODY},
    {"GET", "/v1/blueprints/*", call_blueprint_get, 0},
    {"PATCH", "/v1/blueprints/*", call_blueprint_patch, BODY},
    {"PUT", "/v1/blueprints/*", call_blueprint_put, BODY},
    {"DELETE", "/v1/blueprints/*", call_blueprint_delete, 0},
    {"DELETE", "/v1/blueprints/*/all-entities", call_all_entities_delete, 0},
    {"POST", "/v1/blueprints/*/scorecards", call_scorecard, BODY},
    {"GET", "/v1/blueprints/*/entities", mt_cat_entity_list, 0},
    {"POST", "/v1/blueprints/*/entities", mt_cat_entity_post, BODY},
    {"POST", "/v1/blueprints/*/entities/bulk", mt_cat_entity_bulk, BODY},
    {"GET", "/v1/blueprints/*/entities/*", mt_cat_entity_get, 0},
    {"DELETE", "/v1/blueprints/*/entities/*", mt_cat_entity_remove, 0},
    {"POST", "/v1/blueprints/*/bulk/entities/delete", mt_cat_entity_remove_bulk, BODY},
    {"GET", "/v1/migrations/*", call_migration, 0},
    {"POST", "/v1/actions", call_action, BODY},
    {"POST", "/v1/pages", call_page_post, BODY},
    {"DELETE", "/v1/pages/*", call_page_delete, 0},
};

/* Segments are compared as they were sent: what is fixed needs no escapes. The raw variable ones are left in
 * parts. */
static bool fits(const char *pattern, const char *path, struct mt_slice *parts)
{
    unsigned part = 0;
    for (;;) {
        size_t expected = strcspn(++pattern, "/"), given = strcspn(++path, "/");
        if (*pattern == '*') {
            if (!given)
                return false;
            parts[part++] = (struct mt_slice){path, given};
        } else if (expected != given || memcmp(pattern, path, given) != 0) {
            return false;
        }
        pattern += expected;
        path += given;
        if (!*pattern || !*path)
            return !*pattern && !*path;
    }
}

static const struct route *find(struct mt_cat_call *c, const char *path)
{
    const char *method = mt_request_method(c->request);
    bool known = false;
    if (strcmp(method, "HEAD") == 0)
        method = "GET"; /* the server leaves the body out */
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        struct mt_slice parts[MT_CAT_PARTS] = {{0}};
        if (!fits(routes[i].pattern, path, parts))
            continue;
        known = true;
        if (strcmp(routes[i].method, method) == 0) {
            memcpy(c->parts, parts, sizeof parts);
            return &routes[i];
        }
    }
    if (known)
        mt_cat_refuse(&c->why, 405, "method_not_allowed", "%.20s is no method of %.*s", method,
                      MT_CUT(mt_slice_of(path)));
    else
        mt_cat_refuse(&c->why, 404, "not_found", "there is no route %.20s %.*s", method,
                      MT_CUT(mt_slice_of(path)));
    return NULL;
}

/* Decodes the variable segments into text, that they borrow from. */
static bool decode_parts(struct mt_cat_call *c, struct mt_buf *text)
{
    size_t room = 1;
    for (unsigned i = 0; i < MT_CAT_PARTS; i++)
        room += c->parts[i].n;
    mt_buf_reserve(text, room);
    for (unsigned i = 0; i < MT_CAT_PARTS; i++) {
        size_t from = text->n;
        if (!c->parts[i].p)
            break;
        if (!mt_cat_decode(c->parts[i], false, text))
            return mt_cat_refuse(&c->why, 400, "invalid_request",
                                 "the path holds a broken escape or no UTF-8: %.*s", MT_CUT(c->parts[i]));
        c->parts[i] = (struct mt_slice){text->p + from, text->n - from};
    }
    return true;
}

static bool read_body(struct mt_cat_call *c, struct mt_doc **doc)
{
    struct mt_err err;
    struct mt_slice body = mt_request_body(c->request);
    if (!body.n)
        return mt_cat_refuse(&c->why, 400, "invalid_request", "the request needs a body of JSON");
    if (mt_doc_parse_copy(body, NULL, doc, &err) != MT_OK)
        return mt_cat_refuse(&c->why, 400, "invalid_request", "the body is no valid JSON: %s", err.text);
    c->body = mt_doc_root(*doc);
    return mt_val_is(c->body, MT_OBJECT) ||
           mt_cat_refuse(&c->why, 400, "invalid_request", "the body must be a JSON object");
}

void mt_cat_call_answer(struct mt_cat_call *c)
{
    const char *path = mt_request_path(c->request);
    struct mt_doc *doc = NULL;
    struct mt_buf text;
    mt_buf_init(&text, SIZE_MAX / 2);
    const struct route *route = find(c, path);
    bool fine = route != NULL;
    c->status = 200;
    c->content_type = "application/json; charset=utf-8";
    bool open = route ? route->flags & OPEN : strncmp(path, "/v1/", 4) != 0;
    if (!open && !mt_cat_token_good(c->tokens, mt_request_header(c->request, "Authorization")))
        fine = mt_cat_refuse(&c->why, 401, "unauthorized",
                             "the request carries no token, or one that is not good any "
                             "more: POST /v1/auth/access_token gives one");
    if (fine && decode_parts(c, &text) && (!(route->flags & BODY) || read_body(c, &doc)))
        route->handle(c);
    if (!c->why.status && c->out.failed)
        mt_cat_refuse(&c->why, 413, "payload_too_large", "the answer would be too large; ask for less");
    if (c->why.status) {
        mt_buf_clear(&c->out);
        c->status = c->why.status;
        c->content_type = "application/json; charset=utf-8";
        mt_buf_printf(&c->out, "{\"ok\":false,\"error\":\"%s\",\"message\":", c->why.error);
        mt_buf_put_json_string(&c->out, mt_slice_of(c->why.err.text));
        mt_buf_putc(&c->out, '}');
    }
    mt_doc_unref(doc);
    mt_buf_fini(&text);
}
