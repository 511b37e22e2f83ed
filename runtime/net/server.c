/* The HTTP server: see server.h. evhttp on the loop's base; everything on the loop's thread.
 *
 * What evhttp of libevent 2.1 needs to be kept from:
 * - Bytes that arrive while a request waits for its answer (a pipelined request): versions differ in what
 * they do then, up to ending the process ("illegal connection state"). Reading is off from the request to its
 * reply.
 * - Whether it reads the body of a GET or DELETE depends on its version, and bytes that it leaves would be
 * taken for the next request: a connection on which a body was announced and is missing closes after the
 * reply.
 * - It frees a request with its connection, also one that is still to be answered: at the end those are taken
 * over first.
 * - A reply to HEAD would carry the body. */
#include "net/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/guests.h"

enum {
    DEFAULT_MAX_BODY = 16 << 20,
    DEFAULT_MAX_HEADERS = 64 << 10,
    /* Also of an idle connection; libcurl gives up one of its own after 118 s, so that it is not reset in the
       middle of a send. */
    TIMEOUT_S = 300,
    BACKLOG = 128,
    PAUSE_MS = 100,
};

struct mt_request {
    struct mt_server *server; /* NULL once the server is gone: the reply goes nowhere */
    struct mt_request *next, **link;
    struct evhttp_request *ev;
    char *path; /* where evhttp's reading of it is not taken; NULL: it is */
    bool closes;
};

struct mt_server {
    struct mt_server *next; /* of servers */
    struct evhttp *http;
    void (*handle)(void *ud, struct mt_request *request);
    void *ud;
    int port;
    struct evconnlistener *listener;
    struct event *pause;      /* ends a pause of accepting */
    struct mt_guests *guests; /* NULL: there are no limits on connections */
    struct mt_request *pending;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mt_server *servers; /* under lock */

static void request_free(struct mt_request *r)
{
    if (r->link) {
        *r->link = r->next;
        if (r->next)
            r->next->link = r->link;
    }
    free(r->path);
    free(r);
}

/* "//v1/blueprints?x" is a path that begins with an empty segment (RFC 9112 section 3.2.1), as it comes of a
 * base URL with a slash at its end; evhttp reads an authority "v1" there. */
static char *path_of(const char *target)
{
    return target && target[0] == '/' && target[1] == '/'
               ? mt_slice_dup((struct mt_slice){target, strcspn(target, "?#")})
               : NULL;
}

static void on_request(struct evhttp_request *ev, void *arg)
{
    struct mt_server *server = arg;
    struct mt_request *r = mt_alloc(sizeof *r);
    *r = (struct mt_request){.server = server,
                             .ev = ev,
                             .path = path_of(evhttp_request_get_uri(ev)),
                             .next = server->pending,
                             .link = &server->pending};
    if (r->next)
        r->next->link = &r->next;
    server->pending = r;
    if (server->guests)
        mt_guests_received(server->guests, evhttp_request_get_connection(ev));
    bufferevent_disable(evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev)), EV_READ);
    const char *length = mt_request_header(r, "Content-Length");
    bool announced = (length && strtoull(length, NULL, 10) > 0) || mt_request_header(r, "Transfer-Encoding");
    r->closes = announced && !mt_request_body(r).n;
    server->handle(server->ud, r);
}

/* Most likely the process has no descriptor left. The connection stays in the queue, and the loop would ask
 * for it again at once, 290,000 times a second (measured), with a warning of libevent's each: accepting
 * pauses. */
static void on_accept_failed(struct evconnlistener *listener, void *evhttp)
{
    const struct timeval after = {.tv_usec = PAUSE_MS * 1000};
    const int cause = errno;
    (void)evhttp; /* callbacks of a listener share their argument, and it is evhttp's */
    pthread_mutex_lock(&lock);
    struct mt_server *server = servers;
    while (server && server->listener != listener)
        server = server->next;
    pthread_mutex_unlock(&lock);
    if (!server)
        return;
    mt_log_repeat(MT_WARN, "accept", "cannot accept a connection: %s", strerrordesc_np(cause));
    evconnlistener_disable(listener);
    evtimer_add(server->pause, &after);
}

