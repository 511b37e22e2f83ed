/* A stored entity, read from a statement and written as JSON: see entity.h. */
#include "catalog/entity.h"

void mt_cat_row_read(sqlite3_stmt *statement, struct mt_cat_row *out)
{
    *out = (struct mt_cat_row){
        .id = sqlite3_column_int64(statement, 0),
        .blueprint = mt_cat_column(statement, 1),
        .identifier = mt_cat_column(statement, 2),
        .datasource = mt_cat_column(statement, 3),
        .created = sqlite3_column_int64(statement, 4),
        .updated = sqlite3_column_int64(statement, 5),
        .title = mt_cat_column(statement, 6),
        .icon = mt_cat_column(statement, 7),
        .team = mt_cat_column(statement, 8),
        .relations = mt_cat_column(statement, 9),
        .properties = mt_cat_column(statement, 10),
    };
}

static void member_name(struct mt_buf *out, size_t from, const char *name)
{
    if (out->n > from + 1)
        mt_buf_putc(out, ',');
    mt_buf_printf(out, "\"%s\":", name);
}

static void members_of(struct mt_buf *out, struct mt_slice json, const struct mt_slice *names, uint32_t count)
{
    struct mt_doc *doc;
    struct mt_val v;
    bool first = true;
    if (mt_doc_parse_copy(json, NULL, &doc, NULL) != MT_OK) {
        mt_buf_puts(out, "{}");
        return;
    }
    mt_buf_putc(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (!mt_val_member(mt_doc_root(doc), names[i], &v))
            continue;
        if (!first)
            mt_buf_putc(out, ',');
        first = false;
        mt_buf_put_json_string(out, names[i]);
        mt_buf_putc(out, ':');
        mt_val_write(v, out);
    }
    mt_buf_putc(out, '}');
    mt_doc_unref(doc);
}

void mt_cat_row_write(const struct mt_cat_row *row, const struct mt_cat_include *include, struct mt_buf *out)
{
    const struct {
        unsigned member;
        const char *name;
        struct mt_slice text;
    } texts[] = {{MT_CAT_IDENTIFIER, "identifier", row->identifier},
                 {MT_CAT_BLUEPRINT, "blueprint", row->blueprint},
                 {MT_CAT_TITLE, "title", row->title},
                 {MT_CAT_ICON, "icon", row->icon}};
    const struct {
        unsigned member;
        const char *name;
        struct mt_slice json;
        const struct mt_slice *names;
        uint32_t count;
    } groups[] = {
        {MT_CAT_PROPERTIES, "properties", row->properties, include->properties, include->property_count},
        {MT_CAT_RELATIONS, "relations", row->relations, include->relations, include->relation_count}};
    size_t from = out->n;
    mt_buf_putc(out, '{');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if ((include->members & texts[i].member) && texts[i].text.p) {
            member_name(out, from, texts[i].name);
            mt_buf_put_json_string(out, texts[i].text);
        }
    if ((include->members & MT_CAT_TEAM) && row->team.p) {
        member_name(out, from, "team");
        mt_buf_put(out, row->team);
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        bool whole = include->members & groups[i].member;
        if (!whole && !groups[i].count)
            continue;
        member_name(out, from, groups[i].name);
        if (whole)
            mt_buf_put(out, groups[i].json);
        else
            members_of(out, groups[i].json, groups[i].names, groups[i].count);
    }
    if (include->members & MT_CAT_TIMES) {
        member_name(out, from, "createdAt");
        mt_cat_time_write(row->created, out);
        member_name(out, from, "updatedAt");
        mt_cat_time_write(row->updated, out);
    }
    mt_buf_putc(out, '}');
}

bool mt_cat_entity_exists(struct mt_cat_store *s, struct mt_slice blueprint, struct mt_slice identifier,
                          int64_t *out_id)
{
    sqlite3_stmt *statement = mt_cat_store_sql(s, MT_CAT_ENTITY_ID);
    mt_cat_bind(statement, 1, blueprint);
    mt_cat_bind(statement, 2, identifier);
    bool exists = mt_cat_step(s, statement);
    if (exists && out_id)
        *out_id = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return exists;
}
