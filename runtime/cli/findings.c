/* The findings of validate. Called by validate.c. */
#include "cli/findings.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mask.h"
#include "base/memory.h"

bool mt_findings_first(struct mt_findings *f, const struct mt_key *key)
{
    if (!f->told)
        f->told = mt_keyset_new();
    return mt_keyset_add(f->told, key, 0);
}

void mt_findings_add(struct mt_findings *f, bool error, const char *file, unsigned line, const char *text)
{
    struct mt_slice parts[] = {
        mt_slice_of(file ? file : ""), {(const char *)&line, sizeof line}, mt_slice_of(text)};
    struct mt_key key = mt_key_of(parts, 3);
    if (!mt_findings_first(f, &key))
        return;
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 32;
        f->list = mt_realloc(f->list, f->room * sizeof *f->list);
    }
    f->list[f->count++] = (struct mt_finding){error, mt_strdup(file), line, mt_mask(mt_strdup(text))};
    error ? f->errors++ : f->warnings++;
}

void mt_findings_print(const struct mt_findings *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct mt_finding *one = &f->list[i];
        if (one->file && one->line)
            printf("%s:%u: ", one->file, one->line);
        else
            printf("%s: ", one->file ? one->file : name);
        printf("%s: %s\n", one->error ? "error" : "warning", one->text);
    }
}

void mt_findings_write(const struct mt_findings *f, struct mt_buf *out)
{
    mt_buf_putc(out, '[');
    for (size_t i = 0; i < f->count; i++) {
        const struct mt_finding *one = &f->list[i];
        mt_buf_puts(out, i ? ",{\"file\":" : "{\"file\":");
        if (one->file)
            mt_buf_put_json_string(out, mt_slice_of(one->file));
        else
            mt_buf_puts(out, "null");
        if (one->line)
            mt_buf_printf(out, ",\"line\":%u", one->line);
        else
            mt_buf_puts(out, ",\"line\":null");
        mt_buf_printf(out, ",\"level\":\"%s\",\"text\":", one->error ? "error" : "warning");
        mt_buf_put_json_string(out, mt_slice_of(one->text));
        mt_buf_putc(out, '}');
    }
    mt_buf_putc(out, ']');
}

void mt_findings_fini(struct mt_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->list[i].file);
        free(f->list[i].text);
    }
    free(f->list);
    mt_keyset_free(f->told);
    *f = (struct mt_findings){0};
}
