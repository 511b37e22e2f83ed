/* Upserting entities: see entity.h. Reading is in row.c, deleting in removal.c.
 *
 * An entity is checked whole before anything of it is written, so a refused one leaves nothing behind. */
#include "catalog/entity.h"

#include "base/memory.h"
#include "catalog/search.h"

enum { TEXT_MAX = 32 * 1024 * 1024, MATCHES_MAX = 10000 };

static const struct mt_slice team_blueprint = {"_team", 5}; /* where a search team looks */

/* Upserting: what the request says ---------------------------------------------------------------- */

struct work {
    struct mt_cat_store *s;
    const struct mt_cat_upsert *o;
    const struct mt_cat_blueprint *b;
    struct mt_cat_outcome *out;
    struct mt_val title, icon, team, properties, relations; /* as sent; no value: not mentioned */
    bool exists;
    struct mt_cat_row old;                         /* of MT_CAT_ROW_CURRENT */
    struct mt_doc *old_properties, *old_relations; /* parsed when they are needed */
    struct mt_doc *resolved;                       /* relations, with search queries answered */
    struct mt_buf team_text, properties_text, relations_text;
};

struct matches {
    struct mt_builder *list; /* NULL: just count, and keep the first */
    struct mt_buf *first;
    uint32_t count;
};

static bool on_match(void *ud, const struct mt_cat_row *row)
{
    struct matches *m = ud;
    if (m->list)
        mt_build_string(m->list, row->identifier);
    if (m->count++ == 0 && m->first) {
        mt_buf_clear(m->first);
        mt_buf_put(m->first, row->identifier);
    }
    return m->list ? m->count < MATCHES_MAX : m->count < 2;
}

static bool read_identifier(struct work *w, struct mt_val v)
{
    struct mt_buf *text = &w->out->identifier;
    int64_t number;
    switch (mt_val_kind(v)) {
    case MT_STRING:
        mt_buf_put(text, mt_cat_cut(mt_val_string(v)));
        if (!mt_cat_identifier_check(mt_val_string(v), "identifier", &w->out->why))
            return false;
        mt_buf_clear(text);
        return mt_buf_put(text, mt_val_string(v));
    case MT_NUMBER:
        if (mt_val_int64(v, &number))
            return mt_buf_printf(text, "%lld", (long long)number);
        mt_buf_put(text, mt_cat_cut(mt_val_literal(v)));
        return mt_cat_identifier_check(mt_val_literal(v), "identifier", &w->out->why);
    case MT_OBJECT: {
        struct matches m = {.first = text};
        if (!mt_cat_search(w->s, v, w->b->identifier, on_match, &m, &w->out->why))
            return false;
        if (m.count > 1) {
            mt_buf_clear(text);
            return mt_cat_invalid(&w->out->why,
                                  "the search query of the identifier matches more than one entity of "
                                  "blueprint \"%.*s\"; it must match one",
                                  MT_CUT(w->b->identifier));
        }
        w->out->unknown = m.count == 0;
        if (!m.count)
            return mt_cat_refuse(&w->out->why, 404, "not_found",
                                 "the search query of the identifier matches no entity of blueprint \"%.*s\"",
                                 MT_CUT(w->b->identifier));
        return true;
    }
    default:
        return mt_cat_invalid(&w->out->why, "identifier must be text, a number or a search query");
    }
}

static bool read_members(struct work *w, struct mt_val entity)
{
    struct mt_cat_refusal *why = &w->out->why;
    struct mt_slice name;
    struct mt_val v;
    if (!mt_val_is(entity, MT_OBJECT))
        return mt_cat_invalid(why, "an entity must be an object");
    if (!mt_val_member(entity, MT_SLICE("identifier"), &v))
        return mt_cat_invalid(why, "the entity has no identifier");
    if (!read_identifier(w, v)) /* first: what else is refused is then told with it */
        return false;
    for (struct mt_iter it = mt_iter_of(entity); mt_iter_next(&it, &name, &v);) {
        bool null = mt_val_is(v, MT_NULL);
        if (mt_slice_is(name, "identifier"))
            continue;
        if (mt_slice_is(name, "blueprint")) {
            if (!null && !mt_slice_eq(mt_val_string(v), w->b->identifier))
                return mt_cat_invalid(why, "blueprint is \"%.*s\", but the address names \"%.*s\"",
                                      MT_CUT(mt_val_string(v)), MT_CUT(w->b->identifier));
        } else if (mt_slice_is(name, "title") || mt_slice_is(name, "icon")) {
            if (!null && !mt_val_is(v, MT_STRING))
                return mt_cat_invalid(why, "%.*s must be text", MT_FMT(name));
            *(name.p[0] == 't' ? &w->title : &w->icon) = v;
        } else if (mt_slice_is(name, "team")) {
            w->team = v;
        } else if (mt_slice_is(name, "properties") || mt_slice_is(name, "relations")) {
            if (!null && !mt_val_is(v, MT_OBJECT))
                return mt_cat_invalid(why, "%.*s must be an object", MT_FMT(name));
            if (!null)
                *(name.p[0] == 'p' ? &w->properties : &w->relations) = v;
        } else {
            return mt_cat_invalid(why, "\"%.*s\" is no member of an entity", MT_CUT(name));
        }
    }
    return true;
}

