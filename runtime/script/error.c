/* The error value that a failed request or a broken answer gives to Lua: a table whose __tostring reads well
 * in assert(client:get(…)). Called by the bindings, on the loop's thread, inside Lua's protection.
 *
 * Everything foreign in it passes the mask first, so that an API that echoes a credential does not put it
 * into a log. */
#include "script/vm.h"

#include "base/log.h"

/* Bodies of failures are for scripts that look for an API's own error code: a page of text, never a catalog.
 */
enum { BODY_KEPT = 4096 };

static const char ERROR_TYPE[] = "moontide.error";

static struct mt_slice field(lua_State *L, const char *name)
{
    struct mt_slice s = {NULL, 0};
    if (lua_getfield(L, 1, name) == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n); /* stays on the stack, and so alive, until the function returns */
    return s;
}

/* "GET https://api/x?token=***: HTTP 404: …". The network's own messages begin with the request already. */
static int error_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct mt_slice method = field(L, "method"), url = field(L, "url"), message = field(L, "message");
    bool named = method.n && message.n > method.n && memcmp(message.p, method.p, method.n) == 0 &&
                 message.p[method.n] == ' ';
    if (!method.p || !url.p || named)
        lua_pushlstring(L, message.p ? message.p : "", message.n);
    else
        lua_pushfstring(L, "%s %s: %s", method.p, url.p, message.p ? message.p : "");
    return 1;
}

/* Length of text cut to max bytes at a character. */
static size_t cut(struct mt_slice text, size_t max)
{
    if (text.n <= max)
        return text.n;
    size_t n = max;
    while (n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* Pushes text masked and cut. The mask goes first: a secret that the cut would split must not survive in
 * half. The window is bounded, so that an error page of megabytes costs no more than a small one. */
static void push_masked(lua_State *L, struct mt_slice text, size_t max)
{
    size_t window = text.n < 4 * max ? text.n : 4 * max;
    char *copy = lua_newuserdatauv(L, window + 1, 0);
    if (window)
        memcpy(copy, text.p, window);
    for (size_t i = 0; i < window; i++)
        if (!copy[i])
            copy[i] = ' ';
    copy[window] = '\0';
    mt_mask(copy);
    struct mt_slice masked = mt_slice_of(copy);
    lua_pushlstring(L, masked.p, cut(masked, max));
    lua_remove(L, -2);
}

void mt_push_error(lua_State *L, const struct mt_err *err, struct mt_slice body)
{
    luaL_checkstack(L, 6, "an error value");
    lua_createtable(L, 0, 6);
    lua_pushstring(L, mt_rc_name(err->rc));
    lua_setfield(L, -2, "code");
    if (err->status) {
        lua_pushinteger(L, err->status);
        lua_setfield(L, -2, "status");
    }
    push_masked(L, mt_slice_of(err->text), sizeof err->text);
    lua_setfield(L, -2, "message");
    if (body.n) {
        push_masked(L, body, BODY_KEPT);
        lua_setfield(L, -2, "body");
    }
    if (luaL_newmetatable(L, ERROR_TYPE)) {
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushstring(L, ERROR_TYPE);
        lua_setfield(L, -2, "__name");
        lua_pushliteral(L, "protected"); /* scripts share it: none may change it */
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}
