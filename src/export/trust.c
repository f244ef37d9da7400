/* SPDX-License-Identifier: Apache-2.0 */
#include "export/trust.h"

#include <string.h>

static enum ft_trust_verdict choose_key(struct ft_trust *trust,
                                        const struct ft_msg_welcome *welcome);
static struct ft_receipt statement_of(const struct ft_trust *trust, uint64_t durable_seq);
static bool is_good(const struct ft_trust *trust, const struct ft_receipt *receipt,
                    const struct ft_msg_signature *signature);
static void keep_witness(struct ft_trust *trust, const struct ft_receipt *receipt,
                         const struct ft_msg_signature *signature);
static bool keep_binding(struct ft_trust *trust);

void ft_trust_init(struct ft_trust *trust, enum ft_trust_policy policy,
                   const struct ft_receipt_keys *pinned, const struct ft_uuid *agent_id,
                   const struct ft_uuid *instance_id, const struct ft_binding *binding)
{
    *trust = (struct ft_trust){.policy = policy,
                               .pinned = *pinned,
                               .agent_id = *agent_id,
                               .instance_id = *instance_id,
                               .binding = *binding};
}

void ft_trust_configure(struct ft_trust *trust, enum ft_trust_policy policy,
                        const struct ft_receipt_keys *pinned)
{
    trust->policy = policy;
    trust->pinned = *pinned;
}

void ft_trust_set_instance(struct ft_trust *trust, const struct ft_uuid *instance_id)
{
    trust->instance_id = *instance_id;
    trust->has_witness = false;
}

void ft_trust_begin(struct ft_trust *trust, struct ft_random *random)
{
    random->fill(random, trust->challenge, sizeof trust->challenge);
    trust->verified = false;
}

enum ft_trust_verdict ft_trust_welcome(struct ft_trust *trust, const struct ft_msg_welcome *welcome,
                                       bool *ret_changed)
{
    trust->collector_id = welcome->collector_id;
    trust->store_epoch = welcome->store_epoch;
    enum ft_trust_verdict verdict = choose_key(trust, welcome);
    if (verdict != FT_TRUST_GOOD) {
        return verdict;
    }
    if (trust->verified) {
        struct ft_receipt receipt = statement_of(trust, welcome->durable_seq);
        ft_welcome_digest(welcome, receipt.rejected_digest);
        if (!is_good(trust, &receipt, &welcome->receipt)) {
            trust->verified = false;
            return FT_TRUST_BAD_RECEIPT;
        }
        keep_witness(trust, &receipt, &welcome->receipt);
    }
    *ret_changed = keep_binding(trust);
    return FT_TRUST_GOOD;
}

enum ft_trust_verdict ft_trust_ack(struct ft_trust *trust, const struct ft_msg_ack *ack)
{
    if (!trust->verified) {
        return FT_TRUST_GOOD;
    }
    if (!ack->has_store_epoch || !ft_uuid_equal(&ack->store_epoch, &trust->store_epoch)) {
        return FT_TRUST_BAD_RECEIPT;
    }
    struct ft_receipt receipt = statement_of(trust, ack->durable_seq);
    ft_ack_digest(ack, receipt.rejected_digest);
    if (!is_good(trust, &receipt, &ack->receipt)) {
        return FT_TRUST_BAD_RECEIPT;
    }
    /* One that ends with what was rejected proves nothing: that was never stored. */
    if (ack->n_rejected == 0 || ack->rejected[ack->n_rejected - 1].last_seq < ack->durable_seq) {
        keep_witness(trust, &receipt, &ack->receipt);
    }
    return FT_TRUST_GOOD;
}

const char *ft_trust_proof_name(enum ft_delivery_proof proof)
{
    static const char *const names[] = {"none", "verified", "unverified"};
    return names[proof];
}

