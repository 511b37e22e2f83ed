/* Scans a jq expression token by token: see rewrite.h.
 *
 * Called by program.c and mapper.c before anything reaches libjq, on any thread. What is written differs from
 * what was read only in these: comments are blanks, `if` is parenthesised and has an `else` (jq 1.7), values
 * of an object construction are parenthesised (1.7 takes operators there), and so is what `as` binds (1.8
 * takes more than a term), `.a.[0]` is `.a[0]` (1.7), `.e0` is ."e0" (1.6 reads a number) and `?//` outside
 * of patterns is `? //`. Line breaks stay where they were. */
#include "jq/rewrite.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

enum { DEPTH_MAX = 256 }; /* libjq's parser is a recursive consumer: 10,000 parentheses cost it seconds */

struct frame {
    char kind;      /* ( [ { or 'i' for if…end */
    bool in_string; /* ( that was opened by \( inside a string */
    bool has_else;  /* of an if */
    bool value;     /* {: a value is open, to be closed by a parenthesis */
    bool pattern;   /* { or [ of a destructuring pattern */
    bool expecting; /* a pattern follows: between `as` and `|` */
    bool body;      /* the ( of a reduce or foreach */
    bool index;     /* [ after a term */
    bool slice;     /* and with a : in it */
    bool reducing;  /* between `reduce` or `foreach` and its parentheses */
    size_t start;   /* where the expression at hand began in the output: what an `as` binds */
    size_t outer;   /* the same of the expression that a reduce is part of */
};

struct scanner {
    struct mt_slice s;
    size_t at;
    struct mt_buf *out;
    struct mt_expression about;
    struct frame stack[DEPTH_MAX + 1]; /* [0] is the expression itself */
    unsigned depth;
    bool term; /* the last token ended a term */
    bool key;  /* in {: a key may start here */
    bool any;
    bool first, catches; /* mentions first; mentions `?` or try */
    struct mt_err *err;
};

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

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(const struct scanner *x, size_t ahead)
{
    return x->at + ahead < x->s.n ? x->s.p[x->at + ahead] : '\0';
}

static struct frame *top(struct scanner *x)
{
    return &x->stack[x->depth];
}

static enum mt_rc broken(struct scanner *x, const char *what)
{
    size_t n = x->s.n - x->at < 20 ? x->s.n - x->at : 20;
    return mt_fail(x->err, MT_EINVAL, "syntax error at byte %zu: %s%s%.*s", x->at, what, n ? " near " : "",
                   (int)n, x->s.p + x->at);
}

static enum mt_rc push(struct scanner *x, char kind)
{
    if (x->depth == DEPTH_MAX)
        return mt_fail(x->err, MT_EINVAL, "the expression nests deeper than %d", DEPTH_MAX);
    bool index = kind == '[' && x->term;
    bool pattern = (kind == '{' || kind == '[') && (top(x)->expecting || top(x)->pattern);
    bool body = kind == '(' && top(x)->reducing && top(x)->expecting;
    if (body)
        top(x)->expecting = false; /* reduce E as $x (…) */
    x->stack[++x->depth] =
        (struct frame){.kind = kind, .pattern = pattern, .body = body, .index = index, .start = x->out->n};
    return MT_OK;
}

/* Puts text into what was written already; positions of outer frames lie before it. */
static void insert(struct scanner *x, size_t at, char c)
{
    if (mt_buf_putc(x->out, c)) {
        memmove(x->out->p + at + 1, x->out->p + at, x->out->n - 1 - at);
        x->out->p[at] = c;
    }
}

/* Copies the literal part of a string up to its end or to the next \(. */
static enum mt_rc scan_string(struct scanner *x)
{
    while (x->at < x->s.n) {
        char c = x->s.p[x->at];
        if (c == '"') {
            mt_buf_putc(x->out, c);
            x->at++;
            x->term = true;
            return MT_OK;
        }
        if (c != '\\') {
            mt_buf_putc(x->out, c);
            x->at++;
            continue;
        }
        char escaped = peek(x, 1);
        mt_buf_putc(x->out, '\\');
        mt_buf_putc(x->out, escaped);
        x->at += 2;
        if (escaped != '(')
            continue;
        if (push(x, '('))
            return MT_EINVAL;
        mt_prelude_note(&x->about.uses, MT_SLICE("@text"));
        top(x)->in_string = true;
        x->term = false;
        x->key = false;
        return MT_OK;
    }
    x->at = x->s.n;
    return broken(x, "a string is not closed");
}

