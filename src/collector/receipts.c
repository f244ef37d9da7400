/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of ingest that signs: receipts for agents, and what a receipt that comes back proves.
 *
 * A store that was set back to a backup cannot see it: everything that it could compare with was
 * set back too.  An agent can: it has a receipt, signed here, for more than the store has.  Then
 * the epoch of that store is over, and every agent learns of it with its next Welcome.
 */
#include <string.h>

#include "base/log.h"
#include "collector/ingest_impl.h"

bool ft_ingest_sign(struct ft_ingest_session *session, uint64_t durable_seq,
                    const uint8_t digest[FT_RECEIPT_DIGEST_SIZE],
                    struct ft_msg_signature *ret_receipt)
{
    struct ft_ingest *ingest = session->ingest;
    const struct ft_ingest_options *options = &ingest->options;
    ret_receipt->size = 0;
    if (options->signer == NULL) {
        return true;
    }
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    memcpy(receipt.collector_id, options->collector_id.bytes, sizeof receipt.collector_id);
    memcpy(receipt.store_epoch, session->store_epoch.bytes, sizeof receipt.store_epoch);
    memcpy(receipt.agent_id, session->key.agent_id.bytes, sizeof receipt.agent_id);
    memcpy(receipt.instance_id, session->key.instance_id.bytes, sizeof receipt.instance_id);
    memcpy(receipt.challenge, session->challenge, sizeof receipt.challenge);
    memcpy(receipt.rejected_digest, digest, sizeof receipt.rejected_digest);
    if (ft_receipt_sign(options->signer, &receipt, ret_receipt->bytes) != FT_OK) {
        return false;
    }
    ret_receipt->size = sizeof ret_receipt->bytes;
    ingest->stats.receipts++;
    return true;
}

void ft_ingest_take_witness(struct ft_ingest_session *session, const struct ft_msg_hello *hello,
                            uint64_t durable_seq)
{
    struct ft_ingest *ingest = session->ingest;
    const struct ft_ingest_options *options = &ingest->options;
    struct ft_receipt receipt;
    uint8_t title[FT_RECEIPT_STATEMENT_SIZE];
    memcpy(title, hello->witness, sizeof title);
    /* Most have nothing new to say, and cost no signature check. */
    if (options->signer == NULL || !ft_receipt_read(title, &receipt) ||
        receipt.durable_seq <= durable_seq) {
        return;
    }
    struct ft_uuid epoch;
    ft_ingest_epoch(ingest, &epoch);
    bool about_us =
        memcmp(receipt.collector_id, options->collector_id.bytes, sizeof receipt.collector_id) ==
            0 &&
        memcmp(receipt.store_epoch, epoch.bytes, sizeof receipt.store_epoch) == 0 &&
        memcmp(receipt.agent_id, hello->agent_id.bytes, sizeof receipt.agent_id) == 0 &&
        memcmp(receipt.instance_id, hello->instance_id.bytes, sizeof receipt.instance_id) == 0;
    if (!about_us || !ft_receipt_witness_open(ft_receipt_signer_key(options->signer),
                                              hello->witness, sizeof hello->witness, &receipt)) {
        return;
    }
    struct ft_uuid next;
    ft_uuid_make_random(options->random, &next);
    ft_mutex_lock(&ingest->lock);
    bool first = ft_uuid_equal(&ingest->store_epoch, &epoch);
    if (first) {
        ingest->store_epoch = next;
        ingest->epoch_is_new = true;
    }
    ft_mutex_unlock(&ingest->lock);
    if (first) {
        ingest->stats.set_backs++;
        ft_log(FT_LOG_ERROR, "collector",
               "this store was set back: %s has a receipt for its events up to %llu, the store has "
               "them up to %llu; agents send again what they still have",
               hello->host_name, (unsigned long long)receipt.durable_seq,
               (unsigned long long)durable_seq);
        ft_ingest_wake(ingest);
    }
}

void ft_ingest_keep_epoch(struct ft_ingest *ingest)
{
    const struct ft_ingest_options *options = &ingest->options;
    ft_mutex_lock(&ingest->lock);
    bool is_new = ingest->epoch_is_new;
    struct ft_uuid epoch = ingest->store_epoch;
    ft_mutex_unlock(&ingest->lock);
    if (!is_new || (options->keep_epoch != NULL &&
                    options->keep_epoch(options->keep_epoch_ctx, &epoch) != FT_OK)) {
        return; /* Were it not kept, the next witness would end the old epoch again. */
    }
    ft_mutex_lock(&ingest->lock);
    ingest->epoch_is_new = false;
    ft_mutex_unlock(&ingest->lock);
}

void ft_ingest_epoch(struct ft_ingest *ingest, struct ft_uuid *ret_epoch)
{
    ft_mutex_lock(&ingest->lock);
    *ret_epoch = ingest->store_epoch;
    ft_mutex_unlock(&ingest->lock);
}
