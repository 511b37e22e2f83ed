/* Builtins over times: seconds since 1970 and jq's broken-down times [year, month from 0, day, hours,
 * minutes, seconds, day of the week, day of the year]. Called by the machine through mt_date_natives, on the
 * thread of the heap; the time zone is the process's.
 *
 * Every number is checked before it becomes an int or a time_t: jq 1.6 aborts on `1e300 | todate`. */
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jq/text.h"

enum {
    LIBC_STEPS = 16, /* of a call that breaks a time down or makes one */
    FIELDS = 8,
    TEXT_MAX = 64 * 1024 /* bytes of a formatted time: a format may pad a field to any width */
};

/* localtime_r need not look at TZ, tzset does. */
static void read_zone(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, tzset);
}

static struct mt_jv fields(struct mt_jv_heap *h, const struct tm *tm, double fraction)
{
    const double of[FIELDS] = {tm->tm_year + 1900.0,  tm->tm_mon,  tm->tm_mday, tm->tm_hour, tm->tm_min,
                               tm->tm_sec + fraction, tm->tm_wday, tm->tm_yday};
    struct mt_jv out = mt_jv_array(h, FIELDS);
    for (int i = 0; i < FIELDS && !mt_jv_is_none(out); i++)
        out = mt_jv_append(h, out, mt_jv_number(of[i]));
    return out;
}

/* A number of seconds taken apart. Fractions are cut off towards 0, as jq does. */
static bool break_down(struct mt_jv_heap *h, double seconds, bool local, struct tm *tm)
{
    if (local)
        read_zone();
    if (seconds > -0x1p62 && seconds < 0x1p62) { /* false for nan */
        time_t t = (time_t)seconds;
        if (local ? localtime_r(&t, tm) : gmtime_r(&t, tm))
            return true;
    }
    mt_jv_raise(h, "error converting number of seconds since epoch to datetime");
    return false;
}

static struct mt_jv broken_down(struct mt_jv_heap *h, struct mt_jv seconds, bool local)
{
    struct tm tm;
    if (!mt_jv_work(h, LIBC_STEPS))
        return MT_NONE;
    if (!mt_jv_is(seconds, MT_NUMBER))
        return mt_jv_raise(h, "%s() requires a number", local ? "localtime" : "gmtime");
    double s = mt_jv_double(seconds);
    return break_down(h, s, local, &tm) ? fields(h, &tm, s - floor(s)) : MT_NONE;
}

static struct mt_jv native_gmtime(struct mt_jv_heap *h, struct mt_jv *args)
{
    return broken_down(h, args[0], false);
}

static struct mt_jv native_localtime(struct mt_jv_heap *h, struct mt_jv *args)
{
    return broken_down(h, args[0], true);
}

static int to_int(double d)
{
    if (isnan(d))
        return 0;
    return d <= INT_MIN ? INT_MIN : d >= INT_MAX ? INT_MAX : (int)d;
}

/* Fields of a broken-down time; those that the array lacks are 0. false: one is no number. */
static bool read_fields(struct mt_jv array, struct tm *tm)
{
    *tm = (struct tm){.tm_mday = 0};
    int *of[FIELDS] = {&tm->tm_year, &tm->tm_mon, &tm->tm_mday, &tm->tm_hour,
                       &tm->tm_min,  &tm->tm_sec, &tm->tm_wday, &tm->tm_yday};
    size_t count = mt_jv_count(array);
    for (size_t i = 0; i < FIELDS && i < count; i++) {
        struct mt_jv v = mt_jv_index(array, i);
        if (!mt_jv_is(v, MT_NUMBER))
            return false;
        *of[i] = to_int(mt_jv_double(v) - (i == 0 ? 1900 : 0));
    }
    return true;
}

/* Makes the fields agree (31 February is in March) and gives the time. -1 is a time too: that it worked is
 * seen by the day of the week. */
static bool normalise(struct tm *tm, bool local, time_t *out)
{
    tm->tm_wday = -1;
    if (local) {
        read_zone();
        tm->tm_isdst = -1;
        *out = mktime(tm);
    } else {
        *out = timegm(tm);
    }
    return tm->tm_wday >= 0;
}

static struct mt_jv native_mktime(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_jv_work(h, LIBC_STEPS))
        return MT_NONE;
    struct tm tm;
    time_t t;
    if (!mt_jv_is(args[0], MT_ARRAY))
        return mt_jv_raise(h, "mktime requires array of 6 numbers");
    if (!read_fields(args[0], &tm))
        return mt_jv_raise(h, "mktime requires parsed datetime inputs");
    if (!normalise(&tm, false, &t))
        return mt_jv_raise(h, "invalid gmtime representation");
    return mt_jv_number((double)t);
}

