/* Writing, reading and checking the manifest. Called by pack.c, archive.c, bundle.c. */
#include "bundle/manifest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bundle/identity.h"
#include "bundle/signature.h"

enum { MOST_NAME = 100, DEPTH = 8 };

/* ---- writing ---- */

static void put_list(struct mt_buf *out, bool *first, struct mt_val text)
{
    if (!*first)
        mt_buf_putc(out, ',');
    *first = false;
    mt_buf_put_json_string(out, mt_val_string(text));
}

/* Kinds in the order of their first appearance, each once. */
static void put_kind(struct mt_buf *out, struct mt_keyset *known, bool *first, struct mt_val entry)
{
    struct mt_val kind;
    if (!mt_val_member(entry, MT_SLICE("kind"), &kind) || !mt_val_is(kind, MT_STRING))
        return;
    struct mt_slice text = mt_val_string(kind);
    struct mt_key key = mt_key_of(&text, 1);
    if (mt_keyset_add(known, &key, 0))
        put_list(out, first, kind);
}

/* "kinds" (of the spec's features, and of the mapping) and "hosts": the names of spec.yaml, and the settings
 * that hold addresses, whose hosts join them. No names: any host. */
static void put_scope(struct mt_buf *out, struct mt_val spec, struct mt_val mapping)
{
    struct mt_val features, feature, list, entry, type, name;
    struct mt_keyset *known = mt_keyset_new();
    bool first = true;
    mt_buf_puts(out, "\"kinds\":[");
    if (spec.doc && mt_val_member(spec, MT_SLICE("features"), &features))
        for (uint32_t i = 0; mt_val_index(features, i, &feature); i++)
            for (uint32_t k = 0;
                 mt_val_member(feature, MT_SLICE("resources"), &list) && mt_val_index(list, k, &entry); k++)
                put_kind(out, known, &first, entry);
    if (mapping.doc && mt_val_member(mapping, MT_SLICE("resources"), &list))
        for (uint32_t i = 0; mt_val_index(list, i, &entry); i++)
            put_kind(out, known, &first, entry);
    mt_keyset_free(known);
    mt_buf_puts(out, "],\"hosts\":{\"names\":[");
    first = true;
    bool limited = spec.doc && mt_val_member(spec, MT_SLICE("hosts"), &list) && mt_val_count(list) > 0;
    for (uint32_t i = 0; limited && mt_val_index(list, i, &entry); i++)
        put_list(out, &first, entry);
    mt_buf_puts(out, "],\"settings\":[");
    first = true;
    bool set = spec.doc && mt_val_member(spec, MT_SLICE("configurations"), &list);
    for (uint32_t i = 0; set && mt_val_index(list, i, &entry); i++)
        if (mt_val_member(entry, MT_SLICE("type"), &type) && mt_slice_is(mt_val_string(type), "url") &&
            mt_val_member(entry, MT_SLICE("name"), &name) && mt_val_is(name, MT_STRING))
            put_list(out, &first, name);
    mt_buf_puts(out, "]}");
}

static void put_member(struct mt_buf *out, const char *name, const char *value)
{
    mt_buf_printf(out, "\"%s\":", name);
    mt_buf_put_json_string(out, mt_slice_of(value));
    mt_buf_putc(out, ',');
}

struct release {
    unsigned n[3];
};

static bool parse_release(const char *text, struct release *out)
{
    int length = 0;
    return isdigit((unsigned char)*text) && strlen(text) < 24 &&
           strspn(text, "0123456789.") == strlen(text) &&
           sscanf(text, "%5u.%5u.%5u%n", &out->n[0], &out->n[1], &out->n[2], &length) == 3 &&
           text[length] == '\0';
}

static int compare_release(const struct release *a, const struct release *b)
{
    for (int i = 0; i < 3; i++)
        if (a->n[i] != b->n[i])
            return a->n[i] < b->n[i] ? -1 : 1;
    return 0;
}

/* Made for the minor version that packed it and later ones, up to the next major. */
static void put_runtime(struct mt_buf *out)
{
    struct release now = {{0, 0, 0}};
    parse_release(MT_VERSION, &now);
    mt_buf_printf(out, "\"runtime\":{\"from\":\"%u.%u.0\",\"below\":\"%u.0.0\"},", now.n[0], now.n[1],
                  now.n[0] + 1);
}

