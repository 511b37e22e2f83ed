/* The listeners and their routes: see routes.h. Loop thread. A request is answered inside its handler, but
 * for POST /reload, whose answer is owed until the service gives it. */
#include "service/routes.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"

enum {
    MAX_HEADERS = 16 << 10,
    MAX_BODY = 1 << 20,
    MAX_PUBLIC = 256, /* connections; idle ones are closed, so that they cannot keep a kubelet out for long */
    MAX_ADMIN = 64,
    DEADLINE_MS = 10000,
    IDLE_MS = 60000,
    MAX_ANSWER = 64 << 20, /* of /metrics and /status */
};

struct listener {
    struct mt_routes *routes;
    struct mt_server *server;
    const char *name; /* in logs and metrics */
    bool admin;
};

struct mt_routes {
    struct mt_routes_options options;
    char *prefix;                          /* "/a/b"; NULL: none */
    struct listener public_one, admin_one; /* server NULL: there is none */
    struct mt_answer *owed;
};

struct mt_answer {
    struct listener *listener; /* NULL once the routes are gone */
    struct mt_request *request;
    uint64_t started_ns;
    struct mt_answer *next, **link;
};

enum route { NO_ROUTE, LIVE, READY, METRICS, STATUS, RELOAD, RESYNC };

/* ---- answers ---- */

static const char json_type[] = "application/json";

static void count_refusal(struct listener *l, int status)
{
    const char *reason = status == 400   ? "malformed"
                         : status == 404 ? "not_found"
                         : status == 405 ? "method_not_allowed"
                         : status == 408 ? "too_slow"
                         : status == 413 ? "body_too_large"
                         : status == 431 ? "headers_too_large"
                         : status == 501 ? "method_unknown"
                                         : "other";
    mt_metrics_add(l->routes->options.metrics, MT_METRIC_REFUSED,
                   (struct mt_label[]){{"listener", l->name}, {"reason", reason}, {NULL, NULL}}, 1);
}

/* The path for a line of the log: it is the caller's text. */
static const char *shown(const char *path, char out[MT_FOREIGN + 1])
{
    size_t n = 0;
    for (; path[n] && n < MT_FOREIGN; n++)
        out[n] = path[n] > ' ' && path[n] < 0x7f ? path[n] : '?';
    out[n] = '\0';
    return out;
}

/* R-OBS-03. The level is that of the route: health is asked every few seconds. */
static void reply(struct mt_answer *a, enum mt_level level, int status, const char *type,
                  struct mt_slice body)
{
    char id[MT_UUID_SIZE], time[32], path[MT_FOREIGN + 1];
    double seconds = (double)(mt_now_ns() - a->started_ns) / 1e9;
    snprintf(time, sizeof time, "%.6f", seconds);
    mt_uuid(id);
    mt_log(level, "%s %s %s: %d in %.1f ms (request %s)", a->listener->name, mt_request_method(a->request),
           shown(mt_request_path(a->request), path), status, seconds * 1e3, id);
    mt_request_header_add(a->request, "X-Request-ID", id);
    mt_request_header_add(a->request, "X-Process-Time", time);
    mt_request_reply(a->request, status, type, body);
}

static void refuse(struct mt_answer *a, int status, struct mt_slice detail)
{
    count_refusal(a->listener, status);
    reply(a, MT_INFO, status, json_type, detail);
}

void mt_answer_give(struct mt_answer *a, int status, struct mt_slice json)
{
    if (a->listener) {
        reply(a, MT_INFO, status, json_type, json);
        *a->link = a->next;
        if (a->next)
            a->next->link = a->link;
    } else {
        mt_request_reply(a->request, status, json_type, json); /* goes nowhere */
    }
    free(a);
}

static void answer_health(struct mt_answer *a, const char *check)
{
    const struct mt_routes_options *o = &a->listener->routes->options;
    struct mt_buf out, why;
    mt_buf_init(&out, MAX_ANSWER);
    mt_buf_init(&why, MAX_ANSWER);
    bool healthy = strcmp(check, "live") == 0 || o->ready(o->ud, &why);
    mt_buf_printf(&out, "{\"status\":\"%s\",\"check\":\"%s\",\"core_version\":\"%s\"",
                  healthy ? "healthy" : "unhealthy", check, MT_VERSION);
    if (!healthy) {
        mt_buf_puts(&out, ",\"reason\":");
        mt_buf_put_json_string(&out, mt_buf_slice(&why));
    }
    mt_buf_putc(&out, '}');
    reply(a, MT_DEBUG, healthy ? 200 : 503, json_type, mt_buf_slice(&out));
    mt_buf_fini(&out);
    mt_buf_fini(&why);
}

