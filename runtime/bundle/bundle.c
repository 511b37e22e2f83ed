/* A bundle as a folder: its spec, its identity, its default resources, and safe reading of its files. Opened
 * by the commands; any thread, one at a time. The bundle owns the documents that it hands out values of. */
#include "bundle/bundle.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/pyproject.h"
#include "bundle/yaml.h"

enum { DOCS = 8 };

struct mt_bundle {
    char *path, *name, *type, *version, *mapping_file, *spec_file;
    struct mt_doc *spec;
    struct mt_doc *docs[DOCS]; /* of the resources */
    unsigned doc_count;
    struct mt_resources resources;
};

static const char *const extensions[] = {".json", ".yaml", ".yml"};

/* ---- reading files ---- */

/* Plain parts between single slashes: nothing absolute, no "." and "..", no NUL (a C string has none). */
static bool is_plain(const char *relative)
{
    if (!*relative)
        return false;
    for (const char *p = relative;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

enum mt_rc mt_bundle_read(const struct mt_bundle *b, const char *relative, struct mt_buf *out,
                          struct mt_err *err)
{
    char real[PATH_MAX], chunk[16384];
    struct stat st;
    size_t root = strlen(b->path);
    int fd = -1;
    enum mt_rc rc = MT_OK;
    mt_buf_clear(out);
    if (!is_plain(relative))
        return mt_fail(
            err, MT_EINVAL,
            "\"%.200s\" is no file name inside of the bundle: write it relative to %s, without \"..\"",
            relative, b->path);
    char *path = mt_format("%s/%s", b->path, relative);
    if (!realpath(path, real))
        rc = mt_fail(err, errno == ENOENT || errno == ENOTDIR ? MT_ENOENT : MT_EIO, "%s: %s", path,
                     strerror(errno));
    else if (strncmp(real, b->path, root) != 0 || (root > 1 && real[root] != '/'))
        rc = mt_fail(err, MT_EINVAL, "%s is a symbolic link that leaves the bundle: copy the file into it",
                     path);
    else if ((fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fstat(fd, &st) < 0)
        rc = mt_fail(err, MT_EIO, "%s cannot be read: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = mt_fail(err, MT_EINVAL, "%s is not a file", path);
    ssize_t n = 0;
    while (rc == MT_OK && (n = read(fd, chunk, sizeof chunk)) > 0)
        if (!mt_buf_add(out, chunk, (size_t)n))
            rc = mt_fail(err, MT_ELIMIT, "%s is too large: more than %zu bytes", path, out->max);
    if (n < 0)
        rc = mt_fail(err, MT_EIO, "%s cannot be read: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* Reads a YAML or JSON file into *out. */
static enum mt_rc read_document(const struct mt_bundle *b, const char *relative, struct mt_doc **out,
                                struct mt_err *err)
{
    char *path = mt_format("%s/%s", b->path, relative);
    enum mt_rc rc = mt_yaml_read_file(path, relative, out, err);
    free(path);
    return rc;
}

static bool exists(const struct mt_bundle *b, const char *relative)
{
    struct stat st;
    char *path = mt_format("%s/%s", b->path, relative);
    bool there = stat(path, &st) == 0;
    free(path);
    return there;
}

/* ---- spec and identity ---- */

/* The first of .port/spec.json, .yaml, .yml (R-CFG-12). */
static enum mt_rc read_spec(struct mt_bundle *b, struct mt_err *err)
{
    for (size_t i = 0; i < 3; i++) {
        char relative[32];
        snprintf(relative, sizeof relative, ".port/spec%s", extensions[i]);
        if (!exists(b, relative))
            continue;
        b->spec_file = mt_strdup(relative);
        enum mt_rc rc = read_document(b, relative, &b->spec, err);
        if (rc == MT_OK && !mt_val_is(mt_doc_root(b->spec), MT_OBJECT))
            rc = mt_fail(err, MT_EINVAL, "%s: its top level must be an object (R-CFG-12)", relative);
        return rc;
    }
    return MT_OK;
}

static char *lower(char *text)
{
    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

/* What may stand in a User-Agent and a URL path without being quoted. */
static bool is_identity(const char *text)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("._-+~", *text))
            return false;
    return true;
}

static enum mt_rc take_identity(struct mt_bundle *b, const char *key, char **out, struct mt_err *err)
{
    struct mt_val v;
    if (*out || !b->spec || !mt_val_member(mt_doc_root(b->spec), mt_slice_of(key), &v) ||
        mt_val_is(v, MT_NULL))
        return MT_OK;
    struct mt_slice text = mt_val_is(v, MT_NUMBER) ? mt_val_literal(v) : mt_val_string(v);
    if (!text.n)
        return mt_fail(err, MT_EINVAL, "%s: \"%s\" must be a text that is not empty", b->spec_file, key);
    *out = mt_slice_dup(text);
    return MT_OK;
}

/* Type and version (architecture 3.1): the spec, pyproject.toml, the folder's name. */
static enum mt_rc find_identity(struct mt_bundle *b, struct mt_err *err)
{
    struct mt_buf text;
    enum mt_rc rc = take_identity(b, "type", &b->type, err);
    if (rc == MT_OK)
        rc = take_identity(b, "version", &b->version, err);
    if (rc != MT_OK)
        return rc;
    mt_buf_init(&text, 1 << 20);
    if (exists(b, "pyproject.toml")) {
        rc = mt_bundle_read(b, "pyproject.toml", &text, err);
        if (rc == MT_OK && !b->type)
            b->type = mt_pyproject_value(mt_buf_slice(&text), "name");
        if (rc == MT_OK && !b->version)
            b->version = mt_pyproject_value(mt_buf_slice(&text), "version");
    }
    mt_buf_fini(&text);
    if (rc != MT_OK)
        return rc;
    if (!b->type) {
        b->type = mt_strdup(b->name);
        for (char *p = b->type; *p; p++)
            if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                *p = '-';
    }
    if (!b->version)
        b->version = mt_strdup("0.0.0");
    lower(b->type);
    if (!is_identity(b->type) || !is_identity(b->version))
        return mt_fail(
            err, MT_EINVAL,
            "%s: the type \"%.100s\" and the version \"%.60s\" may hold letters, digits and ._-+~ only",
            b->path, b->type, b->version);
    return MT_OK;
}

/* ---- default resources (R-INIT-13) ---- */

struct slot {
    const char *base;
    enum mt_kind kind;
    struct mt_val *out;
    char *file; /* as found */
};

static enum mt_rc take_name(struct slot *slots, size_t count, const char *name, struct mt_err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(slots[i].base);
        if (strncmp(name, slots[i].base, n) != 0 || (name[n] != '.' && name[n] != '\0'))
            continue;
        bool known = false;
        for (size_t e = 0; e < 3; e++)
            known |= strcmp(name + n, extensions[e]) == 0;
        if (!known)
            return mt_fail(
                err, MT_EINVAL,
                ".port/resources/%s: %s must be a .json, .yaml or .yml file (R-INIT-13): rename it", name,
                slots[i].base);
        if (slots[i].file)
            return mt_fail(err, MT_EINVAL, ".port/resources holds both %s and %s: remove one", slots[i].file,
                           name);
        slots[i].file = mt_strdup(name);
    }
    return MT_OK;
}

static enum mt_rc read_resource(struct mt_bundle *b, const struct slot *slot, struct mt_err *err)
{
    struct stat st;
    struct mt_doc *doc = NULL;
    char *relative = mt_format(".port/resources/%s", slot->file),
         *path = mt_format("%s/%s", b->path, relative);
    enum mt_rc rc;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        rc = mt_fail(err, MT_EINVAL, "%s is a folder, it must be a file (R-INIT-13)", relative);
    else
        rc = mt_yaml_read_file(path, relative, &doc, err);
    if (rc == MT_OK && !mt_val_is(mt_doc_root(doc), slot->kind)) {
        rc = mt_fail(err, MT_EINVAL, "%s: its top level must be %s", relative,
                     slot->kind == MT_ARRAY ? "a list" : "an object");
        mt_doc_unref(doc);
    } else if (rc == MT_OK) {
        b->docs[b->doc_count++] = doc;
        *slot->out = mt_doc_root(doc);
        if (slot->out == &b->resources.mapping)
            b->resources.mapping_file = b->mapping_file = mt_strdup(relative);
    }
    free(relative);
    free(path);
    return rc;
}

static enum mt_rc read_resources(struct mt_bundle *b, struct mt_err *err)
{
    struct mt_resources *r = &b->resources;
    struct slot slots[] = {{"blueprints", MT_ARRAY, &r->blueprints, NULL},
                           {"port-app-config", MT_OBJECT, &r->mapping, NULL},
                           {"scorecards", MT_ARRAY, &r->scorecards, NULL},
                           {"actions", MT_ARRAY, &r->actions, NULL},
                           {"pages", MT_ARRAY, &r->pages, NULL}};
    size_t count = sizeof slots / sizeof *slots;
    char *path = mt_format("%s/.port/resources", b->path);
    enum mt_rc rc = MT_OK;
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT)
        mt_log(MT_WARN,
               "the bundle %s has no .port/resources: Port gets no default blueprints and no default mapping "
               "from it",
               b->name);
    else if (!dir)
        rc = mt_fail(err, errno == ENOTDIR ? MT_EINVAL : MT_EIO, "%s cannot be read: %s", path,
                     strerror(errno));
    for (struct dirent *e; dir && rc == MT_OK && (e = readdir(dir));)
        rc = take_name(slots, count, e->d_name, err);
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < count; i++) {
        if (rc == MT_OK && slots[i].file)
            rc = read_resource(b, &slots[i], err);
        free(slots[i].file);
    }
    free(path);
    return rc;
}

/* ---- */

static enum mt_rc check_folder(const char *path, char real[PATH_MAX], struct mt_err *err)
{
    struct stat st;
    if (!realpath(path, real))
        return mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "the bundle %.400s cannot be opened: %s",
                       path, strerror(errno));
    if (stat(real, &st) < 0)
        return mt_fail(err, MT_EIO, "the bundle %.400s cannot be opened: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return mt_fail(err, MT_EINVAL, "%.400s is not a bundle: name the folder that holds main.lua", path);
    char *main = mt_format("%s/main.lua", real);
    bool found = stat(main, &st) == 0 && S_ISREG(st.st_mode);
    free(main);
    return found ? MT_OK : mt_fail(err, MT_EINVAL, "%.400s is not a bundle: it holds no main.lua", path);
}

enum mt_rc mt_bundle_open(const char *path, struct mt_bundle **out, struct mt_err *err)
{
    char real[PATH_MAX];
    enum mt_rc rc = check_folder(path, real, err);
    if (rc != MT_OK)
        return rc;
    struct mt_bundle *b = mt_alloc(sizeof *b);
    const char *slash = strrchr(real, '/');
    b->path = mt_strdup(real);
    b->name = mt_strdup(slash && slash[1] ? slash + 1 : "root");
    rc = read_spec(b, err);
    if (rc == MT_OK)
        rc = find_identity(b, err);
    if (rc == MT_OK)
        rc = read_resources(b, err);
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
    for (unsigned i = 0; i < b->doc_count; i++)
        mt_doc_unref(b->docs[i]);
    mt_doc_unref(b->spec);
    free(b->path);
    free(b->name);
    free(b->type);
    free(b->version);
    free(b->mapping_file);
    free(b->spec_file);
    free(b);
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
    return b->type;
}

const char *mt_bundle_version(const struct mt_bundle *b)
{
    return b->version;
}

struct mt_val mt_bundle_spec(const struct mt_bundle *b)
{
    return b->spec ? mt_doc_root(b->spec) : (struct mt_val){NULL, 0};
}

const char *mt_bundle_spec_file(const struct mt_bundle *b)
{
    return b->spec_file;
}

const struct mt_resources *mt_bundle_resources(const struct mt_bundle *b)
{
    return &b->resources;
}
