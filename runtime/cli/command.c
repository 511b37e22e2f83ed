/* What the commands share: options, and the two ways to end with a message. */
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/table.h"
#include "jq/engine.h"

int mt_usage_error(const struct mt_command *command, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "moontide %s: %s\nHow it is used: moontide help %s\n", command->name, mt_mask(text),
            command->name);
    return MT_EXIT_USAGE;
}

int mt_command_failed(const struct mt_command *command, const struct mt_err *err, int code)
{
    char *text = mt_strdup(err->text);
    fprintf(stderr, "moontide %s: %s\n", command->name, mt_mask(text));
    free(text);
    return code;
}

static unsigned least_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

bool mt_command_engine(const struct mt_command *command, const char *engine)
{
    struct mt_err err;
    enum mt_engine chosen;
    if (mt_engine_from_environment(&err) != MT_OK) {
        mt_usage_error(command, "%s", err.text);
        return false;
    }
    if (!engine)
        return true;
    if (!mt_engine_parse(engine, &chosen)) {
        mt_usage_error(command, "--engine %s: native or libjq is expected", engine);
        return false;
    }
    mt_engine_choose(chosen);
    return true;
}

/* Optimal string alignment over three rows: words here are shorter than 64 bytes, longer ones are as far as
 * their length. */
unsigned mt_edit_distance(const char *a, const char *b)
{
    enum { longest = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= longest || m >= longest)
        return (unsigned)(n > m ? n : m);
    unsigned rows[3][longest + 1];
    for (unsigned j = 0; j <= m; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = least_of(least_of(above[j] + 1, row[j - 1] + 1), above[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], second[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

static size_t dashes_of(const char *name)
{
    return name[1] ? 2 : 1; /* an option of one letter is written -o */
}

static const struct mt_option *find(const struct mt_option *options, const char *text, size_t length)
{
    for (const struct mt_option *option = options; option->name; option++)
        if (strlen(option->name) == length && memcmp(option->name, text, length) == 0)
            return option;
    return NULL;
}

static void unknown(const struct mt_command *command, const struct mt_option *options, const char *argument,
                    size_t length)
{
    char *name = mt_slice_dup((struct mt_slice){argument, length});
    const struct mt_option *nearest = NULL;
    unsigned least = 3;
    for (const struct mt_option *option = options; option->name; option++) {
        unsigned distance = mt_edit_distance(name + strspn(name, "-"), option->name);
        if (distance < least) {
            least = distance;
            nearest = option;
        }
    }
    if (nearest)
        mt_usage_error(command, "unknown option '%.*s'. Did you mean '%s%s'?", MT_FOREIGN, name,
                       "--" + (2 - dashes_of(nearest->name)), nearest->name);
    else
        mt_usage_error(command, "unknown option '%.*s' (what is no option comes after '--')", MT_FOREIGN,
                       name);
    free(name);
}

/* Stores a value; false after it reported why not. */
static bool store(const struct mt_command *command, const struct mt_option *option, const char *value)
{
    if (option->value) {
        *option->value = value;
        return true;
    }
    unsigned used = 0;
    while (used < option->list_max && option->list[used])
        used++;
    if (used == option->list_max) {
        mt_usage_error(command, "--%s is given more than %u times", option->name, option->list_max);
        return false;
    }
    option->list[used] = value;
    option->list[used + 1] = NULL;
    return true;
}

int mt_options_parse(const struct mt_command *command, int argc, char **argv, const struct mt_option *options)
{
    int positional = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (ended || argument[0] != '-' || argument[1] == '\0') { /* "-" is a file: stdin */
            argv[++positional] = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            ended = true;
            continue;
        }
        size_t dashes = argument[1] == '-' ? 2 : 1;
        const char *name = argument + dashes;
        size_t length = strcspn(name, "=");
        const struct mt_option *option = find(options, name, length);
        if (!option || dashes_of(option->name) != dashes) {
            unknown(command, options, argument, dashes + length);
            return -1;
        }
        const char *value = name[length] == '=' ? name + length + 1 : NULL;
        if (option->flag) {
            if (value) {
                mt_usage_error(command, "--%s takes no value", option->name);
                return -1;
            }
            *option->flag = true;
            continue;
        }
        if (!value) {
            /* A value may start with one dash (a number, stdin); two are the next option, that somebody
             * forgot a value before. */
            if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0) {
                mt_usage_error(command, "%s needs a value: %s VALUE, or %s=VALUE", argument, argument,
                               argument);
                return -1;
            }
            value = argv[++i];
        }
        if (!store(command, option, value))
            return -1;
        while (option->greedy && i + 1 < argc && argv[i + 1][0] != '-')
            if (!store(command, option, argv[++i]))
                return -1;
    }
    return positional;
}
