/* Search queries: see search.h.
 *
 * A query that names identifiers of blueprints (all that a resync sends: A-ENT-29) is answered by looking
 * those up; any other one by walking the blueprint that it names, or everything. Every candidate is then held
 * against the whole query. */
#include "catalog/search.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

enum { DEPTH_MAX = 20 };

enum operator{
    EQUAL,
    NOT_EQUAL,
    IN,
    NOT_IN,
    CONTAINS,
    NOT_CONTAINS,
    CONTAINS_ANY,
    BEGINS,
    NOT_BEGINS,
    ENDS,
    NOT_ENDS,
    GREATER,
    LESS,
    NOT_LESS,
    NOT_GREATER,
    BETWEEN,
    NOT_BETWEEN,
    EMPTY,
    NOT_EMPTY,
    OPERATORS
};

static const char *const operator_names[OPERATORS] = {
    "=",
    "!=",
    "in",
    "notIn",
    "contains",
    "doesNotContain",
    "containsAny",
    "beginsWith",
    "doesNotBeginWith",
    "endsWith",
    "doesNotEndWith",
    ">",
    "<",
    ">=",
    "<=",
    "between",
    "notBetween",
    "isEmpty",
    "isNotEmpty",
};

static const char *const meta_names[] = {"$identifier", "$title",     "$blueprint", "$team",
                                         "$datasource", "$createdAt", "$updatedAt", "$icon"};
enum { META_COUNT = sizeof meta_names / sizeof *meta_names };

static bool operator_of(struct mt_slice name, enum operator* out)
{
    for (unsigned i = 0; i < OPERATORS; i++)
        if (mt_slice_is(name, operator_names[i])) {
            *out = (enum operator)i;
            return true;
        }
    return false;
}

static struct mt_slice text_member(struct mt_val object, const char *name)
{
    struct mt_val v;
    return mt_val_member(object, mt_slice_of(name), &v) ? mt_val_string(v) : (struct mt_slice){0};
}

static bool is_query(struct mt_val v)
{
    struct mt_val member;
    return mt_val_member(v, MT_SLICE("rules"), &member) || mt_val_member(v, MT_SLICE("combinator"), &member);
}

/* Is it a query? ---------------------------------------------------------------------------------- */

static bool check_rule(struct mt_val rule, struct mt_cat_refusal *why)
{
    struct mt_slice property = text_member(rule, "property"), name = text_member(rule, "operator");
    struct mt_val value, bound;
    enum operator op;
    if (!mt_val_is(rule, MT_OBJECT))
        return mt_cat_invalid(why, "search: a rule must be an object");
    if (!operator_of(name, &op))
        return mt_cat_invalid(why, "search: the operator \"%.*s\" is not known", MT_CUT(name));
    if (!property.n)
        return mt_cat_invalid(why, "search: a rule with the operator \"%.*s\" names no property",
                              MT_CUT(name));
    if (property.p[0] == '$') {
        unsigned i = 0;
        while (i < META_COUNT && !mt_slice_is(property, meta_names[i]))
            i++;
        if (i == META_COUNT)
            return mt_cat_invalid(why, "search: the property \"%.*s\" is not known", MT_CUT(property));
    }
    bool given = mt_val_member(rule, MT_SLICE("value"), &value);
    if (op != EMPTY && op != NOT_EMPTY && !given)
        return mt_cat_invalid(why, "search: a rule on \"%.*s\" has no value", MT_CUT(property));
    if ((op == IN || op == NOT_IN || op == CONTAINS_ANY) && !mt_val_is(value, MT_ARRAY))
        return mt_cat_invalid(why, "search: \"%.*s\" needs a list of values", MT_CUT(name));
    if ((op == BETWEEN || op == NOT_BETWEEN) &&
        !(mt_val_member(value, MT_SLICE("from"), &bound) && mt_val_member(value, MT_SLICE("to"), &bound)))
        return mt_cat_invalid(why, "search: \"%.*s\" needs {\"from\",\"to\"}", MT_CUT(name));
    return true;
}

