/* Runs requests for specs and prints what came of each as a JSON line, in the order of their ends, and the
 * counters last.
 *
 *   fetch_driver [options] URL…
 *
 * --times N starts each URL N times; all start at once, --sequence: one after another. --threads N: by
 * mt_http_wait from N threads. --cancel-when requests|bytes|retries|waiting|judging|now: cancels everything
 * as soon as that counter is not 0.
 * --cancel-last: only the request started last. --judge json|never|later: refuses what is not JSON; never
 * answers; asks a worker.
 * --judge takes: also takes the body. --fail-multi N: libcurl's N-th socket action fails. --free-at N: frees
 * the client after the N-th end. --host H, --private: the reach; --free-first N: the first N requests may go
 * anywhere. The others are the fields of struct mt_http_request. */
#undef NDEBUG /* its checks count in every build */
#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/http.h"
#include "net/pool.h"

struct item {
    char *url;
    struct mt_http_call *call;
    uint64_t start_ns;
    bool over;
    struct mt_job job; /* of the judge */
    struct mt_slice judged;
    struct mt_http_call *owed;
    bool is_json;
};

static struct {
    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_pool *pool;
    struct mt_timer *watch[2];
    unsigned turn;
    struct mt_http_request req;
    struct mt_http_stats stats;
    struct item *items;
    size_t count, next, ended, free_at;
    bool sequence, cancel_last, forgot;
    struct mt_reach reach;
    const char *hosts[8];
    size_t free_first;
    unsigned threads;
    const char *cancel_when, *judge;
    atomic_uint judging;
    atomic_bool cancel;
    atomic_ullong waited_until_us; /* the largest waiting_until_us that was seen */
    pthread_mutex_t lock;          /* the next item, and stdout */
} d = {.lock = PTHREAD_MUTEX_INITIALIZER};

static long long fail_multi = -1;
CURLMcode __real_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int what, int *running);
CURLMcode __wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int what, int *running);
CURLMcode __wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int what, int *running)
{
    if (fail_multi >= 0 && --fail_multi == 0)
        return CURLM_INTERNAL_ERROR;
    return __real_curl_multi_socket_action(multi, fd, what, running);
}

static void print(struct item *it, struct mt_http_response *res, const struct mt_err *err)
{
    struct mt_buf out;
    mt_buf_init(&out, 64 << 20);
    mt_buf_puts(&out, "{\"asked\":");
    mt_buf_put_json_string(&out, mt_slice_of(it->url));
    mt_buf_printf(&out, ",\"index\":%zu,\"ms\":%llu", (size_t)(it - d.items),
                  (unsigned long long)((mt_now_ns() - it->start_ns) / 1000000));
    if (err) {
        mt_buf_printf(&out, ",\"error\":\"%s\",\"error_status\":%d,\"text\":", mt_rc_name(err->rc),
                      err->status);
        mt_buf_put_json_string(&out, mt_slice_of(err->text));
    } else {
        mt_buf_printf(&out, ",\"status\":%d,\"attempts\":%u,\"url\":", res->status, res->attempts);
        mt_buf_put_json_string(&out, mt_slice_of(res->url));
        mt_buf_puts(&out, ",\"headers\":");
        mt_buf_put_json_string(&out, mt_buf_slice(&res->headers));
        mt_buf_printf(&out, ",\"length\":%zu,\"body\":", res->body.n);
        struct mt_slice body = mt_buf_slice(&res->body);
        body.n = body.n > 64 << 10 ? 64 << 10 : body.n;
        mt_buf_put_json_string(&out, body);
    }
    mt_buf_puts(&out, "}\n");
    pthread_mutex_lock(&d.lock);
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    pthread_mutex_unlock(&d.lock);
    mt_buf_fini(&out);
}

static void start_one(struct item *it);

static void one_ended(struct item *it)
{
    it->over = true;
    it->call = NULL;
    d.ended++;
    if (d.sequence && d.next < d.count)
        start_one(&d.items[d.next++]);
    if (d.ended == d.count || d.ended == d.free_at)
        mt_loop_stop(d.loop);
}

