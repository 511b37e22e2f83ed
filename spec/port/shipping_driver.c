/* Drives port/shipping.c from shipping_spec.lua:
 *
 *   shipping_driver BASE_URL INTERVAL_MS RETRY_MS LINES_MAX END_SECONDS STEP…
 *
 * Steps run on a thread of their own, one after another: address:PATH (PATH "-": none), log:N, other:N,
 * none:N, local:N, debug:N, long:N (lines of so many bytes), get:PATH (waits for the answer), busy (a
 * caller's thread is taken until the end). Then the end, whose time is printed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "port/shipping.h"

static struct mt_loop *loop;
static struct mt_http *http;
static struct mt_pool *pool;
static struct mt_shipping *shipping;
static const char *base;
static double end_seconds;
static char **steps;
static uint64_t ended_ns;
static unsigned line_number;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released;

static void occupy(struct mt_job *job, unsigned worker)
{
    (void)job;
    (void)worker;
    pthread_mutex_lock(&lock);
    while (!released)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void release(void)
{
    pthread_mutex_lock(&lock);
    released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void get(const char *path)
{
    char *url = mt_format("%s%s", base, path);
    struct mt_http_request req = {.method = "GET", .url = url};
    struct mt_http_response res;
    struct mt_err err;
    if (mt_http_wait(http, &req, &res, &err) != MT_OK) {
        fprintf(stderr, "%s: %s\n", url, err.text);
        exit(1);
    }
    mt_http_response_fini(&res);
    free(url);
}

static void gone(void *ud)
{
    (void)ud;
    printf("gone %.0f\n", (double)(mt_now_ns() - ended_ns) / 1e6);
    release();
    mt_loop_stop(loop);
}

static void end(void *arg)
{
    (void)arg;
    ended_ns = mt_now_ns();
    mt_shipping_end(shipping, end_seconds, gone, NULL);
}

static void address(void *arg)
{
    char *path = arg;
    char *url = mt_format("%s%s", base, path);
    mt_shipping_address(shipping, strcmp(path, "-") == 0 ? NULL : url);
    free(url);
    free(path);
}

static void log_lines(const char *what, unsigned n)
{
    static const struct mt_log_fields ours = {"mine", "run-1", "repository", 7, false},
                                      other = {.integration = "another"},
                                      local = {.integration = "mine", .local = true};
    mt_log_enter(strcmp(what, "other") == 0   ? &other
                 : strcmp(what, "none") == 0  ? NULL
                 : strcmp(what, "local") == 0 ? &local
                                              : &ours);
    if (strcmp(what, "long") == 0) {
        char *text = mt_alloc(n + 1);
        memset(text, 'x', n);
        mt_log(MT_WARN, "%u %s", line_number++, text);
        free(text);
        return;
    }
    while (n--)
        mt_log(strcmp(what, "debug") == 0 ? MT_DEBUG : MT_WARN, "%s line %u, hunter22\n", what,
               line_number++);
}

static void *run_steps(void *arg)
{
    static struct mt_job busy = {.work = occupy};
    (void)arg;
    for (char **step = steps; *step; step++) {
        char what[32] = "";
        const char *value = strchr(*step, ':');
        snprintf(what, sizeof what, "%.*s", (int)(value ? value - *step : 31), *step);
        value = value ? value + 1 : "";
        if (strcmp(what, "get") == 0)
            get(value);
        else if (strcmp(what, "busy") == 0)
            mt_pool_submit(pool, &busy);
        else if (strcmp(what, "address") == 0)
            mt_loop_post(loop, address, mt_strdup(value));
        else
            log_lines(what, (unsigned)atoi(value));
    }
    mt_loop_post(loop, end, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 6)
        return 2;
    base = argv[1];
    end_seconds = strtod(argv[5], NULL);
    steps = argv + 6;
    loop = mt_loop_new();
    http = mt_http_new(loop);
    pool = mt_pool_new(loop, 1);
    struct mt_port_options o = {.http = http,
                                .base_url = base,
                                .client_id = "id",
                                .client_secret = "hunter22",
                                .type = "t",
                                .version = "1",
                                .identifier = "mine",
                                .deadline_s = 2};
    struct mt_port *port = mt_port_new(&o);
    mt_mask_add(MT_SLICE("hunter22"));
    shipping = mt_shipping_new(&(struct mt_shipping_options){.loop = loop,
                                                             .callers = pool,
                                                             .port = port,
                                                             .identifier = "mine",
                                                             .unnamed = true,
                                                             .interval_ms = (uint32_t)atoi(argv[2]),
                                                             .retry_ms = (uint32_t)atoi(argv[3]),
                                                             .lines_max = (size_t)atoi(argv[4])});
    pthread_create(&thread, NULL, run_steps, NULL);
    mt_loop_run(loop);
    pthread_join(thread, NULL);
    mt_port_free(port);
    mt_http_free(http);
    mt_pool_free(pool);
    mt_loop_free(loop);
    mt_log_flush();
    mt_mask_forget();
    return 0;
}
