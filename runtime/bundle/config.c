/* The configuration of one integration: the sources' leaves checked, defaults filled in, and what follows
 * from them. Made by the commands before anything else runs; read by any thread after. It owns all texts that
 * it hands out. */
#include "bundle/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/settings.h"
#include "bundle/values.h"
#include "jq/engine.h"

struct mt_config {
    const struct mt_bundle *bundle;
    struct mt_sources sources;
    char **values; /* one a setting; NULL: unset */
    char *type, *version, *identifier;
    bool embedded;
    struct mt_doc *integration;
};

/* ---- reading settings ---- */

static const char *value_of(const struct mt_config *c, const char *name)
{
    int i = mt_setting_find(name);
    return i < 0 ? NULL : c->values[i] ? c->values[i] : mt_settings[i].fallback;
}

const char *mt_config_text(const struct mt_config *c, const char *name)
{
    if (c->embedded && strcmp(name, "port.base_url") == 0)
        return NULL; /* whoever forgot to ask must not talk to the real Port */
    if (mt_setting_find(name) >= 0)
        return value_of(c, name);
    for (size_t i = 0; i < c->sources.count; i++) /* unknown ones are kept (R-CFG-06) */
        if (strcmp(c->sources.leaves[i].path, name) == 0)
            return c->sources.leaves[i].text;
    return NULL;
}

void mt_config_set_engine(const struct mt_config *c)
{
    enum mt_engine engine;
    if (mt_engine_parse(mt_config_text(c, "engine"), &engine))
        mt_engine_choose(engine);
    mt_engine_limit((struct mt_machine_limits){
        .steps = (uint64_t)mt_config_int(c, "jq.steps"),
        .memory = (size_t)mt_config_int(c, "jq.memory_mb") << 20,
    });
}

int64_t mt_config_int(const struct mt_config *c, const char *name)
{
    int64_t value = 0;
    bool exact = strcmp(name, "scheduled_resync_interval_seconds") == 0;
    if (exact || strcmp(name, "scheduled_resync_interval") == 0) {
        const char *interval = value_of(c, "scheduled_resync_interval");
        if (!interval || !mt_setting_duration(mt_slice_of(interval), &value))
            return 0;
        return exact ? value : (value + 59) / 60;
    }
    const char *text = mt_config_text(c, name);
    return text && mt_setting_int(mt_slice_of(text), &value) ? value : 0;
}

bool mt_config_bool(const struct mt_config *c, const char *name)
{
    bool value = false;
    const char *text = mt_config_text(c, name);
    return text && mt_setting_bool(mt_slice_of(text), &value) && value;
}

bool mt_config_embedded(const struct mt_config *c)
{
    return c->embedded;
}

struct mt_key mt_config_digest(const struct mt_config *c)
{
    struct mt_key values = mt_val_digest(mt_config_integration(c));
    struct mt_slice *parts = mt_alloc((mt_setting_count + (size_t)4) * sizeof *parts);
    size_t n = 0;
    for (unsigned i = 0; i < mt_setting_count; i++)
        parts[n++] = mt_slice_of(c->values[i] ? c->values[i] : "\n"); /* no value has a line end alone */
    parts[n++] = mt_slice_of(c->type);
    parts[n++] = mt_slice_of(c->version);
    parts[n++] = mt_slice_of(c->identifier);
    parts[n++] = (struct mt_slice){(const char *)&values, sizeof values};
    struct mt_key key = mt_key_of(parts, n);
    free(parts);
    return key;
}

const char *mt_config_type(const struct mt_config *c)
{
    return c->type;
}

const char *mt_config_version(const struct mt_config *c)
{
    return c->version;
}

const char *mt_config_identifier(const struct mt_config *c)
{
    return c->identifier;
}

struct mt_val mt_config_integration(const struct mt_config *c)
{
    return mt_doc_root(c->integration);
}

bool mt_config_is_sensitive(const struct mt_config *c, struct mt_slice name)
{
    return mt_values_sensitive(c->bundle, name);
}

/* ---- loading ---- */

