/* YAML into documents, on libyaml's event parser. Called by the bundle, the configuration and validate; any
 * thread; nothing is kept between calls.
 *
 * The events become a tree of nodes first, since merge keys and aliases point back; the tree is then written
 * into a builder. What aliases expand to is bounded by a budget of nodes, nesting by a depth, the text by a
 * size. */
#include "bundle/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/memory.h"
#include "bundle/scalar.h"

enum { MOST_NODES = 1000000, MOST_DEPTH = 256, MOST_BYTES = 64 * 1024 * 1024, LINEAR = 8 };

enum node_kind { NODE_TEXT, NODE_PLAIN, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    uint32_t line, column;
    size_t at, length; /* of a scalar's text in reader.text */
    uint32_t first,
        next;         /* first child (keys and values of a map take turns); next sibling's entry. 0: none */
    const char *cast; /* an explicit !!tag of a scalar, without its prefix; static; NULL: none */
};

/* An entry of a list or map: aliases make one node a child of several, so siblings are chained apart from
 * nodes. */
struct entry {
    uint32_t node, next;
};

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct mt_err *err;
    enum mt_rc rc;
    struct mt_buf text;
    struct node *nodes;
    struct entry *entries;
    uint32_t node_count, entry_count, node_room, entry_room;
    struct mt_keyset *anchors; /* digest of the name -> node */
    bool *open;                /* unused slots are never read: allocated with nodes */
    uint32_t budget;
    struct mt_builder *builder;
    struct mt_keyset *lines; /* NULL: a document is wanted */
    struct mt_buf path;
};

static bool fail(struct reader *r, enum mt_rc rc, uint32_t line, uint32_t column, const char *text)
{
    if (r->rc == MT_OK)
        r->rc = mt_fail(r->err, rc, "%s:%u:%u: %s", r->name, line, column, text);
    return false;
}

static bool parser_failed(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        r->rc = mt_fail(r->err, MT_ENOMEM, "%s: no memory left to parse it", r->name);
    else if (p->error == YAML_READER_ERROR)
        r->rc = mt_fail(r->err, MT_EINVAL, "%s: byte %zu: %s; save the file as UTF-8", r->name,
                        p->problem_offset, p->problem ? p->problem : "not readable");
    else
        r->rc = mt_fail(r->err, MT_EINVAL, "%s:%zu:%zu: %s%s%s", r->name, p->problem_mark.line + 1,
                        p->problem_mark.column + 1, p->problem ? p->problem : "not valid YAML",
                        p->context ? " " : "", p->context ? p->context : "");
    return false;
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? true : parser_failed(r);
}

static uint32_t add_node(struct reader *r, enum node_kind kind, const yaml_event_t *event)
{
    if (r->node_count == r->node_room) {
        r->node_room = r->node_room ? r->node_room * 2 : 256;
        r->nodes = mt_realloc(r->nodes, r->node_room * sizeof *r->nodes);
        r->open = mt_realloc(r->open, r->node_room * sizeof *r->open);
    }
    r->nodes[r->node_count] = (struct node){.kind = kind,
                                            .line = (uint32_t)event->start_mark.line + 1,
                                            .column = (uint32_t)event->start_mark.column + 1};
    r->open[r->node_count] = kind == NODE_LIST || kind == NODE_MAP;
    return r->node_count++;
}

/* Appends to a chain of entries; tail 0 starts one. Entry 0 is never used. */
static uint32_t add_entry(struct reader *r, uint32_t tail, uint32_t node)
{
    if (r->entry_count + 1 >= r->entry_room) {
        r->entry_room = r->entry_room ? r->entry_room * 2 : 256;
        r->entries = mt_realloc(r->entries, r->entry_room * sizeof *r->entries);
    }
    uint32_t at = ++r->entry_count;
    r->entries[at] = (struct entry){node, 0};
    if (tail)
        r->entries[tail].next = at;
    return at;
}

static void anchor(struct reader *r, const yaml_char_t *name, uint32_t node)
{
    if (!name)
        return;
    struct mt_slice text = mt_slice_of((const char *)name);
    struct mt_key key = mt_key_of(&text, 1);
    if (!r->anchors)
        r->anchors = mt_keyset_new();
    mt_keyset_remove(r->anchors, &key); /* a later anchor of the same name takes over */
    mt_keyset_add(r->anchors, &key, node);
}

