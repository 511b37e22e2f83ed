/* Drives base/mask.c from mask_spec.lua: mask_driver COMMAND ARGS…; texts come on stdin, `-- SECRET…` are
 * added. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mask.h"
#include "base/memory.h"

static void read_stdin(struct mt_buf *text)
{
    char part[65536];
    mt_buf_init(text, 64 << 20);
    for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0;)
        mt_buf_add(text, part, n);
}

/* put | known | inplace */
static int mask(const char *how)
{
    struct mt_buf text, out;
    read_stdin(&text);
    mt_buf_init(&out, 128 << 20);
    if (strcmp(how, "put") == 0) {
        mt_mask_put(&out, mt_buf_slice(&text));
    } else if (strcmp(how, "known") == 0) {
        mt_mask_put_known(&out, mt_buf_slice(&text));
    } else {
        char *copy = mt_strdup(mt_buf_text(&text));
        mt_buf_puts(&out, mt_mask(copy));
        free(copy);
    }
    fwrite(out.p, 1, out.n, stdout);
    mt_buf_fini(&out);
    mt_buf_fini(&text);
    return 0;
}

/* The same text again and again up to so many bytes: how many it becomes, and the best of three times. */
static int hostile(const char *unit, size_t bytes)
{
    struct mt_buf text, out;
    uint64_t best = UINT64_MAX;
    size_t n = 0;
    mt_buf_init(&text, bytes + 1000);
    while (text.n < bytes)
        mt_buf_puts(&text, unit);
    for (int i = 0; i < 3; i++) {
        mt_buf_init(&out, 16 * bytes + 1000);
        uint64_t began = mt_cpu_ns();
        mt_mask_put(&out, mt_buf_slice(&text));
        uint64_t took = mt_cpu_ns() - began;
        best = took < best ? took : best;
        n = out.n;
        mt_buf_fini(&out);
    }
    printf("%zu %.3f\n", n, (double)best / 1e6);
    mt_buf_fini(&text);
    return 0;
}

/* Two threads add, two mask: for the thread sanitizer, and that a known secret is masked all the while. */
static void *add_more(void *arg)
{
    char name[32];
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(name, sizeof name, "token-%d-%d", (int)(intptr_t)arg, i);
        mt_mask_add_passing((struct mt_slice){name, (size_t)n});
        mt_mask_add(MT_SLICE("hunter22"));
    }
    return NULL;
}

static void *look(void *arg)
{
    size_t wrong = 0;
    for (int i = 0; i < 3000; i++) {
        char text[] = "the password hunter22 of token-1-5";
        wrong += strstr(mt_mask(text), "hunter22") != NULL;
    }
    *(size_t *)arg = wrong;
    return NULL;
}

static int threads(void)
{
    pthread_t t[4];
    size_t wrong[2];
    mt_mask_add(MT_SLICE("hunter22"));
    for (int i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, add_more, (void *)(intptr_t)i);
        pthread_create(&t[2 + i], NULL, look, &wrong[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("wrong %zu known %zu\n", wrong[0] + wrong[1], mt_mask_count());
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    int i = 2, code = 2;
    while (i < argc && strcmp(argv[i], "--") != 0)
        i++;
    for (int s = i + 1; s < argc; s++)
        mt_mask_add(mt_slice_of(argv[s]));
    if (strcmp(command, "again") == 0) { /* again N: the same secrets N times; tokens N different ones */
        for (int n = atoi(argv[2]); n > 0; n--)
            for (int s = i + 1; s < argc; s++)
                mt_mask_add(mt_slice_of(argv[s]));
        code = printf("%zu\n", mt_mask_count()) < 0;
    } else if (strcmp(command, "tokens") == 0) {
        char text[64] = "", first[] = "token-0-of-port", last[128];
        for (int n = 0; n < atoi(argv[2]); n++) {
            snprintf(text, sizeof text, "token-%d-of-port", n);
            mt_mask_add_passing(mt_slice_of(text));
            mt_mask_add_passing(MT_SLICE("always-in-use"));
        }
        snprintf(last, sizeof last, "%s always-in-use", text);
        code = printf("%zu %s %s\n", mt_mask_count(), mt_mask(first), mt_mask(last)) < 0;
    } else if (strcmp(command, "hostile") == 0) {
        code = hostile(argv[2], strtoull(argv[3], NULL, 10));
    } else if (strcmp(command, "threads") == 0) {
        code = threads();
    } else {
        code = mask(command);
    }
    mt_mask_forget();
    return code;
}
