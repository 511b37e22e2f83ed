/* Protection of relation targets (R-REC-08, R-REC-09): what a kept entity points at is not deleted while
 * createMissingRelatedEntities is on, and never with its dependents: delete_dependents would take along the
 * kept one, whose absence nobody has proven. Kept is what was produced, and what is withheld.
 *
 * Appliers note (source blueprint, relation, target identifier) as keys: which blueprint a relation leads to
 * is only looked up when there is something to delete. Past a number of keys they lie in the state file. */
#include <stdlib.h>

#include "base/memory.h"
#include "port/resources.h"
#include "sync/session.h"

enum { IN_MEMORY = 200 * 1000 };

static struct mt_key target_key(struct mt_slice blueprint, struct mt_slice relation,
                                struct mt_slice identifier)
{
    struct mt_slice parts[] = {blueprint, relation, identifier};
    return mt_key_of(parts, 3);
}

static void note_text(struct mt_session *s, struct mt_slice blueprint, struct mt_slice relation,
                      struct mt_slice text)
{
    struct mt_key key = target_key(blueprint, relation, text);
    pthread_mutex_lock(&s->lock);
    bool spill = mt_keyset_count(s->targets) >= IN_MEMORY && !mt_keyset_find(s->targets, &key, NULL);
    if (!spill)
        mt_keyset_add(s->targets, &key, 0);
    pthread_mutex_unlock(&s->lock);
    if (!spill || mt_state_spill(s->state, "targets", (struct mt_slice){(const char *)key.b, sizeof key.b},
                                 MT_SLICE(""), NULL) == MT_OK)
        return;
    pthread_mutex_lock(&s->lock);
    mt_keyset_add(s->targets, &key, 0);
    pthread_mutex_unlock(&s->lock);
}

static void note(struct mt_session *s, struct mt_slice blueprint, struct mt_slice relation,
                 struct mt_val target)
{
    struct mt_slice name, text = {0};
    struct mt_val element;
    if (mt_val_is(target, MT_ARRAY)) {
        for (struct mt_iter it = mt_iter_of(target); mt_iter_next(&it, &name, &element);)
            note(s, blueprint, relation, element);
        return;
    }
    if (mt_val_is(target, MT_STRING))
        text = mt_val_string(target);
    else if (mt_val_is(target, MT_NUMBER))
        text = mt_val_literal(target);
    else
        return; /* null and queries protect nothing (R-REC-09) */
    note_text(s, blueprint, relation, text);
}

static bool is_on(const struct mt_session *s)
{
    return s->mapping->create_missing || s->mapping->delete_dependents;
}

void mt_protect_targets(struct mt_session *s, struct mt_slice blueprint, struct mt_val entity)
{
    struct mt_val relations, target;
    struct mt_slice name;
    if (!is_on(s) || !mt_val_member(entity, MT_SLICE("relations"), &relations))
        return;
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &target);)
        note(s, blueprint, name, target);
}

void mt_protect_target(struct mt_session *s, struct mt_slice blueprint, struct mt_slice relation,
                       struct mt_slice target)
{
    note_text(s, blueprint, relation, target);
}

/* A relation of a blueprint that this mapping writes, or that has entities which are kept. */
struct relation {
    char *source, *name, *target;
};

struct mt_protection {
    struct mt_session *s;
    struct relation *relations;
    size_t count;
};

static void add_relations(struct mt_protection *p, const char *source, struct mt_doc *doc)
{
    struct mt_val relations, relation, target;
    struct mt_slice name;
    if (!mt_val_path(mt_doc_root(doc), "blueprint.relations", &relations))
        return;
    for (struct mt_iter it = mt_iter_of(relations); mt_iter_next(&it, &name, &relation);) {
        if (!mt_val_member(relation, MT_SLICE("target"), &target))
            continue;
        p->relations = mt_realloc(p->relations, (p->count + 1) * sizeof *p->relations);
        p->relations[p->count++] =
            (struct relation){mt_strdup(source), mt_slice_dup(name), mt_slice_dup(mt_val_string(target))};
    }
}

struct mt_protection *mt_protection_new(struct mt_session *s, struct mt_err *err)
{
    struct mt_protection *p = mt_alloc(sizeof *p);
    p->s = s;
    if (!is_on(s))
        return p;
    for (unsigned i = 0; i < s->blueprint_count; i++) {
        struct mt_doc *doc = NULL;
        enum mt_rc rc = mt_blueprint_get(s->port, mt_slice_of(s->blueprints[i]), &doc, err);
        if (rc == MT_EHTTP && err->status == 404)
            continue; /* then nothing of it was written either */
        if (rc != MT_OK) {
            mt_protection_free(p);
            return NULL;
        }
        add_relations(p, s->blueprints[i], doc);
        mt_doc_unref(doc);
    }
    return p;
}

bool mt_protection_holds(struct mt_protection *p, struct mt_slice blueprint, struct mt_slice identifier)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct relation *r = &p->relations[i];
        if (!mt_slice_is(blueprint, r->target))
            continue;
        struct mt_key key = target_key(mt_slice_of(r->source), mt_slice_of(r->name), identifier);
        if (mt_keyset_find(p->s->targets, &key, NULL))
            return true;
        /* A list that cannot be read may hold it. */
        if (mt_keyset_count(p->s->targets) >= IN_MEMORY &&
            mt_state_spilled_value(p->s->state, "targets",
                                   (struct mt_slice){(const char *)key.b, sizeof key.b}, NULL,
                                   NULL) != MT_ENOENT)
            return true;
    }
    return false;
}

void mt_protection_free(struct mt_protection *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->relations[i].source);
        free(p->relations[i].name);
        free(p->relations[i].target);
    }
    free(p->relations);
    free(p);
}
