/* Terms of jq's grammar: what stands between operators, with the steps behind it. See parser.c. */
#include <stdio.h>

#include "base/memory.h"
#include "jq/parser.h"

/* Variables that no program can write: a step that catches its own errors keeps its keys in them. */
static const struct mt_slice KEY = MT_SLICE("*key"), FROM = MT_SLICE("*from"), TO = MT_SLICE("*to");

struct mt_node *mt_parse_bracketed(struct mt_parser *p, int close)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    p->open = close == ')' ? '(' : '[';
    p->open_at = p->token.at;
    mt_parser_next(p);
    struct mt_node *node = mt_parse_query(p);
    if (!node)
        return NULL;
    if (p->token.kind != close)
        return mt_parser_unexpected(p, close == ')' ? "a ) is expected" : "a ] is expected");
    p->open = open;
    p->open_at = open_at;
    return node;
}

/* Steps ------------------------------------------------------------------------------------------------- */

static bool is_literal(const struct mt_node *node)
{
    return !node || node->kind == MT_NODE_STRING || node->kind == MT_NODE_NUMBER;
}

/* key as $name | rest, with key replaced by $name: what is evaluated once, outside of the `try`. */
static struct mt_node *outside(struct mt_parser *p, struct mt_node **key, struct mt_slice name,
                               struct mt_node **bound)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_BIND, (*key)->at);
    struct mt_pattern *pattern = mt_tree_alloc(p->tree, sizeof *pattern);
    struct mt_pattern **patterns = mt_tree_alloc(p->tree, sizeof *patterns);
    if (!node || !pattern || !patterns)
        return mt_parser_fail(p, (*key)->at, "not enough memory for the program");
    *pattern = (struct mt_pattern){.kind = MT_PATTERN_VARIABLE, .at = (*key)->at, .name = name, .height = 1};
    patterns[0] = pattern;
    node->patterns = patterns;
    node->count = 1;
    node->a = *key;
    *bound = node;
    return *key = mt_parser_text(p, MT_NODE_VARIABLE, (*key)->at, name);
}

/* step is INDEX, SLICE or EACH without its a. */
static struct mt_node *step_done(struct mt_parser *p, struct mt_node *source, struct mt_node *step)
{
    if (!step)
        return NULL;
    if (p->token.kind != '?' && p->token.kind != MT_TOKEN_DESTRUCTURE) {
        step->a = source;
        return mt_parser_done(p, step);
    }
    struct mt_node *binds[2] = {NULL, NULL};
    if (!is_literal(step->b) && !outside(p, &step->b, step->kind == MT_NODE_SLICE ? FROM : KEY, &binds[0]))
        return NULL;
    if (!is_literal(step->c) && !outside(p, &step->c, TO, &binds[1]))
        return NULL;
    step->a = mt_parser_node(p, MT_NODE_IDENTITY, step->at);
    struct mt_node *node = step->a ? mt_parser_done(p, step) : NULL;
    node = node ? mt_parser_pair(p, MT_NODE_TRY, source->at, node, NULL) : NULL;
    if (node && source->kind != MT_NODE_IDENTITY)
        node = mt_parser_pair(p, MT_NODE_PIPE, source->at, source, node);
    for (int i = 2; node && i-- > 0;) {
        if (!binds[i])
            continue;
        binds[i]->b = node;
        node = mt_parser_done(p, binds[i]);
    }
    if (p->token.kind == '?') {
        mt_parser_next(p);
    } else { /* ?// is ? and // outside of patterns */
        p->token.kind = MT_TOKEN_ALTERNATIVE;
        p->token.at++;
        p->token.text = MT_SLICE("//");
    }
    return node;
}

/* At [ behind source (or behind its dot). */
static struct mt_node *bracket_step(struct mt_parser *p, struct mt_node *source)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at, at = p->token.at;
    struct mt_node *from = NULL, *to = NULL, *step;
    enum mt_node_kind kind = MT_NODE_EACH;
    p->open = '[';
    p->open_at = at;
    mt_parser_next(p);
    if (p->token.kind != ']') {
        kind = MT_NODE_INDEX;
        if (p->token.kind != ':' && !(from = mt_parse_query(p)))
            return NULL;
        if (p->token.kind == ':') {
            kind = MT_NODE_SLICE;
            mt_parser_next(p);
            if (p->token.kind == ']' && !from)
                return mt_parser_fail(p, at, "a slice has a begin or an end: .[1:], .[:2] or .[1:2]");
            if (p->token.kind != ']' && !(to = mt_parse_query(p)))
                return NULL;
        }
    }
    if (!mt_parser_expect(p, ']', "a ] is expected"))
        return NULL;
    p->open = open;
    p->open_at = open_at;
    if (!(step = mt_parser_node(p, kind, source->at)))
        return NULL;
    step->b = from;
    step->c = to;
    return step_done(p, source, step);
}

