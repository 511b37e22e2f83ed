/* Inside a machine: its stacks. Private to machine*.c.
 *
 * Three stacks share one rule. A fork remembers how high each was, and from then on nothing below that height
 * is overwritten: what is pushed later goes above it, linked to what it lies on. So going back to a fork is
 * setting a few numbers. The rule also tells when a value is held twice: what is popped from below the height
 * stays there for the fork, so it is marked shared; what is popped from above is moved. */
#ifndef MT_JQ_MACHINE_STATE_H
#define MT_JQ_MACHINE_STATE_H

#include "jq/code.h"
#include "jq/machine.h"

struct cell {
    struct mt_jv v;
    uint32_t next; /* below; 0: nothing is */
};

/* Frames lie in units: a head, then the slots. All but values have the tag MT_JV_NONE, so that the collection
 * need not know where frames begin. */
union unit {
    struct mt_jv v;
    struct {
        uint8_t tag;
        uint8_t mode;  /* unused by the machine itself: the code knows */
        uint16_t size; /* slots */
        uint32_t ret, caller, link;
    } head;
    struct {
        uint8_t tag;
        uint32_t function, link; /* link: the frame that it is closed over */
    } closure;
    struct {
        uint8_t tag;
        bool found;
        uint32_t forks;
    } mark;
};

struct path_node {
    struct mt_jv key;   /* MT_JV_NONE: a path begins here */
    struct mt_jv value; /* what it leads to */
    uint32_t parent;
};

enum fork_kind {
    FORK_PLAIN,
    FORK_TRY,
    FORK_LEFT,
    FORK_ALT,
    FORK_PATTERN,
    FORK_EACH,
    FORK_PATH_EACH,
    FORK_RANGE
};

struct fork {
    uint8_t kind;
    uint32_t at;  /* the instruction to go on at */
    uint32_t aux; /* FORK_LEFT: forks below the handler that was left; FORK_TRY: has a handler */
    uint32_t top, limit, frame, frame_limit, path, path_limit;
    union {
        struct mt_jv_iter each;
        struct {
            double at, to, by;
        } range;
    };
};

struct memo {
    uint32_t generation; /* of the input that it belongs to */
    bool raised;
    struct mt_jv v; /* or the error */
};

struct mt_machine {
    const struct mt_program *p;
    struct mt_jv_heap heap;
    struct mt_machine_limits limits;
    uint32_t generation;

    struct cell *stack;
    uint32_t top, limit, stack_cap;
    union unit *units;
    uint32_t frame, frame_limit, units_cap;
    struct path_node *paths;
    uint32_t path, path_limit, paths_cap;
    struct fork *forks;
    uint32_t fork_count, forks_cap;
    size_t bytes; /* of the stacks */

    struct memo *slots;
    struct mt_jv *kept;
    size_t kept_count;
    uint32_t entry;
    enum { MACHINE_IDLE, MACHINE_STARTED, MACHINE_RUNNING } state;
    enum mt_fault fault; /* of the last MT_RAISED */
    bool deep;           /* it was the stacks that had no room */
};

/* machine_stack.c. Growing raises MT_FAULT_MEMORY when it fails. */
bool grow_stack(struct mt_machine *m);
bool grow_units(struct mt_machine *m, uint32_t need);
bool grow_paths(struct mt_machine *m);
struct fork *push_fork(struct mt_machine *m, enum fork_kind kind, uint32_t at); /* NULL: raised */
void drop_forks(struct mt_machine *m, uint32_t count); /* all but the oldest `count`, going on where it is */
void collect(struct mt_machine *m);
void free_stacks(struct mt_machine *m);

/* machine_call.c. pc: the call; the address to go on at, or 0: raised. */
uint32_t call_function(struct mt_machine *m, const struct mt_code *code, uint32_t pc);
uint32_t call_parameter(struct mt_machine *m, const struct mt_code *code, uint32_t pc);
bool open_frame(struct mt_machine *m, uint32_t function);

/* machine_path.c */
bool path_begin(struct mt_machine *m, struct mt_jv v);
struct mt_jv path_end(struct mt_machine *m, struct mt_jv v);
bool path_push(struct mt_machine *m, struct mt_jv key, struct mt_jv v);
struct mt_jv path_step(struct mt_machine *m, struct mt_jv v, struct mt_jv key);
struct mt_jv path_slice(struct mt_machine *m, struct mt_jv v, struct mt_jv from, struct mt_jv to);
struct mt_jv path_get(struct mt_machine *m, struct mt_jv v, struct mt_jv path);
bool path_may_iterate(struct mt_machine *m, struct mt_jv v);

/* machine_update.c: v along keys[0…n-1]. */
struct mt_jv take_along(struct mt_machine *m, struct mt_jv *v, const struct mt_jv *keys, unsigned n);
struct mt_jv put_along(struct mt_machine *m, struct mt_jv v, const struct mt_jv *keys, unsigned n,
                       struct mt_jv new);
/* v[key] for who only looks on: the value is not marked shared. */
struct mt_jv peek(struct mt_machine *m, struct mt_jv v, struct mt_jv key);
struct mt_jv slot_value(struct mt_machine *m, uint32_t slot); /* MT_NONE: raised */

/* machine_step.c: instructions. MT_NONE or false: raised. */
struct mt_jv step_native(struct mt_machine *m, const struct mt_code *code);
struct mt_jv step_arithmetic(struct mt_machine *m, const struct mt_code *code);
struct mt_jv step_compare(struct mt_machine *m, const struct mt_code *code);
struct mt_jv step_array(struct mt_machine *m, unsigned n);
struct mt_jv step_insert(struct mt_machine *m, const struct mt_code *code);
struct mt_jv step_join(struct mt_machine *m, unsigned n);
bool step_take(struct mt_machine *m, unsigned n);
struct mt_jv step_put(struct mt_machine *m, unsigned n);
bool step_set_path(struct mt_machine *m, const struct mt_code *code);
bool step_change_variable(struct mt_machine *m, const struct mt_code *code);
struct mt_jv step_slice(struct mt_machine *m, bool is_path);
struct mt_jv step_index(struct mt_machine *m, const struct mt_code *code);

/* machine_run.c */
enum mt_outcome run(struct mt_machine *m, struct mt_jv *out);

static inline bool push(struct mt_machine *m, struct mt_jv v)
{
    uint32_t at = (m->top > m->limit ? m->top : m->limit) + 1;
    if (at >= m->stack_cap && !grow_stack(m))
        return false;
    m->stack[at].v = v;
    m->stack[at].next = m->top;
    m->top = at;
    return true;
}

static inline struct mt_jv pop(struct mt_machine *m)
{
    const struct cell *cell = &m->stack[m->top];
    if (m->top <= m->limit)
        mt_jv_share(cell->v);
    m->top = cell->next;
    return cell->v;
}

static inline struct mt_jv *slot_at(struct mt_machine *m, uint32_t slot)
{
    return &m->units[m->frame + 1 + slot].v;
}

/* The frame so many levels up. */
static inline uint32_t frame_up(const struct mt_machine *m, uint32_t level)
{
    uint32_t frame = m->frame;
    for (; level > 0; level--)
        frame = m->units[frame].head.link;
    return frame;
}

static inline uint32_t frame_end(const struct mt_machine *m)
{
    return m->frame + 1 + m->units[m->frame].head.size;
}

#endif
