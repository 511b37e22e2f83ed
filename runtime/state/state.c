/* The state: a thread that owns the database, a queue of records for it, and calls that wait for it. See
 * state.h.
 *
 * Records collect in one block while the thread writes the last one: the slower the disk, the larger the
 * transactions. A block has a bound; whoever would pass it waits. */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "state/store.h"

enum {
    BLOCK = 8192,
    NAMES = 64,
    LOOK_MS = 500, /* by far longer than mt_state_check_lock of another process holds a lock */
    LOOK_AGAIN_MS = 5
};

/* A call that waits for the thread. */
struct call {
    void (*run)(struct mt_state *s, void *arg);
    void *arg;
    bool done;
    struct call *next;
};

struct mt_state {
    struct mt_store store; /* the thread's */
    bool readonly;
    int lock_file;
    char *lock_path;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    struct mt_store_record *filling, *writing;
    size_t filled;
    bool busy, closing;
    struct call *calls;
    struct mt_err error; /* the first one since the last flush */
    struct name {
        char *text;
        size_t n;
        uint32_t id;
    } names[NAMES]; /* ids of the texts used last; callers' side, under lock */
    unsigned next_name;
};

static void *state_thread(void *arg)
{
    struct mt_state *s = arg;
    pthread_setname_np(pthread_self(), "mt-state");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->filled && !s->calls && !s->closing)
            pthread_cond_wait(&s->work, &s->lock);
        if (s->filled) {
            struct mt_store_record *block = s->filling;
            size_t n = s->filled;
            struct mt_err err = {0};
            s->filling = s->writing;
            s->writing = block;
            s->filled = 0;
            s->busy = true;
            pthread_cond_broadcast(&s->progress);
            pthread_mutex_unlock(&s->lock);
            enum mt_rc rc = mt_store_write(&s->store, block, n, &err);
            pthread_mutex_lock(&s->lock);
            if (rc != MT_OK && s->error.rc == MT_OK)
                s->error = err;
            s->busy = false;
            pthread_cond_broadcast(&s->progress);
            continue; /* a call sees what was queued before it */
        }
        struct call *c = s->calls;
        if (!c)
            break;
        s->calls = c->next;
        pthread_mutex_unlock(&s->lock);
        c->run(s, c->arg);
        pthread_mutex_lock(&s->lock);
        c->done = true;
        pthread_cond_broadcast(&s->progress);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Under the lock. */
static void wait_for(struct mt_state *s, void (*run)(struct mt_state *s, void *arg), void *arg)
{
    struct call c = {.run = run, .arg = arg};
    struct call **at = &s->calls;
    while (*at)
        at = &(*at)->next;
    *at = &c;
    pthread_cond_signal(&s->work);
    while (!c.done)
        pthread_cond_wait(&s->progress, &s->lock);
}

/* ---- the lock of an identity: flock, so that kill -9 lets go of it ---- */

static char *lock_path_of(const struct mt_state_options *o)
{
    struct mt_slice parts[] = {mt_slice_of(o->base_url), mt_slice_of(o->type), mt_slice_of(o->identifier)};
    struct mt_key key = mt_key_of(parts, 3);
    return mt_format("%s.%02x%02x%02x%02x%02x%02x.lock", o->path, key.b[0], key.b[1], key.b[2], key.b[3],
                     key.b[4], key.b[5]);
}

/* Whose lock it is, from the lock file. */
static enum mt_rc held(int file, const struct mt_state_options *o, struct mt_err *err)
{
    char text[128];
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return mt_fail(err, MT_EBUSY,
                   "integration %s is being resynced already on state file %s by %s: wait for it, or "
                   "give this one another identifier "
                   "(OCEAN__INTEGRATION__IDENTIFIER)",
                   o->identifier, o->path, text[0] ? text : "another process");
}

