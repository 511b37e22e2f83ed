/* One jq program by itself: see program.h. Called by `moontide jq` and by Lua's jq(…), on the thread that
 * made it. */
#include "jq/program.h"

#include <stdlib.h>

#include "base/memory.h"
#include "jq/libjq.h"
#include "jq/rewrite.h"

struct mt_jq {
    struct mt_libjq *program;
};

enum { PROGRAM_MAX = 4 << 20 };

enum mt_rc mt_jq_compile(struct mt_slice text, bool environment, struct mt_jq **out, struct mt_err *err)
{
    struct mt_buf body, whole;
    struct mt_expression about;
    struct mt_libjq *program = NULL;
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
                      : mt_libjq_new(mt_buf_slice(&whole), &program, err);
    if (rc)
        goto out;
    *out = mt_alloc(sizeof **out);
    (*out)->program = program;
out:
    mt_buf_fini(&body);
    mt_buf_fini(&whole);
    return rc;
}

void mt_jq_free(struct mt_jq *jq)
{
    if (!jq)
        return;
    mt_libjq_free(jq->program);
    free(jq);
}

enum mt_rc mt_jq_run(struct mt_jq *jq, struct mt_val input, bool (*emit)(void *ud, struct mt_doc *result),
                     void *ud, struct mt_err *err)
{
    struct mt_libjq_input *value = mt_libjq_input_new(input);
    if (!value)
        return mt_fail(err, MT_ELIMIT, "a string of the input is too long for jq");
    enum mt_rc rc = mt_libjq_run(jq->program, value, emit, ud, err);
    mt_libjq_input_free(value);
    return rc;
}
