/* `moontide resync` and `moontide plan`: one resync, for real or only as a list of what it would change. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"
#include "sync/resync.h"

enum { KINDS_MAX = 256, REPORT_MAX = 64 * 1024 * 1024 };

extern char **environ;

struct arguments {
    struct mt_config_flags flags;
    const char *kinds[KINDS_MAX + 1], *limit, *log_level;
    bool local_mapping, json;
    const char *bundle;
    uint64_t limit_value;
};

static int parse(const struct mt_command *command, int argc, char **argv, struct arguments *a)
{
    const struct mt_option options[] = {
        {"kind", NULL, a->kinds, KINDS_MAX, NULL},           {"limit", &a->limit, NULL, 0, NULL},
        {"port-url", &a->flags.port_url, NULL, 0, NULL},     {"state", &a->flags.state_file, NULL, 0, NULL},
        {"local-mapping", NULL, NULL, 0, &a->local_mapping}, {"json", NULL, NULL, 0, &a->json},
        {"log-level", &a->log_level, NULL, 0, NULL},         {0},
    };
    int positional = mt_options_parse(command, argc, argv, options);
    if (positional < 0)
        return MT_EXIT_USAGE;
    if (positional != 1)
        return mt_usage_error(
            command, positional ? "takes one bundle, not %d" : "which bundle? (a folder that holds main.lua)",
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

static int run(const struct mt_command *command, bool plan, int argc, char **argv)
{
    struct arguments a = {0};
    struct mt_bundle *bundle = NULL;
    struct mt_config *config = NULL;
    struct mt_report *report = NULL;
    struct mt_err err = {0};
    int code = parse(command, argc, argv, &a);
    if (code != MT_EXIT_OK)
        return code;
    code = plan ? MT_EXIT_FAILED : MT_EXIT_USAGE;
    if (mt_bundle_open(a.bundle, &bundle, &err) != MT_OK ||
        mt_config_load(bundle, environ, &a.flags, &config, &err) != MT_OK) {
        mt_command_failed(command, &err, code);
        goto out;
    }
    struct mt_resync_options options = {
        .bundle = bundle,
        .config = config,
        .kinds = a.kinds[0] ? a.kinds : NULL,
        .limit = a.limit_value,
        .local_mapping = a.local_mapping,
        .plan = plan,
        .plan_out = stdout,
        .progress = true,
        .json = a.json,
    };
    code = mt_resync_run(&options, &report, &err);
    mt_log_flush();
    if (err.rc != MT_OK)
        mt_command_failed(command, &err, code);
    if (report && a.json) {
        struct mt_buf text;
        mt_buf_init(&text, REPORT_MAX);
        mt_report_json(report, &text);
        fwrite(text.p, 1, text.n, stdout);
        mt_buf_fini(&text);
    } else if (report && err.rc == MT_OK) {
        FILE *to = plan ? stderr : stdout; /* a plan's data are its changes */
        mt_report_print(report, to, isatty(fileno(to)) && !getenv("NO_COLOR"));
    }
    if (fflush(stdout) != 0 && code == MT_EXIT_OK)
        code = mt_command_failed(command, (mt_fail(&err, MT_EIO, "cannot write to standard output"), &err),
                                 MT_EXIT_FAILED);
out:
    mt_report_free(report);
    mt_config_free(config);
    mt_bundle_free(bundle);
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
             "[--local-mapping] [--json]",
    .summary = "fetch, map and make Port match, once",
    .help = "  --kind K          only the resources of this kind; may be given several times\n"
            "  --limit N         only the first N items of each kind, for a try; deletes nothing\n"
            "  --port-url URL    Port's API; without it and without credentials: the embedded catalog\n"
            "  --state FILE      the state file (.moontide/state.db)\n"
            "  --local-mapping   the bundle's mapping file instead of Port's stored one, which it replaces\n"
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
