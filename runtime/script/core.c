/* What tasks can do: the functions of the core table that the Lua library builds async, sleep and ctx:scope
 * on.
 *
 * Runs inside a resume (register and the queries also while main.lua loads); loop thread. */
#include "script/state.h"

#include <math.h>
#include <stdlib.h>

/* ---- sleep ---- */

struct sleeping {
    struct mt_op op;
    struct mt_timer *timer;
};

static void sleep_over(void *arg)
{
    struct sleeping *s = arg;
    mt_op_complete(&s->op);
}

static void sleep_fini(struct mt_op *op)
{
    struct sleeping *s = (struct sleeping *)op;
    mt_timer_free(s->timer);
    s->timer = NULL;
}

static int sleep_ended(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int core_sleep(lua_State *L)
{
    const lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 1, "seconds, from 0 up to a billion");
    mt_vm_running(L);
    const struct mt_host_options *options = mt_vm_options(mt_vm_of(L));
    const bool recorded = options->tape && options->tape->play; /* nobody is there to wait for */
    struct sleeping *s = mt_op_new(L, sizeof *s);
    s->op.cancel = sleep_fini;
    s->op.fini = sleep_fini;
    s->timer = mt_timer_new(options->loop, recorded ? 0 : (uint64_t)ceil(seconds * 1000), sleep_over, s);
    return mt_op_wait(L, &s->op, sleep_ended);
}

/* ---- spawn, join, cancel ---- */

/* For waits that leave pointers to their op elsewhere: mt_op_wait must not refuse them. */
static void check_can_wait(lua_State *L, const char *what)
{
    const struct mt_vm *vm = mt_vm_of(L);
    if (vm->blocked || !lua_isyieldable(L))
        mt_op_blocked(L, vm->blocked ? vm->blocked : L, what);
}

static struct mt_task *spawner(lua_State *L)
{
    struct mt_task *task = mt_vm_running(L);
    if (task->state != MT_TASK_RUNNING)
        luaL_error(L, "a task that is being closed cannot start another");
    return task;
}

static int core_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct mt_task *parent = spawner(L);
    mt_task_new(L, parent->run, parent, lua_gettop(L) - 1, NULL);
    return 1;
}

static void join_cancel(struct mt_op *op)
{
    struct mt_join *join = (struct mt_join *)op;
    for (struct mt_join **at = &join->target->joiners; *at; at = &(*at)->next)
        if (*at == join) {
            *at = join->next;
            break;
        }
    if (op->task)
        op->task->joins = NULL;
}

/* The target's handle is at index 1. */
static int join_result(lua_State *L, struct mt_task *target)
{
    lua_getiuservalue(L, 1, MT_TASK_UV_RESULT);
    if (target->outcome == MT_TASK_CANCELED) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "canceled");
        return 2;
    }
    if (target->outcome == MT_TASK_FAILED) {
        mt_task_observe(target);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    const int results = lua_gettop(L);
    lua_getfield(L, results, "n");
    const int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n + 2, "too many results");
    lua_pushboolean(L, 1);
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, results, i);
    return n + 1;
}

static int join_ended(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct mt_join *join = (struct mt_join *)context; // NOLINT(performance-no-int-to-ptr)
    mt_vm_of(L)->running->joins = NULL;
    return join_result(L, join->target);
}

static int core_join(lua_State *L)
{
    struct mt_task *target = mt_task_check(L, 1);
    struct mt_task *task = mt_vm_running(L);
    if (target->state == MT_TASK_DONE)
        return join_result(L, target);
    luaL_argcheck(L, target->run == task->run, 1, "a task of another handler");
    if (mt_task_within(task, target))
        return luaL_error(L, "a task cannot wait for itself or for what it runs in");
    for (const struct mt_task *t = target; t; t = t->joins)
        if (t == task)
            return luaL_error(L, "tasks wait for each other in a circle");
    lua_settop(L, 1);
    check_can_wait(L, "I/O");
    struct mt_join *join = mt_op_new(L, sizeof *join);
    join->target = target;
    join->next = target->joiners;
    join->op.cancel = join_cancel;
    target->joiners = join;
    task->joins = target;
    return mt_op_wait(L, &join->op, join_ended);
}

