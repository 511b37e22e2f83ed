/* Any bytes as a resource of a mapping and a batch of items: the resource is taken or refused with a reason,
 * every item is accounted for, each entity is JSON of the shape that was mapped, and mapping the batch once
 * more gives the same. Limits are tight, and libjq is not asked: what only it takes is refused.
 * The first NUL or newline ends the resource, an object of JSON; what follows is the list of items. Text that
 * is no object is the short form: each line an expression, see `short_form`, and the last one the items. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "jq/engine.h"
#include "jq/mapping.h"

enum mt_rc __wrap_mt_engine_fall_back(struct mt_slice expression, const char *why, struct mt_err *err);

enum mt_rc __wrap_mt_engine_fall_back(struct mt_slice expression, const char *why, struct mt_err *err)
{
    (void)expression;
    return mt_fail(err, MT_EINVAL, "%s", why);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "mapping_fuzz: %s\n", what);
    abort();
}

static void drop(void *ud, struct mt_slice line)
{
    (void)ud;
    (void)line;
}

static struct mt_slice line_of(struct mt_slice *rest)
{
    struct mt_slice line = *rest;
    for (size_t i = 0; i < rest->n; i++)
        if (rest->p[i] == '\n' || rest->p[i] == '\0') {
            line.n = i;
            *rest = (struct mt_slice){rest->p + i + 1, rest->n - i - 1};
            return line;
        }
    *rest = (struct mt_slice){NULL, 0};
    return line;
}

static void text(struct mt_builder *b, const char *name, struct mt_slice value)
{
    if (value.n == 0)
        return;
    mt_build_name(b, mt_slice_of(name));
    mt_build_string(b, value);
}

static void object(struct mt_builder *b, const char *name)
{
    mt_build_name(b, mt_slice_of(name));
    mt_build_object(b);
}

/* Lines: selector, identifier, title, blueprint, two properties, relation, team, itemsToParse. An empty one
 * is left out. NULL: not UTF-8. */
static struct mt_doc *short_form(struct mt_slice *rest)
{
    struct mt_builder *b = mt_builder_new();
    struct mt_doc *doc = NULL;
    mt_build_object(b);
    text(b, "kind", MT_SLICE("thing"));
    object(b, "selector");
    text(b, "query", line_of(rest));
    mt_build_end(b);
    object(b, "port");
    object(b, "entity");
    object(b, "mappings");
    text(b, "identifier", line_of(rest));
    text(b, "title", line_of(rest));
    text(b, "blueprint", line_of(rest));
    object(b, "properties");
    text(b, "one", line_of(rest));
    text(b, "two", line_of(rest));
    mt_build_end(b);
    object(b, "relations");
    text(b, "to", line_of(rest));
    mt_build_end(b);
    text(b, "team", line_of(rest));
    mt_build_end(b);
    mt_build_end(b);
    text(b, "itemsToParse", line_of(rest));
    mt_build_end(b);
    mt_build_end(b);
    mt_builder_finish(b, &doc, NULL);
    mt_builder_free(b);
    return doc;
}

static void check_entity(const struct mt_entity *e)
{
    struct mt_doc *doc = NULL;
    struct mt_val v;
    must(mt_doc_parse_copy(e->json, NULL, &doc, NULL) == MT_OK, "an entity is not JSON");
    must(mt_val_is(mt_doc_root(doc), MT_OBJECT), "an entity is no object");
    must(mt_val_member(mt_doc_root(doc), MT_SLICE("blueprint"), &v) && e->blueprint.n > 0,
         "an entity's blueprint");
    must(!mt_val_is(v, MT_STRING) || mt_slice_eq(mt_val_string(v), e->blueprint),
         "an entity's blueprint is another one"); /* 0.5 is Port's to refuse */
    must(mt_val_member(mt_doc_root(doc), MT_SLICE("identifier"), &v) && e->identifier.n > 0,
         "an entity's identifier");
    must(e->search_identifier || !mt_val_is(v, MT_STRING) || mt_slice_eq(mt_val_string(v), e->identifier),
         "an entity's identifier is another one");
    struct mt_key key = mt_entity_key(e->blueprint, e->identifier);
    must(memcmp(&key, &e->key, sizeof key) == 0, "an entity's key");
    mt_doc_unref(doc);
}

static void check(const struct mt_mapped *mapped, const struct mt_mapping *m, struct mt_val items,
                  const struct mt_mapped *before)
{
    must(mapped->selected + mapped->rejected <= mapped->items, "more is selected than there is");
    must(mapped->entity_count <= mapped->selected, "more entities than were selected");
    must(mapped->entity_count + mapped->failed_count + mapped->rejected + mapped->skipped >= mapped->items,
         "an item is lost");
    for (size_t i = 0; i < mapped->entity_count; i++) {
        must(mapped->entities[i]->item < mt_val_count(items), "an entity of no item");
        check_entity(mapped->entities[i]);
        if (before)
            must(mt_slice_eq(mapped->entities[i]->json, before->entities[i]->json), "another entity");
    }
    for (size_t i = 0; i < mapped->failed_count; i++)
        must(mapped->failed[i].item < mt_val_count(items) && *mapped->failed[i].message, "a failed item");
    for (size_t i = 0; i < mapped->empty_count; i++)
        must(mapped->empty[i].field < mt_mapping_field_count(m) && mapped->empty[i].count > 0 &&
                 strlen(mapped->empty[i].sample) <= MT_FOREIGN,
             "an empty field");
}

static void map(const struct mt_mapping *m, struct mt_mapper *mapper, struct mt_val items)
{
    struct mt_mapped first = {.items = 0}, second = {.items = 0};
    struct mt_err err = {0};
    must(mt_mapper_run(mapper, items, &first, &err) == MT_OK, err.text);
    check(&first, m, items, NULL);
    must(mt_mapper_run(mapper, items, &second, &err) == MT_OK, err.text);
    must(first.entity_count == second.entity_count && first.failed_count == second.failed_count &&
             first.empty_count == second.empty_count && first.items == second.items,
         "the second run gives other counts");
    check(&second, m, items, &first);
    mt_mapped_fini(&first);
    mt_mapped_fini(&second);
}

static void refused(const struct mt_err *err)
{
    must((err->rc == MT_EINVAL || err->rc == MT_ELIMIT) && *err->text, "refused without a reason");
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    mt_log_sink(drop, NULL);
    mt_engine_limit((struct mt_machine_limits){20000, (size_t)4 << 20});
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_slice rest = {(const char *)data, size};
    struct mt_doc *resource = NULL, *items = NULL;
    struct mt_mapping *m = NULL;
    struct mt_mapper *mapper = NULL;
    struct mt_err err = {0};
    if (size == 0)
        return 0;
    if (*data == '{')
        mt_doc_parse_copy(line_of(&rest), NULL, &resource, NULL);
    else
        resource = short_form(&rest);
    if (resource && mt_doc_parse_copy(rest, NULL, &items, NULL) == MT_OK) {
        enum mt_rc rc = mt_mapping_new(mt_doc_root(resource), 3, NULL, &m, &err);
        if (rc == MT_OK)
            rc = mt_mapper_new(m, &mapper, &err);
        if (rc)
            refused(&err);
        else if (mt_val_is(mt_doc_root(items), MT_ARRAY))
            map(m, mapper, mt_doc_root(items));
        mt_mapper_free(mapper);
        mt_mapping_free(m);
    }
    mt_doc_unref(items);
    mt_doc_unref(resource);
    return 0;
}
