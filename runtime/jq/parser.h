/* What the files of the parser share: private to parser*.c and syntax_tree.c. */
#ifndef MT_JQ_PARSER_H
#define MT_JQ_PARSER_H

#include "jq/lexer.h"
#include "jq/syntax_tree.h"

struct mt_syntax_tree {
    struct mt_tree_chunk *chunks;
    struct mt_node *root;
};

/* Zeroed memory of the tree; NULL: there is none. */
void *mt_tree_alloc(struct mt_syntax_tree *tree, size_t n);

/* Calls of the parser below each other. A pair of parentheses costs three; measured in a Debug build with
 * ASan and UBSan, the dearest 3,000 take 0.8 MiB of stack. */
enum { MT_PARSER_DEPTH = 3000 };

struct mt_parser {
    struct mt_syntax_tree *tree;
    struct mt_lexer lexer;
    struct mt_token token; /* the one that is looked at */
    int before;            /* kind of the one before it; 0 at the start */
    unsigned depth;
    int open; /* innermost construct that is not closed: ( [ { " or MT_TOKEN_IF …; 0: none */
    uint32_t open_at;
    bool else_if; /* an `else` of the innermost if holds an `if` */
    struct mt_node **stack;
    unsigned count, room;
    struct mt_syntax_error *error;
    bool failed;
};

/* Every function that parses returns NULL when the program is broken; then p->error says why. */
struct mt_node *mt_parse_query(struct mt_parser *p);      /* the whole grammar, up to what cannot go on */
struct mt_node *mt_parse_expression(struct mt_parser *p); /* without | , and what extends over them */
struct mt_node *mt_parse_pipe(struct mt_parser *p);       /* value of an object's member: without , as def */
struct mt_node *mt_parse_term(struct mt_parser *p);       /* with everything behind it, and unary minus */
struct mt_node *mt_parse_string(struct mt_parser *p, struct mt_slice format); /* at the opening quote */
struct mt_node *mt_parse_object(struct mt_parser *p);                         /* at { */
struct mt_node *mt_parse_location(struct mt_parser *p);                       /* at $__loc__ */
struct mt_node *mt_parse_bracketed(struct mt_parser *p, int close);           /* behind an opening bracket */
/* Patterns of an `as`, into node->patterns. */
bool mt_parse_patterns(struct mt_parser *p, struct mt_node *node);

void mt_parser_next(struct mt_parser *p);
/* Steps over kind, or fails: what says what is wanted. */
bool mt_parser_expect(struct mt_parser *p, int kind, const char *what);
/* One call deeper; false: too deep. Each true is followed by a p->depth--. */
bool mt_parser_enter(struct mt_parser *p);

struct mt_node *mt_parser_node(struct mt_parser *p, enum mt_node_kind kind, uint32_t at);
struct mt_node *mt_parser_text(struct mt_parser *p, enum mt_node_kind kind, uint32_t at,
                               struct mt_slice text);
/* Sets the height of a node whose children are in place, and checks it. Passes NULL on. */
struct mt_node *mt_parser_done(struct mt_parser *p, struct mt_node *node);
/* A node of two children, done; NULL if a is NULL. */
struct mt_node *mt_parser_pair(struct mt_parser *p, enum mt_node_kind kind, uint32_t at, struct mt_node *a,
                               struct mt_node *b);
/* Nodes that wait for their list. A take moves those from base on into node's list. */
bool mt_parser_push(struct mt_parser *p, struct mt_node *node);
bool mt_parser_take(struct mt_parser *p, unsigned base, struct mt_node *node);

/* Fails with a text; the first failure stands. Returns NULL. */
void *mt_parser_fail(struct mt_parser *p, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Fails about the token at hand: what is wanted, and a hint for what is often meant. */
void *mt_parser_unexpected(struct mt_parser *p, const char *wanted);

#endif
