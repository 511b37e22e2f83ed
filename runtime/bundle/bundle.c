/* A bundle, opened: a snapshot of its files, its documents, who it is. Opened by the commands and, for each
 * reload, by the service; any thread, one at a time. The bundle owns the documents that it hands out values
 * of. What is kept is what runs; spec/, README.md and the examples of a folder stay on disk. */
#include "bundle/bundle.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "bundle/archive.h"
#include "bundle/folder.h"
#include "bundle/identity.h"
#include "bundle/resources.h"

struct mt_bundle {
    char *path, *name;
    struct mt_identity identity;
    struct mt_tree tree;
    struct mt_bundle_docs docs;
    char **hosts;
    size_t host_count;
    bool is_packed, is_signed;
    struct mt_public_key signer;
};

/* ---- opening ---- */

static enum mt_rc check_entry(const struct mt_folder_entry *entry, struct mt_err *err)
{
    static const char folder[] = ".port/resources/";
    bool known = true;
    if (entry->part != MT_TREE_NONE || strncmp(entry->path, folder, sizeof folder - 1) != 0)
        return MT_OK;
    const char *name = entry->path + sizeof folder - 1, *base = mt_tree_resource(name, &known);
    if (!base || known)
        return MT_OK;
    return mt_fail(err, MT_EINVAL,
                   ".port/resources/%.200s: %s must be a .json, .yaml or .yml file (R-INIT-13): rename it",
                   name, base);
}

static enum mt_rc read_folder(struct mt_bundle *b, struct mt_err *err)
{
    struct mt_folder_list list;
    struct mt_buf text;
    mt_buf_init(&text, MT_TREE_FILE_BYTES);
    enum mt_rc rc = mt_folder_walk(b->path, false, &list, err);
    for (size_t i = 0; rc == MT_OK && i < list.count; i++) {
        const struct mt_folder_entry *entry = &list.entries[i];
        rc = check_entry(entry, err);
        if (rc != MT_OK || entry->part != MT_TREE_RUNS)
            continue;
        rc = mt_folder_read(b->path, entry->path, &text, err);
        if (rc == MT_OK)
            rc = mt_tree_add(&b->tree, entry->path, mt_buf_slice(&text), err);
        else if (rc == MT_ENOENT) /* gone since it was listed */
            rc = MT_OK;
    }
    mt_folder_list_fini(&list);
    mt_buf_fini(&text);
    mt_tree_sort(&b->tree);
    if (rc == MT_OK && !mt_tree_find(&b->tree, "main.lua"))
        rc = mt_fail(err, MT_EINVAL, "%.400s is not a bundle: it holds no main.lua", b->path);
    return rc;
}

static enum mt_rc find_identity(struct mt_bundle *b, struct mt_err *err)
{
    struct mt_buf text;
    mt_buf_init(&text, 1 << 20);
    enum mt_rc rc = mt_folder_read(b->path, "pyproject.toml", &text, err);
    bool found = rc == MT_OK;
    if (found || rc == MT_ENOENT) {
        struct mt_slice toml = mt_buf_slice(&text);
        rc = mt_identity_find(mt_bundle_spec(b), b->docs.spec_file, found ? &toml : NULL, b->name, b->path,
                              &b->identity, err);
    }
    mt_buf_fini(&text);
    return rc;
}

static enum mt_rc open_folder(struct mt_bundle *b, const struct mt_bundle_options *o, struct mt_err *err)
{
    if (o->trust)
        return mt_fail(
            err, MT_EAUTH,
            "%.400s is a folder, and --trust takes only what that key signed: pack it (moontide pack "
            "BUNDLE -o FILE.mtb --sign NAME.key) and give the file",
            b->path);
    enum mt_rc rc = read_folder(b, err);
    if (rc == MT_OK)
        rc = mt_bundle_docs_read(&b->tree, b->name, &b->docs, err);
    if (rc == MT_OK)
        rc = find_identity(b, err);
    return rc;
}

static enum mt_rc take_package(struct mt_bundle *b, const struct mt_package *p, struct mt_err *err)
{
    const struct mt_manifest *m = p->manifest;
    if (!mt_tree_find(&b->tree, "main.lua"))
        return mt_fail(err, MT_EDATA, "it holds no main.lua");
    b->identity = (struct mt_identity){mt_strdup(m->type), mt_strdup(m->version)};
    enum mt_rc rc = mt_bundle_docs_read(&b->tree, b->name, &b->docs, err);
    return rc == MT_OK ? mt_manifest_agrees(m, mt_bundle_spec(b), b->docs.resources.mapping, err) : rc;
}

