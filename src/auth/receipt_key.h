/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where receipt keys come from: the collector's own pair in its data directory, and the public
 * keys that an agent trusts, from its configuration.
 *
 * Thread: any; called at start and reload.
 */
#ifndef FT_AUTH_RECEIPT_KEY_H
#define FT_AUTH_RECEIPT_KEY_H 1

#include "auth/receipt.h"
#include "base/disk.h"
#include "base/random.h"

#define FT_RECEIPT_KEY_TEXT      "ed25519:"
#define FT_RECEIPT_KEY_TEXT_SIZE 73 /* "ed25519:", 64 hexadecimal digits, NUL. */

/* Keys that may be trusted at once: the present one and those of a rotation. */
#define FT_RECEIPT_KEYS_MAX 4

struct ft_receipt_keys {
    size_t n;
    uint8_t keys[FT_RECEIPT_KEYS_MAX][FT_RECEIPT_KEY_SIZE];
};

/*
 * Reads the pair from 'name' in 'disk', or makes one there with 'random': owner only, replaced
 * whole, with the directory synced before it is used.  The public key is kept beside it as
 * "NAME.pub".  FT_E_CORRUPT when the file holds anything else: another key would make every agent
 * stop that trusts this one.
 */
FT_MUST_USE ft_err ft_receipt_signer_load(struct ft_disk *disk, const char *name,
                                          struct ft_random *random,
                                          struct ft_receipt_signer **ret_signer);

/* "ed25519:HEX", the form that is shown and configured. */
void ft_receipt_key_format(const uint8_t key[FT_RECEIPT_KEY_SIZE],
                           char text[FT_RECEIPT_KEY_TEXT_SIZE]);
/* Reads it, with or without the prefix, in hexadecimal or base64; false for anything else. */
bool ft_receipt_key_parse(const char *text, size_t len, uint8_t ret_key[FT_RECEIPT_KEY_SIZE]);

/*
 * 'text' is a key, or the path of a file with one key a line; lines may be empty or begin with
 * '#'.  "" gives none.  FT_E_SYNTAX, FT_E_RANGE (more than FT_RECEIPT_KEYS_MAX), or the system's
 * error.
 */
FT_MUST_USE ft_err ft_receipt_keys_load(const char *text, struct ft_receipt_keys *ret_keys,
                                        struct ft_diag *reterr_diag);
bool ft_receipt_keys_have(const struct ft_receipt_keys *keys,
                          const uint8_t key[FT_RECEIPT_KEY_SIZE]);

#endif
