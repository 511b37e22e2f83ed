/* Private to the core of script/: the records behind vm.h. Bindings include vm.h only.
 *
 * Everything lives on the loop's thread, but that a state is made on any. A struct mt_vm owns one Lua state;
 * runs, tasks and ops belong to it. A task is a userdata (so that Lua's budget counts it), kept alive by the
 * registry table MT_REG_TASKS until it has ended. */
#ifndef MT_SCRIPT_STATE_H
#define MT_SCRIPT_STATE_H

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/heap.h"
#include "script/vm.h"

enum mt_kill { MT_KILL_NONE, MT_KILL_MEMORY, MT_KILL_BURST, MT_KILL_TOTAL, MT_KILL_LOAD };

/* Posted to the loop; outlives the state when that is freed while a turn is owed. */
struct mt_turn {
    struct mt_vm *vm;
    bool posted;
    bool inside; /* a turn is at work: nobody posts a second one, it does so itself at its end */
};

struct mt_handler {
    int hook;   /* enum mt_hook, or MT_HANDLER_RESYNC */
    char *kind; /* NULL: every kind */
    int ref;    /* of the function, in the registry */
};
#define MT_HANDLER_RESYNC 100

struct mt_vm {
    lua_State *L; /* the main thread: loads modules and runs protected calls of the core, never a task */
    struct mt_host_options options;
    bool adopted; /* a foreign state (the module of stock lua5.4): no budgets, no tasks */

    struct mt_heap heap; /* of L; an adopted state has its own */
    size_t lua_bytes, doc_bytes, memory_max;
    unsigned refusals; /* while loading; a run counts its own */
    bool relaxed;      /* the core builds an error text: a spent budget must not stop it */

    enum mt_kill kill; /* set while the guilty task is at work; its run ends right after */
    char kill_text[256];
    uint64_t burst_start, last_check; /* thread CPU time, ns */
    lua_State *current;               /* the coroutine at work, nested ones included */
    lua_State *blocked; /* outermost coroutine of the chain at work in which Lua cannot yield; NULL: none */
    lua_State *closing; /* the coroutine whose close handlers run; NULL: none */
    bool loading;
    bool entered; /* inside a burst */

    struct mt_task *running;
    struct mt_task *ready_first, *ready_last;
    struct mt_turn *turn;
    struct mt_run *runs;

    struct mt_handler *handlers;
    size_t handler_count;
    struct mt_read_member {
        char *kind, *member;
    } * reads; /* selector members that handlers read */
    size_t read_count;
    uint64_t cache_generation;
    unsigned untidy; /* cycles of the collector that are owed once nothing runs */
};

/* One that is under way may have passed what was let go of since: the second sees all of it. */
#define MT_TIDY_CYCLES 2

struct mt_host {
    struct mt_vm *vm;
};

enum mt_task_state {
    MT_TASK_NEW,     /* not linked yet */
    MT_TASK_READY,   /* in the ready queue */
    MT_TASK_RUNNING, /* inside lua_resume */
    MT_TASK_WAITING, /* on its op */
    MT_TASK_PARKED,  /* on room for a batch */
    MT_TASK_JOINING, /* its function returned; it waits for what was spawned inside */
    MT_TASK_CLOSING, /* its close handlers run */
    MT_TASK_DONE
};

enum mt_outcome { MT_TASK_OK, MT_TASK_FAILED, MT_TASK_CANCELED };

/* User values of a task's userdata. */
enum { MT_TASK_UV_THREAD = 1, MT_TASK_UV_RESULT, MT_TASK_UV_CHAIN, MT_TASK_UV_ENDS, MT_TASK_UVS = 4 };

