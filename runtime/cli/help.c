/* moontide help: the list of commands, or one of them. */
#include <stdio.h>

#include "cli/table.h"

static void print_command(const struct mt_command *command)
{
    printf("%s\n\n%s\n", command->usage, command->summary);
    if (command->help && command->help[0])
        printf("\n%s%s", command->help, command->help[strlen(command->help) - 1] == '\n' ? "" : "\n");
}

static void print_all(void)
{
    puts("moontide runs Port (getport.io) integrations written in Lua: it fetches from an API, maps with jq, "
         "and makes a\n"
         "catalog match.\n");
    for (const struct mt_command *const *command = mt_commands; *command; command++)
        if (!(*command)->hidden)
            printf("  %-10s %s\n", (*command)->name, (*command)->summary);
    puts("\nOne command in full: moontide help COMMAND\n"
         "A BUNDLE is the folder of an integration: main.lua and .port/. Settings are environment variables "
         "(OCEAN__… or\n"
         "MOONTIDE__…), .env and the bundle's config.yaml. Without credentials of Port the embedded catalog "
         "takes its place.");
}

static int run(int argc, char **argv)
{
    int n = mt_options_parse(&mt_command_help, argc, argv, (struct mt_option[]){{0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n > 1)
        return mt_usage_error(&mt_command_help, "one command at a time");
    if (n == 0) {
        print_all();
        return MT_EXIT_OK;
    }
    const struct mt_command *command = mt_command_find(argv[1]);
    if (!command)
        return mt_command_unknown(argv[1]);
    print_command(command);
    return MT_EXIT_OK;
}

const struct mt_command mt_command_help = {
    .name = "help",
    .usage = "moontide help [COMMAND]",
    .summary = "Lists the commands, or explains one",
    .help = "",
    .run = run,
};
