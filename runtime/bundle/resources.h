/* The documents of a bundle: its spec and its default resources of Port, out of its files. Any thread. */
#ifndef MT_BUNDLE_RESOURCES_H
#define MT_BUNDLE_RESOURCES_H

#include "bundle/bundle.h"
#include "bundle/tree.h"

enum { MT_RESOURCES_DOCS = 8 };

struct mt_bundle_docs {
    struct mt_doc *spec;
    const char *spec_file;                  /* in the tree; NULL: there is none */
    struct mt_doc *docs[MT_RESOURCES_DOCS]; /* of the resources */
    unsigned count;
    struct mt_resources resources;
};

/* name: of the bundle, for a warning. The tree must outlive the documents' file names. */
enum mt_rc mt_bundle_docs_read(const struct mt_tree *tree, const char *name, struct mt_bundle_docs *out,
                               struct mt_err *err);
void mt_bundle_docs_fini(struct mt_bundle_docs *d);

#endif
