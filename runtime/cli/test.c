/* moontide test: the specs of a bundle, run by busted in a Lua state of its own (busted.h). What the specs
 * ask is answered here: files of the bundle, and trials of it (sync/trial.h) against recordings. The bridge
 * to Lua is text: lua/moontide/test.lua and test/runner.lua on the other side. One thread. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/spelling.h"
#include "cli/busted.h"
#include "cli/command.h"
#include "script/library.h"
#include "script/recording.h"
#include "sync/trial.h"

/* One test.bundle of a spec. */
struct tested {
    struct mt_version *version;
    struct mt_recordings *recordings;
    struct mt_trial *trial;
};

struct specs {
    struct mt_bundle *bundle;
    const char *path; /* as it was typed */
    struct mt_bundle_options open;
    struct tested **list; /* by id from 1; NULL: closed */
    size_t count;
    struct mt_buf log; /* lines of the call under way, elements of a JSON array */
    char *prefix;      /* of the bundle's files in messages */
};

static void free_tested(struct tested *t)
{
    if (!t)
        return;
    mt_trial_free(t->trial);
    mt_version_unref(t->version);
    mt_recordings_free(t->recordings);
    free(t);
}

static void keep_line(void *ud, struct mt_slice line)
{
    struct mt_buf *log = ud;
    if (line.n && line.p[line.n - 1] == '\n')
        line.n--;
    if (log->n)
        mt_buf_putc(log, ',');
    mt_buf_put_json_string(log, line);
}

/* ---- opening ---- */

static struct mt_val configurations(const struct mt_bundle *bundle)
{
    struct mt_val list = {0};
    mt_val_member(mt_bundle_spec(bundle), MT_SLICE("configurations"), &list);
    return list;
}

/* A name that the specification does not have is a mistake of the spec's author, not a setting to ignore. */
static enum mt_rc check_name(const struct mt_bundle *bundle, struct mt_slice name, struct mt_err *err)
{
    struct mt_val list = configurations(bundle), entry, known;
    struct mt_slice nearest = {NULL, 0};
    unsigned best = mt_spelling_limit(name);
    if (!mt_bundle_spec(bundle).doc)
        return MT_OK;
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++) {
        if (!mt_val_member(entry, MT_SLICE("name"), &known))
            continue;
        if (mt_slice_eq(mt_val_string(known), name))
            return MT_OK;
        if (mt_spelling_nearer(name, mt_val_string(known), &best))
            nearest = mt_val_string(known);
    }
    return mt_fail(err, MT_EINVAL, "config: %s has no configuration \"%.*s\"%s%.*s%s",
                   mt_bundle_spec_file(bundle), (int)(name.n < MT_FOREIGN ? name.n : MT_FOREIGN), name.p,
                   nearest.p ? ": did you mean \"" : "", MT_FMT(nearest), nearest.p ? "\"?" : "");
}

/* The values as variables, the one way in which configuration takes them. The list is ended by NULL. */
static enum mt_rc environment(const struct mt_bundle *bundle, struct mt_val config, char ***out,
                              struct mt_err *err)
{
    struct mt_slice name;
    struct mt_val v;
    size_t count = 0;
    char **list = mt_alloc((mt_val_count(config) + (size_t)1) * sizeof *list);
    enum mt_rc rc = MT_OK;
    *out = list;
    for (struct mt_iter it = mt_iter_of(config); rc == MT_OK && mt_iter_next(&it, &name, &v);) {
        rc = check_name(bundle, name, err);
        if (rc != MT_OK || mt_val_is(v, MT_NULL))
            continue;
        struct mt_buf text;
        mt_buf_init(&text, 64 << 20);
        if (mt_val_is(v, MT_STRING))
            mt_buf_put(&text, mt_val_string(v));
        else
            mt_val_write(v, &text);
        char *snake = mt_spelling_snake(name);
        for (char *c = snake; *c; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char)(*c - 'a' + 'A');
        list[count++] = mt_format("MOONTIDE__INTEGRATION__CONFIG__%s=%s", snake, mt_buf_text(&text));
        free(snake);
        mt_buf_fini(&text);
    }
    return rc;
}

