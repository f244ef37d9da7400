/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what two sides say on a stream with receipts, as bytes on the wire, from a seed: what
 * another language's libraries must find to be properly signed.
 *
 *     receipt_dump SEED DIRECTORY     hello.bin welcome.bin ack0.bin … ack3.bin
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "wire/message.h"

#define ACKS 4

struct dump {
    const char *directory;
    struct ft_random_seeded random;
    struct ft_receipt_signer *signer;
    struct ft_msg_hello hello;
    struct ft_msg_welcome welcome;
};

static void demand(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "receipt_dump: %s\n", what);
        exit(1);
    }
}

static void fill(struct dump *dump, void *to, size_t size)
{
    dump->random.base.fill(&dump->random.base, to, size);
}

static void put(const struct dump *dump, const char *name, struct ft_buf *buf)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.bin", dump->directory, name);
    FILE *file = fopen(path, "wb");
    demand(file != NULL && fwrite(buf->data, 1, buf->size, file) == buf->size && fclose(file) == 0,
           path);
    ft_buf_deinit(buf);
}

static void respond(const struct dump *dump, const char *name, const struct ft_response *response)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    demand(ft_response_encode(response, &buf) == FT_OK, name);
    put(dump, name, &buf);
}

static void sign(struct dump *dump, uint64_t durable_seq, const uint8_t *digest,
                 struct ft_msg_signature *ret_receipt)
{
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    memcpy(receipt.collector_id, dump->welcome.collector_id.bytes, 16);
    memcpy(receipt.store_epoch, dump->welcome.store_epoch.bytes, 16);
    memcpy(receipt.agent_id, dump->hello.agent_id.bytes, 16);
    memcpy(receipt.instance_id, dump->hello.instance_id.bytes, 16);
    memcpy(receipt.challenge, dump->hello.challenge, 16);
    memcpy(receipt.rejected_digest, digest, sizeof receipt.rejected_digest);
    demand(ft_receipt_sign(dump->signer, &receipt, ret_receipt->bytes) == FT_OK, "sign");
    ret_receipt->size = sizeof ret_receipt->bytes;
    /* Of the latest, as the next stream's Hello would have it. */
    dump->hello.has_witness = true;
    ft_receipt_witness_make(&receipt, ret_receipt->bytes, dump->hello.witness);
}

static void dump_welcome(struct dump *dump)
{
    struct ft_response response = {.kind = FT_RESPONSE_WELCOME};
    struct ft_msg_welcome *welcome = &dump->welcome;
    fill(dump, welcome->collector_id.bytes, 16);
    fill(dump, welcome->store_epoch.bytes, 16);
    welcome->durable_seq = ft_random_below(&dump->random.base, UINT32_MAX);
    welcome->has_receipt_key = true;
    memcpy(welcome->receipt_key, ft_receipt_signer_key(dump->signer), 32);
    welcome->n_lost = (unsigned)ft_random_below(&dump->random.base, FT_WIRE_LOST_MAX + 1);
    uint64_t seq = 0;
    for (unsigned i = 0; i < welcome->n_lost; i++) {
        uint64_t first_seq = seq + 1 + ft_random_below(&dump->random.base, 1000);
        seq = first_seq + ft_random_below(&dump->random.base, 1000);
        welcome->lost[i] = (struct ft_msg_hole){first_seq, seq};
    }
    uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
    ft_welcome_digest(welcome, digest);
    sign(dump, welcome->durable_seq, digest, &welcome->receipt);
    response.welcome = *welcome;
    respond(dump, "welcome", &response);
}

static void dump_ack(struct dump *dump, unsigned n_rejected)
{
    struct ft_response response = {.kind = FT_RESPONSE_ACK,
                                   .ack = {.has_store_epoch = true,
                                           .store_epoch = dump->welcome.store_epoch,
                                           .n_rejected = n_rejected}};
    struct ft_msg_ack *ack = &response.ack;
    ack->durable_seq = UINT64_MAX - ft_random_below(&dump->random.base, 1000);
    for (unsigned i = 0; i < n_rejected; i++) {
        struct ft_msg_range *range = &ack->rejected[i];
        range->first_seq = 1 + 100 * i;
        range->last_seq = range->first_seq + ft_random_below(&dump->random.base, 100);
        (void)snprintf(range->reason, sizeof range->reason, "row %u: gr\xc3\xbc\xc3\x9f dich", i);
    }
    uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
    ft_ack_digest(ack, digest);
    sign(dump, ack->durable_seq, digest, &ack->receipt);
    char name[16];
    (void)snprintf(name, sizeof name, "ack%u", n_rejected);
    respond(dump, name, &response);
}

int main(int argc, char **argv)
{
    demand(argc == 3, "usage: receipt_dump SEED DIRECTORY");
    struct dump dump = {.directory = argv[2]};
    ft_random_seeded_init(&dump.random, strtoull(argv[1], NULL, 10));
    uint8_t seed[FT_RECEIPT_SEED_SIZE];
    fill(&dump, seed, sizeof seed);
    demand(ft_receipt_signer_create(seed, &dump.signer) == FT_OK, "key");
    dump.hello = (struct ft_msg_hello){.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                       .oldest_seq = 1,
                                       .next_seq = 1,
                                       .has_challenge = true};
    fill(&dump, dump.hello.agent_id.bytes, 16);
    fill(&dump, dump.hello.instance_id.bytes, 16);
    fill(&dump, dump.hello.challenge, 16);
    dump_welcome(&dump);
    for (unsigned i = 0; i < ACKS; i++) {
        dump_ack(&dump, i);
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    demand(ft_hello_encode(&dump.hello, &buf) == FT_OK, "hello");
    put(&dump, "hello", &buf);
    ft_receipt_signer_destroy(dump.signer);
    return 0;
}
