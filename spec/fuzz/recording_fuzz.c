/* Any bytes as a recording, as a URL and as a body: reading refuses with a line or takes; keys are their own
 * keys, also loosened; what was scrubbed holds the secret in no place, and JSON stays JSON. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "script/recording.h"
#include "script/recording_key.h"
#include "script/scrub.h"
#include "json/document.h"

enum { MAX = 8 << 20 };
static const char secret[] = "s\"3cr/t";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "recording_fuzz: %s\n", what);
    abort();
}

static void check_key(struct mt_slice url)
{
    struct mt_buf key, again, loose, looser;
    mt_buf_init(&key, MAX);
    mt_buf_init(&again, MAX);
    mt_buf_init(&loose, MAX);
    mt_buf_init(&looser, MAX);
    must(mt_recording_key(&key, MT_SLICE("GET"), url), "no key");
    must(mt_recording_loosen(&loose, mt_buf_slice(&key)), "no loose key");
    must(mt_recording_loosen(&looser, mt_buf_slice(&loose)), "no key of a loose key");
    must(mt_slice_eq(mt_buf_slice(&loose), mt_buf_slice(&looser)), "a loose key loosens further");
    must(key.n > 4 && key.p[4] == '/', "a key without a path");
    must(mt_recording_key(&again, MT_SLICE("GET"), (struct mt_slice){key.p + 4, key.n - 4}),
         "no key of a key");
    must(memchr(key.p, '#', key.n) || mt_slice_eq(mt_buf_slice(&key), mt_buf_slice(&again)),
         "a key has another key");
    mt_buf_fini(&key);
    mt_buf_fini(&again);
    mt_buf_fini(&loose);
    mt_buf_fini(&looser);
}

static void check_scrub(struct mt_slice text, bool (*scrub)(struct mt_buf *out, struct mt_slice text))
{
    struct mt_buf once;
    mt_buf_init(&once, MAX);
    must(scrub(&once, text), "scrubbing failed");
    must(!once.n || !memmem(once.p, once.n, secret, sizeof secret - 1), "the secret is still there");
    if (scrub == mt_scrub_body)
        must(mt_json_check(text, NULL, NULL) != MT_OK ||
                 mt_json_check(mt_buf_slice(&once), NULL, NULL) == MT_OK,
             "JSON is JSON no more");
    mt_buf_fini(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mt_slice text = {(const char *)data, n};
    struct mt_err err = {0};
    if (n > 64 << 10)
        return 0;
    mt_mask_add(mt_slice_of(secret));
    struct mt_recordings *r = mt_recordings_new();
    if (mt_recordings_add(r, "fuzz", text, &err) != MT_OK)
        must(strncmp(err.text, "fuzz:", 5) == 0 && mt_recordings_count(r) == 0, "an error without a place");
    mt_recordings_free(r);
    check_key(text);
    check_scrub(text, mt_scrub_url);
    check_scrub(text, mt_scrub_body);
    check_scrub(text, mt_scrub_text);
    return 0;
}
