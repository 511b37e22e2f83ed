/* Diff and apply: a chunk of entities of one blueprint is looked up in Port, and what differs is upserted in
 * bulk. On the applier threads. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "sync/diff.h"
#include "sync/failed.h"
#include "sync/session.h"

enum {
    BODY_MAX = 256 * 1024 * 1024,
    MOST_BLIND =
        3 /* each of them took the whole retry deadline: a catalog of thousands of chunks would take days */
};

struct chunk {
    struct mt_work work;
    struct mt_session *s;
    struct mt_resource *r;
    char *scope; /* of search identifiers */
    size_t count;
    struct mt_entity *entities[];
};

/* An entity of a chunk: its document, Port's copy, and how the upsert went. */
struct row {
    struct mt_upsert_item item; /* first: rows are handed on as items */
    struct mt_entity *entity;
    struct mt_doc *doc;
    struct mt_val existing;
};

/* ---- bulk upserts ---- */

static bool is_array_of(struct mt_doc *doc, const char *name, struct mt_val *out)
{
    return mt_val_member(mt_doc_root(doc), mt_slice_of(name), out) && mt_val_is(*out, MT_ARRAY);
}

static char *text_of(struct mt_val v)
{
    if (mt_val_is(v, MT_STRING))
        return mt_slice_dup(mt_val_string(v));
    struct mt_buf text;
    mt_buf_init(&text, 4096);
    if (v.doc)
        mt_val_write(v, &text);
    mt_buf_text(&text);
    return mt_buf_take(&text, NULL);
}

static void read_success(struct mt_val answer, struct mt_upsert_item **items, size_t count)
{
    struct mt_val index, v;
    int64_t i;
    if (!mt_val_member(answer, MT_SLICE("index"), &index) || !mt_val_int64(index, &i) || i < 0 ||
        (size_t)i >= count)
        return;
    struct mt_upsert_item *item = items[i];
    item->ok = true;
    item->created =
        !mt_val_member(answer, MT_SLICE("created"), &v) || mt_val_true(v); /* optional, A-ENT-13 */
    if (!item->identifier && mt_val_member(answer, MT_SLICE("identifier"), &v))
        item->identifier = text_of(v);
}

static void read_error(struct mt_val answer, struct mt_upsert_item **items, size_t count)
{
    struct mt_val index, v, why = {0};
    int64_t i;
    if (!mt_val_member(answer, MT_SLICE("index"), &index) || !mt_val_int64(index, &i) || i < 0 ||
        (size_t)i >= count || items[i]->ok)
        return;
    struct mt_upsert_item *item = items[i];
    item->unknown =
        mt_val_member(answer, MT_SLICE("identifier"), &v) && mt_slice_is(mt_val_string(v), "unknown");
    if (!mt_val_member(answer, MT_SLICE("message"), &why))
        mt_val_member(answer, MT_SLICE("error"), &why);
    struct mt_slice text = mt_val_string(why);
    free(item->error);
    item->error = mt_format("%.*s", (int)(text.n > MT_FOREIGN ? MT_FOREIGN : text.n),
                            text.p ? text.p : "refused without a reason");
}

static void fail_items(struct mt_upsert_item **items, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (!items[i]->ok && !items[i]->error)
            items[i]->error = mt_strdup(text);
}

/* A bulk that failed for good, retries and all: is Port gone, or is it this bulk? Without the difference a
 * dead Port would be asked for minutes for each of thousands of bulks. */
static void note_outcome(struct mt_session *s, enum mt_rc rc, const struct mt_err *err)
{
    enum { REFUSALS = 3 };
    if (rc == MT_OK) {
        atomic_store(&s->refusals, 0);
        return;
    }
    bool gone =
        rc == MT_ENET || rc == MT_EAUTH || (rc == MT_EHTTP && (err->status == 429 || err->status > 500));
    if (rc == MT_EHTTP && err->status == 500)
        gone = atomic_fetch_add(&s->refusals, 1) + 1 >= REFUSALS;
    if (gone)
        mt_session_stop(s, err->text);
}

/* One request. A 413 is answered by two halves (A-ENT-16). */
static void send_bulk(struct mt_session *s, struct mt_slice blueprint, struct mt_upsert_item **items,
                      size_t count)
{
    struct mt_buf body;
    struct mt_err err = {0};
    struct mt_doc *doc = NULL;
    struct mt_val list, v;
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&body, "{\"entities\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            mt_buf_putc(&body, ',');
        mt_buf_put(&body, items[i]->json);
    }
    mt_buf_puts(&body, "]}");
    enum mt_rc rc = body.failed
                        ? mt_fail(&err, MT_ELIMIT, "an entity is larger than %d bytes", BODY_MAX)
                        : mt_entities_upsert(s->port, blueprint, &s->upsert, mt_buf_slice(&body), &doc, &err);
    mt_buf_fini(&body);
    note_outcome(s, rc, &err);
    if (rc == MT_EHTTP && err.status == 413 && count > 1) {
        send_bulk(s, blueprint, items, count / 2);
        send_bulk(s, blueprint, items + count / 2, count - count / 2);
        return;
    }
    if (rc != MT_OK) {
        fail_items(items, count, err.text);
        return;
    }
    if (is_array_of(doc, "entities", &list))
        for (uint32_t i = 0; mt_val_index(list, i, &v); i++)
            read_success(v, items, count);
    if (is_array_of(doc, "errors", &list))
        for (uint32_t i = 0; mt_val_index(list, i, &v); i++)
            read_error(v, items, count);
    mt_doc_unref(doc);
    fail_items(items, count, "Port's answer names it neither as written nor as refused"); /* A-ENT-14 */
}

