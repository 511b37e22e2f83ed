/* What single instructions do with the stack. Called by machine_run.c, on the machine's thread; MT_NONE or
 * false: raised. */
#include "jq/machine_state.h"

enum { NATIVE_ARGS = 16, KEYS_MAX = 16 };

typedef struct mt_jv operator_of(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);

static operator_of *const operators[] = {mt_jv_add, mt_jv_subtract, mt_jv_multiply, mt_jv_divide,
                                         mt_jv_modulo};

/* Reading a number goes through all of its digits. */
static bool number_work(struct mt_machine *m, struct mt_jv v)
{
    size_t digits = v.tag == MT_JV_LITERAL || v.tag == MT_JV_DOC ? mt_jv_spelling(v).n : 0;
    return digits < 256 || mt_jv_work(&m->heap, digits / 8);
}

struct mt_jv step_native(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv args[NATIVE_ARGS];
    if (code->flag & MT_FLAG_TOP)
        args[0] = pop(m);
    for (unsigned i = 1; i <= code->b; i++)
        args[i] = pop(m);
    if (!(code->flag & MT_FLAG_TOP))
        args[0] = pop(m);
    for (unsigned i = 0; i <= code->b; i++)
        if (!number_work(m, args[i]))
            return MT_NONE;
    return m->p->natives.v[code->a]->run(&m->heap, args);
}

static void operands(struct mt_machine *m, const struct mt_code *code, struct mt_jv *l, struct mt_jv *r)
{
    if (code->flag & MT_FLAG_CONST) {
        *l = pop(m);
        *r = m->p->constants.v[code->a];
    } else if (code->flag & MT_FLAG_TOP) {
        *l = pop(m);
        *r = pop(m);
    } else {
        *r = pop(m);
        *l = pop(m);
    }
}

struct mt_jv step_compare(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv l, r;
    int order;
    bool same;
    operands(m, code, &l, &r);
    if (l.tag == MT_JV_NUMBER && r.tag == MT_JV_NUMBER && l.number == l.number && r.number == r.number) {
        order = (l.number > r.number) - (l.number < r.number); /* neither is nan */
    } else if (code->op <= MT_DO_NE) {
        if (!mt_jv_same(&m->heap, l, r, &same))
            return MT_NONE;
        order = !same;
    } else if (!mt_jv_order(&m->heap, l, r, &order)) {
        return MT_NONE;
    }
    switch ((enum mt_op)code->op) {
    case MT_DO_EQ:
        return mt_jv_bool(order == 0);
    case MT_DO_NE:
        return mt_jv_bool(order != 0);
    case MT_DO_LT:
        return mt_jv_bool(order < 0);
    case MT_DO_LE:
        return mt_jv_bool(order <= 0);
    case MT_DO_GT:
        return mt_jv_bool(order > 0);
    default:
        return mt_jv_bool(order >= 0);
    }
}

struct mt_jv step_array(struct mt_machine *m, unsigned n)
{
    struct mt_jv array = mt_jv_array(&m->heap, n);
    for (unsigned i = n; i > 0 && !mt_jv_is_none(array); i--)
        array = mt_jv_put(&m->heap, array, i - 1, pop(m));
    return array;
}

struct mt_jv step_insert(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv value = pop(m);
    struct mt_jv key = code->op == MT_DO_INSERT ? pop(m) : m->p->constants.v[code->a];
    struct mt_jv object = pop(m);
    if (!mt_jv_is(key, MT_STRING))
        return mt_jv_raise(&m->heap, "Object keys must be strings");
    return mt_jv_set(&m->heap, object, key, value);
}

struct mt_jv step_join(struct mt_machine *m, unsigned n)
{
    size_t length = 0;
    uint32_t at = m->top;
    char *out;
    for (unsigned i = 0; i < n; i++, at = m->stack[at].next)
        length += mt_jv_text(m->stack[at].v).n;
    if (!mt_jv_work(&m->heap, n + length / 64))
        return MT_NONE;
    struct mt_jv joined = mt_jv_string_room(&m->heap, length, &out);
    for (unsigned i = 0; i < n && !mt_jv_is_none(joined); i++) {
        struct mt_slice text = mt_jv_text(pop(m));
        if (text.n)
            memcpy(out, text.p, text.n);
        out += text.n;
    }
    return joined;
}

/* k1 … kb v on the stack, popped. */
static struct mt_jv pop_keys(struct mt_machine *m, unsigned n, struct mt_jv keys[KEYS_MAX])
{
    struct mt_jv v = pop(m);
    for (unsigned i = n; i > 0; i--)
        keys[i - 1] = pop(m);
    return v;
}

bool step_take(struct mt_machine *m, unsigned n)
{
    struct mt_jv keys[KEYS_MAX], v = pop_keys(m, n, keys), child = take_along(m, &v, keys, n);
    if (mt_jv_is_none(child))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!push(m, keys[i]))
            return false;
    return push(m, v) && push(m, child);
}

struct mt_jv step_put(struct mt_machine *m, unsigned n)
{
    struct mt_jv keys[KEYS_MAX], new = pop(m), v = pop_keys(m, n, keys);
    return put_along(m, v, keys, n, new);
}

bool step_set_path(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv *place = slot_at(m, code->b), whole = *place, value = pop(m);
    *place = mt_jv_null();
    whole = mt_jv_setpath(&m->heap, whole, *slot_at(m, code->a), value);
    if (!mt_jv_is_none(whole))
        *place = whole;
    return !mt_jv_is_none(whole);
}

/* Both variables are lists of paths, or a value and such a list. */
bool step_change_variable(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv *place = slot_at(m, code->b), changed;
    struct mt_jv other = mt_jv_share(*slot_at(m, code->a));
    if (code->op == MT_DO_DROP_PATH)
        changed = mt_jv_append(&m->heap, *place, other);
    else
        changed = mt_jv_count(other) == 0 ? *place : mt_jv_delpaths(&m->heap, *place, other);
    if (!mt_jv_is_none(changed))
        *place = changed;
    return !mt_jv_is_none(changed);
}

struct mt_jv step_slice(struct mt_machine *m, bool is_path)
{
    struct mt_jv v = pop(m), to = pop(m), from = pop(m);
    if (!number_work(m, from) || !number_work(m, to))
        return MT_NONE;
    return is_path ? path_slice(m, v, from, to) : mt_jv_get_slice(&m->heap, v, from, to);
}

struct mt_jv step_index(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv v, key;
    if (code->op == MT_DO_PATH_INDEX || code->flag & MT_FLAG_TOP) {
        v = pop(m);
        key = pop(m);
    } else {
        key = pop(m);
        v = pop(m);
    }
    if (!number_work(m, key))
        return MT_NONE;
    if (code->op == MT_DO_INDEX)
        return mt_jv_get(&m->heap, v, key);
    return code->op == MT_DO_PATH_INDEX ? path_step(m, v, key) : path_get(m, v, key);
}

struct mt_jv step_arithmetic(struct mt_machine *m, const struct mt_code *code)
{
    struct mt_jv l, r;
    operands(m, code, &l, &r);
    if (l.tag == MT_JV_NUMBER && r.tag == MT_JV_NUMBER && code->op <= MT_DO_SUBTRACT)
        return mt_jv_number(code->op == MT_DO_ADD ? l.number + r.number : l.number - r.number);
    if (!number_work(m, l) || !number_work(m, r))
        return MT_NONE;
    return operators[code->op - MT_DO_ADD](&m->heap, l, r);
}
