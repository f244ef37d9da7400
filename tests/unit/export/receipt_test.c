/* SPDX-License-Identifier: Apache-2.0 */
/* What the exporter believes: nothing is freed for words that are not proven. */
#include "exporter_world.h"

static struct ft_receipt_signer *make_signer(uint8_t number)
{
    uint8_t seed[FT_RECEIPT_SEED_SIZE] = {number};
    struct ft_receipt_signer *signer = NULL;
    CHECK_OK(ft_receipt_signer_create(seed, &signer));
    return signer;
}

static const struct ft_exporter_stats *stats_of(const struct world *world)
{
    return ft_exporter_stats(world->exporter);
}

/* A world that requires receipts, with a collector that gives them, and one block under way. */
static void setup_sent(struct world *world, const struct ft_receipt_signer *signer)
{
    struct ft_exporter_options options = {.receipts = FT_TRUST_REQUIRE};
    setup_with(world, &options, 8 << 20, 0);
    world->signer = signer;
    world->acks = false;
    ft_exporter_enable(world->exporter);
    seal(world, 10, 1000);
    run_for(world, FT_NS_PER_S);
    CHECK_INT(world->received_events, 10);
}

TEST(the_first_key_is_kept_and_its_receipts_free)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    struct world world;
    setup_sent(&world, signer);
    CHECK_INT(world.n_trusted, 1);
    CHECK(world.binding.has_collector && world.binding.has_key && world.binding.has_epoch);
    CHECK_BYTES(world.binding.key, 32, ft_receipt_signer_key(signer), 32);
    CHECK_INT(stats_of(&world)->proof, FT_PROOF_VERIFIED);
    struct ft_response ack = make_ack(&world, 10);
    respond(&world, &ack);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.acked_seq, 10);
    CHECK_INT(stats_of(&world)->acked_events, 10);
    CHECK_INT(stats_of(&world)->unverified_events, 0);
    /* A second stream of the same changes nothing that would have to be kept. */
    world.durable_seq = 10;
    world.cancelled = true;
    run_for(&world, FT_NS_PER_S * 10);
    CHECK_INT(world.hellos, 2);
    CHECK_INT(world.n_trusted, 1);
    CHECK(world.hello.has_witness);
    teardown(&world);
}

enum peer_kind { PEER_WITHOUT_KEY, PEER_HONEST, PEER_BAD_RECEIPT, PEER_N };
enum key_kind { KEY_NONE, KEY_ITS, KEY_OTHER, KEY_N };

/* What is said in export/trust.h, once more and independently. */
static enum ft_delivery_proof expect(enum ft_trust_policy policy, enum key_kind pinned,
                                     enum key_kind bound, enum peer_kind peer)
{
    if (policy == FT_TRUST_OFF) {
        return FT_PROOF_UNVERIFIED;
    }
    enum key_kind trusted = pinned != KEY_NONE ? pinned : bound;
    if (peer == PEER_WITHOUT_KEY) {
        return trusted == KEY_NONE && policy == FT_TRUST_ACCEPT ? FT_PROOF_UNVERIFIED
                                                                : FT_PROOF_NONE;
    }
    return trusted == KEY_OTHER || peer == PEER_BAD_RECEIPT ? FT_PROOF_NONE : FT_PROOF_VERIFIED;
}

static void check_policy(enum ft_trust_policy policy, enum key_kind pinned, enum key_kind bound,
                         enum peer_kind peer)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *its = make_signer(1);
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *other = make_signer(2);
    struct ft_exporter_options options = {.receipts = policy};
    if (pinned != KEY_NONE) {
        options.receipt_keys.n = 1;
        memcpy(options.receipt_keys.keys[0], ft_receipt_signer_key(pinned == KEY_ITS ? its : other),
               32);
    }
    if (bound != KEY_NONE) {
        options.binding.has_key = true;
        memcpy(options.binding.key, ft_receipt_signer_key(bound == KEY_ITS ? its : other), 32);
    }
    struct world world;
    setup_with(&world, &options, 8 << 20, 0);
    world.signer = peer == PEER_WITHOUT_KEY ? NULL : its;
    world.spoils_welcome = peer == PEER_BAD_RECEIPT;
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    enum ft_delivery_proof proof = expect(policy, pinned, bound, peer);
    CHECK_INT(stats_of(&world)->proof, proof);
    CHECK_INT(world.received_events, proof == FT_PROOF_NONE ? 0 : 10);
    CHECK_INT(world.acked_seq, proof == FT_PROOF_NONE ? 0 : 10);
    CHECK_INT(stats_of(&world)->unverified_events, proof == FT_PROOF_UNVERIFIED ? 10 : 0);
    if (proof == FT_PROOF_NONE) {
        CHECK_INT(stats_of(&world)->bad_receipts + stats_of(&world)->refused_keys, 1);
        char text[256];
        ft_exporter_last_text(world.exporter, text, sizeof text);
        CHECK(text[0] != '\0');
    }
    teardown(&world);
}