enum mt_rc mt_state_check_lock(const struct mt_state_options *o, struct mt_err *err)
{
    char *path = lock_path_of(o);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (file < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? MT_OK
                   : mt_fail(err, MT_EIO, "cannot open the lock of %s: %s", o->path, strerror(errno));
    enum mt_rc rc = flock(file, LOCK_SH | LOCK_NB) == 0 ? MT_OK : held(file, o, err);
    close(file);
    return rc;
}

unsigned mt_state_damaged_count(void)
{
    return mt_file_damaged_count();
}

struct mt_library mt_state_library(void)
{
    return (struct mt_library){"SQLite", SQLITE_VERSION, sqlite3_libversion(), NULL};
}

static enum mt_rc lock_failed(const struct mt_state *s, const char *what, int cause, struct mt_err *err)
{
    const char *mend = cause == ENOSPC || cause == EDQUOT ? "make room there, or"
                       : cause == EACCES || cause == EPERM || cause == EROFS
                           ? "let this user write its folder, or"
                           : "mend that, or";
    return mt_fail(err, MT_EIO,
                   "the lock file %s of the state file cannot be %s: %s: %s give another state "
                   "file with --state",
                   s->lock_path, what, strerror(cause), mend);
}

/* A look of mt_state_check_lock holds the lock for a moment too, and is no resync. */
static bool lock_exclusively(int file)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000};
    for (int waited_ms = 0; flock(file, LOCK_EX | LOCK_NB) != 0; waited_ms += LOOK_AGAIN_MS) {
        if (waited_ms >= LOOK_MS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static enum mt_rc take_lock(struct mt_state *s, const struct mt_state_options *o, struct mt_err *err)
{
    char text[128], when[MT_ISO_SIZE];
    s->lock_path = lock_path_of(o);
    s->lock_file = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock_file < 0)
        return lock_failed(s, "made", errno, err);
    if (!lock_exclusively(s->lock_file))
        return held(s->lock_file, o, err);
    int n = snprintf(text, sizeof text, "process %ld since %s\n", (long)getpid(),
                     mt_iso_format(mt_wall_us(), when));
    if (ftruncate(s->lock_file, 0) != 0)
        return lock_failed(s, "written", errno, err);
    errno = ENOSPC; /* what a short write means */
    return pwrite(s->lock_file, text, (size_t)n, 0) == n ? MT_OK : lock_failed(s, "written", errno, err);
}

enum mt_rc mt_state_open(const struct mt_state_options *o, struct mt_state **out, struct mt_err *err)
{
    struct mt_state *s = mt_alloc(sizeof *s);
    s->lock_file = -1;
    s->readonly = o->readonly;
    enum mt_rc rc = o->readonly ? MT_OK : take_lock(s, o, err);
    if (rc == MT_OK)
        rc = mt_store_open(&s->store, o, err);
    if (rc != MT_OK) {
        if (s->lock_file >= 0)
            close(s->lock_file);
        free(s->lock_path);
        free(s);
        return rc;
    }
    s->filling = mt_alloc(BLOCK * sizeof *s->filling);
    s->writing = mt_alloc(BLOCK * sizeof *s->writing);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->progress, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&s->thread, NULL, state_thread, s) != 0)
        abort(); /* a process that may not have one thread more cannot work at all */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *out = s;
    return MT_OK;
}

void mt_state_close(struct mt_state *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    mt_store_close(&s->store);
    for (unsigned i = 0; i < NAMES; i++)
        free(s->names[i].text);
    free(s->filling);
    free(s->writing);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->progress);
    if (s->lock_file >= 0)
        close(s->lock_file); /* the file stays: unlinking it would let two processes hold two files of one
                                name */
    free(s->lock_path);
    free(s);
}

/* ---- queued writes ---- */

struct naming {
    struct mt_slice text;
    uint32_t id;
};

static void run_naming(struct mt_state *s, void *arg)
{
    struct naming *n = arg;
    struct mt_err err = {0};
    if (mt_store_name(&s->store, n->text, &n->id, &err) != MT_OK) {
        pthread_mutex_lock(&s->lock);
        if (s->error.rc == MT_OK)
            s->error = err;
        pthread_mutex_unlock(&s->lock);
    }
}

/* Under the lock. 0: it could not be written. */
static uint32_t name_id(struct mt_state *s, struct mt_slice text)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (s->names[i].text && s->names[i].n == text.n && memcmp(s->names[i].text, text.p, text.n) == 0)
            return s->names[i].id;
    struct naming naming = {.text = text};
    wait_for(s, run_naming, &naming);
    struct name *slot = &s->names[s->next_name++ % NAMES];
    if (naming.id) {
        free(slot->text);
        *slot = (struct name){mt_slice_dup(text), text.n, naming.id};
    }
    return naming.id;
}

/* Under the lock. */
static void queue(struct mt_state *s, const struct mt_store_record *record)
{
    while (s->filled == BLOCK)
        pthread_cond_wait(&s->progress, &s->lock);
    s->filling[s->filled++] = *record;
    if (s->filled == 1)
        pthread_cond_signal(&s->work);
}