struct mt_task {
    struct mt_vm *vm;
    struct mt_run *run;
    lua_State *L;
    enum mt_task_state state;
    enum mt_outcome outcome;
    struct mt_task *parent, *first_child, *next,
        *prev;               /* the tree; children of an ended task move to its parent */
    struct mt_task *nursery; /* handler or scope that waits for it; a nursery's own is itself */
    unsigned depth, scope_depth;
    char *scope; /* of a nursery: the joined names */
    struct mt_op *op;
    size_t batch_bytes;         /* charged while it waits for room: many tasks may */
    struct mt_doc *batch;       /* yielded, not handed over yet */
    struct mt_task *queue_next; /* ready queue or list of the parked */
    struct mt_join *joiners;
    struct mt_task *joins; /* the task that this one waits for */
    struct mt_op *park;
    bool permit;                 /* woken before it parked */
    bool observed;               /* its failure was given to a joiner */
    int chain;                   /* nested coroutines suspended on its op, in MT_TASK_UV_CHAIN */
    int nargs;                   /* on its stack for the next resume */
    char *error;                 /* full text of its failure */
    struct mt_task *failed_next; /* run->failed */
};

#define MT_TRACES 5
#define MT_FAULTS_MAX 10000

struct mt_run {
    struct mt_vm *vm;
    struct mt_run *next;
    struct mt_run_options options;
    char *kind; /* NULL: a hook */
    struct mt_doc *selector;
    int *refs; /* functions to call, one after another */
    size_t ref_count, ref_next;
    struct mt_task *root;
    struct mt_task *parked_first, *parked_last;
    struct mt_task *failed; /* failed tasks whose error nobody has taken yet */
    bool full;              /* on_batch said that there is no room */
    bool cancel;            /* asked for */
    bool ended;
    bool killed; /* a budget is spent: nothing of the script runs any more, close handlers neither */
    struct mt_log_fields log; /* what log lines carry while it is at work */
    uint64_t cpu_ns;
    unsigned refusals;
    char *traces[MT_TRACES];
    unsigned trace_next;
    struct mt_run_result result;
};

/* Registry keys: addresses of these. */
extern char mt_reg_tasks; /* light userdata of a task → its userdata */
extern char mt_reg_busy;  /* weak: coroutine → task that waits through it, or whose own it is */
extern char mt_reg_trace; /* {error value, traceback of the coroutines that it came through} */
extern char mt_reg_names; /* C function → "table.sort" */
extern char mt_reg_core;  /* the core table */
extern char mt_reg_env;   /* globals of the bundle */

/* vm.c */
struct mt_vm *mt_vm_new(const struct mt_host_options *options); /* NULL: no memory */
void mt_vm_free(struct mt_vm *vm);
int mt_vm_call(struct mt_vm *vm, lua_CFunction fn,
               void *ud);                    /* lua_pcall on the main thread; the error is left there */
void mt_vm_grow(lua_State *L, size_t bytes); /* raises when so much more would pass the budget */

/* budget.c */
void mt_budget_enter(struct mt_vm *vm); /* a burst of vm->running, or of loading */
void mt_budget_leave(struct mt_vm *vm);
void mt_budget_hook(lua_State *co); /* arms the count hook */
void mt_budget_stick(lua_State *L); /* after a kill in a nested coroutine: L dies at its next instruction */
void mt_budget_refused(struct mt_vm *vm);
const char *mt_budget_text(struct mt_vm *vm, char *out,
                           size_t size); /* "memory budget of 256 MiB is spent" … */

/* sandbox.c, module.c */
void mt_sandbox_open(
    lua_State *L); /* libraries, environment; raises when a library has a name that nobody judged */
void mt_module_open(lua_State *L); /* pushes require */
void mt_module_main(lua_State *L); /* runs main.lua */

/* coroutine.c */
void mt_coroutine_open(lua_State *L); /* pushes the library */
int mt_coroutine_close(
    struct mt_vm *vm,
    lua_State *co); /* runs its close handlers; the status and, on failure, the error on co */
extern char mt_sentinel;

/* op.c */
int mt_op_blocked(lua_State *L, lua_State *where, const char *what); /* raises: what is not possible there */
void mt_op_cancel(struct mt_op *op);
void mt_op_drop(struct mt_task *task); /* stops what it waits for */

/* failure.c */
char *mt_failure_text(struct mt_vm *vm, struct mt_task *task, lua_State *co,
                      int status); /* error on top of co, left there */
void mt_failure_note(lua_State *L, lua_State *co,
                     int status); /* error on top of co: keeps its traceback for an outer text */
