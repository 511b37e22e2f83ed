/* The value of expressions that are constant, or that only need a known input. What raises, what would take
 * long and what is not pure is left to the machine. */
#include "jq/compile.h"

enum { FOLD_ARGS = 8, FOLD_STEPS = 20000, FOLD_BYTES = 4 << 20 };

typedef struct mt_jv operator_of(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);

static operator_of *arithmetic(unsigned op)
{
    switch (op) {
    case '+':
        return mt_jv_add;
    case '-':
        return mt_jv_subtract;
    case '*':
        return mt_jv_multiply;
    case '/':
        return mt_jv_divide;
    default:
        return mt_jv_modulo;
    }
}

static bool compared(struct mt_jv_heap *h, unsigned op, struct mt_jv a, struct mt_jv b, struct mt_jv *out)
{
    int order;
    if (!mt_jv_order(h, a, b, &order))
        return false;
    bool is = op == MT_OP_EQ   ? order == 0
              : op == MT_OP_NE ? order != 0
              : op == MT_OP_LT ? order < 0
              : op == MT_OP_LE ? order <= 0
              : op == MT_OP_GT ? order > 0
                               : order >= 0;
    *out = mt_jv_bool(is);
    return true;
}

static bool fold_kind(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input,
                      struct mt_jv *out);

/* The elements of a list of constants, appended. */
static bool fold_list(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input,
                      struct mt_jv *array)
{
    if (n->kind == MT_NODE_COMMA)
        return fold_list(c, n->a, input, array) && fold_list(c, n->b, input, array);
    struct mt_jv v;
    if (!fold_kind(c, n, input, &v))
        return false;
    *array = mt_jv_append(&c->p->heap, *array, mt_jv_share(v));
    return !mt_jv_is_none(*array);
}

static bool fold_object(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input,
                        struct mt_jv *out)
{
    struct mt_jv o = mt_jv_object(&c->p->heap, n->count / 2), key, value;
    for (unsigned i = 0; i + 1 < n->count && !mt_jv_is_none(o); i += 2) {
        if (!fold_kind(c, n->list[i], input, &key) || !mt_jv_is(key, MT_STRING) ||
            !fold_kind(c, n->list[i + 1], input, &value))
            return false;
        o = mt_jv_set(&c->p->heap, o, key, mt_jv_share(value));
    }
    *out = o;
    return !mt_jv_is_none(o);
}

static bool fold_call(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input,
                      struct mt_jv *out)
{
    struct mt_jv args[FOLD_ARGS];
    if (n->count >= FOLD_ARGS || find_function(c, n->text, n->count))
        return false;
    const struct mt_native *native = mt_native_find(n->text, n->count);
    bool needs_none = n->count == 0 && (mt_slice_is(n->text, "infinite") || mt_slice_is(n->text, "nan"));
    if (!native || !native->pure || !(input || needs_none))
        return false;
    args[0] = input ? mt_jv_share(*input) : mt_jv_null();
    for (unsigned i = 0; i < n->count; i++) {
        if (!fold_kind(c, n->list[i], input, &args[i + 1]))
            return false;
        mt_jv_share(args[i + 1]);
    }
    *out = native->run(&c->p->heap, args);
    return !mt_jv_is_none(*out);
}

