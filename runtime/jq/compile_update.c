/* Code for assignments. See compile.h.
 *
 * `.a[$k].b op e` names one place: its keys are evaluated, the value there is taken out, changed and put
 * back, so that an update in a loop costs what it changes. Everything else goes by paths, as jq defines it:
 * the paths of the left side are those of the old value, each is changed in turn, and those for which the
 * right side gives nothing are deleted together at the end. */
#include "jq/compile.h"

enum { KEYS_MAX = 16 };

static const struct input stack = {IN_STACK, 0};

/* The keys of `.k1[k2]…`, the last one first; 0: the left side is something else. */
static unsigned keys_of(struct mt_compiler *c, const struct mt_node *n, const struct mt_node *keys[KEYS_MAX])
{
    unsigned count = 0;
    for (; n->kind == MT_NODE_INDEX; n = n->a) {
        if (count == KEYS_MAX || outputs_of(c, n->b) != GIVES_ONE)
            return 0;
        keys[count++] = n->b;
    }
    return n->kind == MT_NODE_IDENTITY ? count : 0;
}

/* The right side of all but |=. It is evaluated first, and once for each of its values the rest. */
struct right {
    bool is_constant, is_variable;
    uint32_t n; /* the constant or the slot */
    const struct mt_node *variable;
};

static struct right gen_right(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    struct mt_jv v;
    if (fold(c, n, NULL, &v))
        return (struct right){.is_constant = true, .n = constant(c, v)};
    if (n->kind == MT_NODE_VARIABLE && find_variable(c, n->text))
        return (struct right){.is_variable = true, .variable = n};
    gen(c, n, in, 0);
    struct right r = {.n = new_local(c)};
    emit(c, MT_DO_STORE, 0, 0, r.n);
    return r;
}

static void put_right(struct mt_compiler *c, struct right r, bool last)
{
    if (r.is_constant)
        emit(c, MT_DO_CONST, 0, r.n, 0);
    else if (r.is_variable)
        gen_variable(c, r.variable);
    else
        emit(c, last ? MT_DO_MOVE : MT_DO_LOAD, 0, 0, r.n);
}

static enum mt_op operation(unsigned op)
{
    return op == '+'   ? MT_DO_ADD
           : op == '-' ? MT_DO_SUBTRACT
           : op == '*' ? MT_DO_MULTIPLY
           : op == '/' ? MT_DO_DIVIDE
                       : MT_DO_MODULO;
}

/* The old value on the stack becomes the new one. */
static void gen_change(struct mt_compiler *c, const struct mt_node *n, struct right r, bool last)
{
    if (n->op == '|') {
        gen(c, n->b, stack, 0);
    } else if (n->op == '?') {
        uint32_t keep = emit(c, MT_DO_KEEP, 0, 0, 0);
        put_right(c, r, last);
        patch(c, keep);
    } else if (r.is_constant) {
        emit(c, operation(n->op), MT_FLAG_CONST, r.n, 0);
    } else {
        put_right(c, r, last);
        emit(c, operation(n->op), 0, 0, 0);
    }
}

static void gen_direct(struct mt_compiler *c, const struct mt_node *n, const struct mt_node **keys,
                       unsigned count, struct input in)
{
    struct input kept = spill(c, in);
    struct right r = {.is_constant = true};
    bool lean = true;
    struct mt_jv key;
    if (n->op != '|') {
        r = gen_right(c, n->b, kept);
        lean = outputs_of(c, n->b) != GIVES_MANY;
    }
    for (unsigned i = count; i > 0; i--) {
        if (fold(c, keys[i - 1], NULL, &key) && mt_jv_is(key, MT_STRING))
            note_name(c, mt_jv_text(key));
        gen(c, keys[i - 1], kept, 0);
    }
    put_input(c, last_use(in, kept, lean));
    if (n->op == '=') {
        put_right(c, r, lean);
    } else {
        emit(c, MT_DO_TAKE, 0, 0, count);
        gen_change(c, n, r, lean);
    }
    emit(c, MT_DO_PUT, 0, 0, count);
}

static void gen_by_paths(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    struct input kept = spill(c, in);
    struct right r = {.is_constant = true};
    bool lean = true, may_delete = n->op == '|' && outputs_of(c, n->b) != GIVES_ONE;
    uint32_t value = new_local(c), path = new_local(c), mark = 0, gone = 0, none = 0;
    if (n->op != '|') {
        r = gen_right(c, n->b, kept);
        lean = outputs_of(c, n->b) != GIVES_MANY;
    }
    put_input(c, last_use(in, kept, lean));
    emit(c, MT_DO_STORE, 0, 0, value);
    if (may_delete) {
        mark = new_local(c);
        gone = new_local(c);
        emit(c, MT_DO_ARRAY, 0, 0, 0);
        emit(c, MT_DO_STORE, 0, 0, gone);
    }
    uint32_t fork = emit(c, MT_DO_FORK, 0, 0, 0);
    emit(c, MT_DO_LOAD, 0, 0, value);
    emit(c, MT_DO_PATH_BEGIN, 0, 0, 0);
    gen(c, n->a, stack, GEN_PATH);
    emit(c, MT_DO_PATH_END, 0, 0, 0);
    emit(c, MT_DO_STORE, 0, 0, path);
    if (may_delete) {
        emit(c, MT_DO_MARK, 0, 0, mark);
        none = emit(c, MT_DO_FORK, 0, 0, 0);
    }
    if (n->op == '=') {
        put_right(c, r, false);
    } else {
        emit(c, MT_DO_GET_PATH, 0, path, value);
        gen_change(c, n, r, false);
    }
    if (may_delete)
        emit(c, MT_DO_CUT, 0, 0, mark); /* the first value counts */
    emit(c, MT_DO_SET_PATH, 0, path, value);
    emit(c, MT_DO_BACKTRACK, 0, 0, 0);
    if (may_delete) {
        patch(c, none);
        emit(c, MT_DO_DROP_PATH, 0, path, gone);
        emit(c, MT_DO_BACKTRACK, 0, 0, 0);
    }
    patch(c, fork);
    if (may_delete)
        emit(c, MT_DO_DELETE, 0, gone, value);
    emit(c, MT_DO_MOVE, 0, 0, value);
}

void gen_assign(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    const struct mt_node *keys[KEYS_MAX];
    unsigned count = keys_of(c, n->a, keys);
    if (n->a->kind == MT_NODE_IDENTITY && n->op == '=') {
        gen(c, n->b, in, 0);
        return;
    }
    if (count > 0 && (n->op != '|' || outputs_of(c, n->b) == GIVES_ONE))
        gen_direct(c, n, keys, count, in);
    else
        gen_by_paths(c, n, in);
}
