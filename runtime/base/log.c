/* The log: see log.h. One lock orders the lines of all threads; a second one keeps the repeats, a third one
 * the taps. None is taken while another is held, and taps are called under the third one's shared side only.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"

enum {
    MESSAGE_MAX = 64 * 1024 - 256,
    LINE_MAX_BYTES = 8 * 64 * 1024, /* escaping makes six bytes of one */
    REPEATS = 512                   /* a process of fifty integrations repeats ten things each */
};
#define QUIET_NS 10000000000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int least = MT_INFO;
static bool as_json;
static void (*sink)(void *ud, struct mt_slice line);
static void *sink_ud;

static pthread_rwlock_t taps_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct tap {
    void (*fn)(void *ud, const struct mt_log_record *record);
    void *ud;
} * taps;
static size_t tap_count;
static _Thread_local bool in_tap;

static _Thread_local const struct mt_log_fields *entered;

const struct mt_log_fields *mt_log_enter(const struct mt_log_fields *fields)
{
    const struct mt_log_fields *before = entered;
    entered = fields;
    return before;
}

void mt_log_json(bool json)
{
    pthread_mutex_lock(&lock);
    as_json = json;
    pthread_mutex_unlock(&lock);
}

void mt_log_level(enum mt_level level)
{
    atomic_store(&least, (int)level);
}

bool mt_log_level_parse(struct mt_slice name, enum mt_level *out)
{
    static const struct {
        const char *name;
        enum mt_level level;
    } levels[] = {{"DEBUG", MT_DEBUG}, {"INFO", MT_INFO},   {"WARNING", MT_WARN},
                  {"WARN", MT_WARN},   {"ERROR", MT_ERROR}, {"CRITICAL", MT_ERROR}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (name.n == strlen(levels[i].name) && strncasecmp(name.p, levels[i].name, name.n) == 0) {
            *out = levels[i].level;
            return true;
        }
    return false;
}

const char *mt_log_level_name(enum mt_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    return names[level];
}

const char *mt_log_time(int64_t wall_us, char out[MT_LOG_TIME_SIZE])
{
    char iso[MT_ISO_SIZE];
    snprintf(out, MT_LOG_TIME_SIZE, "%.26sZ", mt_iso_format(wall_us, iso));
    return out;
}

void mt_log_sink(void (*fn)(void *ud, struct mt_slice line), void *ud)
{
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_ud = ud;
    pthread_mutex_unlock(&lock);
}

/* ---- taps ---- */

void mt_log_tap(void (*tap)(void *ud, const struct mt_log_record *record), void *ud)
{
    pthread_rwlock_wrlock(&taps_lock);
    taps = mt_realloc(taps, (tap_count + 1) * sizeof *taps);
    taps[tap_count++] = (struct tap){tap, ud};
    pthread_rwlock_unlock(&taps_lock);
}

void mt_log_untap(void (*tap)(void *ud, const struct mt_log_record *record), void *ud)
{
    pthread_rwlock_wrlock(&taps_lock);
    for (size_t i = 0; i < tap_count; i++)
        if (taps[i].fn == tap && taps[i].ud == ud) {
            taps[i] = taps[--tap_count];
            break;
        }
    if (!tap_count) {
        free(taps);
        taps = NULL;
    }
    pthread_rwlock_unlock(&taps_lock);
}

static void call_taps(const struct mt_log_record *record)
{
    if (in_tap || record->fields.local)
        return;
    in_tap = true;
    pthread_rwlock_rdlock(&taps_lock);
    for (size_t i = 0; i < tap_count; i++)
        taps[i].fn(taps[i].ud, record);
    pthread_rwlock_unlock(&taps_lock);
    in_tap = false;
}

/* ---- lines ---- */

/* A pipe that another process made non-blocking is waited for as well: a line is not lost. */
static void write_stderr(struct mt_slice line)
{
    while (line.n) {
        ssize_t n = write(STDERR_FILENO, line.p, line.n);
        if (n > 0)
            line = (struct mt_slice){line.p + n, line.n - (size_t)n};
        else if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
        else if (n == 0 || errno != EINTR)
            return; /* there is no stderr (any more), and nowhere to say so */
    }
}

/* Foreign text is in it, and a terminal would obey its escapes: control characters, those of two bytes
 * (U+0080 to U+009F) included. Works in place. */
static void disarm(char *p, size_t n, bool lines)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        if (c == 0xC2 && i + 1 < n && (unsigned char)p[i + 1] < 0xA0)
            p[i] = p[i + 1] = '?';
        else if ((c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7F)
            p[i] = '?';
    }
}

