/* The settings of Ocean that moontide knows (R-CFG-07, R-CFG-08), and a few of its own. Called by config.c;
 * the table is read by any thread. */
#include "bundle/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bundle/spelling.h"

enum { LONGEST_DURATION = 10 * 366 * 86400 }; /* nobody means more than ten years */

const struct mt_setting mt_settings[] = {
    {"port.client_id", MT_SET_TEXT, NULL, NULL, 0, true},
    {"port.client_secret", MT_SET_TEXT, NULL, NULL, 0, true},
    {"port.base_url", MT_SET_URL, "https://api.getport.io", NULL, 0, false},
    {"port.port_app_config_cache_ttl", MT_SET_INT, "60", NULL, 0, false},
    {"port.feature_flags_cache_ttl_seconds", MT_SET_INT, "300", NULL, 0, false},
    {"port.blueprint_cache_ttl_seconds", MT_SET_INT, "120", NULL, 0, false},
    {"port.retry_deadline_seconds", MT_SET_INT, "120", NULL, 1, false},
    {"integration.type", MT_SET_TEXT, NULL, NULL, 0, false},
    {"integration.identifier", MT_SET_TEXT, NULL, NULL, 0, false},
    {"integration.version", MT_SET_TEXT, NULL, NULL, 0, false},
    {"integration.incremental_sync_enabled", MT_SET_BOOL, "false", NULL, 0, false},
    {"integration.incremental_sync_interval", MT_SET_INTERVAL, "15", NULL, 0, false},
    {"event_listener.type", MT_SET_CHOICE, "POLLING", "POLLING|KAFKA|WEBHOOK|ONCE|WEBHOOKS_ONLY|ACTIONS_ONLY",
     0, false},
    {"event_listener.interval", MT_SET_INT, "60", NULL, 1, false},
    {"event_listener.resync_on_start", MT_SET_BOOL, "true", NULL, 0, false},
    {"event_listener.should_resync", MT_SET_BOOL, NULL, NULL, 0, false},
    {"event_listener.should_process_webhooks", MT_SET_BOOL, NULL, NULL, 0, false},
    {"event_listener.should_run_actions", MT_SET_BOOL, NULL, NULL, 0, false},
    {"event_listener.app_host", MT_SET_URL, NULL, NULL, 0, true},
    {"allow_environment_variables_jq_access", MT_SET_BOOL, "false", NULL, 0,
     false}, /* Ocean's default is true */
    {"initialize_port_resources", MT_SET_BOOL, "true", NULL, 0, false},
    {"create_port_resources_origin", MT_SET_CHOICE, NULL, "Empty|Default|Ocean|Port", 0, false},
    {"scheduled_resync_interval", MT_SET_DURATION, NULL, NULL, 1, false},
    {"status_heartbeat_interval_seconds", MT_SET_INT, "10", NULL, 1, false},
    {"client_timeout", MT_SET_INT, "60", NULL, 1, false},
    {"send_raw_data_examples", MT_SET_BOOL, "true", NULL, 0, false},
    {"oauth_access_token_file_path", MT_SET_TEXT, NULL, NULL, 0, false},
    {"base_url", MT_SET_URL, NULL, NULL, 0, false},
    {"path_prefix", MT_SET_TEXT, NULL, NULL, 0, false},
    {"event_workers_count", MT_SET_INT, "1", NULL, 1, false},
    {"events_debug_logging", MT_SET_BOOL, "false", NULL, 0, false},
    {"runtime", MT_SET_CHOICE, "OnPrem", "OnPrem|Saas", 0, false},
    {"resources_path", MT_SET_TEXT, ".port/resources", NULL, 0, false},
    {"metrics.enabled", MT_SET_BOOL, "false", NULL, 0, false},
    {"metrics.webhook_url", MT_SET_TEXT, NULL, NULL, 0, false},
    {"max_event_processing_seconds", MT_SET_NUMBER, "90.0", NULL, 0, false},
    {"max_wait_seconds_before_shutdown", MT_SET_NUMBER, "5.0", NULL, 0, false},
    {"caching_storage_mode", MT_SET_CHOICE, "disk", "disk|memory", 0, false},
    {"upsert_entities_batch_max_length", MT_SET_INT, "20", NULL, 1, false},
    {"upsert_entities_batch_max_size_in_bytes", MT_SET_INT, "1048576", NULL, 1, false},
    {"delete_entities_max_batch_size", MT_SET_INT, "1000", NULL, 1, false},
    {"yield_items_to_parse_batch_size", MT_SET_INT, "200", NULL, 1, false},
    {"process_in_queue_timeout", MT_SET_INT, "120", NULL, 1, false},
    {"process_in_queue_max_workers", MT_SET_INT, "0", NULL, 0, false},
    {"disable_ip_outbound_blocker", MT_SET_BOOL, NULL, NULL, 0, false},
    {"lakehouse_enabled", MT_SET_BOOL, "true", NULL, 0, false},
    {"lakehouse_buffer_interval_seconds", MT_SET_NUMBER, "10.0", NULL, 0, false},
    {"lakehouse_buffer_max_count", MT_SET_INT, "50", NULL, 1, false},
    {"processing_mode", MT_SET_CHOICE, "dsp", "dsp|ocean-core", 0, false},
    {"streaming.enabled", MT_SET_BOOL, "false", NULL, 0, false},
    {"streaming.max_buffer_size_mb", MT_SET_INT, "20971520", NULL, 0, false},
    {"streaming.chunk_size", MT_SET_INT, "65536", NULL, 1, false},
    {"streaming.location", MT_SET_TEXT, "/tmp/ocean/streaming", NULL, 0, false},
    {"actions_processor.enabled", MT_SET_BOOL, "false", NULL, 0, false},
    {"ssl.port.verify", MT_SET_BOOL, "true", NULL, 0, false},
    {"ssl.port.x509.strict", MT_SET_BOOL, "true", NULL, 0, false},
    {"ssl.third_party.verify", MT_SET_BOOL, "true", NULL, 0, false},
    {"ssl.third_party.x509.strict", MT_SET_BOOL, "true", NULL, 0, false},
    {"process_execution_mode", MT_SET_TEXT, NULL, NULL, 0, false}, /* removed by Ocean, R-CFG-11 */
    {"application.log_level", MT_SET_CHOICE, "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", 0, false},
    {"application.port", MT_SET_PORT, "8000", NULL, 0, false},
    {"application.enable_http_logging", MT_SET_BOOL, "true", NULL, 0, false},
    /* ours */
    {"state_file", MT_SET_TEXT, ".moontide/state.db", NULL, 0, false},
    {"admin.listen", MT_SET_LISTEN, "127.0.0.1:8001", NULL, 0, false},
    {"log.format", MT_SET_CHOICE, "text", "text|json", 0, false},
    {"max_concurrent_resyncs", MT_SET_INT, "4", NULL, 1, false},
    {"reload.drain_seconds", MT_SET_INT, "600", NULL, 0, false},
    {"engine", MT_SET_CHOICE, "native", "native|libjq", 0, false},
    {"jq.steps", MT_SET_INT, NULL, NULL, 1, false},
    {"jq.memory_mb", MT_SET_INT, NULL, NULL, 1, false},
};
const unsigned mt_setting_count = sizeof mt_settings / sizeof *mt_settings;

