/* Private to cli/: the table of commands. */
#ifndef MT_CLI_TABLE_H
#define MT_CLI_TABLE_H

#include "base/buf.h"
#include "cli/command.h"

extern const struct mt_command mt_command_help;

extern const struct mt_command *const mt_commands[]; /* in the order of the help, ended by NULL */
const struct mt_command *mt_command_find(const char *name);

/* Reports an unknown name with the nearest known one; returns MT_EXIT_USAGE. */
int mt_command_unknown(const char *name);

/* How many single edits (insert, remove, replace, swap of neighbours) lead from a to b. */
unsigned mt_edit_distance(const char *a, const char *b);

#endif
