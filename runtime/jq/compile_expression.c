/* Code for expressions: values, steps, operators, objects, strings; the rest is handed on. See compile.h. */
#include "jq/compile.h"

void put_input(struct mt_compiler *c, struct input in)
{
    switch (in.at) {
    case IN_STACK:
        break;
    case IN_NOWHERE:
        emit(c, MT_DO_CONST, 0, constant(c, mt_jv_null()), 0);
        break;
    case IN_SLOT:
        emit(c, MT_DO_SLOT, 0, in.n, 0);
        break;
    case IN_VARIABLE:
        emit(c, MT_DO_LOAD, 0, 0, in.n);
        break;
    case IN_LAST:
        emit(c, MT_DO_MOVE, 0, 0, in.n);
        break;
    }
}

/* The input at a place that can be read several times. */
struct input spill(struct mt_compiler *c, struct input in)
{
    if (in.at == IN_LAST)
        return (struct input){IN_VARIABLE, in.n};
    if (in.at != IN_STACK)
        return in;
    uint32_t slot = new_local(c);
    emit(c, MT_DO_STORE, 0, 0, slot);
    return (struct input){IN_VARIABLE, slot};
}

/* For the last of several readers. no_forks: nothing that could come back has happened since. */
struct input last_use(struct input before, struct input spilled, bool no_forks)
{
    if (no_forks && spilled.at == IN_VARIABLE && (before.at == IN_STACK || before.at == IN_LAST))
        return (struct input){IN_LAST, spilled.n};
    return spilled;
}

void drop_input(struct mt_compiler *c, struct input in)
{
    if (in.at == IN_STACK)
        emit(c, MT_DO_POP, 0, 0, 0);
}

static void put_constant(struct mt_compiler *c, struct mt_jv v)
{
    emit(c, MT_DO_CONST, 0, constant(c, v), 0);
}

/* ---- steps ---- */

static bool is_key(struct mt_jv key)
{
    return mt_jv_is(key, MT_STRING) || mt_jv_is(key, MT_NUMBER);
}

static bool constant_key(struct mt_compiler *c, const struct mt_node *n, struct mt_jv *key)
{
    if (n->kind != MT_NODE_INDEX || !fold(c, n->b, NULL, key) || !is_key(*key))
        return false;
    if (mt_jv_is(*key, MT_STRING))
        note_name(c, mt_jv_text(*key));
    return true;
}

bool slot_of(struct mt_compiler *c, const struct mt_node *n, uint32_t from, uint32_t *out)
{
    struct mt_jv key;
    if (n->kind == MT_NODE_IDENTITY) {
        *out = from;
        return true;
    }
    if (n->kind == MT_NODE_PIPE)
        return slot_of(c, n->a, from, out) && slot_of(c, n->b, *out, out);
    if (n->kind != MT_NODE_INDEX || !slot_of(c, n->a, from, out) || !constant_key(c, n, &key))
        return false;
    *out = slot_below(c, *out, key);
    return true;
}

bool gen_quiet(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned flag)
{
    uint32_t slot;
    struct mt_jv key;
    const struct mt_node *base = n;
    if (in.at == IN_SLOT && slot_of(c, n, in.n, &slot)) {
        emit(c, MT_DO_SLOT, flag & MT_ERROR_BITS, slot, 0);
        return true;
    }
    for (; base->kind == MT_NODE_INDEX; base = base->a)
        if (!constant_key(c, base, &key))
            return false;
    const struct scope *variable = base->kind == MT_NODE_VARIABLE ? find_variable(c, base->text) : NULL;
    bool local = variable && variable->kind == SCOPE_VARIABLE && variable->unit == c->unit;
    if (base->kind != MT_NODE_IDENTITY && !variable)
        return false;
    if (n->kind != MT_NODE_INDEX) {
        if (variable)
            drop_input(c, in);
        gen(c, base, variable ? (struct input){IN_NOWHERE, 0} : in, 0);
        return true;
    }
    if (n->a == base && (local || (!variable && (in.at == IN_VARIABLE || in.at == IN_LAST)))) {
        constant_key(c, n, &key);
        if (local)
            drop_input(c, in);
        emit(c, MT_DO_LOAD_KEY, flag, constant(c, key), local ? variable->slot : in.n);
        return true;
    }
    if (!gen_quiet(c, n->a, in, flag | MT_FLAG_PEEK))
        return false;
    constant_key(c, n, &key);
    emit(c, MT_DO_KEY, flag, constant(c, key), 0);
    return true;
}

