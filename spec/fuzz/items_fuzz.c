/* Any bytes as a stream of items: reading it comes to its end, each item begins behind the one before it, and
 * what is one valid object, over however many lines, is one item; the elements of a valid array are its
 * items. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/items.h"
#include "json/document.h"

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "items_fuzz: %s\n", what);
    abort();
}

struct count {
    size_t items, broken;
    size_t bytes; /* of the items */
};

static struct count read_all(const uint8_t *data, size_t size)
{
    FILE *stream = fmemopen((void *)(uintptr_t)data, size, "r");
    struct count count = {0};
    struct mt_items items;
    struct mt_item item;
    struct mt_err err;
    size_t next = 0;
    enum mt_found found;
    mt_items_init(&items, stream);
    for (;;) {
        found = mt_items_line(&items, &item) ? MT_FOUND_ITEM : mt_items_next(&items, &item, &err);
        if (found == MT_FOUND_END)
            break;
        must(item.offset >= next && item.offset <= size, "an item lies before the one before it");
        next = item.offset + (found == MT_FOUND_ITEM ? item.text.n : 0);
        must(next <= size, "an item ends behind the stream");
        count.items += found == MT_FOUND_ITEM;
        count.broken += found == MT_FOUND_BROKEN;
        count.bytes += found == MT_FOUND_ITEM ? item.text.n : 0;
        must(count.items + count.broken <= size, "more items than bytes");
    }
    mt_items_fini(&items);
    fclose(stream);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_buf text;
    struct mt_doc *doc;
    struct mt_err err;
    if (size == 0)
        return 0;
    const struct count count = read_all(data, size);
    mt_buf_init(&text, size + 64);
    mt_buf_add(&text, (const char *)data, size);
    if (mt_doc_parse(&text, NULL, &doc, &err) == MT_OK) {
        const struct mt_val root = mt_doc_root(doc);
        if (mt_val_is(root, MT_OBJECT))
            must(count.items == 1 && count.broken == 0 && count.bytes == mt_val_source(root).n,
                 "an object is not one item");
        else if (mt_val_is(root, MT_ARRAY))
            must(count.items == mt_val_count(root) && count.broken == 0,
                 "an array's elements are not its items");
        mt_doc_unref(doc);
    }
    mt_buf_fini(&text);
    return 0;
}
