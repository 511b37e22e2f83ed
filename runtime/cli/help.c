/* moontide help: the list of commands, one of them, or the manual page that the build installs. */
#include <stdio.h>

#include "cli/table.h"

/* What a reader wants to do; a command that no group names is listed last. */
const struct mt_command_group mt_command_groups[] = {
    {"Write an integration", {"new", "validate", "map", "jq", "test", "record"}},
    {"Run it", {"plan", "resync", "run", "catalog"}},
    {"Hand it over", {"pack", "keygen", "verify", "inspect"}},
    {"Look around", {"doctor", "help", "completions", "version"}},
    {NULL, {NULL}},
};

const char mt_help_about[] = "A BUNDLE is the folder of an integration (main.lua and .port/), or a packed "
                             "one (FILE.mtb). Settings are\n"
                             "environment variables (OCEAN__… or MOONTIDE__…), .env and the bundle's "
                             "config.yaml. Without credentials of\n"
                             "Port the embedded catalog takes its place.\n";

static void print_command(const struct mt_command *command)
{
    printf("%s\n\n%s\n", command->usage, command->summary);
    if (command->help && command->help[0])
        printf("\n%s%s", command->help, command->help[strlen(command->help) - 1] == '\n' ? "" : "\n");
}

static void print_line(const struct mt_command *command)
{
    printf("  %-12s %s\n", command->name, command->summary);
}

bool mt_command_grouped(const struct mt_command *command)
{
    for (const struct mt_command_group *group = mt_command_groups; group->title; group++)
        for (const char *const *name = group->names; *name; name++)
            if (strcmp(*name, command->name) == 0)
                return true;
    return false;
}

static void print_all(void)
{
    puts("moontide runs Port (getport.io) integrations written in Lua: it fetches from an API, maps with jq, "
         "and makes a\n"
         "catalog match.");
    for (const struct mt_command_group *group = mt_command_groups; group->title; group++) {
        printf("\n%s\n", group->title);
        for (const char *const *name = group->names; *name; name++) {
            const struct mt_command *command = mt_command_find(*name);
            if (command && !command->hidden)
                print_line(command);
        }
    }
    bool more = false;
    for (const struct mt_command *const *command = mt_commands; *command; command++)
        if (!(*command)->hidden && !mt_command_grouped(*command)) {
            fputs(more ? "" : "\nMore\n", stdout);
            more = true;
            print_line(*command);
        }
    printf("\nOne command in full: moontide help COMMAND\n%s", mt_help_about);
}

static int run(int argc, char **argv)
{
    bool man = false;
    int n = mt_options_parse(&mt_command_help, argc, argv,
                             (struct mt_option[]){{.name = "man", .flag = &man}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (man && n > 0)
        return mt_usage_error(&mt_command_help, "--man is one page for all commands: it takes no COMMAND");
    if (n > 1)
        return mt_usage_error(&mt_command_help, "one command at a time");
    if (man) {
        mt_manual_print(stdout);
        return MT_EXIT_OK;
    }
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
    .usage = "moontide help [COMMAND | --man]",
    .summary = "list the commands, or explain one",
    .help = "  --man   the manual page, as roff: moontide help --man | man -l -\n"
            "exit codes: 0 done; 2 there is no such command\n",
    .run = run,
};
