/* The choice of a proxy: see proxy.h. Called by transfer.c on the loop's thread. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"
#include "net/url.h"

static char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? mt_strdup(value) : NULL;
}

/* The lower-case name wins, also when it is empty. */
static char *either(const char *lower, const char *upper)
{
    return getenv(lower) ? variable(lower) : variable(upper);
}

void mt_proxies_read(struct mt_proxies *proxies)
{
    *proxies = (struct mt_proxies){.http = either("http_proxy", "HTTP_PROXY"),
                                   .https = either("https_proxy", "HTTPS_PROXY"),
                                   .no = either("no_proxy", "NO_PROXY")};
    if (!proxies->http)
        proxies->http = either("all_proxy", "ALL_PROXY");
    if (!proxies->https)
        proxies->https = either("all_proxy", "ALL_PROXY");
}

void mt_proxies_fini(struct mt_proxies *proxies)
{
    free(proxies->http);
    free(proxies->https);
    free(proxies->no);
    *proxies = (struct mt_proxies){0};
}

/* The embedded catalog listens there, and no proxy reaches this machine's own loopback. */
static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* ADDRESS or ADDRESS/BITS */
static bool is_within(const char *host, const char *entry)
{
    unsigned char wanted[16], address[16];
    char network[64];
    const char *slash = strchr(entry, '/');
    size_t n = slash ? (size_t)(slash - entry) : strlen(entry);
    if (n >= sizeof network)
        return false;
    memcpy(network, entry, n);
    network[n] = '\0';
    int family = strchr(network, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, network, wanted) != 1 || inet_pton(family, host, address) != 1)
        return false;
    unsigned long most = family == AF_INET6 ? 128 : 32, bits = slash ? strtoul(slash + 1, NULL, 10) : most;
    if (bits > most)
        return false;
    unsigned rest = (unsigned)(bits % 8);
    return memcmp(wanted, address, bits / 8) == 0 &&
           (!rest || ((wanted[bits / 8] ^ address[bits / 8]) & (0xff00 >> rest) & 0xff) == 0);
}

/* NO_PROXY: hosts, domains (with or without a leading dot, the domain itself included) and networks. */
static bool is_exempt(const char *list, const char *host)
{
    bool found = false;
    char *copy = mt_strdup(list), *rest = copy;
    size_t n = strlen(host);
    for (char *entry; !found && (entry = strsep(&rest, ", \t"));) {
        size_t wanted = strlen(entry);
        if (entry[0] == '[' && wanted > 2) { /* [::1] */
            entry[wanted - 1] = '\0';
            entry++;
            wanted -= 2;
        }
        if (entry[0] == '.')
            entry++, wanted--;
        if (!wanted)
            continue;
        found = strcmp(entry, "*") == 0 || is_within(host, entry) ||
                (n >= wanted && strcasecmp(host + n - wanted, entry) == 0 &&
                 (n == wanted || host[n - wanted - 1] == '.'));
    }
    free(copy);
    return found;
}

const char *mt_proxies_find(const struct mt_proxies *proxies, const char *url)
{
    const char *proxy = strncasecmp(url, "https:", 6) == 0 ? proxies->https : proxies->http;
    if (!proxy)
        return NULL;
    struct mt_buf host;
    mt_buf_init(&host, 4096);
    mt_url_host(mt_slice_of(url), &host);
    const char *text = mt_buf_text(&host);
    if (is_loopback(text) || (proxies->no && is_exempt(proxies->no, text)))
        proxy = NULL;
    mt_buf_fini(&host);
    return proxy;
}
