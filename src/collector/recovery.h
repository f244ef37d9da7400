/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the registry of instances at the start: from the store, then from what the log holds behind
 * it.
 *
 * Thread: the main thread, before the others start.
 */
#ifndef FT_COLLECTOR_RECOVERY_H
#define FT_COLLECTOR_RECOVERY_H 1

#include "collector/instances.h"
#include "collector/quarantine.h"
#include "sink/duckdb_instances.h"
#include "store/log.h"

/* What a store knows of one instance; an ft_stored_instance_fn and an ft_stored_gap_fn whose 'ctx'
 * is the registry. */
FT_MUST_USE ft_err ft_recovery_add_stored(void *instances, const struct ft_stored_instance *stored);
FT_MUST_USE ft_err ft_recovery_add_gap(void *instances, const struct ft_uuid *agent_id,
                                       const struct ft_uuid *instance_id, uint64_t first_seq,
                                       uint64_t last_seq);

FT_MUST_USE ft_err ft_recovery_from_store(struct ft_duckdb *duckdb, struct ft_instances *instances,
                                          struct ft_diag *reterr_diag);

/* How log and store fit together. */
enum ft_recovery_fit {
    FT_RECOVERY_FITS,
    FT_RECOVERY_STORE_BEHIND, /* The log has freed what the store lacks: the store was set back. */
    FT_RECOVERY_LOG_BEHIND    /* The store has what the log never had: the log was set back, and
                                 gives its positions a second time. */
};
/* 'position' is the last that the store has. */
enum ft_recovery_fit ft_recovery_compare(struct ft_log *log, uint64_t position);

/* The store must know the gaps, durably, before it reads on: only then it takes what fills them. */
typedef ft_err ft_recovery_gaps_fn(void *ctx, const struct ft_instance_key *key,
                                   const struct ft_ranges *gaps);

/*
 * Where positions are missing in the log, this collector has lost blocks: what is missing in an
 * instance's numbers behind that is a gap, for which its agent is asked, and which 'set_gaps' gives
 * to the store.
 */
FT_MUST_USE ft_err ft_recovery_from_log(struct ft_log *log, uint64_t position,
                                        struct ft_instances *instances,
                                        ft_recovery_gaps_fn *set_gaps, void *ctx);

/*
 * At the end: holds what the ledger has against what store and log have, and counts the blocks of
 * the quarantine up to 'position', the last that the sink has passed, which the ledger does not
 * know.  '*ret_n_behind': instances of which the ledger knows more than is here; their agents send
 * it again, or report it as lost.
 */
FT_MUST_USE ft_err ft_recovery_reconcile(struct ft_instances *instances,
                                         struct ft_quarantine *quarantine, uint64_t position,
                                         uint64_t *ret_n_behind);

#endif
