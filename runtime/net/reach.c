/* Where requests may go: see reach.h.
 *
 * A host is compared as it is spelled, so one that is spelled in a way that libcurl would read differently
 * (percent escapes, letters that become others by IDNA) is refused outright. */
#include "net/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/url.h"

enum { MAX_HOST = 255, SHOWN_HOSTS = 3 };

/* R-HTTP-10: hosts that end so are their vendors', wherever they lead. */
static const char *const trusted[] = {
    ".getport.io",       ".port.io",          ".aikido.dev",
    ".amplication.com",  "api.anthropic.com", ".armorcode.com",
    ".atlassian.com",    ".atlassian.net",    ".azure.com",
    ".bitbucket.org",    ".checkmarx.net",    ".datadoghq.com",
    ".dynatrace.com",    ".earlywarning.io",  ".firehydrant.io",
    ".github.com",       ".gitlab.com",       ".komodor.com",
    ".launchdarkly.com", ".linear.app",       ".management.azure.com",
    ".newrelic.com",     ".octopus.com",      ".okta.com",
    ".opsgenie.com",     ".pagerduty.com",    ".sentinelone.net",
    ".sentry.io",        ".servicenow.com",   ".service-now.com",
    ".snyk.io",          ".coderabbit.ai",    ".sonarqube.org",
    ".statuspage.io",    ".terraform.io",     ".wiz.io",
};

/* R-HTTP-11 */
static const struct {
    uint8_t address[4];
    unsigned bits;
    const char *name;
} blocked4[] = {
    {{10, 0, 0, 0}, 8, "10.0.0.0/8"},         {{172, 16, 0, 0}, 12, "172.16.0.0/12"},
    {{192, 168, 0, 0}, 16, "192.168.0.0/16"}, {{127, 0, 0, 0}, 8, "127.0.0.0/8"},
    {{169, 254, 0, 0}, 16, "169.254.0.0/16"}, {{0, 0, 0, 0}, 8, "0.0.0.0/8"},
    {{224, 0, 0, 0}, 4, "224.0.0.0/4"},       {{100, 64, 0, 0}, 10, "100.64.0.0/10"},
    {{240, 0, 0, 0}, 4, "240.0.0.0/4"}, /* 255.255.255.255 included */
};
static const struct {
    uint8_t address[16];
    unsigned bits;
    const char *name;
} blocked6[] = {
    {{[15] = 1}, 128, "::1"}, {{0}, 128, "::"},        {{0xfe, 0x80}, 10, "fe80::/10"},
    {{0xfc}, 7, "fc00::/7"},  {{0xff}, 8, "ff00::/8"}, {{0x20, 0x01, 0x0d, 0xb8}, 32, "2001:db8::/32"},
    {{0x01}, 64, "100::/64"},
};
/* Prefixes that carry an IPv4 address, and where: a host that is reached through them is that address's. */
static const struct {
    uint8_t prefix[16];
    unsigned bits, at;
} carriers[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12}, /* ::ffff:a.b.c.d, mapped: R-HTTP-11's flaw */
    {{0}, 96, 12},                        /* ::a.b.c.d, once "compatible" */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},   /* 64:ff9b::/96, NAT64 (RFC 6052) */
    {{0x20, 0x02}, 16, 2},                /* 2002::/16, 6to4 (RFC 3056) */
};

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
    unsigned rest = bits % 8;
    return memcmp(address, prefix, bits / 8) == 0 &&
           (!rest || ((address[bits / 8] ^ prefix[bits / 8]) & (0xff00 >> rest) & 0xff) == 0);
}

static const char *private4(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof blocked4 / sizeof *blocked4; i++)
        if (has_prefix(address, blocked4[i].address, blocked4[i].bits))
            return blocked4[i].name;
    return NULL;
}

static const char *private6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof blocked6 / sizeof *blocked6; i++)
        if (has_prefix(address, blocked6[i].address, blocked6[i].bits))
            return blocked6[i].name;
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++)
        if (has_prefix(address, carriers[i].prefix, carriers[i].bits))
            return private4(address + carriers[i].at);
    return NULL;
}

const char *mt_reach_private(const struct sockaddr *address)
{
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } copy;
    if (address->sa_family == AF_INET) {
        memcpy(&copy.v4, address, sizeof copy.v4);
        return private4((const uint8_t *)&copy.v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&copy.v6, address, sizeof copy.v6);
        return private6(copy.v6.sin6_addr.s6_addr);
    }
    return "not an Internet address";
}

const char *mt_reach_private_text(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET6, address, &v6) == 1)
        return private6(v6.s6_addr);
    /* inet_aton reads numbers of one to four parts, octal and hexadecimal, as getaddrinfo does. */
    if (inet_aton(address, &v4))
        return private4((const uint8_t *)&v4);
    return NULL;
}

