/* Private to cli/: the bundle that `moontide new` writes, as cmake/Embed.cmake puts it into the program. */
#ifndef MT_CLI_TEMPLATE_H
#define MT_CLI_TEMPLATE_H

#include <stddef.h>

struct mt_template_file {
    const char *path; /* in the bundle */
    const unsigned char *text;
    size_t size;
};

extern const struct mt_template_file mt_template_files[]; /* sorted by path */
extern const size_t mt_template_file_count;

#endif
