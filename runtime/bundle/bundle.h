/* A bundle: the folder (later also the packed file) of an integration, its parts read and checked. Any
 * thread, one at a time. */
#ifndef MT_BUNDLE_BUNDLE_H
#define MT_BUNDLE_BUNDLE_H

#include "json/document.h"

struct mt_bundle;

/* Opens a folder: it must hold main.lua. Reads .port/spec.{json,yaml,yml} (may be absent: no checks of the
 * configuration), pyproject.toml beside .port/ (name and version), .port/resources. Nothing of Lua is run.
 * Errors name file and line. */
enum mt_rc mt_bundle_open(const char *path, struct mt_bundle **out, struct mt_err *err);
void mt_bundle_free(struct mt_bundle *b);

const char *mt_bundle_path(const struct mt_bundle *b); /* absolute, without a trailing slash */
const char *mt_bundle_name(const struct mt_bundle *b); /* the folder's name */
const char *
mt_bundle_type(const struct mt_bundle *b); /* spec.yaml, pyproject.toml, folder's name; lower case */
const char *mt_bundle_version(const struct mt_bundle *b);   /* spec.yaml, pyproject.toml, "0.0.0" */
struct mt_val mt_bundle_spec(const struct mt_bundle *b);    /* the spec as a document; no value when absent */
const char *mt_bundle_spec_file(const struct mt_bundle *b); /* ".port/spec.yaml"; NULL when absent */

/* A file of the bundle by its relative path ("main.lua", "lib/client.lua"); no "..", no absolute path, no
 * symbolic link that leaves the bundle. MT_ENOENT when it does not exist. out is cleared first. */
enum mt_rc mt_bundle_read(const struct mt_bundle *b, const char *relative, struct mt_buf *out,
                          struct mt_err *err);

/* Default resources of Port (R-INIT-13): each a value, or no value when the file is absent. */
struct mt_resources {
    struct mt_val blueprints; /* array */
    struct mt_val mapping;    /* object: port-app-config */
    struct mt_val scorecards; /* array of {"blueprint","data":[…]} */
    struct mt_val actions;    /* array */
    struct mt_val pages;      /* array */
    const char *mapping_file; /* relative path of the mapping for messages; NULL when absent */
};
const struct mt_resources *mt_bundle_resources(const struct mt_bundle *b);

#endif
