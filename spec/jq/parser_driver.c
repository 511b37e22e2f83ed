/* Shows syntax trees to spec/jq/parser_spec.lua: one JSON string (a program) a line on stdin, one line of
 * JSON on stdout: {"tree": an S-expression, "height"} or {"error", "line", "column", "at"}. With the argument
 * `definitions` it shows that for each builtin written in jq instead, with its "name". With `repeat N PIECE
 * MIDDLE [PIECE]` it parses N pieces, the middle, N pieces, and says how much stack that took; with `starve
 * PROGRAM` it fails each of the parser's allocations in turn. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/definition.h"
#include "jq/syntax_tree.h"
#include "json/document.h"

static void show(const struct mt_node *n, struct mt_buf *out);

static void word(struct mt_slice text, struct mt_buf *out)
{
    mt_buf_putc(out, ' ');
    mt_buf_put(out, text);
}

static void show_pattern(const struct mt_pattern *p, struct mt_buf *out)
{
    if (p->kind == MT_PATTERN_VARIABLE) {
        mt_buf_printf(out, " $%.*s", MT_FMT(p->name));
        return;
    }
    mt_buf_puts(out, p->kind == MT_PATTERN_ARRAY ? " [" : " {");
    for (unsigned i = 0; i < p->count; i++) {
        const struct mt_pattern_entry *e = &p->entries[i];
        if (e->name.p)
            mt_buf_printf(out, " $%.*s", MT_FMT(e->name));
        if (e->key)
            show(e->key, out);
        if (e->value)
            show_pattern(e->value, out);
        else
            mt_buf_puts(out, " -");
    }
    mt_buf_puts(out, p->kind == MT_PATTERN_ARRAY ? " ]" : " }");
}

static void show(const struct mt_node *n, struct mt_buf *out)
{
    static const char *const names[] = {[MT_NODE_IDENTITY] = ".",     [MT_NODE_RECURSE] = "..",
                                        [MT_NODE_NULL] = "null",      [MT_NODE_FALSE] = "false",
                                        [MT_NODE_TRUE] = "true",      [MT_NODE_NUMBER] = "",
                                        [MT_NODE_STRING] = "",        [MT_NODE_INTERPOLATION] = "(text",
                                        [MT_NODE_FORMAT] = "@",       [MT_NODE_INDEX] = "(index",
                                        [MT_NODE_SLICE] = "(slice",   [MT_NODE_EACH] = "(each",
                                        [MT_NODE_TRY] = "(try",       [MT_NODE_ARRAY] = "(array",
                                        [MT_NODE_OBJECT] = "(object", [MT_NODE_NEGATE] = "(negate",
                                        [MT_NODE_PIPE] = "(|",        [MT_NODE_COMMA] = "(,",
                                        [MT_NODE_BINARY] = "(",       [MT_NODE_AND] = "(and",
                                        [MT_NODE_OR] = "(or",         [MT_NODE_ALTERNATIVE] = "(//",
                                        [MT_NODE_ASSIGN] = "(set",    [MT_NODE_IF] = "(if",
                                        [MT_NODE_REDUCE] = "(reduce", [MT_NODE_FOREACH] = "(foreach",
                                        [MT_NODE_BIND] = "(as",       [MT_NODE_LABEL] = "(label",
                                        [MT_NODE_BREAK] = "(break",   [MT_NODE_FUNCTION] = "(def",
                                        [MT_NODE_CALL] = "(call",     [MT_NODE_VARIABLE] = "$"};
    static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
    mt_buf_putc(out, ' ');
    if (!n) {
        mt_buf_putc(out, '-');
        return;
    }
    mt_buf_puts(out, names[n->kind]);
    if (n->kind == MT_NODE_STRING) {
        mt_buf_put_json_string(out, n->text);
        return;
    }
    if (n->kind == MT_NODE_NUMBER || n->kind == MT_NODE_VARIABLE || n->kind == MT_NODE_FORMAT) {
        mt_buf_put(out, n->text);
        return;
    }
    if (*names[n->kind] != '(')
        return;
    if (n->op >= MT_OP_EQ)
        mt_buf_puts(out, comparisons[n->op - MT_OP_EQ]);
    else if (n->op)
        mt_buf_printf(out, n->kind == MT_NODE_ASSIGN ? " %c" : "%c", (char)n->op);
    if (n->text.p)
        word(n->text, out);
    if (n->function) {
        word(n->function->name, out);
        for (unsigned i = 0; i < n->function->count; i++)
            mt_buf_printf(out, "%s%s%.*s", i ? ";" : "(", n->function->parameters[i].value ? "$" : "",
                          MT_FMT(n->function->parameters[i].name));
        if (n->function->count)
            mt_buf_putc(out, ')');
        show(n->function->body, out);
    }
    const struct mt_node *children[] = {n->a, n->b, n->c, n->d};
    size_t last = 4;
    while (last && !children[last - 1])
        last--;
    for (size_t i = 0; i < last; i++) {
        show(children[i], out);
        if (i == 0 && n->patterns)
            for (unsigned k = 0; k < n->count; k++)
                show_pattern(n->patterns[k], out);
    }
    if (n->list)
        for (unsigned i = 0; i < n->count; i++)
            show(n->list[i], out);
    mt_buf_putc(out, ')');
}

static void answer(const char *name, const struct mt_syntax_tree *tree, const struct mt_syntax_error *error)
{
    struct mt_buf text, out;
    mt_buf_init(&text, (size_t)1 << 26);
    mt_buf_init(&out, (size_t)1 << 27);
    mt_buf_putc(&out, '{');
    if (name) {
        mt_buf_puts(&out, "\"name\":");
        mt_buf_put_json_string(&out, mt_slice_of(name));
        mt_buf_putc(&out, ',');
    }
    if (tree) {
        show(mt_syntax_tree_root(tree), &text);
        mt_buf_puts(&out, "\"tree\":");
        mt_buf_put_json_string(&out, (struct mt_slice){text.p + 1, text.n - 1});
        mt_buf_printf(&out, ",\"height\":%u}", mt_syntax_tree_root(tree)->height);
    } else {
        mt_buf_puts(&out, "\"error\":");
        mt_buf_put_json_string(&out, mt_slice_of(error->text));
        mt_buf_printf(&out, ",\"line\":%u,\"column\":%u,\"at\":%u}", error->line, error->column, error->at);
    }
    puts(mt_buf_text(&out));
    fflush(stdout);
    mt_buf_fini(&text);
    mt_buf_fini(&out);
}

static void definitions(void)
{
    static const char *const private[] = {"_nwise/1", "_pattern/0"};
    const char *name;
    for (unsigned i = 0; (name = i < 2 ? private[i] : mt_definition_name(i - 2)); i++) {
        struct mt_syntax_error error;
        const char *slash = strrchr(name, '/');
        struct mt_slice text = mt_definition_find((struct mt_slice){name, (size_t)(slash - name)},
                                                  (unsigned)strtoul(slash + 1, NULL, 10));
        struct mt_syntax_tree *tree = mt_jq_parse_definition(text, &error);
        answer(name, tree, &error);
        mt_syntax_tree_free(tree);
    }
}

/* How much of a thread's stack a parser takes: the deepest byte of it that is no longer what it was. */
enum { STACK = 16 << 20, MARK = 0x5A };