static bool check(struct mt_val query, unsigned depth, struct mt_cat_refusal *why)
{
    struct mt_slice combinator = text_member(query, "combinator");
    struct mt_val rules, rule;
    if (!mt_val_is(query, MT_OBJECT) || !mt_val_member(query, MT_SLICE("rules"), &rules) ||
        !mt_val_is(rules, MT_ARRAY))
        return mt_cat_invalid(why, "search: a query must be {\"combinator\",\"rules\":[…]}");
    if (!mt_slice_is(combinator, "and") && !mt_slice_is(combinator, "or"))
        return mt_cat_invalid(why, "search: the combinator must be \"and\" or \"or\", not \"%.*s\"",
                              MT_CUT(combinator));
    if (depth == DEPTH_MAX)
        return mt_cat_invalid(why, "search: queries are nested deeper than %d", DEPTH_MAX);
    for (uint32_t i = 0; mt_val_index(rules, i, &rule); i++)
        if (is_query(rule) ? !check(rule, depth + 1, why) : !check_rule(rule, why))
            return false;
    return true;
}

/* Does an entity match? --------------------------------------------------------------------------- */

struct candidate {
    const struct mt_cat_row *row;
    struct mt_doc *properties, *relations, *team; /* parsed when a rule needs them */
};

/* What a rule looks at: text of the entity itself, or a value, or neither. */
struct operand {
    struct mt_slice text;
    struct mt_val value;
    char iso[MT_ISO_SIZE];
};

static struct mt_val parsed(struct mt_slice json, struct mt_doc **doc)
{
    if (!*doc && (!json.p || mt_doc_parse_copy(json, NULL, doc, NULL) != MT_OK))
        return (struct mt_val){0};
    return mt_doc_root(*doc);
}

static void look_up(struct candidate *c, struct mt_slice property, struct operand *out)
{
    const struct mt_cat_row *row = c->row;
    const struct mt_slice texts[META_COUNT] = {
        row->identifier, row->title, row->blueprint, {0}, row->datasource, {0}, {0}, row->icon};
    unsigned meta = 0;
    out->text = (struct mt_slice){0};
    out->value = (struct mt_val){0};
    while (meta < META_COUNT && !mt_slice_is(property, meta_names[meta]))
        meta++;
    switch (meta) {
    case 3:
        out->value = parsed(row->team, &c->team);
        break;
    case 5:
    case 6:
        out->text = mt_slice_of(mt_iso_format(meta == 5 ? row->created : row->updated, out->iso));
        break;
    case META_COUNT:
        if (!mt_val_member(parsed(row->properties, &c->properties), property, &out->value))
            mt_val_member(parsed(row->relations, &c->relations), property, &out->value);
        break;
    default:
        out->text = texts[meta];
    }
    if (mt_val_is(out->value, MT_STRING))
        out->text = mt_val_string(out->value);
}

static bool equals(const struct operand *o, struct mt_val v)
{
    struct mt_slice none;
    struct mt_val one;
    if (o->text.p)
        return mt_val_is(v, MT_STRING) && mt_slice_eq(o->text, mt_val_string(v));
    if (!o->value.doc)
        return mt_val_is(v, MT_NULL);
    if (mt_val_is(o->value, MT_ARRAY) && !mt_val_is(v, MT_ARRAY)) /* a list equals each of its elements */
        for (struct mt_iter it = mt_iter_of(o->value); mt_iter_next(&it, &none, &one);)
            if (mt_val_equal(one, v))
                return true;
    return mt_val_equal(o->value, v);
}

static bool equals_any(const struct operand *o, struct mt_val list)
{
    struct mt_slice none;
    struct mt_val one;
    for (struct mt_iter it = mt_iter_of(list); mt_iter_next(&it, &none, &one);)
        if (equals(o, one))
            return true;
    return false;
}

