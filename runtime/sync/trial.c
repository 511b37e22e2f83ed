/* A trial of a bundle: see trial.h. One thread does it all: it runs the loop until the handlers have ended,
 * and maps each batch where it is yielded. The tape that the host is given is the trial's own, which notes
 * what was asked and hands it on. */
#include "sync/trial.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "bundle/appconfig.h"

enum { LIST_MAX = 256 * 1024 * 1024 }; /* of each list of the result, in bytes */

struct mt_trial {
    struct mt_version *version;
    struct mt_place *place;
    struct mt_source *source;
    struct mt_appconfig *mapping;
    struct mt_mapper **mappers; /* one a resource of the mapping, made when it is needed */
    const struct mt_http_tape *inner;
    struct mt_http_tape tape;
    struct mt_buf requests, unknown; /* of the call under way: elements of JSON arrays */
    struct mt_run *run;              /* at work */
    bool noting;                     /* requests are told */
    bool started, canceled;
};

/* One run of handlers or of a hook, and what came of it: elements of JSON arrays. */
struct outcome {
    struct mt_trial *t;
    struct mt_mapper *mapper;
    struct mt_buf batches, entities, errors, faults;
    unsigned batch_count;
    unsigned *empty; /* by field: how many items gave null */
    char **empty_samples;
    char *error; /* the first reason why the kind would not count as complete */
    bool (*each)(void *ud, struct mt_val batch);
    void *ud;
    bool enough;
};

/* ---- JSON text ---- */

static void put_text(struct mt_buf *out, struct mt_slice text)
{
    struct mt_buf clean;
    mt_buf_init(&clean, text.n * 3);
    mt_utf8_put(&clean, text);
    mt_buf_put_json_string(out, mt_buf_slice(&clean));
    mt_buf_fini(&clean);
}

static void put_member(struct mt_buf *out, const char *name, struct mt_slice text)
{
    mt_buf_printf(out, ",\"%s\":", name);
    put_text(out, text);
}

static void put_comma(struct mt_buf *list)
{
    if (list->n)
        mt_buf_putc(list, ',');
}

/* ---- the tape ---- */

