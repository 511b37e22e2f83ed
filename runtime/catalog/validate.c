/* Values against properties: see validate.h. */
#include "catalog/validate.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "base/clock.h"
#include "base/log.h"

enum { IDENTIFIER_MAX = 500 };

static const char *const type_names[] = {"anything", "string", "number", "boolean", "object", "array"};

static bool type_read(struct mt_slice text, enum mt_cat_type *out)
{
    for (enum mt_cat_type type = MT_CAT_STRING; type <= MT_CAT_ARRAY; type++)
        if (mt_slice_is(text, type_names[type])) {
            *out = type;
            return true;
        }
    return false;
}

static enum mt_cat_format format_read(struct mt_slice text)
{
    static const struct {
        const char *name;
        enum mt_cat_format format;
    } known[] = {{"url", MT_CAT_URL},     {"uri", MT_CAT_URL},
                 {"email", MT_CAT_EMAIL}, {"date-time", MT_CAT_DATE_TIME},
                 {"ipv4", MT_CAT_IPV4},   {"timer", MT_CAT_DATE_TIME},
                 {"ipv6", MT_CAT_IPV6}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mt_slice_is(text, known[i].name))
            return known[i].format;
    return MT_CAT_PLAIN; /* yaml, markdown, proto, user, team …: how text is shown, not what it may hold */
}

static bool rule_read(struct mt_slice name, struct mt_val definition, struct mt_cat_rule *out,
                      struct mt_cat_refusal *why)
{
    struct mt_val v;
    *out = (struct mt_cat_rule){0};
    if (mt_val_member(definition, MT_SLICE("type"), &v)) {
        if (!mt_val_is(v, MT_STRING))
            return mt_cat_invalid(why, "property \"%.*s\": its type must be text", MT_CUT(name));
        if (!type_read(mt_val_string(v), &out->type))
            mt_log_repeat(
                MT_WARN, "catalog-type",
                "property \"%.*s\" has the type \"%.*s\", which the catalog does not know: its values are "
                "taken as they come",
                MT_CUT(name), MT_CUT(mt_val_string(v)));
    }
    if (mt_val_member(definition, MT_SLICE("format"), &v))
        out->format = format_read(mt_val_string(v));
    if (mt_val_member(definition, MT_SLICE("enum"), &v) && !mt_val_is(v, MT_NULL)) {
        if (!mt_val_is(v, MT_ARRAY))
            return mt_cat_invalid(why, "property \"%.*s\": its enum must be a list", MT_CUT(name));
        out->allowed = v;
    }
    return true;
}

bool mt_cat_property_read(struct mt_slice name, struct mt_val definition, struct mt_cat_property *out,
                          struct mt_cat_refusal *why)
{
    struct mt_val items;
    *out = (struct mt_cat_property){.name = name};
    if (!mt_val_is(definition, MT_OBJECT))
        return mt_cat_invalid(why, "property \"%.*s\": its definition must be an object", MT_CUT(name));
    if (!rule_read(name, definition, &out->rule, why))
        return false;
    if (out->rule.type == MT_CAT_ARRAY && mt_val_member(definition, MT_SLICE("items"), &items)) {
        if (!mt_val_is(items, MT_OBJECT))
            return mt_cat_invalid(why, "property \"%.*s\": its items must be an object", MT_CUT(name));
        return rule_read(name, items, &out->items, why);
    }
    return true;
}

static bool is_of(enum mt_cat_type type, enum mt_kind kind)
{
    switch (type) {
    case MT_CAT_ANY:
        return true;
    case MT_CAT_STRING:
        return kind == MT_STRING;
    case MT_CAT_NUMBER:
        return kind == MT_NUMBER;
    case MT_CAT_BOOLEAN:
        return kind == MT_BOOL;
    case MT_CAT_OBJECT:
        return kind == MT_OBJECT;
    case MT_CAT_ARRAY:
        return kind == MT_ARRAY;
    }
    return false;
}

