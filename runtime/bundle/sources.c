/* Sources of settings, lowest first: the bundle's config.yaml, .env of the bundle, .env of the working
 * directory, the environment, variables that name the bundle (MOONTIDE__BUNDLES__NAME__…, wherever they are),
 * flags (R-CFG-01…06). OCEAN__ and MOONTIDE__ names mean the same; within one source MOONTIDE__ wins. A
 * section may be given as JSON; members given by their own variables override it (R-CFG-03). Called by
 * config.c. */
#include "bundle/sources.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "bundle/dotenv.h"
#include "bundle/settings.h"
#include "bundle/spelling.h"
#include "bundle/yaml.h"

enum { DEEPEST = 16 };

static const char CONFIG[] = "integration.config";

/* Names that hold members instead of a value. */
static const char *const sections[] = {"port",
                                       "integration",
                                       CONFIG,
                                       "event_listener",
                                       "metrics",
                                       "ssl",
                                       "ssl.port",
                                       "ssl.third_party",
                                       "ssl.port.x509",
                                       "ssl.third_party.x509",
                                       "streaming",
                                       "actions_processor",
                                       "live_events",
                                       "admin",
                                       "log",
                                       "reload",
                                       NULL};

void mt_sources_problem(const struct mt_sources *s, bool error, bool missing, const char *file, unsigned line,
                        const char *format, ...)
{
    struct mt_err text;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text.text, sizeof text.text, format, ap);
    va_end(ap);
    s->problem(s->ud, &(struct mt_config_problem){error, missing, file, line, text.text});
}

static bool is_section(const char *path)
{
    for (const char *const *section = sections; *section; section++)
        if (strcmp(*section, path) == 0)
            return true;
    return false;
}

/* ---- leaves ---- */

static void free_leaf(struct mt_leaf *leaf)
{
    free(leaf->path);
    free(leaf->text);
    free(leaf->source);
    free(leaf->file);
}

struct mt_leaf *mt_sources_find(const struct mt_sources *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->leaves[i].path, path) == 0) {
            s->leaves[i].used = true;
            return mt_val_is(s->leaves[i].value, MT_NULL) ? NULL : &s->leaves[i];
        }
    return NULL;
}

struct mt_leaf *mt_sources_below(const struct mt_sources *s, const char *section)
{
    size_t n = strlen(section);
    for (size_t i = 0; i < s->count; i++)
        if (strncmp(s->leaves[i].path, section, n) == 0 && s->leaves[i].path[n] == '.' &&
            !mt_val_is(s->leaves[i].value, MT_NULL))
            return &s->leaves[i];
    return NULL;
}

/* With several bundles, what is the process's is not taken from what one of them says for itself. */
static bool is_foreign(const struct mt_sources *s, const char *path, bool own, const char *source,
                       const char *file, unsigned line)
{
    if (!s->several || !own || !mt_setting_of_process(path))
        return false;
    mt_sources_problem(s, false, false, file, line,
                       "%s: it has no effect: %s is the process's, which runs several bundles (set it in the "
                       "environment or in the working directory's .env)",
                       source, path);
    return true;
}

/* Takes the leaf's texts over. */
static void put(struct mt_sources *s, struct mt_leaf leaf)
{
    if (is_foreign(s, leaf.path, leaf.own, leaf.source, leaf.file, leaf.line)) {
        free_leaf(&leaf);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->leaves[i].path, leaf.path) == 0) {
            free_leaf(&s->leaves[i]);
            s->leaves[i] = leaf;
            return;
        }
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 32;
        s->leaves = mt_realloc(s->leaves, s->room * sizeof *s->leaves);
    }
    s->leaves[s->count++] = leaf;
}

static void keep_doc(struct mt_sources *s, struct mt_doc *doc)
{
    s->docs = mt_realloc(s->docs, (s->doc_count + 1) * sizeof(struct mt_doc *));
    s->docs[s->doc_count++] = doc;
}

static char *scalar_text(struct mt_val v)
{
    switch (mt_val_kind(v)) {
    case MT_STRING:
        return mt_slice_dup(mt_val_string(v));
    case MT_NUMBER:
        return mt_slice_dup(mt_val_literal(v));
    case MT_BOOL:
        return mt_strdup(mt_val_true(v) ? "true" : "false");
    case MT_NULL:
    case MT_ARRAY:
    case MT_OBJECT:
        break;
    }
    return NULL;
}

/* ---- variables ---- */