/* A comment ends at the line break; an odd number of backslashes before it continues the comment (jq 1.7). */
static void skip_comment(struct scanner *x)
{
    size_t slashes = 0;
    for (; x->at < x->s.n; x->at++) {
        char c = x->s.p[x->at];
        if (c == '\n' && slashes % 2 == 0)
            return;
        if (c == '\r' && peek(x, 1) == '\n')
            continue;
        if (c == '\n')
            mt_buf_putc(x->out, '\n');
        slashes = c == '\\' ? slashes + 1 : 0;
    }
}

/* 1.6 asserts on .[nan:]. Constant bounds stay as they are. */
static void guard_bound(struct scanner *x)
{
    struct frame *f = top(x);
    bool constant = true;
    for (size_t i = f->start; i < x->out->n && constant; i++)
        constant = is_digit(x->out->p[i]) || is_blank(x->out->p[i]) || x->out->p[i] == '-';
    if (constant)
        return;
    insert(x, f->start, '(');
    mt_buf_puts(x->out, " | mt_bound)");
    mt_prelude_note(&x->about.uses, MT_SLICE("mt_bound"));
}

static void close_value(struct scanner *x)
{
    if (top(x)->value)
        mt_buf_putc(x->out, ')');
    top(x)->value = false;
}

static enum mt_rc close_bracket(struct scanner *x, char c)
{
    char kind = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (x->depth == 0 || top(x)->kind != kind)
        return broken(x,
                      x->depth && top(x)->kind == 'i' ? "an if has no end before" : "an unmatched bracket");
    close_value(x);
    if (top(x)->slice)
        guard_bound(x);
    bool in_string = top(x)->in_string, body = top(x)->body;
    x->depth--;
    mt_buf_putc(x->out, c);
    x->at++;
    if (body) {
        top(x)->reducing = false;
        top(x)->start = top(x)->outer;
    }
    x->term = true;
    x->key = false;
    return in_string ? scan_string(x) : MT_OK;
}

static bool in_list(struct mt_slice name, const char *const *list)
{
    for (; *list; list++)
        if (mt_slice_is(name, *list))
            return true;
    return false;
}

static bool is_keyword(struct mt_slice name)
{
    static const char *const keywords[] = {"as",  "def", "if",     "then",    "elif",   "else",
                                           "end", "try", "catch",  "label",   "reduce", "foreach",
                                           "and", "or",  "import", "include", "module", NULL};
    return in_list(name, keywords);
}

static size_t name_length(const struct scanner *x)
{
    size_t n = 0;
    while (is_name(peek(x, n)))
        n++;
    return n;
}

