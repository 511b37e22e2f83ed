/* Machines: what is public of them. See machine.h; the stacks and the loop are in machine_*.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "jq/machine_state.h"

#define DEFAULT_STEPS UINT64_C(50000000)
#define DEFAULT_MEMORY ((size_t)256 << 20)
#define KEPT_STACKS ((size_t)1 << 20)

struct mt_machine *mt_machine_new(const struct mt_program *p, const struct mt_machine_limits *limits)
{
    struct mt_machine *m = mt_alloc(sizeof *m);
    m->p = p;
    m->limits = limits ? *limits : (struct mt_machine_limits){0};
    if (!m->limits.steps)
        m->limits.steps = DEFAULT_STEPS;
    if (!m->limits.memory)
        m->limits.memory = DEFAULT_MEMORY;
    mt_jv_heap_init(&m->heap, m->limits.memory);
    m->heap.environment = p->environment;
    m->slots = mt_alloc(p->slots.n * sizeof *m->slots);
    mt_machine_begin_value(m, mt_jv_null());
    return m;
}

void mt_machine_free(struct mt_machine *m)
{
    if (!m)
        return;
    mt_jv_heap_fini(&m->heap);
    free_stacks(m);
    free(m->slots);
    free(m);
}

static void begin(struct mt_machine *m, struct mt_jv input)
{
    if (++m->generation == 0) { /* after 2^32 inputs the old marks could be taken for new ones */
        memset(m->slots, 0, m->p->slots.n * sizeof *m->slots);
        m->generation = 1;
    }
    m->slots[0] = (struct memo){.generation = m->generation, .v = mt_jv_share(input)};
    m->state = MACHINE_IDLE;
    m->fork_count = 0;
    m->top = m->limit = m->path = m->path_limit = m->frame = m->frame_limit = 0;
    m->heap.steps = m->limits.steps;
    if (m->bytes > KEPT_STACKS) /* one deep recursion need not cost memory for good */
        free_stacks(m);
}

void mt_machine_begin(struct mt_machine *m, struct mt_val input)
{
    mt_jv_heap_reset(&m->heap);
    begin(m, mt_jv_of(input));
}

void mt_machine_begin_value(struct mt_machine *m, struct mt_jv input)
{
    begin(m, input);
}

void mt_machine_keep(struct mt_machine *m, struct mt_jv *values, size_t count)
{
    m->kept = values;
    m->kept_count = count;
}

void mt_machine_start(struct mt_machine *m, unsigned entry)
{
    m->entry = entry;
    m->state = MACHINE_STARTED;
    m->fault = MT_FAULT_NONE;
    m->deep = false;
    m->heap.fault = MT_FAULT_NONE;
    m->heap.error = MT_NONE;
    m->heap.steps = m->limits.steps;
    m->fork_count = 0;
    m->top = m->limit = m->path = m->path_limit = m->frame = m->frame_limit = 0;
}

static enum mt_outcome raised(struct mt_machine *m)
{
    m->state = MACHINE_IDLE;
    m->fault = m->heap.fault;
    return MT_RAISED;
}

enum mt_outcome mt_machine_next(struct mt_machine *m, struct mt_jv *out)
{
    const struct mt_code_entry *entry = &m->p->entries.v[m->entry];
    if (m->state == MACHINE_IDLE)
        return MT_GAVE_NOTHING;
    if (m->state == MACHINE_RUNNING)
        return run(m, out);
    if (entry->constant || entry->slot) {
        m->state = MACHINE_IDLE;
        *out = entry->constant ? entry->value : slot_value(m, entry->at);
        return mt_jv_is_none(*out) ? raised(m) : MT_GAVE_VALUE;
    }
    if (!open_frame(m, entry->function) || (m->stack_cap == 0 && !grow_stack(m)) ||
        (m->paths_cap == 0 && !grow_paths(m)))
        return raised(m);
    return run(m, out);
}

enum mt_outcome mt_machine_first(struct mt_machine *m, unsigned entry, struct mt_jv *out)
{
    mt_machine_start(m, entry);
    enum mt_outcome outcome = mt_machine_next(m, out);
    m->state = MACHINE_IDLE;
    return outcome;
}

enum mt_outcome mt_machine_slot(struct mt_machine *m, unsigned slot, struct mt_jv *out)
{
    m->fault = MT_FAULT_NONE;
    *out = slot_value(m, slot);
    if (!mt_jv_is_none(*out))
        return MT_GAVE_VALUE;
    m->fault = m->heap.fault;
    return MT_RAISED;
}

static void cut(struct mt_slice text, const char *behind, char out[MT_FOREIGN + 1])
{
    size_t room = MT_FOREIGN - strlen(behind), n = text.n;
    if (n > room) {
        n = room;
        while (n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
            n--;
    }
    if (n)
        memcpy(out, text.p, n);
    memcpy(out + n, behind, strlen(behind) + 1);
}

void mt_machine_error(const struct mt_machine *m, char out[MT_FOREIGN + 1])
{
    struct mt_jv error = m->heap.error;
    switch (m->fault) {
    case MT_FAULT_ERROR: {
        if (mt_jv_is(error, MT_STRING)) {
            cut(mt_jv_text(error), "", out);
            return;
        }
        struct mt_buf text;
        mt_buf_init(&text, 1 << 20);
        mt_jv_write(error, &text);
        cut(mt_buf_slice(&text), " (not a string)", out);
        mt_buf_fini(&text);
        return;
    }
    case MT_FAULT_STEPS: {
        char digits[32], grouped[48];
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)m->limits.steps), to = 0;
        for (int i = 0; i < n; i++) {
            if (i > 0 && (n - i) % 3 == 0)
                grouped[to++] = ',';
            grouped[to++] = digits[i];
        }
        grouped[to] = '\0';
        snprintf(out, MT_FOREIGN + 1, "the expression took more than %s steps (MOONTIDE__JQ__STEPS)",
                 grouped);
        return;
    }
    case MT_FAULT_MEMORY:
        snprintf(out, MT_FOREIGN + 1, "the expression %s %zu MiB (MOONTIDE__JQ__MEMORY_MB)",
                 m->deep ? "recurses too deep for" : "needs more than", m->limits.memory >> 20);
        return;
    default:
        snprintf(out, MT_FOREIGN + 1, "no error");
        return;
    }
}

struct mt_jv mt_machine_error_value(const struct mt_machine *m)
{
    return m->fault == MT_FAULT_ERROR ? m->heap.error : MT_NONE;
}

struct mt_jv_heap *mt_machine_heap(struct mt_machine *m)
{
    return &m->heap;
}
