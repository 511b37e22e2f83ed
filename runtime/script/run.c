/* Runs: the handlers of a kind or a hook, one after another, from mt_run_start to on_end; and the turn, which
 * is the one event that resumes tasks.
 *
 * The turn is posted to the loop when something became ready and does a bounded amount of work, so that a
 * busy script does not starve sockets. Results and batches leave through the callbacks of mt_run_options,
 * which are called from the turn only: never inside mt_run_start, mt_run_resume or mt_run_cancel. Loop
 * thread. */
#include "script/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TURN_STEPS 64
#define TURN_NS (10 * 1000000ULL)
#define TIDY_KB 256 /* a step of the collector while nothing runs: about 1 ms */

/* ---- faults, pages, traces ---- */

void mt_run_fault(struct mt_run *run, const char *scope, const char *message)
{
    struct mt_run_result *r = &run->result;
    for (size_t i = r->fault_count; i > 0 && i + 16 > r->fault_count; i--) /* a swallowed error in a loop */
        if (strcmp(r->faults[i - 1].scope, scope) == 0 && strcmp(r->faults[i - 1].message, message) == 0)
            return;
    if (r->fault_count > MT_FAULTS_MAX)
        return;
    if (r->fault_count == MT_FAULTS_MAX) { /* too many to tell apart: all of the kind is in doubt */
        scope = "";
        message = "more than 10000 faults: the rest is not listed, and the whole kind is in doubt";
    }
    if ((r->fault_count & (r->fault_count - 1)) == 0)
        r->faults = mt_realloc(r->faults, (r->fault_count ? r->fault_count * 2 : 1) * sizeof *r->faults);
    r->faults[r->fault_count++] = (struct mt_run_fault){mt_strdup(scope), mt_mask(mt_strdup(message))};
}

void mt_task_fault(struct mt_task *task, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mt_run_fault(task->run, task->nursery->scope, text);
}

void mt_task_pages(struct mt_task *task, unsigned pages)
{
    task->run->result.pages += pages;
}

const char *mt_task_scope(const struct mt_task *task)
{
    return task->nursery->scope;
}

void mt_task_trace(struct mt_task *task, const char *text)
{
    struct mt_run *run = task->run;
    char **slot = &run->traces[run->trace_next];
    free(*slot);
    *slot = mt_slice_dup((struct mt_slice){text, strnlen(text, 500)});
    run->trace_next = (run->trace_next + 1) % MT_TRACES;
}

/* ---- batches ---- */

