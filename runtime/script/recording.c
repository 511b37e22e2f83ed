/* Answers from recordings: see recording.h. Read and asked on the loop's thread (reading may be on any,
 * before the first request).
 *
 * A file's text is kept as it is read, and of each line its place and key: an answer is parsed when it is
 * asked for, so that 15 MB of recordings are 15 MB of memory. Lines of one key are a group; groups are found
 * by the digest of their key, and by that of the key without what matters little. */
#include "script/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/keyset.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/recording_key.h"
#include "script/scrub.h"
#include "json/document.h"

#define MAX_FILE ((size_t)1 << 30)
enum {
    MAX_KEY = 256 << 10,
    MAX_ASKED = 100000, /* what a spec looks at; a process that stays must not grow by what it asks */
    SHOWN = 150,
};

struct text {
    char *name;
    char *bytes;
};

struct line {
    const char *p;
    size_t n;
    unsigned text, number; /* file:line, for messages */
};

struct group {
    char *key;
    struct line *lines;
    size_t count, room, next;
};

struct mt_recordings {
    struct mt_http_tape tape;
    struct text *texts;
    size_t text_count;
    struct group *groups;
    size_t group_count, group_room;
    struct mt_keyset *exact, *loose; /* tag: which group */
    size_t count;
    struct mt_asked *asked;
    size_t asked_count, asked_room;
};

/* ---- reading ---- */

/* What a line must hold. Borrowed from its document. */
struct recorded {
    struct mt_slice method, url, body;
    int status;
    struct mt_val headers;
};

static bool is_plain(struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7F)
            return false;
    return true;
}

static bool is_name(struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7F || s.p[i] == ':')
            return false;
    return s.n > 0;
}

static enum mt_rc text_member(struct mt_val line, const char *name, struct mt_slice *out, struct mt_err *err)
{
    struct mt_val v;
    if (!mt_val_member(line, mt_slice_of(name), &v))
        return mt_fail(err, MT_EDATA, "the member \"%s\" is missing", name);
    if (!mt_val_is(v, MT_STRING))
        return mt_fail(err, MT_EDATA, "\"%s\" is not a string%s", name,
                       strcmp(name, "body") == 0 ? " (the text of the body, JSON as a JSON string)" : "");
    *out = mt_val_string(v);
    return MT_OK;
}

static enum mt_rc read_line(struct mt_val line, struct recorded *out, struct mt_err *err)
{
    struct mt_val v, value;
    struct mt_slice name;
    int64_t status = 0;
    enum mt_rc rc;
    if (!mt_val_is(line, MT_OBJECT))
        return mt_fail(
            err, MT_EDATA,
            "not an object {\"method\",\"url\",\"status\",\"headers\",\"body\"} but something else");
    if ((rc = text_member(line, "method", &out->method, err)) != MT_OK ||
        (rc = text_member(line, "url", &out->url, err)) != MT_OK ||
        (rc = text_member(line, "body", &out->body, err)) != MT_OK)
        return rc;
    if (!is_name(out->method))
        return mt_fail(err, MT_EDATA, "\"method\" is not a word such as GET");
    bool absolute = out->url.n > 8 && (strncasecmp(out->url.p, "http://", 7) == 0 ||
                                       strncasecmp(out->url.p, "https://", 8) == 0);
    if ((!absolute && (!out->url.n || out->url.p[0] != '/')) || !is_plain(out->url))
        return mt_fail(err, MT_EDATA,
                       "\"url\" is neither a path that begins with / nor an http or https URL");
    if (!mt_val_member(line, MT_SLICE("status"), &v))
        return mt_fail(err, MT_EDATA, "the member \"status\" is missing");
    if (!mt_val_is(v, MT_NUMBER) || !mt_val_int64(v, &status) || status < 100 || status > 599)
        return mt_fail(err, MT_EDATA, "\"status\" is not a number from 100 to 599");
    if (!mt_val_member(line, MT_SLICE("headers"), &out->headers))
        return mt_fail(err, MT_EDATA, "the member \"headers\" is missing");
    if (!mt_val_is(out->headers, MT_OBJECT))
        return mt_fail(err, MT_EDATA, "\"headers\" is not an object");
    for (struct mt_iter it = mt_iter_of(out->headers); mt_iter_next(&it, &name, &value);)
        if (!is_name(name) || !mt_val_is(value, MT_STRING) || !is_plain(mt_val_string(value)))
            return mt_fail(err, MT_EDATA, "the header \"%.*s\" is not a string of one line",
                           (int)(name.n < SHOWN ? name.n : SHOWN), name.p);
    out->status = (int)status;
    return MT_OK;
}

static struct mt_key digest(struct mt_slice s)
{
    return mt_key_of(&s, 1);
}

