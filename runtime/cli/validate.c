/* `moontide validate`: everything about a bundle that can be known without a third party and without
 * credentials. On the main thread; the script host gets a loop that never runs. Findings are collected,
 * printed, and counted; each has the place of what it is about where that is known. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/appconfig.h"
#include "bundle/blueprints.h"
#include "bundle/config.h"
#include "bundle/yaml.h"
#include "cli/command.h"
#include "cli/findings.h"
#include "script/host.h"

extern char **environ;

enum { MOST_BYTES = 64 << 20 }; /* of one file */

struct validation {
    const char *path, *name; /* the bundle's folder; what it is called */
    struct mt_bundle *bundle;
    struct mt_config *config;
    struct mt_host *host;
    struct mt_findings findings;
    struct mt_keyset *mapping_lines, *blueprint_lines;
    unsigned kinds, examples, entities;
};

/* ---- findings ---- */

__attribute__((format(printf, 5, 6))) static void add(struct validation *v, bool error, const char *file,
                                                      unsigned line, const char *format, ...)
{
    struct mt_err text;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text.text, sizeof text.text, format, ap);
    va_end(ap);
    mt_findings_add(&v->findings, error, file, line, text.text);
}

static bool is_file(const struct validation *v, const char *relative)
{
    struct stat st;
    struct mt_buf text;
    bool found;
    if (v->bundle) {
        mt_buf_init(&text, MOST_BYTES);
        found = mt_bundle_read(v->bundle, relative, &text, NULL) == MT_OK;
        mt_buf_fini(&text);
    } else { /* a folder that did not open: errors name its files all the same */
        char *path = mt_format("%s/%s", v->path, relative);
        found = stat(path, &st) == 0 && S_ISREG(st.st_mode);
        free(path);
    }
    return found;
}

/* Takes an error apart whose text has its place: "FILE:LINE:COLUMN: …" of YAML, "FILE: … (line N …" of JSON,
 * "bundle: FILE:LINE: …" of Lua. */
static void add_error(struct validation *v, const struct mt_err *err, const char *file)
{
    const char *text = err->text;
    for (const char *p = text; p && p < text + 200; p = (p = strstr(p, ": ")) ? p + 2 : NULL) {
        char name[200];
        unsigned line = 0;
        size_t n = strcspn(p, ":\n");
        if (n == 0 || n >= sizeof name || p[n] != ':')
            continue;
        memcpy(name, p, n);
        name[n] = '\0';
        if (!is_file(v, name))
            continue;
        const char *rest = p + n + 1;
        unsigned column, length = 0;
        const char *json;
        if (sscanf(rest, "%u:%u: %n", &line, &column, (int *)&length) == 2 && length)
            rest += length;
        else if (sscanf(rest, "%u: %n", &line, (int *)&length) == 1 && length)
            rest += length;
        else if ((json = strstr(rest, "(line ")) != NULL)
            line = (unsigned)strtoul(json + 6, NULL, 10);
        add(v, true, name, line, "%s", rest + strspn(rest, " "));
        return;
    }
    add(v, true, file, 0, "%s", text);
}

static struct mt_keyset *lines_of(const struct validation *v, const char *file)
{
    struct mt_keyset *lines = NULL;
    struct mt_buf text;
    mt_buf_init(&text, MOST_BYTES);
    if (file && mt_bundle_read(v->bundle, file, &text, NULL) == MT_OK)
        lines = mt_yaml_lines(mt_buf_slice(&text));
    mt_buf_fini(&text);
    return lines;
}

/* ---- configuration ---- */

static void config_problem(void *ud, const struct mt_config_problem *p)
{
    struct validation *v = ud;
    struct mt_err err;
    char name[64];
    size_t n = p->file ? (size_t)snprintf(name, sizeof name, "%s:%u:", p->file, p->line) : 0;
    const char *text = n && n < sizeof name && strncmp(p->text, name, n) == 0
                           ? p->text + n + strspn(p->text + n, " ")
                           : p->text;
    if (p->file && !p->line && p->error) {
        mt_fail(&err, MT_EINVAL, "%s", text);
        add_error(v, &err, p->file);
    } else {
        add(v, p->error && !p->missing, p->file, p->line, "%s", text);
    }
}

/* ---- mapping ---- */