static struct mt_node *name_step(struct mt_parser *p, struct mt_node *source, struct mt_node *name)
{
    struct mt_node *step = name ? mt_parser_node(p, MT_NODE_INDEX, source->at) : NULL;
    if (step)
        step->b = name;
    return step_done(p, source, step);
}

/* At .name behind source. */
static struct mt_node *field_step(struct mt_parser *p, struct mt_node *source)
{
    struct mt_node *name = mt_parser_text(p, MT_NODE_STRING, p->token.at, p->token.text);
    mt_parser_next(p);
    return name_step(p, source, name);
}

/* At @format or at a quote: a string, or the format alone when it may stand so. */
static struct mt_node *formatted(struct mt_parser *p, bool alone)
{
    struct mt_slice format = {NULL, 0};
    const uint32_t at = p->token.at;
    if (p->token.kind == MT_TOKEN_FORMAT) {
        format = p->token.text;
        mt_parser_next(p);
        if (p->token.kind != MT_TOKEN_QUOTE)
            return alone ? mt_parser_text(p, MT_NODE_FORMAT, at, format)
                         : mt_parser_unexpected(p, "a string is expected behind the format");
    }
    struct mt_node *node = mt_parse_string(p, format);
    if (node)
        node->at = at;
    return node;
}

static struct mt_node *steps(struct mt_parser *p, struct mt_node *node)
{
    while (node) {
        switch (p->token.kind) {
        case MT_TOKEN_FIELD:
            node = field_step(p, node);
            break;
        case '[':
            node = bracket_step(p, node);
            break;
        case '.':
            mt_parser_next(p);
            if (p->token.kind == '[')
                node = bracket_step(p, node);
            else if (p->token.kind == MT_TOKEN_QUOTE || p->token.kind == MT_TOKEN_FORMAT)
                node = name_step(p, node, formatted(p, false));
            else
                node = mt_parser_unexpected(p, "a name is expected behind the dot; one that is no word "
                                               "stands in quotes: .[\"a-b\"]");
            break;
        case '?':
            mt_parser_next(p);
            node = mt_parser_pair(p, MT_NODE_TRY, node->at, node, NULL);
            break;
        case MT_TOKEN_DESTRUCTURE:
            node = mt_parser_pair(p, MT_NODE_TRY, node->at, node, NULL);
            p->token.kind = MT_TOKEN_ALTERNATIVE;
            p->token.at++;
            p->token.text = MT_SLICE("//");
            break;
        default:
            return node;
        }
    }
    return NULL;
}

/* Terms ------------------------------------------------------------------------------------------------- */

static struct mt_node *number(struct mt_parser *p)
{
    struct mt_slice text = p->token.text, whole = text;
    struct mt_node *node = mt_parser_node(p, MT_NODE_NUMBER, p->token.at);
    size_t digits = 0, n = 0;
    char *out = node ? mt_tree_alloc(p->tree, text.n + 2) : NULL;
    if (!out)
        return mt_parser_fail(p, p->token.at, "not enough memory for the program");
    while (text.n > 1 && text.p[0] == '0' && text.p[1] >= '0' && text.p[1] <= '9')
        text = (struct mt_slice){text.p + 1, text.n - 1};
    if (text.p[0] == '.')
        out[n++] = '0';
    while (digits < text.n && (text.p[digits] == '.' || (text.p[digits] >= '0' && text.p[digits] <= '9')))
        digits++;
    memcpy(out + n, text.p, digits);
    n += digits;
    if (out[n - 1] == '.')
        n--;
    memcpy(out + n, text.p + digits, text.n - digits);
    node->text = (struct mt_slice){out, n + text.n - digits};
    mt_parser_next(p);
    if (p->token.kind == MT_TOKEN_NAME && p->token.text.p == whole.p + whole.n)
        return mt_parser_fail(p, node->at, "'%.*s%.*s' is no number, and a name does not begin with a digit",
                              MT_FMT(whole), MT_FMT(p->token.text));
    return node;
}