static bool fold_kind(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input,
                      struct mt_jv *out)
{
    struct mt_jv_heap *h = &c->p->heap;
    struct mt_jv a, b;
    switch (n->kind) {
    case MT_NODE_NULL:
        *out = mt_jv_null();
        return true;
    case MT_NODE_FALSE:
    case MT_NODE_TRUE:
        *out = mt_jv_bool(n->kind == MT_NODE_TRUE);
        return true;
    case MT_NODE_NUMBER:
        *out = mt_jv_literal(h, n->text);
        return !mt_jv_is_none(*out);
    case MT_NODE_STRING:
        *out = mt_jv_string(h, n->text);
        return !mt_jv_is_none(*out);
    case MT_NODE_IDENTITY:
        if (input)
            *out = *input;
        return input != NULL;
    case MT_NODE_VARIABLE: {
        const struct scope *s = find_variable(c, n->text);
        if (!s || s->kind != SCOPE_CONSTANT)
            return false;
        *out = s->value;
        return true;
    }
    case MT_NODE_NEGATE:
        if (!fold_kind(c, n->a, input, &a))
            return false;
        *out = mt_jv_negate(h, a);
        return !mt_jv_is_none(*out);
    case MT_NODE_BINARY:
        if (!fold_kind(c, n->b, input, &b) || !fold_kind(c, n->a, input, &a))
            return false;
        if (n->op >= MT_OP_EQ)
            return compared(h, n->op, a, b, out);
        *out = arithmetic(n->op)(h, mt_jv_share(a), mt_jv_share(b));
        return !mt_jv_is_none(*out);
    case MT_NODE_AND:
    case MT_NODE_OR:
        if (!fold_kind(c, n->a, input, &a))
            return false;
        if (mt_jv_truthy(a) == (n->kind == MT_NODE_OR)) {
            *out = mt_jv_bool(mt_jv_truthy(a));
            return true;
        }
        if (!fold(c, n->b, input, &b))
            return false;
        *out = mt_jv_bool(mt_jv_truthy(b));
        return true;
    case MT_NODE_ALTERNATIVE:
        if (!fold_kind(c, n->a, input, out))
            return false;
        return mt_jv_truthy(*out) || fold(c, n->b, input, out);
    case MT_NODE_IF:
        if (!fold_kind(c, n->a, input, &a))
            return false;
        if (!mt_jv_truthy(a) && !n->c) {
            if (input)
                *out = *input;
            return input != NULL;
        }
        return fold(c, mt_jv_truthy(a) ? n->b : n->c, input, out);
    case MT_NODE_ARRAY:
        *out = mt_jv_array(h, 0);
        return !mt_jv_is_none(*out) && (!n->a || fold_list(c, n->a, input, out));
    case MT_NODE_OBJECT:
        return fold_object(c, n, input, out);
    case MT_NODE_INDEX:
        if (!fold_kind(c, n->b, input, &b) || !fold_kind(c, n->a, input, &a))
            return false;
        *out = mt_jv_get(h, a, b);
        return !mt_jv_is_none(*out);
    case MT_NODE_PIPE:
        return fold_kind(c, n->a, input, &a) && fold_kind(c, n->b, &a, out);
    case MT_NODE_FORMAT:
        if (!input)
            return false;
        *out = mt_jv_format(h, n->text, *input);
        return !mt_jv_is_none(*out);
    case MT_NODE_CALL:
        return fold_call(c, n, input, out);
    default:
        return false;
    }
}

/* Can it be one at all? Makes nothing, so that looking at the same parts again and again costs no memory. */
static bool is_foldable(struct mt_compiler *c, const struct mt_node *n, bool input);

static bool look_foldable(struct mt_compiler *c, const struct mt_node *n, bool input)
{
    switch (n->kind) {
    case MT_NODE_NULL:
    case MT_NODE_FALSE:
    case MT_NODE_TRUE:
    case MT_NODE_NUMBER:
    case MT_NODE_STRING:
        return true;
    case MT_NODE_IDENTITY:
    case MT_NODE_FORMAT:
        return input;
    case MT_NODE_VARIABLE: {
        const struct scope *s = find_variable(c, n->text);
        return s && s->kind == SCOPE_CONSTANT;
    }
    case MT_NODE_CALL:
    case MT_NODE_OBJECT:
        for (unsigned i = 0; i < n->count; i++)
            if (!is_foldable(c, n->list[i], input))
                return false;
        return true;
    case MT_NODE_ARRAY:
        return !n->a || is_foldable(c, n->a, input);
    case MT_NODE_PIPE:
        return is_foldable(c, n->a, input) && is_foldable(c, n->b, true);
    case MT_NODE_NEGATE:
    case MT_NODE_IF:
    case MT_NODE_AND:
    case MT_NODE_OR:
    case MT_NODE_ALTERNATIVE:
        return is_foldable(c, n->a, input);
    case MT_NODE_COMMA:
    case MT_NODE_BINARY:
    case MT_NODE_INDEX:
        return is_foldable(c, n->a, input) && is_foldable(c, n->b, input);
    default:
        return false;
    }
}

static bool is_foldable(struct mt_compiler *c, const struct mt_node *n, bool input)
{
    struct known *known = input ? NULL : known_about(c, n);
    if (known && known->not_constant)
        return false;
    bool foldable = look_foldable(c, n, input);
    if (!foldable && !input && (known = known_about(c, n)) != NULL)
        known->not_constant = true;
    return foldable;
}

bool fold(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input, struct mt_jv *out)
{
    if (!is_foldable(c, n, input != NULL))
        return false;
    struct mt_jv_heap *h = &c->p->heap;
    size_t max = h->max;
    uint64_t pool = h->steps; /* all folding of a program has a budget, too */
    uint64_t steps = pool < FOLD_STEPS ? pool : FOLD_STEPS;
    h->steps = steps;
    if (h->used + FOLD_BYTES < max)
        h->max = h->used + FOLD_BYTES; /* `"x" * 1e9` is not worth a constant */
    bool known = fold_kind(c, n, input, out);
    h->max = max;
    h->steps = pool - (steps - h->steps);
    h->fault = MT_FAULT_NONE;
    h->error = MT_NONE;
    return known;
}