/* A tag that says more than "as it looks"; false: one that nobody here understands. */
static bool take_tag(const char *tag, bool scalar, const char **out_cast)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const scalars[] = {"str", "int", "float", "bool", "null", "timestamp", NULL};
    if (!tag || strcmp(tag, "!") == 0)
        return true;
    if (strncmp(tag, prefix, sizeof prefix - 1) != 0)
        return false;
    tag += sizeof prefix - 1;
    for (const char *const *known = scalars; scalar && *known; known++)
        if (strcmp(*known, tag) == 0) {
            *out_cast = *known;
            return true;
        }
    return !scalar && (strcmp(tag, "map") == 0 || strcmp(tag, "seq") == 0);
}

static bool parse_node(struct reader *r, yaml_event_t *event, unsigned depth, uint32_t *out);

/* The children of a list or map, up to its end. */
static bool parse_children(struct reader *r, uint32_t parent, yaml_event_type_t end, unsigned depth)
{
    uint32_t tail = 0;
    for (;;) {
        yaml_event_t event;
        uint32_t child = 0;
        if (!next_event(r, &event))
            return false;
        bool last = event.type == end;
        bool ok = last || parse_node(r, &event, depth + 1, &child);
        yaml_event_delete(&event);
        if (!ok || last)
            return ok;
        tail = add_entry(r, tail, child);
        if (!r->nodes[parent].first)
            r->nodes[parent].first = tail;
    }
}

static bool parse_node(struct reader *r, yaml_event_t *event, unsigned depth, uint32_t *out)
{
    uint32_t line = (uint32_t)event->start_mark.line + 1, column = (uint32_t)event->start_mark.column + 1;
    const char *tag = NULL, *cast = NULL;
    bool map = event->type == YAML_MAPPING_START_EVENT;
    if (depth > MOST_DEPTH)
        return fail(r, MT_ELIMIT, line, column, "nested deeper than 256 levels");
    if (r->node_count >= MOST_NODES)
        return fail(r, MT_ELIMIT, line, column, "more than 1,000,000 nodes");
    switch (event->type) {
    case YAML_ALIAS_EVENT: {
        struct mt_slice name = mt_slice_of((const char *)event->data.alias.anchor);
        struct mt_key key = mt_key_of(&name, 1);
        if (!r->anchors || !mt_keyset_find(r->anchors, &key, out))
            return fail(r, MT_EINVAL, line, column, "an alias of an anchor that is not defined above it");
        if (r->open[*out])
            return fail(r, MT_EINVAL, line, column, "an alias inside of the node that it stands for");
        return true;
    }
    case YAML_SCALAR_EVENT:
        tag = (const char *)event->data.scalar.tag;
        if (tag && strcmp(tag, "!") == 0) { /* PyYAML resolves it like no tag, quoted or not */
            tag = NULL;
            event->data.scalar.plain_implicit = 1;
        }
        *out = add_node(r, tag || !event->data.scalar.plain_implicit ? NODE_TEXT : NODE_PLAIN, event);
        r->nodes[*out].at = r->text.n;
        r->nodes[*out].length = event->data.scalar.length;
        if (!mt_buf_add(&r->text, event->data.scalar.value, event->data.scalar.length))
            return fail(r, MT_ENOMEM, line, column, "no memory left for its text");
        anchor(r, event->data.scalar.anchor, *out);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        tag = (const char *)(map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
        *out = add_node(r, map ? NODE_MAP : NODE_LIST, event);
        anchor(r, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, *out);
        if (!parse_children(r, *out, map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, depth))
            return false;
        r->open[*out] = false;
        break;
    default:
        return fail(r, MT_EINVAL, line, column, "not a YAML node");
    }
    if (!take_tag(tag, event->type == YAML_SCALAR_EVENT, &cast))
        return fail(r, MT_EINVAL, line, column, "a tag that is not supported; write the value without it");
    r->nodes[*out].cast = event->type == YAML_SCALAR_EVENT ? cast : NULL;
    return true;
}

/* The stream: nothing, or exactly one document, as yaml.safe_load takes it. */
static bool parse_stream(struct reader *r, uint32_t *out_root, bool *out_empty)
{
    bool seen = false;
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return false;
        yaml_event_type_t type = event.type;
        uint32_t line = (uint32_t)event.start_mark.line + 1;
        bool ok = true;
        if (type == YAML_DOCUMENT_START_EVENT && seen)
            ok = fail(r, MT_EINVAL, line, 1, "a second document begins here; the file must hold one");
        else if (type == YAML_DOCUMENT_START_EVENT)
            seen = true;
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_END_EVENT)
            ok = parse_node(r, &event, 0, out_root);
        yaml_event_delete(&event);
        if (!ok)
            return false;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    *out_empty = !seen;
    return true;
}

