/* moontide map: raw items → entities, to try a mapping. The main thread reads items into batches and writes
 * what came of them in their order; worker threads parse and map. At most 2 N + 2 batches are on their way,
 * so memory follows the batch. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "bundle/appconfig.h"
#include "bundle/bundle.h"
#include "bundle/yaml.h"
#include "cli/command.h"
#include "cli/items.h"
#include "cli/replay.h"

enum {
    THREADS_MAX = 64,
    BATCH_ITEMS = 100,
    BATCH_BYTES = 1 << 20,
    RECORDINGS_MAX = 256,
};

struct place {
    size_t from, size;   /* in the batch's text */
    size_t line, offset; /* in the input */
};

struct batch {
    struct mt_buf text; /* the items as one array */
    struct place items[BATCH_ITEMS];
    unsigned count;
    bool done;
    struct mt_mapped *mapped;    /* one for each resource */
    struct mt_buf out, messages; /* entities, one a line; what is broken */
    unsigned broken;
    enum mt_rc rc;
    struct mt_err err;
};

struct totals {
    uint64_t items, selected, mapped, failed, rejected, skipped, bytes, broken;
    struct mt_empty_field *empty; /* by resource and field; count, sample */
};

struct map {
    const struct mt_command *self;
    struct mt_mapping **resources; /* the chosen ones, borrowed */
    unsigned resource_count, field_max;
    unsigned *indexes;
    const char *name; /* of the input */
    struct batch *slots;
    unsigned slot_count;
    uint64_t submitted, taken, written;
    bool closing, started_badly;
    unsigned ready;
    struct mt_err compile_error;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct totals totals;
};

/* Drops the items that are no JSON, each with a message, and joins the others again. */
static void sort_out(const struct map *map, struct batch *b)
{
    struct mt_buf text;
    struct mt_err err;
    unsigned kept = 0;
    mt_buf_init(&text, b->text.max);
    mt_buf_putc(&text, '[');
    for (unsigned i = 0; i < b->count; i++) {
        struct place item = b->items[i];
        struct mt_slice s = {b->text.p + item.from, item.size};
        if (mt_json_check(s, NULL, &err)) {
            mt_buf_printf(&b->messages, "moontide map: %s, line %zu (byte %zu): %s\n", map->name, item.line,
                          item.offset, err.text);
            b->broken++;
            continue;
        }
        if (kept)
            mt_buf_putc(&text, ',');
        item.from = text.n;
        mt_buf_put(&text, s);
        b->items[kept++] = item;
    }
    mt_buf_putc(&text, ']');
    b->count = kept;
    mt_buf_fini(&b->text);
    b->text = text;
}

static void map_batch(const struct map *map, struct mt_mapper **mappers, struct batch *b)
{
    struct mt_doc *doc = NULL;
    b->rc = mt_doc_parse(&b->text, NULL, &doc, &b->err);
    if (b->rc && b->rc != MT_ENOMEM) {
        sort_out(map, b);
        b->rc = mt_doc_parse(&b->text, NULL, &doc, &b->err);
    }
    for (unsigned i = 0; b->rc == MT_OK && i < map->resource_count; i++) {
        struct mt_mapped *m = &b->mapped[i];
        b->rc = mt_mapper_run(mappers[i], mt_doc_root(doc), m, &b->err);
        for (size_t k = 0; b->rc == MT_OK && k < m->entity_count; k++) {
            mt_buf_put(&b->out, m->entities[k]->json);
            mt_buf_putc(&b->out, '\n');
        }
        for (size_t k = 0; b->rc == MT_OK && k < m->failed_count; k++)
            mt_buf_printf(&b->messages, "moontide map: %s, line %zu: resource %u: %s\n", map->name,
                          b->items[m->failed[k].item].line, map->indexes[i], m->failed[k].message);
    }
    if (b->rc == MT_OK && (b->out.failed || b->messages.failed))
        b->rc = mt_fail(&b->err, MT_ENOMEM, "the entities of one batch are too large");
    mt_doc_unref(doc);
}