static struct group *group_of(struct mt_recordings *r, struct mt_slice key)
{
    struct mt_key exact = digest(key);
    uint32_t tag;
    if (mt_keyset_find(r->exact, &exact, &tag))
        return &r->groups[tag];
    if (r->group_count == r->group_room) {
        r->group_room = r->group_room ? 2 * r->group_room : 64;
        r->groups = mt_realloc(r->groups, r->group_room * sizeof *r->groups);
    }
    struct mt_buf loose;
    mt_buf_init(&loose, MAX_KEY);
    mt_recording_loosen(&loose, key);
    struct mt_key wide = digest(mt_buf_slice(&loose));
    mt_keyset_add(r->exact, &exact, (uint32_t)r->group_count);
    mt_keyset_add(r->loose, &wide, (uint32_t)r->group_count); /* the first one keeps its place */
    mt_buf_fini(&loose);
    struct group *group = &r->groups[r->group_count++];
    *group = (struct group){.key = mt_slice_dup(key)};
    return group;
}

/* Checks each line that is not empty, and keeps it when asked to. What was checked before does not fail. */
static enum mt_rc walk(struct mt_recordings *r, const char *name, struct mt_slice text, bool keep,
                       struct mt_err *err)
{
    unsigned number = 0;
    struct mt_buf key;
    enum mt_rc rc = MT_OK;
    mt_buf_init(&key, MAX_KEY);
    while (text.n && rc == MT_OK) {
        const char *end = memchr(text.p, '\n', text.n);
        struct mt_slice line = {text.p, end ? (size_t)(end - text.p) : text.n};
        text = (struct mt_slice){text.p + line.n + (end != NULL), text.n - line.n - (end != NULL)};
        number++;
        while (line.n && strchr(" \t\r", line.p[line.n - 1]) && line.p[line.n - 1])
            line.n--;
        if (!line.n)
            continue;
        struct recorded recorded;
        struct mt_doc *doc = NULL;
        rc = mt_doc_parse_copy(line, NULL, &doc, err);
        if (rc != MT_OK)
            mt_err_context(err, "%s",
                           end || !text.p ? "not JSON"
                                          : "not JSON, and the file ends here: was it cut short?");
        else
            rc = read_line(mt_doc_root(doc), &recorded, err);
        mt_buf_clear(&key);
        if (rc == MT_OK && !mt_recording_key(&key, recorded.method, recorded.url))
            rc = mt_fail(err, MT_ELIMIT, "\"url\" is longer than %d KB", MAX_KEY >> 10);
        mt_doc_unref(doc);
        if (rc == MT_OK && keep) {
            struct group *group = group_of(r, mt_buf_slice(&key));
            if (group->count == group->room) {
                group->room = group->room ? 2 * group->room : 1;
                group->lines = mt_realloc(group->lines, group->room * sizeof *group->lines);
            }
            group->lines[group->count++] = (struct line){line.p, line.n, (unsigned)r->text_count - 1, number};
            r->count++;
        }
    }
    if (rc != MT_OK)
        mt_err_context(err, "%.200s:%u", name, number);
    mt_buf_fini(&key);
    return rc;
}

static struct mt_slice without_bom(struct mt_slice s)
{
    bool bom = s.n >= 3 && memcmp(s.p, "\xEF\xBB\xBF", 3) == 0;
    return bom ? (struct mt_slice){s.p + 3, s.n - 3} : s;
}

/* Takes the bytes over when it succeeds: the first pass may fail, the second one keeps. */
static enum mt_rc adopt(struct mt_recordings *r, const char *name, struct mt_buf *text, struct mt_err *err)
{
    enum mt_rc rc = walk(r, name, without_bom(mt_buf_slice(text)), false, err);
    if (rc != MT_OK)
        return rc;
    size_t n;
    char *bytes = mt_buf_take(text, &n);
    bytes = mt_realloc(bytes, n); /* buffers grow by doubling */
    r->texts = mt_realloc(r->texts, (r->text_count + 1) * sizeof *r->texts);
    r->texts[r->text_count++] = (struct text){mt_strdup(name), bytes};
    return walk(r, name, without_bom((struct mt_slice){bytes, n}), true, err);
}

enum mt_rc mt_recordings_add(struct mt_recordings *r, const char *name, struct mt_slice text,
                             struct mt_err *err)
{
    struct mt_buf copy;
    mt_buf_init(&copy, text.n);
    enum mt_rc rc = mt_buf_reserve(&copy, text.n) && mt_buf_put(&copy, text)
                        ? MT_OK
                        : mt_fail(err, MT_ENOMEM, "%.200s: no memory for its %zu bytes", name, text.n);
    if (rc == MT_OK && text.n)
        rc = adopt(r, name, &copy, err);
    mt_buf_fini(&copy);
    return rc;
}

