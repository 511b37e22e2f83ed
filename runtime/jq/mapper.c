/* A mapping on one thread, and the evaluation of its expressions: see mapper.h. */
#include "jq/mapper.h"

#include <stdlib.h>

#include "base/memory.h"
#include "jq/engine.h"

enum { ENTITY_MAX = 256 << 20 };

enum mt_rc mt_mapper_new(const struct mt_mapping *m, struct mt_mapper **out, struct mt_err *err)
{
    const struct mt_plan *plan;
    enum mt_rc rc = mt_plan_of(m, &plan, err);
    if (rc)
        return rc;
    struct mt_mapper *r = mt_alloc(sizeof *r);
    r->mapping = m;
    r->plan = plan;
    r->states.values = mt_alloc(m->leaf_count * sizeof *r->states.values);
    r->states.outcomes = mt_alloc(m->leaf_count);
    r->states.messages = mt_alloc(m->leaf_count * sizeof *r->states.messages);
    r->empty = mt_alloc((m->field_count + (size_t)1) * sizeof *r->empty);
    memcpy(r->states.values, plan->start, m->leaf_count * sizeof *plan->start);
    mt_buf_init(&r->json, ENTITY_MAX);
    mt_buf_init(&r->identifier, ENTITY_MAX);
    mt_buf_init(&r->blueprint, ENTITY_MAX);
    if (plan->program) {
        struct mt_machine_limits limits = mt_engine_limits();
        r->machine = mt_machine_new(plan->program, &limits);
        mt_machine_keep(r->machine, r->states.values, m->leaf_count);
    }
    unsigned fields = plan->foreign_count - plan->foreign_items;
    if (fields)
        rc = mt_oracle_new(m, plan->foreign, fields, &r->fields, err);
    if (rc == MT_OK && plan->foreign_items)
        rc = mt_oracle_new(m, plan->foreign + fields, plan->foreign_items, &r->expand, err);
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
    mt_machine_free(r->machine);
    mt_oracle_free(r->fields);
    mt_oracle_free(r->expand);
    mt_buf_fini(&r->json);
    mt_buf_fini(&r->identifier);
    mt_buf_fini(&r->blueprint);
    free(r->states.values);
    free(r->states.outcomes);
    free(r->states.messages);
    free(r->empty);
    free(r);
}

bool mt_mapper_names(const struct mt_mapper *r, struct mt_slice **names, size_t *count)
{
    struct mt_slice name;
    if (r->plan->foreign_count)
        return false;
    if (!r->plan->program) /* file:// and search:// alone: nothing is read */
        return true;
    for (unsigned i = 0; (name = mt_program_name(r->plan->program, i)).p; i++) {
        if ((*count & (*count - 1)) == 0)
            *names = mt_realloc(*names, (*count ? *count * 2 : 1) * sizeof **names);
        (*names)[(*count)++] = name;
    }
    return true;
}

/* Of a field only the first cause in a batch is told (R-JQ-05), but where the item fails by it. */
static bool told(const struct mt_mapper *r, unsigned leaf)
{
    uint32_t field = r->mapping->leaves[leaf].field;
    return field == MT_NO_FIELD || field == 0 || field == r->mapping->blueprint_field || !r->empty[field];
}

static void run_leaf(struct mt_mapper *r, unsigned leaf)
{
    struct mt_route route = r->plan->routes[leaf];
    struct mt_jv *value = &r->states.values[leaf];
    enum mt_outcome outcome = MT_GAVE_VALUE;
    if (route.way == MT_BY_SLOT)
        outcome = mt_machine_slot(r->machine, route.at, value);
    else if (route.way == MT_BY_ENTRY)
        outcome = mt_machine_first(r->machine, route.at, value);
    r->states.outcomes[leaf] = (uint8_t)outcome;
    if (outcome == MT_GAVE_VALUE)
        return;
    *value = mt_jv_null();
    if (outcome == MT_RAISED && told(r, leaf))
        mt_machine_error(r->machine, r->states.messages[leaf]);
}

static enum mt_selected decide(const struct mt_mapper *r)
{
    switch (r->states.values[MT_SELECTOR].tag) {
    case MT_JV_TRUE:
        return MT_SELECTED;
    case MT_JV_FALSE:
        return MT_REJECTED;
    default:
        return MT_UNDECIDED;
    }
}

/* Also drops the values of the item before: what they were held by is gone. */
static void begin(struct mt_mapper *r, struct mt_val item)
{
    memcpy(r->states.values, r->plan->start, r->mapping->leaf_count * sizeof *r->plan->start);
    if (r->machine)
        mt_machine_begin(r->machine, item);
}

enum mt_rc mt_mapper_evaluate(struct mt_mapper *r, struct mt_val item, enum mt_selected *out,
                              struct mt_err *err)
{
    const struct mt_plan *plan = r->plan;
    begin(r, item);
    if (plan->routes[MT_SELECTOR].way != MT_BY_LIBJQ) {
        run_leaf(r, MT_SELECTOR);
        *out = decide(r);
        if (*out == MT_REJECTED)
            return MT_OK;
    }
    if (r->fields) {
        enum mt_rc rc = mt_oracle_run(r->fields, item, &r->states, err);
        if (rc)
            return rc;
        *out = decide(r);
        if (*out == MT_REJECTED)
            return MT_OK;
    }
    for (unsigned i = 0; i < plan->live_count; i++)
        run_leaf(r, plan->live[i]);
    return MT_OK;
}

enum mt_rc mt_mapper_expand(struct mt_mapper *r, struct mt_val item, struct mt_err *err)
{
    const struct mt_mapping *m = r->mapping;
    begin(r, item);
    r->out_of_limits = false;
    if (r->expand) {
        enum mt_rc rc = mt_oracle_run(r->expand, item, &r->states, err);
        if (rc)
            return rc;
    }
    if (r->plan->routes[m->items].way != MT_BY_LIBJQ)
        run_leaf(r, m->items);
    if (m->remove && r->plan->routes[m->remove].way != MT_BY_LIBJQ) {
        run_leaf(r, m->remove);
        r->out_of_limits =
            r->states.outcomes[m->remove] == MT_RAISED && mt_jv_is_none(mt_machine_error_value(r->machine));
    }
    return MT_OK;
}
