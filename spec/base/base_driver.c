/* Drives base/ from the specs: base_driver COMMAND ARGS…; what it prints is what the spec compares. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/keyset.h"
#include "base/log.h"
#include "base/memory.h"

static struct mt_key key_of(uint64_t n)
{
    struct mt_slice part = {(const char *)&n, sizeof n};
    return mt_key_of(&part, 1);
}

/* Adds n keys, removes every third, adds and finds again: every answer is checked against arithmetic. */
static int keyset(uint64_t n)
{
    struct mt_keyset *set = mt_keyset_new();
    size_t most = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct mt_key key = key_of(i);
        if (!mt_keyset_add(set, &key, (uint32_t)i) || mt_keyset_add(set, &key, 7))
            return puts("a new key was known, or a known one new"), 1;
        if (i > 100000 && mt_keyset_bytes(set) / (i + 1) > most)
            most = mt_keyset_bytes(set) / (i + 1);
    }
    for (uint64_t i = 0; i < n; i += 3) {
        struct mt_key key = key_of(i);
        if (!mt_keyset_remove(set, &key) || mt_keyset_remove(set, &key))
            return puts("remove told wrong"), 1;
    }
    for (uint64_t i = 0; i < n; i++) {
        struct mt_key key = key_of(i);
        uint32_t tag = 0;
        bool found = mt_keyset_find(set, &key, &tag);
        if (found != (i % 3 != 0) || (found && tag != (uint32_t)i))
            return printf("key %llu: wrong answer\n", (unsigned long long)i), 1;
    }
    struct mt_key zero = {{0}};
    bool fresh = mt_keyset_add(set, &zero, UINT32_MAX);
    printf("count %zu zero %d bytes %zu\n", mt_keyset_count(set), fresh, most);
    mt_keyset_free(set);
    return 0;
}

static int buffer(void)
{
    struct mt_buf b;
    mt_buf_init(&b, 10);
    mt_buf_puts(&b, "12345");
    bool refused = !mt_buf_puts(&b, "678901"), sticky = !mt_buf_putc(&b, '6');
    printf("%s %d %d %zu\n", mt_buf_text(&b), refused, sticky, b.n);
    mt_buf_clear(&b);
    mt_buf_puts(&b, "1234567890");
    printf("%s %d\n", mt_buf_text(&b), b.failed);
    mt_buf_fini(&b);
    mt_buf_init(&b, 1000);
    mt_buf_put_json_string(&b, (struct mt_slice){"a\"\\\n\t\x01\x7f\0z", 9});
    printf("%s\n", mt_buf_text(&b));
    mt_buf_fini(&b);
    return 0;
}

static int errors(void)
{
    struct mt_err err;
    char text[3000];
    memset(text, 'x', sizeof text);
    for (size_t i = 997; i < sizeof text - 1; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    text[sizeof text - 1] = '\0';
    mt_fail(&err, MT_EIO, "%s", text);
    printf("%zu %02x\n", strlen(err.text), (unsigned char)err.text[strlen(err.text) - 1]);
    mt_fail(&err, MT_EIO, "inner %d", 5);
    enum mt_rc rc = mt_err_context(&err, "outer %s", "x");
    printf("%s: %s\n", mt_rc_name(rc), err.text);
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    struct mt_slice text = mt_slice_of(argc > 2 ? argv[2] : "");
    int64_t us;
    char out[MT_ISO_SIZE];
    if (strcmp(command, "keyset") == 0)
        return keyset(strtoull(text.p, NULL, 10));
    if (strcmp(command, "buffer") == 0)
        return buffer();
    if (strcmp(command, "errors") == 0)
        return errors();
    if (strcmp(command, "iso") == 0)
        return puts(mt_iso_parse(text, &us) == MT_OK ? mt_iso_format(us, out) : "refused") < 0;
    if (strcmp(command, "httpdate") == 0)
        return puts(mt_http_date_parse(text, &us) == MT_OK ? mt_iso_format(us, out) : "refused") < 0;
    if (strcmp(command, "mask") == 0) { /* mask TEXT SECRET… : both forms */
        struct mt_buf b;
        for (int i = 3; i < argc; i++)
            mt_mask_add(mt_slice_of(argv[i]));
        mt_buf_init(&b, 1000);
        mt_mask_put(&b, text);
        printf("%s\n%s\n", mt_buf_text(&b), mt_mask(argv[2]));
        mt_buf_fini(&b);
        mt_mask_forget();
        return 0;
    }
    if (strcmp(command, "log") == 0) { /* log LEVEL TEXT SECRET: one line, then 5 repeats of another */
        enum mt_level level;
        if (!mt_log_level_parse(text, &level))
            return puts("no such level"), 2;
        mt_mask_add(mt_slice_of(argv[4]));
        mt_log_level(MT_DEBUG);
        mt_log(level, "%s", argv[3]);
        for (int i = 0; i < 5; i++)
            mt_log_repeat(level, "repeated", "again %d", i);
        mt_log_flush();
        mt_mask_forget();
        return 0;
    }
    fprintf(stderr, "unknown command %s\n", command);
    return 2;
}
