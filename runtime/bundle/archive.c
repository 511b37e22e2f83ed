/* Packed bundles through libarchive, of which the tar format and the zstd filter are used and nothing else.
 * Called by bundle.c, pack.c and the commands inspect and pack.
 *
 * What costs something is bounded before it is paid: the frame by mt_frame_check, so that a decompressor that
 * reads it to its end handles at most MOST_UNPACKED bytes; the number and size of the files by the manifest,
 * which comes first and is bounded itself. Entries are compared with the manifest one by one, so a name that
 * it does not list, a second one, and one that is missing are all noticed where they stand. */
#include "bundle/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "bundle/frame.h"

/* Content, headers and padding of the largest bundle take 70 MiB; the rest is because a compressor may split
 * its blocks, of which each counts as a full one. That is a quarter of a second at most. */
enum { MOST_UNPACKED = 512 << 20, MOST_SIGNATURE = 4096, MOST_RATIO = 200, FREE_OF_RATIO = 1 << 20 };

struct reading {
    struct archive *archive;
    struct archive_entry *entry;
    bool ended;
    const char *path; /* of the entry */
    struct mt_buf data;
    struct mt_err *err;
};

/* ---- reading entries ---- */

static const char *kind_of(struct archive_entry *entry)
{
    if (archive_entry_hardlink(entry) || archive_entry_hardlink_w(entry))
        return "a hard link";
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return archive_entry_sparse_count(entry) > 0 ? "a sparse file" : NULL;
    case AE_IFLNK:
        return "a symbolic link";
    case AE_IFDIR:
        return "a folder";
    case AE_IFCHR:
    case AE_IFBLK:
        return "a device";
    case AE_IFIFO:
        return "a fifo";
    default:
        return "no file";
    }
}

static enum mt_rc damaged(const struct reading *r)
{
    const char *why = archive_error_string(r->archive);
    return mt_fail(r->err, MT_EDATA, "it is damaged: %.200s", why ? why : "its tar archive ends too early");
}

static enum mt_rc next(struct reading *r)
{
    int code = archive_read_next_header(r->archive, &r->entry);
    r->path = NULL;
    if (code == ARCHIVE_EOF) {
        r->ended = true;
        return MT_OK;
    }
    if (code != ARCHIVE_OK)
        return damaged(r);
    r->path = archive_entry_pathname(r->entry);
    if (!r->path)
        return mt_fail(r->err, MT_EDATA, "an entry of it has no name that can be read");
    const char *kind = kind_of(r->entry);
    if (kind)
        return mt_fail(r->err, MT_EDATA, "its entry \"%.*s\" is %s: only plain files are taken", MT_FOREIGN,
                       r->path, kind);
    return MT_OK;
}

/* The entry's content: exactly its size, which is at most `most`. */
static enum mt_rc read_data(struct reading *r, size_t most)
{
    char chunk[16384];
    la_int64_t size = archive_entry_size_is_set(r->entry) ? archive_entry_size(r->entry) : -1;
    mt_buf_clear(&r->data);
    if (size < 0 || (uint64_t)size > most)
        return mt_fail(r->err, MT_ELIMIT, "its entry %.*s is too large: %lld bytes, at most %zu", MT_FOREIGN,
                       r->path, (long long)size, most);
    la_ssize_t n;
    while ((n = archive_read_data(r->archive, chunk, sizeof chunk)) > 0)
        if (r->data.n + (size_t)n > (size_t)size || !mt_buf_add(&r->data, chunk, (size_t)n))
            return mt_fail(r->err, MT_ELIMIT, "its entry %.*s holds more than it says", MT_FOREIGN, r->path);
    return n < 0 || r->data.n != (size_t)size ? damaged(r) : MT_OK;
}

/* ---- manifest and signature ---- */

static enum mt_rc check_signer(const struct mt_package *p, const struct mt_public_key *trust,
                               struct mt_err *err)
{
    char signer[MT_KEY_TEXT], wanted[MT_KEY_TEXT];
    if (!trust || (p->is_signed && memcmp(p->signer.b, trust->b, sizeof trust->b) == 0))
        return MT_OK;
    mt_public_key_text(trust, wanted);
    if (!p->is_signed)
        return mt_fail(err, MT_EAUTH, "nobody signed it, and --trust asks for the key %s", wanted);
    return mt_fail(err, MT_EAUTH, "it is signed by the key %s, and --trust asks for %s",
                   mt_public_key_text(&p->signer, signer), wanted);
}

