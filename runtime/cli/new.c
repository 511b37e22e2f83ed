/* moontide new: writes a bundle to begin with, examples/bookshop under the name of its folder. One thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"
#include "bundle/spelling.h"
#include "cli/command.h"
#include "cli/template.h"
#include "sync/place.h"

enum { NAME_LONGEST = 60, FILE_MAX = 16 << 20 };

/* The spellings of the name in the template, and what takes their place: "bookshop" before a capital is the
 * begin of a name in camel case. */
struct spellings {
    char *kebab;   /* bookshop, my-shop: type, host, file */
    char *camel;   /* bookshopUrl, myShopUrl: configurations and blueprints */
    char *title;   /* Bookshop, My Shop */
    char *capital; /* BOOKSHOP, MY_SHOP: variables */
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Words of ASCII letters and digits; false: the name has none. A digit in front becomes the second word. */
static bool spell(const char *name, struct spellings *out)
{
    struct mt_buf kebab, camel, title;
    mt_buf_init(&kebab, 4096);
    mt_buf_init(&camel, 4096);
    mt_buf_init(&title, 4096);
    bool begins = true;
    const char *p = name + strcspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    if (is_digit(*p)) {
        mt_buf_puts(&kebab, "bundle");
        mt_buf_puts(&camel, "bundle");
        mt_buf_puts(&title, "Bundle");
    }
    bool any = *p != '\0';
    for (; *p; p++) {
        if (!is_letter(*p) && !is_digit(*p)) {
            begins = true;
            continue;
        }
        if (begins && kebab.n) {
            mt_buf_putc(&kebab, '-');
            mt_buf_putc(&title, ' ');
        }
        mt_buf_putc(&kebab, lower(*p));
        mt_buf_putc(&camel, begins && camel.n ? upper(*p) : lower(*p));
        mt_buf_putc(&title, begins ? upper(*p) : *p);
        begins = false;
    }
    *out = (struct spellings){.kebab = mt_strdup(mt_buf_text(&kebab)),
                              .camel = mt_strdup(mt_buf_text(&camel)),
                              .title = mt_strdup(mt_buf_text(&title)),
                              .capital = mt_spelling_snake(mt_buf_slice(&camel))};
    for (char *c = out->capital; *c; c++)
        *c = upper(*c);
    mt_buf_fini(&kebab);
    mt_buf_fini(&camel);
    mt_buf_fini(&title);
    return any;
}

static void spellings_fini(struct spellings *s)
{
    free(s->kebab);
    free(s->camel);
    free(s->title);
    free(s->capital);
}

static void rename_text(const struct spellings *s, struct mt_slice text, struct mt_buf *out)
{
    enum { N = sizeof "bookshop" - 1 };
    for (size_t i = 0; i < text.n;) {
        const char *with = NULL;
        if (text.n - i >= N) {
            if (memcmp(text.p + i, "bookshop", N) == 0)
                with = i + N < text.n && text.p[i + N] >= 'A' && text.p[i + N] <= 'Z' ? s->camel : s->kebab;
            else if (memcmp(text.p + i, "Bookshop", N) == 0)
                with = s->title;
            else if (memcmp(text.p + i, "BOOKSHOP", N) == 0)
                with = s->capital;
        }
        if (with)
            mt_buf_puts(out, with);
        else
            mt_buf_putc(out, text.p[i]);
        i += with ? N : 1;
    }
}

/* ---- the folder ---- */

static enum mt_rc check_empty(const char *folder, struct mt_err *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? MT_OK
               : errno == ENOTDIR
                   ? mt_fail(err, MT_EINVAL, "%s is a file, not a folder: give another name", folder)
                   : mt_fail(err, MT_EIO, "%s: %s", folder, strerror(errno));
    enum mt_rc rc = MT_OK;
    for (struct dirent *e; rc == MT_OK && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, ".git") != 0)
            rc = mt_fail(
                err, MT_EINVAL,
                "%s is not empty (it holds %.100s): give a folder that does not exist yet, or an empty one",
                folder, e->d_name);
    closedir(d);
    return rc;
}

