/* Reads what lua/moontide/http.lua puts together for one request: URL, query, headers, body, credentials.
 *
 * Loop thread, inside a resume. Everything ends up in the buffers of the op, which frees them whatever raises
 * here. Secrets and credentials go to the client's own origin only (architecture 3.6); in `shown` they are
 * ***. */
#include <ctype.h>
#include <strings.h>

#include "base/log.h"
#include "script/request.h"

enum { REDIRECTS = 10 };

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
static void put_url(lua_State *L, struct mt_script_request *r, const char *url)
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

static void put_parameter(lua_State *L, struct mt_script_request *r, struct mt_slice name,
                          struct mt_slice value, bool secret, bool unless_there)
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
static void put_query(lua_State *L, struct mt_script_request *r, const char *field, bool own_origin,
                      bool credential)
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
                    luaL_error(L,
                               "the query parameter \"%s\" is a secret: it may go to base_url's origin only",
                               name.p);
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
    static const char *const names[] = {
        "authorization", "proxy-authorization", "cookie",        "x-api-key", "api-key",
        "x-auth-token",  "private-token",       "x-vault-token", NULL};
    for (int i = 0; names[i]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool has_header(const struct mt_script_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->text.p + r->names[i], name) == 0)
            return true;
    return false;
}

static void put_header(lua_State *L, struct mt_script_request *r, struct mt_slice name, struct mt_slice value,
                       bool secret)
{
    if (!is_token(name))
        luaL_error(L, "\"%s\" is not a header name", name.p);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
            luaL_error(L, "the value of header \"%s\" has a line break or a NUL", name.p);
    if (r->header_count == MT_HEADERS)
        luaL_error(L, "more than %d headers", MT_HEADERS);
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
static void put_headers(lua_State *L, struct mt_script_request *r, const char *field, bool own_origin,
                        bool credential)
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

/* A table or view becomes JSON, text and secrets go as they are. Secrets go to the client's own origin only:
 * for a foreign one the conversion without them is asked, which names the path of the first. */
static void put_body(lua_State *L, struct mt_script_request *r, bool own_origin)
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

bool mt_request_accepts(const struct mt_script_request *r, int status)
{
    for (int i = 0; i < r->accepted_count; i++)
        if (r->accepted[i] == status)
            return true;
    return false;
}

static void read_accept(lua_State *L, struct mt_script_request *r)
{
    if (lua_getfield(L, 1, "accept") == LUA_TTABLE) {
        lua_Integer n = luaL_len(L, -1);
        if (n > MT_ACCEPTED)
            luaL_error(L, "accept lists more than %d statuses", MT_ACCEPTED);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            r->accepted[r->accepted_count++] = (int)luaL_checkinteger(L, -1);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* 429 and 5xx without what the script takes as normal: waiting for those to go away would be waiting for
 * nothing. */
static const int *retried_statuses(lua_State *L, struct mt_script_request *r)
{
    int n = 0;
    if (lua_getfield(L, 1, "statuses") == LUA_TTABLE) {
        lua_Integer count = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= count && n < MT_STATUSES - 1; i++) {
            lua_rawgeti(L, -1, i);
            int status = (int)luaL_checkinteger(L, -1);
            lua_pop(L, 1);
            if (!mt_request_accepts(r, status))
                r->statuses[n++] = status;
        }
    } else if (r->accepted_count == 0) {
        lua_pop(L, 1);
        return NULL;
    } else {
        for (int status = 429; status < 600; status = status == 429 ? 500 : status + 1)
            if (!mt_request_accepts(r, status))
                r->statuses[n++] = status;
    }
    lua_pop(L, 1);
    r->statuses[n] = 0;
    return r->statuses;
}

static struct mt_admission *admission_field(lua_State *L)
{
    struct mt_admission **held = NULL;
    if (lua_getfield(L, 1, "admission") != LUA_TNIL)
        held = luaL_checkudata(L, -1, "moontide.admission");
    lua_pop(L, 1);
    return held ? *held : NULL;
}

static uint32_t ms_field(lua_State *L, const char *name)
{
    lua_Integer ms = integer_field(L, name);
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* The origin of url equals the client's. Without one every request is its own origin. */
static bool is_own_origin(lua_State *L, struct mt_script_request *r)
{
    const char *own = text_field(L, "origin");
    mt_buf_clear(&r->text);
    if (!mt_url_origin(mt_buf_slice(&r->url), &r->text))
        luaL_error(L, "\"%s\" is no absolute http or https URL", mt_buf_text(&r->shown));
    return !own || mt_slice_is(mt_buf_slice(&r->text), own);
}

void mt_request_read(lua_State *L, struct mt_script_request *r, struct mt_http_request *req)
{
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
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

    *req = (struct mt_http_request){
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
        .tape = mt_vm_options(mt_vm_of(L))->tape,
        .reach = mt_vm_options(mt_vm_of(L))->reach,
        .stats = options->stats,
        .judge = req->judge,
        .judge_ud = req->judge_ud,
    };
    if (!req->timeout_ms)
        req->timeout_ms = options->client_timeout_ms;
    /* A body that the bundle's budget could not hold is refused while it arrives. */
    size_t budget = options->budgets.memory;
    if (budget && (!req->max_body || req->max_body > budget))
        req->max_body = budget;
    if (lua_getfield(L, 1, "body") == LUA_TNIL)
        req->body = (struct mt_slice){NULL, 0};
    lua_pop(L, 1);
}
