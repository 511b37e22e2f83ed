/* moontide busted ARGS… (hidden): runs the specs inside the program; and the state that `moontide test` runs
 * the specs of a bundle in (busted.h).
 *
 * A sanitizer build cannot be loaded into a stock lua5.4, so busted (installed for Lua 5.4) runs here. The
 * specs' moontide.core is the module beside the program; that of a bundle's specs is the program's own. */
#include "cli/busted.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/command.h"
#include "script/library.h"
#include "script/standalone.h"

enum { ANSWER_MAX = 1 << 30 };

/* The stock command's two lines; the chunk name makes the runner close the state at the end, as
 * /usr/bin/busted does. */
static const char runner[] = "require 'busted.runner' { standalone = false }\n";

static lua_State *new_state(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return NULL;
    luaL_openlibs(L);
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    return L;
}

static int run(int argc, char **argv)
{
    lua_State *L = new_state(argc, argv);
    if (!L) {
        fputs("moontide busted: no memory for a Lua state\n", stderr);
        return MT_EXIT_FAILED;
    }
    int code = MT_EXIT_OK;
    if (luaL_loadbufferx(L, runner, sizeof(runner) - 1, "@busted", "t") != LUA_OK ||
        lua_pcall(L, 0, 0, 0) != LUA_OK) {
        fprintf(stderr, "moontide busted: %s\n", luaL_tolstring(L, -1, NULL));
        code = MT_EXIT_FAILED;
    }
    lua_close(L);
    return code;
}

/* ---- the specs of a bundle ---- */

static int free_answer(lua_State *L)
{
    mt_buf_fini(lua_touserdata(L, 1));
    return 0;
}

/* host(what, argument) → text, or nil, message. The buffer is a userdata, so that it is freed also when Lua
 * raises. */
static int host(lua_State *L)
{
    const struct mt_busted *b = lua_touserdata(L, lua_upvalueindex(1));
    size_t n = 0;
    const char *what = luaL_checkstring(L, 1);
    const char *argument = luaL_optlstring(L, 2, "", &n);
    struct mt_err err = {0};
    struct mt_buf *out = lua_newuserdatauv(L, sizeof *out, 0);
    mt_buf_init(out, ANSWER_MAX);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_answer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    enum mt_rc rc = b->answer(b->ud, what, (struct mt_slice){argument, n}, out, &err);
    if (rc == MT_OK && out->failed)
        rc = mt_fail(&err, MT_ELIMIT, "%s: more than 1 GiB", what);
    if (rc != MT_OK) {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
        return 2;
    }
    lua_pushlstring(L, out->p ? out->p : "", out->n);
    mt_buf_fini(out);
    mt_buf_init(out, 0);
    return 1;
}

static int run_module(lua_State *L)
{
    const struct mt_busted *b = lua_touserdata(L, 1);
    struct mt_slice source;
    luaL_requiref(L, "moontide.core", luaopen_moontide_core, 0);
    const int core = lua_gettop(L);
    lua_pushlightuserdata(L, lua_touserdata(L, 1));
    lua_pushcclosure(L, host, 1);
    lua_setfield(L, core, "host");
    if (!mt_library_find(b->module, &source))
        return luaL_error(L, "module \"%s\" is not part of moontide's library", b->module);
    const char *chunk = lua_pushfstring(L, "@%s.lua", luaL_gsub(L, b->module, ".", "/"));
    if (luaL_loadbufferx(L, source.p, source.n, chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, core);
    lua_call(L, 1, 1);
    return 1;
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

enum mt_rc mt_busted_run(const struct mt_busted *b, int argc, char **argv, int *out_code, struct mt_err *err)
{
    lua_State *L = new_state(argc, argv);
    if (!L)
        return mt_fail(err, MT_ENOMEM, "no memory for a Lua state");
    enum mt_rc rc = MT_OK;
    lua_pushcfunction(L, with_traceback);
    lua_pushcfunction(L, run_module);
    lua_pushlightuserdata(L, (void *)(uintptr_t)b);
    if (lua_pcall(L, 1, 1, 1) == LUA_OK)
        *out_code = (int)lua_tointeger(L, -1);
    else
        rc = mt_fail(err, MT_ESCRIPT, "%s", lua_tostring(L, -1));
    lua_close(L);
    return rc;
}

const struct mt_command mt_command_busted = {
    .name = "busted",
    .usage = "moontide busted ARGS…",
    .summary = "Runs busted inside the program, for sanitizer builds",
    .help = "",
    .run = run,
    .hidden = true,
};
