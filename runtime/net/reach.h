/* Where requests may go: struct mt_reach of net/http.h, checked. Pure functions, any thread. Called by http.c
 * before each transmission and by transfer.c for each address that is connected to. */
#ifndef MT_NET_REACH_H
#define MT_NET_REACH_H

#include "net/http.h"

struct sockaddr;

/* Why a private address is refused, for printf: its range. */
#define MT_REACH_PRIVATE                                                                                     \
    "its address is private (%s), and the blocker of private addresses is on "                               \
    "(OCEAN__DISABLE_IP_OUTBOUND_BLOCKER=true turns it off)"

/* May this URL be asked for at all? Looks at its host as it is spelled: the listed hosts, and with
 * block_private addresses written in any way that resolvers take (127.1, 0x7f000001, 2130706433,
 * [::ffff:127.0.0.1]). connects false: a recording answers, so an address harms nobody. reach
 * may be NULL. MT_EINVAL names host and reason. */
enum mt_rc mt_reach_check(const struct mt_reach *reach, const char *url, bool connects, struct mt_err *err);
/* Must the addresses that the URL's host resolves to be looked at too? Not those of the trusted (R-HTTP-10).
 */
bool mt_reach_guards(const struct mt_reach *reach, const char *url);
/* The blocked range (R-HTTP-11) that holds the address, such as "10.0.0.0/8"; NULL: a public one. */
const char *mt_reach_private(const struct sockaddr *address);
/* The same for an address as text; NULL also when it is none. */
const char *mt_reach_private_text(const char *address);

#endif
