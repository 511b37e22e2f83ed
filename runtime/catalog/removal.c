/* Deleting entities, and members of them: see entity.h. */
#include "catalog/entity.h"

#include <stdlib.h>

#include "base/memory.h"

enum { TEXT_MAX = 32 * 1024 * 1024 };

/* Appends the object without some members; returns whether any was there. */
static bool without(struct mt_slice json, const struct mt_slice *names, uint32_t count, struct mt_buf *out)
{
    struct mt_doc *doc;
    struct mt_slice name;
    struct mt_val v;
    bool found = false;
    if (mt_doc_parse_copy(json, NULL, &doc, NULL) != MT_OK)
        return false;
    mt_buf_putc(out, '{');
    for (struct mt_iter it = mt_iter_of(mt_doc_root(doc)); mt_iter_next(&it, &name, &v);) {
        bool gone = false;
        for (uint32_t i = 0; i < count; i++)
            gone |= mt_slice_eq(name, names[i]);
        found |= gone;
        if (gone)
            continue;
        if (out->p[out->n - 1] != '{')
            mt_buf_putc(out, ',');
        mt_buf_put_json_string(out, name);
        mt_buf_putc(out, ':');
        mt_val_write(v, out);
    }
    mt_buf_putc(out, '}');
    mt_doc_unref(doc);
    return found;
}

static void put_content(struct mt_cat_store *s, int64_t id, struct mt_slice relations,
                        struct mt_slice properties)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_ENTITY_CONTENT);
    sqlite3_bind_int64(statement, 1, id);
    mt_cat_bind(statement, 2, relations);
    mt_cat_bind(statement, 3, properties);
    mt_cat_run(s, statement);
}

static void drop_links(struct mt_cat_store *s, int64_t source, struct mt_slice name, int64_t target)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_RELATION_DROP);
    sqlite3_bind_int64(statement, 1, source);
    mt_cat_bind(statement, 2, name);
    if (target)
        sqlite3_bind_int64(statement, 3, target);
    mt_cat_run(s, statement);
}

void mt_cat_entities_forget(struct mt_cat_store *s, struct mt_slice blueprint,
                            const struct mt_slice *properties, uint32_t property_count,
                            const struct mt_slice *relations, uint32_t relation_count)
{
    struct mt_buf p, r;
    mt_buf_init(&p, TEXT_MAX);
    mt_buf_init(&r, TEXT_MAX);
    mt_cat_store_write(s);
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_ROW_SCAN);
    mt_cat_bind(rows, 1, blueprint);
    while (mt_cat_step(s, rows)) {
        struct mt_cat_row row;
        mt_cat_row_read(rows, &row);
        mt_buf_clear(&p);
        mt_buf_clear(&r);
        bool changed = without(row.properties, properties, property_count, &p);
        changed |= without(row.relations, relations, relation_count, &r);
        if (!changed)
            continue;
        put_content(s, row.id, mt_buf_slice(&r), mt_buf_slice(&p));
        for (uint32_t i = 0; i < relation_count; i++)
            drop_links(s, row.id, relations[i], 0);
    }
    sqlite3_reset(rows);
    mt_buf_fini(&p);
    mt_buf_fini(&r);
}

/* An entity that relates to another. */
struct source {
    int64_t id;
    char *relation;
    char *blueprint, *identifier;
};
struct sources {
    struct source *list;
    uint32_t count;
};

static struct sources sources_of(struct mt_cat_store *s, int64_t target)
{
    struct sources all = {0};
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_RELATION_SOURCES);
    sqlite3_bind_int64(rows, 1, target);
    while (mt_cat_step(s, rows)) {
        if ((all.count & (all.count - 1)) == 0) /* full at each power of two */
            all.list = mt_realloc(all.list, (all.count ? 2 * (size_t)all.count : 1) * sizeof *all.list);
        all.list[all.count++] = (struct source){
            .id = sqlite3_column_int64(rows, 0),
            .relation = mt_slice_dup(mt_cat_column(rows, 1)),
            .blueprint = mt_slice_dup(mt_cat_column(rows, 2)),
            .identifier = mt_slice_dup(mt_cat_column(rows, 3)),
        };
    }
    sqlite3_reset(rows);
    return all;
}

static void sources_free(struct sources *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        free(all->list[i].relation);
        free(all->list[i].blueprint);
        free(all->list[i].identifier);
    }
    free(all->list);
}

