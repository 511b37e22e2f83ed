/* Code for calls: parameters, the program's functions, natives, builtins that are written in jq. See
 * compile.h.
 *
 * A builtin of definition.h is compiled where it is used, with its parameters in place of their names, unless
 * it calls itself: `map(.a)` becomes `[.[] | .a]`. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/compile.h"
#include "jq/definition.h"

enum { INLINE_DEPTH = 12, INLINE_CODE = 1 << 16, PARAMETERS_MAX = 64, NAME_MAX_DISTANCE = 2 };

static const struct input stack = {IN_STACK, 0}, nowhere = {IN_NOWHERE, 0};

struct builtin {
    struct builtin *next;
    struct mt_syntax_tree *tree;
    const struct mt_function *function;
    struct mt_slice text;
    bool recursive;
    struct unit *unit; /* of the entry at hand, when it is called as a function */
};

void forget_builtins(struct mt_compiler *c, bool all)
{
    for (struct builtin *b = c->builtins, *next; b; b = next) {
        next = b->next;
        b->unit = NULL;
        if (all) {
            mt_syntax_tree_free(b->tree);
            free(b);
        }
    }
    if (all)
        c->builtins = NULL;
}

static struct builtin *find_builtin(struct mt_compiler *c, struct mt_slice name, size_t arity)
{
    for (struct builtin *b = c->builtins; b; b = b->next)
        if (b->function->count == arity && mt_slice_eq(b->function->name, name))
            return b;
    struct mt_slice text = mt_definition_find(name, (unsigned)arity);
    struct mt_syntax_error error;
    struct mt_syntax_tree *tree = text.p ? mt_jq_parse_definition(text, &error) : NULL;
    if (!tree) {
        if (text.p) /* nothing else can be wrong with it */
            fail_memory(c);
        return NULL;
    }
    struct builtin *b = mt_alloc(sizeof *b);
    b->tree = tree;
    b->function = mt_syntax_tree_root(tree)->function;
    b->text = text;
    b->recursive = calls(b->function->body, name, (unsigned)arity);
    b->next = c->builtins;
    c->builtins = b;
    return b;
}

const struct mt_function *builtin_function(struct mt_compiler *c, struct mt_slice name, size_t arity,
                                           struct mt_slice *out_text)
{
    struct builtin *b = find_builtin(c, name, arity);
    if (!b)
        return NULL;
    *out_text = b->text;
    return b->function;
}

bool is_recursive(struct mt_compiler *c, struct mt_slice name, size_t arity)
{
    struct builtin *b = find_builtin(c, name, arity);
    return b && b->recursive;
}

/* A name that stands for something in the names before it. */
static struct scope *add_scope(struct mt_compiler *c, const struct scope **list, int kind,
                               struct mt_slice name)
{
    const struct scope *saved = c->scope;
    c->scope = *list;
    struct scope *s = push_scope(c, kind, name);
    *list = s;
    c->scope = saved;
    return s;
}

static void add_inline(struct mt_compiler *c, const struct scope **list, struct mt_slice name,
                       const struct mt_node *node)
{
    struct scope *s = add_scope(c, list, SCOPE_INLINE, name);
    s->node = node;
    s->place = c->scope;
}

const struct scope *inline_scope(struct mt_compiler *c, const struct mt_function *f, struct mt_node **args)
{
    const struct scope *list = NULL;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->parameters[i].value)
            add_scope(c, &list, SCOPE_VARIABLE, f->parameters[i].name);
        add_inline(c, &list, f->parameters[i].name, args[i]);
    }
    return list;
}

/* ---- functions of the program ---- */