static void put_variable(struct mt_sources *s, struct mt_slice name, struct mt_slice text,
                         struct mt_variable origin, const char *shown)
{
    if (s->variable_count == s->variable_room) {
        s->variable_room = s->variable_room ? s->variable_room * 2 : 64;
        s->variables = mt_realloc(s->variables, s->variable_room * sizeof *s->variables);
    }
    origin.name = mt_slice_dup(name);
    origin.text = mt_slice_dup(text);
    origin.source = shown ? mt_format("%s:%u: %s", shown, origin.line, origin.name)
                          : mt_format("environment variable %s", origin.name);
    origin.file = mt_strdup(origin.file);
    s->variables[s->variable_count++] = origin;
}

static const struct mt_variable *find_variable(const struct mt_sources *s, struct mt_slice name)
{
    for (size_t i = s->variable_count; i > 0; i--)
        if (mt_slice_is(name, s->variables[i - 1].name))
            return &s->variables[i - 1];
    return NULL;
}

struct dotenv {
    struct mt_sources *s;
    const char *shown; /* for messages: its path */
    bool shared, ours;
};

static char dotenv_name[] = ".env";

static void dotenv_each(void *ud, struct mt_slice name, struct mt_slice value, unsigned line)
{
    struct dotenv *d = ud;
    struct mt_variable origin = {
        .file = d->ours ? dotenv_name : NULL, .line = line, .shared = d->shared, .ours = d->ours};
    put_variable(d->s, name, value, origin, d->shown);
}

static void dotenv_bad(void *ud, unsigned line, const char *why)
{
    struct dotenv *d = ud;
    mt_sources_problem(d->s, false, false, d->ours ? dotenv_name : NULL, line,
                       "%s:%u: the line is ignored: %s", d->shown, line, why);
}

static void read_dotenv(struct mt_sources *s, const char *path, const char *shown, bool shared, bool ours)
{
    struct dotenv d = {s, shown, shared, ours};
    char chunk[4096];
    size_t n;
    FILE *in = fopen(path, "re");
    if (!in)
        return;
    struct mt_buf text;
    mt_buf_init(&text, 4 << 20);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0 && mt_buf_add(&text, chunk, n))
        ;
    if (ferror(in) || text.failed)
        mt_sources_problem(s, true, false, ours ? dotenv_name : NULL, 0,
                           "%s cannot be read: it must be a text file of at most 4 MiB", shown);
    else
        mt_dotenv_parse(mt_buf_slice(&text), dotenv_each, dotenv_bad, &d);
    fclose(in);
    mt_buf_fini(&text);
}

void mt_sources_variables(struct mt_sources *s, const struct mt_bundle *bundle, char **environ_list)
{
    char here[PATH_MAX];
    bool same = bundle && getcwd(here, sizeof here) && strcmp(here, mt_bundle_path(bundle)) == 0;
    if (bundle && !same && !s->sealed) {
        char *path = mt_format("%s/.env", mt_bundle_path(bundle));
        read_dotenv(s, path, path, false, true);
        free(path);
    }
    if (!s->sealed)
        read_dotenv(s, ".env", ".env", true, same);
    for (char **e = environ_list; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (equals)
            put_variable(s, (struct mt_slice){*e, (size_t)(equals - *e)}, mt_slice_of(equals + 1),
                         (struct mt_variable){.shared = true}, NULL);
    }
}

/* ---- config.yaml and JSON sections ---- */

struct origin {
    const char *what;              /* "config.yaml", or a variable's source */
    const char *file;              /* NULL: no file */
    unsigned line;                 /* of a variable */
    const struct mt_keyset *lines; /* of a file */
    bool own;                      /* as mt_leaf has it */
};

/* {{ from env NAME }} (R-CFG-05). Returns false when the text does not begin so; else *out is the variable,
 * or NULL: not given. */
static bool from_environment(const struct mt_sources *s, struct mt_slice text, const struct mt_variable **out)
{
    static const char begin[] = "{{ from ";
    size_t n = sizeof begin - 1;
    if (text.n < n || memcmp(text.p, begin, n) != 0)
        return false;
    struct mt_slice rest = {text.p + n, text.n - n};
    const char *blank = memchr(rest.p, ' ', rest.n);
    if (!blank)
        return false;
    struct mt_slice provider = {rest.p, (size_t)(blank - rest.p)};
    struct mt_slice name = {blank + 1, rest.n - provider.n - 1};
    size_t length = 0;
    while (length < name.n && (isalnum((unsigned char)name.p[length]) || name.p[length] == '_'))
        length++;
    if (!length || name.n - length < 3 || memcmp(name.p + length, " }}", 3) != 0)
        return false;
    name.n = length;
    *out = mt_slice_is(provider, "env") ? find_variable(s, name) : NULL;
    return true;
}

