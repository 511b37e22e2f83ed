/* Watches for specs: watch_driver PATH... Prints "watching", then a line "changed N" (N: which path, from 1)
 * for each change, until SIGTERM. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/watch.h"

enum { MOST = 8 };
static int numbers[MOST];

static void on_change(void *ud)
{
    const int *number = ud;
    printf("changed %d\n", *number);
    fflush(stdout);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    mt_loop_stop(arg);
}

int main(int argc, char **argv)
{
    struct mt_loop *loop = mt_loop_new();
    struct mt_watch *watches[MOST] = {0};
    struct mt_err err;
    int code = 0;
    struct event *term = evsignal_new(mt_loop_base(loop), SIGTERM, on_signal, loop);
    event_add(term, NULL);
    for (int i = 0; code == 0 && i + 1 < argc && i < MOST; i++) {
        numbers[i] = i + 1;
        if (mt_watch_new(loop, argv[i + 1], on_change, &numbers[i], &watches[i], &err) != MT_OK) {
            printf("error %s %s\n", mt_rc_name(err.rc), err.text);
            code = 1;
        }
    }
    if (code == 0) {
        puts("watching");
        fflush(stdout);
        mt_loop_run(loop);
    }
    for (int i = 0; i < MOST; i++)
        mt_watch_free(watches[i]);
    event_free(term);
    mt_loop_free(loop);
    return code;
}
