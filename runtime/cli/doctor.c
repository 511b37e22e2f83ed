/* `moontide doctor`: what usually goes wrong, and what to do about it. The checks are in machine.c, limits.c
 * and reach.c; here are the bundles, their configuration, and the printing. Main thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/doctor.h"
#include "net/http.h"
#include "net/pool.h"
#include "script/host.h"

extern char **environ;

/* ---- the lines ---- */

/* Messages of several lines become one. */
static char *one_line(const char *text)
{
    char *out = mt_alloc(strlen(text) * 2 + 1), *to = out;
    for (const char *p = text; *p; p++) {
        if (*p != '\n') {
            *to++ = (unsigned char)*p < ' ' ? ' ' : *p;
            continue;
        }
        p += strspn(p, " \n\t") - 1;
        if (!p[1])
            break;
        *to++ = ';';
        *to++ = ' ';
    }
    return mt_mask(out);
}

void mt_checkup_add(struct mt_checkup *c, enum mt_verdict verdict, const char *check, const char *format, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    char *line = one_line(text);
    for (size_t i = 0; i < c->count; i++) /* two bundles of one process may well share what is wrong */
        if (strcmp(c->list[i].check, check) == 0 && strcmp(c->list[i].text, line) == 0) {
            free(line);
            return;
        }
    if (c->count == c->room) {
        c->room = c->room ? c->room * 2 : 32;
        c->list = mt_realloc(c->list, c->room * sizeof *c->list);
    }
    c->list[c->count++] = (struct mt_checked){verdict, check, line};
    c->bad += verdict == MT_BAD;
    c->doubtful += verdict == MT_DOUBTFUL;
}

void mt_checkup_fini(struct mt_checkup *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->list[i].text);
    free(c->list);
}

static void print_text(const struct mt_checkup *c)
{
    static const char *const words[] = {"ok", "warn", "FAIL"}, *const colours[] = {"32", "33", "31"};
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    int width = 0;
    for (size_t i = 0; i < c->count; i++)
        width = (int)strlen(c->list[i].check) > width ? (int)strlen(c->list[i].check) : width;
    for (size_t i = 0; i < c->count; i++) {
        const struct mt_checked *line = &c->list[i];
        if (colour)
            printf("\033[%sm%-4s\033[0m  ", colours[line->verdict], words[line->verdict]);
        else
            printf("%-4s  ", words[line->verdict]);
        printf("%-*s  %s\n", width, line->check, line->text);
    }
    printf("%u failed, %u warnings, %zu fine\n", c->bad, c->doubtful, c->count - c->bad - c->doubtful);
}

static void print_json(const struct mt_checkup *c)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    struct mt_buf out;
    mt_buf_init(&out, SIZE_MAX / 2);
    mt_buf_printf(&out, "{\"ok\":%s,\"failed\":%u,\"warnings\":%u,\"checks\":[", c->bad ? "false" : "true",
                  c->bad, c->doubtful);
    for (size_t i = 0; i < c->count; i++) {
        mt_buf_printf(&out, "%s{\"check\":\"%s\",\"result\":\"%s\",\"text\":", i ? "," : "", c->list[i].check,
                      words[c->list[i].verdict]);
        mt_buf_put_json_string(&out, mt_slice_of(c->list[i].text));
        mt_buf_putc(&out, '}');
    }
    printf("%s]}\n", mt_buf_text(&out));
    mt_buf_fini(&out);
}

/* ---- bundles ---- */

struct patient {
    struct mt_checkup *checkup;
    const char *name; /* in front of what is said of one of several bundles; NULL: there is one */
    unsigned errors;
};

static void config_problem(void *ud, const struct mt_config_problem *problem)
{
    struct patient *p = ud;
    p->errors += problem->error;
    mt_checkup_add(p->checkup, problem->error ? MT_BAD : MT_DOUBTFUL, "config", "%s%s%s",
                   p->name ? p->name : "", p->name ? ": " : "", problem->text);
}

static enum mt_rc read_source(void *ud, const char *relative, struct mt_buf *out, struct mt_err *err)
{
    return mt_bundle_read(ud, relative, out, err);
}

static bool is_sensitive(void *ud, struct mt_slice name)
{
    return mt_config_is_sensitive(ud, name);
}

/* Runs main.lua, which does no I/O. */
static void check_script(struct patient *p, struct mt_bundle *bundle, struct mt_config *config)
{
    struct mt_loop *loop = mt_loop_new();
    struct mt_http *http = mt_http_new(loop);
    struct mt_pool *pool = mt_pool_new(loop, 1);
    struct mt_host *host = NULL;
    struct mt_err err;
    struct mt_host_options options = {
        .loop = loop,
        .http = http,
        .pool = pool,
        .name = mt_bundle_name(bundle),
        .read = read_source,
        .read_ud = bundle,
        .config = mt_config_integration(config),
        .is_sensitive = is_sensitive,
        .sensitive_ud = config,
    };
    if (mt_host_new(&options, &host, &err) == MT_OK) {
        mt_checkup_add(p->checkup, MT_FINE, "bundle", "%s %s (type %s) loads", mt_bundle_name(bundle),
                       mt_config_version(config), mt_config_type(config));
    } else {
        err.text[strcspn(err.text, "\n")] = '\0'; /* the traceback is validate's to show */
        mt_checkup_add(p->checkup, MT_BAD, "bundle", "%s does not load: %s (see moontide validate)",
                       mt_bundle_name(bundle), err.text);
    }
    mt_host_free(host);
    mt_pool_free(pool);
    mt_http_free(http);
    mt_loop_free(loop);
}

