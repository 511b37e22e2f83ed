/* The page for people: see page.h. Overview, one blueprint, one entity; no scripts, nothing from elsewhere.
 */
#include "catalog/page.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "catalog/html.h"

enum { ROWS = 50, COLUMNS = 12, INCOMING = 200, RUNS = 10, PARAMETER_MAX = 4096 };

static void put_text(struct mt_buf *out, const char *before, struct mt_slice text, const char *after)
{
    mt_buf_puts(out, before);
    mt_cat_html(out, text);
    mt_buf_puts(out, after);
}

static void begin(struct mt_buf *out, struct mt_slice title, bool refresh)
{
    mt_buf_puts(out, "<!doctype html><html lang=en><head><meta charset=utf-8>"
                     "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
                     "<meta name=referrer content=no-referrer><meta http-equiv=Content-Security-Policy "
                     "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"><link "
                     "rel=icon href=\"data:,\">");
    if (refresh) /* a resync runs: its numbers move */
        mt_buf_puts(out, "<meta http-equiv=refresh content=3>");
    put_text(out, "<title>", title, " · moontide</title><style>");
    mt_buf_puts(out, mt_cat_css);
    mt_buf_puts(out, "</style></head><body><header><div><svg viewBox=\"0 0 20 20\" aria-hidden=true><path "
                     "fill=\"#4f86f7\" d=\"M13.6 1.6a8.7 8.7 0 1 0 4.9 11.3A7.2 7.2 0 0 1 13.6 1.6z\"/></svg>"
                     "<a href=\"/\"><b>moontide</b></a>");
}

static void crumb(struct mt_buf *out, struct mt_slice blueprint, struct mt_slice entity, struct mt_slice text)
{
    mt_buf_puts(out, "<span>/</span><a href=\"");
    mt_cat_html_href(out, blueprint, entity);
    mt_buf_puts(out, "\">");
    mt_cat_html_cut(out, text, 80);
    mt_buf_puts(out, "</a>");
}

static void end(struct mt_buf *out)
{
    mt_buf_puts(out, "</main><footer>The embedded catalog of moontide " MT_VERSION
                     ". Times are UTC.</footer></body></html>");
}

static void not_found(struct mt_cat_call *c, const char *what, struct mt_slice name)
{
    c->status = 404;
    begin(&c->out, MT_SLICE("Not found"), false);
    mt_buf_puts(&c->out, "</div></header><main><h1>Not found</h1>");
    mt_buf_printf(&c->out, "<p class=sub>There is no %s “", what);
    mt_cat_html_cut(&c->out, name, 200);
    mt_buf_puts(&c->out, "”. <a href=\"/\">All blueprints</a></p>");
    end(&c->out);
}

static struct mt_slice title_of(const struct mt_cat_blueprint *b)
{
    struct mt_val v;
    if (mt_val_member(mt_doc_root(b->doc), MT_SLICE("title"), &v) && mt_val_string(v).n)
        return mt_val_string(v);
    return b->identifier;
}

static int64_t count_of(struct mt_cat_store *s, struct mt_slice blueprint)
{
    sqlite3_stmt *row = mt_cat_store_sql(s, MT_CAT_ENTITY_COUNT);
    mt_cat_bind(row, 1, blueprint);
    int64_t count = mt_cat_step(s, row) ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    return count;
}

/* Digits in groups of three. */
static void put_count(struct mt_buf *out, int64_t count)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)count);
    for (int i = 0; i < n; i++) {
        mt_buf_putc(out, digits[i]);
        if ((n - i) % 3 == 1 && i + 1 < n)
            mt_buf_puts(out, "\xE2\x80\xAF"); /* narrow no-break space */
    }
}

/* The last resyncs -------------------------------------------------------------------------------- */

static void put_number(struct mt_buf *out, struct mt_val metric, const char *path, bool alarming)
{
    struct mt_val v;
    if (!mt_val_path(metric, path, &v) || !mt_val_is(v, MT_NUMBER)) {
        mt_buf_puts(out, "<td class=n><i>–</i>");
        return;
    }
    double n = mt_val_double(v);
    mt_buf_puts(out, alarming && n > 0 ? "<td class=\"n bad\">" : "<td class=n>");
    if (n >= 0 && n < 1e15)
        put_count(out, (int64_t)n);
    else
        mt_buf_puts(out, "?");
}

