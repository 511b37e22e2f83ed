/* Tokens of a jq program: private to lexer.c and parser*.c. Everything borrows from the program's text. */
#ifndef MT_JQ_LEXER_H
#define MT_JQ_LEXER_H

#include <stdint.h>

#include "base/slice.h"

/* One-character tokens are their character. */
enum mt_token_kind {
    MT_TOKEN_END = 256,
    MT_TOKEN_BAD,      /* no character of the language; text: it, as a whole character */
    MT_TOKEN_NAME,     /* text: the name, perhaps with :: in it */
    MT_TOKEN_FIELD,    /* .name; text without the dot */
    MT_TOKEN_VARIABLE, /* $name; text without the $ */
    MT_TOKEN_FORMAT,   /* @name; text without the @ */
    MT_TOKEN_NUMBER,   /* text: as it is spelled */
    MT_TOKEN_QUOTE,    /* the " that opens a string: mt_lex_string goes on */
    MT_TOKEN_RECURSE,  /* .. */
    MT_TOKEN_EQ,
    MT_TOKEN_NE,
    MT_TOKEN_LE,
    MT_TOKEN_GE,
    MT_TOKEN_ALTERNATIVE, /* // */
    MT_TOKEN_DESTRUCTURE, /* ?// */
    MT_TOKEN_SET_PIPE,    /* |= … */
    MT_TOKEN_SET_ADD,
    MT_TOKEN_SET_SUBTRACT,
    MT_TOKEN_SET_MULTIPLY,
    MT_TOKEN_SET_DIVIDE,
    MT_TOKEN_SET_MODULO,
    MT_TOKEN_SET_ALTERNATIVE,
    MT_TOKEN_AND, /* from here on: keywords; text: the word */
    MT_TOKEN_AS,
    MT_TOKEN_BREAK,
    MT_TOKEN_CATCH,
    MT_TOKEN_DEF,
    MT_TOKEN_ELIF,
    MT_TOKEN_ELSE,
    MT_TOKEN_FINISH, /* end */
    MT_TOKEN_FOREACH,
    MT_TOKEN_IF,
    MT_TOKEN_IMPORT,
    MT_TOKEN_INCLUDE,
    MT_TOKEN_LABEL,
    MT_TOKEN_MODULE,
    MT_TOKEN_OR,
    MT_TOKEN_REDUCE,
    MT_TOKEN_THEN,
    MT_TOKEN_TRY
};

struct mt_token {
    int kind;
    uint32_t at, end; /* offsets */
    struct mt_slice text;
};

struct mt_lexer {
    struct mt_slice s; /* valid UTF-8, at most 4 GiB */
    size_t at;
};

/* The next token; MT_TOKEN_END again and again at the end. */
void mt_lex(struct mt_lexer *l, struct mt_token *out);

enum mt_piece { MT_PIECE_LAST, MT_PIECE_INTERPOLATION, MT_PIECE_OPEN, MT_PIECE_ESCAPE };
/* Inside of a string, up to its end (LAST), to `\(` (INTERPOLATION; both are stepped over), to the end of the
 * program (OPEN), or to an escape that does not exist (ESCAPE; l->at is its backslash). The decoded bytes go
 * to out, which holds as many as are left of the program; *n is their number. */
enum mt_piece mt_lex_string(struct mt_lexer *l, char *out, size_t *n);
/* Bytes up to the quote or `\(` that ends this piece: what out of mt_lex_string has to hold. */
size_t mt_lex_string_size(const struct mt_lexer *l);

static inline bool mt_token_is_keyword(int kind)
{
    return kind >= MT_TOKEN_AND;
}

#endif