static void put_word(struct mt_buf *line, const char *before, struct mt_slice word)
{
    mt_buf_puts(line, line->p[line->n - 1] == '[' ? "" : " ");
    mt_buf_puts(line, before);
    mt_buf_put(line, word);
}

static void put_text(struct mt_buf *line, const struct mt_log_record *r)
{
    static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    const struct mt_log_fields *f = &r->fields;
    time_t s = r->wall_us / 1000000;
    struct tm tm;
    localtime_r(&s, &tm);
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    mt_buf_printf(line, "%s.%03d %s ", when, (int)(r->wall_us % 1000000 / 1000), names[r->level]);
    const size_t head = line->n;
    if (f->integration || f->kind || f->run || f->generation) {
        mt_buf_putc(line, '[');
        if (f->integration)
            put_word(line, "", mt_slice_of(f->integration));
        if (f->kind)
            put_word(line, "", mt_slice_of(f->kind));
        if (f->run) /* as much of it as tells runs apart */
            put_word(line, "run ", (struct mt_slice){f->run, strnlen(f->run, 8)});
        if (f->generation) {
            char number[16];
            snprintf(number, sizeof number, "%u", f->generation);
            put_word(line, "gen ", mt_slice_of(number));
        }
        mt_buf_puts(line, "] ");
        disarm(line->p + head, line->n - head, false);
    }
    const size_t from = line->n;
    mt_buf_put(line, r->message);
    disarm(line->p + from, line->n - from, true);
    mt_buf_putc(line, '\n');
}

static void put_member(struct mt_buf *line, const char *before, const char *text)
{
    if (!text)
        return;
    mt_buf_puts(line, before);
    mt_buf_put_json_string(line, mt_slice_of(text));
}

static void put_json(struct mt_buf *line, const struct mt_log_record *r)
{
    char when[MT_LOG_TIME_SIZE];
    mt_buf_printf(line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"message\":", mt_log_time(r->wall_us, when),
                  mt_log_level_name(r->level));
    mt_buf_put_json_string(line, r->message);
    put_member(line, ",\"integration\":", r->fields.integration);
    put_member(line, ",\"run\":", r->fields.run);
    put_member(line, ",\"kind\":", r->fields.kind);
    if (r->fields.generation)
        mt_buf_printf(line, ",\"generation\":%u", r->fields.generation);
    mt_buf_puts(line, "}\n");
}

/* Masked first and cut afterwards: a cut through a secret would show its begin. */
static void clean(struct mt_buf *out, struct mt_slice text, size_t most)
{
    struct mt_buf masked;
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) /* A-LOG-01 */
        text.n--;
    mt_buf_init(&masked, 3 * text.n + 64);
    mt_mask_put(&masked, text);
    struct mt_slice kept = mt_utf8_cut(mt_buf_slice(&masked), most);
    mt_buf_init(out, 3 * kept.n + 64);
    mt_utf8_put(out, kept);
    if (kept.n < masked.n)
        mt_buf_printf(out, "… (%zu bytes more)", masked.n - kept.n);
    mt_buf_text(out);
    mt_buf_fini(&masked);
}

static const char *clean_field(struct mt_buf *out, const char *text)
{
    mt_buf_init(out, 0);
    if (!text)
        return NULL;
    clean(out, mt_slice_of(text), 1000);
    return out->p;
}

static void write_line(enum mt_level level, const struct mt_log_fields *fields, struct mt_slice text)
{
    struct mt_log_record record = {.level = level};
    struct mt_buf message, parts[3], line;
    clean(&message, text, MESSAGE_MAX);
    record.message = mt_buf_slice(&message);
    for (int i = 0; i < 3; i++)
        mt_buf_init(&parts[i], 0);
    if (fields) {
        record.fields = *fields;
        record.fields.integration = clean_field(&parts[0], fields->integration);
        record.fields.run = clean_field(&parts[1], fields->run);
        record.fields.kind = clean_field(&parts[2], fields->kind);
    }
    mt_buf_init(&line, LINE_MAX_BYTES);
    pthread_mutex_lock(&lock);
    record.wall_us = mt_wall_us(); /* under the lock: lines are in the order of their times */
    if (as_json)
        put_json(&line, &record);
    else
        put_text(&line, &record);
    if (sink)
        sink(sink_ud, mt_buf_slice(&line));
    else
        write_stderr(mt_buf_slice(&line));
    pthread_mutex_unlock(&lock);
    call_taps(&record);
    mt_buf_fini(&line);
    mt_buf_fini(&message);
    for (int i = 0; i < 3; i++)
        mt_buf_fini(&parts[i]);
}