static enum mt_rc open_packed(struct mt_bundle *b, const struct mt_bundle_options *o, struct mt_err *err)
{
    struct mt_package package = {0};
    struct mt_public_key trust;
    struct mt_buf bytes;
    mt_buf_init(&bytes, MT_ARCHIVE_BYTES);
    enum mt_rc rc = o->trust ? mt_public_key_read(o->trust, &trust, err) : MT_OK;
    if (rc != MT_OK)
        goto out;
    rc = mt_archive_read_file(b->path, &bytes, err);
    if (rc == MT_OK)
        rc = mt_package_read(mt_buf_slice(&bytes), o->trust ? &trust : NULL, o->whole, &package, err);
    if (rc == MT_OK) {
        b->is_packed = true;
        b->is_signed = package.is_signed;
        b->signer = package.signer;
        b->tree = package.tree;
        package.tree = (struct mt_tree){0};
        rc = take_package(b, &package, err);
    }
    if (rc != MT_OK)
        mt_err_context(err, "the packed bundle %.300s is refused", b->path);
out:
    mt_package_fini(&package);
    mt_buf_fini(&bytes);
    return rc;
}

static bool is_mtb(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && path[n - 5] != '/' && strcmp(path + n - 4, ".mtb") == 0;
}

/* Files go by the name that they are given, so that one can be run twice, and a link keeps its name when it
 * is turned to another version. */
static char *name_of(const char *path, bool packed)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*name)
        name = "root";
    return mt_slice_dup((struct mt_slice){name, strlen(name) - (packed ? 4 : 0)});
}

enum mt_rc mt_bundle_open(const char *path, const struct mt_bundle_options *options, struct mt_bundle **out,
                          struct mt_err *err)
{
    struct mt_bundle_options o = options ? *options : (struct mt_bundle_options){0};
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(path, real) || stat(real, &st) < 0)
        return mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "the bundle %.400s cannot be opened: %s",
                       path, strerror(errno));
    bool folder = S_ISDIR(st.st_mode);
    const char *named = is_mtb(path) ? path : real;
    if (!folder && !(S_ISREG(st.st_mode) && is_mtb(named)))
        return mt_fail(err, MT_EINVAL,
                       "%.400s is not a bundle: name the folder that holds main.lua, or a packed file (.mtb)",
                       path);
    struct mt_bundle *b = mt_alloc(sizeof *b);
    b->path = mt_strdup(real);
    b->name = name_of(folder ? real : named, !folder);
    enum mt_rc rc = folder ? open_folder(b, &o, err) : open_packed(b, &o, err);
    if (rc == MT_OK)
        rc = mt_identity_hosts(mt_bundle_spec(b), b->docs.spec_file, &b->hosts, &b->host_count, err);
    if (rc == MT_OK)
        *out = b;
    else
        mt_bundle_free(b);
    return rc;
}

void mt_bundle_free(struct mt_bundle *b)
{
    if (!b)
        return;
    mt_bundle_docs_fini(&b->docs);
    mt_tree_fini(&b->tree);
    free(b->identity.type);
    free(b->identity.version);
    free(b->hosts);
    free(b->path);
    free(b->name);
    free(b);
}

/* ---- files ---- */

enum mt_rc mt_bundle_read(const struct mt_bundle *b, const char *relative, struct mt_buf *out,
                          struct mt_err *err)
{
    mt_buf_clear(out);
    if (!mt_tree_is_plain(relative))
        return mt_fail(
            err, MT_EINVAL,
            "\"%.200s\" is no file name inside of the bundle: write it relative to %.400s, without \"..\"",
            relative, b->path);
    const struct mt_tree_file *file = mt_tree_find(&b->tree, relative);
    if (file) {
        if (mt_buf_add(out, file->bytes, file->n))
            return MT_OK;
        return mt_fail(err, MT_ELIMIT, "%.400s/%s is too large: more than %zu bytes", b->path, relative,
                       out->max);
    }
    if (b->is_packed)
        return mt_fail(err, MT_ENOENT, "%.400s holds no %s", b->path, relative);
    enum mt_rc rc = mt_folder_read(b->path, relative, out, err);
    if (rc == MT_OK && mt_tree_part_of(relative) == MT_TREE_RUNS) {
        /* Made after the bundle was opened: it belongs to the next one that is. */
        mt_buf_clear(out);
        rc = mt_fail(err, MT_ENOENT, "%.400s/%s: not there when the bundle was opened", b->path, relative);
    }
    return rc;
}

