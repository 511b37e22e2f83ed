/* Calls: frames of functions and closures. On the machine's thread.
 *
 * A frame lies above its caller's, and above all that forks protect. A call in tail position whose arguments
 * do not refer to the caller's frame takes that frame's place: when no fork protects it, recursion needs no
 * memory. */
#include "jq/machine_state.h"

enum { ARGS_MAX = 128 }; /* two slots for each of 64 parameters */

/* A frame at `at` that returns to ret in caller. */
static void lay_frame(struct mt_machine *m, uint32_t at, uint32_t size, uint32_t ret, uint32_t caller,
                      uint32_t link)
{
    memset(&m->units[at], 0, (size_t)(size + 1) * sizeof m->units[0]);
    m->units[at].head.size = (uint16_t)size;
    m->units[at].head.ret = ret;
    m->units[at].head.caller = caller;
    m->units[at].head.link = link;
    m->frame = at;
}

bool open_frame(struct mt_machine *m, uint32_t function)
{
    uint32_t size = m->p->functions.v[function].size;
    if (!grow_units(m, size + 1))
        return false;
    lay_frame(m, 0, size, 0, 0, 0);
    return true;
}

/* Makes the frame of a call and fills it with arguments. Returns where the function begins. */
static uint32_t enter(struct mt_machine *m, const struct mt_code *call, uint32_t function, uint32_t link,
                      uint32_t ret, const union unit *args, uint32_t count)
{
    const struct mt_code_function *f = &m->p->functions.v[function];
    uint32_t at = frame_end(m), caller = m->frame;
    if (call->flag & MT_FLAG_TAIL) {
        ret = m->units[m->frame].head.ret;
        caller = m->units[m->frame].head.caller;
        at = m->frame;
    }
    if (at < m->frame_limit)
        at = m->frame_limit;
    if (!grow_units(m, at + 1 + f->size))
        return 0;
    lay_frame(m, at, f->size, ret, caller, link);
    if (count > 0)
        memcpy(&m->units[at + 1], args, count * sizeof *args);
    return f->start[call->flag & MT_FLAG_PATH ? MT_MODE_PATH : MT_MODE_VALUE];
}

uint32_t call_function(struct mt_machine *m, const struct mt_code *code, uint32_t pc)
{
    const struct mt_code *call = &code[pc];
    union unit args[ARGS_MAX];
    uint32_t count = m->p->functions.v[call->a].params, link = frame_up(m, call->b);
    bool values = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct mt_code *arg = &code[pc + 1 + i];
        if (arg->op == MT_DO_ARG_PASS) {
            args[i] = m->units[frame_up(m, arg->a) + 1 + arg->b];
        } else if (arg->op == MT_DO_ARG_CLOSURE) {
            args[i] = (union unit){.closure = {.tag = MT_JV_NONE, .function = arg->a, .link = m->frame}};
        } else {
            values = true;
        }
    }
    if (values) { /* they lie below the input, the last one topmost */
        struct mt_jv input = pop(m);
        for (uint32_t i = count; i > 0; i--)
            if (code[pc + i].op == MT_DO_ARG_VALUE)
                args[i - 1].v = pop(m);
        if (!push(m, input))
            return 0;
    }
    return enter(m, call, call->a, link, pc + 1 + count, args, count);
}

uint32_t call_parameter(struct mt_machine *m, const struct mt_code *code, uint32_t pc)
{
    const struct mt_code *call = &code[pc];
    union unit closure = m->units[frame_up(m, call->a) + 1 + call->b];
    return enter(m, call, closure.closure.function, closure.closure.link, pc + 1, NULL, 0);
}
