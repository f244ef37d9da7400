/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: making one, hashing one, and reading the agent's from its file.
 *
 * A token is printable ASCII without spaces, 16 to 4096 bytes; those made here are 32 random bytes
 * as 43 characters of base64url.  Because such a token has 256 random bits, a plain SHA-256 is
 * enough to store it: there is nothing to guess, so a slow password hash would protect nothing.
 *
 * Thread: any.
 */
#ifndef FT_AUTH_TOKEN_H
#define FT_AUTH_TOKEN_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"

#define FT_TOKEN_LEN_MIN     16
#define FT_TOKEN_LEN_MAX     4096
#define FT_TOKEN_SIZE        (FT_TOKEN_LEN_MAX + 1)
#define FT_TOKEN_NEW_SIZE    44 /* 43 characters of base64url and NUL. */
#define FT_TOKEN_HASH_SIZE   32 /* SHA-256 */
#define FT_TOKEN_HASH_TEXT   "sha256:"
#define FT_TOKEN_DIGEST_SIZE 72 /* "sha256:", 64 hexadecimal digits, NUL. */

/* A new token, from 'random' (ft_random_system() in production). */
void ft_token_generate(struct ft_random *random, char token[FT_TOKEN_NEW_SIZE]);

/* Fails with FT_E_UNSUPPORTED only when OpenSSL offers no SHA-256. */
FT_MUST_USE ft_err ft_token_hash(const char *token, size_t len,
                                 uint8_t ret_hash[FT_TOKEN_HASH_SIZE]);

/* "sha256:HEX", what a token file of the collector holds. */
void ft_token_hash_format(const uint8_t hash[FT_TOKEN_HASH_SIZE], char text[FT_TOKEN_DIGEST_SIZE]);

/* Reads it back; false for anything else. */
bool ft_token_hash_parse(const char *text, size_t len, uint8_t ret_hash[FT_TOKEN_HASH_SIZE]);

/* Whether 'len' bytes can be a token; else '*ret_why' (static) says why not. */
bool ft_token_ok(const char *token, size_t len, const char **ret_why);

/* The agent's token, in memory. */
struct ft_token {
    char text[FT_TOKEN_SIZE];
    size_t len;
    bool exposed; /* The file can be read by others than its owner: worth a warning. */
};

/*
 * Reads the agent's token from a file: one line, white space around it is dropped.  On failure
 * '*token' is untouched, so that a reload keeps the last good one.  Fails with FT_E_SYNTAX (empty,
 * spaces or control characters inside, too short), FT_E_RANGE (too long), or the system's error.
 */
FT_MUST_USE ft_err ft_token_load(const char *path, struct ft_token *token,
                                 struct ft_diag *reterr_diag);

/* Overwrites the secret. */
void ft_token_wipe(struct ft_token *token);

#endif
