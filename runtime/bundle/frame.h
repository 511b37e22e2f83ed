/* The outside of a packed bundle: one frame of zstd (RFC 8878) and nothing else. Pure. */
#ifndef MT_BUNDLE_FRAME_H
#define MT_BUNDLE_FRAME_H

#include <stdint.h>

#include "base/error.h"

/* Walks the headers of its blocks without unpacking anything: it is whole, nothing follows it, and it cannot
 * unpack to more than most bytes or take a window of more than 32 MiB. */
enum mt_rc mt_frame_check(struct mt_slice bytes, uint64_t most, struct mt_err *err);

#endif
