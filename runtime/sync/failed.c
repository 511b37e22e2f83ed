/* Failed entities and their second chance: see failed.h. */
#include "sync/failed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sync/order.h"

enum { IN_MEMORY = 8 * 1024 * 1024, BODY_MAX = 256 * 1024 * 1024, GROUP = 100 };

struct record {
    struct mt_resource *r;
    char *json; /* NULL: in the state file, under the record's number */
    size_t length;
    bool created; /* by the first of two steps */
};

struct mt_failed_entities {
    struct mt_state *state;
    struct record *records;
    size_t count, room, bytes;
};

struct mt_failed_entities *mt_failed_new(struct mt_state *state)
{
    struct mt_failed_entities *f = mt_alloc(sizeof *f);
    f->state = state;
    return f;
}

void mt_failed_free(struct mt_failed_entities *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        free(f->records[i].json);
    free(f->records);
    free(f);
}

size_t mt_failed_count(const struct mt_failed_entities *f)
{
    return f->count;
}

static struct mt_slice number_key(size_t number, char text[24])
{
    snprintf(text, 24, "%zu", number);
    return mt_slice_of(text);
}

void mt_failed_add(struct mt_failed_entities *f, struct mt_resource *r, struct mt_slice json)
{
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->records = mt_realloc(f->records, f->room * sizeof *f->records);
    }
    struct record *record = &f->records[f->count];
    *record = (struct record){.r = r, .length = json.n};
    char key[24];
    bool spilled = f->bytes + json.n > IN_MEMORY &&
                   mt_state_spill(f->state, "failed", number_key(f->count, key), json, NULL) == MT_OK;
    if (!spilled) {
        record->json = mt_slice_dup(json);
        f->bytes += json.n;
    }
    f->count++;
}

/* The record as a document. */
static struct mt_doc *load(struct mt_failed_entities *f, size_t i)
{
    struct record *r = &f->records[i];
    struct mt_doc *doc = NULL;
    struct mt_buf text;
    char key[24];
    if (r->json) {
        mt_doc_parse_copy((struct mt_slice){r->json, r->length}, NULL, &doc, NULL);
        return doc;
    }
    mt_buf_init(&text, BODY_MAX);
    if (mt_state_spilled_value(f->state, "failed", number_key(i, key), &text, NULL) == MT_OK)
        mt_doc_parse(&text, NULL, &doc, NULL);
    mt_buf_fini(&text);
    return doc;
}

/* ---- who depends on whom ---- */

struct named {
    uint64_t hash;
    uint32_t node;
};

static int by_hash(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->node < y->node ? -1 : x->node > y->node);
}

static uint64_t hash_of(struct mt_val identifier)
{
    struct mt_key key = mt_val_digest(identifier);
    uint64_t hash;
    memcpy(&hash, key.b, sizeof hash);
    return hash;
}

struct edges {
    const struct named *names;
    size_t name_count;
    uint32_t *to;
    size_t count, room;
};

/* The blueprint is not considered, as in Ocean: equal identifiers over-match, which only orders more than it
 * must (R-TOPO-03). */
static void add_edges(struct edges *e, struct mt_val target)
{
    struct mt_slice name;
    struct mt_val v;
    if (mt_val_is(target, MT_ARRAY)) {
        for (struct mt_iter it = mt_iter_of(target); mt_iter_next(&it, &name, &v);)
            add_edges(e, v);
        return;
    }
    if (!mt_val_is(target, MT_STRING) && !mt_val_is(target, MT_NUMBER))
        return;
    uint64_t hash = hash_of(target);
    size_t low = 0, high = e->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->names[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < e->name_count && e->names[low].hash == hash; low++) {
        if (e->count == e->room) {
            e->room = e->room ? e->room * 2 : 256;
            e->to = mt_realloc(e->to, e->room * sizeof *e->to);
        }
        e->to[e->count++] = e->names[low].node;
    }
}

static struct mt_val member_of(struct mt_doc *doc, const char *name)
{
    struct mt_val v = {0};
    if (doc)
        mt_val_member(mt_doc_root(doc), mt_slice_of(name), &v);
    return v;
}

struct plan {
    uint32_t *level, *component, *size, *start;
    struct edges edges;
    uint32_t levels;
};

static void make_plan(struct mt_failed_entities *f, struct plan *p)
{
    uint32_t n = (uint32_t)f->count;
    struct named *names = mt_alloc(n * sizeof *names);
    for (uint32_t i = 0; i < n; i++) {
        struct mt_doc *doc = load(f, i);
        names[i] = (struct named){hash_of(member_of(doc, "identifier")), i};
        mt_doc_unref(doc);
    }
    qsort(names, n, sizeof *names, by_hash);
    p->edges = (struct edges){.names = names, .name_count = n};
    p->start = mt_alloc((n + (size_t)1) * sizeof *p->start);
    for (uint32_t i = 0; i < n; i++) {
        struct mt_doc *doc = load(f, i);
        struct mt_slice name;
        struct mt_val target;
        p->start[i] = (uint32_t)p->edges.count;
        for (struct mt_iter it = mt_iter_of(member_of(doc, "relations")); mt_iter_next(&it, &name, &target);)
            add_edges(&p->edges, target);
        mt_doc_unref(doc);
    }
    p->start[n] = (uint32_t)p->edges.count;
    p->level = mt_alloc(n * sizeof *p->level);
    p->component = mt_alloc(n * sizeof *p->component);
    p->size = mt_alloc(n * sizeof *p->size);
    struct mt_graph graph = {n, p->start, p->edges.to};
    p->levels = mt_order(&graph, p->level, p->component, p->size);
    free(names);
}

static void free_plan(struct plan *p)
{
    free(p->level);
    free(p->component);
    free(p->size);
    free(p->start);
    free(p->edges.to);
}

