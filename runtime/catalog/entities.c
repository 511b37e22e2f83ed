/* The calls on entities (A-ENT): their query and body in, their answer out. What they mean is in entity.c,
 * removal.c and search.c. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "catalog/call.h"
#include "catalog/search.h"

enum {
    BULK_MAX = 1024 * 1024, /* A-SRV-12 */
    PAGE = 5000,            /* A-ENT-23 */
    PAGE_MAX = 10000
};

static const struct mt_cat_include whole = {.members = MT_CAT_WHOLE};

static const struct mt_cat_blueprint *blueprint_of(struct mt_cat_call *c)
{
    const struct mt_cat_blueprint *b = mt_cat_blueprint_find(c->store, c->parts[0]);
    if (!b)
        mt_cat_refuse(&c->why, 404, "not_found", "there is no blueprint \"%.*s\"", MT_CUT(c->parts[0]));
    return b;
}

static bool put_entity(struct mt_cat_call *c, struct mt_slice blueprint, struct mt_slice identifier)
{
    sqlite3_stmt *statement = mt_cat_store_sql(c->store, MT_CAT_ROW_BY_KEY);
    struct mt_cat_row row;
    mt_cat_bind(statement, 1, blueprint);
    mt_cat_bind(statement, 2, identifier);
    bool exists = mt_cat_step(c->store, statement);
    if (exists) {
        mt_cat_row_read(statement, &row);
        mt_cat_row_write(&row, &whole, &c->out);
    }
    sqlite3_reset(statement);
    return exists;
}

void mt_cat_entity_get(struct mt_cat_call *c)
{
    if (!blueprint_of(c))
        return;
    mt_buf_puts(&c->out, "{\"ok\":true,\"entity\":");
    if (!put_entity(c, c->parts[0], c->parts[1]))
        mt_cat_refuse(&c->why, 404, "not_found", "there is no entity \"%.*s\" of blueprint \"%.*s\"",
                      MT_CUT(c->parts[1]), MT_CUT(c->parts[0]));
    mt_buf_putc(&c->out, '}');
}

void mt_cat_entity_list(struct mt_cat_call *c)
{
    bool first = true;
    if (!blueprint_of(c))
        return;
    mt_buf_puts(&c->out, "{\"ok\":true,\"entities\":[");
    sqlite3_stmt *rows = mt_cat_store_sql(c->store, MT_CAT_ROW_SCAN);
    mt_cat_bind(rows, 1, c->parts[0]);
    while (mt_cat_step(c->store, rows)) {
        struct mt_cat_row row;
        mt_cat_row_read(rows, &row);
        if (!first)
            mt_buf_putc(&c->out, ',');
        first = false;
        mt_cat_row_write(&row, &whole, &c->out);
    }
    sqlite3_reset(rows);
    mt_buf_puts(&c->out, "]}");
}

static bool options_of(struct mt_cat_call *c, struct mt_cat_upsert *o)
{
    *o = (struct mt_cat_upsert){.datasource = c->datasource, .now = mt_cat_store_now(c->store)};
    o->blueprint = blueprint_of(c);
    return o->blueprint && mt_cat_call_flag(c, "upsert", false, &o->upsert) &&
           mt_cat_call_flag(c, "merge", false, &o->merge) &&
           mt_cat_call_flag(c, "create_missing_related_entities", false, &o->create_missing) &&
           mt_cat_call_flag(c, "validation_only", false, &o->validation_only);
}

void mt_cat_entity_post(struct mt_cat_call *c)
{
    struct mt_cat_upsert o;
    struct mt_cat_outcome outcome;
    if (!options_of(c, &o))
        return;
    mt_buf_init(&outcome.identifier, BULK_MAX);
    if (!mt_cat_entity_upsert(c->store, &o, c->body, &outcome)) {
        c->why = outcome.why;
    } else {
        c->status = outcome.created && !o.validation_only ? 201 : 200;
        mt_buf_puts(&c->out, "{\"ok\":true");
        if (!o.validation_only) {
            mt_buf_puts(&c->out, ",\"entity\":");
            if (!put_entity(c, o.blueprint->identifier, mt_buf_slice(&outcome.identifier)))
                mt_buf_puts(&c->out, "null"); /* the store failed: this answer is not sent */
        }
        mt_buf_putc(&c->out, '}');
    }
    mt_buf_fini(&outcome.identifier);
}

