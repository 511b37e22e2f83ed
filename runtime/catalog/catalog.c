/* The catalog's thread: its loop, its server, its store, and the group commit.
 *
 * Requests that are ready in one turn of the loop share one transaction. Answers given while it is open wait
 * for its commit, so what was acknowledged is durable; a commit that fails makes 507 of all of them:
 * a full disk or a damaged file is not mended by asking again (A-NET-05 does not retry it). */
#include "catalog/catalog.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/call.h"
#include "net/loop.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

struct held {
    struct mt_request *request;
    int status;
    const char *content_type;
    char *body;
    size_t n;
};

struct mt_catalog {
    struct mt_loop *loop;
    struct mt_server *server;
    struct mt_cat_store *store;
    struct mt_cat_tokens tokens;
    struct mt_timer *commit; /* of the group that is open */
    bool commit_due;
    struct held *held;
    size_t held_count, held_room;
    bool loopback;
    char *url;
    pthread_t thread;
};

static void on_commit(void *ud)
{
    struct mt_catalog *c = ud;
    struct mt_err err;
    c->commit_due = false;
    bool fine = mt_cat_store_commit(c->store, &err) == MT_OK;
    struct mt_buf refusal;
    mt_buf_init(&refusal, 64 * 1024);
    if (!fine) {
        mt_buf_puts(&refusal, "{\"ok\":false,\"error\":\"storage_failed\",\"message\":");
        mt_buf_put_json_string(&refusal, mt_slice_of(err.text));
        mt_buf_putc(&refusal, '}');
    }
    for (size_t i = 0; i < c->held_count; i++) {
        struct held *h = &c->held[i];
        if (fine)
            mt_request_reply(h->request, h->status, h->content_type, (struct mt_slice){h->body, h->n});
        else
            mt_request_reply(h->request, 507, "application/json; charset=utf-8", mt_buf_slice(&refusal));
        free(h->body);
    }
    c->held_count = 0;
    mt_buf_fini(&refusal);
}

static void hold(struct mt_catalog *c, struct mt_cat_call *call)
{
    if (c->held_count == c->held_room) {
        c->held_room = c->held_room ? 2 * c->held_room : 64;
        c->held = mt_realloc(c->held, c->held_room * sizeof *c->held);
    }
    struct held *h = &c->held[c->held_count++];
    *h = (struct held){.request = call->request, .status = call->status, .content_type = call->content_type};
    h->body = mt_buf_take(&call->out, &h->n);
    if (c->commit_due)
        return;
    mt_timer_free(c->commit);
    c->commit = mt_timer_new(c->loop, 0, on_commit, c); /* after what is ready now */
    c->commit_due = true;
}

/* A page of another site must not reach a catalog on loopback by a name that it made resolve to it (DNS
 * rebinding): a browser then sends that name as Host. */
static bool host_fits(const struct mt_catalog *c, const char *host)
{
    if (!c->loopback || !host)
        return true;
    const char *own = strstr(c->url, "//") + 2;
    if (strcasecmp(host, own) == 0)
        return true;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    return (n == 9 && strncasecmp(host, "localhost", 9) == 0) || (n == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (n > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n);
}

/* The server as the client reached it, for addresses in answers. */
static char *url_of(const struct mt_catalog *c, const char *host)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    if (host && *host && host[strspn(host, plain)] == '\0' && strlen(host) < 256)
        return mt_format("http://%s", host);
    return mt_strdup(c->url);
}

static void on_request(void *ud, struct mt_request *request)
{
    struct mt_catalog *c = ud;
    const char *host = mt_request_header(request, "Host"), *agent = mt_request_header(request, "User-Agent");
    char *url = url_of(c, host);
    struct mt_cat_call call = {
        .store = c->store,
        .request = request,
        .url = url,
        .tokens = &c->tokens,
        .datasource = agent ? mt_slice_of(agent) : MT_SLICE(""),
    };
    mt_buf_init(&call.out, MT_CAT_ANSWER_MAX);
    if (host_fits(c, host)) {
        mt_cat_call_answer(&call);
    } else {
        call.status = 421; /* RFC 9110 section 15.5.20 */
        call.content_type = "application/json; charset=utf-8";
        mt_buf_puts(&call.out,
                    "{\"ok\":false,\"error\":\"misdirected_request\",\"message\":\"this catalog listens on "
                    "loopback and answers to no other name\"}");
    }
    if (c->store->writing || c->store->failed)
        hold(c, &call);
    else
        mt_request_reply(request, call.status, call.content_type, mt_buf_slice(&call.out));
    mt_buf_fini(&call.out);
    free(url);
}

static void *run(void *ud)
{
    struct mt_catalog *c = ud;
    mt_loop_run(c->loop);
    return NULL;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}

static void catalog_free(struct mt_catalog *c)
{
    if (c->store)
        on_commit(c);
    mt_server_free(c->server);
    mt_timer_free(c->commit);
    mt_cat_store_close(c->store);
    if (c->loop)
        mt_loop_free(c->loop);
    free(c->held);
    free(c->url);
    free(c);
}

enum mt_rc mt_catalog_start(const struct mt_catalog_options *options, struct mt_catalog **out,
                            struct mt_err *err)
{
    struct mt_catalog *c = mt_alloc(sizeof *c);
    const char *host = options->host ? options->host : "127.0.0.1";
    const struct mt_server_options server = {
        .host = host, .port = options->port, .max_body = BODY_MAX, .handle = on_request, .ud = c};
    enum mt_rc rc = mt_cat_store_open(options->path, &c->store, err);
    if (rc != MT_OK)
        goto failed;
    c->loop = mt_loop_new();
    c->loopback = is_loopback(host);
    rc = mt_server_new(c->loop, &server, &c->server, err);
    if (rc != MT_OK)
        goto failed;
    c->url =
        mt_format(strchr(host, ':') ? "http://[%s]:%d" : "http://%s:%d", host, mt_server_port(c->server));
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        rc = mt_fail(err, MT_ENOMEM, "no thread for the catalog: the system's limit is reached");
        goto failed;
    }
    pthread_setname_np(c->thread, "catalog");
    *out = c;
    return MT_OK;
failed:
    catalog_free(c);
    return rc;
}

const char *mt_catalog_url(const struct mt_catalog *c)
{
    return c->url;
}

void mt_catalog_stop(struct mt_catalog *c)
{
    if (!c)
        return;
    mt_loop_stop(c->loop);
    pthread_join(c->thread, NULL);
    catalog_free(c);
}