static void *work(void *argument)
{
    struct map *map = argument;
    struct mt_mapper **mappers = mt_alloc(map->resource_count * sizeof(void *));
    struct mt_err err;
    bool ok = true;
    for (unsigned i = 0; ok && i < map->resource_count; i++)
        ok = mt_mapper_new(map->resources[i], &mappers[i], &err) == MT_OK;
    pthread_mutex_lock(&map->lock);
    if (!ok && !map->started_badly) {
        map->started_badly = true;
        map->compile_error = err;
    }
    map->ready++;
    pthread_cond_broadcast(&map->done);
    while (ok) {
        while (map->taken == map->submitted && !map->closing)
            pthread_cond_wait(&map->work, &map->lock);
        if (map->taken == map->submitted)
            break;
        struct batch *b = &map->slots[map->taken++ % map->slot_count];
        pthread_mutex_unlock(&map->lock);
        map_batch(map, mappers, b);
        pthread_mutex_lock(&map->lock);
        b->done = true;
        pthread_cond_broadcast(&map->done);
    }
    pthread_mutex_unlock(&map->lock);
    for (unsigned i = 0; i < map->resource_count; i++)
        mt_mapper_free(mappers[i]);
    free(mappers);
    return NULL;
}

static void batch_clear(const struct map *map, struct batch *b)
{
    mt_buf_clear(&b->text);
    mt_buf_clear(&b->out);
    mt_buf_clear(&b->messages);
    for (unsigned i = 0; i < map->resource_count; i++)
        mt_mapped_fini(&b->mapped[i]);
    b->count = b->broken = 0;
    b->done = false;
    b->rc = MT_OK;
}

static void add_empty(struct map *map, unsigned resource, struct mt_empty_field *e)
{
    struct mt_empty_field *sum = &map->totals.empty[resource * map->field_max + e->field];
    if (!sum->sample) {
        sum->sample = e->sample;
        sum->sample_entity = e->sample_entity;
        e->sample = e->sample_entity = NULL;
    }
    sum->count += e->count;
}

static void put_masked(struct mt_buf *messages)
{
    fputs(mt_mask((char *)(uintptr_t)mt_buf_text(messages)), stderr);
}

/* Waits for the oldest batch and writes it. false: stdout is gone, or memory is. */
static bool write_batch(struct map *map)
{
    struct batch *b = &map->slots[map->written % map->slot_count];
    pthread_mutex_lock(&map->lock);
    while (!b->done)
        pthread_cond_wait(&map->done, &map->lock);
    pthread_mutex_unlock(&map->lock);
    struct totals *t = &map->totals;
    bool ok = b->out.n == 0 || fwrite(b->out.p, 1, b->out.n, stdout) == b->out.n;
    if (b->messages.n)
        put_masked(&b->messages);
    if (b->rc) {
        mt_command_failed(map->self, &b->err, MT_EXIT_FAILED);
        ok = false;
    }
    for (unsigned i = 0; i < map->resource_count; i++) {
        const struct mt_mapped *m = &b->mapped[i];
        t->items += m->items;
        t->selected += m->selected;
        t->mapped += m->entity_count;
        t->failed += m->failed_count;
        t->rejected += m->rejected;
        t->skipped += m->skipped;
        for (size_t k = 0; k < m->empty_count; k++)
            add_empty(map, i, &m->empty[k]);
    }
    t->broken += b->broken;
    batch_clear(map, b);
    map->written++;
    return ok;
}

static void submit(struct map *map)
{
    pthread_mutex_lock(&map->lock);
    map->submitted++;
    pthread_cond_signal(&map->work);
    pthread_mutex_unlock(&map->lock);
}

/* Fills the next slot. false: the stream has ended and nothing was read. */
static bool read_batch(struct map *map, struct mt_items *r, struct batch *b)
{
    struct mt_err err;
    bool end = false;
    mt_buf_putc(&b->text, '[');
    while (!end && b->count < BATCH_ITEMS && b->text.n < BATCH_BYTES && !b->text.failed) {
        struct mt_item item;
        switch (mt_items_next(r, &item, &err)) {
        case MT_FOUND_ITEM:
            if (b->count)
                mt_buf_putc(&b->text, ',');
            b->items[b->count++] = (struct place){b->text.n, item.text.n, item.line, item.offset};
            mt_buf_put(&b->text, item.text);
            break;
        case MT_FOUND_BROKEN:
            mt_buf_printf(&b->messages, "moontide map: %s, line %zu (byte %zu): %s\n", map->name, item.line,
                          item.offset, err.text);
            b->broken++;
            break;
        case MT_FOUND_END:
            end = true;
        }
    }
    mt_buf_putc(&b->text, ']');
    return b->count > 0 || b->broken > 0;
}