/* Gives exactly one value and raises nothing, so that nobody can tell when it is evaluated. */
static bool is_calm(const struct mt_node *n)
{
    return n->kind == MT_NODE_IDENTITY || n->kind == MT_NODE_VARIABLE || n->kind == MT_NODE_STRING ||
           n->kind == MT_NODE_NUMBER || n->kind == MT_NODE_NULL || n->kind == MT_NODE_FALSE ||
           n->kind == MT_NODE_TRUE;
}

/* Operands x and y of an operation that has y evaluated outermost; returns whether x ends up topmost. Both
 * are values, not paths. */
static bool gen_pair(struct mt_compiler *c, const struct mt_node *x, const struct mt_node *y, struct input in)
{
    struct input none = {IN_NOWHERE, 0};
    if (in.at == IN_STACK && !reads_input(c, y)) {
        if (!reads_input(c, x)) {
            drop_input(c, in);
            in = none;
        } else if (is_calm(x) || (is_calm(y) && outputs_of(c, x) != GIVES_MANY)) {
            gen(c, x, in, 0);
            gen(c, y, none, 0);
            return false;
        }
    } else if (in.at == IN_STACK && !reads_input(c, x)) {
        gen(c, y, in, 0);
        gen(c, x, none, 0);
        return true;
    }
    struct input kept = spill(c, in);
    bool lean = outputs_of(c, y) != GIVES_MANY;
    gen(c, y, kept, 0);
    gen(c, x, last_use(in, kept, lean), 0);
    return true;
}

static void gen_index(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    struct mt_jv key;
    if (how & GEN_PATH) {
        if (constant_key(c, n, &key)) {
            gen(c, n->a, in, GEN_PATH);
            emit(c, MT_DO_PATH_KEY, 0, constant(c, key), 0);
            return;
        }
        struct input kept = spill(c, in);
        bool lean = outputs_of(c, n->b) != GIVES_MANY;
        gen(c, n->b, kept, 0);
        gen(c, n->a, last_use(in, kept, lean), GEN_PATH);
        emit(c, MT_DO_PATH_INDEX, MT_FLAG_TOP, 0, 0);
        return;
    }
    if (gen_quiet(c, n, in, MT_ERROR_RAISE))
        return;
    if (constant_key(c, n, &key)) {
        gen(c, n->a, in, 0);
        emit(c, MT_DO_KEY, MT_ERROR_RAISE, constant(c, key), 0);
        return;
    }
    bool key_first = in.at != IN_STACK || reads_input(c, n->b);
    struct input kept = key_first ? spill(c, in) : in;
    if (key_first && kept.at == IN_VARIABLE && n->a->kind == MT_NODE_IDENTITY) {
        gen(c, n->b, kept, 0);
        emit(c, MT_DO_LOAD_INDEX, 0, 0, kept.n);
        return;
    }
    if (key_first && n->a->kind == MT_NODE_INDEX) {
        bool lean = outputs_of(c, n->b) != GIVES_MANY;
        gen(c, n->b, kept, 0);
        if (!gen_quiet(c, n->a, kept, MT_FLAG_PEEK))
            gen(c, n->a, last_use(in, kept, lean), 0);
        emit(c, MT_DO_INDEX, MT_FLAG_TOP, 0, 0);
        return;
    }
    if (key_first && (in.at == IN_STACK || in.at == IN_LAST))
        in = (struct input){IN_LAST, kept.n};
    bool top = gen_pair(c, n->a, n->b, in);
    emit(c, MT_DO_INDEX, top ? MT_FLAG_TOP : 0, 0, 0);
}

