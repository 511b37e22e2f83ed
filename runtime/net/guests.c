/* The connections of a server: see guests.h.
 *
 *              first byte              last byte
 *   IDLE ------------------> ASKING --------------> SERVED --+
 *    ^ idle_ms: closed         deadline_ms: 408              |
 *    |                         evhttp's own answer:          | replied
 *    |                         REFUSED, closed after it      |
 *    +-------------------------------------------------------+
 *
 * evhttp 2.1 tells nobody of a connection before its first request is whole, nor of what it refuses by
 * itself. So each connection gets a bufferevent of ours: bytes that come in begin a request, bytes that go
 * out before one was handed over are a refusal. The connection is the argument of the callbacks that evhttp
 * sets on the bufferevent. */
#include "net/guests.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/memory.h"

enum { DEFAULT_IDLE_MS = 300 * 1000 };

enum state { IDLE, ASKING, SERVED, REFUSED };

struct guest {
    struct mt_guests *guests;
    struct guest *next, **link;
    struct bufferevent *bev;              /* a reference is held */
    struct evhttp_connection *connection; /* NULL: evhttp is still making it */
    struct evbuffer_cb_entry *in, *out;
    struct event *timer;
    enum state state;
};

struct mt_guests {
    struct event_base *base;
    struct evconnlistener *listener;
    unsigned most, deadline_ms, idle_ms;
    void (*refused)(void *ud, int status);
    void *ud;
    struct guest *first;
    struct guest **by_socket;
    size_t room;
    unsigned count;
    bool full;
};

static void arm(struct guest *g, unsigned ms)
{
    if (!ms) {
        evtimer_del(g->timer);
        return;
    }
    const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    event_base_update_cache_time(g->guests->base); /* as in mt_timer_new */
    evtimer_add(g->timer, &after);
}

static void enter(struct guest *g, enum state state)
{
    g->state = state;
    arm(g, state == IDLE                                ? g->guests->idle_ms
           : state == ASKING                            ? g->guests->deadline_ms
           : state == REFUSED && g->guests->deadline_ms ? g->guests->deadline_ms
                                                        : 0);
}

static void release(struct guest *g)
{
    struct mt_guests *guests = g->guests;
    int fd = bufferevent_getfd(g->bev);
    if (fd >= 0 && (size_t)fd < guests->room && guests->by_socket[fd] == g)
        guests->by_socket[fd] = NULL;
    *g->link = g->next;
    if (g->next)
        g->next->link = g->link;
    event_free(g->timer);
    evbuffer_remove_cb_entry(bufferevent_get_input(g->bev), g->in);
    evbuffer_remove_cb_entry(bufferevent_get_output(g->bev), g->out);
    guests->count--;
    if (guests->full) {
        guests->full = false;
        evconnlistener_enable(guests->listener);
    }
    bufferevent_decref(g->bev);
    free(g);
}

static void on_close(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    release(arg);
}

static void refuse(struct guest *g, int status)
{
    if (g->guests->refused)
        g->guests->refused(g->guests->ud, status);
}

