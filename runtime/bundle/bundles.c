/* Variables that name their bundle, MOONTIDE__BUNDLES__NAME__…, for processes that run several. Called by
 * sources.c, and by the commands before they load the configurations; any thread. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/memory.h"
#include "bundle/sources.h"
#include "bundle/spelling.h"

enum { SHOWN = 5 }; /* variables that a message lists: it has room for 1000 bytes */

char *mt_config_variable_name(const char *bundle_name)
{
    char *name = mt_strdup(bundle_name);
    for (char *p = name; *p; p++)
        *p = (char)(isalnum((unsigned char)*p) && !(*p & 0x80) ? toupper((unsigned char)*p) : '_');
    return name;
}

enum mt_rc mt_config_check_names(const char *const *names, size_t count, struct mt_err *err)
{
    enum mt_rc rc = MT_OK;
    for (size_t i = 0; rc == MT_OK && i < count; i++)
        for (size_t k = 0; rc == MT_OK && k < i; k++) {
            char *a = mt_config_variable_name(names[k]), *b = mt_config_variable_name(names[i]);
            if (strcmp(a, b) == 0)
                rc = mt_fail(err, MT_EINVAL,
                             "two bundles of this process, %.100s and %.100s, are one %s in the names of "
                             "variables (" MT_BUNDLES_PREFIX "%s__...): rename the folder or file of one, or "
                             "run them in two processes",
                             names[k], names[i], a, a);
            free(a);
            free(b);
        }
    return rc;
}

/* ---- what is set for all, and can mean one only ---- */

/* Behind OCEAN__ or MOONTIDE__ of a variable below integration; NULL: it is something else. */
static const char *integration_part(const char *variable)
{
    static const char *const prefixes[] = {"OCEAN__", "MOONTIDE__", NULL};
    for (const char *const *prefix = prefixes; *prefix; prefix++) {
        char *path = mt_sources_setting(variable, *prefix);
        bool found = path && (strcmp(path, "integration") == 0 || strncmp(path, "integration.", 12) == 0);
        free(path);
        if (found)
            return variable + strlen(*prefix);
    }
    return NULL;
}

void mt_bundles_refuse_shared(const struct mt_sources *s, const struct mt_bundle *bundle)
{
    struct mt_buf list;
    unsigned found = 0;
    mt_buf_init(&list, 64 << 10);
    for (size_t i = 0; i < s->variable_count; i++) {
        const struct mt_variable *v = &s->variables[i];
        const char *part = v->shared && !v->ours ? integration_part(v->name) : NULL;
        if (part && found++ < SHOWN)
            mt_buf_printf(&list, "\n  %s%s for %s", s->prefix, part, v->source);
    }
    if (found > SHOWN)
        mt_buf_printf(&list, "\n  and so on for %u more", found - SHOWN);
    if (found)
        mt_sources_problem(
            s, true, false, NULL, 0,
            "the process runs several bundles, and a variable of their integration can mean one "
            "of them only: unset it, and for %.100s set (or keep it as it is in the .env of that "
            "bundle's folder)%s",
            mt_bundle_name(bundle), mt_buf_text(&list));
    mt_buf_fini(&list);
}

/* ---- names that no bundle has ---- */

/* The NAME of MOONTIDE__BUNDLES__NAME__…; empty: the variable is none of those. */
static struct mt_slice name_in(const char *variable)
{
    size_t n = sizeof MT_BUNDLES_PREFIX - 1;
    if (strncasecmp(variable, MT_BUNDLES_PREFIX, n) != 0)
        return (struct mt_slice){NULL, 0};
    const char *end = variable[n] ? strstr(variable + n + 1, "__") : NULL;
    return (struct mt_slice){variable + n, end ? (size_t)(end - (variable + n)) : strlen(variable + n)};
}

/* Names may hold "__" themselves: a known one is found by itself. */
static bool is_known(const char *variable, char *const *known, size_t count)
{
    const char *rest = variable + sizeof MT_BUNDLES_PREFIX - 1;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(known[i]);
        if (strncasecmp(rest, known[i], n) == 0 && rest[n] == '_' && rest[n + 1] == '_' && rest[n + 2])
            return true;
    }
    return false;
}

static bool was_told(const struct mt_sources *s, size_t before, struct mt_slice name, bool all_variables)
{
    for (size_t i = 0; i < before; i++) {
        struct mt_slice other = name_in(s->variables[i].name);
        if ((all_variables || !s->variables[i].shared) && other.n == name.n && other.n &&
            strncasecmp(other.p, name.p, name.n) == 0)
            return true;
    }
    return false;
}

void mt_bundles_name_unknown(const struct mt_sources *s, const char *const *names, size_t count,
                             bool all_variables)
{
    char **known = mt_alloc((count + 1) * sizeof *known);
    for (size_t i = 0; i < count; i++)
        known[i] = mt_config_variable_name(names[i]);
    for (size_t i = 0; i < s->variable_count; i++) {
        const struct mt_variable *v = &s->variables[i];
        struct mt_slice name = name_in(v->name);
        if (!name.p || (!all_variables && v->shared) || is_known(v->name, known, count) ||
            was_told(s, i, name, all_variables))
            continue;
        const char *nearest = NULL;
        unsigned best = mt_spelling_limit(name);
        bool exact = false;
        for (size_t k = 0; k < count; k++) {
            exact = exact || (strlen(known[k]) == name.n && strncasecmp(known[k], name.p, name.n) == 0);
            if (mt_spelling_nearer(name, mt_slice_of(known[k]), &best))
                nearest = known[k];
        }
        if (exact || !name.n)
            mt_sources_problem(s, false, false, v->file, v->line,
                               "%s: it is dropped: a variable of a bundle is " MT_BUNDLES_PREFIX
                               "NAME__SETTING, as in " MT_BUNDLES_PREFIX "%s__INTEGRATION__IDENTIFIER",
                               v->source, count ? known[0] : "NAME");
        else if (nearest)
            mt_sources_problem(
                s, false, false, v->file, v->line,
                "%s: it is dropped: no bundle of this process is called %.*s; did you mean %s?", v->source,
                MT_FMT(name), nearest);
        else
            mt_sources_problem(s, false, false, v->file, v->line,
                               "%s: it is dropped: no bundle of this process is called %.*s (%s%s is)",
                               v->source, MT_FMT(name), count ? known[0] : "none",
                               count > 1 ? ", among others," : "");
    }
    for (size_t i = 0; i < count; i++)
        free(known[i]);
    free(known);
}

void mt_config_unknown_bundles(const char *const *names, size_t count, char **environ_list,
                               void (*each)(void *ud, const struct mt_config_problem *problem), void *ud)
{
    struct mt_sources s = {.problem = each, .ud = ud};
    mt_sources_variables(&s, NULL, environ_list);
    mt_bundles_name_unknown(&s, names, count, true);
    mt_sources_fini(&s);
}
