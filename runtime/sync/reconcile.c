/* Reconciliation: refused entities get their second chance, then what we own and did not produce is deleted
 * where its absence is proven (architecture 3.4.1, R-REC). On the resync thread.
 *
 * The ownership listing is read page by page against the set of produced keys; only candidates are kept, as
 * one block of text each. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "sync/failed.h"
#include "sync/order.h"
#include "sync/session.h"

enum { BODY_MAX = 64 * 1024 * 1024, TOKEN_MAX = 64 * 1024 };

/* An owned entity whose absence is proven. text: blueprint, NUL, identifier, NUL, then what it relates to:
 * relation, NUL, identifier, NUL each. */
struct candidate {
    char *text;
    uint32_t length;
    uint32_t blueprint_length;
    uint32_t level; /* of the order of deletion; 0 first */
    bool alone;     /* without its dependents: one of them is kept */
};

/* Withheld deletes of one blueprint for one reason. */
struct withheld {
    char *blueprint, *reason;
    uint64_t count;
};

struct reconciliation {
    struct mt_session *s;
    struct candidate *candidates;
    size_t count, room;
    struct withheld *withheld;
    size_t withheld_count;
    struct withheld *orphans; /* deleted, and of no kind's line; under the session's lock */
    size_t orphan_count;
    uint64_t listed_only; /* listed and not produced */
    uint64_t deleted;
    bool failed;
};

static struct mt_slice blueprint_of(const struct candidate *c)
{
    return (struct mt_slice){c->text, c->blueprint_length};
}

static struct mt_slice identifier_of(const struct candidate *c)
{
    return mt_slice_of(c->text + c->blueprint_length + 1);
}

/* The report line of a blueprint's kind: the first resource that writes it, one that ran before one that did
 * not; else the first that may. */
static struct mt_kind_report *report_of(struct mt_session *s, struct mt_slice blueprint)
{
    struct mt_kind_report *constant = NULL, *dynamic = NULL;
    for (unsigned i = 0; i < s->resource_count; i++) {
        const struct mt_resource *r = &s->resources[i];
        struct mt_slice name = mt_mapping_blueprint(r->mapping);
        if (name.p && mt_slice_eq(name, blueprint) && (!constant || (r->ran && !constant->ran)))
            constant = r->report;
        else if (!name.p && r->ran && !dynamic)
            dynamic = r->report;
    }
    return constant ? constant : dynamic;
}

static void count_into(struct withheld **list, size_t *count, struct mt_slice blueprint, const char *reason,
                       uint64_t n)
{
    for (size_t i = 0; i < *count; i++) {
        struct withheld *w = &(*list)[i];
        if (mt_slice_is(blueprint, w->blueprint) && strcmp(w->reason, reason) == 0) {
            w->count += n;
            return;
        }
    }
    *list = mt_realloc(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = (struct withheld){mt_slice_dup(blueprint), mt_strdup(reason), n};
}

static void withhold(struct reconciliation *r, struct mt_slice blueprint, struct mt_slice identifier,
                     const char *reason)
{
    struct mt_kind_report *report = report_of(r->s, blueprint);
    if (report)
        atomic_fetch_add(&report->withheld, 1);
    mt_log(MT_DEBUG, "%.*s/%.*s is kept: %s", MT_FMT(blueprint), MT_FMT(identifier), reason);
    count_into(&r->withheld, &r->withheld_count, blueprint, reason, 1);
}

static void put_targets(struct mt_buf *text, struct mt_slice relation, struct mt_val value)
{
    struct mt_slice name;
    struct mt_val element;
    if (mt_val_is(value, MT_ARRAY)) {
        for (struct mt_iter it = mt_iter_of(value); mt_iter_next(&it, &name, &element);)
            put_targets(text, relation, element);
    } else if (mt_val_is(value, MT_STRING)) {
        struct mt_slice target = mt_val_string(value);
        if (memchr(relation.p, '\0', relation.n) || memchr(target.p, '\0', target.n))
            return; /* they are kept as terminated text */
        mt_buf_put(text, relation);
        mt_buf_putc(text, '\0');
        mt_buf_put(text, target);
        mt_buf_putc(text, '\0');
    }
}

static void add_candidate(struct reconciliation *r, struct mt_slice blueprint, struct mt_slice identifier,
                          struct mt_val entity)
{
    struct mt_buf text;
    struct mt_val relations, value;
    struct mt_slice name;
    mt_buf_init(&text, BODY_MAX);
    mt_buf_put(&text, blueprint);
    mt_buf_putc(&text, '\0');
    mt_buf_put(&text, identifier);
    mt_buf_putc(&text, '\0');
    if (mt_val_member(entity, MT_SLICE("relations"), &relations))
        for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &value);)
            put_targets(&text, name, value);
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 256;
        r->candidates = mt_realloc(r->candidates, r->room * sizeof *r->candidates);
    }
    size_t length;
    char *block = mt_buf_take(&text, &length);
    r->candidates[r->count++] = (struct candidate){
        .text = block, .length = (uint32_t)length, .blueprint_length = (uint32_t)blueprint.n};
}

