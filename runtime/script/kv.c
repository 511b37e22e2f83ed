/* core.kv_get(key) and core.kv_set(key, text): tide.kv, through the seam of host.h to whatever keeps it.
 *
 * Loop thread, inside a resume. The call that is on its way is a record of its own: it outlives a cancelled
 * task, whose set is done all the same. */
#include <stdlib.h>

#include "base/memory.h"
#include "script/vm.h"

struct kv_op;

struct kv_call {
    struct kv_op *op; /* NULL: abandoned, its end frees the record */
};

struct kv_op {
    struct mt_op op;
    struct kv_call *call; /* NULL once it was answered */
    struct mt_vm *vm;
    size_t charged;
    struct mt_buf value; /* JSON text */
    bool found, failed;
    struct mt_err err;
};

static void answered(void *ud, struct mt_slice value, const struct mt_err *err)
{
    struct kv_call *call = ud;
    struct kv_op *op = call->op;
    free(call);
    if (!op)
        return;
    op->call = NULL;
    op->failed = err != NULL;
    op->found = value.p != NULL;
    if (err)
        op->err = *err;
    else if (!mt_buf_put(&op->value, value))
        op->failed = mt_fail(&op->err, MT_ENOMEM, "no memory for a value of tide.kv") != MT_OK;
    mt_op_complete(&op->op);
}

static void cancel(struct mt_op *base)
{
    struct kv_op *op = (struct kv_op *)base;
    if (op->call)
        op->call->op = NULL;
    op->call = NULL;
}

static void fini(struct mt_op *base)
{
    struct kv_op *op = (struct kv_op *)base;
    mt_vm_uncharge(op->vm, op->charged);
    op->charged = 0;
    mt_buf_fini(&op->value);
}

static const struct mt_host_kv *kv_of(lua_State *L)
{
    const struct mt_host_kv *kv = mt_vm_options(mt_vm_of(L))->kv;
    mt_vm_running(L);
    if (!kv) {
        struct mt_err err;
        mt_fail(&err, MT_EINVAL, "tide.kv keeps nothing here: there is no state file");
        mt_push_error(L, &err, (struct mt_slice){NULL, 0});
        lua_error(L);
    }
    return kv;
}

static struct kv_op *new_op(lua_State *L, size_t charge)
{
    struct kv_op *op = mt_op_new(L, sizeof *op);
    op->vm = mt_vm_of(L);
    mt_buf_init(&op->value, (size_t)1 << 20);
    op->op.fini = fini;
    mt_vm_charge(L, charge);
    op->charged = charge;
    op->call = mt_alloc(sizeof *op->call);
    op->call->op = op;
    op->op.cancel = cancel;
    return op;
}

static int ended(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    const struct kv_op *op = (struct kv_op *)context; // NOLINT(performance-no-int-to-ptr)
    if (op->failed) {
        mt_push_error(L, &op->err, (struct mt_slice){NULL, 0});
        return lua_error(L);
    }
    if (!op->found)
        return 0;
    lua_pushlstring(L, op->value.p ? op->value.p : "", op->value.n);
    return 1;
}

/* core.kv_get(key) → its JSON text, or nothing. Waits; raises. */
static int kv_get(lua_State *L)
{
    struct mt_slice key;
    key.p = luaL_checklstring(L, 1, &key.n);
    const struct mt_host_kv *kv = kv_of(L);
    struct kv_op *op = new_op(L, 0);
    kv->get(kv->ud, key, answered, op->call);
    return mt_op_wait(L, &op->op, ended);
}

/* core.kv_set(key, JSON text or nil). Waits until it is kept; raises. */
static int kv_set(lua_State *L)
{
    struct mt_slice key, value = {NULL, 0};
    key.p = luaL_checklstring(L, 1, &key.n);
    if (!lua_isnoneornil(L, 2))
        value.p = luaL_checklstring(L, 2, &value.n);
    const struct mt_host_kv *kv = kv_of(L);
    struct kv_op *op = new_op(L, key.n + value.n);
    kv->set(kv->ud, key, value, answered, op->call);
    return mt_op_wait(L, &op->op, ended);
}

void mt_bind_kv(lua_State *L)
{
    static const luaL_Reg functions[] = {{"kv_get", kv_get}, {"kv_set", kv_set}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