static void answer_metrics(struct mt_answer *a)
{
    struct mt_metrics *metrics = a->listener->routes->options.metrics;
    struct mt_buf out;
    mt_buf_init(&out, MAX_ANSWER);
    mt_metrics_process(metrics);
    if (mt_metrics_render(metrics, &out))
        reply(a, MT_INFO, 200, "text/plain; version=0.0.4; charset=utf-8", mt_buf_slice(&out));
    else
        reply(a, MT_WARN, 500, json_type, MT_SLICE("{\"detail\":\"The metrics are too large\"}"));
    mt_buf_fini(&out);
}

static void answer_status(struct mt_answer *a)
{
    const struct mt_routes_options *o = &a->listener->routes->options;
    struct mt_buf out;
    mt_buf_init(&out, MAX_ANSWER);
    o->status(o->ud, &out);
    if (out.failed)
        reply(a, MT_WARN, 500, json_type, MT_SLICE("{\"detail\":\"The status is too large\"}"));
    else
        reply(a, MT_INFO, 200, json_type, mt_buf_slice(&out));
    mt_buf_fini(&out);
}

/* ---- routes ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* One segment of a path without its escapes. False: it is no identifier. */
static bool decode(struct mt_slice segment, struct mt_buf *out)
{
    mt_buf_clear(out);
    for (size_t i = 0; i < segment.n; i++) {
        char c = segment.p[i];
        if (c == '%') {
            if (i + 2 >= segment.n || hex(segment.p[i + 1]) < 0 || hex(segment.p[i + 2]) < 0)
                return false;
            c = (char)(hex(segment.p[i + 1]) * 16 + hex(segment.p[i + 2]));
            i += 2;
        }
        if (!c || !mt_buf_putc(out, c))
            return false;
    }
    return out->n > 0;
}

/* identifier: empty for /resync. */
static enum route route_of(const char *path, bool admin, struct mt_buf *identifier)
{
    static const struct {
        const char *path;
        enum route route;
        bool admin;
    } routes[] = {{"/health/live", LIVE, false}, {"/health/ready", READY, false},
                  {"/metrics", METRICS, false},  {"/metrics/", METRICS, false},
                  {"/resync", RESYNC, false},    {"/status", STATUS, true},
                  {"/reload", RELOAD, true}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].admin && !admin ? NO_ROUTE : routes[i].route;
    const char *second = strchr(path + 1, '/');
    if (second && strcmp(second, "/resync") == 0 &&
        decode((struct mt_slice){path + 1, (size_t)(second - path - 1)}, identifier))
        return RESYNC;
    mt_buf_clear(identifier);
    return NO_ROUTE;
}

/* The path below the prefix; NULL: it is not. */
static const char *below_prefix(const struct mt_routes *r, const char *path)
{
    size_t n = r->prefix ? strlen(r->prefix) : 0;
    return n && strncmp(path, r->prefix, n) == 0 && path[n] == '/' ? path + n : NULL;
}

/* Starts a resync, or says that there is nothing to start. The whole path comes before the path below the
 * prefix: an integration may be called like the prefix. */
static bool start_resync(struct mt_routes *r, const char *path, struct mt_buf *identifier)
{
    const char *inner = below_prefix(r, path);
    for (int i = 0; i < 2; i++) {
        const char *candidate = i ? inner : path;
        mt_buf_clear(identifier);
        if (candidate && route_of(candidate, false, identifier) == RESYNC &&
            r->options.resync(r->options.ud, mt_buf_slice(identifier)))
            return true;
    }
    return false;
}

static void answer(struct mt_answer *a, enum route route, const char *path, struct mt_buf *identifier)
{
    struct mt_routes *r = a->listener->routes;
    const char *method = mt_request_method(a->request);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool posts = strcmp(method, "POST") == 0;
    if (route == NO_ROUTE) {
        refuse(a, 404, MT_SLICE("{\"detail\":\"Not Found\"}"));
    } else if (route >= RELOAD ? !posts : !reads) {
        mt_request_header_add(a->request, "Allow", route >= RELOAD ? "POST" : "GET, HEAD");
        refuse(a, 405, MT_SLICE("{\"detail\":\"Method Not Allowed\"}"));
    } else if (route == LIVE || route == READY) {
        answer_health(a, route == LIVE ? "live" : "ready");
    } else if (route == METRICS) {
        answer_metrics(a);
    } else if (route == STATUS) {
        answer_status(a);
    } else if (start_resync(r, path, identifier)) {
        reply(a, MT_INFO, 200, json_type, MT_SLICE("null"));
    } else {
        refuse(a, 404, MT_SLICE("{\"detail\":\"Not Found\"}"));
    }
}

static void owe(struct mt_routes *r, const struct mt_answer *given)
{
    struct mt_answer *a = mt_alloc(sizeof *a);
    *a = *given;
    a->next = r->owed;
    a->link = &r->owed;
    if (a->next)
        a->next->link = &a->next;
    r->owed = a;
    r->options.reload(r->options.ud, a);
}