static const char *source_of(const struct mt_config *c, const char *path)
{
    const struct mt_leaf *leaf = mt_sources_find(&c->sources, path);
    return leaf ? leaf->source : "its default";
}

static void read_settings(struct mt_config *c)
{
    for (unsigned i = 0; i < mt_setting_count; i++) {
        const struct mt_setting *setting = &mt_settings[i];
        const struct mt_leaf *leaf = mt_sources_find(&c->sources, setting->name);
        /* Compose files pass what is unset as an empty variable. */
        if (!leaf || (leaf->text && !leaf->text[0] && strncmp(setting->name, "port.", 5) == 0))
            continue;
        c->values[i] = mt_setting_value(&c->sources, setting, leaf);
        if (setting->sensitive && c->values[i])
            mt_mask_add(mt_slice_of(c->values[i]));
    }
}

/* Port is the embedded catalog, or an address with both halves of its credentials. */
static void check_port(struct mt_config *c)
{
    const char *id = value_of(c, "port.client_id"), *secret = value_of(c, "port.client_secret");
    const struct mt_leaf *leaf = mt_sources_find(&c->sources, "port.base_url");
    bool url = leaf && leaf->text && leaf->text[0];
    c->embedded = !id && !secret && !url;
    if (c->embedded || (id && secret))
        return;
    if (id || secret)
        mt_sources_problem(&c->sources, true, true, NULL, 0,
                           "port.%s is set (%s), port.%s is not: set OCEAN__PORT__%s too, or neither to use "
                           "the embedded catalog",
                           id ? "client_id" : "client_secret",
                           source_of(c, id ? "port.client_id" : "port.client_secret"),
                           id ? "client_secret" : "client_id", id ? "CLIENT_SECRET" : "CLIENT_ID");
    else
        mt_sources_problem(&c->sources, true, true, NULL, 0,
                           "port.base_url is set (%s) without credentials: set OCEAN__PORT__CLIENT_ID and "
                           "OCEAN__PORT__CLIENT_SECRET "
                           "(a moontide catalog takes any that are not empty)",
                           leaf->source);
}

static void check_identity(struct mt_config *c)
{
    const char *type = value_of(c, "integration.type"), *version = value_of(c, "integration.version");
    const char *identifier = value_of(c, "integration.identifier");
    c->type = mt_strdup(type && *type ? type : c->bundle ? mt_bundle_type(c->bundle) : "moontide");
    for (char *p = c->type; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    c->version = mt_strdup(version && *version ? version
                           : c->bundle         ? mt_bundle_version(c->bundle)
                                               : MT_VERSION);
    c->identifier =
        identifier && *identifier ? mt_strdup(identifier) : mt_format("my-%s-integration", c->type);
    const char *const names[] = {"integration.type", "integration.version", "integration.identifier"};
    const char *const texts[] = {c->type, c->version, c->identifier};
    for (int i = 0; i < 3; i++)
        for (const char *p = texts[i]; *p; p++)
            if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
                const struct mt_leaf *leaf = mt_sources_find(&c->sources, names[i]);
                mt_sources_problem(
                    &c->sources, true, false, leaf ? leaf->file : NULL, leaf ? leaf->line : 0,
                    "%s: %s is part of a request header: it may hold visible ASCII characters only",
                    source_of(c, names[i]), names[i]);
                break;
            }
}

static void warn_tls(const struct mt_config *c, const char *name, const char *effect)
{
    const struct mt_leaf *leaf = mt_sources_find(&c->sources, name);
    if (leaf && !mt_config_bool(c, name))
        mt_sources_problem(&c->sources, false, false, leaf->file, leaf->line, "%s: %s is off: %s",
                           leaf->source, name, effect);
}

/* What moontide does not serve, with what to do instead; a listener that needs an address (R-LIS-01,
 * R-LIS-02).
 */