static enum mt_rc scan_name(struct scanner *x)
{
    size_t from = x->at;
    while (x->at < x->s.n && (is_name(x->s.p[x->at]) || (x->s.p[x->at] == ':' && peek(x, 1) == ':' &&
                                                         is_name_start(peek(x, 2)) && ++x->at)))
        x->at++;
    struct mt_slice name = {x->s.p + from, x->at - from};
    struct frame *f = top(x);
    if (f->kind == '{' && x->key) {
        size_t blanks = 0;
        while (is_blank(peek(x, blanks)))
            blanks++;
        bool shorthand = peek(x, blanks) == ',' || peek(x, blanks) == '}';
        if (shorthand && is_keyword(name)) /* 1.7 */
            mt_buf_printf(x->out, "\"%.*s\": .%.*s", MT_FMT(name), MT_FMT(name));
        else
            mt_buf_put(x->out, name);
        x->term = true;
        return MT_OK;
    }
    mt_prelude_note(&x->about.uses, name);
    x->first = x->first || mt_slice_is(name, "first");
    x->catches = x->catches || mt_slice_is(name, "try");
    x->term = !is_keyword(name) || mt_slice_is(name, "end");
    if (mt_slice_is(name, "if")) {
        mt_buf_puts(x->out, "(if");
        return push(x, 'i');
    }
    if (mt_slice_is(name, "end")) {
        if (f->kind != 'i')
            return broken(x, "an end without if");
        mt_buf_puts(x->out, f->has_else ? "end)" : " else . end)");
        x->depth--;
        return MT_OK;
    }
    if (mt_slice_is(name, "else"))
        f->has_else = true;
    if (mt_slice_is(name, "as")) {
        insert(x, f->start, '(');
        mt_buf_putc(x->out, ')');
        f->expecting = true;
    }
    mt_buf_put(x->out, name);
    if (mt_slice_is(name, "reduce") || mt_slice_is(name, "foreach")) {
        f->outer = x->out->n - name.n;
        if (f->start < f->outer)
            f->outer = f->start;
        f->reducing = true;
        f->start = x->out->n;
    } else if (!x->term && !mt_slice_is(name, "as") && !mt_slice_is(name, "try") &&
               !mt_slice_is(name, "and") && !mt_slice_is(name, "or")) {
        f->start = x->out->n;
    }
    return MT_OK;
}

static void scan_number(struct scanner *x)
{
    size_t from = x->at;
    while (is_digit(peek(x, 0)) || peek(x, 0) == '.')
        x->at++;
    if (peek(x, 0) == 'e' || peek(x, 0) == 'E') {
        size_t sign = peek(x, 1) == '+' || peek(x, 1) == '-';
        if (is_digit(peek(x, 1 + sign))) {
            x->at += 1 + sign;
            while (is_digit(peek(x, 0)))
                x->at++;
        }
    }
    mt_buf_add(x->out, x->s.p + from, x->at - from);
    x->term = true;
}

/* e, E, e5 …: the lexer of 1.6 takes .e5 and .E-1 for numbers. */
static bool reads_as_number(const char *name, size_t n)
{
    if (name[0] != 'e' && name[0] != 'E')
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_digit(name[i]))
            return false;
    return true;
}

static enum mt_rc scan_dot(struct scanner *x)
{
    size_t from = x->at++;
    char next = peek(x, 0);
    if (is_name_start(next)) {
        while (is_name(peek(x, 0)))
            x->at++;
        if (reads_as_number(x->s.p + from + 1, x->at - from - 1)) {
            mt_buf_printf(x->out, ".\"%.*s\"", (int)(x->at - from - 1), x->s.p + from + 1);
            x->term = true;
            return MT_OK;
        }
    } else if (next == '.') {
        x->at++;
        mt_prelude_note(&x->about.uses, MT_SLICE("recurse"));
    } else if (next == '[' && x->term) {
        return MT_OK;
    }
    mt_buf_add(x->out, x->s.p + from, x->at - from);
    x->term = true;
    return MT_OK;
}

static void scan_operator(struct scanner *x)
{
    static const char *const operators[] = {
        "?//=", "?//", "//=", "==", "!=", "<=", ">=", "|=", "+=", "-=", "*=", "/=", "%=", "//", NULL};
    struct mt_slice rest = {x->s.p + x->at, x->s.n - x->at};
    struct mt_slice op = {rest.p, 1};
    for (const char *const *o = operators; *o; o++) {
        size_t n = strlen(*o);
        if (rest.n >= n && memcmp(rest.p, *o, n) == 0) {
            op.n = n;
            break;
        }
    }
    struct frame *f = top(x);
    if (op.n >= 3 && op.p[0] == '?') {
        /* `?//` starts an alternative pattern after `as`, else it is `?` and then `//`. */
        if (!f->expecting || op.n == 4) {
            mt_buf_puts(x->out, "? ");
            op = (struct mt_slice){op.p + 1, op.n - 1};
            x->at++;
        }
    }
    x->at += op.n;
    mt_buf_put(x->out, op);
    bool question = mt_slice_is(op, "?");
    x->term = question;
    x->catches = x->catches || question;
    mt_prelude_note(&x->about.uses, op);
    if (mt_slice_is(op, "|") || mt_slice_is(op, ";")) {
        f->expecting = false;
        f->start = x->out->n;
    }
}

