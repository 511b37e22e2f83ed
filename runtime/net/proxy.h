/* Which proxy a URL goes through, by the variables of A-COM-13. Private to net/. The choice is made here and
 * not by libcurl, because who refuses private addresses must know whether the address is a proxy's. */
#ifndef MT_NET_PROXY_H
#define MT_NET_PROXY_H

struct mt_proxies {
    char *http, *https; /* NULL: none */
    char *no;           /* NO_PROXY; NULL: none */
};

void mt_proxies_read(struct mt_proxies *proxies); /* the environment: before any thread could change it */
void mt_proxies_fini(struct mt_proxies *proxies);
/* The proxy's URL; NULL: the host itself is connected to. */
const char *mt_proxies_find(const struct mt_proxies *proxies, const char *url);

#endif