static void put_error(struct mt_buf *out, uint32_t index, const struct mt_cat_outcome *o)
{
    mt_buf_printf(out, "%s{\"index\":%u,\"identifier\":", out->n ? "," : "", index);
    mt_buf_put_json_string(out, o->unknown ? MT_SLICE("unknown") : mt_buf_slice(&o->identifier));
    mt_buf_printf(out, ",\"statusCode\":%d,\"error\":\"%s\",\"message\":", o->why.status, o->why.error);
    mt_buf_put_json_string(out, mt_slice_of(o->why.err.text));
    mt_buf_putc(out, '}');
}

/* A-ENT-13: each entity by itself, found again by its index. */
void mt_cat_entity_bulk(struct mt_cat_call *c)
{
    struct mt_cat_upsert o;
    struct mt_cat_outcome outcome;
    struct mt_buf errors;
    struct mt_slice none;
    struct mt_val entities, entity;
    uint32_t index = 0;
    if (mt_request_body(c->request).n > BULK_MAX) {
        mt_cat_refuse(&c->why, 413, "payload_too_large",
                      "a bulk upsert may have %d bytes, this one has %zu; send fewer "
                      "entities at once",
                      BULK_MAX, mt_request_body(c->request).n);
        return;
    }
    if (!options_of(c, &o))
        return;
    if (!mt_val_member(c->body, MT_SLICE("entities"), &entities) || !mt_val_is(entities, MT_ARRAY)) {
        mt_cat_invalid(&c->why, "the body must be {\"entities\":[…]}");
        return;
    }
    mt_buf_init(&outcome.identifier, BULK_MAX);
    mt_buf_init(&errors, MT_CAT_ANSWER_MAX);
    mt_buf_puts(&c->out, "{\"entities\":[");
    size_t begin = c->out.n;
    for (struct mt_iter it = mt_iter_of(entities); mt_iter_next(&it, &none, &entity); index++) {
        if (!mt_cat_entity_upsert(c->store, &o, entity, &outcome)) {
            put_error(&errors, index, &outcome);
            continue;
        }
        mt_buf_printf(&c->out, "%s{\"index\":%u,\"identifier\":", c->out.n > begin ? "," : "", index);
        mt_buf_put_json_string(&c->out, mt_buf_slice(&outcome.identifier));
        mt_buf_puts(&c->out, outcome.created ? ",\"created\":true}" : ",\"created\":false}");
    }
    mt_buf_puts(&c->out, "],\"errors\":[");
    mt_buf_put(&c->out, mt_buf_slice(&errors));
    mt_buf_puts(&c->out, errors.n ? "],\"ok\":false}" : "],\"ok\":true}");
    c->status = errors.n ? 207 : 200;
    mt_buf_fini(&errors);
    mt_buf_fini(&outcome.identifier);
}

void mt_cat_entity_remove(struct mt_cat_call *c)
{
    bool cascade;
    if (!blueprint_of(c) || !mt_cat_call_flag(c, "delete_dependents", false, &cascade))
        return;
    if (!mt_cat_entity_exists(c->store, c->parts[0], c->parts[1], NULL)) {
        mt_cat_refuse(&c->why, 404, "not_found", "there is no entity \"%.*s\" of blueprint \"%.*s\"",
                      MT_CUT(c->parts[1]), MT_CUT(c->parts[0]));
        return;
    }
    if (mt_cat_entity_delete(c->store, c->parts[0], c->parts[1], cascade ? MT_CAT_CASCADE : MT_CAT_SPARE,
                             &c->why))
        mt_buf_puts(&c->out, "{\"ok\":true}");
}

/* A-ENT-19. Passes go on while one of them deletes something: an entity of the list may be needed by a later
 * one. Returns false when an identifier is no text. */
