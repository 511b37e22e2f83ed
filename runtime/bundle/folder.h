/* The files of a bundle that is a folder, read from disk: nothing outside of it, whatever its links say. Any
 * thread. root: an absolute path without links and without a slash at its end. */
#ifndef MT_BUNDLE_FOLDER_H
#define MT_BUNDLE_FOLDER_H

#include "bundle/tree.h"

struct mt_folder_entry {
    char *path;
    enum mt_tree_part part; /* NONE: also folders that were not walked, with a slash at their end */
};
struct mt_folder_list {
    struct mt_folder_entry *entries; /* sorted by path */
    size_t count, room;
};

/* All files below root. rest: also those of spec/ and .port/examples. Hidden folders are not walked, nor
 * links that leave the folder or lead to where they are. */
enum mt_rc mt_folder_walk(const char *root, bool rest, struct mt_folder_list *out, struct mt_err *err);
void mt_folder_list_fini(struct mt_folder_list *list);

/* A plain path (mt_tree_is_plain). Whole: a file that is written meanwhile is read again, and refused when it
 * does not come to rest. MT_ENOENT: there is none. out is cleared first. */
enum mt_rc mt_folder_read(const char *root, const char *relative, struct mt_buf *out, struct mt_err *err);

#endif