static void on_done(void *ud, struct mt_http_response *res, const struct mt_err *err)
{
    struct item *it = ud;
    assert(!it->over && it->call); /* once, and never inside mt_http_start */
    print(it, res, err);
    one_ended(it);
}

/* ---- judges ---- */

static bool looks_like_json(struct mt_slice s)
{
    return s.n >= 2 && ((s.p[0] == '{' && s.p[s.n - 1] == '}') || (s.p[0] == '[' && s.p[s.n - 1] == ']'));
}

static void answer(struct mt_http_call *call, bool good)
{
    struct mt_err err;
    mt_fail(&err, MT_EDATA, "the body is not JSON");
    mt_http_judged(call, good ? NULL : &err);
}

static void judge_work(struct mt_job *job, unsigned worker)
{
    (void)worker;
    struct item *it = (struct item *)((char *)job - offsetof(struct item, job));
    it->is_json = looks_like_json(it->judged);
}

static void judge_done(struct mt_job *job)
{
    struct item *it = (struct item *)((char *)job - offsetof(struct item, job));
    if (it->owed)
        answer(it->owed, it->is_json);
}

static void judge(void *ud, struct mt_http_call *call, struct mt_http_response *res)
{
    struct item *it = ud;
    if (!res) {
        it->owed = NULL;
        printf("{\"told\":\"judgement not needed\"}\n");
        return;
    }
    atomic_fetch_add(&d.judging, 1);
    if (strcmp(d.judge, "json") == 0) {
        answer(call, looks_like_json(mt_buf_slice(&res->body)));
    } else if (strcmp(d.judge, "takes") == 0) {
        bool good = looks_like_json(mt_buf_slice(&res->body));
        free(mt_buf_take(&res->body, NULL));
        answer(call, good);
    } else if (strcmp(d.judge, "later") == 0) {
        it->judged = mt_buf_slice(&res->body);
        it->owed = call;
        it->job = (struct mt_job){.work = judge_work, .done = judge_done};
        mt_pool_submit(d.pool, &it->job);
    } else if (strcmp(d.judge, "cancels") == 0) {
        mt_http_cancel(call);
        printf("{\"cancelled\":true}\n");
        one_ended(it);
    }
}

/* ---- requests ---- */

static void start_one(struct item *it)
{
    struct mt_http_request req = d.req;
    req.url = it->url;
    req.judge = d.judge ? judge : NULL;
    req.judge_ud = it;
    if ((size_t)(it - d.items) >= d.free_first)
        req.reach = &d.reach;
    it->start_ns = mt_now_ns();
    it->call = mt_http_start(d.http, &req, on_done, it);
    /* What was passed may be gone now. */
    char *gone = mt_strdup(it->url);
    free(it->url);
    it->url = gone;
}

static bool condition_met(void)
{
    const char *c = d.cancel_when;
    return strcmp(c, "now") == 0 || (strcmp(c, "requests") == 0 && atomic_load(&d.stats.requests)) ||
           (strcmp(c, "bytes") == 0 && atomic_load(&d.stats.bytes)) ||
           (strcmp(c, "retries") == 0 && atomic_load(&d.stats.retries)) ||
           (strcmp(c, "waiting") == 0 && atomic_load(&d.stats.waiting_until_us)) ||
           (strcmp(c, "judging") == 0 && atomic_load(&d.judging));
}

static void cancel_all(void)
{
    if (d.threads) {
        atomic_store(&d.cancel, true);
        mt_http_kick(d.http);
        return;
    }
    for (size_t i = d.cancel_last ? d.count - 1 : 0; i < d.count; i++) {
        struct item *it = &d.items[i];
        if (it->over || !it->call)
            continue;
        mt_http_cancel(it->call);
        pthread_mutex_lock(&d.lock);
        printf("{\"cancelled\":true,\"index\":%zu}\n", i);
        pthread_mutex_unlock(&d.lock);
        one_ended(it);
    }
}