struct place {
    struct validation *v;
    const struct mt_mapping *mapping;
    unsigned index;
    const char *example; /* NULL: of the mapping itself */
};

/* The line of a field of a resource ("selector.query", "properties.url", "itemsToParse"). */
static unsigned field_line(const struct validation *v, unsigned index, const char *field)
{
    bool outside =
        strncmp(field, "selector", 8) == 0 || strcmp(field, "kind") == 0 || strncmp(field, "port", 4) == 0;
    const char *above = outside                                   ? ""
                        : strncmp(field, "itemsToParse", 12) == 0 ? "port."
                                                                  : "port.entity.mappings.";
    char *path = mt_format("resources[%u].%s%s", index, above, field);
    unsigned line = mt_yaml_line(v->mapping_lines, path);
    free(path);
    return line;
}

static void mapping_problem(void *ud, bool error, const char *field, const char *text)
{
    const struct place *at = ud;
    struct mt_slice kind = mt_mapping_kind(at->mapping);
    const char *example = at->example, *file = mt_bundle_resources(at->v->bundle)->mapping_file;
    if (example) {
        /* One a field: a wrong expression shows in every example. */
        struct mt_slice parts[] = {
            {(const char *)&at->index, sizeof at->index}, mt_slice_of(field), MT_SLICE("example")};
        struct mt_key key = mt_key_of(parts, 3);
        if (!mt_findings_first(&at->v->findings, &key))
            return;
    }
    add(at->v, error, file, field_line(at->v, at->index, field), "kind %.*s, %s: %s%s%s%s", MT_FMT(kind),
        field, text, example ? " (example " : "", example ? example : "", example ? ")" : "");
}

/* Errors of a resource begin with "FILE, resource N (kind "…"), FIELD: ". */
static void resource_error(struct validation *v, unsigned index, const struct mt_err *err)
{
    const char *file = mt_bundle_resources(v->bundle)->mapping_file, *text = err->text;
    size_t n = strlen(file);
    char field[200] = "kind";
    if (strncmp(text, file, n) == 0 && strncmp(text + n, ", ", 2) == 0)
        text += n + 2;
    const char *end = strstr(text, "\"), ");
    if (end && strcspn(end + 4, ":") < sizeof field)
        snprintf(field, sizeof field, "%.*s", (int)strcspn(end + 4, ":"), end + 4);
    add(v, true, file, field_line(v, index, field), "%s", text);
}

static bool spec_lists(const struct validation *v, struct mt_slice kind, bool *out_any)
{
    struct mt_val features, feature, resources, resource, name;
    *out_any = false;
    if (!mt_bundle_spec(v->bundle).doc ||
        !mt_val_member(mt_bundle_spec(v->bundle), MT_SLICE("features"), &features))
        return false;
    for (uint32_t i = 0; mt_val_index(features, i, &feature); i++)
        for (uint32_t k = 0; mt_val_member(feature, MT_SLICE("resources"), &resources) &&
                             mt_val_index(resources, k, &resource);
             k++) {
            if (!mt_val_member(resource, MT_SLICE("kind"), &name) || !mt_val_is(name, MT_STRING))
                continue;
            *out_any = true;
            if (mt_slice_eq(mt_val_string(name), kind))
                return true;
        }
    return false;
}

static void check_kind(struct validation *v, const struct place *at)
{
    bool any;
    struct mt_slice kind = mt_mapping_kind(at->mapping);
    const char *file = mt_bundle_resources(v->bundle)->mapping_file;
    unsigned line = field_line(v, at->index, "kind");
    if (!spec_lists(v, kind, &any) && any)
        add(v, false, file, line, "kind %.*s is not listed in %s (features, resources)", MT_FMT(kind),
            mt_bundle_spec_file(v->bundle));
    if (v->host && !mt_host_handles(v->host, kind))
        add(v, true, file, line, "kind %.*s has no handler: main.lua needs on_resync(\"%.*s\", …)",
            MT_FMT(kind), MT_FMT(kind));
}

/* ---- examples ---- */

