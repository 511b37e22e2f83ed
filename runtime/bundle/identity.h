/* Who a bundle is and where it may go, by its spec; pure functions, any thread. */
#ifndef MT_BUNDLE_IDENTITY_H
#define MT_BUNDLE_IDENTITY_H

#include "json/document.h"

struct mt_identity {
    char *type, *version; /* owned; lower case; fit for a header and a path */
};

/* Architecture 3.1: the spec's keys, else pyproject.toml's, else the folder's name and 0.0.0. spec may be no
 * value; pyproject NULL: there is none. where and spec_file are for messages. */
enum mt_rc mt_identity_find(struct mt_val spec, const char *spec_file, const struct mt_slice *pyproject,
                            const char *folder_name, const char *where, struct mt_identity *out,
                            struct mt_err *err);
/* Both may hold letters, digits and ._-+~ only. */
enum mt_rc mt_identity_check(const char *where, const char *type, const char *version, struct mt_err *err);

/* `hosts` of the spec, checked: *out has *out_count texts, one block to free(); NULL when it names none. */
enum mt_rc mt_identity_hosts(struct mt_val spec, const char *spec_file, char ***out, size_t *out_count,
                             struct mt_err *err);

#endif
