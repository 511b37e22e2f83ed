/* moontide pack: a folder into one file. */
#include "bundle/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "bundle/archive.h"
#include "cli/command.h"

struct naming {
    const char *own; /* the output, where it lies in the bundle; NULL */
    unsigned count;
};

/* Names may hold anything: what a terminal would act on is not shown. */
static void left_out(void *ud, const char *relative)
{
    struct naming *n = ud;
    if (n->own && strcmp(n->own, relative) == 0)
        return;
    fputs(n->count++ ? "  " : "left out, since no bundle has them:\n  ", stderr);
    for (const char *p = relative; *p; p++)
        fputc((unsigned char)*p < 0x20 || *p == 0x7F ? '?' : *p, stderr);
    fputs(strcmp(relative, "pyproject.toml") == 0 ? " (name and version are in the manifest)\n" : "\n",
          stderr);
}

/* Written beside it under another name first: whoever reads the file finds the old one or the new one. */
static enum mt_rc write_file(const char *file, struct mt_slice bytes, struct mt_err *err)
{
    char *temporary = mt_format("%s.XXXXXX", file);
    size_t done = 0;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        mt_fail(err, MT_EIO, "%.400s cannot be written: %s", file, strerror(errno));
        free(temporary);
        return MT_EIO;
    }
    ssize_t n = 0;
    while (done < bytes.n && (n = write(fd, bytes.p + done, bytes.n - done)) > 0)
        done += (size_t)n;
    mode_t mask = umask(0);
    umask(mask);
    bool good = done == bytes.n && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
    int cause = errno;
    if (close(fd) < 0 && good) {
        good = false;
        cause = errno;
    }
    if (good && rename(temporary, file) < 0) {
        good = false;
        cause = errno;
    }
    if (!good) {
        unlink(temporary);
        mt_fail(err, MT_EIO, "%.400s cannot be written: %s", file, strerror(cause));
    }
    free(temporary);
    return good ? MT_OK : MT_EIO;
}

/* The output's name relative to the bundle when it lies there from an earlier time. The caller frees it. */
static char *own_name(const struct mt_bundle *bundle, const char *output)
{
    char *real = realpath(output, NULL), *own = NULL;
    size_t n = strlen(mt_bundle_path(bundle));
    if (real && strncmp(real, mt_bundle_path(bundle), n) == 0 && real[n] == '/')
        own = mt_strdup(real + n + 1);
    free(real);
    return own;
}

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_pack;
    const char *output = NULL, *sign = NULL;
    struct mt_bundle *bundle = NULL;
    struct mt_secret_key key;
    struct naming naming = {0};
    struct mt_buf bytes;
    struct mt_err err;
    int n = mt_options_parse(
        self, argc, argv,
        (struct mt_option[]){{.name = "o", .value = &output}, {.name = "sign", .value = &sign}, {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    if (n != 1)
        return mt_usage_error(
            self, n ? "takes one bundle, not %d" : "which bundle? (a folder that holds main.lua)", n);
    size_t length = output ? strlen(output) : 0;
    if (length < 5 || strcmp(output + length - 4, ".mtb") != 0 || output[length - 5] == '/')
        return mt_usage_error(self,
                              output ? "-o %.200s: packed bundles are named FILE.mtb"
                                     : "into which file? (-o FILE.mtb)%s",
                              output ? output : "");
    mt_buf_init(&bytes, MT_ARCHIVE_BYTES);
    enum mt_rc rc = sign ? mt_secret_key_read(sign, &key, &err) : MT_OK;
    if (rc == MT_OK)
        rc = mt_bundle_open(argv[1], NULL, &bundle, &err);
    char *own = bundle ? own_name(bundle, output) : NULL;
    naming.own = own;
    if (rc == MT_OK)
        rc = mt_bundle_pack(bundle, sign ? &key : NULL, left_out, &naming, &bytes, &err);
    if (rc == MT_OK)
        rc = write_file(output, mt_buf_slice(&bytes), &err);
    if (rc == MT_OK)
        printf("%s: %s %s, %zu bytes, %s\n", output, mt_bundle_type(bundle), mt_bundle_version(bundle),
               bytes.n, sign ? "signed" : "not signed");
    if (sign)
        mt_secret_key_wipe(&key);
    free(own);
    mt_buf_fini(&bytes);
    mt_bundle_free(bundle);
    return rc == MT_OK ? MT_EXIT_OK : mt_command_failed(self, &err, MT_EXIT_FAILED);
}

const struct mt_command mt_command_pack = {
    .name = "pack",
    .usage = "moontide pack BUNDLE -o FILE.mtb [--sign NAME.key]",
    .summary = "Packs a bundle into one file that runs as it is, signed if you like",
    .help = "  -o FILE.mtb       where to; a file that is there is replaced at once, never in halves\n"
            "  --sign NAME.key   signs it with a key of 'moontide keygen'\n"
            "The same files give the same bytes. What is no part of a bundle is left out and named on "
            "stderr; .env\n"
            "and other hidden files always are.\n"
            "exit codes: 0 done; 1 it cannot be packed, signed or written; 2 usage\n",
    .run = run,
};
