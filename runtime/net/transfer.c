/* libcurl's multi interface on the loop: see transfer.h. Called by http.c, on the loop's thread. This file
 * and ending.c are the only ones that know libcurl.
 *
 * A socket of libcurl has one persistent event, found by its descriptor; the close-socket callback ends it,
 * because libcurl may close a socket without telling the socket callback, and the descriptor would be reused
 * under a dead event. libcurl is entered by on_socket and on_timer alone; its callbacks only append, arm and
 * note, and what has ended is drained after it returned. So nobody's code ever runs inside libcurl, and
 * handles may be added and removed at any time. */
#include "net/transfer.h"

#include <assert.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/ending.h"
#include "net/proxy.h"
#include "net/reach.h"

enum {
    IDLE_HANDLES = 64,      /* easy handles kept for reuse: 10 KB each */
    KEPT_CONNECTIONS = 100, /* A-NET-01 pools as many */
    BUFFER = 64 << 10,
};

struct mt_transfers {
    struct mt_loop *loop;
    CURLM *multi;
    struct event *timer;
    struct event **sockets; /* by descriptor */
    size_t socket_cap;
    struct mt_transfer *active;
    CURL *idle[IDLE_HANDLES];
    size_t idle_count;
    struct mt_proxies proxies;
    char *ca_file, *ca_dir; /* SSL_CERT_FILE, SSL_CERT_DIR */
};

struct mt_transfer {
    struct mt_transfers *set;
    struct mt_transfer *next, **link;
    CURL *easy;
    struct curl_slist *headers;
    struct mt_http_response *res;
    struct mt_http_stats *stats;
    void (*ended)(void *ud, const struct mt_outcome *outcome);
    void *ud;
    struct mt_ending ending;
};

/* ---- events ---- */

static void drain(struct mt_transfers *set);
static void rebuild(struct mt_transfers *set, CURLMcode code);