/* Appends what one element of team names; false: refused. */
static bool add_team(struct work *w, struct mt_val v, struct mt_builder *list)
{
    struct matches m = {.list = list};
    if (mt_val_is(v, MT_OBJECT))
        return mt_cat_search(w->s, v, team_blueprint, on_match, &m, &w->out->why);
    if (!mt_val_is(v, MT_STRING))
        return mt_cat_invalid(&w->out->why, "team must be text, a search query, or a list of those");
    mt_build_ref(list, v);
    return true;
}

/* Text stays text (A-SRV-07); a query, also in a list (R-ENT-07), becomes the teams that it finds. */
static bool read_team(struct work *w)
{
    struct mt_slice none;
    struct mt_val v;
    struct mt_doc *doc = NULL;
    bool fine = true;
    if (mt_val_is(w->team, MT_STRING) || mt_val_is(w->team, MT_NULL))
        return mt_val_write(w->team, &w->team_text);
    struct mt_builder *list = mt_builder_new();
    mt_build_array(list);
    if (mt_val_is(w->team, MT_ARRAY))
        for (struct mt_iter it = mt_iter_of(w->team); fine && mt_iter_next(&it, &none, &v);)
            fine = add_team(w, v, list);
    else
        fine = add_team(w, w->team, list);
    mt_build_end(list);
    if (fine && mt_builder_finish(list, &doc, NULL) == MT_OK)
        mt_val_write(mt_doc_root(doc), &w->team_text);
    mt_doc_unref(doc);
    mt_builder_free(list);
    return fine;
}

static bool check_properties(struct work *w)
{
    struct mt_slice name;
    struct mt_val v;
    if (!w->properties.doc)
        return true;
    for (struct mt_iter it = mt_iter_of(w->properties); mt_iter_next(&it, &name, &v);) {
        const struct mt_cat_property *p = mt_cat_blueprint_property(w->b, name);
        if (!p)
            return mt_cat_invalid(&w->out->why, "blueprint \"%.*s\" has no property \"%.*s\"",
                                  MT_CUT(w->b->identifier), MT_CUT(name));
        if (!mt_cat_property_check(p, v, &w->out->why))
            return false;
    }
    return true;
}

/* Answers the query of one relation into the document that is built. */
static bool resolve(struct work *w, const struct mt_cat_relation *r, struct mt_val query,
                    struct mt_builder *build)
{
    struct mt_buf first;
    mt_buf_init(&first, TEXT_MAX);
    struct matches m = {.list = r->many ? build : NULL, .first = &first};
    if (r->many)
        mt_build_array(build);
    bool fine = mt_cat_search(w->s, query, r->target, on_match, &m, &w->out->why);
    if (r->many)
        mt_build_end(build);
    else if (fine && m.count > 1)
        fine = mt_cat_invalid(
            &w->out->why,
            "the search query of relation \"%.*s\" matches more than one entity of blueprint \"%.*s\"; "
            "it must match one",
            MT_CUT(r->name), MT_CUT(r->target));
    else if (m.count)
        mt_build_string(build, mt_buf_slice(&first));
    else
        mt_build_null(build);
    mt_buf_fini(&first);
    return fine;
}

static bool resolve_all(struct work *w)
{
    struct mt_builder *build = mt_builder_new();
    struct mt_slice name;
    struct mt_val v;
    bool fine = true;
    mt_build_object(build);
    for (struct mt_iter it = mt_iter_of(w->relations); fine && mt_iter_next(&it, &name, &v);) {
        mt_build_name(build, name);
        if (mt_val_is(v, MT_OBJECT))
            fine = resolve(w, mt_cat_blueprint_relation(w->b, name), v, build);
        else
            mt_build_ref(build, v);
    }
    mt_build_end(build);
    if (fine && mt_builder_finish(build, &w->resolved, &w->out->why.err) == MT_OK)
        w->relations = mt_doc_root(w->resolved);
    else if (fine)
        fine = mt_cat_refuse(&w->out->why, 413, "payload_too_large",
                             "the relations of the entity are too large");
    mt_builder_free(build);
    return fine;
}