static void on_pause_over(evutil_socket_t none, short what, void *arg)
{
    struct mt_server *server = arg;
    (void)none;
    (void)what;
    evconnlistener_enable(server->listener);
}

/* Binds like evhttp_bind_socket, which does not say why it fails. Returns the socket or -1 with errno. */
static int listen_at(const struct mt_server_options *options, const char **out_cause)
{
    char service[8];
    snprintf(service, sizeof service, "%d", options->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int fd = -1, failed = getaddrinfo(options->host, service, &hints, &found);
    if (failed) {
        *out_cause = gai_strerror(failed);
        return -1;
    }
    *out_cause = NULL;
    const int on = 1;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* NODELAY is inherited by what is accepted: the last piece of an answer is not held back for an ACK. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        *out_cause = strerrordesc_np(errno);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t n = sizeof address;
    if (getsockname(fd, &address.any, &n) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* evhttp's own time-out, of inactivity: beyond what guests.c watches, it is that of an answer nobody takes.
 */
static int timeout_s(const struct mt_server_options *o)
{
    unsigned ms = o->idle_ms > o->deadline_ms ? o->idle_ms : o->deadline_ms;
    return o->idle_ms && o->deadline_ms ? (int)(ms / 1000 + 2) : TIMEOUT_S;
}

enum mt_rc mt_server_new(struct mt_loop *loop, const struct mt_server_options *options,
                         struct mt_server **out, struct mt_err *err)
{
    if (options->port < 0 || options->port > 65535)
        return mt_fail(err, MT_EINVAL, "port %d is not between 0 and 65535", options->port);
    const char *cause;
    int fd = listen_at(options, &cause);
    if (fd < 0)
        return mt_fail(err, MT_EIO, "cannot listen at %.200s port %d: %s", options->host, options->port,
                       cause);
    struct mt_server *server = mt_alloc(sizeof *server);
    *server = (struct mt_server){.handle = options->handle, .ud = options->ud, .port = port_of(fd)};
    server->http = evhttp_new(mt_loop_base(loop));
    struct evhttp_bound_socket *bound =
        server->http ? evhttp_accept_socket_with_handle(server->http, fd) : NULL;
    if (!bound)
        abort(); /* only memory can be missing */
    server->listener = evhttp_bound_socket_get_listener(bound);
    server->pause = evtimer_new(mt_loop_base(loop), on_pause_over, server);
    if (!server->pause)
        abort();
    evconnlistener_set_error_cb(server->listener, on_accept_failed);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                                 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                                                 EVHTTP_REQ_PATCH);
    evhttp_set_max_body_size(server->http,
                             (ev_ssize_t)(options->max_body ? options->max_body : DEFAULT_MAX_BODY));
    evhttp_set_max_headers_size(
        server->http, (ev_ssize_t)(options->max_headers ? options->max_headers : DEFAULT_MAX_HEADERS));
    evhttp_set_timeout(server->http, timeout_s(options));
    if (options->max_connections || options->deadline_ms || options->idle_ms || options->refused)
        server->guests = mt_guests_new(options, mt_loop_base(loop), server->http, server->listener);
    /* Reads a refused body to its end: a connection closed before would reset the 413 away. */
    evhttp_set_flags(server->http, EVHTTP_SERVER_LINGERING_CLOSE);
    evhttp_set_gencb(server->http, on_request, server);
    pthread_mutex_lock(&lock);
    server->next = servers;
    servers = server;
    pthread_mutex_unlock(&lock);
    *out = server;
    return MT_OK;
}

int mt_server_port(const struct mt_server *server)
{
    return server->port;
}

void mt_server_free(struct mt_server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&lock);
    struct mt_server **link = &servers;
    while (*link != server)
        link = &(*link)->next;
    *link = server->next;
    pthread_mutex_unlock(&lock);
    event_free(server->pause);
    for (struct mt_request *r = server->pending; r; r = r->next)
        evhttp_request_own(r->ev);
    mt_guests_free(server->guests);
    evhttp_free(server->http);
    for (struct mt_request *r = server->pending, *next; r; r = next) {
        next = r->next;
        evhttp_request_free(r->ev);
        free(r->path);
        *r = (struct mt_request){0};
    }
    free(server);
}

const char *mt_request_method(const struct mt_request *r)
{
    if (!r->ev)
        return "";
    switch (evhttp_request_get_command(r->ev)) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_OPTIONS:
        return "OPTIONS";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    default:
        return "";
    }
}