static int run_map(struct map *map, struct mt_items *r, unsigned threads)
{
    pthread_t *workers = mt_alloc(threads * sizeof *workers);
    unsigned started = 0;
    int code = MT_EXIT_OK;
    pthread_mutex_init(&map->lock, NULL);
    pthread_cond_init(&map->work, NULL);
    pthread_cond_init(&map->done, NULL);
    map->slot_count = 2 * threads + 2;
    map->slots = mt_alloc(map->slot_count * sizeof *map->slots);
    for (unsigned i = 0; i < map->slot_count; i++) {
        struct batch *b = &map->slots[i];
        mt_buf_init(&b->text, (size_t)MT_ITEM_MAX * 2);
        mt_buf_init(&b->out, (size_t)1 << 31);
        mt_buf_init(&b->messages, 64 << 20);
        b->mapped = mt_alloc(map->resource_count * sizeof *b->mapped);
    }
    map->totals.empty = mt_alloc((size_t)map->resource_count * map->field_max * sizeof *map->totals.empty);
    while (started < threads && pthread_create(&workers[started], NULL, work, map) == 0)
        started++;
    pthread_mutex_lock(&map->lock);
    while (map->ready < started)
        pthread_cond_wait(&map->done, &map->lock);
    bool ok = !map->started_badly;
    pthread_mutex_unlock(&map->lock);
    if (!ok) {
        code = mt_command_failed(map->self, &map->compile_error, MT_EXIT_USAGE);
    } else if (started == 0) {
        fprintf(stderr, "moontide map: no thread could be started: %s\n", strerror(errno));
        code = MT_EXIT_FAILED;
    } else {
        while (ok && read_batch(map, r, &map->slots[map->submitted % map->slot_count])) {
            submit(map);
            if (map->submitted - map->written == map->slot_count)
                ok = write_batch(map);
        }
        while (map->written < map->submitted)
            ok = write_batch(map) && ok;
        if (!ok || map->totals.failed || map->totals.broken)
            code = MT_EXIT_FAILED;
    }
    pthread_mutex_lock(&map->lock);
    map->closing = true;
    pthread_cond_broadcast(&map->work);
    pthread_mutex_unlock(&map->lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i], NULL);
    for (unsigned i = 0; i < map->slot_count; i++) {
        struct batch *b = &map->slots[i];
        batch_clear(map, b);
        mt_buf_fini(&b->text);
        mt_buf_fini(&b->out);
        mt_buf_fini(&b->messages);
        free(b->mapped);
    }
    free(map->slots);
    free(workers);
    pthread_cond_destroy(&map->work);
    pthread_cond_destroy(&map->done);
    pthread_mutex_destroy(&map->lock);
    return code;
}

static void report_empty(struct map *map)
{
    struct mt_buf line;
    mt_buf_init(&line, 1 << 20);
    for (unsigned i = 0; i < map->resource_count * map->field_max; i++) {
        struct mt_empty_field *e = &map->totals.empty[i];
        const struct mt_mapping *m = map->resources[i / map->field_max];
        if (e->count) {
            struct mt_slice expression = mt_mapping_field_expression(m, i % map->field_max);
            mt_buf_clear(&line);
            mt_buf_printf(&line, "moontide map: resource %u: %.*s (%.*s): null %u times; first%s%s: %s\n",
                          map->indexes[i / map->field_max], MT_FMT(mt_mapping_field(m, i % map->field_max)),
                          expression.n > MT_FOREIGN ? MT_FOREIGN : (int)expression.n, expression.p, e->count,
                          e->sample_entity ? " in " : "", e->sample_entity ? e->sample_entity : "",
                          e->sample);
            put_masked(&line);
        }
        free(e->sample);
        free(e->sample_entity);
    }
    mt_buf_fini(&line);
    free(map->totals.empty);
}

static void report_stats(const struct map *map, const struct mt_items *r, uint64_t started, unsigned threads)
{
    const struct totals *t = &map->totals;
    double seconds = (double)(mt_now_ns() - started) / 1e9;
    double megabytes = (double)(r->base + r->at) / 1e6;
    fprintf(stderr,
            "moontide map: %llu items, %llu selected, %llu mapped, %llu failed, %llu rejected, %llu skipped, "
            "%llu broken; "
            "%.3f s on %u threads, %.0f items/s, %.1f MB/s\n",
            (unsigned long long)t->items, (unsigned long long)t->selected, (unsigned long long)t->mapped,
            (unsigned long long)t->failed, (unsigned long long)t->rejected, (unsigned long long)t->skipped,
            (unsigned long long)t->broken, seconds, threads, (double)t->items / seconds, megabytes / seconds);
}

