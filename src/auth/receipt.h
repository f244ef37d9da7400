/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts: what a collector signs when it says that events are on its disk, and how an agent
 * checks it.  TLS proves the peer's name; a receipt proves that the holder of the collector's key
 * has said "durable" of just these events, in this store, on this stream.
 *
 * The signed statement has one fixed layout, big-endian, and begins with its own name and version,
 * so that the key can never be made to sign it as anything else:
 *
 *       0  20  "flowtrail receipt v1"
 *      20  16  collector_id
 *      36  16  store_epoch
 *      52  16  agent_id
 *      68  16  instance_id
 *      84   8  durable_seq
 *      92  32  SHA-256 of the rejected ranges (ft_receipt_digest)
 *     124  16  challenge: Hello.challenge of the stream, so that no old receipt can be played again
 *     140
 *
 * A receipt on the wire is the Ed25519 signature alone (RFC 8032, 64 bytes): both sides know the
 * statement.  A witness is statement and signature, 204 bytes, and stands for itself.
 *
 * Measured on the 2-core development machine with OpenSSL 3.0: see tests/bench/receipt_bench.c.
 *
 * Thread: any; a signer may be used by several threads at once.
 */
#ifndef FT_AUTH_RECEIPT_H
#define FT_AUTH_RECEIPT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FT_RECEIPT_ID_SIZE        16
#define FT_RECEIPT_DIGEST_SIZE    32
#define FT_RECEIPT_KEY_SIZE       32 /* Ed25519, public. */
#define FT_RECEIPT_SEED_SIZE      32 /* Ed25519, private (RFC 8032, section 5.1.5). */
#define FT_RECEIPT_SIGNATURE_SIZE 64
#define FT_RECEIPT_STATEMENT_SIZE 140
#define FT_RECEIPT_WITNESS_SIZE   (FT_RECEIPT_STATEMENT_SIZE + FT_RECEIPT_SIGNATURE_SIZE)

struct ft_receipt {
    uint8_t collector_id[FT_RECEIPT_ID_SIZE];
    uint8_t store_epoch[FT_RECEIPT_ID_SIZE];
    uint8_t agent_id[FT_RECEIPT_ID_SIZE];
    uint8_t instance_id[FT_RECEIPT_ID_SIZE];
    uint64_t durable_seq;
    uint8_t rejected_digest[FT_RECEIPT_DIGEST_SIZE];
    uint8_t challenge[FT_RECEIPT_ID_SIZE];
};

struct ft_receipt_range {
    uint64_t first_seq;
    uint64_t last_seq;
    const char *reason;
};

/*
 * SHA-256 over all ranges in order: first_seq (8 bytes), last_seq (8), the size of the reason (4)
 * and the reason.  Of no ranges: SHA-256 of nothing.
 */
void ft_receipt_digest(const struct ft_receipt_range *ranges, size_t n_ranges,
                       uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE]);

void ft_receipt_write(const struct ft_receipt *receipt,
                      uint8_t ret_statement[FT_RECEIPT_STATEMENT_SIZE]);
/* False: not a statement of this version. */
bool ft_receipt_read(const uint8_t statement[FT_RECEIPT_STATEMENT_SIZE],
                     struct ft_receipt *ret_receipt);

struct ft_receipt_signer;

/* FT_E_UNSUPPORTED when OpenSSL offers no Ed25519. */
FT_MUST_USE ft_err ft_receipt_signer_create(const uint8_t seed[FT_RECEIPT_SEED_SIZE],
                                            struct ft_receipt_signer **ret_signer);
/* Accepts NULL; wipes the key. */
void ft_receipt_signer_destroy(struct ft_receipt_signer *signer);
FT_DEFINE_CLEANUP(struct ft_receipt_signer, ft_receipt_signer_destroy);

/* The public key, FT_RECEIPT_KEY_SIZE bytes; borrowed. */
const uint8_t *ft_receipt_signer_key(const struct ft_receipt_signer *signer);

FT_MUST_USE ft_err ft_receipt_sign(const struct ft_receipt_signer *signer,
                                   const struct ft_receipt *receipt,
                                   uint8_t ret_signature[FT_RECEIPT_SIGNATURE_SIZE]);

/* False for anything but a good signature of 'size' bytes by 'key' over just this statement. */
bool ft_receipt_verify(const uint8_t key[FT_RECEIPT_KEY_SIZE], const struct ft_receipt *receipt,
                       const void *signature, size_t size);

/* A witness as it travels in Hello.  'open' gives the statement only if 'key' has signed it. */
void ft_receipt_witness_make(const struct ft_receipt *receipt,
                             const uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE],
                             uint8_t ret_witness[FT_RECEIPT_WITNESS_SIZE]);
bool ft_receipt_witness_open(const uint8_t key[FT_RECEIPT_KEY_SIZE], const void *witness,
                             size_t size, struct ft_receipt *ret_receipt);

#endif
