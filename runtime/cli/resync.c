/* `moontide resync` and `moontide plan`: one resync, for real or only as a list of what it would change. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"
#include "net/signal.h"
#include "script/recording.h"
#include "sync/resync.h"

enum { KINDS_MAX = 256, RECORDINGS_MAX = 256, REPORT_MAX = 64 * 1024 * 1024 };

extern char **environ;

struct arguments {
    struct mt_config_flags flags;
    const char *kinds[KINDS_MAX + 1], *recordings[RECORDINGS_MAX + 1], *limit, *log_level, *trust;
    bool local_mapping, json;
    const char *bundle;
    uint64_t limit_value;
};

static int parse(const struct mt_command *command, int argc, char **argv, struct arguments *a)
{
    const struct mt_option options[] = {
        {.name = "kind", .list = a->kinds, .list_max = KINDS_MAX},
        {.name = "limit", .value = &a->limit},
        {.name = "replay", .list = a->recordings, .list_max = RECORDINGS_MAX, .greedy = true},
        {.name = "trust", .value = &a->trust},
        {.name = "port-url", .value = &a->flags.port_url},
        {.name = "state", .value = &a->flags.state_file},
        {.name = "local-mapping", .flag = &a->local_mapping},
        {.name = "json", .flag = &a->json},
        {.name = "log-level", .value = &a->log_level},
        {0},
    };
    int positional = mt_options_parse(command, argc, argv, options);
    if (positional < 0)
        return MT_EXIT_USAGE;
    if (positional != 1)
        return mt_usage_error(
            command,
            positional ? "takes one bundle, not %d"
                       : "which bundle? (a folder that holds main.lua, or a .mtb file; before --replay)",
            positional);
    a->bundle = argv[1];
    if (a->limit) {
        char *end;
        errno = 0;
        long long n = strtoll(a->limit, &end, 10);
        if (errno || *end || n < 1)
            return mt_usage_error(command, "--limit %s: a number of items, 1 or more", a->limit);
        a->limit_value = (uint64_t)n;
    }
    enum mt_level level;
    const char *name = a->log_level ? a->log_level : getenv("APPLICATION__LOG_LEVEL"); /* R-CFG-07 */
    if (name) {
        if (!mt_log_level_parse(mt_slice_of(name), &level))
            return mt_usage_error(command, "log level %s: DEBUG, INFO, WARNING, ERROR or CRITICAL", name);
        mt_log_level(level);
    }
    return MT_EXIT_OK;
}

/* The one resync of the process, as its loop sees it. */
struct one {
    struct mt_place *place;
    struct mt_resync *resync;
    int signal;
};

static void on_signal(void *ud, int number)
{
    struct one *one = ud;
    if (!one->signal)
        mt_log(MT_WARN, "interrupted; once more ends at once");
    one->signal = number;
    mt_resync_abort(one->resync, 128 + number);
}

static void on_done(void *ud, struct mt_resync *resync)
{
    struct one *one = ud;
    (void)resync;
    mt_loop_stop(one->place->loop);
}

/* Runs it to its end; the record is the caller's. NULL: nothing was begun, err says why. */
static struct mt_resync *run_one(struct mt_place *place, struct mt_version *version,
                                 const struct arguments *a, bool plan, struct mt_err *err)
{
    struct one one = {.place = place};
    struct mt_source *source = NULL;
    const char *url;
    if (mt_place_port(place, version->config, plan, &url, err) != MT_OK ||
        mt_source_new(place, version, url, 0, &source, err) != MT_OK)
        return NULL;
    struct mt_resync_options options = {
        .place = place,
        .version = version,
        .source = source,
        .base_url = url,
        .kinds = a->kinds[0] ? a->kinds : NULL,
        .limit = a->limit_value,
        .local_mapping = a->local_mapping,
        .plan = plan,
        .changes = plan ? stdout : NULL,
        .progress = true,
        .json = a->json,
    };
    struct mt_signals *signals = mt_signals_new(place->loop, on_signal, &one);
    one.resync = mt_resync_start(&options, on_done, &one);
    mt_loop_run(place->loop);
    mt_signals_free(signals);
    mt_source_free(source);
    return one.resync;
}

static void print(struct mt_report *report, bool plan, bool json, bool begun)
{
    if (json) {
        struct mt_buf text;
        mt_buf_init(&text, REPORT_MAX);
        mt_report_json(report, &text);
        fwrite(text.p, 1, text.n, stdout);
        mt_buf_fini(&text);
    } else if (begun) {
        FILE *to = plan ? stderr : stdout; /* a plan's data are its changes */
        mt_report_print(report, to, isatty(fileno(to)) && !getenv("NO_COLOR"));
    }
}

