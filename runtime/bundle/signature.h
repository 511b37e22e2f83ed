/* Keys and signatures of packed bundles: Ed25519 (RFC 8032) by libsodium. Any thread. */
#ifndef MT_BUNDLE_SIGNATURE_H
#define MT_BUNDLE_SIGNATURE_H

#include <stdint.h>

#include "base/buf.h"

struct mt_public_key {
    uint8_t b[32];
};
struct mt_secret_key { /* wipe it: mt_secret_key_wipe */
    uint8_t b[64];
};

#define MT_KEY_TEXT 49
/* How keys are shown: 48 letters of base64url, a checksum among them. Returns out. */
const char *mt_public_key_text(const struct mt_public_key *key, char out[MT_KEY_TEXT]);

/* Writes NAME.key (readable by its owner only) and NAME.pub. Refuses to overwrite either. */
enum mt_rc mt_key_pair_write(const char *name, struct mt_public_key *out, struct mt_err *err);
enum mt_rc mt_public_key_read(const char *file, struct mt_public_key *out, struct mt_err *err);
/* Warns in the log when others may read the file. */
enum mt_rc mt_secret_key_read(const char *file, struct mt_secret_key *out, struct mt_err *err);
void mt_secret_key_wipe(struct mt_secret_key *key);

/* The signature of text, as a text of fixed length that holds the public key. */
void mt_signature_make(const struct mt_secret_key *key, struct mt_slice text, struct mt_buf *out);
/* Is it one, and does it fit? *out: who signed. MT_EDATA, MT_EAUTH. */
enum mt_rc mt_signature_check(struct mt_slice signature, struct mt_slice text, struct mt_public_key *out,
                              struct mt_err *err);

void mt_sha256(struct mt_slice bytes, uint8_t out[32]);

#endif
