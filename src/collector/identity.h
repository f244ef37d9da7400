/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this collector is, and which store it has.
 *
 *     data_dir/collector-id     UUID, for good
 *     data_dir/receipt-key      Ed25519 pair that signs receipts, for good; readable by the owner
 *     data_dir/receipt-key.pub  its public half, for agents (collector.receipt_key)
 *     data_dir/log/log-id       UUID of the log whose positions the sinks have
 *     data_dir/log/store-epoch  UUID of what was stored so far
 *
 * The two in the log's directory are lost with the log.  The epoch changes as well when the store
 * is found set back, or had to give up what was durable; the log's id does not, since the sinks'
 * positions stay right.
 *
 * Thread: any; called at start, and renew in the commit thread.
 */
#ifndef FT_COLLECTOR_IDENTITY_H
#define FT_COLLECTOR_IDENTITY_H 1

#include "auth/receipt_key.h"
#include "base/disk.h"
#include "base/random.h"
#include "flow/ids.h"

#define FT_IDENTITY_COLLECTOR "collector-id"
#define FT_IDENTITY_LOG       "log-id"
#define FT_IDENTITY_EPOCH     "store-epoch"
#define FT_IDENTITY_KEY       "receipt-key"

struct ft_identity {
    struct ft_uuid collector_id;
    struct ft_uuid log_id;
    struct ft_uuid store_epoch;
    struct ft_receipt_signer *signer;
};

/*
 * Reads everything, or makes what is missing.  FT_E_CORRUPT with the file's name when one holds
 * anything else.
 */
FT_MUST_USE ft_err ft_identity_open(struct ft_disk *disk, struct ft_disk *log_disk,
                                    struct ft_random *random, struct ft_identity *ret_identity,
                                    struct ft_diag *reterr_diag);
/* Wipes the key; a zeroed one may be closed too. */
void ft_identity_close(struct ft_identity *identity);

/* Reads the id from the file 'name', or makes one and keeps it.  FT_E_CORRUPT when the file holds
 * anything else than an id. */
FT_MUST_USE ft_err ft_identity_load(struct ft_disk *disk, const char *name,
                                    struct ft_random *random, struct ft_uuid *ret_id);
/* Keeps 'id' in the file 'name', instead of what was there. */
FT_MUST_USE ft_err ft_identity_replace(struct ft_disk *disk, const char *name,
                                       const struct ft_uuid *id);

#endif