static void put_hex(struct mt_buf *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mt_buf_printf(out, "%02x", bytes[i]);
}

enum mt_rc mt_manifest_write(const struct mt_manifest_facts *facts, const struct mt_tree *files,
                             struct mt_buf *out, struct mt_err *err)
{
    mt_buf_printf(out, "{\"format\":%d,", MT_MANIFEST_FORMAT);
    put_member(out, "name", facts->name);
    put_member(out, "type", facts->type);
    put_member(out, "version", facts->version);
    put_runtime(out);
    put_scope(out, facts->spec, facts->mapping);
    mt_buf_puts(out, ",\"files\":[");
    for (size_t i = 0; i < files->count; i++) {
        const struct mt_tree_file *file = &files->files[i];
        uint8_t hash[32];
        mt_sha256((struct mt_slice){file->bytes, file->n}, hash);
        mt_buf_puts(out, i ? ",{" : "{");
        put_member(out, "path", file->path);
        mt_buf_printf(out, "\"size\":%zu,\"sha256\":\"", file->n);
        put_hex(out, hash, sizeof hash);
        mt_buf_puts(out, "\"}");
    }
    mt_buf_puts(out, "]}\n");
    return out->failed
               ? mt_fail(err, MT_ELIMIT, "the manifest is larger than %d MiB", MT_MANIFEST_BYTES >> 20)
               : MT_OK;
}

/* ---- reading ---- */

static enum mt_rc wrong(struct mt_err *err, const char *member, const char *must)
{
    return mt_fail(err, MT_EDATA, "its manifest is damaged: \"%s\" must be %s", member, must);
}

/* Exactly these members: what a later format adds is not for us to leave out. */
static enum mt_rc check_members(struct mt_val object, const char *what, const char *const *names,
                                struct mt_err *err)
{
    struct mt_slice name;
    struct mt_val value;
    if (!mt_val_is(object, MT_OBJECT))
        return wrong(err, what, "an object");
    for (size_t i = 0; names[i]; i++)
        if (!mt_val_member(object, mt_slice_of(names[i]), &value))
            return mt_fail(err, MT_EDATA, "its manifest is damaged: %s has no \"%s\"", what, names[i]);
    for (struct mt_iter it = mt_iter_of(object); mt_iter_next(&it, &name, &value);) {
        size_t i = 0;
        while (names[i] && !mt_slice_is(name, names[i]))
            i++;
        if (!names[i])
            return mt_fail(err, MT_EDATA, "its manifest is damaged: %s has an unknown member \"%.*s\"", what,
                           (int)(name.n < MT_FOREIGN ? name.n : MT_FOREIGN), name.p);
    }
    return MT_OK;
}

bool mt_manifest_is_name(struct mt_slice text)
{
    if (!text.n || text.n > MOST_NAME)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7F)
            return false;
    return true;
}

static enum mt_rc take_text(struct mt_val root, const char *member, char **out, struct mt_err *err)
{
    struct mt_val v;
    struct mt_slice text = {0};
    if (mt_val_member(root, mt_slice_of(member), &v))
        text = mt_val_string(v);
    if (!mt_manifest_is_name(text))
        return wrong(err, member, "a text of 1 to 100 bytes without control characters");
    *out = mt_slice_dup(text);
    return MT_OK;
}

static enum mt_rc check_texts(struct mt_val root, const char *path, struct mt_err *err)
{
    struct mt_val list, entry;
    if (!mt_val_path(root, path, &list) || !mt_val_is(list, MT_ARRAY))
        return wrong(err, path, "a list");
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++)
        if (!mt_val_is(entry, MT_STRING))
            return wrong(err, path, "a list of texts");
    return MT_OK;
}

static enum mt_rc check_runtime(struct mt_val root, struct mt_err *err)
{
    static const char *const members[] = {"from", "below", NULL};
    struct mt_val range, v;
    struct release now, bounds[2];
    char *text[2] = {NULL, NULL};
    enum mt_rc rc = mt_val_member(root, MT_SLICE("runtime"), &range) ? MT_OK : wrong(err, "runtime", "there");
    if (rc == MT_OK)
        rc = check_members(range, "runtime", members, err);
    for (int i = 0; i < 2 && rc == MT_OK; i++) {
        mt_val_member(range, mt_slice_of(members[i]), &v);
        text[i] = mt_slice_dup(mt_val_string(v));
        if (!parse_release(text[i], &bounds[i]))
            rc = wrong(err, "runtime", "two versions such as 1.2.3");
    }
    if (rc == MT_OK && parse_release(MT_VERSION, &now) &&
        (compare_release(&now, &bounds[0]) < 0 || compare_release(&now, &bounds[1]) >= 0))
        rc = mt_fail(err, MT_EINVAL,
                     "it is made for moontide from %s to below %s, and this is %s: take the one, or pack it "
                     "with the other",
                     text[0], text[1], MT_VERSION);
    free(text[0]);
    free(text[1]);
    return rc;
}

