/* All natives in one sorted list, made at the first look-up, and those few that belong nowhere else. Any
 * thread. */
#include "jq/native.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "jq/code.h"
#include "jq/definition.h"

extern char **environ;

static struct mt_jv native_env(struct mt_jv_heap *h, struct mt_jv *args)
{
    (void)args;
    struct mt_jv o = mt_jv_object(h, 0);
    for (char **entry = environ; h->environment && entry && *entry && !mt_jv_is_none(o); entry++) {
        const char *sign = strchr(*entry, '=');
        if (!sign)
            continue;
        struct mt_jv name = mt_jv_string(h, (struct mt_slice){*entry, (size_t)(sign - *entry)});
        struct mt_jv value = mt_jv_string_of(h, sign + 1);
        o = mt_jv_is_none(name) || mt_jv_is_none(value) ? MT_NONE : mt_jv_set(h, o, name, value);
    }
    return o;
}

static struct mt_jv add_name(struct mt_jv_heap *h, struct mt_jv list, const char *name, int arity)
{
    char text[80];
    if (mt_jv_is_none(list) || name[0] == '_')
        return list;
    if (arity < 0)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "%s/%d", name, arity);
    struct mt_jv entry = mt_jv_string_of(h, text);
    return mt_jv_is_none(entry) ? MT_NONE : mt_jv_append(h, list, entry);
}

static struct mt_jv native_builtins(struct mt_jv_heap *h, struct mt_jv *args)
{
    (void)args;
    static const char *const instructions[] = {"empty/0", "error/0", "error/1", "path/1"};
    struct mt_jv list = mt_jv_work(h, 4096) ? mt_jv_array(h, 256) : MT_NONE;
    const struct mt_native *native;
    const char *name;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++)
        list = add_name(h, list, instructions[i], -1);
    for (unsigned i = 0; (native = mt_native_at(i)) != NULL; i++)
        list = add_name(h, list, native->name, native->arity);
    for (unsigned i = 0; (name = mt_definition_name(i)) != NULL; i++)
        list = add_name(h, list, name, -1);
    return list;
}

static const struct mt_native own_natives[] = {
    {"env", 0, false, native_env},
    {"builtins", 0, true, native_builtins},
    {NULL, 0, false, NULL},
};

static const struct mt_native *const tables[] = {own_natives,      mt_container_natives, mt_order_natives,
                                                 mt_path_natives,  mt_string_natives,    mt_format_natives,
                                                 mt_regex_natives, mt_date_natives,      mt_number_natives};

enum { TABLES = sizeof tables / sizeof *tables, MAX = 512 };

static const struct mt_native *sorted[MAX];
static size_t count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int compare(struct mt_slice name, unsigned arity, const struct mt_native *native)
{
    size_t n = strlen(native->name), shorter = name.n < n ? name.n : n;
    int order = memcmp(name.p, native->name, shorter);
    if (order == 0)
        order = name.n < n ? -1 : name.n > n;
    return order ? order : (int)arity - (int)native->arity;
}

static int by_name(const void *a, const void *b)
{
    const struct mt_native *x = *(const struct mt_native *const *)a, *y = *(const struct mt_native *const *)b;
    return compare(mt_slice_of(x->name), x->arity, y);
}

static void sort(void)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct mt_native *native = tables[t]; native->name && count < MAX; native++)
            sorted[count++] = native;
    qsort(sorted, count, sizeof sorted[0], by_name);
}

const struct mt_native *mt_native_find(struct mt_slice name, unsigned arity)
{
    pthread_once(&once, sort);
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(name, arity, sorted[middle]);
        if (order == 0)
            return sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct mt_native *mt_native_at(unsigned i)
{
    pthread_once(&once, sort);
    return i < count ? sorted[i] : NULL;
}
