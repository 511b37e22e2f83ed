/* `moontide doctor`: what is far away: proxies, Port, third-party hosts. Called by doctor.c on the main
 * thread, which runs the loop while each address is probed by a thread of its own, so that many dead ones
 * take no longer than one. A probe writes its own record only; the main thread reads it once the thread has
 * ended.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/doctor.h"
#include "net/url.h"
#include "port/port.h"

enum {
    PROBES = 64,
    ANSWER_MS = 4500, /* for an answer, from the name to its last byte */
    SIGN_IN_S = 4,
    ALL_MS = 9500, /* then whatever still waits is told to end */
    SLOW_MS = 3000,
    SKEWED_S = 60, /* logs and the watermark of POLLING begin to lie */
    WRONG_S = 300  /* tokens and certificates are taken for expired, or for not yet valid */
};

struct probe {
    enum { PROXY, PORT, THIRD_PARTY } kind;
    struct mt_checkup *checkup;
    const char *label; /* the variable, the configuration's name */
    char *url;
    char *host, *service; /* to dial; NULL: a proxy stands between */
    const struct mt_config *config;
    bool insecure, bundled; /* of a bundle, not of the process alone */
    struct reach *reach;
    pthread_t thread;
    bool started;

    struct mt_dialled dialled;
    bool answered;
    int status;
    double ms;
    bool dated;
    double skew_s; /* this clock minus theirs */
    struct mt_err err;
    bool known;           /* Port has a record of the integration */
    struct mt_port *port; /* freed by the main thread: the loop counts into its statistics to the very end */
    enum mt_rc signed_in;
    struct mt_err refusal;
};

struct reach {
    struct mt_loop *loop;
    struct mt_http *http;
    atomic_bool cancel;
    struct probe list[PROBES];
    size_t count, left_out;
    atomic_size_t running;
};

static double ms_since(uint64_t ns)
{
    return (double)(mt_now_ns() - ns) / 1e6;
}

/* ---- asking ---- */

static void ask(struct probe *p)
{
    struct mt_http_response res = {0};
    struct mt_slice date;
    int64_t before = mt_wall_us(), theirs;
    uint64_t start = mt_now_ns();
    struct mt_http_request req = {
        .method = "GET",
        .url = p->url,
        .timeout_ms = ANSWER_MS,
        .connect_timeout_ms = ANSWER_MS,
        .deadline_ms = ANSWER_MS,
        .max_body = 8 << 20,
        .insecure_tls = p->insecure,
        .cancel = &p->reach->cancel,
    };
    enum mt_rc rc = mt_http_wait(p->reach->http, &req, &res, &p->err);
    p->ms = ms_since(start);
    /* A body that is too large for this is an answer all the same. */
    p->answered = rc == MT_OK || rc == MT_ELIMIT;
    if (rc != MT_OK)
        return;
    p->status = res.status;
    if (mt_http_header(&res, "date", &date) && mt_http_date_parse(date, &theirs) == MT_OK) {
        /* The answer's second had begun at any moment before it was sent: its middle is the best guess. */
        p->dated = true;
        p->skew_s = ((double)before + (double)mt_wall_us()) / 2e6 - ((double)theirs / 1e6 + 0.5);
    }
    mt_http_response_fini(&res);
}

