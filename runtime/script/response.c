/* What a request gave, as Lua sees it: res.status, res.headers, res.body, res.url, res:json(). Loop thread.
 *
 * The userdata owns body and document. The bytes of a body are charged to the bundle's budget while Lua holds
 * them as a body; a parsed document is charged by its view. Both are freed by __gc. */
#include "script/response.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

static const char RESPONSE[] = "moontide.response";

struct response {
    int status;
    struct mt_buf headers, body;
    char *url, *shown, *method;
    bool hide_url;
    struct mt_doc *doc; /* the body as JSON; then body is empty, its bytes are the document's */
    bool parsing;       /* a worker has the body */
    size_t charged;
    struct mt_vm *vm;
};

enum { JSON_VALUE = 1, HEADER_TABLE, USER_VALUES = 2 };

/* ---- parsing ---- */

static void parse_body(struct mt_job *job, unsigned worker)
{
    (void)worker;
    struct mt_parse *parse = (struct mt_parse *)job;
    mt_doc_parse(&parse->text, NULL, &parse->doc, &parse->err);
}

static void parse_done(struct mt_job *job)
{
    struct mt_parse *parse = (struct mt_parse *)job;
    if (parse->owner)
        parse->done(parse->owner, parse);
    else
        mt_parse_free(parse);
}

struct mt_parse *mt_parse_new(struct mt_buf *text)
{
    struct mt_parse *parse = mt_alloc(sizeof *parse);
    parse->text = *text;
    mt_buf_init(text, parse->text.max);
    return parse;
}

void mt_parse_start(struct mt_parse *parse, struct mt_pool *pool,
                    void (*done)(void *owner, struct mt_parse *parse), void *owner)
{
    parse->done = done;
    parse->owner = owner;
    parse->job.work = parse_body;
    parse->job.done = parse_done;
    if (parse->text.n == 0) {
        mt_fail(&parse->err, MT_EDATA, "the body is empty");
        done(owner, parse);
    } else if (parse->text.n > MT_PARSE_INLINE && pool) {
        mt_pool_submit(pool, &parse->job);
    } else {
        parse_body(&parse->job, 0);
        done(owner, parse);
    }
}

void mt_parse_free(struct mt_parse *parse)
{
    if (!parse)
        return;
    mt_buf_fini(&parse->text);
    mt_doc_unref(parse->doc);
    free(parse);
}

void mt_parse_abandon(struct mt_parse *parse)
{
    if (parse)
        parse->owner = NULL;
}

/* ---- the response ---- */

static struct response *check(lua_State *L)
{
    return luaL_checkudata(L, 1, RESPONSE);
}

static int response_gc(lua_State *L)
{
    struct response *r = luaL_checkudata(L, 1, RESPONSE);
    if (r->charged)
        mt_vm_uncharge(r->vm, r->charged);
    r->charged = 0;
    mt_buf_fini(&r->headers);
    mt_buf_fini(&r->body);
    free(r->url);
    free(r->shown);
    free(r->method);
    mt_doc_unref(r->doc);
    r->url = r->shown = r->method = NULL;
    r->doc = NULL;
    return 0;
}

/* Keeps the value: the same view comes back each time, and the document is charged once, by it. */
static void keep_json(lua_State *L, int index, struct response *r)
{
    mt_view_push(L, mt_doc_root(r->doc));
    lua_setiuservalue(L, index, JSON_VALUE);
}

void mt_response_push(lua_State *L, struct mt_http_response *res, struct mt_doc **doc, const char *method,
                      const char *shown, bool hide_url)
{
    luaL_checkstack(L, 6, "a response");
    struct response *r = lua_newuserdatauv(L, sizeof *r, USER_VALUES);
    memset(r, 0, sizeof *r);
    luaL_setmetatable(L, RESPONSE);
    r->vm = mt_vm_of(L);
    r->status = res->status;
    r->headers = res->headers;
    r->body = res->body;
    r->url = res->url;
    res->url = NULL;
    mt_buf_init(&res->headers, 0);
    mt_buf_init(&res->body, 0);
    r->doc = *doc;
    *doc = NULL;
    r->hide_url = hide_url;
    r->shown = mt_strdup(shown);
    r->method = mt_strdup(method);
    if (r->body.n) {
        mt_vm_charge(L, r->body.n);
        r->charged = r->body.n;
    }
    if (r->doc)
        keep_json(L, lua_gettop(L), r);
}