/* The entity keeps its update time and its owner: nobody wrote it (A-SRV-04). */
static void empty_relation(struct mt_cat_store *s, const struct source *from, int64_t target_id,
                           struct mt_slice target)
{
    struct mt_slice name, none, relation = mt_slice_of(from->relation);
    struct mt_val v, one;
    struct mt_doc *doc = NULL;
    struct mt_buf text;
    mt_buf_init(&text, TEXT_MAX);
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_ROW_BY_ID);
    sqlite3_bind_int64(row, 1, from->id);
    struct mt_cat_row entity;
    if (!mt_cat_step(s, row))
        goto out;
    mt_cat_row_read(row, &entity);
    if (mt_doc_parse_copy(entity.relations, NULL, &doc, NULL) != MT_OK)
        goto out;
    mt_buf_putc(&text, '{');
    for (struct mt_iter it = mt_iter_of(mt_doc_root(doc)); mt_iter_next(&it, &name, &v);) {
        if (text.n > 1)
            mt_buf_putc(&text, ',');
        mt_buf_put_json_string(&text, name);
        mt_buf_putc(&text, ':');
        if (!mt_slice_eq(name, relation)) {
            mt_val_write(v, &text);
        } else if (!mt_val_is(v, MT_ARRAY)) {
            mt_buf_puts(&text, "null");
        } else {
            mt_buf_putc(&text, '[');
            for (struct mt_iter in = mt_iter_of(v); mt_iter_next(&in, &none, &one);)
                if (!mt_slice_eq(mt_val_string(one), target)) {
                    if (text.p[text.n - 1] != '[')
                        mt_buf_putc(&text, ',');
                    mt_val_write(one, &text);
                }
            mt_buf_putc(&text, ']');
        }
    }
    mt_buf_putc(&text, '}');
    put_content(s, from->id, mt_buf_slice(&text), entity.properties);
    drop_links(s, from->id, relation, target_id);
out:
    sqlite3_reset(row);
    mt_doc_unref(doc);
    mt_buf_fini(&text);
}

static void remove_row(struct mt_cat_store *s, int64_t id)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_ENTITY_DELETE);
    sqlite3_bind_int64(statement, 1, id);
    mt_cat_run(s, statement);
    statement = mt_cat_store_sql(s, MT_CAT_RELATION_CLEAR);
    sqlite3_bind_int64(statement, 1, id);
    mt_cat_run(s, statement);
}

/* Entities that are gone have no links any more, so a cycle ends. */
static void remove_cascade(struct mt_cat_store *s, int64_t first)
{
    size_t depth = 1, room = 16;
    int64_t *stack = mt_alloc(room * sizeof *stack);
    stack[0] = first;
    while (depth && !s->failed) {
        int64_t id = stack[--depth];
        remove_row(s, id);
        sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_RELATION_SOURCES);
        sqlite3_bind_int64(rows, 1, id);
        while (mt_cat_step(s, rows)) {
            if (depth == room)
                stack = mt_realloc(stack, (room *= 2) * sizeof *stack);
            stack[depth++] = sqlite3_column_int64(rows, 0);
        }
        sqlite3_reset(rows);
    }
    free(stack);
}

static bool is_required(struct mt_cat_store *s, const struct source *from)
{
    const struct mt_cat_blueprint *b = mt_cat_blueprint_find(s, mt_slice_of(from->blueprint));
    const struct mt_cat_relation *r = b ? mt_cat_blueprint_relation(b, mt_slice_of(from->relation)) : NULL;
    return r && r->required;
}

bool mt_cat_entity_delete(struct mt_cat_store *s, struct mt_slice blueprint, struct mt_slice identifier,
                          enum mt_cat_dependents dependents, struct mt_cat_refusal *why)
{
    int64_t id;
    bool fine = true;
    if (!mt_cat_entity_exists(s, blueprint, identifier, &id))
        return true;
    mt_cat_store_write(s);
    if (dependents == MT_CAT_CASCADE) {
        remove_cascade(s, id);
        return true;
    }
    struct sources all = sources_of(s, id);
    for (uint32_t i = 0; fine && dependents == MT_CAT_SPARE && i < all.count; i++)
        if (all.list[i].id != id && is_required(s, &all.list[i]))
            fine = mt_cat_refuse(
                why, 409, "conflict",
                "entity \"%.*s\" of blueprint \"%.*s\" is needed by \"%.*s\" of \"%.*s\": its relation "
                "\"%.*s\" is required; delete that one first, or delete_dependents=true",
                MT_CUT(identifier), MT_CUT(blueprint), MT_CUT(mt_slice_of(all.list[i].identifier)),
                MT_CUT(mt_slice_of(all.list[i].blueprint)), MT_CUT(mt_slice_of(all.list[i].relation)));
    for (uint32_t i = 0; fine && i < all.count; i++)
        if (all.list[i].id != id)
            empty_relation(s, &all.list[i], id, identifier);
    if (fine)
        remove_row(s, id);
    sources_free(&all);
    return fine;
}

void mt_cat_entities_delete_all(struct mt_cat_store *s, struct mt_slice blueprint)
{
    struct mt_cat_refusal why;
    mt_cat_store_write(s);
    for (;;) {
        /* One at a time from the front: deleting rows under an open scan would be up to SQLite's plan. */
        sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_ROW_PAGE);
        mt_cat_bind(row, 1, blueprint);
        sqlite3_bind_int(row, 2, 1);
        sqlite3_bind_int(row, 3, 0);
        char *identifier = mt_cat_step(s, row) ? mt_slice_dup(mt_cat_column(row, 2)) : NULL;
        sqlite3_reset(row);
        if (!identifier)
            return;
        mt_cat_entity_delete(s, blueprint, mt_slice_of(identifier), MT_CAT_EMPTY, &why);
        free(identifier);
    }
}
