/* Tasks: coroutines of ours in a tree, each with one resume point.
 *
 * A nursery is a handler or a ctx:scope: it ends when all that was spawned inside has ended, and its failure
 * (or that of a task whose error nobody took) cancels the rest. Cancelling goes from the leaves up: op,
 * coroutines (so that close handlers run), anchor. mt_task_resume is the only caller of lua_resume for a
 * task; it is called from the turn (run.c) only. Loop thread. */
#include "script/state.h"

#include <stdlib.h>

#define DEPTH_MAX 200 /* of tasks that start tasks; mt_task_cancel recurses over it */
#define SCOPE_DEPTH_MAX 64

static const char task_name[] = "moontide.task";

static int task_gc(lua_State *L)
{
    struct mt_task *task = lua_touserdata(L, 1);
    free(task->scope);
    free(task->error);
    mt_doc_unref(task->batch);
    task->scope = task->error = NULL;
    task->batch = NULL;
    return 0;
}

static void weak_table(lua_State *L, const char *mode, const void *key)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void mt_task_register(lua_State *L)
{
    luaL_newmetatable(L, task_name);
    lua_pushcfunction(L, task_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, task_name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_tasks);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mt_reg_trace);
    weak_table(L, "k", &mt_reg_busy);
}

struct mt_task *mt_task_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, task_name);
}

void mt_task_push(lua_State *L, struct mt_task *task)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_tasks);
    lua_rawgetp(L, -1, task);
    lua_remove(L, -2);
}

static void unanchor(struct mt_task *task)
{
    lua_State *L = task->vm->L;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_tasks);
    lua_pushnil(L);
    lua_rawsetp(L, -2, task); /* an existing key: allocates nothing */
    lua_pop(L, 1);
}

static char *join_scope(const struct mt_task *parent, const char *name)
{
    const char *outer = parent ? parent->nursery->scope : "";
    return outer[0] ? mt_format("%s/%s", outer, name) : mt_strdup(name);
}

struct mt_task *mt_task_new(lua_State *L, struct mt_run *run, struct mt_task *parent, int nargs,
                            const char *scope)
{
    luaL_checkstack(L, 8, NULL);
    if (parent && parent->depth >= DEPTH_MAX)
        luaL_error(L, "tasks that start tasks are nested deeper than %d", DEPTH_MAX);
    if (scope && parent && parent->nursery->scope_depth >= SCOPE_DEPTH_MAX)
        luaL_error(L, "scopes are nested deeper than %d", SCOPE_DEPTH_MAX);
    struct mt_task *task = lua_newuserdatauv(L, sizeof *task, MT_TASK_UVS);
    memset(task, 0, sizeof *task);
    luaL_setmetatable(L, task_name);
    lua_insert(L, -nargs - 2);
    lua_State *co = lua_newthread(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_busy);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_setiuservalue(L, -nargs - 3, MT_TASK_UV_THREAD);
    if (!lua_checkstack(co, nargs + 1))
        luaL_error(L, "too many arguments");
    lua_xmove(L, co, nargs + 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_tasks);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, task);
    lua_pop(L, 1);

    mt_budget_hook(co);
    task->vm = mt_vm_of(L);
    task->run = run;
    task->L = co;
    task->nargs = nargs;
    task->parent = parent;
    task->depth = parent ? parent->depth + 1 : 0;
    if (scope) {
        task->scope = join_scope(parent, scope);
        task->nursery = task;
        task->scope_depth = parent ? parent->nursery->scope_depth + 1 : 0;
    } else {
        task->nursery = parent->nursery;
    }
    if (parent) {
        task->next = parent->first_child;
        if (task->next)
            task->next->prev = task;
        parent->first_child = task;
    }
    mt_task_ready(task);
    return task;
}

void mt_task_ready(struct mt_task *task)
{
    struct mt_vm *vm = task->vm;
    task->state = MT_TASK_READY;
    task->queue_next = NULL;
    if (vm->ready_last)
        vm->ready_last->queue_next = task;
    else
        vm->ready_first = task;
    vm->ready_last = task;
    mt_turn_ask(vm);
}

