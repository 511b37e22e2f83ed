/* Refuses memory for spec/jq/refusal_spec.lua: one JSON request a line on stdin, one answer a line on stdout.
 *   {"op":"run","program","input"} and {"op":"map","resource","items"}, both with "rest"
 *     → {"refused":N,"told":N,"wrong":[…]}
 * The request is done once as it is, then again and again with the first, the second … allocation refused
 * that may fail (mt_try_alloc, and realloc of buffers and documents; not mt_alloc and mt_realloc, which end
 * the process), and all behind it when "rest" is true, until none is met. What comes out has to be the same,
 * or somebody has to say so ("told"); anything else is listed as wrong. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jq/machine.h"
#include "jq/mapping.h"

void *__wrap_mt_try_alloc(size_t size);
void *__real_mt_try_alloc(size_t size);
void *__wrap_mt_realloc(void *p, size_t size);
void *__real_mt_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__real_realloc(void *p, size_t size);

static unsigned long countdown; /* 0: nothing is refused */
static bool met, rest, is_record;

static bool refused(void)
{
    if (is_record || countdown == 0 || (met && !rest))
        return false;
    if (!met && --countdown == 0) {
        met = true;
        countdown = 1;
    }
    return met;
}

void *__wrap_mt_try_alloc(size_t size)
{
    return refused() ? NULL : __real_mt_try_alloc(size);
}

void *__wrap_mt_realloc(void *p, size_t size)
{
    is_record = true;
    void *grown = __real_mt_realloc(p, size);
    is_record = false;
    return grown;
}

void *__wrap_realloc(void *p, size_t size)
{
    return refused() ? NULL : __real_realloc(p, size);
}

static struct mt_val member(struct mt_val v, const char *name)
{
    struct mt_val found = {NULL, 0};
    mt_val_path(v, name, &found);
    return found;
}

/* What is written here has its memory before anything is refused. */
struct report {
    char text[1 << 16];
    size_t n;
    bool told;
};

static void add(struct report *r, const char *what, struct mt_slice text)
{
    int n = snprintf(r->text + r->n, sizeof r->text - r->n, "%s %.*s\n", what, MT_FMT(text));
    r->n += n > 0 && (size_t)n < sizeof r->text - r->n ? (size_t)n : 0;
}

/* Without memory an error of jq's shows nothing of the value that it is about: "… over null ()". */
static void tell(struct report *r, const char *message)
{
    if (strstr(message, "memory") || strstr(message, "MiB") || strstr(message, "()"))
        r->told = true;
    add(r, "error", mt_slice_of(message));
}

static bool write_value(struct mt_jv v, struct report *r)
{
    struct mt_buf out;
    mt_buf_init(&out, sizeof r->text);
    unsigned long left = countdown;
    countdown = 0; /* the reader's own */
    bool written = mt_jv_write(v, &out);
    countdown = left;
    add(r, "value", mt_buf_slice(&out));
    mt_buf_fini(&out);
    return written;
}

static void run(struct mt_val request, struct report *r)
{
    struct mt_compiler *c = mt_compiler_new(NULL);
    struct mt_program *p = NULL;
    struct mt_err err;
    unsigned entry;
    if (mt_compiler_add(c, mt_val_string(member(request, "program")), &entry, &err) == MT_OK)
        p = mt_compiler_finish(c);
    else
        tell(r, err.text);
    mt_compiler_free(c);
    if (!p)
        return;
    struct mt_machine *m = mt_machine_new(p, NULL);
    struct mt_jv v;
    enum mt_outcome outcome;
    mt_machine_begin(m, member(request, "input"));
    mt_machine_start(m, entry);
    while ((outcome = mt_machine_next(m, &v)) == MT_GAVE_VALUE)
        if (!write_value(v, r))
            break;
    if (outcome == MT_RAISED) {
        char message[MT_FOREIGN + 1];
        mt_machine_error(m, message);
        tell(r, message);
    }
    mt_machine_free(m);
    mt_program_free(p);
}