/* {code="data", …} for a body that is not what the script takes it for; counts as a failed request. */
static int raise_data(lua_State *L, struct response *r, const struct mt_err *cause)
{
    struct mt_err err;
    mt_fail(&err, MT_EDATA, "%s", cause->text);
    mt_push_error(L, &err, mt_buf_slice(&r->body));
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    lua_pushstring(L, r->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, r->shown);
    lua_setfield(L, -2, "url");
    mt_request_fault(L, mt_vm_running(L), luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return lua_error(L);
}

struct json_op {
    struct mt_op op;
    struct mt_parse *parse;
    bool under_way;
};

static void json_parsed(void *owner, struct mt_parse *parse)
{
    (void)parse;
    struct json_op *op = owner;
    op->under_way = false;
    mt_op_complete(&op->op);
}

static void json_cancel(struct mt_op *base)
{
    struct json_op *op = (struct json_op *)base;
    if (!op->under_way)
        return;
    mt_parse_abandon(op->parse);
    op->parse = NULL;
    op->under_way = false;
    if (base->task)
        mt_task_fault(base->task, "reading a body as JSON was cancelled");
}

static void json_fini(struct mt_op *base)
{
    struct json_op *op = (struct json_op *)base;
    mt_parse_free(op->parse);
    op->parse = NULL;
}

static int json_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct json_op *op = (struct json_op *)context; // NOLINT(performance-no-int-to-ptr)
    struct response *r = check(L);
    struct mt_parse *parse = op->parse;
    r->parsing = false;
    if (!parse->doc) {
        r->body = parse->text; /* it stays what it was */
        mt_buf_init(&parse->text, 0);
        return raise_data(L, r, &parse->err);
    }
    r->doc = parse->doc;
    parse->doc = NULL;
    if (r->charged)
        mt_vm_uncharge(r->vm, r->charged);
    r->charged = 0;
    keep_json(L, 1, r);
    lua_getiuservalue(L, 1, JSON_VALUE);
    return 1;
}

/* res:json(): parsed by the request already when it looked like JSON, else now, once. */
static int response_json(lua_State *L)
{
    struct response *r = check(L);
    if (r->doc) {
        lua_getiuservalue(L, 1, JSON_VALUE);
        return 1;
    }
    mt_vm_running(L);
    lua_settop(L, 1);
    if (r->parsing)
        return luaL_error(L, "another task reads this body as JSON, or was cancelled while it did");
    if (r->body.n == 0) {
        struct mt_err err;
        mt_fail(&err, MT_EDATA, "HTTP %d: the body is empty, JSON was asked for", r->status);
        return raise_data(L, r, &err);
    }
    struct json_op *op = mt_op_new(L, sizeof *op);
    op->op.cancel = json_cancel;
    op->op.fini = json_fini;
    op->parse = mt_parse_new(&r->body);
    op->under_way = r->parsing = true;
    mt_parse_start(op->parse, mt_vm_options(mt_vm_of(L))->pool, json_parsed, op);
    return mt_op_wait(L, &op->op, json_done);
}

/* ---- headers ---- */

/* __index of the header table: its keys are lower case. */
static int header_index(lua_State *L)
{
    size_t n;
    const char *name = lua_tolstring(L, 2, &n);
    if (!name || lua_type(L, 2) != LUA_TSTRING)
        return 0;
    luaL_Buffer b;
    char *lower = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    luaL_pushresultsize(&b, n);
    lua_rawget(L, 1);
    return 1;
}

/* One field a name; several lines of a name are joined by ", " (RFC 9110 section 5.3). */
static void push_headers(lua_State *L, struct mt_slice text)
{
    lua_newtable(L);
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        const char *colon = memchr(text.p, ':', n);
        if (colon) {
            const char *value = colon + 1;
            while (value < text.p + n && *value == ' ')
                value++;
            lua_pushlstring(L, text.p, (size_t)(colon - text.p));
            lua_pushvalue(L, -1);
            if (lua_rawget(L, -3) == LUA_TSTRING) {
                lua_pushliteral(L, ", ");
                lua_pushlstring(L, value, (size_t)(text.p + n - value));
                lua_concat(L, 3);
            } else {
                lua_pop(L, 1);
                lua_pushlstring(L, value, (size_t)(text.p + n - value));
            }
            lua_rawset(L, -3);
        }
        n += end ? 1 : 0;
        text = (struct mt_slice){text.p + n, text.n - n};
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, header_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

static int get_headers(lua_State *L, struct response *r)
{
    if (lua_getiuservalue(L, 1, HEADER_TABLE) == LUA_TTABLE)
        return 1;
    lua_pop(L, 1);
    push_headers(L, mt_buf_slice(&r->headers));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, HEADER_TABLE);
    return 1;
}