static void look_at(struct reconciliation *r, struct mt_val entity)
{
    struct mt_val b, id;
    struct mt_buf text;
    if (!mt_val_member(entity, MT_SLICE("blueprint"), &b) ||
        !mt_val_member(entity, MT_SLICE("identifier"), &id) || !mt_val_is(b, MT_STRING))
        return;
    mt_buf_init(&text, BODY_MAX);
    struct mt_slice identifier = mt_val_string(id), blueprint = mt_val_string(b);
    if (mt_val_is(id, MT_NUMBER) && mt_val_write(id, &text))
        identifier = mt_buf_slice(&text);  /* R-DIFF-05 */
    mt_session_blueprint(r->s, blueprint); /* its relations tell what is protected */
    struct mt_key key = mt_entity_key(blueprint, identifier);
    if (!mt_keyset_find(r->s->produced, &key, NULL)) {
        const char *missing = mt_completeness_missing(r->s, blueprint, &key);
        r->listed_only++;
        if (memchr(identifier.p, '\0', identifier.n) || memchr(blueprint.p, '\0', blueprint.n))
            missing = "its identifier holds a NUL character"; /* candidates are kept as terminated text */
        if (missing) {
            withhold(r, blueprint, identifier, missing);
            mt_protect_targets(r->s, blueprint, entity); /* what is kept may not go as a dependent */
        } else {
            add_candidate(r, blueprint, identifier, entity);
        }
    } else { /* unchanged or refused: Port's copy may relate to more than what is mapped */
        mt_protect_targets(r->s, blueprint, entity);
    }
    mt_buf_fini(&text);
}

/* All that this integration owns and did not touch since the resync began (A-ENT-23, R-REC-02). */
static bool list_owned(struct reconciliation *r)
{
    struct mt_session *s = r->s;
    struct mt_buf token;
    struct mt_err err;
    bool more = true, ok = true;
    mt_buf_init(&token, TOKEN_MAX);
    while (more && ok) {
        struct mt_doc *page = NULL;
        struct mt_val list, entity, next;
        ok = mt_entities_owned(s->port, mt_config_type(s->config), mt_config_identifier(s->config), s->before,
                               token.n ? mt_buf_slice(&token) : (struct mt_slice){0}, &page, &err) == MT_OK;
        if (!ok) {
            if (err.rc != MT_ECANCELED)
                mt_session_error(
                    s, NULL,
                    "could not list the entities that this integration owns, so nothing is deleted: %s",
                    err.text);
            break;
        }
        mt_val_member(mt_doc_root(page), MT_SLICE("entities"), &list);
        for (uint32_t i = 0; mt_val_index(list, i, &entity); i++)
            look_at(r, entity);
        more = mt_val_member(mt_doc_root(page), MT_SLICE("next"), &next) && mt_val_is(next, MT_STRING) &&
               mt_val_string(next).n > 0;
        if (more && mt_slice_eq(mt_val_string(next), mt_buf_slice(&token))) {
            mt_session_error(s, NULL,
                             "Port's listing of owned entities repeats a page, so nothing is deleted");
            ok = false;
        }
        mt_buf_clear(&token);
        if (more && !mt_buf_put(&token, mt_val_string(next))) {
            mt_session_error(
                s, NULL,
                "Port's listing of owned entities gave a token of more than %d bytes, so nothing is deleted",
                TOKEN_MAX);
            ok = false;
        }
        mt_doc_unref(page);
    }
    mt_buf_fini(&token);
    return ok;
}

static void drop_candidate(struct reconciliation *r, size_t i, const char *reason)
{
    struct candidate *c = &r->candidates[i];
    withhold(r, blueprint_of(c), identifier_of(c), reason);
    free(c->text);
    c->text = NULL;
}

