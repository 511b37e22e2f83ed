/* Raw items out of a bundle's handlers: see replay.h. They go through a file, so that memory follows the
 * batch. */
#include "cli/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/recording.h"
#include "sync/trial.h"

extern char **environ;

struct mt_replay {
    struct mt_recordings *recordings;
    struct mt_version *version;
    struct mt_trial *trial;
    FILE *file; /* of the items under way */
};

enum mt_rc mt_replay_new(struct mt_bundle **bundle, const char *const *recordings, struct mt_replay **out,
                         struct mt_err *err)
{
    struct mt_replay *r = mt_alloc(sizeof *r);
    struct mt_config *config = NULL;
    enum mt_rc rc = MT_OK;
    r->recordings = mt_recordings_new();
    for (; rc == MT_OK && *recordings; recordings++)
        rc = mt_recordings_read(r->recordings, *recordings, err);
    if (rc == MT_OK)
        rc = mt_config_load(*bundle, environ, NULL, &config, err);
    if (rc == MT_OK) {
        r->version = mt_version_new(*bundle, config);
        struct mt_trial_options options = {.version = r->version, .tape = mt_recordings_tape(r->recordings)};
        rc = mt_trial_new(&options, &r->trial, err);
        *bundle = NULL; /* the version frees it */
    }
    if (rc == MT_OK)
        *out = r;
    else
        mt_replay_free(r);
    return rc;
}

void mt_replay_free(struct mt_replay *r)
{
    if (!r)
        return;
    mt_trial_free(r->trial);
    mt_version_unref(r->version);
    mt_recordings_free(r->recordings);
    mt_mask_forget();
    free(r);
}

static bool write_batch(void *ud, struct mt_val batch)
{
    struct mt_replay *r = ud;
    struct mt_slice none;
    struct mt_val item;
    for (struct mt_iter it = mt_iter_of(batch); mt_iter_next(&it, &none, &item);) {
        struct mt_buf line;
        mt_buf_init(&line, MT_ITEM_MAX);
        mt_val_write(item, &line);
        mt_buf_putc(&line, '\n');
        fwrite(line.p, 1, line.n, r->file);
        mt_buf_fini(&line);
    }
    return !ferror(r->file);
}

enum mt_rc mt_replay_items(struct mt_replay *r, unsigned resource, struct mt_items *out, struct mt_err *err)
{
    r->file = tmpfile();
    mt_items_init(out, r->file);
    if (!r->file)
        return mt_fail(err, MT_EIO, "no temporary file can be made for the items: %s", strerror(errno));
    enum mt_rc rc = mt_trial_items(r->trial, resource, write_batch, r, err);
    if (fflush(r->file) != 0 || ferror(r->file))
        rc = mt_fail(err, MT_EIO, "the items cannot be written to a temporary file: %s", strerror(errno));
    rewind(r->file);
    return rc;
}
