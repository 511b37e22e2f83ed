/* Drives the room jq/ for its specs: one JSON request a line on stdin, one answer a line on stdout.
 *   {"op":"quotes","text"} → {"text"}                      {"op":"path","text"} → {"path"}
 *   {"op":"jq","program","inputs","environment"} → {"compile":MESSAGE} or
 * {"results":[{"v":[…],"e":MESSAGE?}]}
 *   {"op":"map","resource","items","source","repeat","threads"} → {"error"} or what struct mt_mapped holds
 *   {"op":"compile","resource"} → {"us"} (to compile the mapping) or {"error"}
 * MOONTIDE__ENGINE and its limits hold here, too.
 * threads: that many mappers run the batch side by side, and their answers must be the same. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jq/engine.h"
#include "jq/mapping.h"
#include "jq/program.h"
#include "jq/syntax.h"

static struct mt_slice text_of(struct mt_val v, const char *name)
{
    struct mt_val member;
    return mt_val_path(v, name, &member) ? mt_val_string(member) : (struct mt_slice){"", 0};
}

static struct mt_val value_of(struct mt_val v, const char *name)
{
    struct mt_val member = {NULL, 0};
    mt_val_path(v, name, &member);
    return member;
}

static void put_text(struct mt_builder *b, const char *name, struct mt_slice text)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_string(b, text);
}

static void put_count(struct mt_builder *b, const char *name, uint64_t count)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_int(b, (int64_t)count);
}

static void put_flag(struct mt_builder *b, const char *name, bool flag)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_bool(b, flag);
}

static void put_key(struct mt_builder *b, const struct mt_key *key)
{
    char text[33];
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", key->b[i]);
    put_text(b, "key", mt_slice_of(text));
}

static void quotes(struct mt_val request, struct mt_builder *b)
{
    struct mt_buf out;
    mt_buf_init(&out, 1 << 20);
    mt_jq_quotes(text_of(request, "text"), &out);
    put_text(b, "text", mt_buf_slice(&out));
    mt_buf_fini(&out);
}

static void path(struct mt_val request, struct mt_builder *b)
{
    struct mt_slice found;
    if (mt_jq_parse_path(text_of(request, "text"), &found))
        put_text(b, "path", found);
}

static bool emit(void *ud, struct mt_doc *result)
{
    mt_build_ref(ud, mt_doc_root(result));
    return true;
}

static void jq(struct mt_val request, struct mt_builder *b)
{
    struct mt_jq *program = NULL;
    struct mt_err err = {0};
    if (mt_jq_compile(text_of(request, "program"), mt_val_true(value_of(request, "environment")), &program,
                      &err)) {
        put_text(b, "compile", mt_slice_of(err.text));
        return;
    }
    struct mt_slice name;
    struct mt_val input;
    mt_build_name(b, MT_SLICE("results"));
    mt_build_array(b);
    for (struct mt_iter it = mt_iter_of(value_of(request, "inputs")); mt_iter_next(&it, &name, &input);) {
        mt_build_object(b);
        mt_build_name(b, MT_SLICE("v"));
        mt_build_array(b);
        enum mt_rc rc = mt_jq_run(program, input, emit, b, &err);
        mt_build_end(b);
        if (rc)
            put_text(b, "e", mt_slice_of(err.text));
        mt_build_end(b);
    }
    mt_build_end(b);
    mt_jq_free(program);
}

static void put_mapped(const struct mt_mapped *mapped, const struct mt_mapping *m, struct mt_builder *b)
{
    put_count(b, "items", mapped->items);
    put_count(b, "selected", mapped->selected);
    put_count(b, "rejected", mapped->rejected);
    put_count(b, "skipped", mapped->skipped);
    put_text(b, "kind", mt_mapping_kind(m));
    put_text(b, "constant_blueprint", mt_mapping_blueprint(m));
    mt_build_name(b, MT_SLICE("entities"));
    mt_build_array(b);
    for (size_t i = 0; i < mapped->entity_count; i++) {
        const struct mt_entity *e = mapped->entities[i];
        struct mt_doc *doc = NULL;
        mt_build_object(b);
        put_text(b, "identifier", e->identifier);
        put_text(b, "blueprint", e->blueprint);
        put_text(b, "text", e->json);
        put_count(b, "item", e->item);
        put_flag(b, "search_identifier", e->search_identifier);
        put_flag(b, "search_relation", e->search_relation);
        put_key(b, &e->key);
        if (mt_doc_parse_copy(e->json, NULL, &doc, NULL) == MT_OK) {
            mt_build_name(b, MT_SLICE("body"));
            mt_build_ref(b, mt_doc_root(doc));
        }
        mt_doc_unref(doc);
        mt_build_end(b);
    }
    mt_build_end(b);
    mt_build_name(b, MT_SLICE("failed"));
    mt_build_array(b);
    for (size_t i = 0; i < mapped->failed_count; i++) {
        mt_build_object(b);
        put_count(b, "item", mapped->failed[i].item);
        put_text(b, "message", mt_slice_of(mapped->failed[i].message));
        if (mapped->failed[i].has_key)
            put_key(b, &mapped->failed[i].key);
        mt_build_end(b);
    }
    mt_build_end(b);
    mt_build_name(b, MT_SLICE("empty"));
    mt_build_array(b);
    for (size_t i = 0; i < mapped->empty_count; i++) {
        const struct mt_empty_field *e = &mapped->empty[i];
        mt_build_object(b);
        put_text(b, "field", mt_mapping_field(m, e->field));
        put_text(b, "expression", mt_mapping_field_expression(m, e->field));
        put_count(b, "count", e->count);
        put_text(b, "sample", mt_slice_of(e->sample));
        if (e->sample_entity)
            put_text(b, "entity", mt_slice_of(e->sample_entity));
        mt_build_end(b);
    }
    mt_build_end(b);
}

struct run {
    const struct mt_mapping *mapping;
    struct mt_val items;
    int64_t repeat;
    struct mt_mapped mapped;
    struct mt_err err;
    enum mt_rc rc;
    pthread_t thread;
};

static void *run_mapper(void *argument)
{
    struct run *r = argument;
    struct mt_mapper *mapper = NULL;
    r->rc = mt_mapper_new(r->mapping, &mapper, &r->err);
    for (int64_t i = 0; r->rc == MT_OK && i < r->repeat; i++) {
        mt_mapped_fini(&r->mapped);
        r->rc = mt_mapper_run(mapper, r->items, &r->mapped, &r->err);
    }
    mt_mapper_free(mapper);
    return NULL;
}

enum { THREADS_MAX = 16 };

static void map(struct mt_val request, struct mt_builder *b)
{
    struct mt_mapping *m = NULL;
    struct mt_err err = {0};
    char *source = mt_slice_dup(text_of(request, "source"));
    struct mt_mapping_options options = {.source = *source ? source : NULL};
    int64_t threads = 1, repeat = 1;
    mt_val_int64(value_of(request, "threads"), &threads);
    mt_val_int64(value_of(request, "repeat"), &repeat);
    struct run *runs = mt_alloc(THREADS_MAX * sizeof *runs);
    if (mt_mapping_new(value_of(request, "resource"), 0, &options, &m, &err)) {
        put_text(b, "error", mt_slice_of(err.text));
        goto out;
    }
    for (int64_t i = 0; i < threads && i < THREADS_MAX; i++) {
        runs[i] = (struct run){.mapping = m, .items = value_of(request, "items"), .repeat = repeat};
        if (pthread_create(&runs[i].thread, NULL, run_mapper, &runs[i]) != 0)
            abort();
    }
    bool same = true;
    for (int64_t i = 0; i < threads && i < THREADS_MAX; i++) {
        pthread_join(runs[i].thread, NULL);
        same = same && runs[i].rc == runs[0].rc && runs[i].mapped.entity_count == runs[0].mapped.entity_count;
        for (size_t k = 0; same && k < runs[i].mapped.entity_count; k++)
            same = mt_slice_eq(runs[i].mapped.entities[k]->json, runs[0].mapped.entities[k]->json);
    }
    if (!same)
        put_text(b, "error", MT_SLICE("the threads do not agree"));
    else if (runs[0].rc)
        put_text(b, "error", mt_slice_of(runs[0].err.text));
    else
        put_mapped(&runs[0].mapped, m, b);
out:
    for (int64_t i = 0; i < THREADS_MAX; i++)
        mt_mapped_fini(&runs[i].mapped);
    free(runs);
    mt_mapping_free(m);
    free(source);
}

static void compile(struct mt_val request, struct mt_builder *b)
{
    struct mt_mapping *m = NULL;
    struct mt_mapper *mapper = NULL;
    struct mt_err err = {0};
    uint64_t started = mt_now_ns();
    if (mt_mapping_new(value_of(request, "resource"), 0, NULL, &m, &err) || mt_mapper_new(m, &mapper, &err))
        put_text(b, "error", mt_slice_of(err.text));
    put_count(b, "us", (mt_now_ns() - started) / 1000);
    mt_mapper_free(mapper);
    mt_mapping_free(m);
}

int main(void)
{
    struct mt_err wrong;
    if (mt_engine_from_environment(&wrong)) {
        fprintf(stderr, "jq_driver: %s\n", wrong.text);
        return 2;
    }
    static const struct {
        const char *op;
        void (*run)(struct mt_val request, struct mt_builder *b);
    } ops[] = {{"quotes", quotes}, {"path", path}, {"jq", jq}, {"map", map}, {"compile", compile}};
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct mt_doc *request = NULL, *answer = NULL;
        struct mt_err err;
        if (mt_doc_parse_copy((struct mt_slice){line, (size_t)n}, NULL, &request, &err)) {
            fprintf(stderr, "jq_driver: %s\n", err.text);
            return 1;
        }
        struct mt_builder *b = mt_builder_new();
        mt_build_object(b);
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            if (mt_slice_is(text_of(mt_doc_root(request), "op"), ops[i].op))
                ops[i].run(mt_doc_root(request), b);
        mt_build_end(b);
        struct mt_buf out;
        mt_buf_init(&out, (size_t)1 << 30);
        if (mt_builder_finish(b, &answer, &err)) {
            fprintf(stderr, "jq_driver: %s\n", err.text);
            return 1;
        }
        mt_val_write(mt_doc_root(answer), &out);
        mt_buf_putc(&out, '\n');
        fwrite(out.p, 1, out.n, stdout);
        fflush(stdout);
        mt_buf_fini(&out);
        mt_builder_free(b);
        mt_doc_unref(answer);
        mt_doc_unref(request);
    }
    free(line);
    return 0;
}
