/* Private to cli/: the raw items of a stream, found without parsing them. One thread. */
#ifndef MT_CLI_ITEMS_H
#define MT_CLI_ITEMS_H

#include <stdio.h>

#include "base/buf.h"

#define MT_ITEM_MAX (256 << 20)

struct mt_items {
    FILE *stream;
    struct mt_buf in;
    size_t at;      /* in the buffer */
    size_t base;    /* offset of the buffer in the file */
    size_t line;    /* of at, from 1 */
    size_t vain;    /* bytes read ahead for the end of values that have none */
    bool end;       /* nothing more to read */
    bool full;      /* the buffer is, and what begins at at has no end in it */
    bool array;     /* inside of an array of items */
    bool separated; /* in an array: an item may follow */
    bool fresh;     /* at is where a line begins, but for blanks */
};

struct mt_item {
    struct mt_slice text; /* until the next call */
    size_t line, offset;  /* where it starts */
};

enum mt_found { MT_FOUND_ITEM, MT_FOUND_BROKEN, MT_FOUND_END };

void mt_items_init(struct mt_items *r, FILE *stream);
void mt_items_of(struct mt_items *r, const struct mt_item *text); /* of text that was read already; copied */
void mt_items_fini(struct mt_items *r);                           /* does not close the stream */
/* A line that is taken for an item: it starts with { and ends with }, and so does the next line start. What
 * is between them is not looked at, it may be broken or more than one item; but a valid item cannot go on
 * from such a line into the next. false: the next item is none of these. */
bool mt_items_line(struct mt_items *r, struct mt_item *out);
/* The next item of JSON values one after another (NDJSON or not) or of an array. MT_FOUND_BROKEN: something
 * that is no item, with its place; the next call goes on behind its line (in an array nothing more follows).
 */
enum mt_found mt_items_next(struct mt_items *r, struct mt_item *out, struct mt_err *err);

#endif
