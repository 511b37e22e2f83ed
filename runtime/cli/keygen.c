/* moontide keygen: a pair of keys for packed bundles. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bundle/signature.h"
#include "cli/command.h"

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_keygen;
    struct mt_public_key key;
    struct mt_err err;
    char text[MT_KEY_TEXT];
    int n = mt_options_parse(self, argc, argv, (struct mt_option[]){{0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(
            self, n ? "takes one NAME, not %d" : "which name? (it writes NAME.key and NAME.pub)", n);
    size_t length = strlen(argv[1]);
    if (!length || argv[1][length - 1] == '/')
        return mt_usage_error(self, "'%.*s' is no name: it writes NAME.key and NAME.pub", MT_FOREIGN,
                              argv[1]);
    if (mt_key_pair_write(argv[1], &key, &err) != MT_OK)
        return mt_command_failed(self, &err, MT_EXIT_FAILED);
    printf("%s.pub: the public key %s\n", argv[1], mt_public_key_text(&key, text));
    fprintf(
        stderr,
        "%s.key signs (moontide pack --sign): keep it to yourself; %s.pub checks (--trust): hand it out\n",
        argv[1], argv[1]);
    return MT_EXIT_OK;
}

const struct mt_command mt_command_keygen = {
    .name = "keygen",
    .usage = "moontide keygen NAME",
    .summary = "Makes a pair of keys: NAME.key signs packed bundles, NAME.pub checks them",
    .help = "Files that exist are not overwritten. The key is one of Ed25519, without a password: its file "
            "can be\n"
            "read by its owner only.\n"
            "exit codes: 0 done; 1 a file cannot be written; 2 usage\n",
    .run = run,
};
