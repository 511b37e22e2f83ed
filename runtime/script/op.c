/* What a task waits for: the record that bindings fill, its one wait, and the words for where Lua cannot
 * wait.
 *
 * Called by bindings inside a resume (mt_op_new, mt_op_wait) and by event callbacks outside of one
 * (mt_op_complete); loop thread. The userdata owns the op: __gc stops what is still on and frees it. */
#include "script/state.h"

char mt_sentinel;

static void finish(struct mt_op *op)
{
    void (*fini)(struct mt_op *) = op->fini;
    op->fini = NULL;
    if (fini)
        fini(op);
}

/* The task is still set while cancel runs: a cancelled request is a fault of its scope. */
void mt_op_cancel(struct mt_op *op)
{
    void (*cancel)(struct mt_op *) = op->cancel;
    op->cancel = NULL;
    if (cancel)
        cancel(op);
    op->task = NULL;
}

/* A task that is at work waits for nothing: an op that is still set lost its coroutine to an error. */
void mt_op_drop(struct mt_task *task)
{
    struct mt_op *op = task->op;
    task->op = NULL;
    if (op)
        mt_op_cancel(op);
}

static int op_gc(lua_State *L)
{
    struct mt_op *op = lua_touserdata(L, 1);
    mt_op_cancel(op);
    finish(op);
    return 0;
}

void *mt_op_new(lua_State *L, size_t size)
{
    void *op = lua_newuserdatauv(L, size, 0);
    memset(op, 0, size);
    if (luaL_newmetatable(L, "moontide.op")) {
        lua_pushcfunction(L, op_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushliteral(L, "moontide.op");
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return op;
}

/* Raises with the place where the script asked: the library's own lines are of no use to its author. */
static int raise(lua_State *L, const char *text)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && strncmp(ar.short_src, "moontide/", 9) != 0) {
            lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline, text);
            return lua_error(L);
        }
    }
    return luaL_error(L, "%s", text);
}

struct mt_task *mt_vm_running(lua_State *L)
{
    struct mt_vm *vm = mt_vm_of(L);
    if (!vm->running)
        raise(L, "I/O is not possible while a module loads: move it into a handler");
    return vm->running;
}

/* The C function that keeps Lua from yielding: the innermost one that we know by name. */
static const char *blocker(lua_State *L, lua_State *where)
{
    lua_Debug ar;
    const char *found = NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_names);
    for (int level = 0; !found && lua_getstack(where, level, &ar); level++) {
        if (!lua_checkstack(where, 2) || !lua_getinfo(where, "Sf", &ar))
            break;
        if (ar.what[0] != 'C') {
            lua_pop(where, 1);
            continue;
        }
        if (where != L)
            lua_xmove(where, L, 1);
        lua_rawget(L, -2);
        found = lua_tostring(L, -1); /* the table of names keeps it */
        if (found &&
            (strcmp(found, "pcall") == 0 || strcmp(found, "xpcall") == 0 || strcmp(found, "error") == 0))
            found = NULL; /* Lua yields across these */
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

int mt_op_blocked(lua_State *L, lua_State *where, const char *what)
{
    const struct mt_vm *vm = mt_vm_of(L);
    const char *const loads = "%s is not possible while a module loads: move it into a handler";
    if (vm->loading)
        return raise(L, lua_pushfstring(L, loads, what));
    if (vm->running && vm->running->state == MT_TASK_CLOSING)
        return raise(L, lua_pushfstring(L,
                                        "%s is not possible here: the task is being closed, and its close "
                                        "handlers cannot wait",
                                        what));
    const char *name = blocker(L, where);
    if (name && strcmp(name, "require") == 0)
        return raise(L, lua_pushfstring(L, loads, what));
    return raise(L, lua_pushfstring(L, "%s is not possible here: Lua cannot yield inside %s%s", what,
                                    name ? name : "a close handler or a C function",
                                    name && strcmp(name, "table.sort") == 0    ? " (its comparator)"
                                    : name && strcmp(name, "string.gsub") == 0 ? " (its callback)"
                                                                               : ""));
}

static int wait_ended(lua_State *L, int status, lua_KContext context)
{
    struct mt_op *op = (struct mt_op *)context; // NOLINT(performance-no-int-to-ptr)
    op->task = NULL;
    if (!op->complete) /* resumed by a script after its chain was lost to an error */
        return luaL_error(L, "this coroutine's wait was given up");
    const int results = op->k(L, status, context);
    finish(op);
    return results;
}

int mt_op_wait(lua_State *L, struct mt_op *op, lua_KFunction k)
{
    struct mt_vm *vm = mt_vm_of(L);
    struct mt_task *task = vm->running;
    op->k = k;
    if (op->complete)
        return wait_ended(L, LUA_YIELD, (lua_KContext)op);
    lua_State *where = vm->blocked ? vm->blocked : lua_isyieldable(L) ? NULL : L;
    if (task)
        mt_op_drop(task);
    if (!task || where || task->state != MT_TASK_RUNNING) {
        mt_op_cancel(op);
        if (!task)
            mt_vm_running(L);
        return mt_op_blocked(L, where ? where : L, "I/O");
    }
    op->task = task;
    task->op = op;
    lua_pushlightuserdata(L, &mt_sentinel);
    return lua_yieldk(L, 1, (lua_KContext)op, wait_ended);
}

void mt_op_complete(struct mt_op *op)
{
    struct mt_task *task = op->task;
    op->complete = true;
    op->cancel = NULL;
    if (task && task->op == op) {
        task->op = NULL;
        if (task->state == MT_TASK_WAITING)
            mt_task_ready(task);
    }
}
