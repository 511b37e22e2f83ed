/* The start of a resync: Port's record of the integration, whose mapping runs, default resources, compiled
 * resources. On the resync thread.
 *
 * Order as Ocean's (A-rules §18): GET integration, create or update it, default resources, mapping. A plan
 * only reads. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "port/resources.h"
#include "sync/diff.h"
#include "sync/session.h"

static bool wants_local(struct mt_session *s)
{
    return s->options->local_mapping || mt_config_embedded(s->config);
}

/* A mapping's validated form, from the bundle's file. *out stays NULL when the bundle has none. */
static enum mt_rc local_mapping(struct mt_session *s, struct mt_appconfig **out, struct mt_err *err)
{
    const struct mt_resources *resources = mt_bundle_resources(s->bundle);
    if (!resources->mapping.doc)
        return MT_OK;
    struct mt_mapping_options o = {mt_config_bool(s->config, "allow_environment_variables_jq_access"),
                                   resources->mapping_file};
    return mt_appconfig_new(resources->mapping, &o, out, err);
}

static bool is_filled(struct mt_val config)
{
    return config.doc && mt_val_is(config, MT_OBJECT) && mt_val_count(config) > 0;
}

/* Makes Port's stored mapping the file's when it differs (architecture 3.1). */
static enum mt_rc put_mapping(struct mt_session *s, struct mt_appconfig *local, struct mt_err *err)
{
    struct mt_doc *wire = NULL;
    struct mt_val stored;
    enum mt_rc rc = mt_appconfig_wire(local, &wire, err);
    if (rc != MT_OK)
        return rc;
    if (!mt_integration_member(&s->integration, "config", &stored) ||
        !mt_val_equal(stored, mt_doc_root(wire)))
        rc = mt_integration_put_mapping(s->port, &s->integration, mt_doc_root(wire), err);
    mt_doc_unref(wire);
    return rc;
}

static enum mt_rc create_record(struct mt_session *s, struct mt_appconfig *local, struct mt_err *err)
{
    struct mt_doc *wire = NULL;
    if (local) {
        enum mt_rc rc = mt_appconfig_wire(local, &wire, err);
        if (rc != MT_OK)
            return rc;
    }
    enum mt_rc rc =
        mt_integration_create(s->port, &s->integration, wire ? mt_doc_root(wire) : (struct mt_val){0}, err);
    mt_doc_unref(wire);
    return rc;
}

/* Default resources, once for an integration (R-INIT-12); in the embedded catalog, whose only author they
 * are, at every start. */
static enum mt_rc apply_defaults(struct mt_session *s, struct mt_err *err)
{
    struct mt_val initialized;
    bool embedded = mt_config_embedded(s->config);
    bool done = mt_integration_member(&s->integration, "arePortResourcesInitialized", &initialized) &&
                mt_val_true(initialized);
    if (!mt_config_bool(s->config, "initialize_port_resources") || (done && !embedded))
        return MT_OK;
    const struct mt_resources *r = mt_bundle_resources(s->bundle);
    struct mt_defaults defaults = {r->blueprints, r->scorecards, r->actions, r->pages};
    if (done)
        defaults = (struct mt_defaults){.blueprints = r->blueprints};
    enum mt_rc rc = mt_defaults_apply(s->port, &defaults, embedded, err);
    if (rc == MT_OK && !done)
        rc = mt_integration_mark_initialized(s->port, &s->integration, err);
    return rc;
}

static enum mt_rc sync_record(struct mt_session *s, struct mt_appconfig *local, struct mt_err *err)
{
    struct mt_val stored;
    enum mt_rc rc = mt_integration_get(s->port, &s->integration, err);
    if (rc != MT_OK || s->options->plan)
        return rc;
    if (!s->integration.doc)
        rc = create_record(s, local, err);
    if (rc == MT_OK)
        rc = mt_integration_update(s->port, &s->integration, err);
    if (rc == MT_OK && local &&
        (wants_local(s) || !mt_integration_member(&s->integration, "config", &stored) || !is_filled(stored)))
        rc = put_mapping(s, local, err);
    return rc == MT_OK ? apply_defaults(s, err) : rc;
}

static enum mt_rc choose_mapping(struct mt_session *s, struct mt_appconfig **local, struct mt_err *err)
{
    struct mt_val stored = {0};
    bool have = mt_integration_member(&s->integration, "config", &stored) && is_filled(stored);
    const char *from;
    if (*local && (wants_local(s) || !have)) {
        s->mapping = *local;
        *local = NULL;
        from = mt_bundle_resources(s->bundle)->mapping_file;
    } else if (have) {
        struct mt_mapping_options o = {mt_config_bool(s->config, "allow_environment_variables_jq_access"),
                                       "Port's mapping"};
        enum mt_rc rc = mt_appconfig_new(stored, &o, &s->mapping, err);
        if (rc != MT_OK)
            return rc;
        from = "Port";
    } else {
        return mt_fail(err, MT_EINVAL,
                       "there is no mapping: Port's is empty (R-MAP-07) and the bundle has no "
                       ".port/resources/port-app-config.yml");
    }
    char digest[33];
    for (size_t i = 0; i < sizeof s->mapping->digest.b; i++)
        snprintf(digest + 2 * i, 3, "%02x", s->mapping->digest.b[i]);
    mt_report_mapping(s->report, from, digest);
    mt_log(MT_INFO, "mapping: %s (digest %s), %u resources", from, digest, s->mapping->resource_count);
    return MT_OK;
}

