/* moontide verify: would this packed bundle be run, and who signed it? */
#include <stdio.h>

#include "bundle/bundle.h"
#include "cli/command.h"

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_verify;
    struct mt_bundle_options options = {.trust = NULL};
    struct mt_bundle *bundle = NULL;
    struct mt_err err;
    char key[MT_KEY_TEXT];
    int n = mt_options_parse(self, argc, argv,
                             (struct mt_option[]){{.name = "trust", .value = &options.trust}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(self, n ? "takes one file, not %d" : "which file? (FILE.mtb)", n);
    if (mt_bundle_open(argv[1], &options, &bundle, &err) != MT_OK)
        return mt_command_failed(self, &err, MT_EXIT_FAILED);
    int code = MT_EXIT_OK;
    if (!mt_bundle_is_packed(bundle)) {
        mt_fail(&err, MT_EINVAL, "%.400s is a folder: there is nothing to verify before it is packed",
                argv[1]);
        code = mt_command_failed(self, &err, MT_EXIT_FAILED);
    } else {
        printf("%s: %s %s, ", argv[1], mt_bundle_type(bundle), mt_bundle_version(bundle));
        if (mt_bundle_signer(bundle, key))
            printf("signed by %s%s%s%s\n", key, options.trust ? " (" : "", options.trust ? options.trust : "",
                   options.trust ? ")" : "");
        else
            puts("whole, but nobody signed it");
    }
    mt_bundle_free(bundle);
    return code;
}

const struct mt_command mt_command_verify = {
    .name = "verify",
    .usage = "moontide verify FILE.mtb [--trust NAME.pub]",
    .summary = "Checks a packed bundle: every file against its hash, the signature, the key",
    .help = "  --trust NAME.pub   refuses what this key did not sign\n"
            "Prints one line that says who signed it. Without --trust anybody may have, or nobody.\n"
            "exit codes: 0 it would be run; 1 it is refused; 2 usage\n",
    .run = run,
};