static void on_watch(void *arg)
{
    (void)arg;
    unsigned long long until = atomic_load(&d.stats.waiting_until_us);
    if (until > atomic_load(&d.waited_until_us))
        atomic_store(&d.waited_until_us, until);
    if (d.cancel_when && !d.forgot && condition_met()) {
        d.forgot = true;
        cancel_all();
    }
    /* The timer that fires now is freed when the next one does. */
    d.turn ^= 1;
    mt_timer_free(d.watch[d.turn]);
    d.watch[d.turn] = mt_timer_new(d.loop, 1, on_watch, NULL);
}

static void start_all(void *arg)
{
    (void)arg;
    if (d.sequence)
        start_one(&d.items[d.next++]);
    else
        for (size_t i = 0; i < d.count; i++)
            start_one(&d.items[i]);
}

static void *thread_main(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&d.lock);
        struct item *it = d.next < d.count ? &d.items[d.next++] : NULL;
        pthread_mutex_unlock(&d.lock);
        if (!it)
            return NULL;
        struct mt_http_request req = d.req;
        struct mt_http_response res;
        struct mt_err err;
        req.url = it->url;
        req.cancel = &d.cancel;
        req.reach = &d.reach;
        it->start_ns = mt_now_ns();
        enum mt_rc rc = mt_http_wait(d.http, &req, &res, &err);
        assert(rc == MT_OK || rc == err.rc);
        print(it, &res, rc == MT_OK ? NULL : &err);
        if (rc == MT_OK)
            mt_http_response_fini(&res);
    }
}

static void *threads_main(void *arg)
{
    pthread_t threads[64];
    (void)arg;
    for (unsigned i = 0; i < d.threads; i++)
        pthread_create(&threads[i], NULL, thread_main, NULL);
    for (unsigned i = 0; i < d.threads; i++)
        pthread_join(threads[i], NULL);
    mt_loop_stop(d.loop);
    return NULL;
}

/* ---- options ---- */

static struct mt_header headers[64];
static int statuses[32];
static unsigned concurrency;
static double rate;
static size_t times = 1;

static void option_header(char *line, bool secret)
{
    char *colon = strchr(line, ':');
    *colon = '\0';
    char *value = colon + 1 + (colon[1] == ' ');
    if (secret)
        mt_mask_add(mt_slice_of(value));
    headers[d.req.header_count++] = (struct mt_header){line, value, secret};
}

static void option_statuses(char *list)
{
    size_t n = 0;
    for (char *word; (word = strsep(&list, ","));)
        statuses[n++] = atoi(word);
    d.req.retry.statuses = statuses;
}