/* Is path below the folder ("" for all)? */
static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return n == 0 || (strncmp(path, folder, n) == 0 && path[n] == '/');
}

enum mt_rc mt_bundle_list(const struct mt_bundle *b, const char *folder,
                          void (*each)(void *ud, const char *relative), void *ud, struct mt_err *err)
{
    struct mt_folder_list disk = {0};
    size_t i = 0, k = 0;
    if (*folder && !mt_tree_is_plain(folder))
        return mt_fail(err, MT_EINVAL, "\"%.200s\" is no folder inside of the bundle", folder);
    enum mt_rc rc = b->is_packed ? MT_OK : mt_folder_walk(b->path, true, &disk, err);
    if (rc != MT_OK && rc != MT_ENOENT)
        return rc;
    /* Both are sorted, and no path is in both. */
    while (i < b->tree.count || k < disk.count) {
        if (k < disk.count && disk.entries[k].part != MT_TREE_REST) {
            k++;
            continue;
        }
        bool kept =
            k == disk.count || (i < b->tree.count && strcmp(b->tree.files[i].path, disk.entries[k].path) < 0);
        const char *path = kept ? b->tree.files[i++].path : disk.entries[k++].path;
        if (is_below(path, folder))
            each(ud, path);
    }
    mt_folder_list_fini(&disk);
    return MT_OK;
}

struct mt_key mt_bundle_digest(const struct mt_bundle *b, const char *prefix, const char *suffix)
{
    struct mt_buf keys;
    size_t n = strlen(prefix), m = strlen(suffix);
    mt_buf_init(&keys, (MT_TREE_FILES + 1) * sizeof(struct mt_key));
    for (size_t i = 0; i < b->tree.count; i++) {
        const struct mt_tree_file *file = &b->tree.files[i];
        size_t length = strlen(file->path);
        if (mt_tree_part_of(file->path) != MT_TREE_RUNS || length < n || length < m ||
            strncmp(file->path, prefix, n) != 0 || strcmp(file->path + length - m, suffix) != 0)
            continue;
        struct mt_slice parts[] = {{file->path, length}, {file->bytes, file->n}};
        struct mt_key key = mt_key_of(parts, 2);
        mt_buf_add(&keys, &key, sizeof key);
    }
    if (!n && !m) { /* who it is may come from outside of its files */
        struct mt_slice parts[] = {mt_slice_of(b->identity.type), mt_slice_of(b->identity.version)};
        struct mt_key key = mt_key_of(parts, 2);
        mt_buf_add(&keys, &key, sizeof key);
    }
    struct mt_slice all = mt_buf_slice(&keys);
    struct mt_key key = mt_key_of(&all, 1);
    mt_buf_fini(&keys);
    return key;
}

/* ---- what it is ---- */

bool mt_bundle_is_packed(const struct mt_bundle *b)
{
    return b->is_packed;
}

bool mt_bundle_signer(const struct mt_bundle *b, char out[MT_KEY_TEXT])
{
    if (b->is_signed)
        mt_public_key_text(&b->signer, out);
    return b->is_signed;
}

const char *mt_bundle_path(const struct mt_bundle *b)
{
    return b->path;
}

const char *mt_bundle_name(const struct mt_bundle *b)
{
    return b->name;
}

const char *mt_bundle_type(const struct mt_bundle *b)
{
    return b->identity.type;
}

const char *mt_bundle_version(const struct mt_bundle *b)
{
    return b->identity.version;
}

struct mt_val mt_bundle_spec(const struct mt_bundle *b)
{
    return b->docs.spec ? mt_doc_root(b->docs.spec) : (struct mt_val){NULL, 0};
}

const char *mt_bundle_spec_file(const struct mt_bundle *b)
{
    return b->docs.spec_file;
}

const char *const *mt_bundle_hosts(const struct mt_bundle *b, size_t *out_count)
{
    *out_count = b->host_count;
    return (const char *const *)b->hosts;
}

const struct mt_resources *mt_bundle_resources(const struct mt_bundle *b)
{
    return &b->docs.resources;
}
