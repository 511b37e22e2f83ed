/* The mask: secrets that must never be printed. Called by the log and by whoever prints foreign text, on any
 * thread.
 *
 * The list is short (the sensitive settings of the bundles at work), so that a scan for each is enough. */
#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"

enum { SHORTEST = 4 }; /* shorter ones would blacken half of any text */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mt_slice *secrets;
static size_t secret_count;
static const char redacted[] = "[REDACTED]";

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]))
        s = (struct mt_slice){s.p + 1, s.n - 1};
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

void mt_mask_add(struct mt_slice secret)
{
    secret = trim(secret);
    if (secret.n < SHORTEST)
        return;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < secret_count; i++)
        if (mt_slice_eq(secrets[i], secret))
            goto out;
    secrets = mt_realloc(secrets, (secret_count + 1) * sizeof *secrets);
    secrets[secret_count++] = (struct mt_slice){mt_slice_dup(secret), secret.n};
out:
    pthread_mutex_unlock(&lock);
}

void mt_mask_forget(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < secret_count; i++) {
        union {
            const char *kept;
            char *owned;
        } p = {secrets[i].p};
        free(p.owned);
    }
    free(secrets);
    secrets = NULL;
    secret_count = 0;
    pthread_mutex_unlock(&lock);
}

/* The first secret in text, the longest of those that begin there. */
static bool find(struct mt_slice text, size_t *out_at, size_t *out_n)
{
    bool found = false;
    for (size_t i = 0; i < secret_count; i++) {
        const char *hit = memmem(text.p, text.n, secrets[i].p, secrets[i].n);
        size_t at = hit ? (size_t)(hit - text.p) : 0;
        if (hit && (!found || at < *out_at || (at == *out_at && secrets[i].n > *out_n))) {
            found = true;
            *out_at = at;
            *out_n = secrets[i].n;
        }
    }
    return found;
}

void mt_mask_put(struct mt_buf *out, struct mt_slice text)
{
    size_t at = 0, n = 0;
    pthread_mutex_lock(&lock);
    while (text.n && find(text, &at, &n)) {
        mt_buf_add(out, text.p, at);
        mt_buf_puts(out, redacted);
        text = (struct mt_slice){text.p + at + n, text.n - at - n};
    }
    mt_buf_put(out, text);
    pthread_mutex_unlock(&lock);
}

char *mt_mask(char *text)
{
    size_t at = 0, n = 0, length = strlen(text);
    char *from = text;
    pthread_mutex_lock(&lock);
    while (find((struct mt_slice){from, length - (size_t)(from - text)}, &at, &n)) {
        size_t put = n < sizeof redacted - 1 ? n : sizeof redacted - 1;
        memcpy(from + at, redacted, put);
        memmove(from + at + put, from + at + n, length - (size_t)(from - text) - at - n + 1);
        length -= n - put;
        from += at + put;
    }
    pthread_mutex_unlock(&lock);
    return text;
}
