/* Loading a version of a bundle: see generation.h. */
#include "service/generation.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

extern char **environ;

enum { NAMED_FILES = 3 };

/* ---- counting ---- */

struct mt_shared_source *mt_shared_source_ref(struct mt_shared_source *s)
{
    s->refs++;
    return s;
}

static void release_source(struct mt_shared_source *s)
{
    if (!s || --s->refs)
        return;
    mt_source_free(s->source);
    free(s);
}

void mt_generation_free(struct mt_generation *g)
{
    if (!g)
        return;
    release_source(g->source);
    mt_appconfig_free(g->mapping);
    mt_version_unref(g->version);
    for (const char **kind = g->changed_kinds; kind && *kind; kind++)
        free((void *)(uintptr_t)*kind);
    free(g->changed_kinds);
    free(g->changed);
    free(g->base_url);
    free(g);
}

struct mt_generation *mt_generation_ref(struct mt_generation *g)
{
    g->refs++;
    return g;
}

void mt_generation_unref(struct mt_generation *g)
{
    if (g && --g->refs == 0)
        mt_generation_free(g);
}

/* ---- what changed ---- */

static bool same(struct mt_key a, struct mt_key b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The Lua state depends on its files, the spec and the integration's own settings. */
static struct mt_key handlers_digest(const struct mt_version *v)
{
    struct mt_key keys[] = {mt_bundle_digest(v->bundle, "", ".lua"),
                            mt_bundle_digest(v->bundle, ".port/spec.", ""),
                            mt_val_digest(mt_config_integration(v->config)), mt_config_digest(v->config)};
    struct mt_slice whole = {(const char *)keys, sizeof keys};
    return mt_key_of(&whole, 1);
}

struct naming {
    const struct mt_bundle *now, *before;
    struct mt_buf text;
    unsigned count;
    bool swapped; /* the other way round: files that are gone */
};

static void name_file(void *ud, const char *relative)
{
    struct naming *n = ud;
    struct mt_key now = mt_bundle_digest(n->now, relative, relative),
                  before = mt_bundle_digest(n->before, relative, relative),
                  none = mt_bundle_digest(n->now, "\n", "\n");
    if (same(now, before) || (n->swapped && !same(before, none)) || strncmp(relative, "spec/", 5) == 0)
        return;
    if (n->count < NAMED_FILES)
        mt_buf_printf(&n->text, "%s%s%s", n->count ? ", " : "", relative, n->swapped ? " (gone)" : "");
    n->count++;
}

/* The files that differ, for people. */
static char *name_files(const struct mt_bundle *before, const struct mt_bundle *now)
{
    struct naming n = {.now = now, .before = before};
    mt_buf_init(&n.text, 4096);
    mt_bundle_list(now, "", name_file, &n, NULL);
    n = (struct naming){.now = before, .before = now, .text = n.text, .count = n.count, .swapped = true};
    mt_bundle_list(before, "", name_file, &n, NULL);
    if (n.count > NAMED_FILES)
        mt_buf_printf(&n.text, " and %u more", n.count - NAMED_FILES);
    char *text = mt_strdup(n.count ? mt_buf_text(&n.text) : "configuration");
    mt_buf_fini(&n.text);
    return text;
}

static bool resource_at(const struct mt_appconfig *mapping, uint32_t i, struct mt_key *out)
{
    struct mt_val list, resource;
    if (!mapping || !mt_val_member(mt_doc_root(mapping->doc), MT_SLICE("resources"), &list) ||
        !mt_val_index(list, i, &resource))
        return false;
    *out = mt_val_digest(resource);
    return true;
}

static bool has_resource(const struct mt_appconfig *mapping, struct mt_key wanted)
{
    struct mt_key key;
    for (uint32_t i = 0; resource_at(mapping, i, &key); i++)
        if (same(key, wanted))
            return true;
    return false;
}

/* Kinds whose resources are new or differ. A resource that is gone needs a whole resync: what it made is
 * deleted. */
static void compare_mappings(struct mt_generation *g, const struct mt_generation *before)
{
    struct mt_key key;
    unsigned n = g->mapping ? g->mapping->resource_count : 0, count = 0;
    g->changed_kinds = mt_alloc((n + (size_t)1) * sizeof *g->changed_kinds);
    for (uint32_t i = 0; resource_at(g->mapping, i, &key); i++) {
        if (has_resource(before->mapping, key))
            continue;
        char *kind = mt_slice_dup(mt_mapping_kind(g->mapping->resources[i]));
        bool known = false;
        for (unsigned k = 0; k < count; k++)
            known |= strcmp(g->changed_kinds[k], kind) == 0;
        if (known)
            free(kind);
        else
            g->changed_kinds[count++] = kind;
    }
    for (uint32_t i = 0; resource_at(before->mapping, i, &key); i++) {
        struct mt_slice kind = mt_mapping_kind(before->mapping->resources[i]);
        bool kept = has_resource(g->mapping, key);
        for (unsigned k = 0; !kept && k < count; k++)
            kept = mt_slice_is(kind, g->changed_kinds[k]);
        g->all_changed |= !kept;
    }
}

/* ---- loading ---- */

static enum mt_rc read_version(const struct mt_generation_options *o, struct mt_version **out,
                               struct mt_err *err)
{
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_bundle_options open = {.trust = o->trust};
    enum mt_rc rc = mt_bundle_open(o->path, &open, &bundle, err);
    if (rc == MT_OK)
        rc = mt_config_load(bundle, environ, &o->flags, &config, err);
    if (rc == MT_OK)
        *out = mt_version_new(bundle, config);
    else
        mt_bundle_free(bundle);
    return rc;
}

/* The process has registered itself at Port under these. */
static enum mt_rc check_fixed(const struct mt_generation *g, const struct mt_config *then,
                              const char *then_url, struct mt_err *err)
{
    const struct mt_config *now = g->version->config;
    const struct {
        const char *what, *now, *then;
    } fixed[] = {
        {"identifier", mt_config_identifier(now), mt_config_identifier(then)},
        {"type", mt_config_type(now), mt_config_type(then)},
        {"Port's address", g->base_url, then_url},
        {"event listener", mt_config_text(now, "event_listener.type"),
         mt_config_text(then, "event_listener.type")},
    };
    static const char *const unsaid[] = {"port.client_id", "port.client_secret", "event_listener.app_host",
                                         "event_listener.should_resync"};
    for (size_t i = 0; i < sizeof unsaid / sizeof *unsaid; i++) {
        const char *a = mt_config_text(now, unsaid[i]), *b = mt_config_text(then, unsaid[i]);
        if (strcmp(a ? a : "", b ? b : "") != 0)
            return mt_fail(err, MT_EINVAL, "%s changed, which a reload cannot do: restart the process",
                           unsaid[i]);
    }
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(fixed[i].now ? fixed[i].now : "", fixed[i].then ? fixed[i].then : "") != 0)
            return mt_fail(
                err, MT_EINVAL, "its %s changed from %s to %s, which a reload cannot do: restart the process",
                fixed[i].what, fixed[i].then ? fixed[i].then : "none", fixed[i].now ? fixed[i].now : "none");
    return MT_OK;
}

