/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/ids.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* RFC 9562: version in the high half of byte 6, variant in the two high bits of byte 8. */
#define UUID_VERSION_BYTE 6
#define UUID_VARIANT_BYTE 8
#define SHA1_SIZE         20

struct ft_id_deriver {
    EVP_MD *sha1; /* Fetched once: a fetch for each id costs four times the hash itself. */
    EVP_MD_CTX *ctx;
};

static void derive(struct ft_id_deriver *deriver, const struct ft_uuid *instance, const void *name,
                   size_t name_size, struct ft_uuid *ret_id);
static void put_be(uint8_t *to, uint64_t value, unsigned n_bytes);

void ft_uuid_format(const struct ft_uuid *uuid, char *buf) { uuid_unparse_lower(uuid->bytes, buf); }

ft_err ft_uuid_parse(const char *text, struct ft_uuid *ret_uuid)
{
    uuid_t parsed;
    if (strlen(text) != FT_UUID_TEXT_SIZE - 1 || uuid_parse(text, parsed) != 0) {
        return FT_E_SYNTAX;
    }
    memcpy(ret_uuid->bytes, parsed, sizeof ret_uuid->bytes);
    return FT_OK;
}

bool ft_uuid_equal(const struct ft_uuid *a, const struct ft_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool ft_uuid_is_nil(const struct ft_uuid *uuid) { return uuid_is_null(uuid->bytes) == 1; }

void ft_uuid_make_random(struct ft_random *random, struct ft_uuid *ret_uuid)
{
    random->fill(random, ret_uuid->bytes, sizeof ret_uuid->bytes);
    ret_uuid->bytes[UUID_VERSION_BYTE] = (ret_uuid->bytes[UUID_VERSION_BYTE] & 0x0f) | 0x40;
    ret_uuid->bytes[UUID_VARIANT_BYTE] = (ret_uuid->bytes[UUID_VARIANT_BYTE] & 0x3f) | 0x80;
}

void ft_uuid_from_machine_id(const char *machine_id, struct ft_uuid *ret_uuid)
{
    /* A random constant: the namespace of flowtrail's agents. */
    static const uuid_t agents = {0x5a, 0x0d, 0x2b, 0x1e, 0x93, 0x47, 0x4c, 0x0f,
                                  0xa6, 0x2d, 0x7c, 0x11, 0x5e, 0xd8, 0x40, 0xb9};
    uuid_generate_sha1(ret_uuid->bytes, agents, machine_id, strlen(machine_id));
}

ft_err ft_id_deriver_create(struct ft_id_deriver **ret_deriver)
{
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = calloc(1, sizeof *deriver);
    if (deriver == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    deriver->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    deriver->ctx = EVP_MD_CTX_new();
    if (deriver->sha1 == NULL || deriver->ctx == NULL) {
        return FT_E_UNSUPPORTED;
    }
    *ret_deriver = FT_TAKE(deriver);
    return FT_OK;
}

void ft_id_deriver_destroy(struct ft_id_deriver *deriver)
{
    if (deriver != NULL) {
        EVP_MD_CTX_free(deriver->ctx);
        EVP_MD_free(deriver->sha1);
        free(deriver);
    }
}

void ft_id_derive_event(struct ft_id_deriver *deriver, const struct ft_uuid *instance, uint64_t seq,
                        struct ft_uuid *ret_id)
{
    uint8_t name[8];
    put_be(name, seq, 8);
    derive(deriver, instance, name, sizeof name, ret_id);
}

void ft_id_derive_flow(struct ft_id_deriver *deriver, const struct ft_uuid *instance,
                       uint32_t ct_id, int64_t start_ns, struct ft_uuid *ret_id)
{
    uint8_t name[12];
    put_be(name, ct_id, 4);
    put_be(name + 4, (uint64_t)start_ns, 8);
    derive(deriver, instance, name, sizeof name, ret_id);
}

static void derive(struct ft_id_deriver *deriver, const struct ft_uuid *instance, const void *name,
                   size_t name_size, struct ft_uuid *ret_id)
{
    uint8_t digest[SHA1_SIZE];
    unsigned digest_size = 0;
    if (EVP_DigestInit_ex(deriver->ctx, deriver->sha1, NULL) != 1 ||
        EVP_DigestUpdate(deriver->ctx, instance->bytes, sizeof instance->bytes) != 1 ||
        EVP_DigestUpdate(deriver->ctx, name, name_size) != 1 ||
        EVP_DigestFinal_ex(deriver->ctx, digest, &digest_size) != 1) {
        /* A prepared digest over bytes in memory cannot fail; a wrong id must never go on. */
        abort();
    }
    memcpy(ret_id->bytes, digest, sizeof ret_id->bytes);
    ret_id->bytes[UUID_VERSION_BYTE] = (ret_id->bytes[UUID_VERSION_BYTE] & 0x0f) | 0x50;
    ret_id->bytes[UUID_VARIANT_BYTE] = (ret_id->bytes[UUID_VARIANT_BYTE] & 0x3f) | 0x80;
}

static void put_be(uint8_t *to, uint64_t value, unsigned n_bytes)
{
    for (unsigned i = 0; i < n_bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * (n_bytes - 1 - i)));
    }
}
