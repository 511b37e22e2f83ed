/* Code for variables: `as` with its patterns, reduce, foreach. See compile.h. */
#include "jq/compile.h"

static const struct input nowhere = {IN_NOWHERE, 0}, stack = {IN_STACK, 0};

void gen_variable(struct mt_compiler *c, const struct mt_node *n)
{
    const struct scope *s = find_variable(c, n->text);
    if (s && s->kind == SCOPE_CONSTANT) {
        emit(c, MT_DO_CONST, 0, constant(c, s->value), 0);
    } else if (s) {
        unsigned level = level_of(c, s->unit);
        emit(c, level ? MT_DO_LOAD_UP : MT_DO_LOAD, 0, level, s->slot);
    } else if (mt_slice_is(n->text, "ENV")) {
        const struct mt_node env = {.kind = MT_NODE_CALL, .at = n->at, .text = MT_SLICE("env")};
        const struct scope *saved = c->scope;
        c->scope = NULL;
        gen_call(c, &env, nowhere, 0);
        c->scope = saved;
    } else if (mt_slice_is(n->text, "__prog_args")) {
        fail_at(c, MT_ENOENT, n->at, "$__prog_args: there are no arguments here");
    } else {
        fail_at(c, MT_EINVAL, n->at, "$%.*s is not defined", MT_FMT(n->text));
    }
}

/* ---- patterns ---- */

/* The variables that patterns bind, in the order of their first appearance. */
struct bound {
    struct mt_slice name;
    uint32_t slot;
    struct bound *next;
};

enum { BOUND_MAX = 4096 }; /* they are looked up one by one */

static struct bound *bind(struct mt_compiler *c, struct bound **all, struct mt_slice name)
{
    struct bound **b = all;
    unsigned count = 0;
    for (; *b; b = &(*b)->next, count++)
        if (mt_slice_eq((*b)->name, name))
            return *b;
    if (count == BOUND_MAX)
        fail_at(c, MT_EINVAL, 0, "a pattern has more than %d variables", BOUND_MAX);
    *b = arena_take(c, sizeof **b);
    **b = (struct bound){.name = name, .slot = new_local(c)};
    return *b;
}

static void find_bound(struct mt_compiler *c, const struct mt_pattern *p, struct bound **all)
{
    if (p->kind == MT_PATTERN_VARIABLE)
        bind(c, all, p->name);
    for (unsigned i = 0; i < p->count && !c->broken; i++) {
        if (p->entries[i].name.p)
            bind(c, all, p->entries[i].name);
        if (p->entries[i].value)
            find_bound(c, p->entries[i].value, all);
    }
}

/* Takes the value on the stack apart. Keys see the names outside the pattern. */
static void gen_pattern(struct mt_compiler *c, const struct mt_pattern *p, struct bound **all)
{
    if (p->kind == MT_PATTERN_VARIABLE) {
        emit(c, MT_DO_STORE, 0, 0, bind(c, all, p->name)->slot);
        return;
    }
    uint32_t whole = new_local(c);
    emit(c, MT_DO_STORE, 0, 0, whole);
    for (unsigned i = 0; i < p->count && !c->broken; i++) {
        const struct mt_pattern_entry *e = &p->entries[i];
        struct mt_jv key;
        if (p->kind == MT_PATTERN_ARRAY) {
            emit(c, MT_DO_LOAD_KEY, 0, constant(c, mt_jv_number(i)), whole);
        } else if (fold(c, e->key, NULL, &key)) {
            char shown[MT_JV_SHOWN];
            if (!mt_jv_is(key, MT_STRING))
                fail_at(c, MT_EINVAL, e->key->at, "%s cannot be the key of an object",
                        mt_jv_show(key, shown));
            else
                note_name(c, mt_jv_text(key));
            emit(c, MT_DO_LOAD_KEY, 0, constant(c, key), whole);
        } else {
            gen(c, e->key, (struct input){IN_VARIABLE, whole}, 0);
            emit(c, MT_DO_LOAD, 0, 0, whole);
            emit(c, MT_DO_INDEX, MT_FLAG_TOP, 0, 0);
        }
        if (e->name.p) {
            uint32_t slot = bind(c, all, e->name)->slot;
            emit(c, MT_DO_STORE, 0, 0, slot);
            if (e->value)
                emit(c, MT_DO_LOAD, 0, 0, slot);
        }
        if (e->value)
            gen_pattern(c, e->value, all);
    }
}