struct writing {
    struct mt_buf out;
};

static int writing_gc(lua_State *L)
{
    struct writing *w = lua_touserdata(L, 1);
    mt_buf_fini(&w->out);
    return 0;
}

/* The bytes of a body that became a document are the document's: they come back through the writer, which
 * copies a parsed value whole (blanks around it are gone). */
static int get_body(lua_State *L, struct response *r)
{
    if (!r->doc) {
        lua_pushlstring(L, r->body.p ? r->body.p : "", r->body.n);
        return 1;
    }
    struct writing *w = lua_newuserdatauv(L, sizeof *w, 0);
    mt_buf_init(&w->out, (size_t)1 << 30);
    if (luaL_newmetatable(L, "moontide.writing")) {
        lua_pushcfunction(L, writing_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    if (!mt_val_write(mt_doc_root(r->doc), &w->out))
        return luaL_error(L, "the body is too large for a string");
    lua_pushlstring(L, w->out.p, w->out.n);
    mt_buf_fini(&w->out);
    mt_buf_init(&w->out, 0);
    return 1;
}

static int response_index(lua_State *L)
{
    struct response *r = check(L);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "status") == 0) {
        lua_pushinteger(L, r->status);
        return 1;
    }
    if (strcmp(name, "json") == 0) {
        lua_pushcfunction(L, response_json);
        return 1;
    }
    if (strcmp(name, "headers") == 0)
        return get_headers(L, r);
    if (strcmp(name, "body") == 0)
        return get_body(L, r);
    if (strcmp(name, "url") == 0) {
        lua_pushstring(L, r->hide_url || !r->url ? r->shown : r->url);
        return 1;
    }
    return luaL_error(L, "a response has no field \"%s\": status, headers, body, url and json() are there",
                      name);
}

static int response_tostring(lua_State *L)
{
    struct response *r = check(L);
    lua_pushfstring(L, "response %d of %s %s", r->status, r->method, r->shown);
    return 1;
}

/* core.response_link(res, rel) → absolute URL of the first Link of that relation, or nil. raw: it may hold
 * what the API put into it; print it through core.url_redact only. */
static int response_link(lua_State *L)
{
    struct response *r = check(L);
    const char *rel = luaL_checkstring(L, 2);
    get_headers(L, r);
    if (lua_getfield(L, -1, "link") != LUA_TSTRING)
        return 0;
    struct mt_slice header, target;
    header.p = lua_tolstring(L, -1, &header.n);
    if (!mt_link_find(header, rel, &target))
        return 0;
    struct mt_buf *out = &((struct writing *)lua_newuserdatauv(L, sizeof(struct writing), 0))->out;
    mt_buf_init(out, 64 << 10);
    if (luaL_newmetatable(L, "moontide.writing")) {
        lua_pushcfunction(L, writing_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct mt_err err;
    if (mt_url_resolve(mt_slice_of(r->url), target, out, &err) != MT_OK)
        return luaL_error(L, "the Link header's \"%s\" cannot be followed: %s", rel, err.text);
    lua_pushlstring(L, out->p, out->n);
    return 1;
}

/* ---- faults ---- */

static char fault_key; /* registry: the library's function that hears of faults */

static int on_fault(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fault_key);
    return 0;
}

void mt_request_fault(lua_State *L, struct mt_task *task, const char *text)
{
    mt_task_fault(task, "%.900s", text);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fault_key) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return;
    }
    lua_pushstring(L, text);
    lua_call(L, 1, 0);
}

void mt_response_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", response_gc},
                                       {"__close", response_gc},
                                       {"__index", response_index},
                                       {"__tostring", response_tostring},
                                       {NULL, NULL}};
    luaL_newmetatable(L, RESPONSE);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, RESPONSE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, response_link);
    lua_setfield(L, -2, "response_link");
    lua_pushcfunction(L, on_fault);
    lua_setfield(L, -2, "on_fault");
}