static enum mt_rc write_file(const char *path, struct mt_slice text, struct mt_err *err)
{
    enum mt_rc rc = mt_make_parent(path, err);
    if (rc != MT_OK)
        return rc;
    /* O_EXCL: what somebody else puts there meanwhile is not overwritten. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return mt_fail(err, MT_EIO, "%s cannot be written: %s", path, strerror(errno));
    for (size_t at = 0; rc == MT_OK && at < text.n;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n < 0 && errno != EINTR)
            rc = mt_fail(err, MT_EIO, "%s cannot be written: %s", path, strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    if (close(fd) != 0 && rc == MT_OK)
        rc = mt_fail(err, MT_EIO, "%s cannot be written: %s", path, strerror(errno));
    return rc;
}

static enum mt_rc write_template(const char *folder, const struct spellings *s, struct mt_err *err)
{
    enum mt_rc rc = MT_OK;
    for (size_t i = 0; rc == MT_OK && i < mt_template_file_count; i++) {
        const struct mt_template_file *f = &mt_template_files[i];
        struct mt_buf path, text;
        mt_buf_init(&path, PATH_MAX);
        mt_buf_init(&text, FILE_MAX);
        mt_buf_printf(&path, "%s/", folder);
        rename_text(s, mt_slice_of(f->path), &path);
        struct mt_slice source = {(const char *)f->text, f->size};
        if (strncmp(f->path, ".types/", 7) == 0)
            mt_buf_put(&text, source);
        else
            rename_text(s, source, &text);
        if (path.failed || text.failed)
            rc = mt_fail(err, MT_ELIMIT, "%s: the name is too long", folder);
        else
            rc = write_file(mt_buf_text(&path), mt_buf_slice(&text), err);
        mt_buf_fini(&path);
        mt_buf_fini(&text);
    }
    return rc;
}

/* The folder's own name, also of "." and "x/..": as the file system has it when it is there. */
static char *name_of(const char *folder)
{
    char real[PATH_MAX];
    const char *path = realpath(folder, real) ? real : folder;
    size_t end = strlen(path);
    while (end && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && path[start - 1] != '/')
        start--;
    return mt_slice_dup((struct mt_slice){path + start, end - start});
}

static int run(int argc, char **argv)
{
    struct spellings s = {0};
    struct mt_err err = {0};
    int code = MT_EXIT_USAGE;
    int n = mt_options_parse(&mt_command_new, argc, argv, (struct mt_option[]){{0}});
    if (n < 0)
        return code;
    if (n != 1 || !argv[1][0])
        return mt_usage_error(
            &mt_command_new,
            n > 1 ? "takes one folder, not %d" : "which folder? (its last part names the bundle)", n);
    char *folder = mt_strdup(argv[1]), *name = name_of(folder);
    for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/'; end--)
        folder[end - 1] = '\0';
    if (!spell(name, &s)) {
        mt_usage_error(&mt_command_new, "\"%.*s\" makes no name: it needs a letter or a digit (a-z, 0-9)",
                       MT_FOREIGN, name);
    } else if (strlen(name) > NAME_LONGEST) {
        mt_usage_error(&mt_command_new, "\"%.*s…\" is too long for a name: at most %d bytes", NAME_LONGEST,
                       name, NAME_LONGEST);
    } else if (check_empty(folder, &err) != MT_OK) {
        mt_command_failed(&mt_command_new, &err, code);
    } else if (write_template(folder, &s, &err) != MT_OK) {
        code = mt_command_failed(&mt_command_new, &err, MT_EXIT_FAILED);
    } else {
        bool here = strcmp(folder, ".") == 0;
        printf("%s: a bundle called %s (%s). Next:\n%s%s%s"
               "  moontide test .                                      # its specs, offline\n"
               "  moontide resync . --replay spec/recordings/*.ndjson  # into the embedded catalog, offline\n"
               "  moontide catalog --db .moontide/catalog.db           # look at it\n",
               folder, s.kebab, s.title, here ? "" : "  cd ", here ? "" : folder, here ? "" : "\n");
        code = MT_EXIT_OK;
    }
    spellings_fini(&s);
    free(name);
    free(folder);
    return code;
}

const struct mt_command mt_command_new = {
    .name = "new",
    .usage = "moontide new DIR",
    .summary = "write a bundle that runs, with a spec that passes",
    .help =
        "  DIR               a folder that does not exist or is empty; its last part names the bundle\n"
        "\n"
        "The bundle reads a small made-up API from recordings that come with it, so that it runs offline at\n"
        "once; its comments say what to change.\n"
        "\n"
        "exit 0   written\n"
        "     1   a file could not be written\n"
        "     2   usage, a name without a letter or digit, a folder that is not empty\n",
    .run = run,
};
