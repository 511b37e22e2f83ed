/* Which engine evaluates jq, and its limits: settings of the whole process.
 *
 * The command line sets them before any thread starts; afterwards they are only read. */
#ifndef MT_JQ_ENGINE_H
#define MT_JQ_ENGINE_H

#include "jq/machine.h"

enum mt_engine {
    MT_ENGINE_NATIVE, /* the default */
    MT_ENGINE_LIBJQ
};

bool mt_engine_parse(const char *name, enum mt_engine *out); /* "native", "libjq"; NULL is none */
void mt_engine_choose(enum mt_engine engine);
enum mt_engine mt_engine_chosen(void);

/* Of one evaluation of an expression by the native engine: 0 leaves the machine's own. */
void mt_engine_limit(struct mt_machine_limits limits);
struct mt_machine_limits mt_engine_limits(void);

/* From the environment: MOONTIDE__ENGINE, MOONTIDE__JQ__STEPS, MOONTIDE__JQ__MEMORY_MB. MT_EINVAL names the
 * variable and what it takes. */
enum mt_rc mt_engine_from_environment(struct mt_err *err);

/* The native engine does not take an expression (why); may libjq? MT_OK, and one line in the log for each
 * expression and process; MT_EINVAL for what libjq 1.6 is not trusted with. Any thread. */
enum mt_rc mt_engine_fall_back(struct mt_slice expression, const char *why, struct mt_err *err);

#endif