static bool is_wanted(enum mt_level level)
{
    return (int)level >= atomic_load_explicit(&least, memory_order_relaxed);
}

static void write_format(enum mt_level level, const char *format, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, format, ap);
    if (n < 0)
        return;
    write_line(level, entered, (struct mt_slice){text, (size_t)n});
    free(text);
}

void mt_log(enum mt_level level, const char *format, ...)
{
    if (!is_wanted(level))
        return;
    va_list ap;
    va_start(ap, format);
    write_format(level, format, ap);
    va_end(ap);
}

/* ---- repeats ---- */

/* Keys that were written lately, each of one integration; the oldest makes room. */
struct repeat {
    char *key; /* NULL: a free place */
    uint64_t hash;
    struct mt_log_fields fields; /* copied */
    enum mt_level level;
    uint64_t written_ns;
    unsigned left_out;
};
static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct repeat repeats[REPEATS];

static void repeat_fini(struct repeat *r)
{
    free(r->key);
    free((char *)(uintptr_t)r->fields.integration);
    free((char *)(uintptr_t)r->fields.run);
    free((char *)(uintptr_t)r->fields.kind);
    *r = (struct repeat){0};
}

static void repeat_init(struct repeat *r, const char *key, uint64_t hash, enum mt_level level,
                        const struct mt_log_fields *f)
{
    *r = (struct repeat){.key = mt_strdup(key), .hash = hash, .level = level, .written_ns = mt_now_ns()};
    if (f) {
        r->fields = *f;
        r->fields.integration = mt_strdup(f->integration);
        r->fields.run = mt_strdup(f->run);
        r->fields.kind = mt_strdup(f->kind);
    }
}

/* Ends the record of what was left out. Not under a lock. */
static void say_left_out(struct repeat *r)
{
    char text[300];
    if (r->left_out) {
        int n = snprintf(text, sizeof text, "%.200s: %u more like this", r->key, r->left_out);
        write_line(r->level, &r->fields,
                   (struct mt_slice){text, n < (int)sizeof text ? (size_t)n : sizeof text - 1});
    }
    repeat_fini(r);
}

static uint64_t hash_of(const char *key, const char *integration)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (const char *const *part = (const char *const[]){key, integration, NULL}; *part; part++) {
        for (const char *p = *part; *p; p++)
            h = (h ^ (unsigned char)*p) * 0x100000001B3u;
        h = (h ^ 0xFF) * 0x100000001B3u;
    }
    return h;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Is the line of this key due? Then what came before it and is owed is in *owed. */
static bool due(const char *key, enum mt_level level, struct repeat *owed)
{
    const char *integration = entered ? entered->integration : NULL;
    const uint64_t hash = hash_of(key, integration), now = mt_now_ns();
    struct repeat *r = NULL, *oldest = &repeats[0];
    bool is_due = true;
    pthread_mutex_lock(&repeats_lock);
    for (size_t i = 0; i < REPEATS && !r; i++) {
        struct repeat *at = &repeats[i];
        if (at->key && at->hash == hash && strcmp(at->key, key) == 0 &&
            same(at->fields.integration, integration))
            r = at;
        else if (at->written_ns < oldest->written_ns)
            oldest = at;
    }
    if (r && now - r->written_ns < QUIET_NS) {
        r->left_out++;
        is_due = false;
    } else {
        r = r ? r : oldest;
        *owed = *r;
        repeat_init(r, key, hash, level, entered);
    }
    pthread_mutex_unlock(&repeats_lock);
    return is_due;
}

void mt_log_repeat(enum mt_level level, const char *key, const char *format, ...)
{
    struct repeat owed = {0};
    if (!is_wanted(level) || !due(key, level, &owed))
        return;
    say_left_out(&owed);
    va_list ap;
    va_start(ap, format);
    write_format(level, format, ap);
    va_end(ap);
}

void mt_log_flush(void)
{
    const uint64_t now = mt_now_ns();
    for (size_t i = 0; i < REPEATS; i++) {
        struct repeat owed = {0}, *r = &repeats[i];
        pthread_mutex_lock(&repeats_lock);
        if (r->key && now - r->written_ns >= QUIET_NS) {
            owed = *r;
            *r = (struct repeat){0};
        } else if (r->key && r->left_out) {
            repeat_init(&owed, r->key, r->hash, r->level, &r->fields);
            owed.left_out = r->left_out;
            r->left_out = 0;
        }
        pthread_mutex_unlock(&repeats_lock);
        say_left_out(&owed);
    }
}
