/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter in parts: exporter.c talks to the collector, exporter_log.c takes blocks from the
 * log and confirms them there.
 *
 * Not for other folders.  Thread: owner only.
 */
#ifndef FT_EXPORT_EXPORTER_IMPL_H
#define FT_EXPORT_EXPORTER_IMPL_H 1

#include "base/thread.h"
#include "export/exporter.h"
#include "export/progress.h"

struct ft_exporter {
    struct ft_exporter_options options;
    struct ft_log_reader *reader;
    struct ft_link link;
    enum ft_link_state told_state;
    struct ft_flight flight;
    struct ft_buf message;
    bool sending; /* A send is under way; the stream takes one at a time. */
    bool bound;   /* The log belongs to 'collector_id'. */
    struct ft_uuid collector_id;
    uint64_t message_bytes_max;
    uint64_t acked_seq;
    uint64_t base_seq;      /* The instance's numbers begin behind it. */
    uint64_t ever_sent_seq; /* The last number that may ever have left. */
    uint64_t read_seq;      /* The last number that came out of the log. */
    uint64_t hole_position; /* A block that cannot be read, not even its numbers; 0: none. */
    int64_t status_interval_ns;
    int64_t status_due_ns;
    int64_t pause_until_ns; /* SlowDown. */
    struct ft_exporter_stats stats;
    struct ft_mutex lock;
    char last_text[256] FT_GUARDED;
};

/* exporter_log.c */
/* Goes on where an earlier process stopped. */
void ft_exporter_resume(struct ft_exporter *exporter);
/* Takes blocks from the log while there is room in flight for them. */
void ft_exporter_refill(struct ft_exporter *exporter);
/* Frees what is durable at the collector, but for the rejected parts, which are lost. */
void ft_exporter_take_durable(struct ft_exporter *exporter, uint64_t durable_seq,
                              const struct ft_msg_range *rejected, unsigned n_rejected);

#endif
