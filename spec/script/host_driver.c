/* Drives the script host for specs: loads a bundle folder, runs handlers, prints what comes out as JSON
 * lines.
 *
 *   host_driver [options] FOLDER [KIND…]     {"batch":{"scope","items"}}, {"end":{"ok",…}} for each kind,
 * {"load":"error"} host_driver [options] --programs FILE    programs ended by a line "--END--": each is
 * main.lua of a host of its own
 *
 * --kv FILE gives them tide.kv ("memory": no file; --draft: what is set is not written), --log names the run
 * in lines of JSON.
 *
 * Bundles may require "moontide.spec": the core table, which the embedded library keeps to itself. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/host.h"
#include "script/library.h"
#include "state/kv.h"

bool __real_mt_library_find(const char *module, struct mt_slice *out_source);
bool __wrap_mt_library_find(const char *module, struct mt_slice *out_source);

bool __wrap_mt_library_find(const char *module, struct mt_slice *out_source)
{
    if (strcmp(module, "moontide.spec") != 0)
        return __real_mt_library_find(module, out_source);
    *out_source = MT_SLICE("return (...)");
    return true;
}

struct driver {
    struct mt_loop *loop;
    struct mt_host *host;
    struct mt_run *run;
    const char *folder;
    struct mt_slice program; /* instead of a folder */
    struct mt_timer *timer, *cancel_timer;
    struct mt_doc *config, *selector;
    const char *const *kinds;
    const char *sensitive;
    const char *reads;
    int kind_count, kind_at;
    int batches;
    bool park, free_in_end, quiet;
    int cancel_after, free_after;
    unsigned cancel_ms;
    struct mt_kv *kv;
    int failures;
};

static void print_buf(struct mt_buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
    putchar('\n');
    fflush(stdout);
    mt_buf_fini(b);
}

static void put_string(struct mt_buf *b, const char *text)
{
    if (text)
        mt_buf_put_json_string(b, mt_slice_of(text));
    else
        mt_buf_puts(b, "null");
}

static enum mt_rc read_file(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    const struct driver *d = ud;
    char chunk[4096];
    if (!d->folder) {
        if (strcmp(relative, "main.lua") != 0)
            return mt_fail(err, MT_ENOENT, "no %s", relative);
        mt_buf_put(out, d->program);
        return MT_OK;
    }
    char *path = mt_format("%s/%s", d->folder, relative);
    FILE *f = fopen(path, "rb");
    free(path);
    if (!f)
        return mt_fail(err, MT_ENOENT, "no %s", relative);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        mt_buf_add(out, chunk, n);
    fclose(f);
    return out->failed ? mt_fail(err, MT_ELIMIT, "%s is too large", relative) : MT_OK;
}

static void kv_get(void *ud, struct mt_slice key,
                   void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *done_ud)
{
    const struct driver *d = ud;
    mt_kv_get(d->kv, "spec", key, done, done_ud);
}

static void kv_set(void *ud, struct mt_slice key, struct mt_slice value,
                   void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *done_ud)
{
    const struct driver *d = ud;
    mt_kv_set(d->kv, "spec", key, value, done, done_ud);
}

static bool is_sensitive(void *ud, struct mt_slice name)
{
    const struct driver *d = ud;
    return d->sensitive && mt_slice_is(name, d->sensitive);
}

static void resume_run(void *arg)
{
    struct driver *d = arg;
    mt_run_resume(d->run);
}

static void cancel_run(void *arg)
{
    struct driver *d = arg;
    mt_run_cancel(d->run);
}

static bool on_batch(void *ud, struct mt_run *run, struct mt_batch batch)
{
    struct driver *d = ud;
    struct mt_buf b;
    d->batches++;
    mt_buf_init(&b, 1 << 30);
    mt_buf_puts(&b, "{\"batch\":{\"scope\":");
    put_string(&b, batch.scope);
    mt_buf_puts(&b, ",\"items\":");
    if (d->quiet)
        mt_buf_printf(&b, "%u", mt_val_count(mt_doc_root(batch.doc)));
    else
        mt_val_write(mt_doc_root(batch.doc), &b);
    mt_buf_puts(&b, "}}");
    print_buf(&b);
    mt_doc_unref(batch.doc);
    free(batch.scope);
    if (d->cancel_after && d->batches == d->cancel_after)
        mt_run_cancel(run);
    if (d->free_after && d->batches == d->free_after)
        mt_loop_stop(d->loop);
    if (!d->park)
        return true;
    mt_timer_free(d->timer);
    d->timer = mt_timer_new(d->loop, 1, resume_run, d);
    return false;
}

static void start_next(struct driver *d);

static void next(void *arg)
{
    start_next(arg);
}

