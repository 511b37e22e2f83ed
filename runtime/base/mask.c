/* The mask: see mask.h. Called by the log and by whoever prints foreign text, on any thread.
 *
 * The secrets are chained by a hash of their first four bytes, so that one pass over a text finds them all
 * whatever their number. Readers share the lock; who adds a secret that is known is a reader too: a service
 * reloads its configuration, and a script asks for its headers, any number of times. */
#include "base/mask.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/credential.h"
#include "base/memory.h"

enum {
    SHORTEST = 4,       /* shorter ones would blacken half of any text */
    PASSING_MOST = 300, /* tokens live for hours, what they are printed in for seconds */
    BUCKETS = 4096,
};

struct secret {
    char *p;
    size_t n;
    uint32_t next;       /* in its bucket: index plus one */
    bool passing;        /* under the lock */
    atomic_ullong stamp; /* of its last mt_mask_add_passing */
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct secret *secrets;
static size_t secret_count, secret_room, passing_count;
static uint32_t buckets[BUCKETS];
static atomic_ullong clock_stamp;
static const struct mt_slice redacted = {"[REDACTED]", 10};

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && memchr(" \t\r\n", s.p[0], 4))
        s = (struct mt_slice){s.p + 1, s.n - 1};
    while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4))
        s.n--;
    return s;
}

static uint32_t bucket_of(const char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return four * 2654435761u >> 20;
}

/* Under the lock, as all that follows up to the forms. */
static struct secret *known(struct mt_slice s)
{
    for (uint32_t i = buckets[bucket_of(s.p)]; i; i = secrets[i - 1].next)
        if (secrets[i - 1].n == s.n && memcmp(secrets[i - 1].p, s.p, s.n) == 0)
            return &secrets[i - 1];
    return NULL;
}

static void chain_all(void)
{
    memset(buckets, 0, sizeof buckets);
    for (size_t i = 0; i < secret_count; i++) {
        uint32_t *head = &buckets[bucket_of(secrets[i].p)];
        secrets[i].next = *head;
        *head = (uint32_t)i + 1;
    }
}

static void drop_oldest_passing(void)
{
    size_t oldest = secret_count;
    for (size_t i = 0; i < secret_count; i++)
        if (secrets[i].passing &&
            (oldest == secret_count || atomic_load(&secrets[i].stamp) < atomic_load(&secrets[oldest].stamp)))
            oldest = i;
    if (oldest == secret_count)
        return;
    free(secrets[oldest].p);
    secret_count--;
    passing_count--;
    if (oldest != secret_count) {
        const struct secret *last = &secrets[secret_count];
        secrets[oldest].p = last->p;
        secrets[oldest].n = last->n;
        secrets[oldest].passing = last->passing;
        atomic_store(&secrets[oldest].stamp, atomic_load(&last->stamp));
    }
    chain_all();
}

static bool refresh(struct mt_slice s, bool passing, bool may_write)
{
    struct secret *have = known(s);
    if (!have || (have->passing && !passing && !may_write))
        return false;
    if (have->passing && !passing) {
        have->passing = false;
        passing_count--;
    }
    atomic_store(&have->stamp, atomic_fetch_add(&clock_stamp, 1));
    return true;
}

static void add_form(struct mt_slice s, bool passing)
{
    pthread_rwlock_rdlock(&lock);
    bool done = refresh(s, passing, false);
    pthread_rwlock_unlock(&lock);
    if (done)
        return;
    pthread_rwlock_wrlock(&lock);
    if (!refresh(s, passing, true)) {
        if (passing && passing_count >= PASSING_MOST)
            drop_oldest_passing();
        if (secret_count == secret_room) {
            secret_room = secret_room ? 2 * secret_room : 16;
            secrets = mt_realloc(secrets, secret_room * sizeof *secrets);
        }
        struct secret *new = &secrets[secret_count++];
        uint32_t *head = &buckets[bucket_of(s.p)];
        new->p = mt_slice_dup(s);
        new->n = s.n;
        new->next = *head;
        new->passing = passing;
        atomic_init(&new->stamp, atomic_fetch_add(&clock_stamp, 1));
        passing_count += passing;
        *head = (uint32_t)secret_count;
    }
    pthread_rwlock_unlock(&lock);
}

/* ---- forms ---- */

static void put_percent(struct mt_buf *out, struct mt_slice s, const char *digits)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                           (c && strchr("-._~", c)); /* RFC 3986 section 2.3 */
        mt_buf_putc(out, plain ? (char)c : '%');
        if (!plain) {
            mt_buf_putc(out, digits[c >> 4]);
            mt_buf_putc(out, digits[c & 15]);
        }
    }
}