/* A terminated copy, since strings of a document are not; in room when it fits, else to be freed. */
static char *terminated(struct mt_slice s, char *room, size_t size)
{
    if (s.n >= size)
        return mt_slice_dup(s);
    if (s.n > 0)
        memcpy(room, s.p, s.n);
    room[s.n] = '\0';
    return room;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the format is the mapping's, its values are checked  \
                                                      */

/* strftime tells an empty result from a full buffer by nothing: a blank is put behind the format. */
static struct mt_jv formatted(struct mt_jv_heap *h, const char *name, struct mt_slice format,
                              const struct tm *tm)
{
    char small[256];
    if (format.n > TEXT_MAX || !mt_jv_work(h, 4 * format.n + 1))
        return h->fault ? MT_NONE : mt_jv_raise(h, "%s/1: the format is too long", name);
    char *with_blank = mt_format("%.*s ", MT_FMT(format));
    char *out = small;
    size_t n = strftime(small, sizeof small, with_blank, tm);
    if (n == 0) {
        out = mt_alloc(TEXT_MAX);
        n = strftime(out, TEXT_MAX, with_blank, tm);
    }
    struct mt_jv v = n == 0 ? mt_jv_raise(h, "%s/1: unknown system failure", name)
                            : mt_jv_string(h, (struct mt_slice){out, n - 1});
    if (out != small)
        free(out);
    free(with_blank);
    return v;
}

#pragma GCC diagnostic pop

static struct mt_jv format_time(struct mt_jv_heap *h, const char *name, struct mt_jv *args, bool local)
{
    struct tm tm;
    time_t t;
    if (!mt_jv_is(args[1], MT_STRING))
        return mt_jv_raise(h, "%s/1 requires a string format", name);
    if (mt_jv_is(args[0], MT_NUMBER)) {
        if (!break_down(h, mt_jv_double(args[0]), local, &tm))
            return MT_NONE;
    } else if (!mt_jv_is(args[0], MT_ARRAY) || !read_fields(args[0], &tm)) {
        return mt_jv_raise(h, "%s/1 requires parsed datetime inputs", name);
    } else if (!normalise(&tm, local, &t)) {
        return mt_jv_raise(h, "%s/1: the datetime is out of range", name);
    }
    return formatted(h, name, mt_jv_text(args[1]), &tm);
}

static struct mt_jv native_strftime(struct mt_jv_heap *h, struct mt_jv *args)
{
    return format_time(h, "strftime", args, false);
}

static struct mt_jv native_strflocaltime(struct mt_jv_heap *h, struct mt_jv *args)
{
    return format_time(h, "strflocaltime", args, true);
}

/* Text behind what the format takes is allowed when a blank starts it, and becomes a ninth element. */
static struct mt_jv native_strptime(struct mt_jv_heap *h, struct mt_jv *args)
{
    if (!mt_text_both(args[0], args[1]))
        return mt_jv_raise(h, "strptime/1 requires string inputs and arguments");
    char text_room[128], format_room[128];
    struct mt_slice s = mt_jv_text(args[0]), f = mt_jv_text(args[1]);
    if (!mt_text_work(h, s.n + f.n))
        return MT_NONE;
    read_zone(); /* for %s */
    char *text = terminated(s, text_room, sizeof text_room);
    char *format = terminated(f, format_room, sizeof format_room);
    struct tm tm = {.tm_wday = 8, .tm_yday = 367}; /* jq's marks: the format gave none */
    const char *end = strptime(text, format, &tm);
    struct mt_jv v;
    if (!end || (*end && !strchr(" \t\n\v\f\r", *end))) {
        v = mt_jv_raise(h, "date \"%.*s\" does not match format \"%.*s\"", (int)(s.n < 400 ? s.n : 400), text,
                        (int)(f.n < 400 ? f.n : 400), format);
    } else {
        struct tm whole = tm;
        time_t t;
        if ((tm.tm_wday == 8 || tm.tm_yday == 367) && tm.tm_mday >= 1 && normalise(&whole, false, &t)) {
            tm.tm_wday = tm.tm_wday == 8 ? whole.tm_wday : tm.tm_wday;
            tm.tm_yday = tm.tm_yday == 367 ? whole.tm_yday : tm.tm_yday;
        }
        v = fields(h, &tm, 0);
        struct mt_jv rest = *end ? mt_jv_string_of(h, end) : MT_NONE;
        if (!mt_jv_is_none(v) && !mt_jv_is_none(rest))
            v = mt_jv_append(h, v, rest);
        else if (*end)
            v = MT_NONE;
    }
    if (text != text_room)
        free(text);
    if (format != format_room)
        free(format);
    return v;
}

static struct mt_jv native_now(struct mt_jv_heap *h, struct mt_jv *args)
{
    (void)h;
    (void)args;
    return mt_jv_number((double)mt_wall_us() / 1e6);
}

const struct mt_native mt_date_natives[] = {
    {"mktime", 0, true, native_mktime},
    {"gmtime", 0, true, native_gmtime},
    {"localtime", 0, false, native_localtime},
    {"strftime", 1, true, native_strftime},
    {"strflocaltime", 1, false, native_strflocaltime},
    {"strptime", 1, true, native_strptime},
    {"now", 0, false, native_now},
    {NULL, 0, false, NULL},
};
