/* Names that stand for nothing, wherever they are: code is generated only for what can be reached, and a typo
 * in `if false then …` or behind `limit(0; …)` is a typo all the same. Called for each entry before its code
 * is generated, which finds what is left (names that a pattern binds are known here in all of the pattern).
 */
#include "jq/compile.h"

static void look(struct mt_compiler *c, const struct mt_node *n);

static void bind_names(struct mt_compiler *c, const struct mt_pattern *p)
{
    if (p->kind == MT_PATTERN_VARIABLE)
        push_scope(c, SCOPE_VARIABLE, p->name);
    for (unsigned i = 0; i < p->count; i++) {
        if (p->entries[i].name.p)
            push_scope(c, SCOPE_VARIABLE, p->entries[i].name);
        if (p->entries[i].value)
            bind_names(c, p->entries[i].value);
    }
}

static void look_at_keys(struct mt_compiler *c, const struct mt_pattern *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        look(c, p->entries[i].key);
        if (p->entries[i].value)
            look_at_keys(c, p->entries[i].value);
    }
}

static void look_at_function(struct mt_compiler *c, const struct mt_function *f)
{
    push_scope(c, SCOPE_FUNCTION, f->name)->arity = f->count;
    const struct scope *itself = c->scope;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->parameters[i].value)
            push_scope(c, SCOPE_VARIABLE, f->parameters[i].name);
        push_scope(c, SCOPE_CLOSURE, f->parameters[i].name);
    }
    look(c, f->body);
    c->scope = itself;
}

static void look_for_label(struct mt_compiler *c, const struct mt_node *n)
{
    const struct scope *s = c->scope;
    while (s && (s->kind != SCOPE_LABEL || !mt_slice_eq(s->name, n->text)))
        s = s->outer;
    if (!s)
        fail_no_label(c, n);
}

static void look(struct mt_compiler *c, const struct mt_node *n)
{
    if (!n || c->broken)
        return;
    const struct scope *saved = c->scope;
    if (n->kind == MT_NODE_CALL && !find_function(c, n->text, n->count) && !is_builtin(n))
        fail_unknown(c, n);
    else if (n->kind == MT_NODE_VARIABLE && !find_variable(c, n->text) && !mt_slice_is(n->text, "ENV") &&
             !mt_slice_is(n->text, "__prog_args"))
        fail_at(c, MT_EINVAL, n->at, "$%.*s is not defined", MT_FMT(n->text));
    else if (n->kind == MT_NODE_BREAK)
        look_for_label(c, n);
    else if (n->kind == MT_NODE_LABEL)
        push_scope(c, SCOPE_LABEL, n->text);
    else if (n->kind == MT_NODE_FUNCTION)
        look_at_function(c, n->function);
    if (n->list)
        for (unsigned i = 0; i < n->count; i++)
            look(c, n->list[i]);
    look(c, n->a);
    if (n->patterns) { /* of what follows, not of a */
        for (unsigned i = 0; i < n->count; i++)
            bind_names(c, n->patterns[i]);
        for (unsigned i = 0; i < n->count; i++)
            look_at_keys(c, n->patterns[i]);
    }
    look(c, n->b);
    look(c, n->c);
    look(c, n->d);
    c->scope = saved;
}

void check_names(struct mt_compiler *c, const struct mt_node *root)
{
    c->scope = NULL;
    look(c, root);
    c->scope = NULL;
}
