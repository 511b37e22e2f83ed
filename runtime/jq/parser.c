/* The parser of jq programs: see syntax_tree.h. This file holds the operators, `def`, and the nodes.
 *
 * Called by the compiler on any thread. It recurses for what nests (a counter bounds that), and loops over
 * what is a chain. `|` and `,` are associative, so that a long chain of them becomes a balanced tree. */
#include "jq/parser.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

/* Nodes ------------------------------------------------------------------------------------------------- */

struct mt_node *mt_parser_node(struct mt_parser *p, enum mt_node_kind kind, uint32_t at)
{
    struct mt_node *node = mt_tree_alloc(p->tree, sizeof *node);
    if (!node)
        return mt_parser_fail(p, at, "not enough memory for the program");
    node->kind = kind;
    node->at = at;
    node->height = 1;
    return node;
}

struct mt_node *mt_parser_text(struct mt_parser *p, enum mt_node_kind kind, uint32_t at, struct mt_slice text)
{
    struct mt_node *node = mt_parser_node(p, kind, at);
    if (node)
        node->text = text;
    return node;
}

static unsigned higher(unsigned height, const struct mt_node *child)
{
    return child && child->height > height ? child->height : height;
}

struct mt_node *mt_parser_done(struct mt_parser *p, struct mt_node *node)
{
    if (!node)
        return NULL;
    unsigned height = higher(higher(higher(higher(0, node->a), node->b), node->c), node->d);
    if (node->list)
        for (unsigned i = 0; i < node->count; i++)
            height = higher(height, node->list[i]);
    if (node->patterns)
        for (unsigned i = 0; i < node->count; i++)
            height = node->patterns[i]->height > height ? node->patterns[i]->height : height;
    if (node->function)
        height = higher(height, node->function->body);
    node->height = height + 1;
    if (node->height > MT_SYNTAX_HEIGHT)
        return mt_parser_fail(p, node->at, "the program nests, or chains operators, more than %d deep",
                              MT_SYNTAX_HEIGHT);
    return node;
}

struct mt_node *mt_parser_pair(struct mt_parser *p, enum mt_node_kind kind, uint32_t at, struct mt_node *a,
                               struct mt_node *b)
{
    struct mt_node *node = a ? mt_parser_node(p, kind, at) : NULL;
    if (!node)
        return NULL;
    node->a = a;
    node->b = b;
    return mt_parser_done(p, node);
}

bool mt_parser_push(struct mt_parser *p, struct mt_node *node)
{
    if (!node)
        return false;
    if (p->count == p->room) {
        unsigned room = p->room ? 2 * p->room : 64;
        struct mt_node **stack = mt_try_alloc(room * sizeof(struct mt_node *));
        if (!stack) {
            mt_parser_fail(p, node->at, "not enough memory for the program");
            return false;
        }
        if (p->count)
            memcpy(stack, p->stack, p->count * sizeof(struct mt_node *));
        free(p->stack);
        p->stack = stack;
        p->room = room;
    }
    p->stack[p->count++] = node;
    return true;
}

bool mt_parser_take(struct mt_parser *p, unsigned base, struct mt_node *node)
{
    node->count = p->count - base;
    node->list = mt_tree_alloc(p->tree, (node->count ? node->count : 1) * sizeof(struct mt_node *));
    if (!node->list) {
        mt_parser_fail(p, node->at, "not enough memory for the program");
        return false;
    }
    if (node->count)
        memcpy(node->list, p->stack + base, node->count * sizeof(struct mt_node *));
    p->count = base;
    return true;
}

/* Tokens ------------------------------------------------------------------------------------------------ */

void mt_parser_next(struct mt_parser *p)
{
    p->before = p->token.kind;
    mt_lex(&p->lexer, &p->token);
}

bool mt_parser_expect(struct mt_parser *p, int kind, const char *what)
{
    if (p->token.kind != kind) {
        mt_parser_unexpected(p, what);
        return false;
    }
    mt_parser_next(p);
    return true;
}

bool mt_parser_enter(struct mt_parser *p)
{
    if (p->depth >= MT_PARSER_DEPTH) {
        mt_parser_fail(p, p->token.at, "the program nests too deep");
        return false;
    }
    p->depth++;
    return true;
}

/* Operators --------------------------------------------------------------------------------------------- */

struct operator
{
    int level; /* binds the tighter the higher it is; 0: no operator */
    enum { LEFT, RIGHT, NONE } side;
    enum mt_node_kind kind;
    unsigned op;
};

