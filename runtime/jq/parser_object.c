/* Strings, objects and patterns of jq's grammar. See parser.c. */
#include <stdio.h>

#include "jq/parser.h"

/* Strings ----------------------------------------------------------------------------------------------- */

/* A literal piece, from the lexer's place on. */
static struct mt_node *piece(struct mt_parser *p, enum mt_piece *out_end)
{
    const uint32_t at = (uint32_t)p->lexer.at, quote = p->token.at;
    size_t n = 0;
    char *text = mt_tree_alloc(p->tree, mt_lex_string_size(&p->lexer) + 1);
    if (!text)
        return mt_parser_fail(p, at, "not enough memory for the program");
    *out_end = mt_lex_string(&p->lexer, text, &n);
    if (*out_end == MT_PIECE_OPEN)
        return mt_parser_fail(p, quote, "this string does not end: a \" is missing");
    if (*out_end == MT_PIECE_ESCAPE) {
        struct mt_slice rest = {p->lexer.s.p + p->lexer.at, 2};
        while (rest.p + rest.n < p->lexer.s.p + p->lexer.s.n && (rest.p[rest.n] & 0xC0) == 0x80)
            rest.n++;
        return mt_parser_fail(p, (uint32_t)p->lexer.at, "'%.*s' is no escape of a string: %s", MT_FMT(rest),
                              rest.p[1] == 'u'
                                  ? "four hexadecimal digits follow \\u"
                                  : "there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX and \\(…); "
                                    "a backslash is written \\\\");
    }
    return mt_parser_text(p, MT_NODE_STRING, at, (struct mt_slice){text, n});
}

/* An expression of an interpolation; the token at hand is its closing parenthesis after it. */
static struct mt_node *interpolated(struct mt_parser *p)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    p->open = '(';
    p->open_at = (uint32_t)p->lexer.at - 1;
    mt_parser_next(p);
    struct mt_node *node = mt_parse_query(p);
    if (!node)
        return NULL;
    if (p->token.kind != ')')
        return mt_parser_unexpected(p, "a ) is expected behind what is put into a string");
    p->open = open;
    p->open_at = open_at;
    if (node->kind == MT_NODE_STRING) {
        struct mt_node *identity = mt_parser_node(p, MT_NODE_IDENTITY, node->at);
        return mt_parser_pair(p, MT_NODE_PIPE, node->at, identity, node);
    }
    return node;
}

struct mt_node *mt_parse_string(struct mt_parser *p, struct mt_slice format)
{
    const unsigned base = p->count;
    const uint32_t at = p->token.at;
    enum mt_piece end;
    struct mt_node *node = piece(p, &end);
    if (!node)
        return NULL;
    if (end == MT_PIECE_LAST) {
        node->at = at;
        mt_parser_next(p);
        return node;
    }
    struct mt_node *whole = mt_parser_text(p, MT_NODE_INTERPOLATION, at, format);
    if (!whole)
        return NULL;
    for (;;) {
        if (node->text.n && !mt_parser_push(p, node))
            return NULL;
        if (end == MT_PIECE_LAST)
            break;
        if (!mt_parser_push(p, interpolated(p)))
            return NULL;
        p->lexer.at = p->token.end;
        p->token.at = at; /* for a string that does not end */
        if (!(node = piece(p, &end)))
            return NULL;
    }
    p->token.kind = MT_TOKEN_QUOTE;
    mt_parser_next(p);
    return mt_parser_take(p, base, whole) ? mt_parser_done(p, whole) : NULL;
}

/* Objects ----------------------------------------------------------------------------------------------- */

/* {"file": "<top-level>", "line": n} */
struct mt_node *mt_parse_location(struct mt_parser *p)
{
    static const struct mt_slice texts[] = {MT_SLICE("file"), MT_SLICE("<top-level>"), MT_SLICE("line")};
    const uint32_t at = p->token.at;
    const unsigned base = p->count;
    unsigned line = 1;
    struct mt_node *node = mt_parser_node(p, MT_NODE_OBJECT, at);
    char *number = node ? mt_tree_alloc(p->tree, 12) : NULL;
    if (!number)
        return mt_parser_fail(p, at, "not enough memory for the program");
    for (uint32_t i = 0; i < at; i++)
        line += p->lexer.s.p[i] == '\n';
    snprintf(number, 12, "%u", line);
    for (size_t i = 0; i < 3; i++)
        if (!mt_parser_push(p, mt_parser_text(p, MT_NODE_STRING, at, texts[i])))
            return NULL;
    if (!mt_parser_push(p, mt_parser_text(p, MT_NODE_NUMBER, at, mt_slice_of(number))))
        return NULL;
    mt_parser_next(p);
    return mt_parser_take(p, base, node) ? mt_parser_done(p, node) : NULL;
}

