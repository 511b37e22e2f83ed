/* Shipping of log lines: see shipping.h. The tap appends to the queue on whatever thread logs, under the
 * queue's lock; all else is the loop's thread's. An upload is a record of its own that a caller's thread
 * works on: if it has not begun when the end comes it is abandoned to the pool, and if it is under way it is
 * cancelled. */
#include "port/shipping.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum {
    BATCH = 100,               /* R-LOG-04 */
    BATCH_BYTES = 1024 * 1024, /* below the usual limits on bodies */
    INTERVAL_MS = 5000,        /* R-LOG-04 */
    RETRY_MS = 1000,
    RETRY_MAX_MS = 60 * 1000,
    RETRY_END_MS = 500, /* when the process waits for it */
    LINES_MAX = 10000,
    BYTES_MAX = 8 * 1024 * 1024,
    UPLOAD_MS = 30 * 1000,
    LINE_BYTES = 600 * 1024 /* a line of 64 KB, all of it escaped */
};

struct line {
    struct line *next;
    size_t n;
    char text[]; /* a JSON object */
};

struct queue {
    struct line *first, **last;
    size_t count, bytes;
};

enum stage { WAITING, RUNNING, ABANDONED };

struct upload {
    struct mt_job job;
    struct mt_shipping *s; /* loop thread, and the caller's while RUNNING */
    struct mt_port *port;
    char *url;
    struct mt_buf body;
    size_t count;
    _Atomic enum stage stage;
    atomic_bool cancel;
    enum mt_rc rc;
    struct mt_err err;
};

struct mt_shipping {
    struct mt_shipping_options options;
    char *identifier;
    struct mt_log_fields fields; /* of what is said here */

    pthread_mutex_t lock;
    struct queue queue; /* under lock */
    size_t dropped;     /* under lock: since the last upload that went well */
    size_t taken;       /* under lock: of the begin of the queue, in the upload under way */
    bool off;           /* under lock: there is no address, lines are dropped */
    bool posted;        /* under lock: a look is on its way to the loop */

    char *url;
    struct upload *upload;
    struct mt_timer *timer;
    bool due;          /* the interval is over: what is there is sent */
    uint32_t retry_ms; /* the next back-off; 0: the last upload went well */
    bool resting;      /* the timer is one of a back-off */
    bool fired;        /* the timer is to be freed */

    bool ending;
    bool over; /* the time for the end is */
    struct mt_timer *end_timer;
    void (*gone)(void *ud);
    void *gone_ud;
};

/* ---- lines ---- */

static void queue_init(struct queue *q)
{
    *q = (struct queue){.last = &q->first};
}

static void queue_put(struct queue *q, struct line *line)
{
    line->next = NULL;
    *q->last = line;
    q->last = &line->next;
    q->count++;
    q->bytes += line->n;
}