static void put_value(struct mt_sources *s, const char *path, const char *original, struct mt_val v,
                      const struct origin *o)
{
    const struct mt_variable *variable = NULL;
    unsigned line = o->lines ? mt_yaml_line(o->lines, original) : o->line;
    if (mt_val_is(v, MT_STRING) && from_environment(s, mt_val_string(v), &variable)) {
        if (variable)
            put(s, (struct mt_leaf){.path = mt_strdup(path),
                                    .text = mt_strdup(variable->text),
                                    .source = mt_format("%s, named by %s", variable->source, o->what),
                                    .file = mt_strdup(o->file),
                                    .line = line,
                                    .own = o->own});
        return;
    }
    put(s, (struct mt_leaf){.path = mt_strdup(path),
                            .text = scalar_text(v),
                            .value = v,
                            .source = o->lines ? mt_format("%s:%u: %s", o->what, line, original)
                                               : mt_strdup(o->what),
                            .file = mt_strdup(o->file),
                            .line = line,
                            .own = o->own});
}

static void put_object(struct mt_sources *s, const char *path, const char *original, struct mt_val object,
                       const struct origin *o, unsigned depth)
{
    struct mt_slice name;
    struct mt_val v;
    bool inside = strcmp(path, CONFIG) == 0;
    for (struct mt_iter it = mt_iter_of(object); mt_iter_next(&it, &name, &v);) {
        char *snake = mt_spelling_snake(name);
        char *below = mt_format("%s%s%s", path, *path ? "." : "", snake);
        char *shown = mt_format("%s%s%.*s", original, *original ? "." : "", MT_FMT(name));
        if (!inside && mt_val_is(v, MT_OBJECT) && depth < DEEPEST)
            put_object(s, below, shown, v, o, depth + 1);
        else if (is_section(below) && !mt_val_is(v, MT_NULL) && !mt_val_is(v, MT_OBJECT))
            mt_sources_problem(s, true, false, o->file, o->lines ? mt_yaml_line(o->lines, shown) : o->line,
                               "%s: %s must be an object", o->what, shown);
        else if (!is_section(below))
            put_value(s, below, shown, v, o);
        free(snake);
        free(below);
        free(shown);
    }
}

static void read_config_yaml(struct mt_sources *s, const struct mt_bundle *bundle)
{
    static const char name[] = "config.yaml";
    struct mt_err err;
    struct mt_buf text;
    struct mt_doc *doc = NULL;
    mt_buf_init(&text, 8 << 20);
    enum mt_rc rc = mt_bundle_read(bundle, name, &text, &err);
    if (rc == MT_ENOENT)
        goto out;
    if (rc == MT_OK)
        rc = mt_yaml_parse(mt_buf_slice(&text), name, &doc, &err);
    if (rc != MT_OK) {
        mt_sources_problem(s, true, false, name, 0, "%s", err.text);
        goto out;
    }
    keep_doc(s, doc);
    if (mt_val_is(mt_doc_root(doc), MT_OBJECT)) {
        struct mt_keyset *lines = mt_yaml_lines(mt_buf_slice(&text));
        struct origin o = {name, name, 0, lines, true};
        put_object(s, "", "", mt_doc_root(doc), &o, 0);
        mt_keyset_free(lines);
    } else if (!mt_val_is(mt_doc_root(doc), MT_NULL)) {
        mt_sources_problem(s, true, false, name, 1, "%s: its top level must be an object", name);
    }
out:
    mt_buf_fini(&text);
}

/* ---- variables as settings ---- */

char *mt_sources_setting(const char *variable, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncasecmp(variable, prefix, n) != 0 || !variable[n])
        return NULL;
    char *path = mt_alloc(strlen(variable) + 16), *to = path;
    if (strcmp(prefix, "APPLICATION__") == 0)
        to += sprintf(to, "application.");
    for (const char *p = variable + n; *p; p++)
        if (p[0] == '_' && p[1] == '_') {
            *to++ = '.';
            p++;
        } else {
            *to++ = (char)tolower((unsigned char)*p);
        }
    return path;
}

static void put_section(struct mt_sources *s, const char *path, const struct mt_variable *v, bool own)
{
    struct mt_doc *doc = NULL;
    struct mt_json_limits limits = {8 << 20, 64};
    if (mt_doc_parse_copy(mt_slice_of(v->text), &limits, &doc, NULL) != MT_OK ||
        !mt_val_is(mt_doc_root(doc), MT_OBJECT)) {
        mt_doc_unref(doc);
        /* The text may hold secrets: it is not shown. */
        mt_sources_problem(s, true, false, v->file, v->line,
                           "%s must be a JSON object like {\"name\": \"value\"}, or be replaced by one "
                           "variable for each member (%s__NAME)",
                           v->source, v->name);
        return;
    }
    keep_doc(s, doc);
    struct origin o = {v->source, v->file, v->line, NULL, own};
    put_object(s, path, "", mt_doc_root(doc), &o, 0);
}