const char *ft_trust_text(enum ft_trust_verdict verdict)
{
    switch (verdict) {
    case FT_TRUST_GOOD:
        break;
    case FT_TRUST_NO_KEY:
        return "the collector gives no receipts (collector.receipts)";
    case FT_TRUST_OTHER_KEY:
        return "the collector's receipt key is another than the one trusted "
               "(collector.receipt_key)";
    case FT_TRUST_BAD_RECEIPT:
        return "the collector's receipt is not good, nothing is freed for it";
    }
    return "";
}

/* Which key this stream is checked with, or that it is not. */
static enum ft_trust_verdict choose_key(struct ft_trust *trust,
                                        const struct ft_msg_welcome *welcome)
{
    trust->verified = false;
    if (trust->policy == FT_TRUST_OFF) {
        return FT_TRUST_GOOD;
    }
    bool is_known = trust->pinned.n > 0 || trust->binding.has_key;
    if (!welcome->has_receipt_key) {
        bool may_go_without = trust->policy == FT_TRUST_ACCEPT && !is_known;
        return may_go_without ? FT_TRUST_GOOD : FT_TRUST_NO_KEY;
    }
    if (trust->pinned.n > 0) {
        if (!ft_receipt_keys_have(&trust->pinned, welcome->receipt_key)) {
            return FT_TRUST_OTHER_KEY;
        }
    } else if (is_known &&
               memcmp(trust->binding.key, welcome->receipt_key, sizeof trust->binding.key) != 0) {
        return FT_TRUST_OTHER_KEY;
    }
    memcpy(trust->key, welcome->receipt_key, sizeof trust->key);
    trust->verified = true;
    return FT_TRUST_GOOD;
}

/* What must have been signed, but for the digest. */
static struct ft_receipt statement_of(const struct ft_trust *trust, uint64_t durable_seq)
{
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    memcpy(receipt.collector_id, trust->collector_id.bytes, sizeof receipt.collector_id);
    memcpy(receipt.store_epoch, trust->store_epoch.bytes, sizeof receipt.store_epoch);
    memcpy(receipt.agent_id, trust->agent_id.bytes, sizeof receipt.agent_id);
    memcpy(receipt.instance_id, trust->instance_id.bytes, sizeof receipt.instance_id);
    memcpy(receipt.challenge, trust->challenge, sizeof receipt.challenge);
    return receipt;
}

static bool is_good(const struct ft_trust *trust, const struct ft_receipt *receipt,
                    const struct ft_msg_signature *signature)
{
    return ft_receipt_verify(trust->key, receipt, signature->bytes, signature->size);
}

/*
 * The highest of an epoch is the one that shows how much was there.  A lower one of the same epoch,
 * from a store that was set back and does not know it yet, must not take its place.
 */
static void keep_witness(struct ft_trust *trust, const struct ft_receipt *receipt,
                         const struct ft_msg_signature *signature)
{
    bool same_epoch =
        trust->has_witness && ft_uuid_equal(&trust->witness_epoch, &trust->store_epoch);
    if (same_epoch && receipt->durable_seq < trust->witness_seq) {
        return;
    }
    trust->has_witness = true;
    trust->witness_epoch = trust->store_epoch;
    trust->witness_seq = receipt->durable_seq;
    ft_receipt_witness_make(receipt, signature->bytes, trust->witness);
}

static bool keep_binding(struct ft_trust *trust)
{
    struct ft_binding now = {.has_collector = true,
                             .collector_id = trust->collector_id,
                             .has_key = trust->binding.has_key,
                             .has_epoch = true,
                             .store_epoch = trust->store_epoch};
    memcpy(now.key, trust->binding.key, sizeof now.key);
    if (trust->verified) {
        now.has_key = true;
        memcpy(now.key, trust->key, sizeof now.key);
    }
    struct ft_binding *before = &trust->binding;
    bool changed = !before->has_collector || !before->has_epoch || before->has_key != now.has_key ||
                   !ft_uuid_equal(&before->collector_id, &now.collector_id) ||
                   !ft_uuid_equal(&before->store_epoch, &now.store_epoch) ||
                   memcmp(before->key, now.key, sizeof now.key) != 0;
    *before = now;
    return changed;
}