/* A key in parentheses that can never be a string is refused as jq does. */
static bool key_is_fine(struct mt_parser *p, const struct mt_node *key)
{
    const char *what = key->kind == MT_NODE_NULL                                 ? "null"
                       : key->kind == MT_NODE_TRUE || key->kind == MT_NODE_FALSE ? "a boolean"
                       : key->kind == MT_NODE_NUMBER                             ? "a number"
                       : key->kind == MT_NODE_ARRAY && !key->a                   ? "an array"
                       : key->kind == MT_NODE_OBJECT && !key->count              ? "an object"
                                                                                 : NULL;
    if (what)
        mt_parser_fail(p, key->at, "%s cannot be the key of an object: keys are strings", what);
    return !what;
}

static struct mt_node *key_in_parentheses(struct mt_parser *p)
{
    struct mt_node *key = mt_parse_bracketed(p, ')');
    if (!key || !key_is_fine(p, key))
        return NULL;
    mt_parser_next(p);
    return key;
}

/* A string as key, perhaps with a format before it. */
static struct mt_node *key_string(struct mt_parser *p)
{
    struct mt_slice format = {NULL, 0};
    if (p->token.kind == MT_TOKEN_FORMAT) {
        format = p->token.text;
        mt_parser_next(p);
        if (p->token.kind != MT_TOKEN_QUOTE)
            return mt_parser_unexpected(p, "a string is expected behind the format");
    }
    return mt_parse_string(p, format);
}

static bool is_word(const struct mt_token *t)
{
    return t->kind == MT_TOKEN_NAME || mt_token_is_keyword(t->kind);
}

/* . [ key ] for the shortcuts {a} and {"a b"}. */
static struct mt_node *member(struct mt_parser *p, struct mt_node *key)
{
    return mt_parser_pair(p, MT_NODE_INDEX, key->at, mt_parser_node(p, MT_NODE_IDENTITY, key->at), key);
}

/* {"a\(e)"}: e may have several outputs, of which each makes a key and its value, so it is evaluated once, in
 * a binding around the object. Returns the key; *value is its value. */
static struct mt_node *shared_key(struct mt_parser *p, struct mt_node *key, struct mt_node **binds,
                                  struct mt_node **value)
{
    struct mt_node *bind = mt_parser_node(p, MT_NODE_BIND, key->at);
    struct mt_pattern *pattern = mt_tree_alloc(p->tree, sizeof *pattern);
    struct mt_pattern **patterns = mt_tree_alloc(p->tree, sizeof *patterns);
    char *name = mt_tree_alloc(p->tree, 16);
    if (!bind || !pattern || !patterns || !name)
        return mt_parser_fail(p, key->at, "not enough memory for the program");
    snprintf(name, 16, "*%u", key->at);
    patterns[0] = pattern;
    *pattern = (struct mt_pattern){
        .kind = MT_PATTERN_VARIABLE, .at = key->at, .name = mt_slice_of(name), .height = 1};
    bind->patterns = patterns;
    bind->count = 1;
    bind->a = key;
    bind->b = *binds;
    *binds = bind;
    key = mt_parser_text(p, MT_NODE_VARIABLE, key->at, pattern->name);
    *value = key ? member(p, key) : NULL;
    return key;
}

