/* Private to state/: the records of a resync in the state file, on the state's thread. */
#ifndef MT_STATE_STORE_H
#define MT_STATE_STORE_H

#include "state/file.h"
#include "state/state.h"

struct mt_store {
    struct mt_file file;
    int64_t identity, run;
    bool incomplete; /* a record of this run could not be written */
    bool partial;    /* nor one of an earlier run, or it did not come to its end */
    bool impatient;  /* the last write waited for a lock in vain */
    sqlite3_stmt *add, *pairs, *forget, *stale, *name, *add_name, *spill, *spilled;
};

/* What a queued record asks for. */
enum mt_store_change { MT_STORE_PRODUCED, MT_STORE_FORGET };

struct mt_store_record {
    struct mt_key key;
    uint32_t resource, scope; /* ids of mt_store_name */
    enum mt_store_change change;
};

enum mt_rc mt_store_open(struct mt_store *s, const struct mt_state_options *options, struct mt_err *err);
void mt_store_close(struct mt_store *s);
/* The id of a resource's or scope's text; made when it is new. */
enum mt_rc mt_store_name(struct mt_store *s, struct mt_slice text, uint32_t *out_id, struct mt_err *err);
/* Writes records in one transaction. */
enum mt_rc mt_store_write(struct mt_store *s, const struct mt_store_record *records, size_t count,
                          struct mt_err *err);
enum mt_rc mt_store_pairs(struct mt_store *s, const struct mt_key *key,
                          void (*each)(void *ud, struct mt_slice resource, struct mt_slice scope), void *ud,
                          struct mt_err *err);
enum mt_rc mt_store_forget_stale(struct mt_store *s, const char *resource, const char *const *keep_scopes,
                                 struct mt_err *err);
/* What mt_state_settle says. */
enum mt_rc mt_store_settle(struct mt_store *s, bool whole, struct mt_err *err);
enum mt_rc mt_store_spill(struct mt_store *s, const char *list, struct mt_slice key, struct mt_slice value,
                          struct mt_err *err);
/* MT_ENOENT: there is none. out may be NULL. */
enum mt_rc mt_store_spilled(struct mt_store *s, const char *list, struct mt_slice key, struct mt_buf *out,
                            struct mt_err *err);

#endif