static enum mt_rc read_tapes(const struct mt_bundle *bundle, struct mt_val tapes, struct mt_recordings *to,
                             struct mt_err *err)
{
    struct mt_val tape, v;
    enum mt_rc rc = MT_OK;
    for (uint32_t i = 0; rc == MT_OK && mt_val_index(tapes, i, &tape); i++) {
        struct mt_buf file;
        mt_buf_init(&file, (size_t)1 << 30);
        mt_val_member(tape, MT_SLICE("name"), &v);
        char *name = mt_slice_dup(mt_val_string(v));
        struct mt_slice text;
        if (mt_val_member(tape, MT_SLICE("text"), &v)) {
            text = mt_val_string(v);
        } else {
            rc = mt_bundle_read(bundle, name, &file, err);
            text = mt_buf_slice(&file);
        }
        if (rc == MT_OK)
            rc = mt_recordings_add(to, name, text, err);
        free(name);
        mt_buf_fini(&file);
    }
    return rc;
}

/* {"config":{…},"tapes":[{"name","text"}]} → id. The bundle is opened anew: a version owns its bundle. */
static enum mt_rc open_tested(struct specs *s, struct mt_val request, struct mt_buf *out, struct mt_err *err)
{
    struct tested *t = mt_alloc(sizeof *t);
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_val values = {0}, tapes = {0};
    const struct mt_config_flags flags = {.sealed = true};
    char **variables = NULL;
    mt_val_member(request, MT_SLICE("config"), &values);
    mt_val_member(request, MT_SLICE("tapes"), &tapes);
    t->recordings = mt_recordings_new();
    enum mt_rc rc = mt_bundle_open(s->path, &s->open, &bundle, err);
    if (rc == MT_OK)
        rc = environment(bundle, values, &variables, err);
    if (rc == MT_OK && (rc = mt_config_load(bundle, variables, &flags, &config, err)) != MT_OK)
        mt_err_context(err, "test.bundle { config = … }");
    if (rc == MT_OK) {
        t->version = mt_version_new(bundle, config);
        bundle = NULL;
        rc = read_tapes(t->version->bundle, tapes, t->recordings, err);
    }
    struct mt_trial_options options = {.version = t->version, .tape = mt_recordings_tape(t->recordings)};
    if (rc == MT_OK)
        rc = mt_trial_new(&options, &t->trial, err);
    for (char **v = variables; v && *v; v++)
        free(*v);
    free(variables);
    mt_bundle_free(bundle);
    if (rc != MT_OK) {
        free_tested(t);
        return rc;
    }
    s->list = mt_realloc(s->list, (s->count + 1) * sizeof(struct tested *));
    s->list[s->count++] = t;
    mt_buf_printf(out, "%zu", s->count);
    return MT_OK;
}

/* ---- running ---- */

static struct tested **find(struct specs *s, struct mt_val request)
{
    struct mt_val v;
    int64_t id;
    if (!mt_val_member(request, MT_SLICE("id"), &v) || !mt_val_int64(v, &id) || id < 1 ||
        (size_t)id > s->count)
        return NULL;
    return &s->list[id - 1];
}

/* {"id","kind","selector"} → {"result":…,"log":[line,…]} */
static enum mt_rc run_tested(struct specs *s, struct mt_val request, struct mt_buf *out, struct mt_err *err)
{
    struct tested **t = find(s, request);
    struct mt_val kind, selector = {0};
    if (!t || !*t || !mt_val_member(request, MT_SLICE("kind"), &kind))
        return mt_fail(err, MT_EINVAL, "the bundle of this test is closed");
    if (mt_val_member(request, MT_SLICE("selector"), &selector) && !mt_val_is(selector, MT_OBJECT))
        selector = (struct mt_val){0};
    char *name = mt_slice_dup(mt_val_string(kind));
    mt_buf_puts(out, "{\"result\":");
    enum mt_rc rc = mt_trial_run((*t)->trial, name, selector, out, err);
    free(name);
    mt_buf_puts(out, ",\"log\":[");
    mt_buf_put(out, mt_buf_slice(&s->log));
    mt_buf_puts(out, "]}");
    return rc;
}