static void queue_drop(struct queue *q)
{
    struct line *line = q->first;
    q->first = line->next;
    if (!q->first)
        q->last = &q->first;
    q->count--;
    q->bytes -= line->n;
    free(line);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char instance[MT_UUID_SIZE], hostname[256];

static void name_process(void)
{
    mt_uuid(instance);
    if (gethostname(hostname, sizeof hostname - 1) != 0)
        strcpy(hostname, "unknown");
}

static void put_extra(struct mt_buf *out, const char *before, const char *text)
{
    if (!text)
        return;
    mt_buf_puts(out, before);
    mt_buf_put_json_string(out, mt_slice_of(text));
}

/* A-LOG-01, R-LOG-02; all of it is masked already. */
static struct line *line_of(const struct mt_log_record *r)
{
    struct mt_buf b;
    char when[MT_LOG_TIME_SIZE];
    mt_buf_init(&b, LINE_BYTES);
    mt_buf_puts(&b, "{\"message\":");
    mt_buf_put_json_string(&b, r->message);
    mt_buf_printf(&b, ",\"level\":\"%s\",\"timestamp\":\"%s\",\"extra\":{\"hostname\":",
                  mt_log_level_name(r->level), mt_log_time(r->wall_us, when));
    mt_buf_put_json_string(&b, mt_slice_of(hostname));
    mt_buf_printf(&b, ",\"instance\":\"%s\"", instance);
    put_extra(&b, ",\"integration\":", r->fields.integration);
    put_extra(&b, ",\"run\":", r->fields.run);
    put_extra(&b, ",\"kind\":", r->fields.kind);
    if (r->fields.generation)
        mt_buf_printf(&b, ",\"generation\":%u", r->fields.generation);
    mt_buf_puts(&b, "}}");
    struct line *line = b.failed ? NULL : mt_try_alloc(sizeof *line + b.n);
    if (line) {
        line->n = b.n;
        memcpy(line->text, b.p, b.n);
    }
    mt_buf_fini(&b);
    return line;
}

static void look(void *arg);
static void step(struct mt_shipping *s);

/* Under the lock: at most one look is on its way. */
static void ask_to_look(struct mt_shipping *s)
{
    if (s->posted)
        return;
    s->posted = true;
    mt_loop_post(s->options.loop, look, s);
}

/* Any thread. */
static void tap(void *ud, const struct mt_log_record *record)
{
    struct mt_shipping *s = ud;
    const char *integration = record->fields.integration;
    if (integration ? strcmp(integration, s->identifier) != 0 : !s->options.unnamed)
        return;
    struct line *line = line_of(record);
    bool first_drop = false;
    pthread_mutex_lock(&s->lock);
    if (s->off) {
        free(line);
        line = NULL;
    } else if (!line) {
        first_drop = !s->dropped++;
    } else {
        queue_put(&s->queue, line);
        /* The lines of the upload under way are not counted as dropped: they may arrive. */
        while (s->queue.count > s->options.lines_max || s->queue.bytes > BYTES_MAX) {
            if (s->taken)
                s->taken--;
            else if (!s->dropped++)
                first_drop = true;
            queue_drop(&s->queue);
        }
        if (s->queue.count - s->taken == 1 || s->queue.count - s->taken == BATCH)
            ask_to_look(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (first_drop) { /* of this outage; inside a tap: to stderr only */
        const struct mt_log_fields *before = mt_log_enter(&s->fields);
        mt_log(MT_WARN, "Port takes no log lines for now and the queue is full: the oldest are dropped");
        mt_log_enter(before);
    }
}

/* ---- uploads ---- */

static void upload_free(struct upload *u)
{
    free(u->url);
    mt_buf_fini(&u->body);
    free(u);
}

static void work(struct mt_job *job, unsigned worker)
{
    struct upload *u = (struct upload *)job;
    enum stage waiting = WAITING;
    (void)worker;
    if (!atomic_compare_exchange_strong(&u->stage, &waiting, RUNNING))
        return;
    static const struct mt_log_fields local = {.local = true};
    const struct mt_log_fields *before = mt_log_enter(&local);
    u->rc = mt_port_call_within(u->port, UPLOAD_MS, &u->cancel, "POST", u->url, mt_buf_slice(&u->body),
                                MT_PORT_UNREAD, NULL, &u->err);
    mt_log_enter(before);
}

/* Answers that will be the same next time. */
static bool is_refused(const struct upload *u)
{
    const int status = u->err.status;
    return u->rc == MT_EHTTP && status >= 400 && status < 500 && status != 401 && status != 403 &&
           status != 408 && status != 429;
}

static void say(struct mt_shipping *s, bool local, enum mt_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct mt_shipping *s, bool local, enum mt_level level, const char *format, ...)
{
    char text[1200];
    struct mt_log_fields fields = s->fields;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fields.local = local;
    const struct mt_log_fields *before = mt_log_enter(&fields);
    mt_log(level, "%s", text);
    mt_log_enter(before);
}

/* The lines that were sent leave the queue. Returns how many others were dropped before. */
static size_t leave(struct mt_shipping *s, bool arrived)
{
    pthread_mutex_lock(&s->lock);
    for (; s->taken; s->taken--)
        queue_drop(&s->queue);
    size_t dropped = s->dropped;
    if (arrived)
        s->dropped = 0;
    pthread_mutex_unlock(&s->lock);
    return dropped;
}

static void done(struct mt_job *job)
{
    struct upload *u = (struct upload *)job;
    struct mt_shipping *s = u->s;
    if (!s) { /* abandoned */
        upload_free(u);
        return;
    }
    s->upload = NULL;
    if (u->rc == MT_OK) {
        size_t dropped = leave(s, true);
        if (dropped)
            say(s, false, MT_WARN, "Port takes log lines again; %zu were dropped meanwhile", dropped);
        else if (s->retry_ms)
            say(s, true, MT_INFO, "Port takes log lines again");
        s->retry_ms = 0;
    } else if (is_refused(u)) {
        leave(s, false);
        say(s, true, MT_WARN, "%zu log lines are lost: %s", u->count, u->err.text);
    } else {
        if (!s->retry_ms && u->rc != MT_ECANCELED)
            say(s, true, MT_WARN, "log lines do not reach Port; they are kept and sent again: %s",
                u->err.text);
        pthread_mutex_lock(&s->lock);
        if (!s->off)
            s->dropped += u->count - s->taken; /* those that had to make room meanwhile */
        s->taken = 0;
        pthread_mutex_unlock(&s->lock);
        const uint32_t most = s->ending ? RETRY_END_MS : RETRY_MAX_MS;
        s->retry_ms = s->retry_ms ? 2 * s->retry_ms : s->options.retry_ms;
        if (s->retry_ms > most)
            s->retry_ms = most;
        s->resting = true;
    }
    upload_free(u);
    step(s);
}

/* Up to a batch from the begin of the queue. */
static void send(struct mt_shipping *s)
{
    struct upload *u = mt_alloc(sizeof *u);
    u->job = (struct mt_job){.work = work, .done = done};
    u->s = s;
    u->port = s->options.port;
    u->url = mt_strdup(s->url);
    atomic_init(&u->stage, WAITING);
    mt_buf_init(&u->body, 2 * BATCH_BYTES);
    mt_buf_puts(&u->body, "{\"logs\":[");
    pthread_mutex_lock(&s->lock);
    for (const struct line *line = s->queue.first;
         line && u->count < BATCH && (!u->count || u->body.n + line->n < BATCH_BYTES); line = line->next) {
        mt_buf_puts(&u->body, u->count++ ? "," : "");
        mt_buf_add(&u->body, line->text, line->n);
    }
    s->taken = u->count;
    pthread_mutex_unlock(&s->lock);
    mt_buf_puts(&u->body, "]}");
    s->upload = u;
    mt_pool_submit(s->options.callers, &u->job);
}

/* ---- the end ---- */

static void finish(struct mt_shipping *s)
{
    void (*gone)(void *ud) = s->gone;
    void *ud = s->gone_ud;
    mt_timer_free(s->timer);
    mt_timer_free(s->end_timer);
    while (s->queue.count)
        queue_drop(&s->queue);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s->identifier);
    free(s);
    if (gone)
        gone(ud);
}

static void on_timer(void *arg);

static void arm(struct mt_shipping *s, uint32_t ms)
{
    s->timer = mt_timer_new(s->options.loop, ms, on_timer, s);
}

/* What is to be done next? Not from inside a timer: timers are freed here. */
static void step(struct mt_shipping *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t count = s->queue.count;
    const bool posted = s->posted;
    pthread_mutex_unlock(&s->lock);
    if (s->fired) {
        mt_timer_free(s->timer);
        s->timer = NULL;
        s->fired = false;
    }
    if (s->upload)
        return;
    if (s->ending && (!count || !s->url || s->over)) {
        if (posted) /* the look that is on its way does it */
            return;
        if (count && s->url)
            say(s, true, MT_WARN, "%zu log lines did not reach Port before the end", count);
        finish(s);
        return;
    }
    if (!count || !s->url) {
        s->due = false;
    } else if (s->resting) {
        if (!s->timer)
            arm(s, s->retry_ms);
    } else if (s->due || s->ending || count >= BATCH) {
        s->due = false;
        mt_timer_free(s->timer);
        s->timer = NULL;
        send(s);
    } else if (!s->timer) {
        arm(s, s->options.interval_ms);
    }
}

static void look(void *arg)
{
    struct mt_shipping *s = arg;
    pthread_mutex_lock(&s->lock);
    s->posted = false;
    pthread_mutex_unlock(&s->lock);
    step(s);
}

static void look_later(struct mt_shipping *s)
{
    pthread_mutex_lock(&s->lock);
    ask_to_look(s);
    pthread_mutex_unlock(&s->lock);
}

static void on_timer(void *arg)
{
    struct mt_shipping *s = arg;
    s->fired = s->due = true;
    s->resting = false;
    look_later(s);
}

static void on_end(void *arg)
{
    struct mt_shipping *s = arg;
    struct upload *u = s->upload;
    enum stage waiting = WAITING;
    s->over = true;
    if (u && atomic_compare_exchange_strong(&u->stage, &waiting, ABANDONED)) {
        u->s = NULL;
        s->upload = NULL;
    } else if (u) {
        atomic_store(&u->cancel, true);
        mt_port_kick(s->options.port);
    }
    look_later(s);
}

void mt_shipping_end(struct mt_shipping *s, double seconds, void (*gone)(void *ud), void *ud)
{
    mt_log_untap(tap, s);
    s->ending = true;
    s->gone = gone;
    s->gone_ud = ud;
    if (s->resting) { /* once more, now */
        mt_timer_free(s->timer);
        s->timer = NULL;
        s->fired = s->resting = false;
    }
    if (seconds > 0)
        s->end_timer = mt_timer_new(s->options.loop, (uint64_t)(seconds * 1000), on_end, s);
    else
        on_end(s);
    look_later(s);
}

/* ---- the begin ---- */

struct mt_shipping *mt_shipping_new(const struct mt_shipping_options *options)
{
    struct mt_shipping *s = mt_alloc(sizeof *s);
    pthread_once(&once, name_process);
    s->options = *options;
    s->options.interval_ms = options->interval_ms ? options->interval_ms : INTERVAL_MS;
    s->options.retry_ms = options->retry_ms ? options->retry_ms : RETRY_MS;
    s->options.lines_max = options->lines_max ? options->lines_max : LINES_MAX;
    s->identifier = mt_strdup(options->identifier);
    s->options.identifier = s->fields.integration = s->identifier;
    pthread_mutex_init(&s->lock, NULL);
    queue_init(&s->queue);
    mt_log_tap(tap, s);
    return s;
}

void mt_shipping_address(struct mt_shipping *s, const char *url)
{
    free(s->url);
    s->url = mt_strdup(url);
    pthread_mutex_lock(&s->lock);
    s->off = !url;
    if (s->off) {
        while (s->queue.count)
            queue_drop(&s->queue);
        s->taken = s->dropped = 0;
    }
    ask_to_look(s);
    pthread_mutex_unlock(&s->lock);
}