static void act(struct mt_transfers *set, curl_socket_t fd, int what)
{
    int running;
    CURLMcode code = curl_multi_socket_action(set->multi, fd, what, &running);
    if (code != CURLM_OK)
        rebuild(set, code);
    else
        drain(set); /* always: the socket that woke the loop need not be the one that ended */
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    act(arg, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    (void)none;
    (void)what;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int curl_wants_timer(CURLM *multi, long ms, void *arg)
{
    struct mt_transfers *set = arg;
    (void)multi;
    if (ms < 0) {
        evtimer_del(set->timer);
    } else {
        const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        evtimer_add(set->timer, &after);
    }
    return 0;
}

static void forget_socket(struct mt_transfers *set, curl_socket_t fd)
{
    if (fd >= 0 && (size_t)fd < set->socket_cap && set->sockets[fd]) {
        event_free(set->sockets[fd]);
        set->sockets[fd] = NULL;
    }
}

static int curl_wants_socket(CURL *easy, curl_socket_t fd, int wanted, void *arg, void *unused)
{
    struct mt_transfers *set = arg;
    (void)easy;
    (void)unused;
    if (wanted == CURL_POLL_REMOVE) {
        forget_socket(set, fd);
        return 0;
    }
    if ((size_t)fd >= set->socket_cap) {
        size_t cap = (size_t)fd + 64;
        set->sockets = mt_realloc(set->sockets, cap * sizeof(struct event *));
        for (size_t i = set->socket_cap; i < cap; i++)
            set->sockets[i] = NULL;
        set->socket_cap = cap;
    }
    short events = EV_PERSIST;
    if (wanted & CURL_POLL_IN)
        events |= EV_READ;
    if (wanted & CURL_POLL_OUT)
        events |= EV_WRITE;
    struct event *event = set->sockets[fd];
    if (event && event_get_events(event) == events)
        return 0;
    struct event_base *base = mt_loop_base(set->loop);
    if (event) {
        event_del(event);
        event_assign(event, base, fd, events, on_socket, set);
    } else {
        event = set->sockets[fd] = event_new(base, fd, events, on_socket, set);
        if (!event)
            return -1;
    }
    event_priority_set(event, 0);
    return event_add(event, NULL);
}

/* The address that a name resolved to just now, right before it is connected to: an answer of the DNS that
 * differs from an earlier one changes nothing. */
static curl_socket_t curl_opens_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct mt_transfer *t = arg;
    const char *range = purpose == CURLSOCKTYPE_IPCXN ? mt_reach_private(&address->addr) : "not a connection";
    if (range) {
        if (getnameinfo(&address->addr, address->addrlen, t->ending.refused, sizeof t->ending.refused, NULL,
                        0, NI_NUMERICHOST) != 0)
            t->ending.refused[0] = '\0';
        t->ending.range = range;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Also before a request goes over a kept connection, which somebody who may go anywhere may have opened. */
static int curl_is_connected(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct mt_transfer *t = arg;
    (void)local;
    (void)remote_port;
    (void)local_port;
    const char *range = mt_reach_private_text(remote);
    if (!range)
        return CURL_PREREQFUNC_OK;
    snprintf(t->ending.refused, sizeof t->ending.refused, "%.60s", remote);
    t->ending.range = range;
    return CURL_PREREQFUNC_ABORT;
}

static int curl_closes_socket(void *arg, curl_socket_t fd)
{
    forget_socket(arg, fd);
    return close(fd);
}

/* ---- what libcurl reads ---- */

static void put_value(struct mt_buf *out, struct mt_slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        mt_buf_putc(out, ((unsigned char)c < 0x20 && c != '\t') || c == 0x7F ? '?' : c);
    }
}

static struct mt_slice trimmed(const char *p, size_t n)
{
    while (n && (*p == ' ' || *p == '\t'))
        p++, n--;
    while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return (struct mt_slice){p, n};
}

/* Several Link headers are one list (RFC 9110 section 5.3), and a reader that sees only the first takes a
 * page for the last one: the value is put behind the one that is there. */
static bool join_link(struct mt_buf *headers, struct mt_slice value)
{
    static const char name[] = "link: ";
    size_t at = 0;
    while (at < headers->n) {
        const char *end = memchr(headers->p + at, '\n', headers->n - at);
        size_t line = (size_t)(end - (headers->p + at));
        if (line >= sizeof name - 1 && memcmp(headers->p + at, name, sizeof name - 1) == 0)
            break;
        at += line + 1;
    }
    if (at >= headers->n)
        return false;
    at = (size_t)((char *)memchr(headers->p + at, '\n', headers->n - at) - headers->p);
    struct mt_buf rest;
    mt_buf_init(&rest, headers->n);
    mt_buf_add(&rest, headers->p + at, headers->n - at);
    headers->n = at;
    mt_buf_puts(headers, ", ");
    put_value(headers, value);
    mt_buf_put(headers, mt_buf_slice(&rest));
    mt_buf_fini(&rest);
    return true;
}

static size_t curl_read_header(char *p, size_t size, size_t n, void *arg)
{
    struct mt_transfer *t = arg;
    struct mt_buf *headers = &t->res->headers;
    n *= size;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) { /* also after an informational answer */
        mt_buf_clear(headers);
        t->ending.in_headers = true;
        return n;
    }
    struct mt_slice line = trimmed(p, n);
    if (!line.n) {
        t->ending.in_headers = false;
        return n;
    }
    const char *colon = memchr(p, ':', n);
    if ((*p == ' ' || *p == '\t') && headers->n) { /* folded: RFC 9112 section 5.2 */
        headers->n--;
        mt_buf_putc(headers, ' ');
        put_value(headers, line);
        mt_buf_putc(headers, '\n');
    } else if (colon && colon > p) {
        struct mt_slice value = trimmed(colon + 1, n - (size_t)(colon + 1 - p));
        size_t name = (size_t)(colon - p);
        if (name == 4 && strncasecmp(p, "link", 4) == 0 && join_link(headers, value))
            goto out;
        for (size_t i = 0; i < name; i++)
            mt_buf_putc(headers, (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i]));
        mt_buf_puts(headers, ": ");
        put_value(headers, value);
        mt_buf_putc(headers, '\n');
    }
out:
    if (headers->failed) {
        t->ending.headers_refused = true;
        return 0;
    }
    return n;
}

static size_t curl_read_body(char *p, size_t size, size_t n, void *arg)
{
    struct mt_transfer *t = arg;
    n *= size;
    if (!mt_buf_add(&t->res->body, p, n)) {
        t->ending.body_refused = true;
        t->ending.body_full = n > t->res->body.max - t->res->body.n; /* else memory was refused */
        return 0;
    }
    if (t->stats)
        atomic_fetch_add_explicit(&t->stats->bytes, n, memory_order_relaxed);
    return n;
}

static void release(struct mt_transfer *t)
{
    struct mt_transfers *set = t->set;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    if (set->idle_count < IDLE_HANDLES) {
        curl_easy_reset(t->easy);
        set->idle[set->idle_count++] = t->easy;
    } else {
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->headers);
    free(t);
}

static void drain(struct mt_transfers *set)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(set->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with remove_handle */
        CURL *easy = message->easy_handle;
        struct mt_transfer *t = NULL;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        struct mt_outcome outcome = {.rc = MT_OK};
        t->res->status = (int)status;
        if (code != CURLE_OK)
            mt_ending_explain(&t->ending, easy, code, t->res, &outcome);
        void (*ended)(void *, const struct mt_outcome *) = t->ended;
        void *ud = t->ud;
        curl_multi_remove_handle(set->multi, easy);
        release(t);
        ended(ud, &outcome);
    }
}

