/* Recordings for specs. One request after the other; each prints {"status","headers","body"} or
 * {"error","text"} as a JSON line.
 *
 *   recording_driver play [options] FILE… -- REQUEST…    last
 * {"count","held","asked":[{"method","url","status"}]} recording_driver record [options] FILE -- REQUEST…
 * last {"written"} or {"error","text"}
 *
 * REQUEST is URL or METHOD=URL. Options: --mask SECRET (mt_mask_add), --header "Name: value", --retries N,
 * --redirects N, --max-body N, --add NAME TEXT (a recording from memory), --host H (reach), --private
 * (reach's block_private). */
#undef NDEBUG /* its checks count in every build */
#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/recording.h"

static struct {
    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_http_request req;
    struct mt_http_stats stats;
    struct mt_reach reach;
    char **requests;
    size_t count, next;
    bool inside; /* of mt_http_start */
} d;
static size_t held; /* bytes of the heap that the recordings take; 0 under sanitizers */

static void start_next(void *unused);

static void print_string(const char *name, struct mt_slice s)
{
    struct mt_buf out;
    mt_buf_init(&out, (size_t)1 << 30);
    mt_buf_put_json_string(&out, s);
    printf("\"%s\":%s", name, mt_buf_text(&out));
    mt_buf_fini(&out);
}

static void print_error(const struct mt_err *err)
{
    printf("{\"error\":\"%s\",", mt_rc_name(err->rc));
    print_string("text", mt_slice_of(err->text));
    printf("}\n");
}

static void on_done(void *ud, struct mt_http_response *res, const struct mt_err *err)
{
    (void)ud;
    assert(!d.inside);
    if (err) {
        print_error(err);
    } else {
        printf("{\"status\":%d,\"attempts\":%u,", res->status, res->attempts);
        print_string("headers", mt_buf_slice(&res->headers));
        printf(",");
        print_string("url", mt_slice_of(res->url));
        printf(",");
        print_string("body", mt_buf_slice(&res->body));
        printf("}\n");
    }
    mt_loop_post(d.loop, start_next, NULL);
}

static void start_next(void *unused)
{
    (void)unused;
    if (d.next == d.count) {
        mt_loop_stop(d.loop);
        return;
    }
    char *request = d.requests[d.next++], *equals = strchr(request, '=');
    size_t word = strspn(request, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    bool has_method = word && equals == request + word;
    char *method = has_method ? mt_slice_dup((struct mt_slice){request, word}) : mt_strdup("GET");
    d.req.method = method;
    d.req.url = has_method ? equals + 1 : request;
    d.inside = true;
    mt_http_start(d.http, &d.req, on_done, NULL);
    d.inside = false;
    free(method);
}

static void show_asked(const struct mt_recordings *r)
{
    struct mt_asked asked = {0};
    size_t n = mt_recordings_asked(r, 0, NULL);
    printf("{\"count\":%zu,\"held\":%zu,\"requests\":%llu,\"retries\":%llu,\"bytes\":%llu,\"asked\":[",
           mt_recordings_count(r), held, atomic_load(&d.stats.requests), atomic_load(&d.stats.retries),
           atomic_load(&d.stats.bytes));
    for (size_t i = 0; i < n; i++) {
        size_t again = mt_recordings_asked(r, i, &asked);
        assert(again == n);
        printf("%s{\"status\":%d,", i ? "," : "", asked.status);
        print_string("method", mt_slice_of(asked.method));
        printf(",");
        print_string("url", mt_slice_of(asked.url));
        printf("}");
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct mt_header headers[16];
    const char *hosts[16];
    struct mt_recordings *recordings = mt_recordings_new();
    struct mt_recorder *recorder = NULL;
    struct mt_err err = {0};
    enum mt_rc rc = MT_OK;
    signal(SIGPIPE, SIG_IGN);
    assert(argc > 2);
    bool plays = strcmp(argv[1], "play") == 0;
    d.req.headers = headers;
    d.req.stats = &d.stats;
    d.req.retry.base_ms = 1;
    d.reach.hosts = hosts;
    for (int i = 2; i < argc && rc == MT_OK; i++) {
        if (strcmp(argv[i], "--") == 0) {
            d.requests = argv + i + 1;
            d.count = (size_t)(argc - i - 1);
            break;
        } else if (strcmp(argv[i], "--mask") == 0) {
            mt_mask_add(mt_slice_of(argv[++i]));
        } else if (strcmp(argv[i], "--header") == 0) {
            char *colon = strchr(argv[++i], ':');
            *colon = '\0';
            headers[d.req.header_count++] = (struct mt_header){argv[i], colon + 2, false};
        } else if (strcmp(argv[i], "--retries") == 0) {
            d.req.retry.max_retries = (unsigned)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--redirects") == 0) {
            d.req.max_redirects = (unsigned)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--max-body") == 0) {
            d.req.max_body = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--host") == 0) {
            hosts[d.reach.host_count++] = argv[++i];
        } else if (strcmp(argv[i], "--private") == 0) {
            d.reach.block_private = true;
        } else if (strcmp(argv[i], "--add") == 0) {
            rc = mt_recordings_add(recordings, argv[i + 1], mt_slice_of(argv[i + 2]), &err);
            i += 2;
        } else if (plays) {
            rc = mt_recordings_read(recordings, argv[i], &err);
        } else {
            rc = mt_recorder_new(argv[i], &recorder, &err);
        }
    }
    if (!d.reach.host_count)
        d.reach.hosts = NULL;
    d.req.reach = &d.reach;
    struct mallinfo2 heap = mallinfo2();
    held = heap.uordblks + heap.hblkhd;
    if (rc == MT_OK) {
        d.req.tape = plays ? mt_recordings_tape(recordings) : mt_recorder_tape(recorder);
        d.loop = mt_loop_new();
        d.http = mt_http_new(d.loop);
        mt_loop_post(d.loop, start_next, NULL);
        mt_loop_run(d.loop);
        mt_http_free(d.http);
        mt_loop_free(d.loop);
        if (plays) {
            show_asked(recordings);
            mt_recordings_forget_asked(recordings);
            assert(mt_recordings_asked(recordings, 0, NULL) == 0);
        }
    }
    if (rc == MT_OK && recorder) {
        size_t written = 0;
        rc = mt_recorder_close(recorder, &written, &err);
        if (rc == MT_OK)
            printf("{\"written\":%zu}\n", written);
    }
    if (rc != MT_OK) {
        assert(rc == err.rc);
        print_error(&err);
        if (plays)
            printf("{\"count\":%zu}\n", mt_recordings_count(recordings));
    }
    mt_recordings_free(recordings);
    mt_mask_forget();
    return rc == MT_OK ? 0 : 1;
}
