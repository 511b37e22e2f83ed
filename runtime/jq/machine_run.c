/* The loop that runs instructions. On the machine's thread.
 *
 * Nothing is held in C variables from one instruction to the next, so the heap may be collected between any
 * two; it is looked at where loops come by: at each backtracking and each call. */
#include "jq/machine_state.h"

static void go_back(struct mt_machine *m, const struct fork *f)
{
    m->top = f->top;
    m->limit = f->limit;
    m->frame = f->frame;
    m->frame_limit = f->frame_limit;
    m->path = f->path;
    m->path_limit = f->path_limit;
}

/* The same for a fork that stays: what it needs is protected again. */
static void go_back_below(struct mt_machine *m, const struct fork *f)
{
    go_back(m, f);
    uint32_t end = frame_end(m);
    if (m->limit < m->top)
        m->limit = m->top;
    if (m->frame_limit < end)
        m->frame_limit = end;
    if (m->path_limit < m->path)
        m->path_limit = m->path;
}

static bool fork_under(struct mt_machine *m, const struct mt_code *code, enum fork_kind kind)
{
    if (!(code->flag & MT_FLAG_UNDER))
        return push_fork(m, kind, code->a) != NULL;
    struct mt_jv v = pop(m);
    return push_fork(m, kind, code->a) && push(m, v);
}

/* The value leaves the body of a handler: errors from here on are not its. */
static bool leave(struct mt_machine *m, uint32_t forks)
{
    if (m->fork_count == forks + 1) {
        drop_forks(m, forks);
        return true;
    }
    struct fork *f = push_fork(m, FORK_LEFT, 0);
    if (f)
        f->aux = forks;
    return f != NULL;
}

/* Finds who catches the error. 0: nobody; else where to go on, UINT32_MAX: backtrack. */
static uint32_t find_handler(struct mt_machine *m)
{
    while (m->fork_count > 0) {
        const struct fork *f = &m->forks[m->fork_count - 1];
        switch ((enum fork_kind)f->kind) {
        case FORK_LEFT:
            m->fork_count = f->aux;
            break;
        case FORK_TRY:
        case FORK_PATTERN: {
            m->fork_count--;
            go_back(m, f);
            m->heap.fault = MT_FAULT_NONE;
            if (f->kind != FORK_TRY)
                return f->at;
            struct mt_jv error = m->heap.error;
            m->heap.error = MT_NONE;
            if (!f->aux)
                return UINT32_MAX;
            if (!push(m, error))
                return 0;
            return f->at;
        }
        default:
            m->fork_count--;
        }
    }
    return 0;
}

/* The next element of a fork that iterates; MT_NONE: raised. */
static struct mt_jv next_element(struct mt_machine *m, bool is_path)
{
    struct fork *f = &m->forks[m->fork_count - 1];
    struct mt_jv key = MT_NONE, value = MT_NONE;
    size_t at = mt_jv_count(f->each.container) - f->aux;
    if (!mt_jv_iter_next(&f->each, &key, &value))
        return mt_jv_raise(&m->heap, "a container changed while it was iterated");
    if (--f->aux == 0)
        drop_forks(m, m->fork_count - 1);
    if (is_path && !path_push(m, mt_jv_is_none(key) ? mt_jv_number((double)at) : key, value))
        return MT_NONE;
    return value;
}

enum each_start { EACH_RAISED, EACH_EMPTY, EACH_STARTED };

static enum each_start start_each(struct mt_machine *m, uint32_t pc, bool is_path)
{
    struct mt_jv v = pop(m);
    enum mt_kind kind = mt_jv_kind(v);
    char shown[MT_JV_SHOWN];
    if (is_path && !path_may_iterate(m, v))
        return EACH_RAISED;
    if (kind != MT_ARRAY && kind != MT_OBJECT) {
        mt_jv_raise(&m->heap, "Cannot iterate over %s", mt_jv_show(v, shown));
        return EACH_RAISED;
    }
    size_t count = mt_jv_count(v);
    if (count == 0)
        return EACH_EMPTY;
    struct fork *f = push_fork(m, is_path ? FORK_PATH_EACH : FORK_EACH, pc);
    if (!f)
        return EACH_RAISED;
    f->aux = (uint32_t)count;
    f->each = mt_jv_iter_of(v);
    v = next_element(m, is_path);
    return !mt_jv_is_none(v) && push(m, v) ? EACH_STARTED : EACH_RAISED;
}