/* The argument n as an instruction behind a CALL. Returns whether it refers to the frame of the caller. */
static bool gen_closure(struct mt_compiler *c, const struct mt_node *n)
{
    const struct scope *saved = c->scope, *s;
    struct mt_slice text = c->text;
    bool closes = false;
    for (;; n = s->node) {
        s = n->kind == MT_NODE_CALL && n->count == 0 ? find_function(c, n->text, 0) : NULL;
        if (!s || s->kind != SCOPE_INLINE)
            break;
        c->scope = s->place;
        c->text = s->text;
    }
    if (s && s->kind == SCOPE_CLOSURE) {
        emit(c, MT_DO_ARG_PASS, 0, level_of(c, s->unit), s->slot);
    } else {
        struct unit *u = new_unit(c, NULL, n, c->scope);
        want(c, u, MT_MODE_VALUE);
        emit(c, MT_DO_ARG_CLOSURE, 0, u->index, 0);
        closes = true;
    }
    c->scope = saved;
    c->text = text;
    return closes;
}

static void call_unit(struct mt_compiler *c, struct unit *u, const struct mt_node *n, struct input in,
                      unsigned how)
{
    const struct mt_function *f = u->function;
    unsigned values = 0;
    bool lean = true, closes = false;
    for (unsigned i = 0; i < f->count; i++)
        values += f->parameters[i].value;
    if (f->count > PARAMETERS_MAX)
        fail_at(c, MT_EINVAL, n->at, "%.*s has more than %d parameters", MT_FMT(f->name), PARAMETERS_MAX);
    struct input kept = values ? spill(c, in) : in;
    for (unsigned i = 0; i < f->count && !c->broken; i++)
        if (f->parameters[i].value) {
            gen(c, n->list[i], kept, 0);
            lean = lean && outputs_of(c, n->list[i]) != GIVES_MANY;
        }
    put_input(c, values ? last_use(in, kept, lean) : in);
    want(c, u, how & GEN_PATH ? MT_MODE_PATH : MT_MODE_VALUE);
    uint32_t level = level_of(c, u->outer);
    uint32_t call = emit(c, MT_DO_CALL, how & GEN_PATH ? MT_FLAG_PATH : 0, u->index, level);
    for (unsigned i = 0; i < f->count && !c->broken; i++) {
        if (f->parameters[i].value)
            emit(c, MT_DO_ARG_VALUE, 0, 0, 0);
        if (!f->parameters[i].value || calls(f->body, f->parameters[i].name, 0))
            closes = gen_closure(c, n->list[i]) || closes;
    }
    if ((how & GEN_TAIL) && level > 0 && !closes && !c->broken)
        c->p->code.v[call].flag |= MT_FLAG_TAIL;
}

void gen_function(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *saved = c->scope;
    struct unit *u = new_unit(c, n->function, NULL, NULL);
    struct scope *s = push_scope(c, SCOPE_FUNCTION, n->function->name);
    s->arity = n->function->count;
    s->unit = u;
    u->scope = s;
    if (c->text.p == c->source.p) /* its mistakes count even if nobody calls it */
        want(c, u, MT_MODE_VALUE);
    gen(c, n->a, in, how);
    c->scope = saved;
}

/* ---- builtins ---- */

static void gen_inline(struct mt_compiler *c, const struct builtin *b, const struct mt_node *n,
                       struct input in, unsigned how)
{
    const struct mt_function *f = b->function;
    const struct scope *list = NULL, *saved = c->scope;
    struct mt_slice text = c->text;
    struct input kept = in;
    bool lean = true;
    struct mt_jv v;
    for (unsigned i = 0; i < f->count && !c->broken; i++) {
        const struct mt_parameter *p = &f->parameters[i];
        if (p->value && fold(c, n->list[i], NULL, &v)) {
            add_scope(c, &list, SCOPE_CONSTANT, p->name)->value = mt_jv_share(v);
        } else if (p->value) {
            kept = spill(c, kept);
            gen(c, n->list[i], kept, 0);
            lean = lean && outputs_of(c, n->list[i]) != GIVES_MANY;
            uint32_t slot = new_local(c);
            emit(c, MT_DO_STORE, 0, 0, slot);
            add_scope(c, &list, SCOPE_VARIABLE, p->name)->slot = slot;
        }
        if (!p->value || calls(f->body, p->name, 0))
            add_inline(c, &list, p->name, n->list[i]);
    }
    c->scope = list;
    c->text = b->text;
    c->inlined++;
    gen(c, f->body, kept.at == in.at ? in : last_use(in, kept, lean), how);
    c->inlined--;
    c->scope = saved;
    c->text = text;
}