static bool parse_hash(struct mt_slice text, uint8_t out[32])
{
    static const char digits[] = "0123456789abcdef";
    if (text.n != 64)
        return false;
    for (size_t i = 0; i < 64; i++) {
        const char *digit = memchr(digits, text.p[i], 16);
        if (!digit)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - digits));
    }
    return true;
}

static enum mt_rc take_file(struct mt_manifest *m, struct mt_val entry, struct mt_err *err)
{
    static const char *const members[] = {"path", "size", "sha256", NULL};
    struct mt_val path, size, hash;
    int64_t n;
    enum mt_rc rc = check_members(entry, "a file", members, err);
    if (rc != MT_OK)
        return rc;
    mt_val_member(entry, MT_SLICE("path"), &path);
    mt_val_member(entry, MT_SLICE("size"), &size);
    mt_val_member(entry, MT_SLICE("sha256"), &hash);
    struct mt_slice text = mt_val_string(path);
    const char *why = text.n ? mt_tree_refuses(text) : "it is empty";
    if (why)
        return mt_fail(err, MT_EDATA, "the path \"%.*s\" is refused: %s",
                       (int)(text.n < MT_FOREIGN ? text.n : MT_FOREIGN), text.n ? text.p : "", why);
    struct mt_manifest_file *file = &m->files[m->count];
    *file = (struct mt_manifest_file){.size = 0};
    if (!mt_val_int64(size, &n) || n < 0)
        return wrong(err, "size", "a number of bytes");
    if (n > MT_TREE_FILE_BYTES)
        return mt_fail(err, MT_ELIMIT, "%.*s is too large: %lld bytes, at most %d", MT_FMT(text),
                       (long long)n, MT_TREE_FILE_BYTES);
    if (!parse_hash(mt_val_string(hash), file->sha256))
        return wrong(err, "sha256", "64 hexadecimal digits in lower case");
    file->size = (size_t)n;
    file->path = mt_slice_dup(text);
    m->count++;
    m->bytes += file->size;
    if (m->bytes > MT_TREE_BYTES)
        return mt_fail(err, MT_ELIMIT, "its files are larger than %d MiB together", MT_TREE_BYTES >> 20);
    return MT_OK;
}

/* Sorted, and no two that are one file where case does not count. */
static enum mt_rc check_order(const struct mt_manifest *m, struct mt_err *err)
{
    struct mt_keyset *known = mt_keyset_new();
    struct mt_buf folded;
    enum mt_rc rc = MT_OK;
    mt_buf_init(&folded, MT_TREE_PATH);
    for (size_t i = 0; i < m->count && rc == MT_OK; i++) {
        const char *path = m->files[i].path;
        mt_tree_fold(path, &folded);
        struct mt_slice text = mt_buf_slice(&folded);
        struct mt_key key = mt_key_of(&text, 1);
        int order = i ? strcmp(m->files[i - 1].path, path) : -1;
        if (order == 0)
            rc = mt_fail(err, MT_EDATA, "it lists %s twice", path);
        else if (!mt_keyset_add(known, &key, 0))
            rc = mt_fail(err, MT_EDATA, "it lists %s twice, with other capitals", path);
        else if (order > 0)
            rc = mt_fail(err, MT_EDATA, "its manifest is damaged: its files are not sorted (%s)", path);
    }
    mt_buf_fini(&folded);
    mt_keyset_free(known);
    return rc;
}