static enum mt_rc slurp(int fd, struct mt_buf *text)
{
    for (;;) {
        if (!mt_buf_reserve(text, 1))
            return text->n == text->max ? MT_ELIMIT : MT_ENOMEM;
        ssize_t n = read(fd, text->p + text->n, text->cap - text->n);
        if (n == 0)
            return MT_OK;
        if (n < 0 && errno != EINTR)
            return MT_EIO;
        text->n += n > 0 ? (size_t)n : 0;
    }
}

enum mt_rc mt_recordings_read(struct mt_recordings *r, const char *file, struct mt_err *err)
{
    struct mt_buf text;
    struct stat st;
    mt_buf_init(&text, MAX_FILE);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    enum mt_rc rc = fd < 0 ? MT_EIO : MT_OK;
    if (rc == MT_OK && fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size < MAX_FILE)
        mt_buf_reserve(&text, (size_t)st.st_size + 1); /* at once, and no more than needed */
    if (rc == MT_OK)
        rc = slurp(fd, &text);
    if (rc == MT_OK && text.n)
        rc = adopt(r, file, &text, err);
    else if (rc == MT_EIO)
        mt_fail(err, rc, "cannot read the recordings %.200s: %s", file, strerrordesc_np(errno));
    else if (rc != MT_OK)
        mt_fail(err, rc,
                rc == MT_ELIMIT ? "the recordings %.200s are larger than 1 GB"
                                : "no memory for the recordings %.200s",
                file);
    if (fd >= 0)
        close(fd);
    mt_buf_fini(&text);
    return rc;
}

size_t mt_recordings_count(const struct mt_recordings *r)
{
    return r->count;
}

/* ---- answering ---- */

static struct group *find(struct mt_recordings *r, struct mt_slice key)
{
    struct mt_key exact = digest(key);
    uint32_t tag;
    struct group *found = NULL;
    if (mt_keyset_find(r->exact, &exact, &tag))
        return &r->groups[tag];
    struct mt_buf loose;
    mt_buf_init(&loose, MAX_KEY);
    mt_recording_loosen(&loose, key);
    struct mt_key wide = digest(mt_buf_slice(&loose));
    if (mt_keyset_find(r->exact, &wide, &tag) || mt_keyset_find(r->loose, &wide, &tag))
        found = &r->groups[tag];
    mt_buf_fini(&loose);
    return found;
}

static bool has_header(const struct mt_http_request *sent, const char *name, struct mt_slice value)
{
    for (size_t i = 0; i < sent->header_count; i++)
        if (strcasecmp(sent->headers[i].name, name) == 0)
            return mt_slice_is(value, sent->headers[i].value);
    return false;
}

/* What a limit had left at the time of the recording would make a client wait now; and the body's framing was
 * taken off it. */
static bool is_of_its_time(struct mt_slice name)
{
    static const char *const names[] = {"x-ratelimit-remaining",
                                        "x-ratelimit-reset",
                                        "x-rate-limit-remaining",
                                        "x-rate-limit-reset",
                                        "ratelimit-remaining",
                                        "ratelimit-reset",
                                        "ratelimit",
                                        "content-length",
                                        "content-encoding",
                                        "transfer-encoding",
                                        NULL};
    for (const char *const *one = names; *one; one++)
        if (name.n == strlen(*one) && strncasecmp(name.p, *one, name.n) == 0)
            return true;
    return false;
}

static void answer(const struct mt_http_request *sent, const struct recorded *recorded,
                   struct mt_http_response *out)
{
    struct mt_slice name;
    struct mt_val value;
    out->status = recorded->status;
    for (struct mt_iter it = mt_iter_of(recorded->headers); mt_iter_next(&it, &name, &value);) {
        if (is_of_its_time(name))
            continue;
        for (size_t i = 0; i < name.n; i++)
            mt_buf_putc(&out->headers,
                        (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]));
        mt_buf_puts(&out->headers, ": ");
        mt_buf_put(&out->headers, mt_val_string(value));
        mt_buf_putc(&out->headers, '\n');
        if (name.n == 4 && strncasecmp(name.p, "etag", 4) == 0 && recorded->status == 200 &&
            has_header(sent, "If-None-Match", mt_val_string(value)))
            out->status = 304;
    }
    if (out->status != 304)
        mt_buf_put(&out->body, recorded->body);
}

