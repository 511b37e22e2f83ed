/* A mapping compiled: see plan.h. Called by mapper.c on the worker that needs a mapping first.
 *
 * What does not depend on the item is done here: constant expressions, the members' names, brackets and
 * commas become one text, divided where a value of the item belongs. */
#include "jq/plan.h"

#include <stdlib.h>

#include "base/memory.h"
#include "jq/engine.h"

void mt_cut(char *to, size_t most, struct mt_slice text)
{
    size_t n = text.n < most ? text.n : most;
    while (n > 0 && n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    if (n)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

enum mt_rc mt_plan_refuse(const struct mt_mapping *m, unsigned leaf, const char *why, struct mt_err *err)
{
    enum { WHY_MAX = 400 };
    char cause[WHY_MAX + 1], expression[MT_FOREIGN + 1];
    const struct mt_leaf *l = &m->leaves[leaf];
    mt_cut(cause, WHY_MAX, mt_slice_of(why)); /* may point into err */
    mt_cut(expression, MT_FOREIGN, l->source);
    bool python = mt_slice_is(l->source, "True") || mt_slice_is(l->source, "False");
    const char *field = leaf == MT_SELECTOR       ? "selector.query"
                        : l->field == MT_NO_FIELD ? "itemsToParse"
                                                  : m->fields[l->field].name;
    return mt_fail(err, MT_EINVAL,
                   "%s, resource %u (kind \"%.*s\"), %s: the jq expression %s does not compile: %s%s",
                   m->source, m->index, m->kind.n > 60 ? 60 : (int)m->kind.n, m->kind.p, field, expression,
                   cause, python ? " (write 'true' or 'false' in quotes)" : "");
}

/* ---- routes ---- */

static enum mt_rc add_expression(struct mt_plan *plan, struct mt_compiler *c, const struct mt_mapping *m,
                                 unsigned leaf, struct mt_err *err)
{
    struct mt_route *route = &plan->routes[leaf];
    const struct mt_leaf *l = &m->leaves[leaf];
    struct mt_err cause = {0};
    if (l->absent) {
        route->way = MT_BY_CONSTANT;
        return MT_OK;
    }
    if (!l->text.p)
        return mt_plan_refuse(m, leaf, "the expression is longer than 1 MiB", err);
    route->way = MT_BY_LIBJQ;
    if (!c)
        return MT_OK;
    enum mt_rc rc = mt_compiler_add(c, l->text, &route->at, &cause);
    if (rc == MT_OK) {
        route->way = MT_BY_ENTRY;
    } else if (rc == MT_ENOENT) {
        char *why = mt_strdup(cause.text);
        rc = mt_engine_fall_back(l->text, why, &cause);
        free(why);
    }
    return rc ? mt_plan_refuse(m, leaf, cause.text, err) : MT_OK;
}

static void refine(struct mt_plan *plan, const struct mt_mapping *m)
{
    for (unsigned i = 0; i < m->leaf_count; i++) {
        struct mt_route *route = &plan->routes[i];
        plan->start[i] = mt_jv_null();
        if (route->way == MT_BY_ENTRY && mt_program_constant(plan->program, route->at, &plan->start[i]))
            route->way = MT_BY_CONSTANT;
        else if (route->way == MT_BY_ENTRY && mt_program_slot(plan->program, route->at, &route->at))
            route->way = MT_BY_SLOT;
        bool fields = m->leaves[i].field != MT_NO_FIELD;
        if (route->way == MT_BY_LIBJQ) {
            plan->foreign[plan->foreign_count++] = i;
            plan->foreign_items += !fields && i != MT_SELECTOR;
        } else if (fields && route->way != MT_BY_CONSTANT) {
            plan->live[plan->live_count++] = i;
        }
    }
}

static enum mt_rc compile(struct mt_plan *plan, const struct mt_mapping *m, struct mt_err *err)
{
    struct mt_compile_options options = {m->environment};
    struct mt_compiler *c = mt_engine_chosen() == MT_ENGINE_NATIVE ? mt_compiler_new(&options) : NULL;
    enum mt_rc rc = MT_OK;
    for (unsigned i = 0; rc == MT_OK && i < m->leaf_count; i++)
        rc = add_expression(plan, c, m, i, err);
    if (rc == MT_OK && c)
        plan->program = mt_compiler_finish(c);
    mt_compiler_free(c);
    if (rc == MT_OK)
        refine(plan, m);
    return rc;
}

/* ---- the text ---- */

static void add_value(struct mt_plan *plan, unsigned leaf, bool team, bool relation, size_t *from)
{
    struct mt_buf *b = &plan->text;
    if (plan->routes[leaf].way != MT_BY_CONSTANT) {
        struct mt_piece *piece = &plan->pieces[plan->piece_count++];
        *piece = (struct mt_piece){{NULL, b->n - *from}, leaf, team, relation};
        *from = b->n;
        return;
    }
    struct mt_jv v = plan->start[leaf];
    plan->search_relation = plan->search_relation || (relation && mt_jv_holds_object(v));
    team = team && mt_jv_is(v, MT_NUMBER);
    if (team)
        mt_buf_putc(b, '"');
    if (team)
        mt_identifier_text(v, b);
    else
        mt_jv_write(v, b);
    if (team)
        mt_buf_putc(b, '"');
}

/* A query with its leaves in their places (R-JQ-09); takes them from *leaf on. */
static void add_shape(struct mt_plan *plan, struct mt_val shape, unsigned *leaf, size_t *from)
{
    struct mt_buf *b = &plan->text;
    bool object = mt_val_is(shape, MT_OBJECT), first = true;
    if (!object && !mt_val_is(shape, MT_ARRAY)) {
        add_value(plan, (*leaf)++, false, false, from);
        return;
    }
    struct mt_slice name;
    struct mt_val member;
    mt_buf_putc(b, object ? '{' : '[');
    for (struct mt_iter it = mt_iter_of(shape); mt_iter_next(&it, &name, &member); first = false) {
        if (!first)
            mt_buf_putc(b, ',');
        if (object) {
            mt_buf_put_json_string(b, name);
            mt_buf_putc(b, ':');
        }
        add_shape(plan, member, leaf, from);
    }
    mt_buf_putc(b, object ? '}' : ']');
}

/* The upsert's body (A-ENT-01): only mapped members, in this order. */
static void write_text(struct mt_plan *plan, const struct mt_mapping *m)
{
    struct mt_buf *b = &plan->text;
    size_t from = 0;
    enum mt_section open = MT_IDENTIFIER;
    mt_buf_putc(b, '{');
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct mt_field *f = &m->fields[i];
        if (f->section >= MT_PROPERTY && f->section != open) {
            if (open == MT_PROPERTY)
                mt_buf_putc(b, '}');
            if (f->section == MT_RELATION && m->has_properties && open != MT_PROPERTY)
                mt_buf_puts(b, ",\"properties\":{}");
            mt_buf_puts(b, f->section == MT_PROPERTY ? ",\"properties\":{" : ",\"relations\":{");
            open = f->section;
        } else if (i > 0) {
            mt_buf_putc(b, ',');
        }
        mt_buf_put_json_string(b, f->member);
        mt_buf_putc(b, ':');
        bool relation = f->section == MT_RELATION || f->section == MT_TEAM;
        unsigned leaf = f->first;
        if (f->shape.doc) {
            plan->search_identifier = plan->search_identifier || f->section == MT_IDENTIFIER;
            plan->search_relation = plan->search_relation || relation;
            add_shape(plan, f->shape, &leaf, &from);
        } else {
            add_value(plan, leaf, f->section == MT_TEAM, relation, &from);
        }
    }
    if (open >= MT_PROPERTY)
        mt_buf_putc(b, '}');
    if (m->has_properties && open == MT_IDENTIFIER)
        mt_buf_puts(b, ",\"properties\":{}");
    if (m->has_relations && open != MT_RELATION)
        mt_buf_puts(b, ",\"relations\":{}");
    mt_buf_putc(b, '}');
    const char *p = b->p;
    for (unsigned i = 0; i < plan->piece_count; i++) {
        plan->pieces[i].before.p = p;
        p += plan->pieces[i].before.n;
    }
    plan->after = (struct mt_slice){p, b->n - from};
}

static void list_fields(struct mt_plan *plan, const struct mt_mapping *m)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct mt_field *f = &m->fields[i];
        bool nullable = false;
        for (unsigned k = f->first; k < f->first + f->count; k++)
            nullable = nullable || mt_jv_leaves_null(plan->start[k]);
        if (nullable)
            plan->nullable[plan->nullable_count++] = i;
        if ((f->section == MT_ICON || f->section == MT_TEAM) && !f->shape.doc)
            plan->strict[plan->strict_count++] = i;
    }
}