static enum mt_rc close_tested(struct specs *s, struct mt_val request)
{
    struct tested **t = find(s, request);
    if (t) {
        free_tested(*t);
        *t = NULL;
    }
    return MT_OK;
}

/* ---- what the Lua side asks ---- */

static void put_path(void *ud, const char *relative)
{
    mt_buf_puts(ud, relative);
    mt_buf_putc(ud, '\n');
}

static enum mt_rc list_files(const struct specs *s, struct mt_slice folder, struct mt_buf *out,
                             struct mt_err *err)
{
    while (folder.n && folder.p[folder.n - 1] == '/')
        folder.n--;
    char *name = mt_slice_dup(folder);
    enum mt_rc rc = mt_bundle_list(s->bundle, name, put_path, out, err);
    free(name);
    if (rc == MT_ENOENT) /* no such folder: nothing in it */
        rc = MT_OK;
    return rc;
}

static enum mt_rc read_file(const struct specs *s, struct mt_slice path, struct mt_buf *out,
                            struct mt_err *err)
{
    char *name = mt_slice_dup(path);
    enum mt_rc rc = mt_bundle_read(s->bundle, name, out, err);
    free(name);
    return rc;
}

/* Names of the bundle's configurations, for tide.config of modules that a spec requires. */
static void put_names(const struct specs *s, struct mt_buf *out)
{
    struct mt_val list = configurations(s->bundle), entry, name;
    mt_buf_putc(out, '[');
    for (uint32_t i = 0; mt_val_index(list, i, &entry); i++)
        if (mt_val_member(entry, MT_SLICE("name"), &name) && mt_val_is(name, MT_STRING)) {
            if (out->p[out->n - 1] != '[')
                mt_buf_putc(out, ',');
            mt_val_write(name, out);
        }
    mt_buf_putc(out, ']');
}

static enum mt_rc library(struct mt_slice module, struct mt_buf *out, struct mt_err *err)
{
    struct mt_slice source;
    char *name = mt_slice_dup(module);
    bool found = mt_library_find(name, &source);
    free(name);
    if (!found)
        return mt_fail(err, MT_ENOENT, "there is no such module");
    mt_buf_put(out, source);
    return MT_OK;
}

static enum mt_rc answer(void *ud, const char *what, struct mt_slice argument, struct mt_buf *out,
                         struct mt_err *err)
{
    struct specs *s = ud;
    if (strcmp(what, "read") == 0 || strcmp(what, "has") == 0)
        return read_file(s, argument, out, err);
    if (strcmp(what, "list") == 0)
        return list_files(s, argument, out, err);
    if (strcmp(what, "library") == 0)
        return library(argument, out, err);
    if (strcmp(what, "prefix") == 0 || strcmp(what, "names") == 0) {
        if (*what == 'p')
            mt_buf_puts(out, s->prefix);
        else
            put_names(s, out);
        return MT_OK;
    }
    struct mt_doc *doc = NULL;
    enum mt_rc rc = mt_doc_parse_copy(argument, NULL, &doc, err);
    if (rc != MT_OK)
        return rc;
    mt_buf_clear(&s->log);
    mt_log_sink(keep_line, &s->log);
    if (strcmp(what, "open") == 0)
        rc = open_tested(s, mt_doc_root(doc), out, err);
    else if (strcmp(what, "run") == 0)
        rc = run_tested(s, mt_doc_root(doc), out, err);
    else if (strcmp(what, "close") == 0)
        rc = close_tested(s, mt_doc_root(doc));
    else
        rc = mt_fail(err, MT_EINVAL, "\"%s\" is nothing that can be asked", what);
    mt_log_sink(NULL, NULL);
    mt_doc_unref(doc);
    if (rc != MT_OK && err)
        mt_mask(err->text);
    return rc;
}

