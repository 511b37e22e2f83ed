/* One request while it is answered: what its address, query and body say, and the answer that is being made.
 * Private to catalog/; the catalog's thread only. */
#ifndef MT_CATALOG_CALL_H
#define MT_CATALOG_CALL_H

#include "catalog/entity.h"
#include "catalog/store.h"
#include "catalog/token.h"
#include "net/server.h"

enum { MT_CAT_PARTS = 3, MT_CAT_ANSWER_MAX = 1024 * 1024 * 1024 };

struct mt_cat_call {
    struct mt_cat_store *store;
    struct mt_request *request;
    const char *url; /* of this server, as the client reached it */
    struct mt_cat_tokens *tokens;
    struct mt_slice parts[MT_CAT_PARTS]; /* the variable segments of the path, decoded */
    struct mt_val body;                  /* no value: the route takes none */
    struct mt_slice datasource;          /* User-Agent (A-SRV-03) */
    int status;                          /* 200 unless a handler says otherwise */
    const char *content_type;
    struct mt_buf out; /* the answer's body; dropped when why says that it is refused */
    struct mt_cat_refusal why;
};

/* A query parameter that must be "true" or "false"; absent: otherwise. false: refused. */
bool mt_cat_call_flag(struct mt_cat_call *c, const char *name, bool otherwise, bool *out);
/* All values of a query parameter, decoded into text; the caller frees *out. Gives their number. */
uint32_t mt_cat_call_list(struct mt_cat_call *c, const char *name, struct mt_buf *text,
                          struct mt_slice **out);

/* Decodes percent escapes (RFC 3986: '+' is itself, unless form). false: an escape is broken, or the result
 * is no UTF-8. */
bool mt_cat_decode(struct mt_slice text, bool form, struct mt_buf *out);

/* Finds the route, looks at the token, reads the body, calls the handler. */
void mt_cat_call_answer(struct mt_cat_call *c);

/* The handlers of entities.c. */
void mt_cat_entity_get(struct mt_cat_call *c);
void mt_cat_entity_list(struct mt_cat_call *c);
void mt_cat_entity_post(struct mt_cat_call *c);
void mt_cat_entity_bulk(struct mt_cat_call *c);
void mt_cat_entity_remove(struct mt_cat_call *c);
void mt_cat_entity_remove_bulk(struct mt_cat_call *c);
void mt_cat_entity_owned(struct mt_cat_call *c);
void mt_cat_entity_search(struct mt_cat_call *c);

#endif