static bool has_next(double at, double to, double by)
{
    return by > 0 ? at < to : by < 0 && at > to;
}

static enum each_start start_range(struct mt_machine *m, uint32_t pc)
{
    struct mt_jv by = pop(m), to = pop(m), from = pop(m);
    if (!mt_jv_is(by, MT_NUMBER) || !mt_jv_is(to, MT_NUMBER) || !mt_jv_is(from, MT_NUMBER)) {
        mt_jv_raise(&m->heap, "Range bounds must be numeric");
        return EACH_RAISED;
    }
    double at = mt_jv_double(from), end = mt_jv_double(to), step = mt_jv_double(by);
    if (!has_next(at, end, step))
        return EACH_EMPTY;
    if (has_next(at + step, end, step)) {
        struct fork *f = push_fork(m, FORK_RANGE, pc);
        if (!f)
            return EACH_RAISED;
        f->range.at = at;
        f->range.to = end;
        f->range.by = step;
    }
    return push(m, mt_jv_number(at)) ? EACH_STARTED : EACH_RAISED;
}

static double next_number(struct mt_machine *m)
{
    struct fork *f = &m->forks[m->fork_count - 1];
    double at = f->range.at += f->range.by;
    if (!has_next(at + f->range.by, f->range.to, f->range.by))
        drop_forks(m, m->fork_count - 1);
    return at;
}

static void mark(struct mt_machine *m, uint32_t slot, uint32_t forks)
{
    m->units[m->frame + 1 + slot] = (union unit){.mark = {.tag = MT_JV_NONE, .forks = forks}};
}

/* Each instruction ends in one of these. */
#define NEXT goto next
#define GIVE(value)                                                                                          \
    do {                                                                                                     \
        v = (value);                                                                                         \
        if (mt_jv_is_none(v) || !push(m, v))                                                                 \
            goto raise;                                                                                      \
        NEXT;                                                                                                \
    } while (0)
#define CHECK(done)                                                                                          \
    if (!(done))                                                                                             \
        goto raise;                                                                                          \
    NEXT

