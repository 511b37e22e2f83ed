/* Private to cli/: what `moontide doctor` looks at. Checks add lines to a checkup; main thread. */
#ifndef MT_CLI_DOCTOR_H
#define MT_CLI_DOCTOR_H

#include "base/library.h"
#include "bundle/config.h"

enum mt_verdict { MT_FINE, MT_DOUBTFUL, MT_BAD };

struct mt_checkup {
    struct mt_checked {
        enum mt_verdict verdict;
        const char *check; /* static: "proxy" */
        char *text;        /* one line, masked */
    } * list;
    size_t count, room;
    unsigned bad, doubtful;
};

/* One line of the result: what was found and, unless it is fine, what to do. */
void mt_checkup_add(struct mt_checkup *c, enum mt_verdict verdict, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void mt_checkup_fini(struct mt_checkup *c);

/* machine.c */
void mt_check_libraries(struct mt_checkup *c);
void mt_check_library(struct mt_checkup *c, const struct mt_library *library);
void mt_check_certificates(struct mt_checkup *c, const char *default_file, const char *default_folder);
void mt_check_state(struct mt_checkup *c, const struct mt_config *config);
void mt_check_ports(struct mt_checkup *c, const struct mt_config *config);

/* limits.c; root: "" or, for specs, a folder with another /proc and /sys */
void mt_check_limits(struct mt_checkup *c, const char *root);

/* dial.c: a TCP connection to host:service, closed again. Any thread. */
struct mt_dialled {
    const char *wrong; /* NULL: connected; static storage */
    char address[80];  /* numeric, the one tried last; "": the name was not resolved */
    double name_ms, connect_ms;
};
void mt_dial(const char *host, const char *service, struct mt_dialled *out);

/* reach.c: proxies, Port with its credentials and the clock, third-party hosts. Takes at most about ten
 * seconds. Bundles may be NULL: without one. */
void mt_check_network(struct mt_checkup *c, struct mt_bundle *const *bundles,
                      struct mt_config *const *configs, size_t count);

#endif