/* The SHA-256 of the manifest as a line of text. */
static struct mt_slice checksum(struct mt_slice manifest, char out[66])
{
    uint8_t hash[32];
    mt_sha256(manifest, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    memcpy(out + 64, "\n", 2);
    return (struct mt_slice){out, 65};
}

/* What follows the manifest: a signature or, so that accidents are noticed there too, a checksum of it. */
static enum mt_rc read_seal(struct reading *r, struct mt_slice manifest, struct mt_package *out)
{
    char text[66];
    bool is_signature = !r->ended && strcmp(r->path, MT_SIGNATURE_NAME) == 0;
    if (!is_signature && (r->ended || strcmp(r->path, MT_CHECKSUM_NAME) != 0))
        return mt_fail(r->err, MT_EDATA,
                       "its second entry is neither " MT_SIGNATURE_NAME " nor " MT_CHECKSUM_NAME);
    enum mt_rc rc = read_data(r, MOST_SIGNATURE);
    if (rc != MT_OK)
        return rc;
    if (is_signature)
        rc = mt_signature_check(mt_buf_slice(&r->data), manifest, &out->signer, r->err);
    else if (!mt_slice_eq(mt_buf_slice(&r->data), checksum(manifest, text)))
        rc = mt_fail(r->err, MT_EDATA, "its manifest was altered: its SHA-256 is another one");
    out->is_signed = is_signature && rc == MT_OK;
    return rc;
}

/* Signature and trust first: what they refuse is read for showing it only. */
static enum mt_rc read_head(struct reading *r, const struct mt_public_key *trust, size_t packed,
                            struct mt_package *out)
{
    struct mt_buf manifest;
    struct mt_err ignored;
    mt_buf_init(&manifest, MT_MANIFEST_BYTES);
    enum mt_rc rc = next(r);
    if (rc == MT_OK && (r->ended || strcmp(r->path, MT_MANIFEST_NAME) != 0))
        rc = mt_fail(r->err, MT_EDATA, "it is no packed bundle: its first entry is not " MT_MANIFEST_NAME);
    if (rc == MT_OK)
        rc = read_data(r, MT_MANIFEST_BYTES);
    if (rc != MT_OK)
        goto out;
    mt_buf_put(&manifest, mt_buf_slice(&r->data));
    rc = next(r);
    if (rc == MT_OK)
        rc = read_seal(r, mt_buf_slice(&manifest), out);
    if (rc == MT_OK)
        rc = next(r);
    if (rc == MT_OK)
        rc = check_signer(out, trust, r->err);
    enum mt_rc read =
        mt_manifest_read(mt_buf_slice(&manifest), &out->manifest, rc == MT_OK ? r->err : &ignored);
    if (rc == MT_OK)
        rc = read;
    if (rc == MT_OK && out->manifest->bytes > FREE_OF_RATIO && out->manifest->bytes / MOST_RATIO > packed)
        rc = mt_fail(r->err, MT_ELIMIT, "its files are more than %d times as large as it is", MOST_RATIO);
out:
    mt_buf_fini(&manifest);
    return rc;
}

/* ---- files ---- */

/* Why the entry is not the one that the manifest has at this place. */
static enum mt_rc unexpected(const struct reading *r, const struct mt_manifest *m, size_t at)
{
    const char *why = mt_tree_refuses(mt_slice_of(r->path));
    if (why)
        return mt_fail(r->err, MT_EDATA, "the path \"%.*s\" is refused: %s", MT_FOREIGN, r->path, why);
    for (size_t i = 0; i < at; i++)
        if (strcmp(m->files[i].path, r->path) == 0)
            return mt_fail(r->err, MT_EDATA, "it holds %s twice", r->path);
    for (size_t i = at; i < m->count; i++)
        if (strcmp(m->files[i].path, r->path) == 0)
            return mt_fail(r->err, MT_EDATA, "%s is missing, which its manifest lists before %s",
                           m->files[at].path, r->path);
    return mt_fail(r->err, MT_EDATA, "it holds %s, which its manifest does not list", r->path);
}

static enum mt_rc read_files(struct reading *r, bool whole, struct mt_package *out)
{
    const struct mt_manifest *m = out->manifest;
    uint8_t hash[32];
    for (size_t i = 0; i < m->count || !r->ended; i++) {
        const struct mt_manifest_file *file = &m->files[i];
        if (r->ended)
            return mt_fail(r->err, MT_EDATA, "%s is missing, which its manifest lists", file->path);
        if (i >= m->count || strcmp(r->path, file->path) != 0)
            return unexpected(r, m, i);
        enum mt_rc rc = read_data(r, file->size);
        if (rc != MT_OK)
            return rc;
        mt_sha256(mt_buf_slice(&r->data), hash);
        if (r->data.n != file->size || memcmp(hash, file->sha256, sizeof hash) != 0)
            return mt_fail(r->err, MT_EDATA, "%s was altered: its SHA-256 is not that of the manifest",
                           file->path);
        if (whole || mt_tree_part_of(file->path) == MT_TREE_RUNS)
            rc = mt_tree_add(&out->tree, file->path, mt_buf_slice(&r->data), r->err);
        if (rc == MT_OK)
            rc = next(r);
        if (rc != MT_OK)
            return rc;
    }
    return MT_OK;
}

/* The file is opened once: one that is put in its place meanwhile is the next opening's. */
enum mt_rc mt_archive_read_file(const char *path, struct mt_buf *out, struct mt_err *err)
{
    char chunk[65536];
    struct stat before, after;
    ssize_t n = -1;
    mt_buf_clear(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &before) < 0)
        goto failed;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        if (!mt_buf_add(out, chunk, (size_t)n)) {
            close(fd);
            return mt_fail(err, MT_ELIMIT, "it is larger than %d MiB", MT_ARCHIVE_BYTES >> 20);
        }
    if (n < 0 || fstat(fd, &after) < 0)
        goto failed;
    close(fd);
    if (before.st_size == after.st_size && (uintmax_t)after.st_size == out->n)
        return MT_OK;
    return mt_fail(err, MT_EBUSY,
                   "it is being written: put a new one in its place with mv, and it is never seen in halves");
failed:
    n = errno;
    if (fd >= 0)
        close(fd);
    return mt_fail(err, n == ENOENT ? MT_ENOENT : MT_EIO, "it cannot be read: %s", strerror((int)n));
}

