/* The choice of the engine: see engine.h. Called by the commands at their start, by plan.c and program.c when
 * they compile. */
#include "jq/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

static enum mt_engine chosen = MT_ENGINE_NATIVE;
static struct mt_machine_limits limits_of_all;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mt_keyset *told; /* expressions that fell back; kept to the process's end */

bool mt_engine_parse(const char *name, enum mt_engine *out)
{
    bool native = name && strcmp(name, "native") == 0;
    if (!native && (!name || strcmp(name, "libjq") != 0))
        return false;
    *out = native ? MT_ENGINE_NATIVE : MT_ENGINE_LIBJQ;
    return true;
}

void mt_engine_choose(enum mt_engine engine)
{
    chosen = engine;
}

enum mt_engine mt_engine_chosen(void)
{
    return chosen;
}

void mt_engine_limit(struct mt_machine_limits limits)
{
    limits_of_all = limits;
}

struct mt_machine_limits mt_engine_limits(void)
{
    return limits_of_all;
}

static enum mt_rc number(const char *variable, unsigned long long most, unsigned long long *out,
                         struct mt_err *err)
{
    const char *text = getenv(variable);
    if (!text || !*text)
        return MT_OK;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || n < 1 || n > most)
        return mt_fail(err, MT_EINVAL, "%s is \"%.*s\": a number from 1 to %llu is expected", variable,
                       MT_FOREIGN, text, most);
    *out = n;
    return MT_OK;
}

enum mt_rc mt_engine_from_environment(struct mt_err *err)
{
    unsigned long long steps = limits_of_all.steps, megabytes = limits_of_all.memory >> 20;
    enum mt_engine engine = chosen;
    const char *name = getenv("MOONTIDE__ENGINE");
    if (name && *name && !mt_engine_parse(name, &engine))
        return mt_fail(err, MT_EINVAL, "MOONTIDE__ENGINE is \"%.*s\": native or libjq is expected",
                       MT_FOREIGN, name);
    enum mt_rc rc = number("MOONTIDE__JQ__STEPS", 1000000000000, &steps, err);
    if (rc == MT_OK)
        rc = number("MOONTIDE__JQ__MEMORY_MB", 65536, &megabytes, err);
    if (rc)
        return rc;
    mt_engine_choose(engine);
    mt_engine_limit((struct mt_machine_limits){steps, (size_t)megabytes << 20});
    return MT_OK;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '@';
}

/* libjq 1.6 ends the process, or never ends, on some data that these meet (and at once on modules), and it
 * has no limits: what may loop stays away from it. What stands in a string counts as well: an expression too
 * many that is refused does no harm. */
static bool is_risky(struct mt_slice name)
{
    static const char *const names[] = {
        "import",   "include",       "modulemeta",    "todate",          "fromdate",    "date",
        "dateadd",  "datesub",       "gmtime",        "localtime",       "mktime",      "strftime",
        "strptime", "strflocaltime", "todateiso8601", "fromdateiso8601", "dateiso8601", "test",
        "match",    "capture",       "scan",          "split",           "splits",      "sub",
        "gsub",     "implode",       "ascii",         "@base32d",        "@urid",       "indices",
        "index",    "rindex",        "setpath",       "delpaths",        "del",         "def",
        "reduce",   "foreach",       "range",         "repeat",          "while",       "until",
        "recurse",  "recurse_down",  "limit",         "combinations",    "walk",        NULL};
    for (const char *const *n = names; *n; n++)
        if (mt_slice_is(name, *n))
            return true;
    return false;
}

static bool risky_name(struct mt_slice expression, struct mt_slice *out)
{
    for (size_t i = 0; i < expression.n;) {
        size_t n = 0;
        while (i + n < expression.n && is_name(expression.p[i + n]))
            n++;
        *out = (struct mt_slice){expression.p + i, n};
        bool member = i > 0 && (expression.p[i - 1] == '.' || expression.p[i - 1] == '$');
        if (n && !member && is_risky(*out))
            return true;
        i += n ? n : 1;
    }
    return false;
}

enum mt_rc mt_engine_fall_back(struct mt_slice expression, const char *why, struct mt_err *err)
{
    struct mt_slice name;
    if (risky_name(expression, &name))
        return mt_fail(err, MT_EINVAL, "%s; and libjq cannot take its place because of '%.*s'", why,
                       MT_FMT(name));
    struct mt_key key = mt_key_of(&expression, 1);
    pthread_mutex_lock(&lock);
    if (!told)
        told = mt_keyset_new();
    bool first = mt_keyset_add(told, &key, 0);
    pthread_mutex_unlock(&lock);
    if (first)
        mt_log(MT_WARN, "the jq expression %.*s is evaluated by libjq: %s",
               expression.n > MT_FOREIGN ? MT_FOREIGN : (int)expression.n, expression.p, why);
    return MT_OK;
}
