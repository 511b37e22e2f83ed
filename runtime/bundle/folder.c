/* Walking and reading a folder. Called by bundle.c and pack; see folder.h. */
#include "bundle/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    DEEPEST = 16,         /* folders below each other */
    MOST_ENTRIES = 20000, /* looked at: more is somebody's home, no bundle */
    TRIES = 5             /* at a file that changes while it is read */
};

struct walk {
    const char *root;
    bool rest;
    struct mt_folder_list *out;
    struct mt_err *err;
    unsigned seen, depth;
    struct {
        dev_t dev;
        ino_t ino;
    } above[DEEPEST];
};

/* Resolves links. false with errno: it does not exist; *out_inside false: it leads out of root. */
static bool resolve(const char *root, const char *path, char real[PATH_MAX], bool *out_inside)
{
    size_t n = strlen(root);
    if (!realpath(path, real))
        return false;
    *out_inside = strncmp(real, root, n) == 0 && (n <= 1 || real[n] == '/' || real[n] == '\0');
    return true;
}

static enum mt_rc leaves(struct mt_err *err, const char *path)
{
    return mt_fail(err, MT_EINVAL, "%.400s is a symbolic link that leaves the bundle: copy the file into it",
                   path);
}

/* ---- reading ---- */

static enum mt_rc read_to_end(int fd, const char *path, struct mt_buf *out, struct mt_err *err)
{
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        if (!mt_buf_add(out, chunk, (size_t)n))
            return mt_fail(err, MT_ELIMIT, "%.400s is too large: more than %zu bytes", path, out->max);
    return n == 0 ? MT_OK : mt_fail(err, MT_EIO, "%.400s cannot be read: %s", path, strerror(errno));
}

