/* The script host: one Lua state of one bundle. It is made on any thread; everything else here is for the
 * loop's thread. When its last run has ended it collects its garbage in small steps between other events. */
#ifndef MT_SCRIPT_HOST_H
#define MT_SCRIPT_HOST_H

#include "base/library.h"
#include "net/http.h"
#include "net/pool.h"
#include "json/document.h"

struct mt_host;
struct mt_run; /* one handler at work */

struct mt_budgets {    /* 0: the default */
    size_t memory;     /* bytes of Lua and of the documents that it holds; 256 MiB */
    uint32_t burst_ms; /* CPU between two yields; 1000 */
    uint32_t total_ms; /* CPU of one handler; 15 min */
    uint32_t load_ms;  /* CPU of loading the bundle; 500 */
};

/* Small values that outlive a generation: tide.kv, kept in the state file (state/kv.h). Loop thread; done is
 * called once, never before the call returns: value is JSON text, {NULL,0} when there is none (valid for the
 * call); err is NULL or what failed. A done that is owed when the host is freed is still called. */
struct mt_host_kv {
    void (*get)(void *ud, struct mt_slice key,
                void (*done)(void *done_ud, struct mt_slice value, const struct mt_err *err), void *done_ud);
    void (*set)(void *ud, struct mt_slice key, struct mt_slice value, /* {NULL,0}: removes it */
                void (*done)(void *done_ud, struct mt_slice value, const struct mt_err *err), void *done_ud);
    void *ud;
};

struct mt_host_options {
    struct mt_loop *loop;
    struct mt_http *http;
    struct mt_pool *pool;
    const char *name; /* of the bundle, for messages */
    /* Reads a source file of the bundle: "main.lua". */
    enum mt_rc (*read)(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err);
    void *read_ud;
    struct mt_val config;                                 /* the integration's values; a reference is kept */
    bool (*is_sensitive)(void *ud, struct mt_slice name); /* of a config member */
    void *sensitive_ud;
    struct mt_http_stats *stats; /* of the third party's requests; may be NULL */
    uint32_t client_timeout_ms;  /* default timeout of a request; 0: 60 s */
    bool insecure_tls;
    struct mt_budgets budgets;
    const struct mt_http_tape *tape; /* recordings in place of the network, or of it; may be NULL */
    const struct mt_reach *reach;    /* hosts that the bundle may talk to; NULL: any */
    const struct mt_host_kv *kv;     /* tide.kv; NULL: its calls raise */
    const struct mt_log_fields *log; /* what log lines of this state carry (base/log.h); may be NULL */
};

/* Makes the state and runs main.lua (no I/O at load). MT_ESCRIPT with file, line and traceback. Any thread:
 * the state touches neither loop nor client until its first run, which is where it becomes the loop thread's.
 * One that never ran may be freed on any thread. */
enum mt_rc mt_host_new(const struct mt_host_options *options, struct mt_host **out, struct mt_err *err);
void mt_host_free(struct mt_host *host);          /* cancels what still runs */
void mt_host_libraries(struct mt_library out[2]); /* Lua, libsodium; main thread */

/* Is there any on_resync handler? (R-LIS-03, R-INIT-04) They are registered at load only. */
bool mt_host_has_resync(const struct mt_host *host);
bool mt_host_handles(const struct mt_host *host,
                     struct mt_slice kind); /* on_resync for this kind, or for every kind */
/* Selector members that the handlers of this kind read so far, to name the options that nobody read: member
 * names of the selector. */
bool mt_host_selector_was_read(const struct mt_host *host, struct mt_slice kind, struct mt_slice member);

/* A batch that a handler yielded: an array whose elements are objects. */
struct mt_batch {
    struct mt_doc *doc; /* root is the array; the receiver owns this reference */
    char *scope;        /* names joined by '/', "" outside of any; the receiver frees it */
};

/* What a run proved, and what it did not (architecture 3.4.1). */
struct mt_run_result {
    bool ok; /* ended normally: no uncaught error, not cancelled */
    bool canceled;
    char *error;          /* message with file, line and traceback; NULL when ok */
    struct mt_run_fault { /* failed requests, open page chains, refused batches, failed scopes */
        char *scope;      /* "" : the whole kind */
        char *message;
    } * faults;
    size_t fault_count;
    uint64_t pages; /* pages read by :pages */
};

struct mt_run_options {
    struct mt_slice kind; /* {NULL,0}: a hook */
    unsigned index;
    struct mt_val selector;
    /* A batch. Returns true when there is room for more; false parks the coroutine until mt_run_resume. Never
     * NULL for a kind. */
    bool (*on_batch)(void *ud, struct mt_run *run, struct mt_batch batch);
    /* The end; result's strings are borrowed for the call. The run is freed after it returns. */
    void (*on_end)(void *ud, struct mt_run *run, const struct mt_run_result *result);
    void *ud;
};

/* Starts the handlers of a kind: those of the kind in the order of their registration, then those for every
 * kind (R-RES-05), one after another. */
enum mt_rc mt_run_start(struct mt_host *host, const struct mt_run_options *options, struct mt_run **out,
                        struct mt_err *err);
enum mt_hook { MT_HOOK_START, MT_HOOK_RESYNC_START, MT_HOOK_RESYNC_COMPLETE };
enum mt_rc mt_run_hook(struct mt_host *host, enum mt_hook hook, const struct mt_run_options *options,
                       struct mt_run **out,
                       struct mt_err *err); /* on_batch is not called; a yielded batch is an error */
void mt_run_resume(struct mt_run *run);     /* there is room again */
void mt_run_cancel(struct mt_run *run);     /* on_end follows with canceled */

/* Clears tide.cache: at the start and the end of a resync. Loop thread, no run at work. */
void mt_host_clear_cache(struct mt_host *host);

#endif
