/* Tokens of a jq program: see lexer.h. Called by the parser, on its thread; owns nothing. */
#include "jq/lexer.h"

#include "base/utf8.h"

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c);
}

static char peek(const struct mt_lexer *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? l->s.p[l->at + ahead] : '\0';
}

/* A comment ends with its line, unless an odd number of backslashes stands before the line's end. */
static void skip_comment(struct mt_lexer *l)
{
    bool escaped = false;
    for (; l->at < l->s.n; l->at++) {
        char c = l->s.p[l->at];
        if (c == '\n' && !escaped)
            return;
        if (c == '\r' && escaped && peek(l, 1) == '\n')
            continue;
        escaped = c == '\\' && !escaped;
    }
}

static void skip_blanks(struct mt_lexer *l)
{
    for (; l->at < l->s.n; l->at++) {
        char c = l->s.p[l->at];
        if (c == '#')
            skip_comment(l);
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        if (l->at == l->s.n)
            return;
    }
}

static size_t name_length(const struct mt_lexer *l, size_t from)
{
    size_t i = l->at + from;
    if (i >= l->s.n || !is_name_start(l->s.p[i]))
        return 0;
    while (i < l->s.n && is_name(l->s.p[i]))
        i++;
    return i - l->at - from;
}

/* A name with its modules: a::b::c. */
static size_t path_length(const struct mt_lexer *l, size_t from)
{
    size_t n = name_length(l, from), more;
    while (n && peek(l, from + n) == ':' && peek(l, from + n + 1) == ':' &&
           (more = name_length(l, from + n + 2)) > 0)
        n += 2 + more;
    return n;
}

static size_t number_length(const struct mt_lexer *l)
{
    size_t n = 0, e;
    while (is_digit(peek(l, n)))
        n++;
    if (peek(l, n) == '.' && (n > 0 || is_digit(peek(l, 1))))
        for (n++; is_digit(peek(l, n));)
            n++;
    if (n > 0 && (peek(l, n) == 'e' || peek(l, n) == 'E')) {
        e = n + 1;
        e += peek(l, e) == '+' || peek(l, e) == '-';
        if (is_digit(peek(l, e)))
            for (n = e; is_digit(peek(l, n));)
                n++;
    }
    return n;
}

static int word_kind(struct mt_slice word)
{
    static const struct {
        const char *word;
        int kind;
    } words[] = {
        {"and", MT_TOKEN_AND},       {"as", MT_TOKEN_AS},         {"break", MT_TOKEN_BREAK},
        {"catch", MT_TOKEN_CATCH},   {"def", MT_TOKEN_DEF},       {"elif", MT_TOKEN_ELIF},
        {"else", MT_TOKEN_ELSE},     {"end", MT_TOKEN_FINISH},    {"foreach", MT_TOKEN_FOREACH},
        {"if", MT_TOKEN_IF},         {"import", MT_TOKEN_IMPORT}, {"include", MT_TOKEN_INCLUDE},
        {"label", MT_TOKEN_LABEL},   {"module", MT_TOKEN_MODULE}, {"or", MT_TOKEN_OR},
        {"reduce", MT_TOKEN_REDUCE}, {"then", MT_TOKEN_THEN},     {"try", MT_TOKEN_TRY},
    };
    if (word.n <= 7) /* the longest */
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (words[i].word[0] == word.p[0] && mt_slice_is(word, words[i].word))
                return words[i].kind;
    return MT_TOKEN_NAME;
}

static size_t operator_length(const struct mt_lexer *l, int *out_kind)
{
    static const struct {
        char text[4];
        int kind;
    } operators[] = {
        /* a longer one before those that it begins with */
        {"?//", MT_TOKEN_DESTRUCTURE}, {"//=", MT_TOKEN_SET_ALTERNATIVE},
        {"//", MT_TOKEN_ALTERNATIVE},  {"..", MT_TOKEN_RECURSE},
        {"==", MT_TOKEN_EQ},           {"!=", MT_TOKEN_NE},
        {"<=", MT_TOKEN_LE},           {">=", MT_TOKEN_GE},
        {"|=", MT_TOKEN_SET_PIPE},     {"+=", MT_TOKEN_SET_ADD},
        {"-=", MT_TOKEN_SET_SUBTRACT}, {"*=", MT_TOKEN_SET_MULTIPLY},
        {"/=", MT_TOKEN_SET_DIVIDE},   {"%=", MT_TOKEN_SET_MODULO},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t n = strlen(operators[i].text);
        if (l->s.n - l->at < n || memcmp(l->s.p + l->at, operators[i].text, n) != 0)
            continue;
        if (operators[i].kind == MT_TOKEN_DESTRUCTURE && peek(l, n) == '=')
            continue; /* `.a?//=1`: ? and //= */
        *out_kind = operators[i].kind;
        return n;
    }
    *out_kind = l->s.p[l->at];
    return *out_kind && strchr(".?=;,:|+-*/%<>()[]{}", *out_kind) ? 1 : 0;
}

