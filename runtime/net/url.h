/* URLs (RFC 3986) and what HTTP APIs put into headers. Pure functions, any thread. */
#ifndef MT_NET_URL_H
#define MT_NET_URL_H

#include "base/buf.h"

/* Percent-encodes all but unreserved characters: for one path segment or a query name or value (space: %20).
 */
bool mt_url_escape(struct mt_buf *out, struct mt_slice part);
/* "scheme://host:port" in lower case with the default port left out: the origin of an absolute http(s) URL,
 * that credentials are bound to. false: not an absolute http(s) URL. */
bool mt_url_origin(struct mt_slice url, struct mt_buf *out);
/* The host (lower case, without brackets and port). */
bool mt_url_host(struct mt_slice url, struct mt_buf *out);
/* Resolves reference against an absolute base (RFC 3986 section 5). */
enum mt_rc mt_url_resolve(struct mt_slice base, struct mt_slice reference, struct mt_buf *out,
                          struct mt_err *err);
/* For logs and errors: the URL without user info, with every query value replaced by "***" whose name looks
 * like a credential (token, key, secret, password, signature, code …), cut to 200 bytes, and passed through
 * mt_mask. */
bool mt_url_redact(struct mt_slice url, struct mt_buf *out);
/* The target of the first link of that relation in a Link header (RFC 8288: quoted and token parameters,
 * several relations in one rel, commas inside <>). */
bool mt_link_find(struct mt_slice header, const char *rel, struct mt_slice *out_target);

#endif