static bool is_plain(struct mt_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'a' || s.p[i] > 'z')
            return false;
    return s.n > 0 && s.n < 32;
}

static void put_state(struct mt_buf *out, struct mt_slice state)
{
    mt_buf_puts(out, "<span class=\"state ");
    if (is_plain(state))
        mt_buf_put(out, state);
    put_text(out, "\">", state, "</span>");
}

static void put_kind(struct mt_buf *out, struct mt_slice kind, struct mt_val metric)
{
    static const struct {
        const char *path;
        bool alarming;
    } numbers[] = {{"metrics.phase.extract.object_count_type.raw_extracted.object_count", false},
                   {"metrics.phase.transform.object_count_type.transformed.object_count", false},
                   {"metrics.phase.transform.object_count_type.failed.object_count", true},
                   {"metrics.phase.load.object_count_type.loaded.object_count", false},
                   {"metrics.phase.load.object_count_type.skipped.object_count", false},
                   {"metrics.phase.load.object_count_type.failed.object_count", true},
                   {"metrics.phase.delete.object_count_type.deleted.object_count", false}};
    struct mt_val v;
    const char *own = mt_slice_is(kind, "__runtime__")          ? "the whole resync"
                      : mt_slice_is(kind, "__reconciliation__") ? "reconciliation"
                                                                : NULL;
    mt_buf_puts(out, own ? "<tr><td><i>" : "<tr><td>");
    mt_cat_html_cut(out, own ? mt_slice_of(own) : kind, 80);
    mt_buf_puts(out, own ? "</i><td>" : "<td>");
    put_state(out,
              mt_val_member(metric, MT_SLICE("syncState"), &v) ? mt_val_string(v) : (struct mt_slice){0});
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_number(out, metric, numbers[i].path, numbers[i].alarming);
    if (mt_val_path(metric, "metrics.phase.resync.duration_seconds", &v) && mt_val_is(v, MT_NUMBER))
        mt_buf_printf(out, "<td class=n>%.1f s", mt_val_double(v));
    else
        mt_buf_puts(out, "<td class=n><i>–</i>");
}

static void put_kinds(struct mt_cat_store *s, int64_t resync, struct mt_buf *out)
{
    bool first = true;
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_METRIC_LIST);
    sqlite3_bind_int64(rows, 1, resync);
    while (mt_cat_step(s, rows)) {
        struct mt_doc *doc;
        if (mt_doc_parse_copy(mt_cat_column(rows, 1), NULL, &doc, NULL) != MT_OK)
            continue;
        if (first)
            mt_buf_puts(
                out, "<table><thead><tr><th>Kind<th>State<th class=n>Extracted<th class=n>Mapped<th class=n>"
                     "Not mapped<th class=n>Loaded<th class=n>Unchanged<th class=n>Refused<th class=n>Deleted"
                     "<th class=n>Time</thead><tbody>");
        first = false;
        put_kind(out, mt_cat_column(rows, 0), mt_doc_root(doc));
        mt_doc_unref(doc);
    }
    sqlite3_reset(rows);
    mt_buf_puts(out, first ? "<div class=empty>It reported no numbers.</div>" : "</tbody></table>");
}

static void put_errors(struct mt_cat_store *s, int64_t resync, struct mt_buf *out)
{
    bool first = true;
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_LOG_LIST);
    sqlite3_bind_int64(rows, 1, resync);
    while (mt_cat_step(s, rows)) {
        mt_buf_puts(out, first ? "<ul class=errors><li>" : "<li>");
        mt_cat_html_cut(out, mt_cat_column(rows, 2), 1000);
        first = false;
    }
    sqlite3_reset(rows);
    if (!first)
        mt_buf_puts(out, "</ul>");
}

