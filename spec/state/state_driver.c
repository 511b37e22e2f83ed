/* The state file from a command line: state_driver FILE IDENTIFIER (rw|ro) COMMAND… — each command one word
 * of the shell, run in order, its answer one line on stdout. Exit code 1 with the error on stderr when the
 * state does not open or a command fails.
 *
 *   produced KEY RESOURCE SCOPE      many FIRST COUNT RESOURCE SCOPE     forget KEY        flush
 *   pairs KEY                        stale RESOURCE [KEEP…]              spill LIST KEY VALUE
 *   spilled LIST KEY                 value LIST KEY                      scopes COUNT RESOURCE (COUNT
 * different scopes) threads THREADS COUNT            time COUNT                          limit BYTES (of
 * files from here on) kill                             hold                                say TEXT
 *   partial (or complete)            settle whole                        settle partly
 *   rivals COUNT RESOURCE (as scopes, with a second integration that names each scope at the same moment) */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "state/state.h"

enum { WORDS = 16 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const char build[] = ", sanitized"; /* slow, and keeps freed memory */
#else
static const char build[] = "";
#endif

static struct mt_state_options options;
static struct mt_state *state;
static struct mt_err err;

static struct mt_key key_of(const char *text)
{
    struct mt_slice part = mt_slice_of(text);
    return mt_key_of(&part, 1);
}

static void produce(unsigned long n, const char *resource, const char *scope)
{
    char text[32];
    snprintf(text, sizeof text, "%lu", n);
    struct mt_key key = key_of(text);
    mt_state_produced(state, &key, mt_slice_of(resource), mt_slice_of(scope));
}

static void print_pair(void *ud, struct mt_slice resource, struct mt_slice scope)
{
    unsigned *count = ud;
    printf("%s%.*s/%.*s", (*count)++ ? " " : "", MT_FMT(resource), MT_FMT(scope));
}

struct span {
    unsigned long first, count;
};

static void *produce_span(void *arg)
{
    struct span *span = arg;
    for (unsigned long i = 0; i < span->count; i++)
        produce(span->first + i, i % 2 ? "a" : "b", i % 3 ? "" : "s");
    return NULL;
}

static enum mt_rc threads(unsigned long n, unsigned long count)
{
    pthread_t ids[16];
    struct span spans[16];
    for (unsigned long i = 0; i < n && i < 16; i++) {
        spans[i] = (struct span){i * count, count};
        pthread_create(&ids[i], NULL, produce_span, &spans[i]);
    }
    for (unsigned long i = 0; i < n && i < 16; i++)
        pthread_join(ids[i], NULL);
    return mt_state_flush(state, &err);
}

struct rival {
    struct mt_state *state;
    pthread_barrier_t *together;
    const char *resource;
    unsigned long count;
};

static void *name_scopes(void *arg)
{
    struct rival *r = arg;
    struct mt_key key = key_of("rival");
    char scope[32];
    for (unsigned long i = 0; i < r->count; i++) {
        snprintf(scope, sizeof scope, "scope-%lu", i);
        pthread_barrier_wait(r->together);
        mt_state_produced(r->state, &key, mt_slice_of(r->resource), mt_slice_of(scope));
    }
    return NULL;
}

static enum mt_rc rivals(unsigned long count, const char *resource)
{
    struct mt_state_options other = options;
    struct rival r[2] = {{.state = state}};
    pthread_barrier_t together;
    pthread_t ids[2];
    other.identifier = "rival";
    enum mt_rc rc = mt_state_open(&other, &r[1].state, &err);
    if (rc != MT_OK)
        return rc;
    pthread_barrier_init(&together, NULL, 2);
    for (int i = 0; i < 2; i++) {
        r[i].together = &together;
        r[i].resource = resource;
        r[i].count = count;
        pthread_create(&ids[i], NULL, name_scopes, &r[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(ids[i], NULL);
        if (rc == MT_OK)
            rc = mt_state_flush(r[i].state, &err);
    }
    pthread_barrier_destroy(&together);
    mt_state_close(r[1].state);
    return rc;
}

static enum mt_rc run_time(unsigned long count)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t from = mt_now_ns();
    for (unsigned long i = 0; i < count; i++)
        produce(i, i % 2 ? "issues" : "pulls", "");
    enum mt_rc rc = mt_state_flush(state, &err);
    getrusage(RUSAGE_SELF, &after);
    printf("%llu ms, %ld KB%s\n", (unsigned long long)((mt_now_ns() - from) / 1000000),
           after.ru_maxrss - before.ru_maxrss, build);
    return rc;
}

static enum mt_rc spill(char **w)
{
    if (strcmp(w[0], "spill") == 0)
        return mt_state_spill(state, w[1], mt_slice_of(w[2]), mt_slice_of(w[3]), &err);
    if (strcmp(w[0], "spilled") == 0) {
        puts(mt_state_spilled(state, w[1], mt_slice_of(w[2])) ? "yes" : "no");
        return MT_OK;
    }
    struct mt_buf value;
    mt_buf_init(&value, 1 << 20);
    enum mt_rc rc = mt_state_spilled_value(state, w[1], mt_slice_of(w[2]), &value, &err);
    puts(rc == MT_OK ? mt_buf_text(&value) : mt_rc_name(rc));
    mt_buf_fini(&value);
    return rc == MT_ENOENT ? MT_OK : rc;
}

static enum mt_rc run(char **w, int n)
{
    const char *verb = w[0];
    enum mt_rc rc = MT_OK;
    if (strcmp(verb, "produced") == 0) {
        struct mt_key key = key_of(w[1]);
        mt_state_produced(state, &key, mt_slice_of(w[2]), mt_slice_of(n > 3 ? w[3] : ""));
    } else if (strcmp(verb, "many") == 0) {
        unsigned long first = strtoul(w[1], NULL, 10), count = strtoul(w[2], NULL, 10);
        for (unsigned long i = 0; i < count; i++)
            produce(first + i, w[3], n > 4 ? w[4] : "");
    } else if (strcmp(verb, "scopes") == 0) {
        char scope[32];
        for (unsigned long i = 0; i < strtoul(w[1], NULL, 10); i++) {
            snprintf(scope, sizeof scope, "scope-%lu", i);
            produce(i, w[2], scope);
        }
    } else if (strcmp(verb, "forget") == 0) {
        struct mt_key key = key_of(w[1]);
        mt_state_forget(state, &key);
    } else if (strcmp(verb, "flush") == 0) {
        rc = mt_state_flush(state, &err);
    } else if (strcmp(verb, "pairs") == 0) {
        struct mt_key key = key_of(w[1]);
        unsigned count = 0;
        rc = mt_state_pairs(state, &key, print_pair, &count, &err);
        putchar('\n');
    } else if (strcmp(verb, "stale") == 0) {
        const char *keep[WORDS] = {NULL};
        for (int i = 2; i < n; i++)
            keep[i - 2] = strcmp(w[i], "-") == 0 ? "" : w[i];
        rc = mt_state_forget_stale(state, w[1], keep, &err);
    } else if (strcmp(verb, "threads") == 0) {
        rc = threads(strtoul(w[1], NULL, 10), strtoul(w[2], NULL, 10));
    } else if (strcmp(verb, "partial") == 0) {
        puts(mt_state_is_partial(state) ? "partial" : "complete");
    } else if (strcmp(verb, "settle") == 0) {
        rc = mt_state_settle(state, strcmp(w[1], "whole") == 0, &err);
    } else if (strcmp(verb, "rivals") == 0) {
        rc = rivals(strtoul(w[1], NULL, 10), w[2]);
    } else if (strcmp(verb, "time") == 0) {
        rc = run_time(strtoul(w[1], NULL, 10));
    } else if (strcmp(verb, "limit") == 0) {
        struct rlimit limit = {strtoul(w[1], NULL, 10), RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    } else if (strcmp(verb, "kill") == 0) {
        fflush(stdout);
        raise(SIGKILL);
    } else if (strcmp(verb, "hold") == 0) {
        puts("holding");
        fflush(stdout);
        pause();
    } else if (strcmp(verb, "say") == 0) {
        puts(w[1]);
    } else {
        rc = spill(w);
    }
    return rc;
}

static int failed(void)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", mt_rc_name(err.rc), err.text);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    options = (struct mt_state_options){argv[1], "https://port.example", "type", argv[2],
                                        strcmp(argv[3], "ro") == 0};
    if (mt_state_open(&options, &state, &err) != MT_OK)
        return failed();
    int code = 0;
    for (int i = 4; i < argc; i++) {
        char *words[WORDS], *rest = NULL;
        int n = 0;
        for (char *word = strtok_r(argv[i], " ", &rest); word && n < WORDS; word = strtok_r(NULL, " ", &rest))
            words[n++] = word;
        if (run(words, n) != MT_OK)
            code = failed();
    }
    mt_state_close(state);
    return code;
}
