/* Port's entities: search, upsert, ownership listing, delete (A-ENT). Calls block; bodies are written by the
 * caller where they are large. */
#ifndef MT_PORT_ENTITIES_H
#define MT_PORT_ENTITIES_H

#include "port/port.h"

enum {
    MT_BULK_ENTITIES = 20,       /* A-ENT-11, the default of upsert_entities_batch_max_length */
    MT_BULK_BYTES = 1024 * 1024, /* A-ENT-11, upsert_entities_batch_max_size_in_bytes */
    MT_BULK_DELETES = 100,       /* A-ENT-20 */
    MT_LISTING_PAGE = 5000       /* A-ENT-23 */
};

/* The entities of one blueprint that this integration owns and whose identifier is in `identifiers` (a JSON
 * array): {"entities":[…]} with just the members named in `include` ("&include=…" query text, escaped).
 * A-ENT-27…29. */
enum mt_rc mt_entities_search(struct mt_port *port, const char *type, const char *identifier,
                              struct mt_slice blueprint, struct mt_slice identifiers, struct mt_slice include,
                              struct mt_doc **out, struct mt_err *err);

struct mt_upsert_options {
    bool merge, create_missing;
};
/* One bulk upsert; body is {"entities":[…]}. status 413 and other refusals of the whole batch come as
 * MT_EHTTP. A-ENT-10…14. */
enum mt_rc mt_entities_upsert(struct mt_port *port, struct mt_slice blueprint,
                              const struct mt_upsert_options *options, struct mt_slice body,
                              struct mt_doc **out, struct mt_err *err);

/* One page of the ownership listing: {"entities":[…],"next"}. from: the last page's next, or {NULL,0}.
 * A-ENT-23…26. */
enum mt_rc mt_entities_owned(struct mt_port *port, const char *type, const char *identifier,
                             const char *before, struct mt_slice from, struct mt_doc **out,
                             struct mt_err *err);

/* Deletes identifiers (a JSON array of at most MT_BULK_DELETES); the answer is {"deletedEntities":[…]}.
 * A-ENT-19…22. */
enum mt_rc mt_entities_delete(struct mt_port *port, struct mt_slice blueprint, bool dependents,
                              struct mt_slice identifiers, struct mt_doc **out, struct mt_err *err);

#endif