static void gen_slice(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    struct input kept = spill(c, in), none = {IN_NOWHERE, 0};
    static const struct mt_node absent = {.kind = MT_NODE_NULL};
    gen(c, n->b ? n->b : &absent, n->b ? kept : none, 0);
    gen(c, n->c ? n->c : &absent, n->c ? kept : none, 0);
    bool lean = outputs_of(c, n->b) != GIVES_MANY && outputs_of(c, n->c) != GIVES_MANY;
    gen(c, n->a, last_use(in, kept, lean), how & GEN_PATH);
    emit(c, how & GEN_PATH ? MT_DO_PATH_SLICE : MT_DO_SLICE, 0, 0, 0);
}

/* ---- operators ---- */

static enum mt_op operation(unsigned op)
{
    switch (op) {
    case '+':
        return MT_DO_ADD;
    case '-':
        return MT_DO_SUBTRACT;
    case '*':
        return MT_DO_MULTIPLY;
    case '/':
        return MT_DO_DIVIDE;
    case '%':
        return MT_DO_MODULO;
    default:
        return (enum mt_op)(MT_DO_EQ + (op - MT_OP_EQ));
    }
}

static void gen_binary(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    struct mt_jv right;
    if (fold(c, n->b, NULL, &right)) {
        gen(c, n->a, in, 0);
        emit(c, operation(n->op), MT_FLAG_CONST, constant(c, right), 0);
        return;
    }
    bool top = gen_pair(c, n->a, n->b, in);
    emit(c, operation(n->op), top ? MT_FLAG_TOP : 0, 0, 0);
}

static void gen_pipe(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    uint32_t slot;
    struct mt_jv v, w;
    if (n->a->kind == MT_NODE_IDENTITY) {
        gen(c, n->b, in, how);
    } else if (in.at == IN_SLOT && !(how & GEN_PATH) && slot_of(c, n->a, in.n, &slot)) {
        if (!slot_of(c, n->b, slot, &(uint32_t){0})) /* an error of the left side counts in any case */
            emit(c, MT_DO_SLOT, MT_ERROR_CHECK, slot, 0);
        gen(c, n->b, (struct input){IN_SLOT, slot}, how);
    } else if (!(how & GEN_PATH) && fold(c, n->a, NULL, &v) && fold(c, n->b, &v, &w)) {
        drop_input(c, in);
        put_constant(c, w);
    } else {
        gen(c, n->a, in, how & GEN_PATH);
        gen(c, n->b, (struct input){IN_STACK, 0}, how);
    }
}

/* ---- objects and strings ---- */

static void gen_object(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    if (n->count == 0) {
        drop_input(c, in);
        emit(c, MT_DO_OBJECT, 0, 0, 0);
        return;
    }
    struct input kept = spill(c, in);
    struct mt_jv key;
    bool lean = true;
    emit(c, MT_DO_OBJECT, 0, n->count / 2, 0);
    for (unsigned i = 0; i + 1 < n->count; i += 2) {
        const struct mt_node *value = n->list[i + 1];
        bool is_constant = fold(c, n->list[i], NULL, &key), last = i + 2 == n->count;
        if (is_constant && !mt_jv_is(key, MT_STRING)) {
            char shown[MT_JV_SHOWN];
            fail_at(c, MT_EINVAL, n->list[i]->at, "%s cannot be the key of an object",
                    mt_jv_show(key, shown));
        } else if (!is_constant) {
            lean = lean && outputs_of(c, n->list[i]) != GIVES_MANY;
            gen(c, n->list[i], kept, 0);
        }
        gen(c, value, last ? last_use(in, kept, lean) : kept, 0);
        lean = lean && outputs_of(c, value) != GIVES_MANY;
        if (is_constant)
            emit(c, MT_DO_INSERT_KEY, 0, constant(c, key), 0);
        else
            emit(c, MT_DO_INSERT, 0, 0, 0);
    }
}

static void gen_interpolation(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    struct input kept = spill(c, in);
    uint32_t format = string_constant(c, n->text.p ? n->text : MT_SLICE("text"));
    /* The first expression varies fastest, so the last one is evaluated first. */
    for (unsigned i = n->count; i > 0; i--) {
        const struct mt_node *part = n->list[i - 1];
        gen(c, part, kept, 0);
        if (part->kind != MT_NODE_STRING)
            emit(c, MT_DO_FORMAT, 0, format, 0);
    }
    emit(c, MT_DO_JOIN, 0, 0, n->count);
    if (n->count > UINT16_MAX)
        fail_at(c, MT_EINVAL, n->at, "the string has too many parts");
}

