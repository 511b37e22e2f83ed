/* The Lua state of an integration with its surroundings: see source.h. */
#include "sync/source.h"

#include <stdlib.h>

#include "base/memory.h"
#include "net/url.h"
#include "observe/names.h"

struct mt_version *mt_version_new(struct mt_bundle *bundle, struct mt_config *config)
{
    struct mt_version *v = mt_alloc(sizeof *v);
    v->bundle = bundle;
    v->config = config;
    atomic_store(&v->refs, 1);
    return v;
}

struct mt_version *mt_version_ref(struct mt_version *v)
{
    atomic_fetch_add(&v->refs, 1);
    return v;
}

void mt_version_unref(struct mt_version *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    mt_config_free(v->config);
    mt_bundle_free(v->bundle);
    free(v);
}

static enum mt_rc read_source(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    return mt_bundle_read(ud, relative, out, err);
}

static bool is_sensitive(void *ud, struct mt_slice name)
{
    return mt_config_is_sensitive(ud, name);
}

static void get(void *ud, struct mt_slice key,
                void (*done)(void *done_ud, struct mt_slice value, const struct mt_err *err), void *done_ud)
{
    struct mt_source *s = ud;
    mt_kv_get(s->store, s->section, key, done, done_ud);
}

static void set(void *ud, struct mt_slice key, struct mt_slice value,
                void (*done)(void *done_ud, struct mt_slice value, const struct mt_err *err), void *done_ud)
{
    struct mt_source *s = ud;
    mt_kv_set(s->store, s->section, key, value, done, done_ud);
}

/* What the bundle may talk to: the hosts that it names, and those of its configured addresses
 * (architecture 3.2). One that names none may talk to any. */
static void set_reach(struct mt_source *s)
{
    struct mt_config *config = s->version->config;
    struct mt_val entries, entry, name, type, url;
    size_t count = 0, room = 0;
    const char *const *named = mt_bundle_hosts(s->version->bundle, &room);
    s->reach.block_private = !mt_config_bool(config, "disable_ip_outbound_blocker");
    if (!room)
        return;
    struct mt_buf host;
    mt_buf_init(&host, 4096);
    bool listed = mt_val_member(mt_bundle_spec(s->version->bundle), MT_SLICE("configurations"), &entries) &&
                  mt_val_is(entries, MT_ARRAY);
    s->hosts = mt_alloc((room + (listed ? mt_val_count(entries) : 0) + 1) * sizeof *s->hosts);
    for (; count < room; count++)
        s->hosts[count] = mt_strdup(named[count]);
    for (uint32_t i = 0; listed && mt_val_index(entries, i, &entry); i++) {
        if (mt_val_member(entry, MT_SLICE("name"), &name) && mt_val_member(entry, MT_SLICE("type"), &type) &&
            mt_slice_is(mt_val_string(type), "url") &&
            mt_val_member(mt_config_integration(config), mt_val_string(name), &url) &&
            mt_val_is(url, MT_STRING) && mt_url_host(mt_val_string(url), &host))
            s->hosts[count++] = mt_strdup(mt_buf_text(&host));
        mt_buf_clear(&host);
    }
    mt_buf_fini(&host);
    s->reach.hosts = s->hosts;
    s->reach.host_count = count;
}

static void observed(void *ud, double seconds, size_t bytes)
{
    struct mt_source *s = ud;
    mt_metrics_observe(s->metrics, MT_METRIC_HTTP, mt_buckets_seconds,
                       (struct mt_label[]){{"integration", s->identifier}, {NULL, NULL}}, seconds);
    mt_samples_answer(s->samples, bytes);
}

enum mt_rc mt_source_new(struct mt_place *place, struct mt_version *version, const char *base_url,
                         unsigned generation, struct mt_source **out, struct mt_err *err)
{
    struct mt_source *s = mt_alloc(sizeof *s);
    const struct mt_config *config = version->config;
    s->version = mt_version_ref(version);
    s->store = place->kv;
    s->metrics = place->metrics;
    s->stats.observed = observed;
    s->stats.observed_ud = s;
    s->identifier = mt_strdup(mt_config_identifier(config));
    s->section = mt_format("%s %s %s", mt_config_embedded(config) ? "embedded" : base_url,
                           mt_config_type(config), s->identifier);
    s->kv = (struct mt_host_kv){get, set, s};
    s->log = (struct mt_log_fields){.integration = s->identifier, .generation = generation};
    set_reach(s);
    struct mt_host_options o = {
        .loop = place->loop,
        .http = place->http,
        .pool = place->pool,
        .name = mt_bundle_name(version->bundle),
        .read = read_source,
        .read_ud = version->bundle,
        .config = mt_config_integration(config),
        .is_sensitive = is_sensitive,
        .sensitive_ud = version->config,
        .stats = &s->stats,
        .client_timeout_ms = (uint32_t)mt_config_int(config, "client_timeout") * 1000u,
        .insecure_tls = !mt_config_bool(config, "ssl.third_party.verify"),
        .tape = place->tape,
        .reach = s->reach.hosts || s->reach.block_private ? &s->reach : NULL,
        .kv = &s->kv,
        .log = generation ? &s->log : NULL,
    };
    enum mt_rc rc = mt_host_new(&o, &s->host, err);
    if (rc == MT_OK)
        *out = s;
    else
        mt_source_free(s);
    return rc;
}

void mt_source_free(struct mt_source *s)
{
    if (!s)
        return;
    mt_host_free(s->host);
    for (size_t i = 0; s->hosts && s->hosts[i]; i++)
        free((void *)(uintptr_t)s->hosts[i]);
    free(s->hosts);
    free(s->section);
    free(s->identifier);
    mt_version_unref(s->version);
    free(s);
}