static void sign_in(struct probe *p)
{
    struct mt_port_options options = {
        .http = p->reach->http,
        .base_url = mt_config_text(p->config, "port.base_url"),
        .client_id = mt_config_text(p->config, "port.client_id"),
        .client_secret = mt_config_text(p->config, "port.client_secret"),
        .type = mt_config_type(p->config),
        .version = mt_config_version(p->config),
        .identifier = mt_config_identifier(p->config),
        .insecure_tls = p->insecure,
        .deadline_s = SIGN_IN_S,
        .cancel = &p->reach->cancel,
    };
    struct mt_port *port = p->port = mt_port_new(&options);
    struct mt_port_answer answer = {0};
    struct mt_buf path;
    mt_buf_init(&path, 64 << 10);
    mt_buf_puts(&path, "/integration/");
    mt_url_escape(&path, mt_slice_of(options.identifier));
    p->signed_in = mt_port_call(port, "GET", mt_buf_text(&path), (struct mt_slice){NULL, 0}, MT_PORT_SOFT,
                                &answer, &p->refusal);
    p->known = p->signed_in == MT_OK && answer.status < 400;
    if (p->signed_in == MT_OK && answer.status >= 400 && answer.status != 404)
        p->signed_in = mt_fail(&p->refusal, MT_EHTTP,
                               "Port took the credentials, and answered status %d when asked for the "
                               "integration %s: do they belong to the right organization?",
                               answer.status, options.identifier);
    mt_doc_unref(answer.doc);
    mt_buf_fini(&path);
}

static void one_less(void *arg)
{
    struct reach *r = arg;
    if (atomic_fetch_sub(&r->running, 1) == 1)
        mt_loop_stop(r->loop);
}

static void *probe_thread(void *arg)
{
    struct probe *p = arg;
    if (p->host)
        mt_dial(p->host, p->service, &p->dialled);
    if (p->kind != PROXY && !(p->host && p->dialled.wrong)) {
        ask(p);
        if (p->kind == PORT && p->answered)
            sign_in(p);
    }
    mt_loop_post(p->reach->loop, one_less, p->reach);
    return NULL;
}

/* ---- what there is to probe ---- */

static struct probe *add(struct reach *r, struct mt_checkup *c, int kind, const char *label)
{
    if (r->count == PROBES) {
        r->left_out++;
        return NULL;
    }
    struct probe *p = &r->list[r->count++];
    p->kind = kind;
    p->checkup = c;
    p->label = label;
    p->reach = r;
    return p;
}

/* [scheme://][user:password@]host[:port], as libcurl reads it. NULL: fine; else what is wrong. */
static const char *parse_proxy(const char *value, char **out_host, char **out_service)
{
    static const struct {
        const char *scheme, *port;
    } schemes[] = {{"http", "1080"},    {"https", "443"},   {"socks4", "1080"},
                   {"socks4a", "1080"}, {"socks5", "1080"}, {"socks5h", "1080"}};
    const char *rest = strstr(value, "://"), *port = rest ? NULL : "1080", *wrong = NULL;
    for (size_t i = 0; rest && i < sizeof schemes / sizeof *schemes; i++)
        if (strlen(schemes[i].scheme) == (size_t)(rest - value) &&
            strncasecmp(value, schemes[i].scheme, (size_t)(rest - value)) == 0)
            port = schemes[i].port;
    if (!port)
        return "its scheme is none of http, https, socks4, socks4a, socks5, socks5h";
    rest = rest ? rest + 3 : value;
    char *authority = mt_slice_dup((struct mt_slice){rest, strcspn(rest, "/?#")});
    const char *at = strrchr(authority, '@');
    char *url = mt_format("http://%s", at ? at + 1 : authority);
    struct mt_buf host;
    mt_buf_init(&host, 1024);
    const char *place = url + 7, *colon = strrchr(place, ':');
    if (!mt_url_host(mt_slice_of(url), &host) || !host.n) {
        wrong = "it is not [scheme://][user:password@]host:port";
    } else {
        bool given = colon && colon[1] && (place[0] != '[' || colon[-1] == ']');
        *out_host = mt_strdup(mt_buf_text(&host));
        *out_service = mt_strdup(given ? colon + 1 : port);
    }
    mt_buf_fini(&host);
    free(url);
    free(authority);
    return wrong;
}

/* The variable that counts: libcurl reads the one in small letters first. */
static const char *proxy_variable(const char *small, const char *capital, const char **out_name)
{
    const char *value = getenv(small);
    *out_name = value ? small : capital;
    value = value ? value : getenv(capital);
    return value && *value ? value : NULL;
}

