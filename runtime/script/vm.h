/* Private to script/: the Lua state, its tasks, and the contract between a task and what it waits for.
 *
 * A task is one Lua coroutine of ours (a handler, or what async.spawn started). It has one resume point:
 * mt_task_resume, called from the ready queue only. A binding that waits
 *   1. checks its arguments, 2. makes its op as a userdata with __gc (mt_op_new) and fills it, 3. starts the
 * work,
 *   4. returns mt_op_wait(L, op, k): the coroutine yields the sentinel, through any nesting of
 * coroutine.wrap/resume, to the task. The event's callback stores plain C results in the op and calls
 * mt_op_complete; it touches no Lua stack. The continuation k then runs inside the resume's protection and
 * pushes the results. cancel stops the work; it is idempotent, synchronous, and never resumes; it is called
 * when the task is cancelled or killed while it waits, and from __gc when the work is still on. */
#ifndef MT_SCRIPT_VM_H
#define MT_SCRIPT_VM_H

#include <lauxlib.h>
#include <lua.h>

#include "script/host.h"

struct mt_vm; /* one Lua state; found from any lua_State of it by its extra space */
struct mt_task;

struct mt_op {
    void (*cancel)(struct mt_op *op); /* NULL once there is nothing to stop */
    void (*fini)(struct mt_op *op);   /* frees what the op owns, once, from __gc or after k; may be NULL */
    struct mt_task *task;             /* who waits; NULL: nobody any more */
    bool complete;
    lua_KFunction k; /* private: set by mt_op_wait */
};

struct mt_vm *mt_vm_of(lua_State *L);
const struct mt_host_options *mt_vm_options(const struct mt_vm *vm);
/* The task at work. Raises "I/O is not possible while a module loads" when there is none. */
struct mt_task *mt_vm_running(lua_State *L);

/* Makes a foreign state (a stock lua5.4 that loads moontide as a module) usable for the bindings that neither
 * wait nor belong to a handler: json, text, crypto. Called once, before any of them; the record lives as long
 * as the state. */
struct mt_vm *mt_vm_adopt(lua_State *L);

/* A zeroed op of `size` bytes (its first member is struct mt_op) as a userdata on top of the stack. */
void *mt_op_new(lua_State *L, size_t size);
/* Must be the binding's last call: `return mt_op_wait(L, op, k);`. The op's userdata must be on the stack
 * (any index) and stays there for k; k gets the op as its lua_KContext. One op a task at a time (asserted).
 * Raises where Lua cannot yield (sort comparator, gsub callback), after calling cancel. When the op is
 * already complete, k runs at once. */
int mt_op_wait(lua_State *L, struct mt_op *op, lua_KFunction k);
void mt_op_complete(struct mt_op *op); /* loop thread, once; puts the task into the ready queue */

/* Faults and counters of the running task's scope (architecture 3.4.1). */
void mt_task_fault(struct mt_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mt_task_pages(struct mt_task *task, unsigned pages);
const char *mt_task_scope(const struct mt_task *task);
/* Notes a request for the trace that an uncaught error prints (the last 5 are kept); text has no secret. */
void mt_task_trace(struct mt_task *task, const char *text);

/* Charges bytes of documents held by Lua to the budget and steps the collector; mt_vm_uncharge gives them
 * back (from __gc). Raises when the budget is spent. */
void mt_vm_charge(lua_State *L, size_t bytes);
void mt_vm_uncharge(struct mt_vm *vm, size_t bytes);

/* JSON and views (script/view.c). mt_view_push pushes the value: scalars as Lua values (a null as nil),
 * containers as views that hold a reference to the document. mt_view_to_doc converts what is at index (a
 * view: its snapshot; tables: once) into a document; raises with the path of what cannot be converted
 * ("a.b[3]: a function"). */
void mt_view_push(lua_State *L, struct mt_val value);
struct mt_doc *mt_view_to_doc(lua_State *L,
                              int index); /* the caller owns it: no raising call until it is stored */

/* Secrets: values that print as *** (script/secret.c). mt_secret_check returns the text of a string or a
 * secret at index, or raises. */
void mt_secret_push(lua_State *L, struct mt_slice text);
bool mt_is_secret(lua_State *L, int index);
struct mt_slice mt_secret_check(lua_State *L, int index, bool *out_secret);

/* The same for the body of a request: secrets inside are written as their text. */
struct mt_doc *mt_view_to_body(lua_State *L, int index);

/* Errors for Lua: pushes the table {code, status, message, body, method, url} with __tostring
 * (architecture 3.3). */
void mt_push_error(lua_State *L, const struct mt_err *err, struct mt_slice body);

/* What bind_task gives the Lua library beside sleep, spawn, join, cancel, scope, fault, pages, log, register:
 *   core.scope(name, fn, …) → true, or nil and the error; fn runs in a task of its own, so a yield in it is a
 * batch of that scope also when the scope was opened inside coroutine.wrap core.current() → handle of the
 * task at work core.park()      waits until core.wake(handle) of this task; a wake that came first is taken
 * at once (one, not more) core.wake(handle) → true, or false when that task has ended core.status(handle) →
 * "running", "done", "failed" or "canceled" core.on_scope_end(fn [, false])  fn is called without arguments
 * when the current scope or handler ends, before its result is known; it cannot wait. With false: it is not
 * called after all core.cache_generation() → a number that mt_host_clear_cache raises
 *   core.on_cache_clear(fn)  fn is called without arguments when it does; one a state; it cannot wait
 * core.config      table: name → value of the configuration; sensitive ones are secrets (secret.c),
 * containers are views core.secret(text) → a secret; core.is_secret(value) */

/* Bindings register their functions into the core table at the top of the stack (called once a state). */
void mt_bind_task(lua_State *L); /* task.c: sleep, spawn, join, scope … */
void mt_bind_view(lua_State *L); /* view.c: json */
void mt_bind_secret(lua_State *L);
void mt_bind_http(lua_State *L);   /* http.c */
void mt_bind_text(lua_State *L);   /* text.c: base64, url, time, log */
void mt_bind_crypto(lua_State *L); /* crypto.c */
void mt_bind_jq(lua_State *L);     /* jq.c */
void mt_bind_kv(lua_State *L);     /* kv.c */

#endif