static void note(struct mt_recordings *r, const char *method, const char *url, int status)
{
    if (r->asked_count == MAX_ASKED)
        return;
    if (r->asked_count == r->asked_room) {
        r->asked_room = r->asked_room ? 2 * r->asked_room : 64;
        r->asked = mt_realloc(r->asked, r->asked_room * sizeof *r->asked);
    }
    r->asked[r->asked_count++] = (struct mt_asked){mt_strdup(method), mt_strdup(url), status};
}

static size_t alike(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* The recorded key whose path and query begin most like this one's, of those the one of the same method, of
 * those the shortest. */
static const struct group *nearest(const struct mt_recordings *r, const char *key)
{
    const struct group *best = NULL;
    size_t most = 0, length = 0;
    const char *target = strchr(key, ' ') + 1;
    for (size_t i = 0; i < r->group_count; i++) {
        const char *other = strchr(r->groups[i].key, ' ') + 1;
        size_t n = strlen(other), same = alike(target, other);
        if (same < 2) /* each begins with a slash */
            continue;
        same = 2 * same + (alike(key, r->groups[i].key) >= (size_t)(target - key));
        if (same > most || (same == most && n < length)) {
            most = same;
            length = n;
            best = &r->groups[i];
        }
    }
    return best;
}

static enum mt_rc refuse(const struct mt_recordings *r, const char *key, struct mt_err *err)
{
    if (!r->count)
        return mt_fail(err, MT_ENOENT, "nothing is recorded: there are no recordings to answer from");
    const struct group *near = nearest(r, key);
    if (!near)
        return mt_fail(err, MT_ENOENT, "nothing is recorded for %.*s, nor for a path like it", SHOWN, key);
    return mt_fail(err, MT_ENOENT, "nothing is recorded for %.*s; nearest is %.*s (%.60s:%u)", SHOWN, key,
                   SHOWN, near->key, r->texts[near->lines[0].text].name, near->lines[0].number);
}

static enum mt_rc play(void *ud, const struct mt_http_request *sent, struct mt_http_response *out,
                       struct mt_err *err)
{
    struct mt_recordings *r = ud;
    struct mt_buf url, key;
    struct mt_doc *doc = NULL;
    struct recorded recorded;
    mt_buf_init(&url, MAX_KEY);
    mt_buf_init(&key, MAX_KEY);
    mt_scrub_url(&url, mt_slice_of(sent->url)); /* as a recorder would have written it */
    mt_recording_key(&key, mt_slice_of(sent->method), mt_buf_slice(&url));
    struct group *group = find(r, mt_buf_slice(&key));
    enum mt_rc rc;
    if (!group) {
        rc = refuse(r, mt_buf_text(&key), err);
    } else {
        const struct line *line = &group->lines[group->next];
        group->next += group->next + 1 < group->count;
        rc = mt_doc_parse_copy((struct mt_slice){line->p, line->n}, NULL, &doc, err);
        if (rc == MT_OK)
            rc = read_line(mt_doc_root(doc), &recorded, err); /* it did when it was read */
        if (rc == MT_OK)
            answer(sent, &recorded, out);
    }
    note(r, sent->method, mt_buf_text(&url), rc == MT_OK ? out->status : 0);
    mt_doc_unref(doc);
    mt_buf_fini(&url);
    mt_buf_fini(&key);
    return rc;
}

const struct mt_http_tape *mt_recordings_tape(struct mt_recordings *r)
{
    return &r->tape;
}

/* ---- what was asked ---- */

size_t mt_recordings_asked(const struct mt_recordings *r, size_t i, struct mt_asked *out)
{
    if (i < r->asked_count && out)
        *out = r->asked[i];
    return r->asked_count;
}

void mt_recordings_forget_asked(struct mt_recordings *r)
{
    for (size_t i = 0; i < r->asked_count; i++) {
        free((char *)(uintptr_t)r->asked[i].method);
        free((char *)(uintptr_t)r->asked[i].url);
    }
    r->asked_count = 0;
}

/* ---- life ---- */

struct mt_recordings *mt_recordings_new(void)
{
    struct mt_recordings *r = mt_alloc(sizeof *r);
    *r = (struct mt_recordings){
        .tape = {.play = play, .ud = r}, .exact = mt_keyset_new(), .loose = mt_keyset_new()};
    return r;
}

void mt_recordings_free(struct mt_recordings *r)
{
    if (!r)
        return;
    mt_recordings_forget_asked(r);
    free(r->asked);
    for (size_t i = 0; i < r->group_count; i++) {
        free(r->groups[i].key);
        free(r->groups[i].lines);
    }
    free(r->groups);
    for (size_t i = 0; i < r->text_count; i++) {
        free(r->texts[i].name);
        free(r->texts[i].bytes);
    }
    free(r->texts);
    mt_keyset_free(r->exact);
    mt_keyset_free(r->loose);
    free(r);
}
