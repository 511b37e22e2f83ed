/* The coroutine library that scripts see: Lua's own, taught that two kinds of yield share one stack.
 *
 * A binding that waits yields mt_sentinel. When resume or wrap meets it in a coroutine of the script, it
 * yields it on, outward, with a continuation that later goes back in: so a generator that fetches pages works
 * at any depth. What a script yields itself goes to its consumer, or is a batch in a coroutine of a task.
 * Runs inside a resume; loop thread. mt_coroutine_close is also called by task.c. */
#include "script/state.h"

#if LUA_VERSION_RELEASE_NUM >= 50406
#define close_thread(co) lua_closethread((co), NULL)
#else
#define close_thread(co) lua_resetthread(co)
#endif

enum status { RUNNING, SUSPENDED, NORMAL, DEAD };
static const char *const status_names[] = {"running", "suspended", "normal", "dead"};

static lua_State *check_co(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static void push_thread(lua_State *L, lua_State *co)
{
    if (co != L && !lua_checkstack(co, 1))
        luaL_error(L, "stack overflow in a coroutine");
    lua_pushthread(co);
    if (co != L)
        lua_xmove(co, L, 1);
}

/* Suspended on I/O for some task, or a task's own coroutine: nobody else may resume or close it. */
static bool is_busy(lua_State *L, lua_State *co)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_busy);
    push_thread(L, co);
    lua_rawget(L, -2);
    const bool busy = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return busy;
}

static void set_busy(lua_State *L, lua_State *co, bool busy)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_busy);
    push_thread(L, co);
    lua_pushboolean(L, busy);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static enum status raw_status(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (L == co)
        return RUNNING;
    switch (lua_status(co)) {
    case LUA_YIELD:
        return SUSPENDED;
    case LUA_OK:
        if (lua_getstack(co, 0, &ar))
            return NORMAL;
        return lua_gettop(co) == 0 ? DEAD : SUSPENDED;
    default:
        return DEAD;
    }
}

static enum status status_of(lua_State *L, lua_State *co)
{
    const enum status status = raw_status(L, co);
    return status == SUSPENDED && is_busy(L, co) ? NORMAL : status;
}

/* Remembers that the running task waits through co, so that cancelling the task closes co too, inner ones
 * first. */
static void chain_push(lua_State *L, lua_State *co)
{
    struct mt_task *task = mt_vm_of(L)->running;
    set_busy(L, co, true);
    mt_task_push(L, task);
    if (lua_getiuservalue(L, -1, MT_TASK_UV_CHAIN) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, MT_TASK_UV_CHAIN);
    }
    push_thread(L, co);
    lua_rawseti(L, -2, ++task->chain);
    lua_pop(L, 2);
}

static void chain_pop(lua_State *L, lua_State *co)
{
    struct mt_task *task = mt_vm_of(L)->running;
    set_busy(L, co, false);
    mt_task_push(L, task);
    lua_getiuservalue(L, -1, MT_TASK_UV_CHAIN);
    lua_pushnil(L);
    lua_rawseti(L, -2, task->chain--);
    lua_pop(L, 2);
}

static int step(lua_State *L, lua_State *co, int nargs, bool wrap);

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    const bool wrap = context != 0;
    lua_State *co = lua_tothread(L, wrap ? lua_upvalueindex(1) : 1);
    chain_pop(L, co);
    return step(L, co, 0, wrap);
}

static int failed(lua_State *L, lua_State *co, int status, bool wrap)
{
    struct mt_vm *vm = mt_vm_of(L);
    mt_failure_note(L, co, status);
    mt_budget_stick(L);
    if (wrap && !vm->kill)
        mt_coroutine_close(vm, co); /* leaves the error, or the one of a close handler, on co */
    if (!lua_checkstack(L, 2) || lua_gettop(co) == 0)
        return luaL_error(L, "stack overflow");
    if (!wrap)
        lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return wrap ? lua_error(L) : 2;
}

