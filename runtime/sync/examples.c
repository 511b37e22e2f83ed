/* Raw examples: the first items of a kind, masked, for Port's mapping editor (A-EX-01…04). Made on the resync
 * thread, sent by an applier. */
#include <pthread.h>
#include <regex.h>
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

/* What looks like a secret although no setting says so (R-LOG-09; the patterns that demand literal
 * backslashes, and so never fit, are mended). */
static const char *const patterns[] = {
    "[A-Za-z]{3,10}://[^/\\\\:@]{3,20}:[^/\\\\:@]{3,20}@.{1,100}",
    "[aA][pP][iI]_?[kK][eE][yY].*['\"|][0-9A-Za-z]{32,45}['\"|]",
    "[sS][eE][cC][rR][eE][tT].*['\"|][0-9A-Za-z]{32,45}['\"|]",
    "AIza[0-9A-Za-z_-]{35}",
    ".*firebaseio\\.com",
    "-----BEGIN (RSA |DSA |EC |)PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "AKIA[0-9A-Z]{16}",
    "[gG][iI][tT][hH][uU][bB].*['\"|][0-9A-Za-z]{35,40}['\"|]",
    "\"type\": \"service_account\"",
    "[A-Za-z]+://[^[:space:]/]+:[^[:space:]/]+@[^[:space:]/]+/",
    "ya29\\.[0-9A-Za-z_-]+",
    "gh[pousr]_[0-9A-Za-z]{36,}",
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static regex_t compiled[PATTERNS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void compile(void)
{
    for (size_t i = 0; i < PATTERNS; i++)
        if (regcomp(&compiled[i], patterns[i], REG_EXTENDED | REG_NEWLINE) != 0)
            abort(); /* the patterns are ours */
}

/* Full replacement of each match. */
static void mask_patterns(struct mt_buf *text)
{
    pthread_once(&once, compile);
    for (size_t i = 0; i < PATTERNS; i++) {
        regmatch_t at;
        size_t from = 0;
        while (from < text->n &&
               regexec(&compiled[i], mt_buf_text(text) + from, 1, &at, from ? REG_NOTBOL : 0) == 0 &&
               at.rm_eo > at.rm_so) {
            struct mt_buf masked;
            size_t begin = from + (size_t)at.rm_so, end = from + (size_t)at.rm_eo;
            mt_buf_init(&masked, text->max);
            mt_buf_add(&masked, text->p, begin);
            mt_buf_puts(&masked, "[REDACTED]");
            from = masked.n;
            mt_buf_add(&masked, text->p + end, text->n - end);
            mt_buf_fini(text);
            *text = masked;
        }
    }
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
        mask_patterns(&text);
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
