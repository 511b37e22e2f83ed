/* The manifest of a packed bundle: who it is, what it is made for, where it may go, and the size and SHA-256
 * of each of its files. Pure; a manifest may be read by any thread. */
#ifndef MT_BUNDLE_MANIFEST_H
#define MT_BUNDLE_MANIFEST_H

#include "bundle/tree.h"
#include "json/document.h"

/* The first and one of the other two come first in the archive; none can be the name of a bundle's file. */
#define MT_MANIFEST_NAME "manifest.json"
#define MT_SIGNATURE_NAME "manifest.sig"
#define MT_CHECKSUM_NAME "manifest.sha256"

enum { MT_MANIFEST_FORMAT = 1, MT_MANIFEST_BYTES = 2 << 20 };

struct mt_manifest_file {
    char *path;
    size_t size;
    uint8_t sha256[32];
};

struct mt_manifest {
    struct mt_doc *doc; /* the whole of it: format, name, type, version, runtime, kinds, hosts, files */
    char *name, *type, *version;
    struct mt_manifest_file *files; /* sorted by path */
    size_t count, bytes;            /* bytes: of all files together */
};

/* What a bundle says about itself: its spec (or no value), its mapping (or no value). */
struct mt_manifest_facts {
    const char *name, *type, *version;
    struct mt_val spec, mapping;
};

/* Canonical: members in one order, no blanks, one line. files: sorted. */
enum mt_rc mt_manifest_write(const struct mt_manifest_facts *facts, const struct mt_tree *files,
                             struct mt_buf *out, struct mt_err *err);

/* A text of 1 to 100 bytes without control characters. */
bool mt_manifest_is_name(struct mt_slice text);

/* Checks everything that can be known without the files. What fits no bundle of this format is refused; *out
 * is set all the same when it could be read as far as for showing it: doc, and no files. */
enum mt_rc mt_manifest_read(struct mt_slice text, struct mt_manifest **out, struct mt_err *err);
void mt_manifest_free(struct mt_manifest *m);

/* Do kinds and hosts, which people read in it, say what the files do? */
enum mt_rc mt_manifest_agrees(const struct mt_manifest *m, struct mt_val spec, struct mt_val mapping,
                              struct mt_err *err);

#endif
