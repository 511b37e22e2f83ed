/* Time and moments: see clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t mt_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t mt_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t mt_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

const char *mt_iso_format(int64_t wall_us, char out[MT_ISO_SIZE])
{
    int64_t us = wall_us % 1000000;
    time_t s = wall_us / 1000000 - (us < 0);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, MT_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, MT_ISO_SIZE - n, ".%06d+00:00", (int)(us < 0 ? us + 1000000 : us));
    return out;
}

/* Reads exactly `digits` digits; -1 when they are not there. */
static int number(struct mt_slice *s, size_t digits)
{
    if (s->n < digits)
        return -1;
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return -1;
        value = value * 10 + (s->p[i] - '0');
    }
    s->p += digits;
    s->n -= digits;
    return value;
}

static bool skip(struct mt_slice *s, char c)
{
    if (!s->n || *s->p != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

static bool moment(int year, int month, int day, int hour, int minute, int second, int64_t *out_s)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > days[month - 1] || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *out_s = timegm(&tm);
    return true;
}

enum mt_rc mt_iso_parse(struct mt_slice text, int64_t *out_us)
{
    struct mt_slice s = text;
    int hour = 0, minute = 0, second = 0, year = number(&s, 4);
    if (year < 0 || !skip(&s, '-'))
        return MT_EINVAL;
    int month = number(&s, 2);
    if (month < 0 || !skip(&s, '-'))
        return MT_EINVAL;
    int day = number(&s, 2);
    int64_t us = 0, offset = 0;
    if (s.n && (skip(&s, 'T') || skip(&s, 't') || skip(&s, ' '))) {
        hour = number(&s, 2);
        if (!skip(&s, ':'))
            return MT_EINVAL;
        minute = number(&s, 2);
        if (skip(&s, ':')) {
            second = number(&s, 2);
            if (skip(&s, '.') || skip(&s, ',')) {
                int64_t scale = 100000;
                if (!s.n || *s.p < '0' || *s.p > '9')
                    return MT_EINVAL;
                for (; s.n && *s.p >= '0' && *s.p <= '9'; s.p++, s.n--, scale /= 10)
                    us += (*s.p - '0') * scale;
            }
        }
        if (s.n && (*s.p == '+' || *s.p == '-')) {
            int sign = *s.p == '-' ? -1 : 1;
            skip(&s, *s.p);
            int h = number(&s, 2);
            skip(&s, ':');
            int m = s.n ? number(&s, 2) : 0;
            if (h < 0 || h > 23 || m < 0 || m > 59)
                return MT_EINVAL;
            offset = sign * (h * 3600 + m * 60);
        } else if (!skip(&s, 'Z')) {
            skip(&s, 'z');
        }
    }
    int64_t seconds;
    if (s.n || !moment(year, month, day, hour, minute, second, &seconds))
        return MT_EINVAL;
    *out_us = (seconds - offset) * 1000000 + us;
    return MT_OK;
}

enum mt_rc mt_http_date_parse(struct mt_slice text, int64_t *out_us)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
    char copy[64];
    if (text.n >= sizeof copy)
        return MT_EINVAL;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *end = strptime(copy, forms[i], &tm);
        if (end && *end == '\0') {
            *out_us = (int64_t)timegm(&tm) * 1000000;
            return MT_OK;
        }
    }
    return MT_EINVAL;
}

const char *mt_uuid(char out[MT_UUID_SIZE])
{
    unsigned char b[16];
    for (size_t got = 0; got < sizeof b;) {
        ssize_t n = getrandom(b + got, sizeof b - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    snprintf(out, MT_UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return out;
}
