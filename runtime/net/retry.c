/* When a request is sent again, and when: the rules of struct mt_retry. Called by http.c on the loop's
 * thread; the header functions are pure.
 *
 * Announced waits are read from Retry-After (RFC 9110 section 10.2.3; seconds, also decimal ones, and dates),
 * from X-RateLimit-Reset and X-Rate-Limit-Reset (epoch or seconds), from RateLimit-Reset and RateLimit (IETF
 * draft, seconds). The limit headers count only when the limit is used up or the status says so: servers send
 * them with every answer. A moment that has passed asks for nothing (A-NET-09): clocks differ, and resending
 * at once would use up the retries. A clock of ours that is far off is not asked: see now_of. */
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "net/call.h"

enum {
    DEFAULT_BASE_MS = 500,
    DEFAULT_CAP_MS = 30 * 1000,
    DEFAULT_ANNOUNCED_CAP_MS = 65 * 60 * 1000, /* GitHub's window is an hour */
};

#define EPOCH_FROM 1e9     /* September 2001: larger numbers are moments, smaller ones are seconds to wait */
#define EPOCH_MS_FROM 1e11 /* moments in milliseconds */
#define CLOCK_OFF_US (60 * 1000000ll)

/* ---- headers ---- */

static struct mt_slice first_item(struct mt_slice s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t'))
        s = (struct mt_slice){s.p + 1, s.n - 1};
    size_t n = 0;
    while (n < s.n && s.p[n] != ',' && s.p[n] != ';' && s.p[n] != ' ')
        n++;
    return (struct mt_slice){s.p, n};
}

/* Digits with at most one point: what strtod also takes (signs, exponents, "inf") is no header value. */
static bool number(struct mt_slice s, double *out)
{
    char copy[32];
    size_t points = 0;
    if (!s.n || s.n >= sizeof copy || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        points += s.p[i] == '.';
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.')
            return false;
    }
    if (points > 1)
        return false;
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    *out = strtod(copy, NULL);
    return true;
}

/* A moment or a number of seconds → milliseconds from now; -1: unusable or past. */
static int64_t wait_of(struct mt_slice value, int64_t wall_us)
{
    double n;
    int64_t at_us;
    if (number(first_item(value), &n)) {
        if (n < EPOCH_FROM)
            return (int64_t)(n * 1000 + 0.999);
        at_us = n >= EPOCH_MS_FROM ? (n < 1e16 ? (int64_t)(n * 1e3) : INT64_MAX / 2) : (int64_t)(n * 1e6);
    } else if (mt_http_date_parse(value, &at_us) != MT_OK && mt_iso_parse(value, &at_us) != MT_OK) {
        return -1;
    }
    return at_us > wall_us ? (at_us - wall_us + 999) / 1000 : -1;
}

/* A parameter of RateLimit: "limit=10, remaining=0, reset=7" and "\"default\";r=0;t=7". */
static bool draft_param(struct mt_slice value, const char *name, double *out)
{
    size_t wanted = strlen(name);
    for (size_t i = 0; i + wanted < value.n; i++) {
        bool starts = i == 0 || strchr(",; ", value.p[i - 1]);
        if (starts && strncasecmp(value.p + i, name, wanted) == 0 && value.p[i + wanted] == '=')
            return number(first_item((struct mt_slice){value.p + i + wanted + 1, value.n - i - wanted - 1}),
                          out);
    }
    return false;
}

/* What is left of the limit; false: the answer does not say. */
static bool remaining(const struct mt_http_response *res, double *out)
{
    static const char *const names[] = {"x-ratelimit-remaining", "x-rate-limit-remaining",
                                        "ratelimit-remaining"};
    struct mt_slice value;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mt_http_header(res, names[i], &value) && number(first_item(value), out))
            return true;
    return mt_http_header(res, "ratelimit", &value) &&
           (draft_param(value, "r", out) || draft_param(value, "remaining", out));
}

static bool is_exhausted(const struct mt_http_response *res)
{
    double left;
    return remaining(res, &left) && left <= 0;
}

/* Whether the limit headers are why this answer is what it is. GitHub sends them with each 403, also with one
 * that only means "you may not see this": there something is left. */
static bool is_limited(const struct mt_http_response *res)
{
    double left;
    return res->status == 429 || is_exhausted(res) || (res->status == 403 && !remaining(res, &left));
}

/* A moment is told by the clock of who tells it, which the answer's Date shows (RFC 9110 section 6.6.1). It
 * counts only where ours is clearly off: it has whole seconds. */
