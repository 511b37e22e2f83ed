/* Keys are files of two lines: what it is, and base64url of the key's 32 bytes with 4 bytes of a BLAKE2b hash
 * behind, so that a letter that was typed wrong is noticed. A signature is three lines and has exactly one
 * spelling. Called by keygen, pack and archive.c. */
#include "bundle/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define PUBLIC_TITLE "moontide public key 1"
#define SECRET_TITLE "moontide secret key 1"
#define SIGNATURE_TITLE "moontide signature 1"

enum { KEY = 32, SUM = 4, SIGNATURE_TEXT = 87 /* 64 bytes in base64url, NUL */, MOST_FILE = 4096 };

static bool ready(void)
{
    return sodium_init() >= 0;
}

void mt_sha256(struct mt_slice bytes, uint8_t out[32])
{
    crypto_hash_sha256(out, (const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n);
}

/* ---- keys as text ---- */

static void checksum(const char *title, const uint8_t key[KEY], uint8_t out[SUM])
{
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)title, strlen(title));
    crypto_generichash_update(&state, key, KEY);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(out, hash, SUM);
    sodium_memzero(hash, sizeof hash);
}

static void key_text(const char *title, const uint8_t key[KEY], char out[MT_KEY_TEXT])
{
    uint8_t whole[KEY + SUM];
    memcpy(whole, key, KEY);
    checksum(title, key, whole + KEY);
    sodium_bin2base64(out, MT_KEY_TEXT, whole, sizeof whole, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(whole, sizeof whole);
}

const char *mt_public_key_text(const struct mt_public_key *key, char out[MT_KEY_TEXT])
{
    key_text(PUBLIC_TITLE, key->b, out);
    return out;
}

/* NULL, or what is wrong with the text of a key. */
static const char *parse_key(const char *title, struct mt_slice text, uint8_t out[KEY])
{
    uint8_t whole[KEY + SUM], sum[SUM];
    const char *wrong = NULL;
    size_t n = 0;
    if (sodium_base642bin(whole, sizeof whole, text.p, text.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n != sizeof whole) {
        wrong = "its second line must be a key of 48 letters";
    } else {
        checksum(title, whole, sum);
        if (sodium_memcmp(sum, whole + KEY, SUM) != 0)
            wrong = "its checksum does not fit: a letter of it is wrong, or was lost";
        else
            memcpy(out, whole, KEY);
    }
    sodium_memzero(whole, sizeof whole);
    return wrong;
}

static struct mt_slice next_line(struct mt_slice *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n;
    struct mt_slice line = {text->p, n};
    *text = (struct mt_slice){text->p + n + (end != NULL), text->n - n - (end != NULL)};
    while (line.n && strchr(" \t\r", line.p[line.n - 1]))
        line.n--;
    return line;
}

static enum mt_rc read_key(const char *file, const char *title, const char *other, uint8_t out[KEY],
                           struct mt_err *err)
{
    char text[MOST_FILE];
    const char *wrong = NULL;
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return mt_fail(err, errno == ENOENT ? MT_ENOENT : MT_EIO, "the key %.400s cannot be opened: %s", file,
                       strerror(errno));
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : 0;
    close(fd);
    struct mt_slice rest = {text, n > 0 ? (size_t)n : 0}, first = next_line(&rest), second = next_line(&rest);
    if (mt_slice_is(first, other))
        wrong = strcmp(title, PUBLIC_TITLE) == 0 ? "it is the secret key: give NAME.pub"
                                                 : "it is the public key: give NAME.key";
    else if (!mt_slice_is(first, title))
        wrong = "its first line is not that of a key of moontide keygen";
    else
        wrong = parse_key(title, second, out);
    while (!wrong && rest.n)
        if (next_line(&rest).n)
            wrong = "more follows its second line";
    if (!wrong && strcmp(title, SECRET_TITLE) == 0 && (st.st_mode & 077))
        mt_log(MT_WARN, "the key %s can be read by others than its owner: chmod 600 it", file);
    sodium_memzero(text, sizeof text);
    return wrong ? mt_fail(err, MT_EINVAL, "%.400s is no key: %s", file, wrong) : MT_OK;
}

enum mt_rc mt_public_key_read(const char *file, struct mt_public_key *out, struct mt_err *err)
{
    if (!ready())
        return mt_fail(err, MT_EIO, "libsodium does not start");
    return read_key(file, PUBLIC_TITLE, SECRET_TITLE, out->b, err);
}

enum mt_rc mt_secret_key_read(const char *file, struct mt_secret_key *out, struct mt_err *err)
{
    uint8_t seed[KEY], public_key[KEY];
    if (!ready())
        return mt_fail(err, MT_EIO, "libsodium does not start");
    enum mt_rc rc = read_key(file, SECRET_TITLE, PUBLIC_TITLE, seed, err);
    if (rc == MT_OK)
        crypto_sign_seed_keypair(public_key, out->b, seed);
    sodium_memzero(seed, sizeof seed);
    return rc;
}

void mt_secret_key_wipe(struct mt_secret_key *key)
{
    sodium_memzero(key, sizeof *key);
}

/* ---- making them ---- */

static enum mt_rc write_new(const char *file, mode_t mode, const char *title, const char *key,
                            struct mt_err *err)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s\n%s\n", title, key);
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return errno == EEXIST
                   ? mt_fail(err, MT_EINVAL,
                             "%.400s exists already, and keys are not overwritten: choose another name", file)
                   : mt_fail(err, MT_EIO, "%.400s cannot be made: %s", file, strerror(errno));
    bool good = write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    int cause = errno;
    good = close(fd) == 0 && good;
    sodium_memzero(text, sizeof text);
    if (good)
        return MT_OK;
    unlink(file);
    return mt_fail(err, MT_EIO, "%.400s cannot be written: %s", file, strerror(cause));
}

enum mt_rc mt_key_pair_write(const char *name, struct mt_public_key *out, struct mt_err *err)
{
    uint8_t seed[KEY];
    struct mt_secret_key secret;
    char text[MT_KEY_TEXT];
    char *key_file = mt_format("%s.key", name), *public_file = mt_format("%s.pub", name);
    enum mt_rc rc;
    if (!ready()) {
        rc = mt_fail(err, MT_EIO, "libsodium does not start");
    } else if (access(public_file, F_OK) == 0) {
        rc = mt_fail(err, MT_EINVAL,
                     "%.400s exists already, and keys are not overwritten: choose another name", public_file);
    } else {
        randombytes_buf(seed, sizeof seed);
        crypto_sign_seed_keypair(out->b, secret.b, seed);
        key_text(SECRET_TITLE, seed, text);
        rc = write_new(key_file, 0600, SECRET_TITLE, text, err);
        if (rc == MT_OK) {
            rc = write_new(public_file, 0644, PUBLIC_TITLE, mt_public_key_text(out, text), err);
            if (rc != MT_OK)
                unlink(key_file);
        }
        sodium_memzero(seed, sizeof seed);
        sodium_memzero(text, sizeof text);
        mt_secret_key_wipe(&secret);
    }
    free(key_file);
    free(public_file);
    return rc;
}

/* ---- signatures ---- */

static void write_signature(const struct mt_public_key *key, const uint8_t signature[crypto_sign_BYTES],
                            struct mt_buf *out)
{
    char text[MT_KEY_TEXT], signed_text[SIGNATURE_TEXT];
    sodium_bin2base64(signed_text, sizeof signed_text, signature, crypto_sign_BYTES,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    mt_buf_printf(out, SIGNATURE_TITLE "\n%s\n%s\n", mt_public_key_text(key, text), signed_text);
}

void mt_signature_make(const struct mt_secret_key *key, struct mt_slice text, struct mt_buf *out)
{
    uint8_t signature[crypto_sign_BYTES];
    struct mt_public_key public_key;
    crypto_sign_detached(signature, NULL, (const unsigned char *)text.p, text.n, key->b);
    crypto_sign_ed25519_sk_to_pk(public_key.b, key->b);
    write_signature(&public_key, signature, out);
}

enum mt_rc mt_signature_check(struct mt_slice signature, struct mt_slice text, struct mt_public_key *out,
                              struct mt_err *err)
{
    uint8_t bytes[crypto_sign_BYTES];
    struct mt_public_key key;
    struct mt_buf again;
    size_t n = 0;
    if (!ready())
        return mt_fail(err, MT_EIO, "libsodium does not start");
    struct mt_slice rest = signature, title = next_line(&rest), who = next_line(&rest),
                    what = next_line(&rest);
    bool good = mt_slice_is(title, SIGNATURE_TITLE) && !parse_key(PUBLIC_TITLE, who, key.b) &&
                sodium_base642bin(bytes, sizeof bytes, what.p, what.n, NULL, &n, NULL,
                                  sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
                n == sizeof bytes;
    if (good) { /* one spelling only */
        mt_buf_init(&again, 1024);
        write_signature(&key, bytes, &again);
        good = mt_slice_eq(mt_buf_slice(&again), signature);
        mt_buf_fini(&again);
    }
    if (!good)
        return mt_fail(err, MT_EDATA, "its signature is damaged");
    if (crypto_sign_verify_detached(bytes, (const unsigned char *)text.p, text.n, key.b) != 0)
        return mt_fail(err, MT_EAUTH, "its signature does not fit its manifest: one of them was altered");
    *out = key;
    return MT_OK;
}
