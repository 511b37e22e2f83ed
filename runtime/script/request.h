/* Private to http.c and request.c: one request of a script while it is on its way. */
#ifndef MT_SCRIPT_REQUEST_H
#define MT_SCRIPT_REQUEST_H

#include "script/response.h"

enum { MT_HEADERS = 64, MT_ACCEPTED = 32, MT_STATUSES = 128 };

struct mt_script_request {
    struct mt_op op;
    struct mt_http_call *call;
    struct mt_pool *pool;
    struct mt_task *starting; /* set while http_send is at work: a wait that Lua refuses is a fault too */
    const char *method;       /* anchored by the spec table */
    struct mt_buf url, shown, body;
    struct mt_buf text; /* names and values of the headers, each terminated */
    struct mt_header headers[MT_HEADERS];
    size_t names[MT_HEADERS], values[MT_HEADERS]; /* offsets in text, until it has stopped moving */
    size_t header_count;
    int accepted[MT_ACCEPTED], accepted_count;
    int statuses[MT_STATUSES];
    bool hide_url, raw, json, json_set;
    const char *expect; /* "object", "array" or NULL; anchored by the spec table */
    uint64_t started;
    struct mt_parse *parse; /* owed judgement */
    struct mt_doc *doc;
    struct mt_http_response response;
    bool failed;
    struct mt_err err;
};

/* Reads the spec, the table at index 1, into r (its buffers are inited) and req. Raises with what is wrong in
 * it; what it points into is r's buffers and the table. */
void mt_request_read(lua_State *L, struct mt_script_request *r, struct mt_http_request *req);
bool mt_request_accepts(const struct mt_script_request *r, int status);

#endif