/* ---- hosts ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), wanted = strlen(end);
    return n >= wanted && strcasecmp(text + n - wanted, end) == 0;
}

/* The host in lower case without brackets and final dot, and its port. false: not one that is compared. */
static bool host_of(const char *url, char out[MAX_HOST + 1], unsigned *out_port)
{
    struct mt_buf host, origin;
    mt_buf_init(&host, MAX_HOST + 1);
    mt_buf_init(&origin, 2048);
    bool good = mt_url_host(mt_slice_of(url), &host) && mt_url_origin(mt_slice_of(url), &origin);
    if (good && host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    for (size_t i = 0; good && i < host.n; i++) {
        char c = host.p[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(".-_:", c);
    }
    good = good && host.n && host.n <= MAX_HOST;
    if (good) {
        memcpy(out, host.p, host.n);
        out[host.n] = '\0';
        const char *text = mt_buf_text(&origin), *colon = strrchr(text, ':');
        if (colon[1] >= '0' && colon[1] <= '9' && !strchr(colon, ']'))
            *out_port = (unsigned)strtoul(colon + 1, NULL, 10);
        else
            *out_port = strncmp(text, "https:", 6) == 0 ? 443 : 80;
    }
    mt_buf_fini(&host);
    mt_buf_fini(&origin);
    return good;
}

/* An entry of the list: HOST, *.DOMAIN, either with ":PORT"; IPv6 addresses with a port in brackets. */
static bool allows(const char *entry, const char *host, unsigned port)
{
    char name[MAX_HOST + 2];
    size_t n = strlen(entry);
    const char *colon = strrchr(entry, ':');
    if (entry[0] == '[' || (colon && strchr(entry, ':') == colon)) {
        const char *end = entry[0] == '[' ? strchr(entry, ']') : colon;
        colon = end && *end == ']' ? end + 1 : end;
        if (!colon || (*colon && *colon != ':') || (*colon && strtoul(colon + 1, NULL, 10) != port))
            return false;
        n = (size_t)(end - entry);
    }
    size_t skip = entry[0] == '[';
    if (n - skip > MAX_HOST)
        return false;
    memcpy(name, entry + skip, n - skip);
    name[n - skip] = '\0';
    if (n - skip > 1 && name[n - skip - 1] == '.')
        name[n - skip - 1] = '\0';
    if (strncmp(name, "*.", 2) == 0)
        return ends_with(host, name + 1) && strlen(host) > strlen(name + 1);
    return strcasecmp(name, host) == 0;
}

static bool is_trusted(const char *host)
{
    for (size_t i = 0; i < sizeof trusted / sizeof *trusted; i++)
        if (trusted[i][0] == '.' ? ends_with(host, trusted[i]) : strcmp(host, trusted[i]) == 0)
            return true;
    return false;
}

/* ": a, b, c and 4 more" */
static void list_hosts(const struct mt_reach *reach, struct mt_buf *out)
{
    size_t shown = reach->host_count < SHOWN_HOSTS ? reach->host_count : SHOWN_HOSTS;
    for (size_t i = 0; i < shown; i++)
        mt_buf_printf(out, "%s%.80s", i ? ", " : ": ", reach->hosts[i]);
    if (reach->host_count > shown)
        mt_buf_printf(out, " and %zu more", reach->host_count - shown);
}

enum mt_rc mt_reach_check(const struct mt_reach *reach, const char *url, bool connects, struct mt_err *err)
{
    char host[MAX_HOST + 1];
    unsigned port = 0;
    if (!reach || (!reach->hosts && !reach->block_private))
        return MT_OK;
    if (!host_of(url, host, &port)) {
        struct mt_buf shown;
        mt_buf_init(&shown, MT_FOREIGN);
        mt_url_host(mt_slice_of(url), &shown);
        enum mt_rc rc =
            mt_fail(err, MT_EINVAL,
                    "the host \"%s\" is refused: it is spelled with more than letters, digits, dots "
                    "and hyphens, so it cannot be told which host that is",
                    mt_buf_text(&shown));
        mt_buf_fini(&shown);
        return rc;
    }
    bool listed = !reach->hosts;
    for (size_t i = 0; i < reach->host_count && !listed; i++)
        listed = allows(reach->hosts[i], host, port);
    if (!listed) {
        struct mt_buf hosts;
        mt_buf_init(&hosts, 4 * MT_FOREIGN);
        list_hosts(reach, &hosts);
        enum mt_rc rc =
            mt_fail(err, MT_EINVAL,
                    "the host %.100s (port %u) is refused: it is not among those that the bundle may "
                    "talk to%s",
                    host, port, reach->host_count ? mt_buf_text(&hosts) : " (it names none)");
        mt_buf_fini(&hosts);
        return rc;
    }
    if (!reach->block_private || !connects || is_trusted(host))
        return MT_OK;
    const char *range = mt_reach_private_text(host);
    if (!range && ends_with(host, ".localhost")) /* a proxy would be asked for it; localhost itself is not */
        range = "this machine's own, RFC 6761";
    return range ? mt_fail(err, MT_EINVAL, "the host %.100s is refused: " MT_REACH_PRIVATE, host, range)
                 : MT_OK;
}

bool mt_reach_guards(const struct mt_reach *reach, const char *url)
{
    char host[MAX_HOST + 1];
    unsigned port;
    return reach && reach->block_private && !(host_of(url, host, &port) && is_trusted(host));
}
