/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "auth/receipt_key.h"
#include "base/random.h"
#include "lib/test.h"

/* RFC 8032, section 7.1, test 1: the secret key and its public key. */
static const uint8_t rfc_seed[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const char rfc_key[] =
    "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char rfc_key_base64[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

static struct ft_receipt sample(void)
{
    struct ft_receipt receipt = {.durable_seq = 0x0102030405060708};
    memset(receipt.collector_id, 0xc0, sizeof receipt.collector_id);
    memset(receipt.store_epoch, 0xe0, sizeof receipt.store_epoch);
    memset(receipt.agent_id, 0xa0, sizeof receipt.agent_id);
    memset(receipt.instance_id, 0x10, sizeof receipt.instance_id);
    memset(receipt.challenge, 0x77, sizeof receipt.challenge);
    ft_receipt_digest(NULL, 0, receipt.rejected_digest);
    return receipt;
}

static struct ft_receipt_signer *make_signer(void)
{
    struct ft_receipt_signer *signer = NULL;
    CHECK_OK(ft_receipt_signer_create(rfc_seed, &signer));
    return signer;
}

TEST(the_statement_has_the_layout_that_is_promised)
{
    struct ft_receipt receipt = sample();
    uint8_t statement[FT_RECEIPT_STATEMENT_SIZE];
    ft_receipt_write(&receipt, statement);
    CHECK_BYTES(statement, 20, "flowtrail receipt v1", 20);
    CHECK_INT(statement[20], 0xc0);
    CHECK_INT(statement[36], 0xe0);
    CHECK_INT(statement[52], 0xa0);
    CHECK_INT(statement[68], 0x10);
    CHECK_INT(statement[84], 1);
    CHECK_INT(statement[91], 8);
    CHECK_INT(statement[92], 0xe3); /* SHA-256 of nothing. */
    CHECK_INT(statement[124], 0x77);
    struct ft_receipt back;
    CHECK(ft_receipt_read(statement, &back));
    CHECK_BYTES(&back, sizeof back, &receipt, sizeof receipt);
    statement[19] = '2';
    CHECK(!ft_receipt_read(statement, &back));
}

TEST(a_signature_is_good_for_its_statement_and_key_alone)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    char text[FT_RECEIPT_KEY_TEXT_SIZE];
    ft_receipt_key_format(ft_receipt_signer_key(signer), text);
    CHECK_STR(text, rfc_key);
    struct ft_receipt receipt = sample();
    uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE];
    CHECK_OK(ft_receipt_sign(signer, &receipt, signature));
    const uint8_t *key = ft_receipt_signer_key(signer);
    CHECK(ft_receipt_verify(key, &receipt, signature, sizeof signature));
    uint8_t other_key[FT_RECEIPT_KEY_SIZE];
    memcpy(other_key, key, sizeof other_key);
    other_key[3] ^= 1;
    CHECK(!ft_receipt_verify(other_key, &receipt, signature, sizeof signature));
    /* Each byte of the statement counts. */
    for (size_t i = 0; i < sizeof receipt; i++) {
        struct ft_receipt other = receipt;
        ((uint8_t *)&other)[i] ^= 0x10;
        CHECK(!ft_receipt_verify(key, &other, signature, sizeof signature));
    }
    /* Each bit of the signature does. */
    for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(!ft_receipt_verify(key, &receipt, signature, sizeof signature));
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < sizeof signature; size++) {
        CHECK(!ft_receipt_verify(key, &receipt, signature, size));
    }
}

TEST(the_digest_tells_ranges_apart)
{
    uint8_t digests[6][FT_RECEIPT_DIGEST_SIZE];
    const struct ft_receipt_range ranges[] = {
        {1, 2, "a"}, {1, 3, "a"}, {2, 2, "a"}, {1, 2, "b"}, {1, 2, ""}};
    for (size_t i = 0; i < 5; i++) {
        ft_receipt_digest(&ranges[i], 1, digests[i]);
    }
    ft_receipt_digest(ranges, 2, digests[5]);
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = i + 1; j < 6; j++) {
            CHECK(memcmp(digests[i], digests[j], FT_RECEIPT_DIGEST_SIZE) != 0);
        }
    }
}

TEST(a_witness_stands_for_itself)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    const uint8_t *key = ft_receipt_signer_key(signer);
    struct ft_receipt receipt = sample();
    uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE];
    CHECK_OK(ft_receipt_sign(signer, &receipt, signature));
    uint8_t witness[FT_RECEIPT_WITNESS_SIZE + 1] = {0};
    ft_receipt_witness_make(&receipt, signature, witness);
    struct ft_receipt back = {0};
    CHECK(ft_receipt_witness_open(key, witness, FT_RECEIPT_WITNESS_SIZE, &back));
    CHECK_BYTES(&back, sizeof back, &receipt, sizeof receipt);
    CHECK(!ft_receipt_witness_open(key, witness, FT_RECEIPT_WITNESS_SIZE + 1, &back));
    CHECK(!ft_receipt_witness_open(key, witness, FT_RECEIPT_WITNESS_SIZE - 1, &back));
    CHECK(!ft_receipt_witness_open(key, "", 0, &back));
    witness[90] ^= 1;
    CHECK(!ft_receipt_witness_open(key, witness, FT_RECEIPT_WITNESS_SIZE, &back));
}