static enum mt_rc read_recordings(const struct arguments *a, struct mt_recordings **out, struct mt_err *err)
{
    if (!a->recordings[0])
        return MT_OK;
    *out = mt_recordings_new();
    for (const char *const *file = a->recordings; *file; file++)
        if (mt_recordings_read(*out, *file, err) != MT_OK)
            return err->rc;
    return MT_OK;
}

static int run(const struct mt_command *command, bool plan, int argc, char **argv)
{
    struct arguments a = {0};
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_version *version = NULL;
    struct mt_place *place = NULL;
    struct mt_recordings *recordings = NULL;
    struct mt_resync *resync = NULL;
    struct mt_err err = {0};
    int code = parse(command, argc, argv, &a);
    if (code != MT_EXIT_OK)
        return code;
    code = plan ? MT_EXIT_FAILED : MT_EXIT_USAGE;
    struct mt_bundle_options open = {.trust = a.trust};
    if (read_recordings(&a, &recordings, &err) != MT_OK ||
        mt_bundle_open(a.bundle, &open, &bundle, &err) != MT_OK ||
        mt_config_load(bundle, environ, &a.flags, &config, &err) != MT_OK) {
        mt_command_failed(command, &err, code);
        mt_bundle_free(bundle);
        goto out;
    }
    mt_config_set_engine(config);
    version = mt_version_new(bundle, config);
    place = mt_place_new((unsigned)mt_config_int(config, "process_in_queue_max_workers"),
                         mt_config_text(config, "state_file"), plan);
    place->tape = recordings ? mt_recordings_tape(recordings) : NULL;
    resync = run_one(place, version, &a, plan, &err);
    mt_log_flush();
    if (!resync) {
        mt_command_failed(command, &err, code);
        goto out;
    }
    code = mt_resync_code(resync);
    bool begun = mt_resync_err(resync)->rc == MT_OK;
    if (!begun)
        mt_command_failed(command, mt_resync_err(resync), code);
    print(mt_resync_report(resync), plan, a.json, begun);
    if (fflush(stdout) != 0 && code == MT_EXIT_OK)
        code = mt_command_failed(command, (mt_fail(&err, MT_EIO, "cannot write to standard output"), &err),
                                 MT_EXIT_FAILED);
out:
    mt_resync_free(resync);
    mt_place_free(place);
    mt_version_unref(version);
    mt_recordings_free(recordings);
    mt_mask_forget();
    return code;
}

static int run_resync(int argc, char **argv)
{
    return run(&mt_command_resync, false, argc, argv);
}

static int run_plan(int argc, char **argv)
{
    return run(&mt_command_plan, true, argc, argv);
}

const struct mt_command mt_command_resync = {
    .name = "resync",
    .usage = "moontide resync BUNDLE [--kind K]… [--limit N] [--port-url URL] [--state FILE] "
             "[--local-mapping] [--replay FILE…] [--trust KEY] [--json]",
    .summary = "fetch, map and make Port match, once",
    .help = "  --kind K          only the resources of this kind; may be given several times\n"
            "  --limit N         only the first N items of each kind, for a try; deletes nothing\n"
            "  --port-url URL    Port's API; without it and without credentials: the embedded catalog\n"
            "  --state FILE      the state file (.moontide/state.db)\n"
            "  --local-mapping   the bundle's mapping file instead of Port's stored one, which it replaces\n"
            "  --replay FILE…    recordings answer the requests to the API, nothing is fetched\n"
            "  --trust KEY       only a packed bundle that this public key (NAME.pub) signed\n"
            "  --log-level L     DEBUG, INFO, WARNING, ERROR\n"
            "  --json            the report as one line of JSON on stdout\n"
            "exit codes: 0 complete; 1 something failed for good; 2 usage, configuration, bundle or lock;\n"
            "            3 Port unreachable or refused; 130, 143 interrupted\n",
    .run = run_resync,
};

const struct mt_command mt_command_plan = {
    .name = "plan",
    .usage = "moontide plan BUNDLE [--kind K]… [--port-url URL] [--state FILE] [--local-mapping] [--json]",
    .summary = "show what a resync would create, update and delete; change nothing",
    .help = "  takes the options of resync; one change a line on stdout: + create, ~ update, - delete\n"
            "  --json            one JSON object a line, then the report\n"
            "exit codes: 0 nothing to do; 2 changes; 1 could not tell\n",
    .run = run_plan,
};