/* ---- making and sharing ---- */

static enum mt_rc plan_new(const struct mt_mapping *m, struct mt_plan **out, struct mt_err *err)
{
    struct mt_plan *plan = mt_alloc(sizeof *plan);
    plan->routes = mt_alloc(m->leaf_count * sizeof *plan->routes);
    plan->start = mt_alloc(m->leaf_count * sizeof *plan->start);
    plan->live = mt_alloc(m->leaf_count * sizeof *plan->live);
    plan->foreign = mt_alloc(m->leaf_count * sizeof *plan->foreign);
    plan->nullable = mt_alloc(m->field_count * sizeof *plan->nullable);
    plan->pieces = mt_alloc(m->leaf_count * sizeof *plan->pieces);
    mt_buf_init(&plan->text, (size_t)64 << 20);
    enum mt_rc rc = compile(plan, m, err);
    if (rc == MT_OK) {
        write_text(plan, m);
        list_fields(plan, m);
        if (plan->text.failed)
            rc = mt_fail(err, MT_ENOMEM, "%s, resource %u: the constants are larger than 64 MiB", m->source,
                         m->index);
    }
    if (rc) {
        mt_plan_free(plan);
        return rc;
    }
    *out = plan;
    return MT_OK;
}

void mt_plan_free(struct mt_plan *plan)
{
    if (!plan)
        return;
    mt_program_free(plan->program);
    free(plan->routes);
    free(plan->start);
    free(plan->live);
    free(plan->foreign);
    free(plan->nullable);
    free(plan->pieces);
    mt_buf_fini(&plan->text);
    free(plan);
}

enum mt_rc mt_plan_of(const struct mt_mapping *m, const struct mt_plan **out, struct mt_err *err)
{
    struct mt_shared *shared = m->shared;
    enum mt_rc rc = MT_OK;
    pthread_mutex_lock(&shared->lock);
    if (!shared->plan)
        rc = plan_new(m, &shared->plan, err);
    if (rc == MT_OK)
        *out = shared->plan;
    pthread_mutex_unlock(&shared->lock);
    return rc;
}
