/* A bundle: the folder or the packed file (.mtb) of an integration, its parts read and checked. Any thread,
 * one at a time.
 *
 * It is a snapshot: what a process runs of a bundle (Lua, .port/, config.yaml) is read once, at the opening,
 * so that a file that is saved later belongs to the next one that is opened, never to this one. */
#ifndef MT_BUNDLE_BUNDLE_H
#define MT_BUNDLE_BUNDLE_H

#include "base/keyset.h"
#include "bundle/signature.h"
#include "json/document.h"

struct mt_bundle;

struct mt_bundle_options {
    const char *trust; /* file of a public key (NAME.pub): refuses whatever it did not sign, folders too;
                          NULL: anything */
    bool whole;        /* keeps spec/, README.md and .port/examples of a packed file as well */
};

/* Opens a folder (it must hold main.lua) or a packed file (NAME.mtb). options NULL: the defaults. Reads
 * .port/spec.{json,yaml,yml} (may be absent: no checks of the configuration), pyproject.toml beside .port/
 * (name and version), .port/resources. Nothing of Lua is run. Errors name file and line. */
enum mt_rc mt_bundle_open(const char *path, const struct mt_bundle_options *options, struct mt_bundle **out,
                          struct mt_err *err);
void mt_bundle_free(struct mt_bundle *b);

const char *mt_bundle_path(const struct mt_bundle *b); /* absolute, without a trailing slash */
const char *mt_bundle_name(const struct mt_bundle *b); /* the folder's name, the file's without .mtb */
bool mt_bundle_is_packed(const struct mt_bundle *b);
bool mt_bundle_signer(const struct mt_bundle *b, char out[MT_KEY_TEXT]); /* false: nobody signed it */
const char *
mt_bundle_type(const struct mt_bundle *b); /* spec.yaml, pyproject.toml, folder's name; lower case */
const char *mt_bundle_version(const struct mt_bundle *b);   /* spec.yaml, pyproject.toml, "0.0.0" */
struct mt_val mt_bundle_spec(const struct mt_bundle *b);    /* the spec as a document; no value when absent */
const char *mt_bundle_spec_file(const struct mt_bundle *b); /* ".port/spec.yaml"; NULL when absent */

/* A file of the bundle by its relative path ("main.lua", "lib/client.lua"); no "..", no absolute path, no
 * symbolic link that leaves the bundle. MT_ENOENT when it does not exist. out is cleared first. */
enum mt_rc mt_bundle_read(const struct mt_bundle *b, const char *relative, struct mt_buf *out,
                          struct mt_err *err);

/* The bundle's files below a folder ("" for all), sorted by path; those of architecture 3.2 only, the same
 * for a folder and the file packed from it (spec/, README.md and examples of a packed file only with
 * `whole`). */
enum mt_rc mt_bundle_list(const struct mt_bundle *b, const char *folder,
                          void (*each)(void *ud, const char *relative), void *ud, struct mt_err *err);
/* Digest of what runs of it, for "did this change?": of the files whose path starts with prefix and ends with
 * suffix (either may be ""), path and content. */
struct mt_key mt_bundle_digest(const struct mt_bundle *b, const char *prefix, const char *suffix);
/* Hosts that the bundle may reach: `hosts` of the spec; count 0: it names none, any. Owned by the bundle. */
const char *const *mt_bundle_hosts(const struct mt_bundle *b, size_t *out_count);

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
