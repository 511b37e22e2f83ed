/* Looking at expressions before code is generated for them: do they read their input, how often do they give
 * something, does a body call itself. All answers may be cautious. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/compile.h"

enum {
    LOOK_DEPTH = 6, /* calls of builtins that are looked into, inside each other */
    KNOWN_HEIGHT = 5
};

/* The answers to the questions below are asked for at each level of a program: those about large expressions
 * are kept, so that deep programs do not take their depth times their length. */
struct known *known_about(struct mt_compiler *c, const struct mt_node *n)
{
    if (n->height < KNOWN_HEIGHT || c->text.p != c->source.p || c->analysed > 0)
        return NULL;
    if (2 * c->known_count >= c->known_cap) {
        struct known *old = c->known;
        uint32_t cap = c->known_cap;
        c->known_cap = cap ? 2 * cap : 64;
        c->known = mt_alloc(c->known_cap * sizeof *c->known);
        c->known_count = 0;
        for (uint32_t i = 0; i < cap; i++)
            if (old[i].node)
                *known_about(c, old[i].node) = old[i];
        free(old);
    }
    uint64_t hash = (uint64_t)(uintptr_t)n * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(hash >> 32) & (c->known_cap - 1);
    while (c->known[at].node && c->known[at].node != n)
        at = (at + 1) & (c->known_cap - 1);
    if (!c->known[at].node) {
        c->known[at] = (struct known){.node = n};
        c->known_count++;
    }
    return &c->known[at];
}

const struct scope *find_variable(const struct mt_compiler *c, struct mt_slice name)
{
    for (const struct scope *s = c->scope; s; s = s->outer)
        if ((s->kind == SCOPE_VARIABLE || s->kind == SCOPE_CONSTANT) && mt_slice_eq(s->name, name))
            return s;
    return NULL;
}

const struct scope *find_function(const struct mt_compiler *c, struct mt_slice name, size_t arity)
{
    for (const struct scope *s = c->scope; s; s = s->outer) {
        bool is_parameter = s->kind == SCOPE_CLOSURE || s->kind == SCOPE_INLINE;
        if (((is_parameter && arity == 0) || (s->kind == SCOPE_FUNCTION && s->arity == arity)) &&
            mt_slice_eq(s->name, name))
            return s;
    }
    return NULL;
}

static bool pattern_reads(struct mt_compiler *c, const struct mt_pattern *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if ((p->entries[i].key && p->entries[i].key->kind != MT_NODE_STRING) ||
            (p->entries[i].value && pattern_reads(c, p->entries[i].value)))
            return true;
    return false;
}

static bool any_pattern_reads(struct mt_compiler *c, const struct mt_node *n)
{
    for (unsigned i = 0; i < n->count; i++)
        if (pattern_reads(c, n->patterns[i]))
            return true;
    return false;
}

static bool any_reads(struct mt_compiler *c, struct mt_node **list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (reads_input(c, list[i]))
            return true;
    return false;
}

static bool call_reads(struct mt_compiler *c, const struct mt_node *n)
{
    static const char *const blind[] = {"empty", "infinite", "nan",   "now",
                                        "env",   "builtins", "range", "error"};
    const struct scope *s = find_function(c, n->text, n->count);
    if (s && s->kind == SCOPE_INLINE) {
        const struct scope *saved = c->scope;
        c->scope = s->place;
        bool reads = reads_input(c, s->node);
        c->scope = saved;
        return reads;
    }
    if (s || (n->count == 0 && mt_slice_is(n->text, "error")))
        return true;
    for (size_t i = 0; i < sizeof blind / sizeof *blind; i++)
        if (mt_slice_is(n->text, blind[i]))
            return any_reads(c, n->list, n->count);
    return true;
}

