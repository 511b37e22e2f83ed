/* Log lines to Port (A-LOG-01, R-LOG-04): records are taken from the log, kept in a bounded queue, and sent
 * in batches of 100 or after 5 s, by a timer also when nothing more is logged.
 *
 * One upload at a time, so that Port gets the lines in their order. What Port does not take for now (no
 * answer, 401, 403, 408, 429, 5xx) is kept and sent again after 1 s, 2 s … 60 s; what it refuses for good is
 * dropped. At most 10,000 lines and 8 MB are kept: then the oldest make room, and a line says how many once
 * Port takes lines again. What shipping itself has to say about its failures stays local. */
#ifndef MT_PORT_SHIPPING_H
#define MT_PORT_SHIPPING_H

#include "net/pool.h"
#include "port/integration.h"

struct mt_shipping;

struct mt_shipping_options {
    struct mt_loop *loop;
    struct mt_pool *callers; /* threads that may block: uploads run there; its jobs end on this loop */
    struct mt_port *port;    /* of the integration; outlives this */
    const char *identifier;  /* lines that carry another integration are not taken; copied */
    bool unnamed;            /* also takes lines that carry none: of the first integration of the process */
    /* For tests; 0: 5 s, 1 s, 10,000 */
    uint32_t interval_ms, retry_ms;
    size_t lines_max;
};
/* Begins to take lines; nothing is sent before mt_shipping_address. */
struct mt_shipping *mt_shipping_new(const struct mt_shipping_options *options);
/* The ingest address of Port's record (logAttributes.ingestUrl); NULL: Port has none, lines are dropped. May
 * change. Loop thread. */
void mt_shipping_address(struct mt_shipping *s, const char *url);
/* Sends what is left, at most `seconds` (0: nothing), then frees. Loop thread: `gone` (may be NULL) is called
 * when it is over, never before this returns; from then on nothing touches port, and the job that may still
 * wait in callers is finished by mt_pool_free. */
void mt_shipping_end(struct mt_shipping *s, double seconds, void (*gone)(void *ud), void *ud);

#endif
