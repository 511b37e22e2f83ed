/* The environment of a bundle: an allow list over Lua's libraries, audited when the state is made, so that a
 * newer Lua cannot widen it in silence.
 *
 * Globals are a chain of two tables: an empty one that scripts see, whose __newindex raises, and behind it
 * the allowed names, whose __index raises for an unknown one. Libraries are read-only. Runs once a state,
 * protected, from host.c. */
#include "script/state.h"

#include <lualib.h>
#include <stdio.h>

/* Every name of a library is judged here; a plus: allowed as it is, a "g": refuses views (guard), "r":
 * replaced below, a minus: denied. */
static const char *const base_names =
    "+assert +error +getmetatable +ipairs +pairs +pcall +rawequal +select +tonumber +tostring +type +xpcall "
    "+_VERSION "
    "gnext grawget grawlen r_G rcollectgarbage rload rprint rrawset rsetmetatable rwarn rxpcall -dofile "
    "-loadfile ";
static const char *const string_names =
    "+byte +char +find +format +gmatch +gsub +len +lower +match +pack +packsize +rep +reverse +sub "
    "+unpack +upper -dump ";
static const char *const table_names = "gconcat ginsert gmove +pack gremove gsort gunpack ";
static const char *const math_names =
    "+abs +acos +asin +atan +ceil +cos +deg +exp +floor +fmod +huge +log +max +maxinteger +min +mininteger "
    "+modf +pi +rad "
    "+random +randomseed +sin +sqrt +tan +tointeger +type +ult -atan2 -pow -cosh -sinh -tanh -frexp -ldexp "
    "-log10 ";
static const char *const utf8_names = "+char +charpattern +codepoint +codes +len +offset ";
static const char *const os_names =
    "+clock +date +difftime +time -execute -exit -getenv -remove -rename -setlocale -tmpname ";
static const char *const debug_names =
    "+traceback -debug -gethook -getinfo -getlocal -getmetatable -getregistry -getupvalue -getuservalue "
    "-sethook "
    "-setlocal -setmetatable -setupvalue -setuservalue -upvalueid -upvaluejoin -setcstacklimit ";

/* ---- replacements ---- */

static void refuse_view(lua_State *L, const char *name)
{
    luaL_error(L, "%s does not take a view of a document: make a plain table with json.copy(view) first",
               name);
}

static int guard(lua_State *L)
{
    for (int i = lua_gettop(L); i >= 1; i--)
        if (mt_view_test(L, i) && (i == 1 || i == 5)) /* table.move's target is its fifth */
            refuse_view(L, lua_tostring(L, lua_upvalueindex(2)));
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int safe_rawset(lua_State *L)
{
    if (mt_view_test(L, 1))
        refuse_view(L, "rawset");
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_env);
    if (lua_rawequal(L, 1, -1) || (lua_getmetatable(L, 1) && lua_getfield(L, -1, "__readonly") != LUA_TNIL))
        return luaL_error(L, "rawset: this table is read-only");
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

/* A finalizer runs where no hook can stop it, so scripts have none: <close> is what they want. */
static int safe_setmetatable(lua_State *L)
{
    const int type = lua_type(L, 2);
    if (mt_view_test(L, 1))
        refuse_view(L, "setmetatable");
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with __gc cannot be set: use a <close> variable and __close");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int handle_error(lua_State *L)
{
    if (mt_vm_of(L)->kill)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int xpcall_ended(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L) - 1;
}

/* Lua's own, but that a kill does not enter the handler: it would run inside the hook, where no hook stops
 * it. */
static int safe_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle_error, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_remove(L, 1); /* handler, arguments, true, function */
    lua_rotate(L, 2, 2);
    const int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 0, xpcall_ended);
    return xpcall_ended(L, status, 0);
}

static int safe_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        return luaL_error(L, "collectgarbage(\"%s\") is not available: only \"count\" is", what);
    lua_pushnumber(L, (lua_Number)lua_gc(L, LUA_GCCOUNT) + (lua_Number)lua_gc(L, LUA_GCCOUNTB) / 1024.0);
    return 1;
}

static int safe_load(lua_State *L)
{
    size_t n;
    const char *text;
    const char *mode = luaL_optstring(L, 3, "t");
    const bool env = !lua_isnone(L, 4);
    lua_settop(L, 4);
    if (lua_type(L, 1) == LUA_TFUNCTION) {
        lua_newtable(L); /* the pieces */
        for (int i = 1;; i++) {
            lua_pushvalue(L, 1);
            lua_call(L, 0, 1);
            if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0))
                break;
            if (lua_type(L, -1) != LUA_TSTRING)
                return luaL_error(L, "reader function must return a string");
            lua_rawseti(L, 5, i);
        }
        lua_settop(L, 5);
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        const int pieces = (int)lua_rawlen(L, 5);
        for (int i = 1; i <= pieces; i++) {
            lua_rawgeti(L, 5, i);
            luaL_addvalue(&b);
        }
        luaL_pushresult(&b);
        lua_replace(L, 1);
        lua_settop(L, 4);
        text = lua_tolstring(L, 1, &n);
        if (lua_isnil(L, 2)) {
            lua_pushliteral(L, "=(load)");
            lua_replace(L, 2);
        }
    } else {
        text = luaL_checklstring(L, 1, &n);
    }
    if (!strchr(mode, 't')) {
        lua_pushnil(L);
        lua_pushfstring(L, "attempt to load a text chunk (mode is '%s'): binary chunks are not available",
                        mode);
        return 2;
    }
    if (luaL_loadbufferx(L, text, n, luaL_optstring(L, 2, text), "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (env)
        lua_pushvalue(L, 4);
    else
        lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_env);
    lua_setupvalue(L, -2, 1);
    return 1;
}