/* The bundle's mapping: taken apart, and every expression that `before` does not have compiled. */
static enum mt_rc check_mapping(struct mt_generation *g, const struct mt_generation *before,
                                struct mt_err *err)
{
    const struct mt_resources *resources = mt_bundle_resources(g->version->bundle);
    struct mt_mapping_options o = {
        mt_config_bool(g->version->config, "allow_environment_variables_jq_access"), resources->mapping_file};
    if (!resources->mapping.doc)
        return MT_OK;
    enum mt_rc rc = mt_appconfig_new(resources->mapping, &o, &g->mapping, err);
    for (unsigned i = 0; rc == MT_OK && i < g->mapping->resource_count; i++) {
        struct mt_mapper *mapper = NULL;
        struct mt_key key;
        if (before && resource_at(g->mapping, i, &key) && has_resource(before->mapping, key))
            continue;
        rc = mt_mapper_new(g->mapping->resources[i], &mapper, err);
        mt_mapper_free(mapper);
    }
    return rc;
}

static enum mt_rc load_source(struct mt_generation *g, struct mt_place *place, struct mt_err *err)
{
    struct mt_source *source = NULL;
    enum mt_rc rc = mt_source_new(place, g->version, g->base_url, g->number, &source, err);
    if (rc == MT_OK && mt_config_bool(g->version->config, "event_listener.should_resync") &&
        !mt_host_has_resync(source->host)) {
        mt_source_free(source);
        rc = mt_fail(err, MT_EINVAL, "%s: main.lua registers no handler with on_resync (R-INIT-04)",
                     mt_bundle_name(g->version->bundle));
    }
    if (rc != MT_OK)
        return rc;
    g->source = mt_alloc(sizeof *g->source);
    *g->source = (struct mt_shared_source){.source = source, .refs = 1};
    return MT_OK;
}

enum mt_rc mt_generation_load(const struct mt_generation_options *o, struct mt_generation **out,
                              struct mt_err *err)
{
    const struct mt_generation *before = o->before;
    struct mt_generation *g = mt_alloc(sizeof *g);
    const char *url = NULL;
    enum mt_rc rc = MT_OK;
    g->number = o->number;
    g->refs = 1;
    if (o->version)
        g->version = mt_version_ref(o->version);
    else
        rc = read_version(o, &g->version, err);
    if (rc == MT_OK)
        rc = mt_place_port(o->place, g->version->config, false, &url, err);
    if (rc != MT_OK)
        goto out;
    g->base_url = mt_strdup(url);
    g->bundle = mt_bundle_digest(g->version->bundle, "", "");
    g->settings = mt_config_digest(g->version->config);
    g->handlers = handlers_digest(g->version);
    if (before && same(before->bundle, g->bundle) && same(before->settings, g->settings)) {
        *out = NULL;
        mt_generation_free(g);
        return MT_OK;
    }
    if (before)
        rc = check_fixed(g, before->version->config, before->base_url, err);
    else if (o->known)
        rc = check_fixed(g, o->known->config, o->known_url, err);
    if (rc == MT_OK)
        rc = check_mapping(g, before, err);
    if (rc == MT_OK && !(before && same(before->handlers, g->handlers)))
        rc = load_source(g, o->place, err);
    if (rc == MT_OK && before) {
        g->changed = name_files(before->version->bundle, g->version->bundle);
        g->all_changed =
            g->source || !same(mt_bundle_digest(before->version->bundle, ".port/resources/b", ""),
                               mt_bundle_digest(g->version->bundle, ".port/resources/b", ""));
        compare_mappings(g, before);
    }
out:
    if (rc == MT_OK) {
        g->loaded_us = mt_wall_us();
        *out = g;
    } else {
        mt_generation_free(g);
    }
    return rc;
}