/* Binds the value on the stack to n's patterns; their names are in the scope after it. */
static void gen_patterns(struct mt_compiler *c, const struct mt_node *n)
{
    struct bound *all = NULL;
    uint32_t value = 0, *jumps = NULL;
    for (unsigned i = 0; i < n->count; i++)
        find_bound(c, n->patterns[i], &all);
    if (n->count > 1) {
        value = new_local(c);
        jumps = arena_take(c, n->count * sizeof *jumps);
        emit(c, MT_DO_STORE, 0, 0, value);
    }
    for (unsigned i = 0; i < n->count; i++) {
        uint32_t fork = 0;
        if (n->count > 1) {
            if (i + 1 < n->count)
                fork = emit(c, MT_DO_PATTERN, 0, 0, 0);
            for (struct bound *b = all; b; b = b->next) {
                emit(c, MT_DO_CONST, 0, constant(c, mt_jv_null()), 0);
                emit(c, MT_DO_STORE, 0, 0, b->slot);
            }
            emit(c, MT_DO_LOAD, 0, 0, value);
        }
        gen_pattern(c, n->patterns[i], &all);
        if (i + 1 < n->count) {
            jumps[i] = emit(c, MT_DO_JUMP, 0, 0, 0);
            patch(c, fork);
        }
    }
    for (unsigned i = 0; i + 1 < n->count; i++)
        patch(c, jumps[i]);
    for (struct bound *b = all; b; b = b->next)
        push_scope(c, SCOPE_VARIABLE, b->name)->slot = b->slot;
}

void gen_bind(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *saved = c->scope;
    bool simple = n->count == 1 && n->patterns[0]->kind == MT_PATTERN_VARIABLE;
    struct mt_jv v;
    if (simple && fold(c, n->a, NULL, &v)) {
        push_scope(c, SCOPE_CONSTANT, n->patterns[0]->name)->value = mt_jv_share(v);
        gen(c, n->b, in, how);
    } else if (in.at == IN_STACK && !reads_input(c, n->a) && n->count == 1) {
        gen(c, n->a, nowhere, 0);
        gen_patterns(c, n);
        gen(c, n->b, in, how);
    } else {
        struct input kept = spill(c, in);
        bool lean =
            n->count == 1 && outputs_of(c, n->a) != GIVES_MANY && pattern_gives_one(c, n->patterns[0]);
        gen(c, n->a, kept, 0);
        gen_patterns(c, n);
        gen(c, n->b, last_use(in, kept, lean), how);
    }
    c->scope = saved;
}

/* What reduce and foreach have in common: the state in a variable, the item bound, the state updated. Returns
 * the fork whose target is what comes after the last item; foreach needs none. */
static uint32_t gen_loop(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how,
                         uint32_t state)
{
    if (in.at == IN_STACK && !reads_input(c, n->a)) {
        gen(c, n->b, in, 0);
        in = nowhere;
    } else if (in.at == IN_STACK && !reads_input(c, n->b)) {
        struct input kept = spill(c, in);
        gen(c, n->b, nowhere, 0);
        in = last_use(in, kept, outputs_of(c, n->b) != GIVES_MANY);
    } else {
        struct input kept = spill(c, in);
        gen(c, n->b, kept, 0);
        in = last_use(in, kept, outputs_of(c, n->b) != GIVES_MANY);
    }
    emit(c, MT_DO_STORE, 0, 0, state);
    uint32_t fork = n->kind == MT_NODE_REDUCE ? emit(c, MT_DO_FORK, 0, 0, 0) : 0;
    gen(c, n->a, in, how & GEN_PATH);
    gen_patterns(c, n);
    emit(c, MT_DO_MOVE, 0, 0, state); /* an update that gives nothing leaves null, as in jq */
    gen(c, n->c, stack, 0);
    emit(c, MT_DO_STORE, 0, 0, state);
    return fork;
}

void gen_reduce(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *saved = c->scope;
    uint32_t state = new_local(c), fork = gen_loop(c, n, in, how, state);
    emit(c, MT_DO_BACKTRACK, 0, 0, 0);
    patch(c, fork);
    emit(c, MT_DO_MOVE, 0, 0, state);
    c->scope = saved;
}

void gen_foreach(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *saved = c->scope;
    uint32_t state = new_local(c);
    gen_loop(c, n, in, how, state);
    if (n->d)
        gen(c, n->d, (struct input){IN_VARIABLE, state}, how & GEN_PATH);
    else
        emit(c, MT_DO_LOAD, 0, 0, state);
    c->scope = saved;
}