/* The message is "FIELD (EXPRESSION): cause", or a sentence. */
static void item_failed(const struct place *at, const char *message)
{
    size_t n = strcspn(message, " ");
    bool named = message[n] == ' ' && message[n + 1] == '(';
    char *field = named ? mt_slice_dup((struct mt_slice){message, n}) : mt_strdup("selector");
    char *text = mt_format("an item fails: %s", named ? message + n + 1 : message);
    mapping_problem((void *)(uintptr_t)at, true, field, text);
    free(field);
    free(text);
}

static void check_mapped(const struct place *at, struct mt_mapped *m)
{
    struct validation *v = at->v;
    struct mt_val blueprints = mt_bundle_resources(v->bundle)->blueprints;
    v->entities += (unsigned)m->entity_count;
    for (size_t i = 0; i < m->entity_count; i++) {
        struct mt_doc *doc = NULL;
        if (mt_doc_parse_copy(m->entities[i]->json, NULL, &doc, NULL) == MT_OK)
            mt_blueprints_check_entity(blueprints, mt_doc_root(doc), mapping_problem, (void *)(uintptr_t)at);
        mt_doc_unref(doc);
    }
    for (size_t i = 0; i < m->failed_count; i++)
        item_failed(at, m->failed[i].message);
    for (size_t i = 0; i < m->empty_count; i++) {
        const struct mt_empty_field *e = &m->empty[i];
        char *field = mt_slice_dup(mt_mapping_field(at->mapping, e->field));
        if (e->sample && strcmp(e->sample, "null") != 0) {
            char *text = mt_format("gives null because of an error: %s", e->sample);
            mapping_problem((void *)(uintptr_t)at, false, field, text);
            free(text);
        }
        free(field);
    }
}

/* One example: an item, or a list of them. */
static void run_example(struct place *at, struct mt_mapper *mapper, const char *file)
{
    struct validation *v = at->v;
    struct mt_doc *doc = NULL, *list = NULL;
    struct mt_mapped mapped = {0};
    struct mt_err err;
    struct mt_buf text;
    mt_buf_init(&text, MOST_BYTES);
    enum mt_rc rc = mt_bundle_read(v->bundle, file, &text, &err);
    if (rc == MT_OK)
        rc = mt_yaml_read(mt_buf_slice(&text), file, &doc, &err);
    mt_buf_fini(&text);
    if (rc != MT_OK) {
        add_error(v, &err, file);
        return;
    }
    struct mt_builder *b = mt_builder_new();
    bool many = mt_val_is(mt_doc_root(doc), MT_ARRAY);
    if (!many)
        mt_build_array(b);
    mt_build_ref(b, mt_doc_root(doc));
    if (!many)
        mt_build_end(b);
    rc = mt_builder_finish(b, &list, &err);
    mt_builder_free(b);
    if (rc == MT_OK)
        rc = mt_mapper_run(mapper, mt_doc_root(list), &mapped, &err);
    if (rc == MT_OK) {
        const char *name = strrchr(file, '/');
        at->example = name ? name + 1 : file;
        check_mapped(at, &mapped);
        at->example = NULL;
        v->examples++;
    } else {
        add_error(v, &err, file);
    }
    mt_mapped_fini(&mapped);
    mt_doc_unref(list);
    mt_doc_unref(doc);
}

struct examples {
    struct place *at;
    struct mt_mapper *mapper;
};

static void each_example(void *ud, const char *relative)
{
    const struct examples *e = ud;
    run_example(e->at, e->mapper, relative);
}

static void run_examples(struct place *at, struct mt_mapper *mapper)
{
    struct mt_slice kind = mt_mapping_kind(at->mapping);
    struct mt_err err;
    char *folder = mt_format(".port/examples/%.*s", MT_FMT(kind));
    bool plain =
        kind.n && !memchr(kind.p, '/', kind.n) && !mt_slice_is(kind, "..") && !mt_slice_is(kind, ".");
    if (plain &&
        mt_bundle_list(at->v->bundle, folder, each_example, &(struct examples){at, mapper}, &err) != MT_OK)
        add_error(at->v, &err, NULL);
    free(folder);
}

