/* Code for what branches, generates and catches. See compile.h. */
#include "jq/compile.h"

static const struct input nowhere = {IN_NOWHERE, 0}, stack = {IN_STACK, 0};
static const struct mt_node identity = {.kind = MT_NODE_IDENTITY};

/* The mark of a fork that has to go back to before the input was pushed. */
static unsigned under(struct input in)
{
    return in.at == IN_STACK ? MT_FLAG_UNDER : 0;
}

void gen_comma(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    uint32_t fork = emit(c, MT_DO_FORK, 0, 0, 0);
    gen(c, n->a, in.at == IN_LAST ? spill(c, in) : in, how);
    uint32_t jump = emit(c, MT_DO_JUMP, 0, 0, 0);
    patch(c, fork);
    gen(c, n->b, in, how);
    patch(c, jump);
}

void gen_if(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct mt_node *otherwise = n->c ? n->c : &identity;
    struct mt_jv v;
    if (fold(c, n->a, NULL, &v)) {
        gen(c, mt_jv_truthy(v) ? n->b : otherwise, in, how);
        return;
    }
    struct input then = in;
    if (in.at == IN_STACK && !reads_input(c, n->a)) {
        gen(c, n->a, nowhere, 0);
    } else {
        struct input kept = spill(c, in);
        gen(c, n->a, kept, 0);
        then = last_use(in, kept, outputs_of(c, n->a) != GIVES_MANY);
    }
    uint32_t unless = emit(c, MT_DO_UNLESS, 0, 0, 0);
    gen(c, n->b, then, how);
    uint32_t jump = emit(c, MT_DO_JUMP, 0, 0, 0);
    patch(c, unless);
    gen(c, otherwise, then, how);
    patch(c, jump);
}

void gen_logic(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    struct input kept = spill(c, in);
    gen(c, n->a, kept, 0);
    uint32_t decided = emit(c, n->kind == MT_NODE_AND ? MT_DO_AND : MT_DO_OR, 0, 0, 0);
    gen(c, n->b, last_use(in, kept, outputs_of(c, n->a) != GIVES_MANY), 0);
    emit(c, MT_DO_BOOLEAN, 0, 0, 0);
    patch(c, decided);
}

void gen_alternative(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    struct input kept = spill(c, in);
    uint32_t keep;
    if (!(how & GEN_PATH) && outputs_of(c, n->a) == GIVES_ONE) {
        gen(c, n->a, kept, 0);
        keep = emit(c, MT_DO_KEEP, 0, 0, 0);
    } else {
        uint32_t slot = new_local(c), alt = emit(c, MT_DO_ALT, 0, 0, slot);
        gen(c, n->a, kept, how & GEN_PATH);
        keep = emit(c, MT_DO_ALT_END, 0, 0, slot);
        patch(c, alt);
    }
    gen(c, n->b, last_use(in, kept, true), how);
    patch(c, keep);
}

void gen_try(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    uint32_t slot = new_local(c);
    uint32_t try = emit(c, MT_DO_TRY, under(in) | (n->b ? MT_FLAG_HANDLER : 0), 0, slot);
    gen(c, n->a, in, how & GEN_PATH);
    emit(c, MT_DO_TRY_END, 0, 0, slot);
    if (!n->b)
        return;
    uint32_t jump = emit(c, MT_DO_JUMP, 0, 0, 0);
    patch(c, try);
    gen(c, n->b, stack, how);
    patch(c, jump);
}

void gen_label(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    const struct scope *saved = c->scope;
    uint32_t slot = new_local(c);
    emit(c, MT_DO_MARK, 0, 0, slot);
    push_scope(c, SCOPE_LABEL, n->text)->slot = slot;
    gen(c, n->a, in, how & GEN_PATH);
    c->scope = saved;
}

void fail_no_label(struct mt_compiler *c, const struct mt_node *n)
{
    fail_at(c, MT_EINVAL, n->at, "there is no label $%.*s here to break out of", MT_FMT(n->text));
}

void gen_break(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    const struct scope *s = c->scope;
    while (s && (s->kind != SCOPE_LABEL || !mt_slice_eq(s->name, n->text)))
        s = s->outer;
    if (!s) {
        fail_no_label(c, n);
        return;
    }
    drop_input(c, in);
    emit(c, MT_DO_BREAK, 0, level_of(c, s->unit), s->slot);
}

enum { ROW_MAX = 32 };

/* The elements of [a, b, c] when each gives exactly one value; 0: they do not, or there are too many. */
static unsigned row(struct mt_compiler *c, const struct mt_node *n, const struct mt_node *elements[ROW_MAX],
                    unsigned count)
{
    if (n->kind == MT_NODE_COMMA) {
        count = row(c, n->a, elements, count);
        return count ? row(c, n->b, elements, count) : 0;
    }
    if (count == ROW_MAX || outputs_of(c, n) != GIVES_ONE)
        return 0;
    elements[count] = n;
    return count + 1;
}

void gen_collect(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    const struct mt_node *elements[ROW_MAX];
    unsigned count = n->a ? row(c, n->a, elements, 0) : 0;
    if (!n->a) {
        fail_memory(c); /* [] would have been folded */
    } else if (count == 1) {
        gen(c, n->a, in, 0);
        emit(c, MT_DO_ARRAY, 0, 0, 1);
    } else if (count > 1) {
        struct input kept = spill(c, in);
        for (unsigned i = 0; i < count; i++)
            gen(c, elements[i], i + 1 == count ? last_use(in, kept, true) : kept, 0);
        emit(c, MT_DO_ARRAY, 0, 0, count);
    } else {
        uint32_t slot = new_local(c), collect = emit(c, MT_DO_COLLECT, under(in), 0, slot);
        gen(c, n->a, in, 0);
        emit(c, MT_DO_APPEND, 0, 0, slot);
        patch(c, collect);
        emit(c, MT_DO_MOVE, 0, 0, slot);
    }
}

void gen_first(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    uint32_t slot = new_local(c);
    emit(c, MT_DO_MARK, 0, 0, slot);
    gen(c, n, in, how & GEN_PATH);
    emit(c, MT_DO_CUT, 0, 0, slot);
}

void gen_is_empty(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    uint32_t slot = new_local(c);
    emit(c, MT_DO_MARK, 0, 0, slot);
    uint32_t fork = emit(c, MT_DO_FORK, under(in), 0, 0);
    gen(c, n, in, 0);
    emit(c, MT_DO_POP, 0, 0, 0);
    emit(c, MT_DO_CUT, 0, 0, slot);
    emit(c, MT_DO_CONST, 0, constant(c, mt_jv_bool(false)), 0);
    uint32_t jump = emit(c, MT_DO_JUMP, 0, 0, 0);
    patch(c, fork);
    emit(c, MT_DO_CONST, 0, constant(c, mt_jv_bool(true)), 0);
    patch(c, jump);
}