static bool has_part(const struct operand *o, struct mt_val v)
{
    struct mt_slice part = mt_val_string(v), none;
    struct mt_val one;
    if (o->text.p)
        return mt_val_is(v, MT_STRING) && (part.n == 0 || memmem(o->text.p, o->text.n, part.p, part.n));
    if (mt_val_is(o->value, MT_ARRAY))
        for (struct mt_iter it = mt_iter_of(o->value); mt_iter_next(&it, &none, &one);)
            if (mt_val_equal(one, v))
                return true;
    return false;
}

static bool starts(struct mt_slice text, struct mt_slice part)
{
    return text.n >= part.n && (part.n == 0 || memcmp(text.p, part.p, part.n) == 0);
}

static bool ends(struct mt_slice text, struct mt_slice part)
{
    return text.n >= part.n && (part.n == 0 || memcmp(text.p + text.n - part.n, part.p, part.n) == 0);
}

static bool is_empty(const struct operand *o)
{
    if (o->text.p)
        return o->text.n == 0;
    return !o->value.doc || mt_val_is(o->value, MT_NULL) ||
           ((mt_val_is(o->value, MT_ARRAY) || mt_val_is(o->value, MT_OBJECT)) && !mt_val_count(o->value));
}

/* -1, 0, 1, or 2 where there is no order between them. Dates go by the moment, other texts by their bytes. */
static int order(const struct operand *o, struct mt_val v)
{
    int64_t a, b;
    struct mt_slice text = mt_val_string(v);
    if (mt_val_is(v, MT_NUMBER) && mt_val_is(o->value, MT_NUMBER)) {
        double x = mt_val_double(o->value), y = mt_val_double(v);
        return (x > y) - (x < y);
    }
    if (!mt_val_is(v, MT_STRING) || !o->text.p)
        return 2;
    if (mt_iso_parse(o->text, &a) == MT_OK && mt_iso_parse(text, &b) == MT_OK)
        return (a > b) - (a < b);
    size_t shorter = text.n < o->text.n ? text.n : o->text.n;
    int first = shorter ? memcmp(o->text.p, text.p, shorter) : 0;
    return first ? (first > 0) - (first < 0) : (o->text.n > text.n) - (o->text.n < text.n);
}

static bool is_between(const struct operand *o, struct mt_val bounds)
{
    struct mt_val from, to;
    if (!mt_val_member(bounds, MT_SLICE("from"), &from) || !mt_val_member(bounds, MT_SLICE("to"), &to))
        return false;
    int low = order(o, from), high = order(o, to);
    return (low == 0 || low == 1) && (high == 0 || high == -1);
}

static bool rule_matches(struct candidate *c, struct mt_val rule)
{
    struct operand o;
    struct mt_val value = {0};
    struct mt_slice none, part;
    struct mt_val one;
    enum operator op;
    if (!operator_of(text_member(rule, "operator"), &op))
        return false;
    mt_val_member(rule, MT_SLICE("value"), &value);
    look_up(c, text_member(rule, "property"), &o);
    part = mt_val_string(value);
    switch (op) {
    case EQUAL:
        return equals(&o, value);
    case NOT_EQUAL:
        return !equals(&o, value);
    case IN:
        return equals_any(&o, value);
    case NOT_IN:
        return !equals_any(&o, value);
    case CONTAINS:
        return has_part(&o, value);
    case NOT_CONTAINS:
        return !has_part(&o, value);
    case CONTAINS_ANY:
        for (struct mt_iter it = mt_iter_of(value); mt_iter_next(&it, &none, &one);)
            if (has_part(&o, one))
                return true;
        return false;
    case BEGINS:
        return o.text.p && part.p && starts(o.text, part);
    case NOT_BEGINS:
        return !(o.text.p && part.p && starts(o.text, part));
    case ENDS:
        return o.text.p && part.p && ends(o.text, part);
    case NOT_ENDS:
        return !(o.text.p && part.p && ends(o.text, part));
    case GREATER:
        return order(&o, value) == 1;
    case LESS:
        return order(&o, value) == -1;
    case NOT_LESS:
        return order(&o, value) == 1 || order(&o, value) == 0;
    case NOT_GREATER:
        return order(&o, value) == -1 || order(&o, value) == 0;
    case BETWEEN:
        return is_between(&o, value);
    case NOT_BETWEEN:
        return !is_between(&o, value);
    case EMPTY:
        return is_empty(&o);
    case NOT_EMPTY:
        return !is_empty(&o);
    case OPERATORS:
        break;
    }
    return false;
}

