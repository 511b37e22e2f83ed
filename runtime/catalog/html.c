/* HTML text: see html.h. */
#include "catalog/html.h"

#include "base/clock.h"
#include "net/url.h"

enum { BRIEF = 80, LONG = 4000 };

void mt_cat_html(struct mt_buf *out, struct mt_slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        const char *instead = c == '&'                                            ? "&amp;"
                              : c == '<'                                          ? "&lt;"
                              : c == '>'                                          ? "&gt;"
                              : c == '"'                                          ? "&quot;"
                              : c == '\''                                         ? "&#39;"
                              : (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ? "\xEF\xBF\xBD"
                                                                                  : NULL;
        if (!instead)
            continue;
        mt_buf_add(out, text.p + from, i - from);
        mt_buf_puts(out, instead);
        from = i + 1;
    }
    mt_buf_add(out, text.p + from, text.n - from);
}

void mt_cat_html_cut(struct mt_buf *out, struct mt_slice text, size_t longest)
{
    bool cut = text.n > longest;
    if (cut) {
        text.n = longest;
        while (text.n && ((unsigned char)text.p[text.n] & 0xC0) == 0x80)
            text.n--;
    }
    mt_cat_html(out, text);
    if (cut)
        mt_buf_puts(out, "…");
}

void mt_cat_html_href(struct mt_buf *out, struct mt_slice blueprint, struct mt_slice entity)
{
    mt_buf_puts(out, "/?blueprint=");
    mt_url_escape(out, blueprint);
    if (entity.p) {
        mt_buf_puts(out, "&amp;entity=");
        mt_url_escape(out, entity);
    }
}

static bool starts(struct mt_slice s, const char *with)
{
    size_t n = strlen(with);
    return s.n > n && memcmp(s.p, with, n) == 0;
}

static void put_json(struct mt_buf *out, struct mt_val v, bool brief)
{
    struct mt_buf text;
    mt_buf_init(&text, (size_t)64 * 1024 * 1024);
    mt_val_write(v, &text);
    mt_buf_puts(out, brief ? "<code>" : "<pre>");
    mt_cat_html_cut(out, mt_buf_slice(&text), brief ? BRIEF : LONG);
    mt_buf_puts(out, brief ? "</code>" : "</pre>");
    mt_buf_fini(&text);
}

static bool all_scalar(struct mt_val list)
{
    struct mt_slice none;
    struct mt_val v;
    for (struct mt_iter it = mt_iter_of(list); mt_iter_next(&it, &none, &v);)
        if (mt_val_is(v, MT_OBJECT) || mt_val_is(v, MT_ARRAY))
            return false;
    return true;
}

static void put_list(struct mt_buf *out, struct mt_val list, bool brief)
{
    struct mt_slice none;
    struct mt_val v;
    uint32_t shown = 0, count = mt_val_count(list), most = brief ? 3 : 100;
    if (!count) {
        mt_buf_puts(out, "<i>none</i>");
        return;
    }
    for (struct mt_iter it = mt_iter_of(list); shown < most && mt_iter_next(&it, &none, &v); shown++) {
        mt_buf_puts(out, "<span class=chip>");
        mt_cat_html_value(out, v, true);
        mt_buf_puts(out, "</span> ");
    }
    if (count > shown)
        mt_buf_printf(out, "<i>and %u more</i>", count - shown);
}

void mt_cat_html_value(struct mt_buf *out, struct mt_val v, bool brief)
{
    switch (mt_val_kind(v)) {
    case MT_NULL:
        mt_buf_puts(out, "<i>null</i>");
        break;
    case MT_BOOL:
        mt_buf_puts(out,
                    mt_val_true(v) ? "<span class=\"flag on\">true</span>" : "<span class=flag>false</span>");
        break;
    case MT_NUMBER:
        mt_buf_puts(out, "<span class=num>");
        mt_cat_html_cut(out, mt_val_literal(v), BRIEF);
        mt_buf_puts(out, "</span>");
        break;
    case MT_STRING: {
        struct mt_slice text = mt_val_string(v);
        bool link = starts(text, "https://") ||
                    starts(text, "http://"); /* nothing else: javascript: is a scheme too */
        if (link) {
            mt_buf_puts(out, "<a rel=\"noreferrer noopener\" href=\"");
            mt_cat_html(out, text);
            mt_buf_puts(out, "\">");
        }
        if (!brief && memchr(text.n ? text.p : "", '\n', text.n)) {
            mt_buf_puts(out, "<pre>");
            mt_cat_html_cut(out, text, LONG);
            mt_buf_puts(out, "</pre>");
        } else {
            mt_cat_html_cut(out, text, brief ? BRIEF : LONG);
        }
        if (link)
            mt_buf_puts(out, "</a>");
        break;
    }
    case MT_ARRAY:
        if (all_scalar(v)) {
            put_list(out, v, brief);
            break;
        }
        put_json(out, v, brief);
        break;
    case MT_OBJECT:
        put_json(out, v, brief);
        break;
    }
}

