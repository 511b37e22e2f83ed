/* Drives port/port.c from health_spec.lua: port_driver BASE_URL PATH…: one call after another, then its end
 * and the health. "cancel:PATH" is cancelled at once, "soft:PATH" takes any status, "beside:PATH" is made on
 * a thread of its own, stays under way until the others have ended, and is cancelled then. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "port/port.h"

static struct mt_loop *loop;
static struct mt_http *http;
static struct mt_port *port;
static struct mt_port_health health;
static char **paths;
static atomic_uint observed;

static void observe(void *ud, double seconds)
{
    (void)ud;
    atomic_fetch_add(&observed, seconds >= 0 && seconds < 60);
}

static atomic_bool beside_cancel, beside_ended;

static void *call_beside(void *path)
{
    struct mt_err err = {0};
    mt_port_call_within(port, 60 * 1000, &beside_cancel, "POST", path, MT_SLICE("{}"), 0, NULL, &err);
    atomic_store(&beside_ended, true);
    return NULL;
}

static pthread_t begin_beside(char *path)
{
    pthread_t thread;
    pthread_create(&thread, NULL, call_beside, path);
    while (atomic_load(&mt_port_stats(port)->requests) == 0)
        sched_yield();
    return thread;
}

static void end_beside(pthread_t thread)
{
    printf("beside %s\n", atomic_load(&beside_ended) ? "ended" : "under way");
    atomic_store(&beside_cancel, true);
    mt_http_kick(http);
    pthread_join(thread, NULL);
}

static void *call(void *arg)
{
    pthread_t beside;
    bool has_beside = false;
    (void)arg;
    for (char **path = paths; *path; path++) {
        const char *p = *path;
        if (strncmp(p, "beside:", 7) == 0) {
            beside = begin_beside(*path + 7);
            has_beside = true;
            continue;
        }
        static atomic_bool cancel = true;
        bool canceled = strncmp(p, "cancel:", 7) == 0, soft = strncmp(p, "soft:", 5) == 0;
        p += canceled ? 7 : soft ? 5 : 0;
        struct mt_err err = {0};
        enum mt_rc rc = mt_port_call_within(port, 1000, canceled ? &cancel : NULL, "POST", p, MT_SLICE("{}"),
                                            soft ? MT_PORT_SOFT : 0, NULL, &err);
        char *error = mt_port_health_error(&health);
        printf("%s accepted=%d failed=%d requests=%llu failures=%llu %s\n", rc ? mt_rc_name(rc) : "ok",
               atomic_load(&health.accepted), atomic_load(&health.failed), atomic_load(&health.requests),
               atomic_load(&health.failures), error ? error : "-");
        free(error);
    }
    if (has_beside)
        end_beside(beside);
    mt_loop_stop(loop);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 3)
        return 2;
    paths = argv + 2;
    loop = mt_loop_new();
    http = mt_http_new(loop);
    mt_port_health_init(&health);
    port = mt_port_new(&(struct mt_port_options){.http = http,
                                                 .base_url = argv[1],
                                                 .client_id = "id",
                                                 .client_secret = "secret",
                                                 .type = "t",
                                                 .version = "1",
                                                 .identifier = "i",
                                                 .deadline_s = 1,
                                                 .health = &health,
                                                 .observed = observe});
    pthread_create(&thread, NULL, call, NULL);
    mt_loop_run(loop);
    pthread_join(thread, NULL);
    printf("observed %u\n", atomic_load(&observed));
    mt_port_free(port);
    mt_http_free(http);
    mt_port_health_fini(&health);
    mt_loop_free(loop);
    mt_mask_forget();
    return 0;
}