static bool remove_all(struct mt_cat_call *c, struct mt_val list, bool cascade, bool *deleted)
{
    struct mt_val v;
    uint32_t count = mt_val_count(list);
    bool *existed = mt_alloc(count + 1), progress = true;
    for (uint32_t i = 0; mt_val_index(list, i, &v); i++) {
        if (!mt_val_is(v, MT_STRING)) {
            free(existed);
            return mt_cat_invalid(&c->why, "entities must be a list of identifiers");
        }
        existed[i] = mt_cat_entity_exists(c->store, c->parts[0], mt_val_string(v), NULL);
    }
    while (progress) {
        progress = false;
        for (uint32_t i = 0; mt_val_index(list, i, &v); i++) {
            struct mt_cat_refusal why;
            if (!existed[i] || deleted[i])
                continue;
            deleted[i] = mt_cat_entity_delete(c->store, c->parts[0], mt_val_string(v),
                                              cascade ? MT_CAT_CASCADE : MT_CAT_SPARE, &why);
            progress |= deleted[i];
        }
    }
    free(existed);
    return true;
}

void mt_cat_entity_remove_bulk(struct mt_cat_call *c)
{
    struct mt_val list, v;
    bool cascade, first = true;
    if (!blueprint_of(c) || !mt_cat_call_flag(c, "delete_dependents", false, &cascade))
        return;
    if (!mt_val_member(c->body, MT_SLICE("entities"), &list) || !mt_val_is(list, MT_ARRAY)) {
        mt_cat_invalid(&c->why, "the body must be {\"entities\":[identifiers]}");
        return;
    }
    bool *deleted = mt_alloc(mt_val_count(list) + 1);
    if (remove_all(c, list, cascade, deleted)) {
        mt_buf_puts(&c->out, "{\"ok\":true,\"deletedEntities\":[");
        for (uint32_t i = 0; mt_val_index(list, i, &v); i++) {
            if (!deleted[i])
                continue;
            if (!first)
                mt_buf_putc(&c->out, ',');
            first = false;
            mt_buf_put_json_string(&c->out, mt_val_string(v));
        }
        mt_buf_puts(&c->out, "]}");
    }
    free(deleted);
}

/* Text member, or refused; empty when absent. */
static bool text_of(struct mt_cat_call *c, const char *name, struct mt_slice *out)
{
    struct mt_val v;
    *out = (struct mt_slice){0};
    if (!mt_val_member(c->body, mt_slice_of(name), &v) || mt_val_is(v, MT_NULL))
        return true;
    *out = mt_val_string(v);
    return mt_val_is(v, MT_STRING) || mt_cat_invalid(&c->why, "%s must be text", name);
}

/* Digits to a number; -1: it is none. */
static int64_t token_value(struct mt_slice token)
{
    int64_t n = 0;
    if (token.n > 18)
        return -1;
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] < '0' || token.p[i] > '9')
            return -1;
        n = n * 10 + (token.p[i] - '0');
    }
    return n;
}

/* A-ENT-23, A-SRV-06: the token is the number of the last entity of the page before, so that pages stay what
 * they are while entities come and go. */
void mt_cat_entity_owned(struct mt_cat_call *c)
{
    struct mt_slice prefix, suffix, before, from;
    struct mt_val v;
    int64_t until = INT64_MAX, limit = PAGE;
    if (!text_of(c, "datasource_prefix", &prefix) || !text_of(c, "datasource_suffix", &suffix) ||
        !text_of(c, "before", &before) || !text_of(c, "from", &from))
        return;
    if (!prefix.n || !suffix.n) {
        mt_cat_invalid(&c->why, "datasource_prefix and datasource_suffix are needed");
        return;
    }
    if (before.n && mt_iso_parse(before, &until) != MT_OK) {
        mt_cat_invalid(&c->why, "before is no ISO 8601 time: \"%.*s\"", MT_CUT(before));
        return;
    }
    if (mt_val_member(c->body, MT_SLICE("limit"), &v) && !(mt_val_int64(v, &limit) && limit > 0)) {
        mt_cat_invalid(&c->why, "limit must be a number of entities, 1 or more");
        return;
    }
    int64_t after = token_value(from);
    if (after < 0) {
        mt_cat_invalid(&c->why, "from is no token of this listing: \"%.*s\"", MT_CUT(from));
        return;
    }
    mt_buf_puts(&c->out, "{\"ok\":true,\"entities\":[");
    int64_t next =
        mt_cat_listing(c->store, prefix, suffix, until, after, limit < PAGE_MAX ? limit : PAGE_MAX, &c->out);
    mt_buf_puts(&c->out, "],\"next\":");
    if (next)
        mt_buf_printf(&c->out, "\"%lld\"}", (long long)next);
    else
        mt_buf_puts(&c->out, "null}");
}