static bool has_blank(struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

/* scheme ":" something (RFC 3986 section 3). */
static bool is_url(struct mt_slice s)
{
    size_t i = 0;
    if (!s.n || !isalpha((unsigned char)s.p[0]) || has_blank(s))
        return false;
    while (i < s.n && (isalnum((unsigned char)s.p[i]) || strchr("+-.", s.p[i])))
        i++;
    return i + 1 < s.n && s.p[i] == ':';
}

static bool is_email(struct mt_slice s)
{
    const char *at = s.n ? memchr(s.p, '@', s.n) : NULL;
    size_t before = at ? (size_t)(at - s.p) : 0;
    return before && before + 1 < s.n && !has_blank(s) && !memchr(at + 1, '@', s.n - before - 1);
}

/* RFC 3339's date-time; a missing offset passes. */
static bool is_date_time(struct mt_slice s)
{
    int64_t us;
    return s.n > 10 && (s.p[10] == 'T' || s.p[10] == 't' || s.p[10] == ' ') && mt_iso_parse(s, &us) == MT_OK;
}

static bool is_address(struct mt_slice s, int family)
{
    char text[INET6_ADDRSTRLEN + 1], address[sizeof(struct in6_addr)];
    if (s.n >= sizeof text || (s.n && memchr(s.p, '\0', s.n)))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, address) == 1;
}

/* What the text should have been; NULL: it fits. */
static const char *format_misses(enum mt_cat_format format, struct mt_slice s)
{
    switch (format) {
    case MT_CAT_PLAIN:
        return NULL;
    case MT_CAT_URL:
        return is_url(s) ? NULL : "a URL (such as https://host/path)";
    case MT_CAT_EMAIL:
        return is_email(s) ? NULL : "an e-mail address";
    case MT_CAT_DATE_TIME:
        return is_date_time(s) ? NULL : "a date and time (such as 2026-11-23T09:43:28Z)";
    case MT_CAT_IPV4:
        return is_address(s, AF_INET) ? NULL : "an IPv4 address";
    case MT_CAT_IPV6:
        return is_address(s, AF_INET6) ? NULL : "an IPv6 address";
    }
    return NULL;
}

static bool rule_check(const struct mt_cat_rule *rule, struct mt_slice name, const char *part,
                       struct mt_val value, struct mt_cat_refusal *why)
{
    static const char *const kinds[] = {"null", "boolean", "number", "string", "array", "object"};
    enum mt_kind kind = mt_val_kind(value);
    if (!is_of(rule->type, kind))
        return mt_cat_invalid(why, "property \"%.*s\"%s must be of type %s, not %s", MT_CUT(name), part,
                              type_names[rule->type], kinds[kind]);
    if (kind == MT_STRING && rule->format) {
        const char *missed = format_misses(rule->format, mt_val_string(value));
        if (missed)
            return mt_cat_invalid(why, "property \"%.*s\"%s must be %s, not \"%.*s\"", MT_CUT(name), part,
                                  missed, MT_CUT(mt_val_string(value)));
    }
    if (rule->allowed.doc) {
        struct mt_val one;
        uint32_t i = 0;
        while (mt_val_index(rule->allowed, i, &one) && !mt_val_equal(one, value))
            i++;
        if (i == mt_val_count(rule->allowed))
            return mt_cat_invalid(why, "property \"%.*s\"%s must be one of the %u values of its enum%s%.*s%s",
                                  MT_CUT(name), part, i, kind == MT_STRING ? ", not \"" : "",
                                  MT_CUT(mt_val_string(value)), kind == MT_STRING ? "\"" : "");
    }
    return true;
}

bool mt_cat_property_check(const struct mt_cat_property *p, struct mt_val value, struct mt_cat_refusal *why)
{
    struct mt_slice none;
    struct mt_val item;
    if (mt_val_is(value, MT_NULL))
        return true;
    if (!rule_check(&p->rule, p->name, "", value, why))
        return false;
    if (p->rule.type != MT_CAT_ARRAY ||
        (p->items.type == MT_CAT_ANY && !p->items.format && !p->items.allowed.doc))
        return true;
    for (struct mt_iter it = mt_iter_of(value); mt_iter_next(&it, &none, &item);)
        if (!rule_check(&p->items, p->name, " (an element)", item, why))
            return false;
    return true;
}

bool mt_cat_identifier_check(struct mt_slice identifier, const char *of_what, struct mt_cat_refusal *why)
{
    if (!identifier.n)
        return mt_cat_invalid(why, "%s must not be empty", of_what);
    if (identifier.n > IDENTIFIER_MAX)
        return mt_cat_invalid(why, "%s is %zu bytes long, at most %d are allowed: \"%.*s…\"", of_what,
                              identifier.n, IDENTIFIER_MAX, MT_CUT(identifier));
    if (memchr(identifier.p, '\0', identifier.n))
        return mt_cat_invalid(why, "%s holds a NUL byte", of_what);
    return true;
}
