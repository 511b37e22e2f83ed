/* The Lua library (lua/moontide), embedded into the program: read-only data, any thread. */
#ifndef MT_SCRIPT_LIBRARY_H
#define MT_SCRIPT_LIBRARY_H

#include "base/slice.h"

/* The source of a module: "moontide" is lua/moontide/init.lua, "moontide.http" lua/moontide/http.lua. Static
 * storage. */
bool mt_library_find(const char *module, struct mt_slice *out_source);

#endif
