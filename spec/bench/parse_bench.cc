/* The document's parser beside libsimdjson, in one run on the same bytes: parse_bench FILE.ndjson….
 *
 * A file is a recording (its lines' "body" texts are used) or lines of JSON. Each is measured as whole texts
 * ("pages") and cut into the elements of the arrays among them ("items", which is what a mapping takes).
 * Best of 30 rounds. The hint is in names[]; one member of each document is read. simdjson's texts have its
 * padding and its parser is used again and again; ours copies each text and makes a document
 * of it. */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <simdjson.h>
#include <string>
#include <vector>

extern "C" {
#include "json/document.h"
}

/* What Ocean's default mapping for GitHub's repositories reads, and its one for Jira's issues. */
static const char *const names[] = {
    "name",       "description", "private",   "default_branch", "__includedFiles", "README.md",
    "CODEOWNERS", "html_url",    "language",  "owner",          "login",           "key",
    "fields",     "summary",     "issuetype", "status",         "assignee",        "emailAddress",
    "creator",    "priority",    "labels",    "created",        "updated",         "self"};

struct set {
    std::string name;
    std::vector<simdjson::padded_string> texts;
    size_t bytes = 0;
};

static void add(set &s, const char *p, size_t n)
{
    s.texts.emplace_back(p, n);
    s.bytes += n;
}

static std::string compact(mt_val v)
{
    mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_val_write(v, &out);
    std::string text(out.p, out.n);
    mt_buf_fini(&out);
    return text;
}

static mt_doc *parsed(const char *p, size_t n)
{
    mt_doc *doc = nullptr;
    mt_slice text = {p, n};
    mt_doc_parse_copy(text, nullptr, &doc, nullptr);
    return doc;
}

static void read_sets(const char *path, std::vector<set> &sets)
{
    set pages, items;
    std::string base = path;
    base = base.substr(base.rfind('/') + 1);
    pages.name = base + " pages";
    items.name = base + " items";
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        mt_doc *exchange = parsed(line.data(), line.size());
        mt_val body;
        mt_slice text = {line.data(), line.size()};
        mt_slice body_name = {"body", 4};
        if (exchange && mt_val_member(mt_doc_root(exchange), body_name, &body) && mt_val_string(body).p)
            text = mt_val_string(body);
        mt_doc *doc = parsed(text.p, text.n);
        if (doc) {
            add(pages, text.p, text.n);
            mt_val root = mt_doc_root(doc), item;
            if (mt_val_is(root, MT_ARRAY)) {
                for (uint32_t i = 0; mt_val_index(root, i, &item); i++) {
                    std::string one = compact(item);
                    add(items, one.data(), one.size());
                }
            } else {
                std::string one = compact(root);
                add(items, one.data(), one.size());
            }
        }
        mt_doc_unref(doc);
        mt_doc_unref(exchange);
    }
    sets.push_back(std::move(pages));
    sets.push_back(std::move(items));
}

static size_t kept; /* what was read, so that no work is left out */

static void dom(const set &s)
{
    static simdjson::dom::parser parser;
    simdjson::dom::element root;
    for (const auto &text : s.texts)
        if (!parser.parse(text).get(root))
            kept += root.is_object();
}

static void walk(simdjson::ondemand::value v)
{
    switch (v.type()) {
    case simdjson::ondemand::json_type::array:
        for (auto element : v.get_array())
            walk(element.value());
        break;
    case simdjson::ondemand::json_type::object:
        for (auto field : v.get_object()) {
            kept += field.unescaped_key().value().size();
            walk(field.value());
        }
        break;
    case simdjson::ondemand::json_type::string:
        kept += v.get_string().value().size();
        break;
    default:
        kept += v.raw_json_token().size();
    }
}

static void on_demand(const set &s)
{
    static simdjson::ondemand::parser parser;
    for (const auto &text : s.texts) {
        auto doc = parser.iterate(text);
        if (doc.is_scalar())
            continue;
        if (doc.type() == simdjson::ondemand::json_type::array)
            for (auto element : doc.get_array())
                walk(element.value());
        else
            for (auto field : doc.get_object()) {
                kept += field.unescaped_key().value().size();
                walk(field.value());
            }
    }
}