/* Converts and checks the batch at index 1 into the scratch at index 2. */
static int convert_batch(lua_State *L)
{
    struct mt_scratch *s = lua_touserdata(L, 2);
    struct mt_iter it;
    struct mt_val item;
    struct mt_slice none;
    static const char *const names[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
    if (lua_isnone(L, 1) || lua_isnil(L, 1))
        return luaL_error(L, "a batch is an array of objects, got nil");
    if (!mt_view_test(L, 1) && !lua_istable(L, 1))
        return luaL_error(L, "a batch is an array of objects, got a %s", luaL_typename(L, 1));
    s->doc = mt_view_to_doc(L, 1);
    const struct mt_val root = mt_doc_root(s->doc);
    if (!mt_val_is(root, MT_ARRAY))
        return luaL_error(L, "a batch is an array of objects, got %s", names[mt_val_kind(root)]);
    uint32_t i = 0;
    for (it = mt_iter_of(root); mt_iter_next(&it, &none, &item); i++)
        if (!mt_val_is(item, MT_OBJECT))
            return luaL_error(L, "a batch is an array of objects, element [%d] is %s", (int)i + 1,
                              names[mt_val_kind(item)]);
    return 0;
}

static int batch_taken(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* whose: position for the message when no Lua function is above; NULL: luaL_where finds it. */
int mt_task_yield_batch(lua_State *L, int index, const char *whose)
{
    struct mt_vm *vm = mt_vm_of(L);
    struct mt_task *task = vm->running;
    if (task->state != MT_TASK_RUNNING)
        return luaL_error(L, "a task that is being closed cannot yield");
    if (!task->run->kind)
        return luaL_error(L, "a batch can be yielded in an on_resync handler only");
    if (!lua_isyieldable(L))
        return mt_op_blocked(L, L, "coroutine.yield");
    lua_settop(L, index);
    lua_pushcfunction(L, convert_batch);
    lua_pushvalue(L, index);
    struct mt_scratch *scratch = mt_scratch_push(L);
    lua_pushvalue(L, -1);
    lua_insert(L, index + 1);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        if (whose)
            lua_pushstring(L, whose);
        else
            luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
        mt_task_fault(task, "a batch was refused: %.600s", lua_tostring(L, -1));
        return lua_error(L);
    }
    struct mt_doc *doc = scratch->doc;
    const struct mt_view *view = mt_view_test(L, index);
    /* What a batch refers to counts with it: the view's own charge ends with the view. */
    const size_t bytes = mt_doc_bytes(doc) + (view && view->box->doc != doc ? view->box->charged : 0);
    scratch->doc = NULL;
    if (mt_val_count(mt_doc_root(doc)) == 0) {
        mt_doc_unref(doc);
        return 0;
    }
    lua_settop(L, 0); /* the script's page is garbage from here on unless it keeps it */
    lua_pushlightuserdata(L, &mt_sentinel);
    task->batch = doc;
    task->batch_bytes = bytes;
    vm->doc_bytes += bytes;
    return lua_yieldk(L, 1, 0, batch_taken);
}

struct mt_doc *mt_task_take_batch(struct mt_task *task)
{
    struct mt_doc *doc = task->batch;
    task->batch = NULL;
    mt_vm_uncharge(task->vm, task->batch_bytes);
    task->batch_bytes = 0;
    return doc;
}

static void park(struct mt_task *task)
{
    struct mt_run *run = task->run;
    task->state = MT_TASK_PARKED;
    task->queue_next = NULL;
    if (run->parked_last)
        run->parked_last->queue_next = task;
    else
        run->parked_first = task;
    run->parked_last = task;
}

void mt_run_deliver(struct mt_task *task)
{
    struct mt_run *run = task->run;
    if (run->full) {
        park(task);
        return;
    }
    const struct mt_batch batch = {mt_task_take_batch(task), mt_strdup(task->nursery->scope)};
    run->full = true;
    if (run->options.on_batch(run->options.ud, run, batch))
        run->full = false; /* else mt_run_resume clears it, maybe it did so already */
    if (run->full)
        park(task);
    else
        mt_task_ready(task);
}

void mt_run_resume(struct mt_run *run)
{
    run->full = false;
    struct mt_task *task = run->parked_first;
    run->parked_first = run->parked_last = NULL;
    while (task) {
        struct mt_task *next = task->queue_next;
        mt_task_ready(task);
        task = next;
    }
}

/* ---- handlers, one after another ---- */

static int handler_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct mt_task *task = mt_vm_of(L)->running;
    if (!task->run->kind || lua_isnil(L, -1))
        return 0;
    lua_Debug ar;
    lua_pushvalue(L, 1);
    lua_getinfo(L, ">S", &ar);
    lua_replace(L, 1);
    char whose[128];
    snprintf(whose, sizeof whose, "%s:%d: returned by the handler: ", ar.short_src, ar.linedefined);
    return mt_task_yield_batch(L, 1, whose);
}

/* fn, kind, ctx: calls the handler and takes an array that it returns as its last batch. */
static int handler_main(lua_State *L)
{
    const int nargs = lua_gettop(L) - 1;
    lua_pushvalue(L, 1);
    lua_insert(L, 1);
    lua_callk(L, nargs, 1, 0, handler_returned);
    return handler_returned(L, LUA_OK, 0);
}

static int start_handler(lua_State *L)
{
    struct mt_run *run = lua_touserdata(L, 1);
    int nargs = 1;
    lua_pushcfunction(L, handler_main);
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->refs[run->ref_next]);
    if (run->kind) {
        lua_pushstring(L, run->kind);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, run->kind);
        lua_setfield(L, -2, "kind");
        lua_pushinteger(L, run->options.index);
        lua_setfield(L, -2, "index");
        mt_view_push(L, mt_doc_root(run->selector));
        mt_view_test(L, -1)->tracked = true;
        lua_setfield(L, -2, "selector");
        luaL_getmetatable(L, "moontide.context");
        lua_setmetatable(L, -2);
        nargs += 2;
    }
    run->root = mt_task_new(L, run, NULL, nargs, "");
    return 0;
}