static void note_request(struct mt_trial *t, const struct mt_http_request *sent, int status)
{
    struct mt_buf *b = &t->requests;
    if (!t->noting)
        return;
    put_comma(b);
    mt_buf_printf(b, "{\"status\":%d", status);
    put_member(b, "method", mt_slice_of(sent->method));
    put_member(b, "url", mt_slice_of(sent->url));
    if (sent->body.p)
        put_member(b, "body", sent->body);
    mt_buf_puts(b, ",\"headers\":{");
    for (size_t i = 0; i < sent->header_count; i++) {
        char *name = mt_strdup(sent->headers[i].name);
        for (char *c = name; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (i)
            mt_buf_putc(b, ',');
        put_text(b, mt_slice_of(name));
        mt_buf_putc(b, ':');
        put_text(b, mt_slice_of(sent->headers[i].value));
        free(name);
    }
    mt_buf_puts(b, "}}");
}

static enum mt_rc play(void *ud, const struct mt_http_request *sent, struct mt_http_response *out,
                       struct mt_err *err)
{
    struct mt_trial *t = ud;
    struct mt_err why = {0};
    enum mt_rc rc = t->inner->play(t->inner->ud, sent, out, &why);
    note_request(t, sent, rc == MT_OK ? out->status : 0);
    if (rc == MT_ENOENT && t->noting) {
        put_comma(&t->unknown);
        mt_mask(why.text);
        put_text(&t->unknown, mt_slice_of(why.text));
    }
    if (rc != MT_OK && err)
        *err = why;
    return rc;
}

static void record(void *ud, const struct mt_http_request *sent, const struct mt_http_response *answer)
{
    struct mt_trial *t = ud;
    note_request(t, sent, answer->status);
    if (t->inner && t->inner->record)
        t->inner->record(t->inner->ud, sent, answer);
}

/* ---- what a run yields, and its end ---- */

static void outcome_init(struct outcome *o, struct mt_trial *t)
{
    *o = (struct outcome){.t = t};
    struct mt_buf *lists[] = {&o->batches, &o->entities, &o->errors, &o->faults};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        mt_buf_init(lists[i], LIST_MAX);
}

static void outcome_fini(struct outcome *o)
{
    mt_buf_fini(&o->batches);
    mt_buf_fini(&o->entities);
    mt_buf_fini(&o->errors);
    mt_buf_fini(&o->faults);
    free(o->error);
}

static void first_error(struct outcome *o, char *text)
{
    if (o->error)
        free(text);
    else
        o->error = text;
}

static void take_mapped(struct outcome *o, struct mt_mapped *m)
{
    for (size_t i = 0; i < m->entity_count; i++) {
        put_comma(&o->entities);
        mt_buf_put(&o->entities, m->entities[i]->json);
    }
    for (size_t i = 0; i < m->failed_count; i++) {
        const struct mt_failed_item *f = &m->failed[i];
        put_comma(&o->errors);
        mt_buf_printf(&o->errors, "{\"batch\":%u,\"item\":%u", o->batch_count, f->item + 1);
        put_member(&o->errors, "message", mt_slice_of(f->message));
        mt_buf_putc(&o->errors, '}');
        first_error(o, mt_format("item %u of batch %u: %s", f->item + 1, o->batch_count, f->message));
    }
    for (size_t i = 0; i < m->empty_count; i++) {
        struct mt_empty_field *e = &m->empty[i];
        o->empty[e->field] += e->count;
        if (!o->empty_samples[e->field]) {
            o->empty_samples[e->field] = e->sample;
            e->sample = NULL;
        }
    }
}

static bool on_batch(void *ud, struct mt_run *run, struct mt_batch batch)
{
    struct outcome *o = ud;
    struct mt_val items = mt_doc_root(batch.doc);
    o->batch_count++;
    if (o->each) {
        if (!o->enough && !o->each(o->ud, items)) {
            o->enough = true;
            mt_run_cancel(run);
        }
    } else {
        struct mt_mapped mapped = {0};
        struct mt_err err;
        put_comma(&o->batches);
        mt_val_write(items, &o->batches);
        if (mt_mapper_run(o->mapper, items, &mapped, &err) == MT_OK)
            take_mapped(o, &mapped);
        else
            first_error(o, mt_format("batch %u could not be mapped: %s", o->batch_count, err.text));
        mt_mapped_fini(&mapped);
    }
    mt_doc_unref(batch.doc);
    free(batch.scope);
    return true;
}

static void on_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct outcome *o = ud;
    (void)run;
    if (result->error)
        first_error(o, mt_strdup(result->error));
    for (size_t i = 0; !o->enough && i < result->fault_count; i++) {
        const struct mt_run_fault *f = &result->faults[i];
        put_comma(&o->faults);
        mt_buf_puts(&o->faults, "{\"scope\":");
        put_text(&o->faults, mt_slice_of(f->scope));
        put_member(&o->faults, "message", mt_slice_of(f->message));
        mt_buf_putc(&o->faults, '}');
        first_error(o, mt_format("%s%s%s", f->scope, f->scope[0] ? ": " : "", f->message));
    }
    if (!result->ok && !o->enough)
        first_error(o, mt_strdup("the handlers were cancelled"));
    o->t->run = NULL;
    mt_loop_stop(o->t->place->loop);
}

/* Runs what was started until it has ended. */
static void wait_for(struct mt_trial *t, enum mt_rc started, const struct mt_err *err, struct outcome *o)
{
    if (started == MT_OK) {
        mt_loop_run(t->place->loop);
        return;
    }
    t->run = NULL;
    first_error(o, mt_strdup(err->text));
}

