/* What libcurl's way of ending an exchange means: see ending.h. Called by transfer.c while the easy handle
 * still knows. */
#include "net/ending.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "net/reach.h"
#include "net/url.h"

static const char *unit_of(double bytes, double *out_size)
{
    *out_size = bytes >= 1 << 20 ? (double)(1 << 20) : bytes >= 1 << 10 ? (double)(1 << 10) : 1;
    return bytes >= 1 << 20 ? "MB" : bytes >= 1 << 10 ? "KB" : "bytes";
}

static const char *size_text(double bytes, char out[32])
{
    double size;
    const char *unit = unit_of(bytes, &size);
    snprintf(out, 32, "%.*f %s", size > 1 && bytes / size < 9.95 ? 1 : 0, bytes / size, unit);
    return out;
}

/* " after 12 of 40 KB", or nothing when no byte of a body came. */
static const char *progress(CURL *easy, char out[96])
{
    curl_off_t got = 0, expected = -1;
    char of[32];
    double size;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &got);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &expected);
    out[0] = '\0';
    if (expected > 0) {
        unit_of((double)expected, &size);
        snprintf(out, 96, " after %.*f of %s", got && (double)got / size < 0.95 ? 1 : 0, (double)got / size,
                 size_text((double)expected, of));
    } else if (got > 0) {
        snprintf(out, 96, " after %s", size_text((double)got, of));
    }
    return out;
}

void mt_ending_explain(const struct mt_ending *e, CURL *easy, CURLcode code,
                       const struct mt_http_response *res, struct mt_outcome *o)
{
    char after[96], limit[32];
    long os_error = 0;
    const char *detail = e->text[0] ? e->text : curl_easy_strerror(code);
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
    progress(easy, after);
    o->rc = MT_ENET;
    o->transient = true;
    if (e->headers_refused || (code == CURLE_OUT_OF_MEMORY && e->in_headers)) {
        /* libcurl reports a single header line above 100 KB, its own limit, as missing memory. */
        o->rc = MT_ELIMIT;
        o->transient = false;
        snprintf(o->cause, sizeof o->cause, "the headers of the answer are larger than %s",
                 size_text((double)(e->headers_refused ? res->headers.max : 100 << 10), limit));
        return;
    }
    if (e->body_refused) {
        o->rc = e->body_full ? MT_ELIMIT : MT_ENOMEM;
        o->transient = false;
        if (e->body_full)
            snprintf(
                o->cause, sizeof o->cause,
                "the body of the answer is larger than %s (decoded), the limit of this request (max_body)",
                size_text((double)res->body.max, limit));
        else
            snprintf(o->cause, sizeof o->cause, "no memory for the body of the answer%s", after);
        return;
    }
    if (e->range && (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK)) {
        o->rc = MT_EINVAL;
        o->transient = false;
        char *url = NULL;
        struct mt_buf host;
        mt_buf_init(&host, MT_FOREIGN);
        if (curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url)
            mt_url_host(mt_slice_of(url), &host);
        char range[128];
        snprintf(range, sizeof range, "%s of %.40s", e->refused, e->range);
        snprintf(o->cause, sizeof o->cause, "the host %.100s is refused: " MT_REACH_PRIVATE,
                 mt_buf_text(&host), range);
        mt_buf_fini(&host);
        return;
    }
    switch (code) {
    case CURLE_URL_MALFORMAT:
        o->rc = MT_EINVAL;
        o->transient = false;
        snprintf(o->cause, sizeof o->cause, "not a URL: %.200s", detail);
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        snprintf(o->cause, sizeof o->cause, "cannot resolve the name of the %s: %.200s",
                 code == CURLE_COULDNT_RESOLVE_PROXY ? "proxy" : "host", detail);
        break;
    case CURLE_COULDNT_CONNECT:
        snprintf(o->cause, sizeof o->cause, "cannot connect: %.200s",
                 os_error ? strerrordesc_np((int)os_error) : detail);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        if (strncasecmp(e->text, "Connection", 10) == 0 || strncasecmp(e->text, "Failed to connect", 17) == 0)
            snprintf(o->cause, sizeof o->cause, "cannot connect in time: %.200s", detail);
        else
            snprintf(o->cause, sizeof o->cause, "no complete answer within %.1f s, timed out%s",
                     e->timeout_ms / 1000.0, after);
        break;
    case CURLE_PARTIAL_FILE:
        snprintf(o->cause, sizeof o->cause, "the answer was cut short%s", after);
        break;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        if (os_error)
            snprintf(o->cause, sizeof o->cause, "%s%s",
                     os_error == ECONNRESET ? "connection reset" : strerrordesc_np((int)os_error), after);
        else
            snprintf(o->cause, sizeof o->cause, "the connection failed%s: %.200s", after, detail);
        break;
    case CURLE_GOT_NOTHING:
        snprintf(o->cause, sizeof o->cause, "the server closed the connection without an answer");
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        o->transient = false;
        snprintf(o->cause, sizeof o->cause,
                 "the server's certificate is not trusted: %.200s (name your CA's file in SSL_CERT_FILE or "
                 "its folder in "
                 "SSL_CERT_DIR)",
                 detail);
        break;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        o->transient = false;
        snprintf(o->cause, sizeof o->cause,
                 "cannot read the trusted certificates (see SSL_CERT_FILE, SSL_CERT_DIR): %.200s", detail);
        break;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR: /* not refused by us: the decoder's */
        o->rc = MT_EDATA;
        snprintf(o->cause, sizeof o->cause, "the compressed body is damaged%s", after);
        break;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, that is: no status line */
    case CURLE_WEIRD_SERVER_REPLY:
        o->rc = MT_EDATA;
        snprintf(o->cause, sizeof o->cause, "the answer is not HTTP: %.200s", detail);
        break;
    default:
        snprintf(o->cause, sizeof o->cause, "%.200s%s", detail, after);
    }
    mt_mask(o->cause);
}