void mt_apply_bulk(struct mt_session *s, struct mt_slice blueprint, struct mt_upsert_item **items,
                   size_t count)
{
    size_t most = (size_t)mt_config_int(s->config, "upsert_entities_batch_max_length");
    size_t most_bytes = (size_t)mt_config_int(s->config, "upsert_entities_batch_max_size_in_bytes");
    for (size_t from = 0; from < count && !atomic_load(&s->canceled);) {
        size_t n = 0, bytes = sizeof "{\"entities\":[]}";
        while (from + n < count && n < (most ? most : 1) &&
               (n == 0 || bytes + items[from + n]->json.n + 1 <= most_bytes))
            bytes += items[from + n++]->json.n + 1;
        send_bulk(s, blueprint, items + from, n);
        from += n;
    }
}

/* ---- a chunk ---- */

static bool diffable(const struct mt_entity *e)
{
    return !e->search_identifier && !e->search_relation; /* R-DIFF-02 */
}

static struct row *find_row(struct row *rows, size_t count, struct mt_slice identifier)
{
    for (size_t i = 0; i < count; i++)
        if (diffable(rows[i].entity) && mt_slice_eq(rows[i].entity->identifier, identifier))
            return &rows[i];
    return NULL;
}

/* Looks the chunk up in Port; *out_doc keeps the copies alive. False: not known, so everything is written
 * (R-DIFF-12). */
static bool look_up(struct chunk *c, struct row *rows, struct mt_doc **out_doc, struct mt_err *err)
{
    struct mt_session *s = c->s;
    struct mt_buf identifiers;
    struct mt_val list, hit, id;
    size_t asked = 0;
    mt_buf_init(&identifiers, BODY_MAX);
    mt_buf_putc(&identifiers, '[');
    for (size_t i = 0; i < c->count; i++) {
        if (!diffable(rows[i].entity))
            continue;
        if (asked++)
            mt_buf_putc(&identifiers, ',');
        mt_buf_put_json_string(&identifiers, rows[i].entity->identifier);
    }
    mt_buf_putc(&identifiers, ']');
    enum mt_rc rc = MT_OK;
    if (asked && atomic_load(&s->blind) >= MOST_BLIND)
        rc = mt_fail(err, MT_EHTTP, "its searches failed %d times in a row and are not tried again",
                     MOST_BLIND);
    else if (asked)
        rc = mt_entities_search(s->port, mt_config_type(s->config), mt_config_identifier(s->config),
                                c->entities[0]->blueprint, mt_buf_slice(&identifiers),
                                mt_slice_of(c->r->include), out_doc, err);
    mt_buf_fini(&identifiers);
    if (rc != MT_OK) {
        if (rc != MT_ECANCELED)
            atomic_fetch_add(&s->blind, 1);
        return false;
    }
    if (asked)
        atomic_store(&s->blind, 0);
    if (asked && mt_val_member(mt_doc_root(*out_doc), MT_SLICE("entities"), &list))
        for (uint32_t i = 0; mt_val_index(list, i, &hit); i++) {
            if (!mt_val_member(hit, MT_SLICE("identifier"), &id))
                continue;
            char *text = text_of(id);
            struct row *row = find_row(rows, c->count, mt_slice_of(text));
            if (row)
                row->existing = hit;
            free(text);
        }
    return true;
}

/* A search identifier counts under what Port returned (architecture 3.4.1). */
static void note_resolved(struct chunk *c, struct row *row)
{
    if (!row->entity->search_identifier || !row->item.identifier)
        return;
    struct mt_key key = mt_entity_key(row->entity->blueprint, mt_slice_of(row->item.identifier));
    pthread_mutex_lock(&c->s->lock);
    mt_keyset_add(c->s->produced, &key, 0);
    pthread_mutex_unlock(&c->s->lock);
    mt_state_produced(c->s->state, &key, mt_slice_of(c->r->name), mt_slice_of(c->scope));
}