void mt_run_error(struct mt_run *run, const char *text)
{
    char *old = run->result.error;
    run->result.error = old ? mt_format("%s\n%s", old, text) : mt_strdup(text);
    free(old);
}

static void next_handler(struct mt_run *run)
{
    struct mt_vm *vm = run->vm;
    if (run->ref_next == run->ref_count) {
        run->ended = true;
        return;
    }
    const int rc = mt_vm_call(vm, start_handler, run);
    run->ref_next++;
    if (rc != LUA_OK) {
        const char *text = lua_tostring(vm->L, -1);
        mt_run_error(run, text ? text : "a handler could not be started: no memory");
        lua_pop(vm->L, 1);
    }
}

void mt_run_handler_ended(struct mt_task *root)
{
    struct mt_run *run = root->run;
    run->root = NULL;
    if (root->outcome == MT_TASK_FAILED)
        mt_run_error(run, root->error);
    else if (root->outcome == MT_TASK_CANCELED)
        run->result.canceled = !run->killed;
    mt_turn_ask(run->vm);
}

static void free_run(struct mt_run *run)
{
    for (size_t i = 0; i < run->result.fault_count; i++) {
        free(run->result.faults[i].scope);
        free(run->result.faults[i].message);
    }
    for (unsigned i = 0; i < MT_TRACES; i++)
        free(run->traces[i]);
    free(run->result.faults);
    free(run->result.error);
    free(run->refs);
    free(run->kind);
    mt_doc_unref(run->selector);
    free(run);
}

/* Tells the end; on_end may start other runs or free the host. */
static void finish(struct mt_run *run)
{
    struct mt_vm *vm = run->vm;
    struct mt_run **at = &vm->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    run->result.ok = !run->result.error && !run->result.canceled;
    run->options.on_end(run->options.ud, run, &run->result);
    free_run(run);
}

static void stop(struct mt_run *run)
{
    if (run->root)
        mt_task_cancel(run->root);
    run->result.canceled = run->cancel;
    run->ended = true;
    if (run->killed)
        lua_gc(run->vm->L, LUA_GCCOLLECT);
}

/* A run that wants something other than a resume of its tasks. */
static struct mt_run *wanting(struct mt_vm *vm)
{
    for (struct mt_run *run = vm->runs; run; run = run->next)
        if (run->cancel || run->killed || run->ended || !run->root)
            return run;
    return NULL;
}

/* The lines of a run name it. Returns what the thread's lines carried before. */
static const struct mt_log_fields *enter_log(struct mt_run *run)
{
    const struct mt_log_fields *own = run->vm->options.log, *before = mt_log_enter(NULL);
    if (own) {
        run->log = *own; /* its owner may have changed it since */
        run->log.kind = run->kind;
    }
    mt_log_enter(own ? &run->log : before);
    return before;
}

static void attend(struct mt_run *run)
{
    const struct mt_log_fields *before = enter_log(run);
    if (!run->ended && (run->cancel || run->killed))
        stop(run);
    else if (!run->ended)
        next_handler(run);
    mt_log_enter(before);
    if (run->ended)
        finish(run);
}

/* ---- the turn ---- */

/* Bundles that idle must not keep the garbage of their last resync. In steps: a state of hundreds of
 * megabytes would hold the loop for as many milliseconds. */
static bool is_untidy(const struct mt_vm *vm)
{
    return vm->untidy > 0 && !vm->runs;
}

static void tidy(struct mt_vm *vm)
{
    if (lua_gc(vm->L, LUA_GCSTEP, TIDY_KB) != 0 && --vm->untidy == 0)
        mt_heap_trim(&vm->heap);
}