static int core_cancel(lua_State *L)
{
    struct mt_task *target = mt_task_check(L, 1);
    struct mt_task *task = mt_vm_running(L);
    if (target->state == MT_TASK_DONE)
        return 0;
    luaL_argcheck(L, target->run == task->run, 1, "a task of another handler");
    if (mt_task_within(task, target))
        return luaL_error(L, "a task cannot cancel itself or what it runs in");
    mt_task_cancel(target);
    return 0;
}

static int core_status(lua_State *L)
{
    static const char *const names[] = {"done", "failed", "canceled"};
    const struct mt_task *task = mt_task_check(L, 1);
    lua_pushstring(L, task->state == MT_TASK_DONE ? names[task->outcome] : "running");
    return 1;
}

static int core_current(lua_State *L)
{
    mt_task_push(L, mt_vm_running(L));
    return 1;
}

/* ---- park and wake ---- */

static void park_cancel(struct mt_op *op)
{
    if (op->task)
        op->task->park = NULL;
}

static int park_ended(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int core_park(lua_State *L)
{
    struct mt_task *task = mt_vm_running(L);
    if (task->permit) {
        task->permit = false;
        return 0;
    }
    check_can_wait(L, "I/O");
    struct mt_op *op = mt_op_new(L, sizeof *op);
    op->cancel = park_cancel;
    task->park = op;
    return mt_op_wait(L, op, park_ended);
}

static int core_wake(lua_State *L)
{
    struct mt_task *task = mt_task_check(L, 1);
    struct mt_op *op = task->park;
    lua_pushboolean(L, task->state != MT_TASK_DONE);
    if (op && task->op == op) {
        task->park = NULL;
        mt_op_complete(op);
    } else {
        task->permit = true;
    }
    return 1;
}

/* ---- scopes ---- */

static int scope_ended(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct mt_join *join = (struct mt_join *)context; // NOLINT(performance-no-int-to-ptr)
    mt_vm_of(L)->running->joins = NULL;
    if (join->target->outcome == MT_TASK_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    if (join->target->outcome == MT_TASK_CANCELED)
        lua_pushliteral(L, "canceled");
    else
        lua_getiuservalue(L, 1, MT_TASK_UV_RESULT);
    return 2;
}

/* scope(name, fn, …): a task of its own, so that its scope is fixed whatever coroutine it is called in, and a
 * yield in it is a batch of that scope. */
static int scope(lua_State *L, int first)
{
    size_t n;
    const char *name = luaL_checklstring(L, first, &n);
    luaL_argcheck(L, n > 0 && n <= 256 && strlen(name) == n, first, "a scope's name has 1 to 256 bytes");
    luaL_checktype(L, first + 1, LUA_TFUNCTION);
    if (first > 1)
        lua_remove(L, 1);
    struct mt_task *parent = spawner(L);
    check_can_wait(L, "ctx:scope");
    struct mt_task *task = mt_task_new(L, parent->run, parent, lua_gettop(L) - 2, name);
    lua_replace(L, 1); /* the handle, over the name, which task has copied */
    lua_settop(L, 1);
    struct mt_join *join = mt_op_new(L, sizeof *join);
    join->target = task;
    join->op.cancel = join_cancel;
    task->joiners = join;
    parent->joins = task;
    return mt_op_wait(L, &join->op, scope_ended);
}

static int core_scope(lua_State *L)
{
    return scope(L, 1);
}

static int context_scope(lua_State *L)
{
    luaL_argcheck(L, lua_istable(L, 1), 1, "call it as ctx:scope(name, fn)");
    return scope(L, 2);
}

static int core_on_scope_end(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    const bool remove = lua_isboolean(L, 2) && !lua_toboolean(L, 2);
    struct mt_task *nursery = mt_vm_running(L)->nursery;
    lua_settop(L, 1);
    for (; nursery; nursery = nursery->parent ? nursery->parent->nursery : NULL) {
        mt_task_push(L, nursery);
        const int type = lua_getiuservalue(L, -1, MT_TASK_UV_ENDS);
        if (!remove) {
            if (type != LUA_TTABLE) {
                lua_pop(L, 1);
                lua_newtable(L);
                lua_pushvalue(L, -1);
                lua_setiuservalue(L, 2, MT_TASK_UV_ENDS);
            }
            lua_pushvalue(L, 1);
            lua_pushboolean(L, 1);
            lua_rawset(L, 3);
            return 0;
        }
        /* Registered by the scope that a chain began in, which may be an outer one by now. */
        if (type == LUA_TTABLE) {
            lua_pushvalue(L, 1);
            if (lua_rawget(L, 3) != LUA_TNIL) {
                lua_pushvalue(L, 1);
                lua_pushnil(L);
                lua_rawset(L, 3);
                return 0;
            }
        }
        lua_settop(L, 1);
    }
    return 0;
}

/* ---- faults, pages, log ---- */

static int core_fault(lua_State *L)
{
    mt_task_fault(mt_vm_running(L), "%.900s", luaL_tolstring(L, 1, NULL));
    return 0;
}

static int core_pages(lua_State *L)
{
    const lua_Integer n = luaL_optinteger(L, 1, 1);
    luaL_argcheck(L, n >= 0 && n < 1000000, 1, "a number of pages");
    mt_task_pages(mt_vm_running(L), (unsigned)n);
    return 0;
}

static int core_log(lua_State *L)
{
    static const char *const names[] = {"debug", "info", "warn", "error", NULL};
    const int level = luaL_checkoption(L, 1, "info", names);
    mt_log((enum mt_level)level, "%s", luaL_tolstring(L, 2, NULL));
    return 0;
}

static int core_cache_generation(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mt_vm_of(L)->cache_generation);
    return 1;
}

static char clear_key; /* registry: the library's function that forgets what it remembers */

static int core_on_cache_clear(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &clear_key);
    return 0;
}

