/* Builtins that are written in C, by name and number of parameters.
 *
 * args[0] is the input (.), args[1…arity] the values of the parameters, in order; the machine has evaluated
 * them (all combinations, as jq does). They belong to the native: none of them is marked shared unless
 * somebody else holds it, so a container among them may be changed in place. Results: one value, or MT_NONE
 * with a fault raised in h. A native that goes through n elements or bytes calls mt_jv_work first. Wording of
 * errors is jq 1.8's. */
#ifndef MT_JQ_NATIVE_H
#define MT_JQ_NATIVE_H

#include "jq/value.h"

struct mt_native {
    const char *name; /* jq's, or one that starts with "_" and only definitions (definition.h) call */
    uint8_t arity;    /* parameters, without the input */
    bool pure;        /* same arguments, same result: may be folded when all are constant */
    struct mt_jv (*run)(struct mt_jv_heap *h, struct mt_jv *args);
};

/* NULL: there is none. Any thread. */
const struct mt_native *mt_native_find(struct mt_slice name, unsigned arity);

/* The tables that mt_native_find (native.c) searches; each ends with a name of NULL. */
extern const struct mt_native mt_container_natives[]; /* containers.c: length keys has contains add any … */
extern const struct mt_native mt_order_natives[];     /* sort.c: sort _sort_by _group_by min … */
extern const struct mt_native mt_path_natives[];      /* paths.c: getpath setpath delpaths … */
extern const struct mt_native mt_string_natives[];    /* strings.c: split ltrimstr ascii explode … */
extern const struct mt_native
    mt_format_natives[]; /* format.c: format/1 tojson fromjson tostring tonumber … */
extern const struct mt_native mt_regex_natives[];  /* regex.c: _match */
extern const struct mt_native mt_date_natives[];   /* dates.c */
extern const struct mt_native mt_number_natives[]; /* numbers.c: floor pow … */

/* Operators, for the machine; operator.c. They raise as jq does ("null (null) and string (\"a\") cannot be
 * added"). */
struct mt_jv mt_jv_add(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);
struct mt_jv mt_jv_subtract(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);
struct mt_jv mt_jv_multiply(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);
struct mt_jv mt_jv_divide(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);
struct mt_jv mt_jv_modulo(struct mt_jv_heap *h, struct mt_jv a, struct mt_jv b);
struct mt_jv mt_jv_negate(struct mt_jv_heap *h, struct mt_jv a);

/* v[key], with everything that jq takes as a key (a name, a number, a slice {"start","end"}, an array to
 * search for); raises as jq does. paths.c. `null` gives null where jq says so. */
struct mt_jv mt_jv_get(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key);
/* v[key] = value (v null becomes an array or object); v as for mt_jv_set. */
struct mt_jv mt_jv_assign(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv key, struct mt_jv value);
struct mt_jv mt_jv_get_slice(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv from, struct mt_jv to);
/* Along a path (array of keys). */
struct mt_jv mt_jv_getpath(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv path);
struct mt_jv mt_jv_setpath(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv path, struct mt_jv value);
struct mt_jv mt_jv_delpaths(struct mt_jv_heap *h, struct mt_jv v, struct mt_jv paths);

/* Raises "Cannot iterate over number (5)". */
struct mt_jv mt_jv_not_iterable(struct mt_jv_heap *h, struct mt_jv v);

/* Text of a string interpolation or of `@name`: the format's rule applied to v (format "text" for NULL).
 * format.c */
struct mt_jv mt_jv_format(struct mt_jv_heap *h, struct mt_slice name, struct mt_jv v);
bool mt_jv_is_format(struct mt_slice name);

void mt_regexes_free(struct mt_regexes *regexes); /* NULL is fine; regex.c */

#endif