/* The command line
 * --------------------------------------------------------------------------------------------------- */

static bool parse_count(const char *text, long least, long most, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && *text && !*end && *out >= least && *out <= most;
}

/* Items out of the bundle's handlers, with recordings as the network: each chosen resource has those of its
 * own handlers, which see its selector. */
static int map_replayed(const struct map *chosen, struct mt_bundle **bundle, const char *const *recordings,
                        unsigned threads, bool stats)
{
    int code = MT_EXIT_OK;
    struct mt_err err = {0};
    struct mt_replay *replay = NULL;
    if (mt_replay_new(bundle, recordings, &replay, &err) != MT_OK)
        return mt_command_failed(chosen->self, &err, MT_EXIT_USAGE);
    for (unsigned i = 0; i < chosen->resource_count; i++) {
        struct map one = *chosen;
        struct mt_items items;
        uint64_t started = mt_now_ns();
        enum mt_rc rc = mt_replay_items(replay, chosen->indexes[i], &items, &err);
        if (rc != MT_OK)
            code = mt_command_failed(chosen->self, &err, MT_EXIT_FAILED);
        if (!items.stream)
            break;
        one.resources = &chosen->resources[i];
        one.indexes = &chosen->indexes[i];
        one.resource_count = 1;
        one.name = "recordings";
        int mapped = run_map(&one, &items, threads);
        code = mapped != MT_EXIT_OK ? mapped : code;
        report_empty(&one);
        if (stats)
            report_stats(&one, &items, started, threads);
        fclose(items.stream);
        mt_items_fini(&items);
    }
    mt_replay_free(replay);
    return code;
}

/* Keeps the resources of a kind, or one. false: there is none, and why is said. */
static bool choose(struct map *map, const struct mt_appconfig *config, const char *kind, const char *index)
{
    long wanted = 0;
    if (index && !parse_count(index, 0, (long)config->resource_count - 1, &wanted)) {
        mt_usage_error(map->self, "--index %s: the mapping has %u resources, counted from 0", index,
                       config->resource_count);
        return false;
    }
    map->resources = mt_alloc((config->resource_count + 1) * sizeof(void *));
    map->indexes = mt_alloc((config->resource_count + 1) * sizeof *map->indexes);
    for (unsigned i = 0; i < config->resource_count; i++) {
        if (index ? (long)i != wanted : !mt_slice_is(mt_mapping_kind(config->resources[i]), kind))
            continue;
        map->indexes[map->resource_count] = i;
        map->resources[map->resource_count++] = config->resources[i];
        unsigned fields = mt_mapping_field_count(config->resources[i]);
        map->field_max = fields > map->field_max ? fields : map->field_max;
    }
    if (map->resource_count > 0)
        return true;
    struct mt_buf kinds;
    mt_buf_init(&kinds, 1 << 16);
    for (unsigned i = 0; i < config->resource_count; i++)
        mt_buf_printf(&kinds, "%s%.*s", i ? ", " : "", MT_FMT(mt_mapping_kind(config->resources[i])));
    mt_usage_error(map->self, "the mapping has no kind '%s'; it has: %s", kind, mt_buf_text(&kinds));
    mt_buf_fini(&kinds);
    return false;
}