int mt_cache_cleared(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &clear_key) == LUA_TFUNCTION)
        lua_call(L, 0, 0);
    return 0;
}

/* ---- handlers ---- */

static int core_register(lua_State *L)
{
    static const char *const names[] = {"start", "resync_start", "resync_complete", "resync", NULL};
    static const int hooks[] = {MT_HOOK_START, MT_HOOK_RESYNC_START, MT_HOOK_RESYNC_COMPLETE,
                                MT_HANDLER_RESYNC};
    struct mt_vm *vm = mt_vm_of(L);
    const int hook = hooks[luaL_checkoption(L, 1, NULL, names)];
    const char *kind = luaL_optstring(L, 2, NULL);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    luaL_argcheck(L, !kind || kind[0], 2, "a kind's name is not empty");
    if (!vm->loading)
        return luaL_error(L, "handlers are registered while main.lua loads, not later");
    lua_settop(L, 3);
    const int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->handlers = mt_realloc(vm->handlers, (vm->handler_count + 1) * sizeof *vm->handlers);
    vm->handlers[vm->handler_count++] = (struct mt_handler){hook, kind ? mt_strdup(kind) : NULL, ref};
    return 0;
}

void mt_bind_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", core_sleep},
        {"spawn", core_spawn},
        {"join", core_join},
        {"cancel", core_cancel},
        {"status", core_status},
        {"current", core_current},
        {"park", core_park},
        {"wake", core_wake},
        {"scope", core_scope},
        {"on_scope_end", core_on_scope_end},
        {"fault", core_fault},
        {"pages", core_pages},
        {"log", core_log},
        {"cache_generation", core_cache_generation},
        {"register", core_register},
        {"on_cache_clear", core_on_cache_clear},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, "moontide.context");
    lua_newtable(L);
    lua_pushcfunction(L, context_scope);
    lua_setfield(L, -2, "scope");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "moontide.context");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
