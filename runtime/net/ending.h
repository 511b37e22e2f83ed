/* How an exchange ended, in words and as a class: transfer.c notes, ending.c explains. Private to these two.
 */
#ifndef MT_NET_ENDING_H
#define MT_NET_ENDING_H

#include <curl/curl.h>

#include "net/transfer.h"

struct mt_ending {
    uint32_t timeout_ms;
    bool in_headers;      /* between the status line and the empty line */
    bool headers_refused; /* by their ceiling */
    bool body_refused;    /* by its ceiling (body_full) or for want of memory */
    bool body_full;
    const char *range;          /* the private range of the address that was refused; NULL: none was */
    char refused[64];           /* that address */
    char text[CURL_ERROR_SIZE]; /* libcurl's own */
};

void mt_ending_explain(const struct mt_ending *e, CURL *easy, CURLcode code,
                       const struct mt_http_response *res, struct mt_outcome *o);

#endif
