/* Writes recordings: see recording.h. Loop thread.
 *
 * A line is written when its answer comes. Answers that a client sends its request again for (a limit, a
 * server error) are held back until they turn out to be the last one: who replays would only wait for the
 * next. */
#include "script/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/keyset.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "script/recording_key.h"
#include "script/scrub.h"

#define MAX_LINE ((size_t)1 << 30)
enum { MAX_KEY = 256 << 10 };

struct held {
    struct held *next;
    struct mt_key key;
    char *line;
    size_t n;
};

struct mt_recorder {
    struct mt_http_tape tape;
    char *name;
    FILE *file;
    struct mt_keyset *last; /* by request: part of the digest of what was written for it last */
    struct held *held;
    size_t count;
    enum mt_rc rc; /* of the first line that could not be written */
    struct mt_err err;
};

static void write_line(struct mt_recorder *r, struct mt_slice line)
{
    if (r->rc != MT_OK)
        return;
    if (fwrite(line.p, 1, line.n, r->file) == line.n && fflush(r->file) == 0)
        r->count++;
    else
        r->rc = mt_fail(&r->err, MT_EIO, "cannot write the recording %.200s: %s", r->name,
                        strerrordesc_np(errno));
}

/* Headers of the framing, which the body has lost, and of the connection. */
static bool is_left_out(struct mt_slice name)
{
    static const char *const names[] = {
        "content-length", "content-encoding", "transfer-encoding", "connection",
        "keep-alive",     "trailer",          "upgrade",           NULL};
    for (const char *const *one = names; *one; one++)
        if (mt_slice_is(name, *one))
            return true;
    return false;
}

/* Puts a text as a JSON string of valid UTF-8. */
static void put_text(struct mt_buf *out, struct mt_slice text)
{
    struct mt_buf valid;
    mt_buf_init(&valid, MAX_LINE);
    if (!mt_utf8_put(&valid, text))
        out->failed = true;
    mt_buf_put_json_string(out, mt_buf_slice(&valid));
    mt_buf_fini(&valid);
}

static void put_headers(struct mt_buf *out, struct mt_slice headers)
{
    struct mt_buf value;
    bool first = true;
    mt_buf_init(&value, MAX_LINE);
    while (headers.n) {
        const char *end = memchr(headers.p, '\n', headers.n), *colon = memchr(headers.p, ':', headers.n);
        size_t n = end ? (size_t)(end - headers.p) : headers.n;
        size_t length = colon && colon < headers.p + n ? (size_t)(colon - headers.p) : n;
        struct mt_slice name = {headers.p, length};
        struct mt_slice text = {headers.p + length + 2, n > length + 2 ? n - length - 2 : 0};
        headers = (struct mt_slice){headers.p + n + (end != NULL), headers.n - n - (end != NULL)};
        if (!name.n || is_left_out(name))
            continue;
        mt_buf_clear(&value);
        mt_scrub_header(&value, name, text);
        mt_buf_puts(out, first ? "" : ",");
        put_text(out, name);
        mt_buf_putc(out, ':');
        put_text(out, mt_buf_slice(&value));
        if (value.failed)
            out->failed = true;
        first = false;
    }
    mt_buf_fini(&value);
}

/* Takes the held answer of a request away: another one has come. */
static void drop_held(struct mt_recorder *r, const struct mt_key *key)
{
    for (struct held **link = &r->held; *link; link = &(*link)->next) {
        struct held *h = *link;
        if (memcmp(&h->key, key, sizeof *key) != 0)
            continue;
        *link = h->next;
        free(h->line);
        free(h);
        return;
    }
}

static void hold(struct mt_recorder *r, const struct mt_key *key, struct mt_buf *line)
{
    struct held **link = &r->held;
    while (*link)
        link = &(*link)->next;
    *link = mt_alloc(sizeof **link);
    (*link)->key = *key;
    (*link)->line = mt_buf_take(line, &(*link)->n);
}

/* The same answer to the same request again says nothing new. */
static bool is_repeated(struct mt_recorder *r, const struct mt_key *key, int status, struct mt_slice body)
{
    char code[16];
    const struct mt_slice parts[] = {{code, (size_t)snprintf(code, sizeof code, "%d", status)}, body};
    struct mt_key answer = mt_key_of(parts, 2);
    uint32_t now, before;
    memcpy(&now, answer.b, sizeof now);
    bool known = mt_keyset_find(r->last, key, &before);
    if (known && before == now)
        return true;
    if (known)
        mt_keyset_remove(r->last, key);
    mt_keyset_add(r->last, key, now);
    return false;
}