static bool is_wanted(struct mt_session *s, const char *kind)
{
    const char *const *k = s->options->kinds;
    for (; k && *k; k++)
        if (strcmp(*k, kind) == 0)
            return true;
    return !s->options->kinds;
}

/* Stable over edits that do not touch it: kind, blueprint expression and selector, and which of those that
 * share all three (architecture 3.4.1). A name that a changed order gave to another resource would let that
 * one prove what it never produced. */
static char *stable_name(struct mt_session *s, unsigned index)
{
    const struct mt_mapping *m = s->mapping->resources[index];
    struct mt_slice kind = mt_mapping_kind(m), blueprint = mt_mapping_blueprint_expression(m);
    struct mt_key selector = mt_val_digest(mt_mapping_selector(m));
    char hex[2 * sizeof selector.b + 1];
    unsigned before = 0;
    for (size_t i = 0; i < sizeof selector.b; i++)
        snprintf(hex + 2 * i, 3, "%02x", selector.b[i]);
    for (unsigned i = 0; i < index; i++) {
        const struct mt_mapping *other = s->mapping->resources[i];
        struct mt_key key = mt_val_digest(mt_mapping_selector(other));
        before += mt_slice_eq(kind, mt_mapping_kind(other)) &&
                  mt_slice_eq(blueprint, mt_mapping_blueprint_expression(other)) &&
                  memcmp(&selector, &key, sizeof key) == 0;
    }
    return mt_format("%.*s %.*s %s #%u", MT_FMT(kind), MT_FMT(blueprint), hex, before);
}

static enum mt_rc list_resources(struct mt_session *s, struct mt_err *err)
{
    unsigned n = s->mapping->resource_count;
    s->resources = mt_alloc((n + (size_t)1) * sizeof *s->resources);
    for (unsigned i = 0; i < n; i++) {
        struct mt_resource *r = &s->resources[s->resource_count++];
        r->mapping = s->mapping->resources[i];
        r->kind = mt_slice_dup(mt_mapping_kind(r->mapping));
        r->name = stable_name(s, i);
        r->include = mt_diff_include(r->mapping);
        r->report = mt_report_kind(s->report, r->kind, i);
        r->mappers = mt_alloc((mt_pool_count(s->pool) + (size_t)1) * sizeof(struct mt_mapper *));
        r->empty = mt_alloc((mt_mapping_field_count(r->mapping) + (size_t)1) * sizeof *r->empty);
        r->wanted = is_wanted(s, r->kind);
    }
    for (const char *const *k = s->options->kinds; k && *k; k++) {
        bool known = false;
        for (unsigned i = 0; i < n; i++)
            known |= strcmp(s->resources[i].kind, *k) == 0;
        if (!known)
            return mt_fail(err, MT_EINVAL, "--kind %s: the mapping has no such kind (it has %s%s%s)", *k,
                           n ? s->resources[0].kind : "none", n > 1 ? ", " : "",
                           n > 2   ? "…"
                           : n > 1 ? s->resources[1].kind
                                   : "");
    }
    return MT_OK;
}

/* ---- compiling, side by side on the workers: an expression that does not compile stops the start ---- */

struct compiling {
    struct mt_job job;
    struct mt_resource *r;
    struct compilation *all;
    enum mt_rc rc;
    struct mt_err err;
};

struct compilation {
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned left;
};

static void compile(struct mt_job *job, unsigned worker)
{
    struct compiling *c = (struct compiling *)job;
    c->rc = mt_mapper_new(c->r->mapping, &c->r->mappers[worker], &c->err);
    pthread_mutex_lock(&c->all->lock);
    c->all->left--;
    pthread_cond_signal(&c->all->done);
    pthread_mutex_unlock(&c->all->lock);
}

static enum mt_rc compile_resources(struct mt_session *s, struct mt_err *err)
{
    struct compilation all = {.left = s->resource_count};
    struct compiling *jobs = mt_alloc((s->resource_count + (size_t)1) * sizeof *jobs);
    enum mt_rc rc = MT_OK;
    pthread_mutex_init(&all.lock, NULL);
    pthread_cond_init(&all.done, NULL);
    for (unsigned i = 0; i < s->resource_count; i++) {
        jobs[i] = (struct compiling){.job = {.work = compile}, .r = &s->resources[i], .all = &all};
        mt_pool_submit(s->pool, &jobs[i].job);
    }
    pthread_mutex_lock(&all.lock);
    while (all.left)
        pthread_cond_wait(&all.done, &all.lock);
    pthread_mutex_unlock(&all.lock);
    for (unsigned i = 0; rc == MT_OK && i < s->resource_count; i++) {
        rc = jobs[i].rc;
        if (rc != MT_OK && err)
            *err = jobs[i].err;
    }
    pthread_cond_destroy(&all.done);
    pthread_mutex_destroy(&all.lock);
    free(jobs);
    return rc;
}

enum mt_rc mt_session_start(struct mt_session *s, struct mt_err *err)
{
    struct mt_appconfig *local = NULL;
    enum mt_rc rc = local_mapping(s, &local, err);
    if (rc == MT_OK)
        rc = sync_record(s, local, err);
    if (rc == MT_OK)
        rc = choose_mapping(s, &local, err);
    mt_appconfig_free(local);
    if (rc == MT_OK)
        rc = list_resources(s, err);
    if (rc == MT_OK)
        rc = compile_resources(s, err);
    if (rc != MT_OK)
        return rc;
    s->upsert = (struct mt_upsert_options){s->mapping->merge, s->mapping->create_missing};
    s->started_us = mt_wall_us();
    s->started_ns = mt_now_ns();
    mt_port_event(s->port, "resync", s->event_id);
    return MT_OK;
}
