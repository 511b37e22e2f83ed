/* The integration's record and what it reports about itself: mapping, resync state and request, examples,
 * metrics, errors; and the default resources that are only kept (A-INT, A-EX, A-MET, A-LOG, A-BP-11 to 13).
 * The catalog's thread only. Functions that give bool give false when the request is refused. */
#ifndef MT_CATALOG_INTEGRATION_H
#define MT_CATALOG_INTEGRATION_H

#include "catalog/refusal.h"
#include "catalog/store.h"
#include "json/document.h"

/* Appends the integration as an object, with ingest addresses below url. */
bool mt_cat_integration_write(struct mt_cat_store *s, struct mt_slice id, const char *url, struct mt_buf *out,
                              struct mt_cat_refusal *why);
/* A-INT-06; id: that of the body. */
bool mt_cat_integration_create(struct mt_cat_store *s, struct mt_val body, struct mt_slice *id,
                               struct mt_cat_refusal *why);
/* Replaces the named members (A-SRV-14). resync: a mapping that changed raises a resync request. */
bool mt_cat_integration_patch(struct mt_cat_store *s, struct mt_slice id, struct mt_val body, bool resync,
                              struct mt_cat_refusal *why);
bool mt_cat_integration_delete(struct mt_cat_store *s, struct mt_slice id, struct mt_cat_refusal *why);
/* A-INT-16, A-INT-17 */
bool mt_cat_integration_state(struct mt_cat_store *s, struct mt_slice id, struct mt_val state,
                              struct mt_cat_refusal *why);

/* A-INT-20: appends the request as an object, {} for none. */
bool mt_cat_request_write(struct mt_cat_store *s, struct mt_slice id, struct mt_buf *out,
                          struct mt_cat_refusal *why);
bool mt_cat_request_raise(struct mt_cat_store *s, struct mt_slice id, struct mt_cat_refusal *why);

/* A-EX-01: the last five of a kind are kept. */
bool mt_cat_examples_add(struct mt_cat_store *s, struct mt_slice id, struct mt_slice kind, struct mt_val body,
                         struct mt_cat_refusal *why);
bool mt_cat_examples_write(struct mt_cat_store *s, struct mt_slice id, struct mt_slice kind,
                           struct mt_buf *out, struct mt_cat_refusal *why);

/* One kindMetric (A-MET-03); the last one of a kind in a resync is kept. */
bool mt_cat_metric_put(struct mt_cat_store *s, struct mt_val metric, struct mt_cat_refusal *why);
/* A-LOG-01: errors are kept with the integration's last resync; user_agent says whose they are. */
bool mt_cat_logs_add(struct mt_cat_store *s, struct mt_slice user_agent, struct mt_val body,
                     struct mt_cat_refusal *why);

/* kind: "scorecard" (of a blueprint), "action", "page". One that exists is replaced: the embedded catalog's
 * client sends its files again at every start. */
bool mt_cat_resource_put(struct mt_cat_store *s, const char *kind, struct mt_slice blueprint,
                         struct mt_val body, struct mt_cat_refusal *why);

#endif
