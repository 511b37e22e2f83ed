/* Allocation: see memory.h. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *or_die(void *p, size_t size)
{
    if (!p && size) {
        fprintf(stderr, "moontide: out of memory: the system refused %zu bytes\n", size);
        abort();
    }
    return p;
}

void *mt_alloc(size_t size)
{
    return or_die(calloc(1, size ? size : 1), size ? size : 1);
}

void *mt_realloc(void *p, size_t size)
{
    return or_die(realloc(p, size ? size : 1), size ? size : 1);
}

void *mt_try_alloc(size_t size)
{
    return malloc(size ? size : 1);
}

char *mt_strdup(const char *text)
{
    return text ? or_die(strdup(text), strlen(text) + 1) : NULL;
}

char *mt_slice_dup(struct mt_slice s)
{
    char *copy = mt_alloc(s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

char *mt_format(const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    return or_die(n < 0 ? NULL : text, 1);
}