static bool in_cycle(const struct plan *p, uint32_t node)
{
    if (p->size[p->component[node]] > 1)
        return true;
    for (uint32_t e = p->start[node]; e < p->start[node + 1]; e++)
        if (p->edges.to[e] == node)
            return true;
    return false;
}

/* ---- sending ---- */

struct sending {
    struct mt_session *s;
    struct mt_upsert_item items[GROUP], *list[GROUP];
    char *bodies[GROUP];
    struct record *records[GROUP];
    size_t count;
    char *blueprint;
    bool last; /* the outcome counts */
};

/* An entity's identifier for a message; the caller frees it. */
static char *name_of(struct mt_slice json)
{
    struct mt_doc *doc = NULL;
    struct mt_buf text;
    mt_buf_init(&text, BODY_MAX);
    mt_doc_parse_copy(json, NULL, &doc, NULL);
    struct mt_val identifier = member_of(doc, "identifier");
    if (mt_val_is(identifier, MT_STRING))
        mt_buf_put(&text, mt_val_string(identifier));
    else if (identifier.doc)
        mt_val_write(identifier, &text);
    char *name = mt_format("%.*s", (int)(text.n > MT_FOREIGN ? MT_FOREIGN : text.n), text.p ? text.p : "");
    mt_buf_fini(&text);
    mt_doc_unref(doc);
    return name;
}

static void flush(struct sending *g)
{
    if (g->count)
        mt_apply_bulk(g->s, mt_slice_of(g->blueprint), g->list, g->count);
    for (size_t i = 0; i < g->count; i++) {
        struct mt_upsert_item *item = &g->items[i];
        struct record *record = g->records[i];
        struct mt_kind_report *report = record->r->report;
        record->created |= item->ok && item->created;
        if (g->last && item->ok) {
            atomic_fetch_add(record->created ? &report->created : &report->updated, 1);
        } else if (g->last && !atomic_load(&g->s->canceled)) {
            atomic_fetch_add(&report->load_failed, 1);
            char *name = name_of(item->json);
            mt_session_error(g->s, record->r->kind, "Port refused entity %s of blueprint %s: %s", name,
                             g->blueprint, item->error ? item->error : "no reason given");
            free(name);
        }
        free(item->error);
        free(item->identifier);
        free(g->bodies[i]);
    }
    g->count = 0;
}

/* Without its relations: the first of the two steps for an entity in a cycle. */
static void write_body(struct mt_val entity, bool whole, struct mt_buf *out)
{
    struct mt_slice name;
    struct mt_val v;
    bool first = true;
    mt_buf_putc(out, '{');
    for (struct mt_iter it = mt_iter_of(entity); mt_iter_next(&it, &name, &v);) {
        if (!whole && mt_slice_is(name, "relations"))
            continue;
        if (!first)
            mt_buf_putc(out, ',');
        first = false;
        mt_buf_put_json_string(out, name);
        mt_buf_putc(out, ':');
        mt_val_write(v, out);
    }
    mt_buf_putc(out, '}');
}

static void send(struct sending *g, struct mt_failed_entities *f, uint32_t node, bool whole)
{
    struct mt_doc *doc = load(f, node);
    struct mt_slice blueprint = mt_val_string(member_of(doc, "blueprint"));
    if (!doc) {
        mt_session_error(g->s, f->records[node].r->kind,
                         "a refused entity could not be read back from the state file");
        return;
    }
    if (g->count == GROUP || (g->count && !mt_slice_is(blueprint, g->blueprint)))
        flush(g);
    if (!g->count) {
        free(g->blueprint);
        g->blueprint = mt_slice_dup(blueprint);
    }
    struct mt_buf body;
    mt_buf_init(&body, BODY_MAX);
    write_body(mt_doc_root(doc), whole, &body);
    size_t n;
    char *text = mt_buf_take(&body, &n);
    g->bodies[g->count] = text;
    g->items[g->count] = (struct mt_upsert_item){.json = {text, n}};
    g->list[g->count] = &g->items[g->count];
    g->records[g->count++] = &f->records[node];
    mt_doc_unref(doc);
}

void mt_failed_retry(struct mt_session *s)
{
    struct mt_failed_entities *f = s->failed;
    if (!f->count || atomic_load(&s->canceled))
        return;
    struct plan p;
    make_plan(f, &p);
    struct sending *g = mt_alloc(sizeof *g);
    g->s = s;
    /* Nodes by level, each level in the order in which they were refused: a counting sort. */
    uint32_t n = (uint32_t)f->count, *from = mt_alloc((p.levels + (size_t)1) * sizeof *from),
             *sorted = mt_alloc(n * sizeof *sorted);
    for (uint32_t i = 0; i < n; i++)
        from[p.level[i] + 1]++;
    for (uint32_t l = 0; l < p.levels; l++)
        from[l + 1] += from[l];
    uint32_t *at = mt_alloc((p.levels + (size_t)1) * sizeof *at);
    memcpy(at, from, (p.levels + (size_t)1) * sizeof *at);
    for (uint32_t i = 0; i < n; i++)
        sorted[at[p.level[i]]++] = i;
    for (uint32_t l = 0; l < p.levels && !atomic_load(&s->canceled); l++) {
        g->last = false;
        for (uint32_t i = from[l]; i < from[l + 1]; i++)
            if (in_cycle(&p, sorted[i]))
                send(g, f, sorted[i], false);
        flush(g);
        g->last = true;
        for (uint32_t i = from[l]; i < from[l + 1]; i++)
            send(g, f, sorted[i], true);
        flush(g);
    }
    free(at);
    free(from);
    free(sorted);
    free(g->blueprint);
    free(g);
    free_plan(&p);
}
