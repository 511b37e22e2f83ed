/* What specs ask of packed bundles and snapshots that takes thousands of openings:
 *
 *   bits FILE            every single-bit flip and every truncation: "FLIPS REFUSED SAME", exit 1 when
 * content changed unnoticed cycles BUNDLE N      opens and frees it N times: bytes by which the process grew
 * in the last nine tenths list BUNDLE FOLDER [whole] read BUNDLE FILE [whole] digest BUNDLE PREFIX SUFFIX
 *   hosts BUNDLE
 *   snapshot BUNDLE SH   main.lua and a digest of all, before and after the shell command
 *   growing FOLDER       a file of x that grows while it is read: "refused", and "whole" at rest
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bundle/archive.h"
#include "bundle/bundle.h"
#include "bundle/folder.h"

/* Sanitizers keep what was freed, and look for leaks themselves. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static struct mt_err err;

static int failed(void)
{
    fprintf(stderr, "%s: %s\n", mt_rc_name(err.rc), err.text);
    return 1;
}

static bool same_tree(const struct mt_tree *a, const struct mt_tree *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->files[i].path, b->files[i].path) != 0 || a->files[i].n != b->files[i].n ||
            memcmp(a->files[i].bytes, b->files[i].bytes, a->files[i].n) != 0)
            return false;
    return true;
}

static bool same_package(const struct mt_package *a, const struct mt_package *b)
{
    return same_tree(&a->tree, &b->tree) && a->is_signed == b->is_signed &&
           memcmp(&a->signer, &b->signer, sizeof a->signer) == 0 &&
           mt_val_equal(mt_doc_root(a->manifest->doc), mt_doc_root(b->manifest->doc));
}

static int bits(const char *file)
{
    struct mt_package good, package;
    struct mt_buf bytes;
    size_t refused = 0, same = 0;
    mt_buf_init(&bytes, MT_ARCHIVE_BYTES);
    if (mt_archive_read_file(file, &bytes, &err) != MT_OK ||
        mt_package_read(mt_buf_slice(&bytes), NULL, true, &good, &err) != MT_OK)
        return failed();
    /* Each is read from a block of its own size, so that a sanitizer sees a byte too many. */
    for (size_t i = 0; i < bytes.n * 8 + bytes.n; i++) {
        size_t n = i < bytes.n * 8 ? bytes.n : i - bytes.n * 8;
        char *copy = malloc(n + !n);
        memcpy(copy, bytes.p, n);
        if (i < bytes.n * 8)
            copy[i / 8] = (char)(copy[i / 8] ^ 1 << i % 8);
        if (mt_package_read((struct mt_slice){copy, n}, NULL, true, &package, &err) != MT_OK) {
            refused++;
        } else if (n == bytes.n && same_package(&good, &package)) {
            same++;
        } else {
            fprintf(stderr, "taken: %s %zu\n", n == bytes.n ? "bit" : "cut at", n == bytes.n ? i : n);
            return 1;
        }
        mt_package_fini(&package);
        free(copy);
    }
    printf("%zu %zu %zu\n", bytes.n * 9, refused, same);
    mt_package_fini(&good);
    mt_buf_fini(&bytes);
    return 0;
}

static long resident(void)
{
    long total, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int cycles(const char *path, int count)
{
    long early = 0;
    count /= SANITIZED ? 20 : 1;
    for (int i = 0; i < count; i++) {
        struct mt_bundle *b = NULL;
        if (mt_bundle_open(path, NULL, &b, &err) != MT_OK)
            return failed();
        mt_bundle_free(b);
        if (i == count / 10)
            early = resident();
    }
    printf("%ld\n", SANITIZED ? 0 : resident() - early);
    return 0;
}

static void print_path(void *ud, const char *relative)
{
    (void)ud;
    puts(relative);
}

static int read_file(const struct mt_bundle *b, const char *file)
{
    struct mt_buf out;
    mt_buf_init(&out, MT_TREE_FILE_BYTES);
    enum mt_rc rc = mt_bundle_read(b, file, &out, &err);
    if (rc == MT_OK)
        fwrite(out.p, 1, out.n, stdout);
    mt_buf_fini(&out);
    return rc == MT_OK ? 0 : failed();
}

static void print_digest(const struct mt_bundle *b, const char *prefix, const char *suffix)
{
    struct mt_key key = mt_bundle_digest(b, prefix, suffix);
    for (size_t i = 0; i < sizeof key.b; i++)
        printf("%02x", key.b[i]);
    putchar('\n');
}

static int hosts(const struct mt_bundle *b)
{
    size_t count;
    const char *const *list = mt_bundle_hosts(b, &count);
    for (size_t i = 0; i < count; i++)
        puts(list[i]);
    return 0;
}

static int snapshot(const struct mt_bundle *b, const char *command)
{
    for (int i = 0; i < 2; i++) {
        if (read_file(b, "main.lua") != 0)
            return 1;
        print_digest(b, "", "");
        fflush(stdout);
        if (i == 0 && system(command) != 0)
            return 1;
    }
    return read_file(b, "new.lua") ? 3 : 0;
}

static int with_bundle(int argc, char **argv)
{
    struct mt_bundle_options options = {.whole = argc > 4 && strcmp(argv[4], "whole") == 0};
    struct mt_bundle *b = NULL;
    int code = 0;
    if (mt_bundle_open(argv[2], &options, &b, &err) != MT_OK)
        return failed();
    if (strcmp(argv[1], "list") == 0)
        code = mt_bundle_list(b, argv[3], print_path, NULL, &err) == MT_OK ? 0 : failed();
    else if (strcmp(argv[1], "read") == 0)
        code = read_file(b, argv[3]);
    else if (strcmp(argv[1], "digest") == 0)
        print_digest(b, argv[3], argv[4]);
    else if (strcmp(argv[1], "hosts") == 0)
        code = hosts(b);
    else
        code = snapshot(b, argv[3]);
    mt_bundle_free(b);
    return code;
}

static atomic_bool enough;

static void *grow(void *ud)
{
    FILE *file = fopen(ud, "we");
    for (long n = 0; file && !atomic_load(&enough); n++) {
        fputc('x', file);
        fflush(file);
        if (n % (1 << 20) == 0 && ftruncate(fileno(file), 0) == 0)
            rewind(file);
    }
    if (file)
        fclose(file);
    return NULL;
}

static int growing(char *folder)
{
    pthread_t thread;
    struct mt_buf out;
    bool refused = false, whole = false;
    char path[4096];
    snprintf(path, sizeof path, "%s/x.lua", folder);
    mt_buf_init(&out, MT_TREE_FILE_BYTES);
    if (pthread_create(&thread, NULL, grow, path) != 0)
        return 1;
    for (long i = 0; i < 10000000 && !refused; i++) {
        enum mt_rc rc = mt_folder_read(folder, "x.lua", &out, &err);
        refused |= rc == MT_EBUSY;
        if (rc != MT_OK && rc != MT_EBUSY && rc != MT_ENOENT)
            return failed();
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    whole = mt_folder_read(folder, "x.lua", &out, &err) == MT_OK;
    printf("%s %s\n", refused ? "refused" : "never refused", whole ? "whole" : err.text);
    mt_buf_fini(&out);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "bits") == 0)
        return bits(argv[2]);
    if (argc == 4 && strcmp(argv[1], "cycles") == 0)
        return cycles(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "growing") == 0)
        return growing(argv[2]);
    return argc >= 3 ? with_bundle(argc, argv) : 2;
}
