/* moontide map: raw items → entities, to try a mapping. The way of the items is in pipeline.c. */
#include <errno.h>
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
#include "cli/pipeline.h"
#include "cli/replay.h"

enum {
    THREADS_MAX = 64,
    RECORDINGS_MAX = 256,
};

static void report_empty(struct mt_pipeline *map)
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
            mt_pipeline_masked(&line);
        }
        free(e->sample);
        free(e->sample_entity);
    }
    mt_buf_fini(&line);
    free(map->totals.empty);
}

static void report_stats(const struct mt_pipeline *map, const struct mt_items *r, uint64_t started,
                         unsigned threads)
{
    const struct mt_pipeline_totals *t = &map->totals;
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
static int map_replayed(const struct mt_pipeline *chosen, struct mt_bundle **bundle,
                        const char *const *recordings, unsigned threads, bool stats)
{
    int code = MT_EXIT_OK;
    struct mt_err err = {0};
    struct mt_replay *replay = NULL;
    if (mt_replay_new(bundle, recordings, &replay, &err) != MT_OK)
        return mt_command_failed(chosen->self, &err, MT_EXIT_USAGE);
    for (unsigned i = 0; i < chosen->resource_count; i++) {
        struct mt_pipeline one = *chosen;
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
        int mapped = mt_pipeline_run(&one, &items, threads);
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
static bool choose(struct mt_pipeline *map, const struct mt_appconfig *config, const char *kind,
                   const char *index)
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
    struct mt_pipeline map = {.self = &mt_command_map};
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
    if (!mt_command_engine(map.self, engine))
        return MT_EXIT_USAGE;
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
    code = mt_pipeline_run(&map, &r, (unsigned)threads);
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
            "  --engine native|libjq\n"
            "                   what evaluates the expressions; native without it\n"
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
