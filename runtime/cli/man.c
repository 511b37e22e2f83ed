/* The manual page moontide(1), written from the texts of the commands: `moontide help --man`. The build runs
 * it and installs what it prints. Plain man(7), for groff and mandoc alike; no date, so that builds are
 * reproducible. */
#include <stdio.h>

#include "cli/synopsis.h"
#include "cli/table.h"

/* Text for roff: what it would take for an escape or a request is written as a character; other than ASCII by
 * code point, so that the page needs no preconv. */
static void put(FILE *out, struct mt_slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else if (c == '`')
            fputs("\\(ga", out);
        else if (c == '^')
            fputs("\\(ha", out);
        else if (c == '~')
            fputs("\\(ti", out);
        else if (c == '\'' || c == '"')
            fputs(c == '"' ? "\\(dq" : "\\(aq", out);
        else if (c == '.' && i == 0)
            fputs("\\&.", out);
        else if (c < 0x80)
            fputc(c, out);
        else {
            /* Our own texts: well-formed UTF-8 of two to four bytes. */
            unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1, code = c & (0x3fu >> more);
            while (more-- && i + 1 < text.n)
                code = code << 6 | ((unsigned char)text.p[++i] & 0x3fu);
            fprintf(out, "\\[u%04X]", code);
        }
    }
}

static void puts_roff(FILE *out, const char *text)
{
    put(out, mt_slice_of(text));
}

static struct mt_slice trimmed(struct mt_slice line)
{
    while (line.n && line.p[0] == ' ') {
        line.p++;
        line.n--;
    }
    while (line.n && line.p[line.n - 1] == ' ')
        line.n--;
    return line;
}

/* Fills a paragraph: roff breaks its lines. */
static void put_filled(FILE *out, const char *text)
{
    struct mt_slice rest = mt_slice_of(text), line;
    while (mt_synopsis_line(&rest, &line)) {
        put(out, trimmed(line));
        fputc('\n', out);
    }
}

