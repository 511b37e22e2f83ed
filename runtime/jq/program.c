/* One jq program by itself: see program.h. Called by `moontide jq` and by Lua's jq(…), on the thread that
 * made it. */
#include "jq/program.h"

#include <stdlib.h>

#include "base/memory.h"
#include "jq/engine.h"
#include "jq/libjq.h"
#include "jq/rewrite.h"

struct mt_jq {
    struct mt_program *native; /* or libjq */
    struct mt_machine *machine;
    struct mt_libjq *libjq;
};

enum { PROGRAM_MAX = 4 << 20 };

static enum mt_rc compile_libjq(struct mt_slice text, bool environment, struct mt_libjq **out,
                                struct mt_err *err)
{
    struct mt_buf body, whole;
    struct mt_expression about;
    mt_buf_init(&body, PROGRAM_MAX);
    mt_buf_init(&whole, PROGRAM_MAX);
    enum mt_rc rc = mt_jq_rewrite(text, &body, &about, err);
    if (rc)
        goto out;
    mt_buf_puts(&whole, MT_LIBJQ_START);
    mt_prelude_write(&about.uses, &whole);
    if (!environment)
        mt_buf_puts(&whole, "def env: {}; {} as $ENV | ");
    mt_buf_putc(&whole, '(');
    mt_buf_put(&whole, mt_buf_slice(&body));
    mt_buf_puts(&whole, "\n)");
    rc = whole.failed ? mt_fail(err, MT_ENOMEM, "the program is too long")
                      : mt_libjq_new(mt_buf_slice(&whole), out, err);
out:
    mt_buf_fini(&body);
    mt_buf_fini(&whole);
    return rc;
}

static enum mt_rc compile_native(struct mt_slice text, bool environment, struct mt_program **out,
                                 struct mt_err *err)
{
    struct mt_compile_options options = {.environment = environment};
    struct mt_compiler *compiler = mt_compiler_new(&options);
    unsigned entry;
    enum mt_rc rc = mt_compiler_add(compiler, text, &entry, err);
    if (rc == MT_OK)
        *out = mt_compiler_finish(compiler);
    mt_compiler_free(compiler);
    return rc;
}

enum mt_rc mt_jq_compile(struct mt_slice text, bool environment, struct mt_jq **out, struct mt_err *err)
{
    struct mt_jq jq = {.native = NULL};
    enum mt_rc rc = MT_ENOENT;
    if (mt_engine_chosen() == MT_ENGINE_NATIVE) {
        struct mt_err why;
        rc = compile_native(text, environment, &jq.native, &why);
        if (rc == MT_ENOENT) {
            rc = mt_engine_fall_back(text, why.text, err);
            if (rc)
                return rc;
            rc = MT_ENOENT;
        } else if (rc) {
            return mt_fail(err, rc, "%s", why.text);
        }
    }
    if (rc == MT_ENOENT)
        rc = compile_libjq(text, environment, &jq.libjq, err);
    if (rc)
        return rc;
    if (jq.native) {
        struct mt_machine_limits limits = mt_engine_limits();
        jq.machine = mt_machine_new(jq.native, &limits);
    }
    *out = mt_alloc(sizeof **out);
    **out = jq;
    return MT_OK;
}

void mt_jq_free(struct mt_jq *jq)
{
    if (!jq)
        return;
    mt_libjq_free(jq->libjq);
    mt_machine_free(jq->machine);
    mt_program_free(jq->native);
    free(jq);
}

static enum mt_rc run_native(struct mt_jq *jq, struct mt_val input,
                             bool (*emit)(void *ud, struct mt_doc *result), void *ud, struct mt_err *err)
{
    struct mt_jv v;
    mt_machine_begin(jq->machine, input);
    mt_machine_start(jq->machine, 0);
    for (;;) {
        enum mt_outcome outcome = mt_machine_next(jq->machine, &v);
        if (outcome == MT_GAVE_NOTHING)
            return MT_OK;
        if (outcome == MT_RAISED) {
            char message[MT_FOREIGN + 1];
            mt_machine_error(jq->machine, message);
            bool limit = mt_jv_is_none(mt_machine_error_value(jq->machine));
            return mt_fail(err, limit ? MT_ELIMIT : MT_EDATA, "%s", message);
        }
        struct mt_builder *b = mt_builder_new();
        struct mt_doc *doc = NULL;
        mt_jv_build(v, b);
        enum mt_rc rc = mt_builder_finish(b, &doc, err);
        mt_builder_free(b);
        if (rc)
            return rc;
        bool more = emit(ud, doc);
        mt_doc_unref(doc);
        if (!more)
            return MT_OK;
    }
}

enum mt_rc mt_jq_run(struct mt_jq *jq, struct mt_val input, bool (*emit)(void *ud, struct mt_doc *result),
                     void *ud, struct mt_err *err)
{
    if (jq->native)
        return run_native(jq, input, emit, ud, err);
    struct mt_libjq_input *value = mt_libjq_input_new(input);
    if (!value)
        return mt_fail(err, MT_ELIMIT, "a string of the input is too long for jq");
    enum mt_rc rc = mt_libjq_run(jq->libjq, value, emit, ud, err);
    mt_libjq_input_free(value);
    return rc;
}
