/* Private to cli/: busted, which is Lua and installed for Lua 5.4, in a state of its own that has all
 * standard libraries and nothing to do with the sandbox of bundles. One thread. */
#ifndef MT_CLI_BUSTED_H
#define MT_CLI_BUSTED_H

#include "base/buf.h"

/* A module of the embedded library as a program. It runs with moontide.core's table as its argument; that
 * table's `host` is a function(what, argument) → text, or nil and a message. Its result is the exit code. */
struct mt_busted {
    const char *module;
    enum mt_rc (*answer)(void *ud, const char *what, struct mt_slice argument, struct mt_buf *out,
                         struct mt_err *err);
    void *ud;
};
/* argv[0] and what follows are Lua's `arg`. MT_ESCRIPT: the module raised. */
enum mt_rc mt_busted_run(const struct mt_busted *b, int argc, char **argv, int *out_code, struct mt_err *err);

#endif