static struct mt_config *check_config(struct patient *p, const struct mt_bundle *bundle,
                                      const struct mt_config_flags *flags)
{
    struct mt_config *config = mt_config_check(bundle, environ, flags, config_problem, p);
    if (!p->errors)
        mt_checkup_add(
            p->checkup, MT_FINE, "config", "%s%scomplete%s%s, event listener %s", p->name ? p->name : "",
            p->name ? ": " : "", bundle ? ": integration " : ", without a bundle",
            bundle ? mt_config_identifier(config) : "", mt_config_text(config, "event_listener.type"));
    return config;
}

static void check_bundles(struct mt_checkup *c, char **paths, size_t count,
                          const struct mt_config_flags *flags, const char *trust, struct mt_bundle **bundles,
                          struct mt_config **configs)
{
    const struct mt_bundle_options options = {.trust = trust};
    const char **names = mt_alloc((count + 1) * sizeof *names);
    size_t known = 0;
    struct mt_err err;
    for (size_t i = 0; i < count; i++) {
        struct patient p = {c, NULL, 0};
        if (mt_bundle_open(paths[i], &options, &bundles[i], &err) != MT_OK) {
            mt_checkup_add(c, MT_BAD, "bundle", "%s", err.text);
            continue;
        }
        names[known++] = mt_bundle_name(bundles[i]);
        p.name = count > 1 ? mt_bundle_name(bundles[i]) : NULL;
        configs[i] = check_config(&p, bundles[i], flags);
        check_script(&p, bundles[i], configs[i]);
    }
    if (count > 1 && mt_config_check_names(names, known, &err) != MT_OK)
        mt_checkup_add(c, MT_BAD, "config", "%s", err.text);
    if (count > 1)
        mt_config_unknown_bundles(names, known, environ, config_problem, &(struct patient){c, NULL, 0});
    free(names);
}

/* ---- the command ---- */

static int run(int argc, char **argv)
{
    const struct mt_command *self = &mt_command_doctor;
    struct mt_config_flags flags = {0};
    struct mt_checkup c = {0};
    const char *ca_file, *ca_folder, *trust = NULL;
    bool json = false;
    int n = mt_options_parse(self, argc, argv,
                             (struct mt_option[]){{.name = "json", .flag = &json},
                                                  {.name = "port-url", .value = &flags.port_url},
                                                  {.name = "state", .value = &flags.state_file},
                                                  {.name = "trust", .value = &trust},
                                                  {0}});
    if (n < 0)
        return MT_EXIT_USAGE;
    size_t count = (size_t)n;
    flags.several = count > 1;
    struct mt_bundle **bundles = mt_alloc((count + 1) * sizeof *bundles);
    struct mt_config **configs = mt_alloc((count + 1) * sizeof *configs), *process = NULL;
    mt_log_level(MT_ERROR); /* what the parts warn of is told by the checks */
    mt_check_libraries(&c);
    check_bundles(&c, argv + 1, count, &flags, trust, bundles, configs);
    /* What the process reads itself; without a bundle this is all there is. */
    struct patient patient = {&c, NULL, 0};
    if (count == 0)
        process = check_config(&patient, NULL, &flags);
    const struct mt_config *first = process;
    for (size_t i = 0; !first && i < count; i++)
        first = configs[i];
    if (count == 0)
        mt_check_network(&c, NULL, &process, 1);
    else
        mt_check_network(&c, bundles, configs, count);
    mt_http_default_ca(&ca_file, &ca_folder);
    mt_check_certificates(&c, ca_file, ca_folder);
    if (process)
        mt_check_state(&c, process);
    for (size_t i = 0; i < count; i++)
        if (configs[i])
            mt_check_state(&c, configs[i]);
    if (first)
        mt_check_ports(&c, first);
    mt_check_limits(&c, "");
    if (json)
        print_json(&c);
    else
        print_text(&c);
    int code = c.bad ? MT_EXIT_FAILED : MT_EXIT_OK;
    mt_checkup_fini(&c);
    for (size_t i = 0; i < count; i++) {
        mt_config_free(configs[i]);
        mt_bundle_free(bundles[i]);
    }
    mt_config_free(process);
    free(bundles);
    free(configs);
    mt_mask_forget();
    return code;
}

const struct mt_command mt_command_doctor = {
    .name = "doctor",
    .usage = "moontide doctor [BUNDLE…] [--port-url URL] [--state FILE] [--trust NAME.pub] [--json]",
    .summary = "check what usually goes wrong, and say what to do",
    .help =
        "  --port-url URL    Port's API, as for resync\n"
        "  --state FILE      the state file, as for resync\n"
        "  --trust NAME.pub  takes only what this key signed\n"
        "  --json            {\"ok\",\"failed\",\"warnings\",\"checks\":[{\"check\",\"result\",\"text\"}]}\n"
        "Without a bundle: what holds for the process. Writes nothing, and ends within about ten seconds.\n"
        "exit codes: 0 nothing failed (there may be warnings); 1 something did; 2 usage\n",
    .run = run,
};