static bool look_reads(struct mt_compiler *c, const struct mt_node *n)
{
    switch (n->kind) {
    case MT_NODE_NULL:
    case MT_NODE_FALSE:
    case MT_NODE_TRUE:
    case MT_NODE_NUMBER:
    case MT_NODE_STRING:
    case MT_NODE_VARIABLE:
    case MT_NODE_BREAK:
        return false;
    case MT_NODE_IDENTITY:
    case MT_NODE_RECURSE:
    case MT_NODE_FORMAT:
    case MT_NODE_FUNCTION:
        return true;
    case MT_NODE_INTERPOLATION:
    case MT_NODE_OBJECT:
        return any_reads(c, n->list, n->count);
    case MT_NODE_CALL:
        return call_reads(c, n);
    case MT_NODE_PIPE:
    case MT_NODE_EACH:
    case MT_NODE_TRY:
    case MT_NODE_ARRAY:
    case MT_NODE_NEGATE:
    case MT_NODE_LABEL:
        return reads_input(c, n->a);
    case MT_NODE_ASSIGN:
        return true;
    case MT_NODE_IF:
        return !n->c || reads_input(c, n->c) || reads_input(c, n->b) || reads_input(c, n->a);
    case MT_NODE_REDUCE:
    case MT_NODE_FOREACH:
        return any_pattern_reads(c, n) || reads_input(c, n->a) || reads_input(c, n->b);
    case MT_NODE_BIND:
        return any_pattern_reads(c, n) || reads_input(c, n->a) || reads_input(c, n->b);
    default:
        return reads_input(c, n->c) || reads_input(c, n->b) || reads_input(c, n->a);
    }
}

bool reads_input(struct mt_compiler *c, const struct mt_node *n)
{
    if (!n)
        return false;
    struct known *known = known_about(c, n);
    if (known && known->reads_known)
        return known->reads;
    bool reads = look_reads(c, n);
    if ((known = known_about(c, n)) != NULL) { /* the table may have grown since */
        known->reads_known = true;
        known->reads = reads;
    }
    return reads;
}

static enum outputs least(enum outputs a, enum outputs b)
{
    return a < b ? a : b;
}

static enum outputs of_list(struct mt_compiler *c, struct mt_node **list, unsigned count)
{
    enum outputs all = GIVES_ONE;
    for (unsigned i = 0; i < count && all != GIVES_MANY; i++)
        all = least(all, outputs_of(c, list[i]));
    return all;
}

bool pattern_gives_one(struct mt_compiler *c, const struct mt_pattern *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if ((p->entries[i].key && p->entries[i].key->kind != MT_NODE_STRING &&
             outputs_of(c, p->entries[i].key) != GIVES_ONE) ||
            (p->entries[i].value && !pattern_gives_one(c, p->entries[i].value)))
            return false;
    return true;
}

static enum outputs of_call(struct mt_compiler *c, const struct mt_node *n)
{
    const struct scope *s = find_function(c, n->text, n->count), *saved = c->scope;
    enum outputs result = GIVES_MANY;
    if (s && s->kind == SCOPE_INLINE && c->analysed < LOOK_DEPTH) {
        c->scope = s->place;
        c->analysed++;
        result = outputs_of(c, s->node);
        c->analysed--;
        c->scope = saved;
        return result;
    }
    if (s)
        return GIVES_MANY;
    if (mt_slice_is(n->text, "empty") && n->count == 0)
        return GIVES_FEW;
    if ((mt_slice_is(n->text, "not") && n->count == 0) || (mt_slice_is(n->text, "isempty") && n->count == 1))
        return GIVES_ONE;
    if (mt_slice_is(n->text, "first") && n->count == 1)
        return GIVES_FEW;
    if ((mt_slice_is(n->text, "error") && n->count <= 1) || mt_native_find(n->text, n->count))
        return of_list(c, n->list, n->count);
    struct mt_slice text;
    if (mt_slice_is(n->text, "range") || mt_slice_is(n->text, "path") || c->analysed >= LOOK_DEPTH ||
        is_recursive(c, n->text, n->count))
        return GIVES_MANY;
    const struct mt_function *f = builtin_function(c, n->text, n->count, &text);
    if (!f)
        return GIVES_MANY;
    c->analysed++;
    for (unsigned i = 0; i < f->count; i++)
        if (f->parameters[i].value && outputs_of(c, n->list[i]) == GIVES_MANY) {
            c->analysed--;
            return GIVES_MANY;
        }
    c->scope = inline_scope(c, f, n->list);
    result = outputs_of(c, f->body);
    c->scope = saved;
    c->analysed--;
    return result;
}

