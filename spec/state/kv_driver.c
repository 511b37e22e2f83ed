/* tide.kv's store from a command line: kv_driver FILE COMMAND… — "memory" is no file. Each command is one
 * word of the shell, run in order; its answer is one line on stdout. Exit code 1 with the error on stderr
 * when one fails; the rest is run all the same.
 *
 *   draft                        set SECTION KEY VALUE          remove SECTION KEY         get SECTION KEY
 *   many SECTION FIRST COUNT     (sets at once, prints how many failed)
 *   fill SECTION KEY BYTES       (a value of so many bytes)     long SECTION BYTES         (a key of so many)
 *   mixed SECTION COUNT          (sets and gets of one key at once: prints "ordered")
 *   time SECTION COUNT           limit BYTES (of files from here on)
 *   owe SECTION KEY VALUE        (a set that is not waited for) kill                       hold
 *   lock                         (holds the file's write lock from a connection of its own) */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "state/kv.h"

enum { WORDS = 8 };

static struct mt_loop *loop;
static struct mt_kv *kv;
static unsigned owed, failures, wrong;
static bool quiet;
static int code;

static void over(void)
{
    if (--owed == 0)
        mt_loop_stop(loop);
}

static void on_done(void *ud, struct mt_slice value, const struct mt_err *err)
{
    const char *expected = ud;
    if (err) {
        failures++;
        code = 1;
        if (!quiet || failures == 1)
            fprintf(stderr, "%s: %s\n", mt_rc_name(err->rc), err->text);
    } else if (expected && !mt_slice_is(value, expected)) {
        wrong++;
    } else if (!quiet && value.p) {
        printf("%.*s\n", MT_FMT(value));
    } else if (!quiet) {
        puts("-");
    }
    over();
}

static void on_owed(void *ud, struct mt_slice value, const struct mt_err *err)
{
    (void)value;
    printf("%s: %s\n", (const char *)ud, err ? mt_rc_name(err->rc) : "kept");
}

static void wait_all(void)
{
    if (owed)
        mt_loop_run(loop);
}

static void set(const char *section, const char *key, struct mt_slice value)
{
    owed++;
    mt_kv_set(kv, section, mt_slice_of(key), value, on_done, NULL);
}

static void many(const char *section, unsigned first, unsigned count)
{
    char key[32], value[64];
    quiet = true;
    failures = 0;
    for (unsigned i = first; i < first + count; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "%u", i);
        set(section, key, mt_slice_of(value));
    }
    wait_all();
    quiet = false;
    printf("%u failed\n", failures);
}

static void mixed(const char *section, unsigned count)
{
    char **values = mt_alloc(count * sizeof *values);
    quiet = true;
    wrong = 0;
    for (unsigned i = 0; i < count; i++) {
        values[i] = mt_format("%u", i);
        set(section, "mixed", mt_slice_of(values[i]));
        owed++;
        mt_kv_get(kv, section, MT_SLICE("mixed"), on_done, values[i]);
    }
    wait_all();
    quiet = false;
    puts(wrong ? "out of order" : "ordered");
    for (unsigned i = 0; i < count; i++)
        free(values[i]);
    free(values);
}

static void fill(const char *section, const char *key, size_t size)
{
    char *text = mt_alloc(size + 1);
    memset(text, 'x', size);
    if (key) {
        set(section, key, (struct mt_slice){text, size});
    } else {
        owed++;
        mt_kv_get(kv, section, (struct mt_slice){text, size}, on_done, NULL);
    }
    wait_all();
    free(text);
}

static void lock(const char *file)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(file, &db) != SQLITE_OK ||
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        exit(2);
    puts("locked");
    fflush(stdout);
    pause();
}

static void run(const char *file, char **w)
{
    if (strcmp(w[0], "draft") == 0) {
        mt_kv_keep_draft(kv);
    } else if (strcmp(w[0], "set") == 0) {
        set(w[1], w[2], mt_slice_of(w[3]));
    } else if (strcmp(w[0], "remove") == 0) {
        set(w[1], w[2], (struct mt_slice){NULL, 0});
    } else if (strcmp(w[0], "get") == 0) {
        owed++;
        mt_kv_get(kv, w[1], mt_slice_of(w[2]), on_done, NULL);
    } else if (strcmp(w[0], "many") == 0) {
        many(w[1], (unsigned)atoi(w[2]), (unsigned)atoi(w[3]));
    } else if (strcmp(w[0], "mixed") == 0) {
        mixed(w[1], (unsigned)atoi(w[2]));
    } else if (strcmp(w[0], "fill") == 0) {
        fill(w[1], w[2], strtoul(w[3], NULL, 10));
    } else if (strcmp(w[0], "long") == 0) {
        fill(w[1], NULL, strtoul(w[2], NULL, 10));
    } else if (strcmp(w[0], "time") == 0) {
        const uint64_t begin = mt_now_ns();
        many(w[1], 0, (unsigned)atoi(w[2]));
        printf("%llu ms\n", (unsigned long long)(mt_now_ns() - begin) / 1000000);
    } else if (strcmp(w[0], "limit") == 0) {
        struct rlimit limit = {strtoul(w[1], NULL, 10), RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    } else if (strcmp(w[0], "owe") == 0) {
        mt_kv_set(kv, w[1], mt_slice_of(w[2]), mt_slice_of(w[3]), on_owed, w[2]);
    } else if (strcmp(w[0], "kill") == 0) {
        fflush(stdout);
        raise(SIGKILL);
    } else if (strcmp(w[0], "lock") == 0) {
        lock(file);
    } else if (strcmp(w[0], "hold") == 0) {
        puts("holding");
        fflush(stdout);
        pause();
    } else if (strcmp(w[0], "shell") == 0) {
        /* What happens to the file while this process has it open. */
        if (system(w[1]) != 0)
            exit(2);
    } else {
        exit(2);
    }
    wait_all();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    char shell[] = "shell";
    loop = mt_loop_new();
    kv = mt_kv_new(loop, strcmp(argv[1], "memory") == 0 ? NULL : argv[1]);
    for (int i = 2; i < argc; i++) {
        char *words[WORDS] = {argv[i]}, *rest = NULL;
        if (strncmp(argv[i], "shell ", 6) == 0) {
            words[0] = shell;
            words[1] = argv[i] + 6;
        } else {
            int n = 0;
            for (char *word = strtok_r(argv[i], " ", &rest); word && n < WORDS;
                 word = strtok_r(NULL, " ", &rest))
                words[n++] = word;
        }
        run(argv[1], words);
    }
    mt_kv_free(kv);
    mt_loop_free(loop);
    mt_log_flush();
    return code;
}
