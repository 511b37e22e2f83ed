/* Configuration of one integration: flags, environment, .env, the bundle's config.yaml, defaults (R-CFG). */
#ifndef MT_BUNDLE_CONFIG_H
#define MT_BUNDLE_CONFIG_H

#include "bundle/bundle.h"

struct mt_config;

struct mt_config_flags { /* what the command line sets; NULL or -1: not given */
    const char *port_url;
    const char *state_file;
};

/* Reads everything and validates it against the spec (R-CFG-08, R-CFG-12…17). environ_list: NAME=VALUE texts
 * ended by NULL. Sensitive values are handed to mt_mask_add. Errors (MT_EINVAL) name the setting, where it
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

/* Settings by dotted snake case name ("port.base_url", "upsert_entities_batch_max_length"); defaults of
 * R-CFG-08 filled in. NULL / the given default when unset. Borrowed. Ours: "state_file",
 * "port.retry_deadline_seconds" (120). "port.base_url" is NULL with the embedded catalog;
 * "process_in_queue_max_workers" is 0 when unset: as many as CPUs. Of R-CFG-07: "application.log_level" and
 * so on. */
const char *mt_config_text(const struct mt_config *c, const char *name);
int64_t mt_config_int(const struct mt_config *c, const char *name);
bool mt_config_bool(const struct mt_config *c, const char *name);

/* True when neither Port credentials nor a base URL are set: Port is the embedded catalog. */
bool mt_config_embedded(const struct mt_config *c);

const char *mt_config_type(const struct mt_config *c); /* lower case */
const char *mt_config_version(const struct mt_config *c);
const char *mt_config_identifier(const struct mt_config *c); /* default my-<type>-integration */

/* The integration's own values, one member for each configuration of the spec, by its camelCase name; unset:
 * null. Without a spec: what is given, unchecked. */
struct mt_val mt_config_integration(const struct mt_config *c);
bool mt_config_is_sensitive(const struct mt_config *c, struct mt_slice name);

#endif
