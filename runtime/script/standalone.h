/* moontide.core for a Lua state that is not a host's: JSON, text, hashes, jq, without a loop or a sandbox. */
#ifndef MT_SCRIPT_STANDALONE_H
#define MT_SCRIPT_STANDALONE_H

#include <lua.h>

/* A lua_CFunction that pushes the core table. The module's entry when a stock lua5.4 loads it. */
__attribute__((visibility("default"))) int luaopen_moontide_core(lua_State *L);

#endif