static void turn(void *arg)
{
    struct mt_turn *t = arg;
    const uint64_t begin = mt_now_ns();
    t->posted = false;
    t->inside = true;
    for (int steps = 0; t->vm && steps < TURN_STEPS && mt_now_ns() - begin < TURN_NS; steps++) {
        struct mt_vm *vm = t->vm;
        struct mt_run *run = wanting(vm);
        if (run) {
            attend(run);
            continue;
        }
        struct mt_task *task = vm->ready_first;
        if (!task) {
            if (is_untidy(vm))
                tidy(vm);
            break;
        }
        vm->ready_first = task->queue_next;
        if (!vm->ready_first)
            vm->ready_last = NULL;
        const struct mt_log_fields *before = enter_log(task->run);
        if (task->batch)
            mt_run_deliver(task);
        else
            mt_task_resume(task);
        mt_log_enter(before);
    }
    t->inside = false;
    if (!t->vm)
        free(t);
    else if (t->vm->ready_first || wanting(t->vm) || is_untidy(t->vm))
        mt_turn_ask(t->vm);
}

void mt_turn_ask(struct mt_vm *vm)
{
    struct mt_turn *t = vm->turn;
    if (t->posted || t->inside)
        return;
    t->posted = true;
    mt_loop_post(vm->options.loop, turn, t);
}

/* ---- host.h ---- */

static struct mt_run *new_run(struct mt_host *host, const struct mt_run_options *options)
{
    struct mt_vm *vm = host->vm;
    struct mt_run *run = mt_alloc(sizeof *run);
    run->vm = vm;
    run->options = *options;
    run->refs = mt_alloc((vm->handler_count + 1) * sizeof *run->refs);
    vm->untidy = MT_TIDY_CYCLES;
    struct mt_run **at = &vm->runs;
    while (*at)
        at = &(*at)->next;
    *at = run;
    return run;
}

enum mt_rc mt_run_start(struct mt_host *host, const struct mt_run_options *options, struct mt_run **out,
                        struct mt_err *err)
{
    struct mt_vm *vm = host->vm;
    if (!mt_host_handles(host, options->kind))
        return mt_fail(err, MT_ENOENT,
                       "kind \"%.*s\" is not implemented: %s registers no on_resync handler for it",
                       (int)(options->kind.n < MT_FOREIGN ? options->kind.n : MT_FOREIGN), options->kind.p,
                       vm->options.name ? vm->options.name : "the bundle");
    struct mt_doc *selector = NULL;
    if (mt_val_is(options->selector, MT_OBJECT)) {
        struct mt_builder *b = mt_builder_new();
        const struct mt_val root = mt_doc_root(options->selector.doc);
        if (root.at == options->selector.at)
            selector = mt_doc_ref(options->selector.doc);
        else
            mt_build_ref(b, options->selector);
        const enum mt_rc rc = selector ? MT_OK : mt_builder_finish(b, &selector, err);
        mt_builder_free(b);
        if (rc != MT_OK)
            return rc;
    } else {
        const enum mt_rc rc = mt_doc_parse_copy(MT_SLICE("{}"), NULL, &selector, err);
        if (rc != MT_OK)
            return rc;
    }
    struct mt_run *run = new_run(host, options);
    run->kind = mt_slice_dup(options->kind);
    run->selector = selector;
    for (int general = 0; general < 2; general++) /* those of the kind, then those of every kind (R-RES-05) */
        for (size_t i = 0; i < vm->handler_count; i++) {
            const struct mt_handler *h = &vm->handlers[i];
            if (h->hook == MT_HANDLER_RESYNC &&
                (general ? !h->kind : h->kind && mt_slice_is(options->kind, h->kind)))
                run->refs[run->ref_count++] = h->ref;
        }
    *out = run;
    mt_turn_ask(vm);
    return MT_OK;
}

enum mt_rc mt_run_hook(struct mt_host *host, enum mt_hook hook, const struct mt_run_options *options,
                       struct mt_run **out, struct mt_err *err)
{
    (void)err;
    struct mt_vm *vm = host->vm;
    struct mt_run *run = new_run(host, options);
    for (size_t i = 0; i < vm->handler_count; i++)
        if (vm->handlers[i].hook == (int)hook)
            run->refs[run->ref_count++] = vm->handlers[i].ref;
    *out = run;
    mt_turn_ask(vm);
    return MT_OK;
}

void mt_run_cancel(struct mt_run *run)
{
    run->cancel = true;
    mt_turn_ask(run->vm);
}

void mt_run_cancel_all(struct mt_vm *vm)
{
    while (vm->runs) {
        vm->runs->cancel = true;
        attend(vm->runs);
    }
}