static bool check_relations(struct work *w)
{
    struct mt_cat_refusal *why = &w->out->why;
    struct mt_slice name, none;
    struct mt_val v, one;
    bool queries = false;
    if (!w->relations.doc)
        return true;
    for (struct mt_iter it = mt_iter_of(w->relations); mt_iter_next(&it, &name, &v);) {
        const struct mt_cat_relation *r = mt_cat_blueprint_relation(w->b, name);
        if (!r)
            return mt_cat_invalid(why, "blueprint \"%.*s\" has no relation \"%.*s\"",
                                  MT_CUT(w->b->identifier), MT_CUT(name));
        enum mt_kind kind = mt_val_kind(v);
        queries |= kind == MT_OBJECT;
        if (kind == MT_NULL || kind == MT_OBJECT)
            continue;
        if (kind != (r->many ? MT_ARRAY : MT_STRING))
            return mt_cat_invalid(why, "relation \"%.*s\" must be %s", MT_CUT(name),
                                  r->many ? "a list of identifiers (many is true)"
                                          : "one identifier (many is false)");
        if (kind == MT_STRING && !mt_cat_identifier_check(mt_val_string(v), "the target of a relation", why))
            return false;
        for (struct mt_iter in = mt_iter_of(v); kind == MT_ARRAY && mt_iter_next(&in, &none, &one);) {
            if (!mt_val_is(one, MT_STRING))
                return mt_cat_invalid(
                    why, "relation \"%.*s\": its list holds something that is no identifier", MT_CUT(name));
            if (!mt_cat_identifier_check(mt_val_string(one), "the target of a relation", why))
                return false;
        }
    }
    return !queries || resolve_all(w);
}

/* Upserting: what the entity becomes -------------------------------------------------------------- */

static struct mt_val old_members(struct mt_slice json, struct mt_doc **doc)
{
    if (!*doc && mt_doc_parse_copy(json, NULL, doc, NULL) != MT_OK)
        return (struct mt_val){0};
    return mt_doc_root(*doc);
}

/* Is there a value other than null, sent or kept? */
static bool has_value(struct work *w, struct mt_val sent, struct mt_slice old, struct mt_doc **old_doc,
                      struct mt_slice name)
{
    struct mt_val v;
    if (sent.doc && mt_val_member(sent, name, &v))
        return !mt_val_is(v, MT_NULL);
    return w->exists && w->o->merge && mt_val_member(old_members(old, old_doc), name, &v) &&
           !mt_val_is(v, MT_NULL);
}

static bool check_required(struct work *w)
{
    for (uint32_t i = 0; i < w->b->property_count; i++)
        if (w->b->properties[i].required &&
            !has_value(w, w->properties, w->old.properties, &w->old_properties, w->b->properties[i].name))
            return mt_cat_invalid(&w->out->why, "property \"%.*s\" is required",
                                  MT_CUT(w->b->properties[i].name));
    for (uint32_t i = 0; i < w->b->relation_count; i++)
        if (w->b->relations[i].required &&
            !has_value(w, w->relations, w->old.relations, &w->old_relations, w->b->relations[i].name))
            return mt_cat_invalid(&w->out->why, "relation \"%.*s\" is required",
                                  MT_CUT(w->b->relations[i].name));
    return true;
}

/* A-SRV-09 */
static void merge(struct work *w, struct mt_val sent, struct mt_slice old, struct mt_doc **old_doc,
                  struct mt_buf *out)
{
    struct mt_slice name;
    struct mt_val v, other;
    bool keep = w->exists && w->o->merge, first = true;
    if (!sent.doc) {
        mt_buf_put(out, keep ? old : MT_SLICE("{}"));
        return;
    }
    mt_val_write(sent, out);
    if (!keep || mt_slice_eq(mt_buf_slice(out), old) || mt_slice_is(old, "{}"))
        return;
    struct mt_val before = old_members(old, old_doc);
    mt_buf_clear(out);
    mt_buf_putc(out, '{');
    for (int pass = 0; pass < 2; pass++)
        for (struct mt_iter it = mt_iter_of(pass ? sent : before); mt_iter_next(&it, &name, &v);) {
            bool both = mt_val_member(pass ? before : sent, name, &other);
            if (pass && both)
                continue;
            if (!first)
                mt_buf_putc(out, ',');
            first = false;
            mt_buf_put_json_string(out, name);
            mt_buf_putc(out, ':');
            mt_val_write(both ? other : v, out);
        }
    mt_buf_putc(out, '}');
}

