/* `moontide doctor`: this machine: libraries, trusted certificates, the state file, ports. Called by doctor.c
 * on the main thread; leaves nothing behind. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "bundle/archive.h"
#include "bundle/yaml.h"
#include "cli/doctor.h"
#include "jq/libjq.h"
#include "script/host.h"
#include "state/state.h"

enum { LOW_MIB = 256, NO_MIB = 16, LARGEST_CA = 16 << 20 };

/* ---- libraries ---- */

/* Is version a older than b, by their numbers? */
static bool is_older(const char *a, const char *b)
{
    for (;;) {
        char *a_end, *b_end;
        long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
        if (x != y)
            return x < y;
        if (*a_end != '.' || *b_end != '.')
            return false;
        a = a_end + 1;
        b = b_end + 1;
    }
}

void mt_check_library(struct mt_checkup *c, const struct mt_library *l)
{
    const char *detail = l->detail ? l->detail : "", *open = l->detail ? " (" : "",
               *close = l->detail ? ")" : "";
    if (l->built && is_older(l->loaded, l->built))
        mt_checkup_add(c, MT_DOUBTFUL, l->name,
                       "%s%s%s%s is loaded, older than the %s that moontide was built with: upgrade its "
                       "package, or look for a second copy in LD_LIBRARY_PATH",
                       l->loaded, open, detail, close, l->built);
    else if (l->built && strcmp(l->loaded, l->built) != 0)
        mt_checkup_add(c, MT_FINE, l->name, "%s%s%s%s, built with %s", l->loaded, open, detail, close,
                       l->built);
    else
        mt_checkup_add(c, MT_FINE, l->name, "%s%s%s%s", l->loaded, open, detail, close);
}

void mt_check_libraries(struct mt_checkup *c)
{
    struct mt_library list[8];
    char zstd[40];
    mt_host_libraries(list);
    mt_http_libraries(list + 2);
    list[4] = mt_libjq_library();
    list[5] = mt_state_library();
    list[6] = mt_yaml_library();
    list[7] = mt_archive_library();
    static const char itself[] = "libarchive "; /* its version begins with its name */
    if (strncmp(list[7].loaded, itself, sizeof itself - 1) == 0)
        list[7].loaded += sizeof itself - 1;
    snprintf(zstd, sizeof zstd, "zstd %s", list[7].detail ? list[7].detail : "missing");
    list[7].detail = zstd;
    mt_checkup_add(c, MT_FINE, "moontide", MT_VERSION);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        mt_check_library(c, &list[i]);
}

/* ---- trusted certificates ---- */

/* NULL: it holds certificates; else what is wrong. Static storage, or strerror's. */
static const char *wrong_with_file(const char *path)
{
    char chunk[4096];
    size_t n;
    struct mt_buf text;
    FILE *in = fopen(path, "re");
    if (!in)
        return strerrordesc_np(errno);
    mt_buf_init(&text, LARGEST_CA);
    errno = 0;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0 && mt_buf_add(&text, chunk, n))
        ;
    const char *wrong =
        ferror(in)    ? strerrordesc_np(errno)
        : text.failed ? "larger than 16 MiB"
        : memmem(text.p, text.n, "-----BEGIN ", 11) && strstr(mt_buf_text(&text), "CERTIFICATE-----")
            ? NULL
            : "it holds no certificate in PEM";
    fclose(in);
    mt_buf_fini(&text);
    return wrong;
}

/* A folder is read by the hashes of the subjects: 5ed36f99.0. */
static const char *wrong_with_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return strerrordesc_np(errno);
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(dir));)
        found = strspn(e->d_name, "0123456789abcdef") == 8 && e->d_name[8] == '.' &&
                isdigit((unsigned char)e->d_name[9]);
    closedir(dir);
    return found ? NULL : "it holds no certificate under its hash (run openssl rehash on it)";
}

