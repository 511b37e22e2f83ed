/* Raw examples: the first items of a kind, masked, for Port's mapping editor (A-EX-01…04). Made on the resync
 * thread, sent by an applier. */
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "sync/session.h"

enum { BODY_MAX = 4 * 1024 * 1024, DEPTH_MAX = 200 };

struct posting {
    struct mt_work work;
    struct mt_session *s;
    struct mt_resource *r;
    struct mt_buf array;
};

static void run_posting(struct mt_work *work)
{
    struct posting *p = (struct posting *)work;
    mt_integration_examples(p->s->port, &p->s->integration, p->r->kind, mt_buf_slice(&p->array));
    mt_buf_fini(&p->array);
    free(p);
}

static void put_masked(struct mt_buf *out, struct mt_val v, unsigned depth)
{
    struct mt_slice name;
    struct mt_val element;
    struct mt_buf text;
    bool object = mt_val_is(v, MT_OBJECT), first = true;
    if (depth > DEPTH_MAX) {
        mt_buf_puts(out, "null");
    } else if (mt_val_is(v, MT_STRING)) {
        mt_buf_init(&text, BODY_MAX);
        mt_mask_put(&text, mt_val_string(v));
        mt_buf_put_json_string(out, mt_buf_slice(&text));
        mt_buf_fini(&text);
    } else if (object || mt_val_is(v, MT_ARRAY)) {
        mt_buf_putc(out, object ? '{' : '[');
        for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &element);) {
            if (!first)
                mt_buf_putc(out, ',');
            first = false;
            if (object) {
                mt_buf_put_json_string(out, name);
                mt_buf_putc(out, ':');
            }
            put_masked(out, element, depth + 1);
        }
        mt_buf_putc(out, object ? '}' : ']');
    } else {
        mt_val_write(v, out);
    }
}

void mt_examples_send(struct mt_session *s, struct mt_resource *r, struct mt_val items, unsigned *left)
{
    struct mt_val item;
    if (!mt_val_count(items))
        return;
    struct posting *p = mt_alloc(sizeof *p);
    *p = (struct posting){.work = {run_posting, NULL}, .s = s, .r = r};
    mt_buf_init(&p->array, BODY_MAX);
    mt_buf_putc(&p->array, '[');
    for (uint32_t i = 0; *left && mt_val_index(items, i, &item); i++, (*left)--) {
        if (i)
            mt_buf_putc(&p->array, ',');
        put_masked(&p->array, item, 0);
    }
    mt_buf_putc(&p->array, ']');
    if (p->array.failed) { /* items of megabytes: the editor can do without */
        mt_log(MT_WARN, "kind %s: the raw examples are larger than %d bytes and are not sent", r->kind,
               BODY_MAX);
        mt_buf_fini(&p->array);
        free(p);
        return;
    }
    mt_appliers_submit(s->appliers, &p->work);
}