/* ---- the command ---- */

static void find_spec(void *ud, const char *relative)
{
    static const char ending[] = "_spec.lua";
    size_t n = strlen(relative), m = sizeof ending - 1;
    if (n >= m && strcmp(relative + n - m, ending) == 0)
        *(bool *)ud = true;
}

static int run(int argc, char **argv)
{
    struct specs s = {.open = {.whole = true}};
    struct mt_err err = {0};
    int own = 1, code = MT_EXIT_USAGE;
    while (own < argc && strcmp(argv[own], "--") != 0)
        own++;
    int n = mt_options_parse(&mt_command_test, own, argv,
                             (struct mt_option[]){{.name = "trust", .value = &s.open.trust}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n == 0)
        return mt_usage_error(&mt_command_test,
                              "which bundle? (a folder that holds main.lua, or a .mtb file)");
    if (n > 1)
        return mt_usage_error(&mt_command_test, "takes one bundle, not %d; busted's options come after '--'",
                              n);
    s.path = argv[1];
    /* What follows "--" is busted's; its program is called as the command is. */
    static char name[] = "moontide test";
    int first = own < argc ? own : argc - 1;
    argv[first] = name;
    mt_buf_init(&s.log, 64 << 20);
    size_t length = strlen(s.path);
    while (length && s.path[length - 1] == '/')
        length--;
    bool here = length == 1 && s.path[0] == '.';
    s.prefix = here ? mt_strdup("") : mt_format("%.*s/", (int)length, s.path);
    bool any = false;
    if (mt_bundle_open(s.path, &s.open, &s.bundle, &err) != MT_OK ||
        (mt_bundle_list(s.bundle, "spec", find_spec, &any, &err) != MT_OK && err.rc != MT_ENOENT)) {
        mt_command_failed(&mt_command_test, &err, code);
    } else if (!any) {
        fprintf(stderr,
                "moontide test: %s has no spec: write %sspec/NAME_spec.lua, which begins with\n"
                "  local test = require \"moontide.test\"\n"
                "(moontide new makes a bundle that has one)\n",
                s.path, s.prefix);
    } else {
        struct mt_busted busted = {"moontide.test.runner", answer, &s};
        fflush(stdout);
        if (mt_busted_run(&busted, argc - first, argv + first, &code, &err) != MT_OK)
            code = mt_command_failed(&mt_command_test, &err, MT_EXIT_FAILED);
    }
    for (size_t i = 0; i < s.count; i++)
        free_tested(s.list[i]);
    free(s.list);
    free(s.prefix);
    mt_buf_fini(&s.log);
    mt_bundle_free(s.bundle);
    mt_mask_forget();
    return code;
}

const struct mt_command mt_command_test = {
    .name = "test",
    .usage = "moontide test BUNDLE [--trust KEY] [-- BUSTED OPTIONS]",
    .summary = "run the bundle's own specs, offline",
    .help =
        "  BUNDLE            a folder or a .mtb file; its specs are spec/**/*_spec.lua\n"
        "  --trust KEY       only a packed bundle that this public key (NAME.pub) signed\n"
        "  -- OPTIONS        of busted: --filter=PATTERN, --tags=…, --output=…, a file of spec/; -- --help\n"
        "\n"
        "Specs require \"moontide.test\", which runs the handlers against spec/recordings/*.ndjson or "
        "answers of "
        "the\n"
        "spec's own, and gives batches, entities and requests. Nothing is fetched. Needs busted for Lua 5.4\n"
        "(the package lua-busted).\n"
        "\n"
        "exit 0   every spec passed\n"
        "     1   a spec failed\n"
        "     2   usage, a bundle that does not load, nothing to run, no busted\n",
    .run = run,
};
