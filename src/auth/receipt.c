/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/receipt.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define TITLE      "flowtrail receipt v1"
#define TITLE_SIZE (sizeof TITLE - 1)

struct ft_receipt_signer {
    EVP_PKEY *pair;
    uint8_t key[FT_RECEIPT_KEY_SIZE];
};

static_assert(TITLE_SIZE + 4 * FT_RECEIPT_ID_SIZE + 8 + FT_RECEIPT_DIGEST_SIZE +
                      FT_RECEIPT_ID_SIZE ==
                  FT_RECEIPT_STATEMENT_SIZE,
              "the layout in the header");

static void put_u64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        to[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

static void put(uint8_t **at, const void *data, size_t size)
{
    memcpy(*at, data, size);
    *at += size;
}

static void get(const uint8_t **at, void *data, size_t size)
{
    memcpy(data, *at, size);
    *at += size;
}

void ft_receipt_digest(const struct ft_receipt_range *ranges, size_t n_ranges,
                       uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; good && i < n_ranges; i++) {
        uint8_t head[20];
        size_t reason_size = strlen(ranges[i].reason);
        put_u64(head, ranges[i].first_seq);
        put_u64(head + 8, ranges[i].last_seq);
        for (unsigned k = 0; k < 4; k++) {
            head[16 + k] = (uint8_t)(reason_size >> (24 - 8 * k));
        }
        good = EVP_DigestUpdate(context, head, sizeof head) == 1 &&
               EVP_DigestUpdate(context, ranges[i].reason, reason_size) == 1;
    }
    good = good && EVP_DigestFinal_ex(context, ret_digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!good) {
        /* No memory.  All zeros is no digest of anything: such a receipt is good for no one. */
        memset(ret_digest, 0, FT_RECEIPT_DIGEST_SIZE);
    }
}

void ft_receipt_write(const struct ft_receipt *receipt,
                      uint8_t ret_statement[FT_RECEIPT_STATEMENT_SIZE])
{
    uint8_t *at = ret_statement;
    uint8_t seq[8];
    put_u64(seq, receipt->durable_seq);
    put(&at, TITLE, TITLE_SIZE);
    put(&at, receipt->collector_id, sizeof receipt->collector_id);
    put(&at, receipt->store_epoch, sizeof receipt->store_epoch);
    put(&at, receipt->agent_id, sizeof receipt->agent_id);
    put(&at, receipt->instance_id, sizeof receipt->instance_id);
    put(&at, seq, sizeof seq);
    put(&at, receipt->rejected_digest, sizeof receipt->rejected_digest);
    put(&at, receipt->challenge, sizeof receipt->challenge);
}

bool ft_receipt_read(const uint8_t statement[FT_RECEIPT_STATEMENT_SIZE],
                     struct ft_receipt *ret_receipt)
{
    if (memcmp(statement, TITLE, TITLE_SIZE) != 0) {
        return false;
    }
    const uint8_t *at = statement + TITLE_SIZE;
    uint8_t seq[8];
    get(&at, ret_receipt->collector_id, sizeof ret_receipt->collector_id);
    get(&at, ret_receipt->store_epoch, sizeof ret_receipt->store_epoch);
    get(&at, ret_receipt->agent_id, sizeof ret_receipt->agent_id);
    get(&at, ret_receipt->instance_id, sizeof ret_receipt->instance_id);
    get(&at, seq, sizeof seq);
    ret_receipt->durable_seq = get_u64(seq);
    get(&at, ret_receipt->rejected_digest, sizeof ret_receipt->rejected_digest);
    get(&at, ret_receipt->challenge, sizeof ret_receipt->challenge);
    return true;
}

ft_err ft_receipt_signer_create(const uint8_t seed[FT_RECEIPT_SEED_SIZE],
                                struct ft_receipt_signer **ret_signer)
{
    FT_CLEANUP(ft_receipt_signer_destroy)
    struct ft_receipt_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    signer->pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, FT_RECEIPT_SEED_SIZE);
    size_t size = sizeof signer->key;
    if (signer->pair == NULL ||
        EVP_PKEY_get_raw_public_key(signer->pair, signer->key, &size) != 1 ||
        size != sizeof signer->key) {
        return FT_E_UNSUPPORTED;
    }
    *ret_signer = FT_TAKE(signer);
    return FT_OK;
}

void ft_receipt_signer_destroy(struct ft_receipt_signer *signer)
{
    if (signer != NULL) {
        EVP_PKEY_free(signer->pair); /* OpenSSL wipes it. */
        free(signer);
    }
}

const uint8_t *ft_receipt_signer_key(const struct ft_receipt_signer *signer) { return signer->key; }

ft_err ft_receipt_sign(const struct ft_receipt_signer *signer, const struct ft_receipt *receipt,
                       uint8_t ret_signature[FT_RECEIPT_SIGNATURE_SIZE])
{
    uint8_t statement[FT_RECEIPT_STATEMENT_SIZE];
    ft_receipt_write(receipt, statement);
    size_t size = FT_RECEIPT_SIGNATURE_SIZE;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL &&
                EVP_DigestSignInit(context, NULL, NULL, NULL, signer->pair) == 1 &&
                EVP_DigestSign(context, ret_signature, &size, statement, sizeof statement) == 1 &&
                size == FT_RECEIPT_SIGNATURE_SIZE;
    EVP_MD_CTX_free(context);
    return good ? FT_OK : ft_err_from_errno(ENOMEM);
}

bool ft_receipt_verify(const uint8_t key[FT_RECEIPT_KEY_SIZE], const struct ft_receipt *receipt,
                       const void *signature, size_t size)
{
    if (size != FT_RECEIPT_SIGNATURE_SIZE) {
        return false;
    }
    uint8_t statement[FT_RECEIPT_STATEMENT_SIZE];
    ft_receipt_write(receipt, statement);
    EVP_PKEY *public =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, FT_RECEIPT_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = public != NULL && context != NULL &&
                EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
                EVP_DigestVerify(context, signature, size, statement, sizeof statement) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    return good;
}

void ft_receipt_witness_make(const struct ft_receipt *receipt,
                             const uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE],
                             uint8_t ret_witness[FT_RECEIPT_WITNESS_SIZE])
{
    ft_receipt_write(receipt, ret_witness);
    memcpy(ret_witness + FT_RECEIPT_STATEMENT_SIZE, signature, FT_RECEIPT_SIGNATURE_SIZE);
}

bool ft_receipt_witness_open(const uint8_t key[FT_RECEIPT_KEY_SIZE], const void *witness,
                             size_t size, struct ft_receipt *ret_receipt)
{
    const uint8_t *bytes = witness;
    struct ft_receipt receipt;
    if (size != FT_RECEIPT_WITNESS_SIZE || !ft_receipt_read(bytes, &receipt) ||
        !ft_receipt_verify(key, &receipt, bytes + FT_RECEIPT_STATEMENT_SIZE,
                           FT_RECEIPT_SIGNATURE_SIZE)) {
        return false;
    }
    *ret_receipt = receipt;
    return true;
}