/* ---- the multi handle ---- */

static void open_multi(struct mt_transfers *set)
{
    set->multi = curl_multi_init();
    if (!set->multi)
        abort();
    curl_multi_setopt(set->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
    curl_multi_setopt(set->multi, CURLMOPT_SOCKETDATA, set);
    curl_multi_setopt(set->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
    curl_multi_setopt(set->multi, CURLMOPT_TIMERDATA, set);
    curl_multi_setopt(set->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
}

/* After an error of socket_action libcurl's documentation calls the state uncertain: all fail, and a new one
 * is made. */
static void rebuild(struct mt_transfers *set, CURLMcode code)
{
    mt_log(MT_WARN, "the HTTP client starts over: %s", curl_multi_strerror(code));
    struct mt_transfer *failed = set->active;
    set->active = NULL;
    if (failed)
        failed->link = &failed;
    for (struct mt_transfer *t = failed; t; t = t->next)
        curl_multi_remove_handle(set->multi, t->easy);
    curl_multi_cleanup(set->multi);
    evtimer_del(set->timer);
    for (size_t i = 0; i < set->socket_cap; i++)
        forget_socket(set, (curl_socket_t)i);
    open_multi(set);
    while (failed) { /* ended may stop others of the list: they leave it by their link */
        struct mt_transfer *t = failed;
        struct mt_outcome outcome = {.rc = MT_ENET, .transient = true};
        snprintf(outcome.cause, sizeof outcome.cause, "the HTTP library failed: %s",
                 curl_multi_strerror(code));
        void (*ended)(void *, const struct mt_outcome *) = t->ended;
        void *ud = t->ud;
        release(t);
        ended(ud, &outcome);
    }
}

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

static char *variable(const char *name)
{
    const char *value = getenv(name); /* before any thread of ours could change the environment */
    return value && *value ? mt_strdup(value) : NULL;
}

struct mt_transfers *mt_transfers_new(struct mt_loop *loop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct mt_transfers *set = mt_alloc(sizeof *set);
    set->loop = loop;
    set->timer = evtimer_new(mt_loop_base(loop), on_timer, set);
    if (!set->timer)
        abort();
    mt_proxies_read(&set->proxies);
    set->ca_file = variable("SSL_CERT_FILE");
    set->ca_dir = variable("SSL_CERT_DIR");
    open_multi(set);
    return set;
}

void mt_transfers_free(struct mt_transfers *set)
{
    assert(!set->active);
    for (size_t i = 0; i < set->idle_count; i++)
        curl_easy_cleanup(set->idle[i]);
    curl_multi_cleanup(set->multi); /* may still call back: events last */
    for (size_t i = 0; i < set->socket_cap; i++)
        forget_socket(set, (curl_socket_t)i);
    event_free(set->timer);
    free(set->sockets);
    mt_proxies_fini(&set->proxies);
    free(set->ca_file);
    free(set->ca_dir);
    free(set);
}

/* ---- start and stop ---- */

static bool add_header(struct mt_transfer *t, const char *name, const char *value)
{
    /* libcurl's notation: "Name;" is a header without a value, "Name:" removes one of its own. */
    char *line =
        value ? (*value ? mt_format("%s: %s", name, value) : mt_format("%s;", name)) : mt_format("%s:", name);
    struct curl_slist *list = curl_slist_append(t->headers, line);
    free(line);
    if (list)
        t->headers = list;
    return list != NULL;
}

static bool make_headers(struct mt_transfer *t, const struct mt_exchange *x)
{
    bool agent = false, type = false, ok = true;
    for (size_t i = 0; i < x->header_count; i++) {
        agent = agent || strcasecmp(x->headers[i].name, "User-Agent") == 0;
        type = type || strcasecmp(x->headers[i].name, "Content-Type") == 0;
        ok = add_header(t, x->headers[i].name, x->headers[i].value) && ok;
    }
    if (!agent)
        ok = add_header(t, "User-Agent", "moontide/" MT_VERSION) && ok;
    if (!type)
        ok = add_header(t, "Content-Type", NULL) && ok; /* libcurl would call a body a form */
    return add_header(t, "Expect", NULL) && ok;         /* no second round trip for large bodies */
}

#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (code == CURLE_OK)                                                                                \
            code = curl_easy_setopt(easy, option, value);                                                    \
    } while (0)

/* All options, in one place: a recycled handle cannot inherit a credential. */
static CURLcode configure(struct mt_transfer *t, const struct mt_exchange *x)
{
    CURL *easy = t->easy;
    struct mt_transfers *set = t->set;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->ending.text);
    SET(CURLOPT_URL, x->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a pending name look-up blocked a cancel for 5 s without it (measured) */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_BUFFERSIZE, (long)BUFFER);
    SET(CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)x->connect_timeout_ms);
    SET(CURLOPT_FRESH_CONNECT, x->fresh ? 1L : 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, x->insecure_tls ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, x->insecure_tls ? 0L : 2L);
    if (set->ca_file || set->ca_dir) { /* A-COM-13: instead of the system's */
        SET(CURLOPT_CAINFO, set->ca_file);
        SET(CURLOPT_CAPATH, set->ca_dir);
    }
    const char *proxy = mt_proxies_find(&set->proxies, x->url);
    SET(CURLOPT_PROXY, proxy ? proxy : "");
    SET(CURLOPT_NOPROXY, ""); /* decided already */
    if (x->public_only && !proxy) {
        SET(CURLOPT_OPENSOCKETFUNCTION, curl_opens_socket);
        SET(CURLOPT_OPENSOCKETDATA, t);
        SET(CURLOPT_PREREQFUNCTION, curl_is_connected);
        SET(CURLOPT_PREREQDATA, t);
    }
    SET(CURLOPT_CLOSESOCKETFUNCTION, curl_closes_socket);
    SET(CURLOPT_CLOSESOCKETDATA, set); /* not the transfer: connections outlive it */
    SET(CURLOPT_HEADERFUNCTION, curl_read_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, curl_read_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HTTPHEADER, t->headers);
    if (strcmp(x->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (x->body.p || strcmp(x->method, "POST") == 0 || strcmp(x->method, "PUT") == 0 ||
               strcmp(x->method, "PATCH") == 0) {
        /* These three announce their length even when it is 0 (RFC 9110 section 8.6). */
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.n);
        SET(CURLOPT_POSTFIELDS, x->body.p ? x->body.p : "");
        SET(CURLOPT_CUSTOMREQUEST, x->method);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, x->method);
    }
    return code;
}