/* Returns whether the option took a value. */
static bool option(const char *name, char *value)
{
    struct mt_http_request *q = &d.req;
    struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        {"--timeout", &q->timeout_ms},        {"--connect-timeout", &q->connect_timeout_ms},
        {"--deadline", &q->deadline_ms},      {"--redirects", &q->max_redirects},
        {"--retries", &q->retry.max_retries}, {"--base", &q->retry.base_ms},
        {"--cap", &q->retry.cap_ms},          {"--announced-cap", &q->retry.announced_cap_ms},
        {"--concurrency", &concurrency},      {"--threads", &d.threads},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].number = (uint32_t)strtoul(value, NULL, 10);
            return true;
        }
    if (strcmp(name, "--insecure") == 0)
        return !(q->insecure_tls = true);
    if (strcmp(name, "--any-method") == 0)
        return !(q->retry.any_method = true);
    if (strcmp(name, "--exhausted-403") == 0)
        return !(q->retry.exhausted_403 = true);
    if (strcmp(name, "--sequence") == 0)
        return !(d.sequence = true);
    if (strcmp(name, "--private") == 0)
        return !(d.reach.block_private = true);
    if (strcmp(name, "--cancel-last") == 0)
        return !(d.cancel_last = true);
    if (strcmp(name, "--method") == 0)
        q->method = value;
    else if (strcmp(name, "--body") == 0)
        q->body = mt_slice_of(value);
    else if (strcmp(name, "--body-size") == 0)
        q->body = (struct mt_slice){mt_alloc(strtoul(value, NULL, 10)), strtoul(value, NULL, 10)};
    else if (strcmp(name, "--header") == 0)
        option_header(value, false);
    else if (strcmp(name, "--secret") == 0)
        option_header(value, true);
    else if (strcmp(name, "--statuses") == 0)
        option_statuses(value);
    else if (strcmp(name, "--host") == 0)
        d.hosts[d.reach.host_count++] = value;
    else if (strcmp(name, "--free-first") == 0)
        d.free_first = strtoul(value, NULL, 10);
    else if (strcmp(name, "--max-body") == 0)
        q->max_body = strtoul(value, NULL, 10);
    else if (strcmp(name, "--rate") == 0)
        rate = strtod(value, NULL);
    else if (strcmp(name, "--times") == 0)
        times = strtoul(value, NULL, 10);
    else if (strcmp(name, "--judge") == 0)
        d.judge = value;
    else if (strcmp(name, "--cancel-when") == 0)
        d.cancel_when = value;
    else if (strcmp(name, "--fail-multi") == 0)
        fail_multi = atoll(value);
    else if (strcmp(name, "--free-at") == 0)
        d.free_at = strtoul(value, NULL, 10);
    else
        abort();
    return true;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    d.req.method = "GET";
    d.req.headers = headers;
    int at = 1;
    while (at < argc && strncmp(argv[at], "--", 2) == 0)
        at += option(argv[at], argv[at + 1]) ? 2 : 1;
    assert(at < argc);
    d.reach.hosts = d.reach.host_count ? d.hosts : NULL;
    d.count = (size_t)(argc - at) * times;
    d.items = mt_alloc((d.count + 1) * sizeof *d.items);
    for (size_t i = 0; i < d.count; i++)
        d.items[i].url = mt_strdup(argv[(size_t)at + i % (size_t)(argc - at)]);
    d.loop = mt_loop_new();
    d.http = mt_http_new(d.loop);
    d.pool = mt_pool_new(d.loop, 2);
    struct mt_admission *admission = NULL;
    if (concurrency || rate > 0)
        admission = mt_admission_get(d.http, MT_SLICE("spec"), concurrency, rate);
    if (admission) { /* the same key is the same admission */
        struct mt_admission *again = mt_admission_get(d.http, MT_SLICE("spec"), 99, 0);
        assert(again == admission);
        mt_admission_release(again);
    }
    d.req.admission = admission;
    d.req.stats = &d.stats;
    d.watch[0] = mt_timer_new(d.loop, 0, on_watch, NULL);
    pthread_t starter;
    if (d.threads)
        pthread_create(&starter, NULL, threads_main, NULL);
    else
        mt_loop_post(d.loop, start_all, NULL);
    mt_loop_run(d.loop);
    if (d.threads)
        pthread_join(starter, NULL);
    mt_timer_free(d.watch[0]);
    mt_timer_free(d.watch[1]);
    mt_http_free(d.http);
    mt_admission_release(admission);
    mt_pool_free(d.pool);
    mt_loop_free(d.loop);
    printf("{\"stats\":{\"requests\":%llu,\"retries\":%llu,\"bytes\":%llu,\"busy_ms\":%llu,\"waiting\":%llu,"
           "\"waited_until_us\":%llu}}\n",
           atomic_load(&d.stats.requests), atomic_load(&d.stats.retries), atomic_load(&d.stats.bytes),
           atomic_load(&d.stats.busy_ns) / 1000000, atomic_load(&d.stats.waiting_until_us),
           atomic_load(&d.waited_until_us));
    for (size_t i = 0; i < d.count; i++)
        free(d.items[i].url);
    free(d.items);
    mt_mask_forget();
    return 0;
}