/* Of the process, not of one of its bundles. */
static const char *const of_process[] = {
    "application.port", "application.log_level", "admin.listen", "log.format", "max_concurrent_resyncs",
    "engine",           "jq.steps",              "jq.memory_mb", NULL};

/* Sections whose members later parts of Ocean define (R-LIS-01, its sections 15 and 17): accepted and kept as
 * they are. */
static const char *const open_sections[] = {"event_listener.", "live_events.", "actions_processor.",
                                            "metrics.",        "streaming.",   NULL};

int mt_setting_find(const char *name)
{
    for (unsigned i = 0; i < mt_setting_count; i++)
        if (strcmp(mt_settings[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool mt_setting_of_process(const char *name)
{
    for (const char *const *p = of_process; *p; p++)
        if (strcmp(*p, name) == 0)
            return true;
    return false;
}

/* ---- spellings ---- */

static struct mt_slice trim(struct mt_slice s)
{
    while (s.n && isspace((unsigned char)*s.p)) {
        s.p++;
        s.n--;
    }
    while (s.n && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

bool mt_setting_bool(struct mt_slice text, bool *out)
{
    static const char *const words[] = {"false", "true", "f",   "t",  "no", "yes",
                                        "n",     "y",    "off", "on", "0",  "1"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (text.n == strlen(words[i]) && strncasecmp(text.p, words[i], text.n) == 0) {
            *out = i & 1;
            return true;
        }
    return false;
}

bool mt_setting_int(struct mt_slice text, int64_t *out)
{
    char copy[32], *end;
    text = trim(text);
    if (!text.n || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    errno = 0;
    long long value = strtoll(copy, &end, 10);
    if (errno || *end || end == copy)
        return false;
    *out = value;
    return true;
}

static bool is_number(struct mt_slice text, double *out)
{
    char copy[64], *end;
    text = trim(text);
    if (!text.n || text.n >= sizeof copy || strspn(text.p, "+-0123456789.eE") < text.n)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *out = strtod(copy, &end);
    return !*end && end != copy && *out - *out == 0;
}

/* scheme "://" host …, without blanks and control characters. */
char *mt_setting_url(struct mt_slice text, bool http_only)
{
    text = trim(text);
    size_t n = 0;
    while (n < text.n && (isalnum((unsigned char)text.p[n]) || (n && strchr("+-.", text.p[n]))))
        n++;
    if (!n || !isalpha((unsigned char)text.p[0]) || text.n - n < 4 || memcmp(text.p + n, "://", 3) != 0 ||
        strchr("/?#:", text.p[n + 3]))
        return NULL;
    if (http_only && !(n == 4 && strncasecmp(text.p, "http", 4) == 0) &&
        !(n == 5 && strncasecmp(text.p, "https", 5) == 0))
        return NULL;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f)
            return NULL;
    while (text.n > n + 3 && text.p[text.n - 1] == '/')
        text.n--;
    return mt_slice_dup(text);
}

/* 15, 30 or 60 minutes, as "15", "30m", "1h". */
static char *interval(struct mt_slice text)
{
    int64_t value;
    text = trim(text);
    int64_t scale = 1;
    if (text.n && (text.p[text.n - 1] == 'm' || text.p[text.n - 1] == 'h')) {
        scale = text.p[text.n - 1] == 'h' ? 60 : 1;
        text.n--;
    }
    if (!mt_setting_int(text, &value) || value < 0 || value > 60 ||
        (value * scale != 15 && value * scale != 30 && value * scale != 60))
        return NULL;
    return mt_format("%lld", (long long)(value * scale));
}

/* "90", "45s", "2h", "1d", "1w" (R-LIS-21): seconds, a bare number counts minutes. */
bool mt_setting_duration(struct mt_slice text, int64_t *out_seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    int64_t scale = 60, value;
    text = trim(text);
    for (size_t i = 0; text.n && i < sizeof units / sizeof *units; i++)
        if (text.p[text.n - 1] == units[i].unit) {
            scale = units[i].seconds;
            text.n--;
            break;
        }
    if (!text.n || !isdigit((unsigned char)text.p[text.n - 1]) || !mt_setting_int(text, &value) ||
        value < 1 || value > LONGEST_DURATION / scale)
        return false;
    *out_seconds = value * scale;
    return true;
}

/* HOST:PORT or [IPV6]:PORT; empty: nowhere. */
static bool is_listen(struct mt_slice text)
{
    const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
    int64_t port;
    if (!text.n)
        return true;
    if (!colon || colon == text.p || !isdigit((unsigned char)colon[1]))
        return false;
    struct mt_slice host = {text.p, (size_t)(colon - text.p)};
    if (!mt_setting_int((struct mt_slice){colon + 1, text.n - host.n - 1}, &port) || port > 65535)
        return false;
    bool bracketed = host.p[0] == '[' && host.p[host.n - 1] == ']' && host.n > 2;
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || (!bracketed && strchr(":[]/@", host.p[i])))
            return false;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    while (n && *choices) {
        size_t word = strcspn(choices, "|");
        if (word == n && memcmp(choices, text, n) == 0)
            return true;
        choices += word + (choices[word] == '|');
    }
    return false;
}

char *mt_setting_value(const struct mt_sources *s, const struct mt_setting *setting,
                       const struct mt_leaf *leaf)
{
    struct mt_slice text = mt_slice_of(leaf->text);
    char wanted[200] = "", *value = NULL;
    int64_t whole;
    double number;
    bool flag;
    switch (setting->type) {
    case MT_SET_TEXT:
        value = mt_strdup(leaf->text);
        snprintf(wanted, sizeof wanted, "a text");
        break;
    case MT_SET_INT:
        snprintf(wanted, sizeof wanted, "a whole number of at least %lld", setting->least);
        if (leaf->text && mt_setting_int(text, &whole) && whole >= setting->least)
            value = mt_format("%lld", (long long)whole);
        break;
    case MT_SET_PORT:
        snprintf(wanted, sizeof wanted, "a port: 1 to 65535, or 0 for any that is free");
        if (leaf->text && mt_setting_int(text, &whole) && whole >= 0 && whole <= 65535)
            value = mt_format("%lld", (long long)whole);
        break;
    case MT_SET_NUMBER:
        snprintf(wanted, sizeof wanted, "a number of at least %lld", setting->least);
        if (leaf->text && is_number(text, &number) && number >= (double)setting->least)
            value = mt_slice_dup(trim(text));
        break;
    case MT_SET_BOOL:
        snprintf(wanted, sizeof wanted, "true or false");
        if (leaf->text && mt_setting_bool(trim(text), &flag))
            value = mt_strdup(flag ? "true" : "false");
        break;
    case MT_SET_URL:
        snprintf(wanted, sizeof wanted, "an address that begins with http:// or https://");
        if (leaf->text)
            value = mt_setting_url(text, true);
        break;
    case MT_SET_CHOICE:
        snprintf(wanted, sizeof wanted, "one of %s", setting->choices);
        if (leaf->text && is_choice(setting->choices, leaf->text))
            value = mt_strdup(leaf->text);
        break;
    case MT_SET_DURATION:
        snprintf(wanted, sizeof wanted, "minutes, or a number with its unit: 45s, 90m, 2h, 1d, 1w");
        if (leaf->text && mt_setting_duration(text, &whole))
            value = mt_format("%llds", (long long)whole);
        break;
    case MT_SET_LISTEN:
        snprintf(wanted, sizeof wanted,
                 "HOST:PORT as in 127.0.0.1:8001, [::1]:8001 or 0.0.0.0:0, or nothing");
        if (leaf->text && is_listen(trim(text)))
            value = mt_slice_dup(trim(text));
        break;
    case MT_SET_INTERVAL:
        snprintf(wanted, sizeof wanted, "15m, 30m or 1h");
        if (leaf->text)
            value = interval(text);
        break;
    }
    if (!value && (setting->sensitive || !leaf->text))
        mt_sources_problem(s, true, false, leaf->file, leaf->line, "%s: the value does not fit: %s takes %s",
                           leaf->source, setting->name, wanted);
    else if (!value)
        mt_sources_problem(s, true, false, leaf->file, leaf->line, "%s: \"%.*s\" does not fit: %s takes %s",
                           leaf->source, (int)(text.n > MT_FOREIGN ? MT_FOREIGN : text.n), text.p,
                           setting->name, wanted);
    return value;
}

void mt_settings_name_unknown(const struct mt_sources *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct mt_leaf *leaf = &s->leaves[i];
        bool open = leaf->used || strncmp(leaf->path, "integration.config.", 19) == 0;
        for (const char *const *section = open_sections; !open && *section; section++)
            open = strncmp(leaf->path, *section, strlen(*section)) == 0;
        if (open)
            continue;
        struct mt_slice path = mt_slice_of(leaf->path);
        unsigned best = mt_spelling_limit(path);
        const char *nearest = NULL;
        for (unsigned k = 0; k < mt_setting_count; k++)
            if (mt_spelling_nearer(path, mt_slice_of(mt_settings[k].name), &best))
                nearest = mt_settings[k].name;
        mt_sources_problem(s, false, false, leaf->file, leaf->line, "%s: there is no setting %s%s%s%s",
                           leaf->source, leaf->path, nearest ? "; did you mean " : "", nearest ? nearest : "",
                           nearest ? "?" : "");
    }
}
