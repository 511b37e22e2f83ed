/* moontide busted ARGS… (hidden): runs the specs inside the program.
 *
 * A sanitizer build cannot be loaded into a stock lua5.4, so busted (installed for Lua 5.4) runs here, in a
 * plain state with all standard libraries that has nothing to do with the sandbox of bundles. The specs'
 * moontide.core is the module beside the program. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

#include "cli/command.h"

/* The stock command's two lines; the chunk name makes the runner close the state at the end, as
 * /usr/bin/busted does. */
static const char runner[] = "require 'busted.runner' { standalone = false }\n";

static int run(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("moontide busted: no memory for a Lua state\n", stderr);
        return MT_EXIT_FAILED;
    }
    luaL_openlibs(L);
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    int code = MT_EXIT_OK;
    if (luaL_loadbufferx(L, runner, sizeof(runner) - 1, "@busted", "t") != LUA_OK ||
        lua_pcall(L, 0, 0, 0) != LUA_OK) {
        fprintf(stderr, "moontide busted: %s\n", luaL_tolstring(L, -1, NULL));
        code = MT_EXIT_FAILED;
    }
    lua_close(L);
    return code;
}

const struct mt_command mt_command_busted = {
    .name = "busted",
    .usage = "moontide busted ARGS…",
    .summary = "Runs busted inside the program, for sanitizer builds",
    .help = "",
    .run = run,
    .hidden = true,
};