static bool target_known(struct work *w, const struct mt_cat_relation *r, struct mt_slice target)
{
    bool self =
        mt_slice_eq(r->target, w->b->identifier) && mt_slice_eq(target, mt_buf_slice(&w->out->identifier));
    if (self || mt_cat_entity_exists(w->s, r->target, target, NULL))
        return true;
    if (!w->o->create_missing)
        return mt_cat_refuse(&w->out->why, 404, "not_found",
                             "relation \"%.*s\": there is no entity \"%.*s\" of blueprint \"%.*s\"",
                             MT_CUT(r->name), MT_CUT(target), MT_CUT(r->target));
    if (!mt_cat_blueprint_find(w->s, r->target))
        return mt_cat_refuse(&w->out->why, 404, "not_found",
                             "relation \"%.*s\" points at blueprint \"%.*s\", which does not exist",
                             MT_CUT(r->name), MT_CUT(r->target));
    return true;
}

/* A-SRV-10 */
static bool check_targets(struct work *w)
{
    struct mt_slice name, none;
    struct mt_val v, one;
    if (!w->relations.doc)
        return true;
    for (struct mt_iter it = mt_iter_of(w->relations); mt_iter_next(&it, &name, &v);) {
        const struct mt_cat_relation *r = mt_cat_blueprint_relation(w->b, name);
        if (mt_val_is(v, MT_STRING) && !target_known(w, r, mt_val_string(v)))
            return false;
        if (mt_val_is(v, MT_ARRAY))
            for (struct mt_iter in = mt_iter_of(v); mt_iter_next(&in, &none, &one);)
                if (!target_known(w, r, mt_val_string(one)))
                    return false;
    }
    return true;
}

static int64_t insert(struct work *w, struct mt_slice blueprint, struct mt_slice identifier,
                      struct mt_slice title, struct mt_slice icon, struct mt_slice team,
                      struct mt_slice relations, struct mt_slice properties)
{
    sqlite3_stmt *statement = mt_cat_store_sql(w->s, MT_CAT_ENTITY_INSERT);
    mt_cat_bind(statement, 1, blueprint);
    mt_cat_bind(statement, 2, identifier);
    mt_cat_bind(statement, 3, w->o->datasource);
    sqlite3_bind_int64(statement, 4, w->o->now);
    mt_cat_bind(statement, 5, title);
    mt_cat_bind(statement, 6, icon);
    mt_cat_bind(statement, 7, team);
    mt_cat_bind(statement, 8, relations);
    mt_cat_bind(statement, 9, properties);
    mt_cat_run(w->s, statement);
    return sqlite3_last_insert_rowid(w->s->db);
}

/* A target that nobody has sent yet is a bare entity of whoever needed it: it is in that one's ownership
 * listing, where R-REC-08 protects it as long as something relates to it, and it goes when nothing does. */
static void link_target(struct work *w, int64_t source, const struct mt_cat_relation *r,
                        struct mt_slice target)
{
    int64_t id;
    if (!mt_cat_entity_exists(w->s, r->target, target, &id))
        id = insert(w, r->target, target, (struct mt_slice){0}, (struct mt_slice){0}, (struct mt_slice){0},
                    MT_SLICE("{}"), MT_SLICE("{}"));
    sqlite3_stmt *statement = mt_cat_store_sql(w->s, MT_CAT_RELATION_INSERT);
    sqlite3_bind_int64(statement, 1, source);
    mt_cat_bind(statement, 2, r->name);
    sqlite3_bind_int64(statement, 3, id);
    mt_cat_run(w->s, statement);
}

static void link_all(struct work *w, int64_t source)
{
    struct mt_doc *doc;
    struct mt_slice name, none;
    struct mt_val v, one;
    if (w->exists && mt_slice_eq(mt_buf_slice(&w->relations_text), w->old.relations))
        return; /* their targets exist: a delete would have emptied the relation */
    if (w->exists) {
        sqlite3_stmt *clear = mt_cat_store_sql(w->s, MT_CAT_RELATION_CLEAR);
        sqlite3_bind_int64(clear, 1, source);
        mt_cat_run(w->s, clear);
    }
    if (mt_doc_parse_copy(mt_buf_slice(&w->relations_text), NULL, &doc, NULL) != MT_OK)
        return;
    for (struct mt_iter it = mt_iter_of(mt_doc_root(doc)); mt_iter_next(&it, &name, &v);) {
        const struct mt_cat_relation *r = mt_cat_blueprint_relation(w->b, name);
        if (r && mt_val_is(v, MT_STRING))
            link_target(w, source, r, mt_val_string(v));
        if (r && mt_val_is(v, MT_ARRAY))
            for (struct mt_iter in = mt_iter_of(v); mt_iter_next(&in, &none, &one);)
                link_target(w, source, r, mt_val_string(one));
    }
    mt_doc_unref(doc);
}

