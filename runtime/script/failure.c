/* The text of an error that nobody caught: message with file and line, the stack through nested coroutines,
 * and the last requests. A coroutine's stack is intact after an error until it is closed: notes are taken
 * before.
 *
 * Called by coroutine.c (inside a resume) and task.c, host.c (outside of one, protected); loop thread. */
#include "script/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define NOTE_MAX 6000 /* bytes of a traceback through nested coroutines */

/* "main.lua:12: " of the innermost Lua function of co. */
static void where(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

/* Pushes a copy of the top of co, whose stack has no room left after an error: the value goes over and back.
 */
void mt_copy_top(lua_State *L, lua_State *co)
{
    lua_xmove(co, L, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, co, 1);
}

/* An error of memory has no position and does not name the budget: Lua preallocates it. Replaces the top of
 * co. */
static void name_memory(lua_State *L, lua_State *co)
{
    struct mt_vm *vm = mt_vm_of(L);
    char text[128];
    where(L, co);
    lua_pushstring(L, mt_budget_text(vm, text, sizeof text));
    lua_concat(L, 2);
    lua_pop(co, 1);
    lua_xmove(L, co, 1);
}

void mt_failure_note(lua_State *L, lua_State *co, int status)
{
    luaL_checkstack(L, 8, NULL);
    if (status == LUA_ERRMEM)
        name_memory(L, co);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_trace);
    const int trace = lua_gettop(L);
    luaL_traceback(L, co, NULL, 0);
    lua_rawgeti(L, trace, 1);
    mt_copy_top(L, co);
    if (!lua_isnil(L, -1) && lua_rawequal(L, -1, -2)) { /* the same error on its way out */
        lua_rawgeti(L, trace, 2);
        if (lua_rawlen(L, -1) < NOTE_MAX) {
            lua_pushliteral(L, "\nin a coroutine, which was resumed by\n");
            lua_pushvalue(L, trace + 1);
            lua_concat(L, 3);
        }
        lua_rawseti(L, trace, 2);
    } else {
        lua_pushvalue(L, -1);
        lua_rawseti(L, trace, 1);
        lua_pushvalue(L, trace + 1);
        lua_rawseti(L, trace, 2);
    }
    lua_settop(L, trace - 1);
}

struct failure {
    struct mt_vm *vm;
    struct mt_task *task;
    lua_State *co;
    int status;
    char *text; /* out */
};

/* The error as words: what lua.c's handler does, and the message of a table that has one. Lua itself gives a
 * place to texts only: a number, a boolean or nil (`error()`) gets that of co. */
static void push_message(lua_State *L, lua_State *co, int index)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        lua_pushvalue(L, index);
        return;
    }
    if (lua_type(L, index) == LUA_TNUMBER || lua_type(L, index) == LUA_TBOOLEAN || lua_isnil(L, index)) {
        where(L, co);
        lua_pushliteral(L, "the error is ");
        luaL_tolstring(L, index, NULL);
        lua_concat(L, 3);
        return;
    }
    if (lua_istable(L, index) && luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) {
        lua_pushliteral(L, "message");
        lua_rawget(L, index);
        if (lua_type(L, -1) == LUA_TSTRING)
            return;
        lua_pop(L, 1);
        lua_pushliteral(L, "(the error is a table without a message or __tostring)");
        return;
    }
    luaL_tolstring(L, index, NULL); /* may run a script's __tostring */
}

static int protected_message(lua_State *L)
{
    push_message(L, lua_touserdata(L, 2), 1);
    return 1;
}

/* NUL would end the text, and a terminal obeys other control characters. */
static void put_visible(struct mt_buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        mt_buf_putc(out, (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ? '?' : (char)c);
    }
}

static int build(lua_State *L)
{
    struct failure *f = lua_touserdata(L, 1);
    lua_State *co = f->co;
    struct mt_buf out;
    if (f->vm->kill && f->vm->kill_text[0]) {
        lua_pushstring(L, f->vm->kill_text);
    } else if (f->vm->kill || f->status == LUA_ERRMEM) {
        char text[128];
        where(L, co);
        lua_pushstring(L, mt_budget_text(f->vm, text, sizeof text));
        lua_concat(L, 2);
    } else {
        lua_pushcfunction(L, protected_message);
        mt_copy_top(L, co);
        lua_pushlightuserdata(L, co);
        if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
            lua_pop(L, 1);
            lua_pushliteral(L, "(the error's __tostring failed)");
        }
    }
    const int message = lua_gettop(L);
    luaL_traceback(L, co, NULL, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mt_reg_trace);
    lua_rawgeti(L, -1, 1);
    mt_copy_top(L, co);
    const char *nested = NULL;
    if (!lua_isnil(L, -1) && lua_rawequal(L, -1, -2)) {
        lua_rawgeti(L, message + 2, 2);
        nested = lua_tostring(L, -1);
    }
    /* From here on nothing of Lua is called that raises. */
    mt_buf_init(&out, 64 << 10);
    size_t n;
    const char *p = lua_tolstring(L, message, &n);
    put_visible(&out, p, n > 16000 ? 16000 : n);
    const char *stack = lua_tostring(L, message + 1);
    if (nested)
        mt_buf_printf(&out, "\n%s\nin a coroutine, which was resumed by", nested);
    /* Of a file that does not compile there is no stack: only the loader's own frame. */
    if (nested || strcmp(stack, "stack traceback:\n\t[C]: in ?") != 0)
        mt_buf_printf(&out, "\n%s", stack);
    const struct mt_run *run = f->task ? f->task->run : NULL;
    for (unsigned i = 0, header = 0; run && i < MT_TRACES; i++) {
        const char *line = run->traces[(run->trace_next + i) % MT_TRACES];
        if (line && !header++)
            mt_buf_puts(&out, "\nlast requests:");
        if (line)
            mt_buf_printf(&out, "\n\t%s", line);
    }
    f->text = mt_strdup(mt_buf_text(&out));
    mt_buf_fini(&out);
    lua_pushnil(L);
    lua_rawseti(L, message + 2, 1);
    lua_pushnil(L);
    lua_rawseti(L, message + 2, 2);
    return 0;
}

char *mt_failure_text(struct mt_vm *vm, struct mt_task *task, lua_State *co, int status)
{
    struct failure f = {vm, task, co, status, NULL};
    const enum mt_kill kill = vm->kill;
    vm->relaxed = true;
    struct mt_task *running = vm->running;
    lua_State *blocked = vm->blocked, *current = vm->current;
    const bool entered = vm->entered;
    /* A __tostring of the script runs under a burst of its own, unless the script was killed. */
    vm->running = task;
    vm->blocked = vm->current = vm->L;
    vm->entered = true;
    if (!kill)
        vm->burst_start = vm->last_check = mt_cpu_ns();
    if (mt_vm_call(vm, build, &f) != LUA_OK)
        lua_pop(vm->L, 1);
    mt_budget_hook(vm->L);
    vm->running = running;
    vm->blocked = blocked;
    vm->current = current;
    vm->entered = entered;
    vm->kill = kill;
    return f.text ? mt_mask(f.text) : mt_strdup("an error that could not be told: no memory");
}

char *mt_failure_message(struct mt_vm *vm, const char *text)
{
    (void)vm;
    const char *end = strstr(text, "\nstack traceback:");
    return mt_slice_dup((struct mt_slice){text, end ? (size_t)(end - text) : strlen(text)});
}