/* One leg of co, with nargs values from L's top; the results (or the way further out) are this call's. */
static int step(lua_State *L, lua_State *co, int nargs, bool wrap)
{
    struct mt_vm *vm = mt_vm_of(L);
    if (!lua_checkstack(co, nargs))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, nargs);
    lua_State *blocked = vm->blocked;
    if (!blocked && !lua_isyieldable(L))
        vm->blocked = L;
    vm->current = co;
    int count = 0;
    const int status = lua_resume(co, L, nargs, &count);
    vm->current = L;
    vm->blocked = blocked;
    if (status != LUA_OK && status != LUA_YIELD)
        return failed(L, co, status, wrap);
    mt_budget_stick(L);
    if (status == LUA_YIELD && count == 1 && lua_touserdata(co, -1) == &mt_sentinel) {
        lua_pop(co, 1);
        chain_push(L, co);
        lua_pushlightuserdata(L, &mt_sentinel);
        return lua_yieldk(L, 1, wrap, go_on);
    }
    if (!lua_checkstack(L, count + 1)) {
        lua_pop(co, count);
        return luaL_error(L, "too many results to resume");
    }
    if (!wrap)
        lua_pushboolean(L, 1);
    lua_xmove(co, L, count);
    return count + (wrap ? 0 : 1);
}

/* What keeps co from being resumed; NULL: nothing. */
static const char *refusal(lua_State *L, lua_State *co)
{
    switch (raw_status(L, co)) {
    case SUSPENDED:
        return is_busy(L, co) ? "busy: the coroutine waits for I/O on behalf of another task" : NULL;
    case DEAD:
        return "cannot resume dead coroutine";
    default:
        return "cannot resume non-suspended coroutine";
    }
}

static int co_resume(lua_State *L)
{
    lua_State *co = check_co(L);
    const char *why = refusal(L, co);
    if (why) {
        lua_pushboolean(L, 0);
        lua_pushstring(L, why);
        return 2;
    }
    return step(L, co, lua_gettop(L) - 1, false);
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    const char *why = refusal(L, co);
    if (why)
        return luaL_error(L, "%s", why);
    return step(L, co, lua_gettop(L), true);
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    mt_budget_hook(co);
    mt_budget_stick(co);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

static int co_yield (lua_State *L)
{
    struct mt_vm *vm = mt_vm_of(L);
    if (vm->closing == L)
        return luaL_error(L, "a close handler cannot yield");
    if (vm->running && vm->running->L == L)
        return mt_task_yield_batch(L, 1, NULL);
    if (!lua_isyieldable(L) && L != vm->L)
        return mt_op_blocked(L, L, "coroutine.yield");
    return lua_yield(L, lua_gettop(L));
}

static int co_status(lua_State *L)
{
    lua_State *co = check_co(L);
    lua_pushstring(L, status_names[status_of(L, co)]);
    return 1;
}

static int co_running(lua_State *L)
{
    const int main = lua_pushthread(L);
    lua_pushboolean(L, main);
    return 2;
}

static int co_isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, lua_isyieldable(co));
    return 1;
}

int mt_coroutine_close(struct mt_vm *vm, lua_State *co)
{
    lua_State *blocked = vm->blocked, *current = vm->current, *closing = vm->closing;
    vm->blocked = blocked ? blocked : co;
    vm->current = vm->closing = co;
    const int status = close_thread(co);
    vm->blocked = blocked;
    vm->current = current;
    vm->closing = closing;
    return status;
}

static int co_close(lua_State *L)
{
    lua_State *co = check_co(L);
    const enum status status = raw_status(L, co);
    if (status != SUSPENDED && status != DEAD)
        return luaL_error(L, "cannot close a %s coroutine", status_names[status]);
    if (status == SUSPENDED && is_busy(L, co))
        return luaL_error(L, "busy: the coroutine waits for I/O on behalf of another task");
    if (mt_coroutine_close(mt_vm_of(L), co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    mt_budget_stick(L);
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

void mt_coroutine_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"create", co_create}, {"resume", co_resume},           {"wrap", co_wrap},
        {"yield", co_yield },  {"status", co_status},           {"running", co_running},
        {"close", co_close},   {"isyieldable", co_isyieldable}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