void mt_state_produced(struct mt_state *s, const struct mt_key *key, struct mt_slice resource,
                       struct mt_slice scope)
{
    if (s->readonly)
        return;
    pthread_mutex_lock(&s->lock);
    struct mt_store_record record = {*key, name_id(s, resource), name_id(s, scope), MT_STORE_PRODUCED};
    if (record.resource && record.scope)
        queue(s, &record);
    pthread_mutex_unlock(&s->lock);
}

void mt_state_forget(struct mt_state *s, const struct mt_key *key)
{
    if (s->readonly)
        return;
    pthread_mutex_lock(&s->lock);
    queue(s, &(struct mt_store_record){.key = *key, .change = MT_STORE_FORGET});
    pthread_mutex_unlock(&s->lock);
}

enum mt_rc mt_state_flush(struct mt_state *s, struct mt_err *err)
{
    pthread_mutex_lock(&s->lock);
    while (s->filled || s->busy)
        pthread_cond_wait(&s->progress, &s->lock);
    struct mt_err first = s->error;
    s->error = (struct mt_err){0};
    pthread_mutex_unlock(&s->lock);
    if (first.rc != MT_OK && err)
        *err = first;
    return first.rc;
}

/* ---- calls that wait ---- */

struct question {
    const struct mt_key *key;
    void (*each)(void *ud, struct mt_slice resource, struct mt_slice scope);
    void *ud;
    const char *name;
    const char *const *keep;
    bool whole;
    struct mt_slice list_key, value;
    struct mt_buf *out;
    struct mt_err *err;
    enum mt_rc rc;
};

static enum mt_rc ask(struct mt_state *s, void (*run)(struct mt_state *s, void *arg), struct question *q)
{
    pthread_mutex_lock(&s->lock);
    wait_for(s, run, q);
    pthread_mutex_unlock(&s->lock);
    return q->rc;
}

static void run_pairs(struct mt_state *s, void *arg)
{
    struct question *q = arg;
    q->rc = mt_store_pairs(&s->store, q->key, q->each, q->ud, q->err);
}

enum mt_rc mt_state_pairs(struct mt_state *s, const struct mt_key *key,
                          void (*each)(void *ud, struct mt_slice resource, struct mt_slice scope), void *ud,
                          struct mt_err *err)
{
    return ask(s, run_pairs, &(struct question){.key = key, .each = each, .ud = ud, .err = err});
}

static void run_forget_stale(struct mt_state *s, void *arg)
{
    struct question *q = arg;
    q->rc = mt_store_forget_stale(&s->store, q->name, q->keep, q->err);
}

enum mt_rc mt_state_forget_stale(struct mt_state *s, const char *resource, const char *const *keep_scopes,
                                 struct mt_err *err)
{
    if (s->readonly)
        return MT_OK;
    return ask(s, run_forget_stale, &(struct question){.name = resource, .keep = keep_scopes, .err = err});
}

bool mt_state_is_partial(const struct mt_state *s)
{
    return s->store.partial; /* settled when the state was opened */
}

static void run_settle(struct mt_state *s, void *arg)
{
    struct question *q = arg;
    q->rc = mt_store_settle(&s->store, q->whole, q->err);
}

enum mt_rc mt_state_settle(struct mt_state *s, bool whole, struct mt_err *err)
{
    if (s->readonly)
        return MT_OK;
    return ask(s, run_settle, &(struct question){.whole = whole, .err = err});
}

static void run_spill(struct mt_state *s, void *arg)
{
    struct question *q = arg;
    q->rc = mt_store_spill(&s->store, q->name, q->list_key, q->value, q->err);
}

enum mt_rc mt_state_spill(struct mt_state *s, const char *list, struct mt_slice key, struct mt_slice value,
                          struct mt_err *err)
{
    return ask(s, run_spill, &(struct question){.name = list, .list_key = key, .value = value, .err = err});
}

static void run_spilled(struct mt_state *s, void *arg)
{
    struct question *q = arg;
    q->rc = mt_store_spilled(&s->store, q->name, q->list_key, q->out, q->err);
}

bool mt_state_spilled(struct mt_state *s, const char *list, struct mt_slice key)
{
    return ask(s, run_spilled, &(struct question){.name = list, .list_key = key}) == MT_OK;
}

enum mt_rc mt_state_spilled_value(struct mt_state *s, const char *list, struct mt_slice key,
                                  struct mt_buf *out, struct mt_err *err)
{
    return ask(s, run_spilled, &(struct question){.name = list, .list_key = key, .out = out, .err = err});
}
