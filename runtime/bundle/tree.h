/* The files of a bundle in memory, and which paths are a bundle's at all (architecture 3.2). A tree belongs
 * to one thread while it grows; read-only it may be shared. */
#ifndef MT_BUNDLE_TREE_H
#define MT_BUNDLE_TREE_H

#include "base/buf.h"
#include "base/keyset.h"

/* Ceilings, for folders and packed files alike: what is bigger is no bundle, or one that holds something that
 * does not belong there. */
enum {
    MT_TREE_FILES = 4096,
    MT_TREE_PATH = 200, /* bytes of a path */
    MT_TREE_FILE_BYTES = 16 << 20,
    MT_TREE_BYTES = 64 << 20
};

enum mt_tree_part {
    MT_TREE_NONE, /* no part of a bundle: not packed */
    MT_TREE_RUNS, /* Lua, .port/spec.*, .port/resources, config.yaml */
    MT_TREE_REST  /* spec/, README.md, .port/examples */
};

/* Plain parts between single slashes: nothing absolute, no "." and "..", not empty. */
bool mt_tree_is_plain(const char *relative);
enum mt_tree_part mt_tree_part_of(const char *relative);
/* NULL, or why a packed file may not hold such a path: it must mean one file, the same on every file system.
 * Static storage. */
const char *mt_tree_refuses(struct mt_slice relative);
/* The path as file systems without case see it. out is cleared first. */
void mt_tree_fold(const char *relative, struct mt_buf *out);
/* Is it a default resource of Port by its base name (R-INIT-13), and does it have one of the extensions?
 * name: without its folder. Returns the base name, NULL: it is none. */
const char *mt_tree_resource(const char *name, bool *out_extension);

struct mt_tree_file {
    char *path;
    const char *bytes; /* in path's block, terminated */
    size_t n;
};
struct mt_tree {
    struct mt_tree_file *files; /* sorted by path once mt_tree_sort was called */
    size_t count, room, bytes;
};

enum mt_rc mt_tree_add(struct mt_tree *t, const char *path, struct mt_slice bytes, struct mt_err *err);
void mt_tree_sort(struct mt_tree *t);
const struct mt_tree_file *mt_tree_find(const struct mt_tree *t, const char *path);
void mt_tree_fini(struct mt_tree *t);

#endif
