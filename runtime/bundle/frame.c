/* Checks the frame before a decompressor sees it, so that what a hostile file costs is known beforehand. A
 * block of 4 bytes may stand for 128 KiB (RFC 8878 section 3.1.1.2.2), so sizes of files say nothing. Called
 * by archive.c. */
#include "bundle/frame.h"

enum {
    MAGIC_BYTES = 4,
    BLOCK_HEADER = 3,
    MOST_BLOCK = 128 << 10, /* RFC 8878 section 3.1.1.2.4 */
    MOST_WINDOW = 32 << 20
};

enum block { RAW, RLE, COMPRESSED, RESERVED };

static uint64_t little(const unsigned char *p, size_t n)
{
    uint64_t value = 0;
    while (n--)
        value = value << 8 | p[n];
    return value;
}

static enum mt_rc cut(struct mt_err *err)
{
    return mt_fail(err, MT_EDATA, "it is cut short: copy or download it again");
}

/* RFC 8878 section 3.1.1.1: descriptor, window, dictionary, size of the content. */
static enum mt_rc check_header(const unsigned char *p, size_t n, size_t *out_length, bool *out_sum,
                               struct mt_err *err)
{
    static const size_t content_bytes[] = {0, 2, 4, 8};
    unsigned char descriptor = p[0];
    bool single = descriptor & 0x20;
    size_t size = descriptor >> 6 || !single ? content_bytes[descriptor >> 6] : 1;
    size_t length = size + (single ? 1u : 2u);
    if (descriptor & 0x08)
        return mt_fail(err, MT_EDATA, "its frame uses a reserved bit");
    if (descriptor & 0x03)
        return mt_fail(err, MT_EDATA, "its frame needs a dictionary, which packed bundles have none of");
    if (n < length)
        return cut(err);
    uint64_t window;
    if (single) {
        window = little(p + 1, length - 1) + (size == 2 ? 256 : 0);
    } else {
        uint64_t base = 1ull << (10 + (p[1] >> 3));
        window = base + base / 8 * (p[1] & 7);
    }
    if (window > MOST_WINDOW)
        return mt_fail(err, MT_ELIMIT, "unpacking it takes a window of more than %d MiB", MOST_WINDOW >> 20);
    *out_length = length;
    *out_sum = descriptor & 0x04;
    return MT_OK;
}

enum mt_rc mt_frame_check(struct mt_slice bytes, uint64_t most, struct mt_err *err)
{
    const unsigned char *p = (const unsigned char *)bytes.p, *end = p + bytes.n;
    uint64_t total = 0;
    size_t length = 0;
    bool sum = false, last = false;
    if (bytes.n <= MAGIC_BYTES)
        return bytes.n && memcmp(p, "\x28\xB5\x2F\xFD", bytes.n) != 0
                   ? mt_fail(err, MT_EDATA, "it is no packed bundle: it does not begin as zstd does")
                   : cut(err);
    if (memcmp(p, "\x28\xB5\x2F\xFD", MAGIC_BYTES) != 0)
        return mt_fail(err, MT_EDATA, "it is no packed bundle: it does not begin as zstd does");
    p += MAGIC_BYTES;
    enum mt_rc rc = check_header(p, (size_t)(end - p), &length, &sum, err);
    if (rc != MT_OK)
        return rc;
    for (p += length; !last; p += length) {
        if (end - p < BLOCK_HEADER)
            return cut(err);
        uint64_t header = little(p, BLOCK_HEADER);
        enum block kind = (enum block)(header >> 1 & 3);
        size_t size = (size_t)(header >> 3);
        last = header & 1;
        if (kind == RESERVED || size > MOST_BLOCK)
            return mt_fail(err, MT_EDATA, "a block of its frame is none: the file is damaged");
        total += kind == COMPRESSED ? MOST_BLOCK : size;
        if (total > most)
            return mt_fail(err, MT_ELIMIT, "it may unpack to more than %llu MiB",
                           (unsigned long long)(most >> 20));
        length = BLOCK_HEADER + (kind == RLE ? 1 : size);
        if ((size_t)(end - p) < length)
            return cut(err);
    }
    if ((size_t)(end - p) < (sum ? 4u : 0u))
        return cut(err);
    p += sum ? 4 : 0;
    if (p != end)
        return mt_fail(err, MT_EDATA, "%zu bytes follow its end: somebody appended to it", (size_t)(end - p));
    return MT_OK;
}
