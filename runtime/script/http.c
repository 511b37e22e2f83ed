/* core.http_send: one request of a script, from the table that lua/moontide/http.lua fills to a response or an error.
 *
 * Loop thread, inside a resume; what the network needs while the task waits lives in the op. Whatever ends a request other
 * than with an answer that the script takes is a fault of the task's scope (architecture 3.3, 3.4.1), also when the
 * script swallows it. Secrets: their text is in the op's buffers only; what is printed is `shown`. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/response.h"

enum { HEADERS = 64, ACCEPTED = 32, STATUSES = 128, REDIRECTS = 10 };

struct request {
    struct mt_op op;
    struct mt_http_call *call;
    struct mt_pool *pool;
    struct mt_task *starting;         /* set while http_send is at work: a wait that Lua refuses is a fault too */
    const char *method;               /* anchored by the spec table */
    struct mt_buf url, shown, body;
    struct mt_buf text;               /* names and values of the headers, each terminated */
    struct mt_header headers[HEADERS];
    size_t names[HEADERS], values[HEADERS]; /* offsets in text, until it has stopped moving */
    size_t header_count;
    int accepted[ACCEPTED], accepted_count;
    int statuses[STATUSES];
    bool hide_url, raw, json, json_set;
    const char *expect;               /* "object", "array" or NULL; anchored by the spec table */
    uint64_t started;
    struct mt_parse *parse;           /* owed judgement */
    struct mt_doc *doc;
    struct mt_http_response response;
    bool failed;
    struct mt_err err;
};

/* ---- the op ---- */

static void request_cancel(struct mt_op *op)
{
    struct request *r = (struct request *)op;
    struct mt_task *task = op->task ? op->task : r->starting;
    if (!r->call)
        return;
    struct mt_http_call *call = r->call;
    r->call = NULL;
    mt_http_cancel(call);
    mt_parse_abandon(r->parse);
    r->parse = NULL;
    if (task) {
        mt_task_fault(task, "%s %s: cancelled", r->method, mt_buf_text(&r->shown));
        mt_task_trace(task, mt_buf_text(&r->shown));
    }
}

static void request_fini(struct mt_op *op)
{
    struct request *r = (struct request *)op;
    mt_buf_fini(&r->url);
    mt_buf_fini(&r->shown);
    mt_buf_fini(&r->body);
    mt_buf_fini(&r->text);
    mt_doc_unref(r->doc);
    r->doc = NULL;
    mt_http_response_fini(&r->response);
}

/* ---- reading the spec (the table at index 1) ---- */

static lua_Integer integer_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    lua_Integer n = luaL_optinteger(L, -1, 0);
    lua_pop(L, 1);
    return n;
}

static bool flag_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

/* A string of the spec; the table keeps it alive. */
static const char *text_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    return text;
}

/* Bytes that must not stand in a request line as they are; '%' stays, what is escaped is escaped. */
static bool must_escape(unsigned char c)
{
    return c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL;
}

/* The URL without its fragment. */
static void put_url(lua_State *L, struct request *r, const char *url)
{
    for (const char *p = url; *p && *p != '#'; p++) {
        if (must_escape((unsigned char)*p))
            mt_buf_printf(&r->url, "%%%02X", (unsigned char)*p);
        else
            mt_buf_putc(&r->url, *p);
    }
    if (r->url.failed)
        luaL_error(L, "the URL is longer than 64 KiB");
}

/* Is name a parameter of the URL's query already? A next link often carries what the client would add. */
static bool has_parameter(const struct mt_buf *url, struct mt_slice escaped)
{
    const char *at = url->n ? memchr(url->p, '?', url->n) : NULL;
    while (at) {
        at++;
        size_t left = url->n - (size_t)(at - url->p);
        if (left >= escaped.n && memcmp(at, escaped.p, escaped.n) == 0 &&
            (left == escaped.n || at[escaped.n] == '=' || at[escaped.n] == '&'))
            return true;
        at = memchr(at, '&', left);
    }
    return false;
}

