/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter in parts: exporter.c says what is to be said, exporter_receive.c takes what the
 * collector says, exporter_log.c takes blocks from the log and confirms them there, and
 * exporter_back.c takes that back when the collector has lost them.
 *
 * Not for other folders.  Thread: owner only.
 */
#ifndef FT_EXPORT_EXPORTER_IMPL_H
#define FT_EXPORT_EXPORTER_IMPL_H 1

#include "base/ranges.h"
#include "base/thread.h"
#include "export/exporter.h"
#include "export/holes.h"
#include "export/progress.h"
#include "export/trust.h"

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
    struct ft_trust trust;
    unsigned n_bad;     /* Bad acks and receipts of this stream. */
    uint64_t n_useless; /* Acks of this stream that acknowledged nothing new. */
    uint64_t n_sent;    /* Blocks of this stream. */
    uint64_t message_bytes_max;
    uint64_t acked_seq; /* Everything up to it is done with. */
    struct ft_holes holes;
    /* What the collector asked for when it welcomed us: it has everything up to 'asked_seq' but for
     * these.  0: it asked for nothing. */
    struct ft_ranges asked;
    uint64_t asked_seq;
    bool is_guess;          /* Nobody knows what is done with: all up to acked_seq at most. */
    uint64_t base_seq;      /* The instance's numbers begin behind it. */
    uint64_t foreign_seq;   /* From here on the collector has other events; 0: from nowhere. */
    uint64_t ever_sent_seq; /* The last number that may ever have left. */
    uint64_t sent_seq;      /* The last number that left in this process. */
    uint64_t read_seq;      /* The last number that came out of the log. */
    uint64_t hole_position; /* A block that cannot be read, not even its numbers; 0: none. */
    bool gone_unkept;       /* Told as lost at the collector, and not durable yet. */
    int64_t status_interval_ns;
    int64_t status_due_ns;
    uint64_t n_statuses;    /* Given to the stream. */
    int64_t pause_until_ns; /* SlowDown. */
    struct ft_exporter_stats stats;
    struct ft_mutex lock;
    char last_text[256] FT_GUARDED;
};

/* What the collector does not say in a Welcome. */
#define FT_EXPORTER_MESSAGE_BYTES_MAX ((uint64_t)1 << 20)

static inline int64_t ft_exporter_now(const struct ft_exporter *exporter)
{
    return ft_clock_mono_ns(exporter->options.clock);
}

/* exporter.c */
void ft_exporter_set_text(struct ft_exporter *exporter, const char *text);

/* exporter_receive.c */
void ft_exporter_receive(struct ft_exporter *exporter, const struct ft_stream_event *event,
                         int64_t now_ns);
void ft_exporter_closed(struct ft_exporter *exporter, const struct ft_stream_event *event,
                        int64_t now_ns);

/* exporter_back.c */
/* What a Welcome asks for, before anything else of it is taken. */
void ft_exporter_take_asked(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome);
/* The last number up to 'seq' below which it asks for nothing. */
uint64_t ft_exporter_below_asked(const struct ft_exporter *exporter, uint64_t seq);
/* The collector says that it has all of these. */
bool ft_exporter_has(const struct ft_exporter *exporter, const struct ft_block_info *info);

/* The collector has only what is up to 'durable_seq', without what it asks for: what was confirmed
 * of the rest is sent again or told as lost.  On an error nothing may be sent. */
FT_MUST_USE ft_err ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq);
/*
 * What was told as lost at the collector is so after a crash, too.  Before that nothing is sent:
 * with newer events the collector would not ask for it any more, and a process that did not know
 * of it would take it for stored.
 */
FT_MUST_USE ft_err ft_exporter_keep_gone(struct ft_exporter *exporter);

/* exporter_log.c */
/* The counts as they are kept with a place in the log. */
struct ft_progress ft_exporter_progress(const struct ft_exporter *exporter);
/*
 * The place and its counts are on disk: what is told as lost now must not come again after a power
 * cut, or it would be told again.
 */
void ft_exporter_keep_place(struct ft_exporter *exporter);
/* Makes these the counts that others see. */
void ft_exporter_publish_progress(struct ft_exporter *exporter, const struct ft_progress *progress);
/* Goes on where an earlier process stopped. */
void ft_exporter_resume(struct ft_exporter *exporter);
/* Takes blocks from the log while there is room in flight for them. */
void ft_exporter_refill(struct ft_exporter *exporter);
/* Frees what is durable at the collector, but for the rejected parts, which are lost. */
void ft_exporter_take_durable(struct ft_exporter *exporter, uint64_t durable_seq,
                              const struct ft_msg_range *rejected, unsigned n_rejected);

#endif
