/* Private to bundle/: where settings come from. Every source becomes leaves; of two with one path the higher
 * source's stays. */
#ifndef MT_BUNDLE_SOURCES_H
#define MT_BUNDLE_SOURCES_H

#include "bundle/config.h"

/* One setting as it was given. */
struct mt_leaf {
    char *path;          /* "integration.config.github_token": lower snake_case */
    char *text;          /* of a scalar as it was written; NULL: value is an object or array */
    struct mt_val value; /* out of YAML or JSON; no value: plain text of a variable */
    char *source; /* "environment variable OCEAN__PORT__BASE_URL", ".env:3: OCEAN__…", "config.yaml:12:
                     port.baseUrl" */
    char *file;   /* for findings: NULL outside of a file */
    unsigned line;
    bool own;  /* given for this bundle only: its config.yaml, its .env, a variable with its name */
    bool used; /* some setting is called so */
};

struct mt_sources {
    struct mt_leaf *leaves;
    size_t count, room;
    struct mt_doc **docs; /* that values point into */
    size_t doc_count;
    struct mt_variable {
        char *name, *text, *source, *file;
        unsigned line;
        bool shared; /* by all bundles of the process: environment, .env of the working directory */
        bool ours;   /* of the bundle's .env; both when its folder is the working directory */
    } * variables;   /* the last one of a name counts */
    size_t variable_count, variable_room;
    bool several, sealed; /* as mt_config_flags has them */
    char *prefix;         /* "MOONTIDE__BUNDLES__NAME__", NULL without a bundle */
    void (*problem)(void *ud, const struct mt_config_problem *problem);
    void *ud;
};

/* Reads all of them. Problems are told; only what makes reading impossible (memory) fails. bundle NULL: what
 * holds for the process. */
void mt_sources_read(struct mt_sources *s, const struct mt_bundle *bundle, char **environ_list,
                     const struct mt_config_flags *flags);
void mt_sources_fini(struct mt_sources *s);
struct mt_leaf *mt_sources_find(const struct mt_sources *s, const char *path); /* NULL: not given, or null */
/* Is something given below this section ("event_listener")? */
struct mt_leaf *mt_sources_below(const struct mt_sources *s, const char *section);

/* The variables alone, as mt_sources_read begins. */
void mt_sources_variables(struct mt_sources *s, const struct mt_bundle *bundle, char **environ_list);
/* "port.client_id" of OCEAN__PORT__CLIENT_ID; NULL: not a setting of this prefix. The caller frees it. */
char *mt_sources_setting(const char *variable, const char *prefix);
/* How variables of this bundle's own settings begin, for messages. */
const char *mt_sources_prefix(const struct mt_sources *s);

/* bundles.c: variables that name their bundle. Tells of those of the process that can mean one bundle only,
 * and of names that are not among these (all_variables false: in the bundle's own .env only). */
#define MT_BUNDLES_PREFIX "MOONTIDE__BUNDLES__"
void mt_bundles_refuse_shared(const struct mt_sources *s, const struct mt_bundle *bundle);
void mt_bundles_name_unknown(const struct mt_sources *s, const char *const *names, size_t count,
                             bool all_variables);

void mt_sources_problem(const struct mt_sources *s, bool error, bool missing, const char *file, unsigned line,
                        const char *format, ...) __attribute__((format(printf, 6, 7)));

#endif
