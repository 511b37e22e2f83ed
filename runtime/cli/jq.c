/* moontide jq: the engine by itself. Reads a stream of JSON values, writes the results compact, one a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/command.h"
#include "jq/program.h"

enum { EXIT_COMPILE = 3, EXIT_INPUT = 5, CHUNK = 1 << 16 };

static const size_t input_max = (size_t)1 << 30;

struct run {
    struct mt_jq *program;
    struct mt_buf out;
    int code;
};

static bool print(void *ud, struct mt_doc *result)
{
    struct run *r = ud;
    mt_buf_clear(&r->out);
    if (!mt_val_write(mt_doc_root(result), &r->out) || !mt_buf_putc(&r->out, '\n'))
        return false;
    return fwrite(r->out.p, 1, r->out.n, stdout) == r->out.n;
}

static void complain(struct run *r, const char *file, size_t at, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "jq: error (at %s:%zu): %s\n", file, at, text);
    r->code = EXIT_INPUT;
}

/* One value of the input. */
static void run_value(struct run *r, const char *file, size_t at, struct mt_slice text)
{
    struct mt_doc *doc = NULL;
    struct mt_err err;
    if (mt_doc_parse_copy(text, NULL, &doc, &err) || mt_jq_run(r->program, mt_doc_root(doc), print, r, &err))
        complain(r, file, at, err.text);
    else if (r->out.failed)
        complain(r, file, at, "the result is too large");
    mt_doc_unref(doc);
}

/* Of blanks, and of the byte order marks of files that were put one behind another. */
static size_t blank_bytes(struct mt_slice text)
{
    size_t n = 0;
    for (;;)
        if (n < text.n && strchr(" \t\r\n", text.p[n]) && text.p[n])
            n++;
        else if (text.n - n >= 3 && memcmp(text.p + n, "\xEF\xBB\xBF", 3) == 0)
            n += 3;
        else
            return n;
}

/* Takes whole values off the front of the buffer. Before the end of the file a value is whole only if
 * something follows it. */
static void run_values(struct run *r, const char *file, struct mt_buf *in, size_t *at, bool end)
{
    size_t used = 0, n;
    struct mt_err err;
    while (used < in->n) {
        used += blank_bytes((struct mt_slice){in->p + used, in->n - used});
        struct mt_slice rest = {in->p + used, in->n - used};
        enum mt_rc rc = mt_json_next(rest, &n, &err);
        if (!end && (rc || n == 0 || n == rest.n))
            break;
        if (rc) {
            /* A container without an end may have anything in it; a word that is no value ends with its line.
             */
            const char *line = memchr("[{\"", rest.p[0], 3) ? NULL : memchr(rest.p, '\n', rest.n);
            char *text = mt_format("%s%s", err.text, line ? "; the rest of its line is left out" : "");
            complain(r, file, *at + used, text);
            free(text);
            used = line ? used + (size_t)(line - rest.p) + 1 : in->n;
            continue;
        }
        if (n == 0) {
            used = in->n;
            break;
        }
        run_value(r, file, *at + used, (struct mt_slice){rest.p, n});
        used += n;
    }
    memmove(in->p, in->p + used, in->n - used);
    in->n -= used;
    *at += used;
}

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_jq;
    const char *engine = NULL;
    int count =
        mt_options_parse(self, argc, argv, (struct mt_option[]){{.name = "engine", .value = &engine}, {0}});
    if (count < 0 || !mt_command_engine(self, engine))
        return MT_EXIT_USAGE;
    if (count < 1 || count > 2)
        return mt_usage_error(self, count < 1 ? "a program is missing" : "too many arguments");
    const char *file = count == 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    struct run r = {.code = MT_EXIT_OK};
    struct mt_err err;
    struct mt_buf in;
    FILE *stream = file ? fopen(file, "rb") : stdin;
    if (!stream)
        return mt_usage_error(self, "%s: %s", file, strerror(errno));
    mt_buf_init(&in, input_max);
    mt_buf_init(&r.out, input_max);
    if (mt_jq_compile(mt_slice_of(argv[1]), false, &r.program, &err)) {
        fprintf(stderr, "jq: error: %s\njq: 1 compile error\n", err.text);
        r.code = EXIT_COMPILE;
        goto out;
    }
    size_t at = 0, got = 1, tried = 0;
    while (got > 0) {
        if (!mt_buf_reserve(&in, CHUNK)) {
            complain(&r, file ? file : "<stdin>", at, "a value is larger than 1 GiB");
            break;
        }
        got = fread(in.p + in.n, 1, CHUNK, stream);
        in.n += got;
        /* A value that spans many chunks is looked for only when the buffer has doubled: linear, not
         * quadratic. */
        if (got > 0 && in.n < 2 * tried)
            continue;
        run_values(&r, file ? file : "<stdin>", &in, &at, got == 0);
        tried = in.n;
    }
    if (ferror(stream))
        complain(&r, file ? file : "<stdin>", at, strerror(errno));
out:
    if (file)
        fclose(stream);
    mt_jq_free(r.program);
    mt_buf_fini(&in);
    mt_buf_fini(&r.out);
    return r.code;
}

const struct mt_command mt_command_jq = {
    .name = "jq",
    .usage = "moontide jq PROGRAM [FILE] [--engine native|libjq]",
    .summary = "run a jq program over JSON values",
    .help =
        "  FILE     JSON values, one after another; without it (or with -) stdin\n"
        "  --engine native|libjq\n"
        "           what evaluates the program; native without it\n"
        "\n"
        "Writes each result compact on a line of its own. The meaning is jq 1.8's; $ENV and env are empty.\n"
        "\n"
        "exit 0   every input went through\n"
        "     2   usage\n"
        "     3   the program does not compile\n"
        "     5   an input is broken or raised an error; the others went on\n",
    .run = run,
};
