/* tide.kv on disk: a queue of requests, the thread that answers them, and its statements. See kv.h.
 *
 * The thread takes everything that waits (up to a bound) as one batch and commits it in one transaction: the
 * slower the disk, the larger the transactions. Requests belong to the queue, then to the thread, then to the
 * list of answers; each list is under the lock. A file that was removed or moved aside (by the repair of
 * another connection, file.h) is noticed before each batch and opened anew. */
#include "state/kv.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "state/file.h"

enum { BATCH = 256 };

struct request {
    struct request *next;
    char *section;
    struct mt_slice key, value; /* of this record; of a get: the answer, owned by `text` */
    struct mt_buf text;
    bool set, none;
    bool refused;      /* never reaches the file; err says why */
    struct mt_err err; /* rc MT_OK: it went well */
    void (*done)(void *ud, struct mt_slice value, const struct mt_err *err);
    void *ud;
    char bytes[]; /* key, then value */
};

struct list {
    struct request *first, **last;
};

/* Posted to the loop; outlives the kv when that is freed while a call is owed. */
struct mailbox {
    struct mt_kv *kv;
    bool posted; /* under the lock */
};

struct mt_kv {
    struct mt_loop *loop;
    char *path;
    bool draft;
    bool started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting, answered; /* under the lock */
    bool closing;                  /* under the lock */
    struct mailbox *mailbox;