void mt_copy_top(lua_State *L, lua_State *co);
char *mt_failure_message(struct mt_vm *vm, const char *text); /* the text without the traceback */

/* task.c: functions on top of L's stack: nargs arguments above a function are taken; pushes the task's
 * userdata */
struct mt_task *mt_task_new(lua_State *L, struct mt_run *run, struct mt_task *parent, int nargs,
                            const char *scope);
struct mt_task *mt_task_check(lua_State *L, int index);
void mt_task_push(lua_State *L, struct mt_task *task);
void mt_task_ready(struct mt_task *task);
void mt_task_cancel(struct mt_task *task);
void mt_task_observe(struct mt_task *task);
void mt_task_resume(struct mt_task *task);
bool mt_task_within(const struct mt_task *task, const struct mt_task *ancestor);
int mt_task_yield_batch(lua_State *L, int index, const char *whose);
struct mt_join {
    struct mt_op op;
    struct mt_task *target;
    struct mt_join *next;
};
void mt_task_register(lua_State *L); /* metatables and tables */

/* core.c */
int mt_cache_cleared(lua_State *L); /* tells the library that the cache's generation is over */

/* run.c */
void mt_turn_ask(struct mt_vm *vm);
void mt_run_deliver(struct mt_task *task);
struct mt_doc *mt_task_take_batch(struct mt_task *task);
void mt_run_handler_ended(struct mt_task *root); /* the handler is over: the next one, or the end */
void mt_run_fault(struct mt_run *run, const char *scope, const char *message);
void mt_run_error(struct mt_run *run, const char *text); /* one more line of its result */
void mt_run_cancel_all(struct mt_vm *vm);

/* view.c and its siblings */
struct mt_box { /* one a document: its reference, its charge, what was assigned */
    struct mt_doc *doc;
    struct mt_vm *vm;
    size_t charged;
    bool written;
    bool mixed; /* parts of it are other documents, which were looked at: they may have overlays of their own
                 */
};
struct mt_view {
    struct mt_val val;
    struct mt_box *box; /* user value 1 keeps it */
    bool tracked;       /* a selector: reads of its members are noted */
    struct mt_iter at;  /* sequential reading of an array in constant time */
    uint32_t at_next;
};
enum { MT_VIEW_UV_BOX = 1, MT_VIEW_UV_PARENT, MT_VIEW_UVS = 2 };
enum { MT_BOX_UV_NODES = 1, MT_BOX_UV_WRITTEN, MT_BOX_UV_KEPT, MT_BOX_UVS = 3 };
extern char mt_removed; /* light userdata: an assigned nil */
struct mt_view *mt_view_test(lua_State *L, int index);
void mt_view_child(lua_State *L, int parent, struct mt_val v); /* parent 0: none */
bool mt_view_element(struct mt_view *view, uint32_t i, struct mt_val *out);
int mt_view_written(
    lua_State *L,
    const struct mt_view *view); /* pushes the overlay table, true for an ancestor of one, or nil; its type */
uint32_t mt_view_length(lua_State *L, struct mt_view *view);
bool mt_doc_written(lua_State *L, struct mt_val v); /* does the document of v have overlays at all */
void mt_view_read_all(lua_State *L, const struct mt_view *view);
void mt_view_read(struct mt_vm *vm, struct mt_slice member);
void mt_null_push(lua_State *L);
bool mt_is_null(lua_State *L, int index);
void mt_json_open(lua_State *L); /* json.c: adds core.json and core.null to the table on top */
enum mt_marker { MT_MARK_NONE, MT_MARK_ARRAY, MT_MARK_OBJECT };
enum mt_marker mt_json_marker(lua_State *L, int index);
void mt_json_mark(lua_State *L, enum mt_marker marker); /* the table on top */

/* What conversions own while Lua may raise: freed by its __gc, or early. */
struct mt_scratch {
    struct mt_doc *doc;
    struct mt_builder *builder;
    struct mt_buf buf;
    struct mt_slice *names;
};
struct mt_scratch *mt_scratch_push(lua_State *L);
void mt_scratch_free(struct mt_scratch *scratch);

#endif