static void on_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct driver *d = ud;
    struct mt_buf b;
    (void)run;
    mt_buf_init(&b, 1 << 30);
    mt_buf_printf(
        &b, "{\"end\":{\"ok\":%s,\"canceled\":%s,\"pages\":%llu,\"error\":", result->ok ? "true" : "false",
        result->canceled ? "true" : "false", (unsigned long long)result->pages);
    put_string(&b, result->error);
    mt_buf_puts(&b, ",\"faults\":[");
    for (size_t i = 0; i < result->fault_count; i++) {
        mt_buf_puts(&b, i ? ",[" : "[");
        put_string(&b, result->faults[i].scope);
        mt_buf_putc(&b, ',');
        put_string(&b, result->faults[i].message);
        mt_buf_putc(&b, ']');
    }
    mt_buf_puts(&b, "]");
    if (d->reads && d->kind_at > 0 && d->host)
        mt_buf_printf(
            &b, ",\"read\":%s",
            mt_host_selector_was_read(d->host, mt_slice_of(d->kinds[d->kind_at - 1]), mt_slice_of(d->reads))
                ? "true"
                : "false");
    mt_buf_puts(&b, "}}");
    print_buf(&b);
    d->run = NULL;
    if (d->free_in_end) {
        mt_host_free(d->host);
        d->host = NULL;
        mt_loop_stop(d->loop);
        return;
    }
    mt_loop_post(d->loop, next, d);
}

static void print_load_error(const char *text)
{
    struct mt_buf b;
    mt_buf_init(&b, 1 << 20);
    mt_buf_puts(&b, "{\"load\":");
    put_string(&b, text);
    mt_buf_puts(&b, "}");
    print_buf(&b);
}

static void start_next(struct driver *d)
{
    struct mt_err err;
    if (!d->host || d->run)
        return;
    if (d->kind_at >= d->kind_count) {
        mt_loop_stop(d->loop);
        return;
    }
    const char *kind = d->kinds[d->kind_at++];
    static const char *const hooks[] = {"@start", "@resync_start", "@resync_complete"};
    struct mt_run_options o = {.kind = mt_slice_of(kind),
                               .index = (unsigned)d->kind_at - 1,
                               .on_batch = on_batch,
                               .on_end = on_end,
                               .ud = d};
    if (d->selector)
        o.selector = mt_doc_root(d->selector);
    int hook = -1;
    for (int i = 0; i < 3; i++)
        if (strcmp(kind, hooks[i]) == 0)
            hook = i;
    if (strcmp(kind, "@clear") == 0) {
        mt_host_clear_cache(d->host);
        mt_loop_post(d->loop, next, d);
        return;
    }
    enum mt_rc rc;
    if (hook >= 0) {
        o.kind = (struct mt_slice){NULL, 0};
        rc = mt_run_hook(d->host, (enum mt_hook)hook, &o, &d->run, &err);
    } else {
        rc = mt_run_start(d->host, &o, &d->run, &err);
    }
    if (rc != MT_OK) {
        print_load_error(err.text);
        mt_loop_post(d->loop, next, d);
        return;
    }
    if (d->cancel_ms) {
        mt_timer_free(d->cancel_timer);
        d->cancel_timer = mt_timer_new(d->loop, d->cancel_ms, cancel_run, d);
    }
}

static void drive(struct driver *d, struct mt_host_options *options)
{
    struct mt_err err;
    const clock_t begin = clock();
    d->kind_at = d->batches = 0;
    if (mt_host_new(options, &d->host, &err) != MT_OK) {
        d->host = NULL;
        d->failures++;
        print_load_error(err.text);
    } else {
        start_next(d);
        mt_loop_run(d->loop);
        mt_host_free(d->host);
        d->host = NULL;
        mt_timer_free(d->timer);
        mt_timer_free(d->cancel_timer);
        d->timer = d->cancel_timer = NULL;
    }
    if (!d->folder)
        printf("{\"ms\":%llu}\n", (unsigned long long)(clock() - begin) * 1000 / CLOCKS_PER_SEC);
}

static void drive_programs(struct driver *d, struct mt_host_options *options, const char *path)
{
    struct mt_buf all;
    char chunk[4096];
    FILE *f = fopen(path, "rb");
    if (!f)
        exit(2);
    mt_buf_init(&all, 1 << 30);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        mt_buf_add(&all, chunk, n);
    fclose(f);
    static const char end[] = "\n--END--\n";
    const char *p = all.p, *stop = all.p + all.n;
    while (p < stop) {
        const char *q = memmem(p, (size_t)(stop - p), end, sizeof end - 1);
        if (!q)
            break;
        d->program = (struct mt_slice){p, (size_t)(q - p)};
        drive(d, options);
        p = q + sizeof end - 1;
    }
    mt_buf_fini(&all);
}