static int64_t now_of(const struct mt_http_response *res, int64_t wall_us)
{
    struct mt_slice value;
    int64_t date_us;
    if (mt_http_header(res, "date", &value) && mt_http_date_parse(value, &date_us) == MT_OK &&
        llabs(date_us - wall_us) > CLOCK_OFF_US)
        return date_us;
    return wall_us;
}

int64_t mt_http_announced_wait_ms(const struct mt_http_response *res, int64_t wall_us)
{
    static const char *const names[] = {"x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"};
    struct mt_slice value;
    int64_t ms = -1;
    double n;
    wall_us = now_of(res, wall_us);
    if (mt_http_header(res, "retry-after", &value) && (ms = wait_of(value, wall_us)) >= 0)
        return ms;
    if (!is_limited(res))
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mt_http_header(res, names[i], &value) && (ms = wait_of(value, wall_us)) >= 0)
            return ms;
    if (mt_http_header(res, "ratelimit", &value) &&
        (draft_param(value, "t", &n) || draft_param(value, "reset", &n)) && n < EPOCH_FROM)
        return (int64_t)(n * 1000 + 0.999);
    return -1;
}

/* ---- rules ---- */

static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}

static bool may_repeat(const struct mt_http_call *call)
{
    return call->retry.max_retries && (call->retry.any_method || is_idempotent(call->method));
}

bool mt_retry_sends_once(const struct mt_http_call *call)
{
    return !may_repeat(call) && !is_idempotent(call->method);
}

static int effective_status(const struct mt_http_call *call)
{
    struct mt_slice ignored;
    if (call->res.status == 403 && call->retry.exhausted_403 &&
        (is_exhausted(&call->res) || mt_http_header(&call->res, "retry-after", &ignored)))
        return 429;
    return call->res.status;
}

static bool is_retried(const struct mt_http_call *call, int status)
{
    if (!call->statuses)
        return status == 429 || (status >= 500 && status <= 599);
    for (const int *s = call->statuses; *s; s++)
        if (*s == status)
            return true;
    return false;
}

static uint64_t next_random(struct mt_http *http)
{
    /* xorshift64*: the jitter needs spread, not secrecy. */
    uint64_t x = http->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    http->random = x;
    return x * 0x2545F4914F6CDD1DU;
}

static uint64_t backoff_ms(struct mt_http_call *call)
{
    uint64_t base = call->retry.base_ms ? call->retry.base_ms : DEFAULT_BASE_MS;
    uint64_t cap = call->retry.cap_ms ? call->retry.cap_ms : DEFAULT_CAP_MS;
    uint64_t most = call->retries < 32 ? base << call->retries : cap;
    if (most > cap)
        most = cap;
    return (next_random(call->http) >> 11) % (most + 1);
}

/* failed: there is no answer (or it was refused by the judge); transient: another attempt may do better. */
struct mt_plan mt_retry_plan(struct mt_http_call *call, bool failed, bool transient)
{
    struct mt_plan plan = {.again = MT_NEVER, .closed_ms = -1};
    int64_t cap = call->retry.announced_cap_ms ? call->retry.announced_cap_ms : DEFAULT_ANNOUNCED_CAP_MS;
    int64_t announced = -1;
    bool wanted = failed && transient;
    if (!failed) {
        int status = effective_status(call);
        wanted = is_retried(call, status);
        if (wanted || status == 429 || is_exhausted(&call->res))
            announced = mt_http_announced_wait_ms(&call->res, mt_wall_us());
        /* Also after a success that used up the limit: who sends now is refused. A window longer than the cap
         * stays open, so that each request gets its own answer instead of a wait that nobody wanted. */
        if (announced > 0 && announced <= cap)
            plan.closed_ms = announced;
    }
    /* What a tape answers does not get better by waiting. */
    if (call->tape && call->tape->play)
        announced = plan.closed_ms = -1;
    if (!wanted || !may_repeat(call) || call->retries >= call->retry.max_retries || !mt_call_left_ns(call))
        return plan;
    if (announced >= 0) {
        if (announced <= cap)
            plan = (struct mt_plan){MT_AFTER_ANNOUNCED, (uint64_t)announced, plan.closed_ms};
        return plan;
    }
    uint64_t wait = call->tape && call->tape->play ? 0 : backoff_ms(call);
    if (wait * 1000000 <
        mt_call_left_ns(call)) /* else the deadline would end before the next attempt begins */
        plan = (struct mt_plan){MT_AFTER_BACKOFF, wait, plan.closed_ms};
    return plan;
}
