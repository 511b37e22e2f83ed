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
    } * variables; /* of the environment and the .env files; the last one of a name counts */
    size_t variable_count, variable_room;
    void (*problem)(void *ud, const struct mt_config_problem *problem);
    void *ud;
};

/* Reads all of them. Problems are told; only what makes reading impossible (memory) fails. */
void mt_sources_read(struct mt_sources *s, const struct mt_bundle *bundle, char **environ_list,
                     const struct mt_config_flags *flags);
void mt_sources_fini(struct mt_sources *s);
struct mt_leaf *mt_sources_find(const struct mt_sources *s, const char *path); /* NULL: not given, or null */
/* Is something given below this section ("event_listener")? */
struct mt_leaf *mt_sources_below(const struct mt_sources *s, const char *section);

void mt_sources_problem(const struct mt_sources *s, bool error, bool missing, const char *file, unsigned line,
                        const char *format, ...) __attribute__((format(printf, 6, 7)));

#endif
