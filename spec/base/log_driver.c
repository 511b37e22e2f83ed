/* Drives base/log.c from log_spec.lua: log_driver COMMAND [text|json]. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

static const struct mt_log_fields github = {"my-github", "1f056ea3-9ea4-4d6a", "repository", 3, false};
static const struct mt_log_fields jira = {"my-jira", NULL, NULL, 0, false};

/* One line of the text on stdin, under the fields given as INTEGRATION RUN KIND GENERATION ("-": none). */
static int line(char **argv, int argc)
{
    struct mt_log_fields f = {0};
    struct mt_buf text;
    char part[4096];
    const char **places[] = {&f.integration, &f.run, &f.kind};
    mt_buf_init(&text, 16 << 20);
    for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0;)
        mt_buf_add(&text, part, n);
    for (int i = 0; i < 3 && i < argc; i++)
        *places[i] = strcmp(argv[i], "-") == 0 ? NULL : argv[i];
    f.generation = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    mt_mask_add(MT_SLICE("hunter22"));
    if (argc)
        mt_log_enter(&f);
    mt_log(MT_WARN, "%s", mt_buf_text(&text));
    mt_buf_fini(&text);
    return 0;
}

/* Two integrations repeat the same key; then the end of the process. */
static int repeats(void)
{
    for (int i = 0; i < 4; i++) {
        mt_log_enter(&github);
        mt_log_repeat(MT_WARN, "same", "again %d", i);
        mt_log_enter(i ? &jira : NULL);
        mt_log_repeat(MT_ERROR, "same", "again %d", i);
    }
    mt_log_enter(NULL);
    mt_log_repeat(MT_DEBUG, "hidden", "not shown");
    mt_log_flush();
    mt_log(MT_INFO, "flushed once");
    mt_log_flush(); /* nothing is owed any more */
    mt_log_enter(&jira);
    mt_log_repeat(MT_ERROR, "same", "within the ten seconds still");
    mt_log_flush();
    for (int i = 0; i < 2000; i++) { /* more keys than are remembered */
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        mt_log_repeat(MT_INFO, key, "first %d", i);
        mt_log_repeat(MT_INFO, key, "second %d", i);
    }
    mt_log_flush();
    return 0;
}

static pthread_mutex_t tap_lock = PTHREAD_MUTEX_INITIALIZER;

static void tap(void *ud, const struct mt_log_record *r)
{
    char when[MT_LOG_TIME_SIZE];
    pthread_mutex_lock(&tap_lock); /* the tap takes its own lock, and logs under it */
    printf("%s %s %s [%.*s] %s %s %s %u\n", (const char *)ud, mt_log_time(r->wall_us, when),
           mt_log_level_name(r->level), MT_FMT(r->message),
           r->fields.integration ? r->fields.integration : "-", r->fields.run ? r->fields.run : "-",
           r->fields.kind ? r->fields.kind : "-", r->fields.generation);
    mt_log(MT_INFO, "from inside tap %s", (const char *)ud);
    pthread_mutex_unlock(&tap_lock);
}

static int taps(void)
{
    static char a[] = "a", b[] = "b";
    const struct mt_log_fields local = {.integration = "my-github", .local = true},
                               secret = {.integration = "x-hunter22", .run = "r\xff", .kind = "a\nb"};
    mt_mask_add(MT_SLICE("hunter22"));
    mt_log_tap(tap, a);
    mt_log_tap(tap, b);
    mt_log(MT_INFO, "plain hunter22 \xc3\xa4\xff\n");
    mt_log_untap(tap, a);
    mt_log(MT_DEBUG, "too low");
    mt_log_enter(&local);
    mt_log(MT_WARN, "stays here");
    mt_log_enter(&secret);
    mt_log(MT_ERROR, "fields");
    mt_log_enter(&github);
    for (int i = 0; i < 3; i++)
        mt_log_repeat(MT_WARN, "key", "repeated");
    mt_log_flush();
    mt_log_untap(tap, b);
    mt_log(MT_WARN, "nobody listens");
    return 0;
}

static atomic_uint seen;
static atomic_bool over;

static void count(void *ud, const struct mt_log_record *r)
{
    (void)ud;
    atomic_fetch_add(&seen, r->message.n == 20);
}

static void *write_lines(void *arg)
{
    struct mt_log_fields f = {.integration = "i", .generation = (unsigned)(intptr_t)arg + 1};
    mt_log_enter(&f);
    for (int i = 0; i < 500; i++) {
        mt_log(MT_INFO, "line %015d", i);
        mt_log_repeat(MT_INFO, "often", "a repeated line");
    }
    return NULL;
}

static void *change_taps(void *arg)
{
    static int other;
    while (!atomic_load(&over)) {
        mt_log_tap(count, arg);
        mt_log_untap(count, arg);
        mt_log_tap(count, &other);
        mt_log_flush();
        mt_log_untap(count, &other);
    }
    return NULL;
}

/* Four threads log into a tap that stays while a fifth adds and removes others. */
static int threads(void)
{
    static int stays, comes;
    pthread_t t[5];
    mt_log_tap(count, &stays);
    pthread_create(&t[4], NULL, change_taps, &comes);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, write_lines, (void *)(intptr_t)i);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    atomic_store(&over, true);
    pthread_join(t[4], NULL);
    mt_log_untap(count, &stays);
    printf("%d\n", atomic_load(&seen) >= 2000);
    return 0;
}

static void *read_late(void *arg)
{
    int fd = *(int *)arg, waiting = 0;
    static size_t lines;
    char part[5000];
    while (waiting < 60000) { /* until the pipe is full */
        ioctl(fd, FIONREAD, &waiting);
        sched_yield();
    }
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            lines += part[i] == '\n';
    return &lines;
}

/* stderr is a pipe in non-blocking mode whose reader comes late. */
static int slow(void)
{
    int fds[2];
    pthread_t reader;
    void *lines;
    if (pipe(fds) != 0)
        return 1;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    pthread_create(&reader, NULL, read_late, &fds[0]);
    int old = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    for (int i = 0; i < 5000; i++)
        mt_log(MT_INFO, "line %060d", i);
    dup2(old, STDERR_FILENO);
    pthread_join(reader, &lines);
    return printf("%zu\n", *(size_t *)lines) < 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    int code = 2;
    mt_log_json(argc > 2 && strcmp(argv[2], "json") == 0);
    if (strcmp(command, "line") == 0)
        code = line(argv + 3, argc > 3 ? argc - 3 : 0);
    else if (strcmp(command, "repeats") == 0)
        code = repeats();
    else if (strcmp(command, "taps") == 0)
        code = taps();
    else if (strcmp(command, "threads") == 0)
        code = threads();
    else if (strcmp(command, "slow") == 0)
        code = slow();
    mt_mask_forget();
    return code;
}
