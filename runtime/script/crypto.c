/* Digests and signatures for scripts, on libsodium: core.sha256, core.hmac_sha256 (hexadecimal),
 * core.base64_*. Loop thread. Secrets are taken wherever text is; what comes out of them by base64 is a
 * secret again, a digest is not. */
#include <sodium.h>

#include "script/vm.h"

static int sha256(lua_State *L)
{
    struct mt_slice text = mt_secret_check(L, 1, NULL);
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];
    crypto_hash_sha256(digest, (const unsigned char *)text.p, text.n);
    lua_pushstring(L, sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
    return 1;
}

/* core.hmac_sha256(key, text) */
static int hmac_sha256(lua_State *L)
{
    struct mt_slice key = mt_secret_check(L, 1, NULL), text = mt_secret_check(L, 2, NULL);
    crypto_auth_hmacsha256_state state;
    unsigned char digest[crypto_auth_hmacsha256_BYTES];
    char hex[2 * sizeof digest + 1];
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.p, key.n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, digest);
    sodium_memzero(&state, sizeof state);
    lua_pushstring(L, sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
    return 1;
}

static int base64(lua_State *L, int variant)
{
    bool secret = false;
    struct mt_slice text = mt_secret_check(L, 1, &secret);
    luaL_argcheck(L, text.n < SIZE_MAX / 4, 1, "text too long");
    size_t size = sodium_base64_encoded_len(text.n, variant);
    char *out = lua_newuserdatauv(L, size, 0);
    sodium_bin2base64(out, size, (const unsigned char *)text.p, text.n, variant);
    if (secret)
        mt_secret_push(L, mt_slice_of(out));
    else
        lua_pushstring(L, out);
    return 1;
}

static int base64_encode(lua_State *L)
{
    return base64(L, sodium_base64_VARIANT_ORIGINAL);
}

static int base64_url_encode(lua_State *L)
{
    return base64(L, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* Both alphabets, padded or not, line breaks allowed (MIME; GitHub sends contents so). nil, message when it
 * is neither. */
static int base64_decode(lua_State *L)
{
    struct mt_slice text = mt_secret_check(L, 1, NULL);
    bool url = text.n && (memchr(text.p, '-', text.n) || memchr(text.p, '_', text.n));
    size_t n = text.n;
    while (n && strchr("=\r\n\t ", text.p[n - 1]))
        n--;
    unsigned char *out = lua_newuserdatauv(L, n + 1, 0);
    size_t length = 0;
    const char *end = NULL;
    int rc = sodium_base642bin(out, n + 1, text.p, n, "\r\n\t ", &length, &end,
                               url ? sodium_base64_VARIANT_URLSAFE_NO_PADDING
                                   : sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    if (rc != 0 || end != text.p + n) {
        size_t at = end ? (size_t)(end - text.p) : 0;
        luaL_pushfail(L);
        lua_pushfstring(L, "not base64: unexpected byte or length at offset %I", (lua_Integer)at);
        return 2;
    }
    lua_pushlstring(L, (const char *)out, length);
    return 1;
}

void mt_bind_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sha256", sha256},
                                         {"hmac_sha256", hmac_sha256},
                                         {"base64_encode", base64_encode},
                                         {"base64_url_encode", base64_url_encode},
                                         {"base64_decode", base64_decode},
                                         {NULL, NULL}};
    if (sodium_init() < 0)
        luaL_error(L, "libsodium does not start: the system has no source of randomness");
    luaL_setfuncs(L, functions, 0);
}