TEST(each_policy_meets_each_key_and_each_collector)
{
    for (int policy = 0; policy < FT_TRUST_POLICY_N; policy++) {
        for (int pinned = 0; pinned < KEY_N; pinned++) {
            for (int bound = 0; bound < KEY_N; bound++) {
                for (int peer = 0; peer < PEER_N; peer++) {
                    check_policy((enum ft_trust_policy)policy, (enum key_kind)pinned,
                                 (enum key_kind)bound, (enum peer_kind)peer);
                }
            }
        }
    }
}

/* An ack that an attacker could send in place of the honest one for 10; false: no more of them. */
static bool forge(const struct world *world, const struct ft_receipt_signer *attacker,
                  unsigned number, struct ft_response *ret_ack)
{
    struct world other = *world;
    struct ft_response honest = make_ack(world, 10);
    *ret_ack = honest;
    struct ft_msg_ack *ack = &ret_ack->ack;
    if (number < 64) {
        ack->receipt.size = number; /* Cut. */
        return true;
    }
    number -= 64;
    if (number < 128) {
        ack->receipt.bytes[number / 2] ^= (uint8_t)(1u << (number * 5 % 8)); /* A bit flipped. */
        return true;
    }
    number -= 128;
    switch (number) {
    case 0: /* Signed by another key. */
        other.signer = attacker;
        break;
    case 1: /* Of another collector, agent, instance, stream, epoch. */
        other.collector_id.bytes[3]++;
        break;
    case 2:
        other.hello.agent_id.bytes[3]++;
        break;
    case 3:
        other.hello.instance_id.bytes[3]++;
        break;
    case 4:
        other.hello.challenge[3]++;
        break;
    case 5:
        other.store_epoch.bytes[3]++;
        sign(&other, 10, ack, &ack->receipt);
        return true;
    case 6: /* The epoch is told right of a store that is another. */
        other.store_epoch.bytes[3]++;
        *ret_ack = make_ack(&other, 10);
        return true;
    case 7: /* Good for less. */
        *ret_ack = make_ack(world, 9);
        ack->durable_seq = 10;
        return true;
    case 8: /* A rejection that nobody signed. */
        ack->n_rejected = 1;
        ack->rejected[0] = (struct ft_msg_range){1, 10, "gone"};
        return true;
    case 9: /* Signed for one rejected range, told of another. */
        ack->n_rejected = 1;
        ack->rejected[0] = (struct ft_msg_range){1, 5, "gone"};
        sign(world, 10, ack, &ack->receipt);
        ack->rejected[0].last_seq = 10;
        return true;
    case 10:
        ack->n_rejected = 1;
        ack->rejected[0] = (struct ft_msg_range){1, 5, "gone"};
        sign(world, 10, ack, &ack->receipt);
        (void)snprintf(ack->rejected[0].reason, sizeof ack->rejected[0].reason, "come");
        return true;
    case 11: /* Without an epoch. */
        ack->has_store_epoch = false;
        return true;
    case 12:
        memset(ack->receipt.bytes, 0, sizeof ack->receipt.bytes);
        return true;
    default:
        return false;
    }
    sign(&other, 10, ack, &ack->receipt);
    return true;
}

TEST(forged_replayed_cut_and_flipped_receipts_free_nothing)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *attacker = make_signer(2);
    unsigned n = 0;
    for (;; n++) {
        struct world world;
        setup_sent(&world, signer);
        struct ft_response forged;
        bool more = forge(&world, attacker, n, &forged);
        if (more) {
            respond(&world, &forged);
            run_for(&world, FT_NS_PER_S);
            CHECK_INT(world.acked_seq, 0);
            CHECK_INT(world.rejected_events, 0);
            CHECK_INT(stats_of(&world)->acked_events, 0);
            CHECK_INT(stats_of(&world)->done_events, 0);
            CHECK_INT(stats_of(&world)->bad_receipts, 1);
            /* Once is no reason to leave, and the honest one still counts. */
            struct ft_response honest = make_ack(&world, 10);
            respond(&world, &honest);
            run_for(&world, FT_NS_PER_S);
            CHECK_INT(world.acked_seq, 10);
            CHECK_INT(world.hellos, 1);
        }
        teardown(&world);
        if (!more) {
            break;
        }
    }
    CHECK(n >= 200);
    printf(
        "matrix: R22 %u forged, replayed, cut and flipped receipts of acknowledgements; no event "
        "was freed for any, and the honest one after it counted\n",
        n);
}