static void check_resource(struct validation *v, struct mt_val resource, unsigned index,
                           const struct mt_mapping_options *options)
{
    struct mt_mapping *mapping = NULL;
    struct mt_mapper *mapper = NULL;
    struct mt_err err;
    if (mt_mapping_new(resource, index, options, &mapping, &err) != MT_OK) {
        resource_error(v, index, &err);
        return;
    }
    struct place at = {v, mapping, index, NULL};
    v->kinds++;
    check_kind(v, &at);
    if (mt_bundle_resources(v->bundle)->blueprints.doc)
        mt_blueprints_check_mapping(mt_bundle_resources(v->bundle)->blueprints, mapping, mapping_problem,
                                    &at);
    if (mt_mapper_new(mapping, &mapper, &err) == MT_OK)
        run_examples(&at, mapper);
    else
        resource_error(v, index, &err);
    mt_mapper_free(mapper);
    mt_mapping_free(mapping);
}

/* The flags by themselves: the resources have told their own errors. */
static void check_flags(struct validation *v, struct mt_val mapping, const struct mt_mapping_options *options)
{
    struct mt_appconfig *a = NULL;
    struct mt_doc *doc = NULL;
    struct mt_slice name;
    struct mt_val value;
    struct mt_err err;
    struct mt_builder *b = mt_builder_new();
    mt_build_object(b);
    for (struct mt_iter it = mt_iter_of(mapping); mt_iter_next(&it, &name, &value);) {
        mt_build_name(b, name);
        if (mt_slice_is(name, "resources") && mt_val_is(value, MT_ARRAY)) {
            mt_build_array(b);
            mt_build_end(b);
        } else {
            mt_build_ref(b, value);
        }
    }
    mt_build_end(b);
    enum mt_rc rc = mt_builder_finish(b, &doc, &err);
    mt_builder_free(b);
    if (rc == MT_OK)
        rc = mt_appconfig_new(mt_doc_root(doc), options, &a, &err);
    if (rc != MT_OK) {
        const char *file = options->source, *text = err.text;
        size_t n = strlen(file);
        text += strncmp(text, file, n) == 0 && text[n] == ':' ? n + 2 : 0;
        char *key = mt_slice_dup((struct mt_slice){text, strcspn(text, " ")});
        add(v, true, file, mt_yaml_line(v->mapping_lines, key), "%s", text);
        free(key);
    }
    mt_appconfig_free(a);
    mt_doc_unref(doc);
}

static void check_mapping(struct validation *v)
{
    const struct mt_resources *r = mt_bundle_resources(v->bundle);
    struct mt_mapping_options options = {mt_config_bool(v->config, "allow_environment_variables_jq_access"),
                                         r->mapping_file};
    struct mt_val list, resource;
    if (!r->mapping.doc) {
        add(v, false, NULL, 0,
            "there is no .port/resources/port-app-config.yml: Port must have a mapping already");
        return;
    }
    v->mapping_lines = lines_of(v, r->mapping_file);
    check_flags(v, r->mapping, &options);
    if (!mt_val_member(r->mapping, MT_SLICE("resources"), &list))
        return;
    for (uint32_t i = 0; mt_val_index(list, i, &resource); i++)
        check_resource(v, resource, i, &options);
}

/* ---- blueprints ---- */

static const char *blueprints_file(const struct validation *v)
{
    static const char *const names[] = {".port/resources/blueprints.json", ".port/resources/blueprints.yaml",
                                        ".port/resources/blueprints.yml"};
    for (int i = 0; i < 3; i++)
        if (is_file(v, names[i]))
            return names[i];
    return NULL;
}

static void blueprint_problem(void *ud, bool error, const char *field, const char *text)
{
    struct validation *v = ud;
    add(v, error, blueprints_file(v), mt_yaml_line(v->blueprint_lines, field), "%s", text);
}

/* ---- the script ---- */

static enum mt_rc read_source(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    return mt_bundle_read(ud, relative, out, err);
}

static bool is_sensitive(void *ud, struct mt_slice name)
{
    return mt_config_is_sensitive(ud, name);
}

struct machinery {
    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_pool *pool;
};

static void load_script(struct validation *v, struct machinery *m)
{
    struct mt_err err;
    m->loop = mt_loop_new();
    m->http = mt_http_new(m->loop);
    m->pool = mt_pool_new(m->loop, 1);
    struct mt_host_options options = {
        .loop = m->loop,
        .http = m->http,
        .pool = m->pool,
        .name = mt_bundle_name(v->bundle),
        .read = read_source,
        .read_ud = v->bundle,
        .config = mt_config_integration(v->config),
        .is_sensitive = is_sensitive,
        .sensitive_ud = v->config,
    };
    if (mt_host_new(&options, &v->host, &err) != MT_OK)
        add_error(v, &err, "main.lua");
}

