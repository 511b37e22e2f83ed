/* A mapping compiled: the program of its expressions and the text around their values. Private to jq/.
 *
 * Made once for a mapping, immutable, read by the mappers of all threads. */
#ifndef MT_JQ_PLAN_H
#define MT_JQ_PLAN_H

#include "jq/machine.h"
#include "jq/unit.h"

/* How a leaf gets its value. */
struct mt_route {
    enum { MT_BY_CONSTANT, MT_BY_SLOT, MT_BY_ENTRY, MT_BY_LIBJQ } way;
    unsigned at; /* slot or entry */
};

/* Text of the entity, and the value behind it. */
struct mt_piece {
    struct mt_slice before;
    unsigned leaf;
    bool team;     /* a number becomes text (R-ENT-04) */
    bool relation; /* decides search_relation */
};

struct mt_plan {
    struct mt_program *program; /* NULL: no leaf is native */
    struct mt_route *routes;    /* by leaf */
    struct mt_jv *start;        /* by leaf: the constants' values, null for the others */
    unsigned *live;             /* leaves of fields that the machine evaluates */
    unsigned live_count;
    unsigned *foreign; /* leaves of libjq: [selector,] fields, then itemsToParse and its deletion */
    unsigned foreign_count, foreign_items; /* of all, and the last of them that are itemsToParse's */
    unsigned *nullable;                    /* fields that can be null, in order */
    unsigned nullable_count;
    unsigned strict[2]; /* fields whose kind matters (R-ENT-04): icon, team */
    unsigned strict_count;
    struct mt_piece *pieces;
    unsigned piece_count;
    struct mt_slice after;
    struct mt_buf text;                      /* of pieces and after */
    bool search_identifier, search_relation; /* whatever the item */
};

/* The mapping's plan, compiled if nobody did before. MT_EINVAL: an expression does not compile; the text
 * names source, resource, kind, field, expression and place. Any thread. */
enum mt_rc mt_plan_of(const struct mt_mapping *m, const struct mt_plan **out, struct mt_err *err);
void mt_plan_free(struct mt_plan *plan); /* NULL is fine */
/* What does not compile, and where. Returns MT_EINVAL. */
enum mt_rc mt_plan_refuse(const struct mt_mapping *m, unsigned leaf, const char *why, struct mt_err *err);

#endif