/* At a name: a call, or one of the three words that are values. */
static struct mt_node *call(struct mt_parser *p)
{
    const uint32_t at = p->token.at;
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    const struct mt_slice name = p->token.text;
    if (memchr(name.p, ':', name.n))
        return mt_parser_fail(p, at, "'%.*s': modules are not supported", MT_FMT(name));
    struct mt_node *node = mt_parser_text(p, MT_NODE_CALL, at, name);
    mt_parser_next(p);
    if (!node)
        return NULL;
    if (p->token.kind != '(') {
        if (mt_slice_is(name, "null"))
            node->kind = MT_NODE_NULL;
        else if (mt_slice_is(name, "true"))
            node->kind = MT_NODE_TRUE;
        else if (mt_slice_is(name, "false"))
            node->kind = MT_NODE_FALSE;
        return node;
    }
    unsigned base = p->count;
    p->open = '(';
    p->open_at = p->token.at;
    do {
        mt_parser_next(p);
        if (p->token.kind == ')' && p->count == base)
            return mt_parser_fail(p, at, "a function without arguments is called without parentheses: %.*s",
                                  MT_FMT(name));
        if (!mt_parser_push(p, mt_parse_query(p)))
            return NULL;
    } while (p->token.kind == ';');
    if (!mt_parser_expect(p, ')', "; or ) is expected behind an argument"))
        return NULL;
    p->open = open;
    p->open_at = open_at;
    return mt_parser_take(p, base, node) ? mt_parser_done(p, node) : NULL;
}

static bool branch(struct mt_parser *p, struct mt_node *node)
{
    node->a = mt_parse_query(p);
    if (!node->a || !mt_parser_expect(p, MT_TOKEN_THEN, "`then` is expected: if … then … else … end"))
        return false;
    return (node->b = mt_parse_query(p)) != NULL;
}

/* At `if`. The `elif`s are a chain, made from its end. */
static struct mt_node *conditional(struct mt_parser *p)
{
    const int open = p->open;
    const bool else_if = p->else_if;
    const uint32_t open_at = p->open_at;
    const unsigned base = p->count;
    struct mt_node *rest = NULL;
    p->open = MT_TOKEN_IF;
    p->open_at = p->token.at;
    p->else_if = false;
    do {
        struct mt_node *node = mt_parser_node(p, MT_NODE_IF, p->token.at);
        mt_parser_next(p);
        if (!mt_parser_push(p, node) || !branch(p, node))
            return NULL;
    } while (p->token.kind == MT_TOKEN_ELIF);
    if (p->token.kind == MT_TOKEN_ELSE) {
        mt_parser_next(p);
        bool nested = p->token.kind == MT_TOKEN_IF;
        rest = mt_parse_query(p);
        if (!rest)
            return NULL;
        p->else_if = nested;
    }
    if (!mt_parser_expect(p, MT_TOKEN_FINISH, "`end` is expected: if … then … else … end"))
        return NULL;
    while (p->count > base) {
        struct mt_node *node = p->stack[--p->count];
        node->c = rest;
        if (!(rest = mt_parser_done(p, node)))
            return NULL;
    }
    p->open = open;
    p->open_at = open_at;
    p->else_if = else_if;
    return rest;
}

/* At `reduce` or `foreach`. */
static struct mt_node *loop(struct mt_parser *p)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    const bool reduce = p->token.kind == MT_TOKEN_REDUCE;
    const char *form = reduce ? "reduce … as $x (init; update)" : "foreach … as $x (init; update; extract)";
    struct mt_node *node = mt_parser_node(p, reduce ? MT_NODE_REDUCE : MT_NODE_FOREACH, p->token.at);
    mt_parser_next(p);
    if (!node || !(node->a = mt_parse_expression(p)))
        return NULL;
    if (p->token.kind != MT_TOKEN_AS)
        return mt_parser_fail(p, p->token.at, "`as` is expected behind what is gone through: %s", form);
    if (!mt_parse_patterns(p, node))
        return NULL;
    p->open = '(';
    p->open_at = p->token.at;
    if (!mt_parser_expect(p, '(', form) || !(node->b = mt_parse_query(p)) ||
        !mt_parser_expect(p, ';', form) || !(node->c = mt_parse_query(p)))
        return NULL;
    if (!reduce && p->token.kind == ';') {
        mt_parser_next(p);
        if (!(node->d = mt_parse_query(p)))
            return NULL;
    }
    if (!mt_parser_expect(p, ')', form))
        return NULL;
    p->open = open;
    p->open_at = open_at;
    return mt_parser_done(p, node);
}