static void add(struct mt_slice secret, bool passing)
{
    static const char *const literals[] = {"None", "null", "true", "false"};
    secret = trim(secret);
    if (secret.n < SHORTEST)
        return;
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++)
        if (mt_slice_is(secret, literals[i]))
            return;
    add_form(secret, passing);
    struct mt_buf form;
    mt_buf_init(&form, 6 * secret.n + 2);
    mt_buf_put_json_string(&form, secret);
    if (form.n > secret.n + 2) /* escaped, beside its quotes */
        add_form((struct mt_slice){form.p + 1, form.n - 2}, passing);
    mt_buf_clear(&form);
    put_percent(&form, secret, "0123456789ABCDEF");
    if (form.n > secret.n) {
        add_form(mt_buf_slice(&form), passing);
        mt_buf_clear(&form);
        put_percent(&form, secret, "0123456789abcdef");
        add_form(mt_buf_slice(&form), passing);
    }
    mt_buf_fini(&form);
}

void mt_mask_add(struct mt_slice secret)
{
    add(secret, false);
}

void mt_mask_add_passing(struct mt_slice secret)
{
    add(secret, true);
}

void mt_mask_forget(void)
{
    pthread_rwlock_wrlock(&lock);
    for (size_t i = 0; i < secret_count; i++)
        free(secrets[i].p);
    free(secrets);
    secrets = NULL;
    secret_count = secret_room = passing_count = 0;
    memset(buckets, 0, sizeof buckets);
    pthread_rwlock_unlock(&lock);
}

size_t mt_mask_count(void)
{
    pthread_rwlock_rdlock(&lock);
    size_t count = secret_count;
    pthread_rwlock_unlock(&lock);
    return count;
}

/* ---- masking ---- */

struct find {
    bool found;
    size_t begin, end;
};

struct scan {
    struct mt_slice text;
    struct mt_credential_scan credentials;
    struct find secret, credential;
};

/* The first secret that begins at `from` or later, the longest of those that begin there. */
static struct find find_secret(struct mt_slice text, size_t from)
{
    struct find f = {0};
    if (!secret_count || text.n < SHORTEST)
        return f;
    for (size_t at = from; at <= text.n - SHORTEST; at++) {
        for (uint32_t i = buckets[bucket_of(text.p + at)]; i; i = secrets[i - 1].next) {
            const struct secret *s = &secrets[i - 1];
            if (s->n <= text.n - at && memcmp(s->p, text.p + at, s->n) == 0 &&
                (!f.found || at + s->n > f.end))
                f = (struct find){true, at, at + s->n};
        }
        if (f.found)
            break;
    }
    return f;
}

static void find_credential(struct scan *s)
{
    s->credential.found = mt_credential_next(&s->credentials, &s->credential.begin, &s->credential.end);
}

static void begin(struct scan *s, struct mt_slice text, bool credentials)
{
    *s = (struct scan){.text = text};
    s->secret = find_secret(text, 0);
    if (credentials) {
        mt_credential_scan(&s->credentials, text);
        find_credential(s);
    }
}

/* The next stretch to replace; finds that overlap are one, so that no end of a secret is left. */
static bool next(struct scan *s, struct find *out)
{
    if (!s->secret.found && !s->credential.found)
        return false;
    *out = s->secret.found && (!s->credential.found || s->secret.begin <= s->credential.begin)
               ? s->secret
               : s->credential;
    for (;;) {
        if (s->secret.found && s->secret.begin < out->end) {
            if (s->secret.end > out->end)
                out->end = s->secret.end;
            s->secret = find_secret(s->text, s->secret.begin + 1);
        } else if (s->credential.found && s->credential.begin < out->end) {
            if (s->credential.end > out->end)
                out->end = s->credential.end;
            find_credential(s);
        } else {
            return true;
        }
    }
}

static void put(struct mt_buf *out, struct mt_slice text, bool credentials, bool shorten)
{
    struct scan s;
    struct find f;
    size_t done = 0;
    pthread_rwlock_rdlock(&lock);
    begin(&s, text, credentials);
    while (next(&s, &f)) {
        const size_t n = f.end - f.begin;
        mt_buf_add(out, text.p + done, f.begin - done);
        mt_buf_add(out, redacted.p, shorten && n < redacted.n ? n : redacted.n);
        done = f.end;
    }
    pthread_rwlock_unlock(&lock);
    mt_buf_add(out, text.p + done, text.n - done);
}

void mt_mask_put(struct mt_buf *out, struct mt_slice text)
{
    put(out, text, true, false);
}

void mt_mask_put_known(struct mt_buf *out, struct mt_slice text)
{
    put(out, text, false, false);
}

char *mt_mask(char *text)
{
    struct mt_slice whole = mt_slice_of(text);
    struct mt_buf masked;
    mt_buf_init(&masked, whole.n);
    put(&masked, whole, true, true);
    if (masked.failed) /* no memory: better nothing than a secret */
        mt_buf_clear(&masked);
    if (masked.n)
        memcpy(text, masked.p, masked.n);
    text[masked.n] = '\0';
    mt_buf_fini(&masked);
    return text;
}