static void call_builtin(struct mt_compiler *c, struct builtin *b, const struct mt_node *n, struct input in,
                         unsigned how)
{
    if (!b->recursive && c->inlined < INLINE_DEPTH &&
        here(c) - c->p->functions.v[c->root->index].start[0] < INLINE_CODE) {
        gen_inline(c, b, n, in, how);
        return;
    }
    if (!b->unit) {
        const struct scope *saved = c->scope;
        struct mt_slice text = c->text;
        c->scope = NULL;
        c->text = b->text;
        b->unit = new_unit(c, b->function, NULL, NULL);
        b->unit->outer = c->root;
        struct scope *s = push_scope(c, SCOPE_FUNCTION, b->function->name);
        s->arity = b->function->count;
        s->unit = b->unit;
        b->unit->scope = s;
        c->scope = saved;
        c->text = text;
    }
    call_unit(c, b->unit, n, in, how);
}

void gen_recurse(struct mt_compiler *c, struct input in, unsigned how)
{
    struct mt_node each = {.kind = MT_NODE_EACH, .a = &(struct mt_node){.kind = MT_NODE_IDENTITY}};
    struct mt_node *children = arena_take(c, 3 * sizeof *children), **list = arena_take(c, sizeof *list);
    children[0] = *each.a;
    children[1] = each;
    children[1].a = &children[0];
    children[2] = (struct mt_node){.kind = MT_NODE_TRY, .a = &children[1]};
    *list = &children[2];
    const struct mt_node call = {.kind = MT_NODE_CALL, .text = MT_SLICE("recurse"), .list = list, .count = 1};
    const struct scope *saved = c->scope;
    c->scope = NULL;
    gen_call(c, &call, in, how);
    c->scope = saved;
}

static uint32_t native_index(struct mt_compiler *c, const struct mt_native *native)
{
    for (uint32_t i = 0; i < c->p->natives.n; i++)
        if (c->p->natives.v[i] == native)
            return i;
    *MT_CODE_ADD(c->p->natives) = native;
    return c->p->natives.n - 1;
}

/* Parameters are evaluated from the last to the first, which varies fastest. */
static void gen_native(struct mt_compiler *c, const struct mt_native *native, const struct mt_node *n,
                       struct input in)
{
    bool reads = in.at != IN_STACK, lean = true;
    for (unsigned i = 0; i < n->count && !reads; i++)
        reads = reads_input(c, n->list[i]);
    struct input kept = reads ? spill(c, in) : nowhere;
    for (unsigned i = n->count; i > 0; i--) {
        gen(c, n->list[i - 1], kept, 0);
        lean = lean && outputs_of(c, n->list[i - 1]) != GIVES_MANY;
    }
    if (reads)
        put_input(c, last_use(in, kept, lean));
    emit(c, MT_DO_NATIVE, reads ? MT_FLAG_TOP : 0, native_index(c, native), n->count);
}

static void gen_range(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    static const struct mt_node zero = {.kind = MT_NODE_NUMBER, .text = {"0", 1}},
                                one = {.kind = MT_NODE_NUMBER, .text = {"1", 1}};
    struct input kept = spill(c, in);
    gen(c, n->count > 1 ? n->list[0] : &zero, n->count > 1 ? kept : nowhere, 0);
    gen(c, n->list[n->count > 1], kept, 0);
    gen(c, n->count > 2 ? n->list[2] : &one, n->count > 2 ? kept : nowhere, 0);
    emit(c, MT_DO_RANGE, 0, 0, n->count);
}

static bool is(const struct mt_node *n, const char *name, unsigned arity)
{
    return n->count == arity && mt_slice_is(n->text, name);
}

/* sub and gsub by plain texts are one native: a third of the time that their definition takes, which makes an
 * object of each match. */
