/* The two listeners for specs: routes_driver PUBLIC_PORT ADMIN [PREFIX]. Prints
 * "listening http://127.0.0.1:PORT admin http://127.0.0.1:PORT" (what is absent left out) and serves until
 * SIGTERM.
 *
 * Integrations: "demo" and "a b" can be resynced, as the one without a name can when there is no prefix
 * "/no"; a resync of "down" and "up" changes what /health/ready says, one of "release" answers the reloads
 * that wait. /status: {"resyncs","last","reloads"}. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/routes.h"

static struct mt_answer *waiting[64];
static size_t waiting_count;
static unsigned resyncs, reloads;
static bool down;
static char last[1000];

static void release(void)
{
    for (size_t i = 0; i < waiting_count; i++)
        mt_answer_give(waiting[i], i % 2 ? 422 : 200, MT_SLICE("{\"bundles\":[]}"));
    waiting_count = 0;
}

static bool on_ready(void *ud, struct mt_buf *why)
{
    (void)ud;
    if (down)
        mt_buf_puts(why, "Port refused \"the credentials\"\n");
    return !down;
}

static void on_status(void *ud, struct mt_buf *out)
{
    (void)ud;
    mt_buf_printf(out, "{\"resyncs\":%u,\"reloads\":%u,\"last\":", resyncs, reloads);
    mt_buf_put_json_string(out, mt_slice_of(last));
    mt_buf_putc(out, '}');
}

static void on_reload(void *ud, struct mt_answer *answer)
{
    (void)ud;
    reloads++;
    if (waiting_count < sizeof waiting / sizeof *waiting)
        waiting[waiting_count++] = answer;
    else
        mt_answer_give(answer, 503, MT_SLICE("{}"));
}

static bool on_resync(void *ud, struct mt_slice identifier)
{
    const char *prefix = ud;
    if (mt_slice_is(identifier, "down") || mt_slice_is(identifier, "up"))
        down = mt_slice_is(identifier, "down");
    else if (mt_slice_is(identifier, "release"))
        release();
    else if (identifier.n ? !mt_slice_is(identifier, "demo") && !mt_slice_is(identifier, "a b")
                          : prefix && strcmp(prefix, "/no") == 0)
        return false;
    else
        resyncs++;
    snprintf(last, sizeof last, "%.*s", MT_FMT(identifier));
    return true;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    mt_loop_stop(arg);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    struct mt_loop *loop = mt_loop_new();
    struct mt_metrics *metrics = mt_metrics_new();
    struct mt_routes *routes = NULL;
    struct mt_err err;
    char *prefix = argc > 3 ? argv[3] : NULL;
    int code = 0;
    struct mt_routes_options options = {.loop = loop,
                                        .metrics = metrics,
                                        .public_host = "127.0.0.1",
                                        .public_port = argc > 1 ? atoi(argv[1]) : 0,
                                        .admin = argc > 2 ? argv[2] : NULL,
                                        .prefix = prefix,
                                        .ready = on_ready,
                                        .status = on_status,
                                        .reload = on_reload,
                                        .resync = on_resync,
                                        .ud = prefix};
    struct event *term = evsignal_new(mt_loop_base(loop), SIGTERM, on_signal, loop);
    event_add(term, NULL);
    if (mt_routes_new(&options, &routes, &err) != MT_OK) {
        printf("error %s %s\n", mt_rc_name(err.rc), err.text);
        code = 1;
    } else {
        printf("listening");
        if (mt_routes_public_port(routes) >= 0)
            printf(" http://127.0.0.1:%d", mt_routes_public_port(routes));
        if (mt_routes_admin_port(routes) >= 0)
            printf(" admin http://127.0.0.1:%d", mt_routes_admin_port(routes));
        puts("");
        fflush(stdout);
        mt_loop_run(loop);
    }
    mt_routes_free(routes);
    release(); /* answers after the end go nowhere, and leak nothing */
    mt_metrics_free(metrics);
    event_free(term);
    mt_loop_free(loop);
    return code;
}