/* Only the members that a mapping reads; nothing else is checked but its bytes. */
static void on_demand_few(const set &s)
{
    static simdjson::ondemand::parser parser;
    static const char *const few[] = {"name",     "description", "private", "default_branch",
                                      "html_url", "language",    "key"};
    for (const auto &text : s.texts) {
        auto doc = parser.iterate(text);
        simdjson::ondemand::object object;
        if (doc.get_object().get(object))
            continue;
        for (const char *name : few) {
            simdjson::ondemand::value v;
            if (!object.find_field_unordered(name).get(v))
                kept += v.raw_json_token().size();
        }
    }
}

static void check(const set &s)
{
    for (const auto &text : s.texts) {
        mt_slice slice = {text.data(), text.size()};
        kept += mt_json_check(slice, nullptr, nullptr) == MT_OK;
    }
}

/* With a copy of the text, as somebody has to put it into the buffer. */
static void take(const set &s, const mt_names *hint)
{
    mt_slice name = {"name", 4};
    for (const auto &text : s.texts) {
        mt_buf copy;
        mt_doc *doc = nullptr;
        mt_val v;
        mt_buf_init(&copy, SIZE_MAX / 2);
        mt_buf_add(&copy, text.data(), text.size());
        mt_doc_parse_for(&copy, nullptr, hint, &doc, nullptr);
        kept += mt_val_member(mt_doc_root(doc), name, &v);
        mt_doc_unref(doc);
    }
}

static std::vector<mt_doc *> docs;

struct task {
    const char *name;
    std::function<void()> run;
    double best;
};

/* In turns, so that a neighbour's load hits all of them. */
static void measure(const set &s, std::vector<task> &tasks)
{
    for (int round = 0; round < 30; round++)
        for (task &t : tasks) {
            auto from = std::chrono::steady_clock::now();
            t.run();
            std::chrono::duration<double> took = std::chrono::steady_clock::now() - from;
            t.best = std::max(t.best, (double)s.bytes / took.count() / 1e6);
        }
}

int main(int argc, char **argv)
{
    std::vector<set> sets;
    std::vector<mt_slice> slices;
    for (const char *name : names)
        slices.push_back({name, strlen(name)});
    mt_names *hint = mt_names_new(slices.data(), slices.size());
    for (int i = 1; i < argc; i++)
        read_sets(argv[i], sets);
    printf("simdjson's instructions: %s\n", simdjson::get_active_implementation()->name().c_str());
    for (const set &s : sets) {
        if (s.bytes == 0)
            continue;
        for (const auto &text : s.texts)
            docs.push_back(parsed(text.data(), text.size()));
        mt_buf out;
        mt_buf_init(&out, SIZE_MAX / 2);
        std::vector<task> tasks = {
            {"simdjson DOM", [&] { dom(s); }, 0},
            {"simdjson on-demand, all", [&] { on_demand(s); }, 0},
            {"simdjson on-demand, 7 names", [&] { on_demand_few(s); }, 0},
            {"check", [&] { check(s); }, 0},
            {"parse", [&] { take(s, nullptr); }, 0},
            {"parse with a hint", [&] { take(s, hint); }, 0},
            {"write",
             [&] {
                 for (mt_doc *doc : docs) {
                     mt_buf_clear(&out);
                     mt_val_write(mt_doc_root(doc), &out);
                 }
             },
             0},
            {"digest",
             [&] {
                 for (mt_doc *doc : docs)
                     kept += mt_val_digest(mt_doc_root(doc)).b[0];
             },
             0},
        };
        measure(s, tasks);
        printf("\n%s: %zu texts, %.2f MB\n", s.name.c_str(), s.texts.size(), (double)s.bytes / 1e6);
        for (const task &t : tasks)
            printf("  %-28s %6.0f MB/s  %5.2f of DOM\n", t.name, t.best, t.best / tasks[0].best);
        mt_buf_fini(&out);
        for (mt_doc *doc : docs)
            mt_doc_unref(doc);
        docs.clear();
    }
    mt_names_free(hint);
    return kept == 0;
}