static void record(void *ud, const struct mt_http_request *sent, const struct mt_http_response *answer)
{
    struct mt_recorder *r = ud;
    struct mt_slice retry_after;
    struct mt_buf url, key, body, line;
    if (answer->status == 304) /* the recorded ETag makes these */
        return;
    mt_buf_init(&url, MAX_KEY);
    mt_buf_init(&key, MAX_KEY);
    mt_buf_init(&body, MAX_LINE);
    mt_buf_init(&line, MAX_LINE);
    mt_scrub_url(&url, mt_recording_target(mt_slice_of(sent->url)));
    mt_recording_key(&key, mt_slice_of(sent->method), mt_buf_slice(&url));
    mt_scrub_body(&body, mt_buf_slice(&answer->body));
    const struct mt_slice parts[] = {mt_buf_slice(&key)};
    struct mt_key request = mt_key_of(parts, 1);
    bool again = answer->status == 429 || answer->status == 408 || answer->status >= 500 ||
                 (answer->status == 403 && mt_http_header(answer, "retry-after", &retry_after));
    drop_held(r, &request);
    if (!again && is_repeated(r, &request, answer->status, mt_buf_slice(&body)))
        goto out;
    mt_buf_puts(&line, "{\"method\":");
    put_text(&line, mt_slice_of(sent->method));
    mt_buf_puts(&line, ",\"url\":");
    mt_buf_clear(&key);
    if (!url.n || url.p[0] != '/')
        mt_buf_putc(&key, '/');
    mt_buf_put(&key, mt_buf_slice(&url));
    put_text(&line, mt_buf_slice(&key));
    mt_buf_printf(&line, ",\"status\":%d,\"headers\":{", answer->status);
    put_headers(&line, mt_buf_slice(&answer->headers));
    mt_buf_puts(&line, "},\"body\":");
    put_text(&line, mt_buf_slice(&body));
    mt_buf_puts(&line, "}\n");
    if (url.failed || key.failed || body.failed || line.failed) {
        if (r->rc == MT_OK)
            r->rc = mt_fail(&r->err, MT_ENOMEM, "no memory to record the answer to %s %.200s", sent->method,
                            mt_buf_text(&url));
    } else if (again) {
        hold(r, &request, &line);
    } else {
        write_line(r, mt_buf_slice(&line));
    }
out:
    mt_buf_fini(&url);
    mt_buf_fini(&key);
    mt_buf_fini(&body);
    mt_buf_fini(&line);
}

enum mt_rc mt_recorder_new(const char *file, struct mt_recorder **out, struct mt_err *err)
{
    FILE *stream = fopen(file, "we");
    if (!stream)
        return mt_fail(err, MT_EIO, "cannot write the recording %.200s: %s", file, strerrordesc_np(errno));
    struct mt_recorder *r = mt_alloc(sizeof *r);
    *r = (struct mt_recorder){.tape = {.record = record, .ud = r},
                              .name = mt_strdup(file),
                              .file = stream,
                              .last = mt_keyset_new()};
    *out = r;
    return MT_OK;
}

const struct mt_http_tape *mt_recorder_tape(struct mt_recorder *r)
{
    return &r->tape;
}

enum mt_rc mt_recorder_close(struct mt_recorder *r, size_t *out_count, struct mt_err *err)
{
    while (r->held) {
        struct held *h = r->held;
        r->held = h->next;
        write_line(r, (struct mt_slice){h->line, h->n});
        free(h->line);
        free(h);
    }
    if (fclose(r->file) != 0 && r->rc == MT_OK)
        r->rc = mt_fail(&r->err, MT_EIO, "cannot write the recording %.200s: %s", r->name,
                        strerrordesc_np(errno));
    enum mt_rc rc = r->rc;
    if (rc != MT_OK && err)
        *err = r->err;
    if (rc == MT_OK && out_count)
        *out_count = r->count;
    mt_keyset_free(r->last);
    free(r->name);
    free(r);
    return rc;
}