    struct mt_file file; /* the thread's, as all below; db NULL: not open */
    sqlite3_stmt *get, *update, *insert, *count, *remove;
    sqlite3_stmt *get_draft, *set_draft;
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_put(struct list *list, struct request *r)
{
    r->next = NULL;
    *list->last = r;
    list->last = &r->next;
}

static struct request *list_take(struct list *list)
{
    struct request *r = list->first;
    if (r && !(list->first = r->next))
        list->last = &list->first;
    return r;
}

/* ---- the database, on the kv's thread ---- */

static void close_file(struct mt_kv *kv)
{
    sqlite3_stmt **all[] = {&kv->get,    &kv->update,    &kv->insert,   &kv->count,
                            &kv->remove, &kv->get_draft, &kv->set_draft};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
    if (kv->file.db)
        mt_file_close(&kv->file);
}

static bool prepare(struct mt_kv *kv, sqlite3_stmt **out, const char *sql)
{
    return sqlite3_prepare_v3(kv->file.db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK;
}

static bool prepare_all(struct mt_kv *kv)
{
    return prepare(kv, &kv->get, "SELECT value FROM kv WHERE section = ?1 AND key = ?2") &&
           (!kv->draft ||
            (prepare(kv, &kv->get_draft, "SELECT value FROM draft WHERE section = ?1 AND key = ?2") &&
             prepare(kv, &kv->set_draft,
                     "INSERT OR REPLACE INTO draft(section, key, value) VALUES(?1, ?2, ?3)"))) &&
           (kv->draft ||
            (prepare(kv, &kv->update, "UPDATE kv SET value = ?3 WHERE section = ?1 AND key = ?2") &&
             prepare(kv, &kv->insert, "INSERT INTO kv(section, key, value) VALUES(?1, ?2, ?3)") &&
             prepare(kv, &kv->count, "SELECT count(*) FROM kv WHERE section = ?1") &&
             prepare(kv, &kv->remove, "DELETE FROM kv WHERE section = ?1 AND key = ?2")));
}

/* A draft lives in the connection: it keeps the file that it was begun with. */
static enum mt_rc open_file(struct mt_kv *kv, struct mt_err *err)
{
    if (kv->file.db && (kv->draft || mt_file_is_current(&kv->file)))
        return MT_OK;
    close_file(kv);
    enum mt_rc rc = mt_file_open(&kv->file, kv->path, kv->draft && kv->path, err);
    if (rc == MT_OK) /* values are few and rarely read twice */
        rc = mt_file_execute(&kv->file, "PRAGMA cache_size = -256", err);
    if (rc == MT_OK && kv->draft)
        rc = mt_file_execute(&kv->file, "CREATE TEMP TABLE draft(section, key, value, UNIQUE(section, key))",
                             err);
    if (rc == MT_OK && !prepare_all(kv))
        rc = mt_file_failed(&kv->file, "cannot be read", err);
    if (rc != MT_OK)
        close_file(kv);
    return rc;
}

static void bind(sqlite3_stmt *st, const struct request *r)
{
    sqlite3_bind_text(st, 1, r->section, -1, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(st) > 1)
        sqlite3_bind_blob64(st, 2, r->key.p, r->key.n, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(st) > 2) {
        if (r->none)
            sqlite3_bind_null(st, 3);
        else
            sqlite3_bind_blob64(st, 3, r->value.p, r->value.n, SQLITE_STATIC);
    }
}

static bool run(sqlite3_stmt *st, const struct request *r)
{
    bind(st, r);
    const bool ok = sqlite3_step(st) == SQLITE_DONE;
    sqlite3_reset(st);
    return ok;
}

/* *out_row: there is one (of a draft also a removal). */
static enum mt_rc read_value(struct mt_kv *kv, sqlite3_stmt *st, struct request *r, bool *out_row)
{
    bind(st, r);
    const int step = sqlite3_step(st);
    *out_row = step == SQLITE_ROW;
    r->err.rc = MT_OK;
    r->none = true;
    mt_buf_clear(&r->text);
    if (*out_row && sqlite3_column_type(st, 0) != SQLITE_NULL) {
        const void *p = sqlite3_column_blob(st, 0);
        if (mt_buf_add(&r->text, p ? p : "", (size_t)sqlite3_column_bytes(st, 0)))
            r->none = false;
        else
            mt_fail(&r->err, MT_ENOMEM, "no memory for a value of tide.kv");
    } else if (step != SQLITE_ROW && step != SQLITE_DONE) {
        mt_file_failed(&kv->file, "cannot be read", &r->err);
    }
    sqlite3_reset(st);
    return r->err.rc;
}

static enum mt_rc get(struct mt_kv *kv, struct request *r)
{
    bool row = false;
    if (kv->draft && (read_value(kv, kv->get_draft, r, &row) != MT_OK || row))
        return r->err.rc;
    return read_value(kv, kv->get, r, &row);
}

static enum mt_rc insert(struct mt_kv *kv, struct request *r)
{
    bind(kv->count, r);
    int64_t entries = sqlite3_step(kv->count) == SQLITE_ROW ? sqlite3_column_int64(kv->count, 0) : 0;
    const bool ok = sqlite3_reset(kv->count) == SQLITE_OK;
    if (ok && entries >= MT_KV_ENTRIES_MAX)
        return mt_fail(
            &r->err, MT_ELIMIT,
            "tide.kv holds %d values already, the most that it takes: delete some, or keep several "
            "in one value",
            MT_KV_ENTRIES_MAX);
    return ok && run(kv->insert, r) ? MT_OK : mt_file_failed(&kv->file, "cannot be written", &r->err);
}

static enum mt_rc set(struct mt_kv *kv, struct request *r)
{
    sqlite3_stmt *st = kv->draft ? kv->set_draft : r->none ? kv->remove : kv->update;
    if (!run(st, r))
        return mt_file_failed(&kv->file, "cannot be written", &r->err);
    return kv->draft || r->none || sqlite3_changes(kv->file.db) > 0 ? MT_OK : insert(kv, r);
}

/* An absent file holds nothing, and reading does not make it. */
static bool is_absent(const struct mt_kv *kv)
{
    return kv->path && access(kv->path, F_OK) != 0;
}

static void fail_all(struct request *first, const struct mt_err *err, bool sets_only)
{
    for (struct request *r = first; r; r = r->next)
        if (r->err.rc == MT_OK && (r->set || !sets_only))
            r->err = *err;
}

/* All that the batch sets is one transaction: of a set that broke it none is kept, and each says so. Too many
 * values is that set's own failure. */
static enum mt_rc write_batch(struct mt_kv *kv, struct request *first, bool *out_damaged, struct mt_err *err)
{
    enum mt_rc rc = mt_file_execute(&kv->file, "BEGIN IMMEDIATE", err);
    for (struct request *r = first; rc == MT_OK && r; r = r->next) {
        if (r->refused)
            continue;
        rc = r->set ? set(kv, r) : get(kv, r);
        if (rc == MT_ELIMIT || rc == MT_ENOMEM)
            rc = MT_OK;
        else if (rc != MT_OK)
            *err = r->err;
    }
    if (rc == MT_OK)
        rc = mt_file_execute(&kv->file, "COMMIT", err);
    if (rc != MT_OK) {
        *out_damaged = mt_file_is_damaged(&kv->file);
        sqlite3_exec(kv->file.db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc;
}

/* Reads, and what a draft sets, in order and each by itself. */
static void serve_each(struct mt_kv *kv, struct request *first, bool *out_damaged)
{
    for (struct request *r = first; r; r = r->next) {
        if (r->refused || (r->set && !kv->draft))
            continue;
        if ((r->set ? set(kv, r) : get(kv, r)) != MT_OK && mt_file_is_damaged(&kv->file))
            *out_damaged = true;
    }
}

static void serve(struct mt_kv *kv, struct request *first)
{
    struct mt_err err;
    bool sets = false, damaged = false;
    for (struct request *r = first; r; r = r->next)
        sets = sets || r->set;
    if (!sets && !kv->file.db && is_absent(kv)) {
        for (struct request *r = first; r; r = r->next)
            r->none = true;
        return;
    }
    if (open_file(kv, &err) != MT_OK) {
        fail_all(first, &err, false);
        return;
    }
    if (!sets || kv->draft) {
        serve_each(kv, first, &damaged);
    } else if (write_batch(kv, first, &damaged, &err) != MT_OK) {
        fail_all(first, &err, true);
        serve_each(kv, first, &damaged); /* what was there before the batch */
    }
    if (damaged) /* opened anew by the next call, which repairs it */
        close_file(kv);
}

/* ---- the thread ---- */

static void deliver(struct mt_kv *kv)
{
    for (;;) {
        pthread_mutex_lock(&kv->lock);
        struct request *r = list_take(&kv->answered);
        pthread_mutex_unlock(&kv->lock);
        if (!r)
            return;
        const bool value = !r->set && !r->none && r->err.rc == MT_OK;
        r->done(r->ud, value ? mt_buf_slice(&r->text) : (struct mt_slice){NULL, 0},
                r->err.rc == MT_OK ? NULL : &r->err);
        mt_buf_fini(&r->text);
        free(r->section);
        free(r);
    }
}

static void on_posted(void *arg)
{
    struct mailbox *m = arg;
    struct mt_kv *kv = m->kv;
    if (!kv) {
        free(m);
        return;
    }
    pthread_mutex_lock(&kv->lock);
    m->posted = false;
    pthread_mutex_unlock(&kv->lock);
    deliver(kv);
}

/* Under the lock: the first of what waits, at most BATCH of them, as a list. */
static struct request *take_batch(struct mt_kv *kv)
{
    struct list batch;
    list_init(&batch);
    for (int i = 0; i < BATCH && kv->waiting.first; i++)
        list_put(&batch, list_take(&kv->waiting));
    return batch.first;
}

static void *kv_thread(void *arg)
{
    struct mt_kv *kv = arg;
    pthread_setname_np(pthread_self(), "mt-kv");
    pthread_mutex_lock(&kv->lock);
    for (;;) {
        while (!kv->waiting.first && !kv->closing)
            pthread_cond_wait(&kv->work, &kv->lock);
        struct request *batch = take_batch(kv);
        if (!batch)
            break;
        pthread_mutex_unlock(&kv->lock);
        serve(kv, batch);
        pthread_mutex_lock(&kv->lock);
        while (batch) {
            struct request *next = batch->next;
            list_put(&kv->answered, batch);
            batch = next;
        }
        if (!kv->mailbox->posted && !kv->closing) {
            kv->mailbox->posted = true;
            mt_loop_post(kv->loop, on_posted, kv->mailbox);
        }
    }
    pthread_mutex_unlock(&kv->lock);
    close_file(kv);
    return NULL;
}

/* ---- kv.h ---- */

struct mt_kv *mt_kv_new(struct mt_loop *loop, const char *path)
{
    struct mt_kv *kv = mt_alloc(sizeof *kv);
    kv->loop = loop;
    kv->path = mt_strdup(path);
    kv->mailbox = mt_alloc(sizeof *kv->mailbox);
    kv->mailbox->kv = kv;
    list_init(&kv->waiting);
    list_init(&kv->answered);
    pthread_mutex_init(&kv->lock, NULL);
    pthread_cond_init(&kv->work, NULL);
    return kv;
}

void mt_kv_keep_draft(struct mt_kv *kv)
{
    kv->draft = true;
}

void mt_kv_free(struct mt_kv *kv)
{
    if (!kv)
        return;
    pthread_mutex_lock(&kv->lock);
    kv->closing = true;
    pthread_cond_signal(&kv->work);
    pthread_mutex_unlock(&kv->lock);
    if (kv->started)
        pthread_join(kv->thread, NULL);
    deliver(kv);
    kv->mailbox->kv = NULL;
    if (!kv->mailbox->posted)
        free(kv->mailbox);
    pthread_mutex_destroy(&kv->lock);
    pthread_cond_destroy(&kv->work);
    free(kv->path);
    free(kv);
}

static void start(struct mt_kv *kv)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&kv->thread, NULL, kv_thread, kv) != 0)
        abort(); /* a process that may not have one thread more cannot work at all */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    kv->started = true;
}

static void ask(struct mt_kv *kv, const char *section, struct mt_slice key, struct mt_slice value, bool set,
                void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *ud)
{
    struct mt_err refusal = {0};
    if (key.n == 0 || key.n > MT_KV_KEY_MAX)
        mt_fail(&refusal, MT_ELIMIT, "a key of tide.kv has 1 to %d bytes, this one has %zu", MT_KV_KEY_MAX,
                key.n);
    else if (value.n > MT_KV_VALUE_MAX)
        mt_fail(&refusal, MT_ELIMIT,
                "a value of tide.kv has up to %d bytes as JSON, this one of key \"%.*s\" has %zu",
                MT_KV_VALUE_MAX, (int)(key.n < MT_FOREIGN ? key.n : MT_FOREIGN), key.p, value.n);
    if (refusal.rc != MT_OK)
        key.n = value.n = 0;
    struct request *r = mt_alloc(sizeof *r + key.n + value.n);
    r->section = mt_strdup(section);
    r->set = set;
    r->none = !value.p;
    r->refused = refusal.rc != MT_OK;
    r->err = refusal;
    r->done = done;
    r->ud = ud;
    mt_buf_init(&r->text, MT_KV_VALUE_MAX);
    r->key = (struct mt_slice){r->bytes, key.n};
    r->value = (struct mt_slice){r->bytes + key.n, value.n};
    if (key.n)
        memcpy(r->bytes, key.p, key.n);
    if (value.n)
        memcpy(r->bytes + key.n, value.p, value.n);
    if (!kv->started)
        start(kv);
    pthread_mutex_lock(&kv->lock);
    list_put(&kv->waiting, r);
    pthread_cond_signal(&kv->work);
    pthread_mutex_unlock(&kv->lock);
}

void mt_kv_get(struct mt_kv *kv, const char *section, struct mt_slice key,
               void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *ud)
{
    ask(kv, section, key, (struct mt_slice){NULL, 0}, false, done, ud);
}

void mt_kv_set(struct mt_kv *kv, const char *section, struct mt_slice key, struct mt_slice value,
               void (*done)(void *ud, struct mt_slice value, const struct mt_err *err), void *ud)
{
    ask(kv, section, key, value, true, done, ud);
}
