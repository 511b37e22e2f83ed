/* A packed bundle as bytes: tar (ustar, pax) in one frame of zstd, by libarchive; nothing is ever unpacked to
 * disk. First the manifest, then its signature or its checksum, then exactly the files that the manifest
 * lists, in its order. Any thread. */
#ifndef MT_BUNDLE_ARCHIVE_H
#define MT_BUNDLE_ARCHIVE_H

#include "base/library.h"
#include "bundle/manifest.h"
#include "bundle/signature.h"

enum { MT_ARCHIVE_BYTES = 64 << 20 }; /* of a packed file */

struct mt_package {
    struct mt_manifest *manifest;
    struct mt_tree tree; /* sorted */
    bool is_signed;      /* and the signature fits the manifest */
    struct mt_public_key signer;
};

/* A packed file's bytes; out (of MT_ARCHIVE_BYTES) is cleared first. */
enum mt_rc mt_archive_read_file(const char *path, struct mt_buf *out, struct mt_err *err);

/* Every file is checked against its hash; whole: also spec/, README.md and the examples are kept. trust:
 * refuses what this key did not sign; NULL: anything. When it is refused, out still has what was read safely:
 * the manifest as far as mt_manifest_read says, the signer, no files. Release with mt_package_fini in any
 * case. */
enum mt_rc mt_package_read(struct mt_slice bytes, const struct mt_public_key *trust, bool whole,
                           struct mt_package *out, struct mt_err *err);
void mt_package_fini(struct mt_package *p);

/* The same bytes for the same input. signature: NULL for none. */
enum mt_rc mt_package_write(const struct mt_tree *files, struct mt_slice manifest,
                            const struct mt_slice *signature, struct mt_buf *out, struct mt_err *err);

struct mt_library mt_archive_library(void);

#endif