bool mt_task_within(const struct mt_task *task, const struct mt_task *ancestor)
{
    while (task && task != ancestor)
        task = task->parent;
    return task != NULL;
}

static void unlink_queued(struct mt_task *task, struct mt_task **first, struct mt_task **last)
{
    struct mt_task *before = NULL;
    for (struct mt_task *t = *first; t; before = t, t = t->queue_next) {
        if (t != task)
            continue;
        *(before ? &before->queue_next : first) = t->queue_next;
        if (*last == t)
            *last = before;
        return;
    }
}

static void unlink_child(struct mt_task *task)
{
    struct mt_task *parent = task->parent;
    if (task->prev)
        task->prev->next = task->next;
    else if (parent && parent->first_child == task)
        parent->first_child = task->next;
    if (task->next)
        task->next->prev = task->prev;
    task->next = task->prev = NULL;
}

static void hand_children_up(struct mt_task *task)
{
    while (task->first_child) {
        struct mt_task *child = task->first_child;
        unlink_child(child);
        child->parent = task->parent;
        child->next = task->parent->first_child;
        if (child->next)
            child->next->prev = child;
        task->parent->first_child = child;
    }
}

/* ---- the end of a task ---- */

struct ending {
    struct mt_task *task;
    int results; /* on top of the task's stack */
};

static int keep_results(lua_State *L)
{
    const struct ending *e = lua_touserdata(L, 1);
    luaL_checkstack(L, e->results + 8, "too many results");
    mt_task_push(L, e->task);
    lua_createtable(L, e->results, 1);
    lua_xmove(e->task->L, L, e->results);
    for (int i = e->results; i >= 1; i--)
        lua_rawseti(L, 3, i);
    lua_pushinteger(L, e->results);
    lua_setfield(L, 3, "n");
    lua_setiuservalue(L, 2, MT_TASK_UV_RESULT);
    return 0;
}

static int keep_error(lua_State *L)
{
    const struct ending *e = lua_touserdata(L, 1);
    mt_task_push(L, e->task);
    mt_copy_top(L, e->task->L);
    lua_setiuservalue(L, 2, MT_TASK_UV_RESULT);
    return 0;
}

/* What :pages registers: open page chains become faults before the result is known. Taken out first, so that
 * each runs once whatever it does. */
static int run_ends(lua_State *L)
{
    struct mt_task *task = lua_touserdata(L, 1);
    mt_task_push(L, task);
    if (lua_getiuservalue(L, -1, MT_TASK_UV_ENDS) != LUA_TTABLE)
        return 0;
    lua_pushnil(L);
    lua_setiuservalue(L, 2, MT_TASK_UV_ENDS);
    lua_newtable(L);
    int n = 0;
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, 4, ++n);
    }
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, 4, i);
        if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
            const char *text = lua_tostring(L, -1);
            mt_task_fault(task, "at the end of the scope: %.200s", text ? text : "an error");
            lua_pop(L, 1);
        }
    }
    return 0;
}

/* Runs what belongs to a task that is not resumed any more, as if the task ran. */
static void in_name_of(struct mt_task *task, void (*fn)(struct mt_task *))
{
    struct mt_vm *vm = task->vm;
    if (task->run->killed)
        return;
    struct mt_task *running = vm->running;
    lua_State *blocked = vm->blocked, *current = vm->current;
    const bool entered = vm->entered;
    vm->running = task;
    vm->blocked = vm->current = vm->L;
    if (!entered)
        mt_budget_enter(vm);
    fn(task);
    if (!entered) {
        if (vm->kill) {
            char text[128];
            task->run->killed = true;
            mt_run_error(task->run, vm->kill_text[0] ? vm->kill_text : mt_budget_text(vm, text, sizeof text));
        }
        mt_budget_leave(vm);
    }
    vm->running = running;
    vm->blocked = blocked;
    vm->current = current;
}

