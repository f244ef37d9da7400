/* SPDX-License-Identifier: Apache-2.0 */
/* What ingest signs, and what it takes from a receipt that comes back. */
#include "ingest_world.h"

static const uint8_t seed[FT_RECEIPT_SEED_SIZE] = {1, 2, 3};

static struct ft_receipt_signer *make_signer(void)
{
    struct ft_receipt_signer *signer = NULL;
    CHECK_OK(ft_receipt_signer_create(seed, &signer));
    return signer;
}

/* What an agent expects to be signed. */
static struct ft_receipt expected(const struct ft_msg_hello *hello, const struct ft_uuid *epoch,
                                  uint64_t durable_seq, const struct ft_msg_ack *ack)
{
    static const struct ft_msg_ack nothing;
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    memcpy(receipt.collector_id, collector_id.bytes, 16);
    memcpy(receipt.store_epoch, epoch->bytes, 16);
    memcpy(receipt.agent_id, agent_id.bytes, 16);
    memcpy(receipt.instance_id, instance_id.bytes, 16);
    memcpy(receipt.challenge, hello->challenge, 16);
    ft_ack_digest(ack != NULL ? ack : &nothing, receipt.rejected_digest);
    return receipt;
}

static bool is_good(const struct ft_receipt_signer *signer, const struct ft_receipt *receipt,
                    const struct ft_msg_signature *signature)
{
    return ft_receipt_verify(ft_receipt_signer_key(signer), receipt, signature->bytes,
                             signature->size);
}

static void commit_batch(struct world *world, struct ft_ingest_session *session, uint64_t first,
                         unsigned n)
{
    CHECK(send_batch(session, &instance_id, first, n, FT_EVENT_DROP));
    commit(world);
}

TEST(welcome_and_acks_are_signed)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    struct world world;
    setup_signed(&world, 1 << 24, 1 << 20, signer);
    struct ft_ingest_session *session = open_session(&world, 0);
    struct ft_msg_hello hello = {.has_challenge = true, .challenge = {9, 8, 7}};
    CHECK(say_hello_with(session, &hello));
    const struct ft_msg_welcome *welcome = &world.peers[0].last.welcome;
    CHECK(welcome->has_receipt_key);
    CHECK_BYTES(welcome->receipt_key, 32, ft_receipt_signer_key(signer), 32);
    struct ft_receipt receipt = expected(&hello, &store_epoch, 0, NULL);
    CHECK(is_good(signer, &receipt, &welcome->receipt));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    CHECK(send_batch(session, &instance_id, 16, 10, FT_EVENT_DROP));
    commit(&world);
    const struct ft_msg_ack *ack = &world.peers[0].last.ack;
    CHECK_INT(ack->n_rejected, 1);
    CHECK(ack->has_store_epoch && ft_uuid_equal(&ack->store_epoch, &store_epoch));
    receipt = expected(&hello, &store_epoch, 25, ack);
    CHECK(is_good(signer, &receipt, &ack->receipt));
    /* One signature for the welcome, one for the commit of three batches. */
    CHECK_INT(ft_ingest_stats(world.ingest)->receipts, 2);
    struct ft_receipt other = expected(&hello, &store_epoch, 25, NULL);
    CHECK(!is_good(signer, &other, &ack->receipt));
    teardown(&world);
}

static void lose(void *ctx, struct ft_instance *instance)
{
    (void)ctx;
    instance->appended_seq = 8;
    instance->durable_seq = 8;
    instance->kept_seq = 8;
    instance->appended_events = 4;
    instance->missing_events = 4;
    instance->gaps = (struct ft_ranges){.n = 2, .at = {{3, 5}, {8, 8}}};
}

