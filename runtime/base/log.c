/* The log: see log.h. One lock orders the lines of all threads. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"

enum { LINE_MAX_BYTES = 64 * 1024, REPEATS = 64 };
#define QUIET_NS 10000000000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum mt_level least = MT_INFO;
static void (*sink)(void *ud, struct mt_slice line);
static void *sink_ud;

/* Keys that were written lately; the oldest makes room. */
static struct repeat {
    char *key;
    enum mt_level level;
    uint64_t written_ns;
    unsigned left_out;
} repeats[REPEATS];

void mt_log_level(enum mt_level level)
{
    pthread_mutex_lock(&lock);
    least = level;
    pthread_mutex_unlock(&lock);
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

void mt_log_sink(void (*fn)(void *ud, struct mt_slice line), void *ud)
{
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_ud = ud;
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void write_line(enum mt_level level, struct mt_slice message)
{
    static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    int64_t us = mt_wall_us();
    time_t s = us / 1000000;
    struct tm tm;
    localtime_r(&s, &tm);
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    struct mt_buf line;
    mt_buf_init(&line, LINE_MAX_BYTES);
    mt_buf_printf(&line, "%s.%03d %s ", when, (int)(us % 1000000 / 1000), names[level]);
    if (message.n > LINE_MAX_BYTES - 256)
        message.n = LINE_MAX_BYTES - 256;
    const size_t head = line.n;
    mt_mask_put(&line, message);
    for (size_t i = head; i < line.n; i++) { /* foreign text is in it, and a terminal would obey its escapes */
        const unsigned char c = (unsigned char)line.p[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
            line.p[i] = '?';
    }
    mt_buf_putc(&line, '\n');
    if (sink)
        sink(sink_ud, mt_buf_slice(&line));
    else
        fwrite(line.p, 1, line.n, stderr);
    mt_buf_fini(&line);
}

void mt_log(enum mt_level level, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    pthread_mutex_lock(&lock);
    if (level >= least)
        write_line(level, (struct mt_slice){text, (size_t)n});
    pthread_mutex_unlock(&lock);
    free(text);
}

static void say_left_out(struct repeat *r)
{
    if (!r->left_out)
        return;
    char text[300];
    int n = snprintf(text, sizeof text, "%.200s: %u more like this", r->key, r->left_out);
    write_line(r->level, (struct mt_slice){text, n < (int)sizeof text ? (size_t)n : sizeof text - 1});
    r->left_out = 0;
}

/* Under the lock: is the line of this key due? */
static bool due(const char *key, enum mt_level level)
{
    uint64_t now = mt_now_ns();
    struct repeat *oldest = &repeats[0];
    for (size_t i = 0; i < REPEATS; i++) {
        struct repeat *r = &repeats[i];
        if (r->key && strcmp(r->key, key) == 0) {
            if (now - r->written_ns < QUIET_NS) {
                r->left_out++;
                return false;
            }
            say_left_out(r);
            r->written_ns = now;
            return true;
        }
        if (r->written_ns < oldest->written_ns)
            oldest = r;
    }
    if (oldest->key)
        say_left_out(oldest);
    free(oldest->key);
    *oldest = (struct repeat){.key = mt_strdup(key), .level = level, .written_ns = now};
    return true;
}

void mt_log_repeat(enum mt_level level, const char *key, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    pthread_mutex_lock(&lock);
    if (level >= least && due(key, level))
        write_line(level, (struct mt_slice){text, (size_t)n});
    pthread_mutex_unlock(&lock);
    free(text);
}

void mt_log_flush(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < REPEATS; i++) {
        if (repeats[i].key)
            say_left_out(&repeats[i]);
        free(repeats[i].key);
        repeats[i] = (struct repeat){0};
    }
    pthread_mutex_unlock(&lock);
}