static enum outputs look_outputs(struct mt_compiler *c, const struct mt_node *n)
{
    enum outputs body, handler;
    switch (n->kind) {
    case MT_NODE_INTERPOLATION:
    case MT_NODE_OBJECT:
        return of_list(c, n->list, n->count);
    case MT_NODE_CALL:
        return of_call(c, n);
    case MT_NODE_COMMA:
    case MT_NODE_EACH:
    case MT_NODE_RECURSE:
    case MT_NODE_FOREACH:
    case MT_NODE_FUNCTION:
        return GIVES_MANY;
    case MT_NODE_BREAK:
        return GIVES_FEW;
    case MT_NODE_LABEL:
        return least(GIVES_FEW, outputs_of(c, n->a));
    case MT_NODE_TRY:
        body = outputs_of(c, n->a);
        handler = n->b ? outputs_of(c, n->b) : GIVES_FEW;
        return least(body, handler);
    case MT_NODE_ARRAY:
        return GIVES_ONE;
    case MT_NODE_ALTERNATIVE:
        return outputs_of(c, n->a) == GIVES_MANY ? GIVES_MANY : outputs_of(c, n->b);
    case MT_NODE_ASSIGN:
        return n->op == '|' ? GIVES_ONE : outputs_of(c, n->b);
    case MT_NODE_REDUCE:
        return outputs_of(c, n->b);
    case MT_NODE_BIND:
        if (n->count > 1 || !pattern_gives_one(c, n->patterns[0]))
            return GIVES_MANY;
        return least(outputs_of(c, n->a), outputs_of(c, n->b));
    case MT_NODE_IF:
    case MT_NODE_SLICE:
    case MT_NODE_INDEX:
    case MT_NODE_PIPE:
    case MT_NODE_BINARY:
    case MT_NODE_AND:
    case MT_NODE_OR:
    case MT_NODE_NEGATE:
        return least(outputs_of(c, n->a), least(outputs_of(c, n->b), outputs_of(c, n->c)));
    default:
        return GIVES_ONE;
    }
}

enum outputs outputs_of(struct mt_compiler *c, const struct mt_node *n)
{
    if (!n)
        return GIVES_ONE;
    struct known *known = known_about(c, n);
    if (known && known->outputs_known)
        return (enum outputs)known->outputs;
    enum outputs outputs = look_outputs(c, n);
    if ((known = known_about(c, n)) != NULL) {
        known->outputs_known = true;
        known->outputs = (uint8_t)outputs;
    }
    return outputs;
}

static bool pattern_calls(const struct mt_pattern *p, struct mt_slice name, unsigned arity)
{
    for (unsigned i = 0; i < p->count; i++)
        if ((p->entries[i].key && calls(p->entries[i].key, name, arity)) ||
            (p->entries[i].value && pattern_calls(p->entries[i].value, name, arity)))
            return true;
    return false;
}

bool calls(const struct mt_node *n, struct mt_slice name, unsigned arity)
{
    if (!n)
        return false;
    if (n->kind == MT_NODE_CALL && n->count == arity && mt_slice_eq(n->text, name))
        return true;
    if (n->list)
        for (unsigned i = 0; i < n->count; i++)
            if (calls(n->list[i], name, arity))
                return true;
    if (n->patterns)
        for (unsigned i = 0; i < n->count; i++)
            if (pattern_calls(n->patterns[i], name, arity))
                return true;
    return (n->function && calls(n->function->body, name, arity)) || calls(n->a, name, arity) ||
           calls(n->b, name, arity) || calls(n->c, name, arity) || calls(n->d, name, arity);
}