static void count_row(struct chunk *c, struct row *row)
{
    struct mt_session *s = c->s;
    struct mt_kind_report *report = c->r->report;
    if (row->item.ok) {
        bool created = row->item.created && !row->existing.doc;
        atomic_fetch_add(created ? &report->created : &report->updated, 1);
        note_resolved(c, row);
    } else if (row->item.unknown && row->entity->search_identifier) {
        atomic_fetch_add(&report->skipped, 1);
        mt_log_repeat(MT_WARN, c->r->kind, "kind %s: a search identifier matched nothing: %.*s", c->r->kind,
                      (int)(row->entity->identifier.n > MT_FOREIGN ? MT_FOREIGN : row->entity->identifier.n),
                      row->entity->identifier.p);
    } else {
        pthread_mutex_lock(&s->lock);
        mt_failed_add(s->failed, c->r, row->item.json);
        pthread_mutex_unlock(&s->lock);
        if (row->entity->search_identifier) {
            atomic_store(&c->r->search_failed, true);
            mt_resource_unproven(s, c->r, "", "an entity with a search identifier could not be written");
        }
    }
}

static void run_chunk(struct mt_work *work)
{
    struct chunk *c = (struct chunk *)work;
    struct mt_session *s = c->s;
    struct mt_log_fields fields = s->log ? *s->log : (struct mt_log_fields){0};
    fields.kind = c->r->kind;
    const struct mt_log_fields *before = mt_log_enter(s->log ? &fields : NULL);
    struct row *rows = mt_alloc(c->count * sizeof *rows);
    struct mt_upsert_item **changed = mt_alloc(c->count * sizeof *changed);
    struct mt_doc *found = NULL;
    size_t changes = 0;
    struct mt_err err;
    for (size_t i = 0; i < c->count; i++)
        rows[i] = (struct row){.item = {.json = c->entities[i]->json}, .entity = c->entities[i]};
    if (atomic_load(&s->canceled))
        goto out;
    mt_session_blueprint(s, c->entities[0]->blueprint);
    bool known = look_up(c, rows, &found, &err);
    if (!known && err.rc == MT_ECANCELED)
        goto out;
    if (!known && s->options->plan) {
        mt_session_error(s, c->r->kind, "could not compare with Port: %s", err.text);
        goto out;
    }
    if (!known)
        mt_log_repeat(MT_WARN, "search", "could not compare with Port, writing everything instead: %s",
                      err.text);
    for (size_t i = 0; i < c->count; i++) {
        struct row *row = &rows[i];
        if (mt_doc_parse_copy(row->item.json, NULL, &row->doc, &err) != MT_OK) {
            mt_session_error(s, c->r->kind, "an entity is not valid JSON: %s", err.text);
            continue;
        }
        mt_protect_targets(s, row->entity->blueprint, mt_doc_root(row->doc));
        if (row->existing.doc && mt_diff_equal(mt_doc_root(row->doc), row->existing, NULL, NULL)) {
            atomic_fetch_add(&c->r->report->unchanged, 1);
        } else if (s->options->plan) {
            atomic_fetch_add(row->existing.doc ? &c->r->report->updated : &c->r->report->created, 1);
            mt_plan_upsert(s, mt_doc_root(row->doc), row->existing);
            if (row->entity->search_identifier) {
                atomic_store(&c->r->search_failed, true);
                mt_resource_unproven(s, c->r, "",
                                     "a plan cannot tell which entity a search identifier will find");
            }
        } else {
            changed[changes++] = &row->item;
        }
    }
    /* The record goes first: an entity that is in Port and not in the record of the resource that produced it
     * could be taken for another's, and deleted, after a kill -9 between the two. The commit costs about a
     * millisecond a chunk. */
    if (changes && mt_state_flush(s->state, &err) != MT_OK)
        mt_session_record_broken(s, &err);
    mt_apply_bulk(s, c->entities[0]->blueprint, changed, changes);
    for (size_t i = 0; i < changes && !atomic_load(&s->canceled); i++)
        count_row(c, (struct row *)changed[i]);
    for (size_t i = 0; i < changes && s->options->changes && !s->options->plan; i++)
        if (changed[i]->ok)
            mt_plan_upsert(s, mt_doc_root(((struct row *)changed[i])->doc),
                           ((struct row *)changed[i])->existing);
out:
    for (size_t i = 0; i < c->count; i++) {
        mt_doc_unref(rows[i].doc);
        free(rows[i].item.identifier);
        free(rows[i].item.error);
        free(c->entities[i]);
    }
    mt_doc_unref(found);
    free(changed);
    free(rows);
    free(c->scope);
    free(c);
    mt_log_enter(before);
}

void mt_apply(struct mt_session *s, struct mt_resource *r, const char *scope, struct mt_entity **entities,
              size_t count)
{
    struct chunk *c = mt_alloc(sizeof *c + count * sizeof c->entities[0]);
    c->work.run = run_chunk;
    c->s = s;
    c->r = r;
    c->scope = mt_strdup(scope);
    c->count = count;
    memcpy(c->entities, entities, count * sizeof entities[0]);
    mt_appliers_submit(s->appliers, &c->work);
}
