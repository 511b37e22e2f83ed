/* Is the absence of an entity proven? Architecture 3.4.1: only when every resource that could have produced
 * it ended normally. On the resync thread, after the last resource. */
#include <stdlib.h>

#include "base/memory.h"
#include "sync/session.h"

/* Does a scope that failed cover a recorded one? "a" covers "a" and "a/b"; "" covers everything. */
static bool covers(const char *failed, struct mt_slice recorded)
{
    size_t n = strlen(failed);
    return n == 0 || (recorded.n >= n && memcmp(recorded.p, failed, n) == 0 &&
                      (recorded.n == n || recorded.p[n] == '/'));
}

struct pairs {
    struct mt_session *s;
    bool *recorded;      /* one a resource: the entity has a pair with it */
    const char **reason; /* one a resource: a failed scope covers one of its pairs */
};

static void note_pair(void *ud, struct mt_slice resource, struct mt_slice scope)
{
    struct pairs *p = ud;
    for (unsigned i = 0; i < p->s->resource_count; i++) {
        struct mt_resource *r = &p->s->resources[i];
        if (!mt_slice_is(resource, r->name))
            continue;
        p->recorded[i] = true;
        for (size_t u = 0; u < r->unproven_count && !p->reason[i]; u++)
            if (covers(r->unproven[u].scope, scope))
                p->reason[i] = r->unproven[u].reason;
    }
}

/* Why this resource does not prove it; NULL: it does. */
static const char *missing_from(const struct mt_resource *r, bool recorded, const char *reason_of_pairs)
{
    if (!r->ran)
        return r->wanted ? "a resource that could have produced it did not run"
                         : "--kind left out a resource that could have produced it";
    for (size_t u = 0; u < r->unproven_count; u++)
        if (!r->unproven[u].scope[0])
            return r->unproven[u].reason;
    if (!r->unproven_count)
        return NULL;
    /* Some scopes failed: only a record tells whether this entity belongs to one of them. */
    return recorded ? reason_of_pairs : r->unproven[0].reason;
}

const char *mt_completeness_missing(struct mt_session *s, struct mt_slice blueprint, const struct mt_key *key)
{
    if (s->hook_fault)
        return s->hook_fault;
    if (s->options->limit)
        return "--limit deletes nothing";
    unsigned n = s->resource_count;
    const char *missing = NULL;
    bool *recorded = mt_alloc(n + 1), *could = mt_alloc(n + 1);
    const char **reasons = mt_alloc((n + (size_t)1) * sizeof *reasons);
    struct pairs pairs = {s, recorded, reasons};
    struct mt_err err;
    if (mt_state_pairs(s->state, key, note_pair, &pairs, &err) != MT_OK || mt_state_is_partial(s->state)) {
        /* Without the record, or with one that may lack a pair, every resource could have. */
        memset(recorded, 0, n);
    }
    bool dynamic_record = false, any = false;
    for (unsigned i = 0; i < n; i++)
        dynamic_record |= recorded[i] && !mt_mapping_blueprint(s->resources[i].mapping).p;
    for (unsigned i = 0; i < n; i++) {
        struct mt_slice constant = mt_mapping_blueprint(s->resources[i].mapping);
        could[i] = constant.p ? mt_slice_eq(constant, blueprint)
                              : recorded[i] || !dynamic_record || atomic_load(&s->resources[i].search_failed);
        any |= could[i];
    }
    for (unsigned i = 0; i < n && !missing; i++)
        if (could[i] || !any)
            missing = missing_from(&s->resources[i], recorded[i], reasons[i]);
    free(reasons);
    free(recorded);
    free(could);
    return missing;
}
