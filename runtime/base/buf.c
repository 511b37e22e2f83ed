/* Byte buffers: see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void mt_buf_init(struct mt_buf *b, size_t max)
{
    *b = (struct mt_buf){.max = max};
}

void mt_buf_fini(struct mt_buf *b)
{
    free(b->p);
    *b = (struct mt_buf){.max = b->max};
}

void mt_buf_clear(struct mt_buf *b)
{
    b->n = 0;
    b->failed = false;
}

/* One byte more than asked for is always there, so that mt_buf_text can terminate in place. */
bool mt_buf_reserve(struct mt_buf *b, size_t extra)
{
    if (extra > b->max || b->n > b->max - extra) {
        b->failed = true;
        return false;
    }
    size_t need = b->n + extra + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap - 1 > b->max)
        cap = b->max + 1 < need ? need : b->max + 1;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

bool mt_buf_add(struct mt_buf *b, const void *p, size_t n)
{
    if (b->failed || !mt_buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

bool mt_buf_put(struct mt_buf *b, struct mt_slice s)
{
    return mt_buf_add(b, s.p, s.n);
}

bool mt_buf_puts(struct mt_buf *b, const char *text)
{
    return mt_buf_add(b, text, strlen(text));
}

bool mt_buf_putc(struct mt_buf *b, char c)
{
    return mt_buf_add(b, &c, 1);
}

bool mt_buf_printf(struct mt_buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (b->failed || n < 0 || !mt_buf_reserve(b, (size_t)n)) {
        b->failed = true;
        return false;
    }
    va_start(ap, format);
    vsnprintf(b->p + b->n, (size_t)n + 1, format, ap);
    va_end(ap);
    b->n += (size_t)n;
    return true;
}

bool mt_buf_put_json_string(struct mt_buf *b, struct mt_slice s)
{
    mt_buf_putc(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        mt_buf_add(b, s.p + from, i - from);
        from = i + 1;
        switch (c) {
        case '"':
            mt_buf_add(b, "\\\"", 2);
            break;
        case '\\':
            mt_buf_add(b, "\\\\", 2);
            break;
        case '\n':
            mt_buf_add(b, "\\n", 2);
            break;
        case '\r':
            mt_buf_add(b, "\\r", 2);
            break;
        case '\t':
            mt_buf_add(b, "\\t", 2);
            break;
        case '\b':
            mt_buf_add(b, "\\b", 2);
            break;
        case '\f':
            mt_buf_add(b, "\\f", 2);
            break;
        default:
            mt_buf_printf(b, "\\u%04x", c);
        }
    }
    mt_buf_add(b, s.p + from, s.n - from);
    return mt_buf_putc(b, '"');
}

struct mt_slice mt_buf_slice(const struct mt_buf *b)
{
    return (struct mt_slice){b->p, b->n};
}

const char *mt_buf_text(struct mt_buf *b)
{
    if (!b->p && !mt_buf_reserve(b, 0))
        return "";
    b->p[b->n] = '\0';
    return b->p;
}

char *mt_buf_take(struct mt_buf *b, size_t *out_n)
{
    char *p = b->p;
    if (p)
        p[b->n] = '\0';
    if (out_n)
        *out_n = b->n;
    *b = (struct mt_buf){.max = b->max};
    return p;
}
