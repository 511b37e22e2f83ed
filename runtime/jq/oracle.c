/* Leaves on libjq: see oracle.h. Called by mapper.c.
 *
 * All leaves are one program, since a program costs 20 to 41 ms to compile and an item is converted once:
 * START PRELUDE def env: {}; {} as $ENV | LEAF as $mt_s | [$mt_s] + (if $mt_s == [false] then [] else
 * [LEAF, LEAF, …] end) where a LEAF gives [VALUE], [] or {"e": MESSAGE}; it never raises, so a bad field
 * never costs the entity. */
#include "jq/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jq/libjq.h"
#include "jq/plan.h"
#include "jq/rewrite.h"

enum { PROGRAM_MAX = 16 << 20, EXPRESSION_MAX = 2 << 20 };

struct ready {
    struct mt_slice text; /* owned */
    struct mt_expression about;
};

struct mt_oracle {
    const unsigned *leaves;
    unsigned count;
    struct mt_libjq *program;
    struct mt_doc *results; /* of the item at hand; the values point into it */
};

static enum mt_rc make_ready(struct mt_slice source, struct ready *out, struct mt_err *err)
{
    struct mt_buf text;
    mt_buf_init(&text, EXPRESSION_MAX);
    enum mt_rc rc = mt_jq_rewrite(source, &text, &out->about, err);
    if (rc == MT_OK)
        out->text = (struct mt_slice){mt_slice_dup(mt_buf_slice(&text)), text.n};
    mt_buf_fini(&text);
    return rc;
}

/* The first output in an array, or the error in an object. To 1.6 a break is an error that makes ?// try its
 * next pattern, so all outputs are asked for there. */
static void put_leaf(const struct ready *leaf, struct mt_buf *out)
{
    const bool alternatives = memmem(leaf->text.p, leaf->text.n, "?//", 3) != NULL;
    mt_buf_puts(out, alternatives ? "(try ([" : "(try [label $mt_o | (");
    mt_buf_put(out, leaf->text);
    mt_buf_puts(out, alternatives ? "] | .[:1]) catch {e: .})" : ") | ., break $mt_o] catch {e: .})");
}

/* One program of some leaves. */
static enum mt_rc compile(const struct mt_mapping *m, bool selector, const struct ready *leaves,
                          unsigned count, struct mt_libjq **out, struct mt_err *err)
{
    struct mt_prelude uses = {{false}};
    struct mt_buf text;
    mt_buf_init(&text, PROGRAM_MAX);
    for (unsigned i = 0; i < count; i++)
        mt_prelude_join(&uses, &leaves[i].about.uses);
    mt_buf_puts(&text, MT_LIBJQ_START);
    mt_prelude_write(&uses, &text);
    if (!m->environment)
        mt_buf_puts(&text, "def env: {}; {} as $ENV | ");
    if (selector) {
        put_leaf(&leaves[0], &text);
        mt_buf_puts(&text, " as $mt_s | [$mt_s] + if $mt_s == [false] then [] else [");
    } else {
        mt_buf_putc(&text, '[');
    }
    for (unsigned i = selector; i < count; i++) {
        if (i > selector)
            mt_buf_putc(&text, ',');
        put_leaf(&leaves[i], &text);
    }
    mt_buf_puts(&text, selector ? "] end" : "]");
    enum mt_rc rc = text.failed ? mt_fail(err, MT_EINVAL, "the mapping's expressions are too long")
                                : mt_libjq_new(mt_buf_slice(&text), out, err);
    mt_buf_fini(&text);
    return rc;
}

/* Which expression is it, and why? The joined program's message cannot tell, so each is compiled by itself.
 */
static enum mt_rc find_culprit(const struct mt_mapping *m, const unsigned *numbers,
                               const struct ready *leaves, unsigned count, struct mt_err *err)
{
    for (unsigned i = 0; i < count; i++) {
        struct mt_libjq *p = NULL;
        struct mt_err cause = {0};
        enum mt_rc rc = compile(m, false, &leaves[i], 1, &p, &cause);
        mt_libjq_free(p);
        if (rc)
            return mt_plan_refuse(m, numbers[i], cause.text, err);
    }
    return err ? err->rc : MT_EINVAL;
}