static void unload_script(struct validation *v, struct machinery *m)
{
    mt_host_free(v->host);
    mt_pool_free(m->pool);
    mt_http_free(m->http);
    mt_loop_free(m->loop);
}

/* ---- the command ---- */

static void print_text(const struct validation *v)
{
    mt_findings_print(&v->findings, v->name);
    printf("%s: %u errors, %u warnings (%u kinds, %u examples mapped to %u entities)\n", v->name,
           v->findings.errors, v->findings.warnings, v->kinds, v->examples, v->entities);
}

static void print_json(const struct validation *v)
{
    const struct mt_findings *f = &v->findings;
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_buf_puts(&out, "{\"bundle\":");
    mt_buf_put_json_string(&out, mt_slice_of(v->name));
    mt_buf_printf(&out,
                  ",\"ok\":%s,\"errors\":%u,\"warnings\":%u,\"kinds\":%u,\"examples\":%u,\"entities\":%u,"
                  "\"findings\":",
                  f->errors ? "false" : "true", f->errors, f->warnings, v->kinds, v->examples, v->entities);
    mt_findings_write(f, &out);
    printf("%s}\n", mt_buf_text(&out));
    mt_buf_fini(&out);
}

/* Is it a bundle at all? What is wrong inside of one is a finding, not a usage error. */
static bool looks_like_one(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    bool packed = n > 4 && strcmp(path + n - 4, ".mtb") == 0;
    char *main = packed ? mt_strdup(path) : mt_format("%s/main.lua", path);
    bool found = stat(main, &st) == 0 && S_ISREG(st.st_mode);
    free(main);
    return found;
}

static void validate(struct validation *v)
{
    struct machinery machinery;
    v->config = mt_config_check(v->bundle, environ, NULL, config_problem, v);
    mt_config_set_engine(v->config);
    v->blueprint_lines = lines_of(v, blueprints_file(v));
    mt_blueprints_check(mt_bundle_resources(v->bundle)->blueprints, blueprint_problem, v);
    load_script(v, &machinery);
    check_mapping(v);
    unload_script(v, &machinery);
}

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_validate;
    bool json = false;
    struct mt_err err;
    struct validation v = {0};
    struct mt_bundle_options open = {.whole = true};
    int n = mt_options_parse(
        self, argc, argv,
        (struct mt_option[]){{.name = "json", .flag = &json}, {.name = "trust", .value = &open.trust}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(
            self,
            n ? "takes one bundle, not %d" : "which bundle? (a folder that holds main.lua, or FILE.mtb)", n);
    v.path = argv[1];
    v.name = argv[1];
    if (mt_bundle_open(argv[1], &open, &v.bundle, &err) == MT_OK) {
        v.path = mt_bundle_path(v.bundle);
        v.name = mt_bundle_name(v.bundle);
        validate(&v);
    } else if (looks_like_one(argv[1])) {
        add_error(&v, &err, NULL);
    } else {
        return mt_command_failed(self, &err, MT_EXIT_USAGE);
    }
    if (json)
        print_json(&v);
    else
        print_text(&v);
    unsigned errors = v.findings.errors;
    mt_findings_fini(&v.findings);
    mt_keyset_free(v.mapping_lines);
    mt_keyset_free(v.blueprint_lines);
    mt_config_free(v.config);
    mt_bundle_free(v.bundle);
    mt_mask_forget();
    return errors ? MT_EXIT_FAILED : MT_EXIT_OK;
}

const struct mt_command mt_command_validate = {
    .name = "validate",
    .usage = "moontide validate BUNDLE [--json] [--trust NAME.pub]",
    .summary = "check a bundle: configuration, mapping, blueprints, examples, handlers",
    .help = "  --json             the findings as one JSON object on stdout\n"
            "  --trust NAME.pub   takes only what this key signed\n"
            "Needs no credentials: a configuration value that is missing here is a warning.\n"
            "exit codes: 0 no error (there may be warnings); 1 errors; 2 usage, or not a bundle\n",
    .run = run,
};
