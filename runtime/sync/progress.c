/* Progress: see progress.h. The log steps aside through its sink: lines are printed above the progress line.
 */
#include "sync/progress.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { EVERY_US = 200 * 1000, BAR = 24 };

struct mt_progress {
    struct mt_report *report;
    struct mt_http_stats *source;
    struct event *timer;
    bool color;
};

/* The line that stands on the terminal; under the log's lock and this one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char shown[512];

static void log_above(void *ud, struct mt_slice line)
{
    (void)ud;
    pthread_mutex_lock(&lock);
    fprintf(stderr, "\r\033[K%.*s%s", MT_FMT(line), shown);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

static void draw(struct mt_progress *p)
{
    char text[sizeof shown] = "";
    size_t n = 0;
    for (unsigned i = 0; i < mt_report_kind_count(p->report); i++) {
        struct mt_kind_report *k = mt_report_kind_at(p->report, i);
        if (!k->ran || k->ended_ns)
            continue;
        unsigned long long mapped = atomic_load(&k->mapped),
                           done = atomic_load(&k->created) + atomic_load(&k->updated) +
                                  atomic_load(&k->unchanged) + atomic_load(&k->load_failed);
        double share = mapped ? (double)done / (double)mapped : 0;
        char bar[BAR * 3 + 1] = "";
        for (unsigned b = 0; b < BAR; b++)
            strcat(bar, (double)b < share * BAR ? "█" : "░");
        n = (size_t)snprintf(text, sizeof text, "%s%s%s %s %llu of %llu entities in Port",
                             p->color ? "\033[1m" : "", k->kind, p->color ? "\033[0m" : "", bar, done,
                             mapped);
    }
    int64_t until = (int64_t)atomic_load(&p->source->waiting_until_us),
            left = (until - mt_wall_us()) / 1000000;
    if (until && left >= 0 && n < sizeof text)
        snprintf(text + n, sizeof text - n, "; the API asks to wait %lld s more", (long long)left);
    pthread_mutex_lock(&lock);
    memcpy(shown, text, sizeof shown);
    fprintf(stderr, "\r\033[K%s", shown);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

static void on_timer(evutil_socket_t none, short what, void *arg)
{
    (void)none;
    (void)what;
    draw(arg);
}

struct mt_progress *mt_progress_new(struct mt_loop *loop, struct mt_report *report,
                                    struct mt_http_stats *source)
{
    if (!isatty(STDERR_FILENO))
        return NULL;
    struct mt_progress *p = mt_alloc(sizeof *p);
    *p = (struct mt_progress){.report = report, .source = source, .color = !getenv("NO_COLOR")};
    mt_log_sink(log_above, p);
    p->timer = event_new(mt_loop_base(loop), -1, EV_PERSIST, on_timer, p);
    event_add(p->timer, &(struct timeval){.tv_usec = EVERY_US});
    return p;
}

void mt_progress_free(struct mt_progress *p)
{
    if (!p)
        return;
    event_free(p->timer);
    mt_log_sink(NULL, NULL);
    fputs("\r\033[K", stderr);
    shown[0] = '\0';
    free(p);
}
