/* Signals: see signal.h. The handler writes the number into a pipe that the loop reads; both are
 * async-signal-safe. */
#include "net/signal.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

enum { COUNT = 3 };
static const int numbers[COUNT] = {SIGINT, SIGTERM, SIGHUP};

struct mt_signals {
    void (*fn)(void *ud, int number);
    void *ud;
    struct event *readable;
    struct sigaction before[COUNT];
};

static int ends[2] = {-1, -1};
static volatile sig_atomic_t ending, asked; /* asked: a SIGHUP is on its way to the loop */

static void on_signal(int number)
{
    int saved = errno;
    if (number != SIGHUP && ending++)
        _exit(128 + number);
    if (number == SIGHUP && asked++) /* a storm of them leaves room in the pipe for a SIGTERM */
        return;
    unsigned char byte = (unsigned char)number;
    if (write(ends[1], &byte, 1) < 0) {
        /* not full: it holds three at most */
    }
    errno = saved;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mt_signals *s = arg;
    unsigned char byte;
    (void)what;
    while (read(fd, &byte, 1) == 1) {
        if (byte == SIGHUP)
            asked = 0;
        s->fn(s->ud, byte);
    }
}

struct mt_signals *mt_signals_new(struct mt_loop *loop, void (*fn)(void *ud, int number), void *ud)
{
    struct mt_signals *s = mt_alloc(sizeof *s);
    s->fn = fn;
    s->ud = ud;
    ending = asked = 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        abort(); /* no descriptors at the start of the process */
    s->readable = event_new(mt_loop_base(loop), ends[0], EV_READ | EV_PERSIST, on_readable, s);
    event_add(s->readable, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < COUNT; i++)
        sigaction(numbers[i], &action, &s->before[i]);
    return s;
}

void mt_signals_free(struct mt_signals *s)
{
    if (!s)
        return;
    for (int i = 0; i < COUNT; i++)
        sigaction(numbers[i], &s->before[i], NULL);
    event_free(s->readable);
    close(ends[0]);
    close(ends[1]);
    ends[0] = ends[1] = -1;
    free(s);
}