static enum mt_rc scan_token(struct scanner *x)
{
    char c = x->s.p[x->at];
    struct frame *f = top(x);
    switch (c) {
    case '\0':
        return broken(x, "a NUL byte");
    case '"':
        mt_buf_putc(x->out, c);
        x->at++;
        return scan_string(x);
    case '(':
    case '[':
    case '{':
        mt_buf_putc(x->out, c);
        x->at++;
        if (push(x, c))
            return MT_EINVAL;
        x->term = false;
        x->key = c == '{';
        return MT_OK;
    case ')':
    case ']':
    case '}':
        return close_bracket(x, c);
    case '.':
        if (is_digit(peek(x, 1)) && !x->term) {
            scan_number(x);
            return MT_OK;
        }
        return scan_dot(x);
    case '$':
        mt_buf_putc(x->out, c);
        x->at++;
        if (!x->key && is_keyword((struct mt_slice){x->s.p + x->at, name_length(x)}))
            mt_buf_puts(x->out, "mt_k_"); /* 1.7 takes keywords as names of variables */
        while (is_name(peek(x, 0)) || (peek(x, 0) == ':' && peek(x, 1) == ':' && is_name_start(peek(x, 2)))) {
            size_t n = peek(x, 0) == ':' ? 2 : 1;
            mt_buf_add(x->out, x->s.p + x->at, n);
            x->at += n;
        }
        x->term = true;
        return MT_OK;
    case '@': {
        size_t from = x->at++;
        while (is_name(peek(x, 0)))
            x->at++;
        struct mt_slice format = {x->s.p + from, x->at - from};
        mt_buf_put(x->out, format);
        mt_prelude_note(&x->about.uses, format);
        x->term = true;
        return MT_OK;
    }
    case ':':
    case ',':
        x->at++;
        if (f->kind == '{' && c == ',')
            close_value(x);
        if (f->index && c == ':') {
            guard_bound(x);
            f->slice = true;
        }
        mt_buf_putc(x->out, c);
        if (f->kind == '{' && c == ':' && !f->pattern && !f->value) {
            mt_buf_putc(x->out, '(');
            f->value = true;
        }
        f->start = x->out->n;
        x->term = false;
        x->key = f->kind == '{' && c == ',';
        return MT_OK;
    default:
        if (is_digit(c)) {
            scan_number(x);
            return MT_OK;
        }
        if (is_name_start(c))
            return scan_name(x);
        scan_operator(x);
        return MT_OK;
    }
}

enum mt_rc mt_jq_rewrite(struct mt_slice text, struct mt_buf *out, struct mt_expression *out_about,
                         struct mt_err *err)
{
    struct scanner *x = mt_alloc(sizeof *x); /* 2 KB of frames */
    x->s = text;
    x->out = out;
    x->err = err;
    enum mt_rc rc = MT_OK;
    while (rc == MT_OK && x->at < text.n) {
        char c = text.p[x->at];
        if (is_blank(c)) {
            mt_buf_putc(out, c);
            x->at++;
        } else if (c == '#') {
            skip_comment(x);
            mt_buf_putc(out, ' ');
        } else {
            bool key = x->key;
            x->any = true;
            rc = scan_token(x);
            if (key && x->key && !(c == '{' || c == ','))
                x->key = false;
        }
    }
    if (rc == MT_OK && x->depth > 0) {
        char kind = top(x)->kind;
        rc = broken(x, kind == 'i'   ? "an if has no end"
                       : kind == '(' ? "a ( is not closed"
                       : kind == '[' ? "a [ is not closed"
                                     : "a { is not closed");
    } else if (rc == MT_OK && !x->any) {
        rc = mt_fail(err, MT_EINVAL, "the expression is empty");
    } else if (rc == MT_OK && out->failed) {
        rc = mt_fail(err, MT_ENOMEM, "the expression is too long");
    }
    if (x->first && x->catches)
        mt_prelude_note(&x->about.uses, MT_SLICE("first?"));
    if (rc == MT_OK)
        *out_about = x->about;
    free(x);
    return rc;
}