static void close_gaps(struct reconciliation *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->candidates[i].text)
            r->candidates[n++] = r->candidates[i];
    r->count = n;
}

/* R-REC-04, inclusive; the base is listed and produced together, so that a mass update does not make one
 * stale entity a rate of 1 (R-REC-06). */
static void apply_threshold(struct reconciliation *r)
{
    double base = (double)(mt_keyset_count(r->s->produced) + r->listed_only);
    double threshold = r->s->mapping->deletion_threshold, rate = base > 0 ? (double)r->count / base : 0;
    if (!r->count || (threshold > 0 && rate <= threshold))
        return;
    char *reason = mt_format("deleting %zu of %.0f entities would pass entityDeletionThreshold %g", r->count,
                             base, threshold);
    for (size_t i = 0; i < r->count; i++)
        drop_candidate(r, i, reason);
    free(reason);
    close_gaps(r);
}

/* The next of what a candidate relates to; at begins with 0. */
static bool next_relation(const struct candidate *c, size_t *at, struct mt_slice *out_relation,
                          struct mt_slice *out_target)
{
    if (!*at)
        *at = c->blueprint_length + 1 + identifier_of(c).n + 1;
    if (*at >= c->length)
        return false;
    *out_relation = mt_slice_of(c->text + *at);
    *out_target = mt_slice_of(c->text + *at + out_relation->n + 1);
    *at += out_relation->n + 1 + out_target->n + 1;
    return true;
}

static void keep_related(struct reconciliation *r, const struct candidate *c)
{
    struct mt_slice relation, target;
    for (size_t at = 0; next_relation(c, &at, &relation, &target);)
        mt_protect_target(r->s, blueprint_of(c), relation, target);
}

static void apply_protection(struct reconciliation *r)
{
    struct mt_err err;
    if (!r->count)
        return;
    struct mt_protection *protection = mt_protection_new(r->s, &err);
    if (!protection && err.rc != MT_ECANCELED)
        mt_session_error(
            r->s, NULL,
            "could not read the blueprints that protect relation targets, so nothing is deleted: %s",
            err.text);
    for (size_t i = 0; !protection && i < r->count; i++)
        drop_candidate(r, i, "the blueprints that protect relation targets could not be read");
    for (bool again = protection; again;) {
        again = false;
        for (size_t i = 0; i < r->count; i++) {
            struct candidate *c = &r->candidates[i];
            if (!c->text || c->alone || !mt_protection_holds(protection, blueprint_of(c), identifier_of(c)))
                continue;
            c->alone = !r->s->mapping->create_missing; /* then R-REC-08 lets it go, but only it */
            if (c->alone)
                continue;
            again = true; /* it is kept: so is what it relates to */
            keep_related(r, c);
            drop_candidate(r, i, "an entity that is kept relates to it");
        }
    }
    close_gaps(r);
    if (protection)
        mt_protection_free(protection);
}

/* ---- order ---- */

struct place {
    struct mt_slice identifier;
    uint32_t at;
};

static int by_identifier(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    size_t n = x->identifier.n < y->identifier.n ? x->identifier.n : y->identifier.n;
    int c = n ? memcmp(x->identifier.p, y->identifier.p, n) : 0;
    return c ? c : x->identifier.n < y->identifier.n ? -1 : x->identifier.n > y->identifier.n;
}

/* Dependants go before what they point at (the flaw of R-REC-12); a cycle shares a level (R-REC-13). */
static void order_candidates(struct reconciliation *r)
{
    uint32_t n = (uint32_t)r->count, edges = 0, room = 256;
    struct place *places = mt_alloc(n * sizeof *places);
    uint32_t *start = mt_alloc((n + (size_t)1) * sizeof *start), *to = mt_alloc(room * sizeof *to);
    uint32_t *level = mt_alloc(n * sizeof *level), *component = mt_alloc(n * sizeof *component),
             *size = mt_alloc(n * sizeof *size);
    for (uint32_t i = 0; i < n; i++)
        places[i] = (struct place){identifier_of(&r->candidates[i]), i};
    qsort(places, n, sizeof *places, by_identifier);
    for (uint32_t i = 0; i < n; i++) {
        const struct candidate *c = &r->candidates[i];
        start[i] = edges;
        struct place wanted = {0};
        struct mt_slice relation;
        for (size_t at = 0; next_relation(c, &at, &relation, &wanted.identifier);) {
            const struct place *hit = bsearch(&wanted, places, n, sizeof *places, by_identifier);
            if (!hit)
                continue;
            while (hit > places && by_identifier(hit - 1, &wanted) == 0)
                hit--;
            for (; hit < places + n && by_identifier(hit, &wanted) == 0; hit++) {
                if (edges == room)
                    to = mt_realloc(to, (room *= 2) * sizeof *to);
                to[edges++] = hit->at;
            }
        }
    }
    start[n] = edges;
    uint32_t levels = mt_order(&(struct mt_graph){n, start, to}, level, component, size);
    for (uint32_t i = 0; i < n; i++)
        r->candidates[i].level = levels - 1 - level[i];
    free(places);
    free(start);
    free(to);
    free(level);
    free(component);
    free(size);
}