static void check_listener(struct mt_config *c)
{
    const struct mt_sources *s = &c->sources;
    struct mt_leaf *leaf = mt_sources_below(s, "event_listener");
    if (leaf && !mt_sources_find(s, "event_listener.type"))
        mt_sources_problem(
            s, true, false, leaf->file, leaf->line,
            "%s: event_listener.type must be given with other settings of the event listener (R-LIS-02): "
            "OCEAN__EVENT_LISTENER__TYPE=POLLING",
            leaf->source);
    const char *type = value_of(c, "event_listener.type");
    leaf = mt_sources_find(s, "event_listener.type");
    if (leaf && (strcmp(type, "KAFKA") == 0 || strcmp(type, "ACTIONS_ONLY") == 0))
        mt_sources_problem(
            s, true, false, leaf->file, leaf->line,
            "%s: moontide does not serve the event listener %s: use POLLING, which asks Port for "
            "requests, or WEBHOOK, to which Port sends them",
            leaf->source, type);
    if (leaf && strcmp(type, "WEBHOOK") == 0 && !mt_sources_find(s, "event_listener.app_host"))
        mt_sources_problem(s, true, true, leaf->file, leaf->line,
                           "%s: WEBHOOK needs the address at which Port reaches this process (R-LIS-01): set "
                           "OCEAN__EVENT_LISTENER__APP_HOST=https://…",
                           leaf->source);
    leaf = mt_sources_find(s, "integration.incremental_sync_enabled");
    if (leaf && mt_config_bool(c, "integration.incremental_sync_enabled"))
        mt_sources_problem(s, true, false, leaf->file, leaf->line,
                           "%s: moontide does not serve incremental syncs: unset it; for fresher data give "
                           "whole resyncs a shorter scheduled_resync_interval",
                           leaf->source);
}

/* Defaults that follow from another setting. */
static void fill_defaults(struct mt_config *c)
{
    static const struct {
        const char *type;
        bool resync, webhooks, actions;
    } table[] = {/* R-LIS-01 */
                 {"POLLING", true, true, true},         {"KAFKA", true, true, true},
                 {"WEBHOOK", true, true, true},         {"ONCE", true, false, false},
                 {"WEBHOOKS_ONLY", false, true, false}, {"ACTIONS_ONLY", false, false, true}};
    const char *type = value_of(c, "event_listener.type");
    struct {
        const char *name;
        bool value;
    } list[4] = {{"disable_ip_outbound_blocker", strcmp(value_of(c, "runtime"), "Saas") != 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].type, type) == 0) {
            list[1].name = "event_listener.should_resync";
            list[1].value = table[i].resync;
            list[2].name = "event_listener.should_process_webhooks";
            list[2].value = table[i].webhooks;
            list[3].name = "event_listener.should_run_actions";
            list[3].value = table[i].actions;
        }
    for (size_t i = 0; i < 4; i++) {
        int at = list[i].name ? mt_setting_find(list[i].name) : -1;
        if (at >= 0 && !c->values[at])
            c->values[at] = mt_strdup(list[i].value ? "true" : "false");
    }
}

/* What settings say together (R-CFG-09…11, R-LIS-02). */
static void check_together(struct mt_config *c)
{
    const struct mt_sources *s = &c->sources;
    struct mt_val spec = {NULL, 0}, v;
    if (c->bundle)
        spec = mt_bundle_spec(c->bundle);
    check_listener(c);
    struct mt_leaf *leaf = mt_sources_find(s, "runtime");
    if (leaf && c->bundle && strcmp(value_of(c, "runtime"), "Saas") == 0) {
        if (!spec.doc)
            mt_sources_problem(s, true, false, leaf->file, leaf->line,
                               "%s: runtime Saas needs .port/spec.yaml (R-CFG-10)", leaf->source);
        else if (mt_val_path(spec, "saas.enabled", &v) && mt_val_is(v, MT_BOOL) && !mt_val_true(v))
            mt_sources_problem(s, true, false, leaf->file, leaf->line,
                               "%s: runtime Saas, but %s has saas.enabled: false (R-CFG-10)", leaf->source,
                               mt_bundle_spec_file(c->bundle));
    }
    leaf = mt_sources_find(s, "actions_processor.enabled");
    if (leaf && c->bundle && mt_config_bool(c, "actions_processor.enabled") &&
        !(spec.doc && mt_val_member(spec, MT_SLICE("actionsProcessingEnabled"), &v) && mt_val_true(v)))
        mt_sources_problem(
            s, true, false, leaf->file, leaf->line,
            "%s: actions_processor.enabled needs actionsProcessingEnabled: true in the spec (R-CFG-10)",
            leaf->source);
    leaf = mt_sources_find(s, "process_execution_mode");
    if (leaf)
        mt_sources_problem(s, false, false, leaf->file, leaf->line,
                           "%s: this setting was removed and does nothing (R-CFG-11)", leaf->source);
    leaf = mt_sources_find(s, "resources_path");
    if (leaf && strcmp(value_of(c, "resources_path"), ".port/resources") != 0)
        mt_sources_problem(s, false, false, leaf->file, leaf->line,
                           "%s: resources are read from the bundle's .port/resources only", leaf->source);
    warn_tls(c, "ssl.port.verify", "Port's certificate is not verified");
    warn_tls(c, "ssl.third_party.verify", "certificates of the third party are not verified");
    warn_tls(c, "ssl.port.x509.strict", "certificates of Port need not keep to the strict profile of X.509");
    warn_tls(c, "ssl.third_party.x509.strict",
             "certificates of the third party need not keep to the strict profile of X.509");
}

