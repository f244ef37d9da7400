/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source thread's logic: keeps the event socket open, empties it into chunks and hands them to
 * the pipeline.  It decodes nothing and decides nothing about flows.
 *
 * It is written as steps that are told the time and say what to wait for, so that it runs on
 * virtual time as well; ft_reader_run() wraps them for a thread.
 *
 * Pacing.  Reading as soon as poll() says so costs a wake-up per event, 3 to 4 times the CPU of a
 * timed drain, and slows the host's packet path (reference figures: 2.1 us per event polled, 0.6
 * paced).  A timer costs 1.5 to 2 % of a core when nothing happens.  So: poll while there are few
 * events, drain every millisecond while there are many, with hysteresis between.
 *
 * The socket fails: it is closed and opened again, at once the first time, then with backoff
 * (source/backoff.h), forever.
 *
 * Watchdog.  With NETLINK_BROADCAST_ERROR the kernel keeps dead entries until their END is
 * delivered, and they count against nf_conntrack_max.  The host matters more than its telemetry:
 * above 80 % the option is given up, below 70 % it is taken again.
 *
 * Thread: owner only, but wake() and set_ladder() any.
 */
#ifndef FT_SOURCE_READER_H
#define FT_SOURCE_READER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "os/ct_kernel.h"
#include "source/backoff.h"
#include "source/chunk_queue.h"
#include "source/ladder.h"
#include "source/stats.h"

struct ft_reader_options {
    uint64_t rcvbuf_bytes;
    bool reliable; /* NETLINK_BROADCAST_ERROR wanted */
    bool
        listen_update; /* UPDATE events, too: mark and NAT changes at once, 5 events per TCP flow */
    struct ft_backoff_options reopen;
    struct ft_ladder_options ladder;
    uint64_t paced_above; /* datagrams a second */
    uint64_t paced_below; /* back to poll */
    int64_t pace_ns;
    int64_t tick_ns; /* How often the pipeline hears of an idle socket. */
    int64_t watchdog_ns;
    unsigned table_percent_max; /* Of nf_conntrack_max: above it "reliable" is given up … */
    unsigned table_percent_ok;  /* … and below this taken again. */
};

/* 32 MiB; reliable; no UPDATE; backoff and ladder as by default; 2,000 and 1,000; 1 ms; 1 s; 1 s;
 * 80 and 70. */
extern const struct ft_reader_options ft_reader_options_default;

/* What to wait for before the next step; each ends at the deadline, too, and by a wake-up. */
enum ft_reader_wait {
    FT_READER_WAIT_NONE,  /* Nothing: step again. */
    FT_READER_WAIT_EVENT, /* Something to read. */
    FT_READER_WAIT_TIME,  /* The deadline alone. */
    FT_READER_WAIT_ROOM   /* A free chunk. */
};

struct ft_reader;

/* The event socket was opened: its descriptor, borrowed for the call. */
typedef void ft_socket_fn(void *ctx, int fd);

/* Borrows 'kernel', 'queue', 'random' and 'stats'.  -ENOMEM. */
FT_MUST_USE ft_err ft_reader_create(const struct ft_reader_options *options,
                                    struct ft_ct_kernel *kernel, struct ft_chunk_queue *queue,
                                    struct ft_random *random, struct ft_source_stats *stats,
                                    struct ft_reader **ret_reader);
/* Closes the socket. */
void ft_reader_destroy(struct ft_reader *reader);
FT_DEFINE_CLEANUP(struct ft_reader, ft_reader_destroy);

/* Before the first step.  'on_socket' may be NULL. */
void ft_reader_set_on_socket(struct ft_reader *reader, ft_socket_fn *on_socket, void *ctx);

/*
 * Before the first step: the process before this one had opened the socket 'fd', which is taken
 * over (-1: it is not there any more), and left its chunks in the queue's memory.
 */
void ft_reader_adopt(struct ft_reader *reader, int fd);

/* One turn: opens, watches, reads at most one chunk. */
enum ft_reader_wait ft_reader_step(struct ft_reader *reader, int64_t mono_ns, int64_t real_ns,
                                   int64_t *ret_deadline_mono_ns);

/*
 * Steps until ft_reader_stop(): the thread's function.  At the end what is in the socket is read as
 * far as chunks are free, and the socket is closed.
 */
void ft_reader_run(struct ft_reader *reader, const struct ft_clock *clock);

/* Ends run(), at once also during a backoff.  Thread: any. */
void ft_reader_stop(struct ft_reader *reader);

/* Another mode or other bounds of the shedding ladder.  Thread: any. */
void ft_reader_set_ladder(struct ft_reader *reader, const struct ft_ladder_options *options);

#endif