static bool replaces_text(const struct mt_node *n)
{
    return (is(n, "sub", 2) || is(n, "gsub", 2) || (is(n, "sub", 3) && n->list[2]->kind == MT_NODE_STRING)) &&
           n->list[0]->kind == MT_NODE_STRING && n->list[1]->kind == MT_NODE_STRING;
}

static void gen_replace(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    static struct mt_node every = {.kind = MT_NODE_STRING, .text = {"g", 1}},
                          one = {.kind = MT_NODE_STRING, .text = {"", 0}};
    struct mt_node *list[] = {n->list[0],
                              n->count == 3      ? n->list[2]
                              : is(n, "gsub", 2) ? &every
                                                 : &one,
                              n->list[1]};
    struct mt_node call = *n;
    call.list = list;
    call.count = 3;
    gen_native(c, mt_native_find(mt_slice_of("_replace"), 3), &call, in);
}

/* What is an instruction of its own. */
static bool gen_special(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    if (is(n, "empty", 0)) {
        drop_input(c, in);
        emit(c, MT_DO_BACKTRACK, 0, 0, 0);
    } else if (is(n, "not", 0)) {
        put_input(c, in);
        emit(c, MT_DO_NOT, 0, 0, 0);
    } else if (is(n, "recurse", 0)) {
        gen_recurse(c, in, how);
    } else if (is(n, "error", 0) || is(n, "error", 1)) {
        if (n->count)
            gen(c, n->list[0], in, 0);
        else
            put_input(c, in);
        emit(c, MT_DO_ERROR, 0, 0, 0);
    } else if (is(n, "path", 1)) {
        put_input(c, in);
        emit(c, MT_DO_PATH_BEGIN, 0, 0, 0);
        gen(c, n->list[0], stack, GEN_PATH);
        emit(c, MT_DO_PATH_END, 0, 0, 0);
    } else if (is(n, "first", 1)) {
        gen_first(c, n->list[0], in, how);
    } else if (is(n, "isempty", 1)) {
        gen_is_empty(c, n->list[0], in);
    } else if (is(n, "getpath", 1) && (how & GEN_PATH)) {
        struct input kept = spill(c, in);
        gen(c, n->list[0], kept, 0);
        put_input(c, last_use(in, kept, outputs_of(c, n->list[0]) != GIVES_MANY));
        emit(c, MT_DO_PATH_GET, MT_FLAG_TOP, 0, 0);
    } else if (mt_slice_is(n->text, "range") && n->count >= 1 && n->count <= 3) {
        gen_range(c, n, in);
    } else if (replaces_text(n) && !(how & GEN_PATH)) {
        gen_replace(c, n, in);
    } else {
        return false;
    }
    return true;
}

static bool is_refused(const struct mt_node *n)
{
    static const struct {
        const char *name;
        unsigned arity;
    } refused[] = {
        {"input", 0},  {"inputs", 0}, {"input_line_number", 0}, {"debug", 0},      {"debug", 1},
        {"stderr", 0}, {"halt", 0},   {"halt_error", 0},        {"halt_error", 1}, {"modulemeta", 0}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (is(n, refused[i].name, refused[i].arity))
            return true;
    return false;
}

/* ---- names that nothing is known about ---- */

/* Letters to be changed, added or removed, up to NAME_MAX_DISTANCE + 1. */
static unsigned distance(struct mt_slice a, struct mt_slice b)
{
    unsigned row[32];
    if (a.n >= 32 || b.n >= 32)
        return NAME_MAX_DISTANCE + 1;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned change = diagonal + (a.p[i - 1] != b.p[j - 1]),
                     least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = change < least + 1 ? change : least + 1;
        }
    }
    return row[b.n];
}

struct guess {
    struct mt_slice name;
    unsigned distance;
    char arities[64]; /* that the very name is known with: "1 or 2" */
};

