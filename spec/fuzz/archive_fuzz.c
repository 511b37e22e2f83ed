/* Any bytes as a packed bundle. The first byte says how they are read: even, as the file itself; odd, as the
 * tar archive inside of a frame that is put around them, since no fuzzer gets through a checksum and a
 * compression by luck. Reading never crashes, what is refused leaves no files, and what is taken lists what
 * it holds; manifests are read by themselves as well. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bundle/archive.h"
#include "bundle/frame.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "archive_fuzz: %s\n", what);
    abort();
}

/* RFC 8878: a window of 256 KiB, blocks that are not compressed. */
static void wrap(struct mt_slice text, struct mt_buf *out)
{
    mt_buf_add(out, "\x28\xB5\x2F\xFD\0\x40", 6);
    do {
        size_t n = text.n < 128 << 10 ? text.n : 128 << 10;
        uint32_t header = (uint32_t)(n << 3 | (n == text.n));
        unsigned char bytes[] = {(unsigned char)header, (unsigned char)(header >> 8),
                                 (unsigned char)(header >> 16)};
        mt_buf_add(out, bytes, sizeof bytes);
        mt_buf_add(out, text.p, n);
        text = (struct mt_slice){text.p + n, text.n - n};
        if (header & 1)
            return;
    } while (true);
}

static void check_manifest(struct mt_slice text)
{
    struct mt_manifest *manifest = NULL;
    struct mt_err err;
    if (mt_manifest_read(text, &manifest, &err) == MT_OK)
        for (size_t i = 0; i < manifest->count; i++)
            must(!mt_tree_refuses(mt_slice_of(manifest->files[i].path)),
                 "a manifest with a path that is refused");
    mt_manifest_free(manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_package package;
    struct mt_err err = {.rc = MT_OK};
    struct mt_buf bytes;
    if (!size)
        return 0;
    struct mt_slice text = {(const char *)data + 1, size - 1};
    check_manifest(text);
    mt_buf_init(&bytes, SIZE_MAX / 2);
    if (data[0] & 1)
        wrap(text, &bytes);
    else
        mt_buf_put(&bytes, text);
    enum mt_rc rc = mt_package_read(mt_buf_slice(&bytes), NULL, true, &package, &err);
    must(rc == MT_OK || (err.rc == rc && err.text[0]), "refused without a reason");
    must(rc == MT_OK || package.tree.count == 0, "refused, but files are there");
    must(rc != MT_OK || package.tree.count == package.manifest->count, "taken, but files are missing");
    mt_package_fini(&package);
    mt_buf_fini(&bytes);
    return 0;
}
