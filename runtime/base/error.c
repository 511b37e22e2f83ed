/* Error records: see error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

/* A cut must not leave half a UTF-8 character behind. */
static void end_at_character(char *text, size_t size)
{
    size_t n = strlen(text);
    if (n + 1 < size)
        return;
    size_t at = n;
    while (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at > 0 && (unsigned char)text[at - 1] >= 0xC0)
        text[at - 1] = '\0';
}

enum mt_rc mt_fail_at(struct mt_err *err, enum mt_rc rc, const char *file, int line, const char *format, ...)
{
    if (err) {
        *err = (struct mt_err){.rc = rc, .origin = file, .line = line};
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        end_at_character(err->text, sizeof err->text);
    }
    return rc;
}

enum mt_rc mt_err_context(struct mt_err *err, const char *format, ...)
{
    if (!err)
        return MT_EINVAL;
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, format);
    int written = vsnprintf(text, sizeof text - 2, format, ap);
    va_end(ap);
    size_t n = written < 0 ? 0 : strnlen(text, sizeof text - 3);
    memcpy(text + n, ": ", 2);
    n += 2;
    size_t rest = strnlen(err->text, sizeof text - 1 - n);
    memcpy(text + n, err->text, rest);
    text[n + rest] = '\0';
    end_at_character(text, sizeof text);
    memcpy(err->text, text, sizeof text);
    return err->rc;
}

const char *mt_rc_name(enum mt_rc rc)
{
    static const char *const names[] = {
        [MT_OK] = "ok",          [MT_EINVAL] = "invalid",
        [MT_ENOMEM] = "memory",  [MT_ELIMIT] = "limit",
        [MT_EIO] = "io",         [MT_ENET] = "network",
        [MT_EHTTP] = "http",     [MT_EDATA] = "data",
        [MT_EAUTH] = "auth",     [MT_ECANCELED] = "canceled",
        [MT_EBUSY] = "busy",     [MT_ENOENT] = "not_found",
        [MT_ESCRIPT] = "script",
    };
    return names[rc];
}
