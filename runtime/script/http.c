/* core.http_send: one request of a script, from the table that lua/moontide/http.lua fills to a response or
 * an error.
 *
 * Loop thread, inside a resume; what the network needs while the task waits lives in the op. Whatever ends a
 * request other than with an answer that the script takes is a fault of the task's scope
 * (architecture 3.3, 3.4.1), also when the script swallows it. Secrets: their text is in the op's buffers
 * only; what is printed is `shown`. */
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/request.h"

/* ---- the op ---- */

static void request_cancel(struct mt_op *op)
{
    struct mt_script_request *r = (struct mt_script_request *)op;
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
    struct mt_script_request *r = (struct mt_script_request *)op;
    mt_buf_fini(&r->url);
    mt_buf_fini(&r->shown);
    mt_buf_fini(&r->body);
    mt_buf_fini(&r->text);
    mt_doc_unref(r->doc);
    r->doc = NULL;
    mt_http_response_fini(&r->response);
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

/* Must this answer's body be JSON? What has no body by its nature never, and an empty one only where the
 * script said so or asked to read. */
static bool wants_json(const struct mt_script_request *r, const struct mt_http_response *res)
{
    if (r->raw || res->status >= 300 || res->status == 204 || res->status == 205 ||
        strcmp(r->method, "HEAD") == 0)
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
    struct mt_script_request *r = owner;
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
        mt_fail(&refusal, MT_EDATA, "the body is %s, an%s was expected", kinds[kind],
                r->expect[0] == 'o' ? " object" : " array");
    }
    mt_parse_free(parse);
    mt_http_judged(r->call, &refusal);
}

static void request_judge(void *ud, struct mt_http_call *call, struct mt_http_response *res)
{
    struct mt_script_request *r = ud;
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
    struct mt_script_request *r = ud;
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

/* "HTTP 404: " and the beginning of what the API said about it, on one line. Masked before it is cut, so that
 * no half of a secret survives. */
static void status_error(struct mt_script_request *r)
{
    char said[4 * MT_FOREIGN + 1];
    const struct mt_buf *body = &r->response.body;
    size_t window = body->n < sizeof said - 1 ? body->n : sizeof said - 1, n = 0;
    for (size_t i = 0; i < window; i++)
        said[i] = body->p[i] ? body->p[i] : ' ';
    said[window] = '\0';
    mt_mask(said);
    const char *p = said;
    for (; *p && n < MT_FOREIGN; p++) {
        if ((unsigned char)*p > ' ')
            said[n++] = *p;
        else if (n && said[n - 1] != ' ')
            said[n++] = ' ';
    }
    if (((unsigned char)*p & 0xc0) == 0x80) /* the cut is inside a character */
        while (n && ((unsigned char)said[--n] & 0xc0) == 0x80)
            continue;
    said[n] = '\0';
    mt_fail(&r->err, MT_EHTTP, "HTTP %d%s%s", r->response.status, n ? ": " : "", said);
    r->err.status = r->response.status;
}

static int give_error(lua_State *L, struct mt_script_request *r)
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

static void note_trace(lua_State *L, const struct mt_script_request *r, const char *shown)
{
    char text[480];
    long long ms = (long long)((mt_now_ns() - r->started) / 1000000);
    if (r->failed) { /* most errors of net/ begin with method and URL themselves */
        char head[MT_FOREIGN + 32];
        const int n = snprintf(head, sizeof head, "%s %s: ", r->method, shown);
        const bool twice = n > 0 && n < (int)sizeof head && strncmp(r->err.text, head, (size_t)n) == 0;
        snprintf(text, sizeof text, "%.16s %.240s: %.140s, after %lld ms", r->method, shown,
                 r->err.text + (twice ? n : 0), ms);
    } else {
        snprintf(text, sizeof text, "%.16s %.240s: HTTP %d, %lld ms%s", r->method, shown, r->response.status,
                 ms, r->response.attempts > 1 ? ", retried" : "");
    }
    mt_task_trace(mt_vm_running(L), mt_mask(text));
}

static int request_answered(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct mt_script_request *r = (struct mt_script_request *)context; // NOLINT(performance-no-int-to-ptr)
    const char *shown = mt_buf_text(&r->shown);
    note_trace(L, r, shown);
    if (r->failed)
        return give_error(L, r);
    int code = r->response.status;
    /* "You may not see this" is the script's to accept; "not so fast" never is, whatever status says it. */
    bool throttled =
        (code == 403 || code == 429) && mt_http_announced_wait_ms(&r->response, mt_wall_us()) >= 0;
    if (code >= 400 && (throttled || !mt_request_accepts(r, code))) {
        status_error(r);
        return give_error(L, r);
    }
    mt_response_push(L, &r->response, &r->doc, r->method, shown, r->hide_url);
    return 1;
}

/* ---- the binding ---- */

static const char ADMISSION[] = "moontide.admission";

/* core.http_send{method, url, origin, query, auth_query, headers, auth_headers, client_headers, body, accept,
 * expect, json, raw, retry, timeout, deadline, connect_timeout, max_body, max_retries, base_ms, cap_ms,
 * announced_cap_ms, statuses, admission} → response | nil, err. Times are milliseconds; the lists of names
 * and values are flat. The table is the library's own: nobody else holds it. */
static int http_send(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct mt_task *task = mt_vm_running(L);
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
    struct mt_script_request *r = mt_op_new(L, sizeof *r);
    mt_buf_init(&r->url, 64 << 10);
    mt_buf_init(&r->shown, 64 << 10);
    mt_buf_init(&r->text, 256 << 10);
    mt_buf_init(&r->body, (size_t)256 << 20);
    mt_buf_init(&r->response.headers, 0);
    mt_buf_init(&r->response.body, 0);
    r->op.fini = request_fini;
    r->pool = options->pool;

    struct mt_http_request request = {.judge = request_judge, .judge_ud = r};
    mt_request_read(L, r, &request);
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
    mt_vm_running(L); /* not while main.lua loads: that may be on another thread than the client's */
    struct mt_admission **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    luaL_setmetatable(L, ADMISSION);
    *held = mt_admission_get(mt_vm_options(mt_vm_of(L))->http, key, (unsigned)concurrency, rate);
    return 1;
}

/* core.data_error(message, method, url) → the error of an answer that is not what it should be, for pages */
static int data_error(lua_State *L)
{
    struct mt_err err;
    mt_fail(&err, MT_EDATA, "%s", luaL_checkstring(L, 1));
    mt_push_error(L, &err, (struct mt_slice){NULL, 0});
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "method");
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "url");
    return 1;
}

void mt_bind_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"http_send", http_send},
                                         {"http_admission", http_admission},
                                         {"data_error", data_error},
                                         {NULL, NULL}};
    luaL_newmetatable(L, ADMISSION);
    lua_pushcfunction(L, admission_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, ADMISSION);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    mt_response_open(L);
}
