/* Configuration of one integration: flags, variables that name the bundle, environment, .env of the working
 * directory, .env of the bundle's folder, its config.yaml, defaults (R-CFG). Every function on any thread. */
#ifndef MT_BUNDLE_CONFIG_H
#define MT_BUNDLE_CONFIG_H

#include "bundle/bundle.h"

struct mt_config;

struct mt_config_flags { /* what the command line sets; NULL or -1: not given */
    const char *port_url;
    const char *state_file;
    bool several; /* one of several bundles of the process: OCEAN__INTEGRATION__… of the process, which can
                     mean one only, is refused, and what is the process's (see below) is not taken from the
                     bundle's own sources */
    bool sealed;  /* no .env file is read: what a test finds must not depend on where it runs */
};

/* Reads everything and validates it against the spec (R-CFG-08, R-CFG-12…17). environ_list: NAME=VALUE texts
 * ended by NULL. bundle NULL: what holds for the process, without the integration's own values checked.
 * Sensitive values are handed to mt_mask_add. Errors (MT_EINVAL) name the setting, where it
 * came from (variable, file and line) and how to mend it. */
enum mt_rc mt_config_load(const struct mt_bundle *bundle, char **environ_list,
                          const struct mt_config_flags *flags, struct mt_config **out, struct mt_err *err);
void mt_config_free(struct mt_config *c);

/* For validate: the same, but every problem is told and none ends it; what is missing or wrong is null in the
 * result. */
struct mt_config_problem {
    bool error;       /* else a warning */
    bool missing;     /* an error only because a value is not given here */
    const char *file; /* relative to the bundle; NULL: not in a file of it */
    unsigned line;    /* 0: unknown */
    const char *text; /* with the setting, its source, and how to mend it */
};
struct mt_config *mt_config_check(const struct mt_bundle *bundle, char **environ_list,
                                  const struct mt_config_flags *flags,
                                  void (*each)(void *ud, const struct mt_config_problem *problem), void *ud);

/* Variables of one bundle of the process are MOONTIDE__BUNDLES__NAME__…, NAME being the bundle's name in
 * capitals, other bytes than A-Z and 0-9 as '_'. They mean what OCEAN__… means, for this bundle alone.
 *
 * NAME of a bundle; the caller frees it. */
char *mt_config_variable_name(const char *bundle_name);
/* Before several bundles are loaded: MT_EINVAL when two of them have one NAME. */
enum mt_rc mt_config_check_names(const char *const *bundle_names, size_t count, struct mt_err *err);
/* With several bundles: tells of variables (environment, .env of the working directory) whose NAME none of
 * them has, with the nearest. For a single bundle the loading does it. */
void mt_config_unknown_bundles(const char *const *bundle_names, size_t count, char **environ_list,
                               void (*each)(void *ud, const struct mt_config_problem *problem), void *ud);

/* Settings by dotted snake case name ("port.base_url", "upsert_entities_batch_max_length"); defaults of
 * R-CFG-08 filled in. NULL / 0 / false when unset. Borrowed. "port.base_url" is NULL with the embedded
 * catalog; "process_in_queue_max_workers" is 0 when unset: as many as CPUs.
 *   event_listener.should_resync, .should_process_webhooks, .should_run_actions: as the type has them
 *     (R-LIS-01) unless they are set; .type is POLLING, WEBHOOK, ONCE or WEBHOOKS_ONLY: the others are errors
 *   disable_ip_outbound_blocker: true on OnPrem, false on Saas
 *   scheduled_resync_interval: takes R-LIS-21's texts; as a number minutes, rounded up; 0: unset.
 *     "scheduled_resync_interval_seconds" is the exact one
 * Ours: state_file, port.retry_deadline_seconds (120), reload.drain_seconds (600), and of the process:
 * admin.listen ("127.0.0.1:8001"; "": none), log.format ("text" or "json"), max_concurrent_resyncs (4),
 * engine ("native" or "libjq"), jq.steps and jq.memory_mb (limits of an expression; 0: the engine's own); of
 * the process are also application.port (8000) and application.log_level (R-CFG-07). */
const char *mt_config_text(const struct mt_config *c, const char *name);
int64_t mt_config_int(const struct mt_config *c, const char *name);
bool mt_config_bool(const struct mt_config *c, const char *name);
/* Makes engine, jq.steps and jq.memory_mb hold for the process. Before any thread that maps is started. */
void mt_config_set_engine(const struct mt_config *c);

/* True when neither Port credentials nor a base URL are set: Port is the embedded catalog. */
bool mt_config_embedded(const struct mt_config *c);

/* Of all settings and values together, for "did this change?". */
struct mt_key mt_config_digest(const struct mt_config *c);

const char *mt_config_type(const struct mt_config *c); /* lower case */
const char *mt_config_version(const struct mt_config *c);
const char *mt_config_identifier(const struct mt_config *c); /* default my-<type>-integration */

/* The integration's own values, one member for each configuration of the spec, by its camelCase name; unset:
 * null. Without a spec: what is given, unchecked. */
struct mt_val mt_config_integration(const struct mt_config *c);
bool mt_config_is_sensitive(const struct mt_config *c, struct mt_slice name);

#endif
