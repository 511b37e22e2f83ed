/* A server for specs: server_driver [MAX_BODY [HOST [PORT]]] [NAME=NUMBER…], NAME max_headers,
 * max_connections, deadline_ms or idle_ms. Prints "listening http://127.0.0.1:PORT" and answers until
 * SIGTERM.
 *
 * /echo: what was asked, as JSON. /later: held until /release is asked. /status/N: that status. /big: 300 KB.
 * /empty: no type. /refused: the statuses that the server answered by itself so far. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/server.h"

static struct mt_buf refused;

static void on_refused(void *ud, int status)
{
    (void)ud;
    mt_buf_printf(&refused, "%d ", status);
}

static struct mt_request *held[64];
static size_t held_count;

static void echo(struct mt_request *r)
{
    struct mt_buf out, param;
    mt_buf_init(&out, 64 << 20);
    mt_buf_init(&param, 1000);
    mt_buf_puts(&out, "{\"method\":");
    mt_buf_put_json_string(&out, mt_slice_of(mt_request_method(r)));
    mt_buf_puts(&out, ",\"path\":");
    mt_buf_put_json_string(&out, mt_slice_of(mt_request_path(r)));
    mt_buf_puts(&out, ",\"query\":");
    mt_buf_put_json_string(&out, mt_slice_of(mt_request_query(r)));
    if (mt_request_param(r, "q", &param)) {
        mt_buf_puts(&out, ",\"q\":");
        mt_buf_put_json_string(&out, mt_buf_slice(&param));
    }
    const char *header = mt_request_header(r, "x-spec");
    if (header) {
        mt_buf_puts(&out, ",\"header\":");
        mt_buf_put_json_string(&out, mt_slice_of(header));
    }
    struct mt_slice body = mt_request_body(r);
    mt_buf_printf(&out, ",\"length\":%zu,\"body\":", body.n);
    body.n = body.n > 1000 ? 1000 : body.n;
    mt_buf_put_json_string(&out, body);
    mt_buf_putc(&out, '}');
    mt_request_reply(r, 200, "application/json", mt_buf_slice(&out));
    mt_buf_fini(&out);
    mt_buf_fini(&param);
}

static void handle(void *ud, struct mt_request *r)
{
    static char big[300000];
    const char *path = mt_request_path(r);
    (void)ud;
    if (strcmp(path, "/later") == 0) {
        held[held_count++] = r;
    } else if (strcmp(path, "/release") == 0) {
        for (size_t i = 0; i < held_count; i++)
            mt_request_reply(held[i], 200, "text/plain", MT_SLICE("released"));
        held_count = 0;
        mt_request_reply(r, 200, "text/plain", MT_SLICE("ok"));
    } else if (strncmp(path, "/status/", 8) == 0) {
        mt_request_reply(r, atoi(path + 8), "text/plain", MT_SLICE("body of this status"));
    } else if (strcmp(path, "/big") == 0) {
        memset(big, 'x', sizeof big);
        mt_request_reply(r, 200, "text/plain", (struct mt_slice){big, sizeof big});
    } else if (strcmp(path, "/refused") == 0) {
        mt_request_reply(r, 200, "text/plain", mt_buf_slice(&refused));
    } else if (strcmp(path, "/empty") == 0) {
        mt_request_reply(r, 200, NULL, (struct mt_slice){NULL, 0});
    } else {
        echo(r);
    }
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
    struct mt_server *server = NULL;
    struct mt_err err;
    int code = 0;
    char *limits[8];
    int limit_count = 0;
    while (argc > 1 && strchr(argv[argc - 1], '='))
        limits[limit_count++] = argv[--argc];
    mt_buf_init(&refused, 10000);
    struct mt_server_options options = {.host = argc > 2 ? argv[2] : "127.0.0.1",
                                        .port = argc > 3 ? atoi(argv[3]) : 0,
                                        .max_body = argc > 1 ? strtoul(argv[1], NULL, 10) : 0,
                                        .handle = handle};
    for (int i = 0; i < limit_count; i++) {
        unsigned n = (unsigned)atoi(strchr(limits[i], '=') + 1);
        if (strncmp(limits[i], "max_headers=", 12) == 0)
            options.max_headers = n;
        else if (strncmp(limits[i], "max_connections=", 16) == 0)
            options.max_connections = n;
        else if (strncmp(limits[i], "deadline_ms=", 12) == 0)
            options.deadline_ms = n;
        else if (strncmp(limits[i], "idle_ms=", 8) == 0)
            options.idle_ms = n;
        else
            abort();
        options.refused = on_refused;
    }
    struct event *term = evsignal_new(mt_loop_base(loop), SIGTERM, on_signal, loop);
    event_add(term, NULL);
    if (mt_server_new(loop, &options, &server, &err) != MT_OK) {
        printf("error %s %s\n", mt_rc_name(err.rc), err.text);
        code = 1;
    } else {
        printf("listening http://127.0.0.1:%d\n", mt_server_port(server));
        fflush(stdout);
        mt_loop_run(loop);
    }
    mt_server_free(server);
    for (size_t i = 0; i < held_count; i++) /* an answer after the end goes nowhere, and leaks nothing */
        mt_request_reply(held[i], 200, mt_request_method(held[i]), mt_request_body(held[i]));
    mt_buf_fini(&refused);
    event_free(term);
    mt_loop_free(loop);
    return code;
}
