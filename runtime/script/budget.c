/* CPU and memory budgets of a bundle, and the kill that scripts cannot catch.
 *
 * A count hook looks at the thread's CPU clock every 10,000 instructions (flat above that, a steep loss below
 * 500). Over a budget it first makes itself sticky (every instruction) and then raises, so that `while true
 * do pcall(f) end` dies too. Hooks raise and never yield; they do not run inside C, so a long pattern match
 * is only measured and logged. Called by task.c around every resume and by host.c around loading; loop
 * thread. */
#include "script/state.h"

#include <stdio.h>

#include "base/clock.h"

#define HOOK_INSTRUCTIONS 10000
#define LONG_CALL_NS (200 * 1000000ULL)
#define REFUSALS_MAX 8 /* Lua asks twice, before and after a collection: four errors */

const char *mt_budget_text(struct mt_vm *vm, char *out, size_t size)
{
    const struct mt_budgets *b = &vm->options.budgets;
    switch (vm->kill) {
    case MT_KILL_BURST:
        snprintf(out, size, "CPU budget of %u ms between two yields is spent", b->burst_ms);
        break;
    case MT_KILL_TOTAL:
        snprintf(out, size, "CPU budget of %u ms of one handler is spent", b->total_ms);
        break;
    case MT_KILL_LOAD:
        snprintf(out, size, "CPU budget of %u ms for loading the bundle is spent", b->load_ms);
        break;
    case MT_KILL_MEMORY:
    case MT_KILL_NONE:
        if (vm->memory_max >= (size_t)1 << 20)
            snprintf(out, size, "memory budget of %zu MiB is spent", vm->memory_max >> 20);
        else
            snprintf(out, size, "memory budget of %zu KiB is spent", vm->memory_max >> 10);
        break;
    }
    return out;
}

static void note_long_call(lua_State *L, lua_Debug *ar, uint64_t now)
{
    struct mt_vm *vm = mt_vm_of(L);
    const uint64_t took = now - vm->last_check;
    vm->last_check = now;
    if (took < LONG_CALL_NS)
        return;
    lua_getinfo(L, "Sl", ar);
    mt_log_repeat(MT_WARN, "script-long-call",
                  "%s: %s:%d: one stretch of C (a pattern match, a conversion, the collector) took %u ms; "
                  "budgets cannot "
                  "interrupt it",
                  vm->options.name ? vm->options.name : "bundle", ar->short_src, ar->currentline,
                  (unsigned)(took / 1000000));
}

static void judge(struct mt_vm *vm, uint64_t now)
{
    const struct mt_budgets *b = &vm->options.budgets;
    const uint64_t burst = now - vm->burst_start;
    if (vm->loading) {
        if (burst > (uint64_t)b->load_ms * 1000000)
            vm->kill = MT_KILL_LOAD;
        return;
    }
    if (burst > (uint64_t)b->burst_ms * 1000000)
        vm->kill = MT_KILL_BURST;
    else if (vm->running && vm->running->run->cpu_ns + burst > (uint64_t)b->total_ms * 1000000)
        vm->kill = MT_KILL_TOTAL;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    struct mt_vm *vm = mt_vm_of(L);
    if (!vm->entered)
        return;
    if (!vm->kill) {
        const uint64_t now = mt_cpu_ns();
        note_long_call(L, ar, now);
        judge(vm, now);
    }
    if (!vm->kill) {
        /* A coroutine that outlived the run that was killed in it. */
        if (lua_gethookcount(L) != HOOK_INSTRUCTIONS)
            mt_budget_hook(L);
        return;
    }
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    if (!vm->kill_text[0]) {
        char text[128];
        lua_getinfo(L, "Sl", ar);
        snprintf(vm->kill_text, sizeof vm->kill_text, "%s:%d: %s", ar->short_src, ar->currentline,
                 mt_budget_text(vm, text, sizeof text));
    }
    vm->relaxed = true;
    lua_pushstring(L, vm->kill_text);
    lua_error(L);
}

void mt_budget_hook(lua_State *co)
{
    if (!mt_vm_of(co)->adopted)
        lua_sethook(co, hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

void mt_budget_stick(lua_State *L)
{
    if (mt_vm_of(L)->kill)
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

/* Called by the allocator, which may not touch Lua but may set a hook (as signal handlers do). */
void mt_budget_refused(struct mt_vm *vm)
{
    if (vm->adopted || !vm->entered)
        return;
    unsigned *count = vm->running ? &vm->running->run->refusals : &vm->refusals;
    if (++*count < REFUSALS_MAX || vm->kill)
        return;
    vm->kill = MT_KILL_MEMORY;
    lua_sethook(vm->current, hook, LUA_MASKCOUNT, 1);
}

void mt_budget_enter(struct mt_vm *vm)
{
    vm->kill = MT_KILL_NONE;
    vm->kill_text[0] = '\0';
    vm->relaxed = false;
    vm->entered = true;
    vm->burst_start = vm->last_check = mt_cpu_ns();
}

/* The time after the last look of the hook counts too: a C call may have been the last thing. */
void mt_budget_leave(struct mt_vm *vm)
{
    const uint64_t now = mt_cpu_ns();
    vm->entered = false;
    vm->relaxed = true;
    if (vm->running)
        vm->running->run->cpu_ns += now - vm->burst_start;
    if (now - vm->last_check >= LONG_CALL_NS)
        mt_log_repeat(
            MT_WARN, "script-long-call", "%s: one stretch of C took %u ms; budgets cannot interrupt it",
            vm->options.name ? vm->options.name : "bundle", (unsigned)((now - vm->last_check) / 1000000));
}