static size_t indent_of(struct mt_slice line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

/* A line that explains a term: an option, or an argument as in "  FILE   raw items". */
static bool is_term(struct mt_slice line, struct mt_synopsis_option *out)
{
    if (mt_synopsis_option_of(line, out))
        return true;
    struct mt_slice rest = trimmed(line);
    size_t n = 0;
    while (n < rest.n && rest.p[n] >= 'A' && rest.p[n] <= 'Z')
        n++;
    if (rest.n == line.n || n < 2 || n + 2 >= rest.n || memcmp(rest.p + n, "  ", 2) != 0)
        return false;
    *out = (struct mt_synopsis_option){.name = {rest.p, n}};
    out->text = trimmed((struct mt_slice){rest.p + n, rest.n - n});
    return true;
}

/* A row of a table has a gap inside: "exit 0   every item went through". */
static bool is_row(struct mt_slice line)
{
    struct mt_slice text = trimmed(line);
    return memmem(text.p, text.n, "  ", 2) != NULL;
}

static void put_term(FILE *out, const struct mt_synopsis_option *term)
{
    fputs(".TP\n.B ", out);
    put(out, term->name);
    if (term->value.n) {
        fputs(" \\fI", out);
        put(out, term->value);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(out, term->text);
    fputc('\n', out);
}

static void put_help(FILE *out, const char *help)
{
    enum { NOTHING, PARAGRAPH, TERM, TABLE } inside = NOTHING;
    struct mt_slice rest = mt_slice_of(help), line;
    struct mt_synopsis_option term;
    size_t indent = 0; /* of the term that the lines below go on with */
    while (mt_synopsis_line(&rest, &line)) {
        struct mt_slice text = trimmed(line);
        bool begins_term = is_term(line, &term);
        bool row = !begins_term && !(inside == TERM && indent_of(line) > indent) && is_row(line);
        bool exits = text.n > 5 && memcmp(text.p, "exit ", 5) == 0;
        if (inside == TABLE && (!row || exits)) {
            fputs(".EE\n", out);
            inside = NOTHING;
        }
        if (!text.n) {
            inside = NOTHING;
        } else if (begins_term) {
            put_term(out, &term);
            inside = TERM;
            indent = indent_of(line);
        } else if (row) {
            fputs(inside == TABLE ? "" : ".PP\n.EX\n", out);
            put(out, line);
            fputc('\n', out);
            inside = TABLE;
        } else {
            bool goes_on = inside == TERM ? indent_of(line) > indent : inside == PARAGRAPH && !exits;
            fputs(goes_on ? "" : ".PP\n", out);
            put(out, text);
            fputc('\n', out);
            inside = goes_on ? inside : PARAGRAPH;
        }
    }
    fputs(inside == TABLE ? ".EE\n" : "", out);
}

static void put_command(FILE *out, const struct mt_command *command)
{
    fputs(".SS ", out);
    puts_roff(out, command->name);
    struct mt_slice rest = mt_slice_of(command->usage), line;
    for (const char *begin = "\n.B "; mt_synopsis_line(&rest, &line); begin = "\n.br\n.B ") {
        fputs(begin, out);
        put(out, trimmed(line));
    }
    fputs("\n.PP\n", out);
    put_filled(out, command->summary);
    if (command->help)
        put_help(out, command->help);
}

/* Fixed parts; lines that begin with a dot are requests, so they are not escaped. */
static const char intro[] =
    ".SH NAME\nmoontide \\- runs Port integrations written in Lua\n"
    ".SH SYNOPSIS\n.B moontide\n.I COMMAND\n.RI [ ARGUMENT .\\|.\\|.]\n"
    ".SH DESCRIPTION\n"
    "moontide runs integrations for Port (getport.io) that are written in Lua. The script fetches raw data "
    "from an API and\nyields it page by page; the program does the HTTP, maps the data to entities with jq, "
    "compares them with what\nPort already holds, and makes Port match. What is not proven gone is never "
    "deleted.\n.PP\n";

static const char outro[] =
    ".SH ENVIRONMENT\n"
    "Each setting is read from the environment, then from\n.I .env\nin the working directory or the bundle, "
    "then from the bundle\\(aqs\n.IR config.yaml .\n.B MOONTIDE__X\nis the same setting as\n.BR OCEAN__X .\n"
    ".TP\n.BR OCEAN__PORT__CLIENT_ID \", \" OCEAN__PORT__CLIENT_SECRET\n"
    "credentials of Port; without them, and without a base URL, Port is the embedded catalog\n"
    ".TP\n.B OCEAN__PORT__BASE_URL\nPort\\(aqs API (https://api.getport.io)\n"
    ".TP\n.B OCEAN__INTEGRATION__IDENTIFIER\nidentifier of the integration "
    "(my\\-\\fITYPE\\fR\\-integration)\n"
    ".TP\n.BI OCEAN__INTEGRATION__CONFIG__ NAME\nthe integration\\(aqs own settings, as its spec.yaml names "
    "them\n"
    ".TP\n.B OCEAN__EVENT_LISTENER__TYPE\nPOLLING, WEBHOOK, WEBHOOKS_ONLY or ONCE\n"
    ".TP\n.BR APPLICATION__PORT \", \" MOONTIDE__ADMIN__LISTEN\nthe public port (8000) and the address of "
    "health, metrics and reload (127.0.0.1:8001)\n"
    ".TP\n.BR APPLICATION__LOG_LEVEL \", \" MOONTIDE__LOG__FORMAT\nDEBUG, INFO, WARNING or ERROR; text or "
    "json\n"
    ".TP\n.B MOONTIDE__ENGINE\nnative (the default) or libjq: what evaluates jq\n"
    ".TP\n.BR MOONTIDE__JQ__STEPS \", \" MOONTIDE__JQ__MEMORY_MB\nlimits of one evaluation of an expression "
    "(50000000, 256)\n"
    ".TP\n.BR http_proxy \", \" https_proxy \", \" no_proxy \", \" SSL_CERT_FILE \", \" SSL_CERT_DIR\n"
    "proxies and certificates\n"
    ".TP\n.B NO_COLOR\nno colours\n"
    ".SH FILES\n"
    ".TP\n.I .moontide/state.db\nthe state file, below the working directory; losing it costs time, never an "
    "entity\n"
    ".TP\n.I .moontide/catalog.db\nthe embedded catalog\n"
    ".SH SEE ALSO\n.BR jq (1),\n.BR lua (1)\n";

static void put_heading(FILE *out, const char *title)
{
    fputs(".SH ", out);
    for (const char *c = title; *c; c++)
        fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
    fputc('\n', out);
}

void mt_manual_print(FILE *out)
{
    fprintf(out,
            ".\\\" Generated from the commands of moontide %s.\n.TH MOONTIDE 1 \"\" \"moontide %s\" \"User "
            "Commands\"\n.nr HY 0\n.ad l\n%s",
            MT_VERSION, MT_VERSION, intro);
    put_filled(out, mt_help_about);
    for (const struct mt_command_group *group = mt_command_groups; group->title; group++) {
        put_heading(out, group->title);
        for (const char *const *name = group->names; *name; name++) {
            const struct mt_command *command = mt_command_find(*name);
            if (command && !command->hidden)
                put_command(out, command);
        }
    }
    bool more = false;
    for (const struct mt_command *const *command = mt_commands; *command; command++)
        if (!(*command)->hidden && !mt_command_grouped(*command)) {
            fputs(more ? "" : ".SH MORE COMMANDS\n", out);
            more = true;
            put_command(out, *command);
        }
    fputs(outro, out);
}