static void check_no_proxy(struct mt_checkup *c)
{
    const char *name, *value = proxy_variable("no_proxy", "NO_PROXY", &name);
    for (const char *p = value; p && *p;) {
        size_t n = strcspn(p, ", ");
        bool star = n > 1 && p[0] == '*';
        if (star || memmem(p, n, "://", 3))
            mt_checkup_add(c, MT_DOUBTFUL, "proxy", "%s: %.*s matches nothing: write %s", name,
                           (int)(n > MT_FOREIGN ? MT_FOREIGN : n), p,
                           star ? "a domain without the *, .example.com" : "the host without a scheme");
        p += n;
        p += strspn(p, ", ");
    }
}

static void add_proxies(struct reach *r, struct mt_checkup *c)
{
    static const char *const names[][2] = {
        {"http_proxy", "HTTP_PROXY"}, {"https_proxy", "HTTPS_PROXY"}, {"all_proxy", "ALL_PROXY"}};
    bool any = false;
    for (int i = 0; i < 3; i++) {
        const char *name, *value = proxy_variable(names[i][0], names[i][1], &name);
        char *host = NULL, *service = NULL;
        if (!value)
            continue;
        any = true;
        const char *wrong = parse_proxy(value, &host, &service);
        struct probe *p = wrong ? NULL : add(r, c, PROXY, name);
        if (wrong) /* the value may hold a password: it is not shown */
            mt_checkup_add(c, MT_BAD, "proxy", "%s cannot be used: %s", name, wrong);
        if (p) {
            p->host = host;
            p->service = service;
        } else {
            free(host);
            free(service);
        }
    }
    if (any)
        check_no_proxy(c);
    else
        mt_checkup_add(c, MT_FINE, "proxy", "none is set");
}

/* Dialled directly when no proxy could stand between. */
static void find_place(struct probe *p, const char *url)
{
    const char *name;
    bool tls = strncasecmp(url, "https:", 6) == 0;
    if (proxy_variable("all_proxy", "ALL_PROXY", &name) ||
        (tls ? proxy_variable("https_proxy", "HTTPS_PROXY", &name)
             : proxy_variable("http_proxy", "HTTP_PROXY", &name)))
        return;
    struct mt_buf origin, host;
    mt_buf_init(&origin, 4096);
    mt_buf_init(&host, 4096);
    if (mt_url_origin(mt_slice_of(url), &origin) && mt_url_host(mt_slice_of(url), &host)) {
        const char *text = mt_buf_text(&origin), *colon = strrchr(text, ':');
        bool given = colon && colon[1] != '/' && !strchr(colon, ']'); /* the default one is left out */
        p->host = mt_strdup(mt_buf_text(&host));
        p->service = mt_strdup(given ? colon + 1 : tls ? "443" : "80");
    }
    mt_buf_fini(&origin);
    mt_buf_fini(&host);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static void add_port(struct reach *r, struct mt_checkup *c, const struct mt_config *config, bool bundled)
{
    static const char *const names[] = {"port.base_url", "port.client_id", "port.client_secret"};
    if (mt_config_embedded(config) || !mt_config_text(config, names[1]) || !mt_config_text(config, names[2]))
        return; /* what is missing was said by the configuration's check */
    for (size_t i = 0; i < r->count; i++) {
        bool same = r->list[i].kind == PORT;
        for (int n = 0; same && n < 3; n++)
            same = same_text(mt_config_text(config, names[n]), mt_config_text(r->list[i].config, names[n]));
        if (same)
            return;
    }
    struct probe *p = add(r, c, PORT, "port");
    if (!p)
        return;
    p->config = config;
    p->bundled = bundled;
    p->insecure = !mt_config_bool(config, "ssl.port.verify");
    /* An address of the API: its root may well redirect to a page for readers. */
    p->url = mt_format("%s/v1/auth/access_token", mt_config_text(config, names[0]));
    find_place(p, p->url);
}

static void add_hosts(struct reach *r, struct mt_checkup *c, const struct mt_bundle *bundle,
                      const struct mt_config *config)
{
    struct mt_val spec = mt_bundle_spec(bundle), list, entry, name, type, value;
    if (!spec.doc || !mt_val_member(spec, MT_SLICE("configurations"), &list))
        return;
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++) {
        if (!mt_val_member(entry, MT_SLICE("type"), &type) || !mt_val_is(type, MT_STRING) ||
            !mt_slice_is(mt_val_string(type), "url") || !mt_val_member(entry, MT_SLICE("name"), &name) ||
            !mt_val_is(name, MT_STRING) ||
            !mt_val_member(mt_config_integration(config), mt_val_string(name), &value) ||
            !mt_val_is(value, MT_STRING))
            continue;
        char *url = mt_slice_dup(mt_val_string(value));
        bool known = strncasecmp(url, "http", 4) != 0;
        for (size_t k = 0; !known && k < r->count; k++)
            known = r->list[k].kind == THIRD_PARTY && strcmp(r->list[k].url, url) == 0;
        struct probe *p = known ? NULL : add(r, c, THIRD_PARTY, "host");
        if (!p) {
            free(url);
            continue;
        }
        p->config = config;
        p->insecure = !mt_config_bool(config, "ssl.third_party.verify");
        p->url = url;
    }
}

