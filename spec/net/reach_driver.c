/* Asks net/reach.h for specs, a line of JSON for each word:
 *
 *   reach_driver check [--host H]… [--private] [--plays] URL…   {"url","error"} or {"url","guarded"}
 *   reach_driver address ADDRESS…                               {"address","range"}, range false: public */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "net/reach.h"

static void put(const char *name, const char *text)
{
    struct mt_buf out;
    mt_buf_init(&out, 8192);
    mt_buf_put_json_string(&out, mt_slice_of(text));
    printf("\"%s\":%s", name, mt_buf_text(&out));
    mt_buf_fini(&out);
}

static const char *range_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return mt_reach_private((const struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        return mt_reach_private((const struct sockaddr *)&v6);
    return mt_reach_private(&other);
}

int main(int argc, char **argv)
{
    const char *hosts[32];
    struct mt_reach reach = {.hosts = hosts};
    bool checks = argc > 1 && strcmp(argv[1], "check") == 0, plays = false;
    for (int i = 2; i < argc; i++) {
        struct mt_err err;
        if (strcmp(argv[i], "--host") == 0) {
            hosts[reach.host_count++] = argv[++i];
        } else if (strcmp(argv[i], "--private") == 0) {
            reach.block_private = true;
        } else if (strcmp(argv[i], "--plays") == 0) {
            plays = true;
        } else if (!checks) {
            const char *range = range_of(argv[i]);
            printf("{");
            put("address", argv[i]);
            printf(",");
            if (range)
                put("range", range);
            else
                printf("\"range\":false");
            printf("}\n");
        } else {
            if (!reach.host_count)
                reach.hosts = NULL;
            printf("{");
            put("url", argv[i]);
            printf(",");
            if (mt_reach_check(&reach, argv[i], !plays, &err) == MT_OK)
                printf("\"guarded\":%s", mt_reach_guards(&reach, argv[i]) ? "true" : "false");
            else
                put("error", err.rc == MT_EINVAL ? err.text : "another code");
            printf("}\n");
        }
    }
    return 0;
}