static bool matches(struct candidate *c, struct mt_val query)
{
    bool any = mt_slice_is(text_member(query, "combinator"), "or");
    struct mt_slice none;
    struct mt_val rules, rule;
    mt_val_member(query, MT_SLICE("rules"), &rules);
    for (struct mt_iter it = mt_iter_of(rules); mt_iter_next(&it, &none, &rule);)
        if ((is_query(rule) ? matches(c, rule) : rule_matches(c, rule)) == any)
            return any;
    return !any; /* an empty "or" matches nothing (A-ENT-30), an empty "and" everything */
}

/* Which entities can match? ----------------------------------------------------------------------- */

struct key {
    struct mt_slice blueprint, identifier;
};
struct plan {
    struct key *keys;
    size_t count, room;
};

static void plan_add(struct plan *p, struct mt_slice blueprint, struct mt_slice identifier)
{
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->keys = mt_realloc(p->keys, p->room * sizeof *p->keys);
    }
    p->keys[p->count++] = (struct key){blueprint, identifier};
}

/* Adds the keys that a rule on $identifier names; false: it is no such rule. */
static bool plan_identifiers(struct plan *p, struct mt_val rule, struct mt_slice blueprint)
{
    struct mt_slice none;
    struct mt_val value, one;
    enum operator op;
    if (!blueprint.p || !mt_slice_is(text_member(rule, "property"), "$identifier") ||
        !operator_of(text_member(rule, "operator"), &op) || !mt_val_member(rule, MT_SLICE("value"), &value))
        return false;
    if (op == EQUAL && mt_val_is(value, MT_STRING)) {
        plan_add(p, blueprint, mt_val_string(value));
        return true;
    }
    if (op != IN)
        return false;
    for (struct mt_iter it = mt_iter_of(value); mt_iter_next(&it, &none, &one);)
        if (mt_val_is(one, MT_STRING))
            plan_add(p, blueprint, mt_val_string(one));
    return true;
}

/* The blueprint that all matches of an "and" are of. */
static struct mt_slice blueprint_of(struct mt_val rules, struct mt_slice otherwise)
{
    struct mt_slice none;
    struct mt_val rule;
    for (struct mt_iter it = mt_iter_of(rules); mt_iter_next(&it, &none, &rule);)
        if (mt_slice_is(text_member(rule, "property"), "$blueprint") &&
            mt_slice_is(text_member(rule, "operator"), "=") && text_member(rule, "value").p)
            return text_member(rule, "value");
    return otherwise;
}

/* true: every match is among the keys that were added. */
static bool plan_query(struct plan *p, struct mt_val query, struct mt_slice blueprint)
{
    bool any = mt_slice_is(text_member(query, "combinator"), "or");
    struct mt_slice none;
    struct mt_val rules, rule;
    size_t before = p->count;
    mt_val_member(query, MT_SLICE("rules"), &rules);
    if (!any)
        blueprint = blueprint_of(rules, blueprint);
    for (int nested = 0; nested < 2; nested++) /* rules of its own first: they name the fewest */
        for (struct mt_iter it = mt_iter_of(rules); mt_iter_next(&it, &none, &rule);) {
            if (is_query(rule) != (nested == 1))
                continue;
            bool planned = nested ? plan_query(p, rule, blueprint) : plan_identifiers(p, rule, blueprint);
            if (planned && !any)
                return true;
            if (!planned && any) {
                p->count = before;
                return false;
            }
        }
    return any;
}

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    const struct mt_slice s[2] = {x->identifier, x->blueprint}, t[2] = {y->identifier, y->blueprint};
    for (size_t i = 0; i < 2; i++) {
        if (s[i].n != t[i].n)
            return s[i].n < t[i].n ? -1 : 1;
        int order = s[i].n ? memcmp(s[i].p, t[i].p, s[i].n) : 0;
        if (order)
            return order;
    }
    return 0;
}