static void consider(struct guess *g, struct mt_slice wanted, struct mt_slice name, unsigned arity)
{
    unsigned d = distance(wanted, name);
    if (name.n && name.p[0] == '_')
        return;
    if (d == 0) {
        size_t n = strlen(g->arities);
        if (n + 8 < sizeof g->arities && arity < 10) {
            if (n)
                memcpy(g->arities + n, " or ", 5);
            size_t at = strlen(g->arities);
            g->arities[at] = (char)('0' + arity);
            g->arities[at + 1] = '\0';
        }
    } else if (d < g->distance && 3 * d <= wanted.n) {
        g->distance = d;
        g->name = name;
    }
}

void fail_unknown(struct mt_compiler *c, const struct mt_node *n)
{
    struct guess g = {.distance = NAME_MAX_DISTANCE + 1};
    const struct mt_native *native;
    const char *entry;
    for (const struct scope *s = c->scope; s; s = s->outer)
        if (s->kind == SCOPE_FUNCTION || s->kind == SCOPE_CLOSURE)
            consider(&g, n->text, s->name, s->arity);
    for (unsigned i = 0; (native = mt_native_at(i)) != NULL; i++)
        consider(&g, n->text, mt_slice_of(native->name), native->arity);
    for (unsigned i = 0; (entry = mt_definition_name(i)) != NULL; i++) {
        const char *slash = strchr(entry, '/');
        if (slash)
            consider(&g, n->text, (struct mt_slice){entry, (size_t)(slash - entry)},
                     (unsigned)(slash[1] - '0'));
    }
    if (g.arities[0])
        fail_at(c, MT_EINVAL, n->at, "%.*s/%u is not defined: %.*s takes %s parameters", MT_FMT(n->text),
                n->count, MT_FMT(n->text), g.arities);
    else if (g.distance <= NAME_MAX_DISTANCE)
        fail_at(c, MT_EINVAL, n->at, "%.*s/%u is not defined; is %.*s meant?", MT_FMT(n->text), n->count,
                MT_FMT(g.name));
    else
        fail_at(c, MT_EINVAL, n->at, "%.*s/%u is not defined", MT_FMT(n->text), n->count);
}

bool is_builtin(const struct mt_node *n)
{
    static const struct {
        const char *name;
        unsigned least, most;
    } special[] = {{"empty", 0, 0}, {"not", 0, 0},   {"recurse", 0, 0}, {"error", 0, 1},
                   {"path", 1, 1},  {"first", 1, 1}, {"isempty", 1, 1}, {"range", 1, 3}};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (mt_slice_is(n->text, special[i].name) && n->count >= special[i].least &&
            n->count <= special[i].most)
            return true;
    return is_refused(n) || mt_native_find(n->text, n->count) || mt_definition_find(n->text, n->count).p;
}

void gen_call(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *s = find_function(c, n->text, n->count);
    if (s && s->kind == SCOPE_INLINE) {
        const struct scope *saved = c->scope;
        struct mt_slice text = c->text;
        c->scope = s->place;
        c->text = s->text;
        gen(c, s->node, in, how);
        c->scope = saved;
        c->text = text;
        return;
    }
    if (s && s->kind == SCOPE_CLOSURE) {
        put_input(c, in);
        if (how & GEN_PATH)
            c->path_params = true;
        emit(c, MT_DO_CALL_PARAM,
             (how & GEN_PATH ? MT_FLAG_PATH : 0) | (how & GEN_TAIL ? (unsigned)MT_FLAG_TAIL : 0),
             level_of(c, s->unit), s->slot);
        return;
    }
    if (s) {
        call_unit(c, s->unit, n, in, how);
        return;
    }
    if (is_refused(n)) {
        fail_at(c, MT_ENOENT, n->at, "%.*s is not supported here", MT_FMT(n->text));
        return;
    }
    if (gen_special(c, n, in, how))
        return;
    const struct mt_native *native = mt_native_find(n->text, n->count);
    if (native) {
        gen_native(c, native, n, in);
        return;
    }
    struct builtin *b = find_builtin(c, n->text, n->count);
    if (b)
        call_builtin(c, b, n, in, how);
    else
        fail_unknown(c, n);
}
