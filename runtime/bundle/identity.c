/* Type, version and hosts of a bundle. Called by bundle.c and manifest.c. */
#include "bundle/identity.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bundle/pyproject.h"

enum { MOST_HOSTS = 256, MOST_HOST = 262 }; /* a name (RFC 1035: 253), "*.", ":65535" */

static char *lower(char *text)
{
    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

/* What may stand in a User-Agent and a URL path without being quoted. */
static bool is_identity(const char *text)
{
    const char *p = text;
    for (; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-+~", *p))
            return false;
    return p > text;
}

static enum mt_rc take(struct mt_val spec, const char *spec_file, const char *key, char **out,
                       struct mt_err *err)
{
    struct mt_val v;
    if (!spec.doc || !mt_val_member(spec, mt_slice_of(key), &v) || mt_val_is(v, MT_NULL))
        return MT_OK;
    struct mt_slice text = mt_val_is(v, MT_NUMBER) ? mt_val_literal(v) : mt_val_string(v);
    if (!text.n)
        return mt_fail(err, MT_EINVAL, "%s: \"%s\" must be a text that is not empty", spec_file, key);
    *out = mt_slice_dup(text);
    return MT_OK;
}

enum mt_rc mt_identity_check(const char *where, const char *type, const char *version, struct mt_err *err)
{
    if (is_identity(type) && is_identity(version))
        return MT_OK;
    return mt_fail(err, MT_EINVAL,
                   "%.400s: the type \"%.100s\" and the version \"%.60s\" may hold letters, digits and ._-+~ "
                   "only",
                   where, type, version);
}

enum mt_rc mt_identity_find(struct mt_val spec, const char *spec_file, const struct mt_slice *pyproject,
                            const char *folder_name, const char *where, struct mt_identity *out,
                            struct mt_err *err)
{
    struct mt_identity id = {0};
    enum mt_rc rc = take(spec, spec_file, "type", &id.type, err);
    if (rc == MT_OK)
        rc = take(spec, spec_file, "version", &id.version, err);
    if (rc == MT_OK && pyproject && !id.type)
        id.type = mt_pyproject_value(*pyproject, "name");
    if (rc == MT_OK && pyproject && !id.version)
        id.version = mt_pyproject_value(*pyproject, "version");
    if (!id.type) {
        id.type = mt_strdup(folder_name);
        for (char *p = id.type; *p; p++)
            if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                *p = '-';
    }
    if (!id.version)
        id.version = mt_strdup("0.0.0");
    lower(id.type);
    if (rc == MT_OK)
        rc = mt_identity_check(where, id.type, id.version, err);
    if (rc == MT_OK) {
        *out = id;
    } else {
        free(id.type);
        free(id.version);
    }
    return rc;
}

/* "api.github.com", "*.example.com", "[::1]:80": a host as the HTTP client compares it, no URL. */
static bool is_host(struct mt_slice s)
{
    if (!s.n || s.n > MOST_HOST)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && (!strchr(".-_:[]*", s.p[i]) || s.p[i] == '\0'))
            return false;
    const char *star = memchr(s.p, '*', s.n);
    return !star || (star == s.p && s.n > 2 && s.p[1] == '.' && !memchr(s.p + 1, '*', s.n - 1));
}

enum mt_rc mt_identity_hosts(struct mt_val spec, const char *spec_file, char ***out, size_t *out_count,
                             struct mt_err *err)
{
    struct mt_val list, entry;
    *out = NULL;
    *out_count = 0;
    if (!spec.doc || !mt_val_member(spec, MT_SLICE("hosts"), &list) || mt_val_is(list, MT_NULL))
        return MT_OK;
    uint32_t count = mt_val_is(list, MT_ARRAY) ? mt_val_count(list) : 0;
    if (!count || count > MOST_HOSTS)
        return mt_fail(
            err, MT_EINVAL,
            "%s: \"hosts\" must be a list of 1 to %d host names; without it any host may be reached",
            spec_file, MOST_HOSTS);
    size_t bytes = count * sizeof **out;
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++) {
        struct mt_slice text = mt_val_string(entry);
        if (!is_host(text))
            return mt_fail(err, MT_EINVAL,
                           "%s: hosts[%u] \"%.*s\" must be a host such as api.example.com, *.example.com or "
                           "localhost:8080, without https:// and path",
                           spec_file, i, (int)(text.n < MT_FOREIGN ? text.n : MT_FOREIGN),
                           text.n ? text.p : "");
        bytes += text.n + 1;
    }
    char **hosts = mt_alloc(bytes), *at = (char *)(hosts + count);
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++) {
        struct mt_slice text = mt_val_string(entry);
        hosts[i] = memcpy(at, text.p, text.n);
        at += text.n + 1;
    }
    *out = hosts;
    *out_count = count;
    return MT_OK;
}