/* ---- writing the tree ---- */

static struct mt_slice node_text(const struct reader *r, const struct node *n)
{
    return n->length ? (struct mt_slice){r->text.p + n->at, n->length} : MT_SLICE("");
}

struct pair {
    uint32_t key, value;
};

struct pairs {
    struct pair *list;
    size_t count, room;
};

static bool flatten(struct reader *r, uint32_t map, struct pairs *out, unsigned depth);

static bool is_merge(const struct reader *r, const struct node *key)
{
    return key->kind == NODE_PLAIN && mt_slice_is(node_text(r, key), "<<");
}

/* What a merge key brings: a map, or a list of maps of which the first wins, so that it comes last. */
static bool merge(struct reader *r, uint32_t value, struct pairs *out, unsigned depth)
{
    const struct node *n = &r->nodes[value];
    if (n->kind == NODE_MAP)
        return flatten(r, value, out, depth);
    if (n->kind != NODE_LIST)
        return fail(r, MT_EINVAL, n->line, n->column, "a merge key << takes a map or a list of maps");
    size_t count = 0;
    for (uint32_t e = n->first; e; e = r->entries[e].next)
        count++;
    uint32_t *list = mt_alloc((count + 1) * sizeof *list);
    count = 0;
    for (uint32_t e = n->first; e; e = r->entries[e].next)
        list[count++] = r->entries[e].node;
    bool ok = true;
    while (ok && count > 0) {
        const struct node *one = &r->nodes[list[--count]];
        ok = one->kind == NODE_MAP
                 ? flatten(r, list[count], out, depth)
                 : fail(r, MT_EINVAL, one->line, one->column, "a merge key << takes a map or a list of maps");
    }
    free(list);
    return ok;
}

/* The members of a map with what it merges in front, so that its own win. */
static bool flatten(struct reader *r, uint32_t map, struct pairs *out, unsigned depth)
{
    const struct node *n = &r->nodes[map];
    if (depth > MOST_DEPTH)
        return fail(r, MT_ELIMIT, n->line, n->column, "merged deeper than 256 levels");
    if (r->budget-- == 0) /* also for empty maps: a pyramid of merges multiplies those too */
        return fail(r, MT_ELIMIT, n->line, n->column, "its aliases expand to more than 1,000,000 nodes");
    for (uint32_t e = n->first; e; e = r->entries[r->entries[e].next].next)
        if (is_merge(r, &r->nodes[r->entries[e].node]) &&
            !merge(r, r->entries[r->entries[e].next].node, out, depth + 1))
            return false;
    for (uint32_t e = n->first; e; e = r->entries[r->entries[e].next].next) {
        const struct node *key = &r->nodes[r->entries[e].node];
        if (key->kind == NODE_LIST || key->kind == NODE_MAP)
            return fail(r, MT_EINVAL, key->line, key->column, "a list or map as a key; keys must be text");
        if (is_merge(r, key))
            continue;
        if (r->budget-- == 0)
            return fail(r, MT_ELIMIT, n->line, n->column, "its aliases expand to more than 1,000,000 nodes");
        if (out->count == out->room) {
            out->room = out->room ? out->room * 2 : 16;
            out->list = mt_realloc(out->list, out->room * sizeof *out->list);
        }
        out->list[out->count++] = (struct pair){r->entries[e].node, r->entries[r->entries[e].next].node};
    }
    return true;
}

/* Of keys that come twice the last value wins, at the first one's place. */
static void drop_duplicates(const struct reader *r, struct pairs *pairs)
{
    struct mt_keyset *seen = pairs->count > LINEAR ? mt_keyset_new() : NULL;
    size_t kept = 0;
    for (size_t i = 0; i < pairs->count; i++) {
        struct mt_slice name = node_text(r, &r->nodes[pairs->list[i].key]);
        uint32_t at = (uint32_t)kept;
        if (seen) {
            struct mt_key key = mt_key_of(&name, 1);
            if (!mt_keyset_add(seen, &key, at))
                mt_keyset_find(seen, &key, &at);
        } else {
            for (at = 0; at < kept; at++)
                if (mt_slice_eq(name, node_text(r, &r->nodes[pairs->list[at].key])))
                    break;
        }
        if (at < kept)
            pairs->list[at].value = pairs->list[i].value;
        else
            pairs->list[kept++] = pairs->list[i];
    }
    pairs->count = kept;
    mt_keyset_free(seen);
}