TEST(what_the_store_has_lost_is_asked_for_until_it_comes)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    struct world world;
    setup_signed(&world, 1 << 24, 1 << 20, signer);
    struct ft_instance_key key = {agent_id, instance_id};
    CHECK_OK(ft_instances_with(world.instances, &key, lose, NULL));
    struct ft_msg_hello hello = {.has_challenge = true, .challenge = {9}};
    for (size_t i = 0; i < 2; i++) { /* The first Welcome may not have come through. */
        CHECK(say_hello_with(open_session(&world, i), &hello));
        const struct ft_msg_welcome *welcome = &world.peers[i].last.welcome;
        CHECK_INT(welcome->n_lost, 2);
        CHECK_INT(welcome->lost[0].first_seq, 3);
        CHECK_INT(welcome->lost[1].last_seq, 8);
        CHECK_INT(welcome->durable_seq, 8);
        struct ft_receipt receipt = expected(&hello, &store_epoch, 8, NULL);
        CHECK(!is_good(signer, &receipt, &welcome->receipt));
        ft_welcome_digest(welcome, receipt.rejected_digest);
        CHECK(is_good(signer, &receipt, &welcome->receipt));
    }
    commit_batch(&world, world.peers[1].session, 9, 10);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 18);
    CHECK(say_hello(open_session(&world, 2)));
    CHECK_INT(world.peers[2].last.welcome.n_lost, 2);
    /* What comes is acknowledged as far as it came, and is taken once. */
    commit_batch(&world, world.peers[2].session, 4, 2);
    CHECK_INT(world.peers[2].last.ack.durable_seq, 5);
    CHECK_INT(known(&world).appended_events, 4 + 10 + 2);
    commit_batch(&world, world.peers[2].session, 4, 2);
    commit_batch(&world, world.peers[2].session, 6, 8);
    CHECK_INT(world.peers[2].last.ack.durable_seq, 13);
    CHECK_INT(known(&world).appended_events, 4 + 10 + 3);
    CHECK_INT(known(&world).appended_seq, 18);
    CHECK_INT(known(&world).missing_events, 1);
    CHECK_INT(ft_ingest_stats(world.ingest)->refilled_events, 3);
    CHECK_INT(ft_ingest_stats(world.ingest)->duplicate_events, 2);
    CHECK(say_hello(open_session(&world, 3)));
    CHECK_INT(world.peers[3].last.welcome.n_lost, 1);
    CHECK_INT(world.peers[3].last.welcome.lost[0].first_seq, 3);
    CHECK_INT(world.peers[3].last.welcome.lost[0].last_seq, 3);
    /* A batch may fill a gap and go on behind everything. */
    commit_batch(&world, world.peers[3].session, 3, 20);
    CHECK_INT(world.peers[3].last.ack.durable_seq, 22);
    CHECK_INT(known(&world).appended_events, 22);
    CHECK_INT(known(&world).missing_events, 0);
    teardown(&world);
}

TEST(without_a_key_nothing_is_signed)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(!world.peers[0].last.welcome.has_receipt_key);
    CHECK_INT(world.peers[0].last.welcome.receipt.size, 0);
    commit_batch(&world, session, 1, 10);
    CHECK_INT(world.peers[0].last.ack.receipt.size, 0);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 10);
    teardown(&world);
}

static struct ft_msg_hello hello_with_witness(const struct ft_receipt_signer *signer,
                                              const struct ft_receipt *receipt)
{
    struct ft_msg_hello hello = {.has_challenge = true, .challenge = {1}, .has_witness = true};
    uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE];
    CHECK_OK(ft_receipt_sign(signer, receipt, signature));
    ft_receipt_witness_make(receipt, signature, hello.witness);
    return hello;
}

TEST(an_agents_receipt_proves_that_the_store_was_set_back)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    struct world world;
    setup_signed(&world, 1 << 24, 1 << 20, signer);
    struct ft_ingest_session *other = open_session(&world, 3);
    CHECK(say_hello(other));
    commit_batch(&world, other, 1, 10);
    struct ft_msg_hello before = {.challenge = {5}};
    struct ft_receipt receipt = expected(&before, &store_epoch, 30, NULL);
    struct ft_msg_hello hello = hello_with_witness(signer, &receipt);
    CHECK(say_hello_with(open_session(&world, 0), &hello));
    struct ft_msg_welcome welcome = world.peers[0].last.welcome;
    CHECK_INT(welcome.durable_seq, 10);
    CHECK(!ft_uuid_equal(&welcome.store_epoch, &store_epoch));
    struct ft_receipt now = expected(&hello, &welcome.store_epoch, 10, NULL);
    CHECK(is_good(signer, &now, &welcome.receipt));
    CHECK_INT(ft_ingest_stats(world.ingest)->set_backs, 1);
    /* It is kept by the commit thread, again after a failure. */
    CHECK_INT(world.n_kept, 0);
    world.keep_result = ft_err_from_errno(EIO);
    commit(&world);
    world.keep_result = FT_OK;
    commit(&world);
    commit(&world);
    CHECK_INT(world.n_kept, 2);
    CHECK(ft_uuid_equal(&world.kept_epoch, &welcome.store_epoch));
    /* The same receipt is of an epoch that is over: it proves nothing more. */
    CHECK(say_hello_with(open_session(&world, 1), &hello));
    CHECK(ft_uuid_equal(&world.peers[1].last.welcome.store_epoch, &welcome.store_epoch));
    CHECK_INT(ft_ingest_stats(world.ingest)->set_backs, 1);
    /* The instance goes on from its lower position, and nothing is taken twice. */
    commit_batch(&world, world.peers[1].session, 6, 10);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 15);
    CHECK_INT(known(&world).appended_events, 15);
    CHECK(ft_uuid_equal(&world.peers[1].last.ack.store_epoch, &welcome.store_epoch));
    teardown(&world);
}

