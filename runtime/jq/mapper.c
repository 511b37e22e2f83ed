/* A resource compiled for one thread, and the evaluation of its expressions: see mapper.h.
 *
 * All leaves that need libjq are one program, since a program costs 20 to 41 ms to compile and an item is
 * converted once: START PRELUDE def env: {}; {} as $ENV | LEAF as $mt_s | [$mt_s] + (if $mt_s == [false] then
 * [] else [LEAF, LEAF, …] end) where a LEAF gives [VALUE], [] or {"e": MESSAGE}; it never raises, so a bad
 * field never costs the entity. */
#include "jq/mapper.h"

#include <stdlib.h>

#include "base/memory.h"

enum { PROGRAM_MAX = 16 << 20, ENTITY_MAX = 256 << 20 };

static bool needs_libjq(const struct mt_leaf *leaf)
{
    return !leaf->plain && !leaf->absent;
}

static void put_leaf(const struct mt_leaf *leaf, struct mt_buf *out)
{
    mt_buf_puts(out, "(try [label $mt_o | (");
    mt_buf_put(out, leaf->text);
    mt_buf_puts(out, ") | ., break $mt_o] catch {e: .})");
}

/* One program of some leaves; first (may be NULL) decides whether the others are evaluated. */
static enum mt_rc compile(const struct mt_mapping *m, const struct mt_leaf *first,
                          const struct mt_leaf *const *leaves, unsigned count, struct mt_libjq **out,
                          struct mt_err *err)
{
    struct mt_prelude uses = {{false}};
    struct mt_buf text;
    mt_buf_init(&text, PROGRAM_MAX);
    if (first)
        mt_prelude_join(&uses, &first->about.uses);
    for (unsigned i = 0; i < count; i++)
        mt_prelude_join(&uses, &leaves[i]->about.uses);
    mt_buf_puts(&text, MT_LIBJQ_START);
    mt_prelude_write(&uses, &text);
    if (!m->environment)
        mt_buf_puts(&text, "def env: {}; {} as $ENV | ");
    if (first) {
        put_leaf(first, &text);
        mt_buf_puts(&text, " as $mt_s | [$mt_s] + if $mt_s == [false] then [] else [");
    } else {
        mt_buf_putc(&text, '[');
    }
    for (unsigned i = 0; i < count; i++) {
        if (i)
            mt_buf_putc(&text, ',');
        put_leaf(leaves[i], &text);
    }
    mt_buf_puts(&text, first ? "] end" : "]");
    enum mt_rc rc = text.failed ? mt_fail(err, MT_EINVAL, "the mapping's expressions are too long")
                                : mt_libjq_new(mt_buf_slice(&text), out, err);
    mt_buf_fini(&text);
    return rc;
}

