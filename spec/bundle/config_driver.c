/* What the specs of bundle/ see of it:
 *   config_driver config BUNDLE [URL [STATE [several]]]  the resolved configuration as JSON, secrets as ***;
 *                                              BUNDLE "-": none
 *   config_driver names NAME...                are these one process's bundles? what variables name others?
 *   config_driver loads BUNDLE COUNT           loads it so often on another thread; bytes more than half way
 *   config_driver yaml NAME                    YAML on stdin -> JSON
 *   config_driver file PATH                    a .yaml, .yml or .json file -> JSON
 *   config_driver line PATH                    YAML on stdin -> the line of a node
 *   config_driver mapping FILE                 a mapping file -> its wire form, then its digest and flags
 *   config_driver bundle BUNDLE                identity and what .port/resources holds
 *   config_driver read BUNDLE FILE             a file of the bundle
 *   config_driver mask BUNDLE                  stdin, with the bundle's secrets masked
 * Exit code 1 with the error's text on stderr. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "bundle/appconfig.h"
#include "bundle/config.h"
#include "bundle/yaml.h"

extern char **environ;

static struct mt_err err;

static int failed(void)
{
    fprintf(stderr, "%s: %s\n", mt_rc_name(err.rc), err.text);
    return 1;
}

static void read_stdin(struct mt_buf *text)
{
    char chunk[65536];
    size_t n;
    mt_buf_init(text, SIZE_MAX / 2);
    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        mt_buf_add(text, chunk, n);
}

static void print(struct mt_val v)
{
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_val_write(v, &out);
    printf("%s\n", mt_buf_text(&out));
    mt_buf_fini(&out);
}

static int print_doc(enum mt_rc rc, struct mt_doc **doc)
{
    if (rc != MT_OK)
        return failed();
    print(mt_doc_root(*doc));
    mt_doc_unref(*doc);
    return 0;
}

static void add_text(struct mt_builder *b, const char *name, const char *value)
{
    mt_build_name(b, mt_slice_of(name));
    if (value)
        mt_build_string(b, mt_slice_of(value));
    else
        mt_build_null(b);
}

static const char *const texts[] = {"port.base_url",
                                    "event_listener.type",
                                    "runtime",
                                    "state_file",
                                    "processing_mode",
                                    "integration.incremental_sync_interval",
                                    "application.log_level",
                                    "metrics.webhook_url",
                                    "create_port_resources_origin",
                                    "team.name",
                                    "admin.listen",
                                    "log.format",
                                    "event_listener.app_host"};
static const char *const ints[] = {"upsert_entities_batch_max_length",
                                   "client_timeout",
                                   "scheduled_resync_interval",
                                   "port.retry_deadline_seconds",
                                   "process_in_queue_max_workers",
                                   "scheduled_resync_interval_seconds",
                                   "application.port",
                                   "max_concurrent_resyncs",
                                   "reload.drain_seconds",
                                   "event_listener.interval"};
static const char *const bools[] = {"send_raw_data_examples",
                                    "allow_environment_variables_jq_access",
                                    "ssl.port.verify",
                                    "initialize_port_resources",
                                    "event_listener.should_resync",
                                    "event_listener.should_process_webhooks",
                                    "event_listener.should_run_actions",
                                    "event_listener.resync_on_start",
                                    "disable_ip_outbound_blocker"};

static void add_settings(struct mt_builder *b, const struct mt_config *c)
{
    const char *secret = mt_config_text(c, "port.client_secret");
    mt_build_name(b, MT_SLICE("settings"));
    mt_build_object(b);
    add_text(b, "port.client_id", mt_config_text(c, "port.client_id") ? "***" : NULL);
    add_text(b, "port.client_secret", secret ? "***" : NULL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_text(b, texts[i], mt_config_text(c, texts[i]));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        mt_build_name(b, mt_slice_of(ints[i]));
        mt_build_int(b, mt_config_int(c, ints[i]));
    }
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++) {
        mt_build_name(b, mt_slice_of(bools[i]));
        mt_build_bool(b, mt_config_bool(c, bools[i]));
    }
    mt_build_end(b);
}

static int config(const struct mt_bundle *bundle, char **argv)
{
    struct mt_config *c = NULL;
    struct mt_config_flags flags = {.port_url = argv[0] && *argv[0] ? argv[0] : NULL,
                                    .state_file = argv[0] && argv[1] && *argv[1] ? argv[1] : NULL,
                                    .several = argv[0] && argv[1] && argv[2]};
    if (mt_config_load(bundle, environ, &flags, &c, &err) != MT_OK)
        return failed();
    struct mt_builder *b = mt_builder_new();
    struct mt_doc *doc = NULL;
    struct mt_slice name;
    struct mt_val v;
    mt_build_object(b);
    add_text(b, "type", mt_config_type(c));
    add_text(b, "version", mt_config_version(c));
    add_text(b, "identifier", mt_config_identifier(c));
    mt_build_name(b, MT_SLICE("embedded"));
    mt_build_bool(b, mt_config_embedded(c));
    add_settings(b, c);
    mt_build_name(b, MT_SLICE("integration"));
    mt_build_object(b);
    for (struct mt_iter it = mt_iter_of(mt_config_integration(c)); mt_iter_next(&it, &name, &v);) {
        mt_build_name(b, name);
        if (mt_config_is_sensitive(c, name) && !mt_val_is(v, MT_NULL))
            mt_build_string(b, MT_SLICE("***"));
        else
            mt_build_ref(b, v);
    }
    mt_build_end(b);
    mt_build_end(b);
    int code = print_doc(mt_builder_finish(b, &doc, &err), &doc);
    mt_builder_free(b);
    mt_config_free(c);
    return code;
}

static int mask(const struct mt_bundle *bundle)
{
    struct mt_config *c = NULL;
    struct mt_buf text, out;
    if (mt_config_load(bundle, environ, NULL, &c, &err) != MT_OK)
        return failed();
    read_stdin(&text);
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_mask_put(&out, mt_buf_slice(&text));
    fputs(mt_buf_text(&out), stdout);
    mt_buf_fini(&text);
    mt_buf_fini(&out);
    mt_config_free(c);
    return 0;
}

static void tell(void *ud, const struct mt_config_problem *problem)
{
    (void)ud;
    printf("%s: %s\n", problem->error ? "error" : "warning", problem->text);
}

static int names(char **list)
{
    size_t count = 0;
    while (list[count])
        count++;
    if (mt_config_check_names((const char *const *)list, count, &err) != MT_OK)
        return failed();
    mt_config_unknown_bundles((const char *const *)list, count, environ, tell, NULL);
    return 0;
}

struct loads {
    const struct mt_bundle *bundle;
    int count;
    size_t grown;
    bool ok;
};

static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

static void *load_often(void *arg)
{
    struct loads *l = arg;
    size_t before = 0;
    l->ok = true;
    for (int i = 0; l->ok && i < l->count; i++) {
        struct mt_config *c = NULL;
        if (i == l->count / 2)
            before = allocated();
        l->ok = mt_config_load(l->bundle, environ, NULL, &c, &err) == MT_OK;
        mt_config_free(c);
    }
    l->grown = allocated() - before;
    return NULL;
}

static int loads(const struct mt_bundle *bundle, const char *count)
{
    pthread_t thread;
    struct loads l = {.bundle = bundle, .count = atoi(count)};
    if (pthread_create(&thread, NULL, load_often, &l) != 0)
        return 1;
    pthread_join(thread, NULL);
    printf("%zd\n", (ssize_t)l.grown);
    return l.ok ? 0 : failed();
}

static int identity(const struct mt_bundle *b)
{
    const struct mt_resources *r = mt_bundle_resources(b);
    const struct mt_val *all[] = {&r->blueprints, &r->mapping, &r->scorecards, &r->actions, &r->pages};
    printf("%s\n%s\n%s\n%s\n", mt_bundle_name(b), mt_bundle_type(b), mt_bundle_version(b),
           r->mapping_file ? r->mapping_file : "-");
    for (size_t i = 0; i < 5; i++)
        printf("%d%s", all[i]->doc ? (int)mt_val_count(*all[i]) : -1, i < 4 ? " " : "\n");
    return 0;
}

static int read_file(const struct mt_bundle *b, const char *file)
{
    struct mt_buf out;
    mt_buf_init(&out, 1 << 20);
    mt_buf_puts(&out, "left over");
    enum mt_rc rc = mt_bundle_read(b, file, &out, &err);
    if (rc == MT_OK)
        fputs(mt_buf_text(&out), stdout);
    mt_buf_fini(&out);
    return rc == MT_OK ? 0 : failed();
}

static int with_bundle(char **argv)
{
    struct mt_bundle *b = NULL;
    if (strcmp(argv[2], "-") != 0 && mt_bundle_open(argv[2], NULL, &b, &err) != MT_OK)
        return failed();
    int code = strcmp(argv[1], "config") == 0   ? config(b, argv + 3)
               : strcmp(argv[1], "mask") == 0   ? mask(b)
               : strcmp(argv[1], "loads") == 0  ? loads(b, argv[3])
               : strcmp(argv[1], "bundle") == 0 ? identity(b)
                                                : read_file(b, argv[3]);
    mt_bundle_free(b);
    return code;
}

static int mapping(const char *file)
{
    struct mt_doc *doc = NULL, *wire = NULL;
    struct mt_appconfig *a = NULL;
    struct mt_mapping_options options = {false, file};
    if (mt_yaml_read_file(file, file, &doc, &err) != MT_OK)
        return failed();
    enum mt_rc rc = mt_appconfig_new(mt_doc_root(doc), &options, &a, &err);
    mt_doc_unref(doc); /* the appconfig holds what it needs */
    if (rc != MT_OK || mt_appconfig_wire(a, &wire, &err) != MT_OK)
        return failed();
    print(mt_doc_root(wire));
    for (int i = 0; i < 16; i++)
        printf("%02x", a->digest.b[i]);
    printf("\n%d %d %d %g %u\n", a->merge, a->delete_dependents, a->create_missing, a->deletion_threshold,
           a->resource_count);
    mt_doc_unref(wire);
    mt_appconfig_free(a);
    return 0;
}

int main(int argc, char **argv)
{
    struct mt_doc *doc = NULL;
    struct mt_buf text;
    if (argc < 3)
        return 2;
    if (strcmp(argv[1], "mapping") == 0)
        return mapping(argv[2]);
    if (strcmp(argv[1], "names") == 0)
        return names(argv + 2);
    if (strcmp(argv[1], "file") == 0)
        return print_doc(mt_yaml_read_file(argv[2], argv[2], &doc, &err), &doc);
    if (strcmp(argv[1], "yaml") != 0 && strcmp(argv[1], "line") != 0) {
        int code = with_bundle(argv);
        mt_mask_forget();
        return code;
    }
    int code = 0;
    read_stdin(&text);
    if (strcmp(argv[1], "yaml") == 0) {
        code = print_doc(mt_yaml_parse(mt_buf_slice(&text), argv[2], &doc, &err), &doc);
    } else {
        struct mt_keyset *lines = mt_yaml_lines(mt_buf_slice(&text));
        printf("%u\n", mt_yaml_line(lines, argv[2]));
        mt_keyset_free(lines);
    }
    mt_buf_fini(&text);
    return code;
}
