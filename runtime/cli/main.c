/* The program: finds the command and runs it. Everything else is in the commands' own files. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/table.h"

const struct mt_command *const mt_commands[] = {
    &mt_command_validate,    &mt_command_map,     &mt_command_jq,     &mt_command_resync,
    &mt_command_plan,        &mt_command_run,     &mt_command_test,   &mt_command_record,
    &mt_command_new,         &mt_command_catalog, &mt_command_pack,   &mt_command_keygen,
    &mt_command_verify,      &mt_command_inspect, &mt_command_doctor, &mt_command_help,
    &mt_command_completions, &mt_command_version, &mt_command_busted, NULL,
};

const struct mt_command *mt_command_find(const char *name)
{
    for (const struct mt_command *const *command = mt_commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

int mt_command_unknown(const char *name)
{
    const struct mt_command *nearest = NULL;
    unsigned least = 3; /* more than two edits is no misspelling of a short word */
    for (const struct mt_command *const *command = mt_commands; *command; command++) {
        unsigned distance = (*command)->hidden ? least : mt_edit_distance(name, (*command)->name);
        if (distance < least) {
            least = distance;
            nearest = *command;
        }
    }
    fprintf(stderr, "moontide: there is no command '%.*s'.", MT_FOREIGN, name);
    if (nearest)
        fprintf(stderr, " Did you mean '%s'?", nearest->name);
    fputs("\nThe commands: moontide help\n", stderr);
    return MT_EXIT_USAGE;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* A result that did not reach its file is a failure, whatever the command thinks. A reader that has left
 * (EPIPE) knows why it did. */
static int flush(int code)
{
    bool broken = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !broken)
        return code;
    if (errno != EPIPE && errno != 0)
        fprintf(stderr, "moontide: stdout: %m\n");
    return code == MT_EXIT_OK ? MT_EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a peer that closes is an error of one request, not the end of the process */
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit (ulimit -f) is an error of one write, like a full disk */
    if (argc < 2) {
        fputs("moontide: a command is missing.\nThe commands: moontide help\n", stderr);
        return MT_EXIT_USAGE;
    }
    static char help[] = "help", version[] = "version";
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        argv[1] = help;
    else if (strcmp(argv[1], "--version") == 0)
        argv[1] = version;
    const struct mt_command *command = mt_command_find(argv[1]);
    if (!command)
        return mt_command_unknown(argv[1]);
    if (!command->hidden && asks_for_help(argc - 1, argv + 1))
        return flush(mt_command_help.run(2, (char *[]){help, argv[1], NULL}));
    return flush(command->run(argc - 1, argv + 1));
}
