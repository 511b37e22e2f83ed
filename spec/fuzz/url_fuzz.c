/* Any bytes as a URL and a reference to it (the first newline separates them): what has an origin has a host;
 * what resolves against it is clean, resolves to itself and keeps its origin; a redacted URL shows no user
 * and no value of a token, and is short. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/url.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "url_fuzz: %s\n", what);
    abort();
}

enum { MAX = 1 << 20 };

static bool has_dot_segment(struct mt_slice url)
{
    const char *p = memmem(url.p, url.n, "://", 3);
    size_t i = p ? (size_t)(p - url.p) + 3 : 0;
    while (i < url.n && !memchr("/?#", url.p[i], 3))
        i++;
    while (i < url.n && url.p[i] == '/') {
        size_t from = ++i;
        while (i < url.n && !memchr("/?#", url.p[i], 3))
            i++;
        if (mt_slice_is((struct mt_slice){url.p + from, i - from}, ".") ||
            mt_slice_is((struct mt_slice){url.p + from, i - from}, ".."))
            return true;
    }
    return false;
}

static void check_resolved(struct mt_slice base, struct mt_slice reference)
{
    struct mt_buf target, again, origin, origin_again;
    mt_buf_init(&target, MAX);
    mt_buf_init(&again, MAX);
    mt_buf_init(&origin, MAX);
    mt_buf_init(&origin_again, MAX);
    struct mt_err err;
    enum mt_rc rc = mt_url_resolve(base, reference, &target, &err);
    must(rc == MT_OK || rc == MT_EINVAL || rc == MT_ELIMIT, "another code");
    if (rc != MT_OK) {
        must(!target.n && err.rc == rc && err.text[0], "a refusal without a reason");
        goto out;
    }
    struct mt_slice t = mt_buf_slice(&target);
    for (size_t i = 0; i < t.n; i++)
        must((unsigned char)t.p[i] > ' ' && (unsigned char)t.p[i] < 0x7F, "a byte that is legal in no URL");
    if (mt_url_origin(t, &origin)) {
        must(!has_dot_segment(t), "a dot segment is left");
        must(mt_url_resolve(base, t, &again, NULL) == MT_OK, "a target that does not resolve");
        must(mt_slice_eq(t, mt_buf_slice(&again)), "a target that resolves to something else");
        must(mt_url_origin(mt_buf_slice(&again), &origin_again) &&
                 mt_slice_eq(mt_buf_slice(&origin), mt_buf_slice(&origin_again)),
             "another origin");
    }
out:
    mt_buf_fini(&target);
    mt_buf_fini(&again);
    mt_buf_fini(&origin);
    mt_buf_fini(&origin_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    const char *end = memchr(copy, '\n', size);
    struct mt_slice url = {copy, end ? (size_t)(end - copy) : size};
    struct mt_slice reference = {end ? end + 1 : copy, end ? size - url.n - 1 : 0};
    struct mt_buf out, shown;
    mt_buf_init(&out, MAX);
    mt_buf_init(&shown, MAX);
    bool origin = mt_url_origin(url, &out);
    mt_buf_clear(&out);
    must(origin == mt_url_host(url, &out), "an origin without a host");
    mt_buf_clear(&out);
    must(mt_url_escape(&out, url) && out.n >= url.n, "escaping");
    must(mt_url_redact(url, &shown) && shown.n <= MT_FOREIGN, "redacting");
    check_resolved(url, reference);
    check_resolved(MT_SLICE("https://user:pa55@h.test:8443/a/b?token=t0ps3cret#f"), url);

    struct mt_buf secret;
    mt_buf_init(&secret, MAX);
    mt_buf_puts(&secret, "https://user:pa55@h/?token=t0ps3cret&");
    mt_buf_put(&secret, reference);
    mt_buf_clear(&shown);
    must(mt_url_redact(mt_buf_slice(&secret), &shown), "redacting");
    if (!memmem(reference.p, reference.n, "t0ps", 4) && !memmem(reference.p, reference.n, "pa55", 4))
        must(!memmem(shown.p, shown.n, "t0ps", 4) && !memmem(shown.p, shown.n, "pa55", 4), "a secret shown");
    mt_buf_fini(&secret);
    mt_buf_fini(&out);
    mt_buf_fini(&shown);
    free(copy);
    return 0;
}
