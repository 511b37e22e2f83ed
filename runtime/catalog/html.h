/* HTML text: everything that comes from outside is escaped here. Private to catalog/. */
#ifndef MT_CATALOG_HTML_H
#define MT_CATALOG_HTML_H

#include "json/document.h"

extern const char mt_cat_css[];

/* Text as content or as a quoted attribute. */
void mt_cat_html(struct mt_buf *out, struct mt_slice text);
/* The same, cut at a character to so many bytes with an ellipsis. */
void mt_cat_html_cut(struct mt_buf *out, struct mt_slice text, size_t longest);
/* "/?blueprint=B" or "/?blueprint=B&entity=E", for an attribute; entity {NULL,0}: none. */
void mt_cat_html_href(struct mt_buf *out, struct mt_slice blueprint, struct mt_slice entity);
/* A value of an entity: links, flags, lists and objects each in their way. brief: for a cell of a table. */
void mt_cat_html_value(struct mt_buf *out, struct mt_val v, bool brief);
/* "2026-11-23 09:43:28" in UTC, in a <time> element. */
void mt_cat_html_time(struct mt_buf *out, int64_t wall_us);

#endif
