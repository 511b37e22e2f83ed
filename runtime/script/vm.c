/* One Lua state: its allocator with a byte budget, the way back from any lua_State, and the charge for
 * documents.
 *
 * Made by host.c (or by the module of a stock lua5.4 through mt_vm_adopt); loop thread. The budget counts
 * Lua's bytes and those of the documents that Lua holds; a refused allocation makes Lua collect and try
 * again, then it is a catchable error, and the budget (budget.c) counts the refusals. */
#include "script/state.h"

#include <stdlib.h>

char mt_reg_tasks, mt_reg_busy, mt_reg_trace, mt_reg_names, mt_reg_core, mt_reg_env;

#define DEFAULT_MEMORY ((size_t)256 << 20)
#define CORE_MARGIN ((size_t)1 << 20) /* what an error text may take when the budget is spent */

static size_t used(const struct mt_vm *vm)
{
    return vm->lua_bytes + vm->doc_bytes;
}

static size_t ceiling(const struct mt_vm *vm)
{
    return vm->relaxed ? vm->memory_max + CORE_MARGIN : vm->memory_max;
}

/* osize is a type tag when p is NULL. A shrink never fails: Lua does not expect it to. */
static void *allocate(void *ud, void *p, size_t osize, size_t nsize)
{
    struct mt_vm *vm = ud;
    const size_t old = p ? osize : 0;
    if (nsize == 0) {
        mt_heap_release(&vm->heap, p, old);
        vm->lua_bytes -= old;
        return NULL;
    }
    if (nsize > old) {
        const size_t max = ceiling(vm), now = used(vm);
        if (now > max || nsize - old > max - now) {
            mt_budget_refused(vm);
            return NULL;
        }
    }
    void *q = mt_heap_resize(&vm->heap, p, old, nsize);
    if (!q)
        return NULL;
    vm->lua_bytes = vm->lua_bytes - old + nsize;
    return q;
}

/* Only reached by a defect of the core: everything of the script runs protected. */
static int panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    mt_log(MT_ERROR, "script host: unprotected error: %.200s", text ? text : "(no text)");
    mt_log_flush();
    abort();
}

static void on_warning(void *ud, const char *text, int to_continue)
{
    (void)ud;
    (void)to_continue;
    mt_log(MT_WARN, "lua: %.200s", text);
}

static void set_extra(lua_State *L, struct mt_vm *vm)
{
    memcpy(lua_getextraspace(L), &vm, sizeof vm);
}

struct mt_vm *mt_vm_of(lua_State *L)
{
    struct mt_vm *vm;
    memcpy(&vm, lua_getextraspace(L), sizeof vm);
    return vm;
}

const struct mt_host_options *mt_vm_options(const struct mt_vm *vm)
{
    return &vm->options;
}

struct mt_vm *mt_vm_new(const struct mt_host_options *options)
{
    struct mt_vm *vm = mt_alloc(sizeof *vm);
    vm->options = *options;
    struct mt_budgets *b = &vm->options.budgets;
    b->memory = b->memory ? b->memory : DEFAULT_MEMORY;
    b->burst_ms = b->burst_ms ? b->burst_ms : 1000;
    b->total_ms = b->total_ms ? b->total_ms : 15 * 60 * 1000;
    b->load_ms = b->load_ms ? b->load_ms : 500;
    vm->memory_max = b->memory;
    vm->L = lua_newstate(allocate, vm);
    if (!vm->L) {
        mt_heap_close(&vm->heap);
        free(vm);
        return NULL;
    }
    vm->current = vm->L;
    set_extra(vm->L, vm);
    lua_atpanic(vm->L, panic);
    lua_setwarnf(vm->L, on_warning, vm);
    return vm;
}

void mt_vm_free(struct mt_vm *vm)
{
    if (!vm)
        return;
    vm->relaxed = true;
    lua_close(vm->L);
    mt_heap_close(&vm->heap);
    for (size_t i = 0; i < vm->handler_count; i++)
        free(vm->handlers[i].kind);
    free(vm->handlers);
    for (size_t i = 0; i < vm->read_count; i++) {
        free(vm->reads[i].kind);
        free(vm->reads[i].member);
    }
    free(vm->reads);
    free(vm);
}

static int adopted_gc(lua_State *L)
{
    struct mt_vm **held = lua_touserdata(L, 1);
    free(*held);
    *held = NULL;
    return 0;
}

/* The record dies with the state: its holder is created before anything that uncharges, and Lua finalises in
 * reverse order of creation. */
struct mt_vm *mt_vm_adopt(lua_State *L)
{
    struct mt_vm **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, adopted_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    struct mt_vm *vm = mt_alloc(sizeof *vm);
    *held = vm;
    vm->adopted = true;
    vm->memory_max = SIZE_MAX / 2;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    vm->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    vm->current = vm->L;
    set_extra(vm->L, vm);
    set_extra(L, vm);
    lua_rawsetp(L, LUA_REGISTRYINDEX, vm);
    mt_task_register(L);
    return vm;
}

int mt_vm_call(struct mt_vm *vm, lua_CFunction fn, void *ud)
{
    lua_State *L = vm->L;
    if (!lua_checkstack(L, 4))
        return LUA_ERRMEM;
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, ud);
    return lua_pcall(L, 1, 0, 0);
}

static void raise_spent(lua_State *L)
{
    char text[128];
    luaL_error(L, "%s", mt_budget_text(mt_vm_of(L), text, sizeof text));
}

void mt_vm_grow(lua_State *L, size_t bytes)
{
    struct mt_vm *vm = mt_vm_of(L);
    if (bytes <= vm->memory_max && used(vm) <= vm->memory_max - bytes)
        return;
    lua_gc(L, LUA_GCCOLLECT);
    if (bytes <= vm->memory_max && used(vm) <= vm->memory_max - bytes)
        return;
    /* Twice, as Lua's own allocations count: once before the collection, once after. */
    mt_budget_refused(vm);
    mt_budget_refused(vm);
    raise_spent(L);
}

void mt_vm_charge(lua_State *L, size_t bytes)
{
    struct mt_vm *vm = mt_vm_of(L);
    mt_vm_grow(L, bytes);
    vm->doc_bytes += bytes;
    /* Lua sees a userdata of 40 bytes, not the megabyte behind it: tell the collector, so that a loop over
     * pages holds one or two of them. */
    if (bytes >= 1024)
        lua_gc(L, LUA_GCSTEP, bytes / 1024 > 1 << 20 ? 1 << 20 : (int)(bytes / 1024));
}

void mt_vm_uncharge(struct mt_vm *vm, size_t bytes)
{
    vm->doc_bytes -= bytes;
}
