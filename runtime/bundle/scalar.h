/* Plain YAML 1.1 scalars, resolved as PyYAML's SafeLoader does. Pure functions, any thread. */
#ifndef MT_BUNDLE_SCALAR_H
#define MT_BUNDLE_SCALAR_H

#include "base/buf.h"

enum mt_scalar {
    MT_SCALAR_TEXT,
    MT_SCALAR_NULL,
    MT_SCALAR_TRUE,
    MT_SCALAR_FALSE,
    MT_SCALAR_NUMBER,
    MT_SCALAR_TOO_LARGE
};

/* What the plain text stands for. A number's JSON literal is appended to literal. MT_SCALAR_TOO_LARGE: an
 * integer of another base than ten that does not fit 64 bits. */
enum mt_scalar mt_scalar_resolve(struct mt_slice text, struct mt_buf *literal);

#endif
