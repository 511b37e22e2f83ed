/* Secrets: values of the configuration marked sensitive. They print as ***, can be joined with text (which
 * gives a secret), and are readable only by bindings that send them (mt_secret_check). Inside a resume or
 * while loading; loop thread. */
#include "script/state.h"

static const char name[] = "moontide.secret";

static struct mt_slice text_of(lua_State *L, int index)
{
    return (struct mt_slice){lua_touserdata(L, index), lua_rawlen(L, index)};
}

bool mt_is_secret(lua_State *L, int index)
{
    return luaL_testudata(L, index, name) != NULL;
}

void mt_secret_push(lua_State *L, struct mt_slice text)
{
    char *p = lua_newuserdatauv(L, text.n, 0);
    if (text.n > 0)
        memcpy(p, text.p, text.n);
    luaL_setmetatable(L, name);
}

struct mt_slice mt_secret_check(lua_State *L, int index, bool *out_secret)
{
    const bool secret = mt_is_secret(L, index);
    if (out_secret)
        *out_secret = secret;
    if (secret)
        return text_of(L, index);
    struct mt_slice s;
    s.p = luaL_checklstring(L, index, &s.n);
    return s;
}

static int secret_tostring(lua_State *L)
{
    lua_pushliteral(L, "***");
    return 1;
}

static int secret_index(lua_State *L)
{
    return luaL_error(L, "a secret cannot be read: pass it on as a header, query or body of a request");
}

static int secret_concat(lua_State *L)
{
    const struct mt_slice a = mt_secret_check(L, 1, NULL), b = mt_secret_check(L, 2, NULL);
    char *p = lua_newuserdatauv(L, a.n + b.n, 0);
    if (a.n > 0)
        memcpy(p, a.p, a.n);
    if (b.n > 0)
        memcpy(p + a.n, b.p, b.n);
    luaL_setmetatable(L, name);
    return 1;
}

static int secret_eq(lua_State *L)
{
    lua_pushboolean(L, mt_is_secret(L, 1) && mt_is_secret(L, 2) && mt_slice_eq(text_of(L, 1), text_of(L, 2)));
    return 1;
}

static int core_secret(lua_State *L)
{
    if (mt_is_secret(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    struct mt_slice s;
    s.p = luaL_checklstring(L, 1, &s.n);
    mt_mask_add(s);
    mt_secret_push(L, s);
    return 1;
}

static int core_is_secret(lua_State *L)
{
    lua_pushboolean(L, mt_is_secret(L, 1));
    return 1;
}

static void push_config(lua_State *L)
{
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
    struct mt_iter it;
    struct mt_slice key;
    struct mt_val value;
    lua_newtable(L);
    if (!mt_val_is(options->config, MT_OBJECT))
        return;
    for (it = mt_iter_of(options->config); mt_iter_next(&it, &key, &value);) {
        lua_pushlstring(L, key.p, key.n);
        if (mt_val_is(value, MT_STRING) && options->is_sensitive &&
            options->is_sensitive(options->sensitive_ud, key)) {
            mt_mask_add(mt_val_string(value));
            mt_secret_push(L, mt_val_string(value));
        } else {
            mt_view_push(L, value);
        }
        lua_rawset(L, -3);
    }
}

void mt_bind_secret(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__tostring", secret_tostring},
        {"__index", secret_index},
        {"__concat", secret_concat},
        {"__eq", secret_eq},
        {NULL, NULL},
    };
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_secret);
    lua_setfield(L, -2, "secret");
    lua_pushcfunction(L, core_is_secret);
    lua_setfield(L, -2, "is_secret");
    if (!mt_vm_of(L)->adopted) {
        push_config(L);
        lua_setfield(L, -2, "config");
    }
}
