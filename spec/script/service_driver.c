/* Hosts as a service has them: loaded on other threads while runs go on on the loop's, many at a time, idle.
 *
 *   service_driver loads COUNT THREADS GOOD BAD…   loads folders on THREADS threads, every other time one of
 * the BAD ones in turn; each host of GOOD goes to the loop, runs kind "k" once and is freed there. A run of a
 * host of its own is at work all the while. Prints {"loaded","refused","runs","errors":[distinct texts],
 * "kb_early","kb_late"}
 *   service_driver idle COUNT FOLDER KIND CONFIG   makes hosts, runs KIND ("-": none) once in each; prints
 * {"kb","kb_after_run"}: RssAnon for each, at rest */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "script/host.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { TEXTS = 16 };

struct service {
    struct mt_host_options options;
    const char *good, *const *bad;
    unsigned bad_count, count, threads;
    atomic_uint next, done;         /* loads that were begun; that are over, their runs included */
    unsigned loaded, refused, runs; /* loop thread, as all below */
    long kb_early;
    char *texts[TEXTS];
    struct mt_host *busy;
    struct mt_run *busy_run;
};

/* A host on its way to the loop. */
struct loaded {
    struct service *s;
    struct mt_host *host;
    struct mt_run *run;
    char *error;
};

static long anonymous_kb(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static enum mt_rc read_file(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    char chunk[4096];
    char *path = mt_format("%s/%s", (const char *)ud, relative);
    FILE *f = fopen(path, "rbe");
    free(path);
    if (!f)
        return mt_fail(err, MT_ENOENT, "no %s", relative);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        mt_buf_add(out, chunk, n);
    fclose(f);
    return out->failed ? mt_fail(err, MT_ELIMIT, "%s is too large", relative) : MT_OK;
}

static enum mt_rc load(const struct service *s, const char *folder, struct mt_host **out, struct mt_err *err)
{
    struct mt_host_options options = s->options;
    options.read_ud = (void *)(uintptr_t)folder;
    return mt_host_new(&options, out, err);
}

/* ---- on the loop's thread ---- */

static bool drop_batch(void *ud, struct mt_run *run, struct mt_batch batch)
{
    (void)ud;
    (void)run;
    mt_doc_unref(batch.doc);
    free(batch.scope);
    return true;
}

static void over(struct service *s)
{
    const unsigned done = atomic_fetch_add(&s->done, 1) + 1;
    if (done == s->count / 10)
        s->kb_early = anonymous_kb();
    if (done == s->count)
        mt_run_cancel(s->busy_run);
}

static void free_loaded(void *arg)
{
    struct loaded *l = arg;
    mt_host_free(l->host);
    over(l->s);
    free(l);
}

static void on_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct loaded *l = ud;
    (void)run;
    l->s->runs += result->ok;
    if (!result->ok)
        fprintf(stderr, "a run failed: %s\n", result->error);
    mt_loop_post(l->s->options.loop, free_loaded, l);
}

static void on_loaded(void *arg)
{
    struct loaded *l = arg;
    struct service *s = l->s;
    struct mt_err err;
    if (l->host) {
        const struct mt_run_options o = {
            .kind = MT_SLICE("k"), .on_batch = drop_batch, .on_end = on_end, .ud = l};
        s->loaded++;
        if (!mt_host_has_resync(l->host) || mt_run_start(l->host, &o, &l->run, &err) != MT_OK)
            abort();
    } else {
        unsigned i = 0;
        s->refused++;
        while (i < TEXTS && s->texts[i] && strcmp(s->texts[i], l->error) != 0)
            i++;
        if (i < TEXTS && !s->texts[i])
            s->texts[i] = mt_strdup(l->error);
        free(l->error);
        free(l);
        over(s);
    }
}

static void on_busy_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct service *s = ud;
    (void)run;
    if (!result->canceled)
        fprintf(stderr, "the run that goes on ended: %s\n", result->error ? result->error : "by itself");
    mt_loop_stop(s->options.loop);
}

/* ---- on the loaders' threads ---- */

static void *loader(void *arg)
{
    struct service *s = arg;
    for (unsigned i; (i = atomic_fetch_add(&s->next, 1)) < s->count;) {
        struct loaded *l = mt_alloc(sizeof *l);
        struct mt_err err;
        l->s = s;
        const char *folder = i % 2 ? s->bad[i / 2 % s->bad_count] : s->good;
        if (load(s, folder, &l->host, &err) != MT_OK)
            l->error = mt_strdup(err.text);
        else if (i % 8 == 0) { /* one that is not wanted any more */
            mt_host_free(l->host);
            if (load(s, folder, &l->host, &err) != MT_OK)
                abort();
        }
        /* The loaders stay a little ahead of the loop, not thousands of hosts. */
        while (i > atomic_load(&s->done) + 64)
            usleep(200);
        mt_loop_post(s->options.loop, on_loaded, l);
    }
    return NULL;
}