static bool write_scalar(struct reader *r, const struct node *n)
{
    struct mt_slice text = node_text(r, n);
    const char *cast = n->cast;
    if ((n->kind == NODE_TEXT && !cast) ||
        (cast && (strcmp(cast, "str") == 0 || strcmp(cast, "timestamp") == 0))) {
        mt_build_string(r->builder, text);
        return true;
    }
    struct mt_buf literal;
    mt_buf_init(&literal, MOST_BYTES);
    enum mt_scalar kind = mt_scalar_resolve(text, &literal);
    bool ok = true;
    if (cast && strcmp(cast, "null") == 0)
        kind = MT_SCALAR_NULL;
    else if (cast && strcmp(cast, "bool") == 0)
        ok = kind == MT_SCALAR_TRUE || kind == MT_SCALAR_FALSE;
    else if (cast)
        ok = kind == MT_SCALAR_NUMBER;
    if (!ok)
        fail(r, MT_EINVAL, n->line, n->column, "the value does not fit its tag");
    else if (literal.failed)
        ok = fail(r, MT_ENOMEM, n->line, n->column, "no memory left for a number");
    else if (kind == MT_SCALAR_TOO_LARGE)
        ok = fail(r, MT_EINVAL, n->line, n->column,
                  "an integer that does not fit 64 bits; quote it, or write it in decimal");
    else if (kind == MT_SCALAR_NULL)
        mt_build_null(r->builder);
    else if (kind == MT_SCALAR_NUMBER)
        mt_build_literal(r->builder, mt_buf_slice(&literal));
    else if (kind == MT_SCALAR_TEXT)
        mt_build_string(r->builder, text);
    else
        mt_build_bool(r->builder, kind == MT_SCALAR_TRUE);
    mt_buf_fini(&literal);
    return ok;
}

static bool write_node(struct reader *r, uint32_t at, unsigned depth);

static bool write_map(struct reader *r, uint32_t at, unsigned depth)
{
    struct pairs pairs = {NULL, 0, 0};
    bool ok = flatten(r, at, &pairs, 0);
    if (ok)
        drop_duplicates(r, &pairs);
    mt_build_object(r->builder);
    size_t base = r->path.n;
    for (size_t i = 0; ok && i < pairs.count; i++) {
        struct mt_slice name = node_text(r, &r->nodes[pairs.list[i].key]);
        mt_build_name(r->builder, name);
        if (r->lines) {
            mt_buf_printf(&r->path, "%s%.*s", base ? "." : "", MT_FMT(name));
            struct mt_slice path = mt_buf_slice(&r->path);
            struct mt_key key = mt_key_of(&path, 1);
            mt_keyset_add(r->lines, &key, r->nodes[pairs.list[i].key].line);
        }
        ok = write_node(r, pairs.list[i].value, depth + 1);
        r->path.n = base;
    }
    mt_build_end(r->builder);
    free(pairs.list);
    return ok;
}

static bool write_list(struct reader *r, uint32_t at, unsigned depth)
{
    bool ok = true;
    unsigned i = 0;
    size_t base = r->path.n;
    mt_build_array(r->builder);
    for (uint32_t e = r->nodes[at].first; ok && e; e = r->entries[e].next, i++) {
        if (r->lines) {
            mt_buf_printf(&r->path, "[%u]", i);
            struct mt_slice path = mt_buf_slice(&r->path);
            struct mt_key key = mt_key_of(&path, 1);
            mt_keyset_add(r->lines, &key, r->nodes[r->entries[e].node].line);
        }
        ok = write_node(r, r->entries[e].node, depth + 1);
        r->path.n = base;
    }
    mt_build_end(r->builder);
    return ok;
}

static bool write_node(struct reader *r, uint32_t at, unsigned depth)
{
    const struct node *n = &r->nodes[at];
    if (depth > MOST_DEPTH)
        return fail(r, MT_ELIMIT, n->line, n->column, "its aliases nest deeper than 256 levels");
    if (r->budget-- == 0)
        return fail(r, MT_ELIMIT, n->line, n->column, "its aliases expand to more than 1,000,000 nodes");
    if (n->kind == NODE_MAP)
        return write_map(r, at, depth);
    return n->kind == NODE_LIST ? write_list(r, at, depth) : write_scalar(r, n);
}