static void map(struct mt_val request, struct report *r)
{
    struct mt_mapping *m = NULL;
    struct mt_mapper *mapper = NULL;
    struct mt_mapped mapped = {.items = 0};
    struct mt_err err = {.rc = MT_OK};
    enum mt_rc rc = mt_mapping_new(member(request, "resource"), 0, NULL, &m, &err);
    if (rc == MT_OK)
        rc = mt_mapper_new(m, &mapper, &err);
    for (int i = 0; i < 2 && rc == MT_OK; i++) { /* the second batch finds what the first one left behind */
        rc = mt_mapper_run(mapper, member(request, "items"), &mapped, &err);
        for (size_t k = 0; k < mapped.entity_count; k++)
            add(r, "entity", mapped.entities[k]->json);
        for (size_t k = 0; k < mapped.failed_count; k++)
            tell(r, mapped.failed[k].message);
        for (size_t k = 0; k < mapped.empty_count; k++)
            tell(r, mapped.empty[k].sample);
        char counts[128];
        snprintf(counts, sizeof counts, "%llu %llu %llu %llu", (unsigned long long)mapped.items,
                 (unsigned long long)mapped.selected, (unsigned long long)mapped.rejected,
                 (unsigned long long)mapped.skipped);
        add(r, "counts", mt_slice_of(counts));
        mt_mapped_fini(&mapped);
        mapped = (struct mt_mapped){.items = 0};
    }
    if (rc)
        tell(r, err.text);
    mt_mapper_free(mapper);
    mt_mapping_free(m);
}

static void refuse_each(struct mt_val request, struct mt_builder *b)
{
    static struct report reference, now;
    void (*perform)(struct mt_val, struct report *) =
        mt_slice_is(mt_val_string(member(request, "op")), "map") ? map : run;
    unsigned long n = 0, told = 0;
    reference.n = 0;
    rest = mt_val_true(member(request, "rest"));
    perform(request, &reference);
    mt_build_name(b, MT_SLICE("wrong"));
    mt_build_array(b);
    for (bool again = true; again;) {
        now.n = 0;
        now.told = met = false;
        countdown = ++n;
        perform(request, &now);
        countdown = 0;
        again = met;
        told += now.told;
        bool same = now.n == reference.n && memcmp(now.text, reference.text, now.n) == 0;
        if (!same && !now.told) {
            char text[512];
            size_t at = 0;
            while (at < now.n && at < reference.n && now.text[at] == reference.text[at])
                at++;
            at -= at < 40 ? at : 40;
            snprintf(text, sizeof text, "allocation %lu: …%.*s…", n,
                     now.n < at + 400 ? (int)(now.n - at) : 400, now.text + at);
            mt_build_string(b, mt_slice_of(text));
        }
    }
    mt_build_end(b);
    mt_build_name(b, MT_SLICE("refused"));
    mt_build_int(b, (int64_t)n - 1);
    mt_build_name(b, MT_SLICE("told"));
    mt_build_int(b, (int64_t)told);
    mt_build_name(b, MT_SLICE("reference"));
    mt_build_string(b, (struct mt_slice){reference.text, reference.n});
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct mt_doc *request = NULL, *answer = NULL;
        struct mt_err err;
        struct mt_buf out;
        if (mt_doc_parse_copy((struct mt_slice){line, (size_t)n}, NULL, &request, &err)) {
            fprintf(stderr, "refusal_driver: %s\n", err.text);
            return 1;
        }
        struct mt_builder *b = mt_builder_new();
        mt_build_object(b);
        refuse_each(mt_doc_root(request), b);
        mt_build_end(b);
        mt_buf_init(&out, (size_t)1 << 26);
        if (mt_builder_finish(b, &answer, &err)) {
            fprintf(stderr, "refusal_driver: %s\n", err.text);
            return 1;
        }
        mt_val_write(mt_doc_root(answer), &out);
        puts(mt_buf_text(&out));
        fflush(stdout);
        mt_buf_fini(&out);
        mt_builder_free(b);
        mt_doc_unref(answer);
        mt_doc_unref(request);
    }
    free(line);
    return 0;
}