static struct operator operator_of(int token)
{
    switch (token) {
    case MT_TOKEN_ALTERNATIVE:
        return (struct operator){1, RIGHT, MT_NODE_ALTERNATIVE, 0};
    case '=':
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '='};
    case MT_TOKEN_SET_PIPE:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '|'};
    case MT_TOKEN_SET_ADD:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '+'};
    case MT_TOKEN_SET_SUBTRACT:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '-'};
    case MT_TOKEN_SET_MULTIPLY:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '*'};
    case MT_TOKEN_SET_DIVIDE:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '/'};
    case MT_TOKEN_SET_MODULO:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '%'};
    case MT_TOKEN_SET_ALTERNATIVE:
        return (struct operator){2, NONE, MT_NODE_ASSIGN, '?'};
    case MT_TOKEN_OR:
        return (struct operator){3, LEFT, MT_NODE_OR, 0};
    case MT_TOKEN_AND:
        return (struct operator){4, LEFT, MT_NODE_AND, 0};
    case MT_TOKEN_EQ:
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_EQ};
    case MT_TOKEN_NE:
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_NE};
    case '<':
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_LT};
    case MT_TOKEN_LE:
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_LE};
    case '>':
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_GT};
    case MT_TOKEN_GE:
        return (struct operator){5, NONE, MT_NODE_BINARY, MT_OP_GE};
    case '+':
    case '-':
        return (struct operator){6, LEFT, MT_NODE_BINARY, (unsigned)token};
    case '*':
    case '/':
    case '%':
        return (struct operator){7, LEFT, MT_NODE_BINARY, (unsigned)token};
    }
    return (struct operator){.level = 0};
}

static struct mt_node *binary(struct mt_parser *p, int lowest)
{
    if (!mt_parser_enter(p))
        return NULL;
    struct mt_node *left = mt_parse_term(p);
    int closed = 0; /* level of the operator without a side that was just taken */
    while (left) {
        struct operator o = operator_of(p->token.kind);
        if (o.level == 0 || o.level < lowest)
            break;
        if (o.side == NONE && closed == o.level) {
            left = mt_parser_fail(p, p->token.at, "'%.*s' behind %s needs parentheses: (a %.*s b) %.*s c",
                                  MT_FMT(p->token.text),
                                  o.kind == MT_NODE_ASSIGN ? "another assignment" : "another comparison",
                                  MT_FMT(p->token.text), MT_FMT(p->token.text));
            break;
        }
        closed = o.side == NONE ? o.level : 0;
        struct mt_node *node = mt_parser_node(p, o.kind, left->at);
        mt_parser_next(p);
        struct mt_node *right = node ? binary(p, o.side == RIGHT ? o.level : o.level + 1) : NULL;
        if (right) {
            node->op = o.op;
            node->a = left;
            node->b = right;
        }
        left = right ? mt_parser_done(p, node) : NULL;
    }
    p->depth--;
    return left;
}

struct mt_node *mt_parse_expression(struct mt_parser *p)
{
    return binary(p, 1);
}

/* Queries ----------------------------------------------------------------------------------------------- */

static bool parameters(struct mt_parser *p, struct mt_function *f)
{
    unsigned base = p->count;
    do {
        mt_parser_next(p);
        if (p->token.kind == ')') {
            mt_parser_fail(p, p->token.at, "a function without parameters is defined without parentheses");
            return false;
        }
        bool value = p->token.kind == MT_TOKEN_VARIABLE;
        if (!value && p->token.kind != MT_TOKEN_NAME) {
            mt_parser_unexpected(p, "the name of a parameter is expected, as in def f(g; $x): …;");
            return false;
        }
        /* nodes for their room on the stack only */
        struct mt_node *node = mt_parser_text(p, MT_NODE_VARIABLE, p->token.at, p->token.text);
        if (node)
            node->op = value;
        if (!mt_parser_push(p, node))
            return false;
        mt_parser_next(p);
        if (p->token.kind == ',') {
            mt_parser_fail(p, p->token.at, "parameters are separated by ; and not by a comma");
            return false;
        }
    } while (p->token.kind == ';');
    f->count = p->count - base;
    f->parameters = mt_tree_alloc(p->tree, f->count * sizeof *f->parameters);
    if (!f->parameters) {
        mt_parser_fail(p, f->at, "not enough memory for the program");
        return false;
    }
    for (unsigned i = 0; i < f->count; i++)
        f->parameters[i] = (struct mt_parameter){p->stack[base + i]->text, p->stack[base + i]->op};
    p->count = base;
    return mt_parser_expect(p, ')', "a ) is expected behind the parameters");
}

