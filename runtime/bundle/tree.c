/* Which paths a bundle has, and its files in memory. Called by bundle.c, folder.c, archive.c and manifest.c.
 */
#include "bundle/tree.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"

static const char *const extensions[] = {".json", ".yaml", ".yml"};
static const char *const resources[] = {"blueprints", "port-app-config", "scorecards", "actions", "pages"};

bool mt_tree_is_plain(const char *relative)
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

static bool starts_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && text[n - m - 1] != '/' && strcmp(text + n - m, end) == 0;
}

static bool has_hidden(const char *relative)
{
    return relative[0] == '.' || strstr(relative, "/.") != NULL;
}

static bool is_extension(const char *text)
{
    for (size_t i = 0; i < 3; i++)
        if (strcmp(text, extensions[i]) == 0)
            return true;
    return false;
}

const char *mt_tree_resource(const char *name, bool *out_extension)
{
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        size_t n = strlen(resources[i]);
        if (strncmp(name, resources[i], n) != 0 || (name[n] != '.' && name[n] != '\0'))
            continue;
        *out_extension = is_extension(name + n);
        return resources[i];
    }
    return NULL;
}

/* Below .port/, which path is. */
static enum mt_tree_part port_part(const char *path)
{
    bool known = false;
    if (starts_with(path, "spec."))
        return is_extension(path + 4) ? MT_TREE_RUNS : MT_TREE_NONE;
    if (starts_with(path, "resources/"))
        return mt_tree_resource(path + 10, &known) && known ? MT_TREE_RUNS : MT_TREE_NONE;
    if (!starts_with(path, "examples/") || has_hidden(path) || !ends_with(path, ".json"))
        return MT_TREE_NONE;
    const char *slash = strchr(path + 9, '/');
    return slash && !strchr(slash + 1, '/') ? MT_TREE_REST : MT_TREE_NONE;
}

enum mt_tree_part mt_tree_part_of(const char *relative)
{
    if (!mt_tree_is_plain(relative))
        return MT_TREE_NONE;
    if (starts_with(relative, ".port/"))
        return port_part(relative + 6);
    if (has_hidden(relative))
        return MT_TREE_NONE;
    if (starts_with(relative, "spec/")) {
        bool recording = starts_with(relative, "spec/recordings/") && ends_with(relative, ".ndjson");
        return recording || ends_with(relative, ".lua") ? MT_TREE_REST : MT_TREE_NONE;
    }
    if (strcmp(relative, "README.md") == 0)
        return MT_TREE_REST;
    return strcmp(relative, "config.yaml") == 0 || ends_with(relative, ".lua") ? MT_TREE_RUNS : MT_TREE_NONE;
}

const char *mt_tree_refuses(struct mt_slice relative)
{
    if (relative.n == 0)
        return "it is empty";
    if (relative.p[0] == '/')
        return "it is absolute";
    if (relative.n > MT_TREE_PATH)
        return "it is longer than 200 bytes";
    for (size_t i = 0; i < relative.n; i++) {
        unsigned char c = (unsigned char)relative.p[i];
        if (c >= 0x80)
            return "it holds letters other than those of ASCII";
        if (c < 0x20 || c == 0x7F)
            return "it holds a control character";
        if (strchr("\\:*?\"<>|", c))
            return "it holds one of \\ : * ? \" < > |";
    }
    char text[MT_TREE_PATH + 1];
    memcpy(text, relative.p, relative.n);
    text[relative.n] = '\0';
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, "/");
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return "it holds the part . or ..";
        if (n == 0)
            return "it holds an empty part";
        if (p[n - 1] == '.' || p[n - 1] == ' ')
            return "a part of it ends in a dot or a blank";
        p += n;
        if (!*p)
            break;
    }
    return mt_tree_part_of(text) == MT_TREE_NONE ? "a bundle has no such file" : NULL;
}

void mt_tree_fold(const char *relative, struct mt_buf *out)
{
    mt_buf_clear(out);
    for (; *relative; relative++)
        mt_buf_putc(out, (char)tolower((unsigned char)*relative));
}

enum mt_rc mt_tree_add(struct mt_tree *t, const char *path, struct mt_slice bytes, struct mt_err *err)
{
    size_t n = strlen(path);
    if (t->count == MT_TREE_FILES)
        return mt_fail(err, MT_ELIMIT, "the bundle holds more than %d files", MT_TREE_FILES);
    if (bytes.n > (size_t)MT_TREE_BYTES - t->bytes)
        return mt_fail(err, MT_ELIMIT, "the files of the bundle are larger than %d MiB together",
                       MT_TREE_BYTES >> 20);
    char *block = mt_try_alloc(n + bytes.n + 2);
    if (!block)
        return mt_fail(err, MT_ENOMEM, "%.200s: no memory for %zu bytes", path, bytes.n);
    memcpy(block, path, n + 1);
    if (bytes.n)
        memcpy(block + n + 1, bytes.p, bytes.n);
    block[n + 1 + bytes.n] = '\0';
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 16;
        t->files = mt_realloc(t->files, t->room * sizeof *t->files);
    }
    t->files[t->count++] = (struct mt_tree_file){block, block + n + 1, bytes.n};
    t->bytes += bytes.n;
    return MT_OK;
}

static int compare(const void *a, const void *b)
{
    const struct mt_tree_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

void mt_tree_sort(struct mt_tree *t)
{
    if (t->count)
        qsort(t->files, t->count, sizeof *t->files, compare);
}

const struct mt_tree_file *mt_tree_find(const struct mt_tree *t, const char *path)
{
    size_t from = 0, to = t->count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = strcmp(path, t->files[middle].path);
        if (order == 0)
            return &t->files[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

void mt_tree_fini(struct mt_tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->files[i].path);
    free(t->files);
    *t = (struct mt_tree){0};
}