static void put_span(struct mt_buf *out, struct mt_slice started, struct mt_slice ended)
{
    int64_t from = 0, to = 0;
    bool has_start = mt_iso_parse(started, &from) == MT_OK, has_end = mt_iso_parse(ended, &to) == MT_OK;
    if (has_start)
        mt_cat_html_time(out, from);
    if (has_start && has_end && to >= from)
        mt_buf_printf(out, " · %.1f s", (double)(to - from) / 1e6);
    else if (has_end && !has_start) {
        mt_buf_puts(out, "ended ");
        mt_cat_html_time(out, to);
    }
}

struct run {
    int64_t id;
    char *integration, *status, *started, *ended;
};

static char *column_dup(sqlite3_stmt *row, int at)
{
    return mt_slice_dup(mt_cat_column(row, at));
}

static uint32_t runs_read(struct mt_cat_store *s, struct run *runs)
{
    uint32_t count = 0;
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_RESYNC_RECENT);
    sqlite3_bind_int(rows, 1, RUNS);
    while (count < RUNS && mt_cat_step(s, rows)) {
        runs[count++] = (struct run){sqlite3_column_int64(rows, 0), column_dup(rows, 1), column_dup(rows, 2),
                                     column_dup(rows, 3), column_dup(rows, 4)};
    }
    sqlite3_reset(rows);
    return count;
}

static void put_runs(struct mt_cat_store *s, const struct run *runs, uint32_t count, struct mt_buf *out)
{
    mt_buf_puts(out, "<h2>Last resyncs</h2>");
    if (!count)
        mt_buf_puts(out,
                    "<div class=\"box empty\">None yet: <code>moontide resync BUNDLE</code> runs one.</div>");
    for (uint32_t i = 0; i < count; i++) {
        mt_buf_puts(out, i ? "<details class=\"box run runs\"><summary>"
                           : "<details open class=\"box run runs\"><summary>");
        put_state(out, mt_slice_of(runs[i].status));
        put_text(out, "<b>", mt_slice_of(runs[i].integration), "</b><span><i>");
        put_span(out, mt_slice_of(runs[i].started), mt_slice_of(runs[i].ended));
        mt_buf_puts(out, "</i></span></summary>");
        put_errors(s, runs[i].id, out);
        put_kinds(s, runs[i].id, out);
        mt_buf_puts(out, "</details>");
    }
}

/* Overview ---------------------------------------------------------------------------------------- */

static void put_overview(struct mt_cat_call *c)
{
    struct mt_buf *out = &c->out;
    const struct mt_cat_blueprints *all = c->store->blueprints;
    struct run runs[RUNS];
    int64_t *counts = mt_alloc((all->count + 1) * sizeof *counts), total = 0;
    uint32_t run_count = runs_read(c->store, runs);
    for (uint32_t i = 0; i < all->count; i++)
        total += counts[i] = count_of(c->store, all->list[i]->identifier);
    begin(out, MT_SLICE("Catalog"), run_count && strcmp(runs[0].status, "running") == 0);
    mt_buf_puts(out, "</div></header><main><h1>Catalog</h1><p class=sub>");
    put_count(out, total);
    mt_buf_printf(out, " %s of %u %s</p>", total == 1 ? "entity" : "entities", all->count,
                  all->count == 1 ? "blueprint" : "blueprints");
    mt_buf_puts(out, "<div class=grid>");
    for (uint32_t i = 0; i < all->count; i++) {
        const struct mt_cat_blueprint *b = all->list[i];
        mt_buf_puts(out, "<a class=card href=\"");
        mt_cat_html_href(out, b->identifier, (struct mt_slice){0});
        put_text(out, "\"><b>", title_of(b), "</b><small>");
        mt_cat_html(out, b->identifier);
        mt_buf_puts(out, "</small><strong>");
        put_count(out, counts[i]);
        mt_buf_puts(out, "</strong></a>");
    }
    mt_buf_puts(out, "</div>");
    if (!all->count)
        mt_buf_puts(out,
                    "<div class=\"box empty\">No blueprint yet: a resync brings those of its bundle.</div>");
    put_runs(c->store, runs, run_count, out);
    end(out);
    for (uint32_t i = 0; i < run_count; i++) {
        free(runs[i].integration);
        free(runs[i].status);
        free(runs[i].started);
        free(runs[i].ended);
    }
    free(counts);
}

/* Entities ---------------------------------------------------------------------------------------- */