/* At `def`: up to its semicolon. */
static struct mt_node *definition(struct mt_parser *p)
{
    const int open = p->open;
    struct mt_node *node = mt_parser_node(p, MT_NODE_FUNCTION, p->token.at);
    struct mt_function *f = node ? mt_tree_alloc(p->tree, sizeof *f) : NULL;
    if (!f)
        return mt_parser_fail(p, p->token.at, "not enough memory for the program");
    mt_parser_next(p);
    f->at = p->token.at;
    f->name = p->token.text;
    node->function = f;
    p->open = 0;
    if (!mt_parser_expect(p, MT_TOKEN_NAME, "the name of the function is expected"))
        return NULL;
    if (memchr(f->name.p, ':', f->name.n))
        return mt_parser_fail(p, f->at, "'%.*s': a definition's name has no ::", MT_FMT(f->name));
    if (p->token.kind == '(' && !parameters(p, f))
        return NULL;
    if (!mt_parser_expect(p, ':', "a : is expected behind the function's name: def f: …;"))
        return NULL;
    f->body = mt_parse_query(p);
    if (!f->body || !mt_parser_expect(p, ';', "a definition ends with a semicolon: def f: …;"))
        return NULL;
    p->open = open;
    return node;
}

static struct mt_node *label(struct mt_parser *p)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_LABEL, p->token.at);
    mt_parser_next(p);
    if (!node)
        return NULL;
    node->text = p->token.text;
    if (!mt_parser_expect(p, MT_TOKEN_VARIABLE, "a label's name is expected: label $name | …") ||
        !mt_parser_expect(p, '|', "a | is expected behind a label: label $name | …"))
        return NULL;
    return node;
}

/* At `as` behind source. */
static struct mt_node *bind(struct mt_parser *p, struct mt_node *source)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_BIND, source->at);
    if (!node)
        return NULL;
    node->a = source;
    if (!mt_parse_patterns(p, node) ||
        !mt_parser_expect(p, '|', "a | is expected behind what is bound: … as $name | …"))
        return NULL;
    return node;
}

/* stack[from…to) as one tree of kind, which is associative: leaning to the right as the grammar has it, and
 * balanced where that would be high. */
static struct mt_node *chain(struct mt_parser *p, enum mt_node_kind kind, unsigned from, unsigned to)
{
    struct mt_node *node = p->stack[to - 1];
    if (to - from <= 64) {
        for (unsigned i = to - 1; node && i-- > from;)
            node = mt_parser_pair(p, kind, p->stack[i]->at, p->stack[i], node);
        return node;
    }
    unsigned middle = from + (to - from) / 2;
    struct mt_node *left = chain(p, kind, from, middle);
    struct mt_node *right = left ? chain(p, kind, middle, to) : NULL;
    return right ? mt_parser_pair(p, kind, left->at, left, right) : NULL;
}

/* Replaces stack[from…] by a chain of it. */
static bool fold(struct mt_parser *p, enum mt_node_kind kind, unsigned from)
{
    struct mt_node *node = chain(p, kind, from, p->count);
    p->count = from;
    return mt_parser_push(p, node);
}

/* A `def`, `as` or `label` whose body is being read, and the chains that it is the last element of. */
struct prefix {
    struct mt_node *node;
    unsigned pipes, commas;
    struct prefix *outer;
};

/* At the end of a query: makes the chains at hand one node; that is the body of the prefix before them, which
 * is the last element of its own chains, and so on. */
static struct mt_node *close_query(struct mt_parser *p, struct prefix *prefix, unsigned pipes,
                                   unsigned commas)
{
    for (;; prefix = prefix->outer) {
        if (!fold(p, MT_NODE_COMMA, commas) || !fold(p, MT_NODE_PIPE, pipes))
            return NULL;
        struct mt_node *whole = p->stack[--p->count];
        if (!prefix)
            return whole;
        *(prefix->node->kind == MT_NODE_BIND ? &prefix->node->b : &prefix->node->a) = whole;
        if (!mt_parser_push(p, mt_parser_done(p, prefix->node)))
            return NULL;
        pipes = prefix->pipes;
        commas = prefix->commas;
    }
}

/* What begins with a prefix extends over all that follows: a query is (PREFIX | expression SEPARATOR)…
 * expression. Expressions wait on the stack until their chain ends: from commas on those of a `,` chain, from
 * pipes on those of a `|` chain. */
