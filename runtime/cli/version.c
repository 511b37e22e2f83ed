/* moontide version. */
#include <stdio.h>

#include "cli/command.h"

static int run(int argc, char **argv)
{
    bool json = false;
    int n = mt_options_parse(&mt_command_version, argc, argv,
                             (struct mt_option[]){{.name = "json", .flag = &json}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n > 0)
        return mt_usage_error(&mt_command_version, "it takes no argument");
    printf(json ? "{\"name\":\"moontide\",\"version\":\"%s\"}\n" : "moontide %s\n", MT_VERSION);
    return MT_EXIT_OK;
}

const struct mt_command mt_command_version = {
    .name = "version",
    .usage = "moontide version [--json]",
    .summary = "print the version",
    .help = "  --json   as {\"name\",\"version\"}\n",
    .run = run,
};
