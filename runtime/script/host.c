/* The host of one bundle: makes the state, loads main.lua, answers what its handlers are. Called by sync/ and
 * the CLI; the host owns the state (vm.c), its runs (run.c) end with it.
 *
 * A service loads a new generation on a thread of its own, beside the runs of the old one on the loop's:
 * until its first run a state touches neither loop nor client, and its CPU time is that of the thread that
 * loads. */
#include "script/state.h"

#include <stdlib.h>

static int open_state(lua_State *L)
{
    mt_task_register(L);
    mt_sandbox_open(L);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_core);
    mt_bind_view(L);
    mt_bind_secret(L);
    mt_bind_task(L);
    mt_bind_http(L);
    mt_bind_text(L);
    mt_bind_crypto(L);
    mt_bind_jq(L);
    mt_bind_kv(L);
    return 0;
}

static int load_main(lua_State *L)
{
    mt_module_main(L);
    return 0;
}

/* main.lua runs in a coroutine of its own: unlike the stack below a lua_pcall, a coroutine's is still there
 * after an error of memory, so that this too has its file and line. */
static enum mt_rc load(struct mt_vm *vm, struct mt_err *err)
{
    lua_State *L = vm->L;
    int results;
    mt_budget_hook(L); /* coroutines inherit it */
    lua_State *co = lua_newthread(L);
    const struct mt_log_fields *before = mt_log_enter(NULL);
    mt_log_enter(vm->options.log ? vm->options.log : before);
    vm->loading = true;
    mt_budget_enter(vm);
    lua_pushcfunction(co, load_main);
    int status = lua_resume(co, L, 0, &results);
    mt_budget_leave(vm);
    vm->loading = false;
    mt_log_enter(before);
    if (status == LUA_OK && !vm->kill) {
        lua_settop(L, 0);
        lua_gc(L, LUA_GCCOLLECT); /* sources, parser, the coroutine: half of what a small bundle takes */
        mt_heap_trim(&vm->heap);
        return MT_OK;
    }
    char *text = mt_failure_text(vm, NULL, co, status);
    const enum mt_rc rc =
        mt_fail(err, MT_ESCRIPT, "%s: %s", vm->options.name ? vm->options.name : "bundle", text);
    free(text);
    return rc;
}

enum mt_rc mt_host_new(const struct mt_host_options *options, struct mt_host **out, struct mt_err *err)
{
    struct mt_vm *vm = mt_vm_new(options);
    if (!vm)
        return mt_fail(err, MT_ENOMEM, "no memory for a Lua state");
    struct mt_host *host = mt_alloc(sizeof *host);
    host->vm = vm;
    vm->turn = mt_alloc(sizeof *vm->turn);
    vm->turn->vm = vm;
    vm->options.name = mt_strdup(options->name);
    if (options->config.doc)
        mt_doc_ref(options->config.doc);
    enum mt_rc rc = MT_OK;
    lua_pushcfunction(vm->L, open_state);
    vm->relaxed = true;
    if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) {
        const char *text = lua_tostring(vm->L, -1);
        rc = mt_fail(err, MT_ESCRIPT, "the script host could not start: %s", text ? text : "no memory");
        lua_settop(vm->L, 0);
    }
    if (rc == MT_OK)
        rc = load(vm, err);
    if (rc != MT_OK) {
        mt_host_free(host);
        return rc;
    }
    *out = host;
    return MT_OK;
}

void mt_host_free(struct mt_host *host)
{
    if (!host)
        return;
    struct mt_vm *vm = host->vm;
    struct mt_turn *turn = vm->turn;
    mt_run_cancel_all(vm);
    const char *name = vm->options.name;
    const struct mt_doc *config = vm->options.config.doc;
    turn->vm = NULL;
    if (!turn->posted && !turn->inside)
        free(turn);
    mt_vm_free(vm);
    free((void *)(uintptr_t)name);
    mt_doc_unref((struct mt_doc *)(uintptr_t)config);
    free(host);
}

bool mt_host_has_resync(const struct mt_host *host)
{
    const struct mt_vm *vm = host->vm;
    for (size_t i = 0; i < vm->handler_count; i++)
        if (vm->handlers[i].hook == MT_HANDLER_RESYNC)
            return true;
    return false;
}

bool mt_host_handles(const struct mt_host *host, struct mt_slice kind)
{
    const struct mt_vm *vm = host->vm;
    for (size_t i = 0; i < vm->handler_count; i++) {
        const struct mt_handler *h = &vm->handlers[i];
        if (h->hook == MT_HANDLER_RESYNC && (!h->kind || mt_slice_is(kind, h->kind)))
            return true;
    }
    return false;
}

/* Linear: a selector has a handful of members. */
static bool was_read(const struct mt_vm *vm, struct mt_slice kind, struct mt_slice member)
{
    for (size_t i = 0; i < vm->read_count; i++)
        if (mt_slice_is(member, vm->reads[i].member) && mt_slice_is(kind, vm->reads[i].kind))
            return true;
    return false;
}

bool mt_host_selector_was_read(const struct mt_host *host, struct mt_slice kind, struct mt_slice member)
{
    return was_read(host->vm, kind, member);
}

#define READS_MAX 10000 /* a script that reads made-up names cannot grow the list for ever */

void mt_view_read(struct mt_vm *vm, struct mt_slice member)
{
    const struct mt_run *run = vm->running ? vm->running->run : NULL;
    if (!run || !run->kind || vm->read_count >= READS_MAX || was_read(vm, mt_slice_of(run->kind), member))
        return;
    vm->reads = mt_realloc(vm->reads, (vm->read_count + 1) * sizeof *vm->reads);
    vm->reads[vm->read_count].kind = mt_strdup(run->kind);
    vm->reads[vm->read_count++].member = mt_slice_dup(member);
}

void mt_host_clear_cache(struct mt_host *host)
{
    struct mt_vm *vm = host->vm;
    vm->cache_generation++;
    vm->untidy = MT_TIDY_CYCLES;
    if (mt_vm_call(vm, mt_cache_cleared, NULL) != LUA_OK) /* who looks a value up sees the generation */
        lua_pop(vm->L, 1);
    mt_turn_ask(vm);
}