static void put_link(struct mt_buf *out, struct mt_slice blueprint, struct mt_slice entity,
                     struct mt_slice title)
{
    mt_buf_puts(out, "<a href=\"");
    mt_cat_html_href(out, blueprint, entity);
    mt_buf_puts(out, "\">");
    mt_cat_html_cut(out, title.n ? title : entity, 80);
    mt_buf_puts(out, "</a>");
}

static void put_targets(struct mt_buf *out, const struct mt_cat_relation *r, struct mt_val v, uint32_t most)
{
    struct mt_slice none;
    struct mt_val one;
    uint32_t shown = 0;
    if (mt_val_is(v, MT_STRING)) {
        put_link(out, r->target, mt_val_string(v), (struct mt_slice){0});
    } else if (mt_val_is(v, MT_ARRAY) && mt_val_count(v)) {
        for (struct mt_iter it = mt_iter_of(v); shown < most && mt_iter_next(&it, &none, &one); shown++) {
            if (shown)
                mt_buf_puts(out, ", ");
            put_link(out, r->target, mt_val_string(one), (struct mt_slice){0});
        }
        if (mt_val_count(v) > shown)
            mt_buf_printf(out, " <i>and %u more</i>", mt_val_count(v) - shown);
    } else {
        mt_buf_puts(out, "<i>–</i>");
    }
}

static struct mt_slice label(const struct mt_cat_blueprint *b, const char *group, struct mt_slice name)
{
    struct mt_val v, definition;
    if (mt_val_path(mt_doc_root(b->doc), group, &v) && mt_val_member(v, name, &definition) &&
        mt_val_member(definition, MT_SLICE("title"), &v) && mt_val_string(v).n)
        return mt_val_string(v);
    return name;
}

static void put_row(struct mt_buf *out, const struct mt_cat_blueprint *b, const struct mt_cat_row *row)
{
    struct mt_doc *properties = NULL, *relations = NULL;
    struct mt_val v, root = {0}, targets = {0};
    if (mt_doc_parse_copy(row->properties, NULL, &properties, NULL) == MT_OK)
        root = mt_doc_root(properties);
    if (mt_doc_parse_copy(row->relations, NULL, &relations, NULL) == MT_OK)
        targets = mt_doc_root(relations);
    mt_buf_puts(out, "<tr><td>");
    put_link(out, b->identifier, row->identifier, row->title);
    if (row->title.n) {
        mt_buf_puts(out, "<small>");
        mt_cat_html_cut(out, row->identifier, 80);
        mt_buf_puts(out, "</small>");
    }
    for (uint32_t i = 0; i < b->relation_count && i < COLUMNS; i++) {
        mt_buf_puts(out, "<td>");
        if (!mt_val_member(targets, b->relations[i].name, &v))
            v = (struct mt_val){0};
        put_targets(out, &b->relations[i], v, 3);
    }
    for (uint32_t i = 0; i < b->property_count && i < COLUMNS; i++) {
        mt_buf_puts(out, b->properties[i].rule.type == MT_CAT_NUMBER ? "<td class=n>" : "<td>");
        if (mt_val_member(root, b->properties[i].name, &v) && !mt_val_is(v, MT_NULL))
            mt_cat_html_value(out, v, true);
        else
            mt_buf_puts(out, "<i>–</i>");
    }
    mt_doc_unref(properties);
    mt_doc_unref(relations);
}

static void put_pages(struct mt_buf *out, struct mt_slice blueprint, int64_t page, int64_t pages)
{
    if (pages < 2)
        return;
    mt_buf_puts(out, "<nav class=pages>");
    for (int step = -1; step <= 1; step += 2) {
        if (step > 0)
            mt_buf_printf(out, "<span>Page %lld of %lld</span>", (long long)page, (long long)pages);
        if (page + step < 1 || page + step > pages)
            continue;
        mt_buf_puts(out, "<a href=\"");
        mt_cat_html_href(out, blueprint, (struct mt_slice){0});
        mt_buf_printf(out, "&amp;page=%lld\">%s</a>", (long long)(page + step),
                      step < 0 ? "← Previous" : "Next →");
    }
    mt_buf_puts(out, "</nav>");
}