/* ---- what was found ---- */

static void tell_clock(struct probe *p)
{
    double off = p->skew_s < 0 ? -p->skew_s : p->skew_s;
    const char *where = p->skew_s < 0 ? "behind" : "ahead of";
    if (!p->dated)
        mt_checkup_add(p->checkup, MT_FINE, "clock", "not compared: Port's answer has no Date");
    else if (off > SKEWED_S)
        mt_checkup_add(p->checkup, off > WRONG_S ? MT_BAD : MT_DOUBTFUL, "clock",
                       "%.0f s %s Port's%s: let NTP set it (timedatectl set-ntp true; a container has its "
                       "host's)",
                       off, where, off > WRONG_S ? ", so that tokens and certificates seem expired" : "");
    else
        mt_checkup_add(p->checkup, MT_FINE, "clock", "within %.0f s of Port's", off < 1 ? 1 : off);
}

static void tell_port(struct probe *p)
{
    struct mt_checkup *c = p->checkup;
    const char *base = mt_config_text(p->config, "port.base_url");
    char way[160] = "through a proxy";
    if (p->host)
        snprintf(way, sizeof way, "%s, name %.0f ms, connect %.0f ms", p->dialled.address, p->dialled.name_ms,
                 p->dialled.connect_ms);
    if (p->host && p->dialled.wrong)
        mt_checkup_add(
            c, MT_BAD, "port",
            "%s: cannot %s: %s: check OCEAN__PORT__BASE_URL, the network, or whether a proxy is needed "
            "(HTTPS_PROXY)",
            base, p->dialled.address[0] ? "connect" : "resolve the name", p->dialled.wrong);
    else if (!p->answered)
        mt_checkup_add(c, MT_BAD, "port", "no answer (%s): %s", way, p->err.text);
    else if (p->status >= 300 && p->status < 400)
        mt_checkup_add(
            c, MT_BAD, "port",
            "%s answers with a redirect (%d), which Port's API does not: give the address that it leads "
            "to in OCEAN__PORT__BASE_URL",
            base, p->status);
    else if (p->ms > SLOW_MS)
        mt_checkup_add(c, MT_DOUBTFUL, "port", "%s answers slowly, in %.0f ms (%s): look at the way there",
                       base, p->ms, way);
    else
        mt_checkup_add(c, MT_FINE, "port", "%s answers in %.0f ms (%s%s)", base, p->ms, way,
                       strncasecmp(base, "https:", 6) != 0 ? ", without TLS"
                       : p->insecure                       ? ", TLS not verified"
                                                           : ", TLS verified");
    if (!p->answered)
        return;
    if (p->signed_in != MT_OK)
        mt_checkup_add(c, MT_BAD, "credentials", "%s", p->refusal.text);
    else
        mt_checkup_add(c, MT_FINE, "credentials", "Port takes them%s%s%s", p->bundled ? "; integration " : "",
                       p->bundled ? mt_config_identifier(p->config) : "",
                       !p->bundled ? ""
                       : p->known  ? " is known there"
                                   : " is not known there yet: the first resync makes it");
    tell_clock(p);
}