static int by_level(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->alone != y->alone)
        return x->alone ? 1 : -1;
    return strcmp(x->text, y->text);
}

/* ---- deleting ---- */

struct removal {
    struct mt_work work;
    struct reconciliation *r;
    const struct candidate *first;
    size_t count;
};

static void count_deleted(struct reconciliation *r, struct mt_slice blueprint, uint64_t n)
{
    struct mt_kind_report *report = report_of(r->s, blueprint);
    if (report)
        atomic_fetch_add(&report->deleted, n);
    pthread_mutex_lock(&r->s->lock);
    r->deleted += n;
    if (!report && n)
        count_into(&r->orphans, &r->orphan_count, blueprint, "", n);
    pthread_mutex_unlock(&r->s->lock);
}

static void run_removal(struct mt_work *work)
{
    struct removal *w = (struct removal *)work;
    struct mt_session *s = w->r->s;
    struct mt_slice blueprint = blueprint_of(w->first);
    struct mt_buf list;
    struct mt_doc *doc = NULL;
    struct mt_val gone;
    struct mt_err err;
    mt_buf_init(&list, BODY_MAX);
    for (size_t i = 0; i < w->count; i++) {
        mt_buf_putc(&list, i ? ',' : '[');
        mt_buf_put_json_string(&list, identifier_of(&w->first[i]));
    }
    mt_buf_putc(&list, ']');
    enum mt_rc rc =
        atomic_load(&s->canceled)
            ? mt_fail(&err, MT_ECANCELED, "interrupted")
            : mt_entities_delete(s->port, blueprint, s->mapping->delete_dependents && !w->first->alone,
                                 mt_buf_slice(&list), &doc, &err);
    if (rc == MT_OK) {
        /* What Port returned counts (R-REC-14); an identifier that was gone already need not be in it. */
        bool has_list = doc && mt_val_member(mt_doc_root(doc), MT_SLICE("deletedEntities"), &gone);
        count_deleted(w->r, blueprint, has_list ? mt_val_count(gone) : 0);
        for (size_t i = 0; i < w->count; i++) {
            struct mt_key key = mt_entity_key(blueprint, identifier_of(&w->first[i]));
            mt_state_forget(s->state, &key);
            if (s->options->changes)
                mt_plan_delete(s, blueprint, identifier_of(&w->first[i]),
                               "not produced by any resource that could have");
        }
    } else if (rc != MT_ECANCELED) {
        mt_session_error(s, NULL, "could not delete %zu entities of blueprint %.*s: %s", w->count,
                         MT_FMT(blueprint), err.text);
        if (rc == MT_ENET || (rc == MT_EHTTP && (err.status == 429 || err.status > 500)))
            mt_session_stop(s, err.text); /* else each bulk would wait out the retry deadline */
    }
    mt_doc_unref(doc);
    mt_buf_fini(&list);
    free(w);
}

static void delete_candidates(struct reconciliation *r)
{
    struct mt_session *s = r->s;
    size_t most = (size_t)mt_config_int(s->config, "delete_entities_max_batch_size");
    if (most == 0 || most > MT_BULK_DELETES)
        most = MT_BULK_DELETES;
    if (!r->count)
        return;
    /* Also when Port would take dependents along: what goes with another is not in Port's answer. */
    order_candidates(r);
    qsort(r->candidates, r->count, sizeof *r->candidates, by_level);
    for (size_t from = 0; from < r->count;) {
        const struct candidate *first = &r->candidates[from];
        size_t n = 1;
        while (from + n < r->count && n < most && r->candidates[from + n].level == first->level &&
               r->candidates[from + n].alone == first->alone &&
               mt_slice_eq(blueprint_of(&r->candidates[from + n]), blueprint_of(first)))
            n++;
        if (from && r->candidates[from - 1].level != first->level)
            mt_appliers_wait_idle(s->appliers);
        struct removal *w = mt_alloc(sizeof *w);
        *w = (struct removal){{run_removal, NULL}, r, first, n};
        mt_appliers_submit(s->appliers, &w->work);
        from += n;
    }
    mt_appliers_wait_idle(s->appliers);
}