static int log_values(lua_State *L, enum mt_level level)
{
    luaL_Buffer b;
    const int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    mt_log(level, "%s", lua_tostring(L, -1));
    return 0;
}

/* stdout is the data of the command line: what a script prints is its log. */
static int safe_print(lua_State *L)
{
    return log_values(L, MT_INFO);
}

static int safe_warn(lua_State *L)
{
    return log_values(L, MT_WARN);
}

/* ---- allow list ---- */

static const char *find_name(const char *names, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = names; *p; p = strchr(p, ' ') + 1)
        if (strncmp(p + 1, name, n) == 0 && p[1 + n] == ' ')
            return p;
    return NULL;
}

/* For the names in messages and tracebacks: what scripts call instead of what Lua has loaded. */
static void set_loaded(lua_State *L, int table, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, table);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void name_function(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_names);
    lua_pushvalue(L, -2);
    lua_pushstring(L, name);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Copies the allowed names of the table at `from` into the one at `to`. */
static void take(lua_State *L, int from, int to, const char *library, const char *names)
{
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        char full[80];
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "sandbox: library %s has a key that is no name", library);
        const char *name = lua_tostring(L, -2);
        const char *verdict = find_name(names, name);
        if (!verdict)
            luaL_error(
                L,
                "sandbox: library %s has \"%s\", which the allow list does not know; this Lua is newer than "
                "moontide: the list must judge it first",
                library[0] ? library : "base", name);
        snprintf(full, sizeof full, "%s%s%s", library, library[0] ? "." : "", name);
        if (lua_iscfunction(L, -1))
            name_function(L, full); /* for messages about where Lua cannot yield */
        if (*verdict == '+') {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, to);
        } else if (*verdict == 'g') {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_pushstring(L, full);
            lua_pushcclosure(L, guard, 2);
            name_function(L, full);
            lua_rawset(L, to);
        }
    }
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "%s is read-only", lua_tostring(L, lua_upvalueindex(1)));
}

/* Over a copy: the table behind stays out of reach. */
static int readonly_pairs(lua_State *L)
{
    lua_getglobal(L, "next"); /* the raw one: the state's own globals are not the script's */
    lua_newtable(L);
    const int copy = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, lua_upvalueindex(1)); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, copy);
    }
    lua_pushnil(L);
    return 3;
}

/* Replaces the table on top by an empty one that reads from it. */
static void make_read_only(lua_State *L, const char *name)
{
    const int inner = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, inner);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, read_only, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, inner);
    lua_pushcclosure(L, readonly_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "__readonly");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, inner);
}

static void add_library(lua_State *L, int globals, const char *name, lua_CFunction open, const char *names)
{
    luaL_requiref(L, name, open, 0);
    const int library = lua_gettop(L);
    lua_newtable(L);
    take(L, library, library + 1, name, names);
    if (strcmp(name, "string") == 0) { /* literals reach it through their metatable */
        lua_pushliteral(L, "");
        lua_getmetatable(L, -1);
        lua_pushvalue(L, library + 1);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, "string");
        lua_setfield(L, -2, "__metatable");
        lua_pop(L, 2);
    }
    set_loaded(L, library + 1, name);
    make_read_only(L, name);
    lua_setfield(L, globals, name);
    lua_settop(L, library - 1);
}

static int unknown_global(lua_State *L)
{
    return luaL_error(L, "undefined global '%s': is it misspelled, or not available in moontide?",
                      luaL_tolstring(L, 2, NULL));
}

static int new_global(lua_State *L)
{
    return luaL_error(L, "global '%s' cannot be set: use local", luaL_tolstring(L, 2, NULL));
}

void mt_sandbox_open(lua_State *L)
{
    static const luaL_Reg replaced[] = {
        {"collectgarbage", safe_collectgarbage},
        {"load", safe_load},
        {"print", safe_print},
        {"rawset", safe_rawset},
        {"setmetatable", safe_setmetatable},
        {"warn", safe_warn},
        {"xpcall", safe_xpcall},
        {NULL, NULL},
    };
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_names);
    lua_newtable(L);
    const int globals = lua_gettop(L);
    luaL_requiref(L, "_G", luaopen_base, 0);
    take(L, globals + 1, globals, "", base_names);
    lua_pop(L, 1);
    for (const luaL_Reg *r = replaced; r->name; r++) {
        lua_pushcfunction(L, r->func);
        name_function(L, r->name);
        lua_setfield(L, globals, r->name);
    }
    set_loaded(L, globals, "_G");
    add_library(L, globals, "string", luaopen_string, string_names);
    add_library(L, globals, "table", luaopen_table, table_names);
    add_library(L, globals, "math", luaopen_math, math_names);
    add_library(L, globals, "utf8", luaopen_utf8, utf8_names);
    add_library(L, globals, "os", luaopen_os, os_names);
    add_library(L, globals, "debug", luaopen_debug, debug_names);
    mt_coroutine_open(L);
    set_loaded(L, lua_gettop(L), "coroutine");
    make_read_only(L, "coroutine");
    lua_setfield(L, globals, "coroutine");
    mt_module_open(L);
    name_function(L, "require");
    lua_setfield(L, globals, "require");

    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, globals);

    lua_newtable(L); /* what scripts see as _G */
    lua_pushvalue(L, -1);
    lua_setfield(L, globals, "_G");
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, globals);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, new_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, globals);
    lua_pushcclosure(L, readonly_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushliteral(L, "globals");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_env);
    lua_pop(L, 1);
}
