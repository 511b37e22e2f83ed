/* Port's entities: see entities.h. */
#include "port/entities.h"

#include <stdlib.h>

#include "net/url.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

static enum mt_rc post(struct mt_port *port, struct mt_buf *path, struct mt_slice body, unsigned flags,
                       const char *wanted, struct mt_doc **out, struct mt_err *err)
{
    struct mt_port_answer answer = {0};
    enum mt_rc rc = mt_port_call(port, "POST", mt_buf_text(path), body,
                                 MT_PORT_RETRY | MT_PORT_EXPORTER | flags, &answer, err);
    struct mt_val list;
    if (rc == MT_OK && wanted &&
        (!answer.doc || !mt_val_member(mt_doc_root(answer.doc), mt_slice_of(wanted), &list) ||
         !mt_val_is(list, MT_ARRAY))) {
        mt_doc_unref(answer.doc);
        return mt_fail(err, MT_EDATA, "Port's answer to POST %.300s has no list \"%s\"", mt_buf_text(path),
                       wanted);
    }
    if (rc == MT_OK)
        *out = answer.doc;
    return rc;
}

static void put_owner_rules(struct mt_buf *body, const char *type, const char *identifier)
{
    struct mt_buf text;
    mt_buf_init(&text, BODY_MAX);
    mt_buf_printf(&text, "port-ocean/%s/", type);
    mt_buf_puts(body, ",{\"property\":\"$datasource\",\"operator\":\"contains\",\"value\":");
    mt_buf_put_json_string(body, mt_buf_slice(&text));
    mt_buf_clear(&text);
    mt_buf_printf(&text, "/%s/exporter", identifier);
    mt_buf_puts(body, "},{\"property\":\"$datasource\",\"operator\":\"contains\",\"value\":");
    mt_buf_put_json_string(body, mt_buf_slice(&text));
    mt_buf_putc(body, '}');
    mt_buf_fini(&text);
}

enum mt_rc mt_entities_search(struct mt_port *port, const char *type, const char *identifier,
                              struct mt_slice blueprint, struct mt_slice identifiers, struct mt_slice include,
                              struct mt_doc **out, struct mt_err *err)
{
    struct mt_buf path, body;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&path, "/entities/search?exclude_calculated_properties=true");
    mt_buf_put(&path, include);
    mt_buf_puts(
        &body,
        "{\"combinator\":\"and\",\"rules\":[{\"property\":\"$identifier\",\"operator\":\"in\",\"value\":");
    mt_buf_put(&body, identifiers);
    mt_buf_puts(&body, "},{\"property\":\"$blueprint\",\"operator\":\"=\",\"value\":");
    mt_buf_put_json_string(&body, blueprint);
    mt_buf_putc(&body, '}');
    put_owner_rules(&body, type, identifier);
    mt_buf_puts(&body, "]}");
    enum mt_rc rc = post(port, &path, mt_buf_slice(&body), 0, "entities", out, err);
    mt_buf_fini(&path);
    mt_buf_fini(&body);
    return rc;
}

enum mt_rc mt_entities_upsert(struct mt_port *port, struct mt_slice blueprint,
                              const struct mt_upsert_options *options, struct mt_slice body,
                              struct mt_doc **out, struct mt_err *err)
{
    struct mt_buf path;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_puts(&path, "/blueprints/");
    mt_url_escape(&path, blueprint);
    mt_buf_printf(
        &path, "/entities/bulk?upsert=true&merge=%s&create_missing_related_entities=%s&validation_only=false",
        options->merge ? "true" : "false", options->create_missing ? "true" : "false");
    enum mt_rc rc = post(port, &path, body, MT_PORT_EVENT, NULL, out, err);
    if (rc == MT_OK && (!*out || !mt_val_is(mt_doc_root(*out), MT_OBJECT))) {
        mt_doc_unref(*out);
        rc = mt_fail(err, MT_EDATA, "Port's answer to a bulk upsert is not an object");
    }
    mt_buf_fini(&path);
    return rc;
}

enum mt_rc mt_entities_owned(struct mt_port *port, const char *type, const char *identifier,
                             const char *before, struct mt_slice from, struct mt_doc **out,
                             struct mt_err *err)
{
    struct mt_buf path, body, text;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_init(&body, BODY_MAX);
    mt_buf_init(&text, BODY_MAX);
    mt_buf_puts(&path, "/blueprints/entities/datasource-entities");
    mt_buf_printf(&text, "port-ocean/%s/", type);
    mt_buf_puts(&body, "{\"datasource_prefix\":");
    mt_buf_put_json_string(&body, mt_buf_slice(&text));
    mt_buf_clear(&text);
    mt_buf_printf(&text, "/%s/exporter", identifier);
    mt_buf_puts(&body, ",\"datasource_suffix\":");
    mt_buf_put_json_string(&body, mt_buf_slice(&text));
    mt_buf_printf(&body, ",\"limit\":%d,\"before\":\"%s\"", MT_LISTING_PAGE, before);
    if (from.p) {
        mt_buf_puts(&body, ",\"from\":");
        mt_buf_put_json_string(&body, from);
    }
    mt_buf_putc(&body, '}');
    enum mt_rc rc = post(port, &path, mt_buf_slice(&body), 0, "entities", out, err);
    mt_buf_fini(&path);
    mt_buf_fini(&body);
    mt_buf_fini(&text);
    return rc;
}

enum mt_rc mt_entities_delete(struct mt_port *port, struct mt_slice blueprint, bool dependents,
                              struct mt_slice identifiers, struct mt_doc **out, struct mt_err *err)
{
    struct mt_buf path, body;
    mt_buf_init(&path, BODY_MAX);
    mt_buf_init(&body, BODY_MAX);
    mt_buf_puts(&path, "/blueprints/");
    mt_url_escape(&path, blueprint);
    mt_buf_printf(&path, "/bulk/entities/delete?delete_dependents=%s", dependents ? "true" : "false");
    mt_buf_puts(&body, "{\"entities\":");
    mt_buf_put(&body, identifiers);
    mt_buf_putc(&body, '}');
    enum mt_rc rc = post(port, &path, mt_buf_slice(&body), MT_PORT_EVENT, NULL, out, err);
    mt_buf_fini(&path);
    mt_buf_fini(&body);
    return rc;
}
