/* From a folder to the bytes of an .mtb. Called by the command pack and by specs. */
#include "bundle/pack.h"

#include <stdlib.h>

#include "base/memory.h"
#include "bundle/archive.h"
#include "bundle/folder.h"

struct packing {
    const struct mt_bundle *bundle;
    struct mt_tree tree;
    struct mt_buf text;
    enum mt_rc rc;
    struct mt_err *err;
};

static void take(void *ud, const char *relative)
{
    struct packing *p = ud;
    if (p->rc == MT_OK)
        p->rc = mt_bundle_read(p->bundle, relative, &p->text, p->err);
    if (p->rc == MT_OK)
        p->rc = mt_tree_add(&p->tree, relative, mt_buf_slice(&p->text), p->err);
}

static enum mt_rc name_left_out(const struct mt_bundle *b, void (*left_out)(void *ud, const char *relative),
                                void *ud, struct mt_err *err)
{
    struct mt_folder_list list;
    enum mt_rc rc = mt_folder_walk(mt_bundle_path(b), true, &list, err);
    for (size_t i = 0; rc == MT_OK && i < list.count; i++)
        if (list.entries[i].part == MT_TREE_NONE)
            left_out(ud, list.entries[i].path);
    mt_folder_list_fini(&list);
    return rc;
}

/* What is handed out opens: every limit and every refusal of the reader is the packer's, too. The paths come
 * first, since libarchive would refuse some in words of its own. */
static enum mt_rc check_manifest(const struct mt_buf *text, struct mt_err *err)
{
    struct mt_manifest *manifest = NULL;
    enum mt_rc rc = mt_manifest_read(mt_buf_slice(text), &manifest, err);
    mt_manifest_free(manifest);
    return rc;
}

static enum mt_rc check_package(const struct mt_buf *bytes, struct mt_err *err)
{
    struct mt_package package;
    enum mt_rc rc = mt_package_read(mt_buf_slice(bytes), NULL, false, &package, err);
    mt_package_fini(&package);
    return rc;
}

/* What people call it: the spec's title, else its type. Not the folder's name, which may differ where the
 * files do not. */
static char *title_of(const struct mt_bundle *b)
{
    struct mt_val title;
    struct mt_slice text = {0};
    if (mt_bundle_spec(b).doc && mt_val_member(mt_bundle_spec(b), MT_SLICE("title"), &title))
        text = mt_val_string(title);
    return mt_manifest_is_name(text) ? mt_slice_dup(text) : mt_strdup(mt_bundle_type(b));
}

enum mt_rc mt_bundle_pack(const struct mt_bundle *b, const struct mt_secret_key *key,
                          void (*left_out)(void *ud, const char *relative), void *ud, struct mt_buf *out,
                          struct mt_err *err)
{
    struct packing p = {.bundle = b, .rc = MT_OK, .err = err};
    struct mt_buf manifest, signature;
    if (mt_bundle_is_packed(b))
        return mt_fail(err, MT_EINVAL, "%.400s is packed already", mt_bundle_path(b));
    char *title = title_of(b);
    struct mt_manifest_facts facts = {title, mt_bundle_type(b), mt_bundle_version(b), mt_bundle_spec(b),
                                      mt_bundle_resources(b)->mapping};
    mt_buf_init(&p.text, MT_TREE_FILE_BYTES);
    mt_buf_init(&manifest, MT_MANIFEST_BYTES);
    mt_buf_init(&signature, 1024);
    enum mt_rc rc = name_left_out(b, left_out, ud, err);
    if (rc == MT_OK)
        rc = mt_bundle_list(b, "", take, &p, err);
    if (rc == MT_OK)
        rc = p.rc;
    if (rc == MT_OK)
        rc = mt_manifest_write(&facts, &p.tree, &manifest, err);
    if (rc == MT_OK)
        rc = check_manifest(&manifest, err);
    if (rc == MT_OK && key)
        mt_signature_make(key, mt_buf_slice(&manifest), &signature);
    if (rc == MT_OK) {
        struct mt_slice signed_text = mt_buf_slice(&signature);
        rc = mt_package_write(&p.tree, mt_buf_slice(&manifest), key ? &signed_text : NULL, out, err);
    }
    if (rc == MT_OK)
        rc = check_package(out, err);
    if (rc != MT_OK)
        mt_err_context(err, "%.300s cannot be packed", mt_bundle_path(b));
    mt_tree_fini(&p.tree);
    mt_buf_fini(&p.text);
    mt_buf_fini(&manifest);
    mt_buf_fini(&signature);
    free(title);
    return rc;
}