enum mt_rc mt_oracle_new(const struct mt_mapping *m, const unsigned *leaves, unsigned count,
                         struct mt_oracle **out, struct mt_err *err)
{
    struct mt_oracle *o = mt_alloc(sizeof *o);
    struct ready *ready = mt_alloc((count + (size_t)1) * sizeof *ready);
    enum mt_rc rc = MT_OK;
    *o = (struct mt_oracle){.leaves = leaves, .count = count};
    for (unsigned i = 0; rc == MT_OK && i < count; i++) {
        struct mt_err cause = {0};
        rc = make_ready(m->leaves[leaves[i]].text, &ready[i], &cause);
        if (rc)
            rc = mt_plan_refuse(m, leaves[i], cause.text, err);
    }
    if (rc == MT_OK) {
        rc = compile(m, leaves[0] == MT_SELECTOR, ready, count, &o->program, err);
        if (rc == MT_EINVAL)
            rc = find_culprit(m, leaves, ready, count, err);
    }
    for (unsigned i = 0; i < count; i++)
        free((void *)(uintptr_t)ready[i].text.p);
    free(ready);
    if (rc) {
        mt_oracle_free(o);
        return rc;
    }
    *out = o;
    return MT_OK;
}

void mt_oracle_free(struct mt_oracle *o)
{
    if (!o)
        return;
    mt_libjq_free(o->program);
    mt_doc_unref(o->results);
    free(o);
}

static void read_message(struct mt_val message, char out[MT_FOREIGN + 1])
{
    struct mt_buf text;
    mt_buf_init(&text, 1 << 20);
    if (mt_val_is(message, MT_STRING)) {
        mt_cut(out, MT_FOREIGN, mt_val_string(message));
    } else {
        mt_val_write(message, &text);
        mt_buf_puts(&text, " (not a string)");
        mt_cut(out, MT_FOREIGN, mt_buf_slice(&text));
    }
    mt_buf_fini(&text);
}

/* Reads what a leaf gave; result is no value for the leaves behind a false selector. */
static void read_result(struct mt_val result, unsigned leaf, struct mt_states *states)
{
    struct mt_val v;
    states->values[leaf] = mt_jv_null();
    states->outcomes[leaf] = MT_GAVE_NOTHING;
    if (mt_val_index(result, 0, &v)) {
        states->values[leaf] = mt_jv_of(v);
        states->outcomes[leaf] = MT_GAVE_VALUE;
    } else if (mt_val_member(result, MT_SLICE("e"), &v)) {
        states->outcomes[leaf] = MT_RAISED;
        read_message(v, states->messages[leaf]);
    }
}

static bool keep(void *ud, struct mt_doc *result)
{
    struct mt_doc **out = ud;
    *out = mt_doc_ref(result);
    return false;
}

enum mt_rc mt_oracle_run(struct mt_oracle *o, struct mt_val item, struct mt_states *states,
                         struct mt_err *err)
{
    struct mt_err cause = {0};
    const char *why = "a string of the item is too long for jq";
    mt_doc_unref(o->results);
    o->results = NULL;
    struct mt_libjq_input *input = mt_libjq_input_new(item);
    if (input) {
        enum mt_rc rc = mt_libjq_run(o->program, input, keep, &o->results, &cause);
        mt_libjq_input_free(input);
        if (rc == MT_ENOMEM) {
            if (err)
                *err = cause;
            return rc;
        }
        why = rc ? cause.text : "the expressions gave no result";
    }
    for (unsigned i = 0; i < o->count; i++) {
        unsigned leaf = o->leaves[i];
        struct mt_val result = {NULL, 0};
        if (o->results) {
            mt_val_index(mt_doc_root(o->results), i, &result);
            read_result(result, leaf, states);
        } else {
            states->values[leaf] = mt_jv_null();
            states->outcomes[leaf] = MT_RAISED;
            mt_cut(states->messages[leaf], MT_FOREIGN, mt_slice_of(why));
        }
    }
    return MT_OK;
}