enum mt_outcome run(struct mt_machine *m, struct mt_jv *out)
{
    struct mt_jv_heap *h = &m->heap;
    const struct mt_code *all = m->p->code.v, *code;
    const struct mt_jv *constants = m->p->constants.v;
    uint32_t pc = m->p->functions.v[m->p->entries.v[m->entry].function].start[MT_MODE_VALUE];
    struct mt_jv v;
    if (m->state == MACHINE_RUNNING)
        goto backtrack;
    m->state = MACHINE_RUNNING;
    for (;;) {
        if (h->steps == 0) {
            h->fault = MT_FAULT_STEPS;
            goto raise;
        }
        h->steps--;
        code = &all[pc++];
        switch ((enum mt_op)code->op) {
        case MT_DO_CONST:
            CHECK(push(m, constants[code->a]));
        case MT_DO_POP:
            m->top = m->stack[m->top].next;
            NEXT;
        case MT_DO_SLOT:
            v = slot_value(m, code->a);
            if (mt_jv_is_none(v))
                goto step_raised;
            CHECK(code->flag == MT_ERROR_CHECK || push(m, v));
        case MT_DO_LOAD:
            CHECK(push(m, mt_jv_share(*slot_at(m, code->b))));
        case MT_DO_LOAD_UP:
            CHECK(push(m, mt_jv_share(m->units[frame_up(m, code->a) + 1 + code->b].v)));
        case MT_DO_MOVE: {
            struct mt_jv *place = slot_at(m, code->b);
            v = *place;
            *place = mt_jv_null();
            CHECK(push(m, v));
        }
        case MT_DO_STORE:
            v = pop(m);
            *slot_at(m, code->b) = v;
            NEXT;
        case MT_DO_LOAD_INDEX: {
            const struct mt_jv *place = slot_at(m, code->b);
            GIVE(mt_jv_get(h, *place, pop(m)));
        }
        case MT_DO_LOAD_KEY:
            v = code->flag & MT_FLAG_PEEK ? peek(m, *slot_at(m, code->b), constants[code->a])
                                          : mt_jv_get(h, *slot_at(m, code->b), constants[code->a]);
            if (mt_jv_is_none(v))
                goto step_raised;
            CHECK(push(m, v));
        case MT_DO_KEY:
            v = pop(m);
            v = code->flag & MT_FLAG_PEEK ? peek(m, v, constants[code->a])
                                          : mt_jv_get(h, v, constants[code->a]);
            if (mt_jv_is_none(v))
                goto step_raised;
            CHECK(push(m, v));
        case MT_DO_PATH_KEY:
            GIVE(path_step(m, pop(m), constants[code->a]));
        case MT_DO_INDEX:
        case MT_DO_PATH_INDEX:
        case MT_DO_PATH_GET:
            GIVE(step_index(m, code));
        case MT_DO_SLICE:
        case MT_DO_PATH_SLICE:
            GIVE(step_slice(m, code->op == MT_DO_PATH_SLICE));
        case MT_DO_EACH:
        case MT_DO_PATH_EACH:
        case MT_DO_RANGE: {
            enum each_start start =
                code->op == MT_DO_RANGE ? start_range(m, pc) : start_each(m, pc, code->op == MT_DO_PATH_EACH);
            if (start == EACH_EMPTY)
                goto backtrack;
            if (start == EACH_RAISED)
                goto step_raised;
            NEXT;
        }
        case MT_DO_PATH_BEGIN: /* what is popped is shared with the path from here on */
            v = mt_jv_share(pop(m));
            CHECK(path_begin(m, v) && push(m, v));
        case MT_DO_PATH_END:
            GIVE(path_end(m, pop(m)));
        case MT_DO_JUMP:
            pc = code->a;
            NEXT;
        case MT_DO_UNLESS:
            if (!mt_jv_truthy(pop(m)))
                pc = code->a;
            NEXT;
        case MT_DO_AND:
        case MT_DO_OR:
            if (mt_jv_truthy(pop(m)) == (code->op == MT_DO_AND))
                NEXT;
            pc = code->a;
            CHECK(push(m, mt_jv_bool(code->op == MT_DO_OR)));
        case MT_DO_BOOLEAN:
            CHECK(push(m, mt_jv_bool(mt_jv_truthy(pop(m)))));
        case MT_DO_NOT:
            CHECK(push(m, mt_jv_bool(!mt_jv_truthy(pop(m)))));
        case MT_DO_KEEP:
            if (mt_jv_truthy(m->stack[m->top].v))
                pc = code->a;
            else
                m->top = m->stack[m->top].next;
            NEXT;
        case MT_DO_FORK:
            CHECK(fork_under(m, code, FORK_PLAIN));
        case MT_DO_BACKTRACK:
            goto backtrack;
        case MT_DO_TRY: {
            uint32_t forks = m->fork_count;
            if (!fork_under(m, code, FORK_TRY))
                goto raise;
            m->forks[forks].aux = (code->flag & MT_FLAG_HANDLER) != 0;
            mark(m, code->b, forks);
            NEXT;
        }
        case MT_DO_TRY_END:
            CHECK(leave(m, m->units[m->frame + 1 + code->b].mark.forks));
        case MT_DO_ALT: {
            mark(m, code->b, m->fork_count);
            struct fork *f = push_fork(m, FORK_ALT, code->a);
            if (!f)
                goto raise;
            f->aux = code->b;
            NEXT;
        }
        case MT_DO_ALT_END: {
            if (!mt_jv_truthy(m->stack[m->top].v))
                goto backtrack;
            union unit *unit = &m->units[m->frame + 1 + code->b];
            unit->mark.found = true;
            if (m->fork_count == unit->mark.forks + 1) /* nothing else can come from the left side */
                drop_forks(m, unit->mark.forks);
            pc = code->a;
            NEXT;
        }
        case MT_DO_PATTERN:
            CHECK(push_fork(m, FORK_PATTERN, code->a));
        case MT_DO_MARK:
            mark(m, code->b, m->fork_count);
            NEXT;
        case MT_DO_CUT:
            drop_forks(m, m->units[m->frame + 1 + code->b].mark.forks);
            NEXT;
        case MT_DO_BREAK:
            drop_forks(m, m->units[frame_up(m, code->a) + 1 + code->b].mark.forks);
            goto backtrack;
        case MT_DO_CALL:
        case MT_DO_CALL_PARAM:
            if (h->used > h->collect_at)
                collect(m);
            pc = code->op == MT_DO_CALL ? call_function(m, all, pc - 1) : call_parameter(m, all, pc - 1);
            CHECK(pc != 0);
        case MT_DO_ARG_CLOSURE:
        case MT_DO_ARG_PASS:
        case MT_DO_ARG_VALUE:
        case MT_DO_COUNT:
            NEXT; /* never reached: calls step over them */
        case MT_DO_RETURN:
            pc = m->units[m->frame].head.ret;
            m->frame = m->units[m->frame].head.caller;
            NEXT;
        case MT_DO_OUTPUT:
            *out = pop(m);
            return MT_GAVE_VALUE;
        case MT_DO_NATIVE:
            GIVE(step_native(m, code));
        case MT_DO_ERROR:
            mt_jv_raise_value(h, pop(m));
            goto raise;
        case MT_DO_NEGATE:
            GIVE(mt_jv_negate(h, pop(m)));
        case MT_DO_ADD:
        case MT_DO_SUBTRACT:
        case MT_DO_MULTIPLY:
        case MT_DO_DIVIDE:
        case MT_DO_MODULO:
            GIVE(step_arithmetic(m, code));
        case MT_DO_EQ:
        case MT_DO_NE:
        case MT_DO_LT:
        case MT_DO_LE:
        case MT_DO_GT:
        case MT_DO_GE:
            GIVE(step_compare(m, code));
        case MT_DO_ARRAY:
            GIVE(step_array(m, code->b));
        case MT_DO_COLLECT:
            v = mt_jv_array(h, 0);
            if (mt_jv_is_none(v))
                goto raise;
            *slot_at(m, code->b) = v;
            CHECK(fork_under(m, code, FORK_PLAIN));
        case MT_DO_APPEND: {
            struct mt_jv *place = slot_at(m, code->b);
            v = mt_jv_append(h, *place, pop(m));
            if (mt_jv_is_none(v))
                goto raise;
            *place = v;
            goto backtrack;
        }
        case MT_DO_OBJECT:
            GIVE(mt_jv_object(h, code->a));
        case MT_DO_INSERT:
        case MT_DO_INSERT_KEY:
            GIVE(step_insert(m, code));
        case MT_DO_FORMAT:
            GIVE(mt_jv_format(h, mt_jv_text(constants[code->a]), pop(m)));
        case MT_DO_JOIN:
            GIVE(step_join(m, code->b));
        case MT_DO_TAKE:
            CHECK(step_take(m, code->b));
        case MT_DO_PUT:
            GIVE(step_put(m, code->b));
        case MT_DO_GET_PATH:
            GIVE(mt_jv_getpath(h, *slot_at(m, code->b), *slot_at(m, code->a)));
        case MT_DO_SET_PATH:
            CHECK(step_set_path(m, code));
        case MT_DO_DROP_PATH:
        case MT_DO_DELETE:
            CHECK(step_change_variable(m, code));
        }

    step_raised: /* by a step whose flag says what an error means */
        if (h->fault != MT_FAULT_ERROR || (code->flag & MT_ERROR_BITS) != MT_ERROR_BACKTRACK)
            goto raise;
        h->fault = MT_FAULT_NONE;
        h->error = MT_NONE;

    backtrack:
        if (h->used > h->collect_at)
            collect(m);
        if (m->fork_count == 0) {
            m->state = MACHINE_IDLE;
            return MT_GAVE_NOTHING;
        }
        const struct fork *f = &m->forks[m->fork_count - 1];
        pc = f->at;
        switch ((enum fork_kind)f->kind) {
        case FORK_EACH:
        case FORK_PATH_EACH:
            go_back_below(m, f);
            GIVE(next_element(m, f->kind == FORK_PATH_EACH));
        case FORK_RANGE:
            go_back_below(m, f);
            CHECK(push(m, mt_jv_number(next_number(m))));
        case FORK_PLAIN:
            m->fork_count--;
            go_back(m, f);
            NEXT;
        case FORK_ALT:
            m->fork_count--;
            go_back(m, f);
            if (m->units[m->frame + 1 + f->aux].mark.found)
                goto backtrack;
            NEXT;
        case FORK_TRY:
        case FORK_LEFT:
        case FORK_PATTERN:
            m->fork_count--;
            go_back(m, f);
            goto backtrack;
        }

    raise:
        if (h->fault == MT_FAULT_ERROR && (pc = find_handler(m)) != 0 && h->fault == MT_FAULT_NONE) {
            if (pc == UINT32_MAX)
                goto backtrack;
            NEXT;
        }
        m->state = MACHINE_IDLE;
        m->fault = h->fault;
        return MT_RAISED;

    next:;
    }
}
