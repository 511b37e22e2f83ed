/* `moontide run`: the service. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/command.h"
#include "script/recording.h"
#include "service/service.h"

enum { BUNDLES_MAX = 1000, RECORDINGS_MAX = 256 };

static int run(int argc, char **argv)
{
    const struct mt_command *command = &mt_command_run;
    struct mt_service_options o = {0};
    const char *recordings[RECORDINGS_MAX + 1] = {NULL}, *log_level = NULL;
    const struct mt_option options[] = {
        {.name = "watch", .flag = &o.watch},
        {.name = "once", .flag = &o.once},
        {.name = "local-mapping", .flag = &o.local_mapping},
        {.name = "replay", .list = recordings, .list_max = RECORDINGS_MAX, .greedy = true},
        {.name = "trust", .value = &o.trust},
        {.name = "port-url", .value = &o.flags.port_url},
        {.name = "state", .value = &o.flags.state_file},
        {.name = "log-level", .value = &log_level},
        {0},
    };
    int positional = mt_options_parse(command, argc, argv, options);
    if (positional < 0)
        return MT_EXIT_USAGE;
    if (positional < 1 || positional > BUNDLES_MAX)
        return mt_usage_error(command,
                              positional ? "at most %d bundles" : "which bundle? (folders or .mtb files)",
                              BUNDLES_MAX);
    enum mt_level level;
    const char *name = log_level ? log_level : getenv("APPLICATION__LOG_LEVEL"); /* R-CFG-07 */
    if (name) {
        if (!mt_log_level_parse(mt_slice_of(name), &level))
            return mt_usage_error(command, "log level %s: DEBUG, INFO, WARNING, ERROR or CRITICAL", name);
        mt_log_level(level);
    }
    struct mt_err err = {0};
    struct mt_recordings *tapes = recordings[0] ? mt_recordings_new() : NULL;
    int code = MT_EXIT_USAGE;
    for (const char **file = recordings; *file; file++)
        if (mt_recordings_read(tapes, *file, &err) != MT_OK)
            goto out;
    o.bundles = (const char *const *)argv + 1;
    o.count = (size_t)positional;
    o.flags.several = positional > 1;
    o.tape = tapes ? mt_recordings_tape(tapes) : NULL;
    code = mt_service_run(&o, &err);
out:
    mt_log_flush();
    if (err.rc != MT_OK)
        mt_command_failed(command, &err, code);
    mt_recordings_free(tapes);
    mt_mask_forget();
    return code;
}

const struct mt_command mt_command_run = {
    .name = "run",
    .usage = "moontide run BUNDLE… [--watch] [--once] [--local-mapping] [--replay FILE…] [--trust KEY] "
             "[--port-url URL] "
             "[--state FILE] [--log-level L]",
    .summary = "the service: resyncs on request and on schedule, health, metrics, hot reload",
    .help =
        "  --watch           a save reloads the bundle and resyncs what changed; implies --local-mapping\n"
        "  --once            one resync of each bundle, then the end (event listener ONCE)\n"
        "  --local-mapping   the bundle's mapping file instead of Port's stored one, which it replaces\n"
        "  --replay FILE…    recordings answer the requests to the API, nothing is fetched\n"
        "  --trust KEY       only packed bundles that this public key (NAME.pub) signed\n"
        "  --port-url URL    Port's API; without it and without credentials: the embedded catalog\n"
        "  --state FILE      the state file (.moontide/state.db)\n"
        "  --log-level L     DEBUG, INFO, WARNING, ERROR\n"
        "first line of stdout: listening http://HOST:PORT admin http://HOST:PORT\n"
        "signals: SIGHUP reloads; SIGTERM and SIGINT end it, a second one at once\n"
        "exit codes: 0 ended as asked; 1 a resync of ONCE failed; 2 usage, configuration or bundle;\n"
        "            3 Port refused the credentials, or did not answer ONCE\n",
    .run = run,
};