static void run_hook(struct mt_trial *t, enum mt_hook hook, const char *name, struct outcome *o)
{
    struct mt_run_options options = {.on_batch = on_batch, .on_end = on_end, .ud = o};
    struct mt_err err;
    enum mt_rc rc = mt_run_hook(t->source->host, hook, &options, &t->run, &err);
    wait_for(t, rc, &err, o);
    if (o->error) {
        char *text = mt_format("%s: %s", name, o->error);
        free(o->error);
        o->error = text;
    }
}

/* The hooks before the first kind, then the handlers; a hook that failed ends it (R-RES-02). */
static void run_kind(struct mt_trial *t, const struct mt_mapping *mapping, struct outcome *o)
{
    if (!t->started) {
        t->started = true;
        run_hook(t, MT_HOOK_START, "on_start", o);
        if (!o->error)
            run_hook(t, MT_HOOK_RESYNC_START, "on_resync_start", o);
    }
    if (o->error || t->canceled)
        return;
    struct mt_run_options options = {.kind = mt_mapping_kind(mapping),
                                     .selector = mt_mapping_selector(mapping),
                                     .on_batch = on_batch,
                                     .on_end = on_end,
                                     .ud = o};
    struct mt_err err;
    while (options.index < t->mapping->resource_count && t->mapping->resources[options.index] != mapping)
        options.index++;
    if (options.index == t->mapping->resource_count)
        options.index = 0; /* one of a selector of its own */
    enum mt_rc rc = mt_run_start(t->source->host, &options, &t->run, &err);
    wait_for(t, rc, &err, o);
}

/* ---- selectors of the caller's own ---- */

static void build_selector(struct mt_builder *b, struct mt_val old, struct mt_val given)
{
    struct mt_slice name;
    struct mt_val v, other;
    mt_build_object(b);
    for (struct mt_iter it = mt_iter_of(old); mt_iter_next(&it, &name, &v);)
        if (!mt_val_member(given, name, &other)) {
            mt_build_name(b, name);
            mt_build_ref(b, v);
        }
    for (struct mt_iter it = mt_iter_of(given); mt_iter_next(&it, &name, &v);)
        if (!mt_val_is(v, MT_NULL)) {
            mt_build_name(b, name);
            mt_build_ref(b, v);
        }
    mt_build_end(b);
}

/* The resource of the mapping with another selector. */
static enum mt_rc with_selector(struct mt_trial *t, unsigned index, struct mt_val selector,
                                const struct mt_mapping_options *options, struct mt_mapping **out,
                                struct mt_err *err)
{
    struct mt_val list, resource, v;
    struct mt_slice name;
    struct mt_doc *doc = NULL;
    if (!mt_val_member(mt_doc_root(t->mapping->doc), MT_SLICE("resources"), &list) ||
        !mt_val_index(list, index, &resource))
        return mt_fail(err, MT_EINVAL, "the mapping has no resource %u", index);
    struct mt_builder *b = mt_builder_new();
    mt_build_object(b);
    for (struct mt_iter it = mt_iter_of(resource); mt_iter_next(&it, &name, &v);) {
        if (mt_slice_is(name, "selector"))
            continue;
        mt_build_name(b, name);
        mt_build_ref(b, v);
    }
    mt_build_name(b, MT_SLICE("selector"));
    build_selector(b, mt_mapping_selector(t->mapping->resources[index]), selector);
    mt_build_end(b);
    enum mt_rc rc = mt_builder_finish(b, &doc, err);
    mt_builder_free(b);
    if (rc == MT_OK)
        rc = mt_mapping_new(mt_doc_root(doc), index, options, out, err);
    mt_doc_unref(doc);
    return rc;
}

/* ---- trial.h ---- */

static struct mt_mapping_options mapping_options(const struct mt_version *v)
{
    return (struct mt_mapping_options){mt_config_bool(v->config, "allow_environment_variables_jq_access"),
                                       mt_bundle_resources(v->bundle)->mapping_file};
}