static void check_format(struct mt_compiler *c, const struct mt_node *n)
{
    if (n->text.p && !mt_jv_is_format(n->text))
        fail_at(c, MT_EINVAL, n->at, "@%.*s is not a format", MT_FMT(n->text));
}

/* What a path cannot lead to is evaluated as a value: the machine finds out that it is none. */
static void gen_value(struct mt_compiler *c, const struct mt_node *n, struct input in)
{
    switch (n->kind) {
    case MT_NODE_VARIABLE:
        drop_input(c, in);
        gen_variable(c, n);
        break;
    case MT_NODE_INTERPOLATION:
        check_format(c, n);
        gen_interpolation(c, n, in);
        break;
    case MT_NODE_FORMAT:
        check_format(c, n);
        put_input(c, in);
        emit(c, MT_DO_FORMAT, 0, string_constant(c, n->text), 0);
        break;
    case MT_NODE_ARRAY:
        gen_collect(c, n, in);
        break;
    case MT_NODE_OBJECT:
        gen_object(c, n, in);
        break;
    case MT_NODE_NEGATE:
        gen(c, n->a, in, 0);
        emit(c, MT_DO_NEGATE, 0, 0, 0);
        break;
    case MT_NODE_BINARY:
        gen_binary(c, n, in);
        break;
    case MT_NODE_AND:
    case MT_NODE_OR:
        gen_logic(c, n, in);
        break;
    default:
        fail_memory(c); /* a literal: it would have been folded */
        break;
    }
}

void gen(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how)
{
    struct mt_jv v;
    if (c->broken)
        return;
    if (n->kind != MT_NODE_IDENTITY && n->kind != MT_NODE_COMMA && n->kind != MT_NODE_PIPE &&
        fold(c, n, NULL, &v)) {
        drop_input(c, in);
        put_constant(c, v);
        return;
    }
    switch (n->kind) {
    case MT_NODE_IDENTITY:
        put_input(c, in);
        break;
    case MT_NODE_RECURSE:
        gen_recurse(c, in, how);
        break;
    case MT_NODE_INDEX:
        gen_index(c, n, in, how);
        break;
    case MT_NODE_SLICE:
        gen_slice(c, n, in, how);
        break;
    case MT_NODE_EACH:
        gen(c, n->a, in, how & GEN_PATH);
        emit(c, how & GEN_PATH ? MT_DO_PATH_EACH : MT_DO_EACH, 0, 0, 0);
        break;
    case MT_NODE_TRY:
        if (!n->b && n->a->kind == MT_NODE_EACH && n->a->a->kind == MT_NODE_IDENTITY) {
            put_input(c, in);
            emit(c, how & GEN_PATH ? MT_DO_PATH_EACH : MT_DO_EACH, MT_ERROR_BACKTRACK, 0, 0);
        } else if (n->b || how & GEN_PATH || !gen_quiet(c, n->a, in, MT_ERROR_BACKTRACK))
            gen_try(c, n, in, how);
        break;
    case MT_NODE_PIPE:
        gen_pipe(c, n, in, how);
        break;
    case MT_NODE_COMMA:
        gen_comma(c, n, in, how);
        break;
    case MT_NODE_ALTERNATIVE:
        gen_alternative(c, n, in, how);
        break;
    case MT_NODE_ASSIGN:
        gen_assign(c, n, in);
        break;
    case MT_NODE_IF:
        gen_if(c, n, in, how);
        break;
    case MT_NODE_REDUCE:
        gen_reduce(c, n, in, how);
        break;
    case MT_NODE_FOREACH:
        gen_foreach(c, n, in, how);
        break;
    case MT_NODE_BIND:
        gen_bind(c, n, in, how);
        break;
    case MT_NODE_LABEL:
        gen_label(c, n, in, how);
        break;
    case MT_NODE_BREAK:
        gen_break(c, n, in);
        break;
    case MT_NODE_FUNCTION:
        gen_function(c, n, in, how);
        break;
    case MT_NODE_CALL:
        gen_call(c, n, in, how);
        break;
    default:
        gen_value(c, n, in);
        break;
    }
}
