/* require: modules of the embedded library ("moontide", "moontide.http"), then files of the bundle ("client"
 * is client.lua, "lib.client" is lib/client.lua). Text chunks only; no "..", no absolute path. Loading is
 * pure: nothing that waits works in it.
 *
 * Library modules get the private core table as their first vararg. Runs on the loop thread, while main.lua
 * loads or inside a resume. */
#include "script/state.h"

#include <ctype.h>

#include "script/library.h"

#define NAME_MAX_BYTES 200
#define SOURCE_MAX ((size_t)16 << 20)

static char modules_key, loading_key; /* registry: name → value; the stack of names that load now */

static bool name_is_good(const char *name)
{
    if (!name[0] || strlen(name) > NAME_MAX_BYTES)
        return false;
    for (const char *p = name; *p; p++) {
        if (*p == '.' && (p == name || p[1] == '.' || p[1] == '\0'))
            return false;
        if (!isalnum((unsigned char)*p) && *p != '.' && *p != '_' && *p != '-')
            return false;
    }
    return true;
}

/* Pushes the chunk. */
static void load_library(lua_State *L, const char *name)
{
    struct mt_slice source;
    if (!mt_library_find(name, &source))
        luaL_error(L, "module \"%s\" is not part of moontide's library", name);
    const char *path = luaL_gsub(L, name, ".", "/");
    const char *chunk = lua_pushfstring(L, "@%s.lua", path);
    if (luaL_loadbufferx(L, source.p, source.n, chunk, "t") != LUA_OK)
        lua_error(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void load_file(lua_State *L, const char *name, const char *path)
{
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
    struct mt_scratch *scratch = mt_scratch_push(L);
    struct mt_err err = {0};
    mt_buf_init(&scratch->buf, SOURCE_MAX);
    const enum mt_rc rc = options->read(options->read_ud, path, &scratch->buf, &err);
    if (rc == MT_ENOENT)
        luaL_error(L, "module \"%s\" was not found: the bundle has no %s", name, path);
    if (rc != MT_OK)
        luaL_error(L, "module \"%s\": %s", name, err.text);
    const char *p = scratch->buf.p;
    size_t n = scratch->buf.n;
    if (n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        p += 3;
        n -= 3;
    }
    if (n > 0 && p[0] == LUA_SIGNATURE[0])
        luaL_error(L, "%s:1: a binary chunk: only Lua text is loaded", path);
    const char *chunk = lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, p ? p : "", n, chunk, "t") != LUA_OK)
        lua_error(L);
    mt_scratch_free(scratch);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void set_env(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_env);
    if (!lua_setupvalue(L, -2, 1))
        lua_pop(L, 1);
}

/* "a → b → a": the names that load now, from the first `name` on. */
static void raise_circle(lua_State *L, int stack, const char *name)
{
    luaL_Buffer b;
    const int n = (int)lua_rawlen(L, stack);
    bool on = false;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, stack, i);
        on = on || strcmp(lua_tostring(L, -1), name) == 0;
        if (on) {
            luaL_addvalue(&b);
            luaL_addstring(&b, " \xE2\x86\x92 ");
        } else {
            lua_pop(L, 1);
        }
    }
    luaL_addstring(&b, name);
    luaL_pushresult(&b);
    luaL_error(L, "modules require each other in a circle: %s", lua_tostring(L, -1));
}

static int require(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    const bool library = strcmp(name, "moontide") == 0 || strncmp(name, "moontide.", 9) == 0;
    if (strlen(name) != length || !name_is_good(name) || strcmp(name, "moontide.core") == 0)
        return luaL_error(
            L,
            "module name \"%s\" is not allowed: names are words joined by dots, without \"..\", \"/\" or "
            "moontide's private parts",
            name);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
    if (lua_getfield(L, 2, name) != LUA_TNIL)
        return 1;
    lua_settop(L, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loading_key);
    const int depth = (int)lua_rawlen(L, 3);
    for (int i = 1; i <= depth; i++) {
        lua_rawgeti(L, 3, i);
        if (lua_rawequal(L, 1, -1))
            raise_circle(L, 3, name);
        lua_pop(L, 1);
    }
    if (library)
        load_library(L, name);
    else
        load_file(L, name, lua_pushfstring(L, "%s.lua", luaL_gsub(L, name, ".", "/")));
    set_env(L);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 3, depth + 1);
    if (library)
        lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_core);
    else
        lua_pushvalue(L, 1);
    const int status = lua_pcall(L, 1, 1, 0);
    for (int i = (int)lua_rawlen(L, 3); i > depth; i--) {
        lua_pushnil(L);
        lua_rawseti(L, 3, i);
    }
    if (status != LUA_OK)
        return lua_error(L);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

void mt_module_open(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loading_key);
    lua_pushcfunction(L, require);
}

void mt_module_main(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loading_key);
    lua_pushliteral(L, "main");
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    load_file(L, "main", "main.lua");
    set_env(L);
    lua_call(L, 0, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loading_key);
    lua_pushnil(L);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
}