static int run(int argc, char **argv)
{
    const char *mapping = NULL, *kind = NULL, *index = NULL, *engine = NULL, *count = NULL;
    const char *recordings[RECORDINGS_MAX + 1] = {0};
    bool stats = false;
    struct map map = {.self = &mt_command_map};
    int n = mt_options_parse(
        map.self, argc, argv,
        (struct mt_option[]){
            {.name = "mapping", .value = &mapping},
            {.name = "kind", .value = &kind},
            {.name = "index", .value = &index},
            {.name = "engine", .value = &engine},
            {.name = "threads", .value = &count},
            {.name = "stats", .flag = &stats},
            {.name = "replay", .list = recordings, .list_max = RECORDINGS_MAX, .greedy = true},
            {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    int first = mapping ? 1 : 2; /* the argument that is FILE */
    long threads = sysconf(_SC_NPROCESSORS_ONLN);
    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    if (!mapping && n < 1)
        return mt_usage_error(map.self, "a bundle, or --mapping FILE, is missing");
    if (n > first)
        return mt_usage_error(map.self, "too many arguments");
    if (recordings[0] && (mapping || n > 1))
        return mt_usage_error(map.self,
                              "--replay takes the items from a bundle's handlers: no --mapping, no FILE");
    if (!kind == !index)
        return mt_usage_error(map.self, "say which resource: either --kind or --index");
    if (count && !parse_count(count, 1, THREADS_MAX, &threads))
        return mt_usage_error(map.self, "--threads %s: a number from 1 to %d is expected", count,
                              THREADS_MAX);
    if (engine && strcmp(engine, "libjq") != 0)
        return mt_usage_error(map.self, "--engine %s: this build has the engine libjq only", engine);
    const char *file = n == first && strcmp(argv[first], "-") != 0 ? argv[first] : NULL;

    struct mt_bundle *bundle = NULL;
    struct mt_doc *doc = NULL;
    struct mt_appconfig *config = NULL;
    struct mt_items r;
    struct mt_err err;
    int code = MT_EXIT_USAGE;
    struct mt_val root = {NULL, 0};
    struct mt_mapping_options options = {.source = mapping};
    mt_items_init(&r, stdin);
    if (mapping ? mt_yaml_read_file(mapping, mapping, &doc, &err)
                : mt_bundle_open(argv[1], NULL, &bundle, &err)) {
        mt_command_failed(map.self, &err, code);
        goto out;
    }
    if (mapping) {
        root = mt_doc_root(doc);
    } else {
        root = mt_bundle_resources(bundle)->mapping;
        options.source = mt_bundle_resources(bundle)->mapping_file;
        if (!root.doc) {
            mt_usage_error(map.self, "%s has no .port/resources/port-app-config.yml", argv[1]);
            goto out;
        }
    }
    if (mt_appconfig_new(root, &options, &config, &err)) {
        mt_command_failed(map.self, &err, code);
        goto out;
    }
    if (!choose(&map, config, kind, index))
        goto out;
    if (recordings[0]) {
        code = map_replayed(&map, &bundle, recordings, (unsigned)threads, stats);
        goto out;
    }
    if (file && !(r.stream = fopen(file, "rb"))) {
        mt_usage_error(map.self, "%s: %s", file, strerror(errno));
        goto out;
    }
    map.name = file ? file : "stdin";
    uint64_t started = mt_now_ns();
    code = run_map(&map, &r, (unsigned)threads);
    if (ferror(r.stream)) {
        fprintf(stderr, "moontide map: %s: reading stopped at byte %zu\n", map.name, r.base + r.in.n);
        code = MT_EXIT_FAILED;
    }
    report_empty(&map);
    if (stats)
        report_stats(&map, &r, started, (unsigned)threads);
out:
    if (file && r.stream && r.stream != stdin)
        fclose(r.stream);
    mt_items_fini(&r);
    free(map.resources);
    free(map.indexes);
    mt_appconfig_free(config);
    mt_bundle_free(bundle);
    mt_doc_unref(doc);
    return code;
}

const struct mt_command mt_command_map = {
    .name = "map",
    .usage = "moontide map (BUNDLE | --mapping FILE) (--kind K | --index I) [FILE | --replay FILE…]",
    .summary = "map raw items to entities, to try a mapping",
    .help = "  FILE             raw items: JSON values one after another (one a line is fine), or one JSON "
            "array; without it\n"
            "                   (or with -) stdin\n"
            "  --mapping FILE   a port-app-config file instead of a bundle's\n"
            "  --replay FILE…   raw items from the bundle's handlers, recordings in place of the network\n"
            "  --kind K         all resources of this kind\n"
            "  --index I        one resource, counted from 0\n"
            "  --threads N      worker threads; the CPUs of this machine without it\n"
            "  --engine libjq   the engine that evaluates what is more than a path\n"
            "  --stats          counts and times on stderr\n"
            "\n"
            "Writes the entities, one a line, in the order of the items; failed items and fields that gave "
            "null go to stderr.\n"
            "\n"
            "exit 0   every item went through\n"
            "     1   an item or a line failed; the others were mapped\n"
            "     2   usage, or a mapping that does not load or compile\n",
    .run = run,
};