void mt_check_certificates(struct mt_checkup *c, const char *default_file, const char *default_folder)
{
    const char *names[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
    bool set = false;
    for (int i = 0; i < 2; i++) {
        const char *path = getenv(names[i]);
        if (!path || !*path)
            continue;
        set = true;
        const char *wrong = i ? wrong_with_folder(path) : wrong_with_file(path);
        if (wrong)
            mt_checkup_add(c, MT_BAD, "certificates",
                           "%s=%.400s: %s: no https:// works; mend it, or unset it for the system's",
                           names[i], path, wrong);
        else
            mt_checkup_add(c, MT_FINE, "certificates", "%s=%.400s instead of the system's", names[i], path);
    }
    if (set)
        return;
    if (default_file && !wrong_with_file(default_file))
        mt_checkup_add(c, MT_FINE, "certificates", "the system's, %s", default_file);
    else if (default_folder && !wrong_with_folder(default_folder))
        mt_checkup_add(c, MT_FINE, "certificates", "the system's, %s", default_folder);
    else
        mt_checkup_add(c, MT_BAD, "certificates",
                       "the system has none (%s): no https:// works; install its package ca-certificates, or "
                       "name a file of them in SSL_CERT_FILE",
                       default_file     ? default_file
                       : default_folder ? default_folder
                                        : "no default is built in");
}

/* ---- the state file ---- */

/* The nearest folder above path that exists; the caller frees it. */
static char *folder_of(const char *path)
{
    char *folder = mt_strdup(path);
    struct stat st;
    do {
        char *slash = strrchr(folder, '/');
        if (!slash) {
            free(folder);
            return mt_strdup(".");
        }
        slash[slash == folder] = '\0';
    } while (strcmp(folder, "/") != 0 && stat(folder, &st) != 0 && errno == ENOENT);
    return folder;
}

/* Makes and removes a file: permissions alone do not tell of a read-only or a full disk. */
static const char *wrong_with_writing(const char *folder)
{
    char *path = mt_format("%s/.moontide-doctor-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    const char *wrong = fd < 0 || write(fd, "moontide", 8) != 8 ? strerrordesc_np(errno) : NULL;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(path);
    return wrong;
}

static void keep_line(void *ud, struct mt_slice line)
{
    mt_buf_put(ud, line);
}

static void check_file(struct mt_checkup *c, const struct mt_config *config, const char *path)
{
    const char *base = mt_config_text(config, "port.base_url");
    struct mt_state_options options = {path, base ? base : "embedded", mt_config_type(config),
                                       mt_config_identifier(config), true};
    struct mt_state *state = NULL;
    struct mt_err err = {0};
    struct mt_buf said;
    if (mt_state_check_lock(&options, &err) != MT_OK) {
        mt_checkup_add(c, MT_BAD, "state", "%s (nothing is wrong if that is the service itself)", err.text);
        return;
    }
    mt_buf_init(&said, 4096);
    mt_log_level(MT_WARN); /* that a file is damaged is said there */
    mt_log_sink(keep_line, &said);
    enum mt_rc rc = mt_state_open(&options, &state, &err);
    mt_log_sink(NULL, NULL);
    mt_log_level(MT_ERROR);
    if (rc == MT_OK)
        mt_state_close(state);
    if (rc != MT_OK)
        mt_checkup_add(c, MT_BAD, "state", "%s", err.text);
    else if (said.n)
        mt_checkup_add(c, MT_DOUBTFUL, "state",
                       "%s is damaged: the next resync moves it aside and begins a new one, which costs time "
                       "and no entity",
                       path);
    else if (access(path, F_OK) == 0 && access(path, W_OK) != 0)
        mt_checkup_add(c, MT_BAD, "state", "%s: %s: make it writable for this user", path,
                       strerrordesc_np(errno));
    else
        mt_checkup_add(c, MT_FINE, "state", "%s %s", path,
                       access(path, F_OK) == 0 ? "can be read and is not locked" : "will be made");
    mt_buf_fini(&said);
}

void mt_check_state(struct mt_checkup *c, const struct mt_config *config)
{
    const char *path = mt_config_text(config, "state_file"), *wrong;
    char *folder = folder_of(path);
    struct statvfs fs;
    struct stat st;
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        mt_checkup_add(
            c, MT_BAD, "state",
            "%s cannot be made: %s is no folder; give another one with OCEAN__STATE_FILE or --state", path,
            folder);
    } else if ((wrong = wrong_with_writing(folder))) {
        mt_checkup_add(c, MT_BAD, "state",
                       "cannot write in %s: %s: make it writable for this user, or name another place with "
                       "OCEAN__STATE_FILE",
                       folder, wrong);
    } else {
        check_file(c, config, path);
        double mib = statvfs(folder, &fs) == 0 ? (double)fs.f_bavail * (double)fs.f_frsize / (1 << 20) : -1;
        if (mib >= 0 && mib < LOW_MIB)
            mt_checkup_add(c, mib < NO_MIB ? MT_BAD : MT_DOUBTFUL, "disk",
                           "%.0f MiB are free in %s: make room, or move the state file (OCEAN__STATE_FILE)",
                           mib, folder);
        else if (mib >= 0)
            mt_checkup_add(c, MT_FINE, "disk", "%.1f GiB are free in %s", mib / 1024, folder);
    }
    free(folder);
}

/* ---- ports ---- */

/* Binds as a listener would. The socket, or -1 with errno. */
static int take_port(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *list = NULL;
    int fd = -1, on = 1;
    if (getaddrinfo(host, port, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                    bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0)) {
        int why = errno;
        close(fd);
        errno = why;
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

static int check_port(struct mt_checkup *c, const char *what, const char *host, const char *port,
                      const char *setting)
{
    int fd = take_port(host, port);
    if (fd >= 0)
        mt_checkup_add(c, MT_FINE, what, strcmp(port, "0") == 0 ? "any free one on %s" : "%s:%s is free",
                       host, port);
    else if (errno == EADDRINUSE)
        mt_checkup_add(c, MT_BAD, what,
                       "%s:%s is in use: stop what listens there (nothing is wrong if that is the service "
                       "itself), or set %s",
                       host, port, setting);
    else
        mt_checkup_add(c, MT_BAD, what, "cannot listen on %s:%s: %s: set %s", host, port,
                       strerrordesc_np(errno), setting);
    return fd;
}

void mt_check_ports(struct mt_checkup *c, const struct mt_config *config)
{
    const char *admin = mt_config_text(config, "admin.listen"), *colon = admin ? strrchr(admin, ':') : NULL;
    int first = check_port(c, "public listener", "0.0.0.0", mt_config_text(config, "application.port"),
                           "APPLICATION__PORT to another one"),
        second = -1;
    if (colon) {
        bool brackets = admin[0] == '[';
        char *host =
            mt_slice_dup((struct mt_slice){admin + brackets, (size_t)(colon - admin) - 2U * brackets});
        second = check_port(c, "admin listener", host, colon + 1,
                            "MOONTIDE__ADMIN__LISTEN to another one (empty: none)");
        free(host);
    } else {
        mt_checkup_add(c, MT_FINE, "admin listener", "none: MOONTIDE__ADMIN__LISTEN is empty");
    }
    if (first >= 0)
        close(first);
    if (second >= 0)
        close(second);
}
