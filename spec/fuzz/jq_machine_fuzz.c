/* Any bytes as a jq program and, behind the first NUL, its input: compiled and run within small limits. It
 * has to end, and when the heap is collected wherever it may be it has to give the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "jq/machine.h"

enum { OUTPUTS = 50, STEPS = 20000, MEMORY = 4 << 20, WRITTEN = 1 << 20 };

/* All outputs as JSON, then the error; returns whether the text is whole and no limit was met. */
static bool run(const struct mt_program *p, struct mt_val input, bool stress, struct mt_buf *out)
{
    struct mt_machine_limits limits = {STEPS, MEMORY};
    struct mt_machine *m = mt_machine_new(p, &limits);
    struct mt_jv v;
    enum mt_outcome outcome = MT_GAVE_NOTHING;
    char message[MT_FOREIGN + 1];
    bool whole = true;
    if (stress)
        mt_machine_heap(m)->collect_at = 0;
    mt_machine_begin(m, input);
    mt_machine_start(m, 0);
    for (int i = 0; i < OUTPUTS && (outcome = mt_machine_next(m, &v)) == MT_GAVE_VALUE; i++)
        whole = mt_jv_write(v, out) && mt_buf_putc(out, '\n') && whole;
    if (outcome == MT_RAISED) {
        mt_machine_error(m, message);
        mt_buf_puts(out, message);
        whole = whole && !mt_jv_is_none(mt_machine_error_value(m));
    }
    mt_machine_free(m);
    return whole && !out->failed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *nul = memchr(text, '\0', size);
    struct mt_slice program = {text, nul ? (size_t)(nul - text) : size}, json = MT_SLICE("null");
    struct mt_compiler *c = mt_compiler_new(NULL);
    struct mt_doc *doc = NULL;
    struct mt_err err;
    unsigned entry;
    if (nul)
        json = (struct mt_slice){nul + 1, size - program.n - 1};
    if (mt_compiler_add(c, program, &entry, &err) == MT_OK &&
        mt_doc_parse_copy(json, NULL, &doc, &err) == MT_OK) {
        struct mt_program *p = mt_compiler_finish(c);
        struct mt_buf once, twice;
        mt_buf_init(&once, WRITTEN);
        mt_buf_init(&twice, WRITTEN);
        bool whole = run(p, mt_doc_root(doc), false, &once) && run(p, mt_doc_root(doc), true, &twice);
        if (whole && !memmem(program.p, program.n, "now", 3) &&
            !mt_slice_eq(mt_buf_slice(&once), mt_buf_slice(&twice))) {
            fprintf(stderr, "jq_machine_fuzz: other results when it collects:\n%.*s\n---\n%.*s\n",
                    MT_FMT(mt_buf_slice(&once)), MT_FMT(mt_buf_slice(&twice)));
            abort();
        }
        mt_buf_fini(&once);
        mt_buf_fini(&twice);
        mt_program_free(p);
    }
    mt_doc_unref(doc);
    mt_compiler_free(c);
    return 0;
}