TEST(repeated_bad_receipts_end_the_stream_and_the_next_comes_slowly)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    struct world world;
    setup_sent(&world, signer);
    int64_t begin_ns = world.now_ns;
    for (int i = 0; i < 100; i++) {
        struct ft_response forged = make_ack(&world, 10);
        forged.ack.receipt.bytes[0] ^= 1;
        respond(&world, &forged);
    }
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->bad_receipts, 3);
    CHECK_INT(stats_of(&world)->ends[FT_LINK_REASON_PROTOCOL], 1);
    CHECK_INT(stats_of(&world)->link_state, FT_LINK_BACKOFF);
    run_for(&world, 25 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 1);
    world.acks = true;
    run_for(&world, 120 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 2);
    CHECK_INT(world.acked_seq, 10);
    CHECK(world.now_ns - begin_ns >= 30 * FT_NS_PER_S);
    teardown(&world);
}

TEST(acks_of_what_was_never_sent_free_nothing_and_end_the_stream)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    static const uint64_t claims[] = {11, 12, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        struct world world;
        setup_sent(&world, signer);
        for (int k = 0; k < 3; k++) {
            struct ft_response ack = make_ack(&world, claims[i]);
            respond(&world, &ack);
        }
        run_for(&world, FT_NS_PER_S);
        CHECK_INT(world.acked_seq, 0);
        CHECK_INT(stats_of(&world)->bad_acks, 3);
        CHECK_INT(stats_of(&world)->ends[FT_LINK_REASON_PROTOCOL], 1);
        teardown(&world);
    }
}

TEST(a_flood_of_acks_ends_the_stream_and_costs_no_signatures)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    struct world world;
    setup_sent(&world, signer);
    for (unsigned i = 0; i < 200; i++) {
        struct ft_response ack = make_ack(&world, i % 10); /* Less than a block. */
        respond(&world, &ack);
    }
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->useless_acks, 66); /* 64, one for the block, and the last straw. */
    CHECK_INT(stats_of(&world)->bad_receipts, 0);
    CHECK_INT(stats_of(&world)->ends[FT_LINK_REASON_PROTOCOL], 1);
    CHECK_INT(world.acked_seq, 0);
    teardown(&world);
}

TEST(an_old_welcome_is_not_believed)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    struct world world;
    setup_sent(&world, signer);
    /* The next stream hears the welcome of this one, as it was. */
    struct ft_buf old = world.inbox[0];
    world.welcomes = false;
    world.cancelled = true;
    run_for(&world, 2 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 2);
    struct ft_buf *again = &world.inbox[world.n_in++];
    ft_buf_init(again, 0);
    ft_buf_add(again, old.data, old.size);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->bad_receipts, 1);
    CHECK_INT(stats_of(&world)->welcomes, 1);
    CHECK_INT(world.received_events, 10);
    teardown(&world);
}

TEST(another_key_is_refused_until_it_is_configured)
{
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = make_signer(1);
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *next = make_signer(2);
    struct world world;
    setup_sent(&world, signer);
    world.acks = true;
    world.signer = next;
    world.cancelled = true;
    run_for(&world, 20 * FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->refused_keys, 1);
    CHECK_INT(world.acked_seq, 0);
    char text[256];
    ft_exporter_last_text(world.exporter, text, sizeof text);
    CHECK(strstr(text, "receipt key is another") != NULL);
    world.signer = NULL; /* Nor may it go on without one. */
    run_for(&world, 100 * FT_NS_PER_S);
    CHECK(stats_of(&world)->refused_keys >= 2);
    CHECK_INT(world.acked_seq, 0);
    world.signer = next;
    struct ft_receipt_keys keys = {.n = 1};
    memcpy(keys.keys[0], ft_receipt_signer_key(next), 32);
    ft_exporter_set_receipts(world.exporter, FT_TRUST_REQUIRE, &keys);
    run_for(&world, 200 * FT_NS_PER_S);
    CHECK_INT(world.acked_seq, 10);
    CHECK_BYTES(world.binding.key, 32, ft_receipt_signer_key(next), 32);
    teardown(&world);
}

TEST(a_welcome_without_proof_cannot_make_another_instance)
{
    struct ft_exporter_options options = {.receipts = FT_TRUST_ACCEPT};
    struct world world;
    setup_with(&world, &options, 8 << 20, 0);
    seal(&world, 10, 1000);
    world.durable_seq = 10; /* Claims what it never got. */
    ft_exporter_enable(world.exporter);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.acked_seq, 0);
    CHECK_INT(stats_of(&world)->bad_acks, 1);
    CHECK_INT(stats_of(&world)->new_instances, 0);
    teardown(&world);
}
