/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table in a file of a (simulated) disk: rows, the log's position and the marks of the instances
 * in one transaction, as sink/sink.h asks.  A row keeps whose event it is, its number and the hash
 * of its content.
 *
 * The file "table" is a sequence of transactions, each with its number and a checksum.  After a
 * write or sync that failed the file is not used again: the next commit writes a new one and
 * renames it over the old one.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_SINK_H
#define FT_TESTS_SIM_SINK_H 1

#include "base/disk.h"
#include "collector/recovery.h"
#include "sink/sink.h"

struct sim_sink_row {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t seq;
    uint64_t hash;
    uint64_t loss_count;
    uint64_t loss_cause;
    uint64_t life; /* In which the event was made. */
};

typedef void sim_sink_row_fn(void *ctx, const struct sim_sink_row *row);

struct sim_sink_options {
    struct ft_disk *disk; /* Borrowed. */
    /* Each row of the table at open, and each one that is committed. */
    sim_sink_row_fn *on_row;
    void *on_row_ctx;
};

FT_MUST_USE ft_err sim_sink_open(const struct sim_sink_options *options, struct ft_sink **ret_sink);
/* As ft_duckdb_each_instance. */
FT_MUST_USE ft_err sim_sink_each_instance(struct ft_sink *sink, ft_stored_instance_fn *fn,
                                          void *ctx);
/* Rows kept. */
size_t sim_sink_count(struct ft_sink *sink);

#endif