static struct mt_node *attempt(struct mt_parser *p)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_TRY, p->token.at);
    mt_parser_next(p);
    if (!node || !(node->a = mt_parse_term(p)))
        return NULL;
    if (p->token.kind == MT_TOKEN_CATCH) {
        mt_parser_next(p);
        if (!(node->b = mt_parse_term(p)))
            return NULL;
    }
    return mt_parser_done(p, node);
}

static struct mt_node *negation(struct mt_parser *p)
{
    const uint32_t at = p->token.at;
    mt_parser_next(p);
    return mt_parser_pair(p, MT_NODE_NEGATE, at, mt_parse_term(p), NULL);
}

/* At a dot that begins a term. */
static struct mt_node *dot(struct mt_parser *p)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_IDENTITY, p->token.at);
    mt_parser_next(p);
    if (!node)
        return NULL;
    if (p->token.kind == MT_TOKEN_QUOTE || p->token.kind == MT_TOKEN_FORMAT)
        return name_step(p, node, formatted(p, false));
    if (p->token.kind == MT_TOKEN_NAME)
        return mt_parser_fail(p, p->token.at,
                              "unexpected '%.*s' behind a dot: write .name without a blank, or .[\"%.*s\"]",
                              MT_FMT(p->token.text), MT_FMT(p->token.text));
    return node;
}

static struct mt_node *array(struct mt_parser *p)
{
    struct mt_node *node = mt_parser_node(p, MT_NODE_ARRAY, p->token.at);
    struct mt_lexer ahead = p->lexer;
    struct mt_token token;
    mt_lex(&ahead, &token);
    if (!node)
        return NULL;
    if (token.kind == ']')
        mt_parser_next(p);
    else if (!(node->a = mt_parse_bracketed(p, ']')))
        return NULL;
    mt_parser_next(p);
    return mt_parser_done(p, node);
}

static struct mt_node *primary(struct mt_parser *p)
{
    const uint32_t at = p->token.at;
    struct mt_node *node;
    switch (p->token.kind) {
    case '.':
        return dot(p);
    case MT_TOKEN_FIELD:
        node = mt_parser_node(p, MT_NODE_IDENTITY, at);
        return node ? field_step(p, node) : NULL;
    case MT_TOKEN_RECURSE:
        mt_parser_next(p);
        if (p->token.kind == MT_TOKEN_NAME || p->token.kind == MT_TOKEN_NUMBER)
            return mt_parser_unexpected(p, "write .. | .name");
        return mt_parser_node(p, MT_NODE_RECURSE, at);
    case MT_TOKEN_NUMBER:
        return number(p);
    case MT_TOKEN_QUOTE:
    case MT_TOKEN_FORMAT:
        return formatted(p, true);
    case MT_TOKEN_NAME:
        return call(p);
    case MT_TOKEN_VARIABLE:
        if (mt_slice_is(p->token.text, "__loc__"))
            return mt_parse_location(p);
        if (memchr(p->token.text.p, ':', p->token.text.n))
            return mt_parser_fail(p, at, "'$%.*s': modules are not supported", MT_FMT(p->token.text));
        node = mt_parser_text(p, MT_NODE_VARIABLE, at, p->token.text);
        mt_parser_next(p);
        return node;
    case '(':
        node = mt_parse_bracketed(p, ')');
        if (node)
            mt_parser_next(p);
        return node;
    case '[':
        return array(p);
    case '{':
        return mt_parse_object(p);
    case MT_TOKEN_IF:
        return conditional(p);
    case MT_TOKEN_REDUCE:
    case MT_TOKEN_FOREACH:
        return loop(p);
    case MT_TOKEN_BREAK:
        mt_parser_next(p);
        node = mt_parser_text(p, MT_NODE_BREAK, at, p->token.text);
        return node && mt_parser_expect(p, MT_TOKEN_VARIABLE,
                                        "`break` needs the name of a label: break $name")
                   ? node
                   : NULL;
    }
    return mt_parser_unexpected(p, "an expression is expected");
}

struct mt_node *mt_parse_term(struct mt_parser *p)
{
    struct mt_node *node;
    if (!mt_parser_enter(p))
        return NULL;
    if (p->token.kind == MT_TOKEN_TRY)
        node = attempt(p);
    else if (p->token.kind == '-')
        node = negation(p);
    else
        node = steps(p, primary(p));
    p->depth--;
    return node;
}
