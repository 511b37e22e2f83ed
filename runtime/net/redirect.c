/* Redirects (RFC 9110 section 15.4): see call.h. Called by http.c on the loop's thread. They are followed
 * here and not by libcurl, which withholds Authorization and Cookie from another host, but not a header like
 * X-Api-Key. */
#include <stdlib.h>

#include "base/memory.h"
#include "net/call.h"
#include "net/url.h"

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether the request still goes to the origin that it was made for: secret headers go nowhere else. */
bool mt_redirect_is_home(const struct mt_http_call *call)
{
    if (!call->hop_url)
        return true;
    struct mt_buf a, b;
    mt_buf_init(&a, MT_MAX_URL);
    mt_buf_init(&b, MT_MAX_URL);
    bool same = mt_url_origin(mt_slice_of(call->url), &a) && mt_url_origin(mt_slice_of(call->hop_url), &b) &&
                mt_slice_eq(mt_buf_slice(&a), mt_buf_slice(&b));
    mt_buf_fini(&a);
    mt_buf_fini(&b);
    return same;
}

/* A POST becomes a GET by 301 and 302, as everybody does it, and everything but HEAD by 303. */
static void change_method(struct mt_http_call *call, int status)
{
    bool post = strcmp(call->hop_method, "POST") == 0, head = strcmp(call->hop_method, "HEAD") == 0;
    if ((status == 303 && !head) || (post && status <= 302)) {
        call->hop_method = "GET";
        call->hop_bare = true;
    }
}

enum mt_redirect mt_redirect(struct mt_http_call *call)
{
    struct mt_slice location;
    int status = call->res.status;
    if (!call->max_redirects || !is_redirect(status) || !mt_http_header(&call->res, "location", &location) ||
        !location.n)
        return MT_REDIRECT_NONE;
    struct mt_buf target, origin;
    mt_buf_init(&target, MT_MAX_URL);
    mt_buf_init(&origin, MT_MAX_URL);
    struct mt_err why;
    enum mt_redirect result = MT_REDIRECT_FAILED;
    call->err = (struct mt_err){0};
    if (call->redirects >= call->max_redirects) {
        mt_fail(&call->err, MT_ELIMIT, "redirected more than %u times: a loop?", call->max_redirects);
    } else if (mt_url_resolve(mt_slice_of(call->hop_url ? call->hop_url : call->url), location, &target,
                              &why) != MT_OK) {
        mt_fail(&call->err, MT_EHTTP, "status %d redirects to what is no URL: %.300s", status, why.text);
    } else if (!mt_url_origin(mt_buf_slice(&target), &origin)) {
        struct mt_buf shown;
        mt_buf_init(&shown, 4 * MT_FOREIGN);
        mt_url_redact(mt_buf_slice(&target), &shown);
        mt_fail(&call->err, MT_EHTTP, "status %d redirects to %s: only http and https are followed", status,
                mt_buf_text(&shown));
        mt_buf_fini(&shown);
    } else {
        change_method(call, status);
        free(call->hop_url);
        call->hop_url = mt_strdup(mt_buf_text(&target));
        call->redirects++;
        if (call->body.n && !call->hop_bare &&
            !mt_redirect_is_home(call)) /* it may hold a credential, as headers do */
            mt_fail(&call->err, MT_EHTTP, "status %d redirects the body of the request to another origin",
                    status);
        else
            result = MT_REDIRECT_FOLLOW;
    }
    if (result == MT_REDIRECT_FAILED)
        call->err.status = status;
    mt_buf_fini(&target);
    mt_buf_fini(&origin);
    return result;
}