static void tell(struct probe *p)
{
    struct mt_checkup *c = p->checkup;
    if (p->kind == PORT) {
        tell_port(p);
    } else if (p->kind == PROXY && p->dialled.wrong) {
        mt_checkup_add(
            c, MT_BAD, "proxy",
            "%s: cannot reach %s:%s: %s: unset it, or name the hosts that need no proxy in no_proxy",
            p->label, p->host, p->service, p->dialled.wrong);
    } else if (p->kind == PROXY) {
        mt_checkup_add(c, MT_FINE, "proxy", "%s: %s:%s accepts connections", p->label, p->host, p->service);
    } else if (!p->answered) {
        mt_checkup_add(c, MT_DOUBTFUL, "host", "%s (is the address right, is a proxy needed?)", p->err.text);
    } else {
        struct mt_buf shown;
        mt_buf_init(&shown, 4096);
        mt_url_redact(mt_slice_of(p->url), &shown);
        mt_checkup_add(c, MT_FINE, "host", "%s answers in %.0f ms", mt_buf_text(&shown), p->ms);
        mt_buf_fini(&shown);
    }
}

static void give_up(void *arg)
{
    struct reach *r = arg;
    atomic_store(&r->cancel, true);
    mt_http_kick(r->http);
}

static void run_probes(struct reach *r)
{
    atomic_store(&r->running,
                 r->count + 1); /* this function counts as one, so that none ends the loop early */
    for (size_t i = 0; i < r->count; i++) {
        struct probe *p = &r->list[i];
        p->started = pthread_create(&p->thread, NULL, probe_thread, p) == 0;
        if (!p->started) {
            mt_fail(&p->err, MT_ENOMEM, "no thread could be started to probe it");
            p->dialled.wrong = "no thread could be started to probe it";
            mt_loop_post(r->loop, one_less, r);
        }
    }
    struct mt_timer *timer = mt_timer_new(r->loop, ALL_MS, give_up, r);
    mt_loop_post(r->loop, one_less, r);
    mt_loop_run(r->loop);
    mt_timer_free(timer);
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].started)
            pthread_join(r->list[i].thread, NULL);
}

void mt_check_network(struct mt_checkup *c, struct mt_bundle *const *bundles,
                      struct mt_config *const *configs, size_t count)
{
    struct reach *r = mt_alloc(sizeof *r);
    bool embedded = false;
    r->loop = mt_loop_new();
    r->http = mt_http_new(r->loop);
    add_proxies(r, c);
    for (size_t i = 0; i < count; i++)
        if (configs[i]) {
            embedded = embedded || mt_config_embedded(configs[i]);
            add_port(r, c, configs[i], bundles != NULL);
        }
    for (size_t i = 0; i < count; i++)
        if (configs[i] && bundles && bundles[i])
            add_hosts(r, c, bundles[i], configs[i]);
    if (r->count)
        run_probes(r);
    if (embedded)
        mt_checkup_add(c, MT_FINE, "port",
                       "neither credentials nor a base URL are set: Port is the embedded catalog in "
                       ".moontide/catalog.db; for the real one set OCEAN__PORT__CLIENT_ID and "
                       "OCEAN__PORT__CLIENT_SECRET");
    for (size_t i = 0; i < r->count; i++) {
        tell(&r->list[i]);
        mt_port_free(r->list[i].port);
        free(r->list[i].url);
        free(r->list[i].host);
        free(r->list[i].service);
    }
    if (r->left_out)
        mt_checkup_add(c, MT_DOUBTFUL, "host",
                       "%zu further addresses were not tried: check fewer bundles at once", r->left_out);
    mt_http_free(r->http);
    mt_loop_free(r->loop);
    free(r);
}