static int run_loads(struct service *s)
{
    static const char endless[] = "busy";
    pthread_t ids[16];
    struct mt_err err;
    const struct mt_run_options o = {
        .kind = mt_slice_of(endless), .on_batch = drop_batch, .on_end = on_busy_end, .ud = s};
    if (load(s, s->good, &s->busy, &err) != MT_OK || mt_run_start(s->busy, &o, &s->busy_run, &err) != MT_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (unsigned i = 0; i < s->threads; i++)
        if (pthread_create(&ids[i], NULL, loader, s) != 0)
            abort();
    mt_loop_run(s->options.loop);
    for (unsigned i = 0; i < s->threads; i++)
        pthread_join(ids[i], NULL);
    const long kb_late = anonymous_kb();
    mt_host_free(s->busy);
    struct mt_buf out;
    mt_buf_init(&out, 1 << 20);
    mt_buf_printf(&out,
                  "{\"loaded\":%u,\"refused\":%u,\"runs\":%u,\"sanitized\":%s,"
                  "\"kb_early\":%ld,\"kb_late\":%ld,\"errors\":[",
                  s->loaded, s->refused, s->runs, SANITIZED ? "true" : "false", s->kb_early, kb_late);
    for (unsigned i = 0; i < TEXTS && s->texts[i]; i++) {
        mt_buf_puts(&out, i ? "," : "");
        mt_buf_put_json_string(&out, mt_slice_of(s->texts[i]));
        free(s->texts[i]);
    }
    mt_buf_puts(&out, "]}");
    puts(mt_buf_text(&out));
    mt_buf_fini(&out);
    return 0;
}

/* ---- idle hosts ---- */

static void on_idle_end(void *ud, struct mt_run *run, const struct mt_run_result *result)
{
    struct service *s = ud;
    (void)run;
    if (!result->ok)
        fprintf(stderr, "a run failed: %s\n", result->error);
    s->runs++;
    mt_loop_stop(s->options.loop);
}

static void rest(void *arg)
{
    struct service *s = arg;
    mt_loop_stop(s->options.loop);
}

static int run_idle(struct service *s, const char *kind)
{
    struct mt_host **hosts = mt_alloc(s->count * sizeof *hosts);
    struct mt_err err;
    int code = 0;
    malloc_trim(0);
    const long before = anonymous_kb();
    for (unsigned i = 0; i < s->count && !code; i++)
        if (load(s, s->good, &hosts[i], &err) != MT_OK) {
            fprintf(stderr, "%s\n", err.text);
            code = 1;
        }
    malloc_trim(0);
    const long loaded = anonymous_kb();
    for (unsigned i = 0; i < s->count && kind && !code; i++) {
        struct mt_run *run;
        const struct mt_run_options o = {
            .kind = mt_slice_of(kind), .on_batch = drop_batch, .on_end = on_idle_end, .ud = s};
        mt_host_clear_cache(hosts[i]);
        if (mt_run_start(hosts[i], &o, &run, &err) != MT_OK)
            abort();
        mt_loop_run(s->options.loop);
        mt_host_clear_cache(hosts[i]);
    }
    struct mt_timer *timer = mt_timer_new(s->options.loop, 200, rest, s);
    mt_loop_run(s->options.loop);
    mt_timer_free(timer);
    malloc_trim(0);
    printf("{\"kb\":%ld,\"kb_after_run\":%ld,\"sanitized\":%s}\n", (loaded - before) / (long)s->count,
           (anonymous_kb() - before) / (long)s->count, SANITIZED ? "true" : "false");
    for (unsigned i = 0; i < s->count; i++)
        mt_host_free(hosts[i]);
    free(hosts);
    return code;
}

int main(int argc, char **argv)
{
    struct service s = {.count = argc > 2 ? (unsigned)atoi(argv[2]) : 0};
    const bool loads = argc > 5 && strcmp(argv[1], "loads") == 0;
    struct mt_doc *config = NULL;
    if (!loads && (argc < 6 || strcmp(argv[1], "idle") != 0))
        return 2;
    s.options.loop = mt_loop_new();
    s.options.http = mt_http_new(s.options.loop);
    s.options.pool = mt_pool_new(s.options.loop, 1);
    s.options.name = "spec";
    s.options.read = read_file;
    s.options.budgets = (struct mt_budgets){.memory = 8 << 20, .load_ms = SANITIZED ? 400 : 20};
    int code;
    if (loads) {
        s.threads = (unsigned)atoi(argv[3]) % 17;
        if (SANITIZED && s.count > 1000)
            s.count /= 10; /* they are slow */
        s.good = argv[4];
        s.bad = (const char *const *)(argv + 5);
        s.bad_count = (unsigned)argc - 5;
        code = run_loads(&s);
    } else {
        s.options.budgets = (struct mt_budgets){0};
        s.good = argv[3];
        if (mt_doc_parse_copy(mt_slice_of(argv[5]), NULL, &config, NULL) != MT_OK)
            return 2;
        s.options.config = mt_doc_root(config);
        code = run_idle(&s, strcmp(argv[4], "-") == 0 ? NULL : argv[4]);
        mt_doc_unref(config);
    }
    mt_pool_free(s.options.pool);
    mt_http_free(s.options.http);
    mt_loop_free(s.options.loop);
    return code;
}