/* One entry: pushes its key and value. */
static bool entry(struct mt_parser *p, struct mt_node **binds)
{
    const struct mt_token t = p->token;
    struct mt_node *key, *value = NULL;
    bool shortcut = true;
    if (t.kind == MT_TOKEN_VARIABLE && mt_slice_is(t.text, "__loc__")) {
        key = mt_parser_text(p, MT_NODE_STRING, t.at, t.text);
        return mt_parser_push(p, key) && mt_parser_push(p, mt_parse_location(p));
    }
    if (t.kind == MT_TOKEN_VARIABLE || is_word(&t)) {
        if (t.kind == MT_TOKEN_NAME && memchr(t.text.p, ':', t.text.n)) {
            mt_parser_fail(p, t.at,
                           "'%.*s': a blank is missing behind the key's colon, or a module is "
                           "meant, which are not supported",
                           MT_FMT(t.text));
            return false;
        }
        key = mt_parser_text(p, MT_NODE_STRING, t.at, t.text);
        mt_parser_next(p);
        if (t.kind == MT_TOKEN_VARIABLE) {
            value = mt_parser_text(p, MT_NODE_VARIABLE, t.at, t.text);
            if (p->token.kind == ':')
                key = value;
        }
    } else if (t.kind == MT_TOKEN_QUOTE || t.kind == MT_TOKEN_FORMAT) {
        key = key_string(p);
    } else if (t.kind == '(') {
        key = key_in_parentheses(p);
        shortcut = false;
    } else if (t.kind == MT_TOKEN_NUMBER || t.kind == MT_TOKEN_FIELD || t.kind == '.' || t.kind == '[' ||
               t.kind == '-') {
        mt_parser_fail(p, t.at,
                       "a key that is computed needs parentheses: {(…): …}; one that is a text is "
                       "written {name: …} or {\"name\": …}");
        return false;
    } else {
        mt_parser_unexpected(p, "a key is expected: {name: …}, {\"name\": …} or {(…): …}");
        return false;
    }
    if (!key)
        return false;
    if (p->token.kind == ':') {
        mt_parser_next(p);
        value = mt_parse_pipe(p);
    } else if (!shortcut || (p->token.kind != ',' && p->token.kind != '}')) {
        if (p->token.kind == '=')
            mt_parser_fail(p, p->token.at, "unexpected '=': a : is expected between key and value");
        else if (shortcut && p->token.kind != MT_TOKEN_END && p->token.kind != MT_TOKEN_BAD)
            mt_parser_fail(p, p->token.at,
                           "unexpected '%.*s' behind a key: a : is expected; a key that is computed needs "
                           "parentheses: {(…): …}",
                           (int)(p->token.end - p->token.at), p->lexer.s.p + p->token.at);
        else
            mt_parser_unexpected(p, "a : is expected behind a key");
        return false;
    } else if (key->kind == MT_NODE_INTERPOLATION) {
        key = shared_key(p, key, binds, &value);
    } else if (!value) {
        value = member(p, key);
    }
    return mt_parser_push(p, key) && mt_parser_push(p, value);
}

struct mt_node *mt_parse_object(struct mt_parser *p)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    const unsigned base = p->count;
    struct mt_node *node = mt_parser_node(p, MT_NODE_OBJECT, p->token.at), *binds = NULL, *bind;
    p->open = '{';
    p->open_at = p->token.at;
    mt_parser_next(p);
    while (node && p->token.kind != '}') { /* jq takes a comma behind the last entry */
        if (!entry(p, &binds))
            return NULL;
        if (p->token.kind == '}')
            break;
        if (p->token.kind == MT_TOKEN_AS || p->token.kind == MT_TOKEN_DEF)
            return mt_parser_fail(p, p->token.at, "`%.*s` in an object's value needs parentheses: {a: (…)}",
                                  MT_FMT(p->token.text));
        if (!mt_parser_expect(p, ',', "a , or } is expected behind a value"))
            return NULL;
    }
    if (!node || !mt_parser_take(p, base, node) || !(node = mt_parser_done(p, node)))
        return NULL;
    p->open = open;
    p->open_at = open_at;
    mt_parser_next(p);
    while ((bind = binds)) {
        binds = bind->b;
        bind->b = node;
        if (!(node = mt_parser_done(p, bind)))
            return NULL;
    }
    return node;
}

/* Patterns ---------------------------------------------------------------------------------------------- */

static struct mt_pattern *pattern(struct mt_parser *p);

static bool variable(struct mt_parser *p, struct mt_slice *out)
{
    *out = p->token.text;
    if (memchr(out->p, ':', out->n)) {
        mt_parser_fail(p, p->token.at, "'$%.*s': a variable's name has no ::", MT_FMT(*out));
        return false;
    }
    if (mt_slice_is(*out, "__loc__")) {
        mt_parser_fail(p, p->token.at, "$__loc__ cannot be bound");
        return false;
    }
    mt_parser_next(p);
    return true;
}