static void put_parameter(lua_State *L, struct request *r, struct mt_slice name, struct mt_slice value, bool secret,
                          bool unless_there)
{
    struct mt_buf *scratch = &r->text; /* headers come later */
    mt_buf_clear(scratch);
    mt_url_escape(scratch, name);
    size_t name_length = scratch->n;
    mt_url_escape(scratch, value);
    if (scratch->failed)
        luaL_error(L, "a query parameter is longer than 256 KiB");
    struct mt_slice escaped_name = {scratch->p, name_length};
    struct mt_slice escaped_value = {scratch->p + name_length, scratch->n - name_length};
    if (unless_there && has_parameter(&r->url, escaped_name))
        return;
    char joint = memchr(r->url.p, '?', r->url.n) ? '&' : '?';
    if (secret) {
        /* The network's messages know the URL in its escaped form. */
        mt_mask_add(value);
        if (!mt_slice_eq(value, escaped_value))
            mt_mask_add(escaped_value);
        r->hide_url = true;
    }
    for (int shown = 0; shown < 2; shown++) {
        struct mt_buf *out = shown ? &r->shown : &r->url;
        mt_buf_putc(out, joint);
        mt_buf_put(out, escaped_name);
        mt_buf_putc(out, '=');
        mt_buf_put(out, shown && secret ? MT_SLICE("***") : escaped_value);
        if (out->failed)
            luaL_error(L, "the URL is longer than 64 KiB");
    }
}

/* A flat list {name, value, name, value, …} of the spec. */
static void put_query(lua_State *L, struct request *r, const char *field, bool own_origin, bool credential)
{
    if (lua_getfield(L, 1, field) == LUA_TTABLE) {
        lua_Integer n = luaL_len(L, -1);
        for (lua_Integer i = 1; i < n; i += 2) {
            bool secret;
            lua_rawgeti(L, -1, i);
            lua_rawgeti(L, -2, i + 1);
            struct mt_slice name = mt_secret_check(L, lua_gettop(L) - 1, NULL);
            struct mt_slice value = mt_secret_check(L, lua_gettop(L), &secret);
            if ((secret || credential) && !own_origin) {
                if (!credential)
                    luaL_error(L, "the query parameter \"%s\" is a secret: it may go to base_url's origin only", name.p);
            } else {
                put_parameter(L, r, name, value, secret || credential, credential);
            }
            lua_pop(L, 2);
        }
    }
    lua_pop(L, 1);
}

static bool is_token(struct mt_slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!isalnum((unsigned char)name.p[i]) && !(name.p[i] && strchr("!#$%&'*+-.^_`|~", name.p[i])))
            return false;
    return name.n > 0;
}

/* Names whose values are credentials even when a script wrote them as plain text. */
static bool is_credential(const char *name)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key",
                                        "x-auth-token", "private-token", "x-vault-token", NULL};
    for (int i = 0; names[i]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool has_header(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->text.p + r->names[i], name) == 0)
            return true;
    return false;
}

static void put_header(lua_State *L, struct request *r, struct mt_slice name, struct mt_slice value, bool secret)
{
    if (!is_token(name))
        luaL_error(L, "\"%s\" is not a header name", name.p);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
            luaL_error(L, "the value of header \"%s\" has a line break or a NUL", name.p);
    if (r->header_count == HEADERS)
        luaL_error(L, "more than %d headers", HEADERS);
    r->names[r->header_count] = r->text.n;
    mt_buf_put(&r->text, name);
    mt_buf_putc(&r->text, '\0');
    r->values[r->header_count] = r->text.n;
    mt_buf_put(&r->text, value);
    mt_buf_putc(&r->text, '\0');
    if (r->text.failed)
        luaL_error(L, "the headers are longer than 256 KiB");
    r->headers[r->header_count++].secret = secret;
}

/* A name that is there already (the request's own come first) is left as it is. */
static void put_headers(lua_State *L, struct request *r, const char *field, bool own_origin, bool credential)
{
    if (lua_getfield(L, 1, field) == LUA_TTABLE) {
        lua_Integer n = luaL_len(L, -1);
        for (lua_Integer i = 1; i < n; i += 2) {
            bool secret;
            lua_rawgeti(L, -1, i);
            lua_rawgeti(L, -2, i + 1);
            struct mt_slice name = mt_secret_check(L, lua_gettop(L) - 1, NULL);
            struct mt_slice value = mt_secret_check(L, lua_gettop(L), &secret);
            secret = secret || credential || is_credential(name.p);
            if ((own_origin || !secret) && !has_header(r, name.p))
                put_header(L, r, name, value, secret);
            lua_pop(L, 2);
        }
    }
    lua_pop(L, 1);
}

/* A table or view becomes JSON, text and secrets go as they are. Secrets go to the client's own origin only: for a foreign one the conversion without
 * them is asked, which names the path of the first. */
