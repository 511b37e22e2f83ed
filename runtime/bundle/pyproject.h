/* The two values that Ocean's integrations keep in pyproject.toml. Pure, any thread. */
#ifndef MT_BUNDLE_PYPROJECT_H
#define MT_BUNDLE_PYPROJECT_H

#include "base/slice.h"

/* The text of a key of [tool.poetry] or [project]; NULL when there is none. The caller frees it. */
char *mt_pyproject_value(struct mt_slice text, const char *key);

#endif
