/* Private to http.c and response.c: what a request gave, as Lua sees it, and the parsing of its body. */
#ifndef MT_SCRIPT_RESPONSE_H
#define MT_SCRIPT_RESPONSE_H

#include "net/url.h"
#include "script/vm.h"

/* Bodies up to this are parsed where they arrive, larger ones on a worker (architecture 1). */
#define MT_PARSE_INLINE ((size_t)64 << 10)

/* One body on its way to a document. A record of its own: it outlives a cancelled request, because a worker
 * may be at it. */
struct mt_parse {
    struct mt_job job;
    struct mt_buf text; /* moved in; empty after success, untouched after failure */
    struct mt_doc *doc; /* NULL: see err */
    struct mt_err err;
    void (*done)(void *owner, struct mt_parse *parse);
    void *owner; /* NULL: abandoned, the end frees the record */
};

/* Takes text over. done may be called before this returns (small bodies). The owner frees the record in done
 * or after it, or abandons it before. */
struct mt_parse *mt_parse_new(struct mt_buf *text);
void mt_parse_start(struct mt_parse *parse, struct mt_pool *pool,
                    void (*done)(void *owner, struct mt_parse *parse), void *owner);
void mt_parse_free(struct mt_parse *parse);
void mt_parse_abandon(struct mt_parse *parse); /* NULL is fine; only between start and done */

/* Pushes the response. Its parts, doc (may be NULL) and shown (the URL as it may be printed) move into it:
 * they are empty afterwards, also when the push raises. hide_url: the URL holds a secret, so that res.url is
 * shown. */
void mt_response_push(lua_State *L, struct mt_http_response *res, struct mt_doc **doc, const char *method,
                      const char *shown, bool hide_url);
void mt_response_open(lua_State *L); /* metatable; functions into the core table on top */

/* A failed request: the fault of the task's scope, told to the library too (it withholds in every scope that
 * waits for a memoized call). The text is not printed raw anywhere. */
void mt_request_fault(lua_State *L, struct mt_task *task, const char *text);

#endif
