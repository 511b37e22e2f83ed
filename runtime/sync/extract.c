/* Extract and transform: a resource's handlers yield batches on the loop's thread, workers map them, the
 * resync thread collects them in order and hands the entities to the appliers.
 *
 *   loop: on_batch ──▶ worker: map_batch ──▶ loop: (done) ──▶ resync: collect ──▶ mt_apply
 *
 * What is between on_batch and mt_apply is bounded in items and bytes: past the bound the handler's coroutine
 * is parked, and resumed when half of it is gone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/names.h"
#include "port/entities.h"
#include "port/resources.h"
#include "sync/session.h"

enum { MOST_ITEMS = 1000, MOST_BYTES = 8 * 1024 * 1024, OPEN_CHUNKS = 16, EXAMPLES = 5 };

struct batch {
    struct mt_job job;
    struct extraction *x;
    struct mt_doc *doc;
    char *scope;
    uint64_t sequence;
    size_t items, bytes;
    struct mt_mapped mapped;
    enum mt_rc rc;
    struct mt_err err;
    struct batch *next;
};

/* Entities of one blueprint that wait for company, up to MT_BULK_BYTES of them: their items have left the
 * bound of the pipe. */
struct chunk {
    struct mt_entity *entities[MT_CHUNK];
    size_t count, bytes;
    char *scope; /* of search identifiers, which are a chunk of their own in each scope; NULL: the others */
};

/* One resource at work. Lives on the resync thread's stack; the loop's thread is done with it when `ended` is
 * set and the last posted call has run. */
struct extraction {
    struct mt_session *s;
    struct mt_resource *r;
    uint64_t left; /* of --limit; loop thread */
    bool limited;  /* loop thread writes, read after the end */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *mapped; /* done by the workers, by sequence */
    uint64_t submitted, collected;
    size_t items, bytes; /* between on_batch and mt_apply */
    bool parked, ended;

    struct mt_run_result result; /* copied at the end */

    unsigned examples_left;
    struct chunk chunks[OPEN_CHUNKS];
    struct mt_keyset *open; /* keys in the open chunks and with the appliers */
};

/* ---- loop thread ---- */

static void cancel_run(void *arg)
{
    struct extraction *x = arg;
    if (x->s->run)
        mt_run_cancel(x->s->run);
}

static void resume_run(void *arg)
{
    struct extraction *x = arg;
    if (x->s->run)
        mt_run_resume(x->s->run);
}

