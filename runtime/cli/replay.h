/* Private to cli/: raw items of a bundle's handlers, with recordings as their network. One thread. */
#ifndef MT_CLI_REPLAY_H
#define MT_CLI_REPLAY_H

#include "bundle/bundle.h"
#include "cli/items.h"

struct mt_replay;

/* recordings: files, ended by NULL. On success the bundle is the replay's, and *bundle stays valid as long.
 */
enum mt_rc mt_replay_new(struct mt_bundle **bundle, const char *const *recordings, struct mt_replay **out,
                         struct mt_err *err);
void mt_replay_free(struct mt_replay *r);
/* Runs the handlers of one resource of the bundle's mapping; the items are then in out, whose stream is a
 * file without a name: the caller closes it and calls mt_items_fini, also after an error. MT_ESCRIPT: the
 * handlers did not end normally; out has what they gave before. */
enum mt_rc mt_replay_items(struct mt_replay *r, unsigned resource, struct mt_items *out, struct mt_err *err);

#endif
