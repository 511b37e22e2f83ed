/* A generation: one version of a bundle, loaded, its mapping compiled, its configuration checked; what the
 * work that starts from now on uses. Made on a loader thread beside the one at work, immutable afterwards;
 * counted on the loop's thread. */
#ifndef MT_SERVICE_GENERATION_H
#define MT_SERVICE_GENERATION_H

#include "bundle/appconfig.h"
#include "sync/source.h"

/* A source is shared by the generations that changed only the mapping. Counted on the loop's thread. */
struct mt_shared_source {
    struct mt_source *source;
    unsigned refs;
    bool ran; /* a resync used it: it must be closed on the loop's thread */
};

struct mt_generation {
    unsigned number;
    struct mt_version *version;
    struct mt_shared_source *source; /* NULL until it is taken over from the one before */
    struct mt_appconfig *mapping;    /* of the bundle's file, checked; NULL: it has none */
    char *base_url;                  /* Port's */
    struct mt_key bundle, handlers, settings;
    int64_t loaded_us;
    char *changed;              /* for people: "main.lua, .port/…"; NULL for the first one */
    bool all_changed;           /* a resync of some kinds would not show it */
    const char **changed_kinds; /* of mapping's resources that are new or differ; ended by NULL */
    unsigned refs;              /* loop thread */
};

struct mt_generation_options {
    struct mt_place *place;
    const char *path;
    const char *trust;
    struct mt_config_flags flags;
    unsigned number;
    struct mt_version *version;         /* already read; NULL: read it now */
    const struct mt_generation *before; /* NULL: the first one */
    const struct mt_version *known;     /* that the process stands at Port with; NULL: with none yet */
    const char *known_url;              /* Port's, where there is one */
};

/* MT_OK with *out NULL: nothing has changed since `before`. Errors name file and line; what cannot change
 * without a restart (identifier, type, Port's address, event listener) is MT_EINVAL. Any thread. */
enum mt_rc mt_generation_load(const struct mt_generation_options *options, struct mt_generation **out,
                              struct mt_err *err);
/* Loop thread; on another one only what was never in use. */
void mt_generation_free(struct mt_generation *g);
struct mt_generation *mt_generation_ref(struct mt_generation *g);
void mt_generation_unref(struct mt_generation *g);
struct mt_shared_source *mt_shared_source_ref(struct mt_shared_source *s);

#endif