static void map_batch(struct mt_job *job, unsigned worker)
{
    struct batch *b = (struct batch *)job;
    struct mt_resource *r = b->x->r;
    if (atomic_load(&b->x->s->canceled))
        b->rc = mt_fail(&b->err, MT_ECANCELED, "interrupted");
    if (b->rc == MT_OK && !r->mappers[worker])
        b->rc = mt_mapper_new(r->mapping, &r->mappers[worker], &b->err);
    uint64_t began_ns = mt_now_ns();
    if (b->rc == MT_OK)
        b->rc = mt_mapper_run(r->mappers[worker], mt_doc_root(b->doc), &b->mapped, &b->err);
    struct mt_label labels[] = {
        {"integration", mt_config_identifier(b->x->s->config)}, {"kind", r->kind}, {NULL, NULL}};
    mt_metrics_observe(b->x->s->options->place->metrics, MT_METRIC_MAPPING, mt_buckets_seconds, labels,
                       (double)(mt_now_ns() - began_ns) / 1e9);
    struct extraction *x = b->x;
    pthread_mutex_lock(&x->lock);
    struct batch **at = &x->mapped;
    while (*at && (*at)->sequence < b->sequence)
        at = &(*at)->next;
    b->next = *at;
    *at = b;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

/* The first n items as an array of their own. */
static struct mt_doc *first_items(struct mt_doc *doc, uint64_t n)
{
    struct mt_builder *builder = mt_builder_new();
    struct mt_val item;
    struct mt_doc *cut = NULL;
    mt_build_array(builder);
    for (uint32_t i = 0; i < n && mt_val_index(mt_doc_root(doc), i, &item); i++)
        mt_build_ref(builder, item);
    mt_build_end(builder);
    if (mt_builder_finish(builder, &cut, NULL) != MT_OK)
        cut = mt_doc_ref(doc);
    mt_builder_free(builder);
    return cut;
}

static bool on_batch(void *ud, struct mt_run *run, struct mt_batch in)
{
    struct extraction *x = ud;
    (void)run;
    if (x->limited) {
        mt_doc_unref(in.doc);
        free(in.scope);
        return false;
    }
    size_t items = mt_val_count(mt_doc_root(in.doc));
    if (x->s->options->limit) {
        if (items >= x->left) {
            struct mt_doc *cut = first_items(in.doc, x->left);
            mt_doc_unref(in.doc);
            in.doc = cut;
            items = x->left;
            x->limited = true;
            mt_loop_post(x->s->loop, cancel_run, x);
        }
        x->left -= items;
    }
    struct batch *b = mt_alloc(sizeof *b);
    *b = (struct batch){.job = {.work = map_batch},
                        .x = x,
                        .doc = in.doc,
                        .scope = in.scope,
                        .items = items,
                        .bytes = mt_doc_bytes(in.doc)};
    pthread_mutex_lock(&x->lock);
    b->sequence = x->submitted++;
    x->items += b->items;
    x->bytes += b->bytes;
    bool room = x->items < MOST_ITEMS && x->bytes < MOST_BYTES && !x->limited;
    x->parked = !room;
    size_t waiting = x->items;
    pthread_mutex_unlock(&x->lock);
    struct mt_label labels[] = {
        {"integration", mt_config_identifier(x->s->config)}, {"kind", x->r->kind}, {NULL, NULL}};
    mt_metrics_observe(x->s->options->place->metrics, MT_METRIC_QUEUE, mt_buckets_count, labels,
                       (double)waiting);
    mt_pool_submit(x->s->pool, &b->job);
    return room;
}

static void on_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct extraction *x = ud;
    (void)run;
    x->s->run = NULL;
    struct mt_run_result copy = *result;
    copy.error = mt_strdup(result->error);
    copy.faults = mt_alloc((result->fault_count + 1) * sizeof *copy.faults);
    for (size_t i = 0; i < result->fault_count; i++)
        copy.faults[i] =
            (struct mt_run_fault){mt_strdup(result->faults[i].scope), mt_strdup(result->faults[i].message)};
    pthread_mutex_lock(&x->lock);
    x->result = copy;
    x->ended = true;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

struct start {
    struct extraction *x;
    enum mt_hook hook;
    enum mt_rc rc;
    struct mt_err err;
};

static void start_run(struct mt_session *s, void *arg)
{
    struct start *start = arg;
    struct extraction *x = start->x;
    struct mt_run_options options = {.on_batch = on_batch, .on_end = on_end, .ud = x};
    if (atomic_load(&s->canceled)) {
        start->rc = mt_fail(&start->err, MT_ECANCELED, "interrupted");
    } else if (x->r) {
        options.kind = mt_slice_of(x->r->kind);
        options.index = x->r->report->index;
        options.selector = mt_mapping_selector(x->r->mapping);
        start->rc = mt_run_start(s->host, &options, &s->run, &start->err);
    } else {
        start->rc = mt_run_hook(s->host, start->hook, &options, &s->run, &start->err);
    }
    if (start->rc != MT_OK)
        s->run = NULL;
}

static void nothing(struct mt_session *s, void *arg)
{
    (void)s;
    (void)arg;
}

/* ---- resync thread ---- */

static void flush_chunk(struct extraction *x, struct chunk *c)
{
    if (!c->count)
        return;
    uint64_t from = mt_now_ns();
    mt_apply(x->s, x->r, c->scope ? c->scope : "", c->entities, c->count);
    x->s->waited_port += (double)(mt_now_ns() - from) / 1e9;
    free(c->scope);
    *c = (struct chunk){0};
}

static void flush_all(struct extraction *x)
{
    for (size_t i = 0; i < OPEN_CHUNKS; i++)
        flush_chunk(x, &x->chunks[i]);
    uint64_t from = mt_now_ns();
    mt_appliers_wait_idle(x->s->appliers);
    x->s->waited_port += (double)(mt_now_ns() - from) / 1e9;
    mt_keyset_free(x->open);
    x->open = mt_keyset_new();
}

/* The open chunk of this blueprint and scope, or a slot made free for it. */
static struct chunk *chunk_for(struct extraction *x, struct mt_slice blueprint, const char *scope)
{
    struct chunk *free_one = NULL, *fullest = &x->chunks[0];
    for (size_t i = 0; i < OPEN_CHUNKS; i++) {
        struct chunk *c = &x->chunks[i];
        if (!c->count)
            free_one = free_one ? free_one : c;
        else if (mt_slice_eq(c->entities[0]->blueprint, blueprint) &&
                 (scope ? c->scope && strcmp(scope, c->scope) == 0 : !c->scope))
            return c;
        if (c->count > fullest->count)
            fullest = c;
    }
    if (!free_one)
        flush_chunk(x, free_one = fullest);
    free_one->scope = mt_strdup(scope);
    return free_one;
}

/* Two versions of one entity must reach Port in order, and within a chunk the last one wins (R-DIFF-09). */
static void add_entity(struct extraction *x, struct mt_entity *e, const char *scope)
{
    scope = e->search_identifier ? scope : NULL;
    struct chunk *c = chunk_for(x, e->blueprint, scope);
    if (!e->search_identifier && !mt_keyset_add(x->open, &e->key, 0)) {
        for (size_t i = 0; i < c->count; i++)
            if (memcmp(&c->entities[i]->key, &e->key, sizeof e->key) == 0) {
                c->bytes += e->json.n - c->entities[i]->json.n;
                free(c->entities[i]);
                c->entities[i] = e;
                return;
            }
        flush_all(x);
        mt_keyset_add(x->open, &e->key, 0);
        c = chunk_for(x, e->blueprint, scope);
    }
    c->entities[c->count++] = e;
    c->bytes += e->json.n;
    if (c->count == MT_CHUNK || c->bytes >= MT_BULK_BYTES)
        flush_chunk(x, c);
    /* Keys of chunks that are long applied only cost memory: start anew now and then. */
    if (mt_keyset_count(x->open) > 16 * MT_CHUNK * OPEN_CHUNKS)
        flush_all(x);
}

static void count_empty(struct extraction *x, struct mt_mapped *m)
{
    for (size_t i = 0; i < m->empty_count; i++) {
        struct mt_empty_field *from = &m->empty[i], *to = &x->r->empty[from->field];
        to->count += from->count;
        if (!to->sample) {
            to->sample = mt_strdup(from->sample);
            to->sample_entity = mt_strdup(from->sample_entity);
        }
    }
}

static void item_failed(struct extraction *x, const struct batch *b, const struct mt_failed_item *f)
{
    mt_session_error(x->s, x->r->kind, "item %u of a batch: %s", f->item, f->message);
    if (f->has_key) {
        pthread_mutex_lock(&x->s->lock);
        mt_keyset_add(x->s->produced, &f->key, 0);
        pthread_mutex_unlock(&x->s->lock);
        /* The resource still has it: a pair that went now would let the entity be taken for another
         * resource's the next time. */
        mt_state_produced(x->s->state, &f->key, mt_slice_of(x->r->name), mt_slice_of(b->scope));
    } else {
        char *reason = mt_format("an item of kind %s could not be mapped: %.300s", x->r->kind, f->message);
        mt_resource_unproven(x->s, x->r, b->scope, reason);
        free(reason);
    }
}

static void collect(struct extraction *x, struct batch *b)
{
    struct mt_session *s = x->s;
    struct mt_kind_report *report = x->r->report;
    if (b->rc != MT_OK) {
        if (b->rc != MT_ECANCELED)
            mt_session_error(s, x->r->kind, "a batch of %zu items could not be mapped: %s", b->items,
                             b->err.text);
        mt_resource_unproven(s, x->r, "", "a batch could not be mapped");
        return;
    }
    struct mt_mapped *m = &b->mapped;
    atomic_fetch_add(&report->items, m->items);
    atomic_fetch_add(&report->selected, m->selected);
    atomic_fetch_add(&report->mapped, m->entity_count);
    atomic_fetch_add(&report->skipped, m->skipped);
    atomic_fetch_add(&report->failed, m->failed_count);
    if (x->examples_left)
        mt_examples_send(s, x->r, mt_doc_root(b->doc), &x->examples_left);
    count_empty(x, m);
    for (size_t i = 0; i < m->failed_count; i++)
        item_failed(x, b, &m->failed[i]);
    for (size_t i = 0; i < m->entity_count; i++) {
        struct mt_entity *e = m->entities[i];
        m->entities[i] = NULL;
        if (!e->search_identifier) {
            pthread_mutex_lock(&s->lock);
            mt_keyset_add(s->produced, &e->key, 0);
            pthread_mutex_unlock(&s->lock);
            if (!s->options->plan)
                mt_state_produced(s->state, &e->key, mt_slice_of(x->r->name), mt_slice_of(b->scope));
        }
        add_entity(x, e, b->scope);
    }
}

static void free_batch(struct batch *b)
{
    mt_doc_unref(b->doc);
    mt_mapped_fini(&b->mapped);
    free(b->scope);
    free(b);
}

/* The next mapped batch in order, or NULL when the handlers have ended and all is collected. */
static struct batch *next_batch(struct extraction *x)
{
    struct batch *b = NULL;
    pthread_mutex_lock(&x->lock);
    for (;;) {
        if (x->mapped && x->mapped->sequence == x->collected) {
            b = x->mapped;
            x->mapped = b->next;
            x->collected++;
            break;
        }
        bool mapping = x->submitted > x->collected;
        if (x->ended && !mapping)
            break;
        uint64_t from = mt_now_ns();
        pthread_cond_wait(&x->changed, &x->lock);
        double waited = (double)(mt_now_ns() - from) / 1e9;
        *(mapping ? &x->s->waited_mapping : &x->s->waited_source) += waited;
    }
    pthread_mutex_unlock(&x->lock);
    return b;
}

static void batch_left(struct extraction *x, const struct batch *b)
{
    pthread_mutex_lock(&x->lock);
    x->items -= b->items;
    x->bytes -= b->bytes;
    bool resume = x->parked && x->items <= MOST_ITEMS / 2 && x->bytes <= MOST_BYTES / 2;
    if (resume)
        x->parked = false;
    pthread_mutex_unlock(&x->lock);
    if (resume)
        mt_loop_post(x->s->loop, resume_run, x);
}

static void free_result(struct mt_run_result *result)
{
    for (size_t i = 0; i < result->fault_count; i++) {
        free(result->faults[i].scope);
        free(result->faults[i].message);
    }
    free(result->faults);
    free(result->error);
}

/* What the end of the handlers proves, and what it does not. */
static void judge(struct extraction *x)
{
    struct mt_session *s = x->s;
    const char *kind = x->r->kind;
    struct mt_run_result *result = &x->result;
    for (size_t i = 0; i < result->fault_count; i++) {
        const struct mt_run_fault *f = &result->faults[i];
        if (x->limited) {
            /* What --limit cut off did not fail; what failed before it cannot be told from that. */
            mt_log(MT_INFO, "kind %s: --limit left this undone: %s%s%s", kind, f->scope,
                   f->scope[0] ? ": " : "", f->message);
            continue;
        }
        mt_resource_unproven(s, x->r, f->scope, f->message);
        if (f->scope[0])
            mt_session_error(s, kind, "scope %s: %s", f->scope, f->message);
        else if (result->ok)
            mt_session_error(s, kind, "%s", f->message);
    }
    if (x->limited) {
        mt_resource_unproven(s, x->r, "", "--limit left items out");
    } else if (!result->ok) {
        char *reason = mt_format("kind %s did not end normally", kind);
        mt_resource_unproven(s, x->r, "", reason);
        free(reason);
        if (!result->canceled || !atomic_load(&s->canceled))
            mt_session_error(s, kind, "%s", result->error ? result->error : "its handlers were cancelled");
    }
}

struct unread {
    struct mt_resource *r;
    struct mt_buf names;
};

static void find_unread(struct mt_session *s, void *arg)
{
    struct unread *u = arg;
    struct mt_slice name;
    struct mt_val value;
    struct mt_val selector = mt_mapping_selector(u->r->mapping);
    for (struct mt_iter it = mt_iter_of(selector); mt_iter_next(&it, &name, &value);) {
        if (mt_slice_is(name, "query") || mt_slice_is(name, "exportEnvVariables") ||
            mt_host_selector_was_read(s->host, mt_slice_of(u->r->kind), name))
            continue;
        if (u->names.n)
            mt_buf_puts(&u->names, ", ");
        mt_buf_put(&u->names, name);
    }
}

/* An option that nothing reads is a typing error that would otherwise pass in silence. */
static void name_unread_options(struct extraction *x)
{
    struct unread u = {.r = x->r};
    mt_buf_init(&u.names, 4096);
    mt_session_on_loop(x->s, find_unread, &u);
    if (u.names.n)
        mt_log(MT_WARN, "kind %s: no handler read these options of its selector: %s", x->r->kind,
               mt_buf_text(&u.names));
    mt_buf_fini(&u.names);
}

static bool is_required(struct mt_doc *doc, struct mt_slice field)
{
    struct mt_val blueprint, list, v;
    if (!doc || !mt_val_path(mt_doc_root(doc), "blueprint", &blueprint))
        return false;
    if (field.n > 11 && memcmp(field.p, "properties.", 11) == 0) {
        struct mt_slice name = {field.p + 11, field.n - 11};
        if (mt_val_path(blueprint, "schema.required", &list))
            for (uint32_t i = 0; mt_val_index(list, i, &v); i++)
                if (mt_slice_eq(mt_val_string(v), name))
                    return true;
    } else if (field.n > 10 && memcmp(field.p, "relations.", 10) == 0) {
        struct mt_slice name = {field.p + 10, field.n - 10};
        return mt_val_path(blueprint, "relations", &list) && mt_val_member(list, name, &v) &&
               mt_val_member(v, MT_SLICE("required"), &v) && mt_val_true(v);
    }
    return false;
}

/* One line a field that gave null (R-ENT-06). */
static void report_empty_fields(struct extraction *x)
{
    struct mt_resource *r = x->r;
    struct mt_doc *blueprint = NULL;
    bool asked = false;
    for (unsigned i = 0; i < mt_mapping_field_count(r->mapping); i++) {
        const struct mt_empty_field *e = &r->empty[i];
        if (!e->count)
            continue;
        struct mt_slice id = mt_mapping_blueprint(r->mapping);
        if (!asked && id.p)
            mt_blueprint_get(x->s->port, id, &blueprint, NULL);
        asked = true;
        struct mt_slice field = mt_mapping_field(r->mapping, i),
                        text = mt_mapping_field_expression(r->mapping, i);
        bool required = is_required(blueprint, field);
        mt_log(required ? MT_ERROR : MT_WARN,
               "kind %s: %.*s is empty for %u of %llu entities%s (%.*s; first: %s: %s)", r->kind,
               MT_FMT(field), e->count, (unsigned long long)atomic_load(&r->report->mapped),
               required ? ", and the blueprint requires it" : "",
               (int)(text.n > MT_FOREIGN ? MT_FOREIGN : text.n), text.p,
               e->sample_entity ? e->sample_entity : "?", e->sample ? e->sample : "null");
    }
    mt_doc_unref(blueprint);
}

static void begin(struct extraction *x, struct mt_session *s, struct mt_resource *r)
{
    *x = (struct extraction){.s = s, .r = r, .left = s->options->limit};
    x->examples_left =
        r && !s->options->plan && mt_config_bool(s->config, "send_raw_data_examples") ? EXAMPLES : 0;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    x->open = mt_keyset_new();
}

static void finish(struct extraction *x)
{
    mt_session_on_loop(x->s, nothing, NULL); /* calls posted for this extraction have run */
    free_result(&x->result);
    mt_keyset_free(x->open);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
}

void mt_extract(struct mt_session *s, struct mt_resource *r)
{
    struct extraction x;
    begin(&x, s, r);
    r->report->ran = true;
    r->report->started_ns = mt_now_ns();
    struct start start = {.x = &x};
    mt_session_on_loop(s, start_run, &start);
    if (start.rc != MT_OK) {
        if (start.rc != MT_ECANCELED)
            mt_session_error(s, r->kind, "%s", start.err.text);
        mt_resource_unproven(s, r, "", start.err.text);
    } else {
        struct batch *b;
        while ((b = next_batch(&x))) {
            collect(&x, b);
            batch_left(&x, b);
            free_batch(b);
        }
        atomic_store(&r->report->pages, x.result.pages);
        judge(&x);
        if (x.result.ok)
            name_unread_options(&x);
    }
    flush_all(&x);
    if (!atomic_load(&s->canceled))
        report_empty_fields(&x);
    r->ran = true;
    r->report->ended_ns = mt_now_ns();
    finish(&x);
}

bool mt_extract_hook(struct mt_session *s, enum mt_hook hook)
{
    struct extraction x;
    begin(&x, s, NULL);
    struct start start = {.x = &x, .hook = hook};
    mt_session_on_loop(s, start_run, &start);
    bool ok = start.rc == MT_OK || start.rc == MT_ENOENT;
    if (start.rc == MT_OK) {
        next_batch(&x);
        const char *fault = x.result.fault_count ? x.result.faults[0].message : NULL;
        if (fault) {
            free(s->hook_fault);
            s->hook_fault = mt_format("a request failed in a hook: %s", fault);
            mt_session_error(s, NULL, "%s", s->hook_fault);
        }
        /* A failed request lets the resync go on without deletes; any other error ends it (R-RES-02). */
        ok = x.result.ok || (fault && !x.result.canceled);
        if (!ok && !atomic_load(&s->canceled))
            mt_session_error(s, NULL, "a hook failed: %s", x.result.error ? x.result.error : "cancelled");
    } else if (start.rc != MT_ENOENT && start.rc != MT_ECANCELED) {
        mt_session_error(s, NULL, "%s", start.err.text);
    }
    finish(&x);
    return ok;
}