void mt_lex(struct mt_lexer *l, struct mt_token *out)
{
    skip_blanks(l);
    size_t n, sigil = 0;
    *out = (struct mt_token){.kind = MT_TOKEN_END, .at = (uint32_t)l->at, .end = (uint32_t)l->at};
    if (l->at == l->s.n)
        return;
    char c = l->s.p[l->at];
    if ((n = path_length(l, 0)) > 0) {
        out->kind = word_kind((struct mt_slice){l->s.p + l->at, n});
    } else if ((n = number_length(l)) > 0) {
        out->kind = MT_TOKEN_NUMBER;
    } else if (c == '.' && (n = name_length(l, 1)) > 0) {
        out->kind = MT_TOKEN_FIELD;
        sigil = 1;
    } else if (c == '$' && (n = path_length(l, 1)) > 0) {
        out->kind = MT_TOKEN_VARIABLE;
        sigil = 1;
    } else if (c == '@' && is_name(peek(l, 1))) {
        for (n = 1; is_name(peek(l, 1 + n));)
            n++;
        out->kind = MT_TOKEN_FORMAT;
        sigil = 1;
    } else if (c == '"') {
        n = 1;
        out->kind = MT_TOKEN_QUOTE;
    } else if ((n = operator_length(l, &out->kind)) == 0) {
        n = mt_utf8_length(l->s.p + l->at, l->s.p + l->s.n);
        n = n ? n : 1;
        out->kind = MT_TOKEN_BAD;
    }
    out->text = (struct mt_slice){l->s.p + l->at + sigil, n};
    l->at += sigil + n;
    out->end = (uint32_t)l->at;
}

size_t mt_lex_string_size(const struct mt_lexer *l)
{
    size_t i = l->at;
    for (; i < l->s.n && l->s.p[i] != '"'; i++)
        if (l->s.p[i] == '\\' && ++i < l->s.n && l->s.p[i] == '(')
            break;
    return (i < l->s.n ? i : l->s.n) - l->at;
}

/* The code unit of the \uXXXX at l->at; -1: it is none. */
static int32_t unit(const struct mt_lexer *l, size_t ahead)
{
    int32_t value = 0;
    if (peek(l, ahead) != '\\' || peek(l, ahead + 1) != 'u')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        char c = peek(l, ahead + i);
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(char *out, int32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The escape at l->at, stepped over; bytes written, 0: there is no such escape. */
static size_t escape(struct mt_lexer *l, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = peek(l, 1);
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        *out = to[found - from];
        l->at += 2;
        return 1;
    }
    int32_t high = unit(l, 0), low;
    if (high < 0)
        return 0;
    l->at += 6;
    if (high >= 0xD800 && high < 0xE000) {
        low = high < 0xDC00 ? unit(l, 0) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return put_utf8(out, 0xFFFD);
        l->at += 6;
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    return put_utf8(out, high);
}

enum mt_piece mt_lex_string(struct mt_lexer *l, char *out, size_t *n)
{
    for (*n = 0; l->at < l->s.n;) {
        char c = l->s.p[l->at];
        if (c == '"') {
            l->at++;
            return MT_PIECE_LAST;
        }
        if (c != '\\') {
            out[(*n)++] = c;
            l->at++;
            continue;
        }
        if (peek(l, 1) == '(') {
            l->at += 2;
            return MT_PIECE_INTERPOLATION;
        }
        if (l->at + 1 == l->s.n)
            break;
        size_t written = escape(l, out + *n);
        if (!written)
            return MT_PIECE_ESCAPE;
        *n += written;
    }
    l->at = l->s.n;
    return MT_PIECE_OPEN;
}