struct big {
    struct mt_slice program;
    struct mt_syntax_error error;
    struct mt_syntax_tree *tree;
};

static void *parse_big(void *argument)
{
    struct big *b = argument;
    b->tree = mt_jq_parse(b->program, &b->error);
    return NULL;
}

static void measure(struct mt_slice program)
{
    struct big b = {.program = program};
    pthread_attr_t attributes;
    pthread_t thread;
    char *stack = aligned_alloc(4096, STACK);
    if (!stack)
        abort();
    memset(stack, MARK, STACK);
    if (pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK) ||
        pthread_create(&thread, &attributes, parse_big, &b))
        abort();
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    size_t untouched = 0;
    while (untouched < STACK && stack[untouched] == MARK)
        untouched++;
    if (b.tree)
        printf("{\"height\":%u,\"stack\":%zu}\n", mt_syntax_tree_root(b.tree)->height, STACK - untouched);
    else
        printf("{\"error\":\"%u\",\"stack\":%zu,\"text\":\"%s\"}\n", b.error.column, STACK - untouched,
               strchr(b.error.text, '"') ? "" : b.error.text);
    mt_syntax_tree_free(b.tree);
    free(stack);
}

static void repeat(int argc, char **argv)
{
    struct mt_buf program;
    unsigned long n = strtoul(argv[2], NULL, 10);
    mt_buf_init(&program, (size_t)1 << 26);
    for (unsigned long i = 0; i < n; i++)
        mt_buf_puts(&program, argv[3]);
    mt_buf_puts(&program, argv[4]);
    for (unsigned long i = 0; i < n && argc > 5; i++)
        mt_buf_puts(&program, argv[5]);
    measure(mt_buf_slice(&program));
    mt_buf_fini(&program);
}

/* mt_try_alloc is linked under this name here: the call number `refused` from now on fails. */
static unsigned long refused;

void *__real_mt_try_alloc(size_t size);
void *__wrap_mt_try_alloc(size_t size);

void *__wrap_mt_try_alloc(size_t size)
{
    return refused && --refused == 0 ? NULL : __real_mt_try_alloc(size);
}

/* Fails each allocation of a program in turn, and tells how many there were. */
static void starve(const char *program)
{
    unsigned long n = 0;
    for (struct mt_syntax_tree *tree = NULL; !tree; mt_syntax_tree_free(tree)) {
        struct mt_syntax_error error;
        refused = ++n;
        tree = mt_jq_parse(mt_slice_of(program), &error);
        bool met = refused == 0;
        refused = 0;
        if (met == (tree != NULL) || (met && !strstr(error.text, "not enough memory"))) {
            printf("{\"error\":\"allocation %lu\"}\n", n);
            mt_syntax_tree_free(tree);
            return;
        }
        if (tree)
            printf("{\"allocations\":%lu}\n", n - 1);
    }
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    if (argc > 1 && strcmp(argv[1], "definitions") == 0) {
        definitions();
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "starve") == 0) {
        starve(argv[2]);
        return 0;
    }
    if (argc > 4 && strcmp(argv[1], "repeat") == 0) {
        repeat(argc, argv);
        return 0;
    }
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct mt_doc *request = NULL;
        struct mt_err err;
        struct mt_syntax_error error;
        if (mt_doc_parse_copy((struct mt_slice){line, (size_t)n}, NULL, &request, &err)) {
            fprintf(stderr, "parser_driver: %s\n", err.text);
            return 1;
        }
        struct mt_syntax_tree *tree = mt_jq_parse(mt_val_string(mt_doc_root(request)), &error);
        answer(NULL, tree, &error);
        mt_syntax_tree_free(tree);
        mt_doc_unref(request);
    }
    free(line);
    return 0;
}
