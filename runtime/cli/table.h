/* Private to cli/: the table of commands. */
#ifndef MT_CLI_TABLE_H
#define MT_CLI_TABLE_H

#include <stdio.h>

#include "base/buf.h"
#include "cli/command.h"

extern const struct mt_command mt_command_help, mt_command_completions;

extern const struct mt_command *const mt_commands[]; /* in the order of the help, ended by NULL */
const struct mt_command *mt_command_find(const char *name);

/* The groups of the help and the manual, ended by a NULL title; their names by a NULL. */
struct mt_command_group {
    const char *title, *names[8];
};
extern const struct mt_command_group mt_command_groups[];
bool mt_command_grouped(const struct mt_command *command);

extern const char mt_help_about[]; /* what all commands share: bundles and settings */
void mt_manual_print(FILE *out);   /* moontide(1), as roff */

/* Reports an unknown name with the nearest known one; returns MT_EXIT_USAGE. */
int mt_command_unknown(const char *name);

/* How many single edits (insert, remove, replace, swap of neighbours) lead from a to b. */
unsigned mt_edit_distance(const char *a, const char *b);

#endif