TEST(nothing_else_proves_it)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    static const uint8_t other_seed[FT_RECEIPT_SEED_SIZE] = {7};
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *forger = NULL;
    CHECK_OK(ft_receipt_signer_create(other_seed, &forger));
    struct world world;
    setup_signed(&world, 1 << 24, 1 << 20, signer);
    CHECK(say_hello(open_session(&world, 0)));
    commit_batch(&world, world.peers[0].session, 1, 10);
    struct ft_msg_hello before = {.challenge = {5}};
    for (unsigned kind = 0; kind < 8; kind++) {
        struct ft_receipt receipt = expected(&before, &store_epoch, 30, NULL);
        uint8_t *changed[] = {receipt.collector_id, receipt.store_epoch, receipt.agent_id,
                              receipt.instance_id};
        if (kind < 4) {
            changed[kind][5] ^= 1; /* Signed by us, of something else. */
        } else if (kind == 4) {
            receipt.durable_seq = 10; /* No more than the store has. */
        }
        struct ft_msg_hello hello = hello_with_witness(kind == 5 ? forger : signer, &receipt);
        if (kind == 6) {
            hello.witness[90]++; /* A bit more than was signed. */
        } else if (kind == 7) {
            hello.witness[0] = 'F';
        }
        struct ft_ingest_session *session = open_session(&world, 1);
        CHECK(say_hello_with(session, &hello));
        CHECK(ft_uuid_equal(&world.peers[1].last.welcome.store_epoch, &store_epoch));
        ft_ingest_session_close(session);
        world.peers[1].session = NULL;
    }
    CHECK_INT(ft_ingest_stats(world.ingest)->set_backs, 0);
    teardown(&world);
}

TEST(a_commit_signs_for_so_many_and_the_others_come_next)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer();
    enum { SESSIONS = 600 };
    struct world world;
    setup_signed(&world, 1 << 24, 1 << 20, signer);
    static struct peer peers[SESSIONS];
    memset(peers, 0, sizeof peers);
    struct ft_principal principal = {.name = "test"};
    for (unsigned i = 0; i < SESSIONS; i++) {
        CHECK_OK(
            ft_ingest_session_open(world.ingest, &peers[i], "x", &principal, &peers[i].session));
        struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                     .agent_id = agent_id,
                                     .instance_id = {{(uint8_t)i, (uint8_t)(i >> 8), 1}},
                                     .oldest_seq = 1,
                                     .next_seq = 1};
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        CHECK_OK(ft_hello_encode(&hello, &buf));
        CHECK(ft_ingest_session_message(peers[i].session, buf.data, buf.size));
        ft_buf_deinit(&buf);
        CHECK(send_batch(peers[i].session, &hello.instance_id, 1, 1, FT_EVENT_DROP));
    }
    for (unsigned round = 1; round <= 3; round++) {
        /* It does not wait while somebody is to be acknowledged. */
        CHECK_OK(ft_ingest_commit(world.ingest, round == 1 ? 0 : FT_TIME_NEVER));
        CHECK_INT(ft_ingest_stats(world.ingest)->acks,
                  round * 256 < SESSIONS ? round * 256 : SESSIONS);
        CHECK_INT(peers[0].last.kind, FT_RESPONSE_ACK); /* First come, first served. */
        CHECK(round == 3 || peers[SESSIONS - 1].last.kind == FT_RESPONSE_WELCOME);
    }
    CHECK_INT(ft_ingest_stats(world.ingest)->receipts, 2 * SESSIONS);
    for (unsigned i = 0; i < SESSIONS; i++) {
        CHECK_INT(peers[i].last.ack.durable_seq, 1);
        ft_ingest_session_close(peers[i].session);
    }
    teardown(&world);
}
