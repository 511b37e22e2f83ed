/* `moontide doctor`: one connection by hand, to tell names from connections. Called by reach.c on the probes'
 * threads. Takes at most five seconds. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/doctor.h"

enum {
    NAME_S = 3,       /* to resolve a name */
    CONNECT_MS = 2000 /* to connect then */
};

static double ms_since(uint64_t ns)
{
    return (double)(mt_now_ns() - ns) / 1e6;
}

static bool connect_within(const struct addrinfo *a, int ms, const char **out_wrong)
{
    int why = 0;
    socklen_t n = sizeof why;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        *out_wrong = strerrordesc_np(errno);
        return false;
    }
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        why = errno;
    if (why == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, ms) <= 0)
            why = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) != 0)
            why = errno;
    }
    close(fd);
    *out_wrong = why ? strerrordesc_np(why) : NULL;
    return !why;
}

/* A look-up cannot be cut short: it has a thread of its own, which is left behind when it takes too long. The
 * record belongs to both, and the last one frees it. */
struct lookup {
    char *host, *service;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;  /* under lock */
    bool alone; /* under lock: the other side has left */
    int code;
    struct addrinfo *found;
};

static void lookup_free(struct lookup *l)
{
    if (l->found)
        freeaddrinfo(l->found);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->done);
    free(l->host);
    free(l->service);
    free(l);
}

static void *lookup_thread(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(l->host, l->service, &hints, &found);
    pthread_mutex_lock(&l->lock);
    bool alone = l->alone;
    l->over = true;
    l->code = code;
    l->found = code ? NULL : found;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    if (alone)
        lookup_free(l);
    return NULL;
}

static struct addrinfo *look_up(const char *host, const char *service, const char **out_wrong)
{
    struct lookup *l = mt_alloc(sizeof *l);
    struct addrinfo *found = NULL;
    struct timespec until;
    pthread_condattr_t attributes;
    pthread_attr_t detached;
    pthread_t thread;
    l->host = mt_strdup(host);
    l->service = mt_strdup(service);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done, &attributes);
    pthread_condattr_destroy(&attributes);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += NAME_S;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &detached, lookup_thread, l) == 0;
    pthread_attr_destroy(&detached);
    pthread_mutex_lock(&l->lock);
    while (started && !l->over && pthread_cond_timedwait(&l->done, &l->lock, &until) == 0)
        ;
    bool over = l->over || !started;
    l->alone = !over;
    found = l->found;
    l->found = NULL;
    *out_wrong = !started  ? "no thread could be started"
                 : !over   ? "the name was not resolved in time"
                 : l->code ? gai_strerror(l->code)
                           : NULL;
    pthread_mutex_unlock(&l->lock);
    if (over)
        lookup_free(l);
    return found;
}

void mt_dial(const char *host, const char *service, struct mt_dialled *out)
{
    uint64_t start = mt_now_ns();
    struct addrinfo *list = look_up(host, service, &out->wrong);
    out->name_ms = ms_since(start);
    if (!list)
        return;
    start = mt_now_ns();
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int left = CONNECT_MS - (int)ms_since(start);
        if (a != list && left <= 0)
            break;
        if (getnameinfo(a->ai_addr, a->ai_addrlen, out->address, sizeof out->address, NULL, 0,
                        NI_NUMERICHOST))
            out->address[0] = '\0';
        /* The last address gets what is left; an earlier one at most half, so that dead IPv6 hides nothing.
         */
        if (connect_within(a, a->ai_next ? CONNECT_MS / 2 < left ? CONNECT_MS / 2 : left : left, &out->wrong))
            break;
    }
    out->connect_ms = ms_since(start);
    freeaddrinfo(list);
}