/* A-ENT-27: names of members into an include; properties and relations must have room for count. */
static bool include_of(struct mt_cat_call *c, const struct mt_slice *names, uint32_t count,
                       struct mt_slice *properties, struct mt_slice *relations, struct mt_cat_include *out)
{
    static const struct {
        const char *name;
        unsigned member;
    } members[] = {{"identifier", MT_CAT_IDENTIFIER},
                   {"blueprint", MT_CAT_BLUEPRINT},
                   {"title", MT_CAT_TITLE},
                   {"icon", MT_CAT_ICON},
                   {"team", MT_CAT_TEAM},
                   {"properties", MT_CAT_PROPERTIES},
                   {"relations", MT_CAT_RELATIONS},
                   {"createdAt", MT_CAT_TIMES},
                   {"updatedAt", MT_CAT_TIMES}};
    *out = (struct mt_cat_include){.properties = properties, .relations = relations};
    if (!count)
        out->members = MT_CAT_WHOLE;
    for (uint32_t i = 0; i < count; i++) {
        struct mt_slice name = names[i];
        size_t at = 0;
        if (name.n > 11 && memcmp(name.p, "properties.", 11) == 0) {
            properties[out->property_count++] = (struct mt_slice){name.p + 11, name.n - 11};
            continue;
        }
        if (name.n > 10 && memcmp(name.p, "relations.", 10) == 0) {
            relations[out->relation_count++] = (struct mt_slice){name.p + 10, name.n - 10};
            continue;
        }
        while (at < sizeof members / sizeof *members && !mt_slice_is(name, members[at].name))
            at++;
        if (at == sizeof members / sizeof *members)
            return mt_cat_invalid(&c->why, "include=%.*s is no member of an entity", MT_CUT(name));
        out->members |= members[at].member;
    }
    return true;
}

struct answer {
    struct mt_cat_include include;
    struct mt_buf *out;
    size_t begin;
};

static bool on_hit(void *ud, const struct mt_cat_row *row)
{
    struct answer *a = ud;
    if (a->out->n > a->begin)
        mt_buf_putc(a->out, ',');
    mt_cat_row_write(row, &a->include, a->out);
    return !a->out->failed;
}

void mt_cat_entity_search(struct mt_cat_call *c)
{
    struct mt_buf text;
    struct mt_slice *names;
    bool calculated;
    mt_buf_init(&text, BULK_MAX);
    uint32_t count = mt_cat_call_list(c, "include", &text, &names);
    struct mt_slice *properties = mt_alloc((count + 1) * sizeof *properties);
    struct mt_slice *relations = mt_alloc((count + 1) * sizeof *relations);
    struct answer a = {.out = &c->out};
    if (!mt_cat_call_flag(c, "exclude_calculated_properties", false,
                          &calculated) || /* none are calculated here */
        !include_of(c, names, count, properties, relations, &a.include))
        goto out;
    mt_buf_puts(&c->out, "{\"ok\":true,\"entities\":[");
    a.begin = c->out.n;
    mt_cat_search(c->store, c->body, (struct mt_slice){0}, on_hit, &a, &c->why);
    mt_buf_puts(&c->out, "]}");
out:
    free(properties);
    free(relations);
    free(names);
    mt_buf_fini(&text);
}
