/* Paths that are tracked while an expression runs: a list of keys from newest to oldest, on a stack of its
 * own, which becomes an array at the end. On the machine's thread.
 *
 * That an expression keeps to the path is seen at each step: the value that it goes on from has to be the
 * very value that the path leads to. */
#include "jq/machine_state.h"

enum { PATH_MAX_KEYS = 10000, SHOWN_ELEMENT = 14, SHOWN_VALUE = 29 };

/* The same value at the same place, as far as that can be told. */
static bool is_same(struct mt_jv a, struct mt_jv b)
{
    if (a.tag != b.tag)
        return false;
    switch (a.tag) {
    case MT_JV_NUMBER:
        return memcmp(&a.number, &b.number, sizeof a.number) == 0;
    case MT_JV_DOC:
        return a.doc == b.doc && a.at == b.at;
    case MT_JV_STRING:
    case MT_JV_LITERAL:
        return a.text == b.text;
    case MT_JV_ARRAY:
    case MT_JV_OBJECT:
        return a.array == b.array;
    default:
        return true;
    }
}

/* A value's JSON for a message, cut to n bytes (jq shows 11 or 26 of them and dots). */
static const char *show(struct mt_jv v, size_t n, char out[MT_JV_SHOWN])
{
    struct mt_buf text;
    mt_buf_init(&text, 16 << 10);
    mt_jv_write_begin(v, n + 1, &text);
    size_t length = text.n;
    if (length > n) {
        length = n - 3;
        while (length > 0 && ((unsigned char)text.p[length] & 0xc0) == 0x80)
            length--;
    }
    if (length)
        memcpy(out, text.p, length);
    memcpy(out + length, "...", 4);
    if (text.n <= n)
        out[length] = '\0';
    mt_buf_fini(&text);
    return out;
}

static bool push_node(struct mt_machine *m, struct mt_jv key, struct mt_jv v)
{
    uint32_t at = (m->path > m->path_limit ? m->path : m->path_limit) + 1;
    if (at >= m->paths_cap && !grow_paths(m))
        return false;
    m->paths[at] = (struct path_node){.key = key, .value = mt_jv_share(v), .parent = m->path};
    m->path = at;
    return true;
}

bool path_begin(struct mt_machine *m, struct mt_jv v)
{
    return push_node(m, MT_NONE, v);
}

bool path_push(struct mt_machine *m, struct mt_jv key, struct mt_jv v)
{
    return push_node(m, mt_jv_share(key), v);
}

struct mt_jv path_end(struct mt_machine *m, struct mt_jv v)
{
    char shown[MT_JV_SHOWN];
    if (!is_same(v, m->paths[m->path].value))
        return mt_jv_raise(&m->heap, "Invalid path expression with result %s", show(v, SHOWN_VALUE, shown));
    uint32_t count = 0, node = m->path;
    for (; !mt_jv_is_none(m->paths[node].key); node = m->paths[node].parent)
        count++;
    if (count > PATH_MAX_KEYS)
        return mt_jv_raise(&m->heap, "Path too deep");
    struct mt_jv path = mt_jv_array(&m->heap, count);
    for (node = m->path; count > 0 && !mt_jv_is_none(path); node = m->paths[node].parent)
        path = mt_jv_put(&m->heap, path, --count, m->paths[node].key);
    m->path = m->paths[node].parent;
    return path;
}

static struct mt_jv leaves_path(struct mt_machine *m, struct mt_jv v, struct mt_jv key)
{
    char shown_key[MT_JV_SHOWN], shown[MT_JV_SHOWN];
    return mt_jv_raise(&m->heap, "Invalid path expression near attempt to access element %s of %s",
                       show(key, SHOWN_ELEMENT, shown_key), show(v, SHOWN_VALUE, shown));
}

struct mt_jv path_step(struct mt_machine *m, struct mt_jv v, struct mt_jv key)
{
    if (!is_same(v, m->paths[m->path].value))
        return leaves_path(m, v, key);
    struct mt_jv child = mt_jv_get(&m->heap, v, key);
    return mt_jv_is_none(child) || path_push(m, key, child) ? child : MT_NONE;
}

struct mt_jv path_slice(struct mt_machine *m, struct mt_jv v, struct mt_jv from, struct mt_jv to)
{
    struct mt_jv key = mt_jv_object(&m->heap, 2), start = mt_jv_string_of(&m->heap, "start"),
                 end = mt_jv_string_of(&m->heap, "end");
    if (mt_jv_is_none(key) || mt_jv_is_none(start) || mt_jv_is_none(end))
        return MT_NONE;
    key = mt_jv_set(&m->heap, key, start, from);
    key = mt_jv_is_none(key) ? key : mt_jv_set(&m->heap, key, end, to);
    return mt_jv_is_none(key) ? key : path_step(m, v, key);
}

bool path_may_iterate(struct mt_machine *m, struct mt_jv v)
{
    char shown[MT_JV_SHOWN];
    if (is_same(v, m->paths[m->path].value))
        return true;
    mt_jv_raise(&m->heap, "Invalid path expression near attempt to iterate through %s",
                show(v, SHOWN_VALUE, shown));
    return false;
}

struct mt_jv path_get(struct mt_machine *m, struct mt_jv v, struct mt_jv path)
{
    if (!is_same(v, m->paths[m->path].value))
        return leaves_path(m, v, path);
    struct mt_jv value = mt_jv_getpath(&m->heap, v, path);
    if (mt_jv_is_none(value))
        return value;
    size_t count = mt_jv_count(path);
    for (size_t i = 0; i < count; i++)
        if (!path_push(m, mt_jv_index(path, i), i + 1 < count ? mt_jv_null() : value))
            return MT_NONE;
    return value;
}