void mt_cat_html_time(struct mt_buf *out, int64_t wall_us)
{
    char iso[MT_ISO_SIZE];
    mt_iso_format(wall_us, iso);
    mt_buf_printf(out, "<time datetime=\"%.19sZ\">%.10s %.8s</time>", iso, iso, iso + 11);
}

const char mt_cat_css[] =
    ":root{color-scheme:light "
    "dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--dim:#667085;--line:#e3e7ed;--link:#1257b5;"
    "--soft:#eef2f8;--good:#0b7a4b;--good-bg:#e2f5ec;--bad:#b42318;--bad-bg:#fdeceb;--warn:#8a5a00;--warn-bg:"
    "#fdf3dc}"
    "@media(prefers-color-scheme:dark){:root{--bg:#10141b;--card:#181e28;--ink:#e4e9f1;--dim:#93a0b4;--line:#"
    "2a3341;"
    "--link:#7db3ff;--soft:#222b38;--good:#5bd39b;--good-bg:#12352a;--bad:#ff8f85;--bad-bg:#42201f;--warn:#"
    "f0c15c;"
    "--warn-bg:#3a2f14}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}"
    "a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
    "header{background:var(--card);border-bottom:1px solid var(--line)}"
    "header div,main,footer{max-width:1180px;margin:0 auto;padding:0 24px}"
    "header div{display:flex;gap:10px;align-items:center;height:54px;white-space:nowrap;overflow:hidden}"
    "header svg{width:20px;height:20px;flex:none}header b{color:var(--ink)}header "
    "a{overflow:hidden;text-overflow:ellipsis}"
    "header span{color:var(--dim)}main{padding-top:26px;padding-bottom:40px}"
    "h1{font-size:25px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:17px;margin:34px "
    "0 10px}"
    ".sub{color:var(--dim);margin:0 0 18px;overflow-wrap:anywhere}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:12px}"
    ".card{display:block;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px "
    "16px;"
    "color:var(--ink);overflow:hidden}a.card:hover{border-color:var(--link);text-decoration:none}"
    ".card b,.card small{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    ".card small{color:var(--dim)}.card strong{display:block;font-size:23px;font-weight:600;margin-top:6px;"
    "font-variant-numeric:tabular-nums}"
    ".box{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}"
    "table{border-collapse:collapse;width:100%;font-size:14px}"
    "th,td{text-align:left;vertical-align:top;padding:9px 14px;border-top:1px solid var(--line)}"
    "thead "
    "th{border-top:0;color:var(--dim);font-weight:500;font-size:13px;white-space:nowrap;background:var(--"
    "card)}"
    ".cells td{max-width:330px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    ".cells tbody tr:hover,.runs tbody tr:hover{background:var(--soft)}"
    ".facts th{width:220px;color:var(--dim);font-weight:500}.facts td{overflow-wrap:anywhere}"
    ".facts tr:first-child>*,.runs table tr:first-child>*{border-top:0}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.num{font-variant-numeric:"
    "tabular-nums}"
    "td "
    "small{display:block;color:var(--dim);overflow:hidden;text-overflow:ellipsis}i{color:var(--dim);font-"
    "style:normal}"
    "code,pre{font:12.5px/1.5 ui-monospace,\"SF Mono\",Menlo,\"DejaVu Sans Mono\",monospace}"
    "pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);border-radius:6px;"
    "padding:8px 10px}"
    ".chip,.flag,.state{display:inline-block;border-radius:20px;padding:0 "
    "9px;background:var(--soft);font-size:13px;"
    "line-height:22px}.flag{color:var(--dim)}.on,.completed{color:var(--good);background:var(--good-bg)}"
    ".failed,.aborted{color:var(--bad);background:var(--bad-bg)}"
    ".running,.syncing,.pending,.interrupted{color:var(--warn);background:var(--warn-bg)}"
    ".bad{color:var(--bad);font-weight:600}.pages{display:flex;gap:14px;align-items:center;margin-top:14px;"
    "color:var(--dim)}"
    ".run{margin-bottom:12px}.run summary{cursor:pointer;padding:12px "
    "16px;display:flex;gap:12px;flex-wrap:wrap;"
    "align-items:baseline}.run summary::-webkit-details-marker{display:none}.run summary "
    "b{overflow-wrap:anywhere}"
    ".run summary span:last-child{margin-left:auto}.run summary i{white-space:nowrap}"
    ".errors{margin:0;padding:10px 16px 12px 34px;border-top:1px solid "
    "var(--line);color:var(--bad);font-size:14px;"
    "overflow-wrap:anywhere}.empty{padding:22px;color:var(--dim);text-align:center}"
    "footer{color:var(--dim);font-size:13px;padding-bottom:30px}"
    "@media(max-width:640px){header div,main,footer{padding-left:14px;padding-right:14px}.facts "
    "th{width:120px}}";
