/* Packing a folder. Any thread. */
#ifndef MT_BUNDLE_PACK_H
#define MT_BUNDLE_PACK_H

#include "bundle/bundle.h"

/* The packed bundle's bytes, the same for the same files: exactly the tree of architecture 3.2. They are
 * opened again and checked before they are handed out. key NULL: unsigned. left_out is told of each file that
 * is no part of a bundle, and of folders, with a slash at their end, that cannot hold one. */
enum mt_rc mt_bundle_pack(const struct mt_bundle *b, const struct mt_secret_key *key,
                          void (*left_out)(void *ud, const char *relative), void *ud, struct mt_buf *out,
                          struct mt_err *err);

#endif
