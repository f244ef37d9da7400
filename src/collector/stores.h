/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collector keeps on disk, opened at its start: identity, log, quarantine, ledger, DuckDB
 * and its sinker, in this order.  Then they are held against each other (recovery.h): what one of
 * them lost is filled from another, or begins a new epoch, so that agents send it again.
 *
 * Thread: the main thread, but for ft_stores_keep_epoch().  The parts belong to the ft_collector,
 * which closes them at its stop, also when opening failed half way.
 */
#ifndef FT_COLLECTOR_STORES_H
#define FT_COLLECTOR_STORES_H 1

#include "base/error.h"
#include "flow/ids.h"

struct ft_collector;

/* Fails with '*diag', which names the directory or file. */
FT_MUST_USE ft_err ft_stores_open(struct ft_collector *collector, struct ft_diag *diag);

/* Nothing before all was opened.  A failure is logged once, and tried again with the next call. */
void ft_stores_write_ledger(struct ft_collector *collector, bool sync);

/* ft_ingest_options.keep_epoch; 'ctx' is the ft_collector.  Thread: commit, and at the
 * start main. */
FT_MUST_USE ft_err ft_stores_keep_epoch(void *ctx, const struct ft_uuid *store_epoch);

#endif
