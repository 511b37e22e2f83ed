/* The commands: one file each. */
#ifndef MT_CLI_COMMAND_H
#define MT_CLI_COMMAND_H

#include "base/error.h"

enum { MT_EXIT_OK = 0, MT_EXIT_FAILED = 1, MT_EXIT_USAGE = 2, MT_EXIT_PORT = 3 };

struct mt_command {
    const char *name;
    const char *usage;                 /* "moontide map (BUNDLE | --mapping FILE) …" */
    const char *summary;               /* one line */
    const char *help;                  /* options and exit codes, one a line */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
    bool hidden;
};
extern const struct mt_command mt_command_validate, mt_command_map, mt_command_jq, mt_command_resync,
    mt_command_plan, mt_command_run, mt_command_catalog, mt_command_doctor, mt_command_test,
    mt_command_record, mt_command_new, mt_command_version, mt_command_busted, mt_command_pack,
    mt_command_keygen, mt_command_verify, mt_command_inspect;

/* Prints "moontide NAME: MESSAGE" and where help is; returns MT_EXIT_USAGE. */
int mt_usage_error(const struct mt_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints "moontide NAME: TEXT" (masked) on stderr; returns code. */
int mt_command_failed(const struct mt_command *command, const struct mt_err *err, int code);

/* The engine of jq and its limits from the environment and --engine (NULL: not given). false after it
 * reported a usage error. Before any thread is started. */
bool mt_command_engine(const struct mt_command *command, const char *engine);

/* Long options: "--name VALUE", "--name=VALUE", flags; "--" ends them. Positional arguments are moved to the
 * front of argv[1…]. */
struct mt_option {
    const char *name;   /* without dashes; NULL ends the list */
    const char **value; /* set for an option with a value (last one wins) */
    const char **list;  /* or appended to: room for list_max values and NULL */
    unsigned list_max;
    bool *flag;  /* or set to true */
    bool greedy; /* with list: also takes the arguments that follow, up to the next option */
};
/* Returns the number of positional arguments, or -1 after it reported a usage error. */
int mt_options_parse(const struct mt_command *command, int argc, char **argv,
                     const struct mt_option *options);

#endif