enum mt_rc mt_package_read(struct mt_slice bytes, const struct mt_public_key *trust, bool whole,
                           struct mt_package *out, struct mt_err *err)
{
    struct reading r = {.err = err};
    *out = (struct mt_package){0};
    enum mt_rc rc = mt_frame_check(bytes, MOST_UNPACKED, err);
    if (rc != MT_OK)
        return rc;
    mt_buf_init(&r.data, MT_TREE_FILE_BYTES);
    r.archive = archive_read_new();
    /* Reads on behind the end of a tar archive, so that what hides there is noticed as an entry too many. */
    if (!r.archive || archive_read_support_filter_zstd(r.archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(r.archive) != ARCHIVE_OK ||
        archive_read_set_format_option(r.archive, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK)
        rc = mt_fail(err, MT_EIO, "libarchive %s cannot read zstd and tar", archive_version_details());
    else if (archive_read_open_memory(r.archive, bytes.p, bytes.n) != ARCHIVE_OK)
        rc = damaged(&r);
    if (rc == MT_OK)
        rc = read_head(&r, trust, bytes.n, out);
    if (rc == MT_OK)
        rc = read_files(&r, whole, out);
    if (rc != MT_OK)
        mt_tree_fini(&out->tree);
    archive_read_free(r.archive);
    mt_buf_fini(&r.data);
    return rc;
}

void mt_package_fini(struct mt_package *p)
{
    mt_manifest_free(p->manifest);
    mt_tree_fini(&p->tree);
    *p = (struct mt_package){0};
}

/* ---- writing ---- */

static la_ssize_t collect(struct archive *a, void *ud, const void *bytes, size_t n)
{
    if (mt_buf_add(ud, bytes, n))
        return (la_ssize_t)n;
    archive_set_error(a, -1, "it is larger than %d MiB", MT_ARCHIVE_BYTES >> 20);
    return -1;
}

/* A plain file of nobody, from the beginning of time. */
static bool write_entry(struct archive *a, const char *path, struct mt_slice bytes)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, (la_int64_t)bytes.n);
    bool good = archive_write_header(a, entry) == ARCHIVE_OK &&
                (!bytes.n || archive_write_data(a, bytes.p, bytes.n) == (la_ssize_t)bytes.n);
    archive_entry_free(entry);
    return good;
}

enum mt_rc mt_package_write(const struct mt_tree *files, struct mt_slice manifest,
                            const struct mt_slice *signature, struct mt_buf *out, struct mt_err *err)
{
    struct archive *a = archive_write_new();
    enum mt_rc rc = MT_OK;
    char text[66];
    bool good = a && archive_write_set_format_pax_restricted(a) == ARCHIVE_OK &&
                archive_write_add_filter_zstd(a) == ARCHIVE_OK &&
                archive_write_set_filter_option(a, "zstd", "compression-level", "15") == ARCHIVE_OK &&
                archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
                archive_write_open(a, out, NULL, collect, NULL) == ARCHIVE_OK &&
                write_entry(a, MT_MANIFEST_NAME, manifest) &&
                write_entry(a, signature ? MT_SIGNATURE_NAME : MT_CHECKSUM_NAME,
                            signature ? *signature : checksum(manifest, text));
    for (size_t i = 0; good && i < files->count; i++)
        good =
            write_entry(a, files->files[i].path, (struct mt_slice){files->files[i].bytes, files->files[i].n});
    good = good && archive_write_close(a) == ARCHIVE_OK;
    if (!good)
        rc = mt_fail(err, MT_EIO, "libarchive cannot pack it: %.200s",
                     a && archive_error_string(a) ? archive_error_string(a) : "no zstd");
    archive_write_free(a);
    return rc;
}

struct mt_library mt_archive_library(void)
{
    return (struct mt_library){"libarchive", ARCHIVE_VERSION_ONLY_STRING, archive_version_string(),
                               archive_libzstd_version()};
}