static enum mt_rc read_yaml(struct mt_slice text, const char *name, struct mt_keyset *lines,
                            struct mt_doc **out, struct mt_err *err)
{
    if (text.n > MOST_BYTES)
        return mt_fail(err, MT_ELIMIT, "%s: %zu bytes; at most 64 MiB are read", name, text.n);
    struct reader r = {.name = name, .err = err, .budget = MOST_NODES, .lines = lines};
    uint32_t root = 0;
    bool empty = false;
    if (!yaml_parser_initialize(&r.parser))
        return mt_fail(err, MT_ENOMEM, "%s: no memory left to parse it", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    mt_buf_init(&r.text, (size_t)MOST_BYTES * 3); /* UTF-16 grows by half in UTF-8 */
    mt_buf_init(&r.path, MOST_BYTES);
    r.builder = mt_builder_new();
    if (parse_stream(&r, &root, &empty)) {
        if (empty)
            mt_build_null(r.builder);
        else
            write_node(&r, root, 0);
    }
    if (r.rc == MT_OK) {
        r.rc = mt_builder_finish(r.builder, out, err);
        if (r.rc != MT_OK)
            mt_err_context(err, "%s", name);
    }
    mt_builder_free(r.builder);
    mt_keyset_free(r.anchors);
    mt_buf_fini(&r.text);
    mt_buf_fini(&r.path);
    free(r.nodes);
    free(r.open);
    free(r.entries);
    yaml_parser_delete(&r.parser);
    return r.rc;
}

enum mt_rc mt_yaml_parse(struct mt_slice text, const char *name, struct mt_doc **out, struct mt_err *err)
{
    return read_yaml(text, name, NULL, out, err);
}

struct mt_keyset *mt_yaml_lines(struct mt_slice text)
{
    struct mt_keyset *lines = mt_keyset_new();
    struct mt_doc *doc = NULL;
    if (read_yaml(text, "", lines, &doc, NULL) != MT_OK) {
        mt_keyset_free(lines);
        return NULL;
    }
    mt_doc_unref(doc);
    return lines;
}

unsigned mt_yaml_line(const struct mt_keyset *lines, const char *path)
{
    struct mt_slice p = mt_slice_of(path);
    uint32_t line = 0;
    while (lines && p.n) {
        struct mt_key key = mt_key_of(&p, 1);
        if (mt_keyset_find(lines, &key, &line))
            return line;
        while (p.n && p.p[p.n - 1] != '.' && p.p[p.n - 1] != '[')
            p.n--;
        if (p.n)
            p.n--;
    }
    return lines ? 1 : 0;
}

static enum mt_rc read_all(const char *path, const char *name, struct mt_buf *text, struct mt_err *err)
{
    char chunk[16384];
    FILE *file = fopen(path, "rbe");
    if (!file)
        return mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "%s: cannot be opened: %s", name,
                       strerror(errno));
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0 && mt_buf_add(text, chunk, n))
        ;
    bool broken = ferror(file);
    int cause = errno;
    fclose(file);
    if (broken)
        return mt_fail(err, MT_EIO, "%s: cannot be read: %s", name, strerror(cause));
    return text->failed ? mt_fail(err, MT_ELIMIT, "%s: larger than 64 MiB", name) : MT_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

enum mt_rc mt_yaml_read(struct mt_slice text, const char *name, struct mt_doc **out, struct mt_err *err)
{
    if (!ends_with(name, ".json"))
        return mt_yaml_parse(text, name, out, err);
    enum mt_rc rc = mt_doc_parse_copy(text, &(struct mt_json_limits){MOST_BYTES, MOST_DEPTH}, out, err);
    if (rc != MT_OK) {
        mt_err_context(err, "%s", name);
        rc = rc == MT_EDATA ? MT_EINVAL : rc;
        if (err)
            err->rc = rc;
    }
    return rc;
}

enum mt_rc mt_yaml_read_file(const char *path, const char *name, struct mt_doc **out, struct mt_err *err)
{
    struct mt_buf text;
    mt_buf_init(&text, MOST_BYTES);
    enum mt_rc rc = read_all(path, name, &text, err);
    if (rc == MT_OK)
        rc = mt_yaml_read(mt_buf_slice(&text), name, out, err);
    mt_buf_fini(&text);
    return rc;
}

struct mt_library mt_yaml_library(void)
{
    return (struct mt_library){"libyaml", NULL, yaml_get_version_string(), NULL};
}