struct mt_transfer *mt_transfer_start(struct mt_transfers *set, const struct mt_exchange *exchange,
                                      void (*ended)(void *ud, const struct mt_outcome *outcome), void *ud,
                                      struct mt_outcome *out_outcome)
{
    struct mt_transfer *t = mt_alloc(sizeof *t);
    *t = (struct mt_transfer){.set = set,
                              .next = set->active,
                              .link = &set->active,
                              .res = exchange->res,
                              .stats = exchange->stats,
                              .ended = ended,
                              .ud = ud,
                              .ending.timeout_ms = exchange->timeout_ms};
    t->easy = set->idle_count ? set->idle[--set->idle_count] : curl_easy_init();
    if (!t->easy)
        abort();
    if (t->next)
        t->next->link = &t->next;
    set->active = t;
    exchange->res->status = 0;
    mt_buf_clear(&exchange->res->headers);
    mt_buf_clear(&exchange->res->body);
    CURLcode code = make_headers(t, exchange) ? configure(t, exchange) : CURLE_OUT_OF_MEMORY;
    CURLMcode added = code == CURLE_OK ? curl_multi_add_handle(set->multi, t->easy) : CURLM_OK;
    if (code != CURLE_OK || added != CURLM_OK) {
        *out_outcome = (struct mt_outcome){.rc = code == CURLE_OUT_OF_MEMORY ? MT_ENOMEM : MT_EINVAL};
        snprintf(out_outcome->cause, sizeof out_outcome->cause, "libcurl refuses the request: %.200s",
                 code != CURLE_OK ? curl_easy_strerror(code) : curl_multi_strerror(added));
        release(t);
        return NULL;
    }
    if (t->stats)
        atomic_fetch_add_explicit(&t->stats->requests, 1, memory_order_relaxed);
    return t;
}

void mt_transfer_stop(struct mt_transfer *transfer)
{
    if (!transfer)
        return;
    curl_multi_remove_handle(transfer->set->multi, transfer->easy);
    release(transfer);
}

/* ---- what doctor asks ---- */

void mt_http_libraries(struct mt_library out[2])
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    out[0] = (struct mt_library){"libcurl", LIBCURL_VERSION, info->version, info->ssl_version};
    out[1] = (struct mt_library){"libevent", LIBEVENT_VERSION, event_get_version(), NULL};
}

void mt_http_default_ca(const char **out_file, const char **out_folder)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    bool told = info->age >= CURLVERSION_EIGHTH;
    *out_file = told ? info->cainfo : NULL;
    *out_folder = told ? info->capath : NULL;
}
