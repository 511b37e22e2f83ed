/* Any bytes as a Link header: the target lies between angle brackets of the header; a relation that is found
 * is found again without regard to case, and still is with another link in front of it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/url.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "link_fuzz: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char first[] = "</first>; rel=\"other\", ";
    char *copy = malloc(size + sizeof first); /* exact bounds for the sanitizer */
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    struct mt_slice header = {copy, size}, target, again;
    bool found = mt_link_find(header, "next", &target);
    must(found == mt_link_find(header, "NEXT", &again), "the case of a relation matters");
    mt_link_find(header, "", &again);
    mt_link_find(header, "https://api.w.org/ x", &again);
    if (found) {
        must(target.p > copy && target.p + target.n < copy + size, "a target outside of the header");
        must(!target.n ||
                 (!memchr(" \t\r\n", target.p[0], 4) && !memchr(" \t\r\n", target.p[target.n - 1], 4)),
             "a target that is not trimmed");
        must(!memchr(target.p, '>', target.n), "a target with its bracket");
        memmove(copy + sizeof first - 1, copy, size);
        memcpy(copy, first, sizeof first - 1);
        struct mt_slice longer = {copy, size + sizeof first - 1};
        must(mt_link_find(longer, "next", &again) && again.n == target.n, "lost behind another link");
    }
    free(copy);
    return 0;
}