static void call_ends(struct mt_task *task)
{
    struct mt_vm *vm = task->vm;
    if (mt_vm_call(vm, run_ends, task) != LUA_OK) {
        mt_task_fault(task, "the end of the scope could not be told: no memory");
        lua_pop(vm->L, 1);
    }
    mt_budget_hook(vm->L);
}

static void close_one(struct mt_task *task, lua_State *co)
{
    if (mt_coroutine_close(task->vm, co) == LUA_OK)
        return;
    if (lua_type(co, -1) == LUA_TSTRING && !task->run->killed && task->outcome != MT_TASK_FAILED)
        mt_log(MT_WARN, "a close handler failed: %.200s", lua_tostring(co, -1));
}

/* Innermost first. After a kill they stay as they are: a close handler could not run an instruction. */
static void close_coroutines(struct mt_task *task)
{
    lua_State *L = task->vm->L;
    const int top = lua_gettop(L);
    if (task->chain > 0 && lua_checkstack(L, 4)) {
        mt_task_push(L, task);
        lua_getiuservalue(L, -1, MT_TASK_UV_CHAIN);
        for (int i = 1; i <= task->chain; i++) {
            lua_rawgeti(L, -1, i);
            close_one(task, lua_tothread(L, -1));
            lua_pop(L, 1);
        }
    }
    lua_settop(L, top);
    task->chain = 0;
    close_one(task, task->L);
}

/* Somebody took the failure (or its nursery ended): it is kept no longer. */
void mt_task_observe(struct mt_task *task)
{
    task->observed = true;
    for (struct mt_task **at = &task->run->failed; *at; at = &(*at)->failed_next) {
        if (*at == task) {
            *at = task->failed_next;
            unanchor(task);
            return;
        }
    }
}

static void nursery_check(struct mt_task *nursery);

/* The last step. A failure that nobody joined stays anchored for the nursery. */
static void task_done(struct mt_task *task)
{
    struct mt_task *nursery = task->nursery, *parent = task->parent;
    struct mt_run *run = task->run;
    if (task->nursery == task)
        nursery = parent ? parent->nursery : NULL;
    task->state = MT_TASK_DONE;
    for (struct mt_task *t = run->failed, *next; nursery != task->nursery && t; t = next) {
        next = t->failed_next;
        if (t->nursery == task)
            mt_task_observe(t);
    }
    if (task->joiners)
        task->observed = true;
    while (task->joiners) {
        struct mt_join *join = task->joiners;
        task->joiners = join->next;
        mt_op_complete(&join->op);
    }
    if (parent) {
        unlink_child(task);
        hand_children_up(task);
    }
    task->parent = NULL;
    if (!parent) {
        mt_run_handler_ended(task);
        unanchor(task);
    } else if (task->outcome == MT_TASK_FAILED && !task->observed) {
        task->failed_next = run->failed;
        run->failed = task;
    } else {
        unanchor(task);
    }
    if (nursery)
        nursery_check(nursery);
}

static void finalise(struct mt_task *nursery)
{
    in_name_of(nursery, call_ends);
    if (nursery->outcome == MT_TASK_FAILED && nursery->parent) {
        char *message = mt_failure_message(nursery->vm, nursery->error);
        mt_run_fault(nursery->run, nursery->scope, message);
        mt_log(MT_WARN, "scope %.200s failed: %s", nursery->scope, nursery->error);
        free(message);
        nursery->observed = true; /* ctx:scope gives it to its caller, which waits or is cancelled */
    }
    task_done(nursery);
}

static int copy_result(lua_State *L)
{
    struct mt_task **pair = lua_touserdata(L, 1);
    mt_task_push(L, pair[0]);
    mt_task_push(L, pair[1]);
    lua_getiuservalue(L, 3, MT_TASK_UV_RESULT);
    lua_setiuservalue(L, 2, MT_TASK_UV_RESULT);
    return 0;
}

static void cancel_children(struct mt_task *task)
{
    while (task->first_child)
        mt_task_cancel(task->first_child);
}