static void put_body(lua_State *L, struct request *r, bool own_origin)
{
    int type = lua_getfield(L, 1, "body");
    if (type == LUA_TSTRING || mt_is_secret(L, -1)) {
        bool secret;
        struct mt_slice text = mt_secret_check(L, lua_gettop(L), &secret);
        if (secret && !own_origin)
            luaL_error(L, "the body is a secret: it may go to base_url's origin only");
        mt_buf_put(&r->body, text);
    } else if (type != LUA_TNIL) {
        struct mt_doc *doc =
            own_origin ? mt_view_to_body(L, lua_gettop(L)) : mt_view_to_doc(L, lua_gettop(L));
        mt_val_write(mt_doc_root(doc), &r->body);
        mt_doc_unref(doc);
        if (!has_header(r, "content-type"))
            put_header(L, r, MT_SLICE("Content-Type"), MT_SLICE("application/json"), false);
    }
    if (r->body.failed)
        luaL_error(L, "the body of the request is larger than 256 MiB");
    lua_pop(L, 1);
}

static bool accepts(const struct request *r, int status)
{
    for (int i = 0; i < r->accepted_count; i++)
        if (r->accepted[i] == status)
            return true;
    return false;
}

static void read_accept(lua_State *L, struct request *r)
{
    if (lua_getfield(L, 1, "accept") == LUA_TTABLE) {
        lua_Integer n = luaL_len(L, -1);
        if (n > ACCEPTED)
            luaL_error(L, "accept lists more than %d statuses", ACCEPTED);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            r->accepted[r->accepted_count++] = (int)luaL_checkinteger(L, -1);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* 429 and 5xx without what the script takes as normal: waiting for those to go away would be waiting for nothing. */
static const int *retried_statuses(lua_State *L, struct request *r)
{
    int n = 0;
    if (lua_getfield(L, 1, "statuses") == LUA_TTABLE) {
        lua_Integer count = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= count && n < STATUSES - 1; i++) {
            lua_rawgeti(L, -1, i);
            int status = (int)luaL_checkinteger(L, -1);
            lua_pop(L, 1);
            if (!accepts(r, status))
                r->statuses[n++] = status;
        }
    } else if (r->accepted_count == 0) {
        lua_pop(L, 1);
        return NULL;
    } else {
        for (int status = 429; status < 600; status = status == 429 ? 500 : status + 1)
            if (!accepts(r, status))
                r->statuses[n++] = status;
    }
    lua_pop(L, 1);
    r->statuses[n] = 0;
    return r->statuses;
}

/* ---- the answer ---- */

/* "application/json", "application/vnd.github+json; charset=utf-8", "text/json". */
static bool names_json(const struct mt_http_response *res)
{
    struct mt_slice type;
    if (!mt_http_header(res, "content-type", &type))
        return false;
    const char *end = type.n ? memchr(type.p, ';', type.n) : NULL;
    size_t n = end ? (size_t)(end - type.p) : type.n;
    while (n && (type.p[n - 1] == ' ' || type.p[n - 1] == '\t'))
        n--;
    return n >= 5 && strncasecmp(type.p + n - 4, "json", 4) == 0 && strchr("/+", type.p[n - 5]);
}

/* Must this answer's body be JSON? What has no body by its nature never, and an empty one only where the script said so or asked to read. */
static bool wants_json(const struct request *r, const struct mt_http_response *res)
{
    if (r->raw || res->status >= 300 || res->status == 204 || res->status == 205 || strcmp(r->method, "HEAD") == 0)
        return false;
    bool asked = r->json || r->expect;
    if (r->json_set && !asked)
        return false;
    if (!asked && !names_json(res))
        return false;
    return res->body.n > 0 || (res->status == 200 && (asked || strcmp(r->method, "GET") == 0));
}

static void request_parsed(void *owner, struct mt_parse *parse)
{
    struct request *r = owner;
    struct mt_err refusal;
    static const char *const kinds[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
    r->parse = NULL;
    if (!parse->doc) {
        mt_fail(&refusal, MT_EDATA, "the body should be JSON and is not: %s", parse->err.text);
    } else {
        enum mt_kind kind = mt_val_kind(mt_doc_root(parse->doc));
        bool good = !r->expect || kind == (strcmp(r->expect, "array") == 0 ? MT_ARRAY : MT_OBJECT);
        if (good) {
            r->doc = parse->doc;
            parse->doc = NULL;
            mt_parse_free(parse);
            mt_http_judged(r->call, NULL);
            return;
        }
        mt_fail(&refusal, MT_EDATA, "the body is %s, an%s was expected", kinds[kind], r->expect[0] == 'o' ? " object" : " array");
    }
    mt_parse_free(parse);
    mt_http_judged(r->call, &refusal);
}

static void request_judge(void *ud, struct mt_http_call *call, struct mt_http_response *res)
{
    struct request *r = ud;
    if (!res) {
        mt_parse_abandon(r->parse);
        r->parse = NULL;
        return;
    }
    mt_doc_unref(r->doc);
    r->doc = NULL;
    r->call = call;
    if (!wants_json(r, res)) {
        mt_http_judged(call, NULL);
        return;
    }
    struct mt_parse *parse = mt_parse_new(&res->body);
    r->parse = parse;
    mt_parse_start(parse, r->pool, request_parsed, r);
}

static void request_done(void *ud, struct mt_http_response *res, const struct mt_err *err)
{
    struct request *r = ud;
    r->call = NULL;
    if (err) {
        r->failed = true;
        r->err = *err;
    } else {
        r->response = *res; /* its parts are ours */
        res->url = NULL;
        mt_buf_init(&res->headers, 0);
        mt_buf_init(&res->body, 0);
    }
    mt_op_complete(&r->op);
}

/* "HTTP 404: " and the beginning of what the API said about it, on one line. */
static void status_error(struct request *r)
{
    char said[MT_FOREIGN + 1];
    size_t n = 0;
    const struct mt_buf *body = &r->response.body;
    for (size_t i = 0; i < body->n && n < MT_FOREIGN; i++) {
        unsigned char c = (unsigned char)body->p[i];
        if (c > ' ')
            said[n++] = (char)c;
        else if (n && said[n - 1] != ' ')
            said[n++] = ' ';
    }
    while (n && ((unsigned char)said[n - 1] & 0xc0) == 0x80 && n == MT_FOREIGN)
        n--; /* the cut may be inside a character */
    said[n] = '\0';
    mt_fail(&r->err, MT_EHTTP, "HTTP %d%s%s", r->response.status, n ? ": " : "", said);
    r->err.status = r->response.status;
}

static int give_error(lua_State *L, struct request *r)
{
    struct mt_task *task = mt_vm_running(L);
    lua_pushnil(L);
    mt_push_error(L, &r->err, mt_buf_slice(&r->response.body));
    lua_pushstring(L, r->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, mt_buf_text(&r->shown));
    lua_setfield(L, -2, "url");
    mt_request_fault(L, task, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return 2;
}

static void note_trace(lua_State *L, const struct request *r, const char *shown)
{
    char text[400];
    long long ms = (long long)((mt_now_ns() - r->started) / 1000000);
    if (r->failed)
        snprintf(text, sizeof text, "%s %.240s: %.100s, after %lld ms", r->method, shown, r->err.text, ms);
    else
        snprintf(text, sizeof text, "%s %.240s: HTTP %d, %lld ms%s", r->method, shown, r->response.status, ms,
                 r->response.attempts > 1 ? ", retried" : "");
    mt_task_trace(mt_vm_running(L), mt_mask(text));
}

static int request_answered(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct request *r = (struct request *)context; // NOLINT(performance-no-int-to-ptr)
    const char *shown = mt_buf_text(&r->shown);
    note_trace(L, r, shown);
    if (r->failed)
        return give_error(L, r);
    int code = r->response.status;
    /* "You may not see this" is the script's to accept; "not so fast" never is, whatever status says it. */
    bool throttled =
        (code == 403 || code == 429) && mt_http_announced_wait_ms(&r->response, mt_wall_us()) >= 0;
    if (code >= 400 && (throttled || !accepts(r, code))) {
        status_error(r);
        return give_error(L, r);
    }
    mt_response_push(L, &r->response, &r->doc, r->method, shown, r->hide_url);
    return 1;
}

/* ---- the binding ---- */

static const char ADMISSION[] = "moontide.admission";

static struct mt_admission *admission_field(lua_State *L)
{
    struct mt_admission **held = NULL;
    if (lua_getfield(L, 1, "admission") != LUA_TNIL)
        held = luaL_checkudata(L, -1, ADMISSION);
    lua_pop(L, 1);
    return held ? *held : NULL;
}

static uint32_t ms_field(lua_State *L, const char *name)
{
    lua_Integer ms = integer_field(L, name);
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* The origin of url equals the client's. Without one every request is its own origin. */
static bool is_own_origin(lua_State *L, struct request *r)
{
    const char *own = text_field(L, "origin");
    mt_buf_clear(&r->text);
    if (!mt_url_origin(mt_buf_slice(&r->url), &r->text))
        luaL_error(L, "\"%s\" is no absolute http or https URL", mt_buf_text(&r->shown));
    return !own || mt_slice_is(mt_buf_slice(&r->text), own);
}

/* core.http_send{method, url, origin, query, auth_query, headers, auth_headers, client_headers, body, accept, expect, json, raw, retry,
 * timeout, deadline, connect_timeout, max_body, max_retries, base_ms, cap_ms, announced_cap_ms, statuses, admission} → response | nil, err.
 * Times are milliseconds; the lists of names and values are flat. The table is the library's own: nobody else holds it. */
static int http_send(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct mt_task *task = mt_vm_running(L);
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
    struct request *r = mt_op_new(L, sizeof *r);
    mt_buf_init(&r->url, 64 << 10);
    mt_buf_init(&r->shown, 64 << 10);
    mt_buf_init(&r->text, 256 << 10);
    mt_buf_init(&r->body, (size_t)256 << 20);
    mt_buf_init(&r->response.headers, 0);
    mt_buf_init(&r->response.body, 0);
    r->op.fini = request_fini;
    r->pool = options->pool;

    const char *url = text_field(L, "url");
    r->method = text_field(L, "method");
    luaL_argcheck(L, url && r->method, 1, "url and method are needed");
    luaL_argcheck(L, is_token(mt_slice_of(r->method)), 1, "method is not a word");
    put_url(L, r, url);
    mt_url_redact(mt_buf_slice(&r->url), &r->shown);
    bool own = is_own_origin(L, r);
    put_query(L, r, "query", own, false);
    put_query(L, r, "auth_query", own, true);
    mt_buf_clear(&r->text);
    put_headers(L, r, "headers", own, false);
    put_headers(L, r, "client_headers", own, false);
    put_headers(L, r, "auth_headers", own, true);
    put_body(L, r, own);
    if (!has_header(r, "user-agent"))
        put_header(L, r, MT_SLICE("User-Agent"), MT_SLICE("moontide/" MT_VERSION), false);
    for (size_t i = 0; i < r->header_count; i++) {
        r->headers[i].name = r->text.p + r->names[i];
        r->headers[i].value = r->text.p + r->values[i];
    }
    read_accept(L, r);
    r->expect = text_field(L, "expect");
    r->raw = flag_field(L, "raw");
    r->json = flag_field(L, "json");
    r->json_set = lua_getfield(L, 1, "json") != LUA_TNIL;
    lua_pop(L, 1);

    struct mt_http_request request = {
        .method = r->method,
        .url = mt_buf_text(&r->url),
        .headers = r->headers,
        .header_count = r->header_count,
        .body = mt_buf_slice(&r->body),
        .timeout_ms = ms_field(L, "timeout"),
        .connect_timeout_ms = ms_field(L, "connect_timeout"),
        .deadline_ms = ms_field(L, "deadline"),
        .max_body = (size_t)integer_field(L, "max_body"),
        .max_redirects = REDIRECTS,
        .insecure_tls = options->insecure_tls,
        .retry = {.max_retries = (unsigned)integer_field(L, "max_retries"),
                  .statuses = retried_statuses(L, r),
                  .any_method = flag_field(L, "retry"),
                  .exhausted_403 = true,
                  .base_ms = ms_field(L, "base_ms"),
                  .cap_ms = ms_field(L, "cap_ms"),
                  .announced_cap_ms = ms_field(L, "announced_cap_ms")},
        .admission = admission_field(L),
        .stats = options->stats,
        .judge = request_judge,
        .judge_ud = r,
    };
    if (!request.timeout_ms)
        request.timeout_ms = options->client_timeout_ms;
    if (lua_getfield(L, 1, "body") == LUA_TNIL)
        request.body = (struct mt_slice){NULL, 0};
    lua_pop(L, 1);
    r->started = mt_now_ns();
    r->starting = task;
    r->op.cancel = request_cancel;
    r->call = mt_http_start(options->http, &request, request_done, r);
    return mt_op_wait(L, &r->op, request_answered);
}

static int admission_gc(lua_State *L)
{
    struct mt_admission **held = luaL_checkudata(L, 1, ADMISSION);
    if (*held)
        mt_admission_release(*held);
    *held = NULL;
    return 0;
}

/* core.http_admission(key, concurrency, rate) → what all clients of the same host and settings share */
static int http_admission(lua_State *L)
{
    struct mt_slice key;
    key.p = luaL_checklstring(L, 1, &key.n);
    lua_Integer concurrency = luaL_checkinteger(L, 2);
    double rate = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, concurrency > 0 && concurrency <= 1000, 2, "concurrency is from 1 to 1000");
    struct mt_admission **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    luaL_setmetatable(L, ADMISSION);
    *held = mt_admission_get(mt_vm_options(mt_vm_of(L))->http, key, (unsigned)concurrency, rate);
    return 1;
}

void mt_bind_http(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"http_send", http_send}, {"http_admission", http_admission}, {NULL, NULL}};
    luaL_newmetatable(L, ADMISSION);
    lua_pushcfunction(L, admission_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, ADMISSION);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    mt_response_open(L);
}