static bool same_moment(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum mt_rc read_regular(int fd, const char *path, struct mt_buf *out, struct mt_err *err)
{
    struct stat before, after;
    for (unsigned i = 0; i < TRIES; i++) {
        mt_buf_clear(out);
        if (fstat(fd, &before) == 0 && !S_ISREG(before.st_mode))
            return mt_fail(err, MT_EINVAL, "%.400s is not a file", path);
        if (fstat(fd, &before) < 0 || lseek(fd, 0, SEEK_SET) < 0)
            return mt_fail(err, MT_EIO, "%.400s cannot be read: %s", path, strerror(errno));
        enum mt_rc rc = read_to_end(fd, path, out, err);
        if (rc != MT_OK)
            return rc;
        if (fstat(fd, &after) == 0 && same_moment(&before, &after) && (uintmax_t)after.st_size == out->n)
            return MT_OK;
    }
    return mt_fail(err, MT_EBUSY, "%.400s changes while it is read: wait until it is written", path);
}

enum mt_rc mt_folder_read(const char *root, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    char real[PATH_MAX];
    bool inside = true;
    int fd = -1;
    enum mt_rc rc;
    mt_buf_clear(out);
    char *path = mt_format("%s/%s", root, relative);
    if (!resolve(root, path, real, &inside))
        rc = mt_fail(err, errno == ENOENT || errno == ENOTDIR ? MT_ENOENT : MT_EIO, "%.400s: %s", path,
                     strerror(errno));
    else if (!inside)
        rc = leaves(err, path);
    else if ((fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        rc = mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "%.400s cannot be read: %s", path,
                     strerror(errno));
    else
        rc = read_regular(fd, path, out, err);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* ---- walking ---- */

static void add(struct mt_folder_list *list, const char *path, bool folder)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 32;
        list->entries = mt_realloc(list->entries, list->room * sizeof *list->entries);
    }
    list->entries[list->count++] = (struct mt_folder_entry){folder ? mt_format("%s/", path) : mt_strdup(path),
                                                            folder ? MT_TREE_NONE : mt_tree_part_of(path)};
}

static bool starts_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* May files of a bundle lie in it? */
static bool is_walked(const char *relative)
{
    if (starts_with(relative, ".port"))
        return strcmp(relative, ".port") == 0 || strcmp(relative, ".port/resources") == 0 ||
               strcmp(relative, ".port/examples") == 0 ||
               (starts_with(relative, ".port/examples/") && !strstr(relative, "/."));
    return relative[0] != '.' && !strstr(relative, "/.");
}

static bool is_rest(const char *relative)
{
    return strcmp(relative, "spec") == 0 || strcmp(relative, ".port/examples") == 0;
}

static enum mt_rc walk(struct walk *w, const char *relative);

static enum mt_rc walk_folder(struct walk *w, const char *relative, const struct stat *st)
{
    /* A folder that has the name of a file which a bundle reads. Those of Lua may be somebody's modules. */
    size_t n = strlen(relative);
    if (mt_tree_part_of(relative) == MT_TREE_RUNS && (n < 4 || strcmp(relative + n - 4, ".lua") != 0))
        return mt_fail(w->err, MT_EINVAL, "%s is a folder, it must be a file%s", relative,
                       starts_with(relative, ".port/resources/") ? " (R-INIT-13)" : "");
    if (!w->rest && is_rest(relative))
        return MT_OK;
    for (unsigned i = 0; i < w->depth; i++)
        if (w->above[i].dev == st->st_dev && w->above[i].ino == st->st_ino) {
            add(w->out, relative, true);
            return MT_OK;
        }
    if (!is_walked(relative)) {
        add(w->out, relative, true);
        return MT_OK;
    }
    if (w->depth == DEEPEST)
        return mt_fail(w->err, MT_ELIMIT, "%.300s/%.300s: more than %d folders below each other", w->root,
                       relative, DEEPEST);
    w->above[w->depth].dev = st->st_dev;
    w->above[w->depth++].ino = st->st_ino;
    enum mt_rc rc = walk(w, relative);
    w->depth--;
    return rc;
}

static enum mt_rc visit(struct walk *w, const char *relative)
{
    struct stat st;
    char real[PATH_MAX];
    bool inside = true, ours = mt_tree_part_of(relative) == MT_TREE_RUNS;
    enum mt_rc rc = MT_OK;
    char *path = mt_format("%s/%s", w->root, relative);
    if (lstat(path, &st) < 0)
        goto out; /* gone since: it is not there */
    if (S_ISLNK(st.st_mode)) {
        bool found = resolve(w->root, path, real, &inside) && stat(real, &st) == 0;
        if (!found && ours)
            rc =
                mt_fail(w->err, MT_EINVAL, "%.400s is a symbolic link to nothing: %s", path, strerror(errno));
        else if (!inside && ours)
            rc = leaves(w->err, path);
        if (!found || !inside) {
            add(w->out, relative, false);
            w->out->entries[w->out->count - 1].part = MT_TREE_NONE;
            goto out;
        }
    }
    if (S_ISDIR(st.st_mode))
        rc = walk_folder(w, relative, &st);
    else if (!S_ISREG(st.st_mode) && ours)
        rc = mt_fail(w->err, MT_EINVAL, "%.400s is not a file", path);
    else
        add(w->out, relative, false);
out:
    free(path);
    return rc;
}

static enum mt_rc walk(struct walk *w, const char *relative)
{
    enum mt_rc rc = MT_OK;
    char *path = *relative ? mt_format("%s/%s", w->root, relative) : mt_strdup(w->root);
    DIR *dir = opendir(path);
    if (!dir && (errno != ENOENT || !*relative))
        rc = mt_fail(w->err, MT_EIO, "%.400s cannot be read: %s", path, strerror(errno));
    for (struct dirent *e; dir && rc == MT_OK && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (++w->seen > MOST_ENTRIES) {
            rc = mt_fail(w->err, MT_ELIMIT,
                         "%.400s holds more than %d files and folders: is it really a bundle? Keep what does "
                         "not belong to it elsewhere",
                         w->root, MOST_ENTRIES);
            break;
        }
        char *below = *relative ? mt_format("%s/%s", relative, e->d_name) : mt_strdup(e->d_name);
        rc = visit(w, below);
        free(below);
    }
    if (dir)
        closedir(dir);
    free(path);
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct mt_folder_entry *x = a, *y = b;
    return strcmp(x->path, y->path);
}

enum mt_rc mt_folder_walk(const char *root, bool rest, struct mt_folder_list *out, struct mt_err *err)
{
    struct stat st;
    struct walk w = {.root = root, .rest = rest, .out = out, .err = err};
    *out = (struct mt_folder_list){0};
    if (stat(root, &st) < 0)
        return mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "%.400s cannot be read: %s", root,
                       strerror(errno));
    w.above[0].dev = st.st_dev;
    w.above[0].ino = st.st_ino;
    w.depth = 1;
    enum mt_rc rc = walk(&w, "");
    if (rc == MT_OK && out->count)
        qsort(out->entries, out->count, sizeof *out->entries, compare);
    if (rc != MT_OK)
        mt_folder_list_fini(out);
    return rc;
}

void mt_folder_list_fini(struct mt_folder_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].path);
    free(list->entries);
    *list = (struct mt_folder_list){0};
}