static struct mt_doc *parse_json(const char *text)
{
    struct mt_doc *doc = NULL;
    struct mt_err err;
    if (mt_doc_parse_copy(mt_slice_of(text), NULL, &doc, &err) != MT_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
    return doc;
}

/* {"part": text, "list": [text]}, with both parts referred to: the document of a part is another one. */
static struct mt_doc *parse_referred(const char *text)
{
    struct mt_doc *part = parse_json(text), *doc = NULL;
    struct mt_builder *b = mt_builder_new();
    struct mt_err err;
    mt_build_object(b);
    mt_build_name(b, MT_SLICE("part"));
    mt_build_ref(b, mt_doc_root(part));
    mt_build_name(b, MT_SLICE("list"));
    mt_build_array(b);
    mt_build_ref(b, mt_doc_root(part));
    mt_build_end(b);
    mt_build_end(b);
    mt_doc_unref(part);
    if (mt_builder_finish(b, &doc, &err) != MT_OK)
        exit(2);
    mt_builder_free(b);
    return doc;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"memory", 1, NULL, 'm'},       {"burst", 1, NULL, 'b'},    {"total", 1, NULL, 't'},
        {"load", 1, NULL, 'l'},         {"park", 0, NULL, 'p'},     {"cancel-after", 1, NULL, 'c'},
        {"config", 1, NULL, 'C'},       {"selector", 1, NULL, 's'}, {"sensitive", 1, NULL, 'S'},
        {"reads", 1, NULL, 'r'},        {"programs", 1, NULL, 'P'}, {"free-in-end", 0, NULL, 'F'},
        {"cancel-ms", 1, NULL, 'M'},    {"quiet", 0, NULL, 'q'},    {"free-after", 1, NULL, 'f'},
        {"selector-ref", 1, NULL, 'R'}, {"kv", 1, NULL, 'k'},       {"draft", 0, NULL, 'd'},
        {"log", 0, NULL, 'L'},          {NULL, 0, NULL, 0},
    };
    struct driver d = {0};
    struct mt_host_options options = {
        .name = "spec", .read = read_file, .read_ud = &d, .is_sensitive = is_sensitive, .sensitive_ud = &d};
    const char *programs = NULL, *kv_file = NULL;
    const struct mt_host_kv kv = {kv_get, kv_set, &d};
    const struct mt_log_fields log = {.integration = "spec-integration", .run = "run-1", .generation = 3};
    bool draft = false;
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (o) {
        case 'm':
            options.budgets.memory = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options.budgets.burst_ms = (uint32_t)atoi(optarg);
            break;
        case 't':
            options.budgets.total_ms = (uint32_t)atoi(optarg);
            break;
        case 'l':
            options.budgets.load_ms = (uint32_t)atoi(optarg);
            break;
        case 'p':
            d.park = true;
            break;
        case 'c':
            d.cancel_after = atoi(optarg);
            break;
        case 'f':
            d.free_after = atoi(optarg);
            break;
        case 'M':
            d.cancel_ms = (unsigned)atoi(optarg);
            break;
        case 'C':
            d.config = parse_json(optarg);
            break;
        case 's':
            d.selector = parse_json(optarg);
            break;
        case 'R':
            d.selector = parse_referred(optarg);
            break;
        case 'S':
            d.sensitive = optarg;
            break;
        case 'r':
            d.reads = optarg;
            break;
        case 'P':
            programs = optarg;
            break;
        case 'F':
            d.free_in_end = true;
            break;
        case 'q':
            d.quiet = true;
            break;
        case 'k':
            kv_file = optarg;
            break;
        case 'd':
            draft = true;
            break;
        case 'L':
            options.log = &log;
            mt_log_json(true);
            break;
        default:
            return 2;
        }
    }
    d.loop = mt_loop_new();
    options.loop = d.loop;
    options.http = mt_http_new(d.loop);
    options.pool = mt_pool_new(d.loop, 1);
    if (kv_file) {
        d.kv = mt_kv_new(d.loop, strcmp(kv_file, "memory") == 0 ? NULL : kv_file);
        options.kv = &kv;
        if (draft)
            mt_kv_keep_draft(d.kv);
    }
    if (d.config)
        options.config = mt_doc_root(d.config);
    if (!programs && optind < argc)
        d.folder = argv[optind++];
    static const char *const only[] = {"k"};
    d.kinds = optind < argc ? (const char *const *)(argv + optind) : only;
    d.kind_count = optind < argc ? argc - optind : 1;
    if (programs)
        drive_programs(&d, &options, programs);
    else
        drive(&d, &options);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need memory of their own */
    if (d.quiet) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf("{\"peak_rss_kib\":%ld}\n", usage.ru_maxrss);
    }
#endif
    mt_kv_free(d.kv);
    mt_pool_free(options.pool);
    mt_http_free(options.http);
    mt_loop_free(d.loop);
    mt_doc_unref(d.config);
    mt_doc_unref(d.selector);
    mt_mask_forget();
    mt_log_flush();
    return d.failures && !programs ? 1 : 0;
}
