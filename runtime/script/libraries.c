/* Versions of the libraries under script/, for doctor. In a file of its own: moontide.core, which is loaded
 * by an interpreter that need not export lua_ident, does not take it in. */
#include <lua.h>
#include <sodium.h>
#include <stdio.h>

#include "script/host.h"

void mt_host_libraries(struct mt_library out[2])
{
    /* "$LuaVersion: Lua 5.4.4  Copyright …": lua_version() knows no release. */
    static char loaded[24];
    const char *text = strstr(lua_ident, "Lua 5");
    snprintf(loaded, sizeof loaded, "%.*s", text ? (int)strcspn(text + 4, " ") : 0, text ? text + 4 : "");
    out[0] = (struct mt_library){"Lua", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE,
                                 loaded, NULL};
    out[1] = (struct mt_library){"libsodium", SODIUM_VERSION_STRING, sodium_version_string(), NULL};
}
