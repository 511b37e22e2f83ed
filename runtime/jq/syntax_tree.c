/* Memory of syntax trees and the text of syntax errors: see syntax_tree.h. Any thread. */
#include "jq/syntax_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "jq/parser.h"

enum { CHUNK_MIN = 4096, CHUNK_MAX = 256 * 1024, ALIGNMENT = 16 };

struct mt_tree_chunk {
    struct mt_tree_chunk *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

void *mt_tree_alloc(struct mt_syntax_tree *tree, size_t n)
{
    struct mt_tree_chunk *c = tree->chunks;
    n = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!c || c->size - c->used < n) {
        size_t size = c ? c->size * 2 : CHUNK_MIN;
        size = size > CHUNK_MAX ? CHUNK_MAX : size;
        size = size < n ? n : size;
        c = mt_try_alloc(sizeof *c + size);
        if (!c)
            return NULL;
        *c = (struct mt_tree_chunk){.next = tree->chunks, .size = size};
        tree->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return memset(p, 0, n);
}

void mt_syntax_tree_free(struct mt_syntax_tree *tree)
{
    if (!tree)
        return;
    for (struct mt_tree_chunk *c = tree->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(tree);
}

const struct mt_node *mt_syntax_tree_root(const struct mt_syntax_tree *tree)
{
    return tree->root;
}

static void locate(struct mt_slice program, uint32_t at, struct mt_syntax_error *error)
{
    error->at = at > program.n ? (uint32_t)program.n : at;
    error->line = error->column = 1;
    for (size_t i = 0; i < error->at; i++) {
        if (program.p[i] == '\n') {
            error->line++;
            error->column = 1;
        } else if (((unsigned char)program.p[i] & 0xC0) != 0x80) {
            error->column++;
        }
    }
}

/* The text is cut at a character, so that it stays UTF-8 in logs and JSON. */
static void write_text(struct mt_syntax_error *error, const char *format, va_list arguments)
{
    char text[2 * sizeof error->text];
    int n = snprintf(text, sizeof text, "line %u, column %u: ", error->line, error->column);
    vsnprintf(text + n, sizeof text - (size_t)n, format, arguments);
    struct mt_slice cut = mt_utf8_cut(mt_slice_of(text), sizeof error->text - 1);
    memcpy(error->text, cut.p, cut.n);
    error->text[cut.n] = '\0';
}

void mt_syntax_error_at(struct mt_slice program, uint32_t at, struct mt_syntax_error *error,
                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    locate(program, at, error);
    write_text(error, format, arguments);
    va_end(arguments);
}

void *mt_parser_fail(struct mt_parser *p, uint32_t at, const char *format, ...)
{
    va_list arguments;
    if (p->failed)
        return NULL;
    p->failed = true;
    va_start(arguments, format);
    locate(p->lexer.s, at, p->error);
    write_text(p->error, format, arguments);
    va_end(arguments);
    return NULL;
}

/* Hints ------------------------------------------------------------------------------------------------- */

static bool text_is(const struct mt_parser *p, size_t at, const char *text)
{
    size_t n = strlen(text);
    return p->lexer.s.n - at >= n && memcmp(p->lexer.s.p + at, text, n) == 0;
}

/* What somebody means who writes a character that jq does not have. */
static const char *hint_for_character(const struct mt_parser *p)
{
    static const struct {
        const char *text, *hint;
    } hints[] = {
        {"'", "strings stand in double quotes"},
        {"`", "strings stand in double quotes"},
        {"\xE2\x80\x98", "a typographic quote: strings stand in plain double quotes (\")"},
        {"\xE2\x80\x99", "a typographic quote: strings stand in plain double quotes (\")"},
        {"\xE2\x80\x9C", "a typographic quote: strings stand in plain double quotes (\")"},
        {"\xE2\x80\x9D", "a typographic quote: strings stand in plain double quotes (\")"},
        {"\xE2\x80\x9E", "a typographic quote: strings stand in plain double quotes (\")"},
        {"\xC2\xA0", "a no-break space: type a plain one"},
        {"\xE2\x80\x8B", "an invisible character (zero width space): delete it"},
        {"\xEF\xBB\xBF", "an invisible character (byte order mark): delete it"},
        {"\xE2\x80\x93", "a dash: the operator is -"},
        {"\xE2\x80\x94", "a dash: the operator is -"},
        {"\xE2\x88\x92", "a dash: the operator is -"},
        {"\xE2\x80\xA6", "write .. as two dots"},
        {"&&", "the operator is `and`"},
        {"&", "the operator is `and`"},
        {"!", "write `| not` behind what is to be negated, or `!=`"},
        {"$", "a name follows $ directly"},
        {"@", "a format's name follows @ directly, as in @base64"},
        {"^", "for powers there is pow(a; b)"},
        {"\\", "a backslash has a meaning inside of strings only"},
        {"~", "patterns are tested with test(\"…\")"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (text_is(p, p->token.at, hints[i].text))
            return hints[i].hint;
    return "no character of jq's language outside of strings";
}

static bool starts_term(int kind)
{
    switch (kind) {
    case MT_TOKEN_NAME:
    case MT_TOKEN_FIELD:
    case MT_TOKEN_VARIABLE:
    case MT_TOKEN_FORMAT:
    case MT_TOKEN_NUMBER:
    case MT_TOKEN_QUOTE:
    case MT_TOKEN_RECURSE:
    case MT_TOKEN_IF:
    case MT_TOKEN_REDUCE:
    case MT_TOKEN_FOREACH:
    case MT_TOKEN_TRY:
    case MT_TOKEN_DEF:
    case '.':
    case '(':
    case '[':
    case '{':
        return true;
    }
    return false;
}

static bool ends_term(int kind)
{
    switch (kind) {
    case MT_TOKEN_NAME:
    case MT_TOKEN_FIELD:
    case MT_TOKEN_VARIABLE:
    case MT_TOKEN_FORMAT:
    case MT_TOKEN_NUMBER:
    case MT_TOKEN_QUOTE:
    case MT_TOKEN_RECURSE:
    case MT_TOKEN_FINISH:
    case '.':
    case ')':
    case ']':
    case '}':
    case '?':
        return true;
    }
    return false;
}

static const char *hint_for_operator(const struct mt_parser *p)
{
    static const struct {
        const char *text, *hint;
    } doubled[] = {
        {"||", "the operator is `or`"},
        {"=>", "the operator is >="},
        {"=<", "the operator is <="},
        {"<>", "the operator is !="},
        {"**", "for powers there is pow(a; b)"},
        {"++", "there is no ++: write . + 1, or |= . + 1"},
        {":=", "the operator is ="},
        {"???", "?// is for the patterns of `as`"},
    };
    uint32_t at = p->token.at;
    if (at > 1 && p->token.kind == '=' && text_is(p, at - 2, "==="))
        return "the operator is ==";
    for (size_t i = 0; at > 0 && i < sizeof doubled / sizeof *doubled; i++)
        if (text_is(p, at - 1, doubled[i].text))
            return doubled[i].hint;
    return NULL;
}

static const char *hint(const struct mt_parser *p)
{
    const int kind = p->token.kind;
    const char *found;
    if (kind == MT_TOKEN_BAD)
        return hint_for_character(p);
    if ((found = hint_for_operator(p)))
        return found;
    switch (kind) {
    case MT_TOKEN_IMPORT:
    case MT_TOKEN_INCLUDE:
    case MT_TOKEN_MODULE:
        return "modules are not supported";
    case MT_TOKEN_ELIF:
    case MT_TOKEN_ELSE:
    case MT_TOKEN_THEN:
    case MT_TOKEN_FINISH:
        if (p->open != MT_TOKEN_IF)
            return p->open ? "a bracket before it is not closed, or there is no `if` to it"
                           : "there is no `if` that it belongs to";
        break;
    case MT_TOKEN_CATCH:
        return "there is no `try` that it belongs to";
    case MT_TOKEN_AS:
        return "what is bound here needs parentheses: (… as $name | …)";
    case MT_TOKEN_DEF:
        return "a definition inside of an expression needs parentheses: (def …; …)";
    case MT_TOKEN_LABEL:
        return "a label inside of an expression needs parentheses: (label $name | …)";
    case '=':
        if (p->before != '=')
            break;
        return "the operator is ==";
    case ';':
        return p->open == '(' ? NULL : "; separates arguments inside of parentheses, and ends definitions";
    }
    if (p->before == ',' && (kind == ']' || kind == '}' || kind == ')' || kind == MT_TOKEN_END))
        return "nothing follows the comma before it";
    if (p->before == '|' && !starts_term(kind))
        return "nothing follows the | before it";
    if (kind == MT_TOKEN_QUOTE && p->open == '(' && p->open_at && text_is(p, p->open_at - 1, "\\("))
        return "an operator is missing before it, or the ) to a \\( in a string";
    if (ends_term(p->before) && starts_term(kind))
        return "an operator is missing before it, perhaps |";
    return NULL;
}

static const char *open_name(int open, char out[8])
{
    if (open == MT_TOKEN_IF)
        return "`if`";
    snprintf(out, 8, "'%c'", (char)open);
    return out;
}

static int closer(int open)
{
    return open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : 0;
}

/* Where the innermost open construct began, for a program or bracket that ends too early. */
static bool unclosed(struct mt_parser *p)
{
    struct mt_syntax_error start;
    char name[8];
    const char closing[] = {(char)closer(p->open), '\0'};
    if (!p->open)
        return false;
    locate(p->lexer.s, p->open_at, &start);
    mt_parser_fail(p, p->token.at, "%s of line %u, column %u is not closed: '%s' is missing%s",
                   open_name(p->open, name), start.line, start.column,
                   p->open == MT_TOKEN_IF ? "end" : closing,
                   p->open == MT_TOKEN_IF && p->else_if ? " (write `elif` for `else if`)" : "");
    return true;
}

void *mt_parser_unexpected(struct mt_parser *p, const char *wanted)
{
    const struct mt_token *t = &p->token;
    const bool closes = t->kind == ')' || t->kind == ']' || t->kind == '}';
    const bool other = (closes && t->kind != closer(p->open)) ||
                       (t->kind == MT_TOKEN_FINISH && p->open != MT_TOKEN_IF) || t->kind == MT_TOKEN_END;
    const char *why = hint(p);
    if (p->failed)
        return NULL;
    if (!why && other && unclosed(p))
        return NULL;
    if (t->kind == MT_TOKEN_END)
        return mt_parser_fail(p, t->at, "the program ends too early: %s", why ? why : wanted);
    struct mt_slice near = {p->lexer.s.p + t->at, p->lexer.s.n - t->at};
    const char *line_end = memchr(near.p, '\n', near.n);
    near = mt_utf8_cut(near, 24);
    if (line_end && line_end < near.p + near.n)
        near.n = (size_t)(line_end - near.p);
    struct mt_slice token = {p->lexer.s.p + t->at, t->end - t->at};
    token = mt_utf8_cut(token, 40);
    if (!why && closes && !p->open)
        why = "no bracket is open that it would close";
    if (near.n == token.n)
        return mt_parser_fail(p, t->at, "unexpected '%.*s': %s", MT_FMT(token), why ? why : wanted);
    return mt_parser_fail(p, t->at, "unexpected '%.*s' near \"%.*s\": %s", MT_FMT(token), MT_FMT(near),
                          why ? why : wanted);
}