/* Gives each what matches; false: it has enough. */
static bool offer(sqlite3_stmt *statement, struct mt_val query,
                  bool (*each)(void *, const struct mt_cat_row *), void *ud)
{
    struct mt_cat_row row;
    mt_cat_row_read(statement, &row);
    struct candidate c = {.row = &row};
    bool more = !matches(&c, query) || each(ud, &row);
    mt_doc_unref(c.properties);
    mt_doc_unref(c.relations);
    mt_doc_unref(c.team);
    return more;
}

bool mt_cat_search(struct mt_cat_store *s, struct mt_val query, struct mt_slice blueprint,
                   bool (*each)(void *ud, const struct mt_cat_row *row), void *ud, struct mt_cat_refusal *why)
{
    struct plan plan = {0};
    bool more = true;
    if (!check(query, 0, why))
        return false;
    if (plan_query(&plan, query, blueprint)) {
        if (plan.count)
            qsort(plan.keys, plan.count, sizeof *plan.keys, by_key);
        for (size_t i = 0; more && i < plan.count; i++) {
            if ((i && by_key(&plan.keys[i - 1], &plan.keys[i]) == 0) ||
                (blueprint.p && !mt_slice_eq(plan.keys[i].blueprint, blueprint)))
                continue;
            sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_ROW_BY_KEY);
            mt_cat_bind(row, 1, plan.keys[i].blueprint);
            mt_cat_bind(row, 2, plan.keys[i].identifier);
            more = !mt_cat_step(s, row) || offer(row, query, each, ud);
            sqlite3_reset(row);
        }
    } else {
        struct mt_val rules;
        mt_val_member(query, MT_SLICE("rules"), &rules);
        if (!blueprint.p && mt_slice_is(text_member(query, "combinator"), "and"))
            blueprint = blueprint_of(rules, blueprint);
        sqlite3_stmt *rows = mt_cat_store_sql(s, blueprint.p ? MT_CAT_ROW_SCAN : MT_CAT_ROW_SCAN_ALL);
        if (blueprint.p)
            mt_cat_bind(rows, 1, blueprint);
        while (more && mt_cat_step(s, rows))
            more = offer(rows, query, each, ud);
        sqlite3_reset(rows);
    }
    free(plan.keys);
    return true;
}

int64_t mt_cat_listing(struct mt_cat_store *s, struct mt_slice prefix, struct mt_slice suffix, int64_t before,
                       int64_t from, int64_t limit, struct mt_buf *out)
{
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_ENTITY_LISTING);
    int64_t count = 0, last = 0, next = 0;
    sqlite3_bind_int64(rows, 1, from);
    sqlite3_bind_int64(rows, 2, before);
    while (mt_cat_step(s, rows)) {
        struct mt_slice source = mt_cat_column(rows, 3);
        if (source.n < prefix.n + suffix.n || !starts(source, prefix) || !ends(source, suffix))
            continue;
        if (count == limit) {
            next = last;
            break;
        }
        mt_buf_puts(out, count++ ? ",{\"identifier\":" : "{\"identifier\":");
        mt_buf_put_json_string(out, mt_cat_column(rows, 2));
        mt_buf_puts(out, ",\"blueprint\":");
        mt_buf_put_json_string(out, mt_cat_column(rows, 1));
        if (!mt_slice_is(mt_cat_column(rows, 4),
                         "{}")) { /* they order deletes without dependents (A-ENT-24) */
            mt_buf_puts(out, ",\"relations\":");
            mt_buf_put(out, mt_cat_column(rows, 4));
        }
        mt_buf_putc(out, '}');
        last = sqlite3_column_int64(rows, 0);
    }
    sqlite3_reset(rows);
    return next;
}