static void cut(char *to, struct mt_slice text)
{
    size_t n = text.n < MT_FOREIGN ? text.n : MT_FOREIGN;
    while (n > 0 && n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    if (n)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

/* Which expression is it, and why? The joined program's message cannot tell, so each is compiled by itself.
 */
static enum mt_rc culprit(const struct mt_mapping *m, const char *field, const struct mt_leaf *leaf,
                          struct mt_err *err)
{
    if (leaf->absent || leaf->plain)
        return MT_OK;
    char why[MT_FOREIGN + 1], expression[MT_FOREIGN + 1];
    struct mt_err cause = {0};
    if (leaf->broken) {
        cut(why, mt_slice_of(leaf->broken));
    } else {
        struct mt_libjq *p = NULL;
        enum mt_rc rc = compile(m, NULL, &leaf, 1, &p, &cause);
        mt_libjq_free(p);
        if (rc == MT_OK)
            return MT_OK;
        cut(why, mt_slice_of(cause.text));
    }
    cut(expression, leaf->source);
    bool python = mt_slice_is(leaf->source, "True") || mt_slice_is(leaf->source, "False");
    return mt_fail(err, MT_EINVAL,
                   "%s, resource %u (kind \"%.*s\"), %s: the jq expression %s does not compile: %s%s",
                   m->source, m->index, m->kind.n > 60 ? 60 : (int)m->kind.n, m->kind.p, field, expression,
                   why, python ? " (write 'true' or 'false' in quotes)" : "");
}

static enum mt_rc find_culprit(const struct mt_mapping *m, struct mt_err *err)
{
    enum mt_rc rc = culprit(m, "selector.query", &m->selector, err);
    for (unsigned i = 0; rc == MT_OK && i < m->field_count; i++)
        for (unsigned k = 0; rc == MT_OK && k < m->fields[i].count; k++)
            rc = culprit(m, m->fields[i].name, &m->leaves[m->fields[i].first + k], err);
    if (rc == MT_OK && m->expands)
        rc = culprit(m, "itemsToParse", &m->items, err);
    if (rc == MT_OK && m->expands && m->removes)
        rc = culprit(m, "itemsToParse", &m->remove, err);
    return rc;
}

static bool any_broken(const struct mt_mapping *m)
{
    bool broken = m->selector.broken || m->items.broken || m->remove.broken;
    for (unsigned i = 0; i < m->leaf_count; i++)
        broken = broken || m->leaves[i].broken;
    return broken;
}

/* Reads one result of a program into the state of its leaf. */
static void read_result(struct mt_val result, struct mt_state *state)
{
    struct mt_val message;
    *state = (struct mt_state){.outcome = MT_GAVE_NOTHING};
    if (mt_val_is(result, MT_ARRAY)) {
        if (mt_val_index(result, 0, &state->val))
            state->outcome = MT_GAVE_VALUE;
    } else if (mt_val_member(result, MT_SLICE("e"), &message)) {
        state->outcome = MT_RAISED;
        struct mt_buf text;
        mt_buf_init(&text, 1 << 20);
        if (mt_val_is(message, MT_STRING)) {
            cut(state->message, mt_val_string(message));
        } else {
            mt_val_write(message, &text);
            mt_buf_puts(&text, " (not a string)");
            cut(state->message, mt_buf_slice(&text));
        }
        mt_buf_fini(&text);
    }
}

static bool keep(void *ud, struct mt_doc *result)
{
    struct mt_doc **out = ud;
    *out = mt_doc_ref(result);
    return false;
}

/* Runs a program of leaves; *out is its array, or NULL when it gave none and why says the cause. */
static enum mt_rc run(struct mt_libjq *p, struct mt_val item, struct mt_doc **out, char why[MT_FOREIGN + 1],
                      struct mt_err *err)
{
    struct mt_err cause = {0};
    mt_doc_unref(*out);
    *out = NULL;
    struct mt_libjq_input *input = mt_libjq_input_new(item);
    if (!input) {
        cut(why, MT_SLICE("a string of the item is too long for jq"));
        return MT_OK;
    }
    enum mt_rc rc = mt_libjq_run(p, input, keep, out, &cause);
    mt_libjq_input_free(input);
    if (rc == MT_ENOMEM) {
        if (err)
            *err = cause;
        return rc;
    }
    if (!*out)
        cut(why, rc ? mt_slice_of(cause.text) : MT_SLICE("the expressions gave no result"));
    return MT_OK;
}

static void read_leaf(struct mt_doc *results, uint32_t at, const char *why, struct mt_state *state)
{
    struct mt_val result;
    if (results && mt_val_index(mt_doc_root(results), at, &result)) {
        read_result(result, state);
    } else {
        *state = (struct mt_state){.outcome = MT_RAISED};
        cut(state->message, mt_slice_of(why));
    }
}

/* Constant expressions are evaluated once, here (R-JQ-12). */
static enum mt_rc fold_constants(struct mt_mapper *r, const struct mt_leaf **leaves, struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    unsigned count = 0;
    for (unsigned i = 0; i < m->leaf_count; i++)
        if (needs_libjq(&m->leaves[i]) && m->leaves[i].about.constant)
            leaves[count++] = &m->leaves[i];
    if (count == 0)
        return MT_OK;
    char why[MT_FOREIGN + 1] = "";
    struct mt_libjq *p = NULL;
    enum mt_rc rc = compile(m, NULL, leaves, count, &p, err);
    if (rc == MT_OK)
        rc = run(p, (struct mt_val){NULL, 0}, &r->constants, why, err);
    for (unsigned i = 0; rc == MT_OK && i < count; i++)
        read_leaf(r->constants, i, why, &r->states[leaves[i] - m->leaves]);
    mt_libjq_free(p);
    return rc;
}

enum mt_rc mt_mapper_new(const struct mt_mapping *m, struct mt_mapper **out, struct mt_err *err)
{
    if (any_broken(m))
        return find_culprit(m, err);
    struct mt_mapper *r = mt_alloc(sizeof *r);
    const struct mt_leaf **leaves = mt_alloc((m->leaf_count + 2) * sizeof(void *));
    r->mapping = m;
    r->slow = mt_alloc((m->leaf_count + 1) * sizeof *r->slow);
    r->states = mt_alloc((m->leaf_count + 1) * sizeof *r->states);
    r->empty = mt_alloc((m->field_count + 1) * sizeof *r->empty);
    mt_buf_init(&r->json, ENTITY_MAX);
    mt_buf_init(&r->identifier, ENTITY_MAX);
    mt_buf_init(&r->blueprint, ENTITY_MAX);
    enum mt_rc rc = fold_constants(r, leaves, err);
    if (rc)
        goto out;
    r->slow_selector = needs_libjq(&m->selector);
    for (unsigned i = 0; i < m->leaf_count; i++) {
        if (!needs_libjq(&m->leaves[i]) || m->leaves[i].about.constant)
            continue;
        leaves[r->slow_count] = &m->leaves[i];
        r->slow[r->slow_count++] = i;
    }
    if (r->slow_count || r->slow_selector)
        rc = compile(m, r->slow_selector ? &m->selector : NULL, leaves, r->slow_count, &r->fields, err);
    if (rc == MT_OK && m->expands) {
        unsigned n = 0;
        if (needs_libjq(&m->items))
            leaves[n++] = &m->items;
        if (m->removes && needs_libjq(&m->remove))
            leaves[n++] = &m->remove;
        if (n)
            rc = compile(m, NULL, leaves, n, &r->expand, err);
    }
out:
    if (rc == MT_EINVAL) {
        struct mt_err found = {0};
        if (find_culprit(m, &found) && err)
            *err = found;
    }
    free(leaves);
    if (rc) {
        mt_mapper_free(r);
        return rc;
    }
    *out = r;
    return MT_OK;
}

void mt_mapper_free(struct mt_mapper *r)
{
    if (!r)
        return;
    mt_libjq_free(r->fields);
    mt_libjq_free(r->expand);
    mt_doc_unref(r->constants);
    mt_doc_unref(r->results);
    mt_doc_unref(r->expansion);
    mt_buf_fini(&r->json);
    mt_buf_fini(&r->identifier);
    mt_buf_fini(&r->blueprint);
    free(r->slow);
    free(r->states);
    free(r->empty);
    free(r);
}

/* Leaves that need no engine. */
static void run_leaf(const struct mt_leaf *leaf, struct mt_val item, struct mt_state *state)
{
    if (leaf->absent) {
        state->outcome = MT_GAVE_VALUE;
        state->val = (struct mt_val){NULL, 0};
    } else if (leaf->plain) {
        state->outcome = mt_plain_run(leaf->plain, item, &state->val, state->message);
    }
}

static enum mt_selected decide(const struct mt_state *state)
{
    if (state->outcome != MT_GAVE_VALUE || !mt_val_is(state->val, MT_BOOL))
        return MT_UNDECIDED;
    return mt_val_true(state->val) ? MT_SELECTED : MT_REJECTED;
}

enum mt_rc mt_mapper_evaluate(struct mt_mapper *r, struct mt_val item, enum mt_selected *out,
                              struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    run_leaf(&m->selector, item, &r->selector);
    if (!r->slow_selector && decide(&r->selector) == MT_REJECTED) {
        *out = MT_REJECTED;
        return MT_OK;
    }
    if (r->fields) {
        char why[MT_FOREIGN + 1] = "";
        enum mt_rc rc = run(r->fields, item, &r->results, why, err);
        if (rc)
            return rc;
        if (r->slow_selector)
            read_leaf(r->results, 0, why, &r->selector);
        *out = decide(&r->selector);
        if (*out == MT_REJECTED)
            return MT_OK;
        for (unsigned i = 0; i < r->slow_count; i++)
            read_leaf(r->results, i + r->slow_selector, why, &r->states[r->slow[i]]);
    }
    *out = decide(&r->selector);
    for (unsigned i = 0; i < m->leaf_count; i++)
        run_leaf(&m->leaves[i], item, &r->states[i]);
    return MT_OK;
}

enum mt_rc mt_mapper_expand(struct mt_mapper *r, struct mt_val item, struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    char why[MT_FOREIGN + 1] = "";
    uint32_t at = 0;
    if (r->expand) {
        enum mt_rc rc = run(r->expand, item, &r->expansion, why, err);
        if (rc)
            return rc;
        if (needs_libjq(&m->items))
            read_leaf(r->expansion, at++, why, &r->items);
        if (m->removes && needs_libjq(&m->remove))
            read_leaf(r->expansion, at, why, &r->remove);
    }
    run_leaf(&m->items, item, &r->items);
    return MT_OK;
}
