/* moontide record: the handlers of a bundle against the real API, without Port, and what the API answered as
 * a recording for specs and --replay. One thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/appconfig.h"
#include "cli/command.h"
#include "net/signal.h"
#include "script/recording.h"
#include "sync/trial.h"

enum { KINDS_MAX = 256 };

extern char **environ;

struct recording {
    const char *bundle, *kinds[KINDS_MAX + 1], *file;
    uint64_t limit;
    bool force;
    char *target, *part; /* the file, and what it is called until it is whole */

    struct mt_trial *trial;
    const struct mt_http_tape *recorder;
    unsigned long long answers;    /* seen so far */
    uint64_t items, left, batches; /* of the kind at work */
    int signal;
};

static void count_answer(void *ud, const struct mt_http_request *sent, const struct mt_http_response *answer)
{
    struct recording *r = ud;
    r->answers++;
    r->recorder->record(r->recorder->ud, sent, answer);
}

static bool count_batch(void *ud, struct mt_val batch)
{
    struct recording *r = ud;
    uint32_t n = mt_val_count(batch);
    r->batches++;
    r->items += n;
    if (!r->limit)
        return true;
    r->left -= n < r->left ? n : r->left;
    return r->left > 0;
}

static void on_signal(void *ud, int number)
{
    struct recording *r = ud;
    if (!r->signal)
        mt_log(MT_WARN, "interrupted; what was recorded is kept");
    r->signal = number;
    mt_trial_cancel(r->trial);
}

static bool is_wanted(const struct recording *r, struct mt_slice kind)
{
    if (!r->kinds[0])
        return true;
    for (const char *const *k = r->kinds; *k; k++)
        if (mt_slice_is(kind, *k))
            return true;
    return false;
}

/* A --kind that the mapping does not have: named, with what it has. */
static bool kinds_exist(const struct recording *r, const struct mt_appconfig *mapping)
{
    for (const char *const *k = r->kinds; *k; k++) {
        bool known = false;
        for (unsigned i = 0; i < mapping->resource_count; i++)
            known |= mt_slice_is(mt_mapping_kind(mapping->resources[i]), *k);
        if (known)
            continue;
        struct mt_buf list;
        mt_buf_init(&list, 4096);
        for (unsigned i = 0; i < mapping->resource_count; i++)
            mt_buf_printf(&list, "%s%.*s", i ? ", " : "", MT_FMT(mt_mapping_kind(mapping->resources[i])));
        mt_usage_error(&mt_command_record, "--kind %s: the mapping has no such kind; it has: %s", *k,
                       mt_buf_text(&list));
        mt_buf_fini(&list);
        return false;
    }
    return true;
}

static int record_kinds(struct recording *r)
{
    const struct mt_appconfig *mapping = mt_trial_mapping(r->trial);
    int code = MT_EXIT_OK;
    for (unsigned i = 0; i < mapping->resource_count && !r->signal; i++) {
        struct mt_slice kind = mt_mapping_kind(mapping->resources[i]);
        struct mt_err err = {0};
        if (!is_wanted(r, kind))
            continue;
        unsigned long long before = r->answers;
        r->items = r->batches = 0;
        r->left = r->limit;
        enum mt_rc rc = mt_trial_items(r->trial, i, count_batch, r, &err);
        printf("%.*s: %llu answers, %llu items in %llu batches%s%s\n", MT_FMT(kind), r->answers - before,
               (unsigned long long)r->items, (unsigned long long)r->batches,
               r->limit && !r->left ? ", cut off by --limit" : "", rc != MT_OK ? ", FAILED" : "");
        if (rc != MT_OK && rc != MT_ECANCELED) {
            mt_err_context(&err, "kind %.*s", MT_FMT(kind));
            code = mt_command_failed(&mt_command_record, &err, MT_EXIT_FAILED);
        }
    }
    return r->signal ? 128 + r->signal : code;
}

/* The recording gets its name when it is whole: until then an older one stays. */
static int keep(const struct recording *r, size_t count, int code)
{
    struct mt_err err;
    if (!count) {
        unlink(r->part);
        fprintf(stderr, "moontide record: nothing was recorded; %s was not touched\n", r->target);
        return code == MT_EXIT_OK ? MT_EXIT_FAILED : code;
    }
    if (rename(r->part, r->target) != 0)
        return mt_command_failed(
            &mt_command_record,
            (mt_fail(&err, MT_EIO, "%s cannot be renamed to %s: %s", r->part, r->target, strerror(errno)),
             &err),
            MT_EXIT_FAILED);
    printf(
        "%s: %zu answers. Scrubbed: the configured secrets wherever they occurred, and the headers, query\n"
        "parameters and JSON members that usually carry credentials. Look through it before you commit it:\n"
        "names, e-mail addresses and whatever else the API tells are in it.\n",
        r->target, count);
    return code;
}