enum mt_rc mt_trial_new(const struct mt_trial_options *options, struct mt_trial **out, struct mt_err *err)
{
    struct mt_val mapping = mt_bundle_resources(options->version->bundle)->mapping;
    struct mt_mapping_options how = mapping_options(options->version);
    if (!mapping.doc)
        return mt_fail(err, MT_EINVAL, "%s has no mapping: .port/resources/port-app-config.yml is missing",
                       mt_bundle_path(options->version->bundle));
    struct mt_trial *t = mt_alloc(sizeof *t);
    t->version = mt_version_ref(options->version);
    t->inner = options->tape;
    t->tape =
        (struct mt_http_tape){.play = t->inner && t->inner->play ? play : NULL, .record = record, .ud = t};
    mt_buf_init(&t->requests, LIST_MAX);
    mt_buf_init(&t->unknown, LIST_MAX);
    t->place = mt_place_new(1, NULL, true);
    t->place->tape = &t->tape;
    enum mt_rc rc = mt_appconfig_new(mapping, &how, &t->mapping, err);
    if (rc == MT_OK) {
        t->mappers = mt_alloc((t->mapping->resource_count + (size_t)1) * sizeof *t->mappers);
        rc = mt_source_new(t->place, t->version, "trial", 0, &t->source, err);
    }
    if (rc == MT_OK)
        *out = t;
    else
        mt_trial_free(t);
    return rc;
}

void mt_trial_free(struct mt_trial *t)
{
    if (!t)
        return;
    mt_source_free(t->source);
    mt_place_free(t->place);
    for (unsigned i = 0; t->mappers && i < t->mapping->resource_count; i++)
        mt_mapper_free(t->mappers[i]);
    free(t->mappers);
    mt_appconfig_free(t->mapping);
    mt_version_unref(t->version);
    mt_buf_fini(&t->requests);
    mt_buf_fini(&t->unknown);
    free(t);
}

struct mt_loop *mt_trial_loop(struct mt_trial *t)
{
    return t->place->loop;
}

void mt_trial_cancel(struct mt_trial *t)
{
    t->canceled = true;
    if (t->run)
        mt_run_cancel(t->run);
}

const struct mt_appconfig *mt_trial_mapping(const struct mt_trial *t)
{
    return t->mapping;
}

static enum mt_rc no_kind(struct mt_trial *t, const char *kind, struct mt_err *err)
{
    struct mt_buf kinds;
    mt_buf_init(&kinds, 4096);
    for (unsigned i = 0; i < t->mapping->resource_count; i++) {
        struct mt_slice name = mt_mapping_kind(t->mapping->resources[i]);
        mt_buf_printf(&kinds, "%s%.*s", i ? ", " : "", MT_FMT(name));
    }
    enum mt_rc rc = mt_fail(err, MT_EINVAL, "the mapping has no kind \"%.*s\"; it has: %.400s", MT_FOREIGN,
                            kind, mt_buf_text(&kinds));
    mt_buf_fini(&kinds);
    return rc;
}

static void put_empty(struct mt_buf *out, const struct mt_mapping *mapping, struct outcome *o, bool *any)
{
    for (unsigned f = 0; f < mt_mapping_field_count(mapping); f++) {
        if (o->empty[f]) {
            if (*any)
                mt_buf_putc(out, ',');
            *any = true;
            mt_buf_printf(out, "{\"count\":%u", o->empty[f]);
            put_member(out, "field", mt_mapping_field(mapping, f));
            put_member(out, "message", mt_slice_of(o->empty_samples[f]));
            mt_buf_putc(out, '}');
        }
        free(o->empty_samples[f]);
    }
    free(o->empty);
    free(o->empty_samples);
}

static void put_list(struct mt_buf *out, const char *name, const struct mt_buf *list)
{
    mt_buf_printf(out, ",\"%s\":[", name);
    mt_buf_put(out, mt_buf_slice(list));
    mt_buf_putc(out, ']');
}