static struct mt_slice kept_text(const struct work *w, struct mt_val sent, struct mt_slice old)
{
    if (sent.doc)
        return mt_val_string(sent); /* of null: {NULL,0} */
    return w->exists && w->o->merge ? old : (struct mt_slice){0};
}

static void store(struct work *w)
{
    struct mt_slice title = kept_text(w, w->title, w->old.title), icon = kept_text(w, w->icon, w->old.icon);
    struct mt_slice team = w->team.doc                ? mt_buf_slice(&w->team_text)
                           : w->exists && w->o->merge ? w->old.team
                                                      : (struct mt_slice){0};
    struct mt_slice relations = mt_buf_slice(&w->relations_text),
                    properties = mt_buf_slice(&w->properties_text);
    int64_t id = w->old.id;
    mt_cat_store_write(w->s);
    if (w->exists) {
        sqlite3_stmt *statement = mt_cat_store_sql(w->s, MT_CAT_ENTITY_UPDATE);
        sqlite3_bind_int64(statement, 1, id);
        mt_cat_bind(statement, 2, w->o->datasource);
        sqlite3_bind_int64(statement, 3, w->o->now); /* also when nothing changed (A-SRV-04) */
        mt_cat_bind(statement, 4, title);
        mt_cat_bind(statement, 5, icon);
        mt_cat_bind(statement, 6, team);
        mt_cat_bind(statement, 7, relations);
        mt_cat_bind(statement, 8, properties);
        mt_cat_run(w->s, statement);
    } else {
        id = insert(w, w->b->identifier, mt_buf_slice(&w->out->identifier), title, icon, team, relations,
                    properties);
    }
    link_all(w, id);
}

bool mt_cat_entity_upsert(struct mt_cat_store *s, const struct mt_cat_upsert *o, struct mt_val entity,
                          struct mt_cat_outcome *out)
{
    struct work w = {.s = s, .o = o, .b = o->blueprint, .out = out};
    sqlite3_stmt *row = NULL;
    bool fine = false;
    mt_buf_init(&w.team_text, TEXT_MAX);
    mt_buf_init(&w.properties_text, TEXT_MAX);
    mt_buf_init(&w.relations_text, TEXT_MAX);
    mt_buf_clear(&out->identifier);
    out->created = out->unknown = false;
    out->why.status = 0;
    if (!read_members(&w, entity) || (w.team.doc && !read_team(&w)))
        goto out;
    row = mt_cat_store_sql(s, MT_CAT_ROW_CURRENT);
    mt_cat_bind(row, 1, w.b->identifier);
    mt_cat_bind(row, 2, mt_buf_slice(&out->identifier));
    w.exists = mt_cat_step(s, row);
    if (w.exists)
        mt_cat_row_read(row, &w.old);
    if (w.exists && !o->upsert) {
        mt_cat_refuse(&out->why, 409, "conflict", "entity \"%.*s\" of blueprint \"%.*s\" exists already",
                      MT_CUT(mt_buf_slice(&out->identifier)), MT_CUT(w.b->identifier));
        goto out;
    }
    if (!check_properties(&w) || !check_relations(&w) || (w.b->demands && !check_required(&w)) ||
        !check_targets(&w))
        goto out;
    fine = true;
    out->created = !w.exists;
    if (o->validation_only)
        goto out;
    merge(&w, w.properties, w.old.properties, &w.old_properties, &w.properties_text);
    merge(&w, w.relations, w.old.relations, &w.old_relations, &w.relations_text);
    if (w.properties_text.failed || w.relations_text.failed || w.team_text.failed)
        fine = mt_cat_refuse(&out->why, 413, "payload_too_large",
                             "the entity is too large: a group of its members "
                             "exceeds %d bytes",
                             TEXT_MAX);
    else
        store(&w);
out:
    sqlite3_reset(row);
    mt_doc_unref(w.old_properties);
    mt_doc_unref(w.old_relations);
    mt_doc_unref(w.resolved);
    mt_buf_fini(&w.team_text);
    mt_buf_fini(&w.properties_text);
    mt_buf_fini(&w.relations_text);
    return fine;
}
