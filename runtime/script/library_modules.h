/* Private to library.c and the file that cmake/Embed.cmake writes. */
#ifndef MT_SCRIPT_LIBRARY_MODULES_H
#define MT_SCRIPT_LIBRARY_MODULES_H

#include <stddef.h>

struct mt_library_module {
    const char *name;
    const unsigned char *source;
    size_t size;
};

extern const struct mt_library_module mt_library_modules[]; /* sorted by name */
extern const size_t mt_library_module_count;

#endif