static void handle(void *ud, struct mt_request *request)
{
    struct listener *l = ud;
    struct mt_answer a = {.listener = l, .request = request, .started_ns = mt_now_ns()};
    const char *path = mt_request_path(request), *inner = below_prefix(l->routes, path);
    struct mt_buf identifier;
    mt_buf_init(&identifier, 1000);
    enum route route = route_of(path, l->admin, &identifier);
    if (route == NO_ROUTE && inner)
        route = route_of(inner, false, &identifier);
    if (route == RELOAD && strcmp(mt_request_method(request), "POST") == 0)
        owe(l->routes, &a);
    else
        answer(&a, route, path, &identifier);
    mt_buf_fini(&identifier);
}

static void on_refused(void *ud, int status)
{
    struct listener *l = ud;
    count_refusal(l, status);
    mt_log_repeat(MT_INFO, l->name, "%s: a request was refused before it was read: %d", l->name, status);
}

/* ---- the listeners ---- */

/* "127.0.0.1:8001", "[::1]:8001", "localhost:0". */
static enum mt_rc parse_address(const char *text, char **out_host, int *out_port, struct mt_err *err)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon && colon > text + 2 && colon[-1] == ']';
    struct mt_slice host = {text, colon ? (size_t)(colon - text) : 0};
    if (bracketed)
        host = (struct mt_slice){text + 1, host.n - 2};
    bool valid = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        valid = valid && !strchr(bracketed ? "[]/" : "[]/:", host.p[i]);
    long port = 0;
    size_t digits = valid ? strspn(colon + 1, "0123456789") : 0;
    if (digits >= 1 && digits <= 5 && !colon[1 + digits])
        port = strtol(colon + 1, NULL, 10);
    else
        valid = false;
    if (!valid || port > 65535)
        return mt_fail(
            err, MT_EINVAL,
            "MOONTIDE__ADMIN__LISTEN is \"%.200s\": it takes HOST:PORT as in 127.0.0.1:8001 or [::1]:0, "
            "or nothing for no admin listener",
            text);
    *out_host = mt_slice_dup(host);
    *out_port = (int)port;
    return MT_OK;
}

static enum mt_rc listen_at(struct mt_routes *r, struct listener *l, const char *host, int port,
                            const char *mend, struct mt_err *err)
{
    l->routes = r;
    struct mt_server_options options = {.host = host,
                                        .port = port,
                                        .max_body = MAX_BODY,
                                        .max_headers = MAX_HEADERS,
                                        .max_connections = l->admin ? MAX_ADMIN : MAX_PUBLIC,
                                        .deadline_ms = DEADLINE_MS,
                                        .idle_ms = IDLE_MS,
                                        .handle = handle,
                                        .refused = on_refused,
                                        .ud = l};
    struct mt_err cause;
    enum mt_rc rc = mt_server_new(r->options.loop, &options, &l->server, &cause);
    return rc == MT_OK ? MT_OK : mt_fail(err, rc, "the %s listener: %s; %s", l->name, cause.text, mend);
}

/* "a/b/" is "/a/b", "/" is none. */
static char *prefix_of(const char *text)
{
    struct mt_slice s = mt_slice_of(text);
    while (s.n && s.p[0] == '/') {
        s.p++;
        s.n--;
    }
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    return s.n ? mt_format("/%.*s", MT_FMT(s)) : NULL;
}

enum mt_rc mt_routes_new(const struct mt_routes_options *options, struct mt_routes **out, struct mt_err *err)
{
    struct mt_routes *r = mt_alloc(sizeof *r);
    *r = (struct mt_routes){.options = *options,
                            .prefix = prefix_of(options->prefix),
                            .public_one = {.name = "public"},
                            .admin_one = {.name = "admin", .admin = true}};
    enum mt_rc rc = MT_OK;
    char *host = NULL;
    int port = -1;
    if (options->admin && *options->admin)
        rc = parse_address(options->admin, &host, &port, err);
    if (rc == MT_OK && options->public_port >= 0)
        rc = listen_at(r, &r->public_one, options->public_host, options->public_port,
                       "APPLICATION__PORT sets another port, 0 picks a free one", err);
    if (rc == MT_OK && host)
        rc = listen_at(r, &r->admin_one, host, port,
                       "MOONTIDE__ADMIN__LISTEN sets another HOST:PORT, port 0 picks a free one", err);
    free(host);
    if (rc == MT_OK)
        *out = r;
    else
        mt_routes_free(r);
    return rc;
}

void mt_routes_free(struct mt_routes *r)
{
    if (!r)
        return;
    for (struct mt_answer *a = r->owed; a; a = a->next)
        a->listener = NULL;
    mt_server_free(r->public_one.server);
    mt_server_free(r->admin_one.server);
    free(r->prefix);
    free(r);
}

int mt_routes_public_port(const struct mt_routes *r)
{
    return r->public_one.server ? mt_server_port(r->public_one.server) : -1;
}

int mt_routes_admin_port(const struct mt_routes *r)
{
    return r->admin_one.server ? mt_server_port(r->admin_one.server) : -1;
}
