/* core.jq_program(text) and core.jq_run(program, value): jq for scripts, on the worker threads.
 *
 * A compiled program belongs to one thread: each worker compiles a program when it meets it first and keeps
 * it in the program's slot for that worker. The record is counted on the
 * loop's thread by its userdata and by the jobs under way, so that it outlives both a cancelled task and a
 * closed state. */
#include <stdlib.h>

#include "base/memory.h"
#include "jq/program.h"
#include "script/vm.h"

static const char PROGRAM[] = "moontide.jq";

struct program {
    unsigned references; /* loop thread only */
    char *text;
    unsigned slots;
    struct mt_jq *compiled[]; /* one a worker, touched by that worker; freed when no job is left */
};

struct evaluation {
    struct mt_job job;
    struct program *program;
    struct mt_doc *input, *result;
    enum mt_rc rc;
    struct mt_err err;
    struct jq_op *owner; /* NULL: abandoned */
};

struct jq_op {
    struct mt_op op;
    struct evaluation *evaluation;
    bool under_way;
};

static void program_unref(struct program *p)
{
    if (!p || --p->references > 0)
        return;
    for (unsigned i = 0; i < p->slots; i++)
        mt_jq_free(p->compiled[i]);
    free(p->text);
    free(p);
}

static void evaluation_free(struct evaluation *e)
{
    if (!e)
        return;
    program_unref(e->program);
    mt_doc_unref(e->input);
    mt_doc_unref(e->result);
    free(e);
}

static bool keep_first(void *ud, struct mt_doc *result)
{
    struct evaluation *e = ud;
    e->result = mt_doc_ref(result);
    return false;
}

static void evaluate(struct mt_job *job, unsigned worker)
{
    struct evaluation *e = (struct evaluation *)job;
    struct mt_jq **slot = &e->program->compiled[worker];
    e->rc = MT_OK;
    if (!*slot)
        e->rc = mt_jq_compile(mt_slice_of(e->program->text), false, slot, &e->err);
    if (e->rc == MT_OK)
        e->rc = mt_jq_run(*slot, mt_doc_root(e->input), keep_first, e, &e->err);
}

static void evaluated(struct mt_job *job)
{
    struct evaluation *e = (struct evaluation *)job;
    struct jq_op *op = e->owner;
    if (!op) {
        evaluation_free(e);
        return;
    }
    op->under_way = false;
    mt_op_complete(&op->op);
}

static void jq_cancel(struct mt_op *base)
{
    struct jq_op *op = (struct jq_op *)base;
    if (!op->under_way)
        return;
    op->evaluation->owner = NULL;
    op->evaluation = NULL;
    op->under_way = false;
}

static void jq_fini(struct mt_op *base)
{
    struct jq_op *op = (struct jq_op *)base;
    evaluation_free(op->evaluation);
    op->evaluation = NULL;
}

static int jq_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct evaluation *e = ((struct jq_op *)context)->evaluation; // NOLINT(performance-no-int-to-ptr)
    if (e->rc != MT_OK) {
        mt_push_error(L, &e->err, (struct mt_slice){NULL, 0});
        return lua_error(L);
    }
    if (!e->result)
        return 0; /* the program gave nothing */
    mt_view_push(L, mt_doc_root(e->result));
    return 1;
}

/* core.jq_run(program, value) → first result. Waits; raises. */
static int jq_run(lua_State *L)
{
    struct program **held = luaL_checkudata(L, 1, PROGRAM);
    mt_vm_running(L);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    struct jq_op *op = mt_op_new(L, sizeof *op);
    op->op.fini = jq_fini;
    struct mt_doc *input = mt_view_to_doc(L, 2);
    struct evaluation *e = mt_alloc(sizeof *e);
    e->input = input;
    e->program = *held;
    e->program->references++;
    e->owner = op;
    e->job.work = evaluate;
    e->job.done = evaluated;
    op->evaluation = e;
    op->under_way = true;
    op->op.cancel = jq_cancel;
    mt_pool_submit(mt_vm_options(mt_vm_of(L))->pool, &e->job);
    return mt_op_wait(L, &op->op, jq_done);
}

static int program_gc(lua_State *L)
{
    struct program **held = luaL_checkudata(L, 1, PROGRAM);
    program_unref(*held);
    *held = NULL;
    return 0;
}

/* core.jq_program(text) → program; nothing is compiled yet, so that it may be called while a module loads. */
static int jq_program(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n > 0 && n <= 64 << 10 && strlen(text) == n, 1, "a jq program of 1 to 65536 bytes");
    unsigned slots = mt_pool_count(mt_vm_options(mt_vm_of(L))->pool);
    struct program **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    luaL_setmetatable(L, PROGRAM);
    struct program *p = mt_alloc(sizeof *p + slots * sizeof p->compiled[0]);
    p->references = 1;
    p->text = mt_strdup(text);
    p->slots = slots;
    *held = p;
    return 1;
}

void mt_bind_jq(lua_State *L)
{
    static const luaL_Reg functions[] = {{"jq_program", jq_program}, {"jq_run", jq_run}, {NULL, NULL}};
    luaL_newmetatable(L, PROGRAM);
    lua_pushcfunction(L, program_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, PROGRAM);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
