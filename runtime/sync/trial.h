/* A trial: the handlers of one kind run once, offline or against the real API, and what they yield is mapped;
 * Port is not there. For `moontide test`, `map --replay` and `record`. */
#ifndef MT_SYNC_TRIAL_H
#define MT_SYNC_TRIAL_H

#include "net/http.h"
#include "sync/source.h"

/* A bundle made ready for trials: a loop, a client, a worker and a Lua state of its own. tide.kv is kept in
 * memory. */
struct mt_trial;

struct mt_trial_options {
    struct mt_version *version;      /* a reference is taken */
    const struct mt_http_tape *tape; /* borrowed; NULL: the network */
};
/* Runs main.lua. The calling thread becomes the loop's, for this and every later call. */
enum mt_rc mt_trial_new(const struct mt_trial_options *options, struct mt_trial **out, struct mt_err *err);
void mt_trial_free(struct mt_trial *t);
struct mt_loop *mt_trial_loop(struct mt_trial *t);
/* The run under way ends as cancelled, and no other starts. Loop thread: for a signal. */
void mt_trial_cancel(struct mt_trial *t);
const struct mt_appconfig *mt_trial_mapping(const struct mt_trial *t); /* the bundle's; never NULL */

/* Hooks on_start and on_resync_start (the first time), then the handlers of every resource of the kind in the
 * bundle's mapping. A selector (an object) has one run, of the first such resource: its members replace those
 * of the mapping's selector, null removes one. Appends to out one JSON object:
 * {"ok":bool, whether a resync would count the kind as complete
 *  "error":text|null, the first reason why not
 *  "faults":[{"scope","message"}],"batches":[[item,…],…],"entities":[entity,…],
 *  "errors":[{"batch","item","message"}], items that failed, counted from 1
 *  "empty":[{"field","count","message"}], mapped fields that gave null
 *  "requests":[{"method","url","status","headers","body"}], every transmission; status 0: no answer
 *  "unknown":[text]} requests that the tape knows no answer to
 * MT_EINVAL: no such kind, a mapping that does not compile. A handler that raised is no error of the call. */
enum mt_rc mt_trial_run(struct mt_trial *t, const char *kind, struct mt_val selector, struct mt_buf *out,
                        struct mt_err *err);
/* Only the raw batches of one resource of the mapping, each given to `each` as it is yielded; false: enough,
 * the handlers are cancelled. MT_ESCRIPT: they did not end normally, or a request failed; what was yielded
 * before was given. MT_ECANCELED after mt_trial_cancel. */
enum mt_rc mt_trial_items(struct mt_trial *t, unsigned resource, bool (*each)(void *ud, struct mt_val batch),
                          void *ud, struct mt_err *err);

#endif
