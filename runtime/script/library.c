/* Looks a module of the embedded Lua library up. The table itself is written at build time by
 * cmake/Embed.cmake, sorted by name. */
#include "script/library.h"

#include <stdlib.h>

#include "script/library_modules.h"

static int compare(const void *name, const void *module)
{
    return strcmp(name, ((const struct mt_library_module *)module)->name);
}

bool mt_library_find(const char *module, struct mt_slice *out_source)
{
    const struct mt_library_module *found =
        bsearch(module, mt_library_modules, mt_library_module_count, sizeof(mt_library_modules[0]), compare);
    if (!found)
        return false;
    *out_source = (struct mt_slice){(const char *)found->source, found->size};
    return true;
}