static enum mt_rc take_files(struct mt_manifest *m, struct mt_val root, struct mt_err *err)
{
    struct mt_val list, entry;
    mt_val_member(root, MT_SLICE("files"), &list);
    if (!mt_val_is(list, MT_ARRAY))
        return wrong(err, "files", "a list");
    if (mt_val_count(list) > MT_TREE_FILES)
        return mt_fail(err, MT_ELIMIT, "it lists %u files, at most %d are taken", mt_val_count(list),
                       MT_TREE_FILES);
    m->files = mt_alloc((mt_val_count(list) + (size_t)1) * sizeof *m->files);
    enum mt_rc rc = MT_OK;
    for (uint32_t i = 0; rc == MT_OK && mt_val_index(list, i, &entry); i++)
        rc = take_file(m, entry, err);
    return rc == MT_OK ? check_order(m, err) : rc;
}

static enum mt_rc check(struct mt_manifest *m, struct mt_err *err)
{
    static const char *const members[] = {"format", "name",  "type",  "version", "runtime",
                                          "kinds",  "hosts", "files", NULL};
    static const char *const host_members[] = {"names", "settings", NULL};
    struct mt_val root = mt_doc_root(m->doc), v;
    int64_t format = 0;
    if (!mt_val_member(root, MT_SLICE("format"), &v) || !mt_val_int64(v, &format) || format < 1)
        return wrong(err, "format", "a number");
    if (format > MT_MANIFEST_FORMAT)
        return mt_fail(err, MT_EINVAL,
                       "it has format %lld, and moontide %s reads up to %d: take a newer moontide",
                       (long long)format, MT_VERSION, MT_MANIFEST_FORMAT);
    enum mt_rc rc = check_members(root, "the manifest", members, err);
    if (rc == MT_OK)
        rc = take_text(root, "name", &m->name, err);
    if (rc == MT_OK)
        rc = take_text(root, "type", &m->type, err);
    if (rc == MT_OK)
        rc = take_text(root, "version", &m->version, err);
    if (rc == MT_OK)
        rc = mt_identity_check("its manifest", m->type, m->version, err);
    if (rc == MT_OK)
        rc = check_runtime(root, err);
    if (rc == MT_OK)
        rc = check_texts(root, "kinds", err);
    if (rc == MT_OK && mt_val_member(root, MT_SLICE("hosts"), &v))
        rc = check_members(v, "hosts", host_members, err);
    if (rc == MT_OK)
        rc = check_texts(root, "hosts.names", err);
    if (rc == MT_OK)
        rc = check_texts(root, "hosts.settings", err);
    return rc == MT_OK ? take_files(m, root, err) : rc;
}

enum mt_rc mt_manifest_read(struct mt_slice text, struct mt_manifest **out, struct mt_err *err)
{
    struct mt_doc *doc = NULL;
    struct mt_json_limits limits = {MT_MANIFEST_BYTES, DEPTH};
    enum mt_rc rc = mt_doc_parse_copy(text, &limits, &doc, err);
    if (rc != MT_OK)
        return mt_err_context(err, "its manifest is damaged");
    if (!mt_val_is(mt_doc_root(doc), MT_OBJECT)) {
        mt_doc_unref(doc);
        return mt_fail(err, MT_EDATA, "its manifest is damaged: it must be an object");
    }
    struct mt_manifest *m = mt_alloc(sizeof *m);
    m->doc = doc;
    *out = m;
    return check(m, err);
}

void mt_manifest_free(struct mt_manifest *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        free(m->files[i].path);
    free(m->files);
    free(m->name);
    free(m->type);
    free(m->version);
    mt_doc_unref(m->doc);
    free(m);
}

enum mt_rc mt_manifest_agrees(const struct mt_manifest *m, struct mt_val spec, struct mt_val mapping,
                              struct mt_err *err)
{
    static const char *const members[] = {"kinds", "hosts"};
    struct mt_doc *doc = NULL;
    struct mt_val says, is;
    struct mt_buf text;
    mt_buf_init(&text, MT_MANIFEST_BYTES);
    mt_buf_putc(&text, '{');
    put_scope(&text, spec, mapping);
    mt_buf_putc(&text, '}');
    enum mt_rc rc = mt_doc_parse_copy(mt_buf_slice(&text), NULL, &doc, err);
    for (int i = 0; rc == MT_OK && i < 2; i++)
        if (!mt_val_member(mt_doc_root(m->doc), mt_slice_of(members[i]), &says) ||
            !mt_val_member(mt_doc_root(doc), mt_slice_of(members[i]), &is) || !mt_val_equal(says, is))
            rc = mt_fail(err, MT_EDATA, "the %s of its manifest are not those of its files", members[i]);
    mt_doc_unref(doc);
    mt_buf_fini(&text);
    return rc;
}
