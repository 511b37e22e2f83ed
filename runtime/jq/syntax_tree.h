/* The syntax tree of a jq program (jq 1.8's whole grammar but modules: `import` and `include` are errors that
 * say so).
 *
 * mt_jq_parse makes it, the compiler walks it. All nodes and texts belong to the tree and go with it.
 * Shortcuts of the surface are resolved by the parser: see each node. Positions are byte offsets of the
 * program's text, the first byte that belongs to the node. */
#ifndef MT_JQ_SYNTAX_TREE_H
#define MT_JQ_SYNTAX_TREE_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum mt_node_kind {
    MT_NODE_IDENTITY, /* . */
    MT_NODE_RECURSE,  /* .. */
    MT_NODE_NULL,     /* the words null, true, false are calls in jq's grammar, values here */
    MT_NODE_FALSE,
    MT_NODE_TRUE,
    MT_NODE_NUMBER,        /* text: the literal, made valid JSON (".5" is 0.5, "1." is 1, "007" is 7) */
    MT_NODE_STRING,        /* text: decoded UTF-8; without interpolation and format */
    MT_NODE_INTERPOLATION, /* text: format name or {NULL,0}; list: in order, MT_NODE_STRING are literals, all
                              else are expressions (one that is a lone string is wrapped in a PIPE); empty
                              literals are left out */
    MT_NODE_FORMAT,        /* text: name without @, standing alone */
    MT_NODE_INDEX,         /* a[b]: .foo is IDENTITY[STRING "foo"], ."x\(y)" is IDENTITY[INTERPOLATION] */
    MT_NODE_SLICE,         /* a[b:c]; b or c may be NULL */
    MT_NODE_EACH,          /* a[] */
    MT_NODE_TRY,           /* try a catch b; b NULL: errors are swallowed; a? is this with NULL. A ? behind a
                              step swallows the errors of that step alone, as jq's does: .a.b? is
                              .a | try .b, and .a[f]? is f as $k | .a | try .[$k] */
    MT_NODE_ARRAY,         /* [a]; a NULL: [] */
    MT_NODE_OBJECT, /* list: key, value, key, value …: every shortcut ({a}, {$x}, {"a b"}, {@base64 "x"},
                       {$__loc__}) is written out; keys are STRING, INTERPOLATION or any expression */
    MT_NODE_NEGATE, /* -a */
    MT_NODE_PIPE,   /* a | b */
    MT_NODE_COMMA,  /* a, b */
    MT_NODE_BINARY, /* a op b; op: '+' '-' '*' '/' '%' or MT_OP_* of a comparison */
    MT_NODE_AND,
    MT_NODE_OR,
    MT_NODE_ALTERNATIVE, /* a // b */
    MT_NODE_ASSIGN,  /* a op b; op: '=' , '|' for |=, '+' '-' '*' '/' '%' for the arithmetic ones, '?' for //=
                      */
    MT_NODE_IF,      /* if a then b else c; c NULL: identity; elif is an IF in c */
    MT_NODE_REDUCE,  /* reduce a as PATTERNS (b; c) */
    MT_NODE_FOREACH, /* foreach a as PATTERNS (b; c; d); d NULL: identity */
    MT_NODE_BIND,    /* a as PATTERNS | b */
    MT_NODE_LABEL,   /* label $text | a */
    MT_NODE_BREAK,   /* break $text */
    MT_NODE_FUNCTION, /* function; then a, in which it is known */
    MT_NODE_CALL,     /* text(list); also natives, builtins and parameters */
    MT_NODE_VARIABLE  /* $text; $ENV and $__prog_args too. $__loc__ is an OBJECT */
};

enum { MT_SYNTAX_HEIGHT = 2000, MT_SYNTAX_BYTES = 1 << 20 };
enum { MT_OP_EQ = 128, MT_OP_NE, MT_OP_LT, MT_OP_LE, MT_OP_GT, MT_OP_GE };

struct mt_pattern {
    enum { MT_PATTERN_VARIABLE, MT_PATTERN_ARRAY, MT_PATTERN_OBJECT } kind;
    uint32_t at;
    struct mt_slice name; /* of the variable */
    unsigned count;
    unsigned height; /* as a node's, keys included */
    struct mt_pattern_entry {
        struct mt_slice
            name; /* of an object's entry "$name" or "$name: pattern": binds the value too; else {NULL,0} */
        struct mt_node *key;      /* of an object's entry ($name's is the STRING name); NULL in an array */
        struct mt_pattern *value; /* NULL for a lone "$name" */
    } * entries;
};

struct mt_function {
    struct mt_slice name;
    uint32_t at;
    unsigned count;
    struct mt_parameter {
        struct mt_slice name; /* without the $ */
        bool value;           /* "$name": bound as a variable and as a function */
    } * parameters;
    struct mt_node *body;
};

struct mt_node {
    enum mt_node_kind kind;
    unsigned op;
    uint32_t at;
    unsigned height; /* 1 for a leaf; at most MT_SYNTAX_HEIGHT, so that a walk may recurse */
    struct mt_slice text;
    struct mt_node *a, *b, *c, *d;
    struct mt_node **list;
    unsigned count;               /* of list, or of patterns */
    struct mt_pattern **patterns; /* more than one: destructuring alternatives (?//) */
    struct mt_function *function;
};

struct mt_syntax_tree;

/* Where and why a program is none. */
struct mt_syntax_error {
    uint32_t at;           /* byte offset */
    unsigned line, column; /* from 1; column in characters */
    char
        text[256]; /* "line 1, column 5: unexpected '|' near \"| .b\": an expression is expected before it" */
};

/* Parses text (copied). NULL with *error filled: the program is broken, longer than MT_SYNTAX_BYTES, nests
 * deeper than the parser's own recursion goes (1,000 parentheses; less than 1 MiB of stack), or its tree is
 * higher than MT_SYNTAX_HEIGHT. Long chains of `|` and `,` are balanced and meet no limit. */
struct mt_syntax_tree *mt_jq_parse(struct mt_slice text, struct mt_syntax_error *error);
/* Parses "def f: …;" definitions only; root is then a FUNCTION whose a is NULL in the last one. */
struct mt_syntax_tree *mt_jq_parse_definition(struct mt_slice text, struct mt_syntax_error *error);
void mt_syntax_tree_free(struct mt_syntax_tree *tree); /* NULL is fine */
const struct mt_node *mt_syntax_tree_root(const struct mt_syntax_tree *tree);
/* Fills *error for an offset found later (by the compiler): position and text "line L, column C: WHAT". */
void mt_syntax_error_at(struct mt_slice program, uint32_t at, struct mt_syntax_error *error,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