struct setting {
    char *path;
    size_t variable;
    unsigned depth;
};

static int by_depth(const void *a, const void *b)
{
    const struct setting *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return x->variable < y->variable ? -1 : x->variable > y->variable;
}

static unsigned depth_of(const char *path)
{
    unsigned depth = 0;
    for (; *path; path++)
        depth += *path == '.';
    return depth;
}

/* Takes path over. A later variable of the same path replaces an earlier one, except that OCEAN__ does not
 * replace MOONTIDE__ of its own source. */
static void note(struct mt_sources *s, struct setting *list, size_t *count, char *path, size_t variable)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i].path, path) == 0) {
            const struct mt_variable *old = &s->variables[list[i].variable], *new = &s->variables[variable];
            bool one_source = (old->line != 0) == (new->line != 0) && old->ours == new->ours;
            bool weaker =
                strncasecmp(old->name, "MOONTIDE__", 10) == 0 && strncasecmp(new->name, "OCEAN__", 7) == 0;
            if (!one_source || !weaker)
                list[i].variable = variable;
            free(path);
            return;
        }
    list[(*count)++] = (struct setting){path, variable, depth_of(path)};
}

/* One layer: those of every bundle, or those that name this one, which are stronger whatever their section.
 */
static void put_variables(struct mt_sources *s, const char *const *prefixes, bool named)
{
    struct setting *list = mt_alloc((s->variable_count + 1) * sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < s->variable_count; i++)
        for (const char *const *prefix = prefixes; *prefix; prefix++) {
            const char *name = s->variables[i].name;
            if (!named && strncasecmp(name, MT_BUNDLES_PREFIX, sizeof MT_BUNDLES_PREFIX - 1) == 0)
                continue;
            char *path = mt_sources_setting(name, *prefix);
            const struct mt_variable *v = &s->variables[i];
            if (path && is_foreign(s, path, named || !v->shared, v->source, v->file, v->line))
                free(path); /* told even when a common variable would have replaced it */
            else if (path)
                note(s, list, &count, path, i);
        }
    qsort(list, count, sizeof *list, by_depth);
    for (size_t i = 0; i < count; i++) {
        const struct mt_variable *v = &s->variables[list[i].variable];
        bool own = named || !v->shared;
        if (is_section(list[i].path))
            put_section(s, list[i].path, v, own);
        else
            put(s, (struct mt_leaf){.path = mt_strdup(list[i].path),
                                    .text = mt_strdup(v->text),
                                    .source = mt_strdup(v->source),
                                    .file = mt_strdup(v->file),
                                    .line = v->line,
                                    .own = own});
        free(list[i].path);
    }
    free(list);
}

const char *mt_sources_prefix(const struct mt_sources *s)
{
    return s->several && s->prefix ? s->prefix : "OCEAN__";
}

static void put_flag(struct mt_sources *s, const char *path, const char *flag, const char *text)
{
    if (text)
        put(s, (struct mt_leaf){.path = mt_strdup(path), .text = mt_strdup(text), .source = mt_strdup(flag)});
}

void mt_sources_read(struct mt_sources *s, const struct mt_bundle *bundle, char **environ_list,
                     const struct mt_config_flags *flags)
{
    static const char *const everyone[] = {"OCEAN__", "MOONTIDE__", "APPLICATION__", NULL};
    s->several = flags && flags->several;
    s->sealed = flags && flags->sealed;
    mt_sources_variables(s, bundle, environ_list);
    if (bundle)
        read_config_yaml(s, bundle);
    put_variables(s, everyone, false);
    if (bundle) {
        const char *name = mt_bundle_name(bundle);
        char *upper = mt_config_variable_name(name);
        s->prefix = mt_format("%s%s__", MT_BUNDLES_PREFIX, upper);
        free(upper);
        if (s->several)
            mt_bundles_refuse_shared(s, bundle);
        put_variables(s, (const char *const[]){s->prefix, NULL}, true);
        mt_bundles_name_unknown(s, &name, 1, !s->several);
    }
    if (flags) {
        put_flag(s, "port.base_url", "option --port-url", flags->port_url);
        put_flag(s, "state_file", "option --state", flags->state_file);
    }
}

void mt_sources_fini(struct mt_sources *s)
{
    for (size_t i = 0; i < s->count; i++)
        free_leaf(&s->leaves[i]);
    for (size_t i = 0; i < s->variable_count; i++) {
        struct mt_variable *v = &s->variables[i];
        free(v->name);
        free(v->text);
        free(v->source);
        free(v->file);
    }
    for (size_t i = 0; i < s->doc_count; i++)
        mt_doc_unref(s->docs[i]);
    free(s->leaves);
    free(s->variables);
    free(s->prefix);
    free(s->docs);
}
