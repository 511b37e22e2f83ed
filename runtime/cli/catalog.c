/* moontide catalog: the embedded catalog as a server, until a signal ends it. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "catalog/catalog.h"
#include "cli/command.h"

/* "HOST:PORT", "[::1]:PORT", "HOST", ":PORT", "PORT". The host is the caller's to free. */
static bool address_of(const char *text, char **host, int *port)
{
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    struct mt_slice name = {text, colon ? (size_t)(colon - text) : 0};
    bool numeric = text[strspn(text, "0123456789")] == '\0';
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (!end || (end[1] != ':' && end[1] != '\0'))
            return false;
        name = (struct mt_slice){text + 1, (size_t)(end - text - 1)};
        digits = end[1] ? end + 2 : "0";
    } else if (colon && memchr(text, ':', name.n)) {
        return false; /* an IPv6 address without brackets: its last group would be taken for the port */
    } else if (!colon && !numeric) {
        name = mt_slice_of(text);
        digits = "0";
    }
    char *end;
    errno = 0;
    long value = strtol(digits, &end, 10);
    if (errno || *end || !*digits || *digits == '-' || *digits == '+' || value > 65535)
        return false;
    *port = (int)value;
    *host = name.n ? mt_slice_dup(name) : mt_strdup("127.0.0.1");
    return true;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static int run(int argc, char **argv)
{
    const char *listen = "127.0.0.1:0", *path = ".moontide/catalog.db";
    const struct mt_option options[] = {
        {.name = "listen", .value = &listen}, {.name = "db", .value = &path}, {0}};
    struct mt_catalog *catalog = NULL;
    struct mt_err err;
    sigset_t ends;
    char *host;
    int port, signal_number;
    int positional = mt_options_parse(&mt_command_catalog, argc, argv, options);
    if (positional < 0)
        return MT_EXIT_USAGE;
    if (positional)
        return mt_usage_error(&mt_command_catalog, "it takes no argument, but was given '%.*s'", MT_FOREIGN,
                              argv[1]);
    if (!address_of(listen, &host, &port))
        return mt_usage_error(&mt_command_catalog,
                              "--listen %.*s: an address is HOST:PORT or [IPV6]:PORT; port 0 picks one",
                              MT_FOREIGN, listen);
    /* Blocked before the thread starts, which inherits that: they are taken by sigwait and nothing else. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    const struct mt_catalog_options catalog_options = {host, port, path};
    if (mt_catalog_start(&catalog_options, &catalog, &err) != MT_OK) {
        free(host);
        return mt_command_failed(&mt_command_catalog, &err, MT_EXIT_FAILED);
    }
    if (!is_loopback(host))
        mt_log(MT_WARN,
               "the catalog listens at %s for everybody who reaches it: any non-empty credentials are good",
               host);
    printf("listening %s\n", mt_catalog_url(catalog));
    fflush(stdout);
    while (sigwait(&ends, &signal_number) != 0)
        ;
    mt_catalog_stop(catalog);
    mt_log_flush();
    free(host);
    return MT_EXIT_OK;
}

const struct mt_command mt_command_catalog = {
    .name = "catalog",
    .usage = "moontide catalog [--listen ADDR] [--db FILE]",
    .summary = "serve the embedded, Port-compatible catalog",
    .help =
        "  --listen ADDR   HOST:PORT (127.0.0.1:0); port 0 picks one. Any non-empty credentials are good, "
        "so\n"
        "                  an address that others reach is a decision\n"
        "  --db FILE       the database (.moontide/catalog.db), made when it does not exist\n"
        "The first line of stdout is 'listening http://HOST:PORT'; that address is also a page for people.\n"
        "exit codes: 0 ended by SIGINT or SIGTERM; 1 the file or the address cannot be used; 2 usage\n",
    .run = run,
};
