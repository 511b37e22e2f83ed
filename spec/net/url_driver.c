/* Runs the pure functions of net/ for specs: a line of stdin is an operation and its arguments, separated by
 * tabs, "\xHH" for a byte; a line of stdout is the result, "-" when there is none, or "!CODE message". */
#include <stdio.h>
#include <stdlib.h>

#include "net/http.h"
#include "net/url.h"

enum { MAX = 1 << 20 };

static struct mt_slice unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] == 'x' && p[2] && p[3]) {
            char hex[3] = {p[2], p[3], 0};
            *to++ = (char)strtoul(hex, NULL, 16);
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    return (struct mt_slice){text, (size_t)(to - text)};
}

/* Arguments: status, wall clock in microseconds, "name: value" … */
static void announced(struct mt_slice *args, size_t n)
{
    struct mt_http_response res = {0};
    mt_buf_init(&res.headers, MAX);
    char number[32] = "";
    memcpy(number, args[0].p, args[0].n);
    res.status = atoi(number);
    memset(number, 0, sizeof number);
    memcpy(number, args[1].p, args[1].n);
    for (size_t i = 2; i < n; i++) {
        mt_buf_put(&res.headers, args[i]);
        mt_buf_putc(&res.headers, '\n');
    }
    printf("%lld\n", (long long)mt_http_announced_wait_ms(&res, atoll(number)));
    mt_http_response_fini(&res);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t got;
    while ((got = getline(&line, &cap, stdin)) > 0) {
        line[got - 1] = '\0';
        struct mt_slice args[32];
        size_t n = 0;
        char *rest = line, *word, *op = strsep(&rest, "\t");
        while ((word = strsep(&rest, "\t")) && n < 32)
            args[n++] = unescape(word);
        struct mt_buf out;
        mt_buf_init(&out, MAX);
        struct mt_err err = {0};
        struct mt_slice target;
        bool ok = false;
        if (strcmp(op, "announced") == 0) {
            announced(args, n);
            mt_buf_fini(&out);
            continue;
        }
        if (strcmp(op, "escape") == 0)
            ok = mt_url_escape(&out, args[0]);
        else if (strcmp(op, "origin") == 0)
            ok = mt_url_origin(args[0], &out);
        else if (strcmp(op, "host") == 0)
            ok = mt_url_host(args[0], &out);
        else if (strcmp(op, "redact") == 0)
            ok = mt_url_redact(args[0], &out);
        else if (strcmp(op, "resolve") == 0)
            ok = mt_url_resolve(args[0], args[1], &out, &err) == MT_OK;
        else if (strcmp(op, "link") == 0 && (ok = mt_link_find(args[1], args[0].p, &target)))
            mt_buf_put(&out, target);
        if (ok)
            printf("%.*s\n", MT_FMT(mt_buf_slice(&out)));
        else if (err.rc)
            printf("!%s %s\n", mt_rc_name(err.rc), err.text);
        else
            puts("-");
        mt_buf_fini(&out);
    }
    free(line);
    return 0;
}
