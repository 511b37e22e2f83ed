/* A small HTTP/1.1 server on a loop (evhttp behind it). Loop thread only. */
#ifndef MT_NET_SERVER_H
#define MT_NET_SERVER_H

#include "base/buf.h"
#include "net/loop.h"

struct mt_server;
struct mt_request; /* answered exactly once, at once or later */

struct mt_server_options {
    const char *host;         /* "127.0.0.1" */
    int port;                 /* 0 picks one */
    size_t max_body;          /* larger ones are answered 413; 0: 16 MiB */
    size_t max_headers;       /* line and headers, larger ones are answered 431 or 400; 0: 64 KiB */
    unsigned max_connections; /* further ones wait to be accepted; 0: any number */
    unsigned
        deadline_ms;  /* from a request's first byte to its last, however steadily it drips: 408; 0: none */
    unsigned idle_ms; /* of a connection between requests; 0: 300 s */
    void (*handle)(void *ud, struct mt_request *request);
    void (*refused)(void *ud,
                    int status); /* the server answered this itself: 400, 408, 413, …; may be NULL */
    void *ud;
};

enum mt_rc mt_server_new(struct mt_loop *loop, const struct mt_server_options *options,
                         struct mt_server **out, struct mt_err *err);
int mt_server_port(const struct mt_server *server);
void mt_server_free(struct mt_server *server); /* stops listening, closes the connections */

const char *mt_request_method(const struct mt_request *r); /* "GET", "POST", … */
const char *mt_request_path(const struct mt_request *r);   /* as sent, still escaped, without the query */
const char *mt_request_query(const struct mt_request *r);  /* without '?'; "" when there is none */
const char *mt_request_header(const struct mt_request *r, const char *name); /* NULL: absent */
struct mt_slice mt_request_body(struct mt_request *r);                       /* valid until the reply */
/* First value of a query parameter, decoded into out (cleared first). */
bool mt_request_param(const struct mt_request *r, const char *name, struct mt_buf *out);
/* A header of the answer, before the reply. Values that hold a line end are left out. */
void mt_request_header_add(struct mt_request *r, const char *name, const char *value);
void mt_request_reply(struct mt_request *r, int status, const char *content_type, struct mt_slice body);

#endif