const char *mt_request_path(const struct mt_request *r)
{
    if (r->path)
        return r->path;
    const char *path = r->ev ? evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r->ev)) : NULL;
    return path && *path ? path : "/";
}

const char *mt_request_query(const struct mt_request *r)
{
    const char *query = r->ev ? evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->ev)) : NULL;
    return query ? query : "";
}

const char *mt_request_header(const struct mt_request *r, const char *name)
{
    return r->ev ? evhttp_find_header(evhttp_request_get_input_headers(r->ev), name) : NULL;
}

struct mt_slice mt_request_body(struct mt_request *r)
{
    struct evbuffer *body = r->ev ? evhttp_request_get_input_buffer(r->ev) : NULL;
    size_t n = body ? evbuffer_get_length(body) : 0;
    return n ? (struct mt_slice){(const char *)evbuffer_pullup(body, -1), n} : (struct mt_slice){NULL, 0};
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Decodes up to the end or the first of `stops`; out may be NULL. Returns where it stopped. */
static const char *decode(const char *p, const char *stops, struct mt_buf *out)
{
    for (; *p && !strchr(stops, *p); p++) {
        char c = *p == '+' ? ' ' : *p; /* A-COM-10: query values are form-encoded */
        if (*p == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
            c = (char)(hex(p[1]) * 16 + hex(p[2]));
            p += 2;
        }
        mt_buf_putc(out, c);
    }
    return p;
}

bool mt_request_param(const struct mt_request *r, const char *name, struct mt_buf *out)
{
    const char *p = mt_request_query(r);
    while (*p) {
        mt_buf_clear(out);
        p = decode(p, "=&", out);
        bool found = mt_slice_is(mt_buf_slice(out), name);
        mt_buf_clear(out);
        if (*p == '=')
            p = decode(p + 1, "&", out);
        if (found)
            return !out->failed;
        if (*p == '&')
            p++;
    }
    mt_buf_clear(out);
    return false;
}

void mt_request_header_add(struct mt_request *r, const char *name, const char *value)
{
    if (r->ev)
        evhttp_add_header(evhttp_request_get_output_headers(r->ev), name, value); /* checks both itself */
}

void mt_request_reply(struct mt_request *r, int status, const char *content_type, struct mt_slice body)
{
    struct evhttp_request *ev = r->ev;
    if (!ev) {
        free(r);
        return;
    }
    struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
    bool head = evhttp_request_get_command(ev) == EVHTTP_REQ_HEAD;
    bool bare = status == 204 || status == 304;
    struct evbuffer *data = evbuffer_new();
    if (!data || (!head && !bare && body.n && evbuffer_add(data, body.p, body.n) != 0)) {
        status = 503; /* no memory for the copy of the body */
        body.n = 0;
    }
    if (!bare) {
        char length[32];
        snprintf(length, sizeof length, "%zu", body.n);
        evhttp_add_header(headers, "Content-Length", length);
        if (content_type)
            evhttp_add_header(headers, "Content-Type", content_type);
    }
    if (r->closes)
        evhttp_add_header(headers, "Connection", "close");
    struct evhttp_connection *connection = evhttp_request_get_connection(ev);
    struct mt_guests *guests = r->server->guests;
    request_free(r);
    evhttp_send_reply(ev, status, NULL, data);
    if (guests && connection)
        mt_guests_replied(guests, connection);
    if (data)
        evbuffer_free(data);
}
