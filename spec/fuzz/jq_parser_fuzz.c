/* Any bytes as a jq program: the parser takes it or says where it is broken. A tree's nodes lie within the
 * program, its heights are what they say and below the limit, and every child that has to be there is. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "jq/definition.h"
#include "jq/syntax_tree.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "jq_parser_fuzz: %s\n", what);
    abort();
}

static size_t program_bytes;

static unsigned node(const struct mt_node *n);

static unsigned max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static unsigned optional(const struct mt_node *n)
{
    return n ? node(n) : 0;
}

static unsigned pattern(const struct mt_pattern *p)
{
    unsigned height = 0;
    must(p->kind == MT_PATTERN_VARIABLE ? p->name.n > 0 : p->count > 0, "an empty pattern");
    for (unsigned i = 0; i < p->count; i++) {
        const struct mt_pattern_entry *e = &p->entries[i];
        must((p->kind == MT_PATTERN_OBJECT) == (e->key != NULL), "a pattern's key");
        must(e->value || e->name.n > 0, "a pattern that binds nothing");
        height = max(height, optional(e->key));
        height = max(height, e->value ? pattern(e->value) : 0);
    }
    must(p->height == height + 1, "a pattern's height");
    return p->height;
}

static unsigned node(const struct mt_node *n)
{
    /* how many of a, b, c, d have to be there */
    static const unsigned char wanted[] = {
        [MT_NODE_INDEX] = 2,  [MT_NODE_SLICE] = 1,   [MT_NODE_EACH] = 1,    [MT_NODE_TRY] = 1,
        [MT_NODE_NEGATE] = 1, [MT_NODE_PIPE] = 2,    [MT_NODE_COMMA] = 2,   [MT_NODE_AND] = 2,
        [MT_NODE_OR] = 2,     [MT_NODE_BINARY] = 2,  [MT_NODE_ASSIGN] = 2,  [MT_NODE_ALTERNATIVE] = 2,
        [MT_NODE_IF] = 2,     [MT_NODE_REDUCE] = 3,  [MT_NODE_FOREACH] = 3, [MT_NODE_BIND] = 2,
        [MT_NODE_LABEL] = 1,  [MT_NODE_VARIABLE] = 0};
    const struct mt_node *children[] = {n->a, n->b, n->c, n->d};
    unsigned height = 0;
    must(n->at <= program_bytes, "a node's place");
    must(n->kind <= MT_NODE_VARIABLE, "a node's kind");
    for (unsigned i = 0; i < 4; i++) {
        must(children[i] || i >= wanted[n->kind], "a missing child");
        height = max(height, optional(children[i]));
    }
    if (n->kind == MT_NODE_SLICE)
        must(n->b || n->c, "a slice of all");
    if (n->kind == MT_NODE_OBJECT)
        must(n->count % 2 == 0, "an object's entries");
    if (n->kind == MT_NODE_NUMBER)
        must(n->text.n > 0 && n->text.p[0] != '.' && n->text.p[n->text.n - 1] != '.', "a number's text");
    if (n->kind == MT_NODE_STRING)
        for (size_t i = 0, step; i < n->text.n; i += step)
            must((step = mt_utf8_length(n->text.p + i, n->text.p + n->text.n)) > 0, "a string's bytes");
    if (n->list)
        for (unsigned i = 0; i < n->count; i++)
            height = max(height, node(n->list[i]));
    must((n->patterns != NULL) ==
             (n->kind == MT_NODE_BIND || n->kind == MT_NODE_REDUCE || n->kind == MT_NODE_FOREACH),
         "patterns");
    if (n->patterns)
        for (unsigned i = 0; i < n->count; i++)
            height = max(height, pattern(n->patterns[i]));
    must((n->function != NULL) == (n->kind == MT_NODE_FUNCTION), "a function");
    if (n->function) {
        must(n->function->name.n > 0, "a function's name");
        height = max(height, node(n->function->body));
    }
    must(n->height == height + 1 && n->height <= MT_SYNTAX_HEIGHT, "a node's height");
    return n->height;
}

static void check(struct mt_syntax_tree *tree, const struct mt_syntax_error *error)
{
    if (tree) {
        node(mt_syntax_tree_root(tree));
    } else {
        must(error->at <= program_bytes && error->line > 0 && error->column > 0, "an error's place");
        must(strncmp(error->text, "line ", 5) == 0 && strlen(error->text) < sizeof error->text,
             "an error's text");
    }
    mt_syntax_tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_slice text = {(const char *)data, size};
    struct mt_syntax_error error;
    program_bytes = size;
    check(mt_jq_parse(text, &error), &error);
    check(mt_jq_parse_definition(text, &error), &error);
    if (size > 0)
        mt_definition_find((struct mt_slice){text.p + 1, size - 1}, data[0]);
    return 0;
}
