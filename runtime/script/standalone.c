/* moontide.core as a module of a stock lua5.4: JSON and views, secrets, text, hashes and jq, without a host,
 * a loop or a sandbox, so that busted tests the code that ships. Built as lib/moontide/core.so
 * (cmake/LuaModule.cmake), not linked to liblua; and part of the program, for the specs of bundles.
 *
 * What waits (HTTP, sleep, tasks) is not in it. jq runs at once, on the calling thread. */
#include "script/standalone.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/program.h"
#include "script/state.h"

static const char evaluation_name[] = "moontide.jq.evaluation";

/* A userdata, so that its parts are freed also when Lua raises. */
struct evaluation {
    struct mt_jq *jq;
    struct mt_doc *input;
    struct mt_doc **results;
    size_t count;
};

static int evaluation_gc(lua_State *L)
{
    struct evaluation *e = lua_touserdata(L, 1);
    mt_jq_free(e->jq);
    mt_doc_unref(e->input);
    for (size_t i = 0; i < e->count; i++)
        mt_doc_unref(e->results[i]);
    free(e->results);
    memset(e, 0, sizeof(*e));
    return 0;
}

static bool keep(void *ud, struct mt_doc *result)
{
    struct evaluation *e = ud;
    e->results = mt_realloc(e->results, (e->count + 1) * sizeof(e->results[0]));
    e->results[e->count++] = mt_doc_ref(result);
    return true;
}

static int raise(lua_State *L, const struct mt_err *err)
{
    mt_push_error(L, err, (struct mt_slice){NULL, 0});
    return lua_error(L);
}

/* jq(program, value) → list of the results. Raises. */
static int jq(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    luaL_checkany(L, 2);
    struct evaluation *e = lua_newuserdatauv(L, sizeof(*e), 0);
    memset(e, 0, sizeof(*e));
    luaL_setmetatable(L, evaluation_name);
    struct mt_err err;
    if (mt_jq_compile((struct mt_slice){text, n}, false, &e->jq, &err) != MT_OK)
        return raise(L, &err);
    e->input = mt_view_to_doc(L, 2);
    if (mt_jq_run(e->jq, mt_doc_root(e->input), keep, e, &err) != MT_OK)
        return raise(L, &err);
    lua_createtable(L, (int)e->count, 0);
    for (size_t i = 0; i < e->count; i++) {
        mt_view_push(L, mt_doc_root(e->results[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

int luaopen_moontide_core(lua_State *L)
{
    mt_vm_adopt(L);
    luaL_newmetatable(L, evaluation_name);
    lua_pushcfunction(L, evaluation_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_core);
    mt_bind_view(L);
    mt_bind_secret(L);
    mt_bind_text(L);
    mt_bind_crypto(L);
    lua_pushcfunction(L, jq);
    lua_setfield(L, -2, "jq");
    return 1;
}