TEST(a_key_is_read_in_each_form)
{
    uint8_t key[FT_RECEIPT_KEY_SIZE];
    char text[FT_RECEIPT_KEY_TEXT_SIZE];
    const char *const good[] = {rfc_key, rfc_key + 8, rfc_key_base64,
                                "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                                "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        memset(key, 0, sizeof key);
        CHECK(ft_receipt_key_parse(good[i], strlen(good[i]), key));
        ft_receipt_key_format(key, text);
        CHECK_STR(text, rfc_key);
    }
    const char *const bad[] = {"",
                               "ed25519:",
                               "ed25519:d75a",
                               "/etc/flowtrail/collector.pub",
                               "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=",
                               "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511g"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!ft_receipt_key_parse(bad[i], strlen(bad[i]), key));
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

TEST(trusted_keys_come_from_the_option_or_a_file)
{
    struct ft_receipt_keys keys;
    struct ft_diag diag = {0};
    CHECK_OK(ft_receipt_keys_load("", &keys, &diag));
    CHECK_INT(keys.n, 0);
    CHECK_OK(ft_receipt_keys_load(rfc_key, &keys, &diag));
    CHECK_INT(keys.n, 1);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/keys", ft_test_tmpdir());
    char text[1024];
    (void)snprintf(text, sizeof text, "# of the collector\n\n  %s \r\n%064x", rfc_key, 7);
    write_file(path, text);
    CHECK_OK(ft_receipt_keys_load(path, &keys, &diag));
    CHECK_INT(keys.n, 2);
    uint8_t key[FT_RECEIPT_KEY_SIZE];
    CHECK(ft_receipt_key_parse(rfc_key, strlen(rfc_key), key));
    CHECK(ft_receipt_keys_have(&keys, key));
    key[0] ^= 1;
    CHECK(!ft_receipt_keys_have(&keys, key));
    write_file(path, "# nothing\n");
    CHECK_ERR(ft_receipt_keys_load(path, &keys, &diag), FT_E_SYNTAX);
    write_file(path, "\n\nwhat is this\n");
    CHECK_ERR(ft_receipt_keys_load(path, &keys, &diag), FT_E_SYNTAX);
    CHECK_INT(diag.line, 3);
    (void)snprintf(text, sizeof text, "%064x\n%064x\n%064x\n%064x\n%064x\n", 1, 2, 3, 4, 5);
    write_file(path, text);
    CHECK_ERR(ft_receipt_keys_load(path, &keys, &diag), FT_E_RANGE);
    CHECK_ERR(ft_receipt_keys_load("/nowhere/key", &keys, &diag), ft_err_from_errno(ENOENT));
    CHECK_INT(keys.n, 2); /* A failure changes nothing. */
}

TEST(the_pair_is_made_once_and_is_the_owners_alone)
{
    const char *dir = ft_test_tmpdir();
    struct ft_disk *disk = NULL;
    CHECK_OK(ft_disk_posix_create(dir, &disk));
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    struct ft_receipt_signer *first = NULL;
    struct ft_receipt_signer *again = NULL;
    CHECK_OK(ft_receipt_signer_load(disk, "pair", &random.base, &first));
    char path[256];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/pair", dir);
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK(chmod(path, 0644) == 0);
    CHECK_OK(ft_receipt_signer_load(disk, "pair", &random.base, &again));
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK_BYTES(ft_receipt_signer_key(again), FT_RECEIPT_KEY_SIZE, ft_receipt_signer_key(first),
                FT_RECEIPT_KEY_SIZE);
    (void)snprintf(path, sizeof path, "%s/pair.pub", dir);
    struct ft_receipt_keys keys;
    CHECK_OK(ft_receipt_keys_load(path, &keys, NULL));
    CHECK_INT(keys.n, 1);
    CHECK(ft_receipt_keys_have(&keys, ft_receipt_signer_key(first)));
    ft_receipt_signer_destroy(first);
    ft_receipt_signer_destroy(again);
    CHECK_OK(ft_disk_replace(disk, "pair", "ed25519-private:00\n", 19));
    CHECK_ERR(ft_receipt_signer_load(disk, "pair", &random.base, &first), FT_E_CORRUPT);
    ft_disk_destroy(disk);
}
