/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the agent believes that events are stored: checks the receipts of a stream (auth/receipt.h)
 * against the key that was configured or, where none was, the first that the collector offered.
 *
 * A collector that has offered a key once must go on with it: what was verified is not taken on
 * trust later.  It decides, it does nothing; the exporter frees, reports and gives up.
 *
 * Thread: owner only.
 */
#ifndef FT_EXPORT_TRUST_H
#define FT_EXPORT_TRUST_H 1

#include <stdbool.h>
#include <stdint.h>

#include "auth/receipt_key.h"
#include "base/random.h"
#include "flow/ids.h"
#include "wire/message.h"

/* What is asked of a collector that never offered a key.  The order of the option's names. */
enum ft_trust_policy {
    FT_TRUST_OFF,     /* Nothing: no collector's receipts are looked at. */
    FT_TRUST_ACCEPT,  /* It is believed, and what it acknowledges is shown as unverified. */
    FT_TRUST_REQUIRE, /* It gets nothing. */
    FT_TRUST_POLICY_N
};

/* How the present or last stream's acknowledgements were taken. */
enum ft_delivery_proof { FT_PROOF_NONE, FT_PROOF_VERIFIED, FT_PROOF_UNVERIFIED };

/* What the agent knows of its collector; kept with a log that outlives the process. */
struct ft_binding {
    bool has_collector;
    struct ft_uuid collector_id;
    bool has_key;
    uint8_t key[FT_RECEIPT_KEY_SIZE];
    bool has_epoch; /* Of the last stream. */
    struct ft_uuid store_epoch;
};

struct ft_trust {
    enum ft_trust_policy policy;
    struct ft_receipt_keys pinned;
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    struct ft_binding binding;
    /* This stream. */
    uint8_t challenge[FT_RECEIPT_ID_SIZE];
    bool verified; /* Its receipts are checked. */
    uint8_t key[FT_RECEIPT_KEY_SIZE];
    struct ft_uuid collector_id;
    struct ft_uuid store_epoch;
    /* The receipt for most, of the latest epoch. */
    bool has_witness;
    struct ft_uuid witness_epoch;
    uint64_t witness_seq;
    uint8_t witness[FT_RECEIPT_WITNESS_SIZE];
};

enum ft_trust_verdict {
    FT_TRUST_GOOD,
    FT_TRUST_NO_KEY,     /* It offers no receipts, and has to. */
    FT_TRUST_OTHER_KEY,  /* Its key is another than the one that is trusted. */
    FT_TRUST_BAD_RECEIPT /* Nobody who holds the key has said this. */
};

void ft_trust_init(struct ft_trust *trust, enum ft_trust_policy policy,
                   const struct ft_receipt_keys *pinned, const struct ft_uuid *agent_id,
                   const struct ft_uuid *instance_id, const struct ft_binding *binding);

/* Another policy or other keys, from the next stream on. */
void ft_trust_configure(struct ft_trust *trust, enum ft_trust_policy policy,
                        const struct ft_receipt_keys *pinned);

/* Another instance: receipts of the one before say nothing of it. */
void ft_trust_set_instance(struct ft_trust *trust, const struct ft_uuid *instance_id);

/* A new stream begins: a new challenge. */
void ft_trust_begin(struct ft_trust *trust, struct ft_random *random);

/*
 * Checks what the collector says first.  With FT_TRUST_GOOD the stream is that collector's, and its
 * key is kept in the binding; '*ret_changed': the binding is another than before, to be kept.
 */
enum ft_trust_verdict ft_trust_welcome(struct ft_trust *trust, const struct ft_msg_welcome *welcome,
                                       bool *ret_changed);

/* Checks an acknowledgement of the stream; one signature check at most. */
enum ft_trust_verdict ft_trust_ack(struct ft_trust *trust, const struct ft_msg_ack *ack);

/* "none", "verified", "unverified". */
const char *ft_trust_proof_name(enum ft_delivery_proof proof);

/* For people. */
const char *ft_trust_text(enum ft_trust_verdict verdict);

#endif