static void put_blueprint(struct mt_cat_call *c, const struct mt_cat_blueprint *b, int64_t page)
{
    struct mt_buf *out = &c->out;
    int64_t count = count_of(c->store, b->identifier), pages = count ? (count + ROWS - 1) / ROWS : 1;
    page = page > pages ? pages : page;
    begin(out, title_of(b), false);
    crumb(out, b->identifier, (struct mt_slice){0}, title_of(b));
    put_text(out, "</div></header><main><h1>", title_of(b), "</h1><p class=sub>");
    mt_cat_html(out, b->identifier);
    mt_buf_puts(out, " · ");
    put_count(out, count);
    mt_buf_puts(out, count == 1 ? " entity</p><div class=box>" : " entities</p><div class=box>");
    if (!count)
        mt_buf_puts(out, "<div class=empty>No entities.</div>");
    else
        mt_buf_puts(out, "<table class=cells><thead><tr><th>Entity");
    for (uint32_t i = 0; count && i < b->relation_count && i < COLUMNS; i++)
        put_text(out, "<th>", label(b, "relations", b->relations[i].name), "");
    for (uint32_t i = 0; count && i < b->property_count && i < COLUMNS; i++)
        put_text(out, b->properties[i].rule.type == MT_CAT_NUMBER ? "<th class=n>" : "<th>",
                 label(b, "schema.properties", b->properties[i].name), "");
    if (count)
        mt_buf_puts(out, "</thead><tbody>");
    sqlite3_stmt *rows = mt_cat_store_sql(c->store, MT_CAT_ROW_PAGE);
    mt_cat_bind(rows, 1, b->identifier);
    sqlite3_bind_int(rows, 2, ROWS);
    sqlite3_bind_int64(rows, 3, (page - 1) * ROWS);
    while (mt_cat_step(c->store, rows)) {
        struct mt_cat_row row;
        mt_cat_row_read(rows, &row);
        put_row(out, b, &row);
    }
    sqlite3_reset(rows);
    mt_buf_puts(out, count ? "</tbody></table></div>" : "</div>");
    put_pages(out, b->identifier, page, pages);
    end(out);
}

static void put_members(struct mt_buf *out, const struct mt_cat_blueprint *b, struct mt_slice json,
                        bool relations)
{
    struct mt_doc *doc;
    struct mt_slice name;
    struct mt_val v;
    if (mt_doc_parse_copy(json, NULL, &doc, NULL) != MT_OK)
        return;
    mt_buf_puts(out, relations ? "<h2>Relations</h2><div class=box>" : "<h2>Properties</h2><div class=box>");
    mt_buf_puts(out, mt_val_count(mt_doc_root(doc)) ? "<table class=facts>"
                                                    : "<div class=empty>None.</div><table>");
    for (struct mt_iter it = mt_iter_of(mt_doc_root(doc)); mt_iter_next(&it, &name, &v);) {
        const struct mt_cat_relation *r = relations ? mt_cat_blueprint_relation(b, name) : NULL;
        put_text(out, "<tr><th>", label(b, relations ? "relations" : "schema.properties", name), "<td>");
        if (r)
            put_targets(out, r, v, INCOMING);
        else
            mt_cat_html_value(out, v, false);
    }
    mt_buf_puts(out, "</table></div>");
    mt_doc_unref(doc);
}

static void put_incoming(struct mt_cat_store *s, int64_t id, struct mt_buf *out)
{
    int shown = 0;
    sqlite3_stmt *rows = mt_cat_store_sql(s, MT_CAT_RELATION_INCOMING);
    sqlite3_bind_int64(rows, 1, id);
    sqlite3_bind_int(rows, 2, INCOMING + 1);
    mt_buf_puts(out, "<h2>Related from</h2><div class=box>");
    while (mt_cat_step(s, rows) && shown < INCOMING) {
        if (!shown++)
            mt_buf_puts(out,
                        "<table class=cells><thead><tr><th>Entity<th>Blueprint<th>Relation</thead><tbody>");
        mt_buf_puts(out, "<tr><td>");
        put_link(out, mt_cat_column(rows, 0), mt_cat_column(rows, 1), mt_cat_column(rows, 2));
        put_text(out, "<td>", mt_cat_column(rows, 0), "");
        put_text(out, "<td>", mt_cat_column(rows, 3), "");
    }
    sqlite3_reset(rows);
    mt_buf_puts(out, shown == 0 ? "<div class=empty>No entity relates to this one.</div></div>"
                     : shown == INCOMING
                         ? "</tbody></table><div class=empty>Only the first are shown.</div></div>"
                         : "</tbody></table></div>");
}