/* The socket's buffer is empty, as nothing was answered yet: the whole text fits. */
static void send_timeout(const struct guest *g)
{
    static const char text[] =
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    ssize_t sent = send(bufferevent_getfd(g->bev), text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* who is gone needs no answer */
}

/* evhttp has made the connection, which holds our bufferevent now, or has given it up. */
static bool attach(struct guest *g)
{
    struct mt_guests *guests = g->guests;
    void *connection = NULL;
    bufferevent_getcb(g->bev, NULL, NULL, NULL, &connection);
    int fd = bufferevent_getfd(g->bev);
    if (!connection || fd < 0) {
        release(g);
        return false;
    }
    if ((size_t)fd >= guests->room) {
        size_t room = (size_t)fd + 64;
        guests->by_socket = mt_realloc(guests->by_socket, room * sizeof(struct guest *));
        for (size_t i = guests->room; i < room; i++)
            guests->by_socket[i] = NULL;
        guests->room = room;
    }
    guests->by_socket[fd] = g;
    g->connection = connection;
    evhttp_connection_set_closecb(g->connection, on_close, g);
    return true;
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    struct guest *g = arg;
    (void)none;
    (void)what;
    if (!g->connection) {
        if (attach(g))
            enter(g, g->state);
        return;
    }
    bool writing = evbuffer_get_length(bufferevent_get_output(g->bev)) > 0;
    if (g->state == SERVED)
        return;
    if (g->state == IDLE &&
        writing) { /* the last answer still goes out: evhttp's own time-out watches that */
        enter(g, IDLE);
        return;
    }
    if (g->state == ASKING) {
        send_timeout(g);
        refuse(g, 408);
    }
    evhttp_connection_free(g->connection); /* on_close follows */
}

static void on_bytes_in(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct guest *g = arg;
    (void)buffer;
    if (!info->n_added || g->state != IDLE)
        return;
    if (g->connection)
        enter(g, ASKING);
    else
        g->state = ASKING; /* the clock begins when it is attached, before the loop waits again */
}

static void on_bytes_out(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct guest *g = arg;
    char line[32] = "";
    int status = 0;
    if (!info->n_added || g->state != ASKING)
        return;
    evbuffer_copyout(buffer, line, sizeof line - 1);
    if (sscanf(line, "HTTP/1.%*1d %3d", &status) == 1 && status >= 400) {
        enter(g, REFUSED);
        refuse(g, status);
    }
}

static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    struct mt_guests *guests = arg;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
    if (!bev)
        return NULL; /* evhttp makes one itself, or fails */
    struct guest *g = mt_alloc(sizeof *g);
    *g = (struct guest){.guests = guests, .bev = bev, .next = guests->first, .link = &guests->first};
    g->timer = evtimer_new(base, on_timer, g);
    g->in = evbuffer_add_cb(bufferevent_get_input(bev), on_bytes_in, g);
    g->out = evbuffer_add_cb(bufferevent_get_output(bev), on_bytes_out, g);
    if (!g->timer || !g->in || !g->out)
        abort(); /* only memory can be missing */
    bufferevent_incref(bev);
    if (g->next)
        g->next->link = &g->next;
    guests->first = g;
    event_active(g->timer, EV_TIMEOUT, 0);
    if (++guests->count == guests->most) {
        guests->full = true;
        evconnlistener_disable(guests->listener);
    }
    return bev;
}

struct mt_guests *mt_guests_new(const struct mt_server_options *options, struct event_base *base,
                                struct evhttp *http, struct evconnlistener *listener)
{
    struct mt_guests *guests = mt_alloc(sizeof *guests);
    *guests = (struct mt_guests){.base = base,
                                 .listener = listener,
                                 .most = options->max_connections,
                                 .deadline_ms = options->deadline_ms,
                                 .idle_ms = options->idle_ms ? options->idle_ms : DEFAULT_IDLE_MS,
                                 .refused = options->refused,
                                 .ud = options->ud};
    evhttp_set_bevcb(http, on_accept, guests);
    return guests;
}

static struct guest *guest_of(const struct mt_guests *guests, struct evhttp_connection *connection)
{
    int fd = connection ? bufferevent_getfd(evhttp_connection_get_bufferevent(connection)) : -1;
    return fd >= 0 && (size_t)fd < guests->room ? guests->by_socket[fd] : NULL;
}

void mt_guests_received(struct mt_guests *guests, struct evhttp_connection *connection)
{
    struct guest *g = guest_of(guests, connection);
    if (g)
        enter(g, SERVED);
}

void mt_guests_replied(struct mt_guests *guests, struct evhttp_connection *connection)
{
    struct guest *g = guest_of(guests, connection);
    if (g)
        enter(g, evbuffer_get_length(bufferevent_get_input(g->bev)) ? ASKING : IDLE);
}

void mt_guests_free(struct mt_guests *guests)
{
    if (!guests)
        return;
    while (guests->first) {
        if (guests->first->connection)
            evhttp_connection_set_closecb(guests->first->connection, NULL, NULL);
        release(guests->first);
    }
    free(guests->by_socket);
    free(guests);
}
