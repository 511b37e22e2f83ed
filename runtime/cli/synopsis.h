/* Private to cli/: what a command's usage and help texts say about its options, so that the man page and the
 * completions of the shells are made from the same texts as `moontide help`.
 *
 * An option of the help begins its line: blanks, `--NAME VALUE` or `--NAME` (also `-o FILE`), two blanks or
 * more, its text; deeper lines go on with the text. Options that only the usage names have no text. */
#ifndef MT_CLI_SYNOPSIS_H
#define MT_CLI_SYNOPSIS_H

#include "base/slice.h"
#include "cli/command.h"

struct mt_synopsis_option {
    struct mt_slice name;  /* with its dashes */
    struct mt_slice value; /* "FILE", "native|libjq"; empty: a flag */
    struct mt_slice text;  /* the first line of its text; may be empty */
};

enum mt_synopsis_arguments {
    MT_ARGUMENTS_NONE,
    MT_ARGUMENTS_FILES,    /* bundles, files, folders */
    MT_ARGUMENTS_COMMANDS, /* names of commands */
    MT_ARGUMENTS_WORDS     /* one of the words in `words` */
};

struct mt_synopsis {
    struct mt_synopsis_option options[32];
    unsigned count;
    enum mt_synopsis_arguments arguments;
    struct mt_slice words; /* "bash|zsh|fish" */
};

/* Everything in it points into the command's texts. */
void mt_synopsis_read(const struct mt_command *command, struct mt_synopsis *out);

/* Takes the first line off *text, without its newline; false at the end. */
bool mt_synopsis_line(struct mt_slice *text, struct mt_slice *line);
/* The option that begins this line of a help text; false when none does. */
bool mt_synopsis_option_of(struct mt_slice line, struct mt_synopsis_option *out);

/* Does a value of this name stand for a file or a folder? */
bool mt_synopsis_is_file(struct mt_slice value);
/* Takes the next word off "a|b|c"; false at the end. A list of words is one that has a '|' in it or begins
 * with a small letter. */
bool mt_synopsis_word(struct mt_slice *words, struct mt_slice *word);
bool mt_synopsis_is_words(struct mt_slice value);

#endif