static void put_entity(struct mt_cat_call *c, const struct mt_cat_blueprint *b, struct mt_slice identifier)
{
    struct mt_buf *out = &c->out;
    struct mt_cat_row row;
    sqlite3_stmt *statement = mt_cat_store_sql(c->store, MT_CAT_ROW_BY_KEY);
    mt_cat_bind(statement, 1, b->identifier);
    mt_cat_bind(statement, 2, identifier);
    if (!mt_cat_step(c->store, statement)) {
        sqlite3_reset(statement);
        not_found(c, "entity", identifier);
        return;
    }
    mt_cat_row_read(statement, &row);
    struct mt_slice title = row.title.n ? row.title : row.identifier;
    begin(out, title, false);
    crumb(out, b->identifier, (struct mt_slice){0}, title_of(b));
    crumb(out, b->identifier, row.identifier, title);
    put_text(out, "</div></header><main><h1>", title, "</h1><p class=sub>");
    mt_cat_html(out, row.identifier);
    mt_buf_puts(out, " · ");
    put_link(out, b->identifier, (struct mt_slice){0}, title_of(b));
    mt_buf_puts(out, " · updated ");
    mt_cat_html_time(out, row.updated);
    mt_buf_puts(out, "</p>");
    put_members(out, b, row.properties, false);
    put_members(out, b, row.relations, true);
    put_incoming(c->store, row.id, out);
    mt_buf_puts(out, "<h2>Record</h2><div class=box><table class=facts><tr><th>Identifier<td>");
    put_text(out, "<code>", row.identifier, "</code>");
    struct mt_doc *team = NULL;
    if (row.team.p && mt_doc_parse_copy(row.team, NULL, &team, NULL) == MT_OK) {
        mt_buf_puts(out, "<tr><th>Team<td>");
        mt_cat_html_value(out, mt_doc_root(team), false);
    }
    mt_doc_unref(team);
    if (row.icon.n)
        put_text(out, "<tr><th>Icon<td>", row.icon, "");
    put_text(out, "<tr><th>Written by<td><code>", row.datasource, "</code><tr><th>Created<td>");
    mt_cat_html_time(out, row.created);
    mt_buf_puts(out, "<tr><th>Updated<td>");
    mt_cat_html_time(out, row.updated);
    mt_buf_puts(out, "</table></div>");
    sqlite3_reset(statement);
    end(out);
}

void mt_cat_page(struct mt_cat_call *c)
{
    struct mt_buf blueprint, entity, page;
    mt_buf_init(&blueprint, PARAMETER_MAX);
    mt_buf_init(&entity, PARAMETER_MAX);
    mt_buf_init(&page, PARAMETER_MAX);
    c->content_type = "text/html; charset=utf-8";
    bool has_blueprint = mt_request_param(c->request, "blueprint", &blueprint);
    bool has_entity = mt_request_param(c->request, "entity", &entity);
    const struct mt_cat_blueprint *b =
        has_blueprint ? mt_cat_blueprint_find(c->store, mt_buf_slice(&blueprint)) : NULL;
    if (!has_blueprint) {
        put_overview(c);
    } else if (!b) {
        not_found(c, "blueprint", mt_buf_slice(&blueprint));
    } else if (has_entity) {
        put_entity(c, b, mt_buf_slice(&entity));
    } else {
        long n = mt_request_param(c->request, "page", &page) ? strtol(mt_buf_text(&page), NULL, 10) : 1;
        put_blueprint(c, b, n < 1 ? 1 : n);
    }
    mt_buf_fini(&blueprint);
    mt_buf_fini(&entity);
    mt_buf_fini(&page);
}
