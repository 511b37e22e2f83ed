/* Builtins that are written in jq. Immutable text; the compiler parses those that a program names, when it
 * meets them. */
#ifndef MT_JQ_DEFINITION_H
#define MT_JQ_DEFINITION_H

#include "base/slice.h"

/* The definition "def name(a; $b): …;" of a builtin by name and number of parameters; {NULL, 0}: there is
 * none (it may be a native then, native.h). Definitions call natives and each other. */
struct mt_slice mt_definition_find(struct mt_slice name, unsigned arity);
/* All names with arity as "name/arity", for `builtins` and for hints on misspelt names; NULL behind the last.
 * Names that begin with _ are left out. */
const char *mt_definition_name(unsigned i);

#endif