/* The nursery's own function is over. Ends it when it can: at once when something failed. */
static void nursery_check(struct mt_task *nursery)
{
    if (nursery->state != MT_TASK_JOINING)
        return;
    struct mt_task *failed = nursery->run->failed;
    while (failed && failed->nursery != nursery)
        failed = failed->failed_next;
    if (failed && nursery->outcome == MT_TASK_OK) {
        struct mt_task *pair[] = {nursery, failed};
        nursery->outcome = MT_TASK_FAILED;
        nursery->error = mt_strdup(failed->error);
        if (mt_vm_call(nursery->vm, copy_result, pair) != LUA_OK)
            lua_pop(nursery->vm->L, 1);
    }
    if (nursery->outcome != MT_TASK_OK) {
        nursery->state = MT_TASK_CLOSING;
        cancel_children(nursery);
    }
    if (nursery->first_child)
        return;
    nursery->state = MT_TASK_CLOSING;
    finalise(nursery);
}

static void function_ended(struct mt_task *task, int status, int results)
{
    struct mt_vm *vm = task->vm;
    struct ending e = {task, results};
    int kept = LUA_OK;
    if (status == LUA_OK)
        kept = mt_vm_call(vm, keep_results, &e);
    if (kept != LUA_OK) {
        lua_settop(task->L, 0);
        lua_xmove(vm->L, task->L, 1);
        status = kept;
    }
    if (status == LUA_OK) {
        task->outcome = MT_TASK_OK;
    } else {
        task->outcome = MT_TASK_FAILED;
        task->error = mt_failure_text(vm, task, task->L, status);
        if (mt_vm_call(vm, keep_error, &e) != LUA_OK)
            lua_pop(vm->L, 1);
        task->state = MT_TASK_CLOSING;
        in_name_of(task, close_coroutines);
    }
    task->state = MT_TASK_JOINING;
    if (task->nursery == task) {
        nursery_check(task);
    } else {
        task->state = MT_TASK_CLOSING;
        task_done(task);
    }
}

void mt_task_cancel(struct mt_task *task)
{
    struct mt_vm *vm = task->vm;
    const enum mt_task_state before = task->state;
    if (before == MT_TASK_DONE || before == MT_TASK_CLOSING)
        return;
    task->state = MT_TASK_CLOSING;
    if (before == MT_TASK_READY)
        unlink_queued(task, &vm->ready_first, &vm->ready_last);
    else if (before == MT_TASK_PARKED)
        unlink_queued(task, &task->run->parked_first, &task->run->parked_last);
    mt_op_drop(task); /* first: it may be a join with a child, whose end would wake this one */
    cancel_children(task);
    task->outcome = MT_TASK_CANCELED;
    if (before != MT_TASK_JOINING)
        in_name_of(task, close_coroutines);
    mt_doc_unref(mt_task_take_batch(task));
    if (task->nursery == task)
        in_name_of(task, call_ends);
    task_done(task);
}

void mt_task_resume(struct mt_task *task)
{
    struct mt_vm *vm = task->vm;
    struct mt_run *run = task->run;
    int results = 0;
    const int nargs = task->nargs;
    task->nargs = 0;
    task->state = MT_TASK_RUNNING;
    vm->running = task;
    vm->current = task->L;
    vm->blocked = vm->closing = NULL;
    mt_budget_enter(vm);
    const int status = lua_resume(task->L, NULL, nargs, &results);
    mt_budget_leave(vm);
    vm->running = NULL;
    vm->current = vm->L;
    if (vm->kill) {
        run->killed = true;
        task->error = mt_failure_text(vm, task, task->L, status);
        mt_run_error(run, task->error);
        task->state = MT_TASK_WAITING;
        return; /* the turn ends the run */
    }
    if (status != LUA_YIELD) {
        mt_op_drop(task);
        function_ended(task, status, results);
        return;
    }
    lua_pop(task->L, results);
    if (task->batch) {
        mt_op_drop(task);
        mt_run_deliver(task);
    } else {
        task->state = MT_TASK_WAITING;
    }
}