static struct mt_node *query(struct mt_parser *p, bool value)
{
    unsigned pipes = p->count, commas = p->count;
    struct prefix *prefix = NULL, *outer;
    struct mt_node *node = NULL;
    if (!mt_parser_enter(p))
        return NULL;
    for (;;) {
        if (!value && p->token.kind == MT_TOKEN_DEF) {
            node = definition(p);
        } else if (!value && p->token.kind == MT_TOKEN_LABEL) {
            node = label(p);
        } else {
            node = mt_parse_expression(p);
            if (!node)
                break;
            if (value || p->token.kind != MT_TOKEN_AS) {
                if (!mt_parser_push(p, node))
                    return NULL;
                if (p->token.kind == ',' && !value) {
                    mt_parser_next(p);
                } else if (p->token.kind == '|') {
                    mt_parser_next(p);
                    if (!fold(p, MT_NODE_COMMA, commas))
                        return NULL;
                    commas = p->count;
                } else {
                    node = close_query(p, prefix, pipes, commas);
                    break;
                }
                continue;
            }
            node = bind(p, node);
        }
        outer = prefix;
        prefix = node ? mt_tree_alloc(p->tree, sizeof *prefix) : NULL;
        if (!prefix)
            return mt_parser_fail(p, p->token.at, "not enough memory for the program");
        *prefix = (struct prefix){node, pipes, commas, outer};
        pipes = commas = p->count;
    }
    p->depth--;
    return node;
}

struct mt_node *mt_parse_query(struct mt_parser *p)
{
    return query(p, false);
}

struct mt_node *mt_parse_pipe(struct mt_parser *p)
{
    return query(p, true);
}

/* Programs ---------------------------------------------------------------------------------------------- */

static struct mt_node *program(struct mt_parser *p)
{
    const int kind = p->token.kind;
    if (kind == MT_TOKEN_IMPORT || kind == MT_TOKEN_INCLUDE || kind == MT_TOKEN_MODULE)
        return mt_parser_fail(p, p->token.at, "'%.*s': modules are not supported", MT_FMT(p->token.text));
    if (kind == MT_TOKEN_END)
        return mt_parser_fail(p, p->token.at, "the program is empty: write . for the input as it is");
    struct mt_node *root = mt_parse_query(p);
    if (root && p->token.kind != MT_TOKEN_END)
        return mt_parser_unexpected(p, "an operator or the program's end is expected");
    return root;
}

static struct mt_node *definitions(struct mt_parser *p)
{
    struct mt_node *root = NULL;
    unsigned base = p->count;
    while (p->token.kind == MT_TOKEN_DEF)
        if (!mt_parser_push(p, definition(p)))
            return NULL;
    if (p->token.kind != MT_TOKEN_END || p->count == base)
        return mt_parser_unexpected(p, "definitions are expected: def f: …;");
    while (p->count > base) {
        struct mt_node *node = p->stack[--p->count];
        node->a = root;
        root = mt_parser_done(p, node);
        if (!root)
            return NULL;
    }
    return root;
}

/* Offset of the first byte that is no UTF-8; text.n: there is none. */
static size_t broken(struct mt_slice text)
{
    size_t i = 0;
    while (i < text.n) {
        unsigned n = mt_utf8_length(text.p + i, text.p + text.n);
        if (!n)
            break;
        i += n;
    }
    return i;
}

static struct mt_syntax_tree *parse(struct mt_slice text, struct mt_syntax_error *error,
                                    struct mt_node *(*rule)(struct mt_parser *p))
{
    struct mt_parser p = {.error = error, .lexer.s = text};
    if (text.n > MT_SYNTAX_BYTES)
        return mt_parser_fail(&p, 0, "the program has %zu bytes, more than %d", text.n, MT_SYNTAX_BYTES);
    size_t at = broken(text);
    if (at < text.n)
        return mt_parser_fail(&p, (uint32_t)at, "byte 0x%02x is not UTF-8", (unsigned char)text.p[at]);
    p.tree = mt_try_alloc(sizeof *p.tree);
    if (!p.tree)
        return mt_parser_fail(&p, 0, "not enough memory for the program");
    *p.tree = (struct mt_syntax_tree){0};
    char *copy = mt_tree_alloc(p.tree, text.n + 1);
    if (!copy) {
        mt_parser_fail(&p, 0, "not enough memory for the program");
    } else {
        if (text.n)
            memcpy(copy, text.p, text.n);
        p.lexer.s = (struct mt_slice){copy, text.n};
        mt_lex(&p.lexer, &p.token);
        p.tree->root = rule(&p);
    }
    free(p.stack);
    if (p.tree->root)
        return p.tree;
    mt_syntax_tree_free(p.tree);
    return NULL;
}

struct mt_syntax_tree *mt_jq_parse(struct mt_slice text, struct mt_syntax_error *error)
{
    return parse(text, error, program);
}

struct mt_syntax_tree *mt_jq_parse_definition(struct mt_slice text, struct mt_syntax_error *error)
{
    return parse(text, error, definitions);
}