static void report_withheld(struct reconciliation *r)
{
    for (size_t i = 0; i < r->withheld_count; i++) {
        struct withheld *w = &r->withheld[i];
        mt_report_withheld(r->s->report, w->blueprint, w->count, w->reason);
        /* A resync that follows a save leaves out kinds by itself: nothing that anybody has to look at. */
        mt_log(r->s->options->changes && !r->s->options->plan ? MT_DEBUG : MT_WARN,
               "%llu entities of blueprint %s are kept although they were not produced: %s",
               (unsigned long long)w->count, w->blueprint, w->reason);
        free(w->blueprint);
        free(w->reason);
    }
    free(r->withheld);
    for (size_t i = 0; i < r->orphan_count; i++) {
        struct withheld *w = &r->orphans[i];
        if (!r->s->options->plan)
            mt_log(MT_WARN,
                   "%llu entities of blueprint %s were deleted, which no resource of the mapping makes",
                   (unsigned long long)w->count, w->blueprint);
        free(w->blueprint);
        free(w->reason);
    }
    free(r->orphans);
}

/* Pairs of the record that this run has disproved go; what did not end normally keeps them. */
static void forget_stale_pairs(struct mt_session *s)
{
    struct mt_err err;
    bool all = true;
    for (unsigned i = 0; i < s->resource_count; i++) {
        struct mt_resource *r = &s->resources[i];
        const char **keep = mt_alloc((r->unproven_count + 1) * sizeof *keep);
        bool whole = r->ran && !s->hook_fault && !s->options->limit;
        for (size_t u = 0; u < r->unproven_count; u++) {
            keep[u] = r->unproven[u].scope;
            whole &= r->unproven[u].scope[0] != '\0';
        }
        if (whole && mt_state_forget_stale(s->state, r->name, keep, &err) != MT_OK)
            mt_log(MT_WARN, "the record of what produced what could not be cleaned: %s", err.text);
        all &= whole && r->unproven_count == 0 && !atomic_load(&r->search_failed);
        free(keep);
    }
    if (mt_state_settle(s->state, all, &err) != MT_OK)
        mt_log(MT_WARN, "the record of what produced what could not be completed: %s", err.text);
}

bool mt_reconcile(struct mt_session *s)
{
    struct reconciliation r = {.s = s};
    struct mt_err err;
    uint64_t started = mt_now_ns();
    mt_metrics_reconciliation(s, "syncing", 0, 0, false);
    if (!s->options->plan)
        mt_failed_retry(s);
    bool ok = !atomic_load(&s->canceled);
    if (ok && !s->options->plan && mt_state_flush(s->state, &err) != MT_OK)
        mt_session_record_broken(s, &err);
    ok = ok && list_owned(&r);
    if (ok) {
        apply_threshold(&r);
        apply_protection(&r);
        for (size_t i = 0; s->options->plan && i < r.count; i++) {
            struct mt_slice blueprint = blueprint_of(&r.candidates[i]);
            mt_plan_delete(s, blueprint, identifier_of(&r.candidates[i]),
                           "not produced by any resource that could have");
            count_deleted(&r, blueprint, 1);
        }
        if (!s->options->plan)
            delete_candidates(&r);
        if (!s->options->plan && !atomic_load(&s->canceled))
            forget_stale_pairs(s);
    }
    for (size_t i = 0; i < r.count; i++)
        free(r.candidates[i].text);
    free(r.candidates);
    report_withheld(&r);
    mt_report_deleted(s->report, r.deleted);
    s->waited_port += (double)(mt_now_ns() - started) / 1e9;
    bool aborted = atomic_load(&s->aborted);
    if (aborted)
        mt_port_ignore_cancel(s->port); /* what follows are last words */
    ok = ok && !atomic_load(&s->canceled);
    mt_metrics_reconciliation(s,
                              aborted ? "aborted"
                              : ok    ? "completed"
                                      : "failed",
                              (double)(mt_now_ns() - started) / 1e9, r.deleted, ok);
    return ok;
}