static struct mt_config *load(const struct mt_bundle *bundle, char **environ_list,
                              const struct mt_config_flags *flags,
                              void (*problem)(void *ud, const struct mt_config_problem *problem), void *ud)
{
    struct mt_config *c = mt_alloc(sizeof *c);
    c->bundle = bundle;
    c->sources.problem = problem;
    c->sources.ud = ud;
    c->values = mt_alloc((mt_setting_count + (size_t)1) * sizeof(char *));
    mt_sources_read(&c->sources, bundle, environ_list, flags);
    read_settings(c);
    check_port(c);
    check_identity(c);
    check_together(c);
    fill_defaults(c);
    c->integration = mt_values_read(&c->sources, bundle);
    mt_settings_name_unknown(&c->sources);
    return c;
}

void mt_config_free(struct mt_config *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < mt_setting_count; i++)
        free(c->values[i]);
    free(c->values);
    free(c->type);
    free(c->version);
    free(c->identifier);
    mt_doc_unref(c->integration);
    mt_sources_fini(&c->sources);
    free(c);
}

struct first {
    struct mt_err err;
    unsigned errors;
};

static void keep_first(void *ud, const struct mt_config_problem *problem)
{
    struct first *first = ud;
    if (!problem->error)
        mt_log(MT_WARN, "%s", problem->text);
    else if (first->errors++ == 0)
        mt_fail(&first->err, MT_EINVAL, "%s", problem->text);
    else if (first->errors <= 10) { /* the others follow while there is room */
        size_t n = strlen(first->err.text);
        snprintf(first->err.text + n, sizeof first->err.text - n, "\n  also: %s", problem->text);
    }
}

enum mt_rc mt_config_load(const struct mt_bundle *bundle, char **environ_list,
                          const struct mt_config_flags *flags, struct mt_config **out, struct mt_err *err)
{
    struct first first = {.errors = 0};
    struct mt_config *c = load(bundle, environ_list, flags, keep_first, &first);
    if (first.errors) {
        mt_config_free(c);
        if (err)
            *err = first.err;
        return MT_EINVAL;
    }
    *out = c;
    return MT_OK;
}

static struct mt_doc *empty_object(void)
{
    struct mt_doc *doc = NULL;
    struct mt_builder *b = mt_builder_new();
    mt_build_object(b);
    mt_build_end(b);
    if (mt_builder_finish(b, &doc, NULL) != MT_OK)
        abort(); /* "{}" cannot be too large, and small records never fail */
    mt_builder_free(b);
    return doc;
}

struct mt_config *mt_config_check(const struct mt_bundle *bundle, char **environ_list,
                                  const struct mt_config_flags *flags,
                                  void (*each)(void *ud, const struct mt_config_problem *problem), void *ud)
{
    struct mt_config *c = load(bundle, environ_list, flags, each, ud);
    if (!c->integration)
        c->integration = empty_object();
    return c;
}