static bool object_entry(struct mt_parser *p, struct mt_pattern_entry *e)
{
    const struct mt_token t = p->token;
    if (t.kind == MT_TOKEN_VARIABLE) {
        e->key = mt_parser_text(p, MT_NODE_STRING, t.at, t.text);
        if (!e->key || !variable(p, &e->name))
            return false;
        if (p->token.kind != ':')
            return true;
    } else if (is_word(&t)) {
        e->key = mt_parser_text(p, MT_NODE_STRING, t.at, t.text);
        mt_parser_next(p);
    } else if (t.kind == MT_TOKEN_QUOTE || t.kind == MT_TOKEN_FORMAT) {
        e->key = key_string(p);
    } else if (t.kind == '(') {
        e->key = key_in_parentheses(p);
    } else {
        mt_parser_unexpected(p, "a key is expected in a pattern: {name: $x}, {$x} or {(…): $x}");
    }
    if (!e->key || !mt_parser_expect(p, ':', "a : and a pattern are expected behind a pattern's key"))
        return false;
    return (e->value = pattern(p)) != NULL;
}

/* At [ or {: entries up to the closing bracket. They wait in a list of the tree's memory that doubles. */
static struct mt_pattern *entries(struct mt_parser *p, struct mt_pattern *out, int close)
{
    const int open = p->open;
    const uint32_t open_at = p->open_at;
    unsigned room = 0;
    p->open = p->token.kind;
    p->open_at = p->token.at;
    do {
        mt_parser_next(p);
        if (out->count == room) {
            struct mt_pattern_entry *more =
                mt_tree_alloc(p->tree, (room = room ? 2 * room : 4) * sizeof *more);
            if (!more)
                return mt_parser_fail(p, out->at, "not enough memory for the program");
            if (out->count)
                memcpy(more, out->entries, out->count * sizeof *more);
            out->entries = more;
        }
        struct mt_pattern_entry *e = &out->entries[out->count];
        if (close == ']' ? !(e->value = pattern(p)) : !object_entry(p, e))
            return NULL;
        if (e->key && e->key->height > out->height)
            out->height = e->key->height;
        if (e->value && e->value->height > out->height)
            out->height = e->value->height;
        out->count++;
    } while (p->token.kind == ',');
    if (!mt_parser_expect(p, close, "a , or the closing bracket is expected in a pattern"))
        return NULL;
    p->open = open;
    p->open_at = open_at;
    out->height++;
    return out->height > MT_SYNTAX_HEIGHT ? mt_parser_fail(p, out->at, "the pattern nests too deep") : out;
}

static struct mt_pattern *pattern(struct mt_parser *p)
{
    struct mt_pattern *out = mt_tree_alloc(p->tree, sizeof *out);
    if (!out)
        return mt_parser_fail(p, p->token.at, "not enough memory for the program");
    if (!mt_parser_enter(p))
        return NULL;
    out->at = p->token.at;
    switch (p->token.kind) {
    case MT_TOKEN_VARIABLE:
        out->kind = MT_PATTERN_VARIABLE;
        out->height = 1;
        if (!variable(p, &out->name))
            return NULL;
        break;
    case '[':
        out->kind = MT_PATTERN_ARRAY;
        out = entries(p, out, ']');
        break;
    case '{':
        out->kind = MT_PATTERN_OBJECT;
        out = entries(p, out, '}');
        break;
    default:
        return mt_parser_unexpected(p, "a pattern is expected: $name, [$a, $b] or {name: $x}");
    }
    p->depth--;
    return out;
}

/* At `as`. */
bool mt_parse_patterns(struct mt_parser *p, struct mt_node *node)
{
    unsigned room = 0;
    do {
        mt_parser_next(p);
        if (node->count == room) {
            struct mt_pattern **more =
                mt_tree_alloc(p->tree, (room = room ? 4 * room : 1) * sizeof(struct mt_pattern *));
            if (!more) {
                mt_parser_fail(p, node->at, "not enough memory for the program");
                return false;
            }
            if (node->count)
                memcpy(more, node->patterns, node->count * sizeof(struct mt_pattern *));
            node->patterns = more;
        }
        if (!(node->patterns[node->count] = pattern(p)))
            return false;
        node->count++;
    } while (p->token.kind == MT_TOKEN_DESTRUCTURE);
    return true;
}
