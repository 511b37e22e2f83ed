/* The usage and help texts of a command, read back. Called by man.c and completion.c. */
#include "cli/synopsis.h"

#include <ctype.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t blanks(struct mt_slice text)
{
    size_t n = 0;
    while (n < text.n && is_blank(text.p[n]))
        n++;
    return n;
}

static struct mt_slice after(struct mt_slice text, size_t n)
{
    return (struct mt_slice){text.p + n, text.n - n};
}

/* The length of an option's name at the beginning of text: one dash and a letter, or two and a word. */
static size_t name_length(struct mt_slice text)
{
    size_t dashes = 0, n;
    while (dashes < text.n && text.p[dashes] == '-')
        dashes++;
    if (dashes < 1 || dashes > 2)
        return 0;
    for (n = dashes; n < text.n && (islower((unsigned char)text.p[n]) || (n > dashes && text.p[n] == '-'));
         n++)
        ;
    return (dashes == 1 ? n == 2 : n > 3) ? n : 0;
}

bool mt_synopsis_line(struct mt_slice *text, struct mt_slice *line)
{
    if (!text->n)
        return false;
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n;
    *line = (struct mt_slice){text->p, n};
    *text = after(*text, n + (end != NULL));
    return true;
}

bool mt_synopsis_option_of(struct mt_slice line, struct mt_synopsis_option *out)
{
    struct mt_slice rest = after(line, blanks(line));
    size_t n = name_length(rest);
    if (!n || rest.n == line.n)
        return false;
    *out = (struct mt_synopsis_option){.name = {rest.p, n}};
    rest = after(rest, n);
    if (blanks(rest) == 1 && rest.n > 1) { /* its value reaches to the next gap */
        rest = after(rest, 1);
        const char *gap = memmem(rest.p, rest.n, "  ", 2);
        out->value = (struct mt_slice){rest.p, gap ? (size_t)(gap - rest.p) : rest.n};
        rest = after(rest, out->value.n);
    }
    out->text = after(rest, blanks(rest));
    return true;
}

static bool is_known(const struct mt_synopsis *s, struct mt_slice name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (mt_slice_eq(s->options[i].name, name))
            return true;
    return false;
}

static void add(struct mt_synopsis *s, const struct mt_synopsis_option *option)
{
    if (s->count < sizeof s->options / sizeof *s->options && !is_known(s, option->name))
        s->options[s->count++] = *option;
}

static bool ends_with(struct mt_slice text, const char *end)
{
    size_t n = strlen(end);
    return text.n >= n && memcmp(text.p + text.n - n, end, n) == 0;
}

bool mt_synopsis_is_file(struct mt_slice value)
{
    static const char *const names[] = {"FILE", "KEY", "DIR", "BUNDLE", "PATH", NULL};
    if (ends_with(value, "…"))
        value.n -= strlen("…");
    for (const char *const *name = names; *name; name++)
        if (mt_slice_is(value, *name))
            return true;
    return (value.n > 5 && memcmp(value.p, "FILE.", 5) == 0) || ends_with(value, ".key") ||
           ends_with(value, ".pub");
}

bool mt_synopsis_is_words(struct mt_slice value)
{
    return value.n && islower((unsigned char)value.p[0]) && !mt_synopsis_is_file(value);
}

bool mt_synopsis_word(struct mt_slice *words, struct mt_slice *word)
{
    if (!words->n)
        return false;
    const char *end = memchr(words->p, '|', words->n);
    size_t n = end ? (size_t)(end - words->p) : words->n;
    *word = (struct mt_slice){words->p, n};
    *words = after(*words, n + (end != NULL));
    return true;
}

/* A word of the usage that is no option: "BUNDLE…", "COMMAND", "bash|zsh|fish". */
static void argument(struct mt_synopsis *s, struct mt_slice word)
{
    if (mt_slice_is(word, "COMMAND"))
        s->arguments = MT_ARGUMENTS_COMMANDS;
    else if (mt_synopsis_is_file(word))
        s->arguments = MT_ARGUMENTS_FILES;
    else if (s->arguments == MT_ARGUMENTS_NONE && memchr(word.p, '|', word.n) && mt_synopsis_is_words(word)) {
        s->arguments = MT_ARGUMENTS_WORDS;
        s->words = word;
    }
}

/* One word of the usage, up to a blank or a bracket. */
static struct mt_slice word_of(struct mt_slice text)
{
    size_t n = 0;
    while (n < text.n && !strchr(" []()\n", text.p[n]))
        n++;
    return (struct mt_slice){text.p, n};
}

static void read_usage(struct mt_synopsis *s, struct mt_slice text)
{
    while (text.n) {
        struct mt_slice word = word_of(text);
        if (!word.n) {
            text = after(text, 1);
            continue;
        }
        size_t n = name_length(word);
        text = after(text, word.n);
        if (n != word.n) {
            argument(s, word);
            continue;
        }
        struct mt_synopsis_option option = {.name = word};
        if (text.n > 1 && text.p[0] == ' ') {
            struct mt_slice value = word_of(after(text, 1));
            if (value.n && value.p[0] != '-' && value.p[0] != '|') {
                option.value = value;
                text = after(text, 1 + value.n);
            }
        }
        add(s, &option);
    }
}

void mt_synopsis_read(const struct mt_command *command, struct mt_synopsis *out)
{
    *out = (struct mt_synopsis){.count = 0};
    struct mt_slice text = mt_slice_of(command->help), line;
    struct mt_synopsis_option option;
    while (mt_synopsis_line(&text, &line))
        if (mt_synopsis_option_of(line, &option))
            add(out, &option);
    text = mt_slice_of(command->usage);
    while (mt_synopsis_line(&text, &line)) {
        /* "moontide NAME" begins each line of it */
        size_t head = strlen("moontide ") + strlen(command->name);
        if (line.n >= head && memcmp(line.p, "moontide ", 9) == 0)
            line = after(line, head);
        read_usage(out, line);
    }
}
