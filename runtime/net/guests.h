/* The connections of a server: how many there may be, how long one may take for a request and how long it may
 * say nothing. Private to net/server.c; loop thread. evhttp itself has a time-out of inactivity only, which a
 * byte now and then keeps away for ever. */
#ifndef MT_NET_GUESTS_H
#define MT_NET_GUESTS_H

#include <event2/http.h>

#include "net/server.h"

struct mt_guests;
struct evconnlistener;

/* Takes part in every connection that the server accepts from now on. */
struct mt_guests *mt_guests_new(const struct mt_server_options *options, struct event_base *base,
                                struct evhttp *http, struct evconnlistener *listener);
void mt_guests_free(struct mt_guests *guests); /* before evhttp_free; the connections stay evhttp's */
/* A request has come to its last byte: the server works now, the guest owes nothing. */
void mt_guests_received(struct mt_guests *guests, struct evhttp_connection *connection);
/* The reply was given: the next request may come, or be there already. */
void mt_guests_replied(struct mt_guests *guests, struct evhttp_connection *connection);

#endif