static enum mt_rc run_mapping(struct mt_trial *t, const struct mt_mapping *mapping, struct mt_mapper **mapper,
                              struct outcome *o, struct mt_buf *empty, bool *any, struct mt_err *err)
{
    enum mt_rc rc = *mapper ? MT_OK : mt_mapper_new(mapping, mapper, err);
    if (rc != MT_OK)
        return rc;
    size_t fields = mt_mapping_field_count(mapping);
    o->mapper = *mapper;
    o->empty = mt_alloc((fields + 1) * sizeof *o->empty);
    o->empty_samples = mt_alloc((fields + 1) * sizeof *o->empty_samples);
    run_kind(t, mapping, o);
    put_empty(empty, mapping, o, any);
    return MT_OK;
}

enum mt_rc mt_trial_run(struct mt_trial *t, const char *kind, struct mt_val selector, struct mt_buf *out,
                        struct mt_err *err)
{
    struct mt_mapping_options how = mapping_options(t->version);
    struct mt_mapping *own = NULL;
    struct mt_mapper *own_mapper = NULL;
    struct outcome o;
    struct mt_buf empty;
    bool found = false, any = false;
    enum mt_rc rc = MT_OK;
    outcome_init(&o, t);
    mt_buf_init(&empty, LIST_MAX);
    mt_buf_clear(&t->requests);
    mt_buf_clear(&t->unknown);
    t->noting = true;
    for (unsigned i = 0; rc == MT_OK && !t->canceled && i < t->mapping->resource_count; i++) {
        const struct mt_mapping *mapping = t->mapping->resources[i];
        if (!mt_slice_is(mt_mapping_kind(mapping), kind) || (found && selector.doc))
            continue;
        found = true;
        if (selector.doc) {
            rc = with_selector(t, i, selector, &how, &own, err);
            if (rc == MT_OK)
                rc = run_mapping(t, own, &own_mapper, &o, &empty, &any, err);
        } else {
            rc = run_mapping(t, mapping, &t->mappers[i], &o, &empty, &any, err);
        }
    }
    if (rc == MT_OK && !found)
        rc = no_kind(t, kind, err);
    if (rc == MT_OK) {
        mt_buf_printf(out, "{\"ok\":%s,\"error\":", o.error ? "false" : "true");
        if (o.error)
            put_text(out, mt_slice_of(mt_mask(o.error)));
        else
            mt_buf_puts(out, "null");
        put_list(out, "faults", &o.faults);
        put_list(out, "batches", &o.batches);
        put_list(out, "entities", &o.entities);
        put_list(out, "errors", &o.errors);
        put_list(out, "empty", &empty);
        put_list(out, "requests", &t->requests);
        put_list(out, "unknown", &t->unknown);
        mt_buf_putc(out, '}');
        if (out->failed || o.batches.failed || o.entities.failed || t->requests.failed)
            rc = mt_fail(err, MT_ELIMIT, "kind %s gave more than %d MB: give it less in a test", kind,
                         LIST_MAX / 1000000);
    }
    mt_mapper_free(own_mapper);
    mt_mapping_free(own);
    mt_buf_fini(&empty);
    outcome_fini(&o);
    return rc;
}

enum mt_rc mt_trial_items(struct mt_trial *t, unsigned resource, bool (*each)(void *ud, struct mt_val batch),
                          void *ud, struct mt_err *err)
{
    struct outcome o;
    enum mt_rc rc = MT_OK;
    if (resource >= t->mapping->resource_count)
        return mt_fail(err, MT_EINVAL, "the mapping has no resource %u", resource);
    outcome_init(&o, t);
    t->noting = false;
    o.each = each;
    o.ud = ud;
    run_kind(t, t->mapping->resources[resource], &o);
    if (t->canceled)
        rc = mt_fail(err, MT_ECANCELED, "interrupted");
    else if (o.error)
        rc = mt_fail(err, MT_ESCRIPT, "%s", mt_mask(o.error));
    outcome_fini(&o);
    return rc;
}
