/* URLs, times and digests for the Lua library: pure functions, on the loop's thread or in a stock lua5.4 that
 * loads moontide as a module. Nothing here waits. */
#include "base/clock.h"
#include "net/url.h"
#include "script/vm.h"

/* What owns a buffer while Lua may raise. */
static int holder_gc(lua_State *L)
{
    mt_buf_fini(lua_touserdata(L, 1));
    return 0;
}

static struct mt_buf *new_buf(lua_State *L, size_t max)
{
    struct mt_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    mt_buf_init(b, max);
    if (luaL_newmetatable(L, "moontide.text")) {
        lua_pushcfunction(L, holder_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

static int push_buf(lua_State *L, struct mt_buf *b)
{
    if (b->failed)
        return luaL_error(L, "text too long");
    lua_pushlstring(L, b->p ? b->p : "", b->n);
    return 1;
}

static struct mt_slice text_arg(lua_State *L, int index)
{
    struct mt_slice s;
    s.p = luaL_checklstring(L, index, &s.n);
    return s;
}

/* ---- URLs ---- */

/* core.url_escape(text); a secret stays one. */
static int url_escape(lua_State *L)
{
    bool secret;
    struct mt_slice text = mt_secret_check(L, 1, &secret);
    struct mt_buf *out = new_buf(L, (size_t)64 << 20);
    mt_url_escape(out, text);
    if (secret && !out->failed) {
        mt_secret_push(L, mt_buf_slice(out));
        return 1;
    }
    return push_buf(L, out);
}

/* core.url_origin(url) → "https://host:port" or nil */
static int url_origin(lua_State *L)
{
    struct mt_slice url = text_arg(L, 1);
    struct mt_buf *out = new_buf(L, 64 << 10);
    if (!mt_url_origin(url, out))
        return 0;
    return push_buf(L, out);
}

/* core.url_resolve(base, reference) → url, or nil, message */
static int url_resolve(lua_State *L)
{
    struct mt_slice base = text_arg(L, 1), reference = text_arg(L, 2);
    struct mt_buf *out = new_buf(L, 64 << 10);
    struct mt_err err;
    if (mt_url_resolve(base, reference, out, &err) == MT_OK)
        return push_buf(L, out);
    luaL_pushfail(L);
    lua_pushstring(L, err.text);
    return 2;
}

static int url_redact(lua_State *L)
{
    struct mt_slice url = text_arg(L, 1);
    struct mt_buf *out = new_buf(L, 64 << 10);
    mt_url_redact(url, out);
    return push_buf(L, out);
}

/* ---- time: seconds since the epoch ---- */

static int now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mt_wall_us() / 1e6);
    return 1;
}

static int monotonic(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mt_now_ns() / 1e9);
    return 1;
}

static int push_time(lua_State *L, enum mt_rc rc, int64_t us, const char *what)
{
    if (rc != MT_OK) {
        struct mt_slice text = text_arg(L, 1);
        lua_pushlstring(L, text.p, text.n < 60 ? text.n : 60);
        luaL_pushfail(L);
        lua_pushfstring(L, "not %s: \"%s\"", what, lua_tostring(L, -2));
        return 2;
    }
    if (us % 1000000 == 0)
        lua_pushinteger(L, us / 1000000);
    else
        lua_pushnumber(L, (lua_Number)us / 1e6);
    return 1;
}

static int iso_parse(lua_State *L)
{
    int64_t us = 0;
    enum mt_rc rc = mt_iso_parse(text_arg(L, 1), &us);
    return push_time(L, rc, us, "an ISO 8601 date or time");
}

static int http_date_parse(lua_State *L)
{
    int64_t us = 0;
    enum mt_rc rc = mt_http_date_parse(text_arg(L, 1), &us);
    return push_time(L, rc, us, "an HTTP date");
}

/* ---- digests ---- */

static lua_Integer first_word(const struct mt_key *key)
{
    lua_Integer word;
    memcpy(&word, key->b, sizeof word);
    return word;
}

/* core.fingerprint(text) → integer: to remember many texts in little memory */
static int fingerprint(lua_State *L)
{
    struct mt_slice text = text_arg(L, 1);
    struct mt_key key = mt_key_of(&text, 1);
    lua_pushinteger(L, first_word(&key));
    return 1;
}

/* core.digest(value) → integer: equal for equal JSON values, whatever their spelling */
static int digest(lua_State *L)
{
    luaL_checkany(L, 1);
    struct mt_doc *doc = mt_view_to_doc(L, 1);
    struct mt_key key = mt_val_digest(mt_doc_root(doc));
    mt_doc_unref(doc);
    lua_pushinteger(L, first_word(&key));
    return 1;
}

/* core.config_names() → the names that the configuration has, set or not */
static int config_names(lua_State *L)
{
    struct mt_val config = mt_vm_options(mt_vm_of(L))->config;
    struct mt_slice name;
    struct mt_val value;
    lua_Integer n = 0;
    lua_newtable(L);
    if (!mt_val_is(config, MT_OBJECT))
        return 1;
    for (struct mt_iter it = mt_iter_of(config); mt_iter_next(&it, &name, &value);) {
        lua_pushlstring(L, name.p, name.n);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

void mt_bind_text(lua_State *L)
{
    static const luaL_Reg functions[] = {{"url_escape", url_escape},
                                         {"url_origin", url_origin},
                                         {"url_resolve", url_resolve},
                                         {"url_redact", url_redact},
                                         {"now", now},
                                         {"monotonic", monotonic},
                                         {"iso_parse", iso_parse},
                                         {"http_date_parse", http_date_parse},
                                         {"fingerprint", fingerprint},
                                         {"digest", digest},
                                         {"config_names", config_names},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
