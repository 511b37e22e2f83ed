/* The plan: one change a line, for a reader or for a program. Any thread; lines do not mix. */
#include <stdio.h>

#include "base/log.h"
#include "sync/diff.h"
#include "sync/session.h"

enum {
    LINE_MAX_BYTES = 16 * 1024 * 1024,
    SHOWN = 120,
    SHOWN_CHANGES = 50 /* of a resync that follows a save */
};

struct printing {
    struct mt_buf text;
    bool json, first;
};

static void put_short(struct mt_buf *out, struct mt_val v)
{
    struct mt_buf text;
    if (!v.doc) {
        mt_buf_puts(out, "(absent)");
        return;
    }
    mt_buf_init(&text, LINE_MAX_BYTES);
    mt_val_write(v, &text);
    size_t n = text.n;
    if (n > SHOWN)
        for (n = SHOWN; n && ((unsigned char)text.p[n] & 0xC0) == 0x80;)
            n--;
    mt_mask_put(out, (struct mt_slice){text.p, n});
    if (n < text.n)
        mt_buf_puts(out, "…");
    mt_buf_fini(&text);
}

static void put_difference(void *ud, const char *path, struct mt_val from, struct mt_val to)
{
    struct printing *p = ud;
    if (!p->json) {
        mt_buf_printf(&p->text, "    %s: ", path);
        put_short(&p->text, from);
        mt_buf_puts(&p->text, " -> ");
        put_short(&p->text, to);
        mt_buf_putc(&p->text, '\n');
        return;
    }
    mt_buf_puts(&p->text, p->first ? "" : ",");
    p->first = false;
    mt_buf_puts(&p->text, "{\"path\":");
    mt_buf_put_json_string(&p->text, mt_slice_of(path));
    mt_buf_puts(&p->text, ",\"from\":");
    if (from.doc)
        mt_val_write(from, &p->text);
    else
        mt_buf_puts(&p->text, "null");
    mt_buf_puts(&p->text, ",\"to\":");
    mt_val_write(to, &p->text);
    mt_buf_putc(&p->text, '}');
}

static void begin(struct printing *p, struct mt_session *s, char sign, const char *change,
                  struct mt_slice blueprint, struct mt_slice id)
{
    *p = (struct printing){.json = s->options->json, .first = true};
    mt_buf_init(&p->text, LINE_MAX_BYTES);
    if (p->json) {
        mt_buf_printf(&p->text, "{\"change\":\"%s\",\"blueprint\":", change);
        mt_buf_put_json_string(&p->text, blueprint);
        mt_buf_puts(&p->text, ",\"identifier\":");
        mt_buf_put_json_string(&p->text, id);
    } else {
        mt_buf_printf(&p->text, "%c %.*s/%.*s", sign, MT_FMT(blueprint), MT_FMT(id));
    }
}

static void end(struct printing *p, struct mt_session *s)
{
    unsigned shown = s->options->plan ? 0 : atomic_fetch_add(&s->shown, 1);
    pthread_mutex_lock(&s->lock);
    if (shown == SHOWN_CHANGES)
        fputs("  … and more\n", s->options->changes);
    if (shown < SHOWN_CHANGES)
        fwrite(p->text.p, 1, p->text.n, s->options->changes);
    pthread_mutex_unlock(&s->lock);
    mt_buf_fini(&p->text);
}

void mt_plan_upsert(struct mt_session *s, struct mt_val entity, struct mt_val existing)
{
    struct printing p;
    struct mt_val blueprint = {0}, id = {0};
    struct mt_buf text;
    mt_buf_init(&text, LINE_MAX_BYTES);
    mt_val_member(entity, MT_SLICE("blueprint"), &blueprint);
    mt_val_member(entity, MT_SLICE("identifier"), &id);
    if (mt_val_is(id, MT_STRING))
        mt_buf_put(&text, mt_val_string(id));
    else if (id.doc)
        mt_val_write(id, &text);
    begin(&p, s, existing.doc ? '~' : '+', existing.doc ? "update" : "create", mt_val_string(blueprint),
          mt_buf_slice(&text));
    if (existing.doc) {
        mt_buf_puts(&p.text, p.json ? ",\"fields\":[" : "\n");
        mt_diff_equal(entity, existing, put_difference, &p);
        mt_buf_puts(&p.text, p.json ? "]" : "");
    } else if (!p.json) {
        mt_buf_putc(&p.text, '\n');
    }
    if (p.json)
        mt_buf_puts(&p.text, "}\n");
    end(&p, s);
    mt_buf_fini(&text);
}

void mt_plan_delete(struct mt_session *s, struct mt_slice blueprint, struct mt_slice identifier,
                    const char *reason)
{
    struct printing p;
    begin(&p, s, '-', "delete", blueprint, identifier);
    if (p.json) {
        mt_buf_puts(&p.text, ",\"reason\":");
        mt_buf_put_json_string(&p.text, mt_slice_of(reason));
        mt_buf_puts(&p.text, "}\n");
    } else {
        mt_buf_printf(&p.text, "  (%s)\n", reason);
    }
    end(&p, s);
}
