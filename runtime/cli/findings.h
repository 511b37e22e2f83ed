/* Private to cli/: what validate finds: collected, each once, then printed. One thread. */
#ifndef MT_CLI_FINDINGS_H
#define MT_CLI_FINDINGS_H

#include "base/buf.h"
#include "base/keyset.h"

struct mt_finding {
    bool error;
    char *file; /* relative to the bundle; NULL: the bundle as a whole */
    unsigned line;
    char *text;
};
struct mt_findings { /* zeroed, it is empty */
    struct mt_finding *list;
    size_t count, room;
    unsigned errors, warnings;
    struct mt_keyset *told; /* of what was said already: every example repeats it */
};

/* Adds it unless the very same was added before. */
void mt_findings_add(struct mt_findings *f, bool error, const char *file, unsigned line, const char *text);
/* Is it the first time that this is said? */
bool mt_findings_first(struct mt_findings *f, const struct mt_key *key);
void mt_findings_print(const struct mt_findings *f, const char *name);   /* one a line, on stdout */
void mt_findings_write(const struct mt_findings *f, struct mt_buf *out); /* as a JSON array */
void mt_findings_fini(struct mt_findings *f);

#endif