static int record(struct recording *r, struct mt_version *version)
{
    struct mt_recorder *recorder = NULL;
    struct mt_err err = {0};
    size_t count = 0;
    int code = MT_EXIT_USAGE;
    struct mt_http_tape tape = {.record = count_answer, .ud = r};
    struct mt_trial_options options = {.version = version, .tape = &tape};
    if (mt_trial_new(&options, &r->trial, &err) != MT_OK)
        return mt_command_failed(&mt_command_record, &err, code);
    if (!kinds_exist(r, mt_trial_mapping(r->trial)))
        goto out;
    if (mt_make_parent(r->part, &err) != MT_OK || mt_recorder_new(r->part, &recorder, &err) != MT_OK) {
        code = mt_command_failed(&mt_command_record, &err, MT_EXIT_FAILED);
        goto out;
    }
    r->recorder = mt_recorder_tape(recorder);
    struct mt_signals *signals = mt_signals_new(mt_trial_loop(r->trial), on_signal, r);
    code = record_kinds(r);
    mt_signals_free(signals);
    mt_log_flush();
    if (mt_recorder_close(recorder, &count, &err) != MT_OK)
        code = mt_command_failed(&mt_command_record, &err, MT_EXIT_FAILED);
    code = keep(r, count, code);
out:
    mt_trial_free(r->trial);
    return code;
}

static int parse(struct recording *r, int argc, char **argv)
{
    const char *limit = NULL;
    int n = mt_options_parse(&mt_command_record, argc, argv,
                             (struct mt_option[]){{.name = "kind", .list = r->kinds, .list_max = KINDS_MAX},
                                                  {.name = "limit", .value = &limit},
                                                  {.name = "o", .value = &r->file},
                                                  {.name = "force", .flag = &r->force},
                                                  {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(&mt_command_record,
                              n ? "takes one bundle, not %d"
                                : "which bundle? (a folder that holds main.lua, or a .mtb file)",
                              n);
    r->bundle = argv[1];
    if (limit) {
        char *end;
        errno = 0;
        long long value = strtoll(limit, &end, 10);
        if (errno || *end || value < 1)
            return mt_usage_error(&mt_command_record, "--limit %s: a number of items, 1 or more", limit);
        r->limit = (uint64_t)value;
    }
    return MT_EXIT_OK;
}

/* Where the recording goes. */
static int choose_file(struct recording *r)
{
    size_t n = strlen(r->bundle);
    if (!r->file && n > 4 && strcmp(r->bundle + n - 4, ".mtb") == 0)
        return mt_usage_error(&mt_command_record, "%s is a packed file: say where to with -o FILE",
                              r->bundle);
    r->target = r->file ? mt_strdup(r->file) : mt_format("%s/spec/recordings/recorded.ndjson", r->bundle);
    r->part = mt_format("%s.part", r->target);
    if (!r->force && access(r->target, F_OK) == 0)
        return mt_usage_error(&mt_command_record, "%s exists: --force replaces it, -o FILE writes elsewhere",
                              r->target);
    return MT_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct recording r = {0};
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_err err = {0};
    int code = parse(&r, argc, argv);
    if (code == MT_EXIT_OK)
        code = choose_file(&r);
    if (code != MT_EXIT_OK)
        goto out;
    if (mt_bundle_open(r.bundle, NULL, &bundle, &err) != MT_OK ||
        mt_config_load(bundle, environ, NULL, &config, &err) != MT_OK) {
        code = mt_command_failed(&mt_command_record, &err, MT_EXIT_USAGE);
        mt_bundle_free(bundle);
        goto out;
    }
    struct mt_version *version = mt_version_new(bundle, config);
    code = record(&r, version);
    mt_version_unref(version);
out:
    free(r.target);
    free(r.part);
    mt_mask_forget();
    return code;
}

const struct mt_command mt_command_record = {
    .name = "record",
    .usage = "moontide record BUNDLE [--kind K]… [--limit N] [-o FILE] [--force]",
    .summary = "run the handlers against the real API and keep its answers as a recording",
    .help = "  --kind K          only this kind; may be given several times\n"
            "  --limit N         stop a kind once it has given N items\n"
            "  -o FILE           instead of BUNDLE/spec/recordings/recorded.ndjson\n"
            "  --force           replace a recording that exists\n"
            "\n"
            "Settings come from the environment and .env, as a resync's. Port is not asked. Secrets are "
            "scrubbed;\n"
            "look through a recording before you commit it.\n"
            "\n"
            "exit 0           every kind was recorded\n"
            "     1           a kind failed, or nothing came; what was recorded is kept\n"
            "     2           usage, configuration, a bundle that does not load, a recording that exists\n"
            "     130, 143    interrupted; what was recorded is kept\n",
    .run = run,
};
